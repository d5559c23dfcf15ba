"""Anti-spoofing: targets, losses by hand, scores."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from tests.reporting.settings import TRAINING

from voxbench.config import OneClass, Training
from voxbench.schema import InputError
from voxbench.tasks import tasks
from voxbench.tasks.anti_spoofing import one_class_losses

TASK = tasks["anti_spoofing"]
ONE_CLASS = {"scale": 20.0, "real": 0.9, "fake": 0.2}
ROWS = pd.DataFrame({"attack": ["bonafide", "A07", None, "AA", "bonafide"]})
TARGETS = np.array([1, 0, 0, 0])
"""One bona fide row in four."""

LOGITS = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0], [0.0, 0.0], [math.log(9), 0.0]])


def training(**changes):
    return Training(**(TRAINING | changes))


def test_bona_fide_is_one_and_every_attack_zero():
    assert TASK.labelled(ROWS).tolist() == [True, True, False, True, True]
    assert TASK.targets(ROWS[ROWS["attack"].notna()]).tolist() == [1, 0, 0, 1]
    assert TASK.classes == ("spoof", "bonafide")


def test_a_corpus_without_attacks_has_no_labels():
    assert not TASK.labelled(pd.DataFrame({"speaker": ["a", "b"]})).any()


def test_cross_entropy_by_hand():
    """Probabilities of the true classes are 3/4, 3/4, 1/2 and 9/10."""
    nats = -np.log([3 / 4, 3 / 4, 1 / 2, 9 / 10])
    plain = TASK.loss(TARGETS, training())(LOGITS, torch.from_numpy(TARGETS), 0.0)
    assert float(plain) == pytest.approx(nats.mean())
    by_hand = TASK.loss(TARGETS, training(class_weights={"spoof": 0.1, "bonafide": 0.9}))
    weights = np.array([0.9, 0.1, 0.1, 0.1])
    assert float(by_hand(LOGITS, torch.from_numpy(TARGETS), 0.0)) == pytest.approx((weights * nats).sum() / 1.2)
    even = TASK.loss(TARGETS, training(balance="loss"))
    assert float(even(LOGITS, torch.from_numpy(TARGETS), 0.0)) == pytest.approx((nats[0] + nats[1:].mean()) / 2)


@pytest.mark.parametrize("weights", [{"spoof": 1.0}, {"spoof": 1.0, "real": 2.0}])
def test_weights_by_hand_name_both_classes(weights):
    with pytest.raises(InputError, match=r"class_weights has spoof.*, expected a weight for each of: spoof, bonafide"):
        TASK.loss(TARGETS, training(class_weights=weights))


def test_one_class_losses_by_hand():
    """ln 2 at the margin, about the scaled distance beyond it, nearly nothing on the right side."""
    cosines, targets = torch.tensor([0.9, 0.2, -0.6, 0.9, 1.0]), torch.tensor([1, 0, 1, 0, 1])
    found = one_class_losses(cosines, targets, OneClass(**ONE_CLASS)).tolist()
    far_real, far_fake = math.log1p(math.exp(20 * 1.5)), math.log1p(math.exp(20 * 0.7))
    assert found == pytest.approx([math.log(2), math.log(2), far_real, far_fake, math.log1p(math.exp(-2))], rel=1e-5)


def test_one_class_training_moves_bona_fide_to_the_centre_and_spoofs_away():
    settings = training(one_class=ONE_CLASS)
    torch.manual_seed(0)
    head = TASK.head(8, settings, TARGETS)
    rows, targets = torch.randn(4, 8), torch.from_numpy(TARGETS)
    loss = TASK.loss(TARGETS, settings)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.02)
    first = loss(head(rows), targets, 0.0)
    for _ in range(20):
        optimizer.zero_grad()
        loss(head(rows), targets, 0.0).backward()
        optimizer.step()
    assert loss(head(rows), targets, 0.0).item() < first.item()
    assert head(rows).shape == (4, 1)


def test_scores_are_log_odds_or_cosines_averaged_over_crops():
    logits = LOGITS.reshape(2, 2, 2)
    assert TASK.scores(logits)["score"] == pytest.approx([0.0, -math.log(9) / 2], abs=1e-6)
    assert TASK.scores(torch.tensor([[[0.5], [0.1]]]))["score"] == pytest.approx([0.3])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"one_class": {"scale": 20.0, "real": 0.2, "fake": 0.9}}, "fake is 0.9, expected below real"),
        ({"one_class": ONE_CLASS, "balance": "loss"}, "one_class has margins in place of weights"),
        ({"class_weights": {"spoof": 1.0}, "balance": "sampling"}, "class_weights are set and balance is 'sampling'"),
        ({"scheduler": "step", "scheduler_patience": 0}, "scheduler_patience is 0, expected 1"),
        ({"evaluation_place": "start"}, "evaluation_crops is 2, expected 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        training(**changes)
