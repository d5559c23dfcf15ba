"""MP4 boxes, read far enough to find every AAC frame of the first audio track.

Source: ISO/IEC 14496-12 (boxes, sample tables, edit lists), 14496-14 (`esds`) and 14496-3 (the decoder's
configuration). A sample table names the place and size of each frame, wherever the `moov` box stands, so a cut
file is known as such. Nothing but that one track is looked at, and nothing outside the file is ever opened.

Refused as unreadable: no audio track; encrypted tracks; codecs other than AAC-LC and HE-AAC; samples in other
files (`dref`); fragmented files, which promise no length; several edits; tables that contradict each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxbench.audio.promise import AudioReason, unreadable
from voxbench.schema import AudioError

MOST_BOXES = 10_000
SAMPLE_ENTRY_BYTES = {0: 28, 1: 44}  # by version; version 1 is QuickTime's
MOST_FRAMES = 1 << 24  # 12 days of AAC at 16 kHz
MPEG4_AUDIO = 64
ES, DECODER, CONFIG = 3, 4, 5  # descriptor tags
OBJECT_TYPES = {2: "AAC-LC", 5: "HE-AAC", 29: "HE-AAC v2"}

Numbers = NDArray[np.int64]


class AacTrack(NamedTuple):
    """Where the frames of a track lie, how to decode them, and which part of them is the recording.

    `total`, `delay` and `length` are in units of 1 / `timescale` s: all frames together, what the edit list drops
    at the start (the encoder's delay), and what it plays.
    """

    offsets: Numbers
    sizes: Numbers
    config: bytes
    timescale: int
    total: int
    delay: int
    length: int


class _Box(NamedTuple):
    """A box and the bytes that hold its body."""

    name: bytes
    body: bytes
    whole: bool


def read_track(data: bytes) -> AacTrack:
    """Return the first audio track of an MP4 file.

    Raises AudioError: truncated where the `moov` box or a frame lies beyond the end of the file, unreadable for
    what the module's docstring names.
    """
    try:
        moov = _moov(data)
        if _all(moov, b"mvex"):
            raise unreadable("a fragmented MP4, which promises no length; write it again as one piece")
        for track in _all(moov, b"trak"):
            handler = _path(track, b"mdia", b"hdlr")
            if handler is not None and handler[8:12] == b"soun":
                return _track(track, moov, len(data))
    except (struct.error, IndexError) as error:
        raise unreadable("a box of the MP4 is too small for what it must hold") from error
    raise unreadable("an MP4 without an audio track")


def _track(track: bytes, moov: bytes, file_bytes: int) -> AacTrack:
    table = _need(track, b"mdia", b"minf", b"stbl")
    _check_references(_need(track, b"mdia", b"minf", b"dinf", b"dref"))
    config = _config(_need(table, b"stsd"))
    sizes = _sizes(table)
    offsets = _offsets(table, len(sizes), sizes)
    _check_places(offsets, sizes, file_bytes)
    timescale, duration = _clock(_need(track, b"mdia", b"mdhd"))
    total, longest = _total(table, len(sizes))
    if duration is not None and duration > total + longest:
        raise AudioError(AudioReason.TRUNCATED, f"the track promises {duration} units of time but holds {total}")
    if duration is not None and duration < total - longest:
        raise unreadable(f"the track promises {duration} units of time but holds {total}")
    delay, length = _edit(track, moov, timescale, total)
    return AacTrack(offsets, sizes, config, timescale, total, delay, length)


def _check_places(offsets: Numbers, sizes: Numbers, file_bytes: int) -> None:
    """Refuse frames that are not, each by itself, within the file."""
    if not len(sizes):
        return
    if int(sizes.min()) < 1 or int(offsets.min()) < 8:
        raise unreadable("the sample table names frames without bytes or in front of the first box")
    lost = int(np.count_nonzero(offsets > file_bytes - sizes))
    if lost:
        raise AudioError(AudioReason.TRUNCATED, f"{lost} of {len(sizes)} frames lie beyond the end of the file")
    if int(sizes.sum()) > file_bytes:
        raise unreadable("the sample table names bytes twice")


def _moov(data: bytes) -> bytes:
    """Return the body of the one whole `moov` box; without one, the file was cut."""
    found = [box for box in _boxes(data) if box.name == b"moov"]
    if not found or not found[0].whole:
        raise AudioError(AudioReason.TRUNCATED, "no whole moov box: the sample tables are missing")
    if len(found) > 1:
        raise unreadable("two moov boxes")
    return found[0].body


def _boxes(data: bytes) -> Iterator[_Box]:
    """Yield the boxes that stand one behind the other; the last may be cut."""
    position = 0
    for _ in range(MOST_BOXES):
        if position + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1 and position + 16 <= len(data):
            size, head = struct.unpack_from(">Q", data, position + 8)[0], 16
        end = position + size if size else len(data)
        if end < position + head:
            raise unreadable(f"an MP4 box says that it has {size} bytes")
        body = data[position + head : end] if name != b"mdat" else b""
        yield _Box(name, body, end <= len(data))
        position = end
    raise unreadable(f"more than {MOST_BOXES} MP4 boxes in a row")


def _all(data: bytes, name: bytes) -> list[bytes]:
    """Return the bodies of the boxes of one name; raise if one of them is cut by what holds it."""
    found = [box for box in _boxes(data) if box.name == name]
    if not all(box.whole for box in found):
        raise unreadable(f"the MP4 box {name.decode()} is larger than what holds it")
    return [box.body for box in found]


def _path(data: bytes, *names: bytes) -> bytes | None:
    """Return the body of the only box at a path of names, None where there is none."""
    for name in names:
        found = _all(data, name)
        if len(found) > 1:
            raise unreadable(f"{len(found)} MP4 boxes {name.decode()} where one belongs")
        if not found:
            return None
        data = found[0]
    return data


def _need(data: bytes, *names: bytes) -> bytes:
    found = _path(data, *names)
    if found is None:
        raise unreadable(f"the MP4 box {'/'.join(name.decode() for name in names)} is missing")
    return found


def _check_references(references: bytes) -> None:
    """Refuse samples that are said to lie in another file."""
    entries = list(_boxes(references[8:]))
    if struct.unpack_from(">I", references, 4)[0] != len(entries) or not entries:
        raise unreadable("the MP4's list of data references contradicts itself")
    for entry in entries:
        if entry.name != b"url " or not struct.unpack_from(">I", entry.body)[0] & 1:
            raise unreadable("the MP4 says that its samples lie in another file, which is not opened")


def _config(descriptions: bytes) -> bytes:
    """Return the AudioSpecificConfig of the one sample description."""
    entries = list(_boxes(descriptions[8:]))
    if len(entries) != 1 or struct.unpack_from(">I", descriptions, 4)[0] != 1 or not entries[0].whole:
        raise unreadable(f"{len(entries)} sample descriptions; expected 1")
    name, body, _ = entries[0]
    if name != b"mp4a":
        what = "is encrypted" if name == b"enca" else f"has codec {name!r}"
        raise unreadable(f"the audio track {what}; expected AAC (mp4a)")
    if struct.unpack_from(">H", body, 6)[0] != 1:
        raise unreadable("the sample description names a second data reference")
    start = SAMPLE_ENTRY_BYTES.get(struct.unpack_from(">H", body, 8)[0])
    if start is None:
        raise unreadable("a sample description of an unknown version")
    inner = body[start:]
    descriptors = _path(inner, b"wave", b"esds") or _need(inner, b"esds")
    return _specific(descriptors[4:])


def _specific(descriptors: bytes) -> bytes:
    """Return the decoder's configuration out of the nested descriptors of an `esds` box."""
    tag, body = _descriptor(descriptors)
    flags = body[2] if tag == ES else 0xFF
    if flags & 0xE0:
        raise unreadable("the MP4's stream descriptor leads elsewhere")
    tag, body = _descriptor(body[3:])
    if tag != DECODER or body[0] != MPEG4_AUDIO:
        raise unreadable(f"the audio track has object type {body[0]}; expected MPEG-4 audio")
    tag, config = _descriptor(body[13:])
    kind = config[0] >> 3
    if tag != CONFIG or kind not in OBJECT_TYPES or len(config) < 2:
        raise unreadable(f"MPEG-4 audio of kind {kind}; expected one of {OBJECT_TYPES}")
    return config


def _descriptor(data: bytes) -> tuple[int, bytes]:
    """Return tag and body of a descriptor; its size is given by up to four bytes of seven bits."""
    size, at = 0, 1
    for at in range(1, 5):
        size = size << 7 | data[at] & 0x7F
        if not data[at] & 0x80:
            break
    body = data[at + 1 : at + 1 + size]
    if len(body) < size or not size:
        raise unreadable("a descriptor of the MP4 is cut")
    return data[0], body


def _table(body: bytes, columns: int, dtype: str = ">u4") -> Numbers:
    """Return the rows `(N, columns)` of a table box: version and flags, number of rows, rows."""
    rows = struct.unpack_from(">I", body, 4)[0]
    if 8 + rows * columns * int(dtype[-1]) > len(body):
        raise unreadable("a table of the MP4 is larger than its box")
    return np.frombuffer(body, dtype, rows * columns, 8).astype(np.int64).reshape(rows, columns)


def _sizes(table: bytes) -> Numbers:
    """Return the bytes of each frame."""
    body = _need(table, b"stsz")
    size, count = struct.unpack_from(">II", body, 4)
    if count > MOST_FRAMES:
        raise unreadable(f"the sample table promises {count} frames; at most {MOST_FRAMES} are read")
    return np.full(count, size, np.int64) if size else _table(body[4:], 1)[:, 0]


def _offsets(table: bytes, frames: int, sizes: Numbers) -> Numbers:
    """Return where each frame starts: frames of a chunk follow each other, chunks lie anywhere."""
    wide = _path(table, b"co64")
    chunks = _table(_need(table, b"stco"), 1)[:, 0] if wide is None else _table(wide, 1, ">u8")[:, 0]
    first, counts, descriptions = _table(_need(table, b"stsc"), 3).T
    bounds = np.append(first, len(chunks) + 1)
    if len(first) == 0 or first[0] != 1 or np.any(np.diff(bounds) < 1) or np.any(descriptions != 1):
        if frames:
            raise unreadable("the MP4's table of chunks contradicts itself")
        return sizes
    runs = np.diff(bounds)
    if int(counts.max()) > MOST_FRAMES or int((runs * counts).sum()) != frames:
        raise unreadable(f"the MP4's chunks do not hold the {frames} frames of the sample table")
    per_chunk = np.repeat(counts, runs)
    before = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    heads = np.cumsum(per_chunk) - per_chunk  # number of frames in front of each chunk
    filled = per_chunk > 0
    start = np.repeat(chunks[filled] - before[heads[filled]], per_chunk[filled])
    return start + before


def _clock(body: bytes) -> tuple[int, int | None]:
    """Return units per second and duration, None if unknown, of an `mdhd` or `mvhd` box."""
    timescale, duration = struct.unpack_from(">IQ", body, 20) if body[0] == 1 else struct.unpack_from(">II", body, 12)
    if not timescale:
        raise unreadable("the MP4 counts time in units of 1/0 s")
    return timescale, None if duration in (0xFFFFFFFF, (1 << 64) - 1) else duration


def _total(table: bytes, frames: int) -> tuple[int, int]:
    """Return the sum of the frames' durations, and the longest."""
    counts, steps = _table(_need(table, b"stts"), 2).T
    if counts.sum() != frames:
        raise unreadable(f"{counts.sum()} durations for {frames} frames")
    return int(counts @ steps), int(steps.max()) if frames else 0


def _edit(track: bytes, moov: bytes, timescale: int, total: int) -> tuple[int, int]:
    """Return delay and length, in the track's units, of the one part that the edit list plays.

    Its duration is rounded to the film's coarser units: one of them less than what there is means all of it.
    """
    body = _path(track, b"edts", b"elst")
    if body is None:
        return 0, total
    layout = ">QqhH" if body[0] == 1 else ">IihH"
    count = struct.unpack_from(">I", body, 4)[0]
    if count > MOST_BOXES:
        raise unreadable(f"an edit list of {count} parts")
    edits = [struct.unpack_from(layout, body, 8 + n * struct.calcsize(layout)) for n in range(count)]
    played = [edit for edit in edits if edit[1] != -1]  # -1 is a pause, which shifts the track and plays nothing
    if not played:
        return 0, total
    duration, delay, rate, fraction = played[0]
    if len(played) > 1 or delay < 0 or (rate, fraction) != (1, 0):
        raise unreadable("an edit list that plays more than one part, or not at its own speed")
    unit = _clock(_need(moov, b"mvhd"))[0]
    rest = max(0, total - delay)
    whole = duration == 0 or (duration + 1) * timescale >= rest * unit
    return delay, rest if whole else duration * timescale // unit
