"""The manifest of a corpus: a row for each recording, written and completed piece by piece, so that memory stays flat.

Rows are collected in a Parquet file while recordings are prepared. What is decided over the whole corpus (which rows
are copies of others, which split a row belongs to) needs a few columns only, and is added on the way to the final file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from voxbench.audio.traces import TRACES
from voxbench.corpora.integrity import Speakers
from voxbench.schema import Utterance

ROWS_AT_ONCE = 1 << 12
SAID = [field.name for field in fields(Utterance) if field.name not in ("path", "extra")]
TEXTS = ("id", "speaker", "split", "session", "gender", "age_group", "language", "text", "attack")
COLUMNS = [
    *((name, pa.string()) for name in TEXTS),
    ("age_years", pa.float64()),
    ("speakers", pa.list_(pa.string())),
    ("source_sha256", pa.string()),
    ("audio_sha256", pa.string()),
    ("source_rate_hz", pa.int64()),
    ("source_seconds", pa.float64()),
    ("kept_seconds", pa.float64()),
    ("clipped_fraction", pa.float64()),
    *((name, pa.float64()) for name in TRACES),
]
"""What every manifest holds; `extra_KEY` columns of the corpus's own follow."""


@dataclass(frozen=True, slots=True)
class Census:
    """What a first reading of a corpus tells: its size, how many rows have no official split, its `extra` keys."""

    found: int
    unsplit: int
    extras: tuple[str, ...]


def take_census(utterances: Iterable[Utterance]) -> Census:
    """Read through a corpus; raises InputError where a speaker has two genders."""
    found = unsplit = 0
    extras: set[str] = set()
    speakers = Speakers()
    for utterance in utterances:
        found += 1
        unsplit += utterance.split is None
        extras.update(utterance.extra)
        speakers.hear(utterance)
    speakers.check()
    return Census(found, unsplit, tuple(sorted(extras)))


class RowsWriter:
    """Collects the manifest's rows in the file `path`, as a context manager; the file goes when the block ends."""

    def __init__(self, path: Path, extras: Sequence[str]) -> None:
        self._schema = pa.schema([*COLUMNS, *((f"extra_{key}", pa.string()) for key in extras)])
        self._path = path
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> RowsWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._path, self._schema)
        return self

    def add(self, utterance: Utterance, facts: Mapping[str, Any]) -> None:
        """Add a row: the utterance without its path, which differs by machine, and facts about its audio."""
        row: dict[str, Any] = {name: getattr(utterance, name) for name in SAID}
        row["speakers"] = row["speakers"] or None
        self._rows.append({f"extra_{key}": value for key, value in utterance.extra.items()} | row | dict(facts))
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        """Write what is pending: the file can be read until the block ends."""
        self._flush()
        self._writer.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._path.unlink()


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return some columns of a manifest, or of collected rows."""
    return pq.read_table(path, columns=list(dict.fromkeys(columns))).to_pandas()


def count_labels(path: Path, keep: NDArray[np.bool_], labels: Sequence[str]) -> tuple[dict[str, int], float]:
    """Return how many of the rows to `keep` have each label, and how long these recordings are in seconds."""
    counts, seconds = dict.fromkeys(labels, 0), 0.0
    with pq.ParquetFile(path) as source:
        for start, table in _pieces(source, [*labels, "source_seconds"]):
            kept = table.filter(pa.array(keep[start : start + len(table)]))
            counts = {label: count + len(kept) - kept[label].null_count for label, count in counts.items()}
            seconds += kept["source_seconds"].to_numpy().sum()
    return counts, float(seconds)


def complete(rows: Path, manifest: Path, keep: NDArray[np.bool_], columns: Mapping[str, pd.Series]) -> None:
    """Write `manifest`: the collected `rows` to `keep`, with `columns`, whose index counts collected rows."""
    partial = manifest.with_name(manifest.name + ".partial")
    with pq.ParquetFile(rows) as source:
        names = [name for name in source.schema_arrow.names if name not in columns]
        kinds = [*(source.schema_arrow.field(name) for name in names), *((name, pa.string()) for name in columns)]
        with pq.ParquetWriter(partial, pa.schema(kinds)) as writer:
            for start, table in _pieces(source, names):
                kept = start + np.flatnonzero(keep[start : start + len(table)])
                added = [pa.array(values.loc[kept].tolist(), pa.string()) for values in columns.values()]
                piece = table.take(kept - start).select(names)
                writer.write_table(pa.table([*piece.columns, *added], schema=writer.schema))
    os.replace(partial, manifest)


def _pieces(source: pq.ParquetFile, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the row groups, each with the number of its first row."""
    start = 0
    for group in range(source.num_row_groups):
        table = source.read_row_group(group, columns=list(columns))
        yield start, table
        start += len(table)
