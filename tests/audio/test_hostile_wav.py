"""WAVE headers that lie, and the values of every kind of sample against decoding by hand."""

import struct

import numpy as np
import pytest

from audio.encoded_files import RATE_HZ, SAMPLES, WAVE, encode, fault, patched, wav
from voxbench.audio import decode_audio

RNG = np.random.default_rng(11)
RATES_HZ = (8_000, 11_025, 12_345, 22_050, 44_100, 96_000, 192_000)
INT16 = (WAVE * 32767).astype("<i2")
PCM = {"codec": 1, "bits": 16}


def mu_law(codes: np.ndarray) -> np.ndarray:
    """Expand by ITU-T G.711, table 2a."""
    codes = ~codes.astype(np.uint8)
    size = ((codes & 15).astype(int) * 2 + 33 << (codes >> 4 & 7)) - 33
    return np.where(codes & 128, -size, size) * 4 / 32768


def a_law(codes: np.ndarray) -> np.ndarray:
    """Expand by ITU-T G.711, table 1a."""
    codes = codes.astype(np.uint8) ^ 0x55
    exponent, mantissa = (codes >> 4 & 7).astype(int), (codes & 15).astype(int)
    size = np.where(exponent == 0, mantissa * 2 + 1, mantissa * 2 + 33 << np.maximum(exponent - 1, 0))
    return np.where(codes & 128, size, -size) * 8 / 32768


def int24(body: bytes, order: str) -> np.ndarray:
    padded = np.frombuffer(body, np.uint8).reshape(-1, 3)
    zeros = np.zeros((len(padded), 1), np.uint8)
    whole = np.hstack([zeros, padded] if order == "<" else [padded, zeros])
    return whole.copy().view(order + "i4")[:, 0] / 2**31


BODY = RNG.bytes(24_000)
FLOATS = RNG.uniform(-3, 3, 6_000)
KINDS = {  # codec, bits, body by byte order, expected by body and order
    "pcm8": (1, 8, lambda order: BODY, lambda body, order: (np.frombuffer(body, np.uint8) - 128.0) / 128),
    "pcm16": (1, 16, lambda order: BODY, lambda body, order: np.frombuffer(body, order + "i2") / 2**15),
    "pcm24": (1, 24, lambda order: BODY, int24),
    "pcm32": (1, 32, lambda order: BODY, lambda body, order: np.frombuffer(body, order + "i4") / 2**31),
    "float32": (3, 32, lambda order: FLOATS.astype(order + "f4").tobytes(), lambda body, order: FLOATS),
    "float64": (3, 64, lambda order: FLOATS.astype(order + "f8").tobytes(), lambda body, order: FLOATS),
    "mu-law": (7, 8, lambda order: BODY, lambda body, order: mu_law(np.frombuffer(body, np.uint8))),
    "A-law": (6, 8, lambda order: BODY, lambda body, order: a_law(np.frombuffer(body, np.uint8))),
}


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_values(kind, order, channels):
    codec, bits, body, expected = KINDS[kind]
    data = wav(body(order), order, codec=codec, bits=bits, channels=channels)
    wave, rate_hz = decode_audio(data)
    assert (wave.dtype, rate_hz) == (np.float32, RATE_HZ)
    mean = expected(body(order), order).astype(np.float32).reshape(-1, channels).mean(axis=1)
    np.testing.assert_allclose(wave, mean, atol=2**-23, rtol=2**-22)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("NIST", "PCM_16")])
def test_rates(container, subtype, rate_hz):
    wave, found_hz = decode_audio(encode(container, subtype, WAVE, rate_hz))
    assert found_hz == rate_hz
    np.testing.assert_allclose(wave, WAVE, atol=2**-15)


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
def test_one_sample_is_silent_and_two_are_audio(container, subtype):
    assert fault(encode(container, subtype, WAVE[:1]))[0] == "silent"
    assert decode_audio(encode(container, subtype, np.array([0.5, -0.5])))[0].size == 2


def test_header_only():
    assert fault(wav(b""))[0] == "empty"
    for cut in range(1, 44):
        assert fault(wav(b"")[:cut])[0] == "unreadable"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bits", [32, 64])
def test_samples_that_are_no_numbers(bad, bits):
    values = np.tile(WAVE, (2, 1)).T.astype(f"<f{bits // 8}").copy()
    values[77, 1] = bad
    found = fault(wav(values.tobytes(), bits=bits, channels=2))
    assert found == ("non_finite", f"1 of {SAMPLES} samples are NaN or infinite")


def test_a_double_beyond_float32_is_not_finite():
    assert fault(wav(np.array([1e300, 0.0]).tobytes(), bits=64))[0] == "non_finite"


def test_values_beyond_full_scale_are_kept():
    np.testing.assert_array_equal(decode_audio(wav((WAVE * 1e6).tobytes()))[0], WAVE * np.float32(1e6))


ACCEPTED = {
    "a recorder's block alignment": {"alignment": 8},
    "no byte rate": {"byte_rate": 0},
    "no RIFF size": {"riff": 0},
    "a RIFF size too large": {"riff": 0xFFFFFFFF},
    "a RIFF size too small": {"riff": 40},
    "rubbish behind": {"tail": b"rubbish" * 9, "riff": 36 + 2 * SAMPLES},
    "zeros behind": {"tail": bytes(64)},
    "one byte behind": {"tail": b"x"},
    "a cut list of tags behind": {"tail": b"LIST\xff\0\0\0INFO"},
    "a chunk behind": {"tail": b"abcd\4\0\0\0\1\2\3\4"},
    "a stream of sox": {"size": 0x7FFFF000},
    "a stream of FFmpeg": {"size": 0xFFFFFFFF},
}
REFUSED = {
    "another rate": ({"rate": 8_000, "byte_rate": 32_000}, "unreadable", "contradicts itself"),
    "two channels": ({"channels": 2, "byte_rate": 32_000, "alignment": 2}, "unreadable", "contradicts itself"),
    "two channels, no byte rate": ({"channels": 2, "byte_rate": 0, "alignment": 2}, "unreadable", "contradicts itself"),
    "no channels": ({"channels": 0}, "unreadable", "0 channels"),
    "too many channels": ({"channels": 1025, "body": bytes(1025 * 4)}, "unreadable", ""),
    "eight bits": ({"bits": 8, "byte_rate": 32_000}, "unreadable", "contradicts itself"),
    "24 bits": ({"bits": 24, "byte_rate": 32_000}, "unreadable", "contradicts itself"),
    "12 bits": ({"bits": 12}, "unreadable", "codec 1 of 12 bits; expected PCM of 8, 16, 24, 32"),
    "no bits": ({"bits": 0}, "unreadable", "codec 1 of 0 bits"),
    "float of 16 bits": ({"codec": 3}, "unreadable", "expected float of 32, 64"),
    "A-law of 16 bits": ({"codec": 6}, "unreadable", "expected A-law of 8"),
    "mp3 inside": ({"codec": 0x55}, "unreadable", "expected PCM, float, A-law or mu-law"),
    "no rate": ({"rate": 0, "byte_rate": 0}, "unreadable", ""),
    "an implausible rate": ({"rate": 999}, "unreadable", "999 Hz, which is no audio rate"),
    "a rate beyond all": ({"rate": 0xFFFFFFFF}, "unreadable", ""),
    "one byte too many": ({"size": 2 * SAMPLES + 1}, "truncated", "the data chunk promises"),
    "twice the size": ({"size": 4 * SAMPLES}, "truncated", "the data chunk promises"),
    "no stream's size": ({"size": 0x80000001}, "truncated", "the data chunk promises"),
    "half the size": ({"size": SAMPLES // 2 * 2}, "unreadable", "its size is wrong"),
    "two bytes": ({"size": 2}, "unreadable", "its size is wrong"),
    "no size": ({"size": 0}, "unreadable", "its size is wrong"),
    "a header never finished": ({"size": 0, "riff": 0}, "unreadable", "its size is wrong"),
    "half a sample": ({"size": 2 * SAMPLES - 1}, "truncated", "no whole number of frames"),
    "a stream cut in a sample": ({"size": 0xFFFFFFFF, "tail": b"x"}, "truncated", "no whole number of frames"),
    "a second data chunk": ({"tail": b"data\4\0\0\0\1\2\3\4"}, "unreadable", "two data chunks"),
    "a second fmt chunk": ({"tail": b"fmt \4\0\0\0\1\2\3\4"}, "unreadable", "two fmt chunks"),
}


@pytest.mark.parametrize("lie", ACCEPTED)
def test_lies_that_lose_nothing(lie):
    np.testing.assert_array_equal(decode_audio(wav(INT16.tobytes(), **(PCM | ACCEPTED[lie])))[0], INT16 / 32768)


@pytest.mark.parametrize("lie", REFUSED)
def test_lies_that_are_refused(lie):
    changes, reason, words = REFUSED[lie]
    found = fault(wav(**({"body": INT16.tobytes()} | PCM | changes)))
    assert found[0] == reason
    assert words in found[1]


def test_chunks_out_of_order_are_refused():
    data = wav(INT16.tobytes(), **PCM)
    assert fault(data[:12] + data[36:] + data[12:36])[1] == "no fmt chunk before the data"
    assert fault(data[:36])[1] == "no data chunk where the chunks lead"
    assert fault(data[:36] + data[12:])[1] == "two fmt chunks"
    assert fault(data[:36] + b"junk\0\0\0\0" * 10_000 + data[36:])[1] == "more than 10000 chunks"
    assert fault(data[:36] + b"LIST\xfe\xff\xff\xff" + data[36:])[0] == "unreadable"
    odd = data[:36] + b"LIST\5\0\0\0abcde\0" + data[36:]
    np.testing.assert_array_equal(decode_audio(odd)[0], INT16 / 32768)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (8, 0, None),
        (8, 1 << 63, None),
        (24, 7, None),
        (16, 0, "unreadable"),
        (16, 10, "unreadable"),
        (16, 1 << 40, "truncated"),
    ],
)
def test_rf64_sizes(at, value, reason):
    """RIFF size and sample count are only said; the size of the data is believed."""
    data = encode("RF64", "PCM_16")
    data = patched(data, b"ds64", at - 4, struct.pack("<Q", value))
    if reason is None:
        assert decode_audio(data)[0].size == SAMPLES
    else:
        assert fault(data)[0] == reason


def test_rf64_that_holds_two_sizes_is_refused():
    assert fault(patched(encode("RF64", "PCM_16"), b"data", 0, struct.pack("<I", 100)))[0] == "unreadable"
    assert fault(patched(encode("RF64", "PCM_16"), b"data", 0, struct.pack("<I", 0xFFFFFFF0)))[0] == "truncated"


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_other_codecs_are_refused(subtype):
    assert fault(encode("WAV", subtype, WAVE, 8_000))[1].endswith("expected PCM, float, A-law or mu-law")
