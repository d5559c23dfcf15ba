"""What selection, fine-tuning, repetition and variants share: where data lies, finalists, and how they are trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.artifacts import read_json
from voxbench.config import Benchmark, Learning, Searching, Study, Training
from voxbench.features.augmentation import check
from voxbench.features.dataset import frames_of
from voxbench.metrics import METRICS, metrics_of
from voxbench.models import min_frames, spec, stride_of
from voxbench.registry import closest
from voxbench.schema import InputError, InputKind, ScoreKind
from voxbench.stages.workspace import Workspace
from voxbench.tasks import Task, tasks
from voxbench.training.data import AudioSource
from voxbench.training.recipe import Recipe
from voxbench.training.source import Source

SPLIT, LEAKY_SPLIT = "split", "split_utterance"


def source(workspace: Workspace, task: str, corpus: str, split_column: str) -> Source:
    """Return where the data of a task on a corpus lies; an unknown task is refused here."""
    features = workspace.features(corpus) / "features.json"
    if not features.is_file():
        stage = "mix-features" if corpus in workspace.params.mixtures else "features"
        raise InputError(f"no {features.relative_to(workspace.root)}: run `dvc repro {stage}@{corpus}` first")
    row = workspace.params.corpus(corpus)
    return Source(
        task=tasks[task].name,
        audio=AudioSource(workspace.prepared(corpus), row.features, row.cleaning.sample_rate_hz),
        features=workspace.features(corpus),
        split_column=split_column,
        root=workspace.root,
        weights=workspace.weights,
    )


def check_learning(
    workspace: Workspace, row: Benchmark | Study, training: Training, models: Sequence[str] | None = None
) -> None:
    """Refuse, before anything is trained, what cannot work with the row's task and corpus.

    That is a metric of another kind of score or of classes in order, a balance without classes, augmentation beyond the
    audio's rate or of features that a network on waves does not see, and crops that a network's pools leave nothing of.
    `models` are those that will be trained, None for the row's own.
    """
    task, metric = row.task, row.metric
    sample_rate_hz = workspace.params.corpus(row.corpus).cleaning.sample_rate_hz
    least_seconds = workspace.params.corpus(row.corpus).cleaning.min_seconds
    check(training.augmentation, sample_rate_hz, training.crop_seconds or least_seconds)
    own = row.models if isinstance(row, Study) else row.of_models
    for model in own:
        spec(model)
    if models is None:
        models = row.models if isinstance(row, Study) else _finalists_of(workspace, row)
    _check_masks(training, models)
    check_whole(tasks[task], training, models)
    kind = tasks[task].score_kind
    known = [each.name for each in metrics_of(kind, ordered=tasks[task].ordered)]
    if METRICS[metric].kind is not kind:
        raise InputError(
            f"metric {metric!r} is not for {kind} scores, which task {task!r} has: choose one of {', '.join(known)}"
        )
    if metric not in known:
        raise InputError(
            f"metric {metric!r} needs classes in an order, and those of task {task!r} have none: choose one of "
            f"{', '.join(known)}"
        )
    if training.balance != "none" and not tasks[task].classes:
        raise InputError(f"training.balance is {training.balance!r}, but task {task!r} has no classes: set it to none")
    _check_losses(tasks[task], training)
    _check_crops(workspace, row, training, models)


def _check_losses(task: Task, training: Training) -> None:
    """Refuse a loss that is of other tasks."""
    if training.one_class and (task.score_kind is not ScoreKind.DETECTION or task.pairs):
        raise InputError(
            f"training.one_class is for tasks that detect spoofs, which {task.name!r} does not: set it to null"
        )
    if training.class_weights and (not task.classes or task.pairs):
        raise InputError(
            f"training.class_weights are set, but task {task.name!r} learns no classes of its own: set them to null"
        )
    if task.classes and not task.pairs:
        task.loss(np.arange(len(task.classes)), training)


def check_whole(task: Task, training: Training, models: Sequence[str]) -> None:
    """Refuse crops where whole recordings are needed, the other way round, and networks of the other kind."""
    writes = task.score_kind is ScoreKind.TEXT
    if writes != (training.crop_seconds is None):
        wanted = "null, with training.batch_seconds" if writes else "a number, and training.batch_seconds null"
        raise InputError(
            f"training.crop_seconds is {training.crop_seconds}, expected {wanted}: task {task.name!r} "
            + ("writes down whole recordings" if writes else "judges crops of one length")
        )
    for model in models:
        if (stride_of(model) is not None) != writes:
            raise InputError(
                f"{model} gives {'one embedding of a clip' if writes else 'an output for every few frames'}, which is "
                f"not what task {task.name!r} needs: choose from the families that docs/models.md lists for it"
            )
    if writes and training.augmentation.changes_waves:
        raise InputError(
            "training.augmentation changes waves, which is not done to whole recordings: set all but probability and "
            f"the masks to null for task {task.name!r}"
        )


def check_pairs(workspace: Workspace, row: Benchmark | Study, learning: Learning | Searching) -> None:
    """Refuse a margin that is missing where speakers are learnt or given where they are not, and an unknown list."""
    task, training = tasks[row.task], learning.training
    if task.pairs and training.margin is None:
        raise InputError(
            f"training.margin is null, but task {task.name!r} learns speakers with one: give kind, margin, scale, "
            "beyond, subcentres and warm_up_epochs in the row's override"
        )
    of_speakers = {
        "training.margin": training.margin,
        "training.clips_per_speaker": training.clips_per_speaker,
        "training.augmentation.speed_speakers": training.augmentation.speed_speakers,
        "finetune.large_margin": learning.finetune.large_margin if isinstance(learning, Learning) else None,
    }
    for name, value in of_speakers.items():
        if value is not None and not task.pairs:
            raise InputError(f"{name} is for tasks that learn speakers, which {task.name!r} does not: set it to null")
    known, named = workspace.params.corpus(row.corpus).trials, learning.verification.test_list
    if task.pairs and named is not None and named not in known:
        raise InputError(
            f"verification.test_list is {named!r}{closest(named, known)}; corpora.{row.corpus}.trials: "
            f"{', '.join(known) or 'none'}"
        )


def _check_masks(training: Training, models: Sequence[str]) -> None:
    waves = [model for model in models if spec(model).input_kind is InputKind.WAVE]
    if training.augmentation.masks and waves:
        raise InputError(
            f"training.augmentation has mask_seconds or mask_fraction, which hide stripes of features, but {waves[0]} "
            "reads the wave: set both to null, or leave the networks on waves out"
        )


def _check_crops(workspace: Workspace, row: Benchmark | Study, training: Training, models: Sequence[str]) -> None:
    """Refuse crops that are too short for a network, all of them in one line."""
    about = read_json(source(workspace, row.task, row.corpus, SPLIT).features / "features.json")
    corpus = workspace.params.corpus(row.corpus)
    hop_ms, rate_hz = corpus.features.hop_ms, corpus.cleaning.sample_rate_hz
    found, needed = [], 0.0
    seconds = training.crop_seconds or corpus.cleaning.min_seconds
    named = "training.crop_seconds" if training.crop_seconds else f"cleaning.min_seconds of {row.corpus},"
    for model in dict.fromkeys(models):
        kind, own = spec(model).input_kind, {"resize": training.resize}
        own |= {"n_features": about[kind]["bins"]}
        least = min_frames(model, **{name: value for name, value in own.items() if name in spec(model).accepts})
        if (frames := frames_of(kind, seconds, hop_ms, rate_hz)) < least:
            noun = "samples" if kind is InputKind.WAVE else "frames"
            found.append(f"{model} ({least:,} {noun}, not {frames:,})")
            longer = (millis / 1000 for millis in count(math.ceil(seconds * 1000)))
            needed = max(needed, next(each for each in longer if frames_of(kind, each, hop_ms, rate_hz) >= least))
    if found:
        raise InputError(
            f"crops of {named} {seconds:g} are too short for {', '.join(found)}: set it to "
            f"{needed:g} or more, or leave the network{'s' if len(found) > 1 else ''} out"
        )


def _finalists_of(workspace: Workspace, row: Benchmark) -> list[str]:
    return [finalist["model"] for finalist in _selection(workspace, row.select_from)["finalists"]]


def read_selection(workspace: Workspace, benchmark: str) -> dict[str, Any]:
    """Return the `selection.json` that a benchmark takes its finalists from."""
    return _selection(workspace, workspace.params.benchmark(benchmark).select_from)


def _selection(workspace: Workspace, study: str) -> dict[str, Any]:
    path = workspace.results(study, "select") / "selection.json"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro select@{study}` first")
    selection: dict[str, Any] = read_json(path)
    return selection


def best_on_validation(workspace: Workspace, benchmark: str) -> Path:
    """Return the folder of the benchmark's network that is best on validation rows."""
    path = workspace.models(benchmark) / "ranking.json"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro finetune@{benchmark}` first")
    return path.parent / str(read_json(path)[0]["model"])


def defined(metric: str, value: float | None, run: str) -> float:
    """Return the value of a metric on a training run, or refuse one that has none: nothing can be told by it."""
    if value is None or math.isnan(value):
        raise InputError(f"{metric} has no value for {run}: select by another metric")
    return value


def finalist_recipe(workspace: Workspace, benchmark: str, finalist: dict[str, Any], seed: int) -> Recipe:
    """Return how a finalist is trained on a benchmark: with its study's settings, but for those that are overridden."""
    row, learning = workspace.params.benchmark(benchmark), workspace.params.learning(benchmark, finalist["model"])
    check_pairs(workspace, row, learning)
    own = row.override.get("training", {}) | row.of_models.get(finalist["model"], {}).get("training", {})
    training = learning.training.model_copy(
        update={name: value for name, value in finalist["settings"].items() if name not in own}
    )
    return Recipe(
        model=finalist["model"],
        training=training,
        schedule=learning.finetune.schedule,
        seed=seed,
        train_per_class=learning.finetune.train_per_class,
        large_margin=learning.finetune.large_margin,
        verification=learning.verification if tasks[row.task].pairs else None,
        transcription=learning.transcription if tasks[row.task].score_kind is ScoreKind.TEXT else None,
    )
