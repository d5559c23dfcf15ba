"""What decode -> clean -> features cannot do without: its large calls, each timed alone on inputs made ready before.

| part | holds |
|---|---|
| decode | `soundfile.read` of the path, float32 |
| statistics | mean and standard deviation of the file, `numpy` in float64 |
| mask | |x|, one comparison and one selection; mean and threshold are given |
| pre_emphasis | one product and one difference |
| low_pass | one `scipy.signal.oaconvolve` at the file's rate, float32; the kernel is given |
| z_score | mean and standard deviation of what passed, one difference and one division |
| resample | one `soxr.resample` (HQ), where the rates differ |
| spectra | the window and `torch.fft.rfft`, 256 frames (a view) at a time, so that results stay in cache |
| power | real^2 + imag^2 of as many spectra |
| mel | the product with the bank of 224 bands, in four pieces without their bins of zeros, of as many frames |
| decibels | one `log10` |
| cepstra | one product with the DCT matrix |

It leaves out every check of the container and of the content, the ends of the low-pass, the bounds of the decibels,
the conversion to float16 and all copies between parts. It is what calls of these libraries cost as
their manuals show them, not a bound of the hardware: where the project found a cheaper way to the same numbers, its
share of the floor counts that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
import soxr
import torch
from prepare_chains import CLEANING, FRAMING, RATE_HZ
from scipy import fft, signal

FRAMES_AT_ONCE = 256
BANK_PIECES = 4
FORGOTTEN = 1e-12  # of its peak: where the impulse response of the low-pass ends


def parts(path: Path) -> dict[str, Callable[[], Any]]:
    """Return the parts for one file, by name, each ready to be called any number of times."""
    wave, rate_hz = soundfile.read(path, dtype="float32")
    threshold = np.float32(CLEANING.silence_q * wave.std())
    kept, kernel = wave[np.abs(wave) >= threshold], low_pass_kernel(rate_hz)
    passed, coefficient = signal.oaconvolve(kept, kernel, mode="same"), np.float32(CLEANING.pre_emphasis)
    found: dict[str, Callable[[], Any]] = {
        "decode": lambda: soundfile.read(path, dtype="float32"),
        "statistics": lambda: (wave.mean(dtype=np.float64), wave.std(dtype=np.float64)),
        "mask": lambda: wave[np.abs(wave) >= threshold],
        "pre_emphasis": lambda: kept[1:] - coefficient * kept[:-1],
        "low_pass": lambda: signal.oaconvolve(kept, kernel, mode="same"),
        "z_score": lambda: (passed - passed.mean(dtype=np.float64)) / passed.std(dtype=np.float64),
    }
    if rate_hz == RATE_HZ:
        return found | feature_parts(torch.from_numpy(passed))
    found["resample"] = lambda: soxr.resample(passed, rate_hz, RATE_HZ, quality="HQ")
    return found | feature_parts(torch.from_numpy(found["resample"]()))


def low_pass_kernel(rate_hz: int) -> np.ndarray:
    """Return the impulse response of the Butterworth low-pass run forward and backward, float32."""
    sections = signal.butter(CLEANING.low_pass_order, CLEANING.low_pass_hz, fs=rate_hz, output="sos")
    response = signal.sosfilt(sections, np.eye(1, 4096)[0])
    response = response[: np.flatnonzero(np.abs(response) > FORGOTTEN * np.abs(response).max())[-1] + 1]
    return np.convolve(response, response[::-1]).astype(np.float32)


def feature_parts(wave_S: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Return the parts from a cleaned wave on."""
    n_fft, width, hop = FRAMING["n_fft"], FRAMING["win_length"], FRAMING["hop_length"]
    window = torch.hann_window(width)
    padded_S = torch.nn.functional.pad(wave_S, (width // 2, width - width // 2))
    blocks = padded_S.unfold(0, width, hop).split(FRAMES_AT_ONCE)
    bank_MF = torch.from_numpy(librosa.filters.mel(sr=RATE_HZ, n_fft=n_fft, n_mels=FRAMING["n_mels"]))
    pieces = [trimmed(rows_MF) for rows_MF in bank_MF.chunk(BANK_PIECES)]
    dct_MC = torch.from_numpy(np.ascontiguousarray(fft.dct(np.eye(len(bank_MF)), norm="ortho")[:, :40], np.float32))

    def spectrum(frames_TS: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(frames_TS * window, n=n_fft)

    stft_TF = spectrum(blocks[0])
    power_TF = power(stft_TF)
    mel_TM = torch.cat([power(spectrum(frames_TS)) @ bank_MF.T for frames_TS in blocks])
    # One block stands for all: what counts is that it stays in cache, as it does in a chain.
    return {
        "spectra": lambda: [spectrum(frames_TS) for frames_TS in blocks],
        "power": lambda: [power(stft_TF) for _ in blocks],
        "mel": lambda: [[power_TF[:, bins] @ bands_FM for bins, bands_FM in pieces] for _ in blocks],
        "decibels": lambda: mel_TM.log10(),
        "cepstra": lambda: mel_TM @ dct_MC,
    }


def power(stft_TF: torch.Tensor) -> torch.Tensor:
    """Return |X|^2."""
    return stft_TF.real.square() + stft_TF.imag.square()


def trimmed(rows_MF: torch.Tensor) -> tuple[slice, torch.Tensor]:
    """Return the bins where some rows of the bank are not zero, and the rows there, transposed."""
    bins = rows_MF.any(dim=0).nonzero()
    used = slice(int(bins[0]), int(bins[-1]) + 1)
    return used, rows_MF[:, used].T.contiguous()
