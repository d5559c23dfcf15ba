"""Mixtures of prepared recordings, derived when they are read: a store of plans that gives waves.

A mixture corpus is a folder of shards like any prepared corpus, but a row holds who is mixed and how instead of
samples: the plan of `voxbench.corpora.mixture_plan`, in samples. Reading row k takes the excerpts out of the mapped
store of the source corpus, mixes them by `voxbench.audio.mixing`, and brings the mixture to mean 0 and deviation 1
and to int16, as preparation does with a recording. Without that a mean of k voices of deviation 1 has about
1 / sqrt(k), and its level alone would give the number of people away.

Pre-emphasis and low-pass are linear, so that mixing after them equals mixing before them. Silence is not removed
(`cleaning.silence_q` 0.0), for that is not linear: a served mixture would lose other samples than its voices did. In a
room all voices have one reverberation time and each its own response, which belongs to the place where a person stands.

Shards name the source's folder, which lies beside theirs, and its fingerprint: another preparation is refused.

Legend of shape letters: S samples.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from voxbench.audio.channel import reverberate
from voxbench.audio.cleaning import z_score
from voxbench.audio.mixing import mix
from voxbench.audio.reading import AudioReason
from voxbench.features.store import RaggedStore, Store, dequantize, quantize, raw_notes
from voxbench.schema import AudioError, InputError
from voxbench.seeding import generator

MARK = b"mixed"
SHARDS = "shard-*.arrow"
COLUMNS = {
    "id": pa.string(),
    "sources": pa.list_(pa.string()),
    "starts": pa.list_(pa.int64()),
    "snr_db": pa.list_(pa.float64()),
    "overlap": pa.list_(pa.float64()),
    "onset": pa.list_(pa.float64()),
    "rt60_seconds": pa.float64(),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """One mixture: the ids of its recordings and where in each it starts, in samples; levels and places of the others.

    `snr_db`, `overlap` and `onset` have an entry for each voice after the first, as `voxbench.audio.mixing.mix` takes
    them; None keeps levels. `rt60_seconds` is None without a room.
    """

    id: str
    sources: tuple[str, ...]
    starts: tuple[int, ...]
    snr_db: tuple[float, ...] | None
    overlap: tuple[float, ...]
    onset: tuple[float, ...]
    rt60_seconds: float | None


@dataclass(frozen=True, slots=True)
class Origin:
    """What all mixtures of a corpus share: the source corpus and its fingerprint, and the length of every excerpt.

    `samples` is None where whole recordings are cut to the shortest. `seed` belongs to the rooms' responses.
    """

    source: str
    fingerprint: str
    sample_rate_hz: int
    samples: int | None
    seed: int


def fingerprint(folder: Path) -> str:
    """Return 16 hex digits that tell apart preparations of a corpus, from the notes of its shards alone.

    Notes hold the digest of code and settings and the hash of every recording, of which the audio is a function.
    """
    total = hashlib.sha256()
    for path in sorted(folder.glob(SHARDS)):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(raw_notes(path)).digest())
    return total.hexdigest()[:16]


def blend(parts: Parts, origin: Origin, source: Store) -> tuple[np.ndarray, float]:
    """Return `(int16 samples (S,), scale)` of a mixture, as `quantize` stores a prepared recording.

    Raises AudioError: `too_short` where an excerpt does not lie within its recording, `silent` where it holds zeros
    alone, for nobody could be heard there.
    """
    waves = [_excerpt(*part, origin.samples, source) for part in zip(parts.sources, parts.starts, strict=True)]
    if parts.rt60_seconds:
        rooms = (generator(origin.seed, "mixture room", parts.id, place) for place in range(len(waves)))
        waves = [
            reverberate(wave_S, origin.sample_rate_hz, parts.rt60_seconds, room)
            for wave_S, room in zip(waves, rooms, strict=True)
        ]
    return quantize(z_score(mix(waves, parts.snr_db, parts.overlap, parts.onset)))


def _excerpt(row_id: str, start: int, samples: int | None, source: Store) -> np.ndarray:
    position = source.position(row_id)
    stored_S = source[position]
    part_S = stored_S[start:] if samples is None else stored_S[start : start + samples]
    if samples is not None and part_S.size != samples:
        raise AudioError(AudioReason.TOO_SHORT, f"{row_id!r} has {stored_S.size} samples, not {start} + {samples}")
    if not part_S.any():
        raise AudioError(
            AudioReason.SILENT,
            f"{row_id!r} holds nothing but zeros from sample {start} on: mix longer excerpts "
            "(mixtures.NAME.seconds), or leave the recording out",
        )
    return dequantize(part_S, source.scales[position])


def write_mixed_shard(
    path: Path, rows: Sequence[Parts], scales: Sequence[float], origin: Origin, notes: dict[str, Any]
) -> None:
    """Write one shard of plans under a temporary name and rename it; equal rows give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    metadata = {MARK: json.dumps(asdict(origin), sort_keys=True)}
    schema = pa.schema([*COLUMNS.items(), ("scale", pa.float64())], metadata=metadata)
    columns = [pa.array([getattr(row, name) for row in rows], kind) for name, kind in COLUMNS.items()]
    batch = pa.RecordBatch.from_arrays([*columns, pa.array(scales, pa.float64())], schema=schema)
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch, custom_metadata={"notes": json.dumps(notes, sort_keys=True)})
    with partial.open("rb") as written:
        os.fsync(written.fileno())  # or a power cut could leave the name without the bytes
    os.replace(partial, path)


class MixedStore:
    """Read access to a corpus of mixtures with the interface of `RaggedStore`; a row is derived when it is asked for.

    Raises InputError where the source corpus is not there, or is not the one that the mixtures were planned on.
    """

    width = 1

    def __init__(self, folder: Path, pattern: str = SHARDS) -> None:
        tables = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in sorted(folder.glob(pattern))]
        origins = {table.schema.metadata[MARK] for table in tables}
        self.origin = Origin(**json.loads(origins.pop()))
        place = folder.parent / self.origin.source
        if origins or fingerprint(place) != self.origin.fingerprint:
            raise InputError(
                f"the mixtures in {folder} were planned on another preparation of {place}: run the mix stage again "
                f"(`dvc repro mix@{folder.name}`)"
            )
        self.source = RaggedStore(place)
        rows = pa.concat_tables(tables)
        self.ids: list[str] = rows["id"].to_pylist()
        self.scales: np.ndarray = rows["scale"].to_numpy()
        listed = [name for name, kind in COLUMNS.items() if pa.types.is_list(kind) and not rows[name].null_count]
        self._lists = {name: _Lists(rows[name]) for name in listed}
        self._rooms = None if rows["rt60_seconds"].null_count else rows["rt60_seconds"].to_numpy().tolist()
        self._positions = {row_id: position for position, row_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: int) -> np.ndarray:
        """Return the samples `(S,)` of mixture `position`, int16, to be multiplied by its scale."""
        return blend(self.parts(position), self.origin, self.source)[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[position] for position in range(len(self)))

    def parts(self, position: int) -> Parts:
        """Return what mixture `position` is made of."""
        lists = {name: column[position] for name, column in self._lists.items()}
        return Parts(
            id=self.ids[position],
            sources=lists["sources"],
            starts=lists["starts"],
            snr_db=lists.get("snr_db"),
            overlap=lists["overlap"],
            onset=lists["onset"],
            rt60_seconds=None if self._rooms is None else self._rooms[position],
        )

    def position(self, row_id: str) -> int:
        """Return where the mixture of an id lies."""
        return self._positions[row_id]


class _Lists:
    """A column of lists as two flat arrays: a hundred thousand rows take a few megabytes, and a slice to read."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        whole = column.combine_chunks()
        self._offsets = whole.offsets.to_numpy()
        self._values = whole.values.to_numpy(zero_copy_only=False)

    def __getitem__(self, position: int) -> tuple[Any, ...]:
        start, end = self._offsets[position : position + 2]
        return tuple(self._values[start:end].tolist())


def open_store(folder: Path, pattern: str = SHARDS) -> RaggedStore | MixedStore:
    """Open the prepared audio of a corpus; what reads recordings comes through this door, however they are kept.

    A row's wave is its values times its scale, as `dequantize` gives it. Raises InputError where there are no shards.
    """
    first = next(iter(sorted(folder.glob(pattern))), None)
    if first is None:
        return RaggedStore(folder, pattern)
    with pa.memory_map(str(first)) as mapped:
        mixed = MARK in (pa.ipc.open_file(mapped).schema.metadata or {})
    return MixedStore(folder, pattern) if mixed else RaggedStore(folder, pattern)
