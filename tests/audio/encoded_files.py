"""Encoded recordings for the tests of reading: by libsndfile, by FFmpeg, and WAVE files written by hand."""

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from voxbench.audio import AudioError, decode_audio

RATE_HZ = 16_000
SAMPLES = 20_123
NOISE = np.random.default_rng(7).standard_normal(SAMPLES)
WAVE = (0.3 * np.sin(np.arange(SAMPLES) * 0.05) + 0.05 * NOISE).astype(np.float32)


def encode(container: str, subtype: str, wave_SC: np.ndarray = WAVE, rate_hz: int = RATE_HZ, **options) -> bytes:
    """Encode with libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_SC, rate_hz, format=container, subtype=subtype, **options)
    return buffer.getvalue()


def wav(body: bytes = WAVE.tobytes(), order: str = "<", **changes) -> bytes:
    """Write a WAVE file by hand: a float file unless `changes` says otherwise."""
    fields = {"codec": 3, "channels": 1, "rate": RATE_HZ, "bits": 32, "tail": b"", "size": len(body)} | changes
    frame_bytes = fields["channels"] * fields["bits"] // 8
    fields = {"byte_rate": fields["rate"] * frame_bytes % (1 << 32), "alignment": frame_bytes} | fields
    fields = {"riff": 36 + len(body) + len(fields["tail"])} | fields
    numbers = [fields[name] for name in ("codec", "channels", "rate", "byte_rate", "alignment", "bits")]
    head = (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", fields["riff"]) + b"WAVEfmt "
    head += struct.pack(order + "IHHIIHH", 16, *numbers) + b"data" + struct.pack(order + "I", fields["size"])
    return head + body + fields["tail"]


def m4a(folder: Path, wave_CS: np.ndarray = WAVE, rate_hz: int = RATE_HZ, flags: str = "", container="mp4") -> bytes:
    """Encode AAC in MP4 with FFmpeg; `flags` as its muxer's movflags."""
    wave_CS = np.ascontiguousarray(np.atleast_2d(wave_CS), np.float32)
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[len(wave_CS)]
    path = folder / "encoded.m4a"
    with av.open(path, "w", format=container, options={"movflags": flags} if flags else {}) as file:
        stream = file.add_stream("aac", rate=rate_hz)
        stream.layout, stream.bit_rate = layout, 64_000
        packed = av.AudioFrame.from_ndarray(wave_CS.T.reshape(1, -1).copy(), format="flt", layout=layout)
        packed.sample_rate, packed.pts = rate_hz, 0
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate_hz)
        for frame in [*resampler.resample(packed), *resampler.resample(None)]:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path.read_bytes()


def patched(data: bytes, name: bytes, at: int, new: bytes, behind: bytes = b"") -> bytes:
    """Return the data with `new` at a distance from the end of the first `name` that stands behind `behind`."""
    place = data.index(name, data.index(behind)) + len(name) + at
    return data[:place] + new + data[place + len(new) :]


def fault(data: bytes, max_seconds: float | None = None) -> tuple[str, str]:
    """Return reason and detail of the refusal, which must be one printable line."""
    with pytest.raises(AudioError) as caught:
        decode_audio(data, max_seconds)
    assert caught.value.detail.isprintable()
    assert " at 0x" not in caught.value.detail, "an address would make excluded.csv differ between runs"
    return str(caught.value.reason), caught.value.detail
