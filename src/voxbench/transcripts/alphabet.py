# ruff: noqa: RUF001, RUF002 - Cyrillic letters that look like Latin ones are meant.
"""The classes of a network that writes English and Russian, and texts as their numbers.

The alphabet is fixed, not learnt: a text means the same classes for every corpus, and what a corpus cannot spell is
found before training. `ё` is written `е`, as most Russian print does; `normalising` brings texts into this form.

Shape letters: N texts, L characters of the longest text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from voxbench.schema import InputError

LATIN = "abcdefghijklmnopqrstuvwxyz"
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
CLASSES: tuple[str, ...] = ("", " ", "'", *LATIN, *CYRILLIC)
BLANK = 0
NEVER = -1e4
"""The natural logarithm that stands for probability 0: its exponential is 0, and its sums over frames stay finite."""

_NUMBERS = {character: number for number, character in enumerate(CLASSES) if number != BLANK}


def encode(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return the class numbers (N, L) of texts, filled with `BLANK` to the longest; L is at least 1.

    An empty text is a row of `BLANK`. A character that is no class raises `InputError`: texts come from `normalise`.

    >>> encode(["a b", "я"]).tolist()
    [[3, 1, 4], [60, 0, 0]]
    """
    if isinstance(texts, str):
        raise InputError(f"expected a list of texts, found the single text {texts!r}; put it into a list")
    numbers_NL = np.full((len(texts), max(map(len, texts), default=1) or 1), BLANK, dtype=np.int64)
    for row, text in enumerate(texts):
        numbers_NL[row, : len(text)] = _numbered(text)
    return numbers_NL


def decode(classes_NL: NDArray[np.integer]) -> list[str]:
    """Return the texts of class numbers (N, L) as `encode` writes them.

    These are rows of targets, not a network's frames: nothing is collapsed. A number that is no class, and a `BLANK`
    before a character, raise `InputError`.

    >>> decode(np.array([[3, 3, 0], [0, 0, 0]]))
    ['aa', '']
    """
    rows = np.asarray(classes_NL)
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer):
        raise InputError(f"expected class numbers (N, L), found {rows.dtype} of shape {rows.shape}")
    if rows.size and not 0 <= rows.min() <= rows.max() < len(CLASSES):
        raise InputError(f"classes are 0 to {len(CLASSES) - 1}, found {rows.min()} to {rows.max()}")
    if ((rows[:, :-1] == BLANK) & (rows[:, 1:] != BLANK)).any():
        raise InputError(f"class {BLANK} fills a row's end, found one before a character: are these frames?")
    return [spelt(row) for row in rows.tolist()]


def spelt(numbers: Iterable[int]) -> str:
    """Return the characters of class numbers as they stand, without the blanks of CTC.

    >>> spelt([3, 0, 1, 3])
    'a a'
    """
    return "".join(CLASSES[number] for number in numbers)


def _numbered(text: str) -> list[int]:
    """Return the class numbers of one text."""
    try:
        return [_NUMBERS[character] for character in text]
    except KeyError as error:
        raise InputError(
            f"{text!r} holds {error.args[0]!r}, which is no class: blank, apostrophe, a to z and а to я without ё are; "
            "normalise the text first"
        ) from None
