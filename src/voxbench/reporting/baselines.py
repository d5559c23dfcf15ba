"""What can be said of a voice without hearing it: the figures that a network has to beat.

A baseline knows the training rows alone. Classes: every row gets the class shares. Values: every row gets the training
median, or that of the training rows of the speaker's sex, which is the stronger one where sexes differ. Trials: every
one gets the same score, which is chance. Texts: nothing at all is written, which is an error for each word, or the one
word that most training rows hold, which is right somewhere and an error more nowhere.

Shape letters: N rows, C classes, M training rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxbench.reporting.quantities import count, counted
from voxbench.reporting.scored import Bootstrap, Bounded, Scored
from voxbench.reporting.scored_words import NOUNS
from voxbench.schema import GENDERS, ScoreKind, Split
from voxbench.tasks import Task


@dataclass(frozen=True)
class Baseline:
    """A system that never listens: its name, how it answers, its test rows, and their intervals over speakers."""

    name: str
    says: str
    scored: Scored
    bounds: dict[str, Bounded]


def baselines(task: Task, labelled: pd.DataFrame, like: Scored, bound: Bootstrap) -> tuple[Baseline, ...]:
    """Return the baselines of a task on the rows of `like`; of `labelled`, only the training rows are used."""
    training = labelled[labelled["split"] == Split.TRAIN]
    if task.score_kind is ScoreKind.DETECTION:
        answers = _constant(like)
    elif task.score_kind is ScoreKind.TEXT:
        answers = _texts(training, like)
    else:
        answers = _shares(task, training, like) if task.classes else _medians(task, training, like)
    found = []
    for name, says, scores in answers:
        scored = bound.score(task, like, scores)
        found.append(Baseline(name, says, scored, bound(name, scored)))
    return tuple(found)


def _constant(like: Scored) -> list[tuple[str, str, np.ndarray]]:
    return [("constant score", "gives all trials one score, which is chance", np.zeros(len(like.truth)))]


def _texts(training: pd.DataFrame, like: Scored) -> list[tuple[str, str, np.ndarray]]:
    """Return what writes nothing and, where anything was said in training, what writes its commonest word."""
    rows = len(like.truth)
    answers = [("empty transcript", "writes nothing", np.array([""] * rows, dtype=object))]
    held = Counter(word for text in training["target"] for word in set(text.split()))
    if not held:
        return answers
    word, times = min(held.items(), key=lambda each: (-each[1], each[0]))
    says = f"writes “{word}” for every {NOUNS[ScoreKind.TEXT]}, the word that most training rows hold ({count(times)})"
    return [*answers, ("commonest word", says, np.array([word] * rows, dtype=object))]


def _shares(task: Task, training: pd.DataFrame, like: Scored) -> list[tuple[str, str, np.ndarray]]:
    share_C = np.bincount(training["target"].to_numpy(np.int64), minlength=len(task.classes)) / len(training)
    says = (
        "gives every clip the class shares of the training rows, so it always names their majority class, "
        f"{task.classes[int(share_C.argmax())]}"
    )
    return [("majority class", says, np.tile(share_C, (len(like.truth), 1)))]


def _medians(task: Task, training: pd.DataFrame, like: Scored) -> list[tuple[str, str, np.ndarray]]:
    overall = float(training["target"].median())
    says = f"says {overall:.4g} {task.unit}, the median of the training rows, of everyone"
    answers = [("training median", says, np.full(len(like.truth), overall))]
    if "gender" not in training or "gender" not in like.rows:
        return answers
    medians = training.groupby("gender")["target"].median().reindex(GENDERS).dropna()
    own_N = like.rows["gender"].map(medians).to_numpy(np.float64)
    if medians.empty or np.isnan(own_N).all():
        return answers
    said = " and ".join(f"{median:.4g} of {gender} speakers" for gender, median in medians.items())
    says = f"is told the sex and says the training median of that sex ({said}, in {task.unit})"
    if unknown := int(np.isnan(own_N).sum()):
        says += f"; {counted(unknown, 'clip')} of unknown sex get the median of all"
    return [*answers, ("same-sex training median", says, np.where(np.isnan(own_N), overall, own_N))]
