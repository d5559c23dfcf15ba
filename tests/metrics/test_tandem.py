"""t-DCF, a-DCF and SASV-EER against the vectors, published score files and sums over all thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.detection_cases import (
    VECTOR_TOLERANCE,
    asv_scores,
    joined,
    needs_scores,
    needs_vectors,
    published,
    random_trials,
    trials,
    trials_of,
    vectors,
)
from voxbench.metrics import UndefinedError
from voxbench.metrics.detection import (
    A_DCF_1,
    ASVSPOOF2019_LA,
    ASVSPOOF_COSTS,
    AsvRates,
    TandemCosts,
    a_dcf,
    asv_rates,
    eer,
    eer_threshold,
    min_dcf,
    min_tdcf,
    operating_points,
    sasv_eer,
    tdcf_constants,
)
from voxbench.schema import InputError

VERSIONS = ("legacy", "revised")
EVAL = ASVSPOOF2019_LA["eval"]
BOTH = pytest.mark.parametrize("version", VERSIONS)
THREE = ([2.0, 3.0, 4.0, 5.0], [-2.0, -1.0, 0.0, 1.0], [2.5, 0.0, -1.0, -2.0])


def check_asv(expected, target, nontarget, spoof):
    scores, labels = joined(target, nontarget)
    assert eer(scores, labels, "asvspoof") == pytest.approx(expected["asv_eer"], abs=VECTOR_TOLERANCE)
    assert eer_threshold(scores, labels, "asvspoof") == pytest.approx(expected["asv_threshold"], abs=VECTOR_TOLERANCE)
    found, names = asv_rates(target, nontarget, spoof), {"p_miss": "Pmiss_asv", "p_fa": "Pfa_asv"}
    for field, name in (names | {"p_fa_spoof": "Pfa_spoof_asv"}).items():
        assert getattr(found, field) == pytest.approx(expected[name], abs=VECTOR_TOLERANCE), name
    assert 1 - found.p_fa_spoof == pytest.approx(expected["Pmiss_spoof_asv"], abs=VECTOR_TOLERANCE)
    legacy, revised = (tdcf_constants(target, nontarget, spoof, version=version) for version in VERSIONS)
    assert legacy == pytest.approx((0, expected["legacy_C1"], expected["legacy_C2"]), abs=VECTOR_TOLERANCE)
    constants = [expected[f"rev_C{number}"] for number in range(3)]
    assert list(revised) == pytest.approx(constants, abs=VECTOR_TOLERANCE)


@needs_vectors
def test_the_shared_tdcf_vectors():
    for name, vector in vectors("tdcf").items():
        asv = [vector["inputs"]["asv"][key] for key in ("target", "nontarget", "spoof")]
        scores, labels = trials_of(vector)
        check_asv(vector["expected"], *asv)
        for version in VERSIONS:
            if "error" in vector["expected"]:
                with pytest.raises(InputError, match="2 distinct CM scores"):
                    min_tdcf(scores, labels, *asv, version=version)
                continue
            found = min_tdcf(scores, labels, *asv, version=version)
            assert found == pytest.approx(vector["expected"][f"min_tdcf_{version}"], abs=VECTOR_TOLERANCE), name
            assert min_tdcf(scores, labels, asv_rates(*asv), version=version) == found
            cm_eer = vector["expected"]["cm_eer"]
            assert eer(scores, labels, "asvspoof") == pytest.approx(cm_eer, abs=VECTOR_TOLERANCE)


@needs_vectors
@needs_scores
def test_the_constants_of_the_organisers_asv_system():
    for name, vector in vectors("tdcf_coefficients").items():
        part = "dev" if "_dev_" in name else "eval"
        asv = asv_scores(part)
        sizes = [vector["inputs"][f"n_{key}"] for key in ("target", "nontarget", "spoof")]
        assert [len(each) for each in asv] == sizes
        check_asv(vector["expected"], *asv)
        scores, labels = trials_of(vector)
        for version in VERSIONS:
            expected = pytest.approx(vector["expected"][f"min_tdcf_{version}"], abs=VECTOR_TOLERANCE)
            assert min_tdcf(scores, labels, *asv, version=version) == expected
            assert min_tdcf(scores, labels, ASVSPOOF2019_LA[part], version=version) == expected


@needs_scores
@pytest.mark.parametrize("part", ASVSPOOF2019_LA)
def test_the_published_constants_are_those_of_the_score_files(part):
    assert asv_rates(*asv_scores(part)) == ASVSPOOF2019_LA[part]


@needs_scores
@pytest.mark.parametrize(
    ("name", "legacy", "revised"),
    [
        ("air_softmax_asvspoof2019_la_eval.txt", 0.120837, 0.175989),
        ("air2021_ecapa_ctsf_asvspoof2019_la_dev.txt", 0.007778, 0.069322),
        ("air2021_ecapa_ctsf_asvspoof2019_la_eval.txt", 0.112315, 0.168002),
    ],
)
def test_published_score_files_give_their_published_tdcf(name, legacy, revised):
    points = operating_points(*published(name))
    asv = ASVSPOOF2019_LA["dev" if "_dev" in name else "eval"]
    assert min_tdcf(points, None, asv, version="legacy") == pytest.approx(legacy, abs=5.1e-7)
    assert min_tdcf(points, None, asv, version="revised") == pytest.approx(revised, abs=5.1e-7)


@BOTH
@given(drawn=trials(), asv=st.builds(AsvRates, st.floats(0, 0.8), st.floats(0, 0.9), st.floats(0.01, 1)))
def test_bounds_order_and_rising_maps(version, drawn, asv):
    scores, labels = drawn
    if len(np.unique(scores)) < 3:
        with pytest.raises(InputError, match="not decisions"):
            min_tdcf(scores, labels, asv, version=version)
        return
    found = min_tdcf(scores, labels, asv, version=version)
    c0, c1, c2 = tdcf_constants(asv, version=version)
    assert c0 / (c0 + min(c1, c2)) <= found + 1e-12
    assert found <= 1 + 1e-12
    assert min_tdcf(scores[::-1], labels[::-1], asv, version=version) == found
    place = np.unique(scores, return_inverse=True)[1]
    assert min_tdcf(2.0**place, labels, asv, version=version) == found
    assert min_tdcf(operating_points(scores, labels), None, asv, version=version) == found


def test_a_perfect_countermeasure_costs_what_the_asv_system_does():
    scores, labels = joined([2.0, 3.0], [0.0, 1.0])
    assert min_tdcf(scores, labels, EVAL, version="legacy") == 0
    assert min_tdcf(scores, labels, EVAL, version="revised") == pytest.approx(0.06273, abs=5e-6)


@BOTH
def test_an_asv_system_without_a_tdcf_is_undefined(version):
    scores, labels = joined([2.0, 3.0], [0.0, 1.0])
    for asv in (AsvRates(1.0, 0.5, 0.5), AsvRates(0.95, 1.0, 0.5)):
        with pytest.raises(UndefinedError, match="accepts some targets"):
            min_tdcf(scores, labels, asv, version=version)
    with pytest.raises(UndefinedError, match="0 nontargets"):
        min_tdcf([0.1, 0.2, 0.3], [1, 1, 1], EVAL, version=version)


def test_scores_on_the_asv_threshold_are_accepted():
    # The EER's curve has rejected the 1 of the nontargets; the rates at that threshold accept it, and the spoof of 1.
    assert asv_rates([2.0, 3.0], [0.0, 1.0], [1.0, 0.5]) == AsvRates(0.0, 0.5, 0.5)


def test_an_asv_system_that_no_spoof_passes_has_no_legacy_tdcf():
    # C2 is 0, so accepting everything costs nothing and nothing can be divided by it; the ASV's own errors remain.
    asv, (scores, labels) = AsvRates(0.1, 0.1, 0.0), joined([2.0, 3.0], [0.0, 1.0])
    with pytest.raises(UndefinedError, match="accepts some targets and spoofs"):
        min_tdcf(scores, labels, asv, version="legacy")
    assert min_tdcf(scores, labels, asv, version="revised") == 1


def test_wrong_asv_arguments_are_refused():
    scores, labels = joined([2.0, 3.0], [0.0, 1.0])
    for asv in ((), ([1.0], [0.0]), (EVAL, EVAL), (EVAL, [1.0], [0.0])):
        with pytest.raises(InputError, match=f"three vectors of ASV scores .* found {len(asv)}"):
            min_tdcf(scores, labels, *asv, version="legacy")
    with pytest.raises(InputError, match=r"'legcy' \(did you mean 'legacy'\?\)"):
        min_tdcf(scores, labels, EVAL, version="legcy")
    with pytest.raises(InputError, match="are they percent"):
        AsvRates(2.46, 2.46, 76.0)
    with pytest.raises(InputError, match="fractions"):
        AsvRates(float("nan"), 0.1, 0.1)


def test_a_dcf_by_hand():
    # At 2: no miss, no impostor, one spoof of four; above 2.5: one target of four missed, nothing accepted.
    target, nontarget, spoof = THREE
    spoofs_accepted = 0.05 * 20 / 4 / min(0.9, 0.05 * 10 + 0.05 * 20)
    assert a_dcf(target, nontarget, spoof, A_DCF_1) == pytest.approx(min(spoofs_accepted, 0.25))
    spoofs_accepted = 0.05 * 10 / 4 / min(0.9405, 0.0095 * 10 + 0.05 * 10)
    assert a_dcf(target, nontarget, spoof, ASVSPOOF_COSTS) == pytest.approx(spoofs_accepted)
    assert spoofs_accepted < 0.25


def test_a_dcf_against_sums_over_all_thresholds():
    rng = np.random.default_rng(8)
    for _ in range(300):
        target, nontarget, spoof = (rng.integers(0, 6, rng.integers(1, 9)) + shift for shift in (1, 0, 0.5))
        prior = rng.dirichlet([1, 1, 1])
        costs = TandemCosts(*prior, *rng.uniform(0.1, 20, 3))
        weights = np.array([prior[0] * costs.c_miss, prior[1] * costs.c_fa, prior[2] * costs.c_fa_spoof])
        errors = [
            [np.mean(target < at), np.mean(nontarget >= at), np.mean(spoof >= at)]
            for at in [*target, *nontarget, *spoof, np.inf]
        ]
        expected = min(np.array(errors) @ weights) / min(weights[0], weights[1] + weights[2])
        found = a_dcf(target, nontarget, spoof, costs)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert 0 <= found <= 1 + 1e-12
        assert a_dcf(*(np.exp(each)[::-1] for each in (target, nontarget, spoof)), costs) == pytest.approx(found)


def test_a_dcf_without_spoofs_or_impostors_is_the_detection_cost():
    for scores, labels in random_trials(100):
        target, other = scores[labels == 1], scores[labels == 0]
        expected = pytest.approx(min_dcf(scores, labels, 0.1, 1, 10), abs=1e-12)
        assert a_dcf(target, other, [99.0], TandemCosts(0.1, 0.9, 0, 1, 10, 20)) == expected
        assert a_dcf(target, [99.0], other, TandemCosts(0.1, 0, 0.9, 1, 20, 10)) == expected


def test_sasv_eer_pools_impostors_and_spoofs():
    target, nontarget, spoof = THREE
    # One of the eight others lies above the lowest target: the line from (0, 1/8) to (1/4, 1/8) crosses at 1/8.
    assert sasv_eer(*THREE) == 0.125
    assert sasv_eer(*THREE, method="asvspoof") == eer(*joined(target, nontarget + spoof), "asvspoof")
    assert sasv_eer(target, spoof, nontarget) == sasv_eer(*THREE)
    assert sasv_eer(target, nontarget, nontarget) == eer(*joined(target, nontarget)) == 0


@pytest.mark.parametrize("empty", range(3))
def test_a_missing_class_is_undefined_and_unsound_scores_are_refused(empty):
    for function, more in ((a_dcf, (A_DCF_1,)), (sasv_eer, ()), (asv_rates, ())):
        for bad, error, reason in (
            ([], UndefinedError, "found no (target|nontarget|spoof) scores"),
            ([np.nan], InputError, "1 of 1 NaN"),
            ([[1.0]], InputError, "must be a vector"),
        ):
            scores = [bad if place == empty else values for place, values in enumerate(THREE)]
            with pytest.raises(error, match=reason):
                function(*scores, *more)


def test_unsound_costs_are_refused():
    with pytest.raises(InputError, match="must be 1, found"):
        replace(A_DCF_1, p_target=0.95)
    with pytest.raises(InputError, match="not negative"):
        replace(A_DCF_1, c_fa=-1)
    with pytest.raises(UndefinedError, match="costs nothing"):
        a_dcf(*THREE, TandemCosts(0.9, 0.05, 0.05, 0, 10, 20))
