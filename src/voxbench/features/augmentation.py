"""Settings of augmentation that can work, and masked stripes of features.

Reference: SpecAugment's time and frequency masking (Park et al. 2019, without its time warping). What is done to waves
is in `voxbench.features.online`.

Legend of shape letters: B batch, T frames, F bins.
"""

from __future__ import annotations

import numpy as np
import torch
from soundfile import LibsndfileError
from torch import Tensor

from voxbench.audio.codecs import codecs, transcode
from voxbench.config import Augmentation
from voxbench.registry import closest
from voxbench.schema import InputError

LONGEST_ROOM_SECONDS = 10.0
"""Longer than any hall's reverberation."""


def check(augmentation: Augmentation, sample_rate_hz: int, shortest_seconds: float) -> None:
    """Refuse settings that cannot work on waves of `sample_rate_hz` of which so many seconds are seen, with the fix."""
    speed, rt60, edges_hz = augmentation.speed, augmentation.reverberation_seconds, augmentation.low_pass_hz
    for name, values in augmentation.model_dump().items():
        if isinstance(values, tuple) and name != "codecs" and not np.isfinite(values).all():
            raise InputError(f"augmentation.{name} is {list(values)}, expected finite numbers")
    if speed and speed[0] <= 0:
        raise InputError(f"augmentation.speed starts at {speed[0]:g}, expected factors above 0: 1 is the speed as is")
    if rt60 and not 0 <= rt60[0] <= rt60[1] <= LONGEST_ROOM_SECONDS:
        raise InputError(
            f"augmentation.reverberation_seconds is [{rt60[0]:g}, {rt60[1]:g}], expected 0 (dry) to "
            f"{LONGEST_ROOM_SECONDS:g}: so much of a recording is read before every crop"
        )
    if edges_hz and not 0 < edges_hz[0] <= edges_hz[1] < sample_rate_hz / 2:
        raise InputError(
            f"augmentation.low_pass_hz is [{edges_hz[0]:g}, {edges_hz[1]:g}], expected edges above 0 and below "
            f"{sample_rate_hz / 2:g}, half the rate of the prepared audio: no other edge takes anything away"
        )
    _check_lines(augmentation, sample_rate_hz)
    if augmentation.mask_seconds and augmentation.mask_seconds >= shortest_seconds:
        raise InputError(
            f"augmentation.mask_seconds is {augmentation.mask_seconds:g}, expected less than the "
            f"{shortest_seconds:g} s of training.crop_seconds, or of the shortest recording where it is null: a wider "
            "stripe could leave nothing to see"
        )


def _check_lines(augmentation: Augmentation, sample_rate_hz: int) -> None:
    """Refuse settings of RawBoost and of codecs that cannot work."""
    share, names = augmentation.impulsive_fraction, augmentation.codecs or ()
    if share and not 0 <= share[0] <= share[1] <= 1:
        raise InputError(
            f"augmentation.impulsive_fraction is [{share[0]:g}, {share[1]:g}], expected shares of the samples, "
            "between 0 and 1"
        )
    for name in names:
        if name not in codecs:
            raise InputError(
                f"augmentation.codecs has {name!r}{closest(name, codecs)}, expected any of {', '.join(codecs)}"
            )
        try:
            transcode(np.zeros(sample_rate_hz // 10), sample_rate_hz, name)
        except LibsndfileError as error:
            raise InputError(
                f"augmentation.codecs has {name!r}, which does not code {sample_rate_hz} Hz: leave it out "
                f"({error.error_string})"
            ) from error


def mask(
    features_BFT: Tensor,
    lengths_B: Tensor | None,
    fill: Tensor,
    augmentation: Augmentation,
    hop_ms: float,
    draws: np.random.Generator,
) -> Tensor:
    """Return features `(B, F, T)` in which each item has stripes of frames and of bins replaced by `fill`.

    `fill` is `(F, 1)`, or `(B, F, 1)` for each item its own. `lengths_B` are the frames of items that are padded, None
    where none is.

    There are `mask_stripes` of each kind, and each comes with `probability`; its width is drawn evenly from 0 to
    `mask_seconds`, or to `mask_fraction` of the bins, both rounded down, its place evenly from all where it fits. With
    the mean that is subtracted for `fill` masked cells are 0 once features are normalised, as in the paper. The draws
    are made on the CPU, so that they do not depend on the device.
    """
    seconds, fraction = augmentation.mask_seconds or 0, augmentation.mask_fraction or 0
    if augmentation.probability == 0 or not (seconds or fraction):
        return features_BFT
    batch, bins, frames = features_BFT.shape
    lengths = np.full(batch, frames) if lengths_B is None else lengths_B.cpu().numpy()
    hidden_BFT = torch.zeros(1, 1, 1, dtype=torch.bool)
    for _ in range(augmentation.mask_stripes):
        hidden_BT = _stripes(lengths, frames, int(seconds * 1000 / hop_ms), augmentation.probability, draws)
        hidden_BF = _stripes(np.full(batch, bins), bins, int(fraction * bins), augmentation.probability, draws)
        hidden_BFT = hidden_BFT | hidden_BT[:, None, :] | hidden_BF[:, :, None]
    return torch.where(hidden_BFT.to(features_BFT.device), fill, features_BFT)


def _stripes(
    lengths_B: np.ndarray, longest: int, widest: int, probability: float, draws: np.random.Generator
) -> Tensor:
    """Return `(B, longest)`, true within one stripe of each row, which lies within the row's length."""
    if widest > lengths_B.min():
        raise ValueError(f"a stripe of up to {widest} was asked of a length of {lengths_B.min()}")
    chance_B, width_B, start_B = draws.random((3, len(lengths_B), 1))
    width_B = np.floor(width_B * (widest + 1)) * (chance_B < probability)
    start_B = np.floor(start_B * (lengths_B[:, None] - width_B + 1))
    places = np.arange(longest)
    return torch.from_numpy((places >= start_B) & (places < start_B + width_B))
