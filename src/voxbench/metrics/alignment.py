"""The fewest edits that turn one sequence of tokens into another: how many of each kind, and which ones.

Levenshtein's distance (Wagner and Fischer, "The string-to-string correction problem", JACM 21, 1974): a
substitution, a deletion (a reference token that the hypothesis lacks) and an insertion cost one error each.
The number of errors is unique, their kinds are not: "a b" -> "b c" is two substitutions, or one deletion and
one insertion around a correct "b". Here **of the alignments with the fewest errors, one with the fewest
substitutions counts**, which is one with the most correct tokens, so that all three numbers are unique and do
not depend on the direction of the search. Other scorers leave this to the order in which they look, or, as
NIST's sclite, charge a substitution 4 and the others 3, which can give more errors.

Both goals are reached in one search. With K above the number of substitutions possible, an alignment gains 2 K
for a correct token, K - 1 for a substitution and nothing else; the largest gain of n tokens against m is
`(n + m) K - (K errors + substitutions)`. The gain of every pair of prefixes follows from its three neighbours:
a cell's is the largest of those above and to the left, and the diagonal one's plus its own. `edit_counts` fills
the cells of one antidiagonal, for many pairs of sequences, at once.

Shape letters: N pairs, L tokens of the longest reference, M tokens of the longest hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxbench.metrics.inputs import Integers
from voxbench.schema import InputError

Tokens = NDArray[np.int32]

# Tokens of one side that are worked on at once: the arrays of a step stay in the cache of a core.
TOKENS_AT_ONCE = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class EditCounts:
    """Per pair (N,): substitutions, deletions, insertions, and the tokens of the reference."""

    substitutions: Integers
    deletions: Integers
    insertions: Integers
    reference: Integers

    @property
    def errors(self) -> Integers:
        """Return the edits of all three kinds (N,), Levenshtein's distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def correct(self) -> Integers:
        """Return the reference tokens (N,) that the hypothesis has in place."""
        return self.reference - self.substitutions - self.deletions


def edit_counts(references: Sequence[Tokens], hypotheses: Sequence[Tokens]) -> EditCounts:
    """Count the edits from each reference to its hypothesis; tokens are integers >= 0, equal or not.

    Time is that of n x m cells for a pair of n and m tokens between what both begin and end with alike, whatever the
    other pairs are; memory n + m.

    >>> counts = edit_counts([np.array([1, 2, 3, 4], np.int32)], [np.array([1, 3, 4, 5, 6], np.int32)])
    >>> counts.substitutions.tolist(), counts.deletions.tolist(), counts.insertions.tolist()
    ([0], [1], [2])
    """
    if len(references) != len(hypotheses):
        raise InputError(f"found {len(references)} references but {len(hypotheses)} hypotheses")
    lengths_N = np.array([len(tokens) for tokens in references], dtype=np.int64)
    totals_N = lengths_N + np.array([len(tokens) for tokens in hypotheses], dtype=np.int64)
    errors_N, substitutions_N = np.zeros_like(totals_N), np.zeros_like(totals_N)
    between = [_between_shared_ends(a, b) for a, b in zip(references, hypotheses, strict=True)]
    left_N = np.array([len(a) + len(b) for a, b in between], dtype=np.int64)
    for rows in _batches(left_N):
        found = _edits([between[row][0] for row in rows], [between[row][1] for row in rows])
        errors_N[rows], substitutions_N[rows] = found
    # What is no substitution is a deletion or an insertion, and their difference is that of the lengths.
    deletions_N = (errors_N - substitutions_N + 2 * lengths_N - totals_N) // 2
    return EditCounts(substitutions_N, deletions_N, errors_N - substitutions_N - deletions_N, lengths_N)


def alignment_steps(reference: Tokens, hypothesis: Tokens) -> list[tuple[int | None, int | None]]:
    """Return the places (in the reference, in the hypothesis) that stand side by side, None for no counterpart.

    The steps count what `edit_counts` counts. Of equally good alignments, the one is taken that, read from the
    end, pairs two tokens where it can, else deletes: gaps stand as early as possible. Memory is two to eight
    bytes for each of n x m cells.

    >>> alignment_steps(np.array([7, 7, 9], np.int32), np.array([7, 9], np.int32))
    [(0, None), (1, 0), (2, 1)]
    """
    unit, kind = _unit(len(reference), len(hypothesis))
    gains = np.zeros((len(reference) + 1, len(hypothesis) + 1), dtype=kind)
    for i, token in enumerate(reference):
        paired = gains[i, :-1] + _gain(hypothesis == token, unit)
        gains[i + 1, 1:] = np.maximum.accumulate(np.maximum(paired, gains[i, 1:]))
    steps: list[tuple[int | None, int | None]] = []
    i, j = len(reference), len(hypothesis)
    while i or j:
        here = gains[i, j]
        if i and j and here == gains[i - 1, j - 1] + _gain(reference[i - 1] == hypothesis[j - 1], unit):
            i, j = i - 1, j - 1
            steps.append((i, j))
        elif i and here == gains[i - 1, j]:
            i -= 1
            steps.append((i, None))
        else:
            j -= 1
            steps.append((None, j))
    return steps[::-1]


def _between_shared_ends(reference: Tokens, hypothesis: Tokens) -> tuple[Tokens, Tokens]:
    """Return what is left of two sequences without the tokens that both begin with, and those that both end with.

    A best alignment pairs these: a correct token gains as much as any two tokens can.
    """
    if reference.tobytes() == hypothesis.tobytes():
        return reference[:0], hypothesis[:0]
    shorter = min(len(reference), len(hypothesis))
    differ = np.flatnonzero(reference[:shorter] != hypothesis[:shorter])
    start = int(differ[0]) if differ.size else shorter
    shorter -= start
    differ = np.flatnonzero(reference[len(reference) - shorter :] != hypothesis[len(hypothesis) - shorter :])
    end = shorter - 1 - int(differ[-1]) if differ.size else shorter
    return reference[start : len(reference) - end], hypothesis[start : len(hypothesis) - end]


def _batches(totals_N: Integers) -> Iterator[Integers]:
    """Yield rows with tokens, longest first, as many at a time as `TOKENS_AT_ONCE` holds."""
    rows = np.flatnonzero(totals_N)
    rows = rows[np.argsort(-totals_N[rows], kind="stable")]
    while rows.size:
        count = max(1, TOKENS_AT_ONCE // int(totals_N[rows[0]]))
        yield rows[:count]
        rows = rows[count:]


def _edits(references: list[Tokens], hypotheses: list[Tokens]) -> tuple[Integers, Integers]:
    """Return errors (N,) and substitutions (N,) of pairs in falling order of their total length."""
    reference_LN, lengths_N = _columns(references)
    hypothesis_MN, others_N = _columns(hypotheses)
    longest, longest_other = len(reference_LN), len(hypothesis_MN)
    # Along an antidiagonal the place in the hypothesis falls where that in the reference rises.
    reversed_MN = np.ascontiguousarray(hypothesis_MN[::-1])
    unit, kind = _unit(longest, longest_other)
    totals_N = lengths_N + others_N
    active_K = np.searchsorted(-totals_N, -np.arange(totals_N[0] + 2), side="right")
    gain_N = np.zeros(len(totals_N), dtype=np.int64)
    two_before, before, now = np.zeros((3, longest + 1, len(totals_N)), dtype=kind)
    for k in range(2, int(totals_N[0]) + 1):
        # Cells (i, k - i) with first <= i <= last; the borders i = 0 and i = k stay zero.
        first, last, active = max(1, k - longest_other), min(longest, k - 1), int(active_K[k])
        start = longest_other - k
        equal = reference_LN[first - 1 : last, :active] == reversed_MN[start + first : start + last + 1, :active]
        paired = _gain(equal, unit)
        paired += two_before[first - 1 : last, :active]
        np.maximum(paired, before[first - 1 : last, :active], out=paired)
        np.maximum(paired, before[first : last + 1, :active], out=now[first : last + 1, :active])
        ending = np.arange(active_K[k + 1], active)
        gain_N[ending] = now[lengths_N[ending], ending]
        two_before, before, now = before, now, two_before
    return np.divmod(totals_N * int(unit) - gain_N, int(unit))


def _columns(sequences: list[Tokens]) -> tuple[Tokens, Integers]:
    """Return sequences as the columns of one array (L or M, N), -1 below their ends, and their lengths (N,)."""
    lengths_N = np.array([len(tokens) for tokens in sequences], dtype=np.int64)
    rows = np.full((len(sequences), int(lengths_N.max())), -1, dtype=np.int32)
    rows[np.arange(rows.shape[1]) < lengths_N[:, None]] = np.concatenate(sequences)
    return np.ascontiguousarray(rows.T), lengths_N


def _unit(longest: int, longest_other: int) -> tuple[Any, np.dtype[Any]]:
    """Return K, as a number of the smallest integer type that holds the largest gain, and that type."""
    unit = min(longest, longest_other) + 1
    kind = np.promote_types(np.min_scalar_type(-2 * unit * unit), np.int16)
    return kind.type(unit), kind


def _gain(equal: Any, unit: Any) -> Any:
    """Return 2 K where tokens are equal and K - 1 elsewhere."""
    gain = equal * (unit + unit.dtype.type(1))
    gain += unit - unit.dtype.type(1)
    return gain
