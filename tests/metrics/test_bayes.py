"""Detection cost, Cllr and isotonic recalibration against the vectors, sums over thresholds, scikit-learn and scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from sklearn import metrics as reference

from metrics.detection_cases import (
    VECTOR_TOLERANCE,
    joined,
    needs_scores,
    needs_vectors,
    published,
    random_trials,
    rates,
    trials,
    trials_of,
    vectors,
)
from voxbench.metrics import operating_points as module
from voxbench.metrics.bayes import bayes_threshold
from voxbench.metrics.detection import act_dcf, cllr, eer, isotonic_llrs, min_cllr, min_dcf, operating_points, pav
from voxbench.metrics.operating_points import OperatingPoints, hull_vertices
from voxbench.schema import InputError

COSTS = {"p0.01_cm1_cf1": (0.01, 1, 1), "p0.05_cm1_cf1": (0.05, 1, 1), "p0.5_cm1_cf1": (0.5, 1, 1)}
COSTS["p0.01_cm10_cf1"] = (0.01, 10, 1)


@needs_vectors
def test_the_shared_cost_vectors():
    for metric, function in (("mindcf", min_dcf), ("actdcf", act_dcf)):
        for name, vector in vectors(metric).items():
            assert set(vector["expected"]) == set(COSTS)
            for key, expected in vector["expected"].items():
                found = function(*trials_of(vector), *COSTS[key])
                assert found == pytest.approx(expected["canonical"], abs=VECTOR_TOLERANCE), (name, key)
                if metric == "actdcf":
                    assert bayes_threshold(*COSTS[key]) == pytest.approx(expected["threshold"], abs=VECTOR_TOLERANCE)


@needs_vectors
def test_the_shared_cllr_vectors():
    for name, vector in vectors("cllr").items():
        points, expected = operating_points(*trials_of(vector)), vector["expected"]
        assert cllr(points) == pytest.approx(expected["cllr"], abs=VECTOR_TOLERANCE), name
        assert min_cllr(points) == pytest.approx(expected["mincllr"], abs=VECTOR_TOLERANCE), name


@needs_vectors
def test_the_shared_pav_vectors():
    for name, vector in vectors("pav").items():
        points, expected = operating_points(*trials_of(vector)), vector["expected"]
        blocks, vertices = pav(points), hull_vertices(points)
        assert np.column_stack([blocks.low, blocks.high]).tolist() == expected["bin_low_high"], name
        assert blocks.targets.tolist() == expected["targets"]
        assert blocks.nontargets.tolist() == expected["nontargets"]
        assert blocks.llr == pytest.approx([float(llr) for llr in expected["llr"]], abs=VECTOR_TOLERANCE)
        assert points.p_miss[vertices] == pytest.approx(expected["rocch_pmiss"], abs=VECTOR_TOLERANCE)
        assert points.p_fa[vertices] == pytest.approx(expected["rocch_pfa"], abs=VECTOR_TOLERANCE)


def test_cases_by_hand():
    scores, labels = joined([2.0, 4.0], [-1.0, 3.0])
    # At 4: half the targets missed, none accepted; at 2: none missed, half the nontargets accepted.
    assert min_dcf(scores, labels, 0.01) == 0.5
    assert min_dcf(scores, labels, 0.5, c_fa=3) == 0.5
    assert act_dcf(scores, labels, 0.5) == 0.5
    # The threshold is ln 99 = 4.6, above all; with a miss at 99 it is 0.
    assert act_dcf(scores, labels, 0.01) == 1.0
    assert act_dcf(scores, labels, 0.01, c_miss=99) == 0.5
    terms = [math.log2(1 + math.exp(x)) for x in (-2.0, -4.0, -1.0, 3.0)]
    assert cllr(scores, labels) == pytest.approx(sum(terms) / 4)
    # Blocks: {-1}, {2, 3} with one trial of each class and so LLR 0, {4}.
    assert min_cllr(scores, labels) == pytest.approx(0.5)
    assert isotonic_llrs(scores, labels).tolist() == [0.0, math.inf, -math.inf, 0.0]
    assert cllr(*joined([-5.0], [5.0])) == pytest.approx(7.223163, abs=5e-7)


@pytest.mark.parametrize(("c_miss", "c_fa"), [(1, 1), (10, 1), (1, 7)])
def test_small_sets_against_sums_over_all_thresholds(c_miss, c_fa):
    for (scores, labels), p in zip(random_trials(1000), np.random.default_rng(0).uniform(size=1000), strict=True):
        cost = {at: c_miss * p * miss + c_fa * (1 - p) * fa for at, miss, fa in rates(scores, labels)}
        default = min(c_miss * p, c_fa * (1 - p))
        assert min_dcf(scores, labels, p, c_miss, c_fa) == pytest.approx(min(cost.values()) / default, rel=1e-12)
        fixed = math.log(c_fa * (1 - p) / (c_miss * p))
        actual = next(cost[at] for at in cost if at >= fixed)
        assert act_dcf(scores, labels, p, c_miss, c_fa) == pytest.approx(actual / default, rel=1e-12)


def test_a_score_on_the_bayes_threshold_is_accepted():
    threshold = bayes_threshold(0.3, 2, 5)
    assert act_dcf(*joined([threshold], [threshold - 1]), 0.3, 2, 5) == 0
    assert act_dcf(*joined([np.nextafter(threshold, -1)], [threshold - 1]), 0.3, 2, 5) == pytest.approx(1.0)


def isotonic_posteriors(scores, labels):
    place = np.unique(scores, return_inverse=True)[1]
    weights = np.bincount(place)
    return isotonic_regression(np.bincount(place, weights=labels) / weights, weights=weights).x[place]


@pytest.mark.parametrize("rows", [12, 300, 20_000])
def test_scipy_and_scikit_learn_agree(rows, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 5 if rows < 1000 else 1000)
    rng = np.random.default_rng(rows)
    labels = np.r_[1, 0, rng.integers(0, 2, rows - 2)]
    scores = rng.normal(size=rows).round(2) * 2 + labels
    weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (rows - labels.sum()))
    expected = reference.log_loss(labels, 1 / (1 + np.exp(-scores)), sample_weight=weights) / math.log(2)
    assert cllr(scores, labels) == pytest.approx(expected, rel=1e-12)

    posterior = isotonic_posteriors(scores, labels)
    with np.errstate(divide="ignore"):
        llrs = np.log(posterior / (1 - posterior)) - math.log(labels.sum() / (rows - labels.sum()))
    assert isotonic_llrs(scores, labels) == pytest.approx(llrs, abs=1e-9)
    target, nontarget = llrs[labels == 1], llrs[labels == 0]
    expected = (np.log2(1 + np.exp(-target)).mean() + np.log2(1 + np.exp(nontarget)).mean()) / 2
    assert min_cllr(scores, labels) == pytest.approx(expected, rel=1e-9)


@given(drawn=trials())
def test_scipy_agrees_on_small_sets(drawn):
    scores, labels = drawn
    posterior = isotonic_posteriors(scores, labels)
    odds = np.exp(isotonic_llrs(scores, labels)) * labels.sum() / (1 - labels).sum()
    assert np.where(np.isinf(odds), 1, odds / (1 + np.where(np.isinf(odds), 0, odds))) == pytest.approx(
        posterior, abs=1e-12
    )


@given(drawn=trials(), p=st.floats(0.001, 0.999), c_miss=st.floats(0.1, 20), c_fa=st.floats(0.1, 20))
def test_bounds_and_symmetry(drawn, p, c_miss, c_fa):
    scores, labels = drawn
    points = operating_points(scores, labels)
    least = min_dcf(points, None, p, c_miss, c_fa)
    assert 0 <= least <= 1
    assert least <= act_dcf(points, None, p, c_miss, c_fa)
    assert min_dcf(-scores, 1 - labels, 1 - p, c_fa, c_miss) == pytest.approx(least, abs=1e-12)
    assert 0 <= min_cllr(points) <= min(cllr(points), 1) + 1e-12
    assert cllr(-scores, 1 - labels) == pytest.approx(cllr(points), rel=1e-12)
    assert min_cllr(-scores, 1 - labels) == pytest.approx(min_cllr(points), abs=1e-12)


@given(drawn=trials())
def test_recalibrated_scores_are_their_own_recalibration(drawn):
    scores, labels = drawn
    llrs = np.clip(isotonic_llrs(scores, labels), -40, 40)
    assert cllr(llrs, labels) == pytest.approx(min_cllr(scores, labels), abs=1e-12)
    assert min_cllr(llrs, labels) == pytest.approx(min_cllr(scores, labels), abs=1e-12)
    assert eer(llrs, labels, "rocch") == pytest.approx(eer(scores, labels, "rocch"), abs=1e-12)
    for p in (0.05, 0.5, 0.9):
        assert act_dcf(llrs, labels, p) == pytest.approx(min_dcf(scores, labels, p), abs=1e-12)


@given(drawn=trials())
def test_blocks_hold_every_trial_once_and_rise(drawn):
    scores, labels = drawn
    blocks = pav(scores, labels)
    inside = (scores[:, None] >= blocks.low) & (scores[:, None] <= blocks.high)
    assert (inside.sum(axis=1) == 1).all()
    assert (labels @ inside).tolist() == blocks.targets.tolist()
    assert ((1 - labels) @ inside).tolist() == blocks.nontargets.tolist()
    assert (np.diff(blocks.llr[np.isfinite(blocks.llr)]) > 0).all()
    assert not np.isinf(blocks.llr[1:-1]).any()


@pytest.mark.parametrize("arc", [1, 2, 3, 8, 40, 900])
@pytest.mark.parametrize("bent", [1, -1])
def test_the_hull_of_many_arcs(arc, bent, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 64)
    # Every point inside an arc that is bent towards the hull looks like a vertex to its neighbours.
    steps = np.arange(1, arc + 1)[::bent]
    misses = np.append(0, np.cumsum(np.tile(steps, 4000 // arc)))
    accepted = misses[-1] - np.append(0, np.cumsum(np.tile(steps[::-1], 4000 // arc)))
    points = OperatingPoints(np.arange(len(misses)) * 1.0, misses, accepted, int(misses[-1]), int(misses[-1]))
    assert hull_vertices(points).tolist() == steepest_falls(misses.tolist(), accepted.tolist())


def steepest_falls(x, y):
    """Return the lower hull by looking, from each vertex, for the steepest fall: O(points x vertices)."""
    at, found = 0, [0]
    while at < len(x) - 1:
        slopes = [((y[i] - y[at]) / (x[i] - x[at]) if x[i] > x[at] else -math.inf, -i) for i in range(at + 1, len(x))]
        at = -min(slopes)[1]
        found.append(at)
    return found


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_priors_and_costs_out_of_range_are_refused(value):
    for function in (min_dcf, act_dcf):
        with pytest.raises(InputError, match="p_target must lie between 0 and 1"):
            function([0.1, 0.2], [0, 1], value)
        with pytest.raises(InputError, match="costs must be positive and finite"):
            function([0.1, 0.2], [0, 1], 0.5, -abs(value))
        with pytest.raises(InputError, match="costs must be positive and finite"):
            function([0.1, 0.2], [0, 1], 0.5, 1, math.inf)


def test_huge_scores_neither_overflow_nor_lose_small_terms():
    assert cllr(*joined([1e300], [-1e300])) == 0
    assert cllr(*joined([-1000.0], [1000.0])) == pytest.approx(1000 / math.log(2))
    assert cllr(*joined([50.0], [-50.0])) == pytest.approx(math.exp(-50) / math.log(2), rel=1e-9, abs=0)


@needs_scores
def test_published_scores_between_isotonic_and_none():
    scores, labels = published("air2021_ecapa_ctsf_asvspoof2019_la_dev.txt")
    points = operating_points(scores, labels)
    posterior = isotonic_posteriors(scores, labels)
    balanced = posterior / labels.mean() / (posterior / labels.mean() + (1 - posterior) / (1 - labels.mean()))
    with np.errstate(divide="ignore"):
        bits = -(np.log2(balanced[labels == 1]).mean() + np.log2(1 - balanced[labels == 0]).mean()) / 2
    assert min_cllr(points) == pytest.approx(bits, rel=1e-9)
    assert 0.005 < min_cllr(points) < 0.02 < cllr(points)
