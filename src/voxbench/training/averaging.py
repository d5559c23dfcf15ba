"""The mean of the weights of several epochs, which often generalizes better than any of them.

Reference: stochastic weight averaging (Izmailov et al., UAI 2018), as the authors of AASIST use it (Jung et al., ICASSP
2022): over the epochs that were the best so far. Deviation: theirs keep the mean whatever it is worth; here it is taken
only where its validation loss is below that of the best epoch.

Batch normalisation's statistics cannot be averaged: they are computed anew, over the training rows of one epoch, by the
averaged weights, each batch weighing the same, without dropout and without masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxbench.features.dataset import lengths_of
from voxbench.features.online import OnlineFeatures
from voxbench.features.wave_crops import WaveBatch
from voxbench.training.network import Network


class WeightMean:
    """The running mean of state dicts; what is no floating-point number is that of the last one."""

    def __init__(self) -> None:
        self.count = 0
        self.weights: dict[str, Tensor] = {}

    def add(self, weights: Mapping[str, Tensor]) -> None:
        """Count one more state dict in."""
        self.count += 1
        for name, tensor in weights.items():
            known = self.weights.get(name)
            if known is None or not tensor.is_floating_point():
                self.weights[name] = tensor.detach().cpu().clone()
            else:
                known.lerp_(tensor.detach().cpu(), 1 / self.count)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"count": self.count, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up where a run was cut off."""
        self.count, self.weights = state["count"], dict(state["weights"])


@torch.no_grad()
def renew_statistics(network: Network, batches: DataLoader[Any], online: OnlineFeatures | None, epoch: int) -> None:
    """Compute the statistics of batch normalisation anew, in place, from the training rows as `epoch` draws them."""
    layers = [each for each in network.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    network.train()
    learning = [layer for layer in layers if layer.training]
    network.eval()
    momenta = [layer.momentum for layer in learning]
    for layer in learning:
        layer.reset_running_stats()
        # None stands for the mean over all batches.
        layer.train().momentum = None
    batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    for index, batch in enumerate(batches):
        if isinstance(batch, WaveBatch):
            assert online is not None, "given wherever waves are"
            batch = online(batch, epoch, index)
        device, lengths = network.mean_F1.device, lengths_of(batch)
        network(batch.features.to(device), None if lengths is None else lengths.to(device))
    for layer, momentum in zip(learning, momenta, strict=True):
        layer.momentum = momentum
    network.eval()
