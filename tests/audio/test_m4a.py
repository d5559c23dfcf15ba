"""AAC in MP4: exact lengths, FFmpeg's own samples, and every lie of the boxes refused with its reason."""

import io
import struct
import subprocess
import sys

import av
import numpy as np
import pytest

from audio.encoded_files import RATE_HZ, SAMPLES, WAVE, encode, fault, m4a, patched
from voxbench.audio import decode_audio

U32 = struct.Struct(">I").pack


def by_ffmpeg(data: bytes) -> np.ndarray:
    """Decode with FFmpeg's own demultiplexer: channels averaged, filled up to whole frames."""
    with av.open(io.BytesIO(data), format="mov") as file:
        return np.concatenate([frame.to_ndarray().mean(axis=0, dtype=np.float32) for frame in file.decode(audio=0)])


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    return m4a(tmp_path_factory.mktemp("last"))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return m4a(tmp_path_factory.mktemp("first"), flags="faststart")


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize(("container", "flags"), [("mp4", ""), ("mp4", "faststart"), ("ipod", ""), ("mov", "")])
def test_the_wave_is_as_long_as_what_was_encoded(tmp_path, rate_hz, container, flags):
    data = m4a(tmp_path, WAVE, rate_hz, flags, container)
    wave, found_hz = decode_audio(data)
    assert (wave.dtype, wave.shape, found_hz) == (np.float32, (SAMPLES,), rate_hz)
    np.testing.assert_array_equal(wave, by_ffmpeg(data)[:SAMPLES])
    assert np.corrcoef(wave, WAVE)[0, 1] > 0.9


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(tmp_path, channels):
    gains_C1 = np.linspace(0.2, 1, channels)[:, None]
    data = m4a(tmp_path, WAVE * gains_C1)
    wave, _ = decode_audio(data)
    np.testing.assert_array_equal(wave, by_ffmpeg(data)[:SAMPLES])
    assert np.corrcoef(wave, WAVE)[0, 1] > 0.9


def test_eight_channels_are_refused_before_pyav_reads_beyond_them(tmp_path):
    reason, detail = fault(m4a(tmp_path, np.stack([WAVE] * 8)))
    assert (reason, "1 to 7 channels" in detail) == ("unreadable", True)


def test_starting_the_package_does_not_load_av():
    code = "import sys, voxbench.audio; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_truncated(first, last, fraction):
    for data in (first, last):
        assert fault(data[: int(len(data) * fraction)])[0] == "truncated"


def test_one_missing_byte_is_truncated(first, last):
    assert fault(last[:-1]) == ("truncated", "no whole moov box: the sample tables are missing")
    assert fault(first[:-1]) == ("truncated", "1 of 21 frames lie beyond the end of the file")


def test_bytes_behind_are_accepted(first, last):
    for data in (first, last):
        for tail in (b"rubbish", bytes(100), U32(16) + b"free" + bytes(8)):
            np.testing.assert_array_equal(decode_audio(data + tail)[0], decode_audio(data)[0])


def test_too_long_holds_at_the_limit(last):
    assert decode_audio(last, SAMPLES / RATE_HZ)[0].size == SAMPLES
    assert fault(last, (SAMPLES - 1) / RATE_HZ)[0] == "too_long"


def test_content(tmp_path):
    assert fault(m4a(tmp_path, 0 * WAVE))[0] == "silent"


def test_the_edit_list_is_followed(last):
    whole = decode_audio(patched(last, b"elst", -4, b"free"))[0]
    assert whole.size == SAMPLES + 1024, "without an edit list, the encoder's delay stays"
    np.testing.assert_array_equal(decode_audio(last)[0], whole[1024:])
    played = decode_audio(patched(last, b"elst", 8, U32(500) + U32(2048)))[0]
    np.testing.assert_array_equal(played, whole[2048 : 2048 + RATE_HZ // 2])
    assert fault(patched(last, b"elst", 8, U32(500) + U32(1 << 30)))[0] == "empty"


LIES = {
    "no audio": (b"hdlr\0\0\0\0\0\0\0\0", 0, b"vide", "unreadable", "without an audio track"),
    "encrypted": (b"mp4a", -4, b"enca", "unreadable", "is encrypted"),
    "another codec": (b"mp4a", -4, b"alac", "unreadable", "has codec b'alac'"),
    "mp3 inside": (b"esds", 17, b"\x6b", "unreadable", "object type 107"),
    "another file": (b"url ", 0, U32(0), "unreadable", "in another file, which is not opened"),
    "another name": (b"url ", -4, b"urn ", "unreadable", "in another file, which is not opened"),
    "two references": (b"dref", 4, U32(2), "unreadable", "list of data references"),
    "fragments": (b"udta", -4, b"mvex", "unreadable", "a fragmented MP4"),
    "no table": (b"stsz", -4, b"free", "unreadable", "box stsz is missing"),
    "too many frames": (b"stsz", 8, U32(0xFFFFFFFF), "unreadable", "at most 16777216 are read"),
    "a table too large": (b"stsz", 8, U32(22), "unreadable", "larger than its box"),
    "uniform frames": (b"stsz", 4, U32(1 << 20), "truncated", "beyond the end of the file"),
    "an empty frame": (b"stsz", 12, U32(0), "unreadable", "frames without bytes"),
    "no offset": (b"stco", 8, U32(0), "unreadable", "in front of the first box"),
    "a far offset": (b"stco", 8, U32(0xFFFFFFFF), "truncated", "21 of 21 frames lie beyond"),
    "chunks": (b"stsc", 12, U32(20), "unreadable", "do not hold the 21 frames"),
    "durations": (b"stts", 8, U32(19), "unreadable", "durations for 21 frames"),
    "slow frames": (b"stts", 12, U32(2048), "unreadable", "the track promises 21147 units of time but holds"),
    "quick frames": (b"stts", 12, U32(64), "truncated", "the track promises 21147 units of time but holds"),
    "no clock": (b"mdhd", 12, U32(0), "unreadable", "1/0 s"),
    "a higher rate": (b"mdhd", 12, U32(44_100), "unreadable", "promises 7672 samples but 21504 are there"),
    "a lower rate": (b"mdhd", 12, U32(8_000), "truncated", "promises 42294 samples but 21504 are there"),
    "a longer track": (b"mdhd", 16, U32(99_999_999), "truncated", "the track promises 99999999"),
    "many edits": (b"elst", 4, U32(0xFFFFFFFF), "unreadable", "an edit list of 4294967295 parts"),
    "a slow edit": (b"elst", 16, U32(0x8000), "unreadable", "not at its own speed"),
    "a hungry box": (b"stbl", -8, U32(1 << 30), "unreadable", "larger than what holds it"),
    "a tiny box": (b"trak", -8, U32(3), "unreadable", "says that it has 3 bytes"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_of_the_boxes(last, lie):
    name, at, new, reason, words = LIES[lie]
    found = fault(patched(last, name, at, new, b"moov"))
    assert found[0] == reason
    assert words in found[1]


def test_a_damaged_frame_is_refused(last):
    place = last.index(b"mdat") + 4
    assert fault(last[: place + 3_000] + b"\xff" * 500 + last[place + 3_500 :])[0] == "unreadable"


def test_only_the_first_audio_track_is_looked_at(last):
    """Put a track of nonsense in front: a video track may say what it likes."""
    moov = last.index(b"moov")
    nonsense = U32(8 + 8 + 8 + 20) + b"trak" + U32(8 + 28) + b"mdia" + U32(28) + b"hdlr" + bytes(8) + b"vide" + bytes(8)
    grown = last[: moov - 4] + U32(len(last) - moov + 4 + len(nonsense)) + b"moov" + nonsense + last[moov + 4 :]
    np.testing.assert_array_equal(decode_audio(grown)[0], decode_audio(last)[0])


def test_other_files_of_the_family_are_refused(tmp_path):
    assert fault(b"\0\0\0\x18ftypisom" + bytes(12))[0] == "truncated"
    assert fault(m4a(tmp_path, flags="frag_keyframe+empty_moov"))[1].startswith("a fragmented MP4")
    assert fault(m4a(tmp_path, container="adts")) == ("unreadable", "no MPEG layer III frame at the start")
    assert fault(encode("AIFF", "PCM_16"))[0] == "unreadable"
