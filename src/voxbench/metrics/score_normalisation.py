"""Adaptive score normalisation (AS-norm): scores of a verification system against those of strangers.

A score is compared with how the enroll side, and how the test side, scores against a cohort of speakers who are in
no trial. Of the cohort, each side's `top` closest count, which adapts the cohort to the voice (Matejka et al.,
"Analysis of score normalization in multilingual speaker recognition", Interspeech 2017). With the whole cohort it is
symmetric normalisation, S-norm (Kenny, "Bayesian speaker verification with heavy-tailed priors", Odyssey 2010).

    s' = ((s - mean_e) / sd_e + (s - mean_t) / sd_t) / 2, sd over `top`, not `top` - 1

Normalised scores are on a scale of standard deviations of strangers' scores; they are no log-likelihood ratios.

Shape letters: N trials, E enroll and T test utterances, K cohort speakers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Floats, class_indices, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError


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
        sides.append(_standardised(scores_N, rows_N, np.sort(cohort_UK, axis=1)[:, -top:], name))
    return (sides[0] + sides[1]) / 2


def _standardised(scores_N: Floats, rows_N: np.ndarray, top_UK: Floats, name: str) -> Floats:
    """Return how many standard deviations of its side's top cohort scores each score lies above their mean."""
    middle_U, spread_U = top_UK.mean(axis=1), top_UK.std(axis=1)
    if len(flat := np.flatnonzero(top_UK[:, 0] == top_UK[:, -1])):
        raise UndefinedError(f"the top {top_UK.shape[1]} cohort scores of {name} utterance {flat[0]} are all equal")
    standardised: Floats = (scores_N - middle_U[rows_N]) / spread_U[rows_N]
    return standardised
