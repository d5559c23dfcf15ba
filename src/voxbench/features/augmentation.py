"""Training recordings changed on the fly: other rooms, noises, speeds and lines, and masked stripes of features.

References: speed perturbation (Ko et al. 2015), SpecAugment's time and frequency masking (Park et al. 2019, without
its time warping); rooms and noises are those of `voxbench.audio.channel`.

Deviations: what is changed is prepared audio, since decoding and cleaning anew would cost a multiple. Rooms and
bands are linear, so that pre-emphasis before them equals pre-emphasis after them, but silence has been removed
already, and an SNR is that of the pre-emphasised voice. The band limit is a brick wall, as nearly as those of codecs
are, and needs no filter order.

Legend of shape letters: B batch, S samples, T frames, F bins.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from voxbench.audio.channel import add_noise, reverberate
from voxbench.audio.cleaning import z_score
from voxbench.config import Augmentation
from voxbench.features.dataset import Batch, CropDataset, Cut, cut
from voxbench.features.extraction import network_input
from voxbench.features.frontends import FrontEnd
from voxbench.features.store import Store, dequantize
from voxbench.schema import InputError, InputKind
from voxbench.seeding import generator

Wave = NDArray[np.float32]


def check(augmentation: Augmentation, sample_rate_hz: int, crop_seconds: float) -> None:
    """Refuse settings that cannot work on waves of `sample_rate_hz` and crops of `crop_seconds`, with the fix."""
    speed, rt60, edges_hz = augmentation.speed, augmentation.reverberation_seconds, augmentation.low_pass_hz
    if speed and speed[0] <= 0:
        raise InputError(f"augmentation.speed starts at {speed[0]:g}, expected factors above 0: 1 is the speed as is")
    if rt60 and rt60[0] < 0:
        raise InputError(f"augmentation.reverberation_seconds starts at {rt60[0]:g}, expected 0 (dry) or more")
    if edges_hz and not 0 < edges_hz[0] <= edges_hz[1] < sample_rate_hz / 2:
        raise InputError(
            f"augmentation.low_pass_hz is [{edges_hz[0]:g}, {edges_hz[1]:g}], expected edges above 0 and below "
            f"{sample_rate_hz / 2:g}, half the rate of the prepared audio: no other edge takes anything away"
        )
    if augmentation.mask_seconds and augmentation.mask_seconds >= crop_seconds:
        raise InputError(
            f"augmentation.mask_seconds is {augmentation.mask_seconds:g}, expected less than the {crop_seconds:g} s of "
            "training.crop_seconds: a wider stripe could leave nothing to see"
        )


def alter(wave_S: Wave, sample_rate_hz: int, augmentation: Augmentation, draws: np.random.Generator) -> Wave:
    """Change a prepared wave by speed, room, noise and band limit, in this order, each with `probability`.

    Factor, RT60, SNR in dB and edge are drawn evenly between their bounds, the noise's pink share in [0, 1). Each
    step has a generator of its own, so that leaving one out changes no other. Whatever was changed is brought to mean
    0 and deviation 1, where cleaning would have brought a recording that sounded so; a wave that no step changes is
    returned as it is.
    """
    steps = (
        (augmentation.speed, _play),
        (augmentation.reverberation_seconds, reverberate),
        (augmentation.noise_snr_db, _add_noise),
        (augmentation.low_pass_hz, _band_limit),
    )
    altered_S = wave_S
    for (bounds, step), own in zip(steps, draws.spawn(len(steps)), strict=True):
        if bounds is not None and own.random() < augmentation.probability:
            altered_S = step(altered_S, sample_rate_hz, own.uniform(*bounds), own)
    return wave_S if altered_S is wave_S else z_score(altered_S)


def _play(wave_S: Wave, sample_rate_hz: int, factor: float, draws: np.random.Generator) -> Wave:
    """Play `factor` times as fast: round(S / factor) samples, with every frequency `factor` times as high."""
    return soxr.resample(wave_S, factor, 1.0, quality="HQ")


def _add_noise(wave_S: Wave, sample_rate_hz: int, snr_db: float, draws: np.random.Generator) -> Wave:
    return add_noise(wave_S, snr_db, draws.random(), draws)


def _band_limit(wave_S: Wave, sample_rate_hz: int, edge_hz: float, draws: np.random.Generator) -> Wave:
    """Take away everything above `edge_hz`."""
    # A transform of a length with a large prime factor takes ten times as long.
    length = scipy.fft.next_fast_len(wave_S.size, real=True)
    spectrum_F = scipy.fft.rfft(wave_S, length)
    spectrum_F[int(edge_hz * length / sample_rate_hz) + 1 :] = 0
    return scipy.fft.irfft(spectrum_F, length)[: wave_S.size]


class AugmentedCrops(Dataset[Batch]):
    """The rows of `crops`, with features computed anew from altered recordings of the `prepared` store.

    Networks on waves get the altered recording itself. Features are those of the whole recording, by the path of the
    features stage. Either way the batches equal those of `crops` to the last bit where nothing is changed. A
    recording's draws come from (seed, epoch, row, turn) alone. The steps on waves are done here, masks are not: they
    belong to the batch.
    """

    def __init__(
        self,
        crops: CropDataset,
        prepared: Store,
        front_end: FrontEnd,
        kind: InputKind,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.positions = [prepared.position(crops.store.ids[position]) for position in crops.positions]
        self.targets = crops.targets
        self.frames = crops.frames
        self.prepared = prepared
        self.front_end = front_end
        self.kind = kind
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, cut_at: Cut) -> Batch:
        """Return one crop; a cut without a draw, as evaluation makes them, is refused."""
        if cut_at.draw is None:
            raise ValueError("a cut without a draw was asked of altered recordings, which are for training alone")
        position, draws = self.positions[cut_at.row], generator(self.seed, "augment", cut_at.row, *cut_at.draw)
        wave_S = dequantize(self.prepared[position], self.prepared.scales[position])
        altered_S = alter(wave_S, self.front_end.settings.sample_rate_hz, self.augmentation, draws)
        features_FT = cut(network_input(self.front_end, altered_S, self.kind), cut_at.place, self.frames)
        return Batch(torch.from_numpy(features_FT), self.targets[cut_at.row], torch.tensor(cut_at.row))


def mask(
    features_BFT: Tensor, fill_F1: Tensor, augmentation: Augmentation, hop_ms: float, draws: np.random.Generator
) -> Tensor:
    """Return features in which each item has one stripe of frames and one of bins replaced by `fill_F1`.

    Each stripe comes with `probability`; its width is drawn evenly from 0 to `mask_seconds`, or to `mask_fraction`
    of the bins, both rounded down, its place evenly from all where it fits. With the training mean for `fill_F1`
    masked cells are 0 once features are normalised, as in the paper. The draws are made on the CPU, so that they
    do not depend on the device.
    """
    seconds, fraction = augmentation.mask_seconds or 0, augmentation.mask_fraction or 0
    if augmentation.probability == 0 or not (seconds or fraction):
        return features_BFT
    batch, bins, frames = features_BFT.shape
    hidden_BT = _stripes(batch, frames, int(seconds * 1000 / hop_ms), augmentation.probability, draws)
    hidden_BF = _stripes(batch, bins, int(fraction * bins), augmentation.probability, draws)
    hidden_BT, hidden_BF = hidden_BT.to(features_BFT.device), hidden_BF.to(features_BFT.device)
    return torch.where(hidden_BT[:, None, :] | hidden_BF[:, :, None], fill_F1, features_BFT)


def _stripes(batch: int, length: int, widest: int, probability: float, draws: np.random.Generator) -> Tensor:
    """Return `(batch, length)`, true within one stripe of each row."""
    if widest > length:
        raise ValueError(f"a stripe of up to {widest} was asked of a length of {length}")
    chance_B, width_B, start_B = draws.random((3, batch, 1))
    width_B = np.floor(width_B * (widest + 1)) * (chance_B < probability)
    start_B = np.floor(start_B * (length - width_B + 1))
    places = np.arange(length)
    return torch.from_numpy((places >= start_B) & (places < start_B + width_B))
