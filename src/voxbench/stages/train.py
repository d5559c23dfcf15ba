"""One network, trained on the data of a benchmark and by its settings, outside of the pipeline: `voxbench train`.

It is the training run that `finetune` would do of this model if it were a finalist, with the settings of `params.yaml`
alone: same rows, same code, same bits. The folder `trained/BENCHMARK/MODEL`, or another, then holds what `finetune`
stores of a network (`weights.safetensors`, `model.json`, `history.csv`, `scores.parquet` and, of a task of two classes,
`decision.json`) and `checkpoints`. Neither MLflow nor a ranking knows of it.

Every epoch leaves a checkpoint. A run that was cut off goes on from it when the command is given again; `--resume`
takes one up from anywhere, also that of a finished run whose `finetune.schedule.max_epochs` was raised since.
"""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from voxbench.artifacts import read_json
from voxbench.config import Benchmark
from voxbench.models import spec
from voxbench.models.pretrained import origin
from voxbench.reporting.quantities import counted, quantity
from voxbench.schema import InputError, Split
from voxbench.serving.bundle import write_bundle
from voxbench.stages.finalists import SPLIT, check_learning, check_pairs, finalist_recipe, source
from voxbench.stages.finetune import bundle_of, decide
from voxbench.stages.workspace import Workspace
from voxbench.training.batches import copies_of, training_batches
from voxbench.training.data import BenchmarkData
from voxbench.training.fit import identity
from voxbench.training.jobs import Finished, Job, cost, job_digest, refuse_diverged, run_jobs, unfinished
from voxbench.training.judging import TrialJudge, judge_of
from voxbench.training.network import Statistics, build_network
from voxbench.training.recipe import Recipe
from voxbench.training.record import LOG as EPOCHS

LAST, LARGE_MARGIN = "last.ckpt", "large-margin"
PIPELINES = ("data", "models", "reports", "results")


@dataclass(frozen=True)
class TrainOptions:
    """What is trained and where it goes; `resume` is a checkpoint or the folder of one."""

    model: str
    output: Path | None
    devices: int
    resume: Path | None
    dry_run: bool
    verbose: bool


def train(workspace: Workspace, name: str, options: TrainOptions) -> None:
    """Print the plan of training a model on benchmark `name`; unless it is a dry run, do it and store the network.

    Raises InputError for what `finetune` refuses, several devices, a folder that holds anything else, and a checkpoint
    of another run.
    """
    if options.devices != 1:
        raise InputError(
            f"--devices is {options.devices}, expected 1: training on several at once is not supported yet"
        )
    job = _job(workspace, name, options)
    _refuse_other_folder(workspace, job.folder)
    data = job.source.load(job.recipe)
    wanted = job_digest(job, data.features_digest)
    taken = _checkpoints(job.recipe, data, options.resume) if options.resume else {}
    print("\n".join(_plan(workspace, name, job, data)))
    for place, epochs in taken.values():
        print(f"goes on from {place}, after {counted(epochs, 'epoch')}")
    if options.dry_run:
        print("a dry run: nothing is trained")
        return
    _take_up({part: place for part, (place, _) in taken.items()}, job, wanted)
    with _epochs_told(options.verbose):
        (finished,) = map(refuse_diverged, run_jobs([job], 1))
    _store(workspace, name, finished)


def _job(workspace: Workspace, name: str, options: TrainOptions) -> Job:
    """Return the run that `finetune` would do, which leaves checkpoints."""
    benchmark, learning = workspace.params.benchmark(name), workspace.params.learning(name, options.model)
    spec(options.model)
    check_learning(workspace, benchmark, learning.training, [options.model])
    check_pairs(workspace, benchmark, learning)
    recipe = finalist_recipe(workspace, name, {"model": options.model, "settings": {}}, learning.training.seed)
    return Job(
        folder=(options.output or workspace.trained(name) / options.model).resolve(),
        source=source(workspace, benchmark.task, benchmark.corpus, SPLIT),
        recipe=replace(recipe, schedule=recipe.schedule.model_copy(update={"checkpoints": True})),
        metric=benchmark.metric,
        scored=(Split.VALID, Split.TEST),
        keep_weights=True,
        pruning=None,
        keep_checkpoints=True,
    )


def _refuse_other_folder(workspace: Workspace, folder: Path) -> None:
    """Refuse a folder that is the pipeline's or holds anything but a finished run: a new one takes its place whole."""
    if any(folder.is_relative_to(workspace.root / own) for own in PIPELINES):
        raise InputError(f"{folder} belongs to the pipeline, which clears away what is not its own: name another")
    if folder.exists() and not (folder / "job.json").is_file():
        raise InputError(f"{folder} is there and holds no network of `voxbench train`: name another folder")


def _checkpoints(recipe: Recipe, data: BenchmarkData, path: Path) -> dict[str, tuple[Path, int]]:
    """Return the checkpoints to go on from and their epochs, by their places in a run's own folder."""
    folder, first = (path, path / LAST) if path.is_dir() else (path.parent, path)
    if not first.is_file():
        raise InputError(f"no checkpoint {first}: expected {LAST} of a run that was cut off, or the folder of it")
    most = recipe.schedule.max_epochs
    if (epochs := _epochs(first, identity(recipe, data))) > most:
        raise InputError(
            f"{first} has trained {counted(epochs, 'epoch')}, more than finetune.schedule.max_epochs {most}: raise it"
        )
    taken = {LAST: (first, epochs)}
    second = folder / LARGE_MARGIN / LAST
    if recipe.large_margin and epochs == most and second.is_file():
        longer = data.with_crops(recipe.large_margin.crop_seconds)
        wanted = identity(recipe.second_phase(recipe.large_margin), longer)
        taken[f"{LARGE_MARGIN}/{LAST}"] = (second, _epochs(second, wanted))
    return taken


def _epochs(path: Path, wanted: dict[str, Any]) -> int:
    """Return how many epochs a checkpoint has behind it; one of another run is refused."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        record = content["callbacks"]["EpochRecord"]
        found, history = record["identity"], record["history"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is no checkpoint of a voxbench training run ({type(error).__name__})") from error
    if others := [key for key, value in wanted.items() if found.get(key) != value]:
        key = others[0]
        words = f": {found.get(key)!r}, expected {wanted[key]!r}" if not isinstance(wanted[key], dict) else ""
        raise InputError(
            f"{path} is of a run with another {key}{words}; go on with the settings and data that it began with"
        )
    return len(history)


def _take_up(taken: dict[str, Path], job: Job, wanted: str) -> None:
    """Put checkpoints where the run looks for its own; a run that is finished needs none."""
    folder, about = unfinished(job, wanted), job.folder / "job.json"
    if about.is_file() and read_json(about)["digest"] == wanted:
        return
    if not taken or any(folder / part == place.resolve() for part, place in taken.items()):
        return
    shutil.rmtree(folder, ignore_errors=True)
    for part, place in taken.items():
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, folder / part)


def _plan(workspace: Workspace, name: str, job: Job, data: BenchmarkData) -> Iterator[str]:
    """Yield what will be done, a line each; nothing is trained or written."""
    recipe, row = job.recipe, workspace.params.benchmark(name)
    training, train_rows = recipe.training, data.training_rows(recipe.train_per_class, recipe.seed)
    yield f"{name}: task {row.task} on {row.corpus} ({workspace.params.corpus(row.corpus).licence})"
    for split in Split:
        rows = train_rows if split is Split.TRAIN else data.split(split)
        yield f"{split} rows: {len(rows):,} of {rows['speaker'].nunique():,} speakers" + _trials(
            job, data, train_rows, split
        )
    copies = copies_of(data, train_rows, training)
    if data.learnt_classes(train_rows):
        yield f"classes: {len(data.learnt_classes(train_rows)) * copies.factor:,}"
    steps = len(training_batches(data, train_rows, training, recipe.seed)[0])
    most = recipe.schedule.max_epochs
    size = f"{training.batch_size} crops"
    if training.batch_seconds is not None:
        size = f"up to {training.batch_seconds:g} s and {training.batch_size} recordings"
    yield f"steps: {steps:,} of {size} in an epoch, {most * steps:,} in {most:,} epochs at most"
    statistics = Statistics(data.mean, data.std, copies.target)
    initial = job.source.initial(recipe)
    path = initial.path if initial else None
    network = build_network(recipe.model, data.task, training, recipe.schedule.trainable, statistics, path)
    parameters, operations = cost(network, data)
    head = sum(parameter.numel() for parameter in network.head.parameters()) if network.embeds else 0
    seconds = training.crop_seconds or 1.0
    yield f"{recipe.model}: {parameters:,} parameters, {operations:,} multiply-adds for {seconds:g} s"
    if head:
        yield f"head of the training speakers, which is not stored: {head:,} parameters"
    yield f"starts from: {origin(recipe.model, training.weights)} weights"
    yield f"device: {torch.accelerator.current_accelerator(check_available=True) or 'cpu'}"
    yield from _settings(recipe, row)
    yield f"output: {job.folder}"


def _trials(job: Job, data: BenchmarkData, train_rows: pd.DataFrame, split: Split) -> str:
    """Return how many pairs of a split are compared, nothing where recordings are judged one by one."""
    if split is Split.TRAIN or not data.task.pairs:
        return ""
    recipe = job.recipe
    judge = judge_of(data, split, recipe, train_rows)
    assert isinstance(judge, TrialJudge)
    told = judge.listed.account()
    return f", {told['trials']:,} trials ({told['targets']:,} targets; {told['list']}, sha256 {told['sha256'][:12]})"


def _settings(recipe: Recipe, row: Benchmark) -> Iterator[str]:
    """Yield every setting in force by its name in `params.yaml`, as it may be written there: JSON is YAML."""
    sections = {
        "training": recipe.training,
        "finetune.schedule": recipe.schedule,
        "finetune.large_margin": recipe.large_margin,
        "verification": recipe.verification,
        "transcription": recipe.transcription,
    }
    yield f"metric: {row.metric}"
    for place, section in sections.items():
        for key, value in section.model_dump(mode="json").items() if section else ():
            yield f"{place}.{key}: {json.dumps(value)}"
    yield f"finetune.train_per_class: {json.dumps(recipe.train_per_class)}"


@contextmanager
def _epochs_told(told: bool) -> Iterator[None]:
    """Print a line for each epoch to standard error."""
    handler, level = logging.StreamHandler(), EPOCHS.level
    if told:
        EPOCHS.addHandler(handler)
        EPOCHS.setLevel(logging.INFO)
    try:
        yield
    finally:
        EPOCHS.removeHandler(handler)
        EPOCHS.setLevel(level)


def _store(workspace: Workspace, name: str, finished: Finished) -> None:
    """Write what goes with the weights, and say how the network did on validation rows."""
    folder, metric = finished.job.folder, workspace.params.benchmark(name).metric
    write_bundle(folder, bundle_of(workspace, name, finished))
    decide(workspace, name, finished)
    epochs = counted(len(finished.history), "epoch")
    done = epochs if finished.seconds is not None else f"was finished before, {epochs}"
    written = quantity(metric, int((finished.scores["split"] == Split.VALID).sum()))
    value = written.value(finished.best[f"valid_{metric}"])
    print(f"{done}; best is epoch {finished.best_epoch + 1}: valid {written.label} {value}")
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
