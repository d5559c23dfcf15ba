"""What a task is: a target column, a head, a loss, and the scores that go into the score table.

Legend of shape letters: B batch, D embedding, C classes, K crops of one recording, N recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxbench.registry import Registry
from voxbench.schema import ScoreKind

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """One question asked of a voice.

    `subject` is the property asked for: tasks of one subject can be held against each other across corpora.
    `targets` maps a manifest to `(N,)` targets, of which `labelled` says which exist; `unit` is theirs, empty for
    classes. `head` builds the last layer from `(embedding size, dropout, training targets)`. `loss` builds the loss
    from `(training targets, whether classes weigh the same)`; it maps `(outputs, targets)` to a scalar. `scores` maps
    outputs `(N, K, ...)` to the `score_columns` of the score table, combining the crops of a recording. `answer` says
    in a word what one row of scores means.

    `ordered` says that the classes stand in an order, so that a near miss is better than a far one. `counts` names what
    a class counts, if it counts anything, and has for each such name the number in each class.
    """

    name: str
    subject: str
    score_kind: ScoreKind
    classes: tuple[str, ...]
    unit: str
    score_columns: tuple[str, ...]
    labelled: Callable[[pd.DataFrame], np.ndarray]
    targets: Callable[[pd.DataFrame], np.ndarray]
    head: Callable[[int, float, np.ndarray], nn.Module]
    loss: Callable[[np.ndarray, bool], Loss]
    scores: Callable[[Tensor], dict[str, np.ndarray]]
    answer: Callable[[Mapping[str, float]], str]
    ordered: bool
    counts: Mapping[str, tuple[int, ...]]


tasks: Registry[Task] = Registry("task")
