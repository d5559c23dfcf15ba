"""Score tables: one row per recording with its truth and the model's scores. Metrics are computed from them alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxbench.features.dataset import Batch
from voxbench.metrics import measure
from voxbench.tasks import Task

CARRIED = ("id", "speaker", "session", "gender", "split")


def predict(network: nn.Module, loader: DataLoader[Batch], crops: int) -> Tensor:
    """Return outputs `(N, K, ...)` on the CPU, in the loader's order of recordings, each with its `crops` crops.

    The network is left in evaluation mode on the device that computed: the accelerator, if there is one.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    network.eval().to(device)
    with torch.inference_mode():
        outputs = torch.cat([network(batch.features.to(device)).cpu() for batch in loader])
    return outputs.reshape(-1, crops, *outputs.shape[1:])


def score_table(task: Task, rows: pd.DataFrame, outputs: Tensor) -> pd.DataFrame:
    """Return `rows`' identity, their truth, and the task's scores."""
    carried = rows[[column for column in CARRIED if column in rows]]
    return carried.assign(truth=task.targets(rows), **task.scores(outputs))


def score_values(task: Task, table: pd.DataFrame) -> np.ndarray:
    """Return what metrics take from a score table: probabilities `(N, C)`, or estimates `(N,)` of a value."""
    values: np.ndarray = table[list(task.score_columns)].to_numpy(np.float64)
    return values if task.classes else values[:, 0]


def evaluate(task: Task, table: pd.DataFrame) -> dict[str, float | None]:
    """Return every metric of the task's score kind and order; None where the metric is undefined on this table."""
    columns = table["truth"].to_numpy(), score_values(task, table)
    values, undefined = measure(task.score_kind, *columns, ordered=task.ordered)
    return {**values, **dict.fromkeys(undefined)}
