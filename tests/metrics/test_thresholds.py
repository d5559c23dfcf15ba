"""Threshold policies against a search over every threshold, ties and rates that cannot be had."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from voxbench.metrics import UndefinedError
from voxbench.metrics.detection import bayes_threshold, eer_threshold
from voxbench.metrics.thresholds import Bayes, EerPoint, FixedFar, Threshold, decide, fit, policy_from, threshold_from
from voxbench.schema import InputError

EQUAL_COSTS = Bayes(p_target=0.5, c_miss=1, c_fa=1)
POLICIES = [EerPoint(), EQUAL_COSTS, Bayes(p_target=0.01, c_miss=1, c_fa=10), FixedFar(rate=0), FixedFar(rate=0.25)]
EACH = pytest.mark.parametrize("policy", POLICIES, ids=str)
TRIALS = st.tuples(
    st.lists(st.integers(-5, 5), min_size=1, max_size=25), st.lists(st.integers(-5, 5), min_size=1, max_size=25)
)


def trials(targets, nontargets):
    return np.array([*targets, *nontargets], dtype=float), np.array([1] * len(targets) + [0] * len(nontargets))


def rates(scores, labels, threshold):
    """Miss and false-alarm rate, trial by trial."""
    accepted = [score >= threshold for score in scores]
    missed = sum(not a for a, label in zip(accepted, labels, strict=True) if label == 1)
    alarms = sum(a for a, label in zip(accepted, labels, strict=True) if label == 0)
    return missed / sum(labels == 1), alarms / sum(labels == 0)


def candidates(scores):
    return [*sorted(set(scores.tolist())), math.nextafter(max(scores), math.inf)]


@EACH
@given(TRIALS)
def test_the_rates_reached_are_those_of_the_decisions(policy, sides):
    scores, labels = trials(*sides)
    found = fit(policy, scores, labels)
    assert (found.targets, found.nontargets) == tuple(map(len, sides))
    assert (found.p_miss, found.p_fa) == rates(scores, labels, found.value)
    accepted = decide(scores, found)
    assert accepted.dtype == bool
    assert np.mean(~accepted[labels == 1]) == pytest.approx(found.p_miss)
    assert np.mean(accepted[labels == 0]) == pytest.approx(found.p_fa)


@given(TRIALS)
def test_the_eer_point_is_the_closest_of_all(sides):
    scores, labels = trials(*sides)

    def key(threshold):
        p_miss, p_fa = rates(scores, labels, threshold)
        targets, nontargets = map(len, sides)
        misses, alarms = round(p_miss * targets) * nontargets, round(p_fa * nontargets) * targets
        return abs(misses - alarms), misses + alarms, -threshold

    assert fit(EerPoint(), scores, labels).value == min(candidates(scores), key=key)


@given(TRIALS, st.sampled_from([0, 0.01, 0.1, 0.25, 0.29, 0.5, 0.99]))
def test_a_fixed_far_is_kept_by_the_lowest_threshold_that_keeps_it(sides, rate):
    scores, labels = trials(*sides)
    kept = [each for each in candidates(scores) if rates(scores, labels, each)[1] <= rate]
    assert fit(FixedFar(rate=rate), scores, labels).value == min(kept)


def test_rates_that_a_float_product_would_miss_are_reached():
    # 0.29 * 100 is 28.999999999999996, and 29 of 100 nontargets are still 0.29.
    scores, labels = trials([200], range(100))
    found = fit(FixedFar(rate=0.29), scores, labels)
    assert (found.value, found.p_fa) == (71, 0.29)


def test_a_rate_out_of_reach_gives_no_false_alarm():
    scores, labels = trials([1, 5], [2, 2, 2, 4])
    found = fit(FixedFar(rate=0.1), scores, labels)
    assert (found.value, found.p_fa, found.p_miss, found.nontargets) == (5, 0, 0.5, 4)
    # Three tied nontargets stand or fall together: a rate of one half gives a quarter.
    assert fit(FixedFar(rate=0.5), scores, labels).p_fa == 0.25
    top = fit(FixedFar(rate=0.1), *trials([1, 4], [2, 4]))
    assert (top.value, top.p_fa, top.p_miss) == (math.nextafter(4, 5), 0, 1)
    assert not decide([4, 3.9], top).any()


def test_ties_and_inverted_scores_at_the_eer_point():
    equal = fit(EerPoint(), [1, 1, 1], [1, 0, 0])
    assert (equal.value, equal.p_miss, equal.p_fa) == (math.nextafter(1, 2), 1, 0)
    inverted = fit(EerPoint(), *trials([1, 2], [3, 4]))
    assert (inverted.value, inverted.p_miss, inverted.p_fa) == (3, 1, 1)
    apart = fit(EerPoint(), *trials([3, 4], [1, 2]))
    assert (apart.value, apart.p_miss, apart.p_fa) == (3, 0, 0)


def test_the_bayes_threshold_is_that_of_the_costs():
    scores, labels = trials([-1, 0, 5], [-5, 0, 0.5])
    found = fit(EQUAL_COSTS, scores, labels)
    assert (found.value, found.p_miss, found.p_fa) == (0, 1 / 3, 2 / 3)
    assert fit(Bayes(p_target=0.05, c_miss=1, c_fa=1), scores, labels).value == pytest.approx(2.944439, abs=1e-6)
    assert fit(Bayes(p_target=0.01, c_miss=10, c_fa=2), scores, labels).value == pytest.approx(math.log(0.2 * 99))


def test_the_policy_and_the_curve_differ_where_two_points_are_equally_near():
    # At 2 half the targets are missed and the nontarget accepted, at 3 half are missed and none is accepted.
    scores, labels = [0, 2, 3], [1, 0, 1]
    assert (eer_threshold(scores, labels), fit(EerPoint(), scores, labels).value) == (2, 3)
    # One score: the curve has its point, the policy rejects everything.
    assert (eer_threshold([1, 1], [1, 0]), fit(EerPoint(), [1, 1], [1, 0]).value) == (1, math.nextafter(1, 2))


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_bayes_policy_is_the_threshold_of_the_actual_cost_to_the_last_digit(p_target, c_miss, c_fa):
    found = fit(Bayes(p_target=p_target, c_miss=c_miss, c_fa=c_fa), [0.0, 1.0], [0, 1])
    assert found.value == bayes_threshold(p_target, c_miss, c_fa)


def test_a_bayes_threshold_costs_least_on_true_ratios():
    draws, labels = np.random.default_rng(1), np.arange(200_000) % 2
    llrs = 2 * (draws.normal(size=len(labels)) + 2 * (labels - 0.5))
    policy = Bayes(p_target=0.2, c_miss=3, c_fa=2)
    found = fit(policy, llrs, labels)

    def cost(p_miss, p_fa):
        return 3 * 0.2 * p_miss + 2 * 0.8 * p_fa

    here = cost(found.p_miss, found.p_fa)
    for shift in (-1, -0.5, 0.5, 1):
        moved = found.model_copy(update={"value": found.value + shift})
        accepted = decide(llrs, moved)
        assert here < cost(np.mean(~accepted[labels == 1]), np.mean(accepted[labels == 0]))


@EACH
@given(TRIALS, st.randoms(use_true_random=False))
def test_the_order_and_the_repetition_of_trials_change_nothing(policy, sides, order):
    scores, labels = trials(*sides)
    places = order.sample(range(len(scores)), len(scores))
    found = fit(policy, scores, labels)
    assert fit(policy, scores[places], labels[places]) == found
    twice = fit(policy, np.tile(scores, 2), np.tile(labels, 2))
    assert (twice.value, twice.p_miss, twice.p_fa) == (found.value, found.p_miss, found.p_fa)


@pytest.mark.parametrize("policy", [EerPoint(), FixedFar(rate=0.1)], ids=str)
def test_a_rising_map_moves_the_threshold_along(policy):
    draws = np.random.default_rng(2)
    scores, labels = trials(draws.normal(1, 1, 50), draws.normal(-1, 1, 90))
    found, mapped = fit(policy, scores, labels), fit(policy, np.exp(scores), labels)
    assert mapped.value == pytest.approx(math.exp(found.value))
    assert (mapped.p_miss, mapped.p_fa) == (found.p_miss, found.p_fa)
    half = fit(policy, scores.astype(np.float32), labels.astype(bool))
    assert half.value == np.float32(found.value)


@EACH
def test_records_survive_json(policy):
    found = fit(policy, *trials([1, 2, 3], [0, 1.1, 0.3]))
    assert policy_from(json.loads(policy.model_dump_json())) == policy
    back = threshold_from(json.loads(found.model_dump_json()))
    assert back == found
    assert type(back.policy) is type(policy)
    with pytest.raises(ValidationError, match="frozen"):
        found.value = 0.0


def test_decisions_keep_the_shape_and_refuse_what_is_no_score():
    threshold = fit(EerPoint(), *trials([1], [0]))
    assert decide([[0.9, 1.0]], threshold).tolist() == [[False, True]]
    assert decide(1.0, threshold).tolist() is True
    with pytest.raises(InputError, match="1 of 2 NaN"):
        decide([1.0, float("nan")], threshold)


@EACH
def test_one_class_and_unsound_input_are_refused(policy):
    for label in (0, 1):
        with pytest.raises(UndefinedError, match=f"policy {policy.policy} needs both classes"):
            fit(policy, [1, 2], [label, label])
    for scores, labels, reason in (
        ([1, math.nan], [0, 1], "finite"),
        ([], [], "non-empty"),
        ([1, 2], [0, 1, 1], r"shape \(2,\)"),
        ([1, 2], [0, 2], "found 2 in row 1"),
    ):
        with pytest.raises(InputError, match=reason):
            fit(policy, scores, labels)


GOOD = {"policy": {"policy": "eer_point"}, "value": 1, "targets": 1, "nontargets": 1, "p_miss": 0, "p_fa": 0}
BAD_POLICIES = {
    "unknown": ({"policy": "eer"}, "'eer_point', 'bayes', 'fixed_far'"),
    "no name": ({"rate": 0.1}, "the record"),
    "percent": ({"policy": "fixed_far", "rate": 1}, "rate: .*less than 1"),
    "prior": ({"policy": "bayes", "p_target": 0, "c_miss": 1, "c_fa": 1}, "p_target: .*greater than 0"),
    "no cost": ({"policy": "bayes", "p_target": 0.1, "c_miss": 1}, "c_fa: Field required"),
    "endless cost": ({"policy": "bayes", "p_target": 0.1, "c_miss": math.inf, "c_fa": 1}, "c_miss: .*finite"),
    "unknown key": ({"policy": "eer_point", "rate": 0.1}, "rate: Extra"),
}


@pytest.mark.parametrize(("record", "reason"), BAD_POLICIES.values(), ids=BAD_POLICIES)
def test_a_bad_policy_is_refused_in_one_line(record, reason):
    with pytest.raises(InputError, match=f"no threshold policy: .*{reason}") as refusal:
        policy_from(record)
    assert "\n" not in str(refusal.value)


def test_a_bad_threshold_is_refused():
    assert isinstance(threshold_from(GOOD), Threshold)
    for change, reason in (({"value": math.inf}, "finite"), ({"targets": 0}, "1"), ({"p_fa": 1.5}, "less than")):
        with pytest.raises(InputError, match=f"no threshold: .*{reason}"):
            threshold_from(GOOD | change)
