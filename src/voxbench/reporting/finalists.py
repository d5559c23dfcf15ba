"""The finalists of one benchmark: the network that finetune stored of each, and its repetitions over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from voxbench.artifacts import read_json
from voxbench.config import Decisions, Evaluation, Verification
from voxbench.metrics import Metric
from voxbench.reporting.scored import Bootstrap, Bounded, Scored
from voxbench.schema import InputError
from voxbench.tasks import Task


@dataclass(frozen=True)
class Judging:
    """How detection and transcripts are judged: at what operating points, and, of pairs alone, how they are compared.

    `decisions` are those that fine-tuned networks are stored with.
    """

    verification: Verification | None
    evaluation: Evaluation
    decisions: Decisions


@dataclass(frozen=True)
class Question:
    """What a benchmark asks: its task, the reader of its corpus, its metric, its study, and the seeds.

    `table` is the file of test rows in the folder of each network.
    `judging` says how detection and transcripts are judged; None for other tasks. `studied` is the task of the study.
    """

    name: str
    task: Task
    reader: str
    metric: str
    study: str
    seeds: tuple[int, ...]
    studied: Task
    judging: Judging | None
    table: str


@dataclass(frozen=True)
class Sources:
    """Where the stages wrote what they know of one benchmark; `ablate` is None where it has no variants.

    `select` and `seconds` belong to the study that chose the finalists.
    """

    prepared: Path
    select: Path
    seconds: Path
    repeat: Path
    ablate: Path | None
    models: Path


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


def best_on_validation(finalists: Sequence[Finalist], metric: Metric) -> Finalist:
    """Return the finalist with the best validation metric; ties go to the lower validation loss, then by name."""
    column, sign = f"valid_{metric.name}", -1 if metric.greater_is_better else 1
    return min(
        finalists,
        key=lambda finalist: (sign * finalist.at_best(column), finalist.at_best("valid_loss"), finalist.model),
    )


def read_finalist(
    row: dict[str, Any], question: Question, sources: Sources, labelled: pd.DataFrame, bound: Bootstrap
) -> Finalist:
    """Read what finetune and repeat wrote of one finalist of `selection.json`."""
    model = row["model"]
    folder = sources.models / model
    job = read_json(existing(folder / "job.json"))["summary"]
    tuned, bounds, spreads = measured(model, question, sources, labelled, bound)
    return Finalist(
        model=model,
        family=row["family"],
        settings=row["settings"],
        parameters=job["parameters"],
        history=read_table(folder / "history.csv"),
        best_epoch=job["best_epoch"],
        tuned=tuned,
        bounds=bounds,
        spreads=spreads,
    )


def measured(
    model: str, question: Question, sources: Sources, labelled: pd.DataFrame, bound: Bootstrap
) -> tuple[Scored, dict[str, Bounded], dict[str, Spread]]:
    """Return the test rows of a fine-tuned network, its intervals over speakers, and its metrics over the seeds."""

    def scored(folder: Path) -> Scored:
        return bound.read(question.task, existing(folder / question.table), labelled)

    tuned = scored(sources.models / model)
    repeats = {seed: scored(sources.repeat / f"{model}-seed{seed}") for seed in question.seeds}
    spreads = {each.name: _spread(each.name, repeats, bound.settings.level) for each in bound.metrics(question.task)}
    return tuned, bound(model, tuned), spreads


def existing(path: Path) -> Path:
    """Return `path`, or say that the stage which writes it has not run."""
    if not path.is_file():
        raise InputError(f"no {path.name} in {path.parent}: run `dvc repro` to finish the stages before the report")
    return path


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file that a stage wrote; an empty note is an empty word."""
    table = pd.read_csv(existing(path))
    if "note" in table:
        table["note"] = table["note"].astype(object).where(table["note"].notna(), "")
    return table


def _spread(metric: str, repeats: dict[int, Scored], level: float) -> Spread:
    values = np.array([scored.values.get(metric, np.nan) for scored in repeats.values()])
    if lost := [seed for seed, scored in repeats.items() if metric in scored.undefined]:
        reason = f"{repeats[lost[0]].undefined[metric]} ({len(lost)} of {len(repeats)} seeds)"
        nothing = float("nan")
        return Spread(tuple(values), nothing, nothing, nothing, nothing, reason)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half_width = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * sd / np.sqrt(len(values))
    return Spread(tuple(values), mean, sd, mean - half_width, mean + half_width, "")
