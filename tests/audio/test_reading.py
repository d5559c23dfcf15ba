"""Reading: every format loads, and every kind of damage has its own word."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.audio import AudioError, AudioReason, decode_audio, load_audio

SHARED = os.environ.get("VOXBENCH_SHARED", "")
RATE_HZ = 16_000
RNG = np.random.default_rng(7)
WAVE = (0.3 * np.sin(np.arange(48_000) * 0.05) + 0.05 * RNG.standard_normal(48_000)).astype(np.float32)
FORMATS = {
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "float": ("WAV", "FLOAT"),
    "wavex": ("WAVEX", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "sphere": ("NIST", "PCM_16"),
}
LOSSY = ("mp3", "vorbis", "opus")


def encode(name: str, wave: np.ndarray = WAVE, rate_hz: int = RATE_HZ) -> bytes:
    container, subtype = FORMATS[name]
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate_hz, format=container, subtype=subtype)
    return buffer.getvalue()


ENCODED = {name: encode(name) for name in FORMATS}


def reason(data: bytes, max_seconds: float | None = None) -> str:
    with pytest.raises(AudioError) as caught:
        decode_audio(data, max_seconds)
    assert " at 0x" not in caught.value.detail, "an address would make excluded.csv differ between runs"
    return caught.value.reason


def untagged_mp3() -> bytes:
    """Encode and drop the first frame, which holds the length tag and no sound (MPEG 2)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, WAVE, RATE_HZ, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)
    data = buffer.getvalue()
    return data[data.index(b"\xff\xf3", 1) :]


@pytest.mark.parametrize("name", FORMATS)
def test_formats_load(name):
    wave, rate_hz = decode_audio(ENCODED[name])
    assert (wave.dtype, wave.shape, rate_hz) == (np.float32, WAVE.shape, RATE_HZ)
    if name in LOSSY:
        assert np.corrcoef(wave, WAVE)[0, 1] > 0.9
    else:
        np.testing.assert_allclose(wave, WAVE, atol=2**-15)


def test_sources_are_equal(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(ENCODED["flac"])
    expected = decode_audio(ENCODED["flac"])[0]
    for other in (load_audio(path), load_audio(str(path)), decode_audio(io.BytesIO(ENCODED["flac"]))):
        np.testing.assert_array_equal(other[0], expected)


def test_channels_are_averaged():
    stereo = np.stack([WAVE, 0.5 * WAVE[::-1]], axis=1)
    np.testing.assert_allclose(decode_audio(encode("float", stereo))[0], stereo.mean(axis=1), atol=1e-7)


def test_a_file_longer_than_one_block_is_whole(monkeypatch):
    monkeypatch.setattr("voxbench.audio.reading.BLOCK_VALUES", 7_000)
    for name in FORMATS:
        assert decode_audio(ENCODED[name])[0].size == WAVE.size


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("fraction", [0.5, 0.7, 0.9, 0.99])
def test_a_cut_file_is_truncated(name, fraction):
    data = ENCODED[name]
    assert reason(data[: int(len(data) * fraction)]) == AudioReason.TRUNCATED


@pytest.mark.parametrize("name", FORMATS)
def test_one_missing_byte_is_truncated(name):
    assert reason(ENCODED[name][:-1]) == AudioReason.TRUNCATED


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is text",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        RNG.bytes(5_000),
        b"OggS" + RNG.bytes(99),
        b"fLaC\0",
    ],
)
def test_what_is_no_audio_is_unreadable(data):
    assert reason(data) == AudioReason.UNREADABLE


def test_files_that_cannot_be_opened(tmp_path):
    for path in (tmp_path, tmp_path / "absent.wav"):
        with pytest.raises(AudioError) as caught:
            load_audio(path)
        assert caught.value.reason == AudioReason.UNREADABLE


def test_formats_outside_the_list_are_refused():
    buffer = io.BytesIO()
    soundfile.write(buffer, WAVE, RATE_HZ, format="AIFF")
    assert reason(buffer.getvalue()) == AudioReason.UNREADABLE


def test_empty():
    assert reason(b"") == AudioReason.EMPTY
    for name in ("wav16", "sphere"):
        assert reason(encode(name, WAVE[:0])) == AudioReason.EMPTY


def test_content():
    assert reason(encode("wav16", 0 * WAVE)) == AudioReason.SILENT
    assert reason(encode("float", 0 * WAVE + 0.25)) == AudioReason.SILENT
    for bad in (np.nan, np.inf, -np.inf):
        broken = WAVE.copy()
        broken[123] = bad
        assert reason(encode("float", broken)) == AudioReason.NON_FINITE


def test_too_long_holds_at_the_limit():
    for name in FORMATS:
        assert decode_audio(ENCODED[name], max_seconds=3.0)[0].size == WAVE.size
        assert reason(ENCODED[name], max_seconds=2.99) == AudioReason.TOO_LONG


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_written_into_a_pipe_has_no_size(size):
    data = ENCODED["wav16"]
    at = data.index(b"data") + 4
    assert decode_audio(data[:at] + struct.pack("<I", size) + data[at + 4 :])[0].size == WAVE.size


def test_a_wav_with_a_lying_size_is_truncated():
    data = ENCODED["wav16"]
    at = data.index(b"data") + 4
    assert reason(data[:at] + struct.pack("<I", 2 * 96_000) + data[at + 4 :]) == AudioReason.TRUNCATED


@pytest.mark.parametrize(("count", "expected"), [(47_000, "unreadable"), (99_000, "truncated"), (0, "unreadable")])
def test_sphere_sample_count_must_hold(count, expected):
    assert reason(ENCODED["sphere"].replace(b"-i 48000", f"-i {count:05d}".encode())) == expected


def flac_of(total_samples: int) -> bytes:
    data = bytearray(ENCODED["flac"])
    data[21] = data[21] & 0xF0 | total_samples >> 32
    data[22:26] = struct.pack(">I", total_samples & 0xFFFFFFFF)
    return bytes(data)


def test_flac_of_unknown_length_loads():
    assert decode_audio(flac_of(0))[0].size == WAVE.size
    assert reason(flac_of(0)[:-5]) == AudioReason.TRUNCATED
    assert reason(flac_of(0), max_seconds=1.0) == AudioReason.TOO_LONG


def test_flac_that_promises_the_moon_is_truncated():
    assert reason(flac_of((1 << 36) - 1)) == AudioReason.TRUNCATED


def test_mp3_without_a_length_tag():
    data = untagged_mp3()
    whole = decode_audio(data)[0].size
    assert 0 <= whole - WAVE.size < 4 * 576
    # A large ID3 tag makes libsndfile promise far more than there is; the frame headers know better.
    picture = b"ID3\x04\0\0\0\x03\0\0" + bytes(3 << 14)
    assert decode_audio(picture + data)[0].size == whole
    assert reason(data[:-1]) == AudioReason.TRUNCATED


def test_mp3_of_varying_bit_rate_without_a_tag_is_never_cut():
    data = ENCODED["mp3"]  # soundfile's default is a varying rate
    assert reason(data[data.index(b"\xff\xf3", 1) :]) == AudioReason.UNREADABLE


def test_mp3_with_missing_frames_in_its_tag_is_truncated():
    data = ENCODED["mp3"]
    last = data.rindex(b"\xff\xf3")
    assert reason(data[:last]) == AudioReason.TRUNCATED


def test_mp3_may_end_in_an_id3v1_tag():
    assert decode_audio(ENCODED["mp3"] + b"TAG" + bytes(125))[0].size == WAVE.size


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_damage_never_raises_anything_else(name, data):
    damaged = bytearray(ENCODED[name])
    for _ in range(data.draw(st.integers(1, 8))):
        near_the_header = data.draw(st.booleans())
        at = data.draw(st.integers(0, 100 if near_the_header else len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        wave, rate_hz = decode_audio(bytes(damaged), max_seconds=60.0)
    except AudioError as error:
        AudioReason(error.reason)
        return
    assert np.isfinite(wave).all()
    assert 0 < wave.size <= 60 * rate_hz


@pytest.mark.slow
@pytest.mark.skipif(not SHARED, reason="VOXBENCH_SHARED names no folder of reference data")
def test_real_corpora_load_whole():
    paths = [path for kind in ("flac", "mp3") for path in sorted(Path(SHARED, "corpora").rglob(f"*.{kind}"))]
    assert len(paths) > 1_000
    for path in paths:
        wave, rate_hz = load_audio(path)
        assert wave.size > 0.1 * rate_hz
