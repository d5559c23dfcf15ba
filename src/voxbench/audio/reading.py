"""Audio files to mono float32 waves, with one closed vocabulary for everything that can be wrong with them.

Decoding is libsndfile's (through `soundfile`): WAV, FLAC, MP3, Ogg and NIST SPHERE; AAC in MP4 (`.m4a`) is
FFmpeg's (`m4a`). The first bytes decide, never the name. Decoders take many damaged files without a word, so
each container is first asked what it promises (`riff`, `sphere`, `flac`, `ogg`, `mp3`, `mp4`), and afterwards
the decoder's rate, channels and frames are held against that.

Refused as truncated, for something promised is not there:

- all: the decoder stops before the promised frames
- WAV (WAVEX, RF64, RIFX): the data chunk runs past the end of the file, or ends within a frame
- SPHERE: fewer bytes than sample_count asks for
- FLAC: damage, by the frames' checksums: where one is wrong the decoder stops
- Ogg: a page is missing or cut, or the last does not end the stream
- MP3: the last frame is cut, or there are fewer than the Xing/Info tag counts
- MP4: no whole moov box, frames outside the file, or shorter than the tables say

Refused as unreadable, for what the file says cannot be so:

- all: another container or codec (`FORMATS`, `SUBTYPES`); no audio rate; more than MOST_BYTES
- WAV: a fmt chunk that contradicts itself; samples left out by a data chunk that says too little; a second data or
  fmt chunk; an ID3 tag in front
- SPHERE: more bytes than sample_count; lines of the header missing or contradicting each other
- FLAC: more samples than STREAMINFO says; a first frame of another rate, width or number of channels
- Ogg: a page with a wrong checksum; a second stream
- MP3: more frames than the tag counts; anything between frames; without a tag, a varying bit rate, or behind the
  frames anything but tags and zeros
- MP4: what `mp4` lists; frames longer than the tables say

Accepted, for nothing promised is lost:

- all: bytes behind the recording (tags, zeros, rubbish; FLAC and WAV: even another recording, if that was not
  promised); values beyond full scale
- WAV: a wrong RIFF size, fact chunk or block alignment; the data sizes that mean "a stream"
- FLAC: a wrong MD5; an unknown length; an ID3 tag in front
- MP3: tags in front and behind; damage within frames, which carry no checksum
- MP4: other boxes and tracks

Legend: S samples, C channels.
"""

from __future__ import annotations

import math
import os
import stat
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxbench.audio.flac import WithoutLength, flac_promise
from voxbench.audio.m4a import decode_m4a
from voxbench.audio.mp3 import mp3_promise, skip_id3
from voxbench.audio.ogg import ogg_promise
from voxbench.audio.promise import AudioReason, Promise, unreadable
from voxbench.audio.riff import riff_promise
from voxbench.audio.sphere import sphere_promise
from voxbench.schema import AudioError

FORMATS = ("WAV", "FLAC", "MP3", "Ogg Vorbis or Opus", "NIST SPHERE", "M4A")
SUBTYPES = (
    *("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    *("MPEG_LAYER_III", "VORBIS", "OPUS"),
)
PLAUSIBLE_RATES_HZ = (1_000, 768_000)
MOST_BYTES = 1 << 30  # 9 hours of 16 kHz PCM: what is larger is no utterance, and would not fit into many workers
PIECE_BYTES = 1 << 20
BLOCK_VALUES = 1 << 24  # a header may promise 2^36 frames: memory follows what is decoded, not what is promised
UNKNOWN_FRAMES = 1 << 62  # libsndfile's number for a length that is not known lies above


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
    """Return the content of a regular file of at most MOST_BYTES, or of a link to one.

    Anything else is an AudioError like any other fault: pipes, sockets and devices are not even opened, for
    that could wait for ever.
    """
    name = _shown(path)
    if "\0" in os.fsdecode(path):
        raise unreadable(f"{name}: a zero byte in its name")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise unreadable(f"{name}: not a regular file")
        # Between the two looks the name may have become a pipe; opened without waiting, that can be seen.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise unreadable(f"{name}: not a regular file")
            if facts.st_size > MOST_BYTES:
                raise unreadable(f"{name}: {facts.st_size} bytes; at most {MOST_BYTES} are read")
            data = file.read(facts.st_size + 1)
    except OSError as error:
        raise unreadable(f"{name}: {error.strerror}") from error
    if len(data) > facts.st_size:
        raise unreadable(f"{name}: it grew beyond its {facts.st_size} bytes while it was read")
    return data


def _shown(path: str | os.PathLike[str]) -> str:
    """Return a file's name as one line of valid text, whatever bytes it has."""
    name = Path(path).name
    return name if name.isprintable() else ascii(name)


def decode_audio(
    source: bytes | str | os.PathLike[str] | BinaryIO, max_seconds: float | None = None
) -> tuple[NDArray[np.float32], int]:
    """Decode an encoded recording given as bytes, binary file object or path; see `load_audio`."""
    if isinstance(source, str | os.PathLike):
        data = read_bytes(source)
    else:
        data = source if isinstance(source, bytes) else _drained(source)
    if not data:
        raise AudioError(AudioReason.EMPTY, "the file has 0 bytes")
    if len(data) > MOST_BYTES:
        raise unreadable(f"more than the {MOST_BYTES} bytes that are read")
    if data[4:8] == b"ftyp":
        wave, rate_hz = decode_m4a(data, max_seconds)
    else:
        wave, rate_hz = _decode_sound(data, max_seconds)
    _check_content(wave)
    return wave, rate_hz


def _drained(source: BinaryIO) -> bytes:
    """Return what is left in a file, or a little more than MOST_BYTES of it; asked for all of that, it reserves it."""
    parts, total = [], 0
    while total <= MOST_BYTES and (part := source.read(PIECE_BYTES)):
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def _decode_sound(data: bytes, max_seconds: float | None) -> tuple[NDArray[np.float32], int]:
    """Decode with libsndfile what its container has been found to promise."""
    promise, file = _promise(data, max_seconds)
    try:
        return _decode_file(file, promise, max_seconds)
    except AudioError as error:
        if error.reason != AudioReason.TRUNCATED or not promise.look_behind:
            raise
    # Whatever stands behind the last frame of a FLAC stops its decoder; the recording itself may be whole.
    file.seek(0)
    return _decode_file(file, promise._replace(look_behind=False), max_seconds)


def _decode_file(file: BytesIO, promise: Promise, max_seconds: float | None) -> tuple[NDArray[np.float32], int]:
    try:
        with _ForwardReader(file) as sound:
            _compare(promise, sound)
            return _read_frames(sound, promise, max_seconds), sound.samplerate
    except soundfile.LibsndfileError as error:
        raise unreadable(error.error_string) from error


def _promise(data: bytes, max_seconds: float | None) -> tuple[Promise, BytesIO]:
    """Return what the container promises, and the file to decode; raise for what is no known container."""
    start = skip_id3(data)
    magic = data[start : start + 12]
    if magic[:4] == b"fLaC":
        return flac_promise(data, start), WithoutLength(data, start)
    if start or magic[:1] == b"\xff":
        promise, end = mp3_promise(data, max_seconds)
        return promise, BytesIO(data if end == len(data) else data[:end])
    if magic[:4] in (b"RIFF", b"RIFX", b"RF64") and magic[8:] == b"WAVE":
        return riff_promise(data), BytesIO(data)
    if magic[:4] == b"OggS":
        return ogg_promise(data), BytesIO(data)
    if magic[:7] == b"NIST_1A":
        return sphere_promise(data), BytesIO(data)
    raise unreadable(f"the file begins with {magic!r}; expected one of {', '.join(FORMATS)}")


def _compare(promise: Promise, sound: soundfile.SoundFile) -> None:
    """Refuse what the decoder understands otherwise than the container's own words."""
    if sound.subtype not in SUBTYPES:
        raise unreadable(f"{sound.format} of {sound.subtype}; expected one of {', '.join(SUBTYPES)}")
    low_hz, high_hz = PLAUSIBLE_RATES_HZ
    if not low_hz <= sound.samplerate <= high_hz:
        raise unreadable(f"the header says {sound.samplerate} Hz, which is no audio rate")
    promised = promise.frames if promise.exact and sound.frames < UNKNOWN_FRAMES else None
    for what, said, found in (
        ("rate", promise.rate_hz, sound.samplerate),
        ("channels", promise.channels, sound.channels),
        ("frames", promised, sound.frames),
    ):
        if said not in (None, found):
            raise unreadable(f"{what}: {said} in the header but {found} for the decoder")
    if promise.frames is not None and sound.frames < promise.frames:
        detail = f"no length tag and a varying bit rate: {sound.frames} of {promise.frames} samples decode"
        raise unreadable(f"{detail}; write it again")


def _read_frames(sound: soundfile.SoundFile, promise: Promise, max_seconds: float | None) -> NDArray[np.float32]:
    """Decode to `(S,)` and compare what came with what the container promised."""
    open_ended = sound.frames >= UNKNOWN_FRAMES
    promised = promise.frames
    if promised is None and not open_ended:
        promised = sound.frames - promise.slack
    limit = None if max_seconds is None else int(max_seconds * sound.samplerate)
    stop = sound.frames if promised is None or not open_ended else promised + promise.look_behind
    wave = _read_blocks(sound, stop if limit is None else min(stop, limit + 1), promised)
    if limit is not None and len(wave) > limit:
        raise AudioError(AudioReason.TOO_LONG, f"more than {max_seconds:g} s")
    if promised is not None and len(wave) < promised:
        raise AudioError(AudioReason.TRUNCATED, f"{len(wave)} frames decoded, {promised} promised")
    if promised is not None and open_ended and len(wave) > promised:
        raise unreadable(f"the header promises {promised} frames but more follow")
    if not len(wave):
        raise AudioError(AudioReason.EMPTY, "the file has a header but 0 frames")
    return wave


def _read_blocks(sound: soundfile.SoundFile, stop: int, promised: int | None) -> NDArray[np.float32]:
    """Decode up to `stop` frames, channels averaged, in blocks of bounded memory."""
    block_frames = max(1, BLOCK_VALUES // sound.channels)
    blocks = [np.empty(0, np.float32)]
    total = 0
    while total < stop:
        wanted = min(block_frames, stop - total)
        try:
            blocks.append(_to_mono(sound.read(wanted, dtype="float32", always_2d=True)))
        except soundfile.LibsndfileError as error:
            before = "the end" if promised is None else f"the {promised} frames promised"
            detail = f"the decoder stopped before {before}: {error.error_string}"
            raise AudioError(AudioReason.TRUNCATED, detail) from error
        total += len(blocks[-1])
        if len(blocks[-1]) < wanted:
            break
    return blocks[-1] if len(blocks) <= 2 else np.concatenate(blocks)


def _to_mono(wave_SC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over the channels; one channel is returned as it is."""
    if wave_SC.shape[1] == 1:
        return wave_SC[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # infinities are refused by their own name
        mono: NDArray[np.float32] = wave_SC.mean(axis=1, dtype=np.float32)
    return mono


def _check_content(wave: NDArray[np.float32]) -> None:
    """Refuse waves that hold NaN or infinity, or a single value throughout."""
    low, high = float(wave.min()), float(wave.max())
    if not math.isfinite(low + high):
        bad = int(np.count_nonzero(~np.isfinite(wave)))
        raise AudioError(AudioReason.NON_FINITE, f"{bad} of {wave.size} samples are NaN or infinite")
    if low == high:
        raise AudioError(AudioReason.SILENT, f"all {wave.size} samples equal {low:g}")
