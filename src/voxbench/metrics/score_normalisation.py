"""Adaptive score normalisation (AS-norm): scores of a verification system against those of strangers.

A score is compared with how the enroll side, and how the test side, scores against a cohort of speakers who are in
no trial. Of the cohort, each side's `top` closest count, which adapts the cohort to the voice (Matejka et al.,
"Analysis of score normalization in multilingual speaker recognition", Interspeech 2017). With the whole cohort it is
symmetric normalisation, S-norm (Kenny, "Bayesian speaker verification with heavy-tailed priors", Odyssey 2010).

    s' = ((s - mean_e) / sd_e + (s - mean_t) / sd_t) / 2, sd over `top`, not `top` - 1

Normalised scores are on a scale of standard deviations of strangers' scores; they are no log-likelihood ratios.

`as_norm` takes matrices of scores against the cohort. From embeddings, `cohort_levels` computes these by matrix
products of some utterances at a time and keeps two numbers of each utterance, so that memory does not grow with them.

Shape letters: N trials, E enroll and T test utterances, U utterances of either side, K cohort speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.closeness import Comparable, all_scores
from voxbench.metrics.inputs import Floats, Integers, class_indices, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError

AT_ONCE = 1 << 23
"""Scores against the cohort that are held at a time: 64 MiB."""
MOST_ROWS = 1024
ROUNDING = 1e-12
"""Products of equal embeddings may differ by this, in units of the larger of 1 and the score."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Mean and standard deviation (U,) of the closest cohort scores of each utterance."""

    mean_U: Floats
    spread_U: Floats


def as_norm(
    scores: ArrayLike,
    enroll: ArrayLike,
    test: ArrayLike,
    enroll_cohort: ArrayLike,
    test_cohort: ArrayLike,
    *,
    top: int,
) -> Floats:
    """Return normalised scores (N,) of trials between utterances `enroll` and `test` (N,), by their rows.

    `enroll_cohort` (E, K) and `test_cohort` (T, K) are the scores of each utterance against the cohort. Equal cohort
    scores count as they come: which of them is among the `top` changes nothing. Raises `InputError` for shapes that do
    not fit, rows that do not exist and a `top` outside 2..K, `UndefinedError` for an utterance whose `top` cohort
    scores are all equal.

    >>> as_norm([0.6], [0], [0], [[0.0, 0.8, 0.0, 0.6, -1.0]], [[0.8, 0.96, 0.0, 0.36, -0.6]], top=3).round(6).tolist()
    [-0.014119]
    """
    scores_N = finite_numbers(scores, "scores")
    sides = []
    for name, rows, cohort in (("enroll", enroll, enroll_cohort), ("test", test, test_cohort)):
        cohort_UK = finite_numbers(cohort, f"{name}_cohort")
        if cohort_UK.ndim != 2 or not 2 <= top <= cohort_UK.shape[1]:
            raise InputError(
                f"{name}_cohort must be a row for each utterance of at least {max(top, 2)} cohort scores, of which top "
                f"counts 2 or more; found shape {cohort_UK.shape} and top {top}"
            )
        rows_N = class_indices(rows, name, classes=len(cohort_UK))
        if rows_N.shape != scores_N.shape:
            raise InputError(f"{name} must have shape {scores_N.shape} like scores, found {rows_N.shape}")
        levels = _levels(_closest(cohort_UK.copy(), top), f"{name} utterance", first=0, rounding=0.0)
        sides.append(_standardised(scores_N, rows_N, levels))
    return (sides[0] + sides[1]) / 2


def cohort_levels(utterances: Comparable, cohort: Comparable, *, top: int) -> Levels:
    """Return the levels of U utterances against K cohort speakers; equal to those that `as_norm` computes.

    Raises `InputError` for a `top` outside 2..K, `UndefinedError` for an utterance whose `top` cohort scores are equal
    but for rounding.
    """
    check_top(top, len(cohort))
    rows = max(1, min(MOST_ROWS, AT_ONCE // len(cohort)))
    # Written anew for each part: fresh memory would cost as much as the product.
    memory_UK = np.empty((min(rows, len(utterances)), len(cohort)))
    found = []
    for start in range(0, len(utterances), rows):
        part = slice(start, start + rows)
        some = Comparable(utterances.vectors_UD[part], utterances.divisor_U[part], utterances.offset_U[part])
        scores_UK = all_scores(some, cohort, memory_UK[: len(some)])
        found.append(_levels(_closest(scores_UK, top), "row", first=start, rounding=ROUNDING))
    means, spreads = zip(*((each.mean_U, each.spread_U) for each in found), strict=True)
    return Levels(np.concatenate(means), np.concatenate(spreads))


def check_top(top: int, cohort: int) -> None:
    """Refuse a `top` that is no whole number in 2..`cohort`."""
    if not isinstance(top, int | np.integer) or not 2 <= top <= cohort:
        raise InputError(
            f"top is {top!r}, but must be a whole number of the {cohort:,} cohort speakers, 2 or more: lower it, or "
            "give a larger cohort"
        )


def normalised(scores_N: Floats, enroll_N: Integers, test_N: Integers, levels: Levels) -> Floats:
    """Return normalised scores (N,) of trials between rows of one list of utterances, whose levels these are."""
    return (_standardised(scores_N, enroll_N, levels) + _standardised(scores_N, test_N, levels)) / 2


def _closest(cohort_UK: Floats, top: int) -> Floats:
    """Return the `top` highest scores of each row, rising, so that the order of the cohort never changes a sum.

    The scores that are given are left in another order.
    """
    cohort_UK.partition(cohort_UK.shape[1] - top, axis=1)
    return np.sort(cohort_UK[:, -top:], axis=1)


def _levels(closest_UK: Floats, what: str, *, first: int, rounding: float) -> Levels:
    lowest_U, highest_U = closest_UK[:, 0], closest_UK[:, -1]
    if len(flat := np.flatnonzero(highest_U - lowest_U <= rounding * np.maximum(1, np.abs(highest_U)))):
        raise UndefinedError(f"the top {closest_UK.shape[1]} cohort scores of {what} {first + flat[0]} are all equal")
    return Levels(closest_UK.mean(axis=1), closest_UK.std(axis=1))


def _standardised(scores_N: Floats, rows_N: Integers, levels: Levels) -> Floats:
    """Return how many standard deviations of its side's closest cohort scores each score lies above their mean."""
    standardised: Floats = (scores_N - levels.mean_U[rows_N]) / levels.spread_U[rows_N]
    return standardised
