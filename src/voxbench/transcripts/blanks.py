"""Frames beyond a recording's end: they say blank with certainty, so that no lengths travel with log-probabilities.

A path goes through such frames in one way, at no cost, and collapses to what it was without them. So the forward
probability of a text, the best path, its text and its alignment are those of the recording alone.

Shape letters: B recordings, T frames, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxbench.transcripts.alphabet import BLANK, NEVER


def blank_after(log_probs_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Return log-probabilities in which every frame from a recording's length on is blank."""
    frames = torch.arange(log_probs_BTC.shape[1], device=log_probs_BTC.device)
    return torch.where((frames < lengths_B[:, None])[:, :, None], log_probs_BTC, _blank(log_probs_BTC))


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return batches of outputs as one; log-probabilities `(B, T, C)` of different T end in blank frames."""
    if len({part.shape[1:] for part in parts}) < 2:
        return torch.cat(list(parts))
    frames = max(part.shape[1] for part in parts)
    return torch.cat([_extended(part, frames) for part in parts])


def _extended(part_BTC: Tensor, frames: int) -> Tensor:
    missing = _blank(part_BTC).expand(len(part_BTC), frames - part_BTC.shape[1], -1)
    return torch.cat([part_BTC, missing], dim=1)


def _blank(like_BTC: Tensor) -> Tensor:
    """Return one frame `(C,)` that is blank with certainty."""
    frame_C = torch.full_like(like_BTC[0, 0], NEVER)
    frame_C[BLANK] = 0.0
    return frame_C
