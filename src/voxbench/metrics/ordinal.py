"""Metrics of class probabilities whose classes stand in an order, such as numbers of people or groups of age.

The columns are those of `voxbench.metrics.classification`: `truth` (N,) integer class indices in the order of the
classes, and `probabilities` (N, C). A class counts as far from another as there are steps between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import class_columns
from voxbench.metrics.registries import metric
from voxbench.schema import ScoreKind


@metric(ScoreKind.CLASSES, greater_is_better=False, needs_order=True)
def class_distance(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean number of steps from the true class to the first of the most probable, in [0, C - 1].

    Where the classes are the numbers 1 to C, it is the mean absolute error of the number.

    >>> class_distance([0, 1, 2], [[0.9, 0.1, 0.0], [0.2, 0.6, 0.2], [0.7, 0.2, 0.1]])
    0.6666666666666666
    """
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    return float(np.mean(np.abs(probabilities_NC.argmax(axis=1) - truth_N)))
