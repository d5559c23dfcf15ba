"""Pools of frames into one vector per clip, and what padding means to a network that reads clips of several lengths.

A padded batch `(B, C, T)` comes with the length of every clip. What lies behind a clip's end never reaches its
embedding: it is left out of every mean, deviation and softmax, and a convolution sees there what it would see at the
end of the clip alone, its mirrored frames (`MirroredConv1d`) or zeros (`Padding.zeroed`). The values of the padding do
not matter, NaN included.

`StatisticsPooling`: mean and deviation over time, after D. Snyder et al., "X-vectors", ICASSP 2018.
`AttentiveStatisticsPooling`: both weighted per channel by a softmax over time of two layers that also see the
unweighted mean and deviation, after B. Desplanques et al., "ECAPA-TDNN", arXiv:2005.07143, 2020. Published code repeats
these two over time and multiplies them frame by frame; here their share of the first layer is computed once a clip.

Shape letters: B batch, C channels, F bands, T time frames, H bottleneck.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import require_features
from voxbench.schema import InputError

VARIANCE_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class Padding:
    """Where each clip of a batch ends: whole numbers `lengths_B` of frames, and True in `mask_B1T` from there on."""

    lengths_B: Tensor
    mask_B1T: Tensor

    def zeroed(self, frames: Tensor) -> Tensor:
        """Return `(B, C, T)` or `(B, C, F, T)` with zeros for padding."""
        mask = self.mask_B1T if frames.ndim == 3 else self.mask_B1T[:, None]
        return frames.masked_fill(mask, 0.0)

    def counts(self, frames: Tensor) -> Tensor:
        """Return the clips' numbers of frames with as many axes as a mean of `frames` over time has."""
        return self.lengths_B.view(-1, *(1,) * (frames.ndim - 2))

    def mirrored(self, margin: int) -> Tensor:
        """Return, for the places -margin..T+margin-1, which frame of the clip a mirror at both its ends shows there.

        Places further behind the end than `margin` show some frame of the clip; nothing may depend on them.
        """
        places = torch.arange(-margin, self.mask_B1T.shape[2] + margin, device=self.lengths_B.device)
        last_B1 = self.lengths_B[:, None] - 1
        return torch.minimum(places.abs(), 2 * last_B1 - places).clamp(min=0)


def padding_of(lengths_B: Tensor, frames: int) -> Padding:
    """Return the padding of a batch of `frames` frames whose clips have `lengths_B`."""
    places = torch.arange(frames, device=lengths_B.device)
    return Padding(lengths_B, (places >= lengths_B[:, None])[:, None])


def read_padding(features_BFT: Tensor, lengths_B: Tensor | None, n_features: int, least: int) -> Padding | None:
    """Check a batch of an encoder and return its padding, None where every clip fills its row.

    Raises `InputError` for another shape, fewer frames than `least`, or lengths that are not one whole number in
    `least`..T for each clip.
    """
    require_features(features_BFT, n_features)
    rows, _, frames = features_BFT.shape
    if frames < least:
        raise InputError(f"found {frames} frames, expected at least {least}: use longer recordings or crops")
    if lengths_B is None:
        return None
    if lengths_B.shape != (rows,) or lengths_B.is_floating_point():
        raise InputError(
            f"found lengths of shape {tuple(lengths_B.shape)} and type {lengths_B.dtype}, "
            f"expected {rows} whole numbers of frames"
        )
    # While a network is traced, its lengths have no values.
    if not torch.compiler.is_compiling() and (lengths_B.min() < least or lengths_B.max() > frames):
        raise InputError(
            f"found clips of {int(lengths_B.min())} to {int(lengths_B.max())} frames in a batch of {frames}, "
            f"expected {least} to {frames}"
        )
    return padding_of(lengths_B, frames)


class MirroredConv1d(nn.Conv1d):
    """A convolution that keeps the number of frames: both ends of each clip are continued by their mirror image.

    A clip needs more frames than the convolution reaches to either side.
    """

    def __init__(self, inputs: int, outputs: int, span: int, dilation: int) -> None:
        super().__init__(inputs, outputs, span, dilation=dilation)
        self.margin = (span - 1) * dilation // 2

    def forward(self, frames_BCT: Tensor, padding: Padding | None = None) -> Tensor:
        """Return `(B, outputs, T)`."""
        if not self.margin:
            return super().forward(frames_BCT)
        if self.training and padding is None:
            return super().forward(functional.pad(frames_BCT, (self.margin, self.margin), mode="reflect"))
        # For one clip on a CPU the product of matrices is twice as fast as torch's dilated convolution.
        matrix = self.weight.transpose(1, 2).flatten(1)[:, :, None]
        return functional.conv1d(self._spread(frames_BCT, padding), matrix, self.bias)

    def _spread(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return what each place of the output sees, `(B, span * C, T)`."""
        frames, (span,), (dilation,) = frames_BCT.shape[2], self.kernel_size, self.dilation
        starts = range(0, span * dilation, dilation)
        if padding is None:
            wide = functional.pad(frames_BCT, (self.margin, self.margin), mode="reflect")
            return torch.cat([wide[:, :, start : start + frames] for start in starts], dim=1)
        places_B1T = padding.mirrored(self.margin)[:, None].expand(-1, frames_BCT.shape[1], -1)
        return torch.cat([frames_BCT.gather(2, places_B1T[:, :, start : start + frames]) for start in starts], dim=1)


def mean_over_time(frames: Tensor, padding: Padding | None) -> Tensor:
    """Return the mean of each clip's frames: `(B, C, T)` to `(B, C)`, `(B, C, F, T)` to `(B, C, F)`."""
    if padding is None:
        return frames.mean(dim=-1)
    return padding.zeroed(frames).sum(dim=-1) / padding.counts(frames)


def moments(frames: Tensor, padding: Padding | None, correction: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance over each clip's frames; the variance divides by their number less `correction`."""
    mean = mean_over_time(frames, padding)
    shifted = frames - mean[..., None]
    if padding is not None:
        shifted = padding.zeroed(shifted)
    counts = frames.shape[-1] if padding is None else padding.counts(frames)
    # On a CPU torch.var_mean takes ten times as long.
    return mean, torch.linalg.vector_norm(shifted, dim=-1).square() / (counts - correction)


class StatisticsPooling(nn.Module):
    """Mean and deviation over time side by side, `(B, C, T)` to `(B, 2C)` or `(B, C, F, T)` to `(B, 2CF)`.

    The deviation is the root of the unbiased variance plus `floor`; a clip needs two frames.
    """

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, frames: Tensor, padding: Padding | None = None) -> Tensor:
        """Return the statistics of each clip."""
        mean, variance = moments(frames, padding, correction=1)
        return torch.cat([mean.flatten(1), (variance + self.floor).sqrt().flatten(1)], dim=1)


class AttentiveStatisticsPooling(nn.Module):
    """Mean and deviation over time, weighted per channel, side by side: `(B, C, T)` to `(B, 2C)`."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.frames = nn.Conv1d(channels, bottleneck, 1)
        self.context = nn.Linear(2 * channels, bottleneck, bias=False)
        self.norm = nn.BatchNorm1d(bottleneck)
        self.scores = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, frames_BCT: Tensor, padding: Padding | None = None) -> Tensor:
        """Return the weighted statistics of each clip."""
        mean_BC, variance_BC = moments(frames_BCT, padding, correction=0)
        context_BH = self.context(torch.cat([mean_BC, _root(variance_BC)], dim=1))
        hidden_BHT = functional.relu(self.frames(frames_BCT) + context_BH[:, :, None])
        scores_BCT = self.scores(self.norm(hidden_BHT).tanh())
        if padding is not None:
            scores_BCT = scores_BCT.masked_fill(padding.mask_B1T, -torch.inf)
            frames_BCT = padding.zeroed(frames_BCT)
        weights_BCT = scores_BCT.softmax(dim=2)
        mean_BC = (weights_BCT * frames_BCT).sum(dim=2)
        variance_BC = (weights_BCT * (frames_BCT - mean_BC[:, :, None]).square()).sum(dim=2)
        return torch.cat([mean_BC, _root(variance_BC)], dim=1)


def _root(variance: Tensor) -> Tensor:
    # Without the floor the gradient of a channel that never changes would be infinite.
    return variance.clamp(min=VARIANCE_FLOOR).sqrt()
