"""Ratios of two sums by group, such as a word error rate: errors over the words of the references.

They are no means of rows, in which a short text would weigh as much as a long one, so `voxbench.metrics.groups` has no
place for them; tables and gaps are made as there.

Shape letters: N rows, U crowds (speakers, where each row has one), G groups, R resamples.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from voxbench import seeding
from voxbench.metrics.gaps import Gap, gap_between
from voxbench.metrics.group_labels import combinations
from voxbench.metrics.groups import TOO_FEW
from voxbench.metrics.inputs import Floats, Integers
from voxbench.metrics.joint_clusters import People, people_of
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.text import error_rate
from voxbench.metrics.trial_bootstrap import Resampling
from voxbench.metrics.uncertainty import cluster_weights, percentile_interval


def ratio(sums_R: Floats, lengths_R: Floats) -> Floats:
    """Return errors over lengths of each resample, 0 for 0 / 0 and NaN for errors over nothing.

    >>> ratio(np.array([1.0, 0.0, 1.0]), np.array([2.0, 0.0, 0.0])).tolist()
    [0.5, 0.0, nan]
    """
    rates_R = np.where(sums_R == 0, 0.0, np.nan)
    np.divide(sums_R, lengths_R, out=rates_R, where=lengths_R > 0)
    return rates_R


def ratios_by_group(
    errors_N: Integers,
    lengths_N: Integers,
    groups: pd.DataFrame,
    clusters: ArrayLike | People,
    resampling: Resampling,
    seed: int,
) -> pd.DataFrame:
    """Return one row per group: its labels, `rows`, `clusters`, `value`, `low`, `high`, `note`; as `by_group` has them.

    >>> texts = pd.DataFrame({"accent": ["a", "a", "b"]})
    >>> errors, words = np.array([1, 0, 3]), np.array([4, 6, 3])
    >>> found = ratios_by_group(errors, words, texts, np.array([0, 1, 2]), Resampling(50, 0.9, 2, 0.1), seed=1)
    >>> found[["accent", "rows", "value"]].to_numpy().tolist()
    [['a', 2, 0.1], ['b', 1, 1.0]]
    """
    people = people_of(clusters)
    group_N, words = combinations(groups)
    report = []
    for place, labels in enumerate(words):
        rows = np.flatnonzero(group_N == place)
        heard = people.of(rows)
        size = {"rows": len(rows), "clusters": heard.total}
        value, low, high, note = np.nan, np.nan, np.nan, ""
        try:
            value = error_rate(errors_N[rows], lengths_N[rows])
            if heard.total < resampling.min_speakers:
                note = TOO_FEW.format(heard.total, resampling.min_speakers)
            else:
                purpose = sorted(f"{column}={word}" for column, word in labels.items())
                sums_U3 = _sums(errors_N[rows], lengths_N[rows], np.ones(len(rows), np.bool_), heard)
                numbers = seeding.generator(seed, "groups", *purpose)
                parts = heard.weights(cluster_weights(heard.total, resampling.resamples, numbers))
                values_R = np.concatenate([_drawn(part_RU @ sums_U3) for part_RU in parts])
                found = percentile_interval(value, values_R, resampling.level, heard.total)
                low, high = found.low, found.high
        except UndefinedError as error:
            note = str(error)
        report.append({**labels, **size, "value": value, "low": low, "high": high, "note": note})
    return pd.DataFrame(report)


def gap_of_ratios(
    errors_N: Integers,
    lengths_N: Integers,
    groups: pd.DataFrame,
    clusters: ArrayLike | People,
    resampling: Resampling,
    seed: int,
) -> Gap:
    """Return the gap between the groups of `ratios_by_group`, as `gap_of_means` does between those of `by_group`.

    >>> texts = pd.DataFrame({"accent": list("aabb")})
    >>> errors, words = np.array([1, 1, 3, 3]), np.full(4, 4)
    >>> gap_of_ratios(errors, words, texts, np.arange(4), Resampling(50, 0.9, 2, 0.2), seed=1).interval.estimate
    0.5
    """
    people = people_of(clusters)
    group_N, words = combinations(groups)
    sums_GU3 = np.array([_sums(errors_N, lengths_N, group_N == place, people) for place in range(len(words))])
    speakers_G = np.array([people.of(np.flatnonzero(group_N == place)).total for place in range(len(words))])
    estimates_G = _drawn(sums_GU3.sum(axis=1))
    large = np.flatnonzero((speakers_G >= resampling.min_speakers) & np.isfinite(estimates_G))
    numbers = seeding.generator(seed, "groups", "gap", *sorted(map(str, groups.columns)))
    parts = list(people.weights(cluster_weights(people.total, resampling.resamples, numbers)))
    values = [np.concatenate([_drawn(part_RU @ sums_GU3[place]) for part_RU in parts]) for place in large]
    labels = [words[place] for place in large]
    return gap_between(labels, estimates_G[large], np.array(values), resampling, people.total)


def _sums(errors_N: Integers, lengths_N: Integers, chosen_N: NDArray[np.bool_], people: People) -> Floats:
    """Return the sums of both and the number of rows, of chosen rows, for each crowd (U, 3)."""
    columns = (errors_N, lengths_N, np.ones(len(errors_N)))
    return np.column_stack([np.bincount(people.crowd, weights=each_N * chosen_N) for each_N in columns])


def _drawn(sums_R3: Floats) -> Floats:
    """Return the ratio of each resample (R,), NaN where it holds no row: that is not 0 errors in 0 words."""
    errors_R, lengths_R, rows_R = sums_R3.T
    return np.where(rows_R > 0, ratio(errors_R, lengths_R), np.nan)
