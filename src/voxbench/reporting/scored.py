"""The test rows of one system, what is measured on them, and intervals over their speakers.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.config import Report
from voxbench.metrics import Interval, Metric, cluster_bootstrap, difference_of, measure, metrics_of
from voxbench.metrics.alignment import EditCounts
from voxbench.metrics.joint_clusters import heard, people_of
from voxbench.metrics.text import character_counts, word_counts
from voxbench.schema import InputError, Split
from voxbench.seeding import generator
from voxbench.tasks import Task
from voxbench.training.scoring import score_values

AUC = "roc_auc"


@dataclass(frozen=True)
class Bounded:
    """A speaker-clustered bootstrap interval, or the reason why there is none."""

    interval: Interval | None
    reason: str


@dataclass(frozen=True)
class Scored:
    """The test rows of one system.

    `truth` (N,) holds classes, values or texts, `scores` probabilities (N, C), values or texts (N,), and `rows` N rows
    of what is known of the speakers. `values` are metrics by name, `undefined` the reasons of those that have no value.
    `aside` says that the system is no network, but a baseline or a probe, which many rows are alike to.
    """

    truth: np.ndarray
    scores: np.ndarray
    rows: pd.DataFrame
    values: dict[str, float]
    undefined: dict[str, str]
    aside: bool = False

    @property
    def speakers(self) -> np.ndarray:
        """Return who is heard in each row (N,): a name, or, where any row has several, a tuple of names."""
        return heard(self.rows)

    @property
    def predicted(self) -> np.ndarray:
        """Return the first of the most probable classes of each row, or the values themselves (N,)."""
        predicted: np.ndarray = self.scores.argmax(axis=1) if self.scores.ndim > 1 else self.scores
        return predicted

    @cached_property
    def edits(self) -> dict[str, EditCounts]:
        """Return the errors of each text (N,) by the name of the rate that they make, aligned once."""
        sides = self.truth.tolist(), self.scores.tolist()
        return {"wer": word_counts(*sides), "cer": character_counts(*sides)}

    @property
    def row_scores(self) -> np.ndarray:
        """Return for each row whether the class is right (1 or 0), or the absolute error of the value (N,)."""
        if self.scores.ndim > 1:
            return (self.predicted == self.truth).astype(np.float64)
        errors: np.ndarray = np.abs(self.scores - self.truth)
        return errors


def people(rows: pd.DataFrame) -> int:
    """Return how many people are heard in some rows."""
    return people_of(heard(rows)).total if len(rows) else 0


def score(task: Task, truth: np.ndarray, scores: np.ndarray, rows: pd.DataFrame) -> Scored:
    """Measure what a system says of N rows."""
    values, undefined = measure(task.score_kind, truth, scores, ordered=task.ordered)
    return Scored(truth, scores, rows, values, undefined)


def read_scored(task: Task, path: Path, labelled: pd.DataFrame) -> Scored:
    """Read the test rows of a score table; `labelled` says what is known of each recording.

    Raises `InputError` for a recording that the manifest does not hold.
    """
    table = pd.read_parquet(path)
    table = table[table["split"] == Split.TEST]
    rows = known_rows(table, labelled, f"{path.parent.name}/{path.name}")
    return score(task, table["truth"].to_numpy(), score_values(task, table), rows)


def known_rows(table: pd.DataFrame, labelled: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return what `labelled` knows of the recordings of a score table, which is called by `name`, in its order."""
    known = labelled.set_index("id")
    if len(lost := table.loc[~table["id"].isin(known.index), "id"]):
        raise InputError(
            f"{name} scores {len(lost)} recordings that the manifest does not hold, {lost.iloc[0]!r} among them: run "
            "`dvc repro` to finish the stages before the report"
        )
    return known.loc[table["id"]].reset_index()


@dataclass(frozen=True)
class Bootstrap:
    """Intervals over speakers, for the systems of one benchmark."""

    benchmark: str
    settings: Report
    metric: Metric

    def metrics(self, task: Task) -> list[Metric]:
        """Return the metrics of the task's scores."""
        return metrics_of(task.score_kind, ordered=task.ordered)

    def read(self, task: Task, path: Path, labelled: pd.DataFrame) -> Scored:
        """Read the test rows of a score table, as `read_scored` does."""
        return read_scored(task, path, labelled)

    def score(self, task: Task, like: Scored, scores: np.ndarray) -> Scored:
        """Measure what another system says of the same rows."""
        return score(task, like.truth, scores, like.rows)

    def resamples(self, scored: Scored) -> int:
        """Return how many resamples the intervals are of."""
        return self.settings.resamples

    def __call__(self, system: str, scored: Scored) -> dict[str, Bounded]:
        """Return the intervals of the benchmark's metric and, of classes, of the area under the ROC."""
        functions = {self.metric.name: self.metric.function}
        functions |= {each.name: each.function for each in metrics_of(self.metric.kind) if each.name == AUC}
        return {
            name: Bounded(None, scored.undefined[name])
            if name in scored.undefined
            else self._interval(function, scored, (scored.scores,), (system, name))
            for name, function in functions.items()
        }

    def gain(self, system: str, scored: Scored, reference: str, other: Scored) -> Bounded:
        """Return by how much `scored` is better than `other` on the same rows; above 0 is better, either way round."""
        for each in (scored, other):
            if self.metric.name in each.undefined:
                return Bounded(None, each.undefined[self.metric.name])
        difference = difference_of(self.metric.function)
        sign = 1 if self.metric.greater_is_better else -1

        def advantage(truth: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
            return sign * difference(truth, own, others)

        return self._interval(advantage, scored, (scored.scores, other.scores), ("gain", system, reference))

    def _interval(
        self,
        statistic: Callable[..., float],
        scored: Scored,
        scores: tuple[np.ndarray, ...],
        purpose: tuple[str, ...],
    ) -> Bounded:
        try:
            interval = cluster_bootstrap(
                statistic,
                scored.speakers,
                scored.truth,
                *scores,
                resamples=self.settings.resamples,
                level=self.settings.level,
                generator=generator(self.settings.seed, "report", self.benchmark, *purpose),
            )
        except InputError as error:
            return Bounded(None, str(error))
        return Bounded(interval, "")
