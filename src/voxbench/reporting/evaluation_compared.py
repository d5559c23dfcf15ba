"""Two systems on the same rows: the table of their differences, what it shows in one sentence, and both DET curves.

No sentence claims more than an adjusted p-value carries: a system is called better on a metric only where chance,
allowed for all metrics together, is below what the level of the intervals leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from voxbench.evaluation.records import Findings, ScoreRows
from voxbench.metrics import Interval
from voxbench.metrics.detection import eer, probit
from voxbench.reporting.curves import det_positions
from voxbench.reporting.drawing import MUTED, Figure, legend_above, look
from voxbench.reporting.figures_detection import Detected, det_axes, det_limits
from voxbench.reporting.quantities import DASH, Quantity, counted, decimal, p_value, visible
from voxbench.reporting.scored_words import (
    better,
    clustered,
    interval_percent,
    list_words,
    reasons,
    sample,
    shown,
    sides,
)
from voxbench.reporting.table import Row, Table
from voxbench.schema import ScoreKind

if TYPE_CHECKING:
    # Its tests take seconds to load, which an evaluation without a second system does not need.
    from voxbench.evaluation.comparing import Compared, Difference

# An effect in standard deviations over speakers.
EFFECT = Quantity("effect size", "", 1, 2)
# Of the evaluated system and of the other one.
LINES: tuple[Literal["-", "--"], ...] = ("-", "--")


@dataclass(frozen=True, slots=True, eq=False)
class Against:
    """The comparison of the evaluated system, which is the first one, with another, and the other's rows."""

    compared: Compared
    other: ScoreRows


def compared_table(findings: Findings, against: Against) -> Table:
    """Tabulate every metric of both systems with difference, tests and what could have been found at all."""
    compared, scored = against.compared, findings.scored
    this, other = _names(compared)
    level = _level(compared)
    return Table(
        title=f"Compared with {visible(compared.second.scores)}",
        says=(
            f"{verdict(findings, against)} This is {this}, other is {other}, and the difference is this minus other: "
            f"{sample(scored)}; {list_words(compared.second)}. {compared.resampled} Marked rows are shown to differ."
        ),
        columns=(
            *("metric", "test", "this", "other"),
            f"difference [{level} interval]" if level else "difference",
            *("p", "Holm p", "effect size", "smallest detectable", f"{clustered(scored)}s"),
        ),
        words=2,
        rows=tuple(Row(_cells(each, scored), _is_shown(each)) for each in compared.differences),
        notes=(*reasons(compared.differences, scored), *comparison_notes(findings, against)),
    )


def comparison_notes(findings: Findings, against: Against) -> tuple[str, ...]:
    """Return what must be known of the other file, of how rows were matched, and of metrics that are not compared."""
    compared = {each.name for each in against.compared.differences}
    left = [shown(each.name, findings.scored).label for each in findings.measured if each.name not in compared]
    coarse = _coarse([each for each in against.compared.differences if each.p_holm is not None])
    notes = [f"the other system: {visible(note)}" for note in against.other.notes]
    notes += map(visible, against.compared.notes)
    return (*notes, *coarse, *([f"not compared: {', '.join(left)}"] if left else []))


def verdict(findings: Findings, against: Against) -> str:
    """Return one sentence: which system is shown to be better on which metrics, or that neither is."""
    compared = against.compared
    this, other = _names(compared)
    tested = [each for each in compared.differences if each.p_holm is not None and each.interval is not None]
    if compared.first.scores_sha256 == compared.second.scores_sha256:
        return "Both score files have the same content, so there is nothing to tell apart."
    if not tested:
        return "Nothing is shown of which system is better, as no metric has a test."
    found = [each for each in tested if _is_shown(each)]
    alpha = next(_alpha(each.interval) for each in tested if each.interval)
    rule = f"Holm p below {alpha:g} over {counted(len(tested), 'metric')}"
    aside = [shown(each.name, findings.scored).label for each in tested if _is_low(each) and _is_doubted(each)]
    left = f", leaving aside {', '.join(aside)}, which these scores do not allow" if aside else ""
    if not found:
        return f"Neither system is shown to be better on any metric ({rule}){left}."
    ours = [shown(each.name, findings.scored).label for each in found if _favours_first(each)]
    theirs = [shown(each.name, findings.scored).label for each in found if not _favours_first(each)]
    claims = [f"{name} on {', '.join(labels)}" for name, labels in ((this, ours), (other, theirs)) if labels]
    rest = "" if len(found) + len(aside) == len(compared.differences) else "; on the other metrics neither is"
    return f"Shown to be better is {', and '.join(claims)} ({rule}){rest}{left}."


def compared_lines(findings: Findings, against: Against) -> list[str]:
    """Return for a terminal the sentence, and a short table of both systems."""
    level = _level(against.compared)
    rows = [("metric", "this", "other", f"difference [{level}]" if level else "difference", "Holm p")]
    for each in against.compared.differences:
        cells = _cells(each, findings.scored)
        rows.append((cells[0], cells[2], cells[3], cells[4], cells[6]))
    name, *widths = (max(len(row[column]) for row in rows) for column in range(5))
    lines = [
        f"{row[0]:<{name}}  {'  '.join(f'{cell:>{width}}' for cell, width in zip(row[1:], widths, strict=True))}"
        for row in rows
    ]
    heading = f"compared with {visible(against.compared.second.scores)}, over {clustered(findings.scored)}s:"
    return [heading, *lines, verdict(findings, against)]


def compared_figures(findings: Findings, against: Against) -> list[Figure]:
    """Return the DET curves of both systems, where the rows are detections of both classes."""
    detected = [Detected(scored, ()) for scored in (findings.scored, against.other)]
    if findings.scored.kind is not ScoreKind.DETECTION or not all(each.both for each in detected):
        return []
    this, other = _names(against.compared)
    return [
        Figure(
            name="det-compared",
            title="Both systems (DET)",
            says=(
                f"{sample(findings.scored)}. Solid is this, {this}; dashed is other, {other}. "
                "Nearer to the lower left is better; the marks are the equal error rates. Where lines cross, the "
                "better system depends on the threshold."
            ),
            panels=(partial(_both_curves, detected),),
            width=4.8,
            height=5.2,
        )
    ]


def _both_curves(detected: Sequence[Detected], part: FigureBase) -> None:
    axes = part.subplots()
    levels = [eer(each.points) for each in detected]
    low, high = det_limits(detected[0].points, levels)
    axes.plot([low, high], [low, high], color=MUTED, linestyle=":", linewidth=1)
    handles = []
    for number, (each, level, name) in enumerate(zip(detected, levels, ("this", "other"), strict=True)):
        color, marker, _ = look(number)
        axes.plot(
            *(np.maximum(rates, low) for rates in det_positions(each.points)), color=color, linestyle=LINES[number]
        )
        place = np.clip(probit([level, level]), low, high)
        axes.plot(*place, marker, color=color, markersize=8, linestyle="", clip_on=False, zorder=3)
        quantity = shown("eer", each.scored)
        label = f"{name}: {quantity.label} {quantity.value(level)}"
        handles.append(Line2D([], [], color=color, marker=marker, markersize=8, linestyle=LINES[number], label=label))
    det_axes(axes, sides(detected[0].scored), (low, high))
    legend_above(axes, handles, columns=1)


def _cells(each: Difference, scored: ScoreRows) -> tuple[str, ...]:
    quantity = shown(each.name, scored)
    name = f"{quantity.heading} {better(each.name)}".rstrip()
    if each.first is None or each.second is None:
        return (name, *[DASH] * 9)
    change = quantity.signed(each.first - each.second)
    bounds = each.interval
    known = "" if bounds is None else f" [{quantity.signed(bounds.low)}, {quantity.signed(bounds.high)}]"
    return (
        name,
        each.test or DASH,
        quantity.number(each.first),
        quantity.number(each.second),
        change + known,
        DASH if each.p is None else p_value(each.p),
        DASH if each.p_holm is None else p_value(each.p_holm),
        DASH if each.effect_size is None else EFFECT.signed(each.effect_size),
        DASH if each.smallest_detectable is None else quantity.number(each.smallest_detectable),
        DASH if bounds is None else decimal(bounds.clusters, 0),
    )


def _is_shown(each: Difference) -> bool:
    """Return whether a difference is shown that says which system is better."""
    return _is_low(each) and not _is_doubted(each) and better(each.name) != "" and each.first != each.second


def _is_low(each: Difference) -> bool:
    return each.p_holm is not None and each.interval is not None and each.p_holm < _alpha(each.interval)


def _is_doubted(each: Difference) -> bool:
    """Return whether there is a doubt about the metric itself: beside a permutation test, a reason is of its power."""
    return each.test == "bootstrap" and each.reason != ""


def _coarse(tested: Sequence[Difference]) -> tuple[str, ...]:
    """Return a word on bootstrap tests of too few resamples to show anything."""
    drawn = [each.interval for each in tested if each.interval and each.test == "bootstrap"]
    if not drawn or len(drawn) < len(tested):
        return ()
    resamples = max(interval.resamples for interval in drawn)
    least = len(tested) / (1 + resamples)
    if least < _alpha(drawn[0]):
        return ()
    return (
        f"{counted(resamples, 'resample')} and {counted(len(tested), 'metric')} allow no Holm p below {least:.2g}, so "
        "nothing can be shown: raise report.resamples",
    )


def _favours_first(each: Difference) -> bool:
    if each.first is None or each.second is None:
        return False
    return (each.first > each.second) == (better(each.name) == "↑")


def _alpha(interval: Interval) -> float:
    """Return what the level leaves, without the rounding by which 1 - 0.95 is above 0.05."""
    return round(1 - interval.level, 9)


def _level(compared: Compared) -> str:
    return interval_percent([each.interval for each in compared.differences])


def _names(compared: Compared) -> tuple[str, str]:
    """Return what both systems are called; files of one name in two folders are not told apart by it."""
    this, other = visible(compared.first.scores), visible(compared.second.scores)
    return (this, other) if this != other else ("this system", "the other system")
