"""Networks that count speakers: layers and parameters of the course's documents and of the paper."""

import pytest
import torch
from torch import nn

from voxbench.models import create_model, list_models
from voxbench.models.wave_cnn import ResidualBlock
from voxbench.schema import InputError


def parameters(name, classes, **overrides):
    encoder = create_model(name, **overrides)
    network = nn.Sequential(encoder, nn.Linear(encoder.embedding_dim, classes))
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "course", "paper"),
    [
        ("m3", 5_923, 221_194),
        ("m5", 37_507, 559_114),
        ("m11", 449_059, 1_786_442),
        ("m18", 924_643, 3_683_786),
        ("m34_res", 1_771_939, 3_978_490),
    ],
)
def test_parameters_are_those_of_the_course_and_of_the_paper(name, course, paper):
    assert parameters(name, 3) == course
    assert parameters(f"{name}_paper", 10) == paper


@pytest.mark.parametrize(("number", "three", "other"), [(1, 9_795, None), (2, 65_571, 67_651), (3, 483, None)])
def test_spectrogram_networks_have_the_published_parameters(number, three, other):
    assert parameters(f"spectrogram_cnn_{number}", 3) == three
    if other:
        assert parameters(f"spectrogram_cnn_{number}", 35) == other


@pytest.mark.parametrize(("name", "lengths"), [("m3", [499]), ("m5", [499, 124, 31]), ("m11", [499, 124, 31, 7])])
def test_two_seconds_shrink_as_in_the_paper(name, lengths):
    encoder, found = create_model(name).eval(), []
    for group in encoder.groups:
        group.register_forward_hook(lambda _, __, output: found.append(output.shape[2]))
    encoder(torch.zeros(1, 1, 32_000))
    assert found == lengths


@pytest.mark.parametrize(
    ("number", "shapes"),
    [
        (1, [(32, 99, 39), (32, 48, 18)]),
        (2, [(32, 99, 39), (32, 48, 18), (64, 23, 8), (64, 10, 3)]),
        (3, [(32, 99, 39)]),
    ],
)
def test_one_second_shrinks_as_in_the_course(number, shapes):
    encoder, found = create_model(f"spectrogram_cnn_{number}").eval(), []
    for block in encoder.blocks:
        block.register_forward_hook(lambda _, __, output: found.append(tuple(output.shape[1:])))
    encoder(torch.zeros(1, 201, 81))
    assert found == shapes


@pytest.mark.parametrize(
    ("name", "least"),
    [("m3", 128), ("m5", 1_088), ("m11", 4_160), ("m18", 4_160), ("m34_res", 4_160), ("m3_paper", 92)],
)
def test_the_shortest_wave_is_the_one_that_pools_to_one_frame(name, least):
    encoder = create_model(name).eval()
    assert encoder(torch.zeros(1, 1, least)).shape == (1, encoder.embedding_dim)
    with pytest.raises(InputError, match=rf"\(1, 1, {least - 1}\), expected \(batch, 1, {least} samples or more\)"):
        encoder(torch.zeros(1, 1, least - 1))


@pytest.mark.parametrize("shape", [(2, 8_000), (2, 2, 8_000)])
def test_waves_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match="expected"):
        create_model("m5")(torch.zeros(shape))


@pytest.mark.parametrize(("number", "least"), [(1, 10), (2, 46), (3, 4)])
def test_the_smallest_spectrogram_pools_to_one_cell(number, least):
    encoder = create_model(f"spectrogram_cnn_{number}", n_features=least).eval()
    assert encoder(torch.zeros(1, least, least)).shape == (1, encoder.embedding_dim)
    with pytest.raises(InputError, match=f"{least - 1} frames, expected {least} or more"):
        encoder(torch.zeros(1, least, least - 1))
    with pytest.raises(InputError, match=f"found {least - 1} bins, .* needs {least} or more"):
        create_model(f"spectrogram_cnn_{number}", n_features=least - 1)


def test_a_block_adds_its_input_with_channels_of_zeros():
    block = ResidualBlock(2, 3).eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    frames = torch.tensor([[[1.0, -2.0], [3.0, 4.0]]])
    assert block(frames).tolist() == [[[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]]]


def test_dropout_stands_in_as_many_blocks_as_published():
    for number, dropouts in ((1, 2), (2, 3), (3, 1)):
        encoder = create_model(f"spectrogram_cnn_{number}")
        assert sum(isinstance(module, nn.Dropout) for module in encoder.modules()) == dropouts
        assert all(module.p == 0.25 for module in encoder.modules() if isinstance(module, nn.Dropout))


def test_both_families_are_listed():
    assert len(list_models("wave_cnn")) == 10
    assert len(list_models("spectrogram_cnn")) == 3
