"""Prepared audio becomes feature stores: one for each kind of input, with the training rows' mean and deviation.

Outputs in `data/features/CORPUS`: `spectrogram/shard-*.arrow`, `cepstra/shard-*.arrow` and `features.json`, which
gives for each kind its digest, frame rate, and per-bin statistics. Statistics see training rows alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

from voxbench.artifacts import digest, files_digest, package_digest, write_json
from voxbench.config import Corpus
from voxbench.features.extraction import build_front_end, extract
from voxbench.features.store import RaggedStore, dequantize, read_notes, write_shard
from voxbench.progress import Progress
from voxbench.schema import InputError, InputKind, Split
from voxbench.stages.workspace import Workspace

KINDS = (InputKind.SPECTROGRAM, InputKind.CEPSTRA)


def features(workspace: Workspace, name: str) -> None:
    """Compute the features of the corpus `name`; shards finished by an interrupted run are kept."""
    corpus, parallel = workspace.params.corpus(name), workspace.params.parallel
    prepared, folder = workspace.prepared(name), workspace.features(name)
    if not (prepared / "manifest.parquet").is_file():
        place = prepared.relative_to(workspace.root)
        raise InputError(f"no {place}/manifest.parquet: run `dvc repro prepare@{name}` first")
    build_front_end(corpus.features, corpus.cleaning.sample_rate_hz)
    shards = sorted(prepared.glob("shard-*.arrow"))
    (folder / "features.json").unlink(missing_ok=True)
    for kind in KINDS:
        for stale in set((folder / kind).glob("shard-*")) - {folder / kind / shard.name for shard in shards}:
            stale.unlink()
    work = (joblib.delayed(extract_shard)(shard, corpus, folder) for shard in shards)
    with Progress(f"features {name}", len(shards)) as progress:
        for rows in joblib.Parallel(n_jobs=parallel.workers, return_as="generator")(work):
            progress.advance(f"{rows} recordings")
    manifest = pd.read_parquet(prepared / "manifest.parquet", columns=["id", "split"])
    training_ids = manifest.loc[manifest["split"] == Split.TRAIN, "id"].tolist()
    write_json(folder / "features.json", {kind: _describe(folder / kind, training_ids, corpus) for kind in KINDS})


def extract_shard(shard: Path, corpus: Corpus, folder: Path) -> int:
    """Write the features of one shard of prepared audio and return its rows; runs in a worker process."""
    torch.set_num_threads(1)
    sources = [package_digest(["features"]), files_digest([shard], shard.parent)]
    key = digest([sources, corpus.features.model_dump(mode="json")])
    targets = {kind: folder / kind / shard.name for kind in KINDS}
    store = RaggedStore(shard.parent, shard.name)
    if all(path.is_file() and read_notes(path)["key"] == key for path in targets.values()):
        return len(store)
    front_end = build_front_end(corpus.features, corpus.cleaning.sample_rate_hz)
    arrays: dict[InputKind, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for samples, scale in zip(store, store.scales, strict=True):
        for kind, values_TF in extract(front_end, dequantize(samples, scale)).items():
            arrays[kind].append(values_TF)
    for kind, path in targets.items():
        write_shard(path, store.ids, arrays[kind], [1.0] * len(store), {"key": key})
    return len(store)


def _describe(folder: Path, training_ids: list[str], corpus: Corpus) -> dict[str, Any]:
    """Return the digest of a kind's store and the mean and deviation of each bin over the training rows."""
    store = RaggedStore(folder)
    total, squares, frames = np.zeros(store.width), np.zeros(store.width), 0
    for row_id in training_ids:
        values_TF = store[store.position(row_id)].astype(np.float64)
        total += values_TF.sum(axis=0)
        squares += (values_TF**2).sum(axis=0)
        frames += len(values_TF)
    mean = total / frames
    deviation = np.sqrt(np.maximum(squares / frames - mean**2, 0))
    return {
        "bins": store.width,
        "hop_ms": corpus.features.hop_ms,
        "mean": mean.tolist(),
        "std": np.where(deviation > 0, deviation, 1.0).tolist(),
        "digest": digest([files_digest(folder.glob("shard-*.arrow"), folder), training_ids]),
    }
