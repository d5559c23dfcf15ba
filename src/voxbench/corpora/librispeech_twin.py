"""The synthetic twin of LibriSpeech: whole sentences in FLAC, with transcripts and the table of readers.

Subsets: `test_fraction` of each sex reads for test-clean, as many for dev-clean, all others for train-clean-100. A
session is a chapter, a clip one utterance: a sentence, followed by others until the lower bound of `clip_seconds` is
reached. Nothing is cut, for the transcript must match, so the upper bound has no effect.

Deviations from LibriSpeech: all texts are invented, and there is no book; `CHAPTERS.TXT`, `BOOKS.TXT` and the
"other" subsets are left out. Readers are numbered at random, chapters after reader and session.

Shape letter: S samples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxbench.audio.channel import Channel
from voxbench.audio.voices import Voice, draw_voice, invent_sentence
from voxbench.config import Twin
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import cast, draw_channel, record, whole_tree, write_lines
from voxbench.schema import InputError, Split
from voxbench.seeding import generator

SAMPLE_RATE_HZ = 16_000
SUBSETS = {Split.TRAIN: "train-clean-100", Split.VALID: "dev-clean", Split.TEST: "test-clean"}
READERS = 10_000
"""Readers' numbers are below this, as LibriVox's were when the corpus was made."""
BARRED = "|SYN|Voice"
"""The name of the first reader, which reads wrongly where a table is split at every bar."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader of the twin; `number` is the name of the folder."""

    index: int
    gender: str
    split: Split
    number: int

    @property
    def subset(self) -> str:
        """The subset that the reader belongs to."""
        return SUBSETS[self.split]


@twins.register("librispeech")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic LibriSpeech; equal settings give equal bytes.

    Raises InputError if `root` exists and is not empty, for a cast that leaves a set without one of the sexes, and
    for settings that this layout does not have.
    """
    _check(settings)
    readers = deal(settings)
    with whole_tree(root) as folder:
        minutes = [_write_reader(folder, reader, settings) for reader in readers]
        write_lines(folder / "SPEAKERS.TXT", _table(readers, minutes))
        note = "Synthetic speech in the layout of LibriSpeech: every voice is generated, nobody was recorded."
        write_lines(folder / "README.TXT", [note, "Made by voxbench with eSpeak NG; not part of LibriSpeech."])


def _check(settings: Twin) -> None:
    if settings.edition is not None or settings.age_years is not None or settings.unlabelled_fraction:
        raise InputError(
            f"edition {settings.edition!r}, age_years {settings.age_years}, unlabelled_fraction "
            f"{settings.unlabelled_fraction}: LibriSpeech has one edition, no ages and labels for everyone; "
            "set null, null and 0"
        )
    if settings.language.split("-")[0] != "en":
        raise InputError(f"language {settings.language!r}: LibriSpeech is in English; set en-US")


def deal(settings: Twin) -> list[Reader]:
    """Return the readers, with sexes, splits and numbers dealt at random."""
    roles = cast_three(settings, "librispeech cast")
    numbers = 1 + generator(settings.seed, "librispeech numbers").choice(READERS - 1, len(roles), replace=False)
    return [Reader(index, *role, number=int(numbers[index])) for index, role in enumerate(roles)]


def cast_three(settings: Twin, purpose: str) -> list[tuple[str, Split]]:
    """Deal sexes and all three splits to speakers: `valid` gets as many of each sex as `test`.

    Raises InputError for a count that is odd or leaves a split without one of the sexes.
    """
    roles = cast(settings, purpose)
    each = sum(is_test for _, is_test in roles) // 2
    if len(roles) // 2 <= 2 * each:
        raise InputError(
            f"{settings.speakers} speakers with test_fraction {settings.test_fraction}: valid takes as many as test, "
            "which leaves none of each sex for training; lower test_fraction"
        )
    dealt, waiting = [], {"female": each, "male": each}
    for gender, is_test in roles:
        is_valid = not is_test and waiting[gender] > 0
        waiting[gender] -= is_valid
        dealt.append((gender, Split.TEST if is_test else Split.VALID if is_valid else Split.TRAIN))
    return dealt


def transcript(text: str) -> str:
    """Return a text as LibriSpeech writes it: upper case, no punctuation but the apostrophe.

    >>> transcript("However, the sailor's boat sank.")
    "HOWEVER THE SAILOR'S BOAT SANK"
    """
    return " ".join(re.sub("[^A-Z' ]", " ", text.upper()).split())


def _table(readers: list[Reader], minutes: list[float]) -> list[str]:
    """Return the lines of SPEAKERS.TXT, ordered by number."""
    lines = ["; Readers of a synthetic corpus; the name of one of them holds the separator.", ";"]
    lines.append(";ID  |SEX| SUBSET           |MINUTES| NAME")
    rows = sorted(zip(readers, minutes, strict=True), key=lambda row: row[0].number)
    for reader, spoken in rows:
        name = BARRED if reader.index == 0 else f"Synthetic Voice {reader.index}"
        sex = reader.gender[0].upper()
        lines.append(f"{reader.number:<4} | {sex} | {reader.subset:<16} | {spoken:5.2f} | {name}")
    return lines


def _write_reader(root: Path, reader: Reader, settings: Twin) -> float:
    """Write the chapters of a reader, each through its own channel, and return the minutes of speech."""
    voice = draw_voice(generator(settings.seed, "librispeech voice", reader.index), reader.gender, None)
    samples = 0
    for session in range(settings.sessions_per_speaker):
        draws = generator(settings.seed, "librispeech session", reader.index, session)
        shift = 1.0 + draws.normal(0.0, settings.session_pitch_sd)
        shifted = replace(voice, language=settings.language, pitch_hz=voice.pitch_hz * shift)
        channel = draw_channel(draws, settings, "librispeech", reader.index, session)
        chapter = f"{reader.index + 1}{session:03d}"
        stem = f"{reader.number}-{chapter}"
        folder = root / reader.subset / str(reader.number) / chapter
        folder.mkdir(parents=True)
        lines = []
        for clip in range(settings.clips_per_session):
            draws = generator(settings.seed, "librispeech clip", reader.index, session, clip)
            text, wave_S = _read_aloud(shifted, settings, channel, draws)
            name = f"{stem}-{clip:04d}"
            soundfile.write(folder / f"{name}.flac", wave_S, SAMPLE_RATE_HZ, subtype="PCM_16")
            lines.append(f"{name} {transcript(text)}")
            samples += wave_S.size
        write_lines(folder / f"{stem}.trans.txt", lines)
    return samples / SAMPLE_RATE_HZ / 60


def _read_aloud(
    voice: Voice, settings: Twin, channel: Channel, draws: np.random.Generator
) -> tuple[str, NDArray[np.floating]]:
    """Return a text and its recording `(S,)`, no shorter than the lower bound of `clip_seconds`."""
    text = invent_sentence(draws, settings.language)
    wave_S = record(voice, text, SAMPLE_RATE_HZ, channel, draws)
    while wave_S.size < settings.clip_seconds[0] * SAMPLE_RATE_HZ:
        text = f"{text} {invent_sentence(draws, settings.language)}"
        wave_S = record(voice, text, SAMPLE_RATE_HZ, channel, draws)
    return text, wave_S
