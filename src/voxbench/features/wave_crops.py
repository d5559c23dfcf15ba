"""Crops of prepared audio for augmentation on the training device: each with what comes before it, and other voices.

A batch is read at once. It holds the stored crops as they are, and beside them the samples that the same frames of
features are made of: those of the crop, of the frames beside it that its windows reach into, and, where rooms are
drawn, what was said before, which still sounds. Outside the recording there are zeros, as the front end has them.
So features made of an unaltered crop are the stored ones, but for the level and for the store's float16.

Where shorter recordings are repeated, the wave is, from its start until it fills the crop and what is beside its end.
Features made of that differ from stored ones, repeated, where the recording begins anew: there windows hear both ends
in one, and each turn begins up to a hop sooner, for the frames of a recording last a little longer than its samples.

Playing faster or slower is done here, by resampling, since it changes how much of a recording is read. Babble is made
of other training rows: of those in the batch, and of a few of as many speakers as may be wanted, and one more.

Shape letters: B batch, S samples, F bins, C crop frames, V voices, N rows, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset

from voxbench.config import Augmentation
from voxbench.features.dataset import CropDataset, Cut, repeated
from voxbench.features.frontends import FrontEndSettings
from voxbench.features.mixed import MixedStore
from voxbench.features.store import Store
from voxbench.schema import InputError, InputKind
from voxbench.seeding import generator

MARGIN = 64
"""Samples beside a resampled part, more than its filter's ringing is heard in."""


class WaveBatch(NamedTuple):
    """Stored crops with their waves: the fields of `Batch`, and what `voxbench.features.online` alters.

    `wave` `(B, S)` float32 ends where the crop's last window may. `level` `(B,)` is the stored crop's loudest cell in
    dB, of cepstra the mean of the first one, of anything else 0. `people` `(B,)` are the speakers' numbers, whatever
    the speed; `voices` `(V, S)` are of `voice_people` `(V,)`. `ends` `(B, 2)` are the recording's first and last frame,
    counted from the crop's first. `sped` says which rows are not played as recorded.
    """

    features: Tensor
    target: Tensor
    row: Tensor
    wave: Tensor
    level: Tensor
    people: Tensor
    voices: Tensor
    voice_people: Tensor
    ends: Tensor
    sped: tuple[bool, ...]


@dataclass(frozen=True)
class Layout:
    """How the waves of crops are laid out, in samples: `room` before, then `beside`, the crop's frames of `hop` each.

    After them comes `beside` again. `in_db` says whether the features are a spectrogram in dB.
    """

    kind: InputKind
    in_db: bool
    sample_rate_hz: int
    hop: int
    beside: int
    room: int

    def samples(self, frames: int) -> int:
        """Return how many samples a crop of `frames` and what is beside it have, the room left out."""
        # A front end makes 1 + samples // hop frames, of which the first is centred on the first sample.
        return frames if self.kind is InputKind.WAVE else (frames - 1) * self.hop + 2 * self.beside

    def frames(self, samples: int) -> int:
        """Return how many frames a recording has; of a wave each sample is one."""
        return samples if self.kind is InputKind.WAVE else 1 + samples // self.hop


def layout_of(settings: FrontEndSettings, kind: InputKind, augmentation: Augmentation) -> Layout:
    """Return the layout that crops of a kind need: whole frames beside them, and before as much as a room may last.

    Beside cepstra lie as many frames more as they have derivatives, each of which looks one frame further.
    """
    rate_hz, rooms = settings.sample_rate_hz, augmentation.reverberation_seconds
    room = round(rooms[1] * rate_hz) if rooms and augmentation.probability > 0 else 0
    if kind is InputKind.WAVE:
        return Layout(kind, False, rate_hz, 1, 0, room)
    hop, window = (round(each_ms * rate_hz / 1000) for each_ms in (settings.hop_ms, settings.window_ms))
    in_db = kind is InputKind.SPECTROGRAM and settings.spectrogram != "linear"
    derived = settings.deltas if kind is InputKind.CEPSTRA else 0
    return Layout(kind, in_db, rate_hz, hop, (math.ceil(window / 2 / hop) + derived) * hop, room)


class WaveCrops(Dataset[WaveBatch]):
    """The rows of `crops` with their recordings in the `prepared` store; draws come from (seed, epoch, row, turn).

    `people` `(N,)` are the rows' speakers, `speeds` `(N,)` those at which each is always played. Raises InputError
    where babble is asked of too few speakers, or of mixtures, in which a speaker could be heard twice.
    """

    def __init__(
        self,
        crops: CropDataset,
        prepared: Store,
        layout: Layout,
        augmentation: Augmentation,
        people: Sequence[str] | np.ndarray,
        speeds: np.ndarray,
        seed: int,
    ) -> None:
        self.crops = crops
        self.targets = crops.targets
        self.positions = [prepared.position(crops.store.ids[position]) for position in crops.positions]
        self.prepared = prepared
        self.layout = layout
        self.augmentation = augmentation
        self.people = np.unique(np.asarray(people, dtype=str), return_inverse=True)[1]
        self.speeds = speeds
        self.seed = seed
        self.extra = 1 + augmentation.babble_voices[1] if augmentation.babble_voices and augmentation.babbles else 0
        if self.extra:
            self._require_voices()
            self.members = [np.flatnonzero(self.people == person) for person in range(self.people.max() + 1)]

    def _require_voices(self) -> None:
        if isinstance(self.prepared, MixedStore):
            raise InputError(
                "training.augmentation.babble_voices add other speakers, but the recordings are mixtures, in which "
                "they may be heard already: set babble_voices and babble_snr_db to null"
            )
        if (found := len(np.unique(self.people))) < self.extra:
            raise InputError(
                f"training.augmentation.babble_voices goes up to {self.extra - 1}, which needs {self.extra} training "
                f"speakers, found {found}: lower it"
            )

    def __len__(self) -> int:
        return len(self.positions)

    def __getitems__(self, cuts: Sequence[Cut]) -> WaveBatch:
        """Return one batch; cuts without a draw, as evaluation makes them, are refused."""
        stored, waves, levels, ends, sped = [], [], [], [], []
        for cut_at in cuts:
            speed = self._speed(cut_at)
            wave_S, first, last = self._wave(cut_at.row, cut_at.place, speed)
            stored.append(self.crops[cut_at])
            waves.append(wave_S)
            levels.append(self._level(stored[-1].features, cut_at.row, -first, speed))
            ends.append((first, last))
            sped.append(speed != 1)
        rows, (voices, voice_rows) = [cut_at.row for cut_at in cuts], self._voices(cuts[0])
        features, target, row = (torch.stack(parts) for parts in zip(*stored, strict=True))
        return WaveBatch(
            *(features, target, row),
            wave=torch.from_numpy(np.stack(waves)),
            level=torch.tensor(levels, dtype=torch.float32),
            people=torch.from_numpy(self.people[rows]),
            voices=torch.from_numpy(voices),
            voice_people=torch.from_numpy(self.people[voice_rows]),
            ends=torch.tensor(ends),
            sped=tuple(sped),
        )

    def _speed(self, cut_at: Cut) -> float:
        if cut_at.draw is None:
            raise ValueError("a cut without a draw was asked of altered recordings, which are for training alone")
        own, bounds = float(self.speeds[cut_at.row]), self.augmentation.speed
        if bounds is None:
            return own
        draws = generator(self.seed, "speed", cut_at.row, *cut_at.draw)
        return own * draws.uniform(*bounds) if draws.random() < self.augmentation.probability else own

    def _wave(self, row: int, place: float, speed: float) -> tuple[np.ndarray, int, int]:
        """Return a crop's wave `(S,)` with what lies before and beside it, and its recording's two ends as in `ends`.

        What is repeated goes on beyond the crop.
        """
        layout, samples_S = self.layout, self.prepared[self.positions[row]]
        frames, needed = self.crops.frames, layout.room + layout.samples(self.crops.frames)
        whole = layout.frames(round(samples_S.size / speed))
        if whole < frames:
            if not self.crops.repeats:
                raise ValueError(f"a crop of {frames} frames was asked of {whole}")
            samples_S = repeated(samples_S, math.ceil((needed + MARGIN) * speed))
        start = round(place * max(whole - frames, 0))
        last = whole - 1 - start if whole >= frames else frames + layout.beside // layout.hop
        first = start * layout.hop - layout.beside - layout.room
        if speed == 1:
            part_S = _part(samples_S, first, first + needed).astype(np.float32)
        else:
            begin = math.floor((first - MARGIN) * speed)
            part_S = _part(samples_S, begin, math.ceil((first + needed + MARGIN) * speed)).astype(np.float32)
            # Frequencies rise by the speed; no filter's edge lies within the crop.
            part_S = soxr.resample(part_S, speed, 1.0, quality="HQ")[round(first - begin / speed) :][:needed]
        return part_S * np.float32(self.prepared.scales[self.positions[row]]), -start, last

    def _level(self, stored_FC: Tensor, row: int, start: int, speed: float) -> float:
        """Return what fixes the level of features made anew; at another speed of the part of the recording played."""
        if self.layout.kind is not InputKind.CEPSTRA and not self.layout.in_db:
            return 0.0
        if speed != 1:
            stored_TF, end = self.crops.store[self.crops.positions[row]], math.ceil((start + self.crops.frames) * speed)
            whole_TF = repeated(stored_TF, end) if self.crops.repeats else stored_TF
            part_TF = whole_TF[math.floor(start * speed) : end]
            stored_FC = torch.from_numpy(part_TF.T.astype(np.float32))
        return float(stored_FC.max() if self.layout.in_db else stored_FC[0].mean())

    def _voices(self, first: Cut) -> tuple[np.ndarray, list[int]]:
        """Return crops `(V, S)` of random rows of as many speakers, and the rows; draws go by the first cut."""
        if not self.extra:
            return np.empty((0, self.layout.samples(self.crops.frames)), dtype=np.float32), []
        draws = generator(self.seed, "voices", first.row, *(first.draw or ()))
        people = draws.permutation(len(self.members))[: self.extra]
        rows = [int(draws.choice(self.members[person])) for person in people]
        waves = [self._wave(row, place, 1.0)[0] for row, place in zip(rows, draws.random(len(rows)), strict=True)]
        return np.stack(waves)[:, self.layout.room :], rows


def _part(samples_S: np.ndarray, first: int, end: int) -> np.ndarray:
    """Return the samples from `first` to before `end`, zeros where there are none."""
    part_S = samples_S[max(first, 0) : max(end, 0)]
    return np.pad(part_S, (max(-first, 0), max(end - max(samples_S.size, first), 0)))
