"""Train and use AASIST beside the form that its authors published, in one run.

    python benchmarks/spoofing_models.py
    python benchmarks/spoofing_models.py --models aasist --threads 1

| row    | what is timed                                                                        | bar, aasist     |
|--------|--------------------------------------------------------------------------------------|----------------:|
| step   | forward, backward and Adam on a batch of noise of 64,600 samples, on `--threads`     | at most 0.87    |
| clip   | one clip of three seconds, without gradients, on one thread                          | (served: 0.4)   |

The published form, written here after the official code (clovaai/aasist), has the same weights and the same layers
behind the blocks. It copies the bank of filters for every batch, pools the magnitudes of all of it by torch's 3 by 3,
computes the batch normalisations whose result it discards, normalises after the convolution in evaluation mode too, and
keeps its maps in torch's ordinary layout.

A ratio is our time by that form's, each the least of the repetitions, which take turns; times are those of the
processor (user and system, all threads), which other programs on the machine disturb less than a clock. Of the
differences, `clip` is the largest between the embeddings of the clip, `training` that between embeddings in training
mode without dropout, and `gradient` the largest of a parameter's gradient, by its norm: above 1e-4 the run has failed.
The last two are in double precision: batch normalisation over a batch's few nodes magnifies the rounding of single.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models import create_model
from voxbench.models.aasist import AasistBlock, AasistEncoder

SAMPLE_RATE_HZ, SECONDS, SAMPLES = 16_000, 3, 64_600
BARS = {("aasist", "step"): 1 / 1.15, ("aasist", "clip"): 0.4}
LARGEST_DIFFERENCE = 1e-4
NO_DROPOUT = {"input_dropout": 0.0, "pool_dropout": 0.0, "branch_dropout": 0.0}


class PublishedForm(nn.Module):
    """AASIST as its official code computes it, with a copy of the weights of ours."""

    def __init__(self, ours: AasistEncoder) -> None:
        super().__init__()
        self.net = copy.deepcopy(ours)

    def forward(self, wave_B1S: Tensor) -> Tensor:
        """Return embeddings `(B, D)`."""
        bank_NK = self.net.bank.bank_NK.clone()
        maps = functional.conv1d(wave_B1S, bank_NK[:, None])[:, None]
        maps = functional.selu_(self.net.first_bn(functional.max_pool2d(maps.abs(), 3)))
        for (block,) in self.net.encoder:
            maps = published_block(block, maps)
        return self.net.graphs(maps)


def published_block(block: AasistBlock, maps: Tensor) -> Tensor:
    """Return a block's output, computed in the published order."""
    if hasattr(block, "bn1"):
        functional.selu_(block.bn1(maps))
    hidden = block.conv2(functional.selu_(block.bn2(block.conv1(maps))))
    hidden += block.conv_downsample(maps) if block.widens else maps
    return functional.max_pool2d(hidden, (1, 3))


def race(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the least processor seconds of each way; they take turns after a first run that is not counted."""
    found = dict.fromkeys(ways, float("inf"))
    for repeat in range(repeats + 1):
        for way, act in ways.items():
            started = time.process_time()
            act()
            if repeat:
                found[way] = min(found[way], time.process_time() - started)
    return found


def step(network: nn.Module, batch: Tensor) -> Callable[[], None]:
    """Return one training step that pulls embeddings to zero."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6)

    def act() -> None:
        optimiser.zero_grad()
        network(batch).square().mean().backward()
        optimiser.step()

    return act


def training_differences(name: str, batch: Tensor) -> dict[str, float]:
    """Return how far embeddings and gradients of one step are apart, without dropout."""
    torch.manual_seed(2)
    ours = create_model(name, **NO_DROPOUT).double().train()
    theirs = PublishedForm(ours).train()
    outputs = [network(batch.double()) for network in (ours, theirs)]
    for output in outputs:
        output.square().mean().backward()
    pairs = zip(ours.named_parameters(), theirs.net.parameters(), strict=True)
    used = [(own.grad, other.grad) for (key, own), other in pairs if key not in ours.unused]
    # A gradient that is nothing but rounding, such as that of a bias before a normalisation, has no relative error.
    scale = max(float(other.norm()) for _, other in used)
    return {
        "training": float((outputs[0] - outputs[1]).detach().abs().max()),
        "gradient": max(float((own - other).norm() / (other.norm() + 1e-3 * scale)) for own, other in used),
    }


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return seconds, ratios and differences of one model."""
    torch.manual_seed(1)
    ours = create_model(name).eval()
    theirs = PublishedForm(ours).eval()
    clip = 0.1 * torch.randn(1, 1, SECONDS * SAMPLE_RATE_HZ)
    batch = 0.1 * torch.randn(arguments.batch, 1, arguments.samples)
    figures: dict[str, Any] = {"seconds": {}}
    torch.set_num_threads(1)
    with torch.inference_mode():
        figures["differences"] = {"clip": float((ours(clip) - theirs(clip)).abs().max())}
        ways = {"voxbench": lambda: ours(clip), "published": lambda: theirs(clip)}
        figures["seconds"]["clip"] = race(ways, arguments.repeats)
    torch.set_num_threads(arguments.threads)
    figures["differences"] |= training_differences(name, batch)
    steps = {"voxbench": step(ours.train(), batch), "published": step(theirs.train(), batch)}
    figures["seconds"]["step"] = race(steps, arguments.steps)
    figures["ratios"] = {row: found["voxbench"] / found["published"] for row, found in figures["seconds"].items()}
    return figures


def bars_of(models: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each bar with what was found."""
    return [
        {"model": name, "row": row, "at_most": bar, "found": models[name]["ratios"][row]}
        | {"met": models[name]["ratios"][row] <= bar}
        for (name, row), bar in BARS.items()
        if name in models
    ]


def show(models: dict[str, Any], bars: list[dict[str, Any]]) -> None:
    """Print what was measured."""
    for name, figures in models.items():
        for row, found in figures["seconds"].items():
            ours, theirs = (found[way] * 1000 for way in ("voxbench", "published"))
            ratio = figures["ratios"][row]
            print(f"{name:<9}{row:<6}voxbench {ours:,.1f} ms, published form {theirs:,.1f} ms, ratio {ratio:.2f}")
        for way, found in figures["differences"].items():
            print(f"{name:<9}largest difference, {way}: {found:.1e}")
    for bar in bars:
        words = "met" if bar["met"] else "NOT MET"
        print(f"{bar['model']}, {bar['row']}: at most {bar['at_most']:.2f} times the published form's: {words}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=("aasist", "aasist_l"), default=["aasist", "aasist_l"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of a training crop")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the training step")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    models = {name: measure(name, arguments) for name in arguments.models}
    bars = bars_of(models)
    show(models, bars)
    shape = {"batch": arguments.batch, "samples": arguments.samples, "threads": arguments.threads}
    if arguments.json:
        arguments.json.write_text(json.dumps(shape | {"models": models, "bars": bars}, indent=2) + "\n")
    differences = [found for figures in models.values() for found in figures["differences"].values()]
    return 1 if any(found > LARGEST_DIFFERENCE for found in differences) else 0


if __name__ == "__main__":
    sys.exit(main())
