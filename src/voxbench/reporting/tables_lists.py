"""Tables of verification networks from the cross stage: on lists of trials of every corpus, and naming who speaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.reporting.finalists import read_table
from voxbench.reporting.quantities import DASH, count, quantity, visible
from voxbench.reporting.table import Row, Table
from voxbench.reporting.trial_findings import CLEANED

LISTS, IDENTITIES = "trials.csv", "identification.csv"
CELL = ["benchmark", "model", "corpus", "list"]


def read_lists(folder: Path) -> pd.DataFrame:
    """Read what the cross stage wrote of lists in `folder`; a table without rows where it wrote nothing."""
    return _read(folder / LISTS)


def read_identities(folder: Path) -> pd.DataFrame:
    """Read what the cross stage wrote of who speaks in `folder`; a table without rows where it wrote nothing."""
    return _read(folder / IDENTITIES)


def _read(path: Path) -> pd.DataFrame:
    return read_table(path) if path.is_file() else pd.DataFrame(columns=[*CELL, "metric"])


def crossed_lists_table(measures: pd.DataFrame, level: str) -> Table:
    """Tabulate each network on each list in one row; a metric that a row lacks is a dash, and the notes say why."""
    metrics = list(dict.fromkeys(measures["metric"]))
    cells = [rows for _, rows in measures.groupby(CELL, sort=False)]
    most = int(measures["trials"].max()) if len(measures) else 0
    headings = [quantity(name, most).heading for name in metrics]
    return Table(
        title="Verification on other lists",
        says=(
            "Of each benchmark of verification the fine-tuned network that is best on validation, on every list of "
            "trials that a corpus has: raw recordings, scored and decided as a served model would. The interval "
            f"({level}, over the speakers of both sides) is that of {headings[0] if headings else 'the first metric'}. "
            "actDCF and Cllr are those of the ratios that the stored decision makes of scores. Nobody on a list may be "
            "known from training or validation, or there is a dash. Lost: trials whose recordings cannot be heard."
        ),
        columns=(
            *("benchmark", "model", "tested on", "list", "form"),
            *headings[:1],
            "interval",
            *headings[1:],
            *("trials", "targets", "speakers", "lost"),
        ),
        words=5,
        rows=tuple(Row(_cells(rows, metrics), False) for rows in cells),
        notes=tuple(note for rows in cells for note in _notes(rows)),
    )


def identities_table(measures: pd.DataFrame, level: str) -> Table:
    """Tabulate each network on each corpus in one row; an accuracy that is not there is a dash, with its reason."""
    metrics = list(dict.fromkeys(measures["metric"]))
    cells = [rows for _, rows in measures.groupby(["benchmark", "model", "corpus"], sort=False)]
    headings = [part for name in metrics for part in (f"{_rank(name)} (%)", "interval")]
    return Table(
        title="Who is it?",
        says=(
            "The same networks name the speaker of a recording, out of the enrolled: VoxCeleb1's identification list "
            "says which recordings enroll and which are asked for, and everybody is a stranger to the network. Rank 1: "
            "the right speaker comes first; rank 5: is among the first five. Intervals "
            f"({level}) are over the speakers who are asked for. Published accuracies are of networks that were "
            "trained on the very speakers. Lost: recordings that cannot be heard."
        ),
        columns=("benchmark", "model", "tested on", *headings, "enrolled", "recordings", "speakers", "lost"),
        words=3,
        rows=tuple(Row(_identity_cells(rows, metrics), False) for rows in cells),
        notes=tuple(
            note
            for rows in cells
            for note in _said(f"{rows.iloc[0]['benchmark']} on {rows.iloc[0]['corpus']}", rows, _rank)
        ),
    )


def _rank(metric: str) -> str:
    return metric.replace("rank_accuracy(k=", "rank ").removesuffix(")")


def _identity_cells(rows: pd.DataFrame, metrics: list[str]) -> tuple[str, ...]:
    about, by_metric = rows.iloc[0], rows.set_index("metric")
    shown = quantity("accuracy", int(about["tests"]))
    found: list[str] = []
    for name in metrics:
        row: Any = by_metric.loc[name]
        found.append(DASH if pd.isna(row["value"]) else shown.number(row["value"]))
        bounds = (row["low"], row["high"])
        found.append(DASH if any(map(pd.isna, bounds)) else " to ".join(map(shown.number, bounds)))
    return (
        *(visible(str(about[name])) for name in ("benchmark", "model", "corpus")),
        *found,
        *(count(int(about[name])) for name in ("enrolled", "tests", "speakers", "lost")),
    )


def _cells(rows: pd.DataFrame, metrics: list[str]) -> tuple[str, ...]:
    about, by_metric = rows.iloc[0], rows.set_index("metric")
    shown = [_number(by_metric, name) for name in metrics]
    return (
        *(visible(str(about[name])) for name in ("benchmark", "model", "corpus", "name")),
        CLEANED[None if pd.isna(about["is_cleaned"]) else bool(about["is_cleaned"])],
        *shown[:1],
        _interval(by_metric, metrics[0]),
        *shown[1:],
        *(count(int(about[name])) for name in ("trials", "targets", "speakers", "lost")),
    )


def _number(by_metric: pd.DataFrame, name: str) -> str:
    if name not in by_metric.index:
        return DASH
    row: Any = by_metric.loc[name]
    return quantity(name, int(row["trials"])).number(row["value"])


def _interval(by_metric: pd.DataFrame, name: str) -> str:
    if name not in by_metric.index or pd.isna(by_metric.loc[name, "low"]):
        return DASH
    row: Any = by_metric.loc[name]
    shown = quantity(name, int(row["trials"]))
    return f"{shown.number(row['low'])} to {shown.number(row['high'])}"


def _notes(rows: pd.DataFrame) -> list[str]:
    """Return what is said of one network on one list; what is said of some metrics only names them."""
    about = rows.iloc[0]
    place = f"{about['benchmark']} on {visible(str(about['name']))} of {about['corpus']}"
    return _said(place, rows, lambda name: quantity(name, int(about["trials"])).label)


def _said(place: str, rows: pd.DataFrame, label: Callable[[str], str]) -> list[str]:
    """Return each note once, with the metrics that it is of, if not of all."""
    found = []
    for note, noted in rows[rows["note"] != ""].groupby("note", sort=False):
        which = "" if len(noted) == len(rows) else f", {', '.join(map(label, noted['metric']))}"
        found.append(f"{place}{which}: {visible(str(note))}")
    return found
