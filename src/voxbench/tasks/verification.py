"""Speaker verification: are two recordings of one person? Nobody who is asked about was trained on.

A network learns to tell the training speakers apart, by cosines to the weights of each and a loss with a margin. What
is kept of it is the embedding before those weights: recordings of one person lie close together, whoever it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxbench.config import Margin, Training
from voxbench.schema import InputError, ScoreKind
from voxbench.tasks.registry import Loss, Task, tasks
from voxbench.tasks.speaker_heads import CosineHead, SpeakerLoss

CLASSES = ("nontarget", "target")


def labelled(manifest: pd.DataFrame) -> np.ndarray:
    """Say which rows are of one known person."""
    alone = manifest["speakers"].isna() if "speakers" in manifest else True
    known = manifest["speaker"].notna() if "speaker" in manifest else pd.Series(False, manifest.index)
    return np.asarray(known & alone)


def targets(manifest: pd.DataFrame) -> np.ndarray:
    """Return the number of each row's speaker, in the order of names."""
    return pd.factorize(manifest["speaker"], sort=True)[0].astype(np.int64)


def head(size: int, settings: Training, training_targets: np.ndarray) -> nn.Module:
    """Return cosines to every training speaker."""
    return CosineHead(size, int(training_targets.max()) + 1, _margin(settings).subcentres)


def loss(training_targets: np.ndarray, settings: Training) -> Loss:
    """Return the loss of cosines with the margin that is in force so many epochs on."""
    if settings.balance == "loss":
        raise InputError("training.balance is 'loss', which weighs classes: speakers are evened out by 'sampling'")
    of_speakers = SpeakerLoss(_margin(settings))
    return lambda cosines, speakers, epochs: of_speakers(cosines, speakers, of_speakers.at(epochs))


def scores(outputs_NKD: Tensor) -> dict[str, np.ndarray]:
    """Refuse: only a pair of recordings has a score."""
    raise InputError("one recording has no score of verification: a trial of two has, see voxbench.training.judging")


def answer(row: Mapping[str, float]) -> str:
    """Return a score as it is: only a threshold makes a word of it."""
    return f"{row['score']:.3f}"


def _margin(settings: Training) -> Margin:
    if settings.margin is None:
        raise InputError(
            "training.margin is null, but speakers are learnt with one: give kind, margin, scale, beyond, subcentres "
            "and warm_up_epochs, for instance in the override of the study and the benchmark"
        )
    return settings.margin


tasks.add(
    "verification",
    Task(
        name="verification",
        subject="speaker",
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
        pairs=True,
    ),
)
