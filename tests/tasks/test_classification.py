"""Classification tasks: targets in the order of the classes, a linear head, cross-entropy, probabilities over crops."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from voxbench.schema import GENDERS, InputError, ScoreKind
from voxbench.tasks import tasks
from voxbench.tasks.classification import classification

WEATHER = classification("weather", "sky", ("rain", "snow", "sun"))


@pytest.mark.parametrize("name", list(tasks))
def test_every_registered_task_is_whole(name):
    task = tasks[name]
    assert task.name == name
    head = task.head(6, 0.5)
    outputs_BC = head(torch.randn(4, 6))
    targets = torch.tensor([0, 1, 1, 0])
    loss = task.loss(outputs_BC, targets)
    loss.backward()
    assert loss.ndim == 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())
    columns = task.scores(torch.randn(3, 5, outputs_BC.shape[1]))
    assert all(values.shape == (3,) for values in columns.values())


def test_gender_is_known_by_its_words():
    assert tasks["gender"].classes == GENDERS == ("female", "male")
    assert tasks["gender"].score_kind is ScoreKind.CLASSES


def test_an_unknown_task_names_the_closest():
    with pytest.raises(InputError, match=r"unknown task 'gander' \(did you mean 'gender'\?\)"):
        tasks["gander"]


def test_targets_are_numbered_in_the_order_given():
    manifest = pd.DataFrame({"sky": ["sun", "rain", "snow", "sun"]})
    assert WEATHER.targets(manifest).tolist() == [2, 0, 1, 2]
    assert WEATHER.targets(manifest).dtype == np.int64


@pytest.mark.parametrize("missing", [None, float("nan"), "fog", ""])
def test_rows_without_a_known_word_are_unlabelled(missing):
    manifest = pd.DataFrame({"sky": ["sun", missing, "rain"]})
    assert WEATHER.labelled(manifest).tolist() == [True, False, True]


def test_the_head_drops_inputs_and_is_linear():
    dropout, linear = WEATHER.head(7, 0.25)
    assert (dropout.p, linear.in_features, linear.out_features) == (0.25, 7, 3)


def test_the_loss_is_cross_entropy():
    outputs_BC = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    by_hand = (math.log(math.e + math.e**2 + 1) - 2 + math.log(3)) / 2
    assert float(WEATHER.loss(outputs_BC, torch.tensor([1, 0]))) == pytest.approx(by_hand, rel=1e-6)


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
    other = classification("age", "age_group", ("child", "adult"))
    manifest = pd.DataFrame({"age_group": ["adult", "child"], "sky": ["sun", "rain"]})
    assert other.targets(manifest).tolist() == [1, 0]
    assert WEATHER.targets(manifest).tolist() == [2, 0]
    assert isinstance(other.head(3, 0.0)[1], nn.Linear)
    assert list(other.scores(torch.zeros(1, 1, 2))) == ["p_child", "p_adult"]
