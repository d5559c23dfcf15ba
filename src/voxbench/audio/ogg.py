"""Ogg pages, each of them tested before anything is decoded.

Source: RFC 3533. libogg drops a page whose checksum is wrong, and the decoders then stop or jump without a
word: one flipped bit can cost nine tenths of a recording. So the pages are counted and summed here.
"""

from __future__ import annotations

import struct
import zlib

from voxbench.audio.promise import AudioReason, Promise, unreadable
from voxbench.schema import AudioError

MOST_PAGES = 1_000_000
FIRST, LAST = 2, 4
NO_POSITION = -1
# The checksum is CRC-32 with the bits of each byte the other way round than zlib's, and without its two inversions.
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_promise(data: bytes) -> Promise:
    """Return an open promise if one stream is whole: the length is libsndfile's, from the last page.

    Raises AudioError: truncated where pages are missing or the last is cut or does not end the stream,
    unreadable where a page is damaged or a second stream begins.
    """
    position, number, granule, flags, serial = 0, 0, 0, 0, b""
    while not flags & LAST:
        size = _page_size(data, position, number)
        page = data[position : position + size]
        flags, here, page_serial, page_number = struct.unpack_from("<xBq4sI", page, 4)
        if number == 0:
            serial = page_serial
        if page_serial != serial or bool(flags & FIRST) != (number == 0):
            raise unreadable(f"more than one stream: another begins at page {number + 1}")
        if page_number != number:
            raise AudioError(AudioReason.TRUNCATED, f"Ogg page {number + 1} is missing")
        if here != NO_POSITION:
            if here < granule:
                raise unreadable(f"Ogg page {number + 1} ends at {here}, before the page in front of it")
            granule = here
        position, number = position + size, number + 1
    if data.find(b"OggS", position) >= 0:
        raise unreadable("a second Ogg stream follows the first")
    return Promise()


def _page_size(data: bytes, position: int, number: int) -> int:
    """Return the bytes of the page at `position`; raise unless it is whole and its checksum holds."""
    if number >= MOST_PAGES:
        raise unreadable(f"more than {MOST_PAGES} Ogg pages")
    size = 27 + data[position + 26] if position + 27 <= len(data) else 27
    size += sum(data[position + 27 : position + size])
    if data[position : position + 5] != b"OggS\0"[: max(0, len(data) - position)]:
        raise unreadable(f"Ogg page {number + 1} is damaged: it begins with {data[position : position + 5]!r}")
    if position + size > len(data):
        raise AudioError(AudioReason.TRUNCATED, "the last Ogg page is cut or does not end the stream")
    page = data[position : position + 22] + bytes(4) + data[position + 26 : position + size]
    found = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    if int(f"{found:032b}"[::-1], 2) != struct.unpack_from("<I", data, position + 22)[0]:
        raise unreadable(f"Ogg page {number + 1} is damaged: its checksum is wrong")
    return size
