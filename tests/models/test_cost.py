"""Multiply-adds: by hand for each kind of layer, and against torch's own counter for every network but LSTMs."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from voxbench.models import create_model, list_models, spec
from voxbench.models.cost import multiply_adds
from voxbench.schema import InputKind

SETTINGS = {"n_features": 64, "dropout": 0.5, "recurrent_dropout": 0.3, "resize": 64, "stem": "sum", "initial": None}
SETTINGS |= {"masked_filters": None}
SHAPES = {InputKind.SPECTROGRAM: (1, 64, 90), InputKind.CEPSTRA: (1, 64, 30), InputKind.WAVE: (1, 1, 8_000)}
SLOW = {"vgg16", "thin_resnet101", "thin_resnet152"}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in list_models()]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(7, 5), (3, 7), 3 * 5 * 7),
        (nn.Linear(7, 5), (3, 4, 7), 3 * 4 * 5 * 7),
        (nn.Conv1d(2, 6, 3, padding=1), (1, 2, 10), 10 * 6 * 2 * 3),
        (nn.Conv1d(4, 6, 3, stride=2, groups=2), (2, 4, 11), 2 * 5 * 6 * 2 * 3),
        (nn.Conv2d(1, 8, 3), (1, 1, 12, 9), 10 * 7 * 8 * 9),
        (nn.LSTM(13, 20, batch_first=True), (2, 30, 13), 2 * 30 * 4 * 20 * (13 + 20)),
        (nn.LSTM(13, 20, batch_first=True, bidirectional=True), (1, 30, 13), 30 * 2 * 4 * 20 * (13 + 20)),
        (nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2)), (1, 4, 8), 0),
    ],
)
def test_by_hand(layer, shape, expected):
    assert multiply_adds(layer, torch.zeros(shape)) == expected


def test_a_layer_counts_as_often_as_it_is_called():
    layer = nn.Linear(4, 4)
    assert multiply_adds(nn.Sequential(layer, layer, layer), torch.zeros(1, 4)) == 3 * 16


def test_a_layer_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="multiply-adds of a Bilinear are not known"):
        multiply_adds(nn.Sequential(_Twice()), torch.zeros(1, 3))


class _Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.product = nn.Bilinear(3, 3, 2)

    def forward(self, values):
        return self.product(values, values)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_has_a_cost_that_grows_with_the_batch(name, monkeypatch):
    # Where pieces of a clip overlap, torch counts what is computed twice.
    monkeypatch.setattr("voxbench.models.aasist.PIECE", 10**9)
    network = create_model(name, **{key: SETTINGS[key] for key in spec(name).accepts})
    shape = SHAPES[spec(name).input_kind]
    one = multiply_adds(network, torch.zeros(shape))
    assert 0 < 3 * one == multiply_adds(network, torch.zeros(3, *shape[1:]))
    if spec(name).family != "lstm":
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.zeros(shape))
        assert counter.get_total_flops() == 2 * one


def test_counting_changes_neither_weights_nor_draws_nor_the_way_a_network_is_called():
    network = create_model("m3")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    multiply_adds(network, torch.zeros(2, 1, 800))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
