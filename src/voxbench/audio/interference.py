"""What is heard beside a voice, for batches on any device: coloured noise, babble, chords, each at a given SNR.

Noise has the law of `voxbench.audio.channel.add_noise`, drawn as a spectrum. Babble is a sum of equally loud voices.
Chords stand in for recorded music, which a benchmark cannot bring along: three tones of a random triad, each with
harmonics that fall by a constant factor, struck anew on every beat and dying away.

Deviations: Snyder et al. ("MUSAN", 2015) and the recipes built on it add recorded music and noises; chords have
neither drums nor singers, and all of a batch have one rhythm.

What decides how something sounds is given, so that it can be drawn on the CPU and be the same on every device; the
samples of noise are drawn on the device itself. Shape letters: B batch, S samples, F frequencies, V voices, T beats,
N tones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

TRIADS = np.array([[0, 4, 7], [0, 3, 7]])
"""Semitones of a major and a minor triad above their root."""


def coloured_noise(pink_share_B: Tensor, samples: int, draws: torch.Generator) -> Tensor:
    """Draw noise `(B, S)` of unit expected power: `pink_share` of it with a density of 1/f, the rest with a flat one.

    The sum of two independent Gaussian noises is one whose density is the sum of both: one spectrum is drawn.
    """
    length = next_fast_len(max(samples, 2), real=True)
    bins_F = torch.arange(length // 2 + 1, device=pink_share_B.device, dtype=torch.float32)
    density_F = torch.where(bins_F > 0, 1 / bins_F.clamp(min=1), 0)
    # The bins of a real spectrum between zero and Nyquist stand for two frequencies each.
    density_F *= length / (2 * density_F.sum())
    share_B1 = pink_share_B.float()[:, None]
    amplitude_BF = ((1 - share_B1) + share_B1 * density_F).mul(length / 2).sqrt()
    parts_BF2 = torch.randn(
        len(pink_share_B), len(bins_F), 2, generator=draws, device=pink_share_B.device, dtype=torch.float32
    )
    return torch.fft.irfft(torch.view_as_complex(parts_BF2) * amplitude_BF, n=length)[:, :samples]


def babble(voices_VS: Tensor, chosen_BV: Tensor) -> Tensor:
    """Return sums `(B, S)` of the `chosen` voices, each brought to the same mean power; silence adds none."""
    power_V1 = voices_VS.square().mean(dim=1, keepdim=True)
    even_VS = voices_VS * torch.where(power_V1 > 0, power_V1.rsqrt(), 0)
    return chosen_BV.to(even_VS.dtype) @ even_VS


def choose_voices(keys_BV: Tensor, own_BV: Tensor, wanted_B: Tensor) -> Tensor:
    """Say `(B, V)` which voices are heard: those of the `wanted` smallest keys, none of the row's `own`.

    Raises nothing where fewer are others' than wanted: whoever offers voices sees to it that there are enough.
    """
    order_BV = keys_BV.masked_fill(own_BV, math.inf).argsort(dim=1).argsort(dim=1)
    return (order_BV < wanted_B[:, None]) & ~own_BV


@dataclass(frozen=True)
class Tunes:
    """Chords for B rows in one rhythm: `hz` `(B, T, N)` of the tones on T beats of `seconds` each.

    `lead` in [0, 1) is the part of the first beat that is over at the start. `brightness` `(B,)` in (0, 1) is the
    amplitude of a harmonic over that of the one below it, `decay_seconds` `(B,)` the time in which a tone falls to 1/e.
    """

    hz: NDArray[np.float64]
    seconds: float
    lead: float
    brightness: NDArray[np.float64]
    decay_seconds: NDArray[np.float64]


def draw_tunes(rows: int, seconds: float, draws: np.random.Generator) -> Tunes:
    """Draw chords: 60 to 180 beats a minute, keys from C2 (65 Hz) to B3 (247 Hz), each beat another chord of one key.

    A chord stands 0, 5, 7 or 9 semitones above the key's root: three major ones and a minor one.
    """
    beat_seconds = 60 / draws.uniform(60, 180)
    root_B = draws.integers(36, 60, rows)
    degree_BT = draws.integers(0, 4, (rows, math.ceil(seconds / beat_seconds) + 1))
    tones_BTN = TRIADS[(degree_BT == 3).astype(int)] + np.array([0, 5, 7, 9])[degree_BT][..., None]
    return Tunes(
        hz=440 * 2 ** ((tones_BTN + root_B[:, None, None] - 69) / 12),
        seconds=beat_seconds,
        lead=draws.random(),
        brightness=draws.uniform(0.4, 0.8, rows),
        decay_seconds=draws.uniform(0.1, 1.0, rows),
    )


def chords(tunes: Tunes, samples: int, sample_rate_hz: int, device: torch.device) -> Tensor:
    """Return `(B, S)`: on every beat three tones, each a sum of sines at the multiples of its frequency below Nyquist.

    With a = brightness and H harmonics: the sum of a^h sin(h x) over h = 1..H, which has the closed form
    (a sin x - a^(H+1) sin((H+1) x) + a^(H+2) sin(H x)) / (1 - 2 a cos x + a^2). Beats are whole samples long.
    """
    beat, beats = round(tunes.seconds * sample_rate_hz), tunes.hz.shape[1]
    start = int(tunes.lead * beat)
    harmonics_BTN = np.ceil(sample_rate_hz / 2 / tunes.hz) - 1
    cut_BTN = tunes.brightness[:, None, None] ** (harmonics_BTN + 1)
    seconds_S = torch.arange(beat, device=device) / sample_rate_hz
    bright_B11, decay_B11 = (_on(device, column_B) for column_B in (tunes.brightness, tunes.decay_seconds))
    total_BTS = torch.zeros(len(tunes.hz), beats, beat, device=device)
    for tone in range(tunes.hz.shape[2]):
        hz_BT1, highest_BT1, last_BT1 = (_on(device, table[..., tone]) for table in (tunes.hz, harmonics_BTN, cut_BTN))
        angle_BTS = (hz_BT1 * seconds_S).frac() * (2 * math.pi)
        above_BTS = torch.sin((highest_BT1 + 1) * angle_BTS) - bright_B11 * torch.sin(highest_BT1 * angle_BTS)
        below_BTS = 1 - 2 * bright_B11 * angle_BTS.cos() + bright_B11.square()
        total_BTS += (bright_B11 * angle_BTS.sin() - last_BT1 * above_BTS) / below_BTS
    total_BTS *= torch.exp(-seconds_S / decay_B11)
    return total_BTS.flatten(1)[:, start : start + samples]


def _on(device: torch.device, values: NDArray[np.float64]) -> Tensor:
    """Return values `(B,)` or `(B, T)` with three dimensions, to stand beside `(B, T, S)`."""
    return torch.as_tensor(values.reshape(len(values), -1, 1), dtype=torch.float32, device=device)


def at_snr(wave_BS: Tensor, other_BS: Tensor, snr_db_B: Tensor) -> Tensor:
    """Return `other` `(B, S)` at exactly `snr_db` below the mean power of `wave`, over all S samples.

    Beside a silent wave an SNR has no meaning: nothing is added there. Where `other` is silent it stays so.
    """
    wanted_B1 = wave_BS.square().mean(dim=1, keepdim=True) / 10 ** (snr_db_B[:, None] / 10)
    power_B1 = other_BS.square().mean(dim=1, keepdim=True)
    return other_BS * torch.where(power_B1 > 0, wanted_B1 / power_B1, 0).sqrt()
