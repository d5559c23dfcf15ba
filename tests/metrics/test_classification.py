"""Class metrics against the shared vectors, scikit-learn, torchmetrics and counts by hand."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from voxbench.metrics import METRICS, UndefinedError, area_under_roc, confusion, per_class, reliability
from voxbench.metrics import roc_curve as roc_points
from voxbench.metrics.classification import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
    matthews_correlation,
    roc_auc,
)
from voxbench.schema import InputError

VECTOR_TOLERANCE = 2e-6
SHARED = os.environ.get("VOXBENCH_SHARED", "")
VECTORS = Path(SHARED) / "vectors" / "metric_vectors.json"
needs_vectors = pytest.mark.skipif(
    not (SHARED and VECTORS.is_file()),
    reason="VOXBENCH_SHARED names no folder with vectors/metric_vectors.json",
)
VECTOR_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_f1": "macro_f1",
    "mcc": "matthews_correlation",
    "log_loss": "log_loss",
    "roc_auc_second_label": "roc_auc",
}


def vectors(name):
    return [v for v in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"] if v["metric"] == name]


def random_table(classes, rows, seed):
    """Random truth and softmax rows with ties; the last class never occurs when there are more than two."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, max(2, classes - 1), rows)
    truth[:2] = 0, 1
    logits = rng.integers(-2, 3, (rows, classes)) + 1.5 * np.eye(classes)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


TABLES = pytest.mark.parametrize(
    ("truth", "probabilities"),
    [random_table(classes, rows, seed) for classes in (2, 3, 6) for rows, seed in ((5, 0), (40, 1), (700, 2))],
)


@needs_vectors
def test_the_shared_class_vectors():
    for vector in vectors("classes"):
        truth = [vector["inputs"]["labels"].index(word) for word in vector["inputs"]["y_true"]]
        probabilities = np.array(vector["inputs"]["probabilities"])
        for key, expected in vector["expected"].items():
            if key == "confusion":
                found = confusion(truth, probabilities.argmax(axis=1), probabilities.shape[1]).tolist()
                assert found == expected, vector["name"]
            else:
                value = METRICS[VECTOR_NAMES[key]].function(truth, probabilities)
                assert value == pytest.approx(expected, abs=VECTOR_TOLERANCE), (vector["name"], key)


@needs_vectors
def test_the_shared_auc_vectors():
    for vector in vectors("auc"):
        positive, negative = vector["inputs"]["target_scores"], vector["inputs"]["nontarget_scores"]
        truth = [1] * len(positive) + [0] * len(negative)
        found = area_under_roc(truth, positive + negative)
        assert found == pytest.approx(vector["expected"]["auc"], abs=VECTOR_TOLERANCE), vector["name"]


@TABLES
def test_scikit_learn_agrees(truth, probabilities):
    labels = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    expected = {
        "accuracy": reference.accuracy_score(truth, predicted),
        "balanced_accuracy": reference.recall_score(
            truth, predicted, labels=np.unique(truth), average="macro", zero_division=0
        ),
        "macro_f1": reference.f1_score(truth, predicted, labels=labels, average="macro", zero_division=0),
        "matthews_correlation": reference.matthews_corrcoef(truth, predicted),
        "log_loss": reference.log_loss(truth, probabilities, labels=labels),
    }
    for name, value in expected.items():
        assert METRICS[name].function(truth, probabilities) == pytest.approx(value, abs=1e-12), name
    table = reference.confusion_matrix(truth, predicted, labels=labels)
    assert np.array_equal(confusion(truth, predicted, len(labels)), table)


@TABLES
def test_the_class_table_agrees_with_scikit_learn(truth, probabilities):
    predicted = probabilities.argmax(axis=1)
    labels = np.arange(probabilities.shape[1])
    found = per_class(truth, predicted, len(labels))
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(found.precision, precision, atol=1e-12)
    np.testing.assert_allclose(found.recall, recall, atol=1e-12)
    np.testing.assert_allclose(found.f1, f1, atol=1e-12)
    assert np.array_equal(found.support, support)


def test_the_class_table_by_hand():
    table = per_class([0, 0, 0, 1], [0, 0, 2, 2], classes=4)
    np.testing.assert_array_equal(table.support, [3, 1, 0, 0])
    np.testing.assert_array_equal(table.precision, [1, np.nan, 0, np.nan])
    np.testing.assert_array_equal(table.recall, [2 / 3, 0, np.nan, np.nan])
    np.testing.assert_allclose(table.f1, [0.8, 0, 0, np.nan])


def test_confusion_has_the_truth_in_rows_and_does_not_overflow_small_integers():
    truth, predicted = np.array([99, 99, 3], dtype=np.uint8), np.array([98, 98, 3], dtype=np.uint8)
    table = confusion(truth, predicted, classes=100)
    assert table[99, 98] == 2
    assert table[3, 3] == 1
    assert table.sum() == 3


@pytest.mark.parametrize(
    ("truth", "predicted", "classes", "reason"),
    [
        ([0, 1], [0], 2, "2 rows but predicted has 1"),
        ([0, 1], [0, 2], 2, "predicted must lie in"),
        ([0, 1], [0, 1], 0, "at least 1"),
    ],
)
def test_confusion_refuses(truth, predicted, classes, reason):
    with pytest.raises(InputError, match=reason):
        confusion(truth, predicted, classes)


def test_the_first_of_equal_probabilities_wins():
    assert accuracy([0, 1], [[0.5, 0.5], [0.5, 0.5]]) == 0.5
    assert accuracy([1, 2], [[0.2, 0.4, 0.4], [0.2, 0.4, 0.4]]) == 0.5


def test_macro_f1_counts_an_absent_class_as_zero():
    assert macro_f1([0, 1], np.eye(3)[[0, 1]]) == pytest.approx(2 / 3)


def test_log_loss_of_a_certain_miss_is_the_stated_bound():
    assert log_loss([0], [[0.0, 1.0]]) == pytest.approx(52 * math.log(2))
    assert math.copysign(1, log_loss([0], [[1.0, 0.0]])) == 1


def test_matthews_correlation_by_hand_and_undefined():
    assert matthews_correlation([0, 0, 1, 1], np.eye(2)[[1, 1, 0, 0]]) == -1
    assert matthews_correlation([0, 0, 1, 1], np.eye(2)[[0, 1, 0, 1]]) == 0
    with pytest.raises(UndefinedError, match="truth holds only one"):
        matthews_correlation([1, 1], np.eye(2)[[0, 1]])
    with pytest.raises(UndefinedError, match="prediction holds only one"):
        matthews_correlation([0, 1], np.eye(2)[[1, 1]])


def test_calibration_error_by_hand():
    # One bin at 0.8 (right, right, wrong), one at 0.6 (wrong): 3/4 |2/3 - 0.8| + 1/4 |0 - 0.6|.
    probabilities = [[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.6, 0.4]]
    assert expected_calibration_error([0, 0, 1, 1], probabilities) == pytest.approx(0.1 + 0.15)


def test_calibration_error_agrees_with_torchmetrics():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(4), 500)
    truth = rng.integers(0, 4, 500)
    expected = functional.multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(truth), num_classes=4, n_bins=15, norm="l1"
    )
    assert expected_calibration_error(truth, probabilities) == pytest.approx(float(expected), abs=1e-6)


def test_reliability_counts_each_row_in_one_half_open_bin():
    # Confidence 0.75 is the upper edge of the third of four bins, 1.0 that of the fourth.
    table = reliability([0, 0, 0], [[0.75, 0.25], [0.76, 0.24], [1.0, 0.0]], bins=4)
    np.testing.assert_array_equal(table.count, [0, 0, 1, 2])
    np.testing.assert_allclose(table.confidence, [np.nan, np.nan, 0.75, 0.88])
    np.testing.assert_array_equal(table.accuracy, [np.nan, np.nan, 1, 1])
    with pytest.raises(InputError, match="bins"):
        reliability([0], [[1.0, 0.0]], bins=0)


def tied_scores(seed, rows=60):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, rows)
    truth[:2] = 0, 1
    return truth, np.round(rng.normal(truth, 1.0), 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_the_share_of_won_pairs(seed):
    truth, scores = tied_scores(seed)
    gaps = scores[truth == 1][:, None] - scores[truth == 0]
    assert area_under_roc(truth, scores) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean(), abs=1e-14)
    assert area_under_roc(truth, scores) == pytest.approx(reference.roc_auc_score(truth, scores), abs=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_ignores_increasing_maps_and_turns_with_the_sign(seed):
    truth, scores = tied_scores(seed)
    area = area_under_roc(truth, scores)
    assert area_under_roc(truth, np.exp(scores) * 3 + 1) == area
    assert area_under_roc(truth, -scores) == pytest.approx(1 - area, abs=1e-15)
    assert area_under_roc(1 - truth, scores) == pytest.approx(1 - area, abs=1e-15)


def test_equal_scores_are_chance_in_any_order():
    assert area_under_roc([1] * 100 + [0] * 100, np.full(200, 0.3)) == 0.5
    assert area_under_roc([0] * 100 + [1] * 100, np.full(200, 0.3)) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_agrees_with_scikit_learn(seed):
    truth, scores = tied_scores(seed)
    false_rate, true_rate, thresholds = reference.roc_curve(truth, scores, drop_intermediate=False)
    curve = roc_points(truth, scores)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.false_positive_rate, false_rate, atol=1e-15)
    np.testing.assert_allclose(curve.true_positive_rate, true_rate, atol=1e-15)
    assert len(curve.thresholds) == len(np.unique(scores)) + 1


def test_the_roc_is_undefined_with_one_class_or_more_than_two():
    with pytest.raises(UndefinedError, match="0 positive and 2 negative"):
        roc_auc([0, 0], [[0.5, 0.5], [0.1, 0.9]])
    with pytest.raises(UndefinedError, match="2 positive and 0 negative"):
        roc_points([1, 1], [0.5, 0.1])
    with pytest.raises(UndefinedError, match="two classes: found 3"):
        roc_auc([0, 1], np.eye(3)[[0, 1]])


def test_the_roc_refuses_unsound_scores():
    with pytest.raises(InputError, match="finite"):
        area_under_roc([0, 1], [0.5, np.nan])
    with pytest.raises(InputError, match="like truth"):
        area_under_roc([0, 1], [0.5, 0.4, 0.3])
