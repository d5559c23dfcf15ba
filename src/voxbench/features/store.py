"""The ragged, memory-mapped array store of prepared audio and of features.

A store is a folder of Arrow IPC files (shards), each with one row per recording: `id`, `scale` and
`values`, an array of `frames x width` numbers laid out frame by frame. Reading maps the files and
copies nothing; memory stays flat however large the corpus grows. Shards are written to a temporary
name and renamed, so a shard that exists is whole.

Legend of shape letters: T frames (samples for audio, where F is 1), F bins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxbench.schema import InputError

INT16_PEAK = 32767


def quantize(wave: np.ndarray) -> tuple[np.ndarray, float]:
    """Return `(int16 samples, scale)` with `samples * scale` within half a step of `wave`.

    >>> samples, scale = quantize(np.array([0.0, -2.0, 1.0], dtype=np.float32))
    >>> samples.tolist()
    [0, -32767, 16384]
    """
    peak = float(np.abs(wave).max(initial=0.0))
    scale = peak / INT16_PEAK if peak > 0 else 1.0
    return np.rint(wave / scale).astype(np.int16), scale


def dequantize(samples: np.ndarray, scale: float) -> np.ndarray:
    """Return the float32 wave that `quantize` stored."""
    return samples.astype(np.float32) * np.float32(scale)


def halve(values: np.ndarray) -> np.ndarray:
    """Return `values` as float16, refusing what float16 cannot hold."""
    if not np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
        raise ValueError(f"values up to {np.abs(values).max():g} do not fit float16 (65,504 at most)")
    return values.astype(np.float16)


def write_shard(
    path: Path,
    ids: Sequence[str],
    arrays: Sequence[np.ndarray],
    scales: Sequence[float],
    notes: dict[str, Any],
) -> None:
    """Write one shard of `(T,)` or `(T, F)` arrays of one dtype, with `notes` (JSON) in its schema."""
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in flat], dtype=np.int64)])
    joined = np.concatenate(flat) if flat else np.empty(0, dtype=np.int16)
    widths = {array.shape[1] if array.ndim == 2 else 1 for array in arrays}
    if len(widths) > 1:
        raise ValueError(f"one shard holds arrays of one width, found {sorted(widths)}")
    values = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(joined))
    metadata = {"notes": json.dumps(notes, sort_keys=True), "width": str(max(widths, default=1))}
    table = pa.table(
        {"id": pa.array(ids, pa.string()), "scale": pa.array(scales, pa.float64()), "values": values}
    ).replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(ids), 1))
    os.replace(partial, path)


def read_notes(path: Path) -> dict[str, Any]:
    """Return the `notes` of a shard without reading its rows."""
    with pa.memory_map(str(path)) as source:
        notes: dict[str, Any] = json.loads(pa.ipc.open_file(source).schema.metadata[b"notes"])
    return notes


class RaggedStore:
    """Read access to the shards of one folder, by position or by id; `pattern` chooses among the shards."""

    def __init__(self, folder: Path, pattern: str = "shard-*.arrow") -> None:
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise InputError(f"no shards in {folder}: run the stage that writes it (`dvc repro`)")
        self.width = 1
        self._values: list[np.ndarray] = []
        self._bounds: list[np.ndarray] = []
        self.ids: list[str] = []
        scales: list[np.ndarray] = []
        for path in paths:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            if not table.num_rows:
                continue
            self.width = int(table.schema.metadata[b"width"])
            self.ids.extend(table["id"].to_pylist())
            scales.append(table["scale"].to_numpy())
            for chunk in table["values"].chunks:
                self._values.append(chunk.values.to_numpy(zero_copy_only=True))
                self._bounds.append(chunk.offsets.to_numpy())
        self.scales = np.concatenate(scales) if scales else np.empty(0)
        self._starts = np.cumsum([0] + [len(bounds) - 1 for bounds in self._bounds])
        self._positions = {row_id: position for position, row_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: int) -> np.ndarray:
        """Return row `position` as a read-only `(T, F)` view, or `(T,)` where the width is 1."""
        shard = int(np.searchsorted(self._starts, position, side="right")) - 1
        row = position - int(self._starts[shard])
        start, end = self._bounds[shard][row : row + 2]
        flat = self._values[shard][start:end]
        return flat if self.width == 1 else flat.reshape(-1, self.width)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[position] for position in range(len(self)))

    def position(self, row_id: str) -> int:
        """Return where the row of an id lies."""
        return self._positions[row_id]
