"""Weighted detection metrics against repeated rows, brute force over thresholds, sklearn and the shared vectors."""

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from voxbench.metrics import UndefinedError, metrics_of
from voxbench.metrics.bayes import act_dcf, cllr, min_dcf
from voxbench.metrics.detection import auc
from voxbench.metrics.equal_error import eer
from voxbench.metrics.weighted_detection import (
    weighted_act_dcf,
    weighted_auc,
    weighted_by_repetition,
    weighted_cllr,
    weighted_eer,
    weighted_false_alarm_rate,
    weighted_min_dcf,
    weighted_miss_rate,
    weighted_trials,
)
from voxbench.schema import InputError, ScoreKind

VECTORS = Path(os.environ.get("VOXBENCH_SHARED", "")) / "vectors" / "metric_vectors.json"
needs_vectors = pytest.mark.skipif(
    not (os.environ.get("VOXBENCH_SHARED") and VECTORS.is_file()),
    reason="VOXBENCH_SHARED names no folder with vectors/metric_vectors.json",
)
METRICS = {
    "eer": weighted_eer,
    "auc": weighted_auc,
    "cllr": weighted_cllr,
    "min_dcf": weighted_min_dcf(0.2, 1, 2),
    "act_dcf": weighted_act_dcf(0.3, 1, 2),
    "p_miss": weighted_miss_rate(1.0),
    "p_fa": weighted_false_alarm_rate(1.0),
}
# Few distinct scores, so that ties and thresholds on a score are common.
TRIAL = st.tuples(st.integers(-3, 3), st.booleans(), st.lists(st.integers(0, 3), min_size=3, max_size=3))


def falling(scores, labels, weights=None):
    """Weighted trials from columns in any order."""
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    weights = np.ones((len(scores), 1)) if weights is None else np.asarray(weights, dtype=float)
    order = np.argsort(-scores, kind="stable")
    return weighted_trials(scores[order], labels[order] == 1, weights[order])


def at_thresholds(scores, labels):
    """(P_miss, P_fa) at every threshold, by counting."""
    target, nontarget = scores[labels == 1], scores[labels == 0]
    cuts = [np.inf, *sorted(set(scores), reverse=True)]
    return [((target < cut).mean(), (nontarget >= cut).mean()) for cut in cuts]


def plain_eer(scores, labels):
    """The crossing of the piecewise linear curve with the diagonal, segment by segment."""
    points = at_thresholds(scores, labels)
    for (miss, fa), (next_miss, next_fa) in pairwise(points):
        if miss >= fa and next_miss <= next_fa:
            share = (miss - fa) / ((miss - fa) - (next_miss - next_fa))
            return miss + share * (next_miss - miss)
    raise AssertionError


def plain_min_dcf(scores, labels):
    return min(0.2 * miss + 1.6 * fa for miss, fa in at_thresholds(scores, labels)) / 0.2


def plain_act_dcf(scores, labels):
    cut = np.log(2 * 0.7 / 0.3)
    return (0.3 * (scores[labels == 1] < cut).mean() + 1.4 * (scores[labels == 0] >= cut).mean()) / 0.3


def plain_cllr(scores, labels):
    costs = np.log2(1 + np.exp(-scores[labels == 1])).mean(), np.log2(1 + np.exp(scores[labels == 0])).mean()
    return sum(costs) / 2


PLAIN = {
    "eer": plain_eer,
    "auc": lambda scores, labels: roc_auc_score(labels, scores),
    "cllr": plain_cllr,
    "min_dcf": plain_min_dcf,
    "act_dcf": plain_act_dcf,
    "p_miss": lambda scores, labels: (scores[labels == 1] < 1).mean(),
    "p_fa": lambda scores, labels: (scores[labels == 0] >= 1).mean(),
}


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=150, deadline=None)
@given(rows=st.lists(TRIAL, min_size=1, max_size=14))
def test_a_weight_is_that_many_equal_rows(name, rows):
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = METRICS[name](falling(scores, labels, weights))
    for value, weight in zip(found, weights.T, strict=True):
        repeated, classes = np.repeat(scores, weight).astype(float), np.repeat(labels, weight)
        needed = {"p_miss": {True}, "p_fa": {False}}.get(name, {True, False})
        if needed <= set(classes.tolist()):
            assert value == pytest.approx(PLAIN[name](repeated, classes), abs=1e-12)
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("name", METRICS)
def test_neither_order_nor_a_common_factor_of_the_weights_counts(name):
    rng = np.random.default_rng(0)
    labels, weights = rng.integers(0, 2, 200), rng.integers(0, 4, (200, 5))
    scores = rng.integers(-4, 6, 200) + 3 * labels
    first, order = METRICS[name](falling(scores, labels, weights)), rng.permutation(200)
    assert first == pytest.approx(METRICS[name](falling(scores[order], labels[order], 7 * weights[order])), rel=1e-12)
    assert len(set(first)) > 1


@pytest.mark.parametrize("name", ["eer", "auc", "min_dcf"])
def test_a_rising_map_of_the_scores_changes_nothing(name):
    rng = np.random.default_rng(1)
    scores, labels, weights = rng.integers(-4, 6, 200), rng.integers(0, 2, 200), rng.integers(0, 4, (200, 5))
    plain, mapped = (METRICS[name](falling(each, labels, weights)) for each in (scores, np.exp(scores / 2) - 9))
    assert plain.tolist() == mapped.tolist()


@pytest.mark.parametrize(
    ("scores", "labels", "eer", "auc", "min_dcf"),
    [
        ([2, 1], [1, 0], 0, 1, 0),
        ([1, 2], [1, 0], 1, 0, 1),
        ([1, 1], [1, 0], 0.5, 0.5, 1),
        # The curve runs (1, 0), (1/2, 0), (1/2, 1), (0, 1): it meets the diagonal on its upright part.
        ([3, 2, 1], [1, 0, 1], 0.5, 0.5, 0.5),
        ([4, 3, 2, 1], [1, 0, 1, 0], 0.5, 0.75, 0.5),
    ],
)
def test_small_tables_by_hand(scores, labels, eer, auc, min_dcf):
    trials = falling(scores, labels)
    found = [metric(trials).tolist() for metric in (weighted_eer, weighted_auc, weighted_min_dcf(0.5, 1, 1))]
    assert found == [[eer], [auc], [min_dcf]]


def expected_of(metric):
    every = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    for vector in (v for v in every if v["metric"] == metric):
        sides = {key.split("_")[0]: np.array(values, dtype=float) for key, values in vector["inputs"].items()}
        target, nontarget = sides["target"], sides["nontarget"]
        labels = np.repeat([1, 0], [len(target), len(nontarget)])
        yield vector["name"], falling(np.concatenate([target, nontarget]), labels), vector["expected"]


@needs_vectors
@pytest.mark.parametrize(
    ("metric", "key", "function"),
    [("eer", "canonical_interpolated", weighted_eer), ("auc", "auc", weighted_auc), ("cllr", "cllr", weighted_cllr)],
)
def test_the_shared_vectors(metric, key, function):
    seen = 0
    for name, trials, expected in expected_of(metric):
        assert function(trials)[0] == pytest.approx(expected[key], rel=2e-6, abs=2e-6), name
        seen += 1
    assert seen > 2


@needs_vectors
@pytest.mark.parametrize(("metric", "factory"), [("mindcf", weighted_min_dcf), ("actdcf", weighted_act_dcf)])
def test_the_shared_costs(metric, factory):
    seen = 0
    for name, trials, expected in expected_of(metric):
        for key, value in expected.items():
            p, miss, false_alarm = (float(word.lstrip("pcmf")) for word in key.split("_"))
            value = value["canonical"] if isinstance(value, dict) else value
            assert factory(p, miss, false_alarm)(trials)[0] == pytest.approx(value, rel=2e-6, abs=2e-6), (name, key)
            seen += 1
    assert seen > 5


@pytest.mark.parametrize("seed", range(20))
def test_weights_of_one_give_what_the_plain_metrics_give(seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, 40)])
    scores = np.round(rng.normal(2 * labels, 2), rng.integers(0, 3))
    trials = falling(scores, labels)
    for plain, weighted in (
        (eer(scores, labels), weighted_eer),
        (auc(scores, labels), weighted_auc),
        (cllr(scores, labels), weighted_cllr),
        (min_dcf(scores, labels, 0.05, 2, 1), weighted_min_dcf(0.05, 2, 1)),
        (act_dcf(scores, labels, 0.5, 2, 1), weighted_act_dcf(0.5, 2, 1)),
    ):
        assert weighted(trials)[0] == pytest.approx(plain, rel=1e-12, abs=1e-12)
    for entry in metrics_of(ScoreKind.DETECTION):
        assert weighted_by_repetition(entry.function)(trials).tolist() == [entry.function(scores, labels)], entry.name


def test_a_threshold_on_a_score_accepts_it_and_infinite_ones_accept_all_or_none():
    trials = falling([3, 2, 2, 1], [1, 1, 0, 0])
    points = {cut: (weighted_miss_rate(cut)(trials)[0], weighted_false_alarm_rate(cut)(trials)[0])
              for cut in (np.inf, 3.5, 3, 2, 1.5, 1, -np.inf)}  # fmt: skip
    assert points == {np.inf: (1, 0), 3.5: (1, 0), 3: (0.5, 0), 2: (0, 0.5), 1.5: (0, 0.5), 1: (0, 1), -np.inf: (0, 1)}


def test_very_confident_scores_have_a_finite_cllr():
    assert weighted_cllr(falling([-1e4, 1e4], [1, 0]))[0] == pytest.approx(1e4 / np.log(2))
    assert weighted_cllr(falling([1e4, -1e4], [1, 0]))[0] == 0


def test_any_plain_metric_can_be_weighted_by_repetition():
    rng = np.random.default_rng(2)
    scores, labels, weights = rng.integers(-4, 6, 60), rng.integers(0, 2, 60), rng.integers(0, 4, (60, 4))
    weights[labels == 1, 3] = 0
    trials = falling(scores, labels, weights)

    def one_by_one(scores, labels):
        if len(set(labels.tolist())) < 2:
            raise UndefinedError("one class")
        return plain_eer(scores, labels)

    slow, fast = weighted_by_repetition(one_by_one)(trials), weighted_eer(trials)
    assert slow[:3] == pytest.approx(fast[:3], abs=1e-12)
    assert np.isnan([slow[3], fast[3]]).all()


@pytest.mark.parametrize("factory", [weighted_min_dcf, weighted_act_dcf])
@pytest.mark.parametrize(
    ("costs", "reason"),
    [((0, 1, 1), "p_target"), ((1, 1, 1), "p_target"), ((5, 1, 1), "p_target"), ((0.5, 0, 1), "c_miss 0"),
     ((0.5, 1, -1), "c_fa -1"), ((0.5, 1, np.inf), "c_fa inf"), ((np.nan, 1, 1), "p_target")],
)  # fmt: skip
def test_costs_that_are_none_are_refused(factory, costs, reason):
    with pytest.raises(InputError, match=reason):
        factory(*costs)


@pytest.mark.parametrize("factory", [weighted_miss_rate, weighted_false_alarm_rate])
def test_a_threshold_that_is_no_number_is_refused(factory):
    with pytest.raises(InputError, match="found NaN"):
        factory(float("nan"))
