"""Which group does a row belong to? The combinations of labels that occur, in a fixed order.

Shape letters: N rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxbench.metrics.inputs import Integers
from voxbench.schema import InputError

if TYPE_CHECKING:
    import pandas as pd

# The word for a missing label; a label that is this word already means the same.
UNKNOWN = "unknown"


def combinations(groups: pd.DataFrame) -> tuple[Integers, list[dict[str, str]]]:
    """Return the place (N,) of each row among the combinations that occur, in order, and their labels.

    >>> import pandas as pd
    >>> combinations(pd.DataFrame({"gender": ["m", None, "m"]}))[1]
    [{'gender': 'm'}, {'gender': 'unknown'}]
    """
    group_N = np.zeros(len(groups), dtype=np.int64)
    place_of, words_of = {}, {}
    for column in groups.columns:
        place_of[column], words_of[column] = _labels(groups[column])
        # Numbering what occurs after every column keeps the product below N^2.
        group_N = np.unique(group_N * len(words_of[column]) + place_of[column], return_inverse=True)[1]
    first_rows = np.unique(group_N, return_index=True)[1]
    return group_N, [{c: words_of[c][place_of[c][row]] for c in groups.columns} for row in first_rows]


def _labels(column: pd.Series) -> tuple[Integers, list[str]]:
    """Return the place (N,) of each row's label among the words of a column, in order, `UNKNOWN` last."""
    categorical = column.astype("category").cat
    labels = categorical.categories.tolist()
    kinds = {type(label) for label in labels}
    if kinds and kinds not in ({str}, {int}, {bool}):
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(
            f"the labels of {column.name!r} must all be strings, all integers or all booleans, found {found}; "
            "name ranges of a number by words first"
        )
    words = [str(label) for label in labels]
    place_N = categorical.codes.to_numpy(dtype=np.int64, copy=True)
    missing_N = place_N < 0
    if UNKNOWN in words:
        missing_N |= place_N == words.index(UNKNOWN)
    place_N[missing_N] = len(words)
    return place_N, [*words, UNKNOWN]
