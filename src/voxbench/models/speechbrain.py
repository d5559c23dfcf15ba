"""Weights between our ECAPA-TDNN and x-vector networks and the checkpoints that SpeechBrain publishes for its own.

SpeechBrain's `embedding_model.ckpt` is a state dict that torch saved. The names of its layers beside ours, `i` and `j`
counted from 0, `n` the number of layers:

| ECAPA-TDNN               | SpeechBrain                               |
|--------------------------|-------------------------------------------|
| stem                     | blocks.0                                  |
| blocks.i.first, .second  | blocks.(i + 1).tdnn1, .tdnn2              |
| blocks.i.parts.j         | blocks.(i + 1).res2net_block.blocks.j     |
| blocks.i.squeeze.reduce  | blocks.(i + 1).se_block.conv1             |
| blocks.i.squeeze.expand  | blocks.(i + 1).se_block.conv2             |
| join                     | mfa                                       |
| pooling.frames, .norm    | asp.tdnn.conv, asp.tdnn.norm              |
| pooling.scores           | asp.conv                                  |
| norm, embed              | asp_bn, fc                                |

| x-vector                 | SpeechBrain                               |
|--------------------------|-------------------------------------------|
| layers.i.conv, .norm     | blocks.(3i), blocks.(3i + 2)              |
| embed                    | blocks.(3n + 1)                           |

There each layer is wrapped once more: before `weight`, `bias` and the running statistics stands `conv`, `norm`, or `w`
for the last one of x-vector. Two shapes differ: ECAPA-TDNN's linear layers on one vector a clip are convolutions of
span 1 there, and the first layer of its attention is one matrix for frames, mean and deviation, which here is
`pooling.frames` and, for the last two, `pooling.context`.

The weights expect SpeechBrain's features: log-mel bands in decibels, less each recording's mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from voxbench.models.ecapa_tdnn import EcapaEncoder
from voxbench.models.encoder import Encoder
from voxbench.models.pretrained import read_state
from voxbench.models.x_vector import XVectorEncoder
from voxbench.registry import closest
from voxbench.schema import InputError

FRAMES, CONTEXT, ATTENTION = "pooling.frames.weight", "pooling.context.weight", "asp.tdnn.conv.conv.weight"
COUNTER = ".num_batches_tracked"
# How many wrong names a message tells of each kind.
NAMED = 3
# Linear layers of one vector a clip, by the ends of their names.
VECTORS = (".squeeze.reduce.weight", ".squeeze.expand.weight", "embed.weight")
MODULES = (
    (r"^stem\.", "blocks.0."),
    (r"\.first\.", ".tdnn1."),
    (r"\.second\.", ".tdnn2."),
    (r"\.parts\.", ".res2net_block.blocks."),
    (r"\.squeeze\.reduce$", ".se_block.conv1"),
    (r"\.squeeze\.expand$", ".se_block.conv2"),
    (r"^join\.", "mfa."),
    (r"^pooling\.frames$", "asp.tdnn.conv"),
    (r"^pooling\.norm$", "asp.tdnn.norm"),
    (r"^pooling\.scores$", "asp.conv"),
    (r"^norm$", "asp_bn"),
    (r"^embed$", "fc"),
)


def to_speechbrain(encoder: Encoder) -> dict[str, Tensor]:
    """Return the weights of an ECAPA-TDNN or x-vector encoder under SpeechBrain's names and in its shapes.

    Another network raises `InputError`.
    """
    if not isinstance(encoder, (EcapaEncoder, XVectorEncoder)):
        raise InputError(
            f"found a {type(encoder).__name__}, but SpeechBrain's weights are read for ECAPA-TDNN and x-vector networks"
        )
    state = dict(encoder.state_dict())
    if isinstance(encoder, EcapaEncoder):
        context = state.pop(CONTEXT)
        state[FRAMES] = torch.cat([state[FRAMES], context[:, :, None]], dim=1)
        state = {name: value[:, :, None] if name.endswith(VECTORS) else value for name, value in state.items()}
    return {_their_name(name, encoder): value for name, value in state.items()}


def from_speechbrain(path: Path, encoder: Encoder) -> dict[str, Tensor]:
    """Return `encoder`'s state dict with the weights of SpeechBrain's checkpoint at `path`; `encoder` is not changed.

    Saved as safetensors it is a file for `training.weights`. No code of the file runs. Raises `InputError` for a file
    that is no state dict, and for tensors that are missing, too many or of another shape, of which it names the first
    ones; batch normalisation's counters may be missing.
    """
    found, expected = read_state(path), to_speechbrain(encoder)
    assert isinstance(encoder, (EcapaEncoder, XVectorEncoder))
    _require_same(path, found, expected)
    state = {}
    for name, own in encoder.state_dict().items():
        theirs = _their_name(FRAMES if name == CONTEXT else name, encoder)
        value = found.get(theirs, expected[theirs])
        if theirs == ATTENTION:
            channels = value.shape[1] // 3
            value = value[:, channels:] if name == CONTEXT else value[:, :channels]
        # A copy: two of the tensors lie in one of SpeechBrain's.
        state[name] = value.reshape(own.shape).to(own.dtype, copy=True).contiguous()
    return state


def _their_name(name: str, encoder: EcapaEncoder | XVectorEncoder) -> str:
    module, _, tensor = name.rpartition(".")
    if isinstance(encoder, XVectorEncoder):
        return f"{_x_vector_module(module, len(encoder.layers))}.{tensor}"
    wrapped = "norm" if module.endswith("norm") else "conv"
    module = re.sub(r"^blocks\.(\d+)", lambda found: f"blocks.{int(found[1]) + 1}", module)
    for ours, theirs in MODULES:
        module, replaced = re.subn(ours, theirs, module)
        if replaced:
            break
    return f"{module}.{wrapped}.{tensor}"


def _x_vector_module(module: str, layers: int) -> str:
    layer = re.fullmatch(r"layers\.(\d+)\.(conv|norm)", module)
    if layer is None:
        return f"blocks.{3 * layers + 1}.w"
    return f"blocks.{3 * int(layer[1]) + 2 * (layer[2] == 'norm')}.{layer[2]}"


def _require_same(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    missing = [name for name in expected if name not in found and not name.endswith(COUNTER)]
    unexpected = [f"{name}{closest(name, missing)}" for name in found if name not in expected]
    reshaped = [
        f"{name} of shape {tuple(found[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in found and found[name].shape != value.shape
    ]
    differences = {"without": missing, "with unknown": unexpected, "with": reshaped}
    words = [f"{kind} {_first_few(names)}" for kind, names in differences.items() if names]
    if words:
        raise InputError(
            f"{path}: found a state dict {'; '.join(words)}; expected SpeechBrain's weights of this very network, "
            f"with {len(expected)} tensors: choose the model of the same size and number of bands"
        )


def _first_few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
