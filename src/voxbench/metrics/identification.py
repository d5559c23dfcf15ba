"""Closed-set identification: which of the enrolled speakers is it, and is the right one among the first k.

The accuracy of VoxCeleb1's identification split (`iden_split.txt`; Nagrani, Chung & Zisserman, "VoxCeleb: a
large-scale speaker identification dataset", Interspeech 2017: top-1 and top-5 of 1,251 speakers). A network that gives
a probability for each speaker is measured by `voxbench.metrics.classification.top_k_accuracy` instead.

Shape letters: M test utterances, S enrolled speakers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import class_indices, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError


def rank_accuracy(truth: ArrayLike, scores: ArrayLike, k: int) -> float:
    """Return the fraction of rows whose true speaker is among the `k` with the highest scores, in [0, 1].

    `truth` (M,) are the columns of the true speakers in `scores` (M, S), higher = closer. A speaker who scores as high
    as the true one counts as ahead, so that the order of the speakers changes nothing. Where no more than `k` are
    enrolled every row is right, whatever the scores: undefined.

    >>> rank_accuracy([0, 1], [[0.9, 0.2, 0.1], [0.5, 0.5, 0.1]], k=1), rank_accuracy([1], [[0.5, 0.5, 0.1]], k=2)
    (0.5, 1.0)
    """
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        raise InputError(f"k must be a whole number of speakers, 1 or more, found {k!r}")
    scores_MS = finite_numbers(scores, "scores")
    if scores_MS.ndim != 2 or not scores_MS.size:
        raise InputError(f"scores must be (test utterances, enrolled speakers), found shape {scores_MS.shape}")
    truth_M = class_indices(truth, "truth", classes=scores_MS.shape[1])
    if len(truth_M) != len(scores_MS):
        raise InputError(f"truth has {len(truth_M)} rows but scores has {len(scores_MS)}")
    if k >= scores_MS.shape[1]:
        raise UndefinedError(f"the rank-{k} accuracy needs more than {k} enrolled speakers: found {scores_MS.shape[1]}")
    of_truth_M1 = np.take_along_axis(scores_MS, truth_M[:, None], axis=1)
    # The true one is among those that score as high.
    return float(np.mean((scores_MS >= of_truth_M1).sum(axis=1) <= k))
