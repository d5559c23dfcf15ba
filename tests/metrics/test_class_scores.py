"""Top-k accuracy and the Brier score against scikit-learn, ranks counted one by one, and cases by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from voxbench.metrics import METRICS, UndefinedError, measure
from voxbench.metrics.classification import accuracy, brier, top_2_accuracy, top_k_accuracy
from voxbench.schema import InputError, ScoreKind


@st.composite
def tables(draw, fewest=2):
    """Draw a truth and rows of quarters and eighths, many of them tied."""
    classes, rows = draw(st.integers(fewest, 6)), draw(st.integers(1, 20))
    weights = draw(
        st.lists(st.lists(st.integers(0, 2), min_size=classes, max_size=classes), min_size=rows, max_size=rows)
    )
    weights_NC = np.array(weights, dtype=float) + (np.array(weights).sum(axis=1, keepdims=True) == 0)
    truth = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    return np.array(truth), weights_NC / weights_NC.sum(axis=1, keepdims=True)


@given(table=tables(), k=st.integers(1, 6))
def test_top_k_is_the_rank_counted_one_by_one(table, k):
    truth, probabilities = table
    classes = probabilities.shape[1]
    if k >= classes:
        with pytest.raises(UndefinedError, match=f"top-{k} accuracy needs more than {k} classes: found {classes}"):
            top_k_accuracy(truth, probabilities, k)
        return
    hits = 0
    for row, own in zip(probabilities.tolist(), truth, strict=True):
        # Python's sort keeps the order of equals: the first class comes first.
        hits += own in sorted(range(classes), key=lambda place, row=row: -row[place])[:k]
    assert top_k_accuracy(truth, probabilities, k) == hits / len(truth)
    if k == 1:
        assert top_k_accuracy(truth, probabilities, k) == accuracy(truth, probabilities)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_without_ties_is_scikit_learns(k):
    draws = np.random.default_rng(k)
    truth, probabilities = draws.integers(0, 5, 300), draws.dirichlet(np.ones(5), 300)
    expected = reference.top_k_accuracy_score(truth, probabilities, k=k, labels=range(5))
    assert top_k_accuracy(truth, probabilities, k) == pytest.approx(expected, abs=1e-12)
    assert top_k_accuracy(truth, probabilities, np.int64(k)) == pytest.approx(expected, abs=1e-12)


def test_the_first_of_equal_classes_is_taken():
    equal = np.full((3, 3), 1 / 3)
    assert top_2_accuracy([0, 1, 2], equal) == pytest.approx(2 / 3)
    # Of the two that tie for the second place the first is in.
    assert top_2_accuracy([1, 2], [[0.5, 0.25, 0.25]] * 2) == 0.5


@pytest.mark.parametrize("k", [0, -1, 1.0, True, "2", None])
def test_a_k_that_is_no_number_of_classes_is_refused(k):
    with pytest.raises(InputError, match="k must be a whole number of classes") as refusal:
        top_k_accuracy([0], [[0.5, 0.3, 0.2]], k)
    assert not isinstance(refusal.value, UndefinedError)


def test_two_classes_have_no_top_two():
    undefined = measure(ScoreKind.CLASSES, [0, 1], [[0.5, 0.5], [0.2, 0.8]])[1]
    assert undefined == {"top_2_accuracy": "the top-2 accuracy needs more than 2 classes: found 2"}


@given(table=tables())
def test_brier_is_scikit_learns_unhalved(table):
    truth, probabilities = table
    classes = probabilities.shape[1]
    expected = reference.brier_score_loss(truth, probabilities, labels=range(classes), scale_by_half=False)
    assert brier(truth, probabilities) == pytest.approx(expected, abs=1e-12)
    assert 0 <= brier(truth, probabilities) <= 2


def test_brier_by_hand():
    # (0.1^2 + 0.1^2) and (0.8^2 + 0.3^2 + 0.5^2) over two rows.
    assert brier([0, 0], [[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]) == pytest.approx((0.02 + 0.98) / 2)
    for classes in (2, 3, 7):
        equal = np.full((4, classes), 1 / classes)
        assert brier([0, 1, 0, 1], equal) == pytest.approx(1 - 1 / classes)
    assert (brier([1], [[0.0, 1.0]]), brier([0], [[0.0, 1.0]])) == (0, 2)


def test_brier_of_two_classes_is_twice_the_binary_form():
    draws = np.random.default_rng(6)
    truth, p = draws.integers(0, 2, 50), draws.random(50)
    assert brier(truth, np.column_stack([1 - p, p])) == pytest.approx(2 * reference.brier_score_loss(truth, p))


@given(table=tables())
def test_honest_probabilities_have_the_smallest_expected_brier_and_log_loss(table):
    _, probabilities = table
    p = np.clip(probabilities[0], 0.01, None)
    p /= p.sum()
    other = np.roll(p, 1)
    for name in ("brier", "log_loss"):

        def expected(told, name=name):
            return sum(p[own] * METRICS[name].function([own], told[None]) for own in range(len(p)))

        assert expected(p) <= expected(other) + 1e-12
