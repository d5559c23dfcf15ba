"""The cleaning chain: silence removal, pre-emphasis, low-pass, z-score, resampling; each law a function.

Reference: Jorrin-Coz et al., Computation 13(8):177 (2025) and the authors' scripts; the order is the source
sheet's. Deviations: none in the laws. The low-pass is computed by convolution where that is faster and equal
(`_zero_phase`). Each step can be left out but resampling. Removing silence at the ends alone is ours: how long it lasts
there tells bona fide from spoofed speech in ASVspoof 2019 (Mueller et al., arXiv 2106.12914, 2021), which an ablation
has to take away without joining what lies beside the pauses.

Functions keep the precision they are given, float32 or float64; statistics are always taken in float64.
Legend: waves are `(S,)`, S samples; N rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft, signal, special

from voxbench.audio.reading import AudioReason
from voxbench.config import Cleaning
from voxbench.schema import AudioError, InputError

Wave = TypeVar("Wave", NDArray[np.float32], NDArray[np.float64])

FULL_SCALE = 1 - 2.0**-15  # the largest 16-bit sample; converters cannot tell it from anything louder
FORGOTTEN = 1e-12  # an impulse response ends where nothing above this fraction of its peak follows
LONGEST_MEMORY = 4096  # samples; filters that remember longer are computed by recursion
SPEECH_SECONDS = 0.05  # a stretch of which half has to be heard: far longer than a click, shorter than a syllable
FAINTEST, LOUDEST = 1e-12, 1e12  # peaks beyond, such as only floating-point files have, leave float32 when squared


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A prepared wave `(S,)` float32 in the settings' rate, and facts about the recording it came from.

    `lead_seconds` of it lie before the wave's first sample; None where silence within was removed as well.
    """

    wave: NDArray[np.float32]
    source_seconds: float
    kept_seconds: float
    clipped_fraction: float
    peak: float
    lead_seconds: float | None


def clean(wave: NDArray[np.float32], sample_rate_hz: int, settings: Cleaning) -> Cleaned:
    """Clean a mono wave in the sheet's order: silence, pre-emphasis, low-pass, z-score, resampling.

    The result does not depend on the gain of `wave`; without `z_score` it follows the gain, full scale being 1, and is
    the wave itself where no other step does anything. Without `low_pass_hz` any rate will do: a recording of a lower
    rate than the settings' has nothing above half of its own. Raises AudioError: too_long (source), non_finite,
    silent, clipped (fraction of samples at or beyond full scale), too_short (what silence removal left, also
    if it is too little to filter) or rate_too_low (half the rate does not exceed `low_pass_hz`); without `z_score`
    also silent or clipped for a peak that no sound card gives, 240 dB from full scale.
    """
    source_seconds = wave.size / sample_rate_hz
    if source_seconds > settings.max_seconds:
        raise AudioError(AudioReason.TOO_LONG, f"{source_seconds:.3f} s; at most {settings.max_seconds:g} s")
    peak, clipped_fraction = _level(wave)
    if clipped_fraction > settings.max_clipped_fraction:
        detail = f"{clipped_fraction:.2%} of the samples; at most {settings.max_clipped_fraction:.2%}"
        raise AudioError(AudioReason.CLIPPED, detail)
    if not settings.z_score:
        _require_usable(peak)
    lead = 0
    if settings.silence_at == "ends":
        kept, lead = trim_silence(wave, sample_rate_hz, settings.silence_q)
    else:
        kept = remove_silence(wave, settings.silence_q)
    kept_seconds = kept.size / sample_rate_hz
    if kept_seconds < settings.min_seconds:
        detail = f"{kept_seconds:.3f} s without silence; at least {settings.min_seconds:g} s"
        raise AudioError(AudioReason.TOO_SHORT, detail)
    # A power of two changes no digit and keeps float32 from overflowing or vanishing on the way.
    exponent = np.frexp(peak)[1]
    passed = pre_emphasize(np.ldexp(kept, -exponent), settings.pre_emphasis)
    if settings.low_pass_hz is not None:
        passed = low_pass(passed, sample_rate_hz, settings.low_pass_order, settings.low_pass_hz, settings.zero_phase)
    levelled = z_score(passed) if settings.z_score else np.ldexp(passed, exponent)
    cleaned = resample(levelled, sample_rate_hz, settings.sample_rate_hz)
    is_piece = settings.silence_at == "ends" or kept.size == wave.size
    lead_seconds = lead / sample_rate_hz if is_piece else None
    return Cleaned(cleaned, source_seconds, kept_seconds, clipped_fraction, peak, lead_seconds)


def _level(wave: NDArray[np.float32]) -> tuple[float, float]:
    """Return the peak and the fraction of samples at or beyond full scale."""
    if not wave.size:
        raise AudioError(AudioReason.TOO_SHORT, "no samples")
    low, high = float(wave.min()), float(wave.max())
    peak = max(-low, high)
    if not np.isfinite(low + high):
        raise AudioError(AudioReason.NON_FINITE, "a sample is NaN or infinite")
    if low == high:
        raise AudioError(AudioReason.SILENT, f"all {wave.size} samples equal {low:g}")
    clipped = int(np.count_nonzero(np.abs(wave) >= FULL_SCALE)) if peak >= FULL_SCALE else 0
    return peak, clipped / wave.size


def _require_usable(peak: float) -> None:
    """Refuse a level of which neither 16 bits and a float32 scale nor spectra can be made."""
    if peak < FAINTEST:
        raise AudioError(AudioReason.SILENT, f"peak {peak:g} of full scale; at least {FAINTEST:g} without z-score")
    if peak > LOUDEST:
        raise AudioError(AudioReason.CLIPPED, f"peak {peak:g} of full scale; at most {LOUDEST:g} without z-score")


def remove_silence(wave: Wave, q: float) -> Wave:
    """Keep the samples whose Mahalanobis distance from the file's mean is at least `q`, joined together.

    x[t] stays iff |x[t] - mean| / std >= q, with the mean and the population deviation of the whole file; no
    frames, no smoothing. Raises AudioError silent where the deviation is 0.
    """
    return wave.compress(_distant(wave, q))


def trim_silence(wave: Wave, sample_rate_hz: int, q: float) -> tuple[Wave, int]:
    """Return the wave from the first to the last sample that is speech, and the place of the first.

    A sample is speech where at least half of the samples within 25 ms on either side, as far as the wave goes, are
    those that `remove_silence` keeps. So a click alone is none, wherever it lies, unless it lasts half of the shortest
    such stretch, 12.5 ms. The wave is empty where there is no speech; raises AudioError silent where the deviation is
    0.
    """
    reach = round(SPEECH_SECONDS / 2 * sample_rate_hz)
    votes = np.cumsum(np.where(_distant(wave, q), 1, -1), dtype=np.int32)
    votes = np.pad(np.concatenate([[0], votes]), reach, mode="edge")
    speech = np.flatnonzero(votes[2 * reach + 1 :] >= votes[: -2 * reach - 1])
    return (wave[speech[0] : speech[-1] + 1], int(speech[0])) if speech.size else (wave[:0], 0)


def _distant(wave: Wave, q: float) -> NDArray[np.bool_]:
    """Say which samples are at least `q` deviations from the mean."""
    centred = wave.astype(np.float64)
    centred -= centred.mean() if wave.size else 0.0
    std = _deviation(centred)
    if std == 0:
        raise AudioError(AudioReason.SILENT, f"all {wave.size} samples are equal")
    # Two comparisons and `compress` take two thirds of the time of |x| and a mask as index.
    distant = centred >= q * std
    distant |= centred <= -q * std
    return distant


def pre_emphasize(wave: Wave, coefficient: float) -> Wave:
    """Raise the high frequencies: y[0] = x[0], y[t] = x[t] - coefficient * x[t-1]."""
    emphasized = np.empty_like(wave)
    emphasized[:1] = wave[:1]
    np.multiply(wave[:-1], -wave.dtype.type(coefficient), out=emphasized[1:])
    emphasized[1:] += wave[1:]
    return emphasized


class _Kernel(NamedTuple):
    """The impulse response of a filter, `taps` samples, as its spectrum over `block` samples in either precision."""

    taps: int
    block: int
    spectra: dict[np.dtype[Any], NDArray[Any]]


class _LowPass(NamedTuple):
    """A Butterworth filter: its sections and, where it forgets soon, the kernels that do the same.

    `steady_state` belongs to a constant input of 1; `extension` is what is added at both ends for zero phase;
    `response` answers an impulse; `mirrored` is that answer filtered once more, backward.
    """

    sections: NDArray[np.float64]
    extension: int
    steady_state: NDArray[np.float64]
    response: _Kernel | None
    mirrored: _Kernel | None


@lru_cache(maxsize=64)
def _design(sample_rate_hz: int, order: int, cutoff_hz: float) -> _LowPass:
    sections = signal.butter(order, cutoff_hz, fs=sample_rate_hz, output="sos")
    impulse = np.zeros(2 * LONGEST_MEMORY)
    impulse[0] = 1.0
    response = signal.sosfilt(sections, impulse)
    memory = int(np.flatnonzero(np.abs(response) > FORGOTTEN * np.abs(response).max())[-1]) + 1
    once, twice = None, None
    if memory <= LONGEST_MEMORY:
        once = _kernel(response[:memory])
        twice = _kernel(np.convolve(response[:memory], response[memory - 1 :: -1]))
    return _LowPass(sections, 3 * (order + 1), signal.sosfilt_zi(sections), once, twice)


def _kernel(response: NDArray[np.float64]) -> _Kernel:
    """Transform a response over the block that costs least per sample: N where N = overlap ln(2 e N)."""
    overlap = response.size - 1
    least = -overlap * special.lambertw(-1 / (2 * math.e * overlap), k=-1).real
    block = fft.next_fast_len(int(np.ceil(least)), real=True)
    spectra = {np.dtype(kind): fft.rfft(response.astype(kind), block) for kind in (np.float32, np.float64)}
    return _Kernel(response.size, block, spectra)


def low_pass(wave: Wave, sample_rate_hz: int, order: int, cutoff_hz: float, zero_phase: bool) -> Wave:
    """Filter with a Butterworth low-pass in second-order sections: -3.01 dB at the cutoff.

    `zero_phase` filters forward and backward: -6.02 dB at the cutoff, with the odd extension at both ends
    that scipy's `sosfiltfilt` makes. Raises AudioError rate_too_low unless the cutoff lies below half the
    rate, and too_short for fewer samples than the extension needs.
    """
    if not 0 < cutoff_hz < sample_rate_hz / 2:
        detail = f"a low-pass at {cutoff_hz:g} Hz needs a rate above {2 * cutoff_hz:g} Hz, not {sample_rate_hz} Hz"
        raise AudioError(AudioReason.RATE_TOO_LOW, detail)
    design = _design(sample_rate_hz, order, cutoff_hz)
    if zero_phase:
        return _zero_phase(wave, design)
    if design.response is None or wave.size < 8 * design.response.taps:
        return signal.sosfilt(design.sections, wave.astype(np.float64)).astype(wave.dtype)
    return _convolve(wave, design.response, 0)


def _convolve(wave: Wave, kernel: _Kernel, delay: int) -> Wave:
    """Return samples `delay` to `delay + S` of the convolution, added up from overlapping blocks.

    Equal to the last bit to `scipy.signal.oaconvolve`, but without its copies and with the kernel's spectrum at hand.
    """
    step = kernel.block - kernel.taps + 1
    whole, rest = divmod(wave.size, step)
    blocks = np.zeros((-(-(wave.size + delay) // step), kernel.block), wave.dtype)
    blocks[:whole, :step] = wave[: whole * step].reshape(whole, step)
    blocks[whole : whole + 1, :rest] = wave[whole * step :]
    spectra = fft.rfft(blocks)
    spectra *= kernel.spectra[wave.dtype]
    filtered = fft.irfft(spectra, kernel.block, overwrite_x=True)
    filtered[1:, : kernel.block - step] += filtered[:-1, step:]
    return filtered[:, :step].reshape(-1)[delay : delay + wave.size]


def _zero_phase(wave: Wave, design: _LowPass) -> Wave:
    """Return what `sosfiltfilt` gives, equal to rounding and several times sooner.

    Forward and backward is one convolution with the response and its mirror. Only the ends, which depend on
    the extension, are filtered by recursion, with enough signal behind them to forget where they were cut.
    """
    response, mirrored = design.response, design.mirrored
    if response is None or mirrored is None or wave.size < 8 * response.taps:
        return _forward_backward(wave[None], design)[0]
    filtered = _convolve(wave, mirrored, response.taps - 1)
    edge = 2 * response.taps
    ends = _forward_backward(np.stack([wave[: 2 * edge], wave[-2 * edge :]]), design)
    filtered[:edge], filtered[-edge:] = ends[0, :edge], ends[1, -edge:]
    return filtered


def _forward_backward(wave_NS: Wave, design: _LowPass) -> Wave:
    """Filter rows by recursion in both directions, each started as if the first value had always been there.

    Both ends are first extended by their mirror image through the end point: 2 x[0] - x[t].
    """
    extension, samples = design.extension, wave_NS.shape[1]
    if samples <= extension:
        detail = f"{samples} samples; filtering forward and backward needs more than {extension}"
        raise AudioError(AudioReason.TOO_SHORT, detail)
    exact = wave_NS.astype(np.float64)
    before = 2 * exact[:, :1] - exact[:, extension:0:-1]
    after = 2 * exact[:, -1:] - exact[:, -2 : -extension - 2 : -1]
    passed = np.concatenate([before, exact, after], axis=1)
    for _ in ("forward", "backward"):
        state = design.steady_state[:, None] * passed[:, :1]
        passed = signal.sosfilt(design.sections, passed, zi=state)[0][:, ::-1]
    return passed[:, extension:-extension].astype(wave_NS.dtype)


def z_score(wave: Wave) -> Wave:
    """Return the wave with mean 0 and population deviation 1; a constant wave becomes zeros."""
    centred = wave.astype(np.float64)
    centred -= centred.mean()
    std = _deviation(centred)
    return np.divide(centred, std if std > 0 else 1.0, out=np.empty_like(wave), casting="same_kind")


def _deviation(centred: NDArray[np.float64]) -> float:
    """Return the population deviation of a wave of mean 0.

    Not `centred @ centred`: BLAS sums more than ten thousand products in as many parts as it has threads.
    """
    return math.sqrt(np.square(centred).sum() / max(centred.size, 1))


def resample(wave: Wave, from_hz: int, to_hz: int) -> Wave:
    """Change the sample rate with soxr's HQ band-limited interpolation; equal rates return the wave."""
    if from_hz <= 0 or to_hz <= 0:
        raise InputError(f"sample rates {from_hz} and {to_hz} Hz; expected both above 0")
    return wave if from_hz == to_hz else soxr.resample(wave, from_hz, to_hz, quality="HQ")
