"""The trials of one benchmark: those of the corpus's list, or drawn by the rule, and the scores of their embeddings.

A list's trials were stored by the prepare stage, by the ids of the manifest's rows. A trial of a recording that was
excluded is no trial any more: `trials.parquet` and `trials.json` say which are lost, and why.

Shape letters: D embedding, K crops of one recording, N trials, S training rows, U recordings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from voxbench.config import Verification
from voxbench.features.trial_lists import SIDES, STORED, TrialList, drawn_list, usable_trials
from voxbench.features.trial_rule import draw_trials
from voxbench.metrics import UndefinedError
from voxbench.metrics.plda import PldaSettings
from voxbench.metrics.trial_scores import BackEnd, fit_back_end, score_trials
from voxbench.schema import InputError, Split

JOINT = "|"
"""What stands between the two recordings in the id of a trial."""
TOLD = ("speaker", "session", "gender")
"""What the score table tells of both sides of a trial."""


def listed_trials(prepared: Path, name: str) -> TrialList:
    """Return the usable trials of one of the corpus's lists."""
    path = prepared / STORED
    if not path.is_file():
        raise InputError(
            f"verification.test_list is {name!r}, but corpora.{prepared.name}.trials names no list: add it there, or "
            "set test_list to null"
        )
    return usable_trials(path, name)


def trials_of(rows: pd.DataFrame, listed: TrialList | None, settings: Verification, split: Split) -> TrialList:
    """Return the trials between the `rows` of a split, listed ones or drawn ones."""
    if listed is None or split is not Split.TEST:
        return drawn_list(draw_trials(rows, settings.trials, str(split)))
    absent = sorted({*listed.trials["enroll"], *listed.trials["test"]} - {*rows["id"]})
    if absent:
        raise InputError(
            f"{len(absent)} recordings of {listed.name} are not in the {split} split, the first is {absent[0]}: "
            "a list is for speakers whom nobody trained on; take another list, or a corpus all of whose speakers are "
            "in the test split"
        )
    return listed


def recordings(rows: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that stand in a trial, each once, in their order."""
    return rows[rows["id"].isin({*trials["enroll"], *trials["test"]})].reset_index(drop=True)


def embeddings_of(outputs_UKD: Tensor) -> np.ndarray:
    """Return the embedding `(U, D)` of each recording: the mean of those of its crops, in float64."""
    return np.asarray(outputs_UKD.double().mean(dim=1).numpy())


def plda_of(settings: Verification) -> PldaSettings | None:
    """Return how a PLDA is fitted, None for none."""
    return PldaSettings(**settings.plda.model_dump()) if settings.plda else None


def back_end_of(settings: Verification, embeddings_SD: np.ndarray | None, speakers_S: np.ndarray | None) -> BackEnd:
    """Return how trials are scored, fitted on training rows; on nothing, where the settings fit nothing."""
    top = settings.as_norm.top if settings.as_norm else None
    return fit_back_end(embeddings_SD, speakers_S, centre=settings.centre, top=top, plda=plda_of(settings))


def trial_table(
    rows: pd.DataFrame, trials: pd.DataFrame, embeddings_UD: np.ndarray, back_end: BackEnd | None
) -> pd.DataFrame:
    """Return a row for each trial: its id, what is told of both sides, split, truth and score.

    `embeddings_UD` are those of `rows`, each recording's once, whatever number of trials it stands in. Scores are NaN
    without a back end, and where AS-norm has no value.
    """
    place = pd.Series(np.arange(len(rows)), index=rows["id"])
    sides = {side: place.loc[trials[side]].to_numpy() for side in SIDES}
    told = {
        f"{side}_{column}": rows[column].to_numpy()[where]
        for column in TOLD
        if column in rows
        for side, where in sides.items()
    }
    return pd.DataFrame(
        {"id": trials["enroll"] + JOINT + trials["test"], "enroll": trials["enroll"], "test": trials["test"]}
        | told
        | {"split": rows["split"].to_numpy()[sides["enroll"]], "truth": trials["truth"]}
        | {"score": _scores(back_end, embeddings_UD, sides["enroll"], sides["test"])}
    )


def _scores(
    back_end: BackEnd | None, embeddings_UD: np.ndarray, enroll_N: np.ndarray, test_N: np.ndarray
) -> np.ndarray:
    nothing_N = np.full(len(enroll_N), np.nan)
    if back_end is None:
        return nothing_N
    try:
        return score_trials(back_end, embeddings_UD, enroll_N, test_N)
    except UndefinedError:
        return nothing_N
