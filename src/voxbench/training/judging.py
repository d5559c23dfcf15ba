"""What a network is judged by: the recordings of a split one by one, or trials between them.

A judge says which recordings are put through the network, each once. Of their outputs it makes the validation loss,
which steers the schedule and chooses the best epoch, and the score table, from which all metrics come.

| tasks | the network's outputs | a row of the score table is | validation loss |
|---|---|---|---|
| of one recording | those of its head | a recording | the task's own, every row weighing the same |
| of pairs | embeddings | a trial | the minimum Cllr of the trials, in bits: what is left after calibration |

A recording's embedding is the mean over evenly spread crops of one length, as in every other task: crops of one
length make a batch without padding, which would change embeddings, and serving cuts the same ones. What is fitted for
scores (the mean embedding, the cohort) is fitted anew on training rows in every epoch, so that an epoch is judged by
the very scores that its weights would give at the end.

Shape letters: D embedding, K crops of one recording, U recordings.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from voxbench.config import Training, Verification
from voxbench.corpora.stored_trials import TrialList
from voxbench.metrics.detection import min_cllr
from voxbench.metrics.trial_scores import BackEnd, refuse_shared_speakers
from voxbench.schema import Split
from voxbench.tasks import Task
from voxbench.training.data import BenchmarkData, subset
from voxbench.training.scoring import score_table
from voxbench.training.trials import back_end_of, embeddings_of, recordings, trial_table, trials_of


class Judge(Protocol):
    """Judges outputs `(U, K, ...)` of its `rows`."""

    rows: pd.DataFrame

    def loss(self, outputs: Tensor) -> Tensor:
        """Return the validation loss, a scalar."""

    def table(self, outputs: Tensor) -> pd.DataFrame:
        """Return the score table."""


class RowJudge:
    """Judges recordings one by one."""

    def __init__(self, task: Task, rows: pd.DataFrame, train_targets: np.ndarray, training: Training) -> None:
        self.task = task
        self.rows = rows
        self.targets = torch.from_numpy(np.array(task.targets(rows)))
        self._loss = task.loss(train_targets, training.model_copy(update={"balance": "none"}))

    def loss(self, outputs: Tensor) -> Tensor:
        """Return the mean over all crops."""
        return self._loss(outputs.flatten(0, 1), self.targets.repeat_interleave(outputs.shape[1]), 0.0)

    def table(self, outputs: Tensor) -> pd.DataFrame:
        """Return a row for each recording."""
        return score_table(self.task, self.rows, outputs)


class TrialJudge:
    """Judges trials between `heard` recordings; `fitted` are the training rows that scores are fitted on, if any.

    `rows` has the recordings of the trials first. Raises InputError for a speaker who is in both.
    """

    def __init__(
        self, heard: pd.DataFrame, listed: TrialList, fitted: pd.DataFrame, settings: Verification, split: Split
    ) -> None:
        refuse_shared_speakers(fitted["speaker"], heard["speaker"], f"{split} trials")
        self.heard = heard
        self.listed = listed
        self.fitted = fitted
        self.settings = settings
        self.rows = pd.concat([heard, fitted], ignore_index=True)

    def loss(self, outputs: Tensor) -> Tensor:
        """Return the minimum Cllr in bits; NaN for outputs that are not finite."""
        if not outputs.isfinite().all():
            return torch.tensor(torch.nan)
        table = self.table(outputs)
        return torch.tensor(min_cllr(table["score"].to_numpy(), table["truth"].to_numpy()))

    def table(self, outputs: Tensor) -> pd.DataFrame:
        """Return a row for each trial."""
        embeddings_UD = embeddings_of(outputs)
        return trial_table(self.heard, self.listed.trials, embeddings_UD[: len(self.heard)], self.back_end(outputs))

    def back_end(self, outputs: Tensor) -> BackEnd:
        """Return what is fitted on the outputs of the training rows."""
        if self.fitted.empty:
            return back_end_of(self.settings, None, None)
        fitted_SD = embeddings_of(outputs[len(self.heard) :])
        return back_end_of(self.settings, fitted_SD, self.fitted["speaker"].to_numpy())


def judge_of(
    data: BenchmarkData, split: Split, training: Training, verification: Verification | None, train_rows: pd.DataFrame
) -> RowJudge | TrialJudge:
    """Return the judge of a split, for a network that learns from `train_rows`."""
    rows = data.split(split)
    if not data.task.pairs:
        return RowJudge(data.task, rows, data.task.targets(train_rows), training)
    assert verification is not None, "a recipe of a task of pairs says how they are scored"
    listed = trials_of(rows, data.listed, verification, split)
    fitted = train_rows.iloc[:0]
    if verification.fits:
        numbers = data.task.targets(train_rows)
        fitted = subset(train_rows, numbers, verification.recordings_per_speaker, verification.trials.seed)
    return TrialJudge(recordings(rows, listed.trials), listed, fitted, verification, split)
