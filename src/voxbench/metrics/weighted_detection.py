"""Detection metrics of weighted trials, for many sets of weights at once: what a bootstrap of trials evaluates.

A trial of weight w counts like w equal trials, so with whole weights every metric is the plain one on the
repeated rows, and with weights of one the plain one itself. The trials are sorted once, by falling score;
each set of weights is then one pass over cumulated weights. Definitions: EER where the straight lines between
operating points (one per distinct score, after the one that rejects all) cross P_miss = P_fa; costs after the
NIST speaker recognition evaluations, normalised by the better of accepting all and rejecting all; Cllr after
Brummer and du Preez, Computer Speech and Language 20 (2006); AUC as Mann-Whitney, ties one half.

A trial is accepted when score >= threshold. Equal scores make one operating point, so order never counts. A
set of weights that leaves a class without weight, where the metric needs it, gives NaN.

Shape letters: N trials, R sets of weights, P operating points, from rejecting to accepting all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxbench.metrics.bayes import bayes_threshold
from voxbench.metrics.inputs import Floats, Integers
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError


@dataclass(frozen=True, slots=True, eq=False)
class WeightedTrials:
    """Trials by falling score: `scores` (N,), `is_target` (N,), `weights` (N, R); made by `weighted_trials`.

    `thresholds` (P,) begin at +inf; `p_miss` and `p_fa` (P, R) are fractions, NaN for a class without weight.
    """

    scores: Floats
    is_target: np.ndarray
    weights: Floats
    thresholds: Floats
    p_miss: Floats
    p_fa: Floats


WeightedMetric = Callable[[WeightedTrials], Floats]


def weighted_trials(scores_N: Floats, is_target_N: np.ndarray, weights_NR: Floats) -> WeightedTrials:
    """Return the operating points of trials whose scores never rise, for each set of weights.

    >>> found = weighted_trials(np.array([2.0, 1.0]), np.array([True, False]), np.array([[1.0], [3.0]]))
    >>> found.p_miss.tolist(), found.p_fa.tolist()
    ([[1.0], [0.0], [0.0]], [[0.0], [0.0], [1.0]])
    """
    last_of_equal = np.append(np.flatnonzero(np.diff(scores_N)), len(scores_N) - 1)
    class_NR = weights_NR * is_target_N[:, None]
    p_miss_PR = _accepted_share(class_NR, last_of_equal)
    np.subtract(1, p_miss_PR, out=p_miss_PR)
    np.subtract(weights_NR, class_NR, out=class_NR)
    p_fa_PR = _accepted_share(class_NR, last_of_equal)
    thresholds_P = np.append(np.inf, scores_N[last_of_equal])
    return WeightedTrials(scores_N, is_target_N, weights_NR, thresholds_P, p_miss_PR, p_fa_PR)


def weighted_eer(trials: WeightedTrials) -> Floats:
    """Return the interpolated equal error rate (R,), a fraction.

    >>> scores, targets = np.array([3.0, 2.0, 1.0]), np.array([True, False, True])
    >>> weighted_eer(weighted_trials(scores, targets, np.array([[1.0, 3.0], [1.0, 1.0], [1.0, 1.0]]))).tolist()
    [0.5, 0.25]
    """
    ahead_PR = trials.p_miss - trials.p_fa
    # At least 1, as P_miss begins at 1 and P_fa at 0; a resample without a class is NaN everywhere.
    crossing_R = np.argmax(ahead_PR <= 0, axis=0)
    sets = np.arange(ahead_PR.shape[1])
    before_R, after_R = ahead_PR[crossing_R - 1, sets], ahead_PR[crossing_R, sets]
    with np.errstate(invalid="ignore"):
        share_R = before_R / (before_R - after_R)
    p_fa_R = trials.p_fa[crossing_R - 1, sets]
    return p_fa_R + share_R * (trials.p_fa[crossing_R, sets] - p_fa_R)


def weighted_auc(trials: WeightedTrials) -> Floats:
    """Return the chance (R,) that a target trial scores above a nontarget one, ties one half.

    >>> weighted_auc(weighted_trials(np.array([1.0, 1.0]), np.array([True, False]), np.ones((2, 1)))).tolist()
    [0.5]
    """
    hits_twice_PR = 2 - trials.p_miss[1:] - trials.p_miss[:-1]
    return np.einsum("pr,pr->r", np.diff(trials.p_fa, axis=0), hits_twice_PR) / 2


def weighted_cllr(trials: WeightedTrials) -> Floats:
    """Return the cost (R,) of natural-logarithm likelihood ratios, in bits.

    >>> weighted_cllr(weighted_trials(np.zeros(2), np.array([True, False]), np.ones((2, 1)))).tolist()
    [1.0]
    """
    sign_N = np.where(trials.is_target, -1.0, 1.0)
    bits_N = np.logaddexp(0, sign_N * trials.scores) / np.log(2)
    is_class_N2 = np.column_stack([trials.is_target, ~trials.is_target]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean_2R = (is_class_N2 * bits_N[:, None]).T @ trials.weights / (is_class_N2.T @ trials.weights)
    return mean_2R.sum(axis=0) / 2


def weighted_min_dcf(p_target: float, c_miss: float, c_fa: float) -> WeightedMetric:
    """Return the metric min over thresholds of (c_miss p P_miss + c_fa (1 - p) P_fa) / min(c_miss p, c_fa (1 - p)).

    Rejecting all and accepting all are among the thresholds, so it never exceeds 1.

    >>> trials = weighted_trials(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), np.ones((3, 1)))
    >>> weighted_min_dcf(0.5, 1, 1)(trials).tolist()
    [0.5]
    """
    miss, false_alarm = _normalised_costs(p_target, c_miss, c_fa)

    def min_dcf(trials: WeightedTrials) -> Floats:
        return (miss * trials.p_miss + false_alarm * trials.p_fa).min(axis=0)

    return min_dcf


def weighted_act_dcf(p_target: float, c_miss: float, c_fa: float) -> WeightedMetric:
    """Return the cost of `weighted_min_dcf` at the Bayes threshold ln(c_fa (1 - p) / (c_miss p)), as a metric.

    The scores are natural-logarithm likelihood ratios; raw cosines must be calibrated first. Can exceed 1.

    >>> trials = weighted_trials(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), np.ones((3, 1)))
    >>> weighted_act_dcf(0.5, 1, 1)(trials).tolist()
    [1.0]
    """
    miss, false_alarm = _normalised_costs(p_target, c_miss, c_fa)
    threshold = bayes_threshold(p_target, c_miss, c_fa)
    p_miss, p_fa = weighted_miss_rate(threshold), weighted_false_alarm_rate(threshold)

    def act_dcf(trials: WeightedTrials) -> Floats:
        return miss * p_miss(trials) + false_alarm * p_fa(trials)

    return act_dcf


def weighted_miss_rate(threshold: float) -> WeightedMetric:
    """Return the metric P_miss at a fixed threshold; it needs target trials only.

    >>> trials = weighted_trials(np.array([3.0, 2.0]), np.array([True, True]), np.ones((2, 1)))
    >>> weighted_miss_rate(3.0)(trials).tolist()
    [0.5]
    """
    _check_threshold(threshold)
    return lambda trials: trials.p_miss[_point(trials, threshold)]


def weighted_false_alarm_rate(threshold: float) -> WeightedMetric:
    """Return the metric P_fa at a fixed threshold; it needs nontarget trials only.

    >>> trials = weighted_trials(np.array([3.0, 2.0]), np.array([False, False]), np.ones((2, 1)))
    >>> weighted_false_alarm_rate(2.5)(trials).tolist()
    [0.5]
    """
    _check_threshold(threshold)
    return lambda trials: trials.p_fa[_point(trials, threshold)]


def weighted_by_repetition(statistic: Callable[[Floats, np.ndarray], float]) -> WeightedMetric:
    """Return any plain metric of (scores, labels) as a weighted one: slow, as it sorts every resample anew.

    Weights must be whole. Labels are integers, 1 = target. A resample on which the statistic raises
    `UndefinedError` is NaN.

    >>> trials = weighted_trials(np.array([3.0, 2.0]), np.array([True, False]), np.array([[1.0, 2.0], [1.0, 1.0]]))
    >>> weighted_by_repetition(lambda scores, labels: float(scores @ labels))(trials).tolist()
    [3.0, 6.0]
    """

    def repeated(trials: WeightedTrials) -> Floats:
        labels_N = trials.is_target.astype(np.int64)
        values = []
        for weights_N in trials.weights.T.astype(np.int64):
            try:
                value = statistic(np.repeat(trials.scores, weights_N), np.repeat(labels_N, weights_N))
            except UndefinedError:
                value = np.nan
            values.append(float(value))
        return np.array(values)

    return repeated


def _accepted_share(class_NR: Floats, last_of_equal: Integers) -> Floats:
    """Return how much of a class each operating point accepts (P, R), none first; NaN for a class without weight."""
    # Resample by resample in memory: a sum runs along it, not across.
    share_PR = np.zeros((class_NR.shape[1], len(last_of_equal) + 1)).T
    if len(last_of_equal) == len(class_NR):
        # No ties: summed in place, as a copy of all trials costs more than the sum.
        np.cumsum(class_NR, axis=0, out=share_PR[1:])
    else:
        np.take(np.cumsum(class_NR, axis=0), last_of_equal, axis=0, out=share_PR[1:])
    with np.errstate(invalid="ignore"):
        share_PR /= share_PR[-1].copy()
    return share_PR


def _point(trials: WeightedTrials, threshold: float) -> int:
    """Return the operating point that accepts exactly the scores at or above a threshold."""
    return int(np.searchsorted(-trials.thresholds, -threshold, side="right")) - 1


def _check_threshold(threshold: float) -> None:
    """Refuse a threshold that is no number; infinite ones accept or reject all."""
    if np.isnan(threshold):
        raise InputError("the threshold must be a number, found NaN")


def _normalised_costs(p_target: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    """Return what a certain miss and a certain false alarm cost, in units of the best decision without scores."""
    # Refuses what is no prior and no cost.
    bayes_threshold(p_target, c_miss, c_fa)
    miss, false_alarm = c_miss * p_target, c_fa * (1 - p_target)
    return miss / min(miss, false_alarm), false_alarm / min(miss, false_alarm)
