"""Cepstra by the bank of bands that they are made of: one row of `CEPSTRA` for each kind, and their derivatives.

| cepstra | bands | coefficients |
|---|---|---|
| mfcc | triangles on Slaney's mel scale (Auditory Toolbox, 1998), as librosa has them | DCT of the bands in dB |
| lfcc | triangles of equal width in Hz (Sahidullah et al., Interspeech 2015) | the same |
| cqcc | at geometric frequencies (Todisco et al., Computer Speech & Language 45, 2017) | DCT after resampling |

LFCC deviate from the ASVspoof baselines in what all cepstra here share: decibels lie above a floor below the loudest
band of the recording, frames are centred, the window is Hann's, and c0 is no frame's energy. A derivative is half the
difference of the next frame and the last one; the baselines' differences are not halved, and some reach three frames.

CQCC deviate in the bands: the direct transform of Brown (JASA 89, 1991), with a Hann window of Q periods about the
middle of each frame, in place of the invertible one in the domain of frequency. No window is longer than `window_ms`,
so that bands of which fewer than Q periods fit have a constant bandwidth: at 12 bands an octave (Q 16.8) and 128 ms
those below 131 Hz. Resampling is a cubic spline on a linear axis with 16 points in the first octave, as the authors'.
Coefficients are scaled to the size that a DCT of the bands alone has, for the store's float16.

Legend: B batch, T frames, S samples, F frequency bins, M bands, C cepstra, L points of a linear axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import CubicSpline
from torch import Tensor, nn

from voxbench.registry import Registry
from voxbench.schema import InputError

Matrix = NDArray[np.float64]

MEL_BREAK_HZ, MEL_PER_HZ = 1000.0, 3 / 200  # Slaney (Auditory Toolbox, 1998): linear up to 1 kHz, then
MEL_LOG_STEP = np.log(6.4) / 27  # 27 bands from 1 kHz to 6.4 kHz
BANDS_PER_BLOCK = 32  # neighbouring bands share bins; blocks of this many skip nearly all zeros of the bank
LONGEST_FFT = 1 << 20
LINEAR_POINTS = 16  # of the linear axis in the lowest octave
FEWEST_PERIODS = 2  # with fewer, a Hann window's main lobe reaches down to 0 Hz


@dataclass(frozen=True, slots=True)
class Analysis:
    """What banks and cepstra are made from; windows begin at sample 0 of a frame of `n_fft` samples."""

    sample_rate_hz: int
    window_samples: int
    n_fft: int
    f_min_hz: float
    f_max_hz: float
    bands: int
    cepstra: int


class CepstralForm(NamedTuple):
    """How a kind of cepstra is made; both parts raise InputError for numbers that cannot work.

    `bank` goes from frames `(B, T, S)` and their power `(B, T, F)` to the power of bands `(B, T, M)`, `matrix` `(C, M)`
    from these in dB to cepstra.
    """

    bank: Callable[[Analysis], nn.Module]
    matrix: Callable[[Analysis], Matrix]


CEPSTRA: Registry[CepstralForm] = Registry("cepstra")


class TriangularBank(nn.Module):
    """Weighted sums of the bins of a spectrum, by a bank `(M, F)`, in blocks that skip most of its zeros."""

    def __init__(self, bank_MF: Matrix) -> None:
        super().__init__()
        self.starts = []
        for block, first in enumerate(range(0, len(bank_MF), BANDS_PER_BLOCK)):
            rows_MF = bank_MF[first : first + BANDS_PER_BLOCK]
            bins = np.flatnonzero(rows_MF.any(axis=0))
            self.starts.append(int(bins[0]))
            constant(self, f"bands_{block}", rows_MF[:, bins[0] : bins[-1] + 1])

    def forward(self, frames_BTS: Tensor, power_BTF: Tensor) -> Tensor:
        """Return bands `(B, T, M)` of the power `(B, T, F)`; the frames themselves are not needed."""
        blocks = []
        for block, start in enumerate(self.starts):
            bands_MF = self.get_buffer(f"bands_{block}")
            blocks.append(torch.matmul(power_BTF[..., start : start + bands_MF.shape[1]], bands_MF.T))
        return torch.cat(blocks, dim=-1)


class ConstantQBank(nn.Module):
    """Power at frequencies of which each has a window of its own, by complex kernels `(M, S)`, longest first."""

    def __init__(self, kernels_MS: NDArray[np.complex128]) -> None:
        super().__init__()
        self.starts = []
        for block, first in enumerate(range(0, len(kernels_MS), BANDS_PER_BLOCK)):
            rows_MS = kernels_MS[first : first + BANDS_PER_BLOCK]
            samples = np.flatnonzero(rows_MS.any(axis=0))
            self.starts.append(int(samples[0]))
            inner_MS = rows_MS[:, samples[0] : samples[-1] + 1]
            constant(self, f"kernels_{block}", np.concatenate([inner_MS.real, inner_MS.imag]))

    def forward(self, frames_BTS: Tensor, power_BTF: Tensor) -> Tensor:
        """Return bands `(B, T, M)` of the frames `(B, T, S)`, to which no window was applied; their power is unused."""
        blocks = []
        for block, start in enumerate(self.starts):
            kernels_MS = self.get_buffer(f"kernels_{block}")
            parts = torch.matmul(frames_BTS[..., start : start + kernels_MS.shape[1]], kernels_MS.T).chunk(2, dim=-1)
            blocks.append(parts[0].square() + parts[1].square())
        return torch.cat(blocks, dim=-1)


def constant(module: nn.Module, name: str, values: Matrix) -> None:
    """Give a module a float32 constant that moves with it between devices and is in no checkpoint."""
    module.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)


def mel_bank(analysis: Analysis) -> TriangularBank:
    """Return the bank of `mel_filter_bank`."""
    return TriangularBank(
        mel_filter_bank(analysis.sample_rate_hz, analysis.n_fft, analysis.bands, analysis.f_min_hz, analysis.f_max_hz)
    )


def linear_bank(analysis: Analysis) -> TriangularBank:
    """Return a bank of triangles whose edges are equally spaced in Hz; refusals as in `mel_filter_bank`."""
    edges_hz = np.linspace(analysis.f_min_hz, analysis.f_max_hz, analysis.bands + 2)
    return TriangularBank(_triangles(edges_hz, analysis.sample_rate_hz, analysis.n_fft, "linear"))


def constant_q_bank(analysis: Analysis) -> ConstantQBank:
    """Return the bank of kernels at `geometric_hz`, each of Q = 1 / (2^(1/b) - 1) periods, b bands in an octave.

    A kernel's window sums to 1, so that a tone has the same power in the band of its frequency wherever that lies.
    """
    frequencies_hz = geometric_hz(analysis)
    step = (analysis.f_max_hz / analysis.f_min_hz) ** (1 / analysis.bands)
    lasting_M1 = analysis.sample_rate_hz / (frequencies_hz * (step - 1))[:, None]
    lasting_M1 = np.minimum(lasting_M1, analysis.window_samples)
    offset_S = np.arange(analysis.window_samples) - analysis.window_samples / 2
    window_MS = np.where(np.abs(offset_S) < lasting_M1 / 2, 0.5 + 0.5 * np.cos(2 * np.pi * offset_S / lasting_M1), 0)
    turns_MS = frequencies_hz[:, None] * offset_S / analysis.sample_rate_hz
    return ConstantQBank(window_MS / window_MS.sum(axis=1, keepdims=True) * np.exp(-2j * np.pi * turns_MS))


def geometric_hz(analysis: Analysis) -> Matrix:
    """Return the frequencies `(M,)` of constant-Q bands: f_min (f_max / f_min)^(m / M), for m from 0 to M - 1.

    Raises InputError where the lowest has fewer than two periods in the window, or an octave no band of its own.
    """
    rate_hz, lowest_hz, window = analysis.sample_rate_hz, analysis.f_min_hz, analysis.window_samples
    if lowest_hz * window < FEWEST_PERIODS * rate_hz * (1 - 1e-9):
        longer = f", or window_ms {1000 * FEWEST_PERIODS / lowest_hz:g}" if lowest_hz > 0 else ""
        raise InputError(
            f"f_min_hz {lowest_hz:g} with windows of {window} samples; cqcc expect {FEWEST_PERIODS} periods of it or "
            f"more in a window: use f_min_hz {FEWEST_PERIODS * rate_hz / window:g}{longer}"
        )
    octaves = np.log2(analysis.f_max_hz / lowest_hz)
    if analysis.bands < (least := max(int(np.ceil(octaves - 1e-9)), 2)):
        raise InputError(
            f"n_mels {analysis.bands} for the {octaves:.3g} octaves from f_min_hz {lowest_hz:g} to f_max_hz "
            f"{analysis.f_max_hz:g}; cqcc expect a band in each, and two at least: use n_mels {least} or more"
        )
    frequencies_hz: Matrix = lowest_hz * np.exp2(octaves * np.arange(analysis.bands) / analysis.bands)
    return frequencies_hz


def mel_filter_bank(sample_rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> Matrix:
    """Return triangular filters `(n_mels, n_fft // 2 + 1)` on Slaney's mel scale, each of area 1 over Hz.

    Band m rises from edge m to edge m+1 and falls to edge m+2; edges are equally spaced in mel.
    Raises InputError if a band holds no bin, naming the smallest power of two that gives every band one.
    """
    mels = np.linspace(hz_to_mel(f_min_hz), hz_to_mel(f_max_hz), n_mels + 2)
    return _triangles(mel_to_hz(mels), sample_rate_hz, n_fft, "mel")


def _triangles(edges_hz: Matrix, sample_rate_hz: int, n_fft: int, scale: str) -> Matrix:
    if empty := _empty_bands(edges_hz, sample_rate_hz, n_fft):
        enough = 1 << n_fft.bit_length()
        while _empty_bands(edges_hz, sample_rate_hz, enough) and enough < LONGEST_FFT:
            enough *= 2
        raise InputError(
            f"{empty} of {len(edges_hz) - 2} {scale} bands hold no frequency bin at n_fft {n_fft}; "
            f"use n_fft {enough} or fewer n_mels"
        )
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    rising = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]


def _empty_bands(edges_hz: Matrix, sample_rate_hz: int, n_fft: int) -> int:
    """Return how many bands have no bin strictly between their outer edges."""
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    first = np.searchsorted(bins_hz, edges_hz[:-2], side="right")
    beyond = np.searchsorted(bins_hz, edges_hz[2:], side="left")
    return int(np.count_nonzero(first >= beyond))


def hz_to_mel(hz: float) -> float:
    """Return Slaney's mel: 3 hz / 200 up to 1 kHz (15 mel), above it 15 + 27 ln(hz / 1000) / ln 6.4."""
    above = np.log(max(hz, MEL_BREAK_HZ) / MEL_BREAK_HZ) / MEL_LOG_STEP
    return float(min(hz, MEL_BREAK_HZ) * MEL_PER_HZ + above)


def mel_to_hz(mels: Sequence[float] | Matrix) -> Matrix:
    """Invert `hz_to_mel` for an array."""
    mel_break = MEL_BREAK_HZ * MEL_PER_HZ
    above = np.maximum(np.asarray(mels) - mel_break, 0)
    return np.minimum(mels, mel_break) / MEL_PER_HZ * np.exp(above * MEL_LOG_STEP)


def cosines(analysis: Analysis) -> Matrix:
    """Return `dct_matrix` for the cepstra and bands of an analysis."""
    return dct_matrix(analysis.cepstra, analysis.bands)


def dct_matrix(n_mfcc: int, n_mels: int) -> Matrix:
    """Return the first `n_mfcc` rows of the orthonormal DCT-II, `(n_mfcc, n_mels)`.

    Row k: sqrt(2 / M) cos(pi k (m + 1/2) / M), row 0 divided by sqrt 2.
    """
    order, band = np.arange(n_mfcc)[:, None], np.arange(n_mels)
    matrix = np.sqrt(2 / n_mels) * np.cos(np.pi * order * (band + 0.5) / n_mels)
    matrix[0] /= np.sqrt(2)
    return matrix


def resampled_cosines(analysis: Analysis) -> Matrix:
    """Return the matrix `(C, M)` of resampling bands from a geometric to a linear axis `(L,)` and of the DCT there.

    The axis goes in steps of f_min / 16 from the lowest band to the highest; the DCT-II is orthonormal, times
    sqrt(M / L). Raises InputError for more cepstra than points.
    """
    frequencies_hz = geometric_hz(analysis)
    points = 1 + int(LINEAR_POINTS * (frequencies_hz[-1] / analysis.f_min_hz - 1) + 1e-9)
    if analysis.cepstra > points:
        raise InputError(
            f"n_mfcc {analysis.cepstra}; expected 1 to {points}, the points of the linear axis from f_min_hz "
            f"{analysis.f_min_hz:g} to the highest band: lower f_min_hz or n_mfcc"
        )
    axis_hz = analysis.f_min_hz * (1 + np.arange(points) / LINEAR_POINTS)
    columns = []
    for units_MN in np.array_split(np.eye(analysis.bands), -(-analysis.bands // BANDS_PER_BLOCK), axis=1):
        # A spline is linear in its values; not a product of matrices, whose sums depend on the number of threads.
        columns.append(
            fft.dct(CubicSpline(frequencies_hz, units_MN)(axis_hz), axis=0, norm="ortho")[: analysis.cepstra]
        )
    return np.concatenate(columns, axis=1) * np.sqrt(analysis.bands / points)


def with_deltas(cepstra_BTC: Tensor, deltas: int) -> Tensor:
    """Return `(B, T, (1 + deltas) C)`: after the cepstra their derivatives, each half of next frame minus last.

    Beyond both ends the first and the last frame are repeated.
    """
    parts = [cepstra_BTC]
    for _ in range(deltas):
        last = parts[-1]
        padded = torch.cat([last[:, :1], last, last[:, -1:]], dim=1)
        parts.append((padded[:, 2:] - padded[:, :-2]) / 2)
    return torch.cat(parts, dim=-1) if deltas else cepstra_BTC


CEPSTRA.add("mfcc", CepstralForm(mel_bank, cosines))
CEPSTRA.add("lfcc", CepstralForm(linear_bank, cosines))
CEPSTRA.add("cqcc", CepstralForm(constant_q_bank, resampled_cosines))
