"""The figures of detection scores: DET and ROC curve, histograms with thresholds, and calibration.

- DET: Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997; rates below 30
  errors rest on too few, by the rule of Doddington et al., "The NIST speaker recognition evaluation", Speech
  Communication 31 (2000).
- Calibration: the normalised Bayes error rate over the prior log odds, of Brummer and de Villiers, "The BOSARIS
  toolkit", 2011: what decisions at the Bayes threshold cost, beside the best threshold, for every prior at once.

Shape letters: T operating points, V vertices of the ROC's convex hull.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from voxbench.config import OperatingCosts
from voxbench.evaluation.records import Calibrated, ScoreRows
from voxbench.metrics.detection import (
    DET_TICKS,
    OperatingPoints,
    act_dcf,
    auc,
    bayes_threshold,
    eer,
    min_dcf,
    operating_points,
    probit,
)
from voxbench.metrics.operating_points import hull_vertices
from voxbench.reporting.curves import det_positions, roc_of, roc_positions
from voxbench.reporting.drawing import INK, MUTED, SERIES, Figure, legend_above, look
from voxbench.reporting.figures_scores import NONTARGET, TARGET, scores_figure
from voxbench.reporting.panels import roc_axes, written
from voxbench.reporting.quantities import decimal, quantity
from voxbench.reporting.scored_words import sample, sides

# Beyond the usual marks, for detectors that are hardly any.
FURTHER_TICKS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
# Where the axes of a DET plot may end: at the first that leaves no mark outside.
HIGHEST_RATES = (0.5, 0.7, 0.9, 0.995)
FEWEST_ERRORS = 30
# Of two marks of an axis, as a share of its length.
LEAST_DISTANCE = 0.052
# The prior log odds that are drawn: from one target in 3,000 trials to one nontarget in as many.
PRIOR_ODDS = np.linspace(-8, 8, 161)
HIGHEST_COST = 1.4


@dataclass(frozen=True)
class Detected:
    """Detection rows with both classes, and the operating points that their figures share."""

    scored: ScoreRows
    costs: tuple[OperatingCosts, ...]

    @cached_property
    def points(self) -> OperatingPoints:
        """Return the operating points of the scores."""
        return operating_points(*self.scored.columns)

    @cached_property
    def hull(self) -> OperatingPoints:
        """Return the vertices of the convex hull alone: every least cost is reached there."""
        points = self.points
        places = hull_vertices(points)
        return OperatingPoints(
            points.thresholds[places],
            points.misses[places],
            points.false_alarms[places],
            points.targets,
            points.nontargets,
        )

    @property
    def both(self) -> bool:
        """Return whether both classes occur, without which there is no curve."""
        return 0 < int(np.sum(self.scored.columns[1] == 1)) < len(self.scored.columns[1])


def detection_figures(detected: Detected, calibrated: Calibrated | None) -> list[Figure]:
    """Return the figures that the rows allow: without both classes the histograms alone."""
    curves = [det_figure(detected), detection_roc_figure(detected)] if detected.both else []
    return curves + threshold_figures(detected, calibrated)


def threshold_figures(detected: Detected, calibrated: Calibrated | None) -> list[Figure]:
    """Return the histograms of the scores and what decisions cost, before and after calibration."""
    figures = [scores_figure(detected.scored, calibrated)]
    return figures + ([bayes_figure(detected, calibrated)] if detected.both else [])


def det_figure(detected: Detected) -> Figure:
    """Draw misses against false alarms on probit axes, with the points of equal error and of least cost."""
    nontarget, target = sides(detected.scored)
    points = detected.points
    few = [
        f"{decimal(100 * min(1.0, FEWEST_ERRORS / number), 2)} % {side}"
        for number, side in ((points.nontargets, nontarget), (points.targets, target))
    ]
    return Figure(
        name="det",
        title="Detection error trade-off (DET)",
        says=(
            f"{sample(detected.scored)}. Every threshold is a point of the line: how many {target} trials it rejects, "
            f"how many {nontarget} trials it accepts, on probit axes, where normally distributed scores give a "
            "straight line; nearer to the lower left is better. The dot is the equal error rate, the other marks the "
            f"least detection cost at a prior. Rates below {few[0]} or {few[1]} rest on fewer than {FEWEST_ERRORS} "
            "errors."
        ),
        panels=(partial(_det, detected),),
        width=4.8,
        height=4.9 + 0.18 * len(detected.costs),
    )


def _det(detected: Detected, part: FigureBase) -> None:
    axes, points, hull = part.subplots(), detected.points, detected.hull
    level = eer(points)
    label = f"EER {quantity('eer', points.targets + points.nontargets).value(level)}"
    marks = [(label, level, level, (INK, "o"))]
    for number, costs in enumerate(detected.costs, start=1):
        p_fa, p_miss, cost = _least_cost(hull, costs)
        marks.append((f"minDCF {decimal(cost, 4)} at {_prior(costs)}", p_fa, p_miss, look(number)[:2]))
    low, high = det_limits(points, [rate for _, p_fa, p_miss, _ in marks for rate in (p_fa, p_miss)])
    axes.plot([low, high], [low, high], color=MUTED, linestyle=":", linewidth=1)
    # Rates of zero, which have no place on such axes, are drawn at their edge.
    axes.plot(*(np.maximum(rates, low) for rates in det_positions(points)), color=SERIES[0])
    for label, p_fa, p_miss, (color, marker) in marks:
        place = np.clip(probit([p_fa, p_miss]), low, high)
        axes.plot(*place, marker, color=color, markersize=8, label=label, linestyle="", clip_on=False, zorder=3)
    det_axes(axes, sides(detected.scored), (low, high))
    legend_above(axes, columns=1)


def det_axes(axes: Axes, classes: tuple[str, str], limits: tuple[float, float]) -> None:
    """Mark both axes of a DET plot in percent; `classes` are the words of the labels 0 and 1, limits are probits."""
    (nontarget, target), (low, high) = classes, limits
    ticks = _apart([tick for tick in (*DET_TICKS, *FURTHER_TICKS) if low <= probit(tick) <= high], high - low)
    words = [f"{100 * tick:g}" for tick in ticks]
    axes.set_xticks(probit(ticks), words)
    axes.set_yticks(probit(ticks), words)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(f"{written(nontarget)} accepted: false alarms (%)")
    axes.set_ylabel(f"{written(target)} rejected: misses (%)")


def _apart(ticks: list[float], width: float) -> list[float]:
    """Return those of rising ticks whose words do not touch on an axis of `width` probits."""
    kept = ticks[-1:]
    for tick in reversed(ticks[:-1]):
        if probit(kept[0]) - probit(tick) > LEAST_DISTANCE * width:
            kept.insert(0, tick)
    return kept


def det_limits(points: OperatingPoints, marked: list[float]) -> tuple[float, float]:
    """Return the ends of both axes, in probits: around the smallest rate above zero, and the marks."""
    smallest = 0.7 / max(points.targets, points.nontargets)
    highest = next((end for end in HIGHEST_RATES if max(rate for rate in marked if rate < 1) < end), HIGHEST_RATES[-1])
    low, high = probit([min(max(smallest, 0.0005), 0.03), highest])
    return float(low), float(high)


def _least_cost(hull: OperatingPoints, costs: OperatingCosts) -> tuple[float, float, float]:
    """Return false-alarm rate, miss rate and normalised cost of the best threshold; the lowest of equal ones."""
    cost_V = costs.c_miss * costs.p_target * hull.p_miss + costs.c_fa * (1 - costs.p_target) * hull.p_fa
    place = int(cost_V.argmin())
    value = min_dcf(hull, None, **costs.model_dump())
    return float(hull.p_fa[place]), float(hull.p_miss[place]), value


def _prior(costs: OperatingCosts) -> str:
    named = [("p", costs.p_target), ("c_miss", costs.c_miss), ("c_fa", costs.c_fa)]
    return ", ".join(f"{name} = {value:g}" for name, value in named if name == "p" or value != 1)


def detection_roc_figure(detected: Detected) -> Figure:
    """Draw the receiver operating characteristic."""
    nontarget, target = sides(detected.scored)
    return Figure(
        name="roc",
        title="Receiver operating characteristic (ROC)",
        says=(
            f"{sample(detected.scored)}. The share of {target} trials accepted against that of {nontarget} trials "
            "accepted, over all thresholds; the area under the line (AUC) is the chance that a trial of the one scores "
            "above one of the other, and the dotted diagonal is chance."
        ),
        panels=(partial(_roc, detected),),
        width=4.6,
        height=4.6,
    )


def _roc(detected: Detected, part: FigureBase) -> None:
    axes, points = part.subplots(), detected.points
    roc_axes(axes)
    label = f"AUC {quantity('auc', points.targets + points.nontargets).value(auc(points))}"
    axes.plot(*roc_positions(roc_of(points)), color=SERIES[0], label=label)
    legend_above(axes, columns=1)


def bayes_figure(detected: Detected, calibrated: Calibrated | None) -> Figure:
    """Draw the normalised Bayes error rate over the prior log odds, before and after calibration."""
    panels = [partial(_bayes, detected, "scores as they are")]
    after = ""
    if calibrated is not None:
        panels.append(partial(_bayes, Detected(calibrated.scored, detected.costs), "after calibration"))
        after = " Calibration was fitted on other, development rows."
    return Figure(
        name="calibration",
        title="Cost of decisions at every prior",
        says=(
            f"{sample(detected.scored)}. Scores are read as log-likelihood ratios, and a trial is accepted at the "
            "Bayes threshold of a prior with costs of 1: the dashed line is what that costs, divided by the cost of "
            "deciding by the prior alone (1: the scores are of no use; above: they do harm); the solid line is the "
            f"best threshold's. Between the two lies what calibration can mend.{after} Vertical lines are the priors "
            f"of the stated costs. Costs above {HIGHEST_COST:g} are drawn at the edge. Normalised Bayes error rate: "
            "Brümmer and de Villiers, The BOSARIS toolkit, 2011."
        ),
        panels=tuple(panels),
        width=5.0,
        height=3.9,
    )


def _bayes(detected: Detected, title: str, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    priors = 1 / (1 + np.exp(-PRIOR_ODDS))
    actual = np.minimum([act_dcf(detected.points, None, prior) for prior in priors], HIGHEST_COST)
    least = [min_dcf(detected.hull, None, prior) for prior in priors]
    axes.axhline(1, color=MUTED, linestyle=":", linewidth=1)
    axes.plot(PRIOR_ODDS, actual, color=NONTARGET[0], linestyle="--", label="at the Bayes threshold")
    axes.plot(PRIOR_ODDS, least, color=TARGET[0], label="at the best threshold")
    for costs in detected.costs:
        axes.axvline(-bayes_threshold(**costs.model_dump()), color=MUTED, linewidth=0.8, zorder=0.5)
    axes.set(xlim=PRIOR_ODDS[[0, -1]], ylim=(0, HIGHEST_COST + 0.03), title=title)
    target = sides(detected.scored)[1]
    words = "a target" if target == "target" else written(target)
    axes.set(xlabel=f"prior log odds of {words}, ln p/(1 \u2212 p)", ylabel="normalised cost\nlower is better")
    part.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, borderpad=0)
