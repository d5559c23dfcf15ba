"""The tables of transcripts: every metric, groups of utterances, and each test speaker."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from voxbench.reporting.evaluation_tables import gaps_table, groups_table, metrics_table
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import DASH, Quantity, count, counted, quantity, visible
from voxbench.reporting.table import Row, Table
from voxbench.reporting.text_findings import Transcripts

# More speakers than these are in the file of plots alone.
MOST_SPEAKERS = 40


def transcript_tables(evidence: Evidence) -> dict[str, Table]:
    """Return the tables of one network's test transcripts that have rows; none of another task."""
    texts = evidence.texts
    if texts is None:
        return {}
    groups = groups_table(texts.findings)
    tables = {
        "metrics": replace(metrics_table(texts.findings), title=f"All metrics of the test utterances: {texts.model}"),
        "groups": replace(groups, title="Is it equally good for everybody?", notes=(*groups.notes, *texts.ungrouped)),
        "gaps": gaps_table(texts.findings),
        "speakers": speakers_table(evidence, texts),
    }
    return {name: table for name, table in tables.items() if table.rows}


def speakers_table(evidence: Evidence, texts: Transcripts) -> Table:
    """Tabulate the word error rate of each test speaker, the worst first."""
    shown = quantity("wer", evidence.clips)
    speakers = texts.speakers.head(MOST_SPEAKERS)
    alone = int(speakers["low"].isna().sum())
    lost = len(texts.speakers) - len(speakers)
    notes = [f"{counted(alone, 'speaker')} with one utterance alone: no interval."] if alone else []
    notes += [f"{counted(lost, 'speaker')} of lower rates: in speakers.csv of the plots."] if lost else []
    return Table(
        title="Every test speaker, the worst first",
        says=(
            f"The {shown.label} of {texts.model}, the fine-tuned network that is best on validation, over each "
            f"speaker's own utterances, with the {evidence.level} interval over these "
            f"({count(evidence.settings.resamples)} resamples of whole utterances). Some speaker is always the worst; "
            "the intervals of few utterances are too narrow."
        ),
        columns=("speaker", "sex", "utterances", "words", "errors", f"{shown.heading} ↓", f"{evidence.level} interval"),
        words=2,
        rows=tuple(Row(_cells(row, shown), False) for _, row in speakers.iterrows()),
        notes=tuple(notes),
    )


def _cells(row: pd.Series, shown: Quantity) -> tuple[str, ...]:
    return (
        visible(str(row["speaker"])),
        DASH if pd.isna(row["gender"]) else visible(str(row["gender"])),
        *(count(int(row[name])) for name in ("utterances", "words", "errors")),
        shown.number(row["wer"]),
        DASH if pd.isna(row["low"]) else f"{shown.number(row['low'])} to {shown.number(row['high'])}",
    )
