"""Some thousand damaged recordings: each is refused by a known word, or decodes to a sound wave, twice the same.

Run as a program, it does the same under a limit of memory; whatever kills a process there would kill a worker. What
it has found stands as named cases in the tests beside this one.
"""

import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from audio.encoded_files import WAVE, encode, fault, m4a, wav
from voxbench.audio import AudioError, AudioReason, clean, decode_audio
from voxbench.config import Cleaning

SHARED = os.environ.get("VOXBENCH_SHARED", "")
MAX_SECONDS = 60.0
CASE_SECONDS = 10.0
MEMORY_BYTES = 3 << 30
EXTREMES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WIDTHS = ("<H", ">H", "<I", ">I", "<Q", ">Q")
CLEANING = Cleaning(
    sample_rate_hz=16_000,
    silence_q=0.075,
    silence_at="everywhere",
    pre_emphasis=0.97,
    low_pass_order=10,
    low_pass_hz=4000.0,
    zero_phase=True,
    z_score=True,
    min_seconds=1.0,
    max_seconds=4.0,
    max_clipped_fraction=0.01,
)
KINDS = (
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("MP3", "MPEG_LAYER_III")),
    *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("NIST", "PCM_16"), ("NIST", "ULAW")),
)
LOSSLESS_KINDS = ("FLAC", "OGG")  # their checksums find every change


@cache
def seeds() -> dict[str, bytes]:
    """Return whole recordings by name; real ones among them where there are any."""
    stereo = np.stack([WAVE, WAVE[::-1]], axis=1)
    found = {f"{container} {subtype}": encode(container, subtype) for container, subtype in KINDS}
    found |= {f"{kind} stereo": encode(kind, subtype, stereo) for kind, subtype in KINDS if subtype == "PCM_16"}
    tagged = encode("MP3", "MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.5)
    found["MP3 untagged"] = tagged[tagged.index(b"\xff\xf3", 1) :]
    found["RIFX"] = wav(WAVE.astype(">f4").tobytes(), ">")
    with tempfile.TemporaryDirectory() as folder:
        for name, flags, container in (("last", "", "mp4"), ("first", "faststart", "mp4"), ("mov", "", "mov")):
            found[f"M4A {name}"] = m4a(Path(folder), flags=flags, container=container)
        found["M4A stereo"] = m4a(Path(folder), stereo.T, 44_100)
    for kind, step in (("flac", 400), ("mp3", 75)):
        for path in sorted(Path(SHARED, "corpora").rglob(f"*.{kind}"))[::step] if SHARED else ():
            found[f"{kind.upper()} {path.name}"] = path.read_bytes()
    return found


def place(draw: random.Random, name: str, data: bytearray) -> int:
    """Draw where to hurt: more often than not where the numbers are."""
    if draw.random() < 0.4:
        return draw.randrange(len(data))
    start = max(0, data.find(b"moov")) if name.startswith("M4A") else 0
    return start + draw.randrange(min(len(data) - start, 1_100 if start else 160))


def other_part(draw: random.Random, data: bytearray, length: int) -> bytearray:
    start = draw.randrange(len(data))
    return data[start : start + length]


def extreme(draw: random.Random) -> bytes:
    width = draw.choice(WIDTHS)
    return struct.pack(width, draw.choice(EXTREMES) % (1 << 8 * struct.calcsize(width)))


HURTS = (  # from, to, and what is put there
    lambda draw, data, at, length: (at, at + 1, bytes([data[at] ^ 1 << draw.randrange(8)])),
    lambda draw, data, at, length: (at, at + 1, draw.randbytes(1)),
    lambda draw, data, at, length: (at, at + length, bytes(len(data[at : at + length]))),
    lambda draw, data, at, length: (at, len(data), b""),
    lambda draw, data, at, length: (at, at + length, b""),
    lambda draw, data, at, length: (at, at, draw.randbytes(length)),
    lambda draw, data, at, length: (at, at + length, other_part(draw, data, length)),
    lambda draw, data, at, length: (at, at + len(new := extreme(draw)), new),
    lambda draw, data, at, length: (len(data), len(data), seeds()[draw.choice(sorted(seeds()))]),
)


def damaged(draw: random.Random) -> tuple[str, bytes]:
    """Draw a recording and hurt it one to six times."""
    name = draw.choice(sorted(seeds()))
    data = bytearray(seeds()[name])
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        if not data:
            break
        at, length = place(draw, name, data), draw.choice((1, 2, 4, 37, 400, 2_000))
        start, end, new = draw.choice(HURTS)(draw, data, at, length)
        data[start:end] = new
    return name, bytes(data)


def check(name: str, data: bytes) -> str:
    """Hold one case against the promise; return its outcome."""
    began = time.perf_counter()
    try:
        wave, rate_hz = decode_audio(data, MAX_SECONDS)
    except AudioError:
        reason, detail = fault(data, MAX_SECONDS)
        assert AudioReason(reason)
        assert len(detail) < 400
        return reason
    assert time.perf_counter() - began < CASE_SECONDS
    again, again_hz = decode_audio(data, MAX_SECONDS)
    assert (again_hz, again.tobytes()) == (rate_hz, wave.tobytes())
    assert (wave.dtype, wave.ndim) == (np.float32, 1)
    assert np.isfinite(wave).all()
    assert wave.min() < wave.max()
    assert 1_000 <= rate_hz <= 768_000
    assert wave.size <= MAX_SECONDS * rate_hz
    if data.startswith((b"fLaC", b"OggS")) and name.startswith(LOSSLESS_KINDS):
        np.testing.assert_array_equal(wave, whole(name))
    try:
        assert np.isfinite(clean(wave, rate_hz, CLEANING).wave).all()
    except AudioError as error:
        assert AudioReason(error.reason)  # noqa: PT017
    return "accepted"


@cache
def whole(name: str) -> np.ndarray:
    return decode_audio(seeds()[name])[0]


def run(first: int, count: int) -> set[str]:
    outcomes = set()
    for number in range(first, first + count):
        try:
            outcomes.add(check(*damaged(random.Random(number))))
        except BaseException as error:
            raise AssertionError(f"case {number}: {error!r}") from error
    return outcomes


def test_every_seed_is_whole():
    for name, data in seeds().items():
        assert check(name, data) == "accepted", name


def test_damage():
    assert {"accepted", "truncated", "unreadable"} <= run(0, 2_500)


def by_program(first: int, count: int) -> None:
    paths = os.pathsep.join(str(Path(__file__).parents[up] / name) for up, name in ((2, "src"), (1, "")))
    command = [sys.executable, __file__, str(first), str(count)]
    # Each thread of a numerical library reserves memory that the limit counts.
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, f"{ended.stdout[-200:]} {ended.stderr[-2_000:]}"
    assert ended.stdout.endswith(f"{first + count} done\n")


def test_damage_under_a_limit_of_memory():
    by_program(100_000, 800)


@pytest.mark.slow
@pytest.mark.parametrize("first", [200_000, 300_000])
def test_much_damage_under_a_limit_of_memory(first):
    by_program(first, 20_000)


if __name__ == "__main__":
    start, amount = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for part in range(start, start + amount, 50):
        print(part, flush=True)  # the last number stands before whatever kills the process
        run(part, min(50, start + amount - part))
    print(start + amount, "done")
