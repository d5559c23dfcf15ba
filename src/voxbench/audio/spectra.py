"""Short-time spectra and back, and the resyntheses that change a spectrogram: what text-to-speech and conversion leave.

Griffin & Lim 1984 (waves from magnitudes); Flanagan & Golden 1966, Laroche & Dolson 1999 (phase vocoder); Hunt & Black
1996 (unit concatenation). Every resynthesis takes a wave `(S,)` in float64, its rate in Hz and a generator, and returns
about as many samples; `voxbench.audio.attacks` gives them their common law.

Shape letters: S samples, T frames, F frequency bins, B bands.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.signal import resample_poly

Wave = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

ROUNDS = 4
"""Rounds of Griffin and Lim: few, as in fast synthesis, so that the phases stay audibly inconsistent."""

MEL_BANDS = 40
UNIT_SECONDS = 0.064


def frame_size(sample_rate_hz: int) -> int:
    """Return the power of two that is closest to 32 ms: 256 at 8 kHz, 512 at 16 kHz."""
    return int(2 ** np.rint(np.log2(0.032 * sample_rate_hz)))


def analyse(wave_S: Wave, size: int, hop: int) -> Spectrum:
    """Return the spectrum `(T, F)` of Hann windows of `size` samples, the first of them centred on sample 0."""
    frames = -(-wave_S.size // hop) + 1
    padded_S = np.zeros((frames - 1) * hop + size)
    padded_S[size // 2 : size // 2 + wave_S.size] = wave_S[: padded_S.size - size // 2]
    cut_TS = np.lib.stride_tricks.sliding_window_view(padded_S, size)[::hop]
    return np.asarray(rfft(cut_TS * window(size), axis=1))


def synthesise(spectrum_TF: Spectrum, size: int, hop: int, samples: int) -> Wave:
    """Return the wave of `samples` whose spectrum is closest to `spectrum_TF` (Griffin & Lim 1984, equation 6).

    `hop` divides `size`.
    """
    parts_TS = irfft(spectrum_TF, n=size, axis=1) * window(size)
    frames, laps = parts_TS.shape[0], size // hop
    summed_S, weight_S = np.zeros((frames + laps - 1) * hop), np.zeros((frames + laps - 1) * hop)
    for lap in range(laps):
        place = slice(lap * hop, (lap + frames) * hop)
        summed_S[place] += parts_TS[:, lap * hop : (lap + 1) * hop].reshape(-1)
        weight_S[place] += np.tile(window(size)[lap * hop : (lap + 1) * hop] ** 2, frames)
    wave_S = summed_S[size // 2 :] / np.maximum(weight_S[size // 2 :], 1e-3)
    return fit(wave_S, samples)


@functools.cache
def window(size: int) -> Wave:
    """Return the periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)


def fit(wave_S: Wave, samples: int) -> Wave:
    """Return the first `samples` of a wave, with silence after its end."""
    return np.pad(wave_S[:samples], (0, max(0, samples - wave_S.size)))


@functools.cache
def mel_bands(size: int, sample_rate_hz: int, bands: int) -> Wave:
    """Return triangles `(B, F)` evenly spaced in mel (O'Shaughnessy 1987) up to half the rate."""
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, np.log10(1.0 + sample_rate_hz / 1400.0), bands + 2)) - 1.0)
    bins_hz = np.fft.rfftfreq(size, 1.0 / sample_rate_hz)
    # A band narrower than two bins would be empty.
    steps_hz = np.maximum(np.diff(edges_hz), sample_rate_hz / size)
    rising = (bins_hz - (edges_hz[1:-1] - steps_hz[:-1])[:, None]) / steps_hz[:-1, None]
    falling = ((edges_hz[1:-1] + steps_hz[1:])[:, None] - bins_hz) / steps_hz[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def smooth_envelope(magnitude_TF: Wave, order: int) -> Wave:
    """Return the spectral envelope `(T, F)` that the first `order` cepstral coefficients describe."""
    floor = 1e-5 * float(np.max(magnitude_TF, initial=1e-9))
    cepstrum_TS = irfft(np.log(np.maximum(magnitude_TF, floor)), axis=1)
    cepstrum_TS[:, order : cepstrum_TS.shape[1] - order + 1] = 0.0
    return np.exp(rfft(cepstrum_TS, axis=1).real)


def griffin_lim(magnitude_TF: Wave, size: int, hop: int, samples: int, generator: np.random.Generator) -> Wave:
    """Return a wave with about these magnitudes, from random phases and `ROUNDS` rounds."""
    phase_TF = np.exp(2j * np.pi * generator.random(magnitude_TF.shape))
    wave_S = synthesise(magnitude_TF * phase_TF, size, hop, samples)
    for _ in range(ROUNDS):
        spectrum_TF = analyse(wave_S, size, hop)
        wave_S = synthesise(magnitude_TF * spectrum_TF / np.maximum(np.abs(spectrum_TF), 1e-12), size, hop, samples)
    return wave_S


def griffin_lim_mel(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Rebuild the wave from 40 mel bands, with phases by Griffin and Lim."""
    size = frame_size(sample_rate_hz)
    bands_BF = mel_bands(size, sample_rate_hz, MEL_BANDS)
    mel_TB = np.abs(analyse(wave_S, size, size // 4)) @ bands_BF.T
    magnitude_TF = mel_TB @ (bands_BF / np.maximum(np.sum(bands_BF**2, axis=1), 1e-9)[:, None])
    return griffin_lim(magnitude_TF, size, size // 4, wave_S.size, generator)


def griffin_lim_linear(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Rebuild the wave from its full magnitude spectrogram of long windows, with phases by Griffin and Lim."""
    size = 2 * frame_size(sample_rate_hz)
    return griffin_lim(np.abs(analyse(wave_S, size, size // 4)), size, size // 4, wave_S.size, generator)


def _stretched(spectrum_TF: Spectrum, positions_T: Wave, hop: int) -> Spectrum:
    """Read a spectrogram at fractional frames, each bin's phase advanced by what it advances there in a hop."""
    size = 2 * (spectrum_TF.shape[1] - 1)
    frames_T = np.minimum(positions_T.astype(np.int64), max(spectrum_TF.shape[0] - 2, 0))
    share_T = (positions_T - frames_T)[:, None]
    after_TF = spectrum_TF[np.minimum(frames_T + 1, spectrum_TF.shape[0] - 1)]
    before_TF = spectrum_TF[frames_T]
    magnitude_TF = (1.0 - share_T) * np.abs(before_TF) + share_T * np.abs(after_TF)
    expected_F = 2.0 * np.pi * hop * np.arange(spectrum_TF.shape[1]) / size
    deviation_TF = np.angle(after_TF * np.conj(before_TF) * np.exp(-1j * expected_F))
    phase_TF = np.cumsum(expected_F + deviation_TF, axis=0)
    phase_TF = np.angle(before_TF[0]) + np.vstack([np.zeros_like(expected_F), phase_TF[:-1]])
    return np.asarray(magnitude_TF * np.exp(1j * phase_TF))


def pitch_shift(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Raise or lower the pitch by two to four semitones: a phase vocoder stretches, resampling shrinks back."""
    size, hop = frame_size(sample_rate_hz), frame_size(sample_rate_hz) // 4
    ratio = 2.0 ** (generator.uniform(2.0, 4.0) * generator.choice((-1.0, 1.0)) / 12.0)
    up, down = 100, round(100 * ratio)
    spectrum_TF = analyse(wave_S, size, hop)
    positions_T = np.arange(0.0, spectrum_TF.shape[0] - 1, up / down)
    stretched_S = synthesise(_stretched(spectrum_TF, positions_T, hop), size, hop, -(-wave_S.size * down // up))
    return np.asarray(resample_poly(stretched_S, up, down))


def duration_warp(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Speak some parts faster and others slower, by up to a third, in the same time: prosody conversion."""
    size, hop = frame_size(sample_rate_hz), frame_size(sample_rate_hz) // 4
    spectrum_TF = analyse(wave_S, size, hop)
    frames = spectrum_TF.shape[0]
    knots = np.linspace(0.0, frames - 1, max(3, frames * hop * 3 // sample_rate_hz))
    slow_fast = generator.permutation((0.75, 1.33))
    speeds = np.resize(slow_fast, knots.size) * generator.uniform(0.9, 1.1, knots.size)
    speed = np.interp(np.arange(frames), knots, speeds)
    positions_T = np.concatenate([[0.0], np.cumsum(speed[:-1])])
    positions_T *= (frames - 1) / max(positions_T[-1], 1e-9)
    return synthesise(_stretched(spectrum_TF, positions_T, hop), size, hop, wave_S.size)


def formant_shift(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Move the envelope by 8 to 15 % along frequency and keep the fine structure: another vocal tract."""
    size, hop = frame_size(sample_rate_hz), frame_size(sample_rate_hz) // 4
    factor = 1.0 + generator.uniform(0.08, 0.15) * generator.choice((-1.0, 1.0))
    spectrum_TF = analyse(wave_S, size, hop)
    envelope_TF = smooth_envelope(np.abs(spectrum_TF), sample_rate_hz // 500)
    source_F = np.minimum(np.arange(spectrum_TF.shape[1]) / factor, spectrum_TF.shape[1] - 1.0)
    low_F = np.minimum(source_F.astype(np.int64), spectrum_TF.shape[1] - 2)
    share_F = source_F - low_F
    moved_TF = (1.0 - share_F) * envelope_TF[:, low_F] + share_F * envelope_TF[:, low_F + 1]
    # A band that was empty has no fine structure to lift by 60 dB.
    gain_TF = np.minimum(moved_TF / envelope_TF, 10.0)
    return synthesise(spectrum_TF * gain_TF, size, hop, wave_S.size)


def robot_phase(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Set all phases to zero, frame by frame: a voice on one note, of about the rate of frames."""
    size = frame_size(sample_rate_hz)
    hop = size // 4
    magnitude_TF = np.abs(analyse(wave_S, size, hop))
    centre_F = np.exp(-1j * np.pi * np.arange(magnitude_TF.shape[1]))
    jitter_T = np.exp(1j * generator.normal(0.0, 0.2, magnitude_TF.shape[0]))[:, None]
    return synthesise(magnitude_TF * centre_F * jitter_T, size, hop, wave_S.size)


def unit_concatenation(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Replace every other unit of 64 ms by the one that sounds most alike elsewhere in the clip, cross-faded."""
    hop = max(1, round(UNIT_SECONDS * sample_rate_hz / 2))
    size = 2 * hop
    padded_S = np.pad(wave_S, (hop, 2 * size))
    units_TS = np.lib.stride_tricks.sliding_window_view(padded_S, size)[::hop]
    log_TF = np.log(np.abs(rfft(units_TS * window(size), axis=1))[:, ::4] + 1e-4)
    distance_TT = np.sum(log_TF**2, axis=1)[:, None] - 2.0 * log_TF @ log_TF.T + np.sum(log_TF**2, axis=1)[None]
    places = np.arange(len(units_TS))
    distance_TT[np.abs(places[:, None] - places[None]) < 2] = np.inf
    chosen_T = np.argmin(distance_TT, axis=1) if len(units_TS) > 2 else places
    kept_T = (places + generator.integers(2)) % 2 == 0
    parts_TS = units_TS[np.where(kept_T, places, chosen_T)] * window(size)
    summed_S = np.zeros((len(units_TS) + 1) * hop)
    for lap in range(2):
        part = parts_TS[:, lap * hop : (lap + 1) * hop].reshape(-1)
        summed_S[lap * hop : lap * hop + part.size] += part
    return fit(summed_S[hop:], wave_S.size)


def sinusoids(wave_S: Wave, sample_rate_hz: int, generator: np.random.Generator) -> Wave:
    """Keep the spectral peaks alone, each as a sinusoid with a phase of its own (McAulay & Quatieri 1986)."""
    size = 2 * frame_size(sample_rate_hz)
    hop = size // 4
    magnitude_TF = np.abs(analyse(wave_S, size, hop))
    peaks_TF = np.zeros_like(magnitude_TF, dtype=bool)
    inner = magnitude_TF[:, 1:-1]
    peaks_TF[:, 1:-1] = (inner > magnitude_TF[:, :-2]) & (inner >= magnitude_TF[:, 2:])
    kept_TF = np.where(peaks_TF, magnitude_TF, 0.0)
    bins_F = np.arange(magnitude_TF.shape[1])
    advance_TF = 2.0 * np.pi * hop / size * bins_F * np.arange(magnitude_TF.shape[0])[:, None]
    phase_TF = advance_TF + 2.0 * np.pi * generator.random(bins_F.size)
    return synthesise(kept_TF * np.exp(1j * phase_TF), size, hop, wave_S.size)
