"""One score of two: fusion, sum and cascade by hand, and weighted costs against the plain ones on repeated trials."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.metrics import UndefinedError
from voxbench.metrics.equal_error import eer
from voxbench.metrics.spoofing_aware import (
    KEYS,
    NONTARGET,
    REJECTED,
    SPOOF,
    TARGET,
    cascaded,
    contrasts,
    fused,
    spoof_share,
    summed,
    weighted_min_a_dcf,
    weighted_min_tdcf,
)
from voxbench.metrics.tandem import (
    A_DCF_1,
    ASVSPOOF_COSTS,
    TandemCosts,
    a_dcf,
    a_dcf_terms,
    a_dcf_threshold,
    asv_rates,
    min_tdcf,
    sasv_eer,
)
from voxbench.metrics.weighted_detection import weighted_eer, weighted_trials
from voxbench.schema import InputError

RATIOS = st.floats(-30, 30)
ONE_CLASS_FREE = TandemCosts(p_target=0.9, p_nontarget=0.1, p_spoof=0.0, c_miss=1, c_fa=1, c_fa_spoof=1)


def test_the_fusion_is_the_ratio_to_the_mixture():
    """Ratios of 4 and 1/2: the target is as likely as 1 against 0.25 impostor and 2 spoof, mixed by a fifth."""
    mixture = 0.8 * 0.25 + 0.2 * 2
    assert fused([math.log(4)], [math.log(0.5)], 0.2) == pytest.approx([-math.log(mixture)])


@given(RATIOS, RATIOS, st.floats(0.01, 0.99))
def test_the_fusion_is_near_the_smaller_ratio_and_rises_with_both(asv, cm, share):
    (one,) = fused([asv], [cm], share)
    assert min(asv, cm) - 1e-9 <= one <= min(asv - math.log(1 - share), cm - math.log(share)) + 1e-9
    assert fused([asv + 1], [cm], share)[0] >= one
    assert fused([asv], [cm + 1], share)[0] >= one


def test_of_equal_ratios_the_fusion_is_that_ratio_and_large_ones_do_not_overflow():
    assert fused([900.0, -900.0], [900.0, -900.0], 0.3) == pytest.approx([900.0, -900.0])


def test_the_share_of_spoofs_weighs_priors_by_costs():
    assert spoof_share(ASVSPOOF_COSTS) == pytest.approx(0.05 / 0.0595)
    assert spoof_share(A_DCF_1) == pytest.approx(1 / 1.5)
    with pytest.raises(UndefinedError, match="impostors and spoofs that cost something"):
        spoof_share(ONE_CLASS_FREE)


def test_a_cascade_keeps_the_ratio_of_what_passes():
    assert cascaded([1.0, 2.0, 3.0], [0.0, -0.1, 9.0], 0.0).tolist() == [1.0, REJECTED, 3.0]
    assert REJECTED < -1e300
    assert math.isfinite(REJECTED)


def test_the_fusion_at_the_bayes_threshold_is_the_least_cost_of_discrete_evidence():
    """Three kinds, four evidences whose likelihoods are known: no set of accepted evidences costs less."""
    likelihoods_3E = np.array([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4], [0.05, 0.25, 0.6, 0.1]])
    terms = a_dcf_terms(A_DCF_1)
    asv, cm = (np.log(likelihoods_3E[TARGET] / likelihoods_3E[kind]) for kind in (NONTARGET, SPOOF))
    threshold = math.log((terms.impostor + terms.spoof) / terms.miss)
    chosen = fused(asv, cm, spoof_share(A_DCF_1)) >= threshold

    def cost(accepted_E):
        target, nontarget, spoof = likelihoods_3E @ accepted_E
        return terms.miss * (1 - target) + terms.impostor * nontarget + terms.spoof * spoof

    every = [np.array([bool(number >> place & 1) for place in range(4)]) for number in range(16)]
    assert cost(chosen) == pytest.approx(min(map(cost, every)))
    assert 0 < chosen.sum() < 4


@pytest.mark.parametrize("call", [lambda: fused([1.0], [1.0, 2.0], 0.5), lambda: summed([1.0], [[1.0]])])
def test_ratios_of_two_shapes_are_refused(call):
    with pytest.raises(InputError, match="each trial has two ratios"):
        call()


def test_what_is_no_share_and_no_number_is_refused():
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        fused([1.0], [1.0], 1.0)
    with pytest.raises(InputError, match="CM ratios must be finite"):
        cascaded([1.0], [math.nan], 0.0)


def trials(seed, size=60):
    """Return tied scores, kinds with each of the three, and whole weights of three resamples."""
    numbers = np.random.default_rng(seed)
    key_N = np.append(np.arange(3), numbers.integers(0, 3, size - 3))
    scores_N = np.round(numbers.normal(np.choose(key_N, [1.5, -1.0, 0.5])), 1)
    order = np.argsort(-scores_N, kind="stable")
    return scores_N[order], key_N[order], numbers.integers(1, 4, (size, 3)).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_costs_are_those_of_repeated_trials(seed):
    scores_N, key_N, weights_NR = trials(seed)
    found = contrasts(scores_N, key_N, weights_NR)
    costs = weighted_min_a_dcf(found, a_dcf_terms(A_DCF_1))
    for place, weights_N in enumerate(weights_NR.T.astype(int)):
        parts = [np.repeat(scores_N[key_N == kind], weights_N[key_N == kind]) for kind in range(len(KEYS))]
        assert costs[place] == pytest.approx(a_dcf(*parts, A_DCF_1), abs=1e-12)
        assert weighted_eer(found.both)[place] == pytest.approx(sasv_eer(*parts), abs=1e-12)
        for contrast, other in ((found.impostors, NONTARGET), (found.spoofs, SPOOF)):
            pair = np.concatenate([parts[TARGET], parts[other]])
            labels = np.repeat([1, 0], [len(parts[TARGET]), len(parts[other])])
            assert weighted_eer(contrast)[place] == pytest.approx(eer(pair, labels), abs=1e-12)


@pytest.mark.parametrize("version", ["legacy", "revised"])
def test_the_weighted_tandem_cost_is_that_of_the_scores(version):
    scores_N, key_N, _ = trials(7)
    rates = asv_rates(*(scores_N[key_N == kind] for kind in range(3)))
    cm_U, is_bonafide_U = scores_N[::-1][::2], (key_N[::-1] != SPOOF)[::2]
    order = np.argsort(-cm_U, kind="stable")
    weighted = weighted_trials(cm_U[order], is_bonafide_U[order], np.ones((len(cm_U), 2)))
    rates_3R = np.array([[rates.p_miss, rates.p_fa, rates.p_fa_spoof], [np.nan, 0.1, 0.1]]).T
    found = weighted_min_tdcf(weighted, rates_3R, version)
    assert found[0] == pytest.approx(min_tdcf(cm_U, is_bonafide_U.astype(int), rates, version=version))
    assert np.isnan(found[1])


def test_a_tandem_without_spoofs_that_pass_is_undefined_on_that_resample():
    weighted = weighted_trials(np.array([2.0, 1.0, 0.0]), np.array([True, True, False]), np.ones((3, 1)))
    assert np.isnan(weighted_min_tdcf(weighted, np.array([[0.1], [0.1], [0.0]]), "legacy")).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_of_least_cost_reaches_it_and_is_the_highest_that_does(seed):
    scores_N, key_N, _ = trials(seed)
    parts = [scores_N[key_N == kind] for kind in range(3)]
    terms, threshold = a_dcf_terms(A_DCF_1), a_dcf_threshold(*parts, A_DCF_1)

    def cost(at):
        target, nontarget, spoof = ((part >= at).mean() for part in parts)
        return (terms.miss * (1 - target) + terms.impostor * nontarget + terms.spoof * spoof) / terms.cheaper

    assert cost(threshold) == pytest.approx(a_dcf(*parts, A_DCF_1))
    above = [cost(score) for score in np.unique(scores_N) if score > threshold]
    assert all(each > cost(threshold) + 1e-12 for each in above)


def test_rejecting_everything_has_a_finite_threshold():
    threshold = a_dcf_threshold([0.0], [1.0, 1.0], [1.0], A_DCF_1)
    assert 1.0 < threshold < 1.0 + 1e-12


def test_of_equal_costs_the_highest_threshold_is_taken():
    """At 1 the impostor is accepted, at 3 the lower target missed: a quarter either way."""
    costs = TandemCosts(p_target=0.5, p_nontarget=0.25, p_spoof=0.25, c_miss=1, c_fa=1, c_fa_spoof=1)
    assert a_dcf_threshold([1.0, 3.0], [2.0], [0.0], costs) == 3.0
