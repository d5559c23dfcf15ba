"""MLflow runs: a parent for each stage of a benchmark, a nested run for each training run.

Everything is written in batches by the stage's own process as results come in; MLflow mirrors what the stages write
and is never read back by them.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import psutil
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from pydantic import BaseModel

from voxbench.models import spec
from voxbench.tracking.lineage import lineage_tags
from voxbench.tracking.store import connect, experiment_id
from voxbench.training.jobs import Finished

logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)

PROCESS = "process"
BATCH = 900  # MLflow takes at most 1,000 metrics in one call


class StageRun:
    """The open run of one stage."""

    def __init__(self, client: MlflowClient, experiment: str, run_id: str, tags: Mapping[str, str]) -> None:
        self.client = client
        self.experiment = experiment
        self.run_id = run_id
        self.tags = dict(tags)

    def log_job(self, label: str, finished: Finished, extra: Mapping[str, object]) -> str:
        """Log one training run below the stage's: its settings, learning curve, best epoch and files; return its id.

        `extra` holds further results: numbers become metrics, words become tags, None is left out. Names before a
        slash are the groups under which MLflow draws metrics.
        """
        recipe = finished.job.recipe
        words = {key: str(value) for key, value in extra.items() if isinstance(value, str)}
        numbers = {key: float(value) for key, value in extra.items() if isinstance(value, int | float)}
        tags = {**self.tags, **words, "mlflow.parentRunId": self.run_id}
        tags |= {"model": recipe.model, "family": spec(recipe.model).family, "initial": finished.initial}
        run = self.client.create_run(
            self.experiment, run_name=label, tags={**tags, "features.digest": finished.features_digest}
        )
        params = _flat({"training": recipe.training, "schedule": recipe.schedule})
        params |= {"model": recipe.model, "seed": str(recipe.seed), "parameters": str(finished.parameters)}
        params["multiply_adds"] = str(finished.multiply_adds)
        numbers |= {f"best/{key}": value for key, value in finished.best.items() if key != "epoch"}
        numbers["best/epoch"] = finished.best_epoch
        if finished.seconds is not None:
            numbers["time/seconds"] = finished.seconds
            numbers["time/seconds_per_epoch"] = finished.seconds / len(finished.history)
        self._log(run.info.run_id, params, _curve(finished) + _points(numbers))
        for name in ("history.csv", "scores.parquet"):
            self.client.log_artifact(run.info.run_id, str(finished.job.folder / name))
        self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def log_summary(self, facts: Mapping[str, str]) -> None:
        """Log the stage's outcome as tags of its own run."""
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in facts.items()])

    def log_numbers(self, numbers: Mapping[str, float]) -> None:
        """Log figures of the stage as metrics of its own run."""
        self.client.log_batch(self.run_id, metrics=_points(numbers))

    def log_table(self, name: str, path: Path) -> None:
        """Log a file that the stage wrote."""
        self.client.log_artifact(self.run_id, str(path), "tables")

    def _log(self, run_id: str, params: Mapping[str, str], points: list[Metric]) -> None:
        self.client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
        for start in range(0, len(points), BATCH):
            self.client.log_batch(run_id, metrics=points[start : start + BATCH])


@contextmanager
def open_stage(root: Path, benchmark: str, stage: str, settings: Mapping[str, BaseModel]) -> Iterator[StageRun]:
    """Yield the run of a stage in the benchmark's experiment; it ends as failed when the stage raises."""
    client = connect(root)
    tags = {
        "stage": stage,
        "benchmark": benchmark,
        PROCESS: f"{socket.gethostname()}:{os.getpid()}",
        **lineage_tags(root),
    }
    experiment = experiment_id(client, root, benchmark)
    _end_killed(client, experiment)
    suffix = "" if tags["dvc.experiment"] == "none" else f" ({tags['dvc.experiment']})"
    with mlflow.start_run(
        experiment_id=experiment, run_name=f"{stage}{suffix}", tags=tags, nested=True, log_system_metrics=True
    ) as run:
        client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in _flat(settings).items()])
        yield StageRun(client, experiment, run.info.run_id, tags)


def _end_killed(client: MlflowClient, experiment: str) -> None:
    """Mark as killed the runs that are still open though the process on this machine which opened them is gone."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        host, _, process = run.data.tags.get(PROCESS, "").rpartition(":")
        if host == socket.gethostname() and not psutil.pid_exists(int(process)):
            client.set_terminated(run.info.run_id, "KILLED")


def _flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return nested sections as dotted names, as `params.yaml` and `dvc exp show` call them."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        content = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        if isinstance(content, dict) and content:
            flat |= {f"{name}.{key}": inner for key, inner in _flat(content).items()}
        else:
            flat[name] = str(content)
    return flat


def _curve(finished: Finished) -> list[Metric]:
    now = int(time.time() * 1000)
    return [
        Metric(_grouped(name), float(value), now, int(row["epoch"]))
        for row in finished.history.to_dict("records")
        for name, value in row.items()
        if name != "epoch" and math.isfinite(value)
    ]


def _grouped(column: str) -> str:
    """Return a learning curve's column as MLflow groups it: `valid_loss` is `valid/loss`."""
    group, _, rest = column.partition("_")
    return f"{group}/{rest}" if group in ("train", "valid") else f"optimizer/{column}"


def _points(numbers: Mapping[str, float]) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, value, now, 0) for name, value in numbers.items() if math.isfinite(value)]
