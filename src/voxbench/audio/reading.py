"""Audio files to mono float32 waves, with one closed vocabulary for everything that can be wrong with them.

Decoding is libsndfile's (through `soundfile`): WAV, FLAC, MP3, Ogg and NIST SPHERE. libsndfile takes many
damaged files without a word, so each container is also asked how much audio it promises:

| container | promise | broken when |
|---|---|---|
| WAV, RF64 | size of the data chunk | the file ends before it; sizes from 0x7FFFF000 up mean "a stream" |
| SPHERE | sample_count | more or fewer bytes follow the header |
| Ogg | a page marked end-of-stream comes last | the last page is another one, or cut |
| MP3 | the frame headers and the Xing/Info frame count | the last frame is cut, or frames are missing |
| FLAC, Ogg, tagged MP3 | number of frames in the header | the decoder stops earlier |

libsndfile guesses the length of an MP3 without a Xing/Info tag from the file size, so its number is used only
for tagged files; for the others the frame headers are counted.

Legend: S samples, C channels.
"""

from __future__ import annotations

import os
import re
import struct
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxbench.schema import AudioError

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "MP3", "OGG", "NIST")
PLAUSIBLE_RATES_HZ = (1_000, 768_000)
BLOCK_VALUES = 1 << 24  # a header may promise 2^36 frames: memory follows what is decoded, not what is promised
STREAM_SIZE = 0x7FFFF000  # writers into a pipe put this or 0xFFFFFFFF where the size of the data belongs

MPEG_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MPEG_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


class AudioReason(StrEnum):
    """Why a recording is excluded; the words of `excluded.csv`."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    NON_FINITE = "non_finite"
    SILENT = "silent"
    CLIPPED = "clipped"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    RATE_TOO_LOW = "rate_too_low"


class _ForwardReader(soundfile.SoundFile):
    """A reader that never seeks: after a FLAC of unknown length, the seek that soundfile adds fails."""

    def seekable(self) -> bool:
        return False


def load_audio(path: str | os.PathLike[str], max_seconds: float | None = None) -> tuple[NDArray[np.float32], int]:
    """Read one audio file as a mono wave `(S,)` in the file's own rate, and that rate in Hz.

    Channels are averaged; integer formats are scaled to [-1, 1). Raises AudioError, whose `reason` is an
    AudioReason; `max_seconds` refuses longer files without decoding them further than that.
    """
    return decode_audio(read_bytes(path), max_seconds)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file; a file that cannot be read is an AudioError like any other fault."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise AudioError(AudioReason.UNREADABLE, f"{Path(path).name}: {error.strerror}") from error


def decode_audio(
    source: bytes | str | os.PathLike[str] | BinaryIO, max_seconds: float | None = None
) -> tuple[NDArray[np.float32], int]:
    """Decode an encoded recording given as bytes, binary file object or path; see `load_audio`."""
    if isinstance(source, str | os.PathLike):
        data = read_bytes(source)
    else:
        data = source if isinstance(source, bytes) else source.read()
    if not data:
        raise AudioError(AudioReason.EMPTY, "the file has 0 bytes")
    try:
        with _ForwardReader(BytesIO(data)) as sound:
            wave_SC = _read_frames(sound, data, max_seconds)
            rate_hz = sound.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(AudioReason.UNREADABLE, error.error_string) from error
    wave = wave_SC[:, 0] if wave_SC.shape[1] == 1 else wave_SC.mean(axis=1, dtype=np.float32)
    _check_content(wave)
    return wave, rate_hz


def _read_frames(sound: soundfile.SoundFile, data: bytes, max_seconds: float | None) -> NDArray[np.float32]:
    """Decode `(S, C)` and compare what came with what the container promised."""
    if sound.format not in FORMATS:
        raise AudioError(AudioReason.UNREADABLE, f"format {sound.format}; expected one of {', '.join(FORMATS)}")
    low_hz, high_hz = PLAUSIBLE_RATES_HZ
    if not low_hz <= sound.samplerate <= high_hz:
        raise AudioError(AudioReason.UNREADABLE, f"the header says {sound.samplerate} Hz, which is no audio rate")
    promised = _promised_frames(data, sound)
    limit = None if max_seconds is None else int(max_seconds * sound.samplerate)
    try:
        wave_SC = _read_blocks(sound, limit)
    except soundfile.LibsndfileError as error:
        detail = f"the decoder stopped before the {promised} frames promised: {error.error_string}"
        raise AudioError(AudioReason.TRUNCATED, detail) from error
    if limit is not None and len(wave_SC) > limit:
        raise AudioError(AudioReason.TOO_LONG, f"more than {max_seconds:g} s")
    if promised is not None and len(wave_SC) < promised:
        raise AudioError(AudioReason.TRUNCATED, f"{len(wave_SC)} frames decoded, {promised} promised")
    if not len(wave_SC):
        raise AudioError(AudioReason.EMPTY, "the file has a header but 0 frames")
    return wave_SC


def _read_blocks(sound: soundfile.SoundFile, limit: int | None) -> NDArray[np.float32]:
    """Decode to the end, or to one frame more than `limit`, in blocks of bounded memory."""
    stop = sound.frames if limit is None else min(sound.frames, limit + 1)
    block_frames = max(1, BLOCK_VALUES // sound.channels)
    blocks = [np.empty((0, sound.channels), np.float32)]
    total = 0
    while total < stop:
        wanted = min(block_frames, stop - total)
        blocks.append(sound.read(wanted, dtype="float32", always_2d=True))
        total += len(blocks[-1])
        if len(blocks[-1]) < wanted:
            break
    return blocks[-1] if len(blocks) <= 2 else np.concatenate(blocks)


def _check_content(wave: NDArray[np.float32]) -> None:
    """Refuse waves that hold NaN or infinity, or a single value throughout."""
    low, high = float(wave.min()), float(wave.max())
    if not np.isfinite(low + high):
        bad = int(np.count_nonzero(~np.isfinite(wave)))
        raise AudioError(AudioReason.NON_FINITE, f"{bad} of {wave.size} samples are NaN or infinite")
    if low == high:
        raise AudioError(AudioReason.SILENT, f"all {wave.size} samples equal {low:g}")


def _promised_frames(data: bytes, sound: soundfile.SoundFile) -> int | None:
    """Return the frames that must come out of the decoder, None if unknown; raise if bytes are missing."""
    if sound.format in ("WAV", "WAVEX", "RF64"):
        _check_riff(data)
    elif sound.format == "NIST":
        _check_sphere(data)
    elif sound.format == "OGG":
        _check_ogg(data)
    elif sound.format == "MP3":
        return _mp3_frames(data, sound.frames)
    return None if sound.frames >= 1 << 62 else sound.frames


def _check_riff(data: bytes) -> None:
    """Refuse a WAV whose data chunk runs past the end of the file."""
    order = ">" if data[:4] == b"RIFX" else "<"
    position, size_64 = 12, 0
    while position + 8 <= len(data):
        name, size = struct.unpack_from(order + "4sI", data, position)
        if name == b"ds64" and position + 24 <= len(data):
            size_64 = struct.unpack_from("<Q", data, position + 16)[0]
        if name == b"data":
            size = size_64 if size == 0xFFFFFFFF and size_64 else size
            available = len(data) - position - 8
            if available < size and (size_64 or size < STREAM_SIZE):
                raise _cut(available, size, "the data chunk")
            return
        position += 8 + size + size % 2


def _check_sphere(data: bytes) -> None:
    """Refuse a SPHERE file with more or fewer bytes than its sample count asks for."""
    size = re.fullmatch(rb"\s*(\d+)\s*", data[8:16])
    if size is None:
        raise AudioError(AudioReason.UNREADABLE, f"the header gives its size as {data[8:16]!r}")
    header_bytes = int(size[1])
    header = data[:header_bytes]
    found = [
        re.search(rb"^" + name + rb" -i (\d+)", header, re.MULTILINE)
        for name in (b"sample_count", b"channel_count", b"sample_n_bytes")
    ]
    if found[0] is None:
        return
    count, channels, sample_bytes = (int(match[1]) if match else 1 for match in found)
    expected, available = count * channels * sample_bytes, len(data) - header_bytes
    if available < expected:
        raise _cut(available, expected, "the header")
    if available > expected:
        detail = f"the header promises {expected} bytes of samples but {available} follow"
        raise AudioError(AudioReason.UNREADABLE, detail)


def _check_ogg(data: bytes) -> None:
    """Refuse an Ogg stream whose last page is cut or not marked as the end (RFC 3533, section 6)."""
    page = data[data.rfind(b"OggS") :]
    ends = len(page) > 27 and bool(page[5] & 4)
    if not ends or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        raise AudioError(AudioReason.TRUNCATED, "the last Ogg page is cut or does not end the stream")


def _mp3_frames(data: bytes, claimed: int) -> int | None:
    """Return the samples promised by an MP3: those of its Xing/Info tag, or the sum over its frame headers.

    One MPEG frame of tolerance: decoders trim their own delay. None where no frame header stands at the
    start. Without a tag libsndfile stops at the length it guessed from the first bit rate; where that is too
    short, the file is refused rather than cut.
    """
    start = position = _skip_id3(data)
    frames, frame_samples = 0, 0
    while (header := _mpeg_header(data, position)) is not None:
        frame_bytes, frame_samples = header
        if position + frame_bytes > len(data):
            raise _cut(len(data) - position, frame_bytes, f"MPEG frame {frames + 1}")
        position += frame_bytes
        frames += 1
    if frames == 0:
        return None
    tag = re.compile(rb"Xing|Info").search(data, start, start + 40)
    if tag is None:
        least = (frames - 1) * frame_samples
        if claimed < least:
            detail = f"no length tag and a varying bit rate: {claimed} of {least} samples decode; write it again"
            raise AudioError(AudioReason.UNREADABLE, detail)
        return least
    flags, count = struct.unpack(">II", data[tag.end() : tag.end() + 8].rjust(8, b"\0"))
    if flags & 1 and frames - 1 < count:
        raise _cut(frames - 1, count, "the Xing tag", unit="frames")
    return claimed - frame_samples


def _skip_id3(data: bytes) -> int:
    """Return where the ID3v2 tags at the start of the file end (their sizes are four 7-bit bytes)."""
    position = 0
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        a, b, c, d = data[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d)
    return position


def _mpeg_header(data: bytes, position: int) -> tuple[int, int] | None:
    """Return (bytes, samples) of the layer III frame at `position`, None where no such header stands."""
    if position + 4 > len(data) or data[position] != 0xFF or data[position + 1] & 0xE6 != 0xE2:
        return None
    version = data[position + 1] >> 3 & 3
    kbps_index, rate_index = data[position + 2] >> 4, data[position + 2] >> 2 & 3
    if version == 1 or kbps_index in (0, 15) or rate_index == 3:
        return None
    frame_samples = 1152 if version == 3 else 576
    kbps = MPEG_KBPS[3 if version == 3 else 2][kbps_index]
    padding = data[position + 2] >> 1 & 1
    return frame_samples * 125 * kbps // MPEG_RATES_HZ[version][rate_index] + padding, frame_samples


def _cut(found: int, promised: int, by: str, unit: str = "bytes") -> AudioError:
    """Return the error for a file that ends before what one of its headers promises."""
    return AudioError(AudioReason.TRUNCATED, f"{by} promises {promised} {unit} but {found} are there")
