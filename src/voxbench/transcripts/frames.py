"""What every reader of log-probabilities asks of them, and how many frames are the recording's own.

Shape letters: N recordings, T frames, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import BLANK, CLASSES, NEVER

ROUNDING = 1e-3
"""By so much a logarithm of a probability may exceed 0: half precision, not logits."""


def checked(log_probs_NTC: Tensor) -> Tensor:
    """Return log-probabilities (N, T, C) without their graph; what are none raises `InputError`."""
    shape = tuple(log_probs_NTC.shape)
    if len(shape) != 3 or shape[2] != len(CLASSES):
        raise InputError(f"expected log-probabilities (N, T, {len(CLASSES)}), found shape {shape}")
    found = log_probs_NTC.detach()
    if found.numel() and not bool(torch.isfinite(found).all()):
        raise InputError("log-probabilities must be finite: has the network diverged?")
    if found.numel() and float(found.max()) > ROUNDING:
        raise InputError(f"log-probabilities are at most 0, found {float(found.max()):g}: are these logits?")
    return found


def own_frames(log_probs_NTC: Tensor) -> Tensor:
    """Return for each recording the frames (N,) int64 before those at its end that are blank with certainty."""
    others_NT = log_probs_NTC[:, :, BLANK + 1 :].amax(dim=2)
    own_NT = (log_probs_NTC[:, :, BLANK] != 0) | (others_NT > NEVER)
    places_T = torch.arange(1, own_NT.shape[1] + 1, device=own_NT.device)
    return (own_NT * places_T).amax(dim=1) if own_NT.shape[1] else own_NT.new_zeros(len(own_NT), dtype=torch.int64)
