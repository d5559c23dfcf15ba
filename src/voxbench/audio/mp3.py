"""MPEG layer III frames, counted before anything is decoded.

Source: ISO/IEC 11172-3 and 13818-3, and the Xing/Info tag as LAME writes it. A frame says its own size, so
the frames form a chain that damage breaks; their bodies carry no checksum, and damage inside them is decoded
as it stands. mpg123 stops at the count in a Xing/Info tag, and libsndfile guesses the length of files without
one from the first bit rate.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from typing import NamedTuple

from voxbench.audio.promise import Promise, cut, unreadable

KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
SAMPLES = {3: 1152, 2: 576, 0: 576}  # of a frame, by the version's bits in the header
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
MONO = 3
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")  # what may stand behind the frames
TAIL_BYTES = 1 << 20  # how far behind the last frame another is looked for


class _Kind(NamedTuple):
    """What the frames of one stream have in common: the fixed bits of their headers, and sizes by the third byte."""

    second: int
    mono: bool
    samples: int
    rate_hz: int
    sizes: tuple[int, ...]


def mp3_promise(data: bytes, max_seconds: float | None) -> tuple[Promise, int]:
    """Return what an MP3 promises, and where its frames end: what stands behind them must not be decoded.

    With a Xing/Info tag the promise is the length that libsndfile takes from it, else it is the frames, less one:
    decoders trim their own delay. Frames beyond `max_seconds` are not counted. Raises AudioError: truncated where
    the last frame is cut or frames are missing, unreadable where other bytes stand between frames, where a tag
    counts fewer frames than there are, or, without a tag, where what follows the frames might be some of them.
    """
    start = position = skip_id3(data)
    kind = _kind(data, start)
    if kind is None:
        raise unreadable("no MPEG layer III frame at the start")
    most = len(data) if max_seconds is None else int(max_seconds * kind.rate_hz) // kind.samples + 4
    frames, last, size = 0, 0, _size(data, start, kind)
    while size and frames < most:
        last, position, frames = size, position + size, frames + 1
        size = _size(data, position, kind)
    if position > len(data):
        raise cut(len(data) - position + last, last, f"MPEG frame {frames}")
    tag = re.compile(rb"Xing|Info").search(data, start, start + 40)
    if size:
        position = len(data)
    else:
        _check_tail(data, position, frames, tagged=tag is not None)
    channels = 1 if kind.mono else 2
    if tag is None:
        return Promise((frames - 1) * kind.samples, kind.rate_hz, channels, exact=False), position
    flags, count = struct.unpack(">II", data[tag.end() : tag.end() + 8].rjust(8, b"\0"))
    if not size and flags & 1 and frames - 1 < count:
        raise cut(frames - 1, count, "the Xing tag", unit="frames")
    if flags & 1 and frames - 1 > count:
        raise unreadable(f"the Xing tag promises {count} frames but {frames - 1} are there")
    return Promise(None, kind.rate_hz, channels, exact=False, slack=kind.samples), position


def skip_id3(data: bytes) -> int:
    """Return where the ID3v2 tags at the start of the file end (their sizes are four 7-bit bytes)."""
    position = 0
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        a, b, c, d = data[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d)
    return position


def _kind(data: bytes, position: int) -> _Kind | None:
    """Return the kind of the layer III frame whose header stands at `position`, None where none does."""
    if position + 4 > len(data) or data[position] != 0xFF or data[position + 1] & 0xE6 != 0xE2:
        return None
    version, rate_index = data[position + 1] >> 3 & 3, data[position + 2] >> 2 & 3
    if version == 1 or rate_index == 3:
        return None
    sizes = _sizes(version, rate_index)
    if not sizes[data[position + 2]]:
        return None
    mono = data[position + 3] >> 6 == MONO
    return _Kind(data[position + 1] | 1, mono, SAMPLES[version], RATES_HZ[version][rate_index], sizes)


@cache
def _sizes(version: int, rate_index: int) -> tuple[int, ...]:
    """Return the bytes of a frame for each third byte of its header, 0 where that byte is of another kind."""
    samples, rate_hz, kbps = SAMPLES[version], RATES_HZ[version][rate_index], KBPS[version]
    return tuple(
        samples * 125 * kbps[third >> 4] // rate_hz + (third >> 1 & 1)
        if third >> 2 & 3 == rate_index and 0 < third >> 4 < 15
        else 0
        for third in range(256)
    )


def _size(data: bytes, position: int, kind: _Kind) -> int:
    """Return the bytes of the frame at `position`, 0 where none of this kind stands."""
    head = data[position : position + 4]
    if len(head) == 4 and head[0] == 0xFF and head[1] | 1 == kind.second and (head[3] >> 6 == MONO) == kind.mono:
        return kind.sizes[head[2]]
    return 0


def _check_tail(data: bytes, position: int, frames: int, tagged: bool) -> None:
    """Refuse a file in which further frames follow what is none: damage, or a second recording."""
    if len(data) - position < 4 and data[position : position + 1] == b"\xff":
        raise cut(len(data) - position, 4, f"MPEG frame {frames + 1}")
    for match in re.compile(rb"\xff[\xe2-\xff]").finditer(data, position, position + TAIL_BYTES):
        found = _kind(data, match.start())
        if found is None:
            continue
        end = match.start() + found.sizes[data[match.start() + 2]]
        if end == len(data) or data[end : end + 3] == b"TAG" or _size(data, end, found):
            raise unreadable(f"MPEG frame {frames} is followed by something else, and then by more frames")
    tail = data[position:]
    if not tagged and not tail.startswith(TAGS) and any(tail):
        detail = (
            f"{len(tail)} bytes behind MPEG frame {frames} are neither frame nor tag, and no Xing tag says how many"
        )
        raise unreadable(f"{detail} frames there are")
