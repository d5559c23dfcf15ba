"""The figures that compare: seeds, pairs of finalists, variants of the recipe, and groups of speakers.

They serve every kind of task: `quantity` says what a metric is called, and the metric which way is better.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from voxbench.metrics import METRICS, Metric
from voxbench.reporting.drawing import BASELINES, GRID, INK, MUTED, PAPER, SERIES, Figure, legend_above, look
from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.panels import group_bars, shown_groups
from voxbench.reporting.quantities import MINUS, counted, quantity
from voxbench.schema import ScoreKind

# Above so many pairs the forest shows only those of the best finalist; the table has them all.
MOST_PAIRS = 15
# Above so many groups of one kind those without an interval are counted and not listed; the table has them all.
MOST_GROUPS = 12
# What groups are compared by.
GROUP_METRIC = {ScoreKind.CLASSES: "accuracy", ScoreKind.VALUE: "mae"}


def look_of(evidence: Evidence, finalist: Finalist) -> tuple[str, str, str]:
    """Return how a finalist looks in every figure: by its place in the selection, which no test score moves."""
    return look([each.model for each in evidence.finalists].index(finalist.model))


def axis_words(metric: Metric, rows: int) -> str:
    """Return how an axis of a metric is labelled; where less is better it says so."""
    heading = quantity(metric.name, rows).heading
    return heading if metric.greater_is_better else f"{heading}\nlower is better"


def seeds_figure(evidence: Evidence) -> Figure:
    """Draw one dot for each seed and finalist, mean and interval beside, lines joining the same seed."""
    shown = quantity(evidence.metric.name, evidence.clips)
    reasons = {finalist.model: finalist.spreads[evidence.metric.name].reason for finalist in evidence.ranked}
    return Figure(
        name="seeds",
        title=f"Test {shown.label} of every seed",
        says=(
            f"A dot is one of {evidence.repeats} on the test rows ({evidence.sample}); grey lines join equal seeds. "
            f"The bar beside is the mean with its {evidence.level} t-interval over seeds; lines across are trivial "
            "baselines." + "".join(f" {model} has no mean: {reason}." for model, reason in reasons.items() if reason)
        ),
        panels=(partial(_seeds, evidence),),
        width=5.0,
        height=3.5,
    )


def _seeds(evidence: Evidence, part: FigureBase) -> None:
    axes, name = part.subplots(), evidence.metric.name
    shown = quantity(name, evidence.clips)
    values = shown.factor * np.array([finalist.spreads[name].values for finalist in evidence.ranked])
    axes.plot(np.arange(len(values)), values, color=GRID, linewidth=0.8, zorder=1)
    for place, finalist in enumerate(evidence.ranked):
        color, marker, _ = look_of(evidence, finalist)
        spread = finalist.spreads[name]
        axes.plot(np.full(len(values[place]), place), values[place], marker, color=color, alpha=0.75, markersize=5)
        ends = shown.factor * np.array([spread.low, spread.high])
        axes.plot([place + 0.18] * 2, ends, color=INK, linewidth=1.6, solid_capstyle="butt")
        axes.plot(place + 0.18, shown.factor * spread.mean, "_", color=INK, markersize=9, markeredgewidth=2)
    for baseline, dashes in zip(evidence.baselines, BASELINES, strict=False):
        if name in baseline.scored.values:
            level = shown.factor * baseline.scored.values[name]
            axes.axhline(level, color=MUTED, linestyle=dashes, linewidth=1.2, label=baseline.name)
    axes.set_xticks(range(len(values)), [_wrapped(finalist.model) for finalist in evidence.ranked], color=INK)
    axes.set_xlim(-0.5, len(values) - 0.4)
    axes.set_ylabel(axis_words(evidence.metric, evidence.clips))
    axes.grid(visible=False, axis="x")
    legend_above(axes)


def forest_figure(evidence: Evidence) -> Figure:
    """Draw the paired mean difference of every pair of finalists with its interval."""
    tests = _shown_tests(evidence)
    return Figure(
        name="differences",
        title="Paired differences",
        says=(
            f"Mean difference of the first minus the second over {evidence.repeats}, with its {evidence.level} "
            f"interval (not adjusted). Filled: significant after Holm over {counted(len(evidence.tests), 'pair')}; "
            "hollow: not. The pale band is what these seeds could miss: less than the smallest difference found with "
            f"{evidence.power} power."
            + (f" Only the pairs of {evidence.ranked[0].model} are drawn." if len(tests) < len(evidence.tests) else "")
        ),
        panels=(partial(_forest, evidence, tests),),
        width=5.0,
        height=max(3.5, 1.1 + 0.34 * len(tests)),
    )


def _shown_tests(evidence: Evidence) -> pd.DataFrame:
    tests, best = evidence.tests, evidence.ranked[0].model
    if len(tests) > MOST_PAIRS:
        tests = tests[(tests["a"] == best) | (tests["b"] == best)]
    return tests.sort_values("mean_difference", kind="stable")


def _forest(evidence: Evidence, tests: pd.DataFrame, part: FigureBase) -> None:
    axes = part.subplots()
    for place, row in enumerate(tests.to_dict("records")):
        _difference(axes, evidence, row, place)
    names = [f"{row.a}\n{MINUS} {row.b}" for row in tests.itertuples()]
    axes.set_yticks(range(len(tests)), names, color=INK, fontsize=8)
    axes.set_ylim(-0.6, len(tests) - 0.4)
    _difference_axis(axes, evidence, "the first")


def variants_figure(evidence: Evidence) -> Figure:
    """Draw the difference of every variant to the unchanged recipe with its interval."""
    rows = evidence.variants
    seeds = counted(int(rows["seeds"].max()), "seed")
    leaky = not rows["same_test_rows"].all()
    return Figure(
        name="variants",
        title="What one change does",
        says=(
            f"Mean difference of the variant minus the unchanged recipe over {seeds}, with its {evidence.level} "
            f"interval (not adjusted). Filled: significant after Holm over {counted(len(rows), 'comparison')}; hollow: "
            f"not. The pale band is what these seeds could miss with {evidence.power} power."
            + (
                " Squares are the leaky split, in which voices of the test rows were trained on: other test rows, "
                "and no gain in quality."
                if leaky
                else f" Test rows: {evidence.sample}."
            )
        ),
        panels=(partial(_variants, evidence),),
        width=5.0,
        height=1.5 + 0.36 * len(rows) + 0.1 * rows["variant"].nunique(),
    )


def _variants(evidence: Evidence, part: FigureBase) -> None:
    axes = part.subplots()
    rows = evidence.variants.to_dict("records")
    # The first of the table on top, and a little air between variants.
    starts = [number > 0 and row["variant"] != rows[number - 1]["variant"] for number, row in enumerate(rows)]
    places = np.arange(len(rows)) + 0.4 * np.cumsum(starts)
    for place, row in zip(places, rows, strict=True):
        _difference(axes, evidence, row, place)
    marks = ["" if row["same_test_rows"] or "leaky" in row["variant"] else " (leaky)" for row in rows]
    names = [f"{row['variant']}{mark}\n{row['model']}" for row, mark in zip(rows, marks, strict=True)]
    axes.set_yticks(places, names, color=INK, fontsize=8)
    axes.set_ylim(places[-1] + 0.6, -0.6)
    _difference_axis(axes, evidence, "the variant")
    leaky = [not row["same_test_rows"] for row in rows]
    if any(leaky):
        kinds = {"same test rows": ("o", SERIES[0]), "leaky split": ("s", SERIES[1])}
        shown = [name for name, there in zip(kinds, (not all(leaky), True), strict=True) if there]
        handles = [Line2D([], [], color=kinds[name][1], marker=kinds[name][0], label=name) for name in shown]
        legend_above(axes, handles)


def _difference(axes: Axes, evidence: Evidence, row: dict[str, float], place: float) -> None:
    """Draw one row of a table of paired differences; what is NaN is left out."""
    factor = quantity(evidence.metric.name, evidence.clips).factor
    color, marker = (SERIES[0], "o") if row.get("same_test_rows", True) else (SERIES[1], "s")
    miss, ends = factor * row["smallest_detectable"], factor * np.array([row["ci_low"], row["ci_high"]])
    if np.isfinite(miss):
        axes.add_patch(Rectangle((-miss, place - 0.3), 2 * miss, 0.6, facecolor=GRID, alpha=0.6, linewidth=0, zorder=0))
    face = color if row["p_t_holm"] < evidence.alpha else PAPER
    axes.plot(ends, [place] * 2, color=color, linewidth=1.6)
    axes.plot(factor * row["mean_difference"], place, marker, color=color, markerfacecolor=face, markersize=6.5)


def _difference_axis(axes: Axes, evidence: Evidence, better: str) -> None:
    """Draw the zero line, and say of which sign it is that `better` is better."""
    shown = quantity(evidence.metric.name, evidence.clips)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=0.5)
    # The bands may be far wider than the differences: room for all of them.
    axes.autoscale_view(scaley=False)
    unit = f" ({shown.step.strip()})" if shown.step else ""
    side = "above" if evidence.metric.greater_is_better else "below"
    axes.set_xlabel(f"difference of {shown.label}{unit}\n{side} 0: {better} is better")
    axes.grid(visible=False, axis="y")


def groups_figure(evidence: Evidence) -> Figure:
    """Draw the mean error of every group of speakers with its interval, a panel for each kind of group."""
    shown = quantity(GROUP_METRIC[evidence.task.score_kind], evidence.clips)
    kinds = {str(by): shown_groups(table, MOST_GROUPS) for by, table in evidence.groups.groupby("by", sort=False)}
    most = max(map(len, kinds.values()))
    return Figure(
        name="groups",
        title=f"Test {shown.label} by group: {evidence.validated.model}",
        says=(
            f"A dot is the mean over a group's clips, the bar its {evidence.level} interval over speakers; the line is "
            f"the mean of all {evidence.sample}. Groups of fewer than "
            f"{counted(evidence.settings.min_group_speakers, 'speaker')} are named without a dot. Groups that differ "
            "in the training data, too, may differ for that reason alone. The one fine-tuned network."
        ),
        panels=tuple(partial(_groups, evidence, by, table, most) for by, table in kinds.items()),
        width=3.6,
        height=1.1 + 0.34 * most,
    )


def _groups(evidence: Evidence, title: str, table: pd.DataFrame, most: int, part: FigureBase) -> None:
    # Equal pitch in all panels, whatever their number of rows.
    ratios = {"height_ratios": (len(table) + 0.2, max(most - len(table), 0.01))}
    axes, below = part.subplots(2, 1, gridspec_kw=ratios)
    below.set_axis_off()
    name = GROUP_METRIC[evidence.task.score_kind]
    factor = quantity(name, evidence.clips).factor
    axes.axvline(factor * evidence.validated.tuned.values[name], color=MUTED, linewidth=1, zorder=0.5)
    group_bars(axes, table, look_of(evidence, evidence.validated), factor)
    axes.set_xlim(*_group_limits(evidence, factor))
    axes.set_title("by " + title.replace("_", " "))
    axes.set_xlabel(axis_words(METRICS[name], evidence.clips))


def _group_limits(evidence: Evidence, factor: float) -> tuple[float, float]:
    large = evidence.groups[evidence.groups["low"].notna()]
    overall = evidence.validated.tuned.values[GROUP_METRIC[evidence.task.score_kind]]
    ends = factor * np.append(large[["low", "high"]].to_numpy(float).ravel(), overall)
    margin = 0.06 * float(np.ptp(ends)) or 1.0
    return float(ends.min()) - margin, float(ends.max()) + margin


def _wrapped(model: str) -> str:
    return model.replace("_", "_\n", 1)
