"""The published weights of AASIST and AASIST-L, made into a file that the network and its head start from.

| file           | sha256                                                           | model    |
|----------------|------------------------------------------------------------------|----------|
| `AASIST.pth`   | 51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0 | aasist   |
| `AASIST-L.pth` | 814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a | aasist_l |

They are state dicts that torch saved, of 229 tensors (clovaai/aasist, `models/weights`, commit a04c986, MIT licence).
227 bear the names of ours. The last layer is the task's head: `out_layer.weight` and `.bias` are `head.1.weight` and
`.bias` here, the linear layer behind a dropout. Its second output is that of bona fide speech.

The weights expect samples in [-1, 1] at 16 kHz as they were recorded, neither centred nor scaled, and were trained on
clips of 64,600 samples of one corpus of clean studio speech.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from voxbench.models.aasist import AasistEncoder
from voxbench.models.pretrained import HEAD, read_state, require_weights

PUBLISHED = {
    "aasist": "51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0",
    "aasist_l": "814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a",
}
CLASSES = 2
LAST = {"out_layer.weight": f"{HEAD}1.weight", "out_layer.bias": f"{HEAD}1.bias"}


def from_published(path: Path, encoder: AasistEncoder) -> dict[str, Tensor]:
    """Return the tensors of the state dict at `path` by our names, head included; `encoder` is not changed.

    Saved as safetensors they are a file for `training.weights`. No code of the file runs. Raises `InputError` for a
    file that is no state dict, and for a tensor that is missing, too many or of another shape; batch normalisation's
    counters may be missing.
    """
    found, own = read_state(path), encoder.state_dict()
    shapes = ((CLASSES, encoder.embedding_dim), (CLASSES,))
    last = {name: torch.empty(shape, device="meta") for name, shape in zip(LAST, shapes, strict=True)}
    require_weights(path, found, own | last)
    return {LAST.get(name, name): value.contiguous() for name, value in found.items()}
