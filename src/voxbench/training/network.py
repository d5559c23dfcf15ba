"""The whole network: normalisation by training statistics, an encoder from the zoo, the task's head.

Legend of shape letters: B batch, F bins, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voxbench.config import Trainable, Training
from voxbench.models import create_model, freeze, spec
from voxbench.tasks import Task


class Network(nn.Module):
    """Features `(B, F, T)` in, the task's outputs out; everything that serving needs is in its state dict."""

    mean_F1: Tensor
    std_F1: Tensor

    def __init__(self, encoder: nn.Module, head: nn.Module, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.register_buffer("mean_F1", torch.tensor(mean, dtype=torch.float32)[:, None])
        self.register_buffer("std_F1", torch.tensor(std, dtype=torch.float32)[:, None])

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Return the head's outputs for a batch."""
        outputs: Tensor = self.head(self.encoder((features_BFT - self.mean_F1) / self.std_F1))
        return outputs


@dataclass(frozen=True)
class Statistics:
    """What a network takes from the training rows: features' mean and deviation `(F,)`, and the targets `(N,)`."""

    mean: np.ndarray
    std: np.ndarray
    targets: np.ndarray


def build_network(
    model: str, task: Task, training: Training, trainable: Trainable, statistics: Statistics, initial: Path | None
) -> Network:
    """Return a freshly initialised network, its encoder's weights read from `initial` where given.

    The caller seeds torch's generator first.
    """
    known = {
        "n_features": len(statistics.mean),
        "dropout": training.dropout,
        "recurrent_dropout": training.recurrent_dropout,
        "resize": training.resize,
        "stem": training.stem,
        "initial": initial,
    }
    encoder = create_model(model, **{name: known[name] for name in spec(model).accepts})
    freeze(encoder, trainable)
    head = task.head(encoder.embedding_dim, training.dropout, statistics.targets)
    return Network(encoder, head, statistics.mean, statistics.std)
