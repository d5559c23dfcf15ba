"""The operating points of a detector: everything that thresholds can do to a list of trials, from one sort.

All metrics of detection scores are functions of this table, so it is made once and handed to each:

    points = operating_points(scores, labels)
    eer(points), min_dcf(points, None, p_target=0.01), min_cllr(points)

or, for every registered metric, `measure(ScoreKind.DETECTION, points)`. Higher scores mean more target; a trial
is accepted when score >= threshold. Equal scores share one threshold, so the order of the trials changes nothing.
Counts are integers, and rates are divided last.

Source: Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997; for the convex
hull Provost and Fawcett, "Robust classification for imprecise environments", Machine Learning 42 (2001).

Shape letters: N trials, T distinct scores, V vertices of the hull.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.inputs import Floats, Integers, binary_labels, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError

# Temporaries of this many rows stay in cache and bound the memory; no value but the last digit of Cllr depends on it.
ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class OperatingPoints:
    """One row per distinct score, rising, and a last one at +inf that rejects everything, (T + 1,).

    `misses` counts the targets below the threshold, `false_alarms` the nontargets at or above it. At least one trial
    stands at each finite threshold.
    """

    thresholds: Floats
    misses: Integers
    false_alarms: Integers
    targets: int
    nontargets: int

    @property
    def p_miss(self) -> Floats:
        """Return the fraction of the targets that each threshold rejects, (T + 1,), rising from 0 to 1."""
        return self.misses / self.targets

    @property
    def p_fa(self) -> Floats:
        """Return the fraction of the nontargets that each threshold accepts, (T + 1,), falling from 1 to 0."""
        return self.false_alarms / self.nontargets

    def blocks(self) -> Iterator[slice]:
        """Yield the rows in order, `ROWS_AT_ONCE` at a time."""
        for start in range(0, len(self.thresholds), ROWS_AT_ONCE):
            yield slice(start, start + ROWS_AT_ONCE)


Scores = ArrayLike | OperatingPoints


def operating_points(scores: ArrayLike, labels: ArrayLike) -> OperatingPoints:
    """Count misses and false alarms at every distinct score of N trials.

    `scores` (N,) are finite numbers; `labels` (N,) are 1 or True for target (bona fide) and 0 or False for
    nontarget (spoof). One class may be absent here; the metrics then are undefined. Anything else raises
    `InputError`.

    >>> points = operating_points([0.5, 0.5, 0.9, 0.1], [1, 0, 1, 0])
    >>> points.thresholds.tolist(), points.misses.tolist(), points.false_alarms.tolist()
    ([0.1, 0.5, 0.9, inf], [0, 0, 1, 2], [2, 1, 0, 0])
    """
    scores_N, is_target_N = _columns(scores, labels)
    rows, targets = len(scores_N), int(is_target_N.sum())
    joined_N = np.empty(rows)
    joined_N[:targets], joined_N[targets:] = scores_N[is_target_N], scores_N[~is_target_N]
    # Sorting values is several times faster than sorting places, and a stable sort joins two sorted runs in one walk.
    joined_N[:targets].sort()
    joined_N[targets:].sort()
    order_N = np.argsort(joined_N, kind="stable")
    thresholds = np.empty(rows + 1)
    np.take(joined_N, order_N, out=thresholds[:rows])
    thresholds[rows] = np.inf
    del joined_N
    misses = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(order_N < targets, out=misses[1:])
    del order_N
    below = np.flatnonzero(np.append(True, thresholds[1:] != thresholds[:-1]))
    if len(below) <= rows:
        thresholds, misses = thresholds[below], misses[below]
    # What lies below a threshold and is no target is a nontarget rejected; in place, to save a copy of the table.
    np.subtract(misses, below, out=below)
    below += rows - targets
    return OperatingPoints(thresholds, misses, below, targets, rows - targets)


def both_classes(scores: Scores, labels: ArrayLike | None, metric: str) -> OperatingPoints:
    """Return the operating points of `scores` and `labels`, or `scores` itself where it is that table.

    Raises `UndefinedError` that names `metric` when targets or nontargets are missing.

    >>> both_classes([0.2, 0.7], [0, 1], "EER").targets
    1
    """
    if isinstance(scores, OperatingPoints):
        if labels is not None:
            raise InputError("operating points already hold the labels: pass no labels beside them")
        points = scores
    elif labels is None:
        raise InputError("scores need labels, 1 = target and 0 = nontarget, found none")
    else:
        points = operating_points(scores, labels)
    if not (points.targets and points.nontargets):
        raise UndefinedError(
            f"the {metric} needs both classes: found {points.targets} targets and {points.nontargets} nontargets"
        )
    return points


def least_cost(points: OperatingPoints, miss: float, false_alarm: float) -> float:
    """Return the minimum of `miss` P_miss + `false_alarm` P_fa over all thresholds.

    >>> least_cost(operating_points([1, 2, 3, 4], [0, 1, 0, 1]), 1.0, 4.0)
    0.5
    """
    return min(
        float(
            np.min(
                miss * (points.misses[rows] / points.targets)
                + false_alarm * (points.false_alarms[rows] / points.nontargets)
            )
        )
        for rows in points.blocks()
    )


def hull_vertices(points: OperatingPoints) -> Integers:
    """Return the rows (V,) of the vertices of the convex hull of the ROC, from accepting all to rejecting all.

    Between two vertices lies one block of the pool-adjacent-violators algorithm. Points on a straight line between
    two vertices are none themselves. Exact: turns are decided in integers.

    >>> hull_vertices(operating_points([1, 2, 3, 4], [0, 1, 0, 1])).tolist()
    [0, 1, 3, 4]
    """
    misses, false_alarms, rows = points.misses, points.false_alarms, np.arange(len(points.thresholds))
    stride = 1
    while 2 * stride < len(rows):
        # Only true vertices lie below every chord, whatever its ends, so each pass drops none of them.
        kept = _below_chords(misses, false_alarms, stride)
        rows, misses, false_alarms = rows[kept], misses[kept], false_alarms[kept]
        stride *= 2
    return rows[_convex(misses.tolist(), false_alarms.tolist())]


def _columns(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return `scores` (N,) as float64 and whether each trial is a target."""
    scores_N = finite_numbers(scores, "scores")
    if scores_N.ndim != 1 or scores_N.size == 0:
        raise InputError(f"scores must be a non-empty vector, found shape {scores_N.shape}")
    is_target_N = binary_labels(labels)
    if is_target_N.shape != scores_N.shape:
        raise InputError(f"labels must have shape {scores_N.shape} like scores, found {is_target_N.shape}")
    return scores_N, is_target_N


def _below_chords(x: Integers, y: Integers, stride: int) -> NDArray[np.bool_]:
    """Return which points lie below the line between those `stride` before and behind; the ends are kept."""
    kept = np.ones(len(x), dtype=bool)
    for start in range(0, len(x) - 2 * stride, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, len(x) - 2 * stride)
        reach, ahead = slice(start, stop + stride), slice(start + stride, stop + 2 * stride)
        dx, dy = x[ahead] - x[reach], y[ahead] - y[reach]
        kept[start + stride : stop + stride] = dx[:-stride] * dy[stride:] > dy[:-stride] * dx[stride:]
    return kept


def _convex(x: list[int], y: list[int]) -> list[int]:
    """Return the places of the vertices of the lower convex hull (Andrew's monotone chain); `x` rises."""
    chain: list[int] = []
    for place in range(len(x)):
        while len(chain) > 1:
            a, b = chain[-2], chain[-1]
            if (x[b] - x[a]) * (y[place] - y[b]) > (y[b] - y[a]) * (x[place] - x[b]):
                break
            chain.pop()
        chain.append(place)
    return chain
