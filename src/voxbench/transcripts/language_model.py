"""An n-gram model of characters, interpolated by Witten and Bell's estimate, for shallow fusion with a network.

P(c | h) = (n(h c) + t(h) P(c | h')) / (n(h) + t(h)), where n counts, t(h) is the number of different characters seen
after the context h, and h' is h without its first character (Witten and Bell, IEEE Trans. Information Theory 37(4),
1991; in this interpolated form Chen and Goodman, Computer Speech and Language 13, 1999, section 2.4). Under the
empty context stands the uniform distribution. Kneser-Ney's discounts rest on how many n-grams are seen once and
twice, which is no sound estimate for the few dozen characters of a small corpus; this one has nothing to set.

A text begins with `START`, which is a context and never predicted, and ends with an end, which is predicted. The end
stands in the place of CTC's blank, which is no character.

Shape letter: C classes of `alphabet`, of which `BLANK` is the end of the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voxbench.schema import InputError
from voxbench.transcripts.alphabet import BLANK, CLASSES, encode

START = "^"
END = "$"


class CharacterModel:
    """The probabilities of the next character after up to `order - 1` characters, from the counts of n-grams.

    `grams` are those that `counted` finds in texts.
    """

    def __init__(self, grams: Mapping[str, int], order: int) -> None:
        self.order = order
        self.grams = dict(grams)
        self._counts = _followers(grams)
        self._rows: dict[str, NDArray[np.float64]] = {}

    def context(self, text: str) -> str:
        """Return what of a text's beginning matters for what comes next.

        >>> model = CharacterModel(counted(["ab"], 3), 3)
        >>> model.context("a"), model.context("abc")
        ('^a', 'bc')
        """
        return (START + text)[1 - self.order :] if self.order > 1 else ""

    def logs(self, context: str) -> NDArray[np.float64]:
        """Return the natural logarithms (C,) of the probabilities after a `context`; their exponentials sum to 1."""
        while context and context not in self._counts:
            context = context[1:]
        if context not in self._rows:
            logs_C = np.log(self._probabilities(context))
            logs_C.setflags(write=False)
            self._rows[context] = logs_C
        return self._rows[context]

    def log_probability(self, text: str) -> float:
        """Return the natural logarithm of the probability of a text and its end."""
        numbers = [*encode([text])[0, : len(text)].tolist(), BLANK]
        return float(sum(self.logs(self.context(text[:place]))[number] for place, number in enumerate(numbers)))

    def _probabilities(self, context: str) -> NDArray[np.float64]:
        """Return the probabilities (C,) after a context that was seen."""
        lower_C = np.exp(self.logs(context[1:])) if context else np.full(len(CLASSES), 1.0 / len(CLASSES))
        numbers, counts = self._counts[context]
        probabilities_C = len(numbers) * lower_C
        probabilities_C[numbers] += counts
        return probabilities_C / (counts.sum() + len(numbers))


def counted(texts: Sequence[str], order: int) -> dict[str, int]:
    """Return how often each stretch of 1 to `order` characters of normalised texts ends after the start.

    Raises `InputError` for an order below 1 and for texts of which none has a character.
    """
    if order < 1:
        raise InputError(f"order {order}: a model of characters counts at least single ones, order 1")
    if not any(texts):
        raise InputError(f"a language model needs texts, found {len(texts)} without a character")
    encode(texts)
    grams: Counter[str] = Counter()
    for text in texts:
        grams.update(_grams(f"{START}{text}{END}", order))
    return dict(grams)


def _followers(grams: Mapping[str, int]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return for every context the numbers of what was seen after it, and how often each was."""
    numbers = {character: number for number, character in enumerate(CLASSES)} | {END: BLANK}
    found: dict[str, tuple[list[int], list[int]]] = {}
    for gram, count in grams.items():
        after, counts = found.setdefault(gram[:-1], ([], []))
        after.append(numbers[gram[-1]])
        counts.append(count)
    return {
        context: (np.array(after), np.array(counts, dtype=np.float64)) for context, (after, counts) in found.items()
    }


def _grams(marked: str, order: int) -> Iterator[str]:
    """Yield every stretch of 1 to `order` characters that ends after the start."""
    for length in range(1, order + 1):
        for end in range(max(2, length), len(marked) + 1):
            yield marked[end - length : end]
