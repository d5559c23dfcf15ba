"""Time decode -> clean -> log-mel 224 + MFCC 40 against the librosa chain, on one thread, in one run.

    python benchmarks/front_end.py FOLDER --files 40

Baseline "librosa": librosa.load, the cleaning laws in numpy and scipy, then melspectrogram and mfcc, each
called on the wave as its manual shows. "librosa shared": mfcc gets the finished log-mel matrix instead.
"skeleton": libsndfile, one mask, one convolution, one batch of FFTs and nothing else, as an orientation.
The chains take turns on every file, and for each file the fastest of the repeats counts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from scipy import signal
from threadpoolctl import threadpool_limits

from voxbench.audio import clean, load_audio
from voxbench.config import Cleaning
from voxbench.features.frontends import FrontEnd, FrontEndSettings
from voxbench.schema import InputKind

RATE_HZ = 16_000
CLEANING = Cleaning(
    sample_rate_hz=RATE_HZ,
    silence_q=0.075,
    pre_emphasis=0.97,
    low_pass_order=10,
    low_pass_hz=4000.0,
    zero_phase=True,
    min_seconds=0.1,
    max_seconds=60.0,
    max_clipped_fraction=0.1,
)
FRONT_END = FrontEnd(FrontEndSettings(RATE_HZ, 25.0, 10.0, 1024, 0.0, RATE_HZ / 2, 224, 40, 80.0, "log_mel"))
FRAMING = {"sr": RATE_HZ, "n_fft": 1024, "win_length": 400, "hop_length": 160, "n_mels": 224}
WINDOW = torch.hann_window(400)


def voxbench_chain(path: Path) -> tuple[np.ndarray, np.ndarray]:
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


def librosa_chain(path: Path) -> tuple[np.ndarray, np.ndarray]:
    wave = librosa_clean(path)
    power = librosa.feature.melspectrogram(y=wave, **FRAMING)
    cepstra = librosa.feature.mfcc(y=wave, n_mfcc=40, **FRAMING)
    return librosa.power_to_db(power, ref=np.max, top_db=80), cepstra


def shared_librosa_chain(path: Path) -> tuple[np.ndarray, np.ndarray]:
    power = librosa.feature.melspectrogram(y=librosa_clean(path), **FRAMING)
    decibels = librosa.power_to_db(power, ref=np.max, top_db=80)
    return decibels, librosa.feature.mfcc(S=decibels, n_mfcc=40)


def skeleton_chain(path: Path) -> tuple[np.ndarray, np.ndarray]:
    wave = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
    wave = wave[wave.abs() > 0.01 * wave.std()]
    wave = torch.from_numpy(signal.oaconvolve(wave.numpy(), np.ones(351, np.float32), mode="same"))
    spectra = torch.fft.rfft(wave.unfold(0, 400, 160) * WINDOW, n=1024)
    power = spectra.real.square() + spectra.imag.square()
    return power.numpy(), power.numpy()


CHAINS = {
    "voxbench": voxbench_chain,
    "librosa": librosa_chain,
    "librosa shared": shared_librosa_chain,
    "skeleton": skeleton_chain,
}


def race(paths: list[Path], repeats: int) -> dict[str, float]:
    """Return for each chain the sum over files of its shortest time in seconds."""
    totals = dict.fromkeys(CHAINS, 0.0)
    for path in paths:
        best = dict.fromkeys(CHAINS, float("inf"))
        for _ in range(repeats):
            for name, chain in CHAINS.items():
                start = time.perf_counter()
                chain(path)
                best[name] = min(best[name], time.perf_counter() - start)
        totals = {name: totals[name] + best[name] for name in CHAINS}
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.rglob("*.flac"))[: arguments.files]
    if not paths:
        parser.error(f"no .flac file under {arguments.folder}")
    audio_seconds = sum(soundfile.info(path).duration for path in paths)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        race(paths[:1], 1)
        seconds = race(paths, arguments.repeats)
    print(f"{len(paths)} files, {audio_seconds:.1f} s of audio, one thread")
    for name, spent in seconds.items():
        speed, ratio = audio_seconds / spent, spent / seconds["voxbench"]
        print(f"{name:15s} {spent:7.3f} s {speed:7.0f} x real time {ratio:6.2f} x the time of voxbench")
    ours, theirs = voxbench_chain(paths[0])[0], shared_librosa_chain(paths[0])[0]
    print(f"largest difference of the log-mel matrices: {np.abs(ours - theirs).max():.4f} dB")


if __name__ == "__main__":
    main()
