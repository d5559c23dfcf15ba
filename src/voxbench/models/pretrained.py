"""ImageNet weights as an explicit input: where they come from, what they must hold, and which file a model starts from.

torchvision names the file of each CNN (its set `IMAGENET1K_V1`); the first 8 digits of the file's SHA-256 stand in the
file's name. `voxbench weights fetch` turns it into `NAME.safetensors` beside an `index.json`,
`{NAME: {url, sha256_download, sha256}}`, and a model starts from a file only while its hash is the one in the index.

| model           | torchvision's file                      |    MB |
|-----------------|-----------------------------------------|------:|
| alexnet         | alexnet-owt-7be5be79.pth                | 244.4 |
| vgg16           | vgg16-397923af.pth                      | 553.4 |
| resnet18        | resnet18-f37072fd.pth                   |  46.8 |
| resnet50        | resnet50-0676ba61.pth                   | 102.5 |
| densenet121     | densenet121-a639ec97.pth                |  32.3 |
| mobilenet_v2    | mobilenet_v2-b0353104.pth               |  14.2 |
| efficientnet_b0 | efficientnet_b0_rwightman-7f5810bc.pth  |  21.4 |

Eight digits tell a damaged file, not a forged one: a checkpoint is read without running code from it, and every name
and shape is compared with torchvision's own network. Nothing here opens a connection.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from voxbench.artifacts import read_json
from voxbench.models.encoder import Encoder
from voxbench.models.zoo import list_models, spec
from voxbench.registry import closest
from voxbench.schema import InputError

RANDOM, IMAGENET = "random", "imagenet"
INDEX = "index.json"
HEAD = "head."
ENCODER, STATISTICS = "encoder.", "mean_F1"
# DenseNet's published file still has the names of an older torchvision: denselayer1.norm.1 for denselayer1.norm1.
OLD_DENSENET_NAME = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$"
)


@dataclass(frozen=True, slots=True)
class Initial:
    """The file that a model starts from, and its SHA-256 in 64 hex digits."""

    path: Path
    sha256: str


def pretrained_models() -> list[str]:
    """List the models that have ImageNet weights."""
    return [name for name in list_models() if spec(name).pretrained]


def imagenet_url(name: str) -> str:
    """Return the address of a model's ImageNet weights; a model without any raises `InputError`."""
    if not spec(name).pretrained:
        raise InputError(f"{name!r} has no ImageNet weights; these have: {', '.join(pretrained_models())}")
    return str(torchvision.models.get_model_weights(name).IMAGENET1K_V1.url)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_index(folder: Path) -> dict[str, dict[str, str]]:
    """Return the fetched weights by model name: `url`, `sha256_download` and `sha256`; none without an index."""
    path = folder / INDEX
    if not path.is_file():
        return {}
    try:
        index = read_json(path)
        return {name: {key: row[key] for key in ("url", "sha256_download", "sha256")} for name, row in index.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not an index of weights: delete it and run `voxbench weights fetch MODEL` again"
        ) from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict that torch saved.

    Raises `InputError` for a file that is none, or wants to run code.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise InputError(
            f"{path}: found no checkpoint that can be read without running code from it ({type(error).__name__}), "
            f"expected a state dict of tensors; delete the file and fetch it from another source"
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: found {type(content).__name__}, expected a state dict of tensors")
    return dict(content)


def read_checkpoint(path: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of torchvision's checkpoint of model `name`, by the names of its present network.

    Raises `InputError` as `read_state`, and for a file that does not fit the network. The counters of batch
    normalisation, which old files lack and which nothing reads, may be absent.
    """
    weights = {OLD_DENSENET_NAME.sub(r"\1\2", key): value for key, value in read_state(path).items()}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    require_weights(path, weights, network.state_dict())
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in weights.items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; another file raises `InputError`."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: found no safetensors file ({error}), expected one of initial weights") from error


def require_weights(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse, with `InputError`, tensors whose names, shapes or kinds of number are not the expected ones.

    Only `expected` counters of batch normalisation may be absent.
    """
    for key in dict.fromkeys([*expected, *found]):
        if key not in found and key.endswith(".num_batches_tracked"):
            continue
        here, wanted = _described(found, key), _described(expected, key)
        if here != wanted:
            raise InputError(
                f"{path}: found {here} as {key}, expected {wanted}; use weights of this very network, "
                f"by the names of its layers"
            )


def load_encoder(encoder: Encoder, path: Path) -> None:
    """Load a safetensors file of `encoder`'s own state dict into it, in place; another raises `InputError`.

    Tensors of the head (`initial_head`) may be in the file, too. The `weights.safetensors` of a trained network has
    the encoder's below `encoder.`, and statistics of features beside it, which are those of its own training rows.
    """
    found = {name: value for name, value in read_weights(path).items() if not name.startswith(HEAD)}
    if STATISTICS in found:
        found = {name.removeprefix(ENCODER): value for name, value in found.items() if name.startswith(ENCODER)}
    require_weights(path, found, encoder.state_dict())
    encoder.load_state_dict(found, strict=False)


def initial_head(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file that are a task's head, by their names in the head; none is no error.

    In the file they are called `head.NAME`; they fit a head whose state dict has the same names and shapes.
    """
    return {name.removeprefix(HEAD): value for name, value in read_weights(path).items() if name.startswith(HEAD)}


def _described(tensors: Mapping[str, Tensor], key: str) -> str:
    if key not in tensors:
        return "nothing"
    kind = "floating-point" if tensors[key].is_floating_point() else "integer"
    return f"{kind} numbers of shape {tuple(tensors[key].shape)}"


def origin(name: str, weights: str) -> str:
    """Return what model `name` starts from, in one word for reports: `imagenet`, `random`, or a file's name.

    `weights` is the setting of that name. `imagenet` gives `random` for a model that has no ImageNet weights.
    """
    if weights == IMAGENET and not spec(name).pretrained:
        return RANDOM
    return weights if weights in (IMAGENET, RANDOM) else Path(weights).name


def initial_weights(name: str, weights: str, folder: Path, root: Path) -> Initial | None:
    """Return the file that model `name` starts from under the setting `weights`, None for random weights.

    `imagenet` is looked up in the index of `folder`; where no ImageNet weights of the model exist it means random
    ones, which `origin` tells. Anything else is the path of a safetensors file, relative to `root`. Raises
    `InputError` for weights that were not fetched, were changed since, or that the model cannot take.
    """
    start = origin(name, weights)
    if start == RANDOM:
        return None
    return _fetched(name, folder) if start == IMAGENET else _named(name, weights, root)


def _fetched(name: str, folder: Path) -> Initial:
    cure = f"run `voxbench weights fetch {name}`"
    row, path = read_index(folder).get(name), folder / f"{name}.safetensors"
    if row is None or not path.is_file():
        raise InputError(f"no ImageNet weights of {name} in {folder}: {cure}, or set training.weights to {RANDOM}")
    if (found := sha256(path)) != row["sha256"]:
        raise InputError(
            f"{path}: found SHA-256 {found}, expected {row['sha256']} as in {INDEX}; the file was changed: {cure}"
        )
    return Initial(path, found)


def _named(name: str, weights: str, root: Path) -> Initial:
    words: Iterable[str] = (RANDOM, IMAGENET)
    if "initial" not in spec(name).accepts:
        raise InputError(
            f"found training.weights {weights!r}, but {name} cannot start from a file; "
            f"set it to {RANDOM}, or leave {name} out"
        )
    if not (path := root / weights).is_file():
        raise InputError(
            f"found training.weights {weights!r}{closest(weights, words)}, but no file {path}; "
            f"expected {RANDOM}, {IMAGENET}, or a safetensors file relative to {root}"
        )
    return Initial(path, sha256(path))
