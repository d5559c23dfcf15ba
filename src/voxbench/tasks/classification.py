"""Tasks that choose one of a few classes: cross-entropy on a single linear layer, as in the paper's sheet.

Legend of shape letters: B batch, D embedding, C classes, K crops of one recording, N recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from voxbench.config import Training
from voxbench.schema import AGE_GROUPS, GENDERS, InputError, ScoreKind
from voxbench.tasks.registry import Loss, Task, tasks

Words = Callable[[pd.DataFrame], pd.Series]


def column(name: str) -> Words:
    """Return a function that reads the words of a column; a manifest without it says nothing of any row."""

    def words(manifest: pd.DataFrame) -> pd.Series:
        return manifest[name] if name in manifest else pd.Series(None, manifest.index, dtype=object)

    return words


def classification(name: str, words: Words, classes: tuple[str, ...], subject: str) -> Task:
    """Return a task that predicts the `words` of a manifest's rows, with classes numbered in the order given."""

    def targets(manifest: pd.DataFrame) -> np.ndarray:
        return words(manifest).map({word: number for number, word in enumerate(classes)}).to_numpy(np.int64)

    def loss(training_targets: np.ndarray, settings: Training) -> Loss:
        weights_C = loss_weights(training_targets, classes, settings)
        if weights_C is None:
            return lambda outputs, targets, _: nn.functional.cross_entropy(outputs, targets)
        return lambda outputs, targets, _: nn.functional.cross_entropy(outputs, targets, weights_C.to(outputs.device))

    def scores(outputs_NKC: Tensor) -> dict[str, np.ndarray]:
        probabilities = outputs_NKC.double().softmax(dim=-1).mean(dim=1).numpy()
        return {f"p_{word}": probabilities[:, number] for number, word in enumerate(classes)}

    def answer(row: Mapping[str, float]) -> str:
        return max(classes, key=lambda word: row[f"p_{word}"])

    return Task(
        name=name,
        subject=subject,
        score_kind=ScoreKind.CLASSES,
        classes=classes,
        unit="",
        score_columns=tuple(f"p_{word}" for word in classes),
        labelled=lambda manifest: words(manifest).isin(classes).to_numpy(),
        targets=targets,
        head=lambda size, settings, _: nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(size, len(classes))),
        loss=loss,
        scores=scores,
        answer=answer,
        ordered=False,
        counts={},
        pairs=False,
    )


def loss_weights(targets: np.ndarray, classes: tuple[str, ...], settings: Training) -> Tensor | None:
    """Return the classes' weights `(C,)` in the loss: those given by hand, even ones, or None where each row weighs 1.

    Raises `InputError` for weights by hand that do not name exactly the classes, and as `class_weights`.
    """
    if settings.class_weights is not None:
        if set(settings.class_weights) != set(classes):
            raise InputError(
                f"training.class_weights has {', '.join(settings.class_weights)}, expected a weight for each of: "
                f"{', '.join(classes)}"
            )
        return torch.tensor([settings.class_weights[word] for word in classes], dtype=torch.float32)
    return class_weights(targets, classes) if settings.balance == "loss" else None


def class_weights(targets: np.ndarray, classes: tuple[str, ...]) -> Tensor:
    """Return a weight `(C,)` for each class, N / (C n_c): every class weighs the same, and a row weighs 1 on average.

    Raises `InputError` for a class without a training row.
    """
    counts = np.bincount(targets, minlength=len(classes))
    if absent := [word for word, count in zip(classes, counts, strict=True) if count == 0]:
        raise InputError(
            f"training.balance is 'loss', but no training row is {', '.join(absent)}: use 'none', or other data"
        )
    return torch.tensor(len(targets) / (len(classes) * counts), dtype=torch.float32)


tasks.add("gender", classification("gender", column("gender"), GENDERS, subject="gender"))
_ages = classification("age_group", column("age_group"), AGE_GROUPS, subject="age")
tasks.add("age_group", replace(_ages, ordered=True))
