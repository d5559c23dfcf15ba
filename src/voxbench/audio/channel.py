"""What a room, a microphone and a line do to a voice: reverberation, noise, band limits, level.

Every function takes a real wave of shape (S,) and returns a new one of the same shape and dtype.
Reverberation follows Polack's statistical model (Polack 1988; Moorer 1979): Gaussian noise under an
exponential decay. Pink noise has a power density proportional to 1/f.

Deviation: Polack's response has no separate direct sound; here its first sample is as loud as the
envelope allows, so that onsets stay in place.

Shape letters: S samples, F frequency bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import butter, fftconvolve, sosfilt

from voxbench.schema import AudioError, InputError


@dataclass(frozen=True, slots=True)
class Channel:
    """The recording conditions that all clips of one session share.

    `room_seed` fixes the impulse response, `pink_share` is the pink part of the noise power in [0, 1],
    `peak_dbfs` the level of the loudest sample relative to full scale (at most 0).
    """

    room_seed: int
    rt60_seconds: float
    snr_db: float
    pink_share: float
    low_hz: float
    high_hz: float
    filter_order: int
    peak_dbfs: float


def transmit(
    wave_S: NDArray[np.floating], sample_rate_hz: int, channel: Channel, generator: np.random.Generator
) -> NDArray[np.floating]:
    """Pass a clean wave through a channel: room, noise, band limit, level; `generator` draws the noise."""
    wave_S = reverberate(wave_S, sample_rate_hz, channel.rt60_seconds, np.random.default_rng(channel.room_seed))
    wave_S = add_noise(wave_S, channel.snr_db, channel.pink_share, generator)
    wave_S = band_limit(wave_S, sample_rate_hz, channel.low_hz, channel.high_hz, channel.filter_order)
    return set_peak(wave_S, channel.peak_dbfs)


def add_noise(
    wave_S: NDArray[np.floating], snr_db: float, pink_share: float, generator: np.random.Generator
) -> NDArray[np.floating]:
    """Add a mixture of white and pink noise at exactly `snr_db` below the wave's mean power.

    10 log10(sum wave^2 / sum noise^2) = snr_db over the whole clip. `pink_share` in [0, 1] is the pink
    part of the noise power in expectation. A silent wave has no SNR and raises AudioError.
    """
    if not 0.0 <= pink_share <= 1.0:
        raise InputError(f"pink_share is {pink_share}, expected a share between 0 and 1")
    power = float(np.mean(np.square(wave_S, dtype=np.float64)))
    if power == 0.0:
        raise AudioError("silent", "noise at a given SNR needs a wave with power")
    white_S = generator.standard_normal(wave_S.size)
    pink_S = _pink_noise(wave_S.size, generator)
    noise_S = np.sqrt(1.0 - pink_share) * white_S + np.sqrt(pink_share) * pink_S
    noise_S *= np.sqrt(power / np.mean(noise_S**2) / 10.0 ** (snr_db / 10.0))
    return (wave_S + noise_S).astype(wave_S.dtype)


def _pink_noise(samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw noise with a 1/f power density, no mean and unit expected power."""
    # A transform of a length with a large prime factor takes ten times as long.
    length = next_fast_len(max(samples, 2), real=True)
    spectrum_F = np.fft.rfft(generator.standard_normal(length))
    bins_F = np.arange(spectrum_F.size, dtype=np.float64)
    amplitude_F = np.zeros_like(bins_F)
    amplitude_F[1:] = bins_F[1:] ** -0.5
    # The bins of a real spectrum between zero and Nyquist stand for two frequencies each.
    amplitude_F *= np.sqrt(length / (2.0 * np.sum(amplitude_F**2)))
    return np.fft.irfft(spectrum_F * amplitude_F, n=length)[:samples]


def impulse_response(sample_rate_hz: int, rt60_seconds: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw a room's impulse response of `rt60_seconds` length and unit energy.

    h[t] = g[t] 10^(-3 t / rt60), g standard normal and g[0] = 3, so the decay reaches -60 dB at its end.
    """
    seconds_S = np.arange(max(1, round(rt60_seconds * sample_rate_hz))) / sample_rate_hz
    response_S = generator.standard_normal(seconds_S.size)
    response_S[0] = 3.0
    response_S *= 10.0 ** (-3.0 * seconds_S / rt60_seconds)
    return response_S / np.sqrt(np.sum(response_S**2))


def reverberate(
    wave_S: NDArray[np.floating], sample_rate_hz: int, rt60_seconds: float, generator: np.random.Generator
) -> NDArray[np.floating]:
    """Convolve with a drawn room response and keep the first S samples; 0 seconds leaves the wave dry."""
    if rt60_seconds < 0.0:
        raise InputError(f"rt60_seconds is {rt60_seconds}, expected 0 (dry) or more")
    if rt60_seconds == 0.0:
        return wave_S.copy()
    response_S = impulse_response(sample_rate_hz, rt60_seconds, generator)
    return fftconvolve(wave_S, response_S)[: wave_S.size].astype(wave_S.dtype)


def band_limit(
    wave_S: NDArray[np.floating], sample_rate_hz: int, low_hz: float, high_hz: float, order: int
) -> NDArray[np.floating]:
    """Pass `low_hz`..`high_hz` through a causal Butterworth band-pass of `order` at each edge.

    The gain is -3.01 dB at both edges and falls by 6.02 `order` dB per octave outside.
    """
    if not 0.0 < low_hz < high_hz < sample_rate_hz / 2:
        raise InputError(
            f"band {low_hz}-{high_hz} Hz, expected 0 < low < high < {sample_rate_hz / 2} Hz (half the rate)"
        )
    sections = butter(order, (low_hz, high_hz), "bandpass", fs=sample_rate_hz, output="sos")
    return sosfilt(sections, wave_S).astype(wave_S.dtype)


def set_peak(wave_S: NDArray[np.floating], peak_dbfs: float) -> NDArray[np.floating]:
    """Apply the gain that puts the loudest sample at `peak_dbfs` (0 = full scale; above 0 is refused)."""
    if peak_dbfs > 0.0:
        raise InputError(f"peak_dbfs is {peak_dbfs}, expected at most 0 (full scale)")
    peak = float(np.max(np.abs(wave_S), initial=0.0))
    if peak == 0.0:
        raise AudioError("silent", "no gain brings a silent wave to a level")
    return (wave_S * (10.0 ** (peak_dbfs / 20.0) / peak)).astype(wave_S.dtype)
