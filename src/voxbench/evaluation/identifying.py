"""Identification: of trials in which every test recording meets every template, whether the right one comes first.

A list is one of a closed set where each test recording is scored against the same templates, all of them, and exactly
one is a target. Its rows then say more than verification asks: `rank_accuracy` at `RANKS`, the accuracies that
VoxCeleb1's identification is quoted in. They are stated without intervals.

Shape letters: M test recordings, S templates.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from voxbench.evaluation.joining import PAIR
from voxbench.evaluation.records import Measured, ScoreRows
from voxbench.metrics import UndefinedError
from voxbench.metrics.identification import rank_accuracy
from voxbench.metrics.inputs import Floats, Integers
from voxbench.schema import ScoreKind

RANKS = (1, 5)


def identified(scored: ScoreRows) -> tuple[Measured, ...]:
    """Return the accuracies at `RANKS`; none where the trials are no closed set."""
    closed = closed_set(scored)
    if closed is None:
        return ()
    found = []
    for rank in RANKS:
        name = f"rank_accuracy(k={rank})"
        try:
            found.append(Measured(name, rank_accuracy(*closed, k=rank), None, ""))
        except UndefinedError as error:
            found.append(Measured(name, None, None, str(error)))
    return tuple(found)


def closed_set(scored: ScoreRows) -> tuple[Integers, Floats] | None:
    """Return the true template (M,) and all scores (M, S) of each test recording, None where these are not all."""
    scores_N, labels_N = scored.columns
    if scored.kind is not ScoreKind.DETECTION or not set(PAIR) <= set(scored.rows.columns):
        return None
    (template_N, templates), (test_N, tests) = (pd.factorize(scored.rows[side]) for side in PAIR)
    targets_M = np.bincount(test_N, weights=labels_N, minlength=len(tests))
    if len(templates) * len(tests) != len(scores_N) or len(templates) < 2 or np.any(targets_M != 1):
        return None
    scores_MS, labels_MS = np.empty((2, len(tests), len(templates)))
    scores_MS[test_N, template_N], labels_MS[test_N, template_N] = scores_N, labels_N
    return labels_MS.argmax(axis=1), scores_MS
