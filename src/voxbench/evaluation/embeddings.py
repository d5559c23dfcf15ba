"""Embeddings in the place of scores: the cosine of both sides of every trial.

A matrix (N, D) has a row for each recording, whose names stand in a text file, one in each line: the file that is
named, or the one of the matrix's name that ends in .txt. A parquet file has columns `utterance` and `embedding`.

A score is a.b / (|a| |b|) in float64; lengths are computed once, and trials in blocks, so that memory does not grow
with the list. The matrix itself stays mapped.

Shape letters: N recordings, D dimensions, T trials of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.corpora.tables import read_lines
from voxbench.evaluation.files import Source
from voxbench.evaluation.joining import CHANGES, PAIR, SHOWN
from voxbench.schema import InputError

BLOCK = 1024
"""Rows that are computed at a time; it changes no score."""
COLUMN = "embedding"


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors (N, D) of N named recordings."""

    path: Path
    names: pa.StringArray
    vectors_ND: np.ndarray


def are_embeddings(path: Path, content: np.ndarray | pa.Table) -> bool:
    """Tell whether a file's array or table is one of embeddings."""
    return COLUMN in content.column_names if isinstance(content, pa.Table) else content.ndim == 2


def matrix_embeddings(path: Path, vectors_ND: np.ndarray, utterances: Path | None) -> Embeddings:
    """Return the rows of a matrix under the names of a text file.

    Raises InputError for what is no matrix of floats, names that are missing, empty or double, and another number of
    them than of rows.
    """
    if vectors_ND.ndim != 2 or vectors_ND.dtype.kind != "f":
        raise InputError(
            f"{path} holds {vectors_ND.dtype} of shape {vectors_ND.shape}; expected floats (recordings, dimensions)"
        )
    return _named(path, read_names(path, utterances, len(vectors_ND)), vectors_ND)


def table_embeddings(source: Source) -> Embeddings:
    """Return the column `embedding` under the names of the column `utterance`.

    Raises InputError for missing columns, names that are empty or double, and lists of different or no length.
    """
    table = source.table
    if "utterance" not in table.column_names:
        raise InputError(f"{source.path} has no column 'utterance'; found: {', '.join(table.column_names)}")
    lists = table[COLUMN].combine_chunks()
    if not (pa.types.is_nested(lists.type) and lists.type.num_fields == 1) or not pa.types.is_floating(
        lists.type.value_type
    ):
        raise InputError(f"{source.path}: {COLUMN} is a column of {lists.type}; expected lists of floats")
    lengths = np.array([0 if vector is None else len(vector) for vector in lists.to_numpy(zero_copy_only=False)])
    names = table["utterance"].cast(pa.string()).to_pylist()
    if lengths.min() != lengths.max() or not lengths.max():
        odd = int((lengths != lengths[0]).argmax())
        raise InputError(
            f"{source.path}: {COLUMN} of {names[odd]} has {lengths[odd]} numbers, that of {names[0]} {lengths[0]}; "
            "expected as many in each row"
        )
    return _named(source.path, names, lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1))


def read_names(path: Path, utterances: Path | None, rows: int) -> list[str]:
    """Return the names of the rows of an array; raises InputError where there is another number of them."""
    listed = path.with_suffix(".txt") if utterances is None else utterances
    if not listed.is_file():
        raise InputError(
            f"no {listed} for the names of the {rows:,} rows of {path}; expected a name in each line: --utterances FILE"
        )
    names = [line.strip() for _, line in read_lines(listed)]
    if len(names) != rows:
        raise InputError(f"{listed} has {len(names):,} lines, {path} {rows:,} rows; expected a name for each row")
    return names


def cosine_scores(embeddings: Embeddings, trials: Source) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the cosine of enroll and test of every trial, and notes.

    Raises InputError for trials of recordings without an embedding, and embeddings without a direction (zero, NaN or
    infinite).
    """
    lengths_N = _lengths(embeddings)
    enroll, test = (_places(embeddings, trials, side) for side in PAIR)
    scores = np.empty(len(enroll))
    for start in range(0, len(enroll), BLOCK):
        a, b = enroll[start : start + BLOCK], test[start : start + BLOCK]
        products_T = np.einsum("td,td->t", embeddings.vectors_ND[a], embeddings.vectors_ND[b], dtype=np.float64)
        scores[start : start + BLOCK] = products_T / (lengths_N[a] * lengths_N[b])
    is_used_N = np.zeros(len(lengths_N), dtype=bool)
    is_used_N[enroll], is_used_N[test] = True, True
    unused = int((~is_used_N).sum())
    notes: tuple[str, ...] = (f"scores are cosines of embeddings of {embeddings.vectors_ND.shape[1]} dimensions",)
    if unused:
        notes += (f"{unused:,} of {len(lengths_N):,} embeddings occur in no trial",)
    return scores, notes


def _named(path: Path, names: list[str], vectors_ND: np.ndarray) -> Embeddings:
    place_of: dict[str, int] = {}
    for place, name in enumerate(names):
        if not name:
            raise InputError(f"{path}: row {place + 1} has no name; expected one for each")
        if place_of.setdefault(name, place) != place:
            raise InputError(f"{path}: {name} names row {place_of[name] + 1} and row {place + 1}; expected each once")
    return Embeddings(path, pa.array(names, pa.string()), vectors_ND)


def _lengths(embeddings: Embeddings) -> np.ndarray:
    """Return the Euclidean lengths (N,), which are finite and more than zero."""
    vectors_ND = embeddings.vectors_ND
    blocks = (vectors_ND[start : start + BLOCK] for start in range(0, len(vectors_ND), BLOCK))
    squares = [np.einsum("td,td->t", block, block, dtype=np.float64) for block in blocks]
    lengths_N = np.sqrt(np.concatenate(squares))
    bad_N = ~(np.isfinite(lengths_N) & (lengths_N > 0))
    if bad_N.any():
        place = int(bad_N.argmax())
        raise InputError(
            f"{embeddings.path} row {place + 1} ({embeddings.names[place]}): an embedding of length "
            f"{lengths_N[place]:g} has no direction, and so have {int(bad_N.sum()):,} rows; expected finite numbers, "
            "not all zero"
        )
    return lengths_N


def _places(embeddings: Embeddings, trials: Source, side: str) -> np.ndarray:
    """Return the row of the recording of one side of every trial."""
    places = pc.index_in(trials.table[side], embeddings.names)
    if places.null_count:
        absent = pc.unique(trials.table[side].filter(pc.is_null(places)))
        alike = [
            name
            for name, change in CHANGES.items()
            if pc.any(pc.is_in(change(absent), change(embeddings.names))).as_py()
        ]
        fix = f"some differ in {alike[-1]} alone: write them alike" if alike else "are they of the same list?"
        first = [", ".join(names.slice(0, SHOWN).to_pylist()) for names in (absent, embeddings.names)]
        raise InputError(
            f"{embeddings.path} has no embedding of {len(absent):,} recordings of {trials.path} ({first[0]}), but of "
            f"{first[1]}; {fix}"
        )
    return places.to_numpy()
