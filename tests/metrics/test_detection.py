"""EER, AUC, DET and the table behind them against the vectors, counting, scikit-learn and the challenge's rule."""

from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import brentq
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
from voxbench.metrics import UndefinedError, area_under_roc, measure, metrics_of
from voxbench.metrics import operating_points as module
from voxbench.metrics.detection import DET_TICKS, auc, det_curve, eer, eer_threshold, operating_points, probit
from voxbench.schema import InputError, ScoreKind

METHODS = {"interpolated": "canonical_interpolated", "asvspoof": "asvspoof", "rocch": "rocch"}
REGISTERED = metrics_of(ScoreKind.DETECTION)
EVERY = pytest.mark.parametrize("entry", REGISTERED, ids=lambda entry: entry.name)
ORDER_ONLY = ("eer", "eer_asvspoof", "min_dcf_p01", "min_dcf_p05", "min_cllr", "auc")


@needs_vectors
@pytest.mark.parametrize("method", METHODS)
def test_the_shared_eer_vectors(method):
    for name, vector in vectors("eer").items():
        scores, labels = trials_of(vector)
        assert eer(scores, labels, method) == pytest.approx(
            vector["expected"][METHODS[method]], abs=VECTOR_TOLERANCE
        ), name
    if method == "asvspoof":
        for name, vector in vectors("eer").items():
            found = eer_threshold(*trials_of(vector), method)
            assert found == pytest.approx(vector["expected"]["asvspoof_threshold"], abs=VECTOR_TOLERANCE), name


@needs_vectors
def test_the_shared_auc_and_det_vectors():
    for name, vector in vectors("auc").items():
        assert auc(*trials_of(vector)) == pytest.approx(vector["expected"]["auc"], abs=VECTOR_TOLERANCE), name
    for vector in vectors("det").values():
        found = probit(vector["inputs"]["p"])
        assert found == pytest.approx(vector["expected"]["probit"], abs=VECTOR_TOLERANCE)


@needs_scores
@pytest.mark.parametrize(
    ("name", "percent", "threshold"),
    [
        ("air_softmax_asvspoof2019_la_eval.txt", 5.057773, 0.994228),
        ("air2021_ecapa_ctsf_asvspoof2019_la_dev.txt", 0.236595, -0.570091),
        ("air2021_ecapa_ctsf_asvspoof2019_la_eval.txt", 4.147556, 0.983475),
    ],
)
def test_published_score_files_give_their_published_eer(name, percent, threshold):
    points = operating_points(*published(name))
    assert eer(points, method="asvspoof") == pytest.approx(percent / 100, abs=5.1e-9)
    assert eer_threshold(points, method="asvspoof") == pytest.approx(threshold, abs=5.1e-7)
    assert eer(points) == pytest.approx(percent / 100, abs=1e-4)


def test_a_case_by_hand():
    scores, labels = joined([0.9, 0.8, 0.7, 0.55, 0.4, 0.3], [0.6, 0.5, 0.35, 0.2, 0.15, 0.1, 0.05, 0.0])
    # From 0.4 (1/6 missed, 2/8 accepted) to 0.5 (2/6, 2/8) the line crosses at 1/4; both ends are as near.
    assert eer(scores, labels) == 0.25
    assert eer_threshold(scores, labels) == 0.4
    assert eer(scores, labels, "asvspoof") == pytest.approx((2 / 6 + 2 / 8) / 2)
    assert eer_threshold(scores, labels, "asvspoof") == 0.4


def counted_eer(scores, labels):
    for (_, miss, fa), (_, next_miss, next_fa) in pairwise(rates(scores, labels)):
        if miss - fa < 0 <= next_miss - next_fa:
            share = (fa - miss) / (fa - miss + next_miss - next_fa)
            return miss + share * (next_miss - miss)
    raise AssertionError


def walked_eer(scores, labels):
    """Reject one by one, targets first among equals; the first least gap, its mean rate, the score last rejected.

    In floats, whose rounding decides between equal gaps in the challenge's code too.
    """
    order = sorted(range(len(scores)), key=lambda i: (scores[i], -labels[i]))
    targets, nontargets = int(sum(labels)), int(len(labels) - sum(labels))
    miss, accepted = 0, nontargets
    steps = [(1.0, 0.5, scores[order[0]] - 0.001)]
    for row in order:
        miss, accepted = miss + int(labels[row]), accepted - 1 + int(labels[row])
        rate = miss / targets, accepted / nontargets
        steps.append((abs(rate[0] - rate[1]), sum(rate) / 2, scores[row]))
    return min(steps, key=lambda step: step[0])[1:]


def test_thousands_of_small_sets_against_counting():
    for scores, labels in random_trials(3000):
        assert eer(scores, labels) == pytest.approx(float(counted_eer(scores, labels)), abs=1e-15)
        value, threshold = walked_eer(scores.tolist(), labels.tolist())
        assert eer(scores, labels, "asvspoof") == value
        assert eer_threshold(scores, labels, "asvspoof") == threshold
        assert auc(scores, labels) == area_under_roc(labels, scores)


def test_the_table_is_counted_right():
    for scores, labels in random_trials(300):
        points = operating_points(scores, labels)
        expected = rates(scores, labels)
        assert points.thresholds.tolist() == [threshold for threshold, _, _ in expected]
        assert points.p_miss == pytest.approx([float(miss) for _, miss, _ in expected], abs=1e-15)
        curve = det_curve(points)
        assert curve.p_fa == pytest.approx([float(fa) for _, _, fa in expected], abs=1e-15)
        assert (points.targets, points.nontargets) == (labels.sum(), len(labels) - labels.sum())


@pytest.mark.parametrize("rows", [200, 30_000])
def test_scikit_learn_agrees(rows, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7 if rows < 1000 else 4096)
    rng = np.random.default_rng(rows)
    labels = np.r_[1, 0, rng.integers(0, 2, rows - 2)]
    scores = rng.normal(size=rows).round(2) + labels
    accepted, hit, thresholds = reference.roc_curve(labels, scores, drop_intermediate=False)
    points = operating_points(scores, labels)
    assert np.array_equal(points.thresholds[::-1], thresholds)
    assert points.p_fa[::-1] == pytest.approx(accepted, abs=1e-15)
    assert 1 - points.p_miss[::-1] == pytest.approx(hit, abs=1e-15)
    crossing = brentq(lambda rate: 1 - rate - np.interp(rate, accepted, hit), 0, 1)
    assert eer(points) == pytest.approx(crossing, abs=1e-9)
    assert auc(points) == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)


@EVERY
@given(drawn=trials())
def test_order_and_copies_of_the_trials_do_not_matter(entry, drawn):
    scores, labels = drawn
    value = entry.function(scores, labels)
    assert type(value) is float
    assert entry.function(scores[::-1], labels[::-1]) == value
    if entry.name != "eer_asvspoof":
        assert entry.function(np.tile(scores, 3), np.tile(labels, 3)) == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert entry.function(operating_points(scores, labels)) == value
    assert entry.function(scores.tolist(), labels.astype(bool)) == value
    assert entry.function(scores.astype(np.float32), labels.astype(np.float32)) == value


@EVERY
@given(drawn=trials())
def test_only_the_order_of_the_scores_counts_where_it_should(entry, drawn):
    scores, labels = drawn
    place = np.unique(scores, return_inverse=True)[1]
    mapped = entry.function(2.0 ** (place - 9.0), labels)
    if entry.name in ORDER_ONLY:
        assert mapped == entry.function(scores, labels)


@given(drawn=trials())
def test_exchanged_classes_and_signs(drawn):
    scores, labels = drawn
    for method in ("interpolated", "rocch"):
        assert eer(-scores, 1 - labels, method) == pytest.approx(eer(scores, labels, method), abs=1e-12)
    assert auc(-scores, 1 - labels) == pytest.approx(auc(scores, labels), abs=1e-12)
    assert auc(-scores, labels) == pytest.approx(1 - auc(scores, labels), abs=1e-12)
    assert eer(-scores, labels) == pytest.approx(1 - eer(scores, labels), abs=1e-12)


@given(drawn=trials())
def test_bounds_and_the_order_of_the_methods(drawn):
    points = operating_points(*drawn)
    assert 0 <= eer(points, method="rocch") <= min(eer(points) + 1e-12, 0.5)
    assert 0 <= eer(points, method="asvspoof") <= 1
    assert np.isfinite([eer_threshold(points, method=method) for method in METHODS]).all()
    assert (eer(points) == 0) == (auc(points) == 1)


@pytest.mark.parametrize("method", ["interpolated", "rocch"])
def test_the_threshold_is_the_nearest_point_and_moves_with_the_scores(method):
    for scores, labels in random_trials(200):
        threshold = eer_threshold(scores, labels, method)
        assert eer_threshold(np.exp(scores), labels, method) == np.exp(threshold)
        if method == "interpolated":
            gap = {at: abs(miss - fa) for at, miss, fa in rates(scores, labels)}
            assert threshold == min(gap, key=gap.get)


UNSOUND = {
    "empty": ([], [], "non-empty"),
    "a matrix": ([[0.1, 0.2]], [[0, 1]], r"\(1, 2\)"),
    "lengths differ": ([0.1, 0.2], [0, 1, 1], r"\(3,\)"),
    "NaN": ([0.1, np.nan], [0, 1], "1 of 2"),
    "infinity": ([0.1, np.inf], [0, 1], "1 of 2"),
    "a label of 2": ([0.1, 0.2], [0, 2], "found 2 in row 1"),
    "signs as labels": ([0.1, 0.2], [-1, 1], "found -1 in row 0"),
    "words as labels": ([0.1, 0.2], ["spoof", "bonafide"], "found 'spoof' in row 0"),
    "NaN as a label": ([0.1, 0.2], [np.nan, 1], "found nan in row 0"),
    "ragged labels": ([0.1, 0.2], [[0, 1], [0]], "labels must be a vector"),
    "no labels": ([0.1, 0.2], None, "need labels"),
}


@EVERY
@pytest.mark.parametrize(("scores", "labels", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_unsound_trials_are_refused_with_the_reason(entry, scores, labels, reason):
    with pytest.raises(InputError, match=reason) as refusal:
        entry.function(scores, labels)
    assert not isinstance(refusal.value, UndefinedError)


@EVERY
def test_one_class_is_undefined(entry):
    for labels, found in (([1, 1], "2 targets and 0 nontargets"), ([0, 0], "0 targets and 2 nontargets")):
        with pytest.raises(UndefinedError, match=found):
            entry.function([0.1, 0.2], labels)
        assert entry.name in measure(ScoreKind.DETECTION, operating_points([0.1, 0.2], labels))[1]


def test_one_call_measures_everything():
    scores, labels = joined([3.0, 2.0, -1.0], [-3.0, -2.0, 0.5])
    values, undefined = measure(ScoreKind.DETECTION, operating_points(scores, labels))
    assert values == measure(ScoreKind.DETECTION, scores, labels)[0]
    assert not undefined
    assert set(values) == {*ORDER_ONLY, "act_dcf_p01", "act_dcf_p05", "cllr"}


def test_wrong_words_are_refused():
    scores, labels = [0.1, 0.2], [0, 1]
    with pytest.raises(InputError, match=r"'rockch' \(did you mean 'rocch'\?\)"):
        eer(scores, labels, "rockch")
    with pytest.raises(InputError, match="no labels beside"):
        eer(operating_points(scores, labels), labels)
    for rate, clip, reason in ((50.0, 1e-6, "percent"), (-0.1, 1e-6, "0..1"), (0.5, 0.0, "clip"), (0.5, 0.5, "clip")):
        with pytest.raises(InputError, match=reason):
            probit([rate], clip)


def test_probit_is_the_normal_quantile_clipped():
    assert probit(DET_TICKS) == pytest.approx([NormalDist().inv_cdf(tick) for tick in DET_TICKS], abs=1e-12)
    assert probit([0.0, 1.0, 1e-4], clip=0.001) == pytest.approx(NormalDist().inv_cdf(0.001) * np.array([1, -1, 1]))
