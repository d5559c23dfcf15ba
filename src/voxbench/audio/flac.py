"""FLAC headers, asked for what they promise.

Source: RFC 9639. Each frame carries checksums, which libFLAC tests; STREAMINFO has none. Its rate, channels
and bits are therefore compared with the first frame's, and its number of samples with what is decoded: libFLAC
stops at that number, so it is blotted out before decoding. The MD5 of the samples is not tested: the frames'
checksums cover the same bytes, and hashing would cost as much as decoding.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from voxbench.audio.promise import Promise, unreadable

STREAM_INFO_BYTES = 34
RATES_HZ = (None, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
BITS = (None, 8, 12, None, 16, 20, 24, 32)
BIG_NUMBER_CODES = {12: (1, 1000), 13: (2, 1), 14: (2, 10)}  # rate after the header: bytes, unit in Hz


def flac_promise(data: bytes, start: int) -> Promise:
    """Return the frames (None if unknown), rate and channels promised by the FLAC stream at `start`."""
    info = data[start + 8 : start + 8 + STREAM_INFO_BYTES]
    if len(info) < STREAM_INFO_BYTES or data[start + 4] & 0x7F:
        raise unreadable("a FLAC file without its STREAMINFO")
    packed = int.from_bytes(info[10:18], "big")
    rate_hz, channels = packed >> 44, (packed >> 41 & 7) + 1
    bits, total = (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    frame = _first_frame(data, start + 4)
    if frame is not None:
        for what, said, found in zip(("rate", "channels", "bits"), (rate_hz, channels, bits), frame, strict=True):
            if found not in (None, said):
                raise unreadable(f"{what}: {said} in the header but {found} in the first frame")
    return Promise(total or None, rate_hz, channels, look_behind=total > 0)


class WithoutLength(BytesIO):
    """A FLAC file that reads as if its header gave no number of samples, so that all of them are decoded."""

    def __init__(self, data: bytes, start: int) -> None:
        super().__init__(data)
        self.header_bytes = start + 26
        self.masks = {start + 21: 0xF0} | dict.fromkeys(range(start + 22, start + 26), 0)

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` and blot out the bytes of the number in it; a changed copy of the file would cost more."""
        start = self.tell()
        count = super().readinto(buffer)
        if start < self.header_bytes:
            view = memoryview(buffer)
            for place, mask in self.masks.items():
                if start <= place < start + count:
                    view[place - start] &= mask
        return count


def _first_frame(data: bytes, position: int) -> tuple[int | None, int, int | None] | None:
    """Return rate, channels and bits of the frame after the metadata blocks; None at the end of the file."""
    last = False
    while not last and position + 4 <= len(data):
        last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    head = data[position : position + 16]
    if not head:
        return None
    head = head.ljust(16, b"\0")  # a frame of one sample is shorter than the longest header
    if head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        raise unreadable("no FLAC frame follows the metadata")
    rate_code, assignment, bits_code = head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    channels = assignment + 1 if assignment < 8 else 2
    after = 4 + max(1, 8 - (head[4] ^ 0xFF).bit_length()) + {6: 1, 7: 2}.get(head[2] >> 4, 0)
    if rate_code in BIG_NUMBER_CODES:
        size, unit = BIG_NUMBER_CODES[rate_code]
        return int.from_bytes(head[after : after + size], "big") * unit, channels, BITS[bits_code]
    return RATES_HZ[rate_code] if rate_code < len(RATES_HZ) else None, channels, BITS[bits_code]
