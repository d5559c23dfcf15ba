"""Padding and batch-mates never change an embedding, for every encoder that takes lengths; pools by hand."""

import math

import pytest
import torch
from torch.nn import functional

from voxbench.models import create_model, list_models, spec
from voxbench.models.pooling import (
    AttentiveStatisticsPooling,
    MirroredConv1d,
    StatisticsPooling,
    mean_over_time,
    moments,
    padding_of,
    read_padding,
)
from voxbench.schema import InputError

BANDS = 24
# Every remainder by the thin networks' stride of eight, and the shortest that all take.
LENGTHS = (41, 9, 10, 11, 12, 13, 14, 15, 16, 40, 39, 33, 24)
SLOW = {"thin_resnet101", "thin_resnet152", "ecapa_tdnn_1024", "ecapa_tdnn_1024_3072"}


def takes_lengths(name):
    if "initial" not in spec(name).accepts or spec(name).pretrained:
        return False
    with torch.device("meta"):
        encoder = create_model(name)
    return encoder.takes_lengths and encoder.stride is None


NAMES = [name for name in list_models() if takes_lengths(name)]
MARKED = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]


@pytest.fixture(scope="module", params=MARKED)
def encoder(request):
    """Return an encoder whose normalisations do something: what is zero before one is not zero behind it."""
    torch.manual_seed(3)
    encoder = create_model(request.param, n_features=BANDS)
    for module in encoder.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.normal_(module.bias)
    return encoder.eval()


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(1, BANDS, length, generator=generator) for length in LENGTHS]


@pytest.fixture(scope="module")
def alone(encoder, clips):
    with torch.no_grad():
        return torch.cat([encoder(clip) for clip in clips])


def padded(clips, frames, fill):
    return torch.cat([functional.pad(clip, (0, frames - clip.shape[2]), value=fill) for clip in clips])


def test_all_families_of_speaker_networks_take_lengths():
    assert {spec(name).family for name in NAMES} == {"ecapa_tdnn", "x_vector", "thin_resnet"}


@pytest.mark.parametrize(("frames", "fill"), [(41, 0.0), (41, 300.0), (64, -7.0), (50, math.nan), (50, math.inf)])
def test_padding_never_changes_an_embedding(encoder, clips, alone, frames, fill):
    with torch.no_grad():
        found = encoder(padded(clips, frames, fill), torch.tensor(LENGTHS))
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_batch_mates_never_change_an_embedding(encoder, clips, alone):
    order = torch.tensor([5, 1, 0, 8])
    batch = padded(clips, 41, 0.0)[order]
    with torch.no_grad():
        found = encoder(batch, torch.tensor(LENGTHS)[order])
        doubled = encoder(torch.cat([batch, 100 * batch]), torch.tensor(LENGTHS)[order].repeat(2))
    torch.testing.assert_close(found, alone[order], rtol=0, atol=1e-5)
    torch.testing.assert_close(doubled[:4], found, rtol=0, atol=1e-5)


def test_lengths_that_say_nothing_change_nothing(encoder, clips):
    with torch.no_grad():
        batch = torch.cat([clips[0], clips[0].flip(2)])
        torch.testing.assert_close(encoder(batch, torch.tensor([41, 41])), encoder(batch), rtol=0, atol=1e-5)


def test_without_lengths_padding_does_change_the_embedding(encoder, clips, alone):
    with torch.no_grad():
        found = encoder(padded(clips, 41, 0.0))
    assert (found - alone)[1:].abs().amax(dim=1).min() > 1e-4


@pytest.mark.parametrize(
    ("lengths", "complaint"),
    [
        (torch.tensor([20]), r"shape \(1,\) .*expected 2 whole numbers"),
        (torch.tensor([1.0, 0.5]), r"type torch.float32, expected 2 whole numbers"),
        (torch.tensor([20, 31]), "clips of 20 to 31 frames in a batch of 30, expected 9 to 30"),
        (torch.tensor([0, 30]), "clips of 0 to 30 frames"),
    ],
)
def test_lengths_of_another_batch_are_refused(lengths, complaint):
    with pytest.raises(InputError, match=complaint):
        read_padding(torch.zeros(2, BANDS, 30), lengths, BANDS, 9)


def test_a_mirror_shows_what_lies_before_the_end_of_each_clip():
    places = padding_of(torch.tensor([5, 3]), 5).mirrored(2)
    assert places[0].tolist() == [2, 1, 0, 1, 2, 3, 4, 3, 2]
    assert places[1].tolist()[:7] == [2, 1, 0, 1, 2, 1, 0]


@pytest.mark.parametrize(("span", "dilation"), [(1, 1), (3, 1), (3, 4), (5, 1)])
def test_training_and_evaluation_convolve_alike(span, dilation):
    conv, frames = MirroredConv1d(3, 4, span, dilation), torch.randn(2, 3, 11)
    margin = dilation * (span // 2)
    expected = functional.conv1d(
        functional.pad(frames, (margin, margin), mode="reflect"), conv.weight, conv.bias, dilation=dilation
    )
    lengths = padding_of(torch.tensor([11, 11]), 11)
    for found in (conv.train()(frames), conv(frames, lengths), conv.eval()(frames), conv(frames, lengths)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_statistics_by_hand():
    frames = torch.tensor([[[1.0, 3.0, 8.0]], [[2.0, 2.0, 2.0]]])
    padding = padding_of(torch.tensor([2, 3]), 3)
    assert mean_over_time(frames, None).tolist() == [[4.0], [2.0]]
    assert mean_over_time(frames, padding).tolist() == [[2.0], [2.0]]
    assert moments(frames, None, correction=1)[1].flatten().tolist() == pytest.approx([13.0, 0.0])
    assert moments(frames, padding, correction=0)[1].flatten().tolist() == pytest.approx([1.0, 0.0])
    found = StatisticsPooling(0.25)(frames, padding)
    assert found.flatten().tolist() == pytest.approx([2.0, 1.5, 2.0, 0.5])


def test_attention_by_hand():
    pooling = AttentiveStatisticsPooling(1, 1).eval()
    for parameter in pooling.parameters():
        torch.nn.init.zeros_(parameter)
    frames = torch.tensor([[[1.0, 3.0, 100.0]]])
    padding = padding_of(torch.tensor([2]), 3)
    assert pooling(frames, padding).flatten().tolist() == pytest.approx([2.0, 1.0])
    # Scores that are the frames themselves, tanh apart: weights 1 / (1 + e^-2 score).
    torch.nn.init.constant_(pooling.frames.weight, 1.0)
    torch.nn.init.constant_(pooling.norm.weight, 1.0)
    torch.nn.init.constant_(pooling.scores.weight, 5.0)
    scores = [5 * math.tanh(value / math.sqrt(1 + 1e-5)) for value in (1.0, 3.0)]
    second = 1 / (1 + math.exp(scores[0] - scores[1]))
    expected = [1 + 2 * second, 2 * math.sqrt(second * (1 - second))]
    assert pooling(frames, padding).flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_a_constant_channel_has_finite_gradients():
    for pooling in (StatisticsPooling(1e-10), AttentiveStatisticsPooling(2, 3).eval()):
        frames = torch.ones(1, 2, 6, requires_grad=True)
        pooling(frames).sum().backward()
        assert frames.grad.isfinite().all()
