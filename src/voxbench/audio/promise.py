"""What a container promises about the audio in it, and the words for promises that do not hold."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from voxbench.schema import AudioError


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


class Promise(NamedTuple):
    """What a decoder must find: values of None are unknown.

    `exact` frames are all there are; otherwise they are the least that must come. `slack` is how many frames a
    decoder may keep back of a length that it reports itself. `look_behind` asks for one frame more than promised,
    which must not come.
    """

    frames: int | None = None
    rate_hz: int | None = None
    channels: int | None = None
    exact: bool = True
    slack: int = 0
    look_behind: bool = False


def cut(found: int, promised: int, by: str, unit: str = "bytes") -> AudioError:
    """Return the error for a file that ends before what one of its headers promises."""
    return AudioError(AudioReason.TRUNCATED, f"{by} promises {promised} {unit} but {found} are there")


def unreadable(detail: str) -> AudioError:
    """Return the error for a file that is no recording, or whose parts contradict each other."""
    return AudioError(AudioReason.UNREADABLE, detail)
