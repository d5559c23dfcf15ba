"""The table of countermeasures on other corpora, and without the silence before and after speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.reporting.finalists import read_table
from voxbench.reporting.quantities import DASH, count, quantity, visible
from voxbench.reporting.table import Row, Table

SPOOFING, GROUPS = "spoofing.csv", "spoofing_groups.csv"
CELL = ["benchmark", "model", "corpus", "form"]


def read_spoofing(folder: Path) -> pd.DataFrame:
    """Read what the cross stage wrote of countermeasures in `folder`; a table without rows where it wrote nothing."""
    path = folder / SPOOFING
    return read_table(path) if path.is_file() else pd.DataFrame(columns=[*CELL, "trained_on", "metric"])


def read_spoofing_groups(folder: Path) -> pd.DataFrame:
    """Read the errors by group that the cross stage wrote; a table without rows where it wrote nothing."""
    path = folder / GROUPS
    return read_table(path) if path.is_file() else pd.DataFrame(columns=["benchmark", "trained_on", "corpus", "by"])


def spoofing_groups_table(groups: pd.DataFrame, level: str) -> Table:
    """Tabulate the errors on corpora that a network did not learn from, by what makes groups of their recordings."""
    abroad = groups[groups["trained_on"] != groups["corpus"]] if len(groups) else groups
    return Table(
        title="Anti-spoofing on other corpora, by codec, subset, attack and duration",
        says=(
            "The error rate of each group of recordings as they are, by what their corpus says of them. A group by "
            f"attack holds the spoofs of one attack and all bona fide recordings. Intervals ({level}) are over the "
            "speakers of the group; one of too few speakers is listed without figures."
        ),
        columns=("benchmark", "tested on", "by", "group", "EER (%)", "interval", "clips", "speakers"),
        words=4,
        rows=tuple(Row(_group_cells(row), False) for row in abroad.to_dict("records")),
        notes=(),
    )


def _group_cells(row: dict[Any, Any]) -> tuple[str, ...]:
    shown, bounds = quantity(str(row["metric"]), int(row["rows"])), (row["low"], row["high"])
    return (
        *(visible(str(row[name])) for name in ("benchmark", "corpus", "by", "group")),
        DASH if pd.isna(row["value"]) else shown.number(row["value"]),
        DASH if any(map(pd.isna, bounds)) else " to ".join(map(shown.number, bounds)),
        count(int(row["rows"])),
        count(int(row["clusters"])),
    )


def spoofing_table(measures: pd.DataFrame, level: str) -> Table:
    """Tabulate each network on each corpus in each form in one row; marked rows are of the corpus it learnt from."""
    metrics = list(dict.fromkeys(measures["metric"]))
    cells = [rows for _, rows in measures.groupby(CELL, sort=False)]
    most = int(measures["clips"].max()) if len(measures) else 0
    headings = [quantity(name, most).heading for name in metrics]
    return Table(
        title="Anti-spoofing on other corpora, and without silence",
        says=(
            "Of each benchmark of anti-spoofing the fine-tuned network that is best on validation, on the test "
            "recordings of every corpus that says how they were made: raw recordings, scored and decided as a served "
            "model would. Without silence: cut off before and after speech, for it alone can tell how a recording was "
            "made; where the error rate rises by that, the network owed so much to it. The interval "
            f"({level}, over speakers) is that of {headings[0] if headings else 'the first metric'}. actDCF and Cllr "
            "are those of the ratios that the stored decision makes of scores. The worst attack is that with the "
            "highest error rate against all bona fide recordings. Unknown: attacks by names that training has not. "
            "Lost: recordings that cannot be heard. Marked: the corpus that the network learnt from."
        ),
        columns=(
            *("benchmark", "model", "tested on", "form"),
            *headings[:1],
            "interval",
            *headings[1:],
            *("worst attack", "its EER (%)", "attacks", "unknown", "bona fide", "clips", "speakers", "lost"),
        ),
        words=4,
        rows=tuple(Row(_cells(rows, metrics), _at_home(rows)) for rows in cells),
        notes=tuple(note for rows in cells for note in _notes(rows)),
    )


def _at_home(rows: pd.DataFrame) -> bool:
    about = rows.iloc[0]
    return bool(about["trained_on"] == about["corpus"])


def _cells(rows: pd.DataFrame, metrics: list[str]) -> tuple[str, ...]:
    about, by_metric = rows.iloc[0], rows.set_index("metric")
    shown = [_number(by_metric, name) for name in metrics]
    worst, rate = about["worst_attack"], about["worst_eer"]
    return (
        *(visible(str(about[name])) for name in CELL),
        *shown[:1],
        _interval(by_metric, metrics[0]),
        *shown[1:],
        DASH if pd.isna(worst) else visible(str(worst)),
        DASH if pd.isna(rate) else quantity("eer_asvspoof", int(about["clips"])).number(float(rate)),
        *(count(int(about[name])) for name in ("attacks", "unknown_attacks", "bonafide", "clips", "speakers", "lost")),
    )


def _number(by_metric: pd.DataFrame, name: str) -> str:
    if name not in by_metric.index or pd.isna(by_metric.loc[name, "value"]):
        return DASH
    row: Any = by_metric.loc[name]
    return quantity(name, int(row["clips"])).number(row["value"])


def _interval(by_metric: pd.DataFrame, name: str) -> str:
    if name not in by_metric.index or pd.isna(by_metric.loc[name, "low"]):
        return DASH
    row: Any = by_metric.loc[name]
    shown = quantity(name, int(row["clips"]))
    return f"{shown.number(row['low'])} to {shown.number(row['high'])}"


def _notes(rows: pd.DataFrame) -> list[str]:
    about = rows.iloc[0]
    said = dict.fromkeys(str(note) for note in rows["note"] if note and not pd.isna(note))
    return [f"{about['benchmark']} on {about['corpus']}, {about['form']}: {visible(note)}" for note in said]
