"""Prepared audio becomes feature stores: one for each kind of input, with the training rows' mean and deviation.

Outputs in `data/features/CORPUS`: `spectrogram/shard-*.arrow`, `cepstra/shard-*.arrow` and `features.json`, which
gives the corpus's licence and for each kind its digest, frame rate, and per-bin statistics. Statistics see training
rows alone; a corpus made for evaluation has none. Waves are stored nowhere but in the prepared audio; their entry gives
its digest, with mean 0 and deviation 1, which change nothing: cleaning has brought every recording there by itself, or
keeps its level on purpose (`cleaning.z_score: false`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from voxbench.artifacts import digest, files_digest, package_digest, write_json
from voxbench.config import Corpus, Parallel
from voxbench.features.extraction import build_front_end, extract
from voxbench.features.mixed import open_store
from voxbench.features.store import RaggedStore, ShardWriter, dequantize, read_notes
from voxbench.progress import Progress
from voxbench.schema import InputError, InputKind, Split
from voxbench.stages.workspace import Workspace
from voxbench.workers import spread

KINDS = (InputKind.SPECTROGRAM, InputKind.CEPSTRA)


def features(workspace: Workspace, name: str) -> None:
    """Compute the features of the corpus `name`; shards finished by an interrupted run are kept."""
    corpus, parallel = workspace.params.corpus(name), workspace.params.parallel
    prepared, folder = workspace.prepared(name), workspace.features(name)
    if not (prepared / "manifest.parquet").is_file():
        place, stage = prepared.relative_to(workspace.root), "mix" if name in workspace.params.mixtures else "prepare"
        raise InputError(f"no {place}/manifest.parquet: run `dvc repro {stage}@{name}` first")
    build_front_end(corpus.features, corpus.cleaning.sample_rate_hz)
    shards = sorted(prepared.glob("shard-*.arrow"))
    (folder / "features.json").unlink(missing_ok=True)
    for kind in KINDS:
        for stale in set((folder / kind).glob("shard-*")) - {folder / kind / shard.name for shard in shards}:
            stale.unlink()
    with Progress(f"features {name}", len(shards)) as progress:
        for rows in spread(extract_shard, ((shard, corpus, folder) for shard in shards), parallel):
            progress.advance(f"{rows} recordings")
    training = pq.read_table(prepared / "manifest.parquet", columns=["id"], filters=[("split", "=", str(Split.TRAIN))])
    ids = set(training["id"].to_pylist())
    about = {kind: _describe(folder / kind, ids, corpus, parallel) for kind in KINDS}
    about[InputKind.WAVE] = _describe_waves(prepared, ids, corpus)
    write_json(folder / "features.json", {"licence": corpus.licence, **about})


def extract_shard(shard: Path, corpus: Corpus, folder: Path) -> int:
    """Write the features of one shard of prepared audio and return its rows; runs in a worker process."""
    torch.set_num_threads(1)
    sources = [package_digest(["features", "stages/features.py"]), files_digest([shard], shard.parent)]
    key = digest([sources, corpus.features.model_dump(mode="json")])
    paths = {kind: folder / kind / shard.name for kind in KINDS}
    missing = {kind: path for kind, path in paths.items() if read_notes(path).get("key") != key}
    store = open_store(shard.parent, shard.name)
    if not missing:
        return len(store)
    front_end = build_front_end(corpus.features, corpus.cleaning.sample_rate_hz)
    with ExitStack() as stack:
        writers = {kind: stack.enter_context(ShardWriter(path)) for kind, path in missing.items()}
        for row_id, samples, scale in zip(store.ids, store, store.scales, strict=True):
            made = extract(front_end, dequantize(samples, scale))
            for kind, writer in writers.items():
                writer.add(row_id, made[kind], 1.0)
        for writer in writers.values():
            writer.finish({"key": key})
    return len(store)


def sum_shard(shard: Path, training: Sequence[bool]) -> tuple[np.ndarray, int]:
    """Return sums and sums of squares `(rows, 2, F)` of each training row of a feature shard, and their frames."""
    store = RaggedStore(shard.parent, shard.name)
    values = [row_TF.astype(np.float64) for row_TF, wanted in zip(store, training, strict=True) if wanted]
    sums = [(values_TF.sum(axis=0), (values_TF**2).sum(axis=0)) for values_TF in values]
    return np.array(sums).reshape(len(values), 2, store.width), sum(map(len, values))


def _describe(folder: Path, training_ids: set[str], corpus: Corpus, parallel: Parallel) -> dict[str, Any]:
    """Return the digest of a kind's store and the mean and deviation of each bin over the training rows."""
    shards = sorted(folder.glob("shard-*.arrow"))

    def pieces() -> Iterator[tuple[Path, list[bool]]]:
        for shard in shards:
            yield shard, [row_id in training_ids for row_id in RaggedStore(folder, shard.name).ids]

    totals, frames = np.zeros((2, 1)), 0
    for sums, more in spread(sum_shard, pieces(), parallel):
        for row in sums:  # row by row, so that the size of shards changes no digit
            totals = totals + row
        frames += more
    statistics: dict[str, Any] = {"mean": None, "std": None}
    if frames:
        mean, squares = totals / frames
        deviation = np.sqrt(np.maximum(squares - mean**2, 0))
        statistics = {"mean": mean.tolist(), "std": np.where(deviation > 0, deviation, 1.0).tolist()}
    return {
        **statistics,
        "bins": RaggedStore(folder).width,
        "hop_ms": corpus.features.hop_ms,
        "digest": digest([files_digest(shards, folder), sorted(training_ids)]),
    }


def _describe_waves(prepared: Path, training_ids: set[str], corpus: Corpus) -> dict[str, Any]:
    """Return what `_describe` returns, of the prepared audio itself: one bin, and a frame for each sample."""
    return {
        "mean": [0.0] if training_ids else None,
        "std": [1.0] if training_ids else None,
        "bins": 1,
        "hop_ms": 1000 / corpus.cleaning.sample_rate_hz,
        "digest": digest([files_digest(sorted(prepared.glob("shard-*.arrow")), prepared), sorted(training_ids)]),
    }
