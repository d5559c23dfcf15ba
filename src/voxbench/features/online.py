"""Features made in the training step, on the device, of waves that were altered there.

Steps in this order: room; noise, babble and chords, each at its SNR to the voice in its room; RawBoost's convolutive,
impulsive and coloured noise, this at its SNR to all that is heard so far; band limit; a codec. Each step comes to a row
with `probability`, with generators of its own, so that leaving one out changes no other. The mean power of an altered
crop is then what it was. Rows that no step changes keep their stored features to the last bit.

Decibels of a crop are relative to its own loudest cell, those of the store to that of the whole recording. So altered
crops in dB get the loudest cell of the stored crop, and altered cepstra, in which a level moves the first alone, the
difference that the unaltered crop has in it.

Deviations: what is altered is prepared audio, since decoding and cleaning anew would cost a multiple. Rooms and bands
are linear, so that pre-emphasis before them equals pre-emphasis after them, but silence has been removed already, and
an SNR is that of the pre-emphasised voice, over the crop. Powers of a signal and codecs are not linear: they get the
pre-emphasised crop, with silence around it, where a telephone gets speech as it was said. Recipes that choose one of
several noises for a row (such as that of ECAPA-TDNN's authors) never add two; here several may come to one row.

A codec comes last, as the line comes after the room, and codes the whole crop at full scale, always on the CPU, in
several threads. Measured of 4 s at 16 kHz on one core: 1 ms for alaw and ulaw, 2 for pstn, 10 for gsm, 13 for low_ogg
and high_ogg, 20 for low_mp3, 25 for high_mp3, 120 for opus. None of them shortens a crop or delays it, but for the
0.4 ms of pstn's filter. RawBoost takes about 10 ms a row on such a core.

What decides how a row sounds is drawn on the CPU, and so is equal on every device; the samples of noise and of room
responses are drawn on the device. Shape letters: B batch, R altered rows, S samples, F bins, C crop frames, V voices.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.audio import rawboost
from voxbench.audio.codecs import transcode
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
    "convolutive": "convolutive_db",
    "impulsive": "impulsive_fraction",
    "coloured": "coloured_snr_db",
    "band": "low_pass_hz",
    "codec": "codecs",
}
"""The steps on waves, and the bounds of each one's strength, or the names of what is chosen from."""

CODED_PEAK = 0.9
"""The loudest sample of what is coded, of full scale: a codec clips what overshoots it."""


class Plan(NamedTuple):
    """The rows `(R,)` that a step comes to, how strong it is in each, and a generator for what else it draws.

    Where a name is chosen, the value is its place among the names.
    """

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
            made = self._features(altered_BS[rows_R], batch, rows_R)
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
        wave_BS = self._boosted(wave_BS, plans)
        if band := plans.get("band"):
            wave_BS = wave_BS.index_copy(0, band.rows, low_pass(wave_BS[band.rows], band.values, rate_hz))
        if codec := plans.get("codec"):
            wave_BS = wave_BS.index_copy(0, codec.rows, self._coded(wave_BS[codec.rows], codec))
        return _levelled(wave_BS, batch.wave[:, self.layout.room :]) if plans else wave_BS, changed_B

    def _plans(self, batch: WaveBatch, epoch: int, index: int) -> tuple[dict[str, Plan], np.ndarray]:
        """Draw to which rows the steps come, and how strong; steps that come to none are left out."""
        plans, device, rows = {}, batch.wave.device, len(batch.row)
        changed_B = np.zeros(rows, dtype=bool)
        for step, name in STEPS.items():
            given: tuple[Any, ...] | None = getattr(self.augmentation, name)
            draws = generator(self.seed, "augment", step, epoch, index)
            came_B = draws.random(rows) < self.augmentation.probability
            if given is None or not came_B.any():
                continue
            chosen = step == "codec"
            values_B = draws.integers(len(given), size=rows) if chosen else draws.uniform(given[0], given[1], rows)
            values_R = torch.from_numpy(values_B[came_B].astype(np.float32))
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

    def _boosted(self, wave_BS: Tensor, plans: dict[str, Plan]) -> Tensor:
        """Return the waves with RawBoost's noises, one after the other."""
        rate_hz = self.layout.sample_rate_hz
        if plan := plans.get("convolutive"):
            filter_RPL = _filters((len(plan.rows), rawboost.POWERS), rate_hz, plan)
            bent_RS = rawboost.convolutive(wave_BS[plan.rows], filter_RPL, plan.values)
            wave_BS = wave_BS.index_copy(0, plan.rows, bent_RS)
        if plan := plans.get("impulsive"):
            hit_RS = rawboost.impulsive(wave_BS[plan.rows], plan.values, plan.on_device())
            wave_BS = wave_BS.index_copy(0, plan.rows, hit_RS)
        if plan := plans.get("coloured"):
            filter_RL = _filters((len(plan.rows),), rate_hz, plan)
            noise_RS = rawboost.stationary(filter_RL, wave_BS.shape[1], plan.on_device())
            wave_BS = wave_BS.index_add(0, plan.rows, at_snr(wave_BS[plan.rows], noise_RS, plan.values))
        return wave_BS

    def _coded(self, wave_RS: Tensor, plan: Plan) -> Tensor:
        """Return the waves after the codec of each, at full scale in it and as loud as before on either side."""
        names, rate_hz = self.augmentation.codecs or (), self.layout.sample_rate_hz
        scale_R1 = wave_RS.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(wave_RS.dtype).tiny) / CODED_PEAK
        full_RS = (wave_RS / scale_R1).cpu().numpy()
        chosen = [names[place] for place in plan.values.long().tolist()]
        # Coders let go of Python's lock.
        with ThreadPoolExecutor() as threads:
            coded = list(threads.map(transcode, full_RS, [rate_hz] * len(chosen), chosen))
        return torch.from_numpy(np.stack(coded)).to(wave_RS) * scale_R1

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

    def _features(self, altered_RS: Tensor, batch: WaveBatch, rows_R: Tensor) -> Tensor:
        """Return what the network sees of altered crops `(R, F, C)`; the level is that of the stored ones."""
        if self.layout.kind is InputKind.WAVE:
            return altered_RS[:, None]
        frames, level_R, ends_R2 = batch.features.shape[2], batch.level[rows_R], batch.ends[rows_R]
        made_RFC = self._cut(altered_RS, ends_R2, frames)
        if self.layout.in_db:
            return (made_RFC + (level_R - made_RFC.amax(dim=(1, 2)))[:, None, None]).clamp(
                min=-self.front_end.settings.top_db
            )
        if self.layout.kind is InputKind.CEPSTRA:
            plain_RFC = self._cut(batch.wave[rows_R, self.layout.room :], ends_R2, frames)
            made_RFC[:, 0] += (level_R - plain_RFC[:, 0].mean(dim=1))[:, None]
        return made_RFC

    def _cut(self, wave_RS: Tensor, ends_R2: Tensor, frames: int) -> Tensor:
        """Return the features of a crop alone, as if the recording went on beside it, up to its ends."""
        beside = self.layout.beside // self.layout.hop
        made: Tensor = self.front_end(wave_RS)[self.layout.kind]
        if self.layout.kind is InputKind.CEPSTRA and self.front_end.settings.deltas:
            made = self._derived(made[:, : self.front_end.settings.n_mfcc], ends_R2 + beside)
        return made[..., beside : beside + frames]

    def _derived(self, cepstra_RCT: Tensor, ends_R2: Tensor) -> Tensor:
        """Return cepstra and their derivatives as `with_deltas` does, if the recording ends where it does.

        A front end that is given a crop takes the frames beyond a recording's end, of silence, for part of it.
        """
        place_T = torch.arange(cepstra_RCT.shape[2], device=cepstra_RCT.device)
        first_R1, last_R1 = ends_R2[:, :1].clamp(min=0), ends_R2[:, 1:].clamp(max=len(place_T) - 1)
        places = [(place_T + by).clamp(first_R1, last_R1)[:, None].expand_as(cepstra_RCT) for by in (1, -1)]
        parts = [cepstra_RCT]
        for _ in range(self.front_end.settings.deltas):
            following, past = (parts[-1].gather(2, place_RCT) for place_RCT in places)
            parts.append((following - past) / 2)
        return torch.cat(parts, dim=1)


def _noise(plan: Plan, batch: WaveBatch, samples: int) -> Tensor:
    pink_R = torch.from_numpy(plan.draws.random(len(plan.rows))).to(batch.wave)
    return coloured_noise(pink_R, samples, plan.on_device())


def _filters(shape: tuple[int, ...], rate_hz: int, plan: Plan) -> Tensor:
    """Return drawn cascades of band-stops `(*shape, L)` where the rows are."""
    return rawboost.cascades(rawboost.draw_band_stops(shape, rate_hz, plan.draws), rate_hz).to(plan.rows.device)


def _levelled(wave_BS: Tensor, reference_BS: Tensor) -> Tensor:
    """Bring each wave to the mean power that it has in the reference."""
    power_B1, wanted_B1 = (each_BS.square().mean(dim=1, keepdim=True) for each_BS in (wave_BS, reference_BS))
    return wave_BS * torch.where(power_B1 > 0, wanted_B1 / power_B1, 1).sqrt()
