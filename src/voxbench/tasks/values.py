"""Tasks that estimate a number: squared error on targets scaled by the training rows' mean and deviation.

The published repository scales by the extremes of the whole set, test rows included; here only training rows are seen.

Legend of shape letters: B batch, D embedding, K crops of one recording, N recordings.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.config import Training
from voxbench.schema import InputError, ScoreKind
from voxbench.tasks.registry import Loss, Task, tasks


class ValueHead(nn.Module):
    """One linear layer whose output is scaled back to the unit of the targets; the scale is part of the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, dropout: float, training_targets: np.ndarray) -> None:
        super().__init__()
        mean, std = _scale(training_targets)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(size, 1)

    def forward(self, embedding_BD: Tensor) -> Tensor:
        """Return `(B,)` values in the unit of the targets."""
        value_B: Tensor = self.mean + self.std * self.linear(self.dropout(embedding_BD))[:, 0]
        return value_B


def value(name: str, column: str, unit: str, subject: str) -> Task:
    """Return a task that estimates the manifest's numeric `column`."""

    def loss(training_targets: np.ndarray, settings: Training) -> Loss:
        if settings.balance == "loss":
            raise InputError(f"training.balance evens out classes, and task {name!r} has none: set it to 'none'")
        _, std = _scale(training_targets)
        return lambda outputs, targets, _: ((outputs - targets) / std).float().square().mean()

    def scores(outputs_NK: Tensor) -> dict[str, np.ndarray]:
        return {"predicted": outputs_NK.double().mean(dim=1).numpy()}

    def answer(row: Mapping[str, float]) -> str:
        return f"{row['predicted']:.0f} {unit}"

    return Task(
        name=name,
        subject=subject,
        score_kind=ScoreKind.VALUE,
        classes=(),
        unit=unit,
        score_columns=("predicted",),
        labelled=lambda manifest: manifest[column].notna().to_numpy(),
        targets=lambda manifest: manifest[column].to_numpy(np.float64),
        head=lambda size, settings, targets: ValueHead(size, settings.dropout, targets),
        loss=loss,
        scores=scores,
        answer=answer,
        ordered=False,
        counts={},
        pairs=False,
    )


def _scale(targets: np.ndarray) -> tuple[float, float]:
    mean, std = float(np.mean(targets)), float(np.std(targets))
    if not std > 0:
        raise InputError(f"all {len(targets)} training targets are {mean:g}: there is nothing to learn from one value")
    return mean, std


tasks.add("age_years", value("age_years", "age_years", unit="years", subject="age"))
