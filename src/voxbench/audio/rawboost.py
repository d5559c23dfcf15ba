"""RawBoost: what telephony adds to speech, for batches of waves on any device: convolutive, impulsive, coloured noise.

Reference: Tak, Kamble, Patino, Todisco, Evans, "RawBoost: A Raw Data Boosting and Augmentation Method applied to
Automatic Speaker Verification Anti-Spoofing", ICASSP 2022, and the defaults of its authors' code, which are the
constants below. Their bounds of what is drawn for each recording: 5 to 20 dB, 0 to 0.1 of the samples, 10 to 40 dB.

All filters are cascades of windowed band-stops, which leave peaks between them, brought to a gain of 1 where they let
most through. Deviations: one strength for a recording's higher powers, where the authors draw one for each; powers are
taken of a wave that fills the scale, theirs of a wave as it was stored; filters have no delay, theirs a sample's; as
only the product of a cascade is scaled, none turns the sign. Centres end at half the rate where that is below 8 kHz.

What decides how something sounds is drawn on the CPU, and so is the same on every device; the samples of noise are
drawn where they are needed. Shape letters: R rows, P powers, S samples, B band-stops, L taps, F frequencies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxbench.audio.rooms import convolve

POWERS = 5
BAND_STOPS = 5
CENTRES_HZ = (20.0, 8000.0)
WIDTHS_HZ = (100.0, 1000.0)
TAPS = (10, 100)
"""Bounds of a band-stop's taps, the upper one excluded; an even number gets one more."""
IMPULSE_GAIN = 2.0

REACH = BAND_STOPS * (TAPS[1] // 2 - 1)
"""Samples that the longest cascade reaches to either side."""
GRID = 1024
"""Points of the transform on which a cascade is made and its highest gain found: more than it has taps."""


class BandStops(NamedTuple):
    """Band-stops `(..., B)` of cascades: where they lie, how wide they are, and of how many taps, an odd number."""

    centre_hz: NDArray[np.float64]
    width_hz: NDArray[np.float64]
    taps: NDArray[np.int64]


def draw_band_stops(shape: tuple[int, ...], sample_rate_hz: int, draws: np.random.Generator) -> BandStops:
    """Draw the band-stops of cascades of that shape, evenly between the bounds above."""
    whole = (*shape, BAND_STOPS)
    highest_hz = min(CENTRES_HZ[1], sample_rate_hz / 2)
    return BandStops(
        draws.uniform(CENTRES_HZ[0], highest_hz, whole),
        draws.uniform(*WIDTHS_HZ, whole),
        draws.integers(*TAPS, whole) | 1,
    )


def cascades(stops: BandStops, sample_rate_hz: int) -> Tensor:
    """Return the cascades `(..., L)` float32, symmetric about their middle, with a highest gain of 1.

    A band-stop is the ideal one of linear phase under a Hamming window; what lies below 0 or above half the rate is
    cut off its band.
    """
    half = TAPS[1] // 2 - 1
    places_L = np.arange(-half, half + 1)
    edges = (stops.centre_hz + side * stops.width_hz / 2 for side in (-1, 1))
    low, high = (np.clip(edge_hz / (sample_rate_hz / 2), 0, 1)[..., None] for edge_hz in edges)
    ideal = low * np.sinc(low * places_L) + np.sinc(places_L) - high * np.sinc(high * places_L)
    last = stops.taps[..., None] - 1
    window = np.where(2 * np.abs(places_L) <= last, 0.54 + 0.46 * np.cos(2 * np.pi * places_L / last), 0)
    circular = np.zeros((*stops.taps.shape, GRID))
    circular[..., places_L] = ideal * window
    # Symmetric responses have real spectra.
    gains_F = np.fft.rfft(circular).real.prod(axis=-2)
    gains_F /= np.abs(gains_F).max(axis=-1, keepdims=True)
    return torch.from_numpy(np.fft.irfft(gains_F, GRID)[..., np.arange(-REACH, REACH + 1)].astype(np.float32))


def filtered(wave_RS: Tensor, filter_RL: Tensor) -> Tensor:
    """Return each wave after its symmetric filter, without delay; outside the wave there is silence."""
    reach = filter_RL.shape[1] // 2
    return convolve(nn.functional.pad(wave_RS, (0, reach)), filter_RL)[:, reach:]


def convolutive(wave_RS: Tensor, filter_RPL: Tensor, below_db_R: Tensor) -> Tensor:
    """Return the sum of the powers 1 to P of each wave, each after its own filter, less its mean.

    Powers are taken of the wave with a peak of 1, which the sum gets back. The filters of the second power and of those
    above are weaker than the first one's by `below_db`.
    """
    powers = filter_RPL.shape[1]
    peak_R1 = wave_RS.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(wave_RS.dtype).tiny)
    power_RPS = (wave_RS / peak_R1)[:, None].expand(-1, powers, -1).cumprod(dim=1)
    parts_RPS = filtered(power_RPS.flatten(0, 1), filter_RPL.flatten(0, 1)).view_as(power_RPS)
    weaker_R1 = 10 ** (-below_db_R[:, None] / 20)
    total_RS = parts_RPS[:, 0] + weaker_R1 * parts_RPS[:, 1:].sum(dim=1)
    return peak_R1 * (total_RS - total_RS.mean(dim=1, keepdim=True))


def impulsive(wave_RS: Tensor, share_R: Tensor, draws: torch.Generator) -> Tensor:
    """Return waves in which `share` of the samples, rounded, have noise in proportion to themselves added.

    At each of them it is the sample times `IMPULSE_GAIN` times two numbers that are drawn evenly between -1 and 1.
    """
    rows, samples = wave_RS.shape
    order_RS = torch.rand(rows, samples, generator=draws, device=wave_RS.device).argsort(dim=1)
    touched_R1 = (share_R[:, None].double() * samples).round()
    first_RS = torch.arange(samples, device=wave_RS.device) < touched_R1
    is_hit_RS = torch.zeros_like(first_RS).scatter(1, order_RS, first_RS)
    factor_RS = torch.rand(2, rows, samples, generator=draws, device=wave_RS.device).mul(2).sub(1).prod(dim=0)
    return torch.where(is_hit_RS, wave_RS * (1 + IMPULSE_GAIN * factor_RS), wave_RS)


def stationary(filter_RL: Tensor, samples: int, draws: torch.Generator) -> Tensor:
    """Draw white noise and return it `(R, S)` after each filter, equally loud from the first sample to the last."""
    rows, taps = filter_RL.shape
    white_RS = torch.randn(rows, samples + taps - 1, generator=draws, device=filter_RL.device)
    return convolve(white_RS, filter_RL)[:, taps - 1 :]
