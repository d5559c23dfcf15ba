"""Front ends: waves to spectrograms (log-mel, linear, linear in dB) and mel cepstra, offline and in training alike.

Reference: librosa 0.11 (`melspectrogram`, `power_to_db`, `mfcc`) with Slaney's mel scale and area
normalisation, zero-padded centred frames and a periodic Hann window. Deviations: decibels are relative to the
loudest cell of each row before the floor is applied, so that neither the gain nor batch-mates matter (librosa
clamps at an absolute 1e-10 first); an empty mel band is an error, not a warning.

Legend: B batch, S samples, T frames, F frequency bins, M mel bands, C cepstral coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxbench.schema import InputError, InputKind

MEL_BREAK_HZ, MEL_PER_HZ = 1000.0, 3 / 200  # Slaney (Auditory Toolbox, 1998): linear up to 1 kHz, then
MEL_LOG_STEP = np.log(6.4) / 27  # 27 bands from 1 kHz to 6.4 kHz
BANDS_PER_BLOCK = 32  # neighbouring bands share bins; blocks of this many skip nearly all zeros of the bank
FRAMES_PER_BLOCK = 256  # spectra of this many frames stay in a core's cache
LONGEST_FFT = 1 << 20
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, slots=True)
class FrontEndSettings:
    """Every number of the front end; window and hop are rounded to whole samples."""

    sample_rate_hz: int
    window_ms: float
    hop_ms: float
    n_fft: int
    f_min_hz: float
    f_max_hz: float
    n_mels: int
    n_mfcc: int
    top_db: float
    spectrogram: Literal["log_mel", "linear", "linear_db"]


class FrontEnd(nn.Module):
    """Waves `(B, S)` to spectrogram `(B, F, T)` and cepstra `(B, C, T)`.

    Raises InputError on construction for settings that cannot work: a window longer than `n_fft` or shorter
    than one sample, bands that hold no bin, frequencies beyond half the rate, more cepstra than bands.
    """

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        _check(settings)
        self.settings = settings
        self.window_samples = _samples(settings.window_ms, settings)
        self.hop_samples = _samples(settings.hop_ms, settings)
        bank_MF = mel_filter_bank(
            settings.sample_rate_hz, settings.n_fft, settings.n_mels, settings.f_min_hz, settings.f_max_hz
        )
        self.block_starts: list[int] = []
        for block, start in enumerate(range(0, settings.n_mels, BANDS_PER_BLOCK)):
            rows_MF = bank_MF[start : start + BANDS_PER_BLOCK]
            bins = np.flatnonzero(rows_MF.any(axis=0))
            self.block_starts.append(int(bins[0]))
            self._constant(f"bands_{block}", rows_MF[:, bins[0] : bins[-1] + 1])
        self._constant("dct_CM", dct_matrix(settings.n_mfcc, settings.n_mels))
        phase = 2 * np.pi * np.arange(self.window_samples) / self.window_samples
        window = np.zeros(settings.n_fft)
        window[: self.window_samples] = 0.5 - 0.5 * np.cos(phase)
        self._constant("window", window)

    def _constant(self, name: str, values: NDArray[np.float64]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def frames(self, samples: int) -> int:
        """Return how many frames a wave of `samples` gives: one centred on every hop, from sample 0 on."""
        return 1 + samples // self.hop_samples

    def forward(self, wave_BS: Tensor) -> dict[InputKind, Tensor]:
        """Return SPECTROGRAM `(B, F, T)` and CEPSTRA `(B, C, T)` of float32 waves.

        SPECTROGRAM is the log-mel matrix, or with F = n_fft / 2 + 1 for `linear` the magnitude |STFT| (power 1, not in
        dB, hence it follows the gain) and for `linear_db` the power |STFT|^2 in dB. CEPSTRA are the orthonormal DCT-II
        of the log-mel matrix. dB = 10 log10(power / the row's maximum), in [-top_db, 0]; a row of zeros gives -top_db.
        """
        form = self.settings.spectrogram
        mels, powers = [], []
        frames_BTS = self._frames(wave_BS)
        for block_BTS in frames_BTS.tensor_split(-(-frames_BTS.shape[1] // FRAMES_PER_BLOCK), dim=1):
            power_BTF = self._power(block_BTS)
            mels.append(self._mel(power_BTF))
            if form != "log_mel":
                powers.append(power_BTF.sqrt() if form == "linear" else power_BTF)
        mel_BTM = self._decibels(torch.cat(mels, dim=1))
        spectrogram_BTF = torch.cat(powers, dim=1) if powers else mel_BTM
        if form == "linear_db":
            spectrogram_BTF = self._decibels(spectrogram_BTF)
        cepstra_BTC = torch.matmul(mel_BTM, self.get_buffer("dct_CM").T)
        return {InputKind.SPECTROGRAM: spectrogram_BTF.mT, InputKind.CEPSTRA: cepstra_BTC.mT}

    def _frames(self, wave_BS: Tensor) -> Tensor:
        """Cut `(B, T, n_fft)`; the phase is lost anyway, so the window begins a frame and zeros end it."""
        before = self.settings.n_fft // 2 - (self.settings.n_fft - self.window_samples) // 2
        padded_BS = nn.functional.pad(wave_BS, (before, self.settings.n_fft - before))
        return padded_BS.unfold(-1, self.settings.n_fft, self.hop_samples)

    def _power(self, frames_BTS: Tensor) -> Tensor:
        """Return |FFT|^2, squared in place: this is the largest array on the way."""
        stft_BTF = torch.fft.rfft(frames_BTS * self.get_buffer("window"))
        squares_BTF2 = torch.view_as_real(stft_BTF).square_()
        return squares_BTF2[..., 0] + squares_BTF2[..., 1]

    def _mel(self, power_BTF: Tensor) -> Tensor:
        blocks = []
        for block, start in enumerate(self.block_starts):
            bands_MF = self.get_buffer(f"bands_{block}")
            blocks.append(torch.matmul(power_BTF[..., start : start + bands_MF.shape[1]], bands_MF.T))
        return torch.cat(blocks, dim=-1)

    def _decibels(self, power_BTF: Tensor) -> Tensor:
        loudest_B11 = power_BTF.amax(dim=(1, 2), keepdim=True).clamp(min=TINY)
        floor = 10 ** (-self.settings.top_db / 10)
        return (power_BTF / loudest_B11).clamp_(min=floor).log10_().mul_(10)


def mel_filter_bank(
    sample_rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float
) -> NDArray[np.float64]:
    """Return triangular filters `(n_mels, n_fft // 2 + 1)` on Slaney's mel scale, each of area 1 over Hz.

    Band m rises from edge m to edge m+1 and falls to edge m+2; edges are equally spaced in mel.
    Raises InputError if a band holds no bin, naming the smallest power of two that gives every band one.
    """
    mels = np.linspace(hz_to_mel(f_min_hz), hz_to_mel(f_max_hz), n_mels + 2)
    edges_hz = mel_to_hz(mels)
    if empty := _empty_bands(edges_hz, sample_rate_hz, n_fft):
        enough = 1 << n_fft.bit_length()
        while _empty_bands(edges_hz, sample_rate_hz, enough) and enough < LONGEST_FFT:
            enough *= 2
        raise InputError(
            f"{empty} of {n_mels} mel bands hold no frequency bin at n_fft {n_fft}; use n_fft {enough} or fewer n_mels"
        )
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    rising = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]


def _empty_bands(edges_hz: NDArray[np.float64], sample_rate_hz: int, n_fft: int) -> int:
    """Return how many bands have no bin strictly between their outer edges."""
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    first = np.searchsorted(bins_hz, edges_hz[:-2], side="right")
    beyond = np.searchsorted(bins_hz, edges_hz[2:], side="left")
    return int(np.count_nonzero(first >= beyond))


def hz_to_mel(hz: float) -> float:
    """Return Slaney's mel: 3 hz / 200 up to 1 kHz (15 mel), above it 15 + 27 ln(hz / 1000) / ln 6.4."""
    above = np.log(max(hz, MEL_BREAK_HZ) / MEL_BREAK_HZ) / MEL_LOG_STEP
    return float(min(hz, MEL_BREAK_HZ) * MEL_PER_HZ + above)


def mel_to_hz(mels: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert `hz_to_mel` for an array."""
    mel_break = MEL_BREAK_HZ * MEL_PER_HZ
    above = np.maximum(np.asarray(mels) - mel_break, 0)
    return np.minimum(mels, mel_break) / MEL_PER_HZ * np.exp(above * MEL_LOG_STEP)


def dct_matrix(n_mfcc: int, n_mels: int) -> NDArray[np.float64]:
    """Return the first `n_mfcc` rows of the orthonormal DCT-II, `(n_mfcc, n_mels)`.

    Row k: sqrt(2 / M) cos(pi k (m + 1/2) / M), row 0 divided by sqrt 2.
    """
    order, band = np.arange(n_mfcc)[:, None], np.arange(n_mels)
    matrix = np.sqrt(2 / n_mels) * np.cos(np.pi * order * (band + 0.5) / n_mels)
    matrix[0] /= np.sqrt(2)
    return matrix


def _samples(milliseconds: float, settings: FrontEndSettings) -> int:
    return round(milliseconds * settings.sample_rate_hz / 1000)


def _check(settings: FrontEndSettings) -> None:
    """Refuse settings that cannot work, with the fix."""
    window, hop, n_fft = (
        _samples(settings.window_ms, settings),
        _samples(settings.hop_ms, settings),
        settings.n_fft,
    )
    rate_hz = settings.sample_rate_hz
    if window < 1 or hop < 1:
        raise InputError(f"window {window} and hop {hop} samples at {rate_hz} Hz; expected at least 1 each")
    if n_fft < window or n_fft % 2:
        fits = 1 << (window - 1).bit_length()
        raise InputError(
            f"n_fft {n_fft}; expected an even number of at least the window's {window} samples "
            f"({settings.window_ms:g} ms at {rate_hz} Hz): use n_fft {fits}"
        )
    if not 0 <= settings.f_min_hz < settings.f_max_hz <= rate_hz / 2:
        raise InputError(
            f"f_min_hz {settings.f_min_hz:g} and f_max_hz {settings.f_max_hz:g}; expected "
            f"0 <= f_min_hz < f_max_hz <= {rate_hz / 2:g}, half the sample rate"
        )
    if not 1 <= settings.n_mfcc <= settings.n_mels:
        raise InputError(f"n_mfcc {settings.n_mfcc}; expected 1 to n_mels, which is {settings.n_mels}")
    if settings.top_db <= 0:
        raise InputError(f"top_db {settings.top_db:g}; expected above 0")
    if settings.spectrogram not in ("log_mel", "linear", "linear_db"):
        raise InputError(f"spectrogram {settings.spectrogram!r}; expected 'log_mel', 'linear' or 'linear_db'")
