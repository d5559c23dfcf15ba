"""The whole network: normalisation by training statistics, an encoder from the zoo, the task's head.

Legend of shape letters: B batch, F bins, T frames, D embedding, N recordings, K crops of one recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxbench.config import Trainable, Training
from voxbench.features.dataset import Batch, PaddedBatch, lengths_of
from voxbench.models import Encoder, create_model, freeze, spec
from voxbench.models.pretrained import initial_head
from voxbench.schema import InputError
from voxbench.tasks import Task
from voxbench.transcripts.blanks import blank_after, joined


@dataclass(frozen=True)
class Statistics:
    """What a network takes from the training rows: features' mean and deviation `(F,)`, and the targets `(N,)`."""

    mean: np.ndarray
    std: np.ndarray
    targets: np.ndarray

    def untouched(self) -> Statistics:
        """Return statistics that leave features as they are."""
        return replace(self, mean=np.zeros_like(self.mean), std=np.ones_like(self.std))


class Network(nn.Module):
    """Features `(B, F, T)` in, the task's outputs out; everything that serving needs is in its state dict.

    A network of a task of pairs `embeds`: its head knows the training speakers, and nobody else. One that is `centred`
    subtracts each crop's own mean over time, any other the mean in its `statistics`.
    """

    mean_F1: Tensor
    std_F1: Tensor

    def __init__(
        self, encoder: Encoder, head: nn.Module, statistics: Statistics, *, embeds: bool, centred: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.embeds = embeds
        self.centred = centred
        self.register_buffer("mean_F1", torch.tensor(statistics.mean, dtype=torch.float32)[:, None])
        self.register_buffer("std_F1", torch.tensor(statistics.std, dtype=torch.float32)[:, None])

    def forward(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return the head's outputs for a batch; of whole recordings `(B, T, C)`, in which what is padded is blank.

        `lengths_B` are the frames of whole recordings before padding.
        """
        outputs: Tensor = self.head(self.embedded(features_BFT, lengths_B))
        if lengths_B is None or self.encoder.stride is None:
            return outputs
        return blank_after(outputs, -(-lengths_B // self.encoder.stride))

    def embedded(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return the embeddings `(B, D)` of a batch, or `(B, T, D)` of an encoder of sequences."""
        normal_BFT = (features_BFT - self.centre(features_BFT, lengths_B)) / self.std_F1
        embedding: Tensor = (
            self.encoder(normal_BFT) if self.encoder.stride is None else self.encoder(normal_BFT, lengths_B)
        )
        return embedding

    def centre(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return what is subtracted from a batch: each item's own mean `(B, F, 1)`, or the training rows' `(F, 1)`."""
        if not self.centred:
            return self.mean_F1
        # Padding is zeros, which add nothing to a sum.
        frames = features_BFT.shape[2] if lengths_B is None else lengths_B[:, None, None]
        return features_BFT.sum(dim=2, keepdim=True) / frames

    def judged(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return what is judged of a batch: the head's outputs, or of a task of pairs the embeddings."""
        return self.embedded(features_BFT) if self.embeds else self(features_BFT, lengths_B)

    def kept(self) -> dict[str, Tensor]:
        """Return the weights that what is judged depends on."""
        weights = self.state_dict()
        return {name: tensor for name, tensor in weights.items() if not (self.embeds and name.startswith("head."))}


def build_network(
    model: str, task: Task, training: Training, trainable: Trainable, statistics: Statistics, initial: Path | None
) -> Network:
    """Return a freshly initialised network, its encoder's weights read from `initial` where given.

    So are those of its head, where the file holds one. The caller seeds torch's generator first.
    """
    if training.subtract == "nothing":
        statistics = statistics.untouched()
    known = {
        "n_features": len(statistics.mean),
        "dropout": training.dropout,
        "recurrent_dropout": training.recurrent_dropout,
        "resize": training.resize,
        "stem": training.stem,
        "masked_filters": training.augmentation.mask_filters,
        "initial": initial,
    }
    encoder = create_model(model, **{name: known[name] for name in spec(model).accepts})
    freeze(encoder, trainable)
    head = task.head(encoder.embedding_dim, training, statistics.targets)
    if initial is not None:
        _load_head(head, initial)
    return Network(encoder, head, statistics, embeds=task.pairs, centred=training.subtract == "crop_mean")


def _load_head(head: nn.Module, path: Path) -> None:
    """Load the head that a file of initial weights may hold beside the encoder; one of other shapes is refused."""
    weights, built = initial_head(path), head.state_dict()
    if not weights:
        return
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (weights, built)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{path} holds a head of {shapes[0]}, expected {shapes[1]}, which the task and its settings make: use "
            "weights of this very task, or take head.* out of the file, to start from the encoder alone"
        )
    head.load_state_dict(weights)


def predict(network: Network, loader: DataLoader[Batch | PaddedBatch], crops: int) -> Tensor:
    """Return what is judged, `(N, K, ...)` on the CPU, in the order of the loader's rows, each with its crops.

    The network is left in evaluation mode on the device that computed: the accelerator, if there is one.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    network.eval().to(device)
    found = []
    with torch.inference_mode():
        for batch in loader:
            lengths = lengths_of(batch)
            own = None if lengths is None else lengths.to(device)
            found.append((batch.row, network.judged(batch.features.to(device), own).cpu()))
    return in_order(found, crops)


def in_order(found: Sequence[tuple[Tensor, Tensor]], crops: int) -> Tensor:
    """Return `(N, K, ...)` in the order of rows, from rows and outputs of batches; a row's crops follow each other."""
    rows = torch.cat([rows for rows, _ in found])
    outputs = joined([outputs for _, outputs in found])[torch.argsort(rows, stable=True)]
    return outputs.reshape(-1, crops, *outputs.shape[1:])
