"""What selection, fine-tuning, repetition and variants share: where data lies, finalists, and how they are trained."""

from __future__ import annotations

import math
from typing import Any

from voxbench.artifacts import read_json
from voxbench.config import Benchmark, Study, Training
from voxbench.features.augmentation import check
from voxbench.metrics import METRICS
from voxbench.schema import InputError
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.training.data import AudioSource
from voxbench.training.fit import Recipe
from voxbench.training.jobs import Source

SPLIT, LEAKY_SPLIT = "split", "split_utterance"


def source(workspace: Workspace, task: str, corpus: str, split_column: str) -> Source:
    """Return where the data of a task on a corpus lies; an unknown task is refused here."""
    features = workspace.features(corpus) / "features.json"
    if not features.is_file():
        raise InputError(f"no {features.relative_to(workspace.root)}: run `dvc repro features@{corpus}` first")
    row = workspace.params.corpus(corpus)
    return Source(
        task=tasks[task].name,
        audio=AudioSource(workspace.prepared(corpus), row.features, row.cleaning.sample_rate_hz),
        features=workspace.features(corpus),
        split_column=split_column,
        root=workspace.root,
        weights=workspace.weights,
    )


def check_learning(workspace: Workspace, row: Benchmark | Study, training: Training) -> None:
    """Refuse, before anything is trained, what cannot work with the row's task and corpus.

    That is a metric of another kind of score, a balance without classes, and augmentation beyond the audio's rate.
    """
    task, metric = row.task, row.metric
    sample_rate_hz = workspace.params.corpus(row.corpus).cleaning.sample_rate_hz
    check(training.augmentation, sample_rate_hz, training.crop_seconds)
    kind = tasks[task].score_kind
    if METRICS[metric].kind is not kind:
        known = ", ".join(name for name in METRICS if METRICS[name].kind is kind)
        raise InputError(f"metric {metric!r} is not for {kind} scores, which task {task!r} has: choose one of {known}")
    if training.balance != "none" and not tasks[task].classes:
        raise InputError(f"training.balance is {training.balance!r}, but task {task!r} has no classes: set it to none")


def read_selection(workspace: Workspace, benchmark: str) -> dict[str, Any]:
    """Return the `selection.json` that a benchmark takes its finalists from."""
    study = workspace.params.benchmark(benchmark).select_from
    path = workspace.results(study, "select") / "selection.json"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro select@{study}` first")
    selection: dict[str, Any] = read_json(path)
    return selection


def defined(metric: str, value: float | None, run: str) -> float:
    """Return the value of a metric on a training run, or refuse one that has none: nothing can be told by it."""
    if value is None or math.isnan(value):
        raise InputError(f"{metric} has no value for {run}: select by another metric")
    return value


def finalist_recipe(workspace: Workspace, benchmark: str, finalist: dict[str, Any], seed: int) -> Recipe:
    """Return how a finalist is trained on a benchmark: with its study's settings, but for those that are overridden."""
    learning = workspace.params.learning(benchmark)
    own = workspace.params.benchmark(benchmark).override.get("training", {})
    training = learning.training.model_copy(
        update={name: value for name, value in finalist["settings"].items() if name not in own}
    )
    return Recipe(finalist["model"], training, learning.finetune.schedule, seed, learning.finetune.train_per_class)
