"""From prepared audio to what a network is fed: the one path that the features stage and serving share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from voxbench import config
from voxbench.features.frontends import FrontEnd, FrontEndSettings
from voxbench.schema import InputKind


def build_front_end(section: config.Features, sample_rate_hz: int) -> FrontEnd:
    """Return the front end that a corpus's `features` section describes."""
    return FrontEnd(FrontEndSettings(sample_rate_hz=sample_rate_hz, **section.model_dump()))


def extract(front_end: FrontEnd, wave: np.ndarray) -> dict[InputKind, np.ndarray]:
    """Return float16 features `(T, F)` of each kind for one wave `(S,)`, as the store keeps them."""
    with torch.inference_mode():
        outputs = front_end(torch.from_numpy(wave)[None])
        return {kind: _halve(values_BFT[0].T) for kind, values_BFT in outputs.items()}


def network_input(front_end: FrontEnd, wave_S: np.ndarray, kind: InputKind) -> np.ndarray:
    """Return what crops for networks of a kind are cut from: the wave itself, or its features by `extract`."""
    return wave_S if kind is InputKind.WAVE else extract(front_end, wave_S)[kind]


def _halve(values_TF: Tensor) -> np.ndarray:
    """Return values as float16, refusing what float16 cannot hold; four times as fast as numpy."""
    largest = torch.stack(torch.aminmax(values_TF)).abs().amax().item()
    if not largest <= torch.finfo(torch.float16).max:
        raise ValueError(f"values up to {largest:g} do not fit float16 (65,504 at most)")
    return values_TF.to(torch.float16).contiguous().numpy()
