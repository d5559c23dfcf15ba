"""FLAC, Ogg, MP3 and SPHERE files that lie or are damaged: libsndfile takes most of them without a word."""

import re
import struct
import zlib

import numpy as np
import pytest

from audio.encoded_files import RATE_HZ, SAMPLES, WAVE, encode, fault
from voxbench.audio import AudioError, decode_audio
from voxbench.audio.ogg import REVERSED

FLAC = encode("FLAC", "PCM_16")
SPHERE = encode("NIST", "PCM_16")
MP3 = encode("MP3", "MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.5)
UNTAGGED = MP3[MP3.index(b"\xff\xf3", 1) :]
FRAME_BYTES = 360  # 80 kbit/s at 16 kHz
FLAC_WAVE = decode_audio(FLAC)[0]
ID3 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)


def stream_info(data: bytes = FLAC, **changes) -> bytes:
    """Return a FLAC file with other numbers in its STREAMINFO."""
    packed = int.from_bytes(data[18:26], "big")
    fields = {"rate": (44, 20), "channels": (41, 3), "bits": (36, 5), "total": (0, 36)}
    for name, value in changes.items():
        shift, width = fields[name]
        packed = packed & ~((1 << width) - 1 << shift) | value << shift
    return data[:18] + packed.to_bytes(8, "big") + data[26:]


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"total": 1}, "unreadable", "promises 1 frames but more follow"),
        ({"total": SAMPLES - 1}, "unreadable", "but more follow"),
        ({"total": SAMPLES + 1}, "truncated", f"{SAMPLES} frames decoded, {SAMPLES + 1} promised"),
        ({"total": (1 << 36) - 1}, "truncated", "promised"),
        ({"rate": 8_000}, "unreadable", "rate: 8000 in the header but 16000 in the first frame"),
        ({"rate": 0}, "unreadable", "rate: 0 in the header"),
        ({"channels": 1}, "unreadable", "channels: 2 in the header but 1 in the first frame"),
        ({"bits": 23}, "unreadable", "bits: 24 in the header but 16 in the first frame"),
    ],
)
def test_flac_headers_that_lie(changes, reason, words):
    found = fault(stream_info(**changes))
    assert found[0] == reason
    assert words in found[1]


@pytest.mark.parametrize("rate_hz", [12_345, 655_350, 192_000, 37_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_flac_frames_are_understood(rate_hz, channels):
    """Rates that stand behind the frame's header, and frames of every length of number."""
    wave_SC = np.stack([WAVE * (1 - channel / 9) for channel in range(channels)], axis=1)
    wave, found_hz = decode_audio(encode("FLAC", "PCM_24", wave_SC, rate_hz))
    assert found_hz == rate_hz
    np.testing.assert_allclose(wave, wave_SC.mean(axis=1), atol=2**-22)
    for samples in (2, 3, 17, 200):
        assert decode_audio(encode("FLAC", "PCM_16", WAVE[:samples]))[0].size == samples


@pytest.mark.parametrize(
    "data",
    [FLAC[:26] + bytes(16) + FLAC[42:], FLAC + b"junk" * 99, FLAC + b"TAG" + bytes(125), FLAC + FLAC, ID3 + FLAC],
    ids=["wrong md5", "rubbish behind", "tag behind", "another file behind", "tag in front"],
)
def test_flac_accepted_whole(data):
    np.testing.assert_array_equal(decode_audio(data)[0], FLAC_WAVE)


def test_flac_damage_is_found():
    for place in range(100, len(FLAC), 997):
        damaged = bytearray(FLAC)
        damaged[place] ^= 4
        try:
            wave = decode_audio(bytes(damaged))[0]
        except AudioError:
            continue
        np.testing.assert_array_equal(wave, FLAC_WAVE)  # the damage was in a comment, or in the padding
    assert fault(FLAC[:4] + b"\1" + FLAC[5:])[1] == "a FLAC file without its STREAMINFO"
    assert fault(FLAC[:5] + b"\0\0\x21" + FLAC[8:])[0] == "unreadable"


def ogg_pages(data: bytes) -> list[bytes]:
    starts = [match.start() for match in re.finditer(b"OggS\0", data)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def summed(page: bytes) -> bytes:
    """Give a page its right checksum, by the bitwise definition in RFC 3533."""
    checksum = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if checksum >> 31 else 0)
    return page[:22] + struct.pack("<I", checksum) + page[26:]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg(subtype):
    data = encode("OGG", subtype, np.tile(WAVE, 5))
    wave, pages = decode_audio(data)[0], ogg_pages(data)
    assert wave.size == 5 * SAMPLES
    assert len(pages) > 3
    assert [summed(page) for page in pages] == pages
    np.testing.assert_array_equal(decode_audio(data + b"rubbish")[0], wave)
    for place in (len(pages[0]) + 40, len(data) // 2, len(data) - 9):
        assert "its checksum is wrong" in fault(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])[1]
    assert fault(b"".join(pages[:-2] + pages[-1:])) == ("truncated", f"Ogg page {len(pages) - 1} is missing")
    assert fault(b"".join(pages[:-1]))[0] == "truncated"
    assert fault(data + data) == ("unreadable", "a second Ogg stream follows the first")
    assert fault(pages[0] + data)[1] == "more than one stream: another begins at page 2"
    assert fault(pages[0] + b"x" + data[len(pages[0]) :])[1].startswith("Ogg page 2 is damaged")
    early = summed(pages[-1][:6] + struct.pack("<q", 5) + pages[-1][14:])
    assert "before the page in front of it" in fault(b"".join([*pages[:-1], early]))[1]


def test_the_checksum_of_ogg_by_zlib():
    page = ogg_pages(encode("OGG", "OPUS"))[0]
    found = zlib.crc32((page[:22] + bytes(4) + page[26:]).translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    assert int(f"{found:032b}"[::-1], 2) == struct.unpack_from("<I", page, 22)[0]


def test_mp3_tags_that_lie():
    place = MP3.index(b"Info") + 8
    (count,) = struct.unpack_from(">I", MP3, place)
    for lie, reason in ((0, "unreadable"), (1, "unreadable"), (count - 1, "unreadable"), (count + 1, "truncated")):
        found = fault(MP3[:place] + struct.pack(">I", lie) + MP3[place + 4 :])
        assert found == (reason, f"the Xing tag promises {lie} frames but {count} are there")
    assert fault(MP3 + MP3)[0] == "unreadable"


def test_mp3_frames_in_a_row():
    whole = decode_audio(UNTAGGED)[0]
    assert len(UNTAGGED) % FRAME_BYTES == 0
    for behind in (b"TAG" + bytes(125), b"APETAGEX" + bytes(24), bytes(99), ID3):
        np.testing.assert_array_equal(decode_audio(UNTAGGED + behind)[0], whole)
    np.testing.assert_array_equal(decode_audio(MP3 + b"rubbish" * 99)[0], decode_audio(MP3)[0])
    assert "neither frame nor tag" in fault(UNTAGGED + b"rubbish" * 99)[1]
    middle = len(UNTAGGED) // FRAME_BYTES // 2 * FRAME_BYTES
    for damaged in (
        UNTAGGED[:middle] + b"\0" + UNTAGGED[middle + 1 :],
        UNTAGGED[:middle] + b"junk" + UNTAGGED[middle:],
        UNTAGGED[:-FRAME_BYTES] + b"x" + UNTAGGED[-FRAME_BYTES:],
        UNTAGGED + encode("MP3", "MPEG_LAYER_III", WAVE, 24_000),
        UNTAGGED + encode("MP3", "MPEG_LAYER_III", np.stack([WAVE, WAVE], axis=1)),
    ):
        assert "followed by something else, and then by more frames" in fault(damaged)[1]
    for left in (1, 2, 3, 4, FRAME_BYTES - 1):
        assert fault(UNTAGGED[: middle + left])[0] == "truncated"


def test_mp3_that_begins_with_something_else():
    assert fault(b"junk" + MP3)[0] == "unreadable"
    assert fault(bytes(100) + MP3)[0] == "unreadable"
    assert fault(b"\xff\xfd" + MP3[2:])[1] == "no MPEG layer III frame at the start"  # layer II
    assert decode_audio(ID3 + MP3)[0].size == SAMPLES


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("OGG", "VORBIS"), ("NIST", "PCM_16")])
def test_a_tag_in_front_of_other_containers_is_refused(container, subtype):
    """libsndfile decodes such a WAV less the samples that the tag's length takes from its end."""
    assert fault(ID3 + encode(container, subtype))[1] == "no MPEG layer III frame at the start"


def test_what_stands_behind_untagged_frames_is_not_decoded():
    """libsndfile guesses the length from the size of the file, and mpg123 makes one frame more of what it finds."""
    behind = b"TAG" + encode("WAV", "PCM_16")
    np.testing.assert_array_equal(decode_audio(UNTAGGED + behind)[0], decode_audio(UNTAGGED)[0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_sphere_values(order):
    samples = (WAVE * 32767).astype(order + "i2")
    data = SPHERE[:1024].replace(b"-s2 01", b"-s2 01" if order == "<" else b"-s2 10") + samples.tobytes()
    wave, rate_hz = decode_audio(data)
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(wave, samples / np.float32(32768))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"sample_count -i 20123", b"sample_count -i 20122", "unreadable"),
        (b"sample_count -i 20123", b"sample_count -i 20124", "truncated"),
        (b"sample_count -i 20123", b"sample_count -i -2012", "unreadable"),
        (b"sample_count -i 20123", b"sample_cuont -i 20123", "unreadable"),
        (b"channel_count -i 1", b"channel_count -i 2", "truncated"),
        (b"sample_n_bytes -i 2", b"sample_n_bytes -i 1", "unreadable"),
        (b"sample_n_bytes -i 2", b"sample_n_bytes -i 4", "truncated"),
        (b"sample_rate -i 16000", b"sample_rate -i 00000", "unreadable"),
        (b"sample_coding -s3 pcm", b"sample_coding -s3 mp3", "unreadable"),
        (b"   1024", b"   1025", "truncated"),
        (b"   1024", b"   9999", "truncated"),
        (b"   1024", b"   xxxx", "unreadable"),
        (b"sample_sig_bits -i 16", b"sample_rate -i 8000  ", "unreadable"),
    ],
)
def test_sphere_headers_that_lie(old, new, reason):
    assert SPHERE.count(old) == 1
    assert fault(SPHERE.replace(old, new))[0] == reason


def test_sphere_text_is_not_repeated_at_length():
    data = SPHERE.replace(b"pcm\n", b"pcm ").replace(b"end_head\n", b"end_heap ")
    assert len(fault(data)[1]) < 200


@pytest.mark.parametrize(("subtype", "step"), [("ULAW", 0.03), ("ALAW", 0.03), ("PCM_S8", 0.01), ("PCM_24", 2e-7)])
def test_sphere_codings(subtype, step):
    np.testing.assert_allclose(decode_audio(encode("NIST", subtype))[0], WAVE, atol=step)
