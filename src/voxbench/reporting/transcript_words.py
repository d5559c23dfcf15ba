"""What is said of transcripts: errors by kind, sentences of training among them, speakers, and groups of speakers."""

from __future__ import annotations

import pandas as pd

from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import count, counted, p_equation, quantity, visible
from voxbench.reporting.text_findings import Transcripts

WER, CER = "wer", "cer"
KINDS = ("substitutions", "deletions", "insertions")


def transcript_words(evidence: Evidence) -> tuple[str, ...]:
    """Return sentences on the transcripts of the network that is best on validation; none for another task."""
    if evidence.texts is None:
        return ()
    return (_kinds(evidence), _speakers(evidence, evidence.texts), *_groups(evidence, evidence.texts))


def known_sentences(evidence: Evidence) -> tuple[str, ...]:
    """Warn where most test utterances say what a training recording says as well."""
    if evidence.texts is None or 2 * evidence.texts.known < evidence.clips:
        return ()
    return (
        f"{count(evidence.texts.known)} of {counted(evidence.clips, 'test utterance')} say a sentence that a training "
        "recording says as well. The figures are too good for sentences that the network has not read.",
    )


def _kinds(evidence: Evidence) -> str:
    """Say of which kinds the word errors are, and how many characters are wrong."""
    chosen = evidence.validated
    counts, shown = chosen.tuned.edits[WER], quantity(CER, evidence.clips)
    errors, share = int(counts.errors.sum()), quantity("accuracy", 0)
    said = f"The fine-tuned {chosen.model}, the best on validation, makes {counted(errors, 'word error')}"
    if errors:
        parts = [f"{share.value(int(getattr(counts, kind).sum()) / errors)} {kind}" for kind in KINDS]
        said += f": {', '.join(parts)}"
    rate = chosen.tuned.values.get(CER)
    return said + ("." if rate is None else f". Its {shown.label} is {shown.value(rate)}.")


def _speakers(evidence: Evidence, texts: Transcripts) -> str:
    """Say how far the speakers are apart."""
    shown, table = quantity(WER, evidence.clips), texts.speakers
    worst, best = table.iloc[0], table.iloc[-1]
    return (
        f"Speaker by speaker its {shown.label} goes from {shown.value(best[WER])} ({visible(str(best['speaker']))}) to "
        f"{shown.value(worst[WER])} ({visible(str(worst['speaker']))}); the middle one of "
        f"{counted(len(table), 'speaker')} has {shown.value(float(table[WER].median()))}."
    )


def _groups(evidence: Evidence, texts: Transcripts) -> tuple[str, ...]:
    """Say how far apart the sexes are, and the groups of the attribute with the widest gap."""
    gaps = texts.findings.gaps
    if gaps.empty:
        return ()
    widest = gaps.loc[gaps["gap"].idxmax(), "by"]
    told = gaps[(gaps["by"] == "gender") | (gaps["by"] == widest)]
    return tuple(_gap(evidence, texts, gap) for _, gap in told.iterrows())


def _gap(evidence: Evidence, texts: Transcripts, gap: pd.Series) -> str:
    groups, shown = texts.findings.groups, quantity(WER, evidence.clips)
    own = groups[groups["by"] == gap["by"]].set_index("group")["value"]
    best, worst = (f"{shown.value(own[gap[end]])} ({visible(str(gap[end]))})" for end in ("lowest", "highest"))
    chance = "more" if gap["gap"] > gap["chance"] else "no more"
    return (
        f"By {gap['by'].replace('_', ' ')} the {shown.label} goes from {best} to {worst}. The gap of "
        f"{shown.number(gap['gap'])}{shown.step} is {chance} than chance makes of equal groups: up to "
        f"{shown.number(gap['chance'])}{shown.step} ({p_equation(gap['p'])})."
    )
