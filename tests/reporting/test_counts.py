"""Counts that joint classes say: by hand, and nothing where there is nothing to say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.figure_evidence import sound
from voxbench.metrics import METRICS
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.scored import score
from voxbench.reporting.tables_counts import counts_table, number_probabilities
from voxbench.tasks import tasks

SEXES = tasks["sex_composition"]
TRUTH = ("F", "FM", "FMM")
ANSWERS = (
    {"F": 0.5, "FM": 0.3, "FF": 0.2},
    {"MM": 0.4, "F": 0.3, "FF": 0.3},  # women: 0.4, 0.3 and 0.3; men: 0.6 for none
    {"FMM": 0.6, "M": 0.4},
)


def scored(answers):
    scores = np.array([[answer.get(word, 0.0) for word in SEXES.classes] for answer in answers])
    truth = np.array([SEXES.classes.index(word) for word in TRUTH])
    return score(SEXES, truth, scores, pd.DataFrame({"speaker": ["a", "b+c", "d+e+f"]}))


def evidence(task=SEXES):
    finalist = sound(
        Finalist,
        model="m5",
        tuned=scored(ANSWERS),
        history=pd.DataFrame({"valid_accuracy": [0.5], "valid_loss": [1.0]}),
        best_epoch=0,
        spreads={"accuracy": SimpleNamespace(mean=0.5)},
    )
    baseline = Baseline("majority class", "", scored([{"F": 1.0}] * 3), {})
    metric = METRICS["accuracy"]
    return sound(Evidence, task=task, metric=metric, chosen_by=metric, finalists=(finalist,), baselines=(baseline,))


def test_a_numbers_probability_is_the_sum_over_the_classes_that_say_it():
    women = number_probabilities(SEXES.counts["women"], scored(ANSWERS).scores)
    assert women == pytest.approx(np.array([[0, 0.8, 0.2, 0], [0.4, 0.3, 0.3, 0], [0.4, 0.6, 0, 0]]))


@given(st.lists(st.integers(0, 5), min_size=2, max_size=8).filter(lambda numbers: max(numbers) > 0))
def test_probabilities_of_numbers_sum_to_one(numbers):
    shares = np.random.default_rng(0).dirichlet(np.ones(len(numbers)), 5)
    assert number_probabilities(numbers, shares).sum(axis=1) == pytest.approx(np.ones(5))


def test_each_count_by_hand():
    """Women 1, 1, 1, told as 1, 0, 1; men 0, 1, 2 told as 0, 0, 2; people 1, 2, 3 told as 1, 2, 3."""
    table = counts_table(evidence())
    assert table.columns[1:] == tuple(
        f"{name}: {words}" for name in ("women", "men", "people") for words in ("accuracy (%)", "error")
    )
    assert table.rows[0].cells == ("m5", "66.7", "0.33", "66.7", "0.33", "100.0", "0.00")
    assert table.rows[1].cells == ("majority class (baseline)", "100.0", "0.00", "33.3", "1.00", "33.3", "1.00")
    assert [row.marked for row in table.rows] == [True, False]


@pytest.mark.parametrize("name", ["speaker_count", "gender", "age_years"])
def test_classes_that_count_one_thing_or_none_need_no_table(name):
    assert counts_table(evidence(replace(SEXES, counts=tasks[name].counts))).rows == ()
