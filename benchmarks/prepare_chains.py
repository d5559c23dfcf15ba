"""The chain that is timed, and its rivals.

Every chain decodes a file at its own rate, cleans it by the laws of `voxbench.audio.cleaning` (silence,
pre-emphasis, zero-phase low-pass at the file's rate, z-score, resampling) and computes log-mel 224 and MFCC 40,
both in float32. Rivals:

- "librosa": librosa.load, the laws in numpy and scipy (`sosfiltfilt`), librosa.resample, then `melspectrogram` and
  `mfcc`, each called on the wave as its manual shows;
- "librosa shared": the same, but `mfcc` gets the finished log-mel matrix, so that one spectrogram serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch
from scipy import signal

from voxbench.audio import clean, load_audio
from voxbench.config import Cleaning
from voxbench.features.frontends import FrontEnd, FrontEndSettings
from voxbench.schema import InputKind

RATE_HZ = 16_000
CLEANING = Cleaning(
    sample_rate_hz=RATE_HZ,
    silence_q=0.075,
    silence_at="everywhere",
    pre_emphasis=0.97,
    low_pass_order=10,
    low_pass_hz=4000.0,
    zero_phase=True,
    z_score=True,
    min_seconds=0.1,
    max_seconds=60.0,
    max_clipped_fraction=0.1,
)
FRONT_END = FrontEnd(FrontEndSettings(RATE_HZ, 25.0, 10.0, 1024, 0.0, RATE_HZ / 2, 224, 40, 80.0, "log_mel", "mfcc", 0))
FRAMING = {"sr": RATE_HZ, "n_fft": 1024, "win_length": 400, "hop_length": 160, "n_mels": 224}

Features = tuple[np.ndarray, np.ndarray]


def voxbench_chain(path: Path) -> Features:
    cleaned = clean(*load_audio(path), CLEANING)
    with torch.inference_mode():
        outputs = FRONT_END(torch.from_numpy(cleaned.wave)[None])
    return outputs[InputKind.SPECTROGRAM][0].numpy(), outputs[InputKind.CEPSTRA][0].numpy()


def librosa_clean(path: Path) -> np.ndarray:
    wave, rate_hz = librosa.load(path, sr=None, mono=True)
    kept = wave[np.abs(wave - wave.mean()) / wave.std() >= CLEANING.silence_q]
    voiced = np.append(kept[0], kept[1:] - CLEANING.pre_emphasis * kept[:-1])
    sections = signal.butter(CLEANING.low_pass_order, CLEANING.low_pass_hz, fs=rate_hz, output="sos")
    passed = signal.sosfiltfilt(sections, voiced)
    scored = ((passed - passed.mean()) / passed.std()).astype(np.float32)
    return librosa.resample(scored, orig_sr=rate_hz, target_sr=RATE_HZ)


def librosa_chain(path: Path) -> Features:
    wave = librosa_clean(path)
    power = librosa.feature.melspectrogram(y=wave, **FRAMING)
    cepstra = librosa.feature.mfcc(y=wave, n_mfcc=40, **FRAMING)
    return librosa.power_to_db(power, ref=np.max, top_db=80), cepstra


def shared_librosa_chain(path: Path) -> Features:
    power = librosa.feature.melspectrogram(y=librosa_clean(path), **FRAMING)
    decibels = librosa.power_to_db(power, ref=np.max, top_db=80)
    return decibels, librosa.feature.mfcc(S=decibels, n_mfcc=40)


CHAINS: dict[str, Callable[[Path], Features]] = {
    "voxbench": voxbench_chain,
    "librosa": librosa_chain,
    "librosa shared": shared_librosa_chain,
}
