"""The pruner: a percentile of earlier runs, computed by hand."""

import pickle

import numpy as np
import pytest

from voxbench.artifacts import digest
from voxbench.training.pruning import FrozenHistory

CURVES = ((0.60, 0.70, 0.75), (0.80, 0.90, 0.95), (0.50, 0.40, 0.60), (0.70, 0.60, 0.65))


def history(percentile=50.0, after_epochs=0, greater=True, curves=CURVES):
    return FrozenHistory(curves, greater, percentile, after_epochs)


def decisions(pruner, curve):
    """Report a curve and return what was decided after each epoch."""
    return [bool(pruner(epoch, value)) for epoch, value in enumerate(curve)]


@pytest.mark.parametrize(
    ("percentile", "value", "pruned"),
    [
        (50.0, 0.64, True),  # the median of the first epoch's 0.50, 0.60, 0.70, 0.80 is 0.65
        (50.0, 0.65, False),
        (50.0, 0.66, False),
        (25.0, 0.72, True),  # the best quarter begins at 0.725
        (25.0, 0.73, False),
        (75.0, 0.57, True),  # the worst quarter ends at 0.575
        (75.0, 0.58, False),
        (100.0, 0.51, False),
    ],
)
def test_a_run_below_the_percentile_of_its_epoch_is_pruned(percentile, value, pruned):
    assert decisions(history(percentile), [value]) == [pruned]


@pytest.mark.parametrize("percentile", [10.0, 30.0, 50.0, 80.0])
@pytest.mark.parametrize("greater", [True, False])
def test_decisions_equal_numpys_percentile_of_the_best_so_far(percentile, greater):
    draws = np.random.default_rng(3)
    for _ in range(40):
        curve = draws.uniform(0.3, 1, 3)
        ours = decisions(history(percentile, greater=greater), curve)
        best = (np.maximum if greater else np.minimum).accumulate(curve)
        limits = np.percentile(CURVES, 100 - percentile if greater else percentile, axis=0)
        assert ours == ((best < limits) if greater else (best > limits)).tolist()


def test_nothing_is_pruned_without_earlier_runs():
    assert decisions(history(curves=()), (0.0, 0.0, 0.0)) == [False, False, False]


def test_one_earlier_run_is_enough():
    assert decisions(history(curves=((0.5, 0.6),)), (0.5, 0.55)) == [False, True]


def test_the_first_epochs_are_spared():
    assert decisions(history(after_epochs=2), (0.0, 0.0, 0.0)) == [False, False, True]


def test_an_epoch_that_no_earlier_run_reached_prunes_nothing():
    assert decisions(history(curves=((0.9,), (0.8,))), (0.86, 0.1)) == [False, False]


def test_a_lower_value_is_better_where_the_metric_says_so():
    assert decisions(history(greater=False), [0.64]) == [False]
    assert decisions(history(greater=False), [0.66]) == [True]


def test_asking_for_one_run_leaves_nothing_behind_for_the_next():
    """Jobs of one round are held against the same history; in one process they share the very object."""
    shared = history()
    good, bad = (0.90, 0.95, 0.99), (0.10, 0.10, 0.10)
    assert decisions(shared, good) == [False, False, False]
    assert decisions(shared, bad) == decisions(history(), bad) == [True, True, True]


def test_a_used_history_still_travels_to_a_worker_and_has_the_same_digest():
    used = history()
    decisions(used, (0.9, 0.9))
    assert digest(used.content()) == digest(history().content())
    assert pickle.loads(pickle.dumps(used)) == history()


@pytest.mark.parametrize(
    "other", [history(40.0), history(after_epochs=1), history(greater=False), history(curves=CURVES[:3])]
)
def test_whatever_decides_is_in_the_digest(other):
    assert digest(other.content()) != digest(history().content())
