"""What is found of the test transcripts of one network: groups, speakers one by one, and utterances side by side.

Shape letters: N utterances, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.config import Report
from voxbench.evaluation.group_columns import group_labels
from voxbench.evaluation.group_ratios import ratio
from voxbench.evaluation.grouping import grouped
from voxbench.evaluation.records import Findings
from voxbench.evaluation.row_columns import EXTRA, row_columns
from voxbench.evaluation.row_metrics import measure_rows
from voxbench.evaluation.settings import Settings
from voxbench.metrics.inputs import Integers
from voxbench.metrics.text import align_words, error_rate
from voxbench.metrics.uncertainty import cluster_weights, percentile_interval
from voxbench.reporting.finalists import Finalist, Judging
from voxbench.reporting.quantities import visible
from voxbench.reporting.scored import Bootstrap, Scored
from voxbench.reporting.texts import TextBootstrap, text_rows
from voxbench.reporting.trial_findings import called, origin_of
from voxbench.schema import Split
from voxbench.seeding import generator

SPEAKERS = ("speaker", "gender", "utterances", "words", "errors", "wer", "low", "high")
# How many utterances are shown side by side: those that went worst, and those in the middle.
SHOWN = 5
WORST, TYPICAL = "worst", "typical"
SENTENCE = "sentence"
KNOWN, NEW = "in training, too", "not in training"


@dataclass(frozen=True)
class Aligned:
    """One utterance: why it is shown, its word errors, and which words stand side by side, None for no word."""

    why: str
    recording: str
    errors: int
    words: int
    pairs: tuple[tuple[str | None, str | None], ...]
    operations: str


@dataclass(frozen=True, eq=False)
class Transcripts:
    """What only transcription has: what draws its intervals, and what is found of the test utterances of `model`.

    `model` is the network that is best on validation; `ungrouped` says which columns make no groups. `speakers` has a
    row for each test speaker, the worst first: `SPEAKERS`. Of the test utterances `known` say what a training recording
    says, too.
    """

    model: str
    bound: TextBootstrap
    findings: Findings
    ungrouped: tuple[str, ...]
    speakers: pd.DataFrame
    aligned: tuple[Aligned, ...]
    known: int


def transcripts_of(
    validated: Finalist, judging: Judging | None, bound: Bootstrap, labelled: pd.DataFrame, folder: Path
) -> Transcripts | None:
    """Return what only transcription has; None for another task.

    `labelled` has a row for each recording, `folder` the score table of `validated`.
    """
    if judging is None or not isinstance(bound, TextBootstrap):
        return None
    tuned = validated.tuned
    origin = origin_of(folder / "scores.parquet", tuned.truth, tuned.rows["id"])
    training = set(labelled.loc[labelled["split"] == Split.TRAIN, "target"])
    sentence = [KNOWN if text in training else NEW for text in tuned.truth]
    bins = bound.settings.bins
    columns, ungrouped = row_columns(tuned.rows.assign(**{EXTRA + SENTENCE: sentence}), bins)
    columns = columns[[name for name in columns if group_labels(columns[name], bins).nunique(dropna=False) > 1]]
    scored, plan = text_rows(tuned, columns, origin), bound.plan(tuned)
    names = tuple(str(name) for name in columns)
    # Without any name all usual columns are looked for, and there are none.
    settings = Settings(bound.settings, bound.evaluation, judging.decisions, names, None)
    tables = grouped(scored, None, settings, plan)
    findings = Findings(
        scored=scored,
        measured=measure_rows(scored, plan),
        resampled=plan.described,
        groups=called(tables.groups),
        worst=called(tables.worst),
        gaps=called(tables.gaps),
        calibrated=None,
    )
    speakers = speaker_errors(tuned, bound.settings, bound.benchmark)
    known = sentence.count(KNOWN)
    return Transcripts(validated.model, bound, findings, ungrouped, speakers, side_by_side(tuned), known)


def speaker_errors(scored: Scored, settings: Report, benchmark: str) -> pd.DataFrame:
    """Return a row for each speaker, the highest word error rate first: `SPEAKERS`.

    `low` and `high` are the interval over the speaker's own utterances, NaN where there is one alone.
    """
    rows, counts = [], scored.edits["wer"]
    genders = scored.rows["gender"] if "gender" in scored.rows else pd.Series([None] * len(scored.rows))
    for speaker, places in pd.Series(np.arange(len(scored.truth))).groupby(scored.speakers):
        own = places.to_numpy()
        errors, words = counts.errors[own], counts.reference[own]
        rate, name = error_rate(errors, words), str(speaker)
        bounds = _interval(errors, words, rate, settings, (benchmark, name))
        about = (name, genders.iloc[own[0]], len(own), int(words.sum()), int(errors.sum()))
        rows.append((*about, rate, *bounds))
    table = pd.DataFrame(rows, columns=list(SPEAKERS))
    return table.sort_values(["wer", "speaker"], ascending=[False, True], ignore_index=True)


def _interval(
    errors: Integers, words: Integers, rate: float, settings: Report, purpose: tuple[str, str]
) -> tuple[float, float]:
    """Return the ends of the interval of a rate over its utterances, NaN where there is one alone."""
    if len(errors) < 2:
        return np.nan, np.nan
    draws = generator(settings.seed, "report", *purpose, "utterances")
    parts = cluster_weights(len(errors), settings.resamples, draws)
    values_R = np.concatenate([ratio(part @ errors.astype(float), part @ words.astype(float)) for part in parts])
    found = percentile_interval(rate, values_R, settings.level, len(errors))
    return found.low, found.high


def side_by_side(scored: Scored) -> tuple[Aligned, ...]:
    """Return the utterances of the highest word error rates, and those in the middle of all, aligned."""
    counts, ids = scored.edits["wer"], scored.rows["id"].tolist()
    rates = counts.errors / np.maximum(counts.reference, 1)
    order = sorted(range(len(ids)), key=lambda row: (-rates[row], -counts.errors[row], ids[row]))
    worst = [row for row in order[:SHOWN] if counts.errors[row]]
    others = order[len(worst) :]
    start = max(0, len(order) // 2 - SHOWN // 2 - len(worst))
    chosen = [(WORST, row) for row in worst] + [(TYPICAL, row) for row in others[start : start + SHOWN]]
    return tuple(_aligned(scored, why, row) for why, row in chosen)


def _aligned(scored: Scored, why: str, row: int) -> Aligned:
    [found] = align_words([scored.truth[row]], [scored.scores[row]])
    counts = scored.edits["wer"]
    return Aligned(
        why=why,
        recording=visible(str(scored.rows["id"].iloc[row])),
        errors=int(counts.errors[row]),
        words=int(counts.reference[row]),
        pairs=found.pairs,
        operations=found.operations,
    )
