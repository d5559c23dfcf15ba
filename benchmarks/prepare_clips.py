"""Recordings to time: a folder's own or the project's synthetic voices, as wav and flac at 16 kHz and mp3 at 48 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from voxbench.audio.voices import draw_voice, invent_sentence, speak
from voxbench.seeding import generator

RATE_HZ, MP3_RATE_HZ = 16_000, 48_000
NOISE = 0.003  # of full scale, so that pauses are as quiet as in a room, and no exact zeros
SHORT_SECONDS = 1.0
FORMATS = {
    "wav 16 kHz": ("wav", RATE_HZ, "PCM_16"),
    "flac 16 kHz": ("flac", RATE_HZ, "PCM_16"),
    "mp3 48 kHz": ("mp3", MP3_RATE_HZ, "MPEG_LAYER_III"),
}


def read_waves(folder: Path, files: int) -> list[np.ndarray]:
    """Return the first flac recordings of a folder as mono waves at 16 kHz."""
    waves = []
    for path in sorted(folder.rglob("*.flac"))[:files]:
        wave_SC, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        waves.append(soxr.resample(wave_SC.mean(axis=1), rate_hz, RATE_HZ))
    return waves


def speak_waves(files: int) -> list[np.ndarray]:
    """Return as many invented sentences, each spoken by a voice of its own, as waves at 16 kHz."""
    waves = []
    for number in range(files):
        draws = generator(number, "benchmark", "prepare")
        voice = draw_voice(draws, ("female", "male")[number % 2], None)
        spoken, rate_hz = speak(voice, invent_sentence(draws, "en-US"))
        wave = soxr.resample(spoken, rate_hz, RATE_HZ)
        waves.append((0.7 * wave + NOISE * draws.normal(size=wave.size)).astype(np.float32))
    return waves


def write_clips(waves: list[np.ndarray], folder: Path, name: str) -> list[Path]:
    """Write waves in one of `FORMATS` and return the paths."""
    suffix, rate_hz, subtype = FORMATS[name]
    paths = [folder / f"{number:04d}.{suffix}" for number in range(len(waves))]
    folder.mkdir(parents=True, exist_ok=True)
    for path, wave in zip(paths, waves, strict=True):
        soundfile.write(path, soxr.resample(wave, RATE_HZ, rate_hz), rate_hz, subtype=subtype)
    return paths


def cut_short(waves: list[np.ndarray], files: int) -> list[np.ndarray]:
    """Cut pieces of one second out of waves, beginning anew where they are used up."""
    samples = int(SHORT_SECONDS * RATE_HZ)
    pieces = [wave[start : start + samples] for wave in waves for start in range(0, wave.size - samples + 1, samples)]
    return [pieces[number % len(pieces)] for number in range(files)]
