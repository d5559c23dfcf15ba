"""By what recordings that are judged one by one are grouped: attack, codec, duration, and what their corpus says.

Shape letters: N rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from voxbench.evaluation.group_columns import ATTRIBUTES
from voxbench.schema import InputError

ATTACK, EXTRA = "attack", "extra_"
# More words than these name recordings rather than groups of them; only attacks may be as many as they are.
MOST_WORDS = 40


def row_columns(rows: pd.DataFrame, bins: Mapping[str, tuple[float, ...]]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the columns (N rows) that make groups, attacks first, and what must be said of those that make none.

    Groups are made by what every corpus may know, by the corpus's own columns, and by the numbers that have `bins`. A
    column in which all rows are alike makes none.
    """
    columns: dict[str, pd.Series] = {}
    for name, words in _known(rows):
        if name not in columns and name not in bins and words.nunique(dropna=False) > 1:
            columns[name] = words
    many = [name for name in columns if name != ATTACK and columns[name].nunique() > MOST_WORDS]
    said = tuple(f"Not grouped by {name}, which has {columns.pop(name).nunique():,} words." for name in many)
    for name in bins:
        if name in rows:
            columns[name] = numbers_of(rows[name])
    return pd.DataFrame(columns).reset_index(drop=True), said


def numbers_of(column: pd.Series) -> pd.Series:
    """Return a column that has bins as numbers; words that are no numbers are refused."""
    try:
        numbers: pd.Series = pd.to_numeric(column)
    except ValueError as error:
        raise InputError(
            f"the column {column.name!r} has bins in report.bins, but is no column of numbers: {error}; take it out of "
            "report.bins"
        ) from error
    return numbers


def _known(rows: pd.DataFrame) -> Iterable[tuple[str, pd.Series]]:
    """Yield name and column of every attribute, then of the corpus's own."""
    for name in (ATTACK, *ATTRIBUTES):
        if name in rows:
            yield name, rows[name]
    for name in rows:
        if str(name).startswith(EXTRA):
            yield str(name).removeprefix(EXTRA), rows[name]
