"""Traces of a recording: numbers of its silence, channel and energy, for which nobody has to hear the voice.

A network that is no better than these numbers may have learnt a shortcut of its corpus: in ASVspoof 2019 the length of
the silence at both ends goes with being bona fide (Mueller et al., "Speech is Silver, Silence is Golden: What do
ASVspoof-trained Models Really Learn?", 2021, arXiv 2106.12914). They are taken from the decoded recording, for
cleaning removes what they measure. How energy is spread over frames goes with how many people talk at once: another
voice fills the pauses of the first.

Frames of 10 ms, joined without overlap; what is left at the end is no frame.

| trace | is |
|---|---|
| leading_silence_seconds, trailing_silence_seconds | silent frames before the first and after the last other frame |
| silent_fraction | silent frames: root mean square about the file's mean below `silence_q` deviations of the file |
| digital_silence_fraction | frames of zeros, which no microphone records |
| pauses | silences of at least 0.1 s between other frames |
| quiet_dbfs | level, about their own means, of the quiet frames: the 5 % with the least power, frames of zeros aside |
| quiet_..._dbfs | the same in bands of frequency |
| peak_dbfs | level of the largest sample |
| dc_offset | mean of the samples, as a fraction of full scale |
| bandwidth_hz | highest frequency within 60 dB of the strongest, in the mean spectrum of frames spread over the file |
| frame_level_sd_db | deviation of the frames' levels, none of which counts as more than 60 dB below the file's |
| frame_power_sd | deviation of the frames' powers, over their mean |
| loudest_frame_db | level of the frame with the most power, above the file's |
| weak_fraction, faint_fraction | frames more than 10 and 20 dB below the file's level |

Levels are in dB of full scale, powers of a constant 1, and none is below `FLOOR_DBFS`: a band of no power has that
level, and so has a band above half the sample rate. The file's level, to which the last five refer, is that of the mean
power of its frames about its mean; they are 0 where no frame has any power, and no gain changes them. A recording
without pauses has quiet frames that hold some voice.
Spectra are of at most `SPECTRA` frames of each kind, evenly chosen, which keeps the cost of long recordings small.

Legend of shape letters: S samples, F frames, C chosen frames, N samples of a frame, K frequencies, B bands.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

FRAME_SECONDS = 0.01
PAUSE_FRAMES = 10
SMALLEST, LARGEST = 1e-12, 1e12  # peaks beyond, such as only floating-point files have, leave float32 when squared
QUIET_SHARE = 0.05
SPECTRA = 40  # at most of the quiet frames, and as many of all
WITHIN_DB = 60.0
WEAK_DB, FAINT_DB = 10.0, 20.0
FLOOR_DBFS = -120.0  # far below the rounding noise of 16 bits, -101 dB
EDGES_HZ = (500.0, 1000.0, 2000.0, 4000.0)
BANDS = (
    "quiet_0_500_hz_dbfs",
    "quiet_500_1000_hz_dbfs",
    "quiet_1000_2000_hz_dbfs",
    "quiet_2000_4000_hz_dbfs",
    "quiet_above_4000_hz_dbfs",
)
ENERGY = ("frame_level_sd_db", "frame_power_sd", "loudest_frame_db", "weak_fraction", "faint_fraction")
TRACES = (
    *("leading_silence_seconds", "trailing_silence_seconds", "silent_fraction", "digital_silence_fraction", "pauses"),
    *("quiet_dbfs", *BANDS, "dc_offset", "peak_dbfs", "bandwidth_hz"),
    *ENERGY,
)


class _Analysis(NamedTuple):
    """How frames become powers: a Hann window (N,), and the power in each band of what each frequency holds (B, K)."""

    window_N: NDArray[np.float32]
    bands_BK: NDArray[np.float64]


def trace(wave: NDArray[np.float32], sample_rate_hz: int, silence_q: float, peak: float) -> dict[str, float]:
    """Return the `TRACES` of a mono wave (S,) that cleaning accepts: finite, and not all of one value.

    `peak` is its largest absolute sample, as cleaning finds it.
    """
    if not SMALLEST < peak < LARGEST:
        wave = wave.astype(np.float64)
    samples = min(max(round(FRAME_SECONDS * sample_rate_hz), 1), wave.size)
    wave_FN = wave[: wave.size // samples * samples].reshape(-1, samples)
    mean = np.add.reduce(wave) / np.float32(wave.size)
    centred_FN = wave_FN - mean
    power_F = np.einsum("fn,fn->f", centred_FN, centred_FN).astype(np.float64) / samples
    zeros = np.empty(0, np.intp)
    # Frames of zeros are among those with this power; to look at every sample would take longer than all the rest.
    if power_F.min() <= (no_power := 1.001 * float(mean) ** 2):
        zeros = np.flatnonzero(power_F <= no_power)
        zeros = zeros[~wave_FN[zeros].any(axis=1)]
    power = float(power_F.mean())
    sounding = np.flatnonzero(power_F >= silence_q**2 * power)
    found = _silence(sounding, power_F.size, samples / sample_rate_hz) | _energy(power_F, power)
    found |= _levels(centred_FN, power_F, zeros, sample_rate_hz)
    found["digital_silence_fraction"] = zeros.size / power_F.size
    found |= {"dc_offset": float(mean), "peak_dbfs": _dbfs(peak**2)}
    return {name: found[name] for name in TRACES}


def _silence(sounding: NDArray[np.intp], frames: int, frame_seconds: float) -> dict[str, float]:
    """Return where the silence lies, from the numbers of the frames that are not silent."""
    first, last = (int(sounding[0]), int(sounding[-1])) if sounding.size else (frames, -1)
    return {
        "leading_silence_seconds": first * frame_seconds,
        "trailing_silence_seconds": (frames - 1 - last) * frame_seconds,
        "silent_fraction": 1 - sounding.size / frames,
        "pauses": float(np.count_nonzero(sounding[1:] - sounding[:-1] > PAUSE_FRAMES)),
    }


def _energy(power_F: NDArray[np.float64], power: float) -> dict[str, float]:
    """Return how the frames' powers lie about their mean `power`; the gain of the recording changes none of it."""
    if power == 0:
        return dict.fromkeys(ENERGY, 0.0)
    share_F = power_F / power
    level_F = np.log10(np.maximum(share_F, 10 ** (-WITHIN_DB / 10)))
    level_F -= np.add.reduce(level_F) / level_F.size
    above_F = share_F - 1
    return {
        "frame_level_sd_db": 10 * math.sqrt(np.add.reduce(np.square(level_F)) / level_F.size),
        "frame_power_sd": math.sqrt(np.add.reduce(np.square(above_F)) / above_F.size),
        "loudest_frame_db": 10 * math.log10(share_F.max()),
        "weak_fraction": float(np.count_nonzero(share_F < 10 ** (-WEAK_DB / 10))) / share_F.size,
        "faint_fraction": float(np.count_nonzero(share_F < 10 ** (-FAINT_DB / 10))) / share_F.size,
    }


def _levels(
    centred_FN: NDArray[np.float32], power_F: NDArray[np.float64], zeros: NDArray[np.intp], sample_rate_hz: int
) -> dict[str, float]:
    """Return the levels of the quiet frames and the bandwidth, from one transform for both."""
    samples, quiet = centred_FN.shape[1], _quiet(power_F, zeros)
    analysis = _analysis(sample_rate_hz, samples)
    few = quiet[:: _step(quiet.size)]
    chosen = np.concatenate([few, np.arange(0, power_F.size, _step(power_F.size))])
    frames_CN = centred_FN[chosen]
    # About the file's mean a quiet frame would have the power of that mean, which loud speech can push off zero.
    frames_CN -= np.einsum("cn->c", frames_CN)[:, None] / np.float32(samples)
    spectra_CK = fft.rfft(frames_CN * analysis.window_N)
    power_CK = spectra_CK.real**2 + spectra_CK.imag**2
    mean_K = np.add.reduce(power_CK[few.size :])
    strong = np.flatnonzero(mean_K > 10 ** (-WITHIN_DB / 10) * mean_K.max())
    found = {"bandwidth_hz": float(strong[-1]) * sample_rate_hz / samples if strong.size else 0.0}
    if not quiet.size:
        return found | dict.fromkeys(("quiet_dbfs", *BANDS), FLOOR_DBFS)
    band_B = np.einsum("bk,k->b", analysis.bands_BK, np.add.reduce(power_CK[: few.size], dtype=np.float64)) / few.size
    levels = zip(("quiet_dbfs", *BANDS), (sum(band_B.tolist()), *band_B.tolist()), strict=True)
    return found | {name: _dbfs(power) for name, power in levels}


def _step(frames: int) -> int:
    """Return which of so many frames are transformed: every one, or every second, ... so that they are few."""
    return max(math.ceil(frames / SPECTRA), 1)


def _quiet(power_F: NDArray[np.float64], zeros: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the numbers of the frames that are no louder than the quietest of those with a sound."""
    heard_F = np.delete(power_F, zeros) if zeros.size else power_F
    if not heard_F.size:
        return zeros[:0]
    place = math.ceil(QUIET_SHARE * heard_F.size) - 1
    quiet = np.flatnonzero(power_F <= np.partition(heard_F, place)[place])
    return np.setdiff1d(quiet, zeros, assume_unique=True) if zeros.size else quiet


@lru_cache(maxsize=64)
def _analysis(sample_rate_hz: int, samples: int) -> _Analysis:
    window_N = np.sin(np.pi * (np.arange(samples) + 0.5) / samples) ** 2
    frequencies_K = np.arange(samples // 2 + 1) * sample_rate_hz / samples
    # All frequencies but 0 and half the rate stand for their negative ones, too.
    scale_K = np.where((frequencies_K > 0) & (2 * frequencies_K < sample_rate_hz), 2.0, 1.0)
    band_K = np.searchsorted(EDGES_HZ, frequencies_K, side="right")
    bands_BK = (band_K == np.arange(len(BANDS))[:, None]) * scale_K / (samples * np.square(window_N).sum())
    return _Analysis(window_N.astype(np.float32), bands_BK)


def _dbfs(power: float) -> float:
    """Return a power in dB of full scale; no power at all has a level, too: the floor."""
    return max(10 * math.log10(power), FLOOR_DBFS) if power > 0 else FLOOR_DBFS
