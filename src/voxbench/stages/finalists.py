"""What selection, fine-tuning and repetition share: a benchmark's data source and its finalists' recipes."""

from __future__ import annotations

from typing import Any

from voxbench.artifacts import read_json
from voxbench.config import Training
from voxbench.schema import InputError
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.training.fit import Recipe
from voxbench.training.jobs import Source


def source(workspace: Workspace, benchmark: str) -> Source:
    """Return where the data of a benchmark lies; an unknown task is refused here."""
    row = workspace.params.benchmark(benchmark)
    features = workspace.features(row.corpus) / "features.json"
    if not features.is_file():
        raise InputError(f"no {features.relative_to(workspace.root)}: run `dvc repro features@{row.corpus}` first")
    return Source(tasks[row.task].name, workspace.prepared(row.corpus), workspace.features(row.corpus))


def read_selection(workspace: Workspace, benchmark: str) -> dict[str, Any]:
    """Return `selection.json` of a benchmark."""
    workspace.params.benchmark(benchmark)
    path = workspace.results(benchmark, "select") / "selection.json"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro select@{benchmark}` first")
    selection: dict[str, Any] = read_json(path)
    return selection


def finalist_training(workspace: Workspace, finalist: dict[str, Any]) -> Training:
    """Return the training section with the settings that selection chose for a finalist."""
    return workspace.params.training.model_copy(update=finalist["settings"])


def finalist_recipe(workspace: Workspace, finalist: dict[str, Any], seed: int) -> Recipe:
    """Return how a finalist is trained on the whole training split."""
    schedule = workspace.params.finetune.schedule
    return Recipe(finalist["model"], finalist_training(workspace, finalist), schedule, seed, train_per_class=None)
