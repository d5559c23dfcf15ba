"""Is a system equally good for everybody? The score of each group, with its uncertainty, and the gap between groups.

A group is a combination of labels that occurs: a gender, or a gender x age group x language, or a range of a
number (`in_bins`): duration, signal-to-noise ratio. The score is a mean over rows (`by_group`), or a metric of
the trials of the group (`trials_by_group`), such as an EER; with a miss or false-alarm rate at one threshold for
all, the gap is that of equalised odds (Hardt, Price and Srebro, "Equality of opportunity in supervised
learning", NIPS 2016). Its interval
resamples whole speakers (`voxbench.metrics.uncertainty`), because twenty recordings of one person say little
about a group. A group of too few speakers is listed with its size and no interval, and takes no part in
`worst_group` and `gap`.

Each group draws from a generator of its own name, so its interval does not change when other groups come or go.
A gap (`gap_of_means`, `gap_of_trials`) draws all groups from the same resamples instead, as groups may share
speakers.

Shape letters: N rows, G groups, R resamples, K speakers, U crowds of those who are heard in one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from voxbench import seeding
from voxbench.metrics.gaps import Gap, gap_between
from voxbench.metrics.group_labels import UNKNOWN as UNKNOWN
from voxbench.metrics.group_labels import combinations
from voxbench.metrics.inputs import Floats, Integers, finite_numbers
from voxbench.metrics.joint_clusters import People, people_of
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.trial_bootstrap import Resampling, Trials, rows_of, trial_bootstrap, weighted_values
from voxbench.metrics.uncertainty import cluster_weights, clustered_mean_interval
from voxbench.metrics.weighted_detection import WeightedMetric
from voxbench.schema import InputError

COLUMNS = ("rows", "clusters", "mean", "low", "high", "note")
TRIAL_COLUMNS = ("metric", "rows", "targets", "clusters", "value", "low", "high", "undefined", "note")
TOO_FEW = "too few speakers for an interval: {}, expected {} or more"


def by_group(
    values: ArrayLike,
    groups: pd.DataFrame,
    clusters: ArrayLike | People,
    *,
    min_clusters: int,
    resamples: int,
    level: float,
    seed: int,
) -> pd.DataFrame:
    """Return one row per combination of labels that occurs, each input row counting in exactly one.

    `values` (N,) is a score per row: 1 or 0 for correct or not, or an absolute error. `groups` has N rows and
    one or more columns of words, integers or booleans; a missing label becomes the group `UNKNOWN`.
    `clusters` (N,) names the speaker of each row as a string or an integer, or several in a tuple. The three are
    matched by position; an index of `groups` is not read.

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
    values_N, people = finite_numbers(values, "values"), people_of(clusters)
    _check_shapes(values_N, groups, people.crowd, COLUMNS)
    group_N, words = combinations(groups)
    starts = np.cumsum(np.bincount(group_N))[:-1]
    report = []
    for rows, labels in zip(np.split(np.argsort(group_N, kind="stable"), starts), words, strict=True):
        heard = people.of(rows)
        speakers = heard.total
        row = labels | {"rows": len(rows), "clusters": speakers, "mean": float(values_N[rows].mean())}
        if speakers < min_clusters:
            report.append(row | {"low": np.nan, "high": np.nan, "note": TOO_FEW.format(speakers, min_clusters)})
            continue
        purpose = sorted(f"{column}={word}" for column, word in labels.items())
        generator = seeding.generator(seed, "groups", *purpose)
        interval = clustered_mean_interval(values_N[rows], heard, resamples=resamples, level=level, generator=generator)
        report.append(row | {"low": interval.low, "high": interval.high, "note": ""})
    return pd.DataFrame(report, columns=[*groups.columns, *COLUMNS])


def worst_group(table: pd.DataFrame, *, greater_is_better: bool) -> pd.Series:
    """Return the row with the worst mean of a `by_group` table, or the worst value of one metric's `trials_by_group`.

    Groups without an interval are left out; of equal ones the first row is taken. Undefined when none is left.

    >>> table = pd.DataFrame({"gender": ["female", "male"], "mean": [4.0, 5.0], "low": [3.0, 4.5]})
    >>> worst_group(table, greater_is_better=False)["gender"]
    'male'
    """
    large = _large_enough(table, 1)
    figures = large[_figure(large)]
    worst = figures.argmin() if greater_is_better else figures.argmax()
    return large.iloc[int(worst)]


def gap(table: pd.DataFrame) -> float:
    """Return the largest mean (or value) minus the smallest among the groups of a table that have an interval.

    Never negative, and above 0 by chance alone, the more so the more and the smaller the groups: `gap_of_means`
    and `gap_of_trials` say by how much. Undefined with fewer than two such groups.

    >>> gap(pd.DataFrame({"gender": ["female", "male"], "mean": [4.0, 5.5], "low": [3.0, 4.5]}))
    1.5
    """
    large = _large_enough(table, 2)
    figures = large[_figure(large)]
    return float(figures.max() - figures.min())


def in_bins(values: ArrayLike, edges: Sequence[float], unit: str) -> pd.Categorical:
    """Return numbers (N,) as ordered words for a column of groups: bins by rising `edges`, the lower one inside.

    The first bin is open below and the last above, so no number is lost; NaN, None and NA stay missing.

    >>> list(in_bins([1.5, 2, 7.25, None], edges=[2, 5], unit="s"))
    ['< 2 s', '2 to < 5 s', '>= 5 s', nan]
    """
    cuts = finite_numbers(edges, "edges")
    if cuts.ndim != 1 or cuts.size == 0 or not (np.diff(cuts) > 0).all():
        raise InputError(f"edges must be one or more rising numbers, found {list(edges)}")
    column = pd.Series(values).infer_objects()
    if column.notna().any() and (not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        raise InputError(f"bins need a column of numbers, found {column.dtype}; words are groups as they are")
    numbers_N = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    ends = [f"{cut:.15g}" for cut in cuts]
    between = [f"{low} to < {high} {unit}" for low, high in pairwise(ends)]
    place_N = np.where(np.isnan(numbers_N), -1, np.searchsorted(cuts, numbers_N, side="right"))
    words = [f"< {ends[0]} {unit}", *between, f">= {ends[-1]} {unit}"]
    return pd.Categorical.from_codes(place_N, categories=words, ordered=True)


def trials_by_group(
    metrics: Mapping[str, WeightedMetric], trials: Trials, groups: pd.DataFrame, resampling: Resampling, seed: int
) -> pd.DataFrame:
    """Return one row per combination of labels that occurs and metric, each trial counting in exactly one group.

    `groups` has a row per trial, as for `by_group`; what the group of a trial of two different speakers is, such
    as a mixed one, is for the caller to say. After the labels come `metric`; `rows`, `targets` and `clusters`:
    trials, target trials and different speakers; `value`; its `low` and `high` over draws of the group's
    speakers; `undefined`: resamples without a value; `note`: why something is missing (NaN), or empty.

    >>> from voxbench.metrics.trial_bootstrap import trials_of
    >>> from voxbench.metrics.weighted_detection import weighted_auc
    >>> trials = trials_of([3, 1, 2, 0], [1, 0, 1, 0], list("aabb"), list("abbc"))
    >>> resampling = Resampling(resamples=50, level=0.9, min_speakers=5, max_undefined=0.1)
    >>> noise = pd.DataFrame({"noise": in_bins([3.0, 4.0, 12.0, 20.0], edges=[10], unit="dB")})
    >>> found = trials_by_group({"auc": weighted_auc}, trials, noise, resampling, seed=1)
    >>> found[["noise", "targets", "clusters", "value", "low"]].to_numpy().tolist()
    [['< 10 dB', 1, 2, 1.0, nan], ['>= 10 dB', 1, 2, 1.0, nan]]
    """
    _check_shapes(trials.scores, groups, trials.enroll, (*TRIAL_COLUMNS, "mean"))
    group_N, words = combinations(groups)
    report = []
    for place, labels in enumerate(words):
        part = rows_of(trials, np.flatnonzero(group_N == place))
        size: dict[str, float | str] = {
            "rows": len(part.scores),
            "targets": int(part.is_target.sum()),
            "clusters": len(part.speakers),
        }
        purpose = sorted(f"{column}={word}" for column, word in labels.items())
        for name, metric in metrics.items():
            generator = seeding.generator(seed, "groups", "trials", *purpose)
            report.append({**labels, "metric": name, **size, **_figures(name, metric, part, resampling, generator)})
    return pd.DataFrame(report, columns=[*groups.columns, *TRIAL_COLUMNS])


def gap_of_means(
    values: ArrayLike, groups: pd.DataFrame, clusters: ArrayLike | People, resampling: Resampling, seed: int
) -> Gap:
    """Return the gap between the means of the groups of `by_group`, with its interval and what chance makes of it.

    Groups of fewer than `resampling.min_speakers` speakers take no part; fewer than two others is undefined. A
    missing label is a group here too, and the smallest group decides how large a gap chance makes: choose rows.

    >>> groups, resampling = pd.DataFrame({"gender": list("ffffmmmm")}), Resampling(200, 0.9, 4, 0.2)
    >>> found = gap_of_means([1, 2, 1, 2, 8, 9, 8, 9], groups, list("abcdefgh"), resampling, seed=1)
    >>> found.highest, found.lowest, found.interval.estimate, found.p < 0.05
    ('gender=m', 'gender=f', 7.0, True)
    """
    values_N, people = finite_numbers(values, "values"), people_of(clusters)
    _check_shapes(values_N, groups, people.crowd, COLUMNS)
    group_N, words = combinations(groups)
    sums_GU, counts_GU = np.zeros((2, len(words), people.crowds))
    np.add.at(sums_GU, (group_N, people.crowd), values_N)
    np.add.at(counts_GU, (group_N, people.crowd), 1)
    speakers_G = np.array([people.of(np.flatnonzero(group_N == place)).total for place in range(len(words))])
    large = np.flatnonzero(speakers_G >= resampling.min_speakers)
    sums_GU, counts_GU = sums_GU[large], counts_GU[large]
    parts = people.weights(cluster_weights(people.total, resampling.resamples, _gap_generator(groups, seed)))
    with np.errstate(invalid="ignore"):
        means_GR = np.hstack([(sums_GU @ part_RU.T) / (counts_GU @ part_RU.T) for part_RU in parts])
    estimates_G = sums_GU.sum(axis=1) / counts_GU.sum(axis=1)
    return gap_between([words[place] for place in large], estimates_G, means_GR, resampling, people.total)


def gap_of_trials(
    metric: WeightedMetric, trials: Trials, groups: pd.DataFrame, resampling: Resampling, seed: int
) -> Gap:
    """Return the gap between the groups of `trials_by_group` in one metric, otherwise as `gap_of_means`.

    Groups on which the metric is undefined take no part.

    >>> from voxbench.metrics.trial_bootstrap import trials_of
    >>> from voxbench.metrics.weighted_detection import weighted_miss_rate
    >>> trials = trials_of([1, 2, 2, 3, 3, 3], [1] * 6, list("abcdef"), list("abcdef"))
    >>> groups, resampling = pd.DataFrame({"codec": list("xxxyyy")}), Resampling(200, 0.9, 3, 0.2)
    >>> found = gap_of_trials(weighted_miss_rate(2.5), trials, groups, resampling, seed=1)
    >>> found.highest, found.lowest, found.interval.estimate
    ('codec=x', 'codec=y', 1.0)
    """
    _check_shapes(trials.scores, groups, trials.enroll, (*TRIAL_COLUMNS, "mean"))
    group_N, words = combinations(groups)
    kept, estimates, values = [], [], []
    for place, labels in enumerate(words):
        part = rows_of(trials, np.flatnonzero(group_N == place))
        estimate = _value(metric, part)
        if len(part.speakers) < resampling.min_speakers or not np.isfinite(estimate):
            continue
        # One generator state for every group, so that all see the same draws of all speakers.
        draws = cluster_weights(len(trials.speakers), resampling.resamples, _gap_generator(groups, seed))
        own = np.searchsorted(trials.speakers, part.speakers)
        kept.append(labels)
        estimates.append(estimate)
        values.append(weighted_values([metric], part, (drawn_RK[:, own] for drawn_RK in draws))[0])
    return gap_between(kept, np.array(estimates), np.array(values), resampling, len(trials.speakers))


def _figures(
    name: str, metric: WeightedMetric, part: Trials, resampling: Resampling, generator: np.random.Generator
) -> dict[str, float | str]:
    """Return the value of a group and its interval, or why they are missing."""
    figures: dict[str, float | str] = {"value": _value(metric, part), "low": np.nan, "high": np.nan, "undefined": 0}
    if len(part.speakers) < resampling.min_speakers:
        return figures | {"note": TOO_FEW.format(len(part.speakers), resampling.min_speakers)}
    try:
        found = trial_bootstrap({name: metric}, part, resampling, generator)[name]
    except UndefinedError as error:
        return figures | {"note": str(error)}
    return figures | {"low": found.low, "high": found.high, "undefined": found.undefined, "note": ""}


def _check_shapes(values_N: Floats, groups: pd.DataFrame, cluster_N: Integers, own: Sequence[str]) -> None:
    """Refuse columns of different lengths and columns of `groups` that the result could not name."""
    if values_N.shape != cluster_N.shape:
        raise InputError(f"clusters has {len(cluster_N)} rows but values has shape {values_N.shape}")
    if len(groups) != len(cluster_N):
        raise InputError(f"clusters has {len(cluster_N)} rows but groups has {len(groups)}")
    columns = list(groups.columns)
    if not columns:
        raise InputError("groups must have at least one column, such as gender; found none")
    if taken := [column for column in columns if column in own]:
        raise InputError(f"the result has a column {taken[0]!r} of its own: rename that column of groups")
    if not groups.columns.is_unique:
        raise InputError(f"groups must have each column once, found {', '.join(map(str, columns))}")


def _value(metric: WeightedMetric, trials: Trials) -> float:
    """Return a metric of trials as they are, NaN where it is undefined."""
    return float(weighted_values([metric], trials, [np.ones((1, len(trials.speakers)))])[0, 0])


def _gap_generator(groups: pd.DataFrame, seed: int) -> np.random.Generator:
    """Return the generator of all groups of a gap; the order of the columns does not count."""
    return seeding.generator(seed, "groups", "gap", *sorted(map(str, groups.columns)))


def _figure(table: pd.DataFrame) -> str:
    """Return which column of a report is compared."""
    return "mean" if "mean" in table.columns or "value" not in table.columns else "value"


def _large_enough(table: pd.DataFrame, groups: int) -> pd.DataFrame:
    """Return the rows of a report that have an interval; fewer than `groups` of them is undefined."""
    if missing := [column for column in (_figure(table), "low") if column not in table.columns]:
        raise InputError(f"the table lacks {', '.join(missing)}; expected a table of by_group")
    large = table[table["low"].notna()]
    if len(large) < groups:
        raise UndefinedError(f"{len(large)} of {len(table)} groups have enough speakers, {groups} needed")
    return large
