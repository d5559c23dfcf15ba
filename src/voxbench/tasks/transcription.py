"""Transcription: what is said, in characters, by connectionist temporal classification (Graves et al., ICML 2006).

A network says for each frame how probable every character is, or none of them (blank). The loss is the negative
logarithm of the probability of all paths that collapse to the transcript, for each of its characters, so that long
sentences weigh no more than their length. Frames that pad a recording are blank: `voxbench.transcripts.blanks`.

Shape letters: B batch, T frames, D embedding, C classes of `voxbench.transcripts.alphabet`, L characters, N recordings,
K crops of one recording, which is 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxbench.config import Training
from voxbench.schema import ScoreKind
from voxbench.tasks.registry import Loss, Task, tasks
from voxbench.transcripts.alphabet import BLANK, CLASSES, encode
from voxbench.transcripts.greedy import greedy
from voxbench.transcripts.normalising import normalise, writable

HYPOTHESIS = "hypothesis"


class CtcHead(nn.Module):
    """One linear layer for every frame, and the logarithm of the classes' probabilities: `(B, T, D)` to `(B, T, C)`."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(size, len(CLASSES))

    def forward(self, embedding_BTD: Tensor) -> Tensor:
        """Return log-probabilities."""
        log_probs_BTC: Tensor = self.linear(self.dropout(embedding_BTD)).log_softmax(dim=-1)
        return log_probs_BTC


def labelled(manifest: pd.DataFrame) -> np.ndarray:
    """Say which rows are of one speaker and have a transcript that the alphabet can write."""
    if "text" not in manifest:
        return np.zeros(len(manifest), dtype=bool)
    alone = manifest["speakers"].isna() if "speakers" in manifest else True
    known = manifest["text"].map(lambda text: isinstance(text, str) and writable(text)).astype(bool)
    return np.asarray(known & alone)


def targets(manifest: pd.DataFrame) -> np.ndarray:
    """Return the numbers of each transcript's characters `(N, L)`, filled with blanks."""
    return encode([normalise(text) for text in manifest["text"]])


def head(size: int, settings: Training, training_targets: np.ndarray) -> nn.Module:
    """Return the layer that ends in log-probabilities."""
    return CtcHead(size, settings.dropout)


def loss(training_targets: np.ndarray, settings: Training) -> Loss:
    """Return the mean over a batch of the CTC loss for each character, in nats."""
    return lambda outputs, numbers, _: ctc_losses(outputs, numbers).mean()


def ctc_losses(log_probs_BTC: Tensor, numbers_BL: Tensor) -> Tensor:
    """Return the CTC loss of each recording `(B,)`, divided by the characters of its transcript."""
    batch, frames, _ = log_probs_BTC.shape
    characters_B = (numbers_BL != BLANK).sum(dim=1)
    losses_B = nn.functional.ctc_loss(
        log_probs_BTC.transpose(0, 1),
        numbers_BL,
        log_probs_BTC.new_full((batch,), frames, dtype=characters_B.dtype),
        characters_B,
        blank=BLANK,
        reduction="none",
    )
    return losses_B / characters_B


def scores(outputs_NKTC: Tensor) -> dict[str, np.ndarray]:
    """Return the texts of the best paths."""
    return {HYPOTHESIS: np.array(greedy(outputs_NKTC[:, 0]), dtype=object)}


def answer(row: Mapping[str, object]) -> str:
    """Return the text."""
    return str(row[HYPOTHESIS])


TRANSCRIPTION = Task(
    name="transcription",
    subject="words",
    score_kind=ScoreKind.TEXT,
    classes=(),
    unit="",
    score_columns=(HYPOTHESIS,),
    labelled=labelled,
    targets=targets,
    head=head,
    loss=loss,
    scores=scores,
    answer=answer,
    ordered=False,
    counts={},
    pairs=False,
)
tasks.add("transcription", TRANSCRIPTION)
