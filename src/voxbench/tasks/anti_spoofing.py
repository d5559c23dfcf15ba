"""Anti-spoofing: is a recording bona fide speech, or was it synthesized, converted or replayed?

The score is higher for bona fide speech. Of a network that learns by cross-entropy it is the difference of its two
logits, bona fide minus spoof, which is a log odds at the training rows' share of the classes as the loss weighs them;
of one that learns one class (`training.one_class`) it is the cosine to that class's centre. Only calibration on
validation rows makes a log-likelihood ratio of either. Deviation: the authors of AASIST and RawNet2 score by the
bona fide logit alone, which ranks nearly alike but has no meaning by itself.

Shape letters: B batch, D embedding, K crops of one recording, N recordings.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from voxbench.config import OneClass, Training
from voxbench.schema import BONAFIDE, ScoreKind
from voxbench.tasks.classification import loss_weights
from voxbench.tasks.registry import Loss, Task, tasks
from voxbench.tasks.speaker_heads import CosineHead

SPOOF = "spoof"
CLASSES = (SPOOF, BONAFIDE)


def labelled(manifest: pd.DataFrame) -> np.ndarray:
    """Say of which rows it is known whether they are spoofed."""
    known = manifest["attack"].notna() if "attack" in manifest else pd.Series(False, manifest.index)
    return known.to_numpy()


def targets(manifest: pd.DataFrame) -> np.ndarray:
    """Return 1 for bona fide speech and 0 for every attack, `(N,)`."""
    return (manifest["attack"] == BONAFIDE).to_numpy().astype(np.int64)


def head(size: int, settings: Training, training_targets: np.ndarray) -> nn.Module:
    """Return the layer that ends in two logits, or in the cosine to the centre of bona fide speech."""
    if settings.one_class:
        return CosineHead(size, speakers=1, subcentres=1)
    return nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(size, len(CLASSES)))


def loss(training_targets: np.ndarray, settings: Training) -> Loss:
    """Return cross-entropy with the classes' weights, or OC-softmax."""
    weights_C = loss_weights(training_targets, CLASSES, settings)

    def of_batch(outputs_BC: Tensor, targets_B: Tensor, _: float) -> Tensor:
        weights = None if weights_C is None else weights_C.to(outputs_BC.device)
        if settings.one_class is None:
            return nn.functional.cross_entropy(outputs_BC, targets_B, weights)
        losses_B = one_class_losses(outputs_BC[:, 0], targets_B, settings.one_class)
        weights_B = torch.ones_like(losses_B) if weights is None else weights[targets_B]
        return (weights_B * losses_B).sum() / weights_B.sum()

    return of_batch


def one_class_losses(cosines_B: Tensor, targets_B: Tensor, settings: OneClass) -> Tensor:
    """Return log(1 + exp(scale (real - cos))) of bona fide rows and log(1 + exp(scale (cos - fake))) of spoofed ones.

    Reference: Zhang, Jiang, Duan, "One-class learning towards synthetic voice spoofing detection", IEEE SPL 28, 2021,
    equation 6.
    """
    missing_B = torch.where(targets_B == 1, settings.real - cosines_B, cosines_B - settings.fake)
    return nn.functional.softplus(settings.scale * missing_B)


def scores(outputs_NKC: Tensor) -> dict[str, np.ndarray]:
    """Return one score for each recording, the mean over its crops."""
    outputs = outputs_NKC.double()
    scores_NK = outputs[..., 0] if outputs.shape[-1] == 1 else outputs[..., 1] - outputs[..., 0]
    return {"score": scores_NK.mean(dim=1).numpy()}


def answer(row: Mapping[str, float]) -> str:
    """Return a score as it is: only a threshold makes a word of it."""
    return f"{row['score']:.3f}"


tasks.add(
    "anti_spoofing",
    Task(
        name="anti_spoofing",
        subject="spoofing",
        score_kind=ScoreKind.DETECTION,
        classes=CLASSES,
        unit="",
        score_columns=("score",),
        labelled=labelled,
        targets=targets,
        head=head,
        loss=loss,
        scores=scores,
        answer=answer,
        ordered=False,
        counts={},
        pairs=False,
    ),
)
