"""The ragged, memory-mapped array store of prepared audio and of features.

A store is a folder of Arrow IPC files (shards), each with one row per recording: `id`, `scale` and
`values`, an array of `frames x width` numbers laid out frame by frame. Reading maps the files and
copies nothing; memory stays flat however large the corpus grows. A shard is written batch by batch to a
temporary name and renamed, so a shard that exists is whole; its last batch carries `notes`.

Legend of shape letters: T frames (samples for audio, where F is 1), F bins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from voxbench.schema import InputError

INT16_PEAK = 32767
BATCH_VALUES = 1 << 22
"""A batch is written when it holds this many numbers: 8 MiB of audio or features, four minutes at 16 kHz."""


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


class ShardWriter:
    """Writes one shard row by row, as a context manager: the shard is there once `finish` returns, or not at all.

    Memory holds one batch of rows. All rows are `(T,)` or `(T, F)` arrays of one dtype and one F.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._rows: list[tuple[str, float, np.ndarray]] = []
        self._pending_values = 0
        self._kind: tuple[np.dtype[Any], int] | None = None
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> ShardWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = pa.OSFile(str(self._partial), "wb")
        return self

    def add(self, row_id: str, values: np.ndarray, scale: float) -> None:
        """Append one row."""
        kind = (values.dtype, values.shape[1] if values.ndim == 2 else 1)
        self._kind = self._kind or kind
        if self._kind != kind:
            raise ValueError(f"one shard holds arrays of one type and width, found {self._kind} and {kind}")
        self._rows.append((row_id, scale, np.ascontiguousarray(values).reshape(-1)))
        self._pending_values += values.size
        if self._pending_values >= BATCH_VALUES:
            self._flush({})

    def finish(self, notes: dict[str, Any]) -> None:
        """Write what is pending and `notes` (JSON), and give the shard its name."""
        self._flush({"notes": json.dumps(notes, sort_keys=True)})
        assert self._writer is not None, "a flush opens it"
        self._writer.close()
        self._sink.close()
        with self._partial.open("rb") as written:
            os.fsync(written.fileno())  # or a power cut could leave the name without the bytes
        os.replace(self._partial, self._path)

    def _flush(self, metadata: dict[str, str]) -> None:
        """Write the pending rows as one batch; the last one carries the notes."""
        dtype, width = self._kind or (np.dtype(np.int16), 1)
        arrays = [flat for _, _, flat in self._rows] or [np.empty(0, dtype)]
        offsets = np.cumsum([0, *(flat.size for _, _, flat in self._rows)], dtype=np.int64)
        values = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(arrays)))
        ids, scales = [row_id for row_id, _, _ in self._rows], [scale for _, scale, _ in self._rows]
        columns = [pa.array(ids, pa.string()), pa.array(scales, pa.float64()), values]
        batch = pa.RecordBatch.from_arrays(columns, names=["id", "scale", "values"])
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._sink, batch.schema.with_metadata({"width": str(width)}))
        self._writer.write_batch(batch, custom_metadata=metadata)
        self._rows, self._pending_values = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close()
        self._partial.unlink(missing_ok=True)


def write_shard(
    path: Path, ids: Sequence[str], arrays: Sequence[np.ndarray], scales: Sequence[float], notes: dict[str, Any]
) -> None:
    """Write one shard of arrays that are all at hand; see `ShardWriter`."""
    with ShardWriter(path) as shard:
        for row_id, values, scale in zip(ids, arrays, scales, strict=True):
            shard.add(row_id, values, scale)
        shard.finish(notes)


def read_notes(path: Path) -> dict[str, Any]:
    """Return the `notes` of a shard without reading its rows; none where there is no shard, or not a whole one."""
    notes: dict[str, Any] = json.loads(raw_notes(path))
    return notes


def raw_notes(path: Path) -> bytes:
    """Return the `notes` of a shard as they are written, which is JSON."""
    if not path.is_file():
        return b"{}"
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
            notes: bytes = (last.custom_metadata or {}).get(b"notes", b"{}")
    except pa.ArrowInvalid:
        return b"{}"
    return notes


class Store(Protocol):
    """What a store of audio or of features offers, however it comes by its rows."""

    ids: list[str]
    scales: np.ndarray
    width: int

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, position: int) -> np.ndarray:
        """Return row `position`, to be multiplied by its scale."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Return the rows in order."""

    def position(self, row_id: str) -> int:
        """Return where the row of an id lies."""


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

    def lengths(self) -> np.ndarray:
        """Return how many values each row holds, without reading them."""
        return np.concatenate([np.diff(bounds) for bounds in self._bounds] or [np.empty(0, np.int64)])

    def position(self, row_id: str) -> int:
        """Return where the row of an id lies."""
        return self._positions[row_id]
