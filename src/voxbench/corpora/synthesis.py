"""What the writers of synthetic twins share: casting, talking, recording, and a tree that is whole or absent.

Shape letter: S samples.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from voxbench.audio.channel import Channel, transmit
from voxbench.audio.voices import Voice, invent_sentence, speak
from voxbench.config import Twin
from voxbench.schema import GENDERS, InputError
from voxbench.seeding import derive_seed, generator


@contextmanager
def whole_tree(root: Path) -> Iterator[Path]:
    """Yield a folder beside `root` that takes its name when the block ends: a tree at `root` is always whole.

    Raises InputError if `root` exists and is not empty.
    """
    if root.exists() and any(root.iterdir()):
        raise InputError(f"{root} exists and is not empty; remove it to write a new twin there")
    partial = root.with_name(root.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    yield partial
    os.replace(partial, root)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines that end with a newline on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def cast(settings: Twin, purpose: str) -> list[tuple[str, bool]]:
    """Deal sexes (half each) and places in the official test set (as many of each sex) to speakers, in random order.

    Raises InputError for a count that is odd or leaves a set without one of the sexes.
    """
    per_sex, odd = divmod(settings.speakers, len(GENDERS))
    test_per_sex = round(settings.test_fraction * per_sex)
    if odd or not 0 < test_per_sex < per_sex:
        raise InputError(
            f"{settings.speakers} speakers with test_fraction {settings.test_fraction}; expected an even "
            f"count that leaves at least one speaker of each sex in both sets"
        )
    roles = [(gender, place < test_per_sex) for gender in GENDERS for place in range(per_sex)]
    return [roles[role] for role in generator(settings.seed, purpose).permutation(len(roles))]


def draw_channel(draws: np.random.Generator, settings: Twin, *room: str | int) -> Channel:
    """Draw the recording conditions of one session; `room` names its impulse response."""
    return Channel(
        room_seed=derive_seed(settings.seed, "room", *room),
        rt60_seconds=draws.uniform(*settings.reverberation_seconds),
        snr_db=draws.uniform(*settings.snr_db),
        pink_share=draws.uniform(),
        low_hz=draws.uniform(*settings.low_hz),
        high_hz=draws.uniform(*settings.high_hz),
        filter_order=settings.filter_order,
        peak_dbfs=draws.uniform(*settings.peak_dbfs),
    )


def record(
    voice: Voice, text: str, sample_rate_hz: int, channel: Channel, draws: np.random.Generator
) -> NDArray[np.floating]:
    """Return `text` spoken by `voice` through `channel`, `(S,)` at `sample_rate_hz`."""
    wave_S, spoken_rate_hz = speak(voice, text)
    return transmit(soxr.resample(wave_S, spoken_rate_hz, sample_rate_hz), sample_rate_hz, channel, draws)


def talk(
    voice: Voice, clip_seconds: tuple[float, float], sample_rate_hz: int, draws: np.random.Generator
) -> NDArray[np.floating]:
    """Speak invented sentences until the drawn length is reached, and cut there, as clips from long recordings are."""
    samples = round(draws.uniform(*clip_seconds) * sample_rate_hz)
    waves, length = [], 0
    while length < samples:
        wave_S, spoken_rate_hz = speak(voice, invent_sentence(draws, voice.language))
        waves.append(soxr.resample(wave_S, spoken_rate_hz, sample_rate_hz))
        length += waves[-1].size
    return np.concatenate(waves)[:samples]
