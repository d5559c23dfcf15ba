"""Front ends: waves to spectrograms (log-mel, linear, linear in dB) and cepstra, offline and in training alike.

Reference: librosa 0.11 (`melspectrogram`, `power_to_db`, `mfcc`) with Slaney's mel scale and area
normalisation, zero-padded centred frames and a periodic Hann window. Deviations: decibels are relative to the
loudest cell of each row before the floor is applied, so that neither the gain nor batch-mates matter (librosa
clamps at an absolute 1e-10 first); an empty mel band is an error, not a warning. Cepstra other than MFCC, and their
sources: `voxbench.features.cepstra`. Log-mel spectrograms are of mel bands whatever the cepstra are made of.

Legend: B batch, S samples, T frames, F frequency bins, M bands, C cepstral coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.features.cepstra import CEPSTRA, Analysis, constant, mel_bank, with_deltas
from voxbench.schema import InputError, InputKind

FRAMES_PER_BLOCK = 256  # spectra of this many frames stay in a core's cache
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, slots=True)
class FrontEndSettings:
    """Every number of the front end; window and hop are rounded to whole samples.

    `n_mels` is the number of bands, of the log-mel spectrogram and of the cepstra of any kind; `n_mfcc` is how many
    cepstra are made of them, and each of `deltas` derivatives adds as many. `cepstra` is a name in `CEPSTRA`.
    """

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
    cepstra: str
    deltas: int


class FrontEnd(nn.Module):
    """Waves `(B, S)` to spectrogram `(B, F, T)` and cepstra `(B, C, T)`, C counting derivatives, too.

    Raises InputError on construction for settings that cannot work: a window longer than `n_fft` or shorter
    than one sample, bands that hold no bin, frequencies beyond half the rate, more cepstra than bands, octaves that
    the window cannot hold.
    """

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        _check(settings)
        self.settings = settings
        self.window_samples = _samples(settings.window_ms, settings)
        self.hop_samples = _samples(settings.hop_ms, settings)
        analysis = Analysis(
            sample_rate_hz=settings.sample_rate_hz,
            window_samples=self.window_samples,
            n_fft=settings.n_fft,
            f_min_hz=settings.f_min_hz,
            f_max_hz=settings.f_max_hz,
            bands=settings.n_mels,
            cepstra=settings.n_mfcc,
        )
        form = CEPSTRA[settings.cepstra]
        self.bank = form.bank(analysis)
        self.mel_bank: nn.Module | None = None
        if settings.spectrogram == "log_mel":
            self.mel_bank = self.bank if form.bank is mel_bank else mel_bank(analysis)
        constant(self, "matrix_CM", form.matrix(analysis))
        phase = 2 * np.pi * np.arange(self.window_samples) / self.window_samples
        window = np.zeros(settings.n_fft)
        window[: self.window_samples] = 0.5 - 0.5 * np.cos(phase)
        constant(self, "window", window)

    def frames(self, samples: int) -> int:
        """Return how many frames a wave of `samples` gives: one centred on every hop, from sample 0 on."""
        return 1 + samples // self.hop_samples

    def forward(self, wave_BS: Tensor) -> dict[InputKind, Tensor]:
        """Return SPECTROGRAM `(B, F, T)` and CEPSTRA `(B, C, T)` of float32 waves.

        SPECTROGRAM is the log-mel matrix, or with F = n_fft / 2 + 1 for `linear` the magnitude |STFT| (power 1, not in
        dB, hence it follows the gain) and for `linear_db` the power |STFT|^2 in dB. CEPSTRA are made of the bands in dB
        of their own bank, MFCC by the orthonormal DCT-II of the log-mel matrix. dB = 10 log10(power / the maximum of
        the row and the bank), in [-top_db, 0]; a row of zeros gives -top_db.
        """
        bands, powers = [], []
        frames_BTS = self._frames(wave_BS)
        for block_BTS in frames_BTS.tensor_split(-(-frames_BTS.shape[1] // FRAMES_PER_BLOCK), dim=1):
            power_BTF = self._power(block_BTS)
            bands.append(self.bank(block_BTS, power_BTF))
            if self.mel_bank is not self.bank:
                powers.append(self._seen(block_BTS, power_BTF))
        bands_BTM = self._decibels(torch.cat(bands, dim=1))
        spectrogram_BTF = torch.cat(powers, dim=1) if powers else bands_BTM
        if powers and self.settings.spectrogram != "linear":
            spectrogram_BTF = self._decibels(spectrogram_BTF)
        cepstra_BTC = with_deltas(torch.matmul(bands_BTM, self.get_buffer("matrix_CM").T), self.settings.deltas)
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

    def _seen(self, frames_BTS: Tensor, power_BTF: Tensor) -> Tensor:
        """Return what the spectrogram shows, before it is in dB."""
        if self.mel_bank is not None:
            mel_BTM: Tensor = self.mel_bank(frames_BTS, power_BTF)
            return mel_BTM
        return power_BTF.sqrt() if self.settings.spectrogram == "linear" else power_BTF

    def _decibels(self, power_BTF: Tensor) -> Tensor:
        loudest_B11 = power_BTF.amax(dim=(1, 2), keepdim=True).clamp(min=TINY)
        floor = 10 ** (-self.settings.top_db / 10)
        return (power_BTF / loudest_B11).clamp_(min=floor).log10_().mul_(10)


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
    if settings.deltas < 0:
        raise InputError(f"deltas {settings.deltas}; expected 0 for none, or more")
    if settings.top_db <= 0:
        raise InputError(f"top_db {settings.top_db:g}; expected above 0")
    if settings.spectrogram not in ("log_mel", "linear", "linear_db"):
        raise InputError(f"spectrogram {settings.spectrogram!r}; expected 'log_mel', 'linear' or 'linear_db'")
