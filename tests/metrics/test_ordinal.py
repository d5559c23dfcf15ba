"""Metrics of ordered classes: by hand, against the regression metric, and out of the way where there is no order."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from voxbench.metrics import METRICS, measure, metrics_of
from voxbench.metrics.ordinal import class_distance
from voxbench.schema import InputError, ScoreKind

ENTRY = METRICS["class_distance"]


def some_table(rows=300, classes=5, decimals=1):
    rng = np.random.default_rng(3)
    probabilities = np.round(rng.dirichlet(np.ones(classes), rows), decimals)
    probabilities[:, 0] += 1 - probabilities.sum(axis=1)
    return rng.integers(0, classes, rows), np.abs(probabilities) / np.abs(probabilities).sum(axis=1, keepdims=True)


def test_by_hand():
    """Right, one step below, two steps above: (0 + 1 + 2) / 3."""
    assert class_distance([1, 2, 0], [[0.1, 0.8, 0.1], [0.0, 0.6, 0.4], [0.2, 0.3, 0.5]]) == 1.0


def test_it_is_the_mean_absolute_error_of_the_number_of_people():
    truth, probabilities = some_table()
    people = 1 + probabilities.argmax(axis=1)
    assert class_distance(truth, probabilities) == pytest.approx(mean_absolute_error(1 + truth, people), abs=1e-12)


def test_of_equally_probable_classes_the_first_counts():
    assert class_distance([0, 2], [[0.4, 0.2, 0.4], [0.4, 0.2, 0.4]]) == 1.0


@pytest.mark.parametrize(("truth", "value"), [([0, 0], 0.0), ([2, 2], 2.0)])
def test_it_lies_between_no_and_all_steps(truth, value):
    assert class_distance(truth, [[0.9, 0.1, 0.0]] * 2) == value


def test_the_order_of_the_rows_does_not_matter_and_that_of_the_classes_does():
    truth, probabilities = some_table()
    order = np.random.default_rng(1).permutation(len(truth))
    assert class_distance(truth[order], probabilities[order]) == class_distance(truth, probabilities)
    far, near = [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]
    assert class_distance([0], far) == 2 * class_distance([0], near)


def test_two_classes_are_one_step_apart():
    truth, probabilities = [0, 1, 1, 0], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]]
    assert class_distance(truth, probabilities) == 1 - METRICS["accuracy"].function(truth, probabilities)


@pytest.mark.parametrize(
    ("truth", "probabilities"),
    [
        ([3], [[0.5, 0.3, 0.2]]),
        ([0.0], [[0.5, 0.5]]),
        ([0], [[0.5, 0.4]]),
        ([], np.empty((0, 3))),
        ([0], [[np.nan, 1]]),
    ],
)
def test_unsound_input_is_refused(truth, probabilities):
    with pytest.raises(InputError):
        class_distance(truth, probabilities)


def test_less_is_better():
    assert (ENTRY.kind, ENTRY.greater_is_better, ENTRY.needs_order) == (ScoreKind.CLASSES, False, True)


def test_it_is_measured_where_the_classes_have_an_order_and_only_there():
    truth, probabilities = some_table()
    assert ENTRY in metrics_of(ScoreKind.CLASSES, ordered=True)
    assert ENTRY not in metrics_of(ScoreKind.CLASSES)
    assert "class_distance" not in measure(ScoreKind.CLASSES, truth, probabilities)[0]
    values, _ = measure(ScoreKind.CLASSES, truth, probabilities, ordered=True)
    assert values["class_distance"] == class_distance(truth, probabilities)


@pytest.mark.parametrize("kind", list(ScoreKind))
def test_an_order_takes_no_metric_away(kind):
    plain = metrics_of(kind)
    assert [entry for entry in metrics_of(kind, ordered=True) if not entry.needs_order] == plain
