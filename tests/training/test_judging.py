"""The validation loss of recordings judged one by one, by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from reporting.settings import TRAINING
from voxbench.config import Training
from voxbench.tasks import tasks
from voxbench.training.judging import RowJudge

TRAINED = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
"""What is learnt from: one bona fide row in ten."""

ATTACKS = ["bonafide", "A07", "A07", "A08"]
OUTPUTS = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0], [0.0, 0.0], [math.log(9), 0.0]])[:, None]
"""Probabilities of the true classes: 3/4, 3/4, 1/2 and 9/10, one crop each."""

NATS = -np.log([3 / 4, 3 / 4, 1 / 2, 9 / 10])
ONE_CLASS = {"scale": 1.0, "real": 0.9, "fake": 0.2}


def rows(attacks):
    count = len(attacks)
    names = [f"{place}.wav" for place in range(count)]
    about = {"id": names, "speaker": names, "session": None, "gender": None, "split": "valid", "attack": attacks}
    return pd.DataFrame(about)


def judge(attacks=ATTACKS, **changes):
    return RowJudge(tasks["anti_spoofing"], rows(attacks), TRAINED, Training(**(TRAINING | changes)))


@pytest.mark.parametrize(
    "changes",
    [{}, {"balance": "loss"}, {"balance": "sampling"}, {"class_weights": {"spoof": 0.1, "bonafide": 0.9}}],
)
def test_of_detection_both_classes_weigh_the_same_however_training_weighs_them(changes):
    even = (NATS[0] + NATS[1:].mean()) / 2
    assert float(judge(**changes).loss(OUTPUTS)) == pytest.approx(even, rel=1e-6)


def test_every_crop_of_a_recording_weighs_the_same():
    crops = torch.cat([OUTPUTS, OUTPUTS.flip(2)], dim=1)
    other = -np.log([1 / 4, 1 / 4, 1 / 2, 1 / 10])
    both = (NATS + other) / 2
    assert float(judge().loss(crops)) == pytest.approx((both[0] + both[1:].mean()) / 2, rel=1e-6)


def test_a_loss_of_one_class_weighs_both_classes_alike_too():
    cosines = torch.tensor([0.5, 0.1, 0.4, -0.3])
    nats = np.log1p(np.exp([0.9 - 0.5, 0.1 - 0.2, 0.4 - 0.2, -0.3 - 0.2]))
    found = judge(one_class=ONE_CLASS).loss(cosines[:, None, None])
    assert float(found) == pytest.approx((nats[0] + nats[1:].mean()) / 2, rel=1e-6)


@pytest.mark.parametrize(("attack", "nats"), [("bonafide", NATS[0]), ("A07", math.log(4))])
def test_a_split_of_one_class_is_judged_all_the_same(attack, nats):
    """Scores may be wanted of it; what has no value there says so itself."""
    judged = judge([attack] * 3)
    assert float(judged.loss(OUTPUTS[[0, 0, 0]])) == pytest.approx(nats, rel=1e-6)
    assert judged.table(OUTPUTS[[0, 0, 0]])["score"].tolist() == pytest.approx([math.log(3)] * 3, rel=1e-6)


def test_of_other_tasks_every_row_weighs_the_same():
    """Three of four are of one class; weights and balance are of training alone."""
    table = rows(ATTACKS).assign(gender=["male", "female", "female", "female"])
    for changes in ({}, {"balance": "loss"}, {"class_weights": {"female": 0.1, "male": 0.9}}):
        judged = RowJudge(tasks["gender"], table, TRAINED, Training(**(TRAINING | changes)))
        assert float(judged.loss(OUTPUTS)) == pytest.approx(NATS.mean(), rel=1e-6)


def test_the_table_has_the_mean_score_of_the_crops_and_the_truth():
    table = judge().table(torch.cat([OUTPUTS, torch.zeros_like(OUTPUTS)], dim=1))
    assert table["truth"].tolist() == [1, 0, 0, 0]
    expected = np.array([math.log(3), -math.log(3), 0.0, -math.log(9)]) / 2
    assert table["score"].to_numpy() == pytest.approx(expected, rel=1e-6)
