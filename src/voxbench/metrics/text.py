"""Word and character error rates of transcripts, with the alignments behind them.

Definition: the edits that turn the references into the hypotheses, over the length of the references (Morris,
Maier and Green, Interspeech 2004, who also say what the rate is not; NIST's sclite). The edits are
`voxbench.metrics.alignment`'s, where the rule for equally short alignments stands.

Conventions:

- A rate belongs to the whole list: the sum of all errors over the sum of all reference lengths. It is no mean of
  the utterances' rates, in which a one-word utterance would weigh as much as a paragraph. Rates are fractions,
  and pass 1 where insertions are many.
- Nothing is normalised: neither case nor punctuation, accents, or Unicode's composed and decomposed forms. What
  should not count as an error is taken out of both sides first, and the report says how.
- Words are what white space (as Python's `str.split` knows it) separates. Characters are Unicode code points, and
  spaces count, at both ends as well: jiwer strips the ends, which is the one deviation from it.
- An empty reference adds its insertions to the sum of errors, and nothing to that of lengths. If all references
  are empty, the rate is 0 where all hypotheses are too, and undefined elsewhere.
- An empty hypothesis is a transcript: everything is deleted. A missing one (None, NaN) is refused.

Every function takes `references` and `hypotheses`, lists of strings that are matched by position, or two single
strings, and raises `InputError` for anything else.

Shape letters: N utterances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.alignment import EditCounts, Tokens, alignment_steps, edit_counts
from voxbench.metrics.inputs import finite_numbers
from voxbench.metrics.registries import UndefinedError, metric
from voxbench.schema import InputError, ScoreKind

Texts = str | Iterable[str]


@dataclass(frozen=True, slots=True)
class Alignment:
    """One utterance's tokens side by side, (reference, hypothesis), None where one has no counterpart."""

    pairs: tuple[tuple[str | None, str | None], ...]

    @property
    def operations(self) -> str:
        """Return one letter for each pair: C correct, S substitution, D deletion, I insertion.

        >>> align_words("one two three", "one too three four")[0].operations
        'CSCI'
        """
        return "".join(map(_operation, self.pairs))


@metric(ScoreKind.TEXT, greater_is_better=False)
def wer(references: Texts, hypotheses: Texts) -> float:
    """Return the word error rate, (substitutions + deletions + insertions) / words of the references.

    >>> wer(["the cat sat on the mat", "hi"], ["the cat sit on the mat", "hi there"])
    0.2857142857142857
    """
    counts = word_counts(references, hypotheses)
    return error_rate(counts.errors, counts.reference)


@metric(ScoreKind.TEXT, greater_is_better=False)
def cer(references: Texts, hypotheses: Texts) -> float:
    """Return the character error rate, (substitutions + deletions + insertions) / characters of the references.

    >>> cer(["the cat sat", "hi"], ["the cat sit", ""])
    0.23076923076923078
    """
    counts = character_counts(references, hypotheses)
    return error_rate(counts.errors, counts.reference)


def error_rate(errors: ArrayLike, lengths: ArrayLike) -> float:
    """Return the sum of `errors` (N,) over the sum of reference `lengths` (N,).

    A word error rate for `cluster_bootstrap`: what is counted once need not be aligned for each resample.
    Zero over zero is 0; errors without a reference token are undefined.

    >>> from voxbench.metrics.uncertainty import cluster_bootstrap
    >>> counts = word_counts(["a b c", "d e", "f"], ["a b c", "d", "f g"])
    >>> speakers, generator = ["p", "q", "r"], np.random.default_rng(1)
    >>> found = cluster_bootstrap(
    ...     error_rate, speakers, counts.errors, counts.reference, resamples=50, level=0.9, generator=generator
    ... )
    >>> round(found.estimate, 4), found.clusters
    (0.3333, 3)
    """
    errors_N, lengths_N = finite_numbers(errors, "errors"), finite_numbers(lengths, "lengths")
    if errors_N.shape != lengths_N.shape:
        raise InputError(f"lengths must have shape {errors_N.shape} like errors, found {lengths_N.shape}")
    total, length = float(errors_N.sum()), float(lengths_N.sum())
    if length == 0 and total > 0:
        raise UndefinedError(f"an error rate needs a reference: all are empty, and {total:g} tokens were inserted")
    return total / length if length else 0.0


def word_counts(references: Texts, hypotheses: Texts) -> EditCounts:
    """Count the words of each reference, and the word errors of each kind in its hypothesis.

    >>> counts = word_counts(["a b c d", "", "x"], ["a c d e", "new", ""])
    >>> counts.substitutions.tolist(), counts.deletions.tolist(), counts.insertions.tolist()
    ([0, 0, 0], [1, 0, 1], [1, 1, 0])
    """
    numbers: dict[str, int] = {}
    sides = [[_numbered(text.split(), numbers) for text in side] for side in _sides(references, hypotheses)]
    return edit_counts(*sides)


def character_counts(references: Texts, hypotheses: Texts) -> EditCounts:
    """Count the characters of each reference, and the character errors of each kind in its hypothesis.

    >>> character_counts("mi voz", "mi vos").substitutions.tolist()
    [1]
    """
    return edit_counts(*[[_code_points(text) for text in side] for side in _sides(references, hypotheses)])


def align_words(references: Texts, hypotheses: Texts) -> list[Alignment]:
    """Return for each utterance which words stand side by side.

    >>> align_words(["the cat sat"], ["a cat"])[0].pairs
    (('the', 'a'), ('cat', 'cat'), ('sat', None))
    """
    return _aligned(references, hypotheses, str.split)


def align_characters(references: Texts, hypotheses: Texts) -> list[Alignment]:
    """Return for each utterance which characters stand side by side.

    >>> align_characters("año", "ano")[0].operations
    'CSC'
    """
    return _aligned(references, hypotheses, list)


def _aligned(references: Texts, hypotheses: Texts, split: Callable[[str], list[str]]) -> list[Alignment]:
    """Return the alignments of texts that `split` turns into tokens."""
    numbers: dict[str, int] = {}
    alignments = []
    for reference, hypothesis in zip(*_sides(references, hypotheses), strict=True):
        ours, theirs = split(reference), split(hypothesis)
        steps = alignment_steps(_numbered(ours, numbers), _numbered(theirs, numbers))
        pairs = tuple((None if i is None else ours[i], None if j is None else theirs[j]) for i, j in steps)
        alignments.append(Alignment(pairs))
    return alignments


def _operation(pair: tuple[str | None, str | None]) -> str:
    """Return the letter of one pair."""
    reference, hypothesis = pair
    if reference is None:
        return "I"
    if hypothesis is None:
        return "D"
    return "C" if reference == hypothesis else "S"


def _sides(references: Texts, hypotheses: Texts) -> tuple[list[str], list[str]]:
    """Return both sides as lists of strings of one length; anything else is refused."""
    if isinstance(references, str) != isinstance(hypotheses, str):
        raise InputError("references and hypotheses must be two lists or two strings, found one of each")
    ours, theirs = _texts(references, "references"), _texts(hypotheses, "hypotheses")
    if len(ours) != len(theirs):
        raise InputError(f"references has {len(ours)} utterances but hypotheses has {len(theirs)}")
    if not ours:
        raise InputError("references must hold at least one utterance, found none")
    return ours, theirs


def _texts(values: Texts, name: str) -> list[str]:
    """Return texts as a list; what has no order, and rows that are no string, are refused."""
    if isinstance(values, str):
        return [values]
    # The order of a mapping or a set is not that of the other side.
    if isinstance(values, (bytes, Mapping, Set)) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of strings, found {type(values).__name__}")
    texts = list(values)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"{name} must be strings, found {text!r} in row {row}; an empty transcript is '', a missing one "
                "is no transcript"
            )
    return texts


def _numbered(words: list[str], numbers: dict[str, int]) -> Tokens:
    """Return the numbers of words, giving new words the next ones."""
    return np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int32)


def _code_points(text: str) -> Tokens:
    """Return the Unicode code points of a text; those of lone surrogates too, which no encoding has."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.int32)
