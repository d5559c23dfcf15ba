"""RIFF WAVE headers (WAV, WAVEX, RF64, big-endian RIFX), asked for what they promise.

Source: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991), and EBU Tech
3306 (RF64). A `fmt ` chunk says the size of a frame three times: channels x bits, block alignment, and bytes
per second over the rate. The first is what is decoded. Recorders that write a wrong block alignment are common
(a sample program for Android is the origin of many), so the second is asked only where the third is 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from voxbench.audio.promise import AudioReason, Promise, cut, unreadable
from voxbench.schema import AudioError

STREAM_SIZES = (range(0x7FFFF000, 0x80000001), range(0xFFFFF000, 0x100000000))  # what writers into a pipe put there
MOST_CHUNKS = 10_000
CODECS = {1: ("PCM", (8, 16, 24, 32)), 3: ("float", (32, 64)), 6: ("A-law", (8,)), 7: ("mu-law", (8,))}
BEHIND = (b"LIST", b"bext", b"cue ", b"fact", b"id3 ", b"iXML", b"PEAK")  # may be cut: no samples are lost
EXTENSIBLE = 0xFFFE


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int


class _Form(NamedTuple):
    channels: int
    rate_hz: int
    frame_bytes: int


def riff_promise(data: bytes) -> Promise:
    """Return the frames, rate and channels that a WAVE file promises.

    Raises AudioError: truncated where the data chunk runs past the end of the file or ends within a frame,
    unreadable where chunks are missing, doubled or contradict each other.
    """
    order = ">" if data[:4] == b"RIFX" else "<"
    form, size_64 = None, None
    for chunk in _chunks(data, 12, order):
        if chunk.name == b"ds64" and chunk.start + 16 <= len(data):
            size_64 = struct.unpack_from("<Q", data, chunk.start + 8)[0]
        elif chunk.name == b"fmt ":
            if form is not None:
                raise unreadable("two fmt chunks")
            form = _form(data[chunk.start : chunk.start + chunk.size], order)
        elif chunk.name == b"data":
            break
    else:
        raise unreadable("no data chunk where the chunks lead")
    if form is None:
        raise unreadable("no fmt chunk before the data")
    size = _data_size(data, chunk, size_64)
    if size % form.frame_bytes:
        detail = f"{size} bytes of samples are no whole number of frames of {form.frame_bytes} bytes"
        raise AudioError(AudioReason.TRUNCATED, detail)
    _check_tail(data, chunk.start + size, size, order)
    return Promise(size // form.frame_bytes, form.rate_hz, form.channels)


def _chunks(data: bytes, position: int, order: str) -> Iterator[_Chunk]:
    """Yield the chunks from `position` on, whether or not they end within the file."""
    for _ in range(MOST_CHUNKS):
        if position + 8 > len(data):
            return
        name, size = struct.unpack_from(order + "4sI", data, position)
        yield _Chunk(name, position + 8, size)
        position += 8 + size + size % 2
    raise unreadable(f"more than {MOST_CHUNKS} chunks")


def _form(chunk: bytes, order: str) -> _Form:
    """Return what a `fmt ` chunk says; raise if what it says cannot be or is of a kind not read here."""
    if len(chunk) < 16:
        raise unreadable(f"a fmt chunk of {len(chunk)} bytes; expected at least 16")
    codec, channels, rate_hz, byte_rate, alignment, bits = struct.unpack_from(order + "HHIIHH", chunk)
    if codec == EXTENSIBLE and len(chunk) >= 26:
        codec = struct.unpack_from(order + "H", chunk, 24)[0]
    name, widths = CODECS.get(codec, ("", ()))
    if bits not in widths:
        expected = f"{name} of {', '.join(map(str, widths))}" if widths else "PCM, float, A-law or mu-law"
        raise unreadable(f"codec {codec} of {bits} bits; expected {expected}")
    frame_bytes = channels * bits // 8
    if not frame_bytes:
        raise unreadable("the header says 0 channels")
    if byte_rate != (rate_hz * frame_bytes) % (1 << 32) and (byte_rate or alignment != frame_bytes):
        detail = (
            f"the header contradicts itself: {channels} channels of {bits} bits at {rate_hz} Hz, but {byte_rate} "
            f"bytes per second and {alignment} per frame"
        )
        raise unreadable(detail)
    return _Form(channels, rate_hz, frame_bytes)


def _data_size(data: bytes, chunk: _Chunk, size_64: int | None) -> int:
    """Return the bytes of samples: as promised, or all that follow if a stream was written."""
    available = len(data) - chunk.start
    size = size_64 if chunk.size == 0xFFFFFFFF and size_64 is not None else chunk.size
    if available >= size:
        return size
    if size_64 is None and any(size in sizes for sizes in STREAM_SIZES):
        return available
    raise cut(available, size, "the data chunk")


def _check_tail(data: bytes, end: int, size: int, order: str) -> None:
    """Refuse samples that a data chunk too small leaves out, and second recordings.

    Within the size that the RIFF header gives (RF64: the whole file), and after a data chunk of size 0, only
    chunks or zeros may follow the data.
    """
    claimed = struct.unpack_from(order + "I", data, 4)[0] + 8
    end += size % 2
    tail = data[end : end + 8] if size == 0 or claimed >= end + 8 else b""
    if len(tail) < 8 or not any(tail):
        return
    name, size_behind = struct.unpack(order + "4sI", tail)
    if name not in BEHIND and (end + 8 + size_behind > len(data) or not all(32 <= byte < 127 for byte in name)):
        raise unreadable(f"the data chunk promises {size} bytes, but no chunk follows it: its size is wrong")
    for chunk in _chunks(data, end, order):
        if chunk.name in (b"data", b"fmt "):
            raise unreadable(f"two {chunk.name.decode().strip()} chunks")
