"""Learning rates that follow a plan."""

import math

import pytest
from tests.reporting.settings import TRAINING

from voxbench.config import Training
from voxbench.training.rates import planned_rate


def settings(**changes):
    return Training(**(TRAINING | {"learning_rate": 1e-2, "min_learning_rate": 1e-4} | changes))


def test_a_cosine_begins_with_the_first_rate_is_halfway_in_the_middle_and_ends_with_the_least():
    cosine = settings(scheduler="cosine")
    rates = [planned_rate(cosine, epochs, 10) for epochs in (0.0, 5.0, 10.0)]
    assert rates == pytest.approx([1e-2, (1e-2 + 1e-4) / 2, 1e-4])
    assert planned_rate(cosine, 2.5, 10) == pytest.approx(1e-4 + 9.9e-3 * (1 + math.sqrt(0.5)) / 2)


def test_a_cosine_falls_within_an_epoch():
    cosine = settings(scheduler="cosine")
    rates = [planned_rate(cosine, epochs, 3) for epochs in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 5


def test_steps_come_every_so_many_epochs_and_end_at_the_least_rate():
    step = settings(scheduler="step", scheduler_factor=0.1, scheduler_patience=2)
    rates = [planned_rate(step, epochs, 9) for epochs in (0.0, 1.9, 2.0, 3.99, 4.0, 6.0)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


def test_the_plateau_has_no_plan():
    assert planned_rate(settings(scheduler="plateau"), 3.0, 10) is None
