"""The whole network: normalisation by training statistics, an encoder from the zoo, the task's head.

Legend of shape letters: B batch, F bins, T frames.
"""

from __future__ import annotations

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
        return self.head(self.encoder((features_BFT - self.mean_F1) / self.std_F1))


def build_network(
    model: str, task: Task, training: Training, trainable: Trainable, mean: np.ndarray, std: np.ndarray
) -> Network:
    """Return a freshly initialised network; the caller seeds torch's generator first."""
    known = {
        "n_features": len(mean),
        "dropout": training.dropout,
        "recurrent_dropout": training.recurrent_dropout,
        "resize": training.resize,
    }
    encoder = create_model(model, **{name: known[name] for name in spec(model).accepts})
    freeze(encoder, trainable)
    return Network(encoder, task.head(encoder.embedding_dim, training.dropout), mean, std)
