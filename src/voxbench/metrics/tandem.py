"""Countermeasures behind a speaker verifier (ASV), and systems that refuse impostors and spoofs at once.

- t-DCF: the cost of a countermeasure (CM) in front of a fixed ASV system. `legacy`: Kinnunen et al., "t-DCF: a
  detection cost function for the tandem assessment of spoofing countermeasures and automatic speaker verification",
  Odyssey 2018, the metric of ASVspoof 2019. `revised`: Kinnunen et al., "Tandem assessment of spoofing
  countermeasures and automatic speaker verification: fundamentals", IEEE/ACM TASLP 28 (2020), that of ASVspoof 2021.
  Both are min over CM thresholds of (C0 + C1 P_miss + C2 P_fa) / (C0 + min(C1, C2)), with

  | version | C0 | C1 | C2 |
  |---|---|---|---|
  | `legacy` | 0 | p_t c_miss (1 - P_miss_asv) - p_n c_fa P_fa_asv | p_s c_fa_spoof P_fa_spoof_asv |
  | `revised` | p_t c_miss P_miss_asv + p_n c_fa P_fa_asv | p_t c_miss - C0 | the same |

  A perfect CM scores 0 in `legacy` and C0 / (C0 + min(C1, C2)) in `revised`.
- a-DCF: Shim et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust speaker
  verification", Odyssey 2024: one threshold on one score against impostors and spoofs.
- SASV-EER: Jung et al., "SASV 2022: the first spoofing-aware speaker verification challenge", Interspeech 2022.

The ASV threshold of the t-DCF is that of the ASVspoof EER of targets against nontargets; at it the rates count
scores >= threshold as accepted although the EER's own curve rejects them, as in the challenge's code. Published CM
and ASV scores belong together by set: dev with dev, eval with eval. Equal scores share a threshold.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.equal_error import EerMethod, eer, eer_threshold
from voxbench.metrics.inputs import Floats, finite_numbers
from voxbench.metrics.operating_points import Scores, both_classes, least_cost
from voxbench.metrics.registries import UndefinedError
from voxbench.registry import closest
from voxbench.schema import InputError

TdcfVersion = Literal["legacy", "revised"]
# The challenge's code takes fewer distinct CM scores for decisions and refuses them.
LEAST_DISTINCT_SCORES = 3


@dataclass(frozen=True, slots=True)
class TandemCosts:
    """Priors of targets, impostors (nontargets) and spoofs, which sum to one, and the cost of each error."""

    p_target: float
    p_nontarget: float
    p_spoof: float
    c_miss: float
    c_fa: float
    c_fa_spoof: float

    def __post_init__(self) -> None:
        if not all(0 <= value < math.inf for value in astuple(self)):
            raise InputError(f"priors and costs must be finite and not negative, found {self}")
        total = self.p_target + self.p_nontarget + self.p_spoof
        if abs(total - 1) > 1e-9:
            raise InputError(f"p_target + p_nontarget + p_spoof must be 1, found {total:g}")


@dataclass(frozen=True, slots=True)
class AsvRates:
    """What a speaker verifier does at its threshold: targets missed, nontargets and spoofs accepted, fractions."""

    p_miss: float
    p_fa: float
    p_fa_spoof: float

    def __post_init__(self) -> None:
        if not all(0 <= rate <= 1 for rate in astuple(self)):
            raise InputError(f"ASV rates are fractions in 0..1, found {self}; are they percent?")


class TdcfConstants(NamedTuple):
    """The t-DCF as a function of the CM's errors: c0 + c1 P_miss + c2 P_fa, before normalisation."""

    c0: float
    c1: float
    c2: float


# ASVspoof 2019 and 2021, both forms of the t-DCF; also the a-DCF of ASVspoof 5 (evaluation plan, track 2).
ASVSPOOF_COSTS = TandemCosts(p_target=0.9405, p_nontarget=0.0095, p_spoof=0.05, c_miss=1, c_fa=10, c_fa_spoof=10)
# "a-DCF1" of Shim et al., the default of their package.
A_DCF_1 = TandemCosts(p_target=0.9, p_nontarget=0.05, p_spoof=0.05, c_miss=1, c_fa=10, c_fa_spoof=20)
# The organisers' ASV system on ASVspoof 2019 LA, counted from their score files: EER 2.4265 % at -3.548998 (dev) and
# 2.4578 % at -5.680051 (eval).
ASVSPOOF2019_LA = {
    "dev": AsvRates(p_miss=36 / 1_484, p_fa=141 / 5_768, p_fa_spoof=16_951 / 22_296),
    "eval": AsvRates(p_miss=132 / 5_370, p_fa=820 / 33_327, p_fa_spoof=48_592 / 63_882),
}


def asv_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> AsvRates:
    """Return the errors of a speaker verifier at its EER threshold (method `asvspoof`) from three vectors of scores.

    Undefined when one of the three is empty.

    >>> asv_rates([3, 4, 5, 6, 0.5], [-3, -2, -1, 1, 2], [1.5, 3.5, 5.5, -0.5])
    AsvRates(p_miss=0.2, p_fa=0.4, p_fa_spoof=0.75)
    """
    target_A, nontarget_A, spoof_A = _three(target, nontarget, spoof)
    threshold = eer_threshold(*_labelled(target_A, nontarget_A), method="asvspoof")
    return AsvRates(
        p_miss=float(np.mean(target_A < threshold)),
        p_fa=float(np.mean(nontarget_A >= threshold)),
        p_fa_spoof=float(np.mean(spoof_A >= threshold)),
    )


def tdcf_constants(*asv: ArrayLike | AsvRates, version: TdcfVersion) -> TdcfConstants:
    """Return C0, C1 and C2 of the t-DCF with the priors and costs of the challenges, `ASVSPOOF_COSTS`.

    `asv` is one `AsvRates`, such as `ASVSPOOF2019_LA["eval"]`, or the ASV scores of targets, nontargets and spoofs,
    three vectors. Undefined for an ASV system so bad that a constant is negative, or C0 + min(C1, C2) is zero.

    >>> [round(constant, 6) for constant in tdcf_constants(ASVSPOOF2019_LA["eval"], version="revised")]
    [0.025456, 0.915044, 0.380326]
    """
    if version not in get_args(TdcfVersion):
        known = get_args(TdcfVersion)
        raise InputError(f"unknown t-DCF {version!r}{closest(str(version), known)}; known: {', '.join(known)}")
    rates, costs = _rates(*asv), ASVSPOOF_COSTS
    missed = costs.p_target * costs.c_miss * rates.p_miss + costs.p_nontarget * costs.c_fa * rates.p_fa
    c1 = costs.p_target * costs.c_miss - missed
    c2 = costs.p_spoof * costs.c_fa_spoof * rates.p_fa_spoof
    constants = TdcfConstants(missed if version == "revised" else 0.0, c1, c2)
    if min(constants) < 0 or constants.c0 + min(c1, c2) <= 0:
        raise UndefinedError(
            f"the t-DCF needs an ASV system that accepts some targets and spoofs, found {rates} and so {constants}"
        )
    return constants


def min_tdcf(cm_scores: Scores, cm_labels: ArrayLike | None, *asv: ArrayLike | AsvRates, version: TdcfVersion) -> float:
    """Return the least normalised t-DCF over the thresholds of the countermeasure, in [0, 1].

    `cm_labels` (N,) are 1 = bona fide and 0 = spoof. `asv` is what `tdcf_constants` takes. Fewer than three distinct
    CM scores raise `InputError`, as decisions do in the challenge's code.

    >>> round(min_tdcf([0.9, 0.8, 0.3, 0.6, 0.1], [1, 1, 1, 0, 0], ASVSPOOF2019_LA["eval"], version="legacy"), 6)
    0.5
    """
    c0, c1, c2 = tdcf_constants(*asv, version=version)
    points = both_classes(cm_scores, cm_labels, "t-DCF")
    if len(points.thresholds) - 1 < LEAST_DISTINCT_SCORES:
        raise InputError(
            f"the t-DCF needs scores, not decisions: found {len(points.thresholds) - 1} distinct CM scores, "
            f"expected {LEAST_DISTINCT_SCORES} or more"
        )
    return (c0 + least_cost(points, c1, c2)) / (c0 + min(c1, c2))


def a_dcf(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: TandemCosts) -> float:
    """Return the least normalised a-DCF over the thresholds of one spoofing-aware score, in [0, 1].

    p_t c_miss P_miss + p_n c_fa P_fa + p_s c_fa_spoof P_fa_spoof, divided by the cheaper of rejecting and accepting
    everything. Undefined when one of the three classes is empty, or when that cheaper decision costs nothing.

    >>> a_dcf([2, 3, 4, 5], [-2, -1, 0, 1], [2.5, 0, -1, -2], A_DCF_1)
    0.25
    """
    _, costs_T = _a_dcf_curve(target, nontarget, spoof, costs)
    return float(np.min(costs_T)) / a_dcf_terms(costs).cheaper


def a_dcf_threshold(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: TandemCosts) -> float:
    """Return the threshold of the least a-DCF, the highest of several, in the unit of the scores, always finite.

    It is one of the scores or, to reject everything, the next number above the highest. Undefined where `a_dcf` is.

    >>> a_dcf_threshold([2, 3, 4, 5], [-2, -1, 0, 1], [2.5, 0, -1, -2], A_DCF_1)
    3.0
    """
    thresholds, costs_T = _a_dcf_curve(target, nontarget, spoof, costs)
    place = int(np.flatnonzero(costs_T == costs_T.min())[-1])
    return float(min(thresholds[place], np.nextafter(thresholds[-2], np.inf)))


class ADcfTerms(NamedTuple):
    """What missing all targets, accepting all impostors and all spoofs cost; `cheaper` is a decision without scores."""

    miss: float
    impostor: float
    spoof: float

    @property
    def cheaper(self) -> float:
        """Return the cost of rejecting or of accepting everything, whichever is less."""
        return min(self.miss, self.impostor + self.spoof)


def a_dcf_terms(costs: TandemCosts) -> ADcfTerms:
    """Return the prior times the cost of each error, of which the a-DCF is a sum.

    Undefined where deciding without scores costs nothing.

    >>> [round(term, 3) for term in a_dcf_terms(A_DCF_1)]
    [0.9, 0.5, 1.0]
    """
    terms = ADcfTerms(costs.p_target * costs.c_miss, costs.p_nontarget * costs.c_fa, costs.p_spoof * costs.c_fa_spoof)
    if terms.cheaper == 0:
        raise UndefinedError(f"the a-DCF has nothing to divide by where a decision costs nothing: found {costs}")
    return terms


def sasv_eer(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, method: EerMethod = "interpolated") -> float:
    """Return the EER of targets against impostors and spoofs pooled, as in the SASV challenge.

    Its two companions are `eer` of targets against nontargets alone (SV-EER) and against spoofs alone (SPF-EER). It
    depends on how many of the pooled trials are spoofs; `a_dcf` does not. Undefined when one of the three is empty.

    >>> sasv_eer([2, 3, 4, 5], [-2, -1, 0, 1], [2.5, 0, -1, -2])
    0.125
    """
    target_A, nontarget_A, spoof_A = _three(target, nontarget, spoof)
    return eer(*_labelled(target_A, np.concatenate([nontarget_A, spoof_A])), method=method)


def _rates(*asv: ArrayLike | AsvRates) -> AsvRates:
    """Return the one `AsvRates`, or those of three vectors of scores."""
    if len(asv) == 1 and isinstance(asv[0], AsvRates):
        return asv[0]
    vectors = [each for each in asv if not isinstance(each, AsvRates)]
    if len(asv) != 3 or len(vectors) != 3:
        raise InputError(
            "the t-DCF needs one AsvRates or three vectors of ASV scores (target, nontarget, spoof), "
            f"found {len(asv)}: {', '.join(type(each).__name__ for each in asv)}"
        )
    return asv_rates(*vectors)


def _three(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> list[Floats]:
    """Return the scores of three classes as vectors, none of them empty."""
    vectors = []
    for name, values in (("target", target), ("nontarget", nontarget), ("spoof", spoof)):
        scores = finite_numbers(values, f"{name} scores")
        if scores.ndim != 1:
            raise InputError(f"{name} scores must be a vector, found shape {scores.shape}")
        if not scores.size:
            raise UndefinedError(f"targets, nontargets and spoofs are all needed: found no {name} scores")
        vectors.append(scores)
    return vectors


def _a_dcf_curve(
    target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: TandemCosts
) -> tuple[Floats, Floats]:
    """Return the distinct scores and infinity, rising, and the a-DCF at each before normalisation."""
    target_A, nontarget_A, spoof_A = _three(target, nontarget, spoof)
    terms = a_dcf_terms(costs)
    thresholds = np.append(np.unique(np.concatenate([target_A, nontarget_A, spoof_A])), np.inf)
    rejected, impostors, spoofs = (_below(scores, thresholds) for scores in (target_A, nontarget_A, spoof_A))
    return thresholds, terms.miss * rejected + terms.impostor * (1 - impostors) + terms.spoof * (1 - spoofs)


def _labelled(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Return the scores of both classes in one vector, and their labels."""
    return np.concatenate([positive, negative]), np.repeat([1.0, 0.0], [len(positive), len(negative)])


def _below(scores: Floats, thresholds: Floats) -> Floats:
    """Return the fraction of the scores below each threshold."""
    return np.searchsorted(np.sort(scores), thresholds) / len(scores)
