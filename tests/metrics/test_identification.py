"""Closed-set identification: by hand, against scikit-learn, and what changes nothing."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from voxbench.metrics.identification import rank_accuracy
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError

SCORES = [[0.9, 0.1, -0.2, 0.0], [0.3, 0.2, 0.1, 0.4], [-0.5, -0.1, -0.3, -0.2]]


@pytest.mark.parametrize(("k", "expected"), [(1, 1 / 3), (2, 2 / 3), (3, 1.0)])
def test_by_hand(k, expected):
    # The true ones, 0, 0 and 2, stand on ranks 1, 2 and 3.
    assert rank_accuracy([0, 0, 2], SCORES, k) == pytest.approx(expected)


def test_it_is_that_of_scikit_learn_without_ties_and_blind_to_the_order_of_speakers():
    draws = np.random.default_rng(1)
    scores, truth, order = draws.normal(size=(300, 9)), draws.integers(9, size=300), draws.permutation(9)
    for k in range(1, 9):
        expected = top_k_accuracy_score(truth, scores, k=k, labels=np.arange(9))
        assert rank_accuracy(truth, scores, k) == expected
        coarse = scores.round()
        assert rank_accuracy(np.argsort(order)[truth], coarse[:, order], k) == rank_accuracy(truth, coarse, k)


def test_ties_count_against():
    assert [rank_accuracy([0], [[0.5, 0.5, 0.5, 0.1]], k) for k in (1, 2, 3)] == [0, 0, 1]
    assert rank_accuracy([2], np.zeros((1, 4)), 3) == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(UndefinedError, match="needs more than 4 enrolled speakers: found 4"):
        rank_accuracy([0, 0, 2], SCORES, 4)
    for k in (0, 1.0, True):
        with pytest.raises(InputError, match="k must be a whole number"):
            rank_accuracy([0, 0, 2], SCORES, k)
    for truth, scores, message in (
        ([0, 0, 4], SCORES, "lie in"),
        ([0, 0], SCORES, "truth has 2 rows but scores has 3"),
        ([0], [0.5, 0.1], "found shape"),
        ([0], [[0.5, np.nan]], "finite"),
    ):
        with pytest.raises(InputError, match=message):
            rank_accuracy(truth, scores, 1)
