"""The figures of a benchmark of transcription: each test speaker, errors by kind and length, confusions, groups."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from voxbench.reporting.drawing import INK, MUTED, Figure
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.figures_comparisons import axis_words, look_of
from voxbench.reporting.figures_evaluation import groups_figure
from voxbench.reporting.figures_text import text_figures
from voxbench.reporting.panels import written
from voxbench.reporting.quantities import quantity
from voxbench.reporting.text_findings import Transcripts

# More speakers than these leave no room for names: the worst are drawn.
MOST_SPEAKERS = 30


def transcript_figures(evidence: Evidence) -> list[Figure]:
    """Return the figures of transcripts that their rows allow; none of another task."""
    if (texts := evidence.texts) is None:
        return []
    groups = texts.findings.groups
    large = len(groups) and groups["low"].notna().any()
    figures = [speakers_figure(evidence, texts), *text_figures(texts.findings.scored)]
    return figures + ([groups_figure(texts.findings)] if large else [])


def speakers_figure(evidence: Evidence, texts: Transcripts) -> Figure:
    """Draw the word error rate of each test speaker with its interval, the worst on top."""
    shown, drawn = quantity("wer", evidence.clips), texts.speakers.head(MOST_SPEAKERS)
    fewer = f" The worst {len(drawn)} of {len(texts.speakers)}." if len(drawn) < len(texts.speakers) else ""
    return Figure(
        name="speakers",
        title=f"Test {shown.label} by speaker: {texts.model}",
        says=(
            f"A dot is one speaker, the bar the {evidence.level} interval over the speaker's own utterances; the line "
            f"is the rate of all {evidence.sample}.{fewer} The one fine-tuned network."
        ),
        panels=(partial(_speakers, evidence, drawn),),
        width=4.8,
        height=1.1 + 0.24 * len(drawn),
    )


def _speakers(evidence: Evidence, table: pd.DataFrame, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    factor, chosen = quantity("wer", evidence.clips).factor, evidence.validated
    color, marker, _ = look_of(evidence, chosen)
    axes.axvline(factor * chosen.tuned.values["wer"], color=MUTED, linewidth=1, zorder=0.5)
    for place, row in enumerate(table.to_dict("records")):
        if np.isfinite(row["low"]):
            axes.plot(factor * np.array([row["low"], row["high"]]), [place] * 2, color=color, linewidth=1.6)
        axes.plot(factor * row["wer"], place, marker, color=color, markersize=5)
    axes.set_yticks(range(len(table)), [written(str(name)) for name in table["speaker"]], color=INK, fontsize=7.5)
    axes.set(ylim=(len(table) - 0.4, -0.6), xlim=(0, None), xlabel=axis_words(evidence.metric, evidence.clips))
    axes.grid(visible=False, axis="y")
