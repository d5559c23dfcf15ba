"""Intervals over speakers where several are heard in one row: the pigeonhole bootstrap of crossed factors.

Reference: A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007. Speakers are drawn with
replacement, and a row comes as often as the product of its speakers' draws: not at all if one of them is not drawn.
Rows of one speaker each get the very resamples of `cluster_bootstrap`. Taking each row of several speakers for a
cluster of its own would call rows independent that share voices.

Shape letters: N rows, P places for speakers, K speakers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import cluster_indices
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.uncertainty import Interval, cluster_weights, percentile_interval
from voxbench.schema import InputError


def joint_cluster_bootstrap(
    statistic: Callable[..., float],
    members: Sequence[Sequence[str]],
    *arrays: ArrayLike,
    resamples: int,
    level: float,
    generator: np.random.Generator,
) -> Interval:
    """Return `statistic(*arrays)` with its percentile interval over the speakers who are the `members` of N rows.

    `arrays` have N rows each. Resamples on which the statistic is undefined, or which hold no row, are counted in
    `undefined`. Raises InputError for a row without members, lengths that differ, and fewer than two speakers.

    >>> members, correct = [("a", "b"), ("b", "c"), ("a",), ("c",)], [1.0, 0.0, 1.0, 0.0]
    >>> draws = np.random.default_rng(1)
    >>> found = joint_cluster_bootstrap(np.mean, members, correct, resamples=50, level=0.9, generator=draws)
    >>> found.estimate, found.clusters
    (0.5, 3)
    """
    tables = [np.asarray(array) for array in arrays]
    for table in tables:
        if len(table) != len(members):
            raise InputError(f"members has {len(members)} rows but an array has shape {table.shape}")
    if alone := sum(not row for row in members):
        raise InputError(f"{alone} of {len(members)} rows name no speaker; name every one")
    distinct, member = cluster_indices([name for row in members for name in row])
    total, places = len(distinct), np.array([len(row) for row in members])
    if total < 2:
        raise InputError(f"an interval over speakers needs at least 2, found only {distinct[0]!s}")
    # A place that a row does not fill weighs 1, which changes no product.
    member_NP = np.full((len(members), places.max()), total)
    member_NP[np.arange(places.max()) < places[:, None]] = member
    rows_N, values = np.arange(len(members)), []
    for weights_RK in cluster_weights(total, resamples, generator):
        for weight_K in weights_RK:
            drawn = np.repeat(rows_N, np.append(weight_K, 1)[member_NP].prod(axis=1))
            values.append(_value_or_nan(statistic, [table[drawn] for table in tables]) if drawn.size else np.nan)
    return percentile_interval(float(statistic(*tables)), np.array(values), level, total)


def _value_or_nan(statistic: Callable[..., float], tables: list[np.ndarray]) -> float:
    try:
        return float(statistic(*tables))
    except UndefinedError:
        return float("nan")
