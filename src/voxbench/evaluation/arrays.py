"""Arrays of scores or labels as columns, whose names follow from what they are for.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from voxbench.evaluation.columns import PROBABILITY
from voxbench.evaluation.files import Source
from voxbench.evaluation.forms import LABELS, SCORES
from voxbench.schema import InputError, ScoreKind

NUMBERS, INTEGERS, WORDS = "iuf", "iu", "US"
EXPECTED = {
    (ScoreKind.DETECTION, SCORES): ("score", 1, NUMBERS, "one number for each row"),
    (ScoreKind.DETECTION, LABELS): ("label", 1, "b" + NUMBERS + WORDS, "1 or 0, or one word, for each row"),
    (ScoreKind.CLASSES, SCORES): (PROBABILITY, 2, "f", "probabilities of shape (rows, classes)"),
    (ScoreKind.CLASSES, LABELS): ("truth", 1, INTEGERS + WORDS, "one class index, from 0, for each row"),
    (ScoreKind.VALUE, SCORES): ("predicted", 1, NUMBERS, "one number for each row"),
    (ScoreKind.VALUE, LABELS): ("truth", 1, NUMBERS, "one number for each row"),
}
"""The column, the dimensions and the types of the array of each kind and side."""


def array_columns(path: Path, array: np.ndarray, kind: ScoreKind, side: str) -> Source:
    """Return an array as columns; those of classes are `p_0`, `p_1` and so on.

    Raises InputError for another shape or type than `EXPECTED`.
    """
    if (kind, side) not in EXPECTED:
        raise InputError(
            f"{path} is an array, and {side} of kind {kind.value} are transcripts; expected txt, tsv or csv"
        )
    name, dimensions, types, expected = EXPECTED[kind, side]
    if array.ndim != dimensions or array.dtype.kind not in types:
        raise InputError(f"{path} holds {array.dtype} of shape {array.shape}; expected {expected}{_or(kind, side)}")
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    if dimensions == 1:
        return Source(path, pa.table({name: _column(array)}), is_named=True)
    columns = {f"{name}{number}": _column(array[:, number]) for number in range(array.shape[1])}
    return Source(path, pa.table(columns), is_named=True)


def _or(kind: ScoreKind, side: str) -> str:
    is_score = (kind, side) == (ScoreKind.DETECTION, SCORES)
    return ", or embeddings (recordings, dimensions) and a trial list" if is_score else ""


def _column(array_N: np.ndarray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(array_N.astype(array_N.dtype.newbyteorder("=")))])
