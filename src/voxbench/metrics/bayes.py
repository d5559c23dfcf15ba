"""Decisions at a prior and at costs, and how far scores are log-likelihood ratios.

- Detection cost of a threshold: c_miss p P_miss + c_fa (1 - p) P_fa, p the prior of a target, divided by the cheaper
  of rejecting and accepting everything, min(c_miss p, c_fa (1 - p)). NIST speaker recognition evaluations; usual
  priors: 0.01 (Kaldi, NIST SRE16 with 0.005) and 0.05 (VoxSRC), costs 1.
- Cllr: Brummer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language
  20 (2006). In bits; 0 = perfect, 1 = as good as saying nothing.
- Isotonic recalibration: pool adjacent violators (PAV), Brummer and du Preez, "The PAV algorithm optimizes binary
  proper scoring rules", 2013. It is fitted on the trials it judges: a measure of discrimination, no calibration.

`act_dcf` and `cllr` read scores as natural-log likelihood ratios: raw cosines give a number, and a bad one, so
calibrate first. `min_dcf` and `min_cllr` depend on the order of the scores only. No smoothing anywhere: the LLR of a
block with one class is infinite, and costs nothing there.

`scores` (N,) and `labels` (N,), 1 = target and 0 = nontarget, or the table of `operating_points` and no labels; equal
scores share their threshold and their block. Undefined (`UndefinedError`) when one class is absent.

Shape letters: N trials, T distinct scores, B blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Floats, Integers, finite_numbers
from voxbench.metrics.operating_points import (
    OperatingPoints,
    Scores,
    both_classes,
    hull_vertices,
    least_cost,
    operating_points,
)
from voxbench.metrics.registries import metric
from voxbench.schema import InputError, ScoreKind


@dataclass(frozen=True, slots=True, eq=False)
class IsotonicBlocks:
    """Per block of equal LLR (B,), rising: lowest and highest score, trials of each class, natural-log LLR."""

    low: Floats
    high: Floats
    targets: Integers
    nontargets: Integers
    llr: Floats


def bayes_threshold(p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Return ln(c_fa (1 - p) / (c_miss p)): accept log-likelihood ratios at or above it.

    The prior lies inside (0, 1) and costs are positive, else `InputError`.

    >>> round(bayes_threshold(0.01), 5)
    4.59512
    """
    if not 0 < p_target < 1:
        raise InputError(f"p_target must lie between 0 and 1, both excluded, found {p_target:g}")
    if not (0 < c_miss < math.inf and 0 < c_fa < math.inf):
        raise InputError(f"costs must be positive and finite, found c_miss {c_miss:g} and c_fa {c_fa:g}")
    return math.log(c_fa) + math.log1p(-p_target) - math.log(c_miss) - math.log(p_target)


def min_dcf(scores: Scores, labels: ArrayLike | None, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Return the least normalised detection cost over all thresholds, in [0, 1].

    Rejecting and accepting everything are among the thresholds.

    >>> min_dcf([0.9, 0.8, 0.3, 0.6, 0.2, 0.1], [1, 1, 1, 0, 0, 0], p_target=0.01)
    0.3333333333333333
    """
    points = both_classes(scores, labels, "detection cost")
    return least_cost(points, *_weights(p_target, c_miss, c_fa))


def act_dcf(scores: Scores, labels: ArrayLike | None, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Return the normalised detection cost at the Bayes threshold of log-likelihood ratios; not bounded by 1.

    Scores on the threshold are accepted. The worst is the sum of both costs, weighed by the priors, over the lesser.

    >>> act_dcf([2.0, 3.0, 4.0, 5.0, -2.0, -1.0, 0.0, 1.0], [1, 1, 1, 1, 0, 0, 0, 0], p_target=0.05)
    0.25
    """
    points = both_classes(scores, labels, "detection cost")
    row = np.searchsorted(points.thresholds, bayes_threshold(p_target, c_miss, c_fa))
    miss, false_alarm = _weights(p_target, c_miss, c_fa)
    return float(
        miss * (points.misses[row] / points.targets) + false_alarm * (points.false_alarms[row] / points.nontargets)
    )


@metric(ScoreKind.DETECTION, greater_is_better=False)
def min_dcf_p01(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return `min_dcf` at a prior of 0.01 and costs of 1, in [0, 1].

    >>> min_dcf_p01([0.9, 0.3, 0.6, 0.1], [1, 1, 0, 0])
    0.5
    """
    return min_dcf(scores, labels, p_target=0.01)


@metric(ScoreKind.DETECTION, greater_is_better=False)
def min_dcf_p05(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return `min_dcf` at a prior of 0.05 and costs of 1, in [0, 1].

    >>> min_dcf_p05([0.9, 0.3, 0.6, 0.1], [1, 1, 0, 0])
    0.5
    """
    return min_dcf(scores, labels, p_target=0.05)


@metric(ScoreKind.DETECTION, greater_is_better=False)
def act_dcf_p01(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return `act_dcf` at a prior of 0.01 and costs of 1, in [0, 100]; the scores must be log-likelihood ratios.

    >>> act_dcf_p01([5.0, 2.0, 1.0, -3.0], [1, 1, 0, 0])
    0.5
    """
    return act_dcf(scores, labels, p_target=0.01)


@metric(ScoreKind.DETECTION, greater_is_better=False)
def act_dcf_p05(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return `act_dcf` at a prior of 0.05 and costs of 1, in [0, 20]; the scores must be log-likelihood ratios.

    >>> act_dcf_p05([5.0, 3.0, 1.0, -3.0], [1, 1, 0, 0])
    0.0
    """
    return act_dcf(scores, labels, p_target=0.05)


@metric(ScoreKind.DETECTION, greater_is_better=False)
def cllr(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return [mean log2(1 + e^-target) + mean log2(1 + e^nontarget)] / 2, in bits; not bounded by 1.

    >>> cllr([0.0, 0.0], [1, 0])
    1.0
    """
    points = both_classes(scores, labels, "Cllr")
    missed = accepted = 0.0
    # Sums of products, no dot products: those are shared out to threads, which costs time and the last digit.
    for rows in points.blocks():
        here = slice(rows.start, min(rows.stop, len(points.thresholds) - 1))
        following = slice(here.start + 1, here.stop + 1)
        llr = points.thresholds[here]
        doubt = np.log1p(np.exp(-np.abs(llr)))
        missed += float(np.sum((doubt + np.maximum(-llr, 0)) * (points.misses[following] - points.misses[here])))
        accepted += float(
            np.sum((doubt + np.maximum(llr, 0)) * (points.false_alarms[here] - points.false_alarms[following]))
        )
    return (missed / points.targets + accepted / points.nontargets) / (2 * math.log(2))


@metric(ScoreKind.DETECTION, greater_is_better=False)
def min_cllr(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return the Cllr after isotonic recalibration, in bits, in [0, 1]: what calibration cannot repair.

    >>> min_cllr([1, 2, 3, 4], [0, 0, 1, 1]), min_cllr([1, 2, 3, 4], [1, 1, 0, 0])
    (0.0, 1.0)
    """
    points = both_classes(scores, labels, "minimum Cllr")
    target_B, nontarget_B = _block_counts(points, hull_vertices(points))
    p_target_B, p_nontarget_B = target_B / points.targets, nontarget_B / points.nontargets
    together_B = p_target_B + p_nontarget_B
    # A class that is absent from a block costs nothing there: 0 ln(x / 1) = 0.
    target_part = p_target_B * np.log(together_B / np.where(target_B > 0, p_target_B, together_B))
    nontarget_part = p_nontarget_B * np.log(together_B / np.where(nontarget_B > 0, p_nontarget_B, together_B))
    return float(np.sum(target_part + nontarget_part)) / (2 * math.log(2))


def pav(scores: Scores, labels: ArrayLike | None = None) -> IsotonicBlocks:
    """Return the blocks of the pool-adjacent-violators algorithm; LLR = ln(targets / nontargets) - ln(all / all).

    The blocks' ends are the vertices of the ROC's convex hull. Neighbours of equal LLR are one block.

    >>> pav([1, 2, 3, 4], [0, 1, 0, 1]).llr.tolist()
    [-inf, 0.0, inf]
    """
    points = both_classes(scores, labels, "isotonic recalibration")
    vertices = hull_vertices(points)
    target_B, nontarget_B = _block_counts(points, vertices)
    with np.errstate(divide="ignore"):
        llr_B = np.log(target_B / points.targets) - np.log(nontarget_B / points.nontargets)
    return IsotonicBlocks(
        low=points.thresholds[vertices[:-1]],
        high=points.thresholds[vertices[1:] - 1],
        targets=target_B,
        nontargets=nontarget_B,
        llr=llr_B,
    )


def isotonic_llrs(scores: ArrayLike, labels: ArrayLike) -> Floats:
    """Return the natural-log likelihood ratio of each trial's block (N,), -inf and inf where it holds one class.

    >>> isotonic_llrs([4, 1, 2, 3], [1, 0, 1, 0]).tolist()
    [inf, -inf, 0.0, 0.0]
    """
    blocks = pav(operating_points(scores, labels))
    return blocks.llr[np.searchsorted(blocks.low, finite_numbers(scores, "scores"), side="right") - 1]


def _weights(p_target: float, c_miss: float, c_fa: float) -> tuple[float, float]:
    """Return the normalised cost of missing every target, and that of accepting every nontarget; the lesser is 1."""
    bayes_threshold(p_target, c_miss, c_fa)
    miss, false_alarm = c_miss * p_target, c_fa * (1 - p_target)
    return miss / min(miss, false_alarm), false_alarm / min(miss, false_alarm)


def _block_counts(points: OperatingPoints, vertices: Integers) -> tuple[Integers, Integers]:
    """Return the targets and the nontargets (B,) between neighbouring vertices."""
    return np.diff(points.misses[vertices]), -np.diff(points.false_alarms[vertices])
