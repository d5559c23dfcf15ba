"""Is a system equally good for everybody? The mean score of each group of speakers, with its uncertainty.

A group is a combination of labels that occurs: a gender, or a gender x age group x language. Its interval
resamples whole speakers (`voxbench.metrics.uncertainty`), because twenty recordings of one person say little
about a group. A group of too few speakers is listed with its size and no interval, and takes no part in
`worst_group` and `gap`.

Each group draws from a generator of its own name, so its interval does not change when other groups come or go.

Shape letters: N rows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from voxbench import seeding
from voxbench.metrics.inputs import Floats, Integers, cluster_indices, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.uncertainty import clustered_mean_interval
from voxbench.schema import InputError

# The word for a missing label; a label that is this word already means the same.
UNKNOWN = "unknown"
COLUMNS = ("rows", "clusters", "mean", "low", "high", "note")


def by_group(
    values: ArrayLike,
    groups: pd.DataFrame,
    clusters: ArrayLike,
    *,
    min_clusters: int,
    resamples: int,
    level: float,
    seed: int,
) -> pd.DataFrame:
    """Return one row per combination of labels that occurs, each input row counting in exactly one.

    `values` (N,) is a score per row: 1 or 0 for correct or not, or an absolute error. `groups` has N rows and
    one or more columns of words, integers or booleans; a missing label becomes the group `UNKNOWN`.
    `clusters` (N,) names the speaker of each row as a string or an integer. The three are matched by position;
    an index of `groups` is not read.

    The columns of the result are those of `groups`, as words, then:

    - `rows`, `clusters`: how many input rows and how many different speakers.
    - `mean`: of the values over rows, in their unit.
    - `low`, `high`: central interval at `level` over `resamples` draws of speakers; NaN with fewer than
      `min_clusters` speakers.
    - `note`: why the interval is missing, or empty.

    Rows are sorted by label, column by column: a categorical in the order of its categories, words and
    integers rising, `UNKNOWN` last. Unsound input raises `InputError`.

    >>> voices = pd.DataFrame({"gender": ["male", "female", "female", "female", None]})
    >>> found = by_group(
    ...     [9, 2, 4, 6, 5], voices, list("abbcd"), min_clusters=2, resamples=50, level=0.9, seed=1
    ... )
    >>> found[["gender", "rows", "clusters", "mean", "low", "high"]].to_numpy().tolist()
    [['female', 3, 2, 4.0, 3.0, 6.0], ['male', 1, 1, 9.0, nan, nan], ['unknown', 1, 1, 5.0, nan, nan]]
    """
    if min_clusters < 2:
        raise InputError(f"min_clusters must be at least 2, as an interval needs two speakers; found {min_clusters}")
    values_N, (_, cluster_N) = finite_numbers(values, "values"), cluster_indices(clusters)
    _check_shapes(values_N, groups, cluster_N)
    group_N, words = _combinations(groups)
    starts = np.cumsum(np.bincount(group_N))[:-1]
    report = []
    for rows, labels in zip(np.split(np.argsort(group_N, kind="stable"), starts), words, strict=True):
        speakers = len(np.unique(cluster_N[rows]))
        row = labels | {"rows": len(rows), "clusters": speakers, "mean": float(values_N[rows].mean())}
        if speakers < min_clusters:
            note = f"too few speakers for an interval: {speakers}, expected {min_clusters} or more"
            report.append(row | {"low": np.nan, "high": np.nan, "note": note})
            continue
        purpose = sorted(f"{column}={word}" for column, word in labels.items())
        generator = seeding.generator(seed, "groups", *purpose)
        interval = clustered_mean_interval(
            values_N[rows], cluster_N[rows], resamples=resamples, level=level, generator=generator
        )
        report.append(row | {"low": interval.low, "high": interval.high, "note": ""})
    return pd.DataFrame(report, columns=[*groups.columns, *COLUMNS])


def worst_group(table: pd.DataFrame, *, greater_is_better: bool) -> pd.Series:
    """Return the row of a `by_group` table with the worst mean among groups that have an interval.

    Of equal means the first row is taken. Undefined when no group has an interval.

    >>> table = pd.DataFrame({"gender": ["female", "male"], "mean": [4.0, 5.0], "low": [3.0, 4.5]})
    >>> worst_group(table, greater_is_better=False)["gender"]
    'male'
    """
    large = _large_enough(table, 1)
    worst = large["mean"].argmin() if greater_is_better else large["mean"].argmax()
    return large.iloc[int(worst)]


def gap(table: pd.DataFrame) -> float:
    """Return the largest mean minus the smallest among the groups of a `by_group` table that have an interval.

    Never negative, and above 0 by chance alone, the more so the more and the smaller the groups: read it
    beside the intervals. Undefined with fewer than two such groups.

    >>> gap(pd.DataFrame({"gender": ["female", "male"], "mean": [4.0, 5.5], "low": [3.0, 4.5]}))
    1.5
    """
    means = _large_enough(table, 2)["mean"]
    return float(means.max() - means.min())


def _check_shapes(values_N: Floats, groups: pd.DataFrame, cluster_N: Integers) -> None:
    """Refuse columns of different lengths and columns of `groups` that the result could not name."""
    if values_N.shape != cluster_N.shape:
        raise InputError(f"clusters has {len(cluster_N)} rows but values has shape {values_N.shape}")
    if len(groups) != len(cluster_N):
        raise InputError(f"clusters has {len(cluster_N)} rows but groups has {len(groups)}")
    columns = list(groups.columns)
    if not columns:
        raise InputError("groups must have at least one column, such as gender; found none")
    if taken := [column for column in columns if column in COLUMNS]:
        raise InputError(f"the result has a column {taken[0]!r} of its own: rename that column of groups")
    if not groups.columns.is_unique:
        raise InputError(f"groups must have each column once, found {', '.join(map(str, columns))}")


def _combinations(groups: pd.DataFrame) -> tuple[Integers, list[dict[str, str]]]:
    """Return the place (N,) of each row among the combinations that occur, in order, and their labels."""
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


def _large_enough(table: pd.DataFrame, groups: int) -> pd.DataFrame:
    """Return the rows of a report that have an interval; fewer than `groups` of them is undefined."""
    if missing := [column for column in ("mean", "low") if column not in table.columns]:
        raise InputError(f"the table lacks {', '.join(missing)}; expected a table of by_group")
    large = table[table["low"].notna()]
    if len(large) < groups:
        raise UndefinedError(f"{len(large)} of {len(table)} groups have enough speakers, {groups} needed")
    return large
