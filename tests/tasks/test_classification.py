"""Classification tasks: targets in the order of the classes, a linear head, cross-entropy, probabilities over crops."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tasks.settings import learning
from voxbench.schema import AGE_GROUPS, GENDERS, InputError, ScoreKind, age_group
from voxbench.tasks import tasks
from voxbench.tasks.classification import class_weights, classification, column

WEATHER = classification("weather", column("sky"), ("rain", "snow", "sun"), subject="weather")
BALANCED = learning(balance="loss")
NUMBERS = np.array([0, 1, 2])
UNEVEN = np.array([0, 2, 0, 1, 0, 2, 0, 0])  # five, one and two of eight


def test_gender_is_known_by_its_words():
    assert tasks["gender"].classes == GENDERS == ("female", "male")
    assert tasks["gender"].score_kind is ScoreKind.CLASSES


def test_age_groups_are_six_from_young_to_old():
    task = tasks["age_group"]
    assert task.classes == AGE_GROUPS
    assert len(task.classes) == 6
    manifest = pd.DataFrame({"age_group": [age_group(years) for years in (12, 25, 33, 47, 59, 88)]})
    assert task.targets(manifest).tolist() == [0, 1, 2, 3, 4, 5]
    assert task.head(8, learning(), np.arange(6))[1].out_features == 6
    assert task.score_columns[-1] == "p_sixties+"


def test_targets_are_numbered_in_the_order_given():
    manifest = pd.DataFrame({"sky": ["sun", "rain", "snow", "sun"]})
    assert WEATHER.targets(manifest).tolist() == [2, 0, 1, 2]
    assert WEATHER.targets(manifest).dtype == np.int64


@pytest.mark.parametrize("missing", [None, float("nan"), "fog", ""])
def test_rows_without_a_known_word_are_unlabelled(missing):
    manifest = pd.DataFrame({"sky": ["sun", missing, "rain"]})
    assert WEATHER.labelled(manifest).tolist() == [True, False, True]


def test_the_head_drops_inputs_and_is_linear():
    dropout, linear = WEATHER.head(7, learning(dropout=0.25), NUMBERS)
    assert (dropout.p, linear.in_features, linear.out_features) == (0.25, 7, 3)


def test_the_loss_is_cross_entropy():
    outputs_BC = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    by_hand = (math.log(math.e + math.e**2 + 1) - 2 + math.log(3)) / 2
    assert float(WEATHER.loss(NUMBERS, learning())(outputs_BC, torch.tensor([1, 0]), 0.0)) == pytest.approx(
        by_hand, rel=1e-6
    )


def test_a_rare_class_weighs_more_so_that_all_weigh_the_same():
    assert class_weights(UNEVEN, WEATHER.classes).tolist() == pytest.approx([8 / 15, 8 / 3, 8 / 6], rel=1e-6)


@given(st.lists(st.integers(0, 2), max_size=40))
def test_a_row_weighs_one_on_average_and_classes_weigh_alike(rows):
    targets = np.array([0, 1, 2, *rows])
    weights = class_weights(targets, WEATHER.classes).double().numpy()
    assert weights[targets].mean() == pytest.approx(1, rel=1e-6)
    assert weights * np.bincount(targets) == pytest.approx(np.full(3, len(targets) / 3), rel=1e-6)


def test_the_balanced_loss_is_the_weighted_mean_of_the_rows_losses():
    """By hand: an even network has a loss of log 3 on any row, a sure one nearly none on its own."""
    outputs_BC = torch.tensor([[0.0, 0.0, 0.0], [0.0, 60.0, 0.0]])
    loss = WEATHER.loss(UNEVEN, BALANCED)
    first, second = 8 / 15, 8 / 3
    assert float(loss(outputs_BC, torch.tensor([0, 1]), 0.0)) == pytest.approx(math.log(3) * first / (first + second))
    assert float(WEATHER.loss(UNEVEN, learning())(outputs_BC, torch.tensor([0, 1]), 0.0)) == pytest.approx(
        math.log(3) / 2
    )


def test_a_class_without_rows_cannot_be_weighed():
    with pytest.raises(InputError, match=r"training\.balance is 'loss', but no training row is snow, sun"):
        WEATHER.loss(np.array([0, 0]), BALANCED)
    assert WEATHER.loss(np.array([0, 0]), learning())


def test_the_answer_is_the_likeliest_class():
    assert WEATHER.answer({"p_rain": 0.2, "p_snow": 0.5, "p_sun": 0.3}) == "snow"
    assert WEATHER.answer({"p_rain": 0.2, "p_snow": 0.4, "p_sun": 0.4}) == "snow", "the first of equals, as in metrics"


def test_scores_are_the_mean_of_the_crops_probabilities():
    """Not the softmax of the mean: of two crops, one sure and one unsure, by hand."""
    outputs_NKC = torch.tensor([[[math.log(8.0), 0.0, 0.0], [0.0, 0.0, math.log(2.0)]]])
    scores = WEATHER.scores(outputs_NKC)
    assert list(scores) == ["p_rain", "p_snow", "p_sun"]
    expected = [(0.8 + 0.25) / 2, (0.1 + 0.25) / 2, (0.1 + 0.5) / 2]
    assert [float(values[0]) for values in scores.values()] == pytest.approx(expected, rel=1e-6)


def test_scores_are_doubles_that_sum_to_one_however_sure_the_network_is():
    outputs_NKC = torch.tensor([[[900.0, -900.0, 3.0]], [[0.1, 0.2, 0.3]]])
    table = np.stack(list(WEATHER.scores(outputs_NKC).values()), axis=1)
    assert table.dtype == np.float64
    assert table.sum(axis=1) == pytest.approx([1, 1], abs=1e-12)


def test_the_order_of_crops_and_of_recordings_does_not_matter():
    outputs_NKC = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1))
    plain, turned = WEATHER.scores(outputs_NKC), WEATHER.scores(outputs_NKC.flip(0).flip(1))
    for name, values in plain.items():
        assert values[::-1] == pytest.approx(turned[name], abs=1e-15)


def test_tasks_differ_by_their_own_arguments():
    other = classification("age", column("age_group"), ("child", "adult"), subject="age")
    manifest = pd.DataFrame({"age_group": ["adult", "child"], "sky": ["sun", "rain"]})
    assert other.targets(manifest).tolist() == [1, 0]
    assert WEATHER.targets(manifest).tolist() == [2, 0]
    assert isinstance(other.head(3, learning(), NUMBERS)[1], nn.Linear)
    assert list(other.scores(torch.zeros(1, 1, 2))) == ["p_child", "p_adult"]
