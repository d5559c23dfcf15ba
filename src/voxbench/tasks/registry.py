"""What a task is: a target column, a head, a loss, and the scores that go into the score table.

Legend of shape letters: B batch, D embedding, C classes, K crops of one recording, N recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxbench.registry import Registry
from voxbench.schema import ScoreKind


@dataclass(frozen=True)
class Task:
    """One question asked of a voice.

    `targets` maps a manifest to `(N,)` targets, of which `labelled` says which exist. `head` builds the last layer
    from `(embedding size, dropout)`. `loss` maps `(outputs, targets)` to a scalar. `scores` maps outputs `(N, K, ...)`
    to the columns of the score table, combining the crops of a recording.
    """

    name: str
    score_kind: ScoreKind
    classes: tuple[str, ...]
    labelled: Callable[[pd.DataFrame], np.ndarray]
    targets: Callable[[pd.DataFrame], np.ndarray]
    head: Callable[[int, float], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    scores: Callable[[Tensor], dict[str, np.ndarray]]


tasks: Registry[Task] = Registry("task")
