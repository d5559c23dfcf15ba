"""The vocabulary that every floor shares: closed sets of words, the utterance row, input errors.

Corpora, models, tasks and metrics never mention each other. They meet in three closed
vocabularies (`InputKind`, `ScoreKind`, `Split`) and in one row type (`Utterance`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class InputError(ValueError):
    """The user's input is wrong; the message names what was found, what was expected and the fix."""


class AudioError(InputError):
    """A recording that cannot be used; `reason` is the word written to `excluded.csv`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class InputKind(StrEnum):
    """What a model eats; also the name of a front end's output."""

    WAVE = "wave"
    SPECTROGRAM = "spectrogram"
    CEPSTRA = "cepstra"


class ScoreKind(StrEnum):
    """What a task's score table holds."""

    CLASSES = "classes"
    VALUE = "value"
    DETECTION = "detection"
    TEXT = "text"


class Split(StrEnum):
    """The role of a row; only reports read `TEST`."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


GENDERS = ("female", "male")
BONAFIDE = "bonafide"
AGE_GROUPS = ("teens", "twenties", "thirties", "fourties", "fifties", "sixties+")
"""Common Voice's words, its spelling of 40 to 49 included; the paper merges what is 60 and above."""

AGE_WORDS = {group: group for group in AGE_GROUPS} | {
    "forties": "fourties",
    **dict.fromkeys(("sixties", "seventies", "eighties", "nineties"), "sixties+"),
}
"""Words for age groups as corpora write them, and the group that each means."""


def age_group(years: float) -> str:
    """Return the age group of an age in years: teens below 20, then by decade, `sixties+` from 60.

    >>> [age_group(years) for years in (8, 19.9, 20, 49.9, 75)]
    ['teens', 'teens', 'twenties', 'fourties', 'sixties+']
    """
    if not 0 <= years <= 130:
        raise InputError(f"age {years:g}, expected years from 0 to 130")
    return AGE_GROUPS[min(max(int(years // 10) - 1, 0), len(AGE_GROUPS) - 1)]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what its corpus says about it; absent facts are None.

    `id` is unique within the corpus and is the path relative to its root, in POSIX form.
    `split` is the corpus's official split where it has one. Where several people are heard, `speakers`
    names each and `speaker` all of them, joined by `+`. `attack` is `bonafide`, or the name of the attack that
    made a spoofed recording. `extra` keeps the columns that no field names.
    """

    id: str
    path: Path
    speaker: str
    split: Split | None = None
    session: str | None = None
    gender: str | None = None
    age_years: float | None = None
    age_group: str | None = None
    language: str | None = None
    text: str | None = None
    attack: str | None = None
    speakers: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
