"""Which columns of a table make groups of its rows, and the group of each row.

A column makes groups if it is one of `ATTRIBUTES`, or ends like one (`test_gender`), or holds numbers that
`report.bins` has edges for, under its name or under what it ends like (`test_snr_db`).

Shape letters: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from voxbench.metrics.group_labels import UNKNOWN
from voxbench.metrics.groups import in_bins
from voxbench.registry import closest
from voxbench.schema import AGE_GROUPS, InputError

ATTRIBUTES = ("gender", "age_group", "language", "dialect", "attack", "codec", "accent", "device")
UNITS = {"seconds": "s", "db": "dB", "hz": "Hz", "years": "years"}


def group_columns(rows: pd.DataFrame, asked: Sequence[str], bins: Mapping[str, tuple[float, ...]]) -> list[str]:
    """Return the columns that were asked for, or else all usual ones in which not all rows are alike.

    One that was asked for and is not there raises `InputError`.

    >>> group_columns(pd.DataFrame({"id": ["a", "b"], "test_gender": ["f", "m"], "accent": ["x", "x"]}), (), {})
    ['test_gender']
    """
    names = [str(name) for name in rows.columns]
    for name in asked:
        if name not in names:
            raise InputError(
                f"no column {name!r} to group by{closest(name, names)}; columns: {', '.join(names) or 'none'}"
            )
    if asked:
        return list(dict.fromkeys(asked))
    usual = [*ATTRIBUTES, *bins]
    return [
        name
        for name in names
        if any(name == word or name.endswith(f"_{word}") for word in usual) and rows[name].nunique(dropna=False) > 1
    ]


def group_labels(column: pd.Series, bins: Mapping[str, tuple[float, ...]]) -> pd.Series:
    """Return the word (N,) of the group of each row; numbers by the bins of their name, or of what it ends like.

    >>> group_labels(pd.Series([1.0, 7.0], name="test_snr_db"), {"snr_db": (5.0,)}).tolist()
    ['< 5 dB', '>= 5 dB']
    """
    name = str(column.name)
    known = next((word for word in (name, *bins) if word in bins and (name == word or name.endswith(f"_{word}"))), None)
    if known is not None:
        found = in_bins(column, bins[known], UNITS.get(known.rpartition("_")[2], ""))
        return pd.Series(found.rename_categories(str.strip), name=name)
    if pd.api.types.is_float_dtype(column):
        if not (column.dropna() % 1 == 0).all():
            raise InputError(
                f"the column {name!r} holds numbers such as {column.dropna().iloc[0]:g}: give it rising edges under "
                f"report.bins, as in {name}: [1.0, 2.0]"
            )
        return pd.Series(column.astype("Int64").astype("string").astype(object), name=name).reset_index(drop=True)
    if name.endswith("age_group") and set(column.dropna()) <= {*AGE_GROUPS, UNKNOWN}:
        return pd.Series(pd.Categorical(column, categories=AGE_GROUPS, ordered=True), name=name)
    return column.reset_index(drop=True)
