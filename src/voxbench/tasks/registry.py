"""What a task is: a target column, a head, a loss, and the scores that go into the score table.

Legend of shape letters: B batch, D embedding, C classes, K crops of one recording, N recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxbench.config import Training
from voxbench.registry import Registry
from voxbench.schema import ScoreKind

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""Outputs, targets, and how many epochs have been trained so far, to a scalar."""


@dataclass(frozen=True)
class Task:
    """One question asked of a voice.

    `subject` is the property asked for: tasks of one subject can be held against each other across corpora.
    `targets` maps a manifest to `(N,)` targets, of which `labelled` says which exist; `unit` is theirs, empty for
    classes. `head` builds the last layer from `(embedding size, settings, training targets)`. `loss` builds the loss
    from `(training targets, settings)`. `scores` maps outputs `(N, K, ...)` to the `score_columns` of the score table,
    combining the crops of a recording. `answer` says in a word what one row of scores means.

    A task of `pairs` learns to tell the training speakers apart, and answers of two recordings whether one person is
    heard. Its targets number the speakers of the manifest that is given. What it is judged by are embeddings, never
    its head, and its score table has a row for each trial: `voxbench.training.judging`.

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
    head: Callable[[int, Training, np.ndarray], nn.Module]
    loss: Callable[[np.ndarray, Training], Loss]
    scores: Callable[[Tensor], dict[str, np.ndarray]]
    answer: Callable[[Mapping[str, float]], str]
    ordered: bool
    counts: Mapping[str, tuple[int, ...]]
    pairs: bool


tasks: Registry[Task] = Registry("task")
