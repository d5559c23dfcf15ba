"""The histograms of detection scores of both classes, before and after calibration, with the thresholds of policies.

Shape letters: N rows.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from voxbench.evaluation.records import Calibrated, ScoreRows
from voxbench.metrics.inputs import Floats
from voxbench.reporting.drawing import DASHES, Figure, look
from voxbench.reporting.panels import written
from voxbench.reporting.quantities import decimal
from voxbench.reporting.scored_words import sample, sides

BINS = 60
NONTARGET, TARGET = look(1), look(0)
# An axis ends at most so many widths of the middle scores from them: one phrase that cannot have been said scores
# a thousand times lower than the others, which would all stand in one step.
MIDDLE, FAR = (0.005, 0.995), 1.0


def scores_figure(scored: ScoreRows, calibrated: Calibrated | None) -> Figure:
    """Draw the histograms of both classes, and where the thresholds stand."""
    panels = [partial(_histograms, scored, "scores as they are", {})]
    says = (
        f"{sample(scored)}. The share of each class in {BINS} steps of the score, on an axis that rises "
        "tenfold from mark to mark once a step holds half of a class; what lies between the two shapes is confused."
    )
    if calibrated is not None:
        lines = {written(each.name): each.threshold.value for each in calibrated.decided}
        panels.append(partial(_histograms, calibrated.scored, "after calibration", lines))
        says += " Vertical lines are thresholds, fitted on development rows; right of one, a trial is accepted."
    if any(_beyond(each.columns[0]) for each in (scored, *((calibrated.scored,) if calibrated else ()))):
        says += " Scores beyond an axis stand in its outermost step."
    return Figure("scores", "Scores of both classes", says, tuple(panels), width=5.2, height=3.9)


def _histograms(scored: ScoreRows, title: str, lines: dict[str, float], part: FigureBase) -> None:
    axes: Axes = part.subplots()
    scores_N, labels_N = scored.columns
    edges = np.linspace(*_span(scores_N), BINS + 1)
    scores_N = np.clip(scores_N, edges[0], edges[-1])
    axes.set_axisbelow(True)
    highest = 0.0
    names = reversed(sides(scored))
    for label, (color, _, _), dashes, name in zip((1, 0), (TARGET, NONTARGET), DASHES[:2], names, strict=True):
        counts, _ = np.histogram(scores_N[labels_N == label], edges)
        share = 100 * counts / max(int(counts.sum()), 1)
        highest = max(highest, float(share.max()))
        axes.stairs(share, edges, color=color, alpha=0.22, fill=True)
        axes.stairs(share, edges, color=color, linestyle=dashes, linewidth=1.6, label=written(name))
    if highest > 50:
        axes.set_yscale("log")
        axes.set_ylim(top=150)
    for number, (name, value) in enumerate(lines.items(), start=2):
        color, marker, dashes = look(number)
        axes.axvline(value, color=color, linestyle=DASHES[number % len(DASHES)], linewidth=1.4)
        axes.plot(
            value,
            1,
            marker,
            color=color,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            markersize=6,
            label=f"{name}: {decimal(value, 2)}",
        )
    axes.set(xlabel="log-likelihood ratio" if lines else "score", ylabel="share of the class (%)", title=title)
    part.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, borderpad=0)


def _span(scores_N: Floats) -> tuple[float, float]:
    """Return the ends of the axis: those of the scores, but for single ones that lie far from all others."""
    low, high = float(scores_N.min()), float(scores_N.max())
    if not low < high:
        return low - 0.5, high + 0.5
    nearest, farthest = np.quantile(scores_N, MIDDLE)
    room = FAR * float(farthest - nearest)
    return (max(low, float(nearest) - room), min(high, float(farthest) + room)) if room > 0 else (low, high)


def _beyond(scores_N: Floats) -> bool:
    """Say whether the axis ends before the scores do."""
    low, high = _span(scores_N)
    return bool(scores_N.min() < low or scores_N.max() > high)
