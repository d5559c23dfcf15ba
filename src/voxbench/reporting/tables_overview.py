"""The tables over several benchmarks: one row for each, and networks of one corpus tested on the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from voxbench.metrics import METRICS
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.finalists import read_table
from voxbench.reporting.quantities import DASH, count, p_equation, quantity, visible
from voxbench.reporting.table import Row, Table
from voxbench.reporting.verdict import beats_words, judge

MATRIX = "matrix.csv"


def overview_table(benchmarks: Sequence[Evidence]) -> Table:
    """Tabulate each benchmark in one row: its best finalist, whether it leads, and whether it beats the baseline."""
    return Table(
        title="The best finalist of each",
        says=(
            "The finalist with the best mean test metric, its mean ± standard deviation over seeds, whether its lead "
            "over the next one is significant after Holm, and whether the fine-tuned network that validation chooses "
            "beats the strongest answer that never listens (interval over speakers of the difference on the same rows "
            "above zero)."
        ),
        columns=(
            *(
                "benchmark",
                "task",
                "best finalist",
                "is its lead significant?",
                "does the chosen one beat the baseline?",
                "metric",
            ),
            *("mean ± sd", "baseline"),
        ),
        words=6,
        rows=tuple(Row(_overview_cells(evidence), False) for evidence in benchmarks),
        notes=(),
    )


def _overview_cells(evidence: Evidence) -> tuple[str, ...]:
    best, name = evidence.ranked[0], evidence.metric.name
    shown, spread = quantity(name, evidence.clips), best.spreads[name]
    baseline = evidence.strongest.scored.values.get(name)
    return (
        evidence.name,
        evidence.task.name.replace("_", " "),
        best.model,
        _lead_words(evidence),
        beats_words(evidence),
        f"{shown.heading} {'↑' if evidence.metric.greater_is_better else '↓'}",
        DASH if math.isnan(spread.mean) else shown.spread(spread.mean, spread.sd),
        DASH if baseline is None else f"{shown.number(baseline)} ({evidence.strongest.name})",
    )


def _lead_words(evidence: Evidence) -> str:
    p_holm = judge(evidence).p_holm
    if math.isnan(p_holm):
        return "no test"
    return f"{'yes' if p_holm < evidence.alpha else 'no'} ({p_equation(p_holm)})"


def read_matrix(folder: Path) -> pd.DataFrame:
    """Read what the cross stage wrote in `folder`; a table without rows where it has not run."""
    path = folder / MATRIX
    return read_table(path) if path.is_file() else pd.DataFrame(columns=["subject", "metric"])


def cross_table(matrix: pd.DataFrame, level: str) -> Table:
    """Tabulate networks of one corpus on the test rows of the others; a row is marked where it beats the baseline."""
    records = matrix.to_dict("records")
    noted = [row for row in records if row["note"]]
    return Table(
        title="Trained on one corpus, tested on another",
        says=(
            "Of each benchmark the fine-tuned network that is best on validation, on the raw test recordings of every "
            f"corpus that has the label, with the {level} interval over speakers. Excluded recordings could not be "
            "cleaned. The baseline never listens: one class, or one number for everyone. Marked: the whole interval is "
            "better than the baseline."
        ),
        columns=(
            "benchmark",
            "model",
            "tested on",
            "metric",
            "value",
            "interval",
            "baseline",
            "clips",
            "speakers",
            "excluded",
        ),
        words=4,
        rows=tuple(Row(_cross_cells(row), _beaten(row)) for row in records),
        notes=tuple(f"{row['benchmark']} on {row['corpus']}: {visible(row['note'])}" for row in noted),
    )


def _cross_cells(row: dict[str, float]) -> tuple[str, ...]:
    shown = quantity(str(row["metric"]), int(row["clips"]))
    return (
        *(str(row[name]) for name in ("benchmark", "model", "corpus")),
        shown.heading,
        shown.number(row["value"]),
        DASH if pd.isna(row["low"]) else f"{shown.number(row['low'])} to {shown.number(row['high'])}",
        shown.number(row["baseline"]),
        *(count(int(row[name])) for name in ("clips", "speakers", "excluded")),
    )


def _beaten(row: dict[str, float]) -> bool:
    if METRICS[str(row["metric"])].greater_is_better:
        return bool(row["low"] > row["baseline"])
    return bool(row["high"] < row["baseline"])
