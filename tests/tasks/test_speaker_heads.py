"""The head and the loss of speakers: cosines by hand, margins by hand and against the shared vectors, the schedule."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from voxbench.config import Margin
from voxbench.tasks.margins import cosine_margin, grown
from voxbench.tasks.speaker_heads import CosineHead, SpeakerLoss

VECTORS = Path(os.environ.get("VOXBENCH_SHARED", "/nonexistent")) / "vectors" / "metric_vectors.json"
AAM = Margin(kind="aam", margin=0.2, scale=30.0, beyond="touching", subcentres=1, warm_up_epochs=None)


def settings(**changes):
    return Margin(**(AAM.model_dump() | changes))


def head_of(weights, speakers, subcentres):
    head = CosineHead(len(weights[0]), speakers, subcentres)
    with torch.no_grad():
        head.weight.copy_(torch.tensor(weights))
    return head


def by_the_toolkit(iteration, per_epoch, start_epoch, fix_epoch, final):
    """Return wespeaker's margin: its epochs are counted from 1, and its growth goes by iterations."""
    start, fix = (start_epoch - 1) * per_epoch, (fix_epoch - 1) * per_epoch
    if iteration < start:
        return 0.0
    if iteration >= fix:
        return final
    return final * (1.0 - math.exp((iteration - start) / (fix - start) * math.log(1e-3 / (1.0 + 1e-6))))


def test_cosines_whatever_the_lengths():
    head = head_of([[2.0, 0.0], [0.0, 0.1], [-3.0, -3.0]], speakers=3, subcentres=1)
    cosines = head(torch.tensor([[3.0, 4.0], [0.0, -7.0]]))
    half = math.sqrt(0.5)
    torch.testing.assert_close(cosines, torch.tensor([[0.6, 0.8, -1.4 * half], [0.0, -1.0, half]]))


def test_the_nearest_subcentre_counts():
    """Speaker 0 has centres east and north, speaker 1 west and south."""
    head = head_of([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], speakers=2, subcentres=2)
    cosines = head(torch.tensor([[0.6, 0.8], [-0.8, 0.6], [-0.6, -0.8]]))
    torch.testing.assert_close(cosines, torch.tensor([[0.8, -0.6], [0.6, 0.8], [-0.6, 0.8]]))


def test_only_the_nearest_subcentre_learns():
    head = head_of([[1.0, 0.2], [0.2, 1.0]], speakers=1, subcentres=2)
    head(torch.tensor([[0.6, 0.8]])).sum().backward()
    assert (head.weight.grad[0] == 0).all()
    assert (head.weight.grad[1] != 0).any()


def test_an_embedding_of_zeros_has_cosines_of_zero():
    assert (CosineHead(4, 3, 2)(torch.zeros(2, 4)) == 0).all()


@pytest.mark.skipif(not VECTORS.is_file(), reason="VOXBENCH_SHARED does not name the folder with the shared vectors")
def test_the_shared_vectors():
    rules = {"mm": "chord", "mmm": "touching"}
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    vectors = [each for each in vectors if each["metric"] == "aam_softmax"]
    assert vectors
    for vector in vectors:
        given = vector["inputs"]
        cosine, labels = torch.tensor(given["cosine"], dtype=torch.float64), torch.tensor(given["labels"])
        loss = SpeakerLoss(settings(margin=given["margin"], scale=given["scale"], beyond=rules[given["fallback"]]))
        assert loss(cosine, labels, loss.at(0)).item() == pytest.approx(vector["expected"]["loss"], abs=1e-6)


def test_the_additive_margin_by_hand():
    """The true class's cosine of 0.5 counts as 0.3: the logits are 3 and 4."""
    loss = SpeakerLoss(settings(kind="am", scale=10.0))
    value = loss(torch.tensor([[0.5, 0.4]], dtype=torch.float64), torch.tensor([0]), loss.at(0))
    assert value.item() == pytest.approx(math.log(1 + math.e), abs=1e-12)


def test_softmax_is_the_plain_loss_of_scaled_cosines():
    cosine, targets = torch.rand(5, 4, dtype=torch.float64) * 2 - 1, torch.tensor([0, 3, 1, 1, 2])
    loss = SpeakerLoss(settings(kind="softmax", margin=0.0, scale=7.0))
    assert loss(cosine, targets, loss.at(3)).item() == pytest.approx(cross_entropy(7 * cosine, targets).item())


def test_no_margin_changes_no_cosine():
    cosine = torch.tensor([[1.0, -1.0, 0.2]])
    assert torch.equal(cosine_margin(cosine, torch.tensor([0]), 0.0, 1.0), cosine)


@pytest.mark.parametrize("kind", ["am", "aam"])
def test_a_margin_makes_the_loss_larger(kind):
    cosine, targets = torch.rand(6, 4) * 2 - 1, torch.tensor([0, 1, 2, 3, 0, 1])
    loss = SpeakerLoss(settings(kind=kind))
    values = [loss(cosine, targets, margin).item() for margin in (0.0, 0.1, 0.2)]
    assert values == sorted(values)
    assert values[0] < values[2]


@pytest.mark.parametrize("kind", ["softmax", "am", "aam"])
@pytest.mark.parametrize("beyond", ["chord", "touching"])
def test_gradients_are_finite_at_both_ends(kind, beyond):
    """One embedding lies on the weights of its speaker, one opposite to them, one is zero."""
    head = head_of([[1.0, 0.0], [0.0, 1.0]], speakers=2, subcentres=1)
    embedding = torch.tensor([[2.0, 0.0], [0.0, -2.0], [0.0, 0.0]], requires_grad=True)
    loss = SpeakerLoss(settings(kind=kind, beyond=beyond, margin=0.0 if kind == "softmax" else 0.3))
    loss(head(embedding), torch.tensor([0, 1, 1]), loss.at(0)).backward()
    assert torch.isfinite(embedding.grad).all()
    assert torch.isfinite(head.weight.grad).all()
    cosine = torch.tensor([[1.0, -1.0], [1.0, -1.0], [1.0000001, -1.0000001]], requires_grad=True)
    loss(cosine, torch.tensor([0, 1, 0]), loss.at(0)).backward()
    assert torch.isfinite(cosine.grad).all()


@pytest.mark.parametrize("per_epoch", [1, 7, 100])
def test_the_schedule_is_the_toolkits(per_epoch):
    loss = SpeakerLoss(settings(warm_up_epochs=[19, 39]))
    for iteration in range(45 * per_epoch):
        expected = by_the_toolkit(iteration, per_epoch, start_epoch=20, fix_epoch=40, final=0.2)
        assert loss.at(iteration / per_epoch) == pytest.approx(expected, abs=1e-12)


def test_the_schedule_by_hand():
    """Halfway 1 - sqrt(0.001) of the margin is in force."""
    assert grown(0.5) == pytest.approx(1 - math.sqrt(0.001), abs=1e-6)
    assert (grown(-3.0), grown(0.0), grown(1.0), grown(9.0)) == (0.0, 0.0, 1.0, 1.0)
    assert SpeakerLoss(AAM).at(0) == 0.2
    at_once = SpeakerLoss(settings(warm_up_epochs=[2, 2]))
    assert [at_once.at(epoch) for epoch in (0, 1, 2, 3)] == [0.0, 0.0, 0.2, 0.2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "softmax"}, "kind softmax has no margin, found margin 0.2: set it to 0"),
        ({"kind": "triplet"}, "'softmax', 'am' or 'aam'"),
        ({"margin": 1.6}, "less than 1.57"),
        ({"margin": -0.1}, "greater than or equal to 0"),
        ({"margin": math.nan}, "margin"),
        ({"scale": 0.0}, "greater than 0"),
        ({"subcentres": 0}, "greater than or equal to 1"),
        ({"warm_up_epochs": [5, 2]}, "the lower one first"),
        ({"warm_up_epochs": [-1, 2]}, "warm_up_epochs starts at -1"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(**changes)
