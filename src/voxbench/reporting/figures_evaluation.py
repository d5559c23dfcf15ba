"""The figures of a score file: which its kind has, those of classes and values, and errors by group.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from voxbench.config import OperatingCosts
from voxbench.evaluation.calibrating import as_detection
from voxbench.evaluation.records import Findings, Measured, ScoreRows
from voxbench.metrics import RocCurve, confusion, reliability, roc_curve
from voxbench.metrics.classification import CALIBRATION_BINS
from voxbench.reporting.curves import roc_positions
from voxbench.reporting.drawing import MUTED, SERIES, Figure, legend_above, look
from voxbench.reporting.figures_detection import Detected, detection_figures, threshold_figures
from voxbench.reporting.figures_text import text_figures
from voxbench.reporting.panels import (
    FEWEST,
    MOST_DOTS,
    confusion_cells,
    confusion_size,
    counted_cells,
    group_bars,
    medians,
    reliability_axes,
    reliability_line,
    roc_axes,
    shown_groups,
    written,
)
from voxbench.reporting.quantities import MINUS, counted, visible
from voxbench.reporting.scored_words import better, clustered, level_words, sample, shown, size
from voxbench.schema import ScoreKind

ROC_AUC = "roc_auc"
# Above so many groups of one kind those without an interval are counted and not listed; the table has them all.
MOST_GROUPS = 24
# The range of the truth is cut into about so many cells, and into so many steps whose medians are joined.
CELLS, STEPS = 40, 12


def evaluation_figures(findings: Findings, costs: Sequence[OperatingCosts]) -> list[Figure]:
    """Return the figures that the kind and the rows allow, in the order of the page."""
    scored, calibrated = findings.scored, findings.calibrated
    if scored.kind is ScoreKind.DETECTION:
        own = detection_figures(Detected(scored, tuple(costs)), calibrated)
    elif scored.kind is ScoreKind.CLASSES:
        own = class_figures(findings)
        if calibrated is not None:
            own += threshold_figures(Detected(as_detection(scored), tuple(costs)), calibrated)
    else:
        own = [estimates_figure(scored)] if scored.kind is ScoreKind.VALUE else text_figures(scored)
    return own + ([groups_figure(findings)] if len(findings.groups) and findings.groups["low"].notna().any() else [])


def class_figures(findings: Findings) -> list[Figure]:
    """Return confusion and calibration, and of two classes that both occur the ROC."""
    scored = findings.scored
    curve = two_class_roc(scored)
    return [confusion_figure(scored), *([roc_figure(findings, curve)] if curve else []), reliability_figure(scored)]


def two_class_roc(scored: ScoreRows) -> RocCurve | None:
    """Return the ROC of the second of two classes; None for other numbers of classes, or if one does not occur."""
    truth_N, probabilities_NC = scored.columns
    if probabilities_NC.shape[1] != 2 or len(np.unique(truth_N)) < 2:
        return None
    return roc_curve(truth_N, probabilities_NC[:, 1])


def confusion_figure(scored: ScoreRows) -> Figure:
    """Draw which class was taken for which."""
    edge = confusion_size(len(scored.classes))
    return Figure(
        name="confusion",
        title="Confusion",
        says=(
            f"{sample(scored)}. The share of each true class in percent (a row sums to 100), with the number of rows "
            "below; the diagonal is right, and stronger colour is a larger share."
        ),
        panels=(partial(_confusion, scored),),
        width=max(edge + 0.4, 3.2),
        height=edge + 0.2,
    )


def _confusion(scored: ScoreRows, part: FigureBase) -> None:
    truth_N, probabilities_NC = scored.columns
    counts_CC = confusion(truth_N, probabilities_NC.argmax(axis=1), len(scored.classes))
    confusion_cells(part.subplots(), counts_CC, tuple(map(written, scored.classes)), SERIES[0])


def roc_figure(findings: Findings, curve: RocCurve) -> Figure:
    """Draw the receiver operating characteristic of two classes."""
    scored = findings.scored
    area = next((each for each in findings.measured if each.name == ROC_AUC), None)
    return Figure(
        name="roc",
        title="Receiver operating characteristic (ROC)",
        says=(
            f"{sample(scored)}; positive class: {visible(scored.classes[1])}. The share of positive rows found "
            "against that of negative rows taken for positive, over all thresholds; the dotted diagonal is chance. AUC "
            f"with its interval over {clustered(scored)}s."
        ),
        panels=(partial(_roc, scored, curve, area),),
        width=4.6,
        height=4.5,
    )


def _roc(scored: ScoreRows, curve: RocCurve, area: Measured | None, part: FigureBase) -> None:
    axes = part.subplots()
    roc_axes(axes)
    words = "ROC"
    if area is not None and area.value is not None:
        quantity = shown(ROC_AUC, scored)
        words = f"AUC {quantity.number(area.value) if area.interval is None else quantity.interval(area.interval)}"
    axes.plot(*roc_positions(curve), color=SERIES[0], label=words)
    legend_above(axes, columns=1)


def reliability_figure(scored: ScoreRows) -> Figure:
    """Draw accuracy against confidence."""
    return Figure(
        name="reliability",
        title="Calibration",
        says=(
            f"{sample(scored)}. Accuracy against mean confidence of the predicted class in {CALIBRATION_BINS} equal "
            "bins; an area shows how many rows fall in a bin. On the dotted diagonal confidence is honest; below it, "
            "too high. Bins of few rows scatter widely."
        ),
        panels=(partial(_reliability, scored),),
        width=4.6,
        height=4.4,
    )


def _reliability(scored: ScoreRows, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    reliability_axes(axes, scored.columns[1].shape[1])
    reliability_line(axes, reliability(*scored.columns, CALIBRATION_BINS), look(0), "these scores")


def estimates_figure(scored: ScoreRows) -> Figure:
    """Draw every estimate against its truth, and the errors."""
    many = size(scored) > MOST_DOTS
    dots = "A dot is a row"
    if many:
        dots = (
            "Grey dots grow with the number of rows around them; the line joins the median estimates of steps of the "
            f"truth with at least {counted(FEWEST, 'row')}"
        )
    return Figure(
        name="estimates",
        title="Estimated against true value",
        says=(
            f"{sample(scored)}. Left: {dots[0].lower()}{dots[1:]}; on the dotted diagonal the estimate is right, and "
            "a cloud flatter than it answers near the mean. Right: how many rows err by how much; right of 0 the "
            "estimate is too high."
        ),
        panels=(partial(_estimates, scored), partial(_errors, scored)),
        width=4.2,
        height=4.2,
    )


def _estimates(scored: ScoreRows, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    table = pd.DataFrame({"truth": scored.columns[0], "estimate": scored.columns[1]}, dtype=np.float64)
    low, high = float(table.min(axis=None)), float(table.max(axis=None))
    margin = 0.05 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=MUTED, linestyle=":", linewidth=1.2)
    if len(table) > MOST_DOTS:
        counted_cells(axes, table, _round_step((high - low) / CELLS))
        line = medians(table, _round_step((high - low) / STEPS))
        axes.plot(line["truth"], line["estimate"], "o-", color=SERIES[0], markersize=5, linewidth=1.6)
    else:
        style: dict[str, Any] = {"linestyle": "", "markersize": 4, "alpha": 0.5, "markeredgewidth": 0}
        axes.plot(table["truth"], table["estimate"], marker="o", color=SERIES[0], **style)
    axes.set(xlim=ends, ylim=ends, xlabel=_with_unit("truth", scored), ylabel=_with_unit("estimate", scored))


def _round_step(length: float) -> float:
    """Return the power of ten, its double or its fivefold that is next to `length` or above; 1 for no length."""
    if length <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(length))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= length)


def _errors(scored: ScoreRows, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    error_N = np.asarray(scored.columns[1], dtype=np.float64) - scored.columns[0]
    reach = float(np.abs(error_N).max()) or 1.0
    axes.set_axisbelow(True)
    counts, edges = np.histogram(error_N, np.linspace(-reach, reach, CELLS + 1))
    axes.stairs(counts, edges, color=SERIES[0], alpha=0.3, fill=True)
    axes.stairs(counts, edges, color=SERIES[0], linewidth=1.4)
    axes.axvline(0, color=MUTED, linestyle=":", linewidth=1.2)
    axes.set(xlabel=_with_unit(f"estimate {MINUS} truth", scored), ylabel="rows")


def _with_unit(words: str, scored: ScoreRows) -> str:
    return f"{words} ({written(scored.unit)})" if scored.unit else words


def groups_figure(findings: Findings) -> Figure:
    """Draw the first metric of each attribute by group, with its intervals, a panel for each attribute."""
    scored = findings.scored
    kinds = {
        str(by): table[table["metric"] == table["metric"].iloc[0]]
        for by, table in findings.groups.groupby("by", sort=False)
    }
    tables = {by: shown_groups(_bars(table), MOST_GROUPS, clustered(scored)) for by, table in kinds.items()}
    most = max(map(len, tables.values()))
    level = level_words(findings.measured)
    return Figure(
        name="groups",
        title="By group",
        says=(
            f"{sample(scored)}. A dot is the metric of a group's rows alone, the bar its {level} interval over "
            f"{clustered(scored)}s; the line is the metric of all. Groups too small for an interval are named without "
            "a dot. Whether a gap is more than chance, the table of gaps says."
        ),
        panels=tuple(
            partial(_groups, findings, by, str(kinds[by]["metric"].iloc[0]), table, most)
            for by, table in tables.items()
        ),
        width=3.8,
        height=1.1 + 0.34 * most,
    )


def _bars(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"clusters": "speakers", "value": "mean"}).reset_index(drop=True)


def _groups(findings: Findings, by: str, metric: str, table: pd.DataFrame, most: int, part: FigureBase) -> None:
    # Equal pitch in all panels, whatever their number of rows.
    ratios = {"height_ratios": (len(table) + 0.2, max(most - len(table), 0.01))}
    axes, below = part.subplots(2, 1, gridspec_kw=ratios)
    below.set_axis_off()
    quantity = shown(metric, findings.scored)
    overall = next((each.value for each in findings.measured if each.name == metric), None)
    if overall is not None:
        axes.axvline(quantity.factor * overall, color=MUTED, linewidth=1, zorder=0.5)
    group_bars(axes, table, look(0), quantity.factor)
    axes.set_title(f"by {written(by).replace('_', ' ')}")
    arrow = {"↓": "\nlower is better", "↑": "\nhigher is better"}.get(better(metric), "")
    axes.set_xlabel(quantity.heading + arrow)
