"""What one pass through a network costs, as a number that does not depend on the machine.

A multiply-add is one product and its addition to a sum. Convolutions, linear layers, LSTMs and GRUs are counted, whose
sums of products are nearly all of the work; normalisation, activations, pools and resizing are not. A module whose sums
of products are its own and no layer's says how many they are (`CountsItself`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
RECURRENT = (nn.LSTM, nn.GRU)


@runtime_checkable
class CountsItself(Protocol):
    """A module with sums of products outside of layers."""

    def own_multiply_adds(self, *given: Tensor) -> int:
        """Return how many there are in one pass of `given`, without those of its layers."""


def multiply_adds(network: nn.Module, batch: Tensor) -> int:
    """Return the multiply-adds of one pass of `batch`; the network is left in evaluation mode.

    A layer counts as often as it is called. Raises ValueError for a layer whose weights are multiplied in a way that
    is not known here.
    """
    counted: list[int] = []

    def count(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor | tuple[Tensor, object]) -> None:
        counted.append(_of_layer(layer, given, output[0] if isinstance(output, tuple) else output))

    hooks = [module.register_forward_hook(count) for module in network.modules() if _has_matrices(module)]
    try:
        with torch.inference_mode():
            network.eval()(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)


def _has_matrices(module: nn.Module) -> bool:
    return isinstance(module, CountsItself) or any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))


def _of_layer(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> int:
    if isinstance(layer, CountsItself):
        return layer.own_multiply_adds(*given)
    weights = [parameter for parameter in layer.parameters(recurse=False) if parameter.ndim > 1]
    if isinstance(layer, CONVOLUTIONS) or type(layer) is nn.Linear:
        return output.numel() * weights[0][0].numel()
    if isinstance(layer, RECURRENT):
        # Every weight, of both directions, meets every frame once.
        return given[0].shape[:-1].numel() * sum(weight.numel() for weight in weights)
    raise ValueError(f"the multiply-adds of a {type(layer).__name__} are not known: add its rule here")
