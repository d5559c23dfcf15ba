"""The one MLflow store of a project, found from every copy of it that DVC makes.

`dvc exp run --temp` and `--queue` work in copies below `.dvc/tmp/exps`; their runs belong into the project's store, so
that they can be compared. The database is created under a file lock: two processes that create it at once break it.
"""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
from filelock import FileLock
from mlflow.tracking import MlflowClient

COPIES = (".dvc", "tmp", "exps")
LOCK = ".mlflow.lock"
# MLflow's page opens for language models otherwise.
TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
DESCRIPTION = "mlflow.note.content"
HOW_TO_READ = """One benchmark of voxbench: `select`, `finetune`, `repeat` and `ablate` are its stages.

- Learning curves: open a stage, select runs, and look at the groups `train` and `valid` of the chart view.
- Models over seeds: filter `tags.stage = 'repeat' and tags.model != ''`, then *Group by* the tag `model`; see `test`.
- Before and after: filter `tags.stage = 'ablate' and tags.model != ''`, then *Group by* the tag `variant`.
"""
EXPORTED = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")


def project_root(root: Path) -> Path:
    """Return the project folder that `root` is, or is DVC's temporary copy of.

    >>> project_root(Path("/home/ann/voices/.dvc/tmp/exps/standalone/tmpx1"))
    PosixPath('/home/ann/voices')
    """
    parts = root.parts
    for position in range(len(parts) - len(COPIES) + 1):
        if parts[position : position + len(COPIES)] == COPIES:
            return Path(*parts[:position])
    return root


def connect(root: Path) -> MlflowClient:
    """Return a client of the project's store: `MLFLOW_TRACKING_URI` where set, else `mlflow.db` in its folder."""
    home = project_root(root.resolve())
    given = os.environ.get(EXPORTED[0])
    uri = given or f"sqlite:///{home / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if not given:
        # MLflow exports what it is told, and another project in this process would follow.
        for name in EXPORTED:
            os.environ.pop(name, None)
    with FileLock(home / LOCK):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: MlflowClient, root: Path, name: str) -> str:
    """Return the id of an experiment, created on first use with its artifacts below the project's `mlruns`."""
    home = project_root(root.resolve())
    with FileLock(home / LOCK):
        experiment = client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        local = client.tracking_uri.startswith("sqlite:///")
        place = (home / "mlruns" / name).as_uri() if local else None
        return str(client.create_experiment(name, place, tags={**TRAINING_VIEW, DESCRIPTION: HOW_TO_READ}))
