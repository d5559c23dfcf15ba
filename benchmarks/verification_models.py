"""Train and use ECAPA-TDNN and x-vector networks beside SpeechBrain's own, in one run.

    python benchmarks/verification_models.py                                   # ours alone
    python benchmarks/verification_models.py --speechbrain ENV/lib/python3.11/site-packages

FOLDER of `--speechbrain` is where an environment has SpeechBrain; its packages are read after ours, so both sides run
on one torch. Both networks of a row have the same weights, copied from ours by `voxbench.models.speechbrain`.

| row       | what is timed                                                                        | bar, ecapa_tdnn |
|-----------|--------------------------------------------------------------------------------------|----------------:|
| step      | forward, backward and Adam on a batch of noise, on `--threads` threads               |       at most 1 |
| embedding | one clip of three seconds, without gradients, on one thread                          |     at most 0.7 |
| scoring   | clips of 1 to 3 s, ours in one padded batch and SpeechBrain's one by one, one thread |                 |

A ratio is our time by SpeechBrain's, each the least of the repetitions, which take turns; times are those of the
processor (user and system, all threads), which other programs on the machine disturb less than a clock. "Difference"
is the largest between the two sides' embeddings of the same features, padded ones too: above 1e-4 the run has failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models import Encoder, create_model
from voxbench.models.speechbrain import to_speechbrain

BANDS, FRAMES_PER_SECOND, SECONDS = 80, 100, 3
BARS = {("ecapa_tdnn", "step"): 1.0, ("ecapa_tdnn", "embedding"): 0.7}
LARGEST_DIFFERENCE = 1e-4
MODELS = ("ecapa_tdnn", "x_vector")


def rival_of(name: str, folder: Path | None, encoder: Encoder) -> nn.Module | None:
    """Return SpeechBrain's network with the weights of ours, or None where there is no SpeechBrain."""
    if folder is not None:
        sys.path.append(str(folder))
    warnings.filterwarnings("ignore")
    try:
        ecapa, x_vector = (import_module(f"speechbrain.lobes.models.{part}") for part in ("ECAPA_TDNN", "Xvector"))
    except ModuleNotFoundError as error:
        if folder is not None:
            raise SystemExit(f"{folder}: found no usable SpeechBrain ({error}), expected its site-packages") from error
        return None
    network: nn.Module = ecapa.ECAPA_TDNN(BANDS) if name == "ecapa_tdnn" else x_vector.Xvector(in_channels=BANDS)
    network.load_state_dict(to_speechbrain(encoder))
    return network


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


def clips_of(lengths: list[int]) -> list[Tensor]:
    """Return noise `(1, F, T)` of each number of frames."""
    draws = torch.Generator().manual_seed(1)
    return [torch.randn(1, BANDS, length, generator=draws) for length in lengths]


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return seconds, ratios and differences of one model."""
    torch.manual_seed(1)
    encoder = create_model(name, n_features=BANDS).eval()
    rival = rival_of(name, arguments.speechbrain, encoder)
    lengths = [SECONDS * FRAMES_PER_SECOND - 25 * number for number in range(8)]
    clips = clips_of(lengths)
    padded, counts = torch.cat([functional.pad(clip, (0, lengths[0] - clip.shape[2])) for clip in clips]), lengths
    rows = {
        "embedding": {"voxbench": lambda: encoder(clips[0])},
        "scoring": {"voxbench": lambda: encoder(padded, torch.tensor(counts))},
    }
    figures: dict[str, Any] = {"speechbrain": rival is not None, "seconds": {}}
    torch.set_num_threads(1)
    with torch.inference_mode():
        if rival is not None:
            theirs = rival.eval()
            rows["embedding"]["speechbrain"] = lambda: theirs(clips[0].transpose(1, 2))
            rows["scoring"]["speechbrain"] = lambda: [theirs(clip.transpose(1, 2)) for clip in clips]
            alone = torch.cat([theirs(clip.transpose(1, 2))[:, 0] for clip in clips])
            one_by_one = torch.cat([encoder(clip) for clip in clips])
            figures["differences"] = {
                "one by one": float((one_by_one - alone).abs().max()),
                "padded": float((encoder(padded, torch.tensor(counts)) - alone).abs().max()),
            }
        for row, ways in rows.items():
            figures["seconds"][row] = race(ways, arguments.repeats)
    torch.set_num_threads(arguments.threads)
    batch = torch.randn(arguments.batch, BANDS, arguments.frames)
    steps = {"voxbench": step(encoder.train(), batch)}
    if rival is not None:
        steps["speechbrain"] = step(rival.train(), batch.transpose(1, 2).contiguous())
    figures["seconds"]["step"] = race(steps, arguments.steps)
    figures["ratios"] = {
        row: found["voxbench"] / found["speechbrain"]
        for row, found in figures["seconds"].items()
        if "speechbrain" in found
    }
    return figures


def bars_of(models: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each bar with what was found, which is None without SpeechBrain."""
    found = {key: models.get(key[0], {}).get("ratios", {}).get(key[1]) for key in BARS}
    return [
        {"model": key[0], "row": key[1], "at_most": bar, "found": found[key]}
        | {"met": None if found[key] is None else found[key] <= bar}
        for key, bar in BARS.items()
        if key[0] in models
    ]


def show(models: dict[str, Any], bars: list[dict[str, Any]]) -> None:
    """Print what was measured."""
    for name, figures in models.items():
        for row, found in figures["seconds"].items():
            ratio = figures["ratios"].get(row)
            beside = "SpeechBrain: absent" if ratio is None else f"SpeechBrain {found['speechbrain'] * 1000:,.1f} ms"
            words = "" if ratio is None else f", ratio {ratio:.2f}"
            print(f"{name:<12}{row:<11}voxbench {found['voxbench'] * 1000:,.1f} ms, {beside}{words}")
        for way, found in figures.get("differences", {}).items():
            print(f"{name:<12}largest difference, {way}: {found:.1e}")
    for bar in bars:
        words = {None: "not measured", True: "met", False: "NOT MET"}[bar["met"]]
        print(f"{bar['model']}, {bar['row']}: at most {bar['at_most']:g} times SpeechBrain's: {words}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speechbrain", type=Path, metavar="FOLDER", help="site-packages that have SpeechBrain")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=250, help="of a training crop, 10 ms each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the training step")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    models = {name: measure(name, arguments) for name in arguments.models}
    bars = bars_of(models)
    show(models, bars)
    shape = {"batch": arguments.batch, "frames": arguments.frames, "threads": arguments.threads}
    if arguments.json:
        arguments.json.write_text(json.dumps(shape | {"models": models, "bars": bars}, indent=2) + "\n")
    differences = [found for figures in models.values() for found in figures.get("differences", {}).values()]
    return 1 if any(found > LARGEST_DIFFERENCE for found in differences) else 0


if __name__ == "__main__":
    sys.exit(main())
