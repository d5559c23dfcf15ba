"""Confidence intervals that respect speakers: the rows of one speaker are not independent trials.

Reference: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13 (percentile interval);
Field and Welsh, "Bootstrapping clustered data", JRSS B 69 (2007) (resampling whole clusters). With fewer than
about 20 clusters the percentile interval is too narrow; `Interval.clusters` is there to be shown beside it.

A row in which several speakers are heard comes as often as the product of their draws
(`voxbench.metrics.joint_clusters`).

Shape letters: N rows, K clusters, U crowds of those who are heard in one row, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.inputs import finite_numbers
from voxbench.metrics.joint_clusters import People, people_of
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError

# Bounds the memory of the weights drawn at once; the draws do not depend on it.
WEIGHTS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its percentile interval over `resamples` draws of `clusters` clusters.

    `undefined` of the resamples had no value (one class only, say); the percentiles are those of the others.
    """

    estimate: float
    low: float
    high: float
    level: float
    clusters: int
    resamples: int
    undefined: int


def cluster_bootstrap(
    statistic: Callable[..., float],
    clusters: ArrayLike | People,
    *arrays: ArrayLike,
    resamples: int,
    level: float,
    generator: np.random.Generator,
) -> Interval:
    """Return `statistic(*arrays)` with the percentile interval from resampling clusters with replacement.

    `clusters` (N,) names the speaker of each row as a string or an integer, or several in a tuple; each of `arrays`
    has N rows. A row appears in a resample as often as its cluster was drawn, or as the product of its speakers'
    draws. A resample on which the statistic raises `UndefinedError` or is not finite counts as `undefined`, and so
    does one that holds no row; on the sample itself that is an error. Fewer than two clusters raise `InputError`.

    >>> from voxbench.metrics.classification import roc_auc
    >>> truth, p = [0, 0, 1, 1], np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    >>> speakers, generator = ["a", "b", "c", "d"], np.random.default_rng(1)
    >>> found = cluster_bootstrap(roc_auc, speakers, truth, p, resamples=100, level=0.9, generator=generator)
    >>> found.estimate, found.high, found.clusters, found.undefined
    (0.75, 1.0, 4, 12)
    >>> heard, draws = [("a", "b"), ("b", "c"), ("a",), ("c",)], np.random.default_rng(1)
    >>> cluster_bootstrap(np.mean, heard, [1.0, 0.0, 1.0, 0.0], resamples=50, level=0.9, generator=draws).clusters
    3
    """
    people, tables = _two_or_more(clusters), [np.asarray(array) for array in arrays]
    for table in tables:
        if table.shape[:1] != people.crowd.shape:
            raise InputError(f"clusters has {len(people.crowd)} rows but an array has shape {table.shape}")
    estimate = float(statistic(*tables))
    rows_N = np.arange(len(people.crowd))
    values = []
    for weights_RU in people.weights(cluster_weights(people.total, resamples, generator)):
        for weight_U in weights_RU:
            drawn = np.repeat(rows_N, weight_U[people.crowd])
            values.append(_value_or_nan(statistic, [table[drawn] for table in tables]) if drawn.size else np.nan)
    return percentile_interval(estimate, np.array(values), level, people.total)


def clustered_mean_interval(
    values: ArrayLike,
    clusters: ArrayLike | People,
    *,
    resamples: int,
    level: float,
    generator: np.random.Generator,
) -> Interval:
    """Return what `cluster_bootstrap` returns for the mean of `values` (N,), fast.

    Works on one sum and one count per crowd; the same generator state gives the same resamples as the
    general form. For accuracy pass correct or not as 1 and 0, for a comparison on one test set the difference
    per row.

    >>> correct, speakers, generator = [1, 1, 0, 1, 0, 0], list("aabbcc"), np.random.default_rng(1)
    >>> found = clustered_mean_interval(correct, speakers, resamples=201, level=0.8, generator=generator)
    >>> found.estimate, round(found.low, 4), round(found.high, 4), found.clusters
    (0.5, 0.1667, 0.8333, 3)
    """
    people, values_N = _two_or_more(clusters), finite_numbers(values, "values")
    if values_N.shape != people.crowd.shape:
        raise InputError(f"clusters has {len(people.crowd)} rows but values has shape {values_N.shape}")
    sum_U = np.bincount(people.crowd, weights=values_N, minlength=people.crowds)
    count_U = np.bincount(people.crowd, minlength=people.crowds)
    parts = people.weights(cluster_weights(people.total, resamples, generator))
    with np.errstate(invalid="ignore"):
        means = [part_RU @ sum_U / (part_RU @ count_U) for part_RU in parts]
    return percentile_interval(float(values_N.mean()), np.concatenate(means), level, people.total)


def paired_difference_interval(
    values_a: ArrayLike,
    values_b: ArrayLike,
    clusters: ArrayLike | People,
    *,
    resamples: int,
    level: float,
    generator: np.random.Generator,
) -> Interval:
    """Return the mean of a - b over the rows that both systems scored, with its interval over speakers.

    `values_a` and `values_b` (N,) are scores of the same rows in the same order, such as absolute errors of a
    model and of a constant. Each resample holds the same rows for both, so what makes a row hard for both
    cancels: the interval is that of `clustered_mean_interval` for the differences, narrower than two separate
    intervals suggest. An interval that contains 0 leaves open which system is better.

    >>> model, constant, speakers = [3, 5, 2, 4], [4, 6, 3, 5], list("aabb")
    >>> generator = np.random.default_rng(1)
    >>> found = paired_difference_interval(model, constant, speakers, resamples=50, level=0.9, generator=generator)
    >>> found.estimate, found.low, found.high
    (-1.0, -1.0, -1.0)
    """
    a_N, b_N = finite_numbers(values_a, "values_a"), finite_numbers(values_b, "values_b")
    if a_N.shape != b_N.shape:
        raise InputError(f"a pair needs the same rows: values_a has shape {a_N.shape}, values_b {b_N.shape}")
    return clustered_mean_interval(a_N - b_N, clusters, resamples=resamples, level=level, generator=generator)


def difference_of(statistic: Callable[..., float]) -> Callable[[ArrayLike, ArrayLike, ArrayLike], float]:
    """Return the function (truth, a, b) -> statistic(truth, a) - statistic(truth, b), for `cluster_bootstrap`.

    It compares two systems by a metric that is no mean over rows; both are evaluated on every resample.

    >>> from voxbench.metrics.regression import pearson
    >>> truth, a, b = [20, 30, 40, 50], [21, 29, 41, 52], [30, 28, 47, 39]
    >>> speakers, generator = list("pqrs"), np.random.default_rng(1)
    >>> found = cluster_bootstrap(
    ...     difference_of(pearson), speakers, truth, a, b, resamples=100, level=0.9, generator=generator
    ... )
    >>> round(found.estimate, 4), found.undefined
    (0.3186, 5)
    """

    def difference(truth: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
        return statistic(truth, a) - statistic(truth, b)

    return difference


def _two_or_more(clusters: ArrayLike | People) -> People:
    """Return who is heard in each row; fewer than two people are refused."""
    people = people_of(clusters)
    if people.total < 2:
        raise InputError(f"an interval over speakers needs at least 2, found only {people.names[0]!s}")
    return people


def cluster_weights(clusters: int, resamples: int, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield how often each cluster is drawn in each resample, (R, K) by parts of bounded size.

    Every row sums to `clusters`. The draws depend on the generator alone, not on the size of the parts.

    >>> [part.tolist() for part in cluster_weights(3, 2, np.random.default_rng(1))]
    [[[1, 2, 0], [0, 3, 0]]]
    """
    if resamples < 1:
        raise InputError(f"resamples must be at least 1, found {resamples}")
    part = max(1, WEIGHTS_AT_ONCE // clusters)
    for start in range(0, resamples, part):
        count = min(part, resamples - start)
        yield generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=count)


def _value_or_nan(statistic: Callable[..., float], tables: list[NDArray[np.generic]]) -> float:
    """Return the statistic of one resample, NaN where it is undefined."""
    try:
        return float(statistic(*tables))
    except UndefinedError:
        return float("nan")


def percentile_interval(estimate: float, values_R: NDArray[np.float64], level: float, clusters: int) -> Interval:
    """Return the central `level` of the values (R,) of resamples that are finite; the others are counted.

    Undefined when the estimate is not finite or no value is.

    >>> found = percentile_interval(2.0, np.array([1.0, 2.0, 3.0, np.nan]), level=0.5, clusters=9)
    >>> found.low, found.high, found.undefined
    (1.5, 2.5, 1)
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, found {level}; 95 % is 0.95")
    if not np.isfinite(estimate):
        raise UndefinedError(f"the statistic of the whole sample is {estimate}")
    defined = values_R[np.isfinite(values_R)]
    if defined.size == 0:
        raise UndefinedError(f"the statistic is undefined in all {len(values_R)} resamples")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        level=level,
        clusters=clusters,
        resamples=len(values_R),
        undefined=len(values_R) - int(defined.size),
    )
