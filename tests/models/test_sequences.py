"""Layers for padded batches: against torch's own layers for the clips without their padding."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from voxbench.models.pooling import padding_of
from voxbench.models.sequences import BothWaysGru, CentredConv1d, FramesNorm, shortened

LENGTHS = (7, 1, 4, 6)
PADDING = padding_of(torch.tensor(LENGTHS), 9)


def batch(fill, channels=3):
    frames_BCT = torch.randn(len(LENGTHS), channels, 9, generator=torch.Generator().manual_seed(2))
    return frames_BCT.masked_fill(PADDING.mask_B1T, fill)


def own(frames_BCT):
    return torch.cat([frames_BCT[row, :, :length] for row, length in enumerate(LENGTHS)], dim=1).T


def drawn_norm():
    norm = FramesNorm(3)
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean):
            values.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    return norm


@pytest.mark.parametrize("fill", [0.0, 1e6, math.nan])
@pytest.mark.parametrize("training", [True, False])
def test_norm_is_that_of_all_frames_of_all_clips_in_one_table(training, fill):
    norm = drawn_norm().train(training)
    plain = nn.BatchNorm1d(3).train(training)
    plain.load_state_dict(norm.state_dict())
    found = norm(batch(fill), PADDING)
    expected = plain(own(batch(fill)))
    torch.testing.assert_close(own(found), expected)
    assert not found.masked_select(PADDING.mask_B1T).any()
    torch.testing.assert_close(norm.state_dict(), plain.state_dict())
    assert torch.equal(norm.num_batches_tracked, torch.tensor(int(training)))


def test_norm_without_padding_is_torchs():
    norm = drawn_norm()
    plain = nn.BatchNorm1d(3)
    plain.load_state_dict(norm.state_dict())
    assert torch.equal(norm(batch(1.0)), plain(batch(1.0)))


def test_gradients_of_the_norm_are_those_of_the_table():
    norm = drawn_norm()
    plain = nn.BatchNorm1d(3)
    plain.load_state_dict(norm.state_dict())
    first, second = batch(5.0).requires_grad_(), batch(5.0).requires_grad_()
    own(norm(first, PADDING)).square().cumsum(0).sum().backward()
    plain(own(second)).square().cumsum(0).sum().backward()
    torch.testing.assert_close(first.grad, second.grad)
    torch.testing.assert_close(norm.weight.grad, plain.weight.grad)
    assert first.grad.any()


@pytest.mark.parametrize("fill", [0.0, 1e6])
def test_a_recurrent_layer_reads_each_clip_from_its_own_end(fill):
    layer = BothWaysGru(3, 5)
    plain = nn.GRU(3, 5, batch_first=True, bidirectional=True)
    for name, values in plain.named_parameters():
        part = layer.backwards if name.endswith("_reverse") else layer.forwards
        values.data.copy_(part.get_parameter(name.removesuffix("_reverse")))
    found = layer(batch(fill), PADDING)
    for row, length in enumerate(LENGTHS):
        clip = batch(fill)[row : row + 1, :, :length]
        expected = plain(clip.mT)[0].mT
        torch.testing.assert_close(found[row : row + 1, :, :length], expected)
        torch.testing.assert_close(layer(clip), expected)
    assert not found.masked_select(PADDING.mask_B1T).any()


@pytest.mark.parametrize(
    ("span", "stride", "dilation"), [(1, 1, 1), (5, 1, 1), (5, 2, 1), (11, 3, 1), (3, 4, 1), (3, 1, 4)]
)
def test_a_convolution_makes_one_frame_of_every_stride(span, stride, dilation):
    conv = CentredConv1d(3, 6, span, stride, dilation, groups=3)
    for frames in range(1, 14):
        found = conv(torch.ones(1, 3, frames))
        wide = functional.pad(torch.ones(1, 3, frames), [span // 2 * dilation] * 2)
        middle = conv.weight[0, 0] @ wide[0, 0, : (span - 1) * dilation + 1 : dilation]
        assert found.shape == (1, 6, math.ceil(frames / stride))
        torch.testing.assert_close(found[0, 0, 0], middle)
    assert conv.bias is None


def test_the_ends_of_clips_after_a_stride():
    found = shortened(PADDING, 9, 3)
    assert found.lengths_B.tolist() == [3, 1, 2, 2]
    assert found.mask_B1T[:, 0].int().tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    assert shortened(PADDING, 9, 1) is PADDING
    assert shortened(None, 9, 3) is None
