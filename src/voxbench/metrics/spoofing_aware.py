"""One score of two for accept = the claimed speaker AND bona fide, and its errors on weighted trials.

A trial is one of three: `target`, bona fide speech of the claimed speaker, to be accepted; `nontarget`, bona fide
speech of somebody else; `spoof`, an attack that claims the speaker. A verifier (ASV) tells targets from nontargets, a
countermeasure (CM) bona fide speech from spoofs. Three ways to one score, each higher for more target:

- sum: the two log-likelihood ratios added. The baseline; one large ratio outweighs a very small other.
- cascade: the countermeasure first. Below its threshold everything is rejected, at it the verifier's ratio counts.
- fusion: the ratio of targets to the mixture of both others, -ln((1 - s) exp(-asv) + s exp(-cm)), s the share of spoofs
  among what is to be rejected; close to the smaller of the two ratios. Wang, Kinnunen, Lee, Noe and Yamagishi,
  "Revisiting and improving scoring fusion for spoofing-aware speaker verification using compositional data analysis",
  Interspeech 2024, where it excels the sum; for its Gaussian forerunner Todisco et al., "Integrated presentation attack
  detection and automatic speaker verification: common features and Gaussian back-end fusion", Interspeech 2018. With s
  from priors times costs it ranks as the least a-DCF asks, as far as both ratios are calibrated.

Shape letters: N trials, R sets of weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Floats, Integers, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.tandem import ADcfTerms, AsvRates, TandemCosts, TdcfVersion, tdcf_constants
from voxbench.metrics.weighted_detection import WeightedTrials, weighted_trials
from voxbench.schema import InputError

TARGET, NONTARGET, SPOOF = range(3)
KEYS = ("target", "nontarget", "spoof")
"""The words of the three kinds of trials, in the order of their numbers."""
REJECTED = float(np.finfo(np.float64).min)
"""The score of what a cascade's first stage rejects: below all others, on any set."""


class Contrasts(NamedTuple):
    """Weighted trials of one score: targets against nontargets, against spoofs, and against both pooled."""

    impostors: WeightedTrials
    spoofs: WeightedTrials
    both: WeightedTrials


def spoof_share(costs: TandemCosts) -> float:
    """Return the share of spoofs among what is to be rejected, each kind by its prior times its cost.

    >>> from voxbench.metrics.tandem import ASVSPOOF_COSTS
    >>> round(spoof_share(ASVSPOOF_COSTS), 4)
    0.8403
    """
    impostor, spoofed = costs.p_nontarget * costs.c_fa, costs.p_spoof * costs.c_fa_spoof
    if not 0 < spoofed < impostor + spoofed:
        raise UndefinedError(f"a fusion needs impostors and spoofs that cost something, found {costs}")
    return spoofed / (impostor + spoofed)


def fused(asv_llrs: ArrayLike, cm_llrs: ArrayLike, share: float) -> Floats:
    """Return the log-likelihood ratio of targets to impostors and spoofs, of ratios in one shape, natural logarithms.

    `share` in (0, 1) is that of the spoofs.

    >>> fused([9.0, 9.0], [9.0, -9.0], 0.5).round(2).tolist()
    [9.0, -8.31]
    """
    asv, cm = _ratios(asv_llrs, cm_llrs)
    if not 0 < share < 1:
        raise InputError(f"the share of spoofs must lie between 0 and 1, found {share}")
    return np.asarray(-np.logaddexp(math.log(1 - share) - asv, math.log(share) - cm))


def summed(asv_llrs: ArrayLike, cm_llrs: ArrayLike) -> Floats:
    """Return the sum of both ratios.

    >>> summed([9.0], [-9.0]).tolist()
    [0.0]
    """
    asv, cm = _ratios(asv_llrs, cm_llrs)
    return np.asarray(asv + cm)


def cascaded(asv_llrs: ArrayLike, cm_llrs: ArrayLike, cm_threshold: float) -> Floats:
    """Return the verifier's ratio where the countermeasure's reaches its threshold, elsewhere `REJECTED`.

    >>> cascaded([1.0, 2.0], [0.5, 0.4], 0.5).tolist() == [1.0, REJECTED]
    True
    """
    asv, cm = _ratios(asv_llrs, cm_llrs)
    return np.where(cm >= cm_threshold, asv, REJECTED)


def contrasts(scores_N: Floats, key_N: Integers, weights_NR: Floats) -> Contrasts:
    """Return the three contrasts of trials whose scores never rise, for each set of weights."""
    is_target_N = key_N == TARGET
    parts = [
        weighted_trials(scores_N, is_target_N, weights_NR * (key_N != other)[:, None]) for other in (SPOOF, NONTARGET)
    ]
    return Contrasts(parts[0], parts[1], weighted_trials(scores_N, is_target_N, weights_NR))


def weighted_min_a_dcf(trials: Contrasts, terms: ADcfTerms) -> Floats:
    """Return the least normalised a-DCF (R,) over all thresholds, NaN for weights that lack one of the three kinds.

    >>> scores, keys = np.array([3.0, 2.0, 1.0]), np.array([TARGET, SPOOF, NONTARGET])
    >>> from voxbench.metrics.tandem import A_DCF_1, a_dcf_terms
    >>> weighted_min_a_dcf(contrasts(scores, keys, np.ones((3, 1))), a_dcf_terms(A_DCF_1)).tolist()
    [0.0]
    """
    costs_PR = terms.miss * trials.impostors.p_miss + terms.impostor * trials.impostors.p_fa
    costs_PR += terms.spoof * trials.spoofs.p_fa
    return np.asarray(costs_PR.min(axis=0) / terms.cheaper)


def weighted_min_tdcf(cm: WeightedTrials, rates_3R: Floats, version: TdcfVersion) -> Floats:
    """Return the least normalised t-DCF (R,) of a countermeasure, NaN where it is undefined.

    `cm` are its recordings, 1 = bona fide; `rates_3R` the verifier's misses, false alarms and accepted spoofs for each
    set of weights.
    """
    values = np.full(rates_3R.shape[1], np.nan)
    for place, rates in enumerate(rates_3R.T.tolist()):
        if not np.isfinite(rates).all():
            continue
        try:
            c0, c1, c2 = tdcf_constants(AsvRates(*rates), version=version)
        except UndefinedError:
            continue
        least = float((c1 * cm.p_miss[:, place] + c2 * cm.p_fa[:, place]).min())
        values[place] = (c0 + least) / (c0 + min(c1, c2))
    return values


def _ratios(asv_llrs: ArrayLike, cm_llrs: ArrayLike) -> tuple[Floats, Floats]:
    """Return both ratios as float64; they must have one shape."""
    asv, cm = finite_numbers(asv_llrs, "ASV ratios"), finite_numbers(cm_llrs, "CM ratios")
    if asv.shape != cm.shape:
        raise InputError(f"each trial has two ratios: found ASV ratios of shape {asv.shape}, CM ratios of {cm.shape}")
    return asv, cm
