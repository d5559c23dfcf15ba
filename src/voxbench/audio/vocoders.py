"""Source-filter vocoders: a pulse or noise source through a filter that follows the speech, and two coarse coders.

Atal & Hanauer 1971 (linear prediction), Dudley 1939 (channel vocoder), Oppenheim 1969 (homomorphic vocoder); the
coders are of the kind of residual-excited prediction (Un & Magill 1975) and of G.711 with fewer bits. Every function
takes a wave `(S,)` in float64, its rate in Hz and a generator, and returns about as many samples;
`voxbench.audio.attacks` gives them their common law.

Deviation: the filters act on short-time spectra, not sample by sample.

Shape letters: S samples, T frames, F frequency bins, B bands, P prediction coefficients.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, rfft
from scipy.signal import lfilter, resample_poly

from voxbench.audio.spectra import Spectrum, Wave, analyse, fit, frame_size, mel_bands, smooth_envelope, synthesise

F0_BOUNDS_HZ = (65.0, 400.0)
PITCH_BAND_HZ = 1_000.0
VOICED = 0.4
"""Normalised autocorrelation at the pitch period from which a frame counts as voiced."""

CHANNELS = 24
CODEC_RATE_HZ = 8_000
CODEC_BITS = 5
MU = 255.0


def pitch_track(wave_S: Wave, sample_rate_hz: int, hop: int, frames: int) -> Wave:
    """Return F0 in Hz `(T,)` by autocorrelation of 40 ms below 1 kHz, 0 where a frame is unvoiced (Rabiner 1977)."""
    size = round(0.04 * sample_rate_hz)
    padded_S = np.pad(wave_S, (size // 2, size + frames * hop))
    cut_TS = np.lib.stride_tricks.sliding_window_view(padded_S, size)[: frames * hop : hop]
    cut_TS = cut_TS - cut_TS.mean(axis=1, keepdims=True)
    length = int(2 ** np.ceil(np.log2(2 * size)))
    power_TF = np.abs(rfft(cut_TS, n=length, axis=1)) ** 2
    power_TF[:, round(PITCH_BAND_HZ / sample_rate_hz * length) :] = 0.0
    correlation_TS = irfft(power_TF, axis=1)
    shortest, longest = (int(sample_rate_hz / bound) for bound in reversed(F0_BOUNDS_HZ))
    # Longer lags have fewer products, which puts two periods at a disadvantage to one, as they should be.
    best_T = np.argmax(correlation_TS[:, shortest:longest], axis=1) + shortest
    strength_T = correlation_TS[np.arange(frames), best_T] / np.maximum(correlation_TS[:, 0], 1e-12)
    loud_T = correlation_TS[:, 0] > 1e-4 * np.max(correlation_TS[:, 0], initial=1e-12)
    return np.where((strength_T > VOICED) & loud_T, sample_rate_hz / best_T, 0.0)


def excitation(f0_T: Wave, sample_rate_hz: int, hop: int, samples: int, generator: np.random.Generator) -> Wave:
    """Return pulses at F0 where frames are voiced and noise elsewhere, both of unit power."""
    f0_S = np.repeat(f0_T, hop)[:samples]
    f0_S = np.pad(f0_S, (0, samples - f0_S.size))
    cycles_S = np.floor(np.cumsum(f0_S / sample_rate_hz))
    pulses_S = np.diff(cycles_S, prepend=0.0) * np.sqrt(sample_rate_hz / np.maximum(f0_S, 1.0))
    return np.where(f0_S > 0.0, pulses_S, generator.standard_normal(samples))


def _filtered(wave_S: Wave, sample_rate_hz: int, filter_TF: Spectrum | Wave, generator: np.random.Generator) -> Wave:
    """Send pulses and noise that follow the wave's pitch through a filter that changes with every frame."""
    size, hop = frame_size(sample_rate_hz), frame_size(sample_rate_hz) // 4
    f0_T = pitch_track(wave_S, sample_rate_hz, hop, filter_TF.shape[0])
    source_S = excitation(f0_T, sample_rate_hz, hop, wave_S.size, generator)
    return synthesise(analyse(source_S, size, hop) * filter_TF, size, hop, wave_S.size)


def prediction(spectrum_TF: Spectrum, order: int) -> tuple[Wave, Wave]:
    """Return linear prediction coefficients `(T, P + 1)`, the first of them 1, and the gain `(T,)` of each frame.

    Levinson and Durbin's recursion on the autocorrelation of the windowed frames, over all frames at once.
    """
    correlation_TP = irfft(np.abs(spectrum_TF) ** 2, axis=1)[:, : order + 1]
    error_T = correlation_TP[:, 0] * 1.0001 + 1e-9
    coefficients_TP = np.zeros((len(error_T), order + 1))
    coefficients_TP[:, 0] = 1.0
    for step in range(1, order + 1):
        match_T = np.sum(coefficients_TP[:, :step] * correlation_TP[:, step:0:-1], axis=1)
        reflection_T = (-match_T / error_T)[:, None]
        coefficients_TP[:, 1 : step + 1] += reflection_T * coefficients_TP[:, step - 1 :: -1][:, :step]
        error_T = error_T * (1.0 - reflection_T[:, 0] ** 2)
    return coefficients_TP, np.sqrt(np.maximum(error_T, 0.0))


def lpc_vocoder(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Rebuild the wave from linear prediction and a pulse or noise source."""
    size = frame_size(sample_rate_hz)
    coefficients_TP, gain_T = prediction(analyse(wave_S, size, size // 4), sample_rate_hz // 1000 + 2)
    filter_TF = gain_T[:, None] / rfft(coefficients_TP, n=size, axis=1)
    return _filtered(wave_S, sample_rate_hz, filter_TF, generator)


def cepstral_vocoder(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Rebuild the wave from a smooth cepstral envelope of zero phase and a pulse or noise source."""
    size = frame_size(sample_rate_hz)
    magnitude_TF = np.abs(analyse(wave_S, size, size // 4))
    return _filtered(wave_S, sample_rate_hz, smooth_envelope(magnitude_TF, sample_rate_hz // 640), generator)


def channel_vocoder(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Rebuild the wave from the loudness of 24 bands and a pulse or noise source."""
    size = frame_size(sample_rate_hz)
    bands_BF = mel_bands(size, sample_rate_hz, CHANNELS)
    power_TB = np.abs(analyse(wave_S, size, size // 4)) ** 2 @ (bands_BF / bands_BF.sum(axis=1, keepdims=True)).T
    return _filtered(wave_S, sample_rate_hz, np.sqrt(power_TB) @ bands_BF, generator)


def coarse_residual(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Keep two levels of the prediction residual, frame by frame, and filter it back: residual-excited prediction."""
    size, hop = frame_size(sample_rate_hz), frame_size(sample_rate_hz) // 4
    spectrum_TF = analyse(wave_S, size, hop)
    coefficients_TP, _ = prediction(spectrum_TF, sample_rate_hz // 1000 + 2)
    inverse_TF = rfft(coefficients_TP, n=size, axis=1)
    residual_S = synthesise(spectrum_TF * inverse_TF, size, hop, wave_S.size)
    level_S = np.sqrt(lfilter([0.02], [1.0, -0.98], residual_S**2))
    dithered_S = residual_S + 0.3 * level_S * generator.standard_normal(residual_S.size)
    return synthesise(analyse(np.sign(dithered_S) * level_S, size, hop) / inverse_TF, size, hop, wave_S.size)


def low_rate_codec(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Pass the wave through 8 kHz and five bits of mu-law at a drawn gain, and back to its rate."""
    narrow_S = resample_poly(wave_S, CODEC_RATE_HZ, sample_rate_hz)
    scaled_S = narrow_S / np.max(np.abs(narrow_S), initial=1e-12) * generator.uniform(0.5, 1.0)
    compressed_S = np.sign(scaled_S) * np.log1p(MU * np.abs(scaled_S)) / np.log1p(MU)
    steps = 2 ** (CODEC_BITS - 1)
    coded_S = (np.floor(compressed_S * steps) + 0.5) / steps
    expanded_S = np.sign(coded_S) * np.expm1(np.abs(coded_S) * np.log1p(MU)) / MU
    return fit(np.asarray(resample_poly(expanded_S, sample_rate_hz, CODEC_RATE_HZ)), wave_S.size)
