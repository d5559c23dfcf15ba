"""From prepared audio to what a network is fed: the one path that the features stage and serving share."""

from __future__ import annotations

import numpy as np
import torch

from voxbench import config
from voxbench.features.frontends import FrontEnd, FrontEndSettings
from voxbench.features.store import halve
from voxbench.schema import InputKind


def build_front_end(section: config.Features, sample_rate_hz: int) -> FrontEnd:
    """Return the front end that a corpus's `features` section describes."""
    return FrontEnd(FrontEndSettings(sample_rate_hz=sample_rate_hz, **section.model_dump()))


def extract(front_end: FrontEnd, wave: np.ndarray) -> dict[InputKind, np.ndarray]:
    """Return float16 features `(T, F)` of each kind for one wave `(S,)`, as the store keeps them."""
    with torch.inference_mode():
        outputs = front_end(torch.from_numpy(wave)[None])
    return {kind: halve(values_BFT[0].T.contiguous().numpy()) for kind, values_BFT in outputs.items()}
