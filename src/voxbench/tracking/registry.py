"""The model registry: a registered model for each benchmark, a version for each finalist, aliases for their roles.

`champion` is what serving names; `challenger` is the runner-up. A pipeline run moves both. A DVC experiment registers
its versions too, but leaves `champion` where it is: trying a parameter must not change what is served.
"""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient

from voxbench.tracking.store import connect

# MLflow counts files on a bar and tells what goes as planned; warnings stay, but for one on a `pip` that uv replaces.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)

CHAMPION, CHALLENGER = "champion", "challenger"
NEEDED_TO_SERVE = (
    "av", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "ruamel.yaml", "safetensors", "scipy", "soundfile",
    "soxr", "torch", "torchvision",
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A finalist to register: its files, its run, its corpus and what that allows, its validation metric and loss."""

    model: str
    corpus: str
    licence: str
    folder: Path
    run_id: str
    value: float
    loss: float


@dataclass(frozen=True)
class Served:
    """How models of this project are served: the code, the signature, and an example of the input."""

    script: Path
    package: Path
    signature: ModelSignature
    example: pd.DataFrame


def best_first(candidates: list[Candidate], greater_is_better: bool) -> list[Candidate]:
    """Return candidates by validation metric; ties go to the lower validation loss, then by name."""
    sign = -1 if greater_is_better else 1
    return sorted(candidates, key=lambda candidate: (sign * candidate.value, candidate.loss, candidate.model))


def register(root: Path, name: str, candidates: list[Candidate], served: Served, greater_is_better: bool) -> str:
    """Register every candidate as a version of `name` and return the best one's model name."""
    client = connect(root)
    ranked = best_first(candidates, greater_is_better)
    versions = [_log_version(client, name, candidate, served) for candidate in ranked]
    _point(client, name, versions)
    return ranked[0].model


def _log_version(client: MlflowClient, name: str, candidate: Candidate, served: Served) -> str:
    with mlflow.start_run(run_id=candidate.run_id, nested=True), warnings.catch_warnings():
        # The example travels as binary; MLflow's hint on integer columns does not apply.
        warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(served.script),
            artifacts={"model": str(candidate.folder)},
            code_paths=[str(served.package)],
            signature=served.signature,
            input_example=served.example,
            pip_requirements=[f"{library}=={version(library)}" for library in NEEDED_TO_SERVE],
            registered_model_name=name,
            await_registration_for=None,
        )
    number = str(logged.registered_model_version)
    tags = {
        "model": candidate.model,
        "corpus": candidate.corpus,
        "licence": candidate.licence,
        "valid_metric": f"{candidate.value:.6f}",
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", "none"),
    }
    for key, value in tags.items():
        client.set_model_version_tag(name, number, key, value)
    return number


def _point(client: MlflowClient, name: str, versions: list[str]) -> None:
    """Give the roles to the best versions, best first."""
    known = client.get_registered_model(name).aliases
    if "DVC_EXP_NAME" in os.environ and CHAMPION in known:
        client.set_registered_model_alias(name, CHALLENGER, versions[0])
        return
    client.set_registered_model_alias(name, CHAMPION, versions[0])
    if len(versions) > 1:
        client.set_registered_model_alias(name, CHALLENGER, versions[1])
    elif CHALLENGER in known:
        client.delete_registered_model_alias(name, CHALLENGER)
