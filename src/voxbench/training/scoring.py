"""Score tables: one row per recording with its truth and the model's scores. Metrics are computed from them alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from voxbench.metrics import measure
from voxbench.schema import ScoreKind
from voxbench.tasks import Task
from voxbench.transcripts.alphabet import decode

CARRIED = ("id", "speaker", "session", "gender", "split")


def score_table(task: Task, rows: pd.DataFrame, outputs: Tensor) -> pd.DataFrame:
    """Return `rows`' identity, their truth, and the task's scores."""
    carried = rows[[column for column in CARRIED if column in rows]]
    targets = task.targets(rows)
    truth = np.array(decode(targets), dtype=object) if task.score_kind is ScoreKind.TEXT else targets
    return carried.assign(truth=truth, **task.scores(outputs))


def score_values(task: Task, table: pd.DataFrame) -> np.ndarray:
    """Return what metrics take from a score table: probabilities `(N, C)`, or estimates, scores or texts `(N,)`."""
    if task.score_kind is ScoreKind.TEXT:
        return table[task.score_columns[0]].to_numpy(object)
    values: np.ndarray = table[list(task.score_columns)].to_numpy(np.float64)
    return values if task.score_kind is ScoreKind.CLASSES else values[:, 0]


def evaluate(task: Task, table: pd.DataFrame) -> dict[str, float | None]:
    """Return every metric of the task's score kind and order; None where the metric is undefined on this table."""
    columns = [table["truth"].to_numpy(), score_values(task, table)]
    if task.score_kind is ScoreKind.DETECTION:
        columns.reverse()
    values, undefined = measure(task.score_kind, *columns, ordered=task.ordered)
    return {**values, **dict.fromkeys(undefined)}
