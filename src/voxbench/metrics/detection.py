"""Detection: speaker verification, anti-spoofing, and whatever else says yes or no to a trial.

The one door to the metrics of detection scores. Everything takes `scores` (N,), higher = more target (bona fide), and
`labels` (N,), 1 = target (bona fide) and 0 = nontarget (spoof); or the table of `operating_points(scores, labels)` in
place of the scores and None in place of the labels, which shares the one sort between metrics. Rates are fractions.

| question | function | home |
|---|---|---|
| where do both errors meet? | `eer`, `eer_asvspoof`, `eer_threshold` | `equal_error` |
| what does a decision cost? | `min_dcf`, `act_dcf`, `bayes_threshold` | `bayes` |
| are the scores likelihood ratios? | `cllr`, `min_cllr`, `pav`, `isotonic_llrs` | `bayes` |
| how good behind a speaker verifier? | `min_tdcf`, `tdcf_constants`, `a_dcf`, `sasv_eer` | `tandem` |
| how good over all thresholds? | `auc`, `det_curve`, `probit` | here |

Source of the DET curve: Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.

Shape letters: N trials, T distinct scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.bayes import (
    IsotonicBlocks,
    act_dcf,
    bayes_threshold,
    cllr,
    isotonic_llrs,
    min_cllr,
    min_dcf,
    pav,
)
from voxbench.metrics.equal_error import eer, eer_asvspoof, eer_threshold
from voxbench.metrics.inputs import Floats, finite_numbers
from voxbench.metrics.operating_points import OperatingPoints, Scores, both_classes, operating_points
from voxbench.metrics.registries import metric
from voxbench.metrics.tandem import (
    A_DCF_1,
    ASVSPOOF2019_LA,
    ASVSPOOF_COSTS,
    AsvRates,
    TandemCosts,
    a_dcf,
    asv_rates,
    min_tdcf,
    sasv_eer,
    tdcf_constants,
)
from voxbench.schema import InputError, ScoreKind

# The usual marks of a DET plot, as rates.
DET_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """Miss and false-alarm rates (T + 1,) at rising thresholds, the last one, inf, rejecting everything."""

    thresholds: Floats
    p_miss: Floats
    p_fa: Floats


@metric(ScoreKind.DETECTION, greater_is_better=True)
def auc(scores: Scores, labels: ArrayLike | None = None) -> float:
    """Return the chance that a target scores above a nontarget, ties one half: `area_under_roc` without its sort.

    In [0, 1], 0.5 = no better than chance; inverted scores give 1 minus it. Counted in integers, divided last.

    >>> auc([0.2, 0.2, 0.7], [0, 1, 1])
    0.75
    """
    points = both_classes(scores, labels, "area under the ROC")
    wins_twice = 0
    for rows in points.blocks():
        target_T = np.diff(points.misses[rows.start : rows.stop + 1])
        here = slice(rows.start, rows.start + len(target_T))
        after = slice(here.start + 1, here.stop + 1)
        # Per target: two for each nontarget below, one for each equal.
        losses_T = points.false_alarms[here] + points.false_alarms[after]
        wins_twice += int(target_T @ (2 * points.nontargets - losses_T))
    return wins_twice / (2 * points.targets * points.nontargets)


def det_curve(scores: Scores, labels: ArrayLike | None = None) -> DetCurve:
    """Return miss and false-alarm rate at every distinct score, from accepting all to rejecting all.

    Put both through `probit` for the axes of a DET plot. Undefined when one class is absent.

    >>> curve = det_curve([0.9, 0.3, 0.6, 0.1], [1, 1, 0, 0])
    >>> curve.p_miss.tolist(), curve.p_fa.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0, 0.0])
    """
    points = both_classes(scores, labels, "DET curve")
    return DetCurve(points.thresholds, points.p_miss, points.p_fa)


def probit(rates: ArrayLike, clip: float = 1e-6) -> Floats:
    """Return the positions of rates on an axis of a DET plot: the inverse of the standard normal distribution.

    Rates below `clip` and above 1 - `clip`, 0 and 1 among them, are drawn there, so that every position is finite.

    >>> probit([0.0, 0.05, 0.5]).round(4).tolist()
    [-4.7534, -1.6449, 0.0]
    """
    # Here, because the start of every stage would pay for it, and only plots call this.
    from scipy.special import ndtri

    if not 0 < clip < 0.5:
        raise InputError(f"clip must lie between 0 and 0.5, both excluded, found {clip:g}")
    numbers = finite_numbers(rates, "rates")
    if numbers.size and not (numbers.min() >= 0 and numbers.max() <= 1):
        raise InputError(f"rates must lie in 0..1, found {numbers.min():g}..{numbers.max():g}; are they percent?")
    positions: Floats = ndtri(np.clip(numbers, clip, 1 - clip))
    return positions


__all__ = [
    "ASVSPOOF2019_LA",
    "ASVSPOOF_COSTS",
    "A_DCF_1",
    "DET_TICKS",
    "AsvRates",
    "DetCurve",
    "IsotonicBlocks",
    "OperatingPoints",
    "TandemCosts",
    "a_dcf",
    "act_dcf",
    "asv_rates",
    "auc",
    "bayes_threshold",
    "cllr",
    "det_curve",
    "eer",
    "eer_asvspoof",
    "eer_threshold",
    "isotonic_llrs",
    "min_cllr",
    "min_dcf",
    "min_tdcf",
    "operating_points",
    "pav",
    "probit",
    "sasv_eer",
    "tdcf_constants",
]
