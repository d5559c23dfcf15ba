"""Layers of networks that answer for every frame of a padded batch, to whom a clip's end is the end of the world.

What lies behind a clip's end is zero after each of these layers, and no number of the clip follows from it, in training
either: batch normalisation takes mean and variance over the clips' own frames, and a recurrent layer that reads
backwards begins at each clip's own last frame. All but the training of normalisation is made of plain operations on
whole tensors, without packed sequences, so that it can be exported.

References: batch normalisation over all frames of all clips ("sequence-wise"): D. Amodei et al., "Deep Speech 2",
arXiv:1512.02595, 2015, section 3.2; gated recurrent unit: K. Cho et al., arXiv:1406.1078, 2014, in the form of
`torch.nn.GRU`.

Shape letters: B batch, C channels, T time frames, N frames of all clips, H hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxbench.models.pooling import Padding, padding_of


class CentredConv1d(nn.Conv1d):
    """A convolution of odd `span` without bias, between zeros, which makes ceil(T / stride) frames of T."""

    def __init__(self, inputs: int, outputs: int, span: int, stride: int, dilation: int, groups: int) -> None:
        margin = span // 2 * dilation
        super().__init__(inputs, outputs, span, stride, margin, dilation, groups, bias=False)


def shortened(padding: Padding | None, frames: int, stride: int) -> Padding | None:
    """Return where the clips of a batch of `frames` end after a convolution of that stride."""
    if padding is None or stride == 1:
        return padding
    # Written as torch counts a convolution's frames, or a traced network would not know the two as equal.
    return padding_of((padding.lengths_B - 1) // stride + 1, (frames - 1) // stride + 1)


class FramesNorm(nn.BatchNorm1d):
    """Batch normalisation of `(B, C, T)` over the frames of the clips, which leaves zeros behind their ends."""

    def forward(self, frames_BCT: Tensor, padding: Padding | None = None) -> Tensor:
        """Return what `torch.nn.BatchNorm1d` gives for the clips' own frames."""
        if padding is None:
            return super().forward(frames_BCT)
        if not self.training:
            return padding.zeroed(super().forward(frames_BCT))
        own_BT = ~padding.mask_B1T[:, 0]
        frames_BTC = frames_BCT.mT
        output_BTC = torch.zeros_like(frames_BTC)
        output_BTC[own_BT] = super().forward(frames_BTC[own_BT])
        return output_BTC.mT


class BothWaysGru(nn.Module):
    """One GRU that reads each clip forwards, one that reads it backwards: `(B, C, T)` to `(B, 2H, T)`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.forwards = nn.GRU(inputs, hidden, batch_first=True)
        self.backwards = nn.GRU(inputs, hidden, batch_first=True)

    def forward(self, frames_BCT: Tensor, padding: Padding | None = None) -> Tensor:
        """Return the outputs of both, side by side."""
        frames_BTC = frames_BCT.mT
        ahead_BTH: Tensor = self.forwards(frames_BTC)[0]
        back_BTH = _turned(self.backwards(_turned(frames_BTC, padding))[0], padding)
        both_BCT = torch.cat([ahead_BTH, back_BTH], dim=2).mT
        return both_BCT if padding is None else padding.zeroed(both_BCT)


def _turned(frames_BTC: Tensor, padding: Padding | None) -> Tensor:
    """Return each clip's frames in reverse order, in its own place; what lies behind its end stays there."""
    if padding is None:
        return frames_BTC.flip(1)
    places_T = torch.arange(frames_BTC.shape[1], device=frames_BTC.device)
    mirrored_BT = padding.lengths_B[:, None] - 1 - places_T
    places_BT = torch.where(mirrored_BT >= 0, mirrored_BT, places_T)
    return frames_BTC.gather(1, places_BT[:, :, None].expand_as(frames_BTC))
