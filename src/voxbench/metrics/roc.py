"""The receiver operating characteristic of scores: its points, and the area under it.

Definition: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006). Deviation from
scikit-learn: every distinct score is a point, and one class is an error instead of NaN.

Both functions take `truth` (N,), 1 for positive and 0 for negative rows, and `scores` (N,), any finite
numbers, higher = more positive. Both are undefined when one class does not occur.

Shape letters: N rows, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Floats, Integers, class_indices, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Operating points (T,) from rejecting to accepting all; a row is accepted when score >= threshold."""

    thresholds: Floats
    false_positive_rate: Floats
    true_positive_rate: Floats


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> RocCurve:
    """Return one operating point per distinct score, after the point (0, 0) at threshold +inf.

    >>> roc_curve([0, 1, 1], [0.2, 0.2, 0.7]).true_positive_rate.tolist()
    [0.0, 0.5, 1.0]
    """
    thresholds_T, false_T, true_T = _accepted(truth, scores)
    return RocCurve(
        thresholds=np.concatenate([[np.inf], thresholds_T]),
        false_positive_rate=np.concatenate([[0.0], false_T / false_T[-1]]),
        true_positive_rate=np.concatenate([[0.0], true_T / true_T[-1]]),
    )


def area_under_roc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the chance that a positive row scores above a negative one, ties one half (Mann-Whitney U / PN).

    The pairs are counted in integers, so only the last division rounds.

    >>> area_under_roc([0, 1, 1], [0.2, 0.2, 0.7])
    0.75
    """
    _, false_T, true_T = _accepted(truth, scores)
    false_here_T = np.diff(false_T, prepend=0)
    # Per negative: two for each positive above, one for each equal.
    wins_twice_T = 2 * true_T - np.diff(true_T, prepend=0)
    return int(false_here_T @ wins_twice_T) / (2 * int(true_T[-1]) * int(false_T[-1]))


def _accepted(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Integers, Integers]:
    """Return the distinct scores, falling, and how many negative and positive rows reach each."""
    truth_N, scores_N = class_indices(truth, "truth", 2), finite_numbers(scores, "scores")
    if scores_N.shape != truth_N.shape:
        raise InputError(f"scores must have shape {truth_N.shape} like truth, found {scores_N.shape}")
    positives = int(truth_N.sum())
    if positives in (0, len(truth_N)):
        raise UndefinedError(
            f"the ROC needs both classes in the truth: found {positives} positive "
            f"and {len(truth_N) - positives} negative rows"
        )
    order_N = np.argsort(scores_N)[::-1]
    falling_N = scores_N[order_N]
    last_of_equal_T = np.append(np.flatnonzero(np.diff(falling_N)), len(falling_N) - 1)
    true_T = np.cumsum(truth_N[order_N])[last_of_equal_T]
    return falling_N[last_of_equal_T], last_of_equal_T + 1 - true_T, true_T
