"""Training runs as jobs: side by side in worker processes, kept once finished, redone only when something changed.

A job's folder holds `job.json` (its digest and summary), `history.csv`, `scores.parquet` and, where asked for,
`weights.safetensors`. A task of pairs adds `trials.json`, which names each split's list of trials with its hash, and to
the weights `back_end.safetensors`: what its scores were fitted on; transcription adds `phrases.parquet`, the scores of
prompted phrases, and `language_model.json` where it decodes with one. The folder is filled under a temporary name and
renamed, so a folder that exists is a finished job. Its digest covers the recipe, the features, the source code and the
library versions: an equal digest means an equal result, so that resuming equals never having been interrupted.

How long epochs took is no part of a result: where a stage asks for it, it goes to a folder of its own (`Clock`), so
that equal runs leave equal jobs. A job that is kept keeps the seconds of the run that trained it.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import torch
from filelock import FileLock
from safetensors.numpy import save_file as numpy_save_file
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits
from torch import nn

from voxbench.artifacts import digest, package_digest, read_json, write_json
from voxbench.features.trial_lists import LISTS
from voxbench.models.cost import multiply_adds
from voxbench.models.pretrained import origin
from voxbench.schema import InputError, Split
from voxbench.training.data import BenchmarkData
from voxbench.training.fit import fit
from voxbench.training.network import Network
from voxbench.training.pruning import FrozenHistory
from voxbench.training.recipe import Recipe
from voxbench.training.score_files import PHRASES, SCORES, write_scores
from voxbench.training.source import Source
from voxbench.workers import KEEP_FREED_MEMORY

ROOMS_THAT_CHANGE_NUMBERS = ("audio", "models", "metrics", "transcripts", "corpora", "features", "tasks", "training")
BACK_END = "back_end.safetensors"
CHECKPOINTS = "checkpoints"
LIBRARIES_THAT_CHANGE_NUMBERS = ("torch", "torchvision", "lightning", "numpy", "optuna", "scipy", "soxr")


@dataclass(frozen=True)
class Job:
    """One training run to do: where its result goes, and what is kept of it."""

    folder: Path
    source: Source
    recipe: Recipe
    metric: str
    scored: tuple[Split, ...]
    keep_weights: bool
    pruning: FrozenHistory | None
    # Beside the result, so that more epochs can go on from its last one; changes no number.
    keep_checkpoints: bool = False


@dataclass(frozen=True)
class Clock:
    """Where the seconds of each job's epochs go, and how many jobs are trained side by side at most."""

    folder: Path
    workers: int


@dataclass(frozen=True)
class Finished:
    """One training run that is done; `seconds` is None where an earlier run did it.

    `multiply_adds` are those of the network for one crop, or for one second of whole recordings. `averaged` is of how
    many epochs the weights are the mean, 0 for those of the best epoch.
    """

    job: Job
    best_epoch: int
    pruned: bool
    averaged: int
    parameters: int
    multiply_adds: int
    initial: str
    features_digest: str
    seconds: float | None

    @property
    def history(self) -> pd.DataFrame:
        """Return the learning curve, a row for each epoch."""
        return pd.read_csv(self.job.folder / "history.csv")

    @property
    def scores(self) -> pd.DataFrame:
        """Return the score table of the splits that were asked for."""
        return pd.read_parquet(self.job.folder / SCORES)

    @property
    def phrases(self) -> pd.DataFrame:
        """Return the score table of prompted phrases, of a network that writes down what is said."""
        return pd.read_parquet(self.job.folder / PHRASES)

    @property
    def best(self) -> dict[str, float]:
        """Return the measurements of the best epoch."""
        return dict(self.history.iloc[self.best_epoch])

    @property
    def diverged(self) -> bool:
        """Say whether not even the best epoch had a finite loss."""
        return not math.isfinite(self.best["valid_loss"])


@cache
def code_digest() -> str:
    """Return the digest of all source files and libraries that can change a number."""
    libraries = {name: version(name) for name in LIBRARIES_THAT_CHANGE_NUMBERS}
    return digest([package_digest(ROOMS_THAT_CHANGE_NUMBERS), libraries])


def job_digest(job: Job, features_digest: str) -> str:
    """Return what identifies a job's result."""
    recipe: dict[str, Any] = asdict(job.recipe) | {
        "training": job.recipe.training.model_dump(mode="json"),
        "schedule": job.recipe.schedule.model_dump(mode="json"),
        "large_margin": job.recipe.large_margin and job.recipe.large_margin.model_dump(mode="json"),
        "verification": job.recipe.verification and job.recipe.verification.model_dump(mode="json"),
        "transcription": job.recipe.transcription and job.recipe.transcription.model_dump(mode="json"),
    }
    pruning = job.pruning.content() if job.pruning else None
    initial = job.source.initial(job.recipe)
    kept = [job.source.task, job.metric, list(job.scored), job.keep_weights, initial.sha256 if initial else None]
    return digest([recipe, kept, pruning, features_digest, code_digest()])


def unfinished(job: Job, wanted: str) -> Path:
    """Return where a job of this digest keeps its checkpoints until it is finished."""
    return job.folder.with_name(job.folder.name + ".partial") / wanted


def run_jobs(jobs: Sequence[Job], workers: int, timed: Path | None = None) -> Iterator[Finished]:
    """Yield finished jobs in order, as each becomes ready; jobs finished by an earlier run are not redone.

    Each worker process uses one thread, so the number of workers changes the time and no number. The seconds of the
    epochs of jobs that are trained go to the folder `timed`, if there is one (`Clock`).
    """
    clock = Clock(timed, workers) if timed else None
    os.environ.update({name: os.environ.get(name, value) for name, value in KEEP_FREED_MEMORY.items()})
    wanted = [job_digest(job, job.source.load(job.recipe).features_digest) for job in jobs]
    kept = [_finished(job, identity) for job, identity in zip(jobs, wanted, strict=True)]
    waiting = [
        joblib.delayed(train_job)(job, identity, clock)
        for job, identity, done in zip(jobs, wanted, kept, strict=True)
        if done is None
    ]
    pool = joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch=workers, batch_size=1)
    fresh = pool(waiting) if waiting else iter(())
    for done in kept:
        yield next(fresh) if done is None else done


def seconds_file(folder: Path, job: Job) -> Path:
    """Return where in a clock's folder a job's file is: `seconds`, of each epoch, and `workers`.

    A job that was trained without a clock has none.
    """
    return folder / f"{job.folder.name}.json"


def discard_others(folder: Path, jobs: Sequence[Job]) -> None:
    """Remove from `folder` every job that is not among `jobs`: what an output holds is what this run asked for."""
    wanted = {job.folder.name + ending for job in jobs for ending in ("", ".partial")}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name not in wanted:
            shutil.rmtree(path)


def train_job(job: Job, wanted: str, clock: Clock | None = None) -> Finished:
    """Train, score and write one job; runs in a worker process.

    A run that was killed can leave a worker behind which still trains this very job: whoever comes second waits, and
    takes its result.
    """
    identity = digest([str(job.folder.resolve()), wanted])
    # A matrix product on several threads (cohorts, PLDA) has other last bits than on one.
    with FileLock(Path(tempfile.gettempdir()) / f"voxbench-{identity}.lock"), threadpool_limits(1):
        return _finished(job, wanted) or _train(job, wanted, clock)


def _train(job: Job, wanted: str, clock: Clock | None) -> Finished:
    started = time.monotonic()
    torch.set_num_threads(1)
    data = job.source.load(job.recipe)
    partial = unfinished(job, wanted).parent
    partial.mkdir(parents=True, exist_ok=True)
    for stale in partial.iterdir():
        if stale.name != wanted:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    checkpoints = partial / wanted if job.recipe.schedule.checkpoints else None
    initial = job.source.initial(job.recipe)
    fitted = fit(job.recipe, data, job.metric, initial.path if initial else None, job.pruning, checkpoints)
    arrays, lists = write_scores(partial, job.scored, job.recipe, data, fitted.network)
    pd.DataFrame(fitted.history).to_csv(partial / "history.csv", index=False)
    if job.keep_weights:
        save_file(fitted.network.kept(), partial / "weights.safetensors")
    if data.task.pairs:
        write_json(partial / LISTS, lists)
        if job.keep_weights:
            numpy_save_file(arrays, partial / BACK_END)
    parameters, operations = cost(fitted.network, data)
    summary: dict[str, Any] = {
        "best_epoch": fitted.best_epoch,
        "pruned": fitted.pruned,
        "averaged": fitted.averaged,
        "parameters": parameters,
        "multiply_adds": operations,
        "initial": origin(job.recipe.model, job.recipe.training.weights),
        "features_digest": data.features_digest,
    }
    write_json(partial / "job.json", {"digest": wanted, "summary": summary})
    if job.keep_checkpoints and (partial / wanted).is_dir():
        (partial / wanted).rename(partial / CHECKPOINTS)
    if clock:  # before the job is a finished one, which nobody times again
        write_json(seconds_file(clock.folder, job), {"seconds": fitted.seconds, "workers": clock.workers})
    shutil.rmtree(partial / wanted, ignore_errors=True)
    if job.folder.exists():
        shutil.rmtree(job.folder)
    partial.rename(job.folder)
    return Finished(job, **summary, seconds=time.monotonic() - started)


def cost(network: Network, data: BenchmarkData) -> tuple[int, int]:
    """Return the parameters of the part of a network that is served, and its multiply-adds for a crop, or a second."""
    frames = data.crop_frames or data.frames(1.0)
    crop_1FC = torch.zeros(1, len(data.mean), frames, device=network.mean_F1.device)
    served = _served(network)
    return sum(parameter.numel() for parameter in served.parameters()), multiply_adds(served, crop_1FC)


def _served(network: Network) -> nn.Module:
    """Return the part of a network whose size and cost matter to who uses it."""
    return network.encoder if network.embeds else network


def finished_before(job: Job, command: str) -> Finished:
    """Return a job that another stage has done, or name the `command` that does it."""
    finished = _finished(job, job_digest(job, job.source.load(job.recipe).features_digest))
    if finished is None:
        raise InputError(f"no finished run in {job.folder.name}, or one with other settings: run `{command}` first")
    return finished


def _finished(job: Job, wanted: str) -> Finished | None:
    about = job.folder / "job.json"
    content: dict[str, Any] = read_json(about) if about.is_file() else {}
    if content.get("digest") != wanted:
        return None
    return Finished(job, **content["summary"], seconds=None)


def refuse_diverged(finished: Finished) -> Finished:
    """Return `finished`, or say that its training diverged and what to change."""
    if finished.diverged:
        raise InputError(
            f"training {finished.job.recipe.model} with seed {finished.job.recipe.seed} diverged (its loss is not "
            f"finite): lower training.learning_rate, now {finished.job.recipe.training.learning_rate:g}"
        )
    return finished
