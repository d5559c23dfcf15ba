"""Tasks that choose one of a few classes: cross-entropy on a single linear layer, as in the paper's sheet.

Legend of shape letters: B batch, D embedding, C classes, K crops of one recording, N recordings.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxbench.schema import GENDERS, ScoreKind
from voxbench.tasks.registry import Task, tasks


def classification(name: str, column: str, classes: tuple[str, ...]) -> Task:
    """Return a task that predicts the manifest's `column`, with classes numbered in the order given."""

    def targets(manifest: pd.DataFrame) -> np.ndarray:
        return manifest[column].map({word: number for number, word in enumerate(classes)}).to_numpy(np.int64)

    def scores(outputs_NKC: Tensor) -> dict[str, np.ndarray]:
        probabilities = outputs_NKC.double().softmax(dim=-1).mean(dim=1).numpy()
        return {f"p_{word}": probabilities[:, number] for number, word in enumerate(classes)}

    return Task(
        name=name,
        score_kind=ScoreKind.CLASSES,
        classes=classes,
        labelled=lambda manifest: manifest[column].isin(classes).to_numpy(),
        targets=targets,
        head=lambda size, dropout: nn.Sequential(nn.Dropout(dropout), nn.Linear(size, len(classes))),
        loss=nn.functional.cross_entropy,
        scores=scores,
    )


tasks.add("gender", classification("gender", "gender", GENDERS))
