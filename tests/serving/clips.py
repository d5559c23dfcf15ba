"""Recordings to send: good ones of the tiny corpus, and every kind of bad one with the reason of its refusal."""

import base64
import io

import numpy as np
import soundfile

from stages.pipeline import manifest_of
from tiny import RATE_HZ, voice


def encoded(wave, rate_hz=RATE_HZ, container="WAV", **options):
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate_hz, format=container, **options)
    return stream.getvalue()


def clip(seconds=1.0, pitch_hz=180.0, rate_hz=RATE_HZ):
    wave = voice(pitch_hz, seconds * rate_hz / RATE_HZ, np.random.default_rng(4))
    return wave[: int(seconds * rate_hz)]


def good_clips(workspace, count):
    """Return the bytes of recordings that no network was trained on, by id."""
    manifest = manifest_of(workspace)
    ids = manifest.loc[manifest["split"] != "train", "id"].iloc[:count]
    return {row_id: (workspace.root / "raw" / row_id).read_bytes() for row_id in ids}


def bad_clips():
    """Return by name a clip that cannot be judged and the word its error begins with."""
    flac = encoded(clip(), container="FLAC")
    return {
        "text": (b"this is no audio", "unreadable"),
        "empty": (b"", "empty"),
        "truncated flac": (flac[: len(flac) // 2], "truncated"),
        "truncated wav": (encoded(clip())[:9000], "truncated"),
        "header only": (encoded(np.zeros(0)), "empty"),
        "silence": (encoded(np.zeros(RATE_HZ)), "silent"),
        "too short": (encoded(clip(0.2)), "too_short"),
        "too long": (encoded(np.tile(clip(), 61)), "too_long"),
        "clipped": (encoded(np.clip(clip() * 50, -1, 1)), "clipped"),
        "too coarse": (encoded(clip(3.0)[::4], RATE_HZ // 4), "rate_too_low"),
        "not finite": (encoded(np.full(RATE_HZ, np.nan, dtype=np.float32), subtype="FLOAT"), "non_finite"),
        "noise behind a magic": (b"RIFF" + bytes(range(256)) * 8, "unreadable"),
        "noise behind an mp3 sync": (b"\xff\xfb" + bytes(range(256)) * 8, ""),
    }


def base64_text(data):
    return base64.b64encode(data).decode("ascii")
