"""Fetches ImageNet weights into `data/weights`: `NAME.safetensors` and the index of what was fetched from where.

It also converts checkpoints of SpeechBrain's networks of speakers, and the published weights of AASIST, into files to
start from.

This stands on the floor of the commands and not in the room of the models, so that an edit of the downloader makes no
trained network out of date.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock
from safetensors.torch import save_file

from voxbench.artifacts import write_json
from voxbench.downloads import fetch
from voxbench.models import create_model, list_models, pretrained, spec
from voxbench.models.aasist import AasistEncoder
from voxbench.models.aasist_weights import PUBLISHED, from_published
from voxbench.models.pretrained import HEAD, INDEX, pretrained_models, read_checkpoint, read_index, sha256
from voxbench.models.speechbrain import from_speechbrain
from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.stages.workspace import Workspace

# The largest, VGG16's, has 553 MB.
MAX_BYTES = 10**9
SPEECHBRAIN = ("ecapa_tdnn", "x_vector")


def fetch_weights(workspace: Workspace, names: Sequence[str], address: str | None = None) -> None:
    """Fetch the ImageNet weights of the models `names` and print each one's size and SHA-256.

    `address` is a mirror: it stands for all of torchvision's addresses but their file names.
    """
    if not names:
        raise InputError(f"found no model, expected one or more of: {', '.join(pretrained_models())}")
    for name, path in fetch_imagenet(names, workspace.weights, address=address):
        print(f"{name}: {path.stat().st_size / 1e6:.1f} MB, sha256 {sha256(path)}")


def convert_weights(
    workspace: Workspace, checkpoints: Sequence[Path], name: str, bands: int | None, output: Path
) -> None:
    """Write the weights of one checkpoint as a file for `training.weights` and print its SHA-256.

    The checkpoint is SpeechBrain's of a network on so many `bands`, or the published one of AASIST, which reads waves
    and for which `bands` is None; its head goes along. Raises `InputError` for a checkpoint that does not fit model
    `name`, for a model that nobody publishes one of, and for an output that exists.
    """
    _require_convertible(checkpoints, name, bands, output)
    (checkpoint,) = checkpoints
    offered = {"n_features": bands, "initial": None, "masked_filters": None}
    encoder = create_model(name, **{key: value for key, value in offered.items() if key in spec(name).accepts})
    if isinstance(encoder, AasistEncoder):
        state = from_published(checkpoint, encoder)
    else:
        state = from_speechbrain(checkpoint, encoder)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    save_file(state, partial)
    os.replace(partial, output)
    head = [value for key, value in state.items() if key.startswith(HEAD)]
    count = sum(each.numel() for each in [*encoder.parameters(), *head])
    print(f"{name}: {count:,} parameters{', head included' if head else ''}, sha256 {sha256(output)}")
    if name in PUBLISHED:
        print(f"{checkpoint.name}: {_recognised(sha256(checkpoint), PUBLISHED[name])}")
    place = output.resolve()
    shown = place.relative_to(workspace.root) if place.is_relative_to(workspace.root) else place
    of_corpus = "" if bands is None else f", and features.n_mels: {bands} of the corpus"
    print(f"in params.yaml, training.weights: {shown}{of_corpus}")


def _require_convertible(checkpoints: Sequence[Path], name: str, bands: int | None, output: Path) -> None:
    known = [*(each for family in SPEECHBRAIN for each in list_models(family)), *PUBLISHED]
    if name not in known:
        raise InputError(f"found --model {name!r}{closest(name, known)}, expected one of: {', '.join(known)}")
    if len(checkpoints) != 1:
        raise InputError(f"found {len(checkpoints)} checkpoints, expected one: each is of one network")
    if name in PUBLISHED and bands is not None:
        raise InputError(f"found --bands {bands}, but {name} reads waves, which have no bands: leave --bands out")
    if name not in PUBLISHED and bands is None:
        raise InputError(f"found no --bands, expected the number of mel bands that {name} reads")
    if bands is not None and bands < 1:
        raise InputError(f"--bands is {bands}, expected the number of mel bands that the network reads")
    if output.exists():
        raise InputError(f"{output} is there already: remove it, or name another file")
    if not checkpoints[0].is_file():
        expected = "AASIST.pth or AASIST-L.pth" if name in PUBLISHED else "the embedding_model.ckpt of SpeechBrain"
        raise InputError(f"no checkpoint {checkpoints[0]}: expected {expected}, as it is published")


def _recognised(found: str, published: str) -> str:
    if found == published:
        return f"sha256 {found}, the published file"
    return f"sha256 {found}, NOT the published file, which has {published}"


def fetch_imagenet(names: Sequence[str], folder: Path, *, address: str | None = None) -> Iterator[tuple[str, Path]]:
    """Yield each model with its file in `folder` once this is there; what an earlier call fetched is kept.

    A checkpoint that already lies in `folder` under torchvision's name is used instead of a download. Raises
    `InputError` for a model without ImageNet weights, before anything is fetched, and for every failure of `fetch`
    and `read_checkpoint`.
    """
    urls = {name: pretrained.imagenet_url(name) for name in names}
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        for name, url in urls.items():
            source = url if address is None else f"{address.rstrip('/')}/{url.rpartition('/')[2]}"
            yield name, _fetch_one(name, source, folder)


def _fetch_one(name: str, url: str, folder: Path) -> Path:
    file_name = url.rpartition("/")[2]
    stated = re.search(r"-([0-9a-f]{8,64})\.pth$", file_name)
    assert stated is not None, f"torchvision states no hash in {file_name}"
    path, row = folder / f"{name}.safetensors", read_index(folder).get(name)
    if row and row["sha256_download"].startswith(stated[1]) and path.is_file() and sha256(path) == row["sha256"]:
        return path
    checkpoint = folder / file_name
    downloaded = fetch(url, checkpoint, checksum=f"sha256:{stated[1]}", max_bytes=MAX_BYTES)
    partial = path.with_name(path.name + ".partial")
    save_file(read_checkpoint(checkpoint, name), partial)
    os.replace(partial, path)
    row = {"url": url, "sha256_download": downloaded, "sha256": sha256(path)}
    write_json(folder / INDEX, read_index(folder) | {name: row})
    checkpoint.unlink()
    return path
