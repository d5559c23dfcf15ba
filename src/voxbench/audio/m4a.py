"""AAC in MP4 (`.m4a`, VoxCeleb2's form) to mono float32 waves, decoded by FFmpeg's AAC decoder through PyAV.

The boxes are read by `mp4`; FFmpeg sees only the decoder's configuration and one frame after the other. So none
of its demultiplexers, protocols or other decoders meets a byte of a file, and no reference can lead it elsewhere.

An AAC encoder puts its delay (1024 samples and more) in front of the recording and fills up the last frame. The
edit list says how much of the front is delay, and the last frame's duration how much of it is recording: what is
outside is dropped, so the wave is as long as what was encoded. FFmpeg's own `mov` demultiplexer gives the same
samples, with the filling behind them. Without an edit list nothing is dropped (iTunes' own note, iTunSMPB, is not
read).

PyAV is imported on the first call: neither the package nor a server needs it to start.

Legend: S samples, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from voxbench.audio.mp4 import AacTrack, read_track
from voxbench.audio.promise import AudioReason, unreadable
from voxbench.schema import AudioError

MOST_CHANNELS = 7  # PyAV 18 looks for a null behind the last plane; with eight there is none, and the process dies


def decode_m4a(data: bytes, max_seconds: float | None) -> tuple[NDArray[np.float32], int]:
    """Decode the first audio track to a wave `(S,)` and its rate in Hz; see `reading.load_audio`.

    Raises AudioError: what `mp4.read_track` raises, unreadable for frames that FFmpeg refuses or that change
    their rate or channels, truncated or unreadable where the frames last shorter or longer than the tables say.
    """
    track = read_track(data)
    if not len(track.sizes):
        raise AudioError(AudioReason.EMPTY, "an audio track of 0 frames")
    frames = _decoded(data, track)
    block, rate_hz = next(frames)
    _check_times(track, rate_hz, len(block))
    limit = None if max_seconds is None else int(max_seconds * rate_hz)
    start, played = _scaled(track.delay, track, rate_hz), _scaled(track.length, track, rate_hz)
    if not played:
        raise AudioError(AudioReason.EMPTY, "the edit list plays nothing of the audio track")
    stop = start + (played if limit is None else min(played, limit + 1))
    blocks, total = [block], len(block)
    while total < stop and (following := next(frames, None)) is not None:
        blocks.append(following[0])
        total += len(following[0])
    if total < stop:
        raise AudioError(AudioReason.TRUNCATED, f"{total} samples decoded, {stop} promised by the sample table")
    if limit is not None and played > limit:
        raise AudioError(AudioReason.TOO_LONG, f"more than {max_seconds:g} s")
    return np.concatenate(blocks)[start : start + played], rate_hz


def _decoded(data: bytes, track: AacTrack) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield a mono block and its rate for each frame of the track, at least one; they are all of one kind."""
    import av

    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = track.config
    decoder.thread_count = 1
    form = None
    for number, (offset, size) in enumerate(zip(track.offsets.tolist(), track.sizes.tolist(), strict=True), 1):
        try:
            frames = decoder.decode(av.Packet(data[offset : offset + size]))
        except av.FFmpegError as error:
            raise unreadable(f"AAC frame {number} of {len(track.sizes)}: {error.strerror}") from error
        if len(frames) != 1:
            raise unreadable(f"AAC frame {number} of {len(track.sizes)} gives {len(frames)} blocks of sound")
        found = (frames[0].sample_rate, frames[0].layout.nb_channels, frames[0].format.name)
        if found != (form or found) or found[2] != "fltp" or not 1 <= found[1] <= MOST_CHANNELS:
            detail = f"expected {form or f'1 to {MOST_CHANNELS} channels of fltp'}"
            raise unreadable(f"AAC frame {number} has rate, channels and kind {found}; {detail}")
        form = found
        block_CS = frames[0].to_ndarray()
        yield block_CS[0] if len(block_CS) == 1 else block_CS.mean(axis=0, dtype=np.float32), found[0]


def _scaled(units: int, track: AacTrack, rate_hz: int) -> int:
    """Return a number of the track's units of time as samples."""
    return units * rate_hz // track.timescale


def _check_times(track: AacTrack, rate_hz: int, frame_samples: int) -> None:
    """Refuse tables that let the frames last longer or shorter than they do, but for a part of the last."""
    there, promised = len(track.sizes) * frame_samples, _scaled(track.total, track, rate_hz)
    if promised > there + frame_samples:
        raise AudioError(AudioReason.TRUNCATED, f"the sample table promises {promised} samples but {there} are there")
    if promised < there - frame_samples:
        raise unreadable(f"the sample table promises {promised} samples but {there} are there")
