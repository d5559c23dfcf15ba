"""Is the network equally good for everybody? Errors by gender, age group, language and dialect."""

from __future__ import annotations

import numpy as np
import pandas as pd

from voxbench.config import Report
from voxbench.metrics import UndefinedError
from voxbench.metrics.groups import UNKNOWN, by_group, gap, worst_group
from voxbench.reporting.scored import Scored
from voxbench.schema import AGE_GROUPS
from voxbench.seeding import derive_seed

ATTRIBUTES = ("gender", "age_group", "language", "dialect")
PAIRS = (("gender", "age_group"),)
COLUMNS = ("by", "group", "rows", "speakers", "mean", "low", "high", "note")


def group_errors(scored: Scored, settings: Report, benchmark: str) -> pd.DataFrame:
    """Return one row for each group of test speakers: `COLUMNS`.

    `mean` is the accuracy of classes and the mean absolute error of values, `low` and `high` its interval over
    speakers. An attribute that is the same for all rows makes no groups. A group of fewer speakers than
    `min_group_speakers` is listed with its size, without figures.
    """
    rows = scored.rows
    varied = [name for name in ATTRIBUTES if name in rows and rows[name].nunique(dropna=False) > 1]
    crossed = [pair for pair in PAIRS if set(pair) <= set(varied)]
    tables = [_table(scored, columns, settings, benchmark) for columns in [*((name,) for name in varied), *crossed]]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _table(scored: Scored, columns: tuple[str, ...], settings: Report, benchmark: str) -> pd.DataFrame:
    labels = scored.rows[list(columns)].copy()
    if "age_group" in labels:
        labels["age_group"] = pd.Categorical(labels["age_group"], categories=AGE_GROUPS)
    table = by_group(
        scored.row_scores,
        labels,
        scored.speakers,
        min_clusters=max(settings.min_group_speakers, 2),
        resamples=settings.resamples,
        level=settings.level,
        seed=derive_seed(settings.seed, "report", benchmark),
    )
    table["mean"] = table["mean"].where(table["low"].notna(), np.nan)
    table["by"] = " x ".join(columns)
    table["group"] = table[list(columns)].agg(", ".join, axis=1)
    return table.rename(columns={"clusters": "speakers"})[list(COLUMNS)]


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
