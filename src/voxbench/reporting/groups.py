"""Is the network equally good for everybody? Errors by gender, age group, language and dialect, duration and noise.

Beside the errors of each group stands how far the best and the worst of an attribute are apart, and how far chance
alone would put groups that are equal (`voxbench.metrics.gaps`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from voxbench.config import Report
from voxbench.evaluation.group_columns import group_labels
from voxbench.evaluation.row_columns import numbers_of
from voxbench.metrics import UndefinedError
from voxbench.metrics.groups import UNKNOWN, by_group, gap, gap_of_means, worst_group
from voxbench.metrics.trial_bootstrap import Resampling
from voxbench.reporting.scored import Scored
from voxbench.schema import AGE_GROUPS
from voxbench.seeding import derive_seed

ATTRIBUTES = ("gender", "age_group", "language", "dialect")
PAIRS = (("gender", "age_group"),)
# What columns of numbers are called; others keep their names.
NUMBERS = {"kept_seconds": "duration without silence", "snr_db": "signal-to-noise ratio"}
GAP_COLUMNS = ("gap_low", "gap_high", "gap_chance", "gap_p")
COLUMNS = ("by", "group", "rows", "speakers", "mean", "low", "high", "note", *GAP_COLUMNS)


def group_errors(scored: Scored, settings: Report, benchmark: str) -> pd.DataFrame:
    """Return one row for each group of test speakers: `COLUMNS`.

    `mean` is the accuracy of classes and the mean absolute error of values, `low` and `high` its interval over
    speakers. An attribute that is the same for all rows makes no groups; numbers make them by `settings.bins`. A group
    of fewer speakers than `min_group_speakers` is listed with its size, without figures. All rows of an attribute have
    the same `GAP_COLUMNS`: the interval of the gap between its best and its worst group, the gap that equal groups stay
    below with the probability `level`, and the p-value of equality; NaN where there are no two groups to compare.
    """
    rows = scored.rows.reset_index(drop=True)
    columns = {name: rows[name] for name in ATTRIBUTES if name in rows}
    columns |= {NUMBERS.get(name, name): _binned(rows[name], settings) for name in settings.bins if name in rows}
    labels = pd.DataFrame({name: column for name, column in columns.items() if column.nunique(dropna=False) > 1})
    if "age_group" in labels:
        labels["age_group"] = pd.Categorical(labels["age_group"], categories=AGE_GROUPS)
    crossed = [list(pair) for pair in PAIRS if set(pair) <= set(labels)]
    chosen = [*([name] for name in labels), *crossed]
    tables = [_table(scored, labels[names], settings, benchmark) for names in chosen]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _binned(column: pd.Series, settings: Report) -> pd.Series:
    """Return the bin of each row's number."""
    return group_labels(numbers_of(column), settings.bins)


def _table(scored: Scored, labels: pd.DataFrame, settings: Report, benchmark: str) -> pd.DataFrame:
    names, seed = list(labels), derive_seed(settings.seed, "report", benchmark)
    table = by_group(
        scored.row_scores,
        labels,
        scored.speakers,
        min_clusters=max(settings.min_group_speakers, 2),
        resamples=settings.resamples,
        level=settings.level,
        seed=seed,
    )
    table["mean"] = table["mean"].where(table["low"].notna(), np.nan)
    table["by"] = " x ".join(names)
    table["group"] = table[names].agg(", ".join, axis=1)
    table[list(GAP_COLUMNS)] = _gap(scored, labels, settings, seed)
    return table.rename(columns={"clusters": "speakers"})[list(COLUMNS)]


def _gap(scored: Scored, labels: pd.DataFrame, settings: Report, seed: int) -> tuple[float, ...]:
    """Return `GAP_COLUMNS` of the groups that are known and large enough."""
    known_N = (labels.notna() & (labels.astype(object) != UNKNOWN)).all(axis=1).to_numpy()
    resampling = Resampling(
        resamples=settings.resamples,
        level=settings.level,
        min_speakers=max(settings.min_group_speakers, 2),
        # As many as the interval leaves out; more could be all of its one side.
        max_undefined=1 - settings.level,
    )
    try:
        if not known_N.any():
            raise UndefinedError("nothing is known of any row")
        found = gap_of_means(scored.row_scores[known_N], labels[known_N], scored.speakers[known_N], resampling, seed)
    except UndefinedError:
        return (np.nan,) * len(GAP_COLUMNS)
    return found.interval.low, found.interval.high, found.chance, found.p


def extremes(groups: pd.DataFrame, *, greater_is_better: bool) -> list[tuple[str, pd.Series, pd.Series, float]]:
    """Return (attribute, worst group, best group, gap) for each attribute with two groups that are large enough.

    Speakers of unknown gender or age are no group of their own, and are left out here.
    """
    found = []
    known = groups[groups["group"].map(lambda group: UNKNOWN not in group.split(", ")).astype(bool)]
    for attribute, table in known.groupby("by", sort=False):
        try:
            width = gap(table)
        except UndefinedError:
            continue
        worst = worst_group(table, greater_is_better=greater_is_better)
        best = worst_group(table, greater_is_better=not greater_is_better)
        found.append((str(attribute), worst, best, width))
    return found
