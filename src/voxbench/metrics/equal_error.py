"""The equal error rate in its three customs, and the threshold where each is read.

| method | operating points | value |
|---|---|---|
| `interpolated` | one per distinct score, and rejecting everything, joined by straight lines | where P_miss = P_fa |
| `asvspoof` | one per trial; of equal scores the targets are rejected first | mean of both at the first least gap |
| `rocch` | the vertices of the convex hull of the ROC, joined by straight lines | where P_miss = P_fa |

`interpolated` is the canonical one. `asvspoof` is that of the ASVspoof challenges' evaluation package
(`compute_eer`), pessimistic where scores are tied; figures of anti-spoofing are quoted in it. `rocch` is that of
BOSARIS and PYLLR (Brummer and de Villiers, "The BOSARIS toolkit", 2011): the best that any recalibration could reach,
never above one half. The three agree as the number of distinct scores grows. In small sets the two gaps around the
crossing are often equal, and the rounding of the rates then decides which is `asvspoof`'s first least one; it is
rounded here as in the challenge's code.

`scores` (N,) and `labels` (N,), 1 = target and 0 = nontarget, or the table of `operating_points` and no labels.
Rates are fractions. Undefined (`UndefinedError`) when one class is absent.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal, get_args

from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Integers
from voxbench.metrics.operating_points import OperatingPoints, Scores, both_classes, hull_vertices
from voxbench.metrics.registries import metric
from voxbench.registry import closest
from voxbench.schema import InputError, ScoreKind

EerMethod = Literal["interpolated", "asvspoof", "rocch"]


@metric(ScoreKind.DETECTION, greater_is_better=False)
def eer(scores: Scores, labels: ArrayLike | None = None, method: EerMethod = "interpolated") -> float:
    """Return the rate at which misses and false alarms are equally frequent.

    A fraction in [0, 1], 0 = perfect separation. `interpolated` and `asvspoof` reach 1 for inverted scores; for all
    scores equal the three methods give 0.5, 1 and 0.5.

    >>> eer([0.9, 0.8, 0.3, 0.6, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
    0.3333333333333333
    """
    return _crossing(both_classes(scores, labels, "equal error rate"), method)[0]


@metric(ScoreKind.DETECTION, greater_is_better=False)
def eer_asvspoof(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return the equal error rate by the rule of the ASVspoof challenges, in [0, 1].

    The one metric that takes equal scores apart: their targets are rejected first, whatever the order of the rows.

    >>> eer_asvspoof([1, 1, 2, 2, 3, 0, 1, 1, 2, 0, -1], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    0.3666666666666667
    """
    return eer(scores, labels, method="asvspoof")


def eer_threshold(scores: Scores, labels: ArrayLike | None = None, method: EerMethod = "interpolated") -> float:
    """Return the threshold of the equal error rate, in the unit of the scores, for scores >= threshold.

    `interpolated` and `rocch`: the score of the operating point (of the hull) with the smallest gap between the two
    rates, the lower one of two, so a threshold moves with any rising map of the scores. `asvspoof`: the score last
    rejected at the EER, as the challenge's code has it. Always one of the scores. To decide, fit the policy `EerPoint`
    (`voxbench.metrics.thresholds`): of two equally near points it takes that of fewer errors, then the higher one,
    which may reject everything.

    >>> eer_threshold([0.9, 0.8, 0.3, 0.6, 0.2, 0.1], [1, 1, 1, 0, 0, 0])
    0.6
    """
    return _crossing(both_classes(scores, labels, "equal error rate"), method)[1]


def _crossing(points: OperatingPoints, method: EerMethod) -> tuple[float, float]:
    """Return the equal error rate and its threshold."""
    if method not in get_args(EerMethod):
        known = get_args(EerMethod)
        raise InputError(f"unknown EER method {method!r}{closest(str(method), known)}; known: {', '.join(known)}")
    if method == "asvspoof":
        return _step(points)
    return _line(points, hull_vertices(points) if method == "rocch" else None)


def _gap(points: OperatingPoints, row: int) -> int:
    """Return (P_miss - P_fa) times targets times nontargets, exactly."""
    return int(points.misses[row]) * points.nontargets - int(points.false_alarms[row]) * points.targets


def _line(points: OperatingPoints, rows: Integers | None) -> tuple[float, float]:
    """Return where the straight lines through the points in `rows` (all when None) cross P_miss = P_fa."""
    at = range(len(points.thresholds)) if rows is None else [int(row) for row in rows]
    crossed = bisect_left(at, 0, key=lambda row: _gap(points, row))
    before, after = at[crossed - 1], at[crossed]
    gap_before, gap_after = _gap(points, before), _gap(points, after)
    # One division of integers: the value is the nearest float64 to the exact fraction.
    missed = int(points.misses[before]) * gap_after - int(points.misses[after]) * gap_before
    value = missed / ((gap_after - gap_before) * points.targets)
    nearest = after if gap_after < -gap_before else before
    return value, float(points.thresholds[nearest])


def _step(points: OperatingPoints) -> tuple[float, float]:
    """Return the challenge's value: the first least gap when trials are rejected one by one, targets first."""
    after = bisect_left(range(len(points.thresholds)), 0, key=lambda row: _gap(points, row))
    tied_targets = int(points.misses[after] - points.misses[after - 1])
    gap = _gap(points, after - 1)
    # Each target rejected adds `nontargets` to the gap, each nontarget `targets`; stop at the step that crosses zero.
    steps = min(tied_targets, -(gap // points.nontargets))
    gap += steps * points.nontargets
    if gap < 0:
        steps -= gap // points.targets
    # Exactly equal gaps are not rare in small sets; rounded rates decide between them, as in the challenge's code.
    pairs = [_after_steps(points, after - 1, tied_targets, taken) for taken in (steps - 1, steps)]
    back = int(abs(pairs[0][0] - pairs[0][1]) <= abs(pairs[1][0] - pairs[1][1]))
    value = sum(pairs[1 - back]) / 2
    # With no trial rejected the gap is the widest of all, so below the first threshold no one steps back.
    last_rejected = after - 1 if steps - back else after - 2
    return value, float(points.thresholds[last_rejected])


def _after_steps(points: OperatingPoints, row: int, tied_targets: int, steps: int) -> tuple[float, float]:
    """Return P_miss and P_fa after rejecting `steps` of the trials at a threshold, its targets first."""
    misses = int(points.misses[row]) + min(steps, tied_targets)
    false_alarms = int(points.false_alarms[row]) - max(steps - tied_targets, 0)
    return misses / points.targets, false_alarms / points.nontargets
