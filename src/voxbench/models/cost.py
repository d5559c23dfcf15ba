"""What one pass through a network costs, as a number that does not depend on the machine.

A multiply-add is one product and its addition to a sum. Convolutions, linear layers and LSTMs are counted, whose sums
of products are nearly all of the work; normalisation, activations, pools and resizing are not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


def multiply_adds(network: nn.Module, batch: Tensor) -> int:
    """Return the multiply-adds of one pass of `batch`; the network is left in evaluation mode.

    A layer counts as often as it is called. Raises ValueError for a layer whose weights are multiplied in a way that
    is not known here.
    """
    counted: list[int] = []

    def count(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor | tuple[Tensor, object]) -> None:
        counted.append(_of_layer(layer, given[0], output[0] if isinstance(output, tuple) else output))

    hooks = [module.register_forward_hook(count) for module in network.modules() if _has_matrices(module)]
    try:
        with torch.inference_mode():
            network.eval()(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)


def _has_matrices(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))


def _of_layer(layer: nn.Module, given: Tensor, output: Tensor) -> int:
    weights = [parameter for parameter in layer.parameters(recurse=False) if parameter.ndim > 1]
    if isinstance(layer, CONVOLUTIONS) or type(layer) is nn.Linear:
        return output.numel() * weights[0][0].numel()
    if isinstance(layer, nn.LSTM):
        # Every weight, of both directions, meets every frame once.
        return given.shape[:-1].numel() * sum(weight.numel() for weight in weights)
    raise ValueError(f"the multiply-adds of a {type(layer).__name__} are not known: add its rule here")
