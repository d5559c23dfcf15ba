"""All that the report says of one benchmark, read from what the stages wrote: scores, curves, tests, accounts.

Metrics are recomputed from the score tables. Nothing is chosen here: the finalists are those of `selection.json`,
and the one called `validated` is the best by its validation metric, as in the model registry.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from voxbench.artifacts import read_json
from voxbench.config import Report
from voxbench.metrics import Interval, Metric, cluster_bootstrap, measure, metrics_of
from voxbench.reporting.corpus import CorpusAccount, read_account
from voxbench.reporting.quantities import NARROW_SPACE, counted
from voxbench.schema import InputError, Split
from voxbench.seeding import generator
from voxbench.tasks import Task
from voxbench.training.scoring import score_matrix

AUC = "roc_auc"


@dataclass(frozen=True)
class Sources:
    """Where the stages wrote what they know of one benchmark."""

    prepared: Path
    select: Path
    repeat: Path
    models: Path


@dataclass(frozen=True)
class Bounded:
    """A speaker-clustered bootstrap interval, or the reason why there is none."""

    interval: Interval | None
    reason: str


@dataclass(frozen=True)
class Scored:
    """The test rows of one network: truth (N,), probabilities (N, C), metrics by name and why some are undefined."""

    truth: np.ndarray
    probabilities: np.ndarray
    speakers: np.ndarray
    values: dict[str, float]
    undefined: dict[str, str]

    @property
    def predicted(self) -> np.ndarray:
        """Return the first of the most probable classes of each row."""
        predicted: np.ndarray = self.probabilities.argmax(axis=1)
        return predicted


@dataclass(frozen=True)
class Spread:
    """A metric over seeds: values in the order of the seeds, their mean, sd (n - 1) and t-interval of the mean.

    Where a seed has no value there is no mean, and `reason` says why.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class Finalist:
    """One finalist: the network that finetune stored, and its repetitions over the seeds."""

    model: str
    family: str
    settings: dict[str, float]
    parameters: int
    history: pd.DataFrame
    best_epoch: int
    tuned: Scored
    bounds: dict[str, Bounded]
    spreads: dict[str, Spread]

    def at_best(self, column: str) -> float:
        """Return a column of the learning curve at the epoch whose weights were kept."""
        return float(self.history[column].iloc[self.best_epoch])


@dataclass(frozen=True)
class Evidence:
    """One benchmark; `baseline` gives every test row the class shares of the training rows."""

    name: str
    task: Task
    metric: Metric
    settings: Report
    seeds: tuple[int, ...]
    finalists: tuple[Finalist, ...]
    baseline: Scored
    baseline_bounds: dict[str, Bounded]
    tests: pd.DataFrame
    trials: pd.DataFrame
    account: CorpusAccount

    @property
    def measured(self) -> list[Metric]:
        """Return the metrics of the task's kind, the one of selection first."""
        return sorted(metrics_of(self.task.score_kind), key=lambda metric: metric.name != self.metric.name)

    @property
    def level(self) -> str:
        """Return the confidence level in words."""
        return f"{100 * self.settings.level:g}{NARROW_SPACE}%"

    @property
    def power(self) -> str:
        """Return the power at which the smallest detectable difference is stated, in words."""
        return f"{100 * self.settings.power:g}{NARROW_SPACE}%"

    @property
    def alpha(self) -> float:
        """Return the level below which a p-value is significant."""
        return 1 - self.settings.level

    @property
    def sample(self) -> str:
        """Return how many test rows of how many speakers there are, in words."""
        return f"{counted(self.clips, 'clip')} of {counted(self.speakers, 'speaker')}"

    @property
    def repeats(self) -> str:
        """Return how many seeds there are, in words."""
        return counted(len(self.seeds), "seed")

    @property
    def clips(self) -> int:
        """Return the number of test rows."""
        return len(self.baseline.truth)

    @cached_property
    def speakers(self) -> int:
        """Return the number of speakers of the test rows."""
        return len(set(self.baseline.speakers))

    @cached_property
    def ranked(self) -> list[Finalist]:
        """Return the finalists by mean test metric over the seeds, best first; without a mean last."""
        sign = -1 if self.metric.greater_is_better else 1

        def rank(finalist: Finalist) -> tuple[bool, float]:
            mean = finalist.spreads[self.metric.name].mean
            return bool(np.isnan(mean)), 0.0 if np.isnan(mean) else sign * mean

        return sorted(self.finalists, key=rank)

    @cached_property
    def validated(self) -> Finalist:
        """Return the finalist with the best validation metric; ties go to the lower validation loss, then by name."""
        column, sign = f"valid_{self.metric.name}", -1 if self.metric.greater_is_better else 1
        return min(
            self.finalists,
            key=lambda finalist: (sign * finalist.at_best(column), finalist.at_best("valid_loss"), finalist.model),
        )


def gather(name: str, task: Task, sources: Sources, settings: Report, seeds: tuple[int, ...]) -> Evidence:
    """Read and compute everything the report says of benchmark `name`; a file that is missing raises `InputError`."""
    selection = read_json(existing(sources.select / "selection.json"))
    metric = next(each for each in metrics_of(task.score_kind) if each.name == selection["metric"])
    account = read_account(sources.prepared, task)
    bound = _Bootstrap(name, settings, metric)
    finalists = tuple(_finalist(row, task, sources, seeds, bound, settings.level) for row in selection["finalists"])
    baseline = _baseline(task, account.class_shares, finalists[0].tuned)
    return Evidence(
        name=name,
        task=task,
        metric=metric,
        settings=settings,
        seeds=seeds,
        finalists=finalists,
        baseline=baseline,
        baseline_bounds=bound("baseline", baseline),
        tests=read_table(sources.repeat / "significance.csv"),
        trials=read_table(sources.select / "trials.csv"),
        account=account,
    )


def existing(path: Path) -> Path:
    """Return `path`, or say that the stage which writes it has not run."""
    if not path.is_file():
        raise InputError(f"no {path.name} in {path.parent}: run `dvc repro` to finish the stages before the report")
    return path


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file that a stage wrote."""
    return pd.read_csv(existing(path))


@dataclass(frozen=True)
class _Bootstrap:
    """Intervals over speakers of the selection metric and the area under the ROC."""

    benchmark: str
    settings: Report
    metric: Metric

    def __call__(self, system: str, scored: Scored) -> dict[str, Bounded]:
        functions = {self.metric.name: self.metric.function}
        functions |= {each.name: each.function for each in metrics_of(self.metric.kind) if each.name == AUC}
        return {name: self._bound(name, function, system, scored) for name, function in functions.items()}

    def _bound(self, name: str, function: Callable[..., float], system: str, scored: Scored) -> Bounded:
        if name in scored.undefined:
            return Bounded(None, scored.undefined[name])
        try:
            interval = cluster_bootstrap(
                function,
                scored.speakers,
                scored.truth,
                scored.probabilities,
                resamples=self.settings.resamples,
                level=self.settings.level,
                generator=generator(self.settings.seed, "report", self.benchmark, system, name),
            )
        except InputError as error:
            return Bounded(None, str(error))
        return Bounded(interval, "")


def _finalist(
    row: dict[str, Any], task: Task, sources: Sources, seeds: tuple[int, ...], bound: _Bootstrap, level: float
) -> Finalist:
    model, folder = row["model"], sources.models / row["model"]
    job = read_json(existing(folder / "job.json"))["summary"]
    tuned = _scored(task, folder)
    repeats = {seed: _scored(task, sources.repeat / f"{model}-seed{seed}") for seed in seeds}
    return Finalist(
        model=model,
        family=row["family"],
        settings=row["settings"],
        parameters=job["parameters"],
        history=read_table(folder / "history.csv"),
        best_epoch=job["best_epoch"],
        tuned=tuned,
        bounds=bound(model, tuned),
        spreads={each.name: _spread(each.name, repeats, level) for each in metrics_of(task.score_kind)},
    )


def _scored(task: Task, folder: Path) -> Scored:
    table = pd.read_parquet(existing(folder / "scores.parquet"))
    table = table[table["split"] == Split.TEST]
    truth, probabilities = table["truth"].to_numpy(), score_matrix(task, table)
    values, undefined = measure(task.score_kind, truth, probabilities)
    return Scored(truth, probabilities, table["speaker"].to_numpy(), values, undefined)


def _spread(metric: str, repeats: dict[int, Scored], level: float) -> Spread:
    values = np.array([scored.values.get(metric, np.nan) for scored in repeats.values()])
    if lost := [seed for seed, scored in repeats.items() if metric in scored.undefined]:
        reason = f"{repeats[lost[0]].undefined[metric]} ({len(lost)} of {len(repeats)} seeds)"
        nothing = float("nan")
        return Spread(tuple(values), nothing, nothing, nothing, nothing, reason)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half_width = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * sd / np.sqrt(len(values))
    return Spread(tuple(values), mean, sd, mean - half_width, mean + half_width, "")


def _baseline(task: Task, class_shares: np.ndarray, like: Scored) -> Scored:
    probabilities = np.tile(class_shares, (len(like.truth), 1))
    values, undefined = measure(task.score_kind, like.truth, probabilities)
    return Scored(like.truth, probabilities, like.speakers, values, undefined)
