"""Features made in the training step, on the device, of waves that were altered there.

Steps in this order: room; noise, babble and chords, each at its SNR to the voice in its room; band limit. Each step
comes to a row with `probability`, with generators of its own, so that leaving one out changes no other. The mean power
of an altered crop is then what it was. Rows that no step changes keep their stored features to the last bit.

Decibels of a crop are relative to its own loudest cell, those of the store to that of the whole recording. So altered
crops in dB get the loudest cell of the stored crop, and altered cepstra, in which a level moves the first alone, the
difference that the unaltered crop has in it.

Deviations: what is altered is prepared audio, since decoding and cleaning anew would cost a multiple. Rooms and bands
are linear, so that pre-emphasis before them equals pre-emphasis after them, but silence has been removed already, and
an SNR is that of the pre-emphasised voice, over the crop. Recipes that choose one of several noises for a row (such as
that of ECAPA-TDNN's authors) never add two; here several may come to one row.

What decides how a row sounds is drawn on the CPU, and so is equal on every device; the samples of noise and of room
responses are drawn on the device. Shape letters: B batch, R altered rows, S samples, F bins, C crop frames, V voices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.audio.interference import at_snr, babble, choose_voices, chords, coloured_noise, draw_tunes
from voxbench.audio.rooms import convolve, impulse_responses, low_pass
from voxbench.config import Augmentation
from voxbench.features.dataset import Batch
from voxbench.features.frontends import FrontEnd
from voxbench.features.wave_crops import Layout, WaveBatch
from voxbench.schema import InputKind
from voxbench.seeding import generator

STEPS = {
    "room": "reverberation_seconds",
    "noise": "noise_snr_db",
    "babble": "babble_snr_db",
    "music": "music_snr_db",
    "band": "low_pass_hz",
}
"""The steps on waves, and the bounds of each one's strength."""


class Plan(NamedTuple):
    """The rows `(R,)` that a step comes to, how strong it is in each, and a generator for what else it draws."""

    rows: Tensor
    values: Tensor
    draws: np.random.Generator

    def on_device(self) -> torch.Generator:
        """Return a generator for samples that are drawn where the rows are."""
        return torch.Generator(self.rows.device).manual_seed(int(self.draws.integers(1 << 62)))


class OnlineFeatures(nn.Module):
    """A `WaveBatch` to the `Batch` that a network sees; it has no weights, and nothing of it is stored."""

    def __init__(self, front_end: FrontEnd, layout: Layout, augmentation: Augmentation, seed: int) -> None:
        super().__init__()
        self.front_end = front_end
        self.layout = layout
        self.augmentation = augmentation
        self.seed = seed

    @torch.no_grad()
    def forward(self, batch: WaveBatch, epoch: int, index: int) -> Batch:
        """Return the batch with altered rows; all draws come from (seed, epoch, index of the batch)."""
        altered_BS, changed_B = self.alter(batch, epoch, index)
        features, rows = batch.features, np.flatnonzero(changed_B | np.array(batch.sped))
        if rows.size:
            rows_R = torch.from_numpy(rows).to(features.device)
            plain_RS = batch.wave[rows_R, self.layout.room :]
            made = self._features(altered_BS[rows_R], plain_RS, batch.level[rows_R], features.shape[2])
            features = features.index_copy(0, rows_R, made)
        return Batch(features, batch.target, batch.row)

    def alter(self, batch: WaveBatch, epoch: int, index: int) -> tuple[Tensor, np.ndarray]:
        """Return the waves `(B, S)` without what lies before them, and which rows `(B,)` a step has changed."""
        plans, changed_B = self._plans(batch, epoch, index)
        rate_hz, wave_BS = self.layout.sample_rate_hz, batch.wave
        if room := plans.get("room"):
            responses = impulse_responses(room.values, max(self.layout.room, 1), rate_hz, room.on_device())
            wave_BS = wave_BS.index_copy(0, room.rows, convolve(wave_BS[room.rows], responses))
        wave_BS = self._with_others(wave_BS[:, self.layout.room :], batch, plans)
        if band := plans.get("band"):
            wave_BS = wave_BS.index_copy(0, band.rows, low_pass(wave_BS[band.rows], band.values, rate_hz))
        return _levelled(wave_BS, batch.wave[:, self.layout.room :]) if plans else wave_BS, changed_B

    def _plans(self, batch: WaveBatch, epoch: int, index: int) -> tuple[dict[str, Plan], np.ndarray]:
        """Draw to which rows the steps come, and how strong; steps that come to none are left out."""
        plans, device, rows = {}, batch.wave.device, len(batch.row)
        changed_B = np.zeros(rows, dtype=bool)
        for step, name in STEPS.items():
            bounds: tuple[float, float] | None = getattr(self.augmentation, name)
            draws = generator(self.seed, "augment", step, epoch, index)
            came_B = draws.random(rows) < self.augmentation.probability
            if bounds is None or not came_B.any():
                continue
            values_R = torch.from_numpy(draws.uniform(*bounds, rows)[came_B].astype(np.float32))
            places_R = torch.from_numpy(np.flatnonzero(came_B))
            plans[step] = Plan(places_R.to(device), values_R.to(device), draws)
            changed_B |= came_B
        return plans, changed_B

    def _with_others(self, voice_BS: Tensor, batch: WaveBatch, plans: dict[str, Plan]) -> Tensor:
        """Return the voices with whatever is heard beside them, each at its SNR to the voice alone."""
        sounds = {"noise": _noise, "babble": self._babble, "music": self._music}
        mixed_BS = voice_BS
        for step, sound in sounds.items():
            if plan := plans.get(step):
                other_RS = sound(plan, batch, voice_BS.shape[1])
                mixed_BS = mixed_BS.index_add(0, plan.rows, at_snr(voice_BS[plan.rows], other_RS, plan.values))
        return mixed_BS

    def _babble(self, plan: Plan, batch: WaveBatch, samples: int) -> Tensor:
        """Return sums of as many voices of other speakers as drawn, from the batch and from those that came with it."""
        voices_VS = torch.cat([batch.wave[:, self.layout.room :], batch.voices])
        people_V = torch.cat([batch.people, batch.voice_people])
        keys_RV = plan.draws.random((len(plan.rows), len(people_V)), dtype=np.float32)
        fewest, most = self.augmentation.babble_voices or (1, 1)
        wanted_R = plan.draws.integers(fewest, most + 1, len(plan.rows))
        own_RV = batch.people[plan.rows, None] == people_V
        keys, wanted = (torch.from_numpy(drawn).to(voices_VS.device) for drawn in (keys_RV, wanted_R))
        return babble(voices_VS, choose_voices(keys, own_RV, wanted))

    def _music(self, plan: Plan, batch: WaveBatch, samples: int) -> Tensor:
        rate_hz = self.layout.sample_rate_hz
        tunes = draw_tunes(len(plan.rows), samples / rate_hz, plan.draws)
        return chords(tunes, samples, rate_hz, batch.wave.device)

    def _features(self, altered_RS: Tensor, plain_RS: Tensor, level_R: Tensor, frames: int) -> Tensor:
        """Return what the network sees of altered crops `(R, F, C)`; the level is that of the stored ones."""
        if self.layout.kind is InputKind.WAVE:
            return altered_RS[:, None]
        made_RFC = self._cut(altered_RS, frames)
        if self.layout.in_db:
            return (made_RFC + (level_R - made_RFC.amax(dim=(1, 2)))[:, None, None]).clamp(
                min=-self.front_end.settings.top_db
            )
        if self.layout.kind is InputKind.CEPSTRA:
            made_RFC[:, 0] += (level_R - self._cut(plain_RS, frames)[:, 0].mean(dim=1))[:, None]
        return made_RFC

    def _cut(self, wave_RS: Tensor, frames: int) -> Tensor:
        """Return the features of a crop alone, as if the recording went on beside it."""
        beside = self.layout.beside // self.layout.hop
        made: Tensor = self.front_end(wave_RS)[self.layout.kind]
        return made[..., beside : beside + frames]


def _noise(plan: Plan, batch: WaveBatch, samples: int) -> Tensor:
    pink_R = torch.from_numpy(plan.draws.random(len(plan.rows))).to(batch.wave)
    return coloured_noise(pink_R, samples, plan.on_device())


def _levelled(wave_BS: Tensor, reference_BS: Tensor) -> Tensor:
    """Bring each wave to the mean power that it has in the reference."""
    power_B1, wanted_B1 = (each_BS.square().mean(dim=1, keepdim=True) for each_BS in (wave_BS, reference_BS))
    return wave_BS * torch.where(power_B1 > 0, wanted_B1 / power_B1, 1).sqrt()
