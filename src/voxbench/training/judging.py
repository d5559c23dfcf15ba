"""What a network is judged by: the recordings of a split one by one, or trials between them.

A judge says which recordings are put through the network, each once. Of their outputs it makes the validation loss,
which steers the schedule and chooses the best epoch, and the score table, from which all metrics come.

| tasks | the network's outputs | a row of the score table is | validation loss |
|---|---|---|---|
| of one recording | those of its head | a recording | the task's own, every row weighing the same (detection: class) |
| of words | log-probabilities for every frame | a recording, and of `phrases` a prompt | the task's own |
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

from voxbench.config import Training, Transcription, Verification
from voxbench.features.trial_lists import TrialList
from voxbench.metrics import UndefinedError
from voxbench.metrics.detection import min_cllr
from voxbench.metrics.plda import check_size
from voxbench.metrics.score_normalisation import check_top
from voxbench.metrics.trial_scores import BackEnd, refuse_shared_speakers
from voxbench.schema import ScoreKind, Split
from voxbench.tasks import Task
from voxbench.training.data import BenchmarkData, subset
from voxbench.training.recipe import Recipe
from voxbench.training.scoring import CARRIED, score_table
from voxbench.training.trials import back_end_of, embeddings_of, plda_of, recordings, trial_table, trials_of
from voxbench.transcripts.alphabet import decode
from voxbench.transcripts.beam import Decoder, grams_of
from voxbench.transcripts.phrases import RIGHT, PhraseTrials, draw_phrases, phrase_scores

TRIALS_AT_ONCE = 256


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
        if task.score_kind is ScoreKind.DETECTION and len(np.unique(self.targets)) == len(task.classes):
            # Few of the trials are of one class, and the loss in training may weigh both by hand. Of a split of one
            # class, which scores may be wanted of, each row weighs what its class does.
            even = training.model_copy(update={"balance": "loss", "class_weights": None})
            self._loss = task.loss(task.targets(rows), even)
        else:
            alike = training.model_copy(update={"balance": "none", "class_weights": None})
            self._loss = task.loss(train_targets, alike)

    def loss(self, outputs: Tensor) -> Tensor:
        """Return the mean over all crops."""
        return self._loss(outputs.flatten(0, 1), self.targets.repeat_interleave(outputs.shape[1], dim=0), 0.0)

    def table(self, outputs: Tensor) -> pd.DataFrame:
        """Return a row for each recording."""
        return score_table(self.task, self.rows, outputs)


class TextJudge(RowJudge):
    """Judges transcripts, and how well prompted phrases are told from others: `phrases` has a row for each of them.

    `decoder` reads texts off the outputs; a language model of its has the `grams` of the training rows' transcripts.
    """

    def __init__(
        self, task: Task, rows: pd.DataFrame, train_rows: pd.DataFrame, training: Training, settings: Transcription
    ) -> None:
        super().__init__(task, rows, task.targets(train_rows), training)
        self.settings = settings
        self.grams = grams_of(settings.beam, decode(task.targets(train_rows)))
        self.decoder = Decoder(settings.beam, self.grams)

    def table(self, outputs: Tensor) -> pd.DataFrame:
        """Return a row for each recording, its text as the decoder reads it."""
        table = super().table(outputs)
        return table.assign(**{self.task.score_columns[0]: self.decoder(outputs[:, 0])})

    def phrases(self, outputs: Tensor) -> pd.DataFrame:
        """Return a row for each recording and phrase that it is held against, `truth` 1 where the phrase was said."""
        settings = self.settings.phrases
        texts, ids = decode(self.targets.numpy()), list(self.rows["id"])
        drawn = draw_phrases(texts, ids, others=settings.others, near=settings.near, seed=settings.seed)
        carried = self.rows[[column for column in CARRIED if column in self.rows]].iloc[drawn.rows]
        return carried.reset_index(drop=True).assign(
            phrase=drawn.phrases,
            kind=drawn.kinds,
            truth=[int(kind == RIGHT) for kind in drawn.kinds],
            score=_phrase_scores(outputs[:, 0], drawn),
        )


class TrialJudge:
    """Judges trials between `heard` recordings; `fitted` are the training rows that scores are fitted on, if any.

    `rows` has the recordings of the trials first. Raises InputError for an AS-norm of more speakers than were trained
    on. A network that has diverged, or that hears everybody as one, has no scores: they are NaN, and so is the loss.
    """

    def __init__(self, heard: pd.DataFrame, listed: TrialList, fitted: pd.DataFrame, settings: Verification) -> None:
        if settings.as_norm is not None:
            check_top(settings.as_norm.top, fitted["speaker"].nunique())
        self.heard = heard
        self.listed = listed
        self.fitted = fitted
        self.settings = settings
        self.rows = pd.concat([heard, fitted], ignore_index=True)

    def check(self, dimensions: int) -> None:
        """Raise InputError for a PLDA that cannot be fitted on embeddings of so many dimensions."""
        if plda := plda_of(self.settings):
            check_size(plda, len(self.fitted), self.fitted["speaker"].nunique(), dimensions)

    def loss(self, outputs: Tensor) -> Tensor:
        """Return the minimum Cllr in bits; NaN for outputs that are not finite."""
        table = self.table(outputs)
        if table["score"].isna().any():
            return torch.tensor(torch.nan)
        return torch.tensor(min_cllr(table["score"].to_numpy(), table["truth"].to_numpy()))

    def table(self, outputs: Tensor) -> pd.DataFrame:
        """Return a row for each trial."""
        heard_UD, back_end = embeddings_of(outputs)[: len(self.heard)], self.back_end(outputs)
        return trial_table(self.heard, self.listed.trials, heard_UD, back_end)

    def back_end(self, outputs: Tensor) -> BackEnd | None:
        """Return what is fitted on the outputs of the training rows, None where embeddings cannot be compared."""
        embeddings_UD = embeddings_of(outputs)
        fitted_SD = None if self.fitted.empty else embeddings_UD[len(self.heard) :]
        middle_D = 0 if fitted_SD is None or not self.settings.centre else fitted_SD.mean(axis=0)
        if not np.isfinite(embeddings_UD).all() or not (embeddings_UD - middle_D).any(axis=1).all():
            return None
        names_S = None if fitted_SD is None else self.fitted["speaker"].to_numpy()
        try:
            return back_end_of(self.settings, fitted_SD, names_S)
        except UndefinedError:
            return None


def _phrase_scores(log_probs_NTC: Tensor, drawn: PhraseTrials) -> np.ndarray:
    """Return the scores of trials; few recordings' log-probabilities are copied at a time."""
    starts = range(0, len(drawn.rows), TRIALS_AT_ONCE)
    parts = [slice(start, start + TRIALS_AT_ONCE) for start in starts]
    return np.concatenate([phrase_scores(log_probs_NTC[drawn.rows[part]], drawn.phrases[part]) for part in parts])


def judge_of(
    data: BenchmarkData, split: Split, recipe: Recipe, train_rows: pd.DataFrame
) -> RowJudge | TrialJudge | TextJudge:
    """Return the judge of a split, for a network that learns from `train_rows`.

    Raises InputError for a trial of somebody who is learnt from, and for what the judge refuses.
    """
    rows, training, verification = data.split(split), recipe.training, recipe.verification
    if recipe.transcription is not None:
        return TextJudge(data.task, rows, train_rows, training, recipe.transcription)
    if not data.task.pairs:
        return RowJudge(data.task, rows, data.task.targets(train_rows), training)
    assert verification is not None, "a recipe of a task of pairs says how they are scored"
    listed = trials_of(rows, data.listed, verification, split)
    heard = recordings(rows, listed.trials)
    refuse_shared_speakers(train_rows["speaker"], heard["speaker"], f"the training split beside the {split} trials")
    fitted = train_rows.iloc[:0]
    if verification.fits:
        numbers = data.task.targets(train_rows)
        fitted = subset(train_rows, numbers, verification.recordings_per_speaker, verification.trials.seed)
    return TrialJudge(heard, listed, fitted, verification)
