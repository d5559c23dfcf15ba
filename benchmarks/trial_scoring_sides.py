"""Who takes part in `trial_scoring.py`: from files of embeddings and a trial list to a file of scores, each in its way.

| side | how |
|---|---|
| voxbench | columns in and out, products in blocks; AS-norm by matrix products, once for each utterance |
| WeSpeaker's loop | its formula for the cosine, trial by trial, by scikit-learn's function of two matrices |
| WeSpeaker's steps | its AS-norm: a matrix product and a full sort for either side, then the formula trial by trial |
| WeSpeaker pair by pair | the same formula, but the cohort scores of either side anew for each trial |
| SpeechBrain's loop | its recipe's formula trial by trial in torch, for AS-norm with the cohort scores of either side |

The formulas are written here after WeSpeaker's and SpeechBrain's recipes for VoxCeleb; neither package is called. All
but voxbench and WeSpeaker's steps get the first trials alone, since their work is the same for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics.pairwise import cosine_similarity

from voxbench.evaluation.back_ends import NO_BACK_END, BackEndFiles, read_back_end
from voxbench.evaluation.embeddings import read_embeddings, trial_scores
from voxbench.evaluation.files import file_sha256, read_table
from voxbench.evaluation.trial_tables import write_trials


@dataclass(frozen=True)
class Task:
    """Files to read, how many of the cohort count (None: cosines alone), the file to write, and the most trials."""

    embeddings: Path
    trials: Path
    cohort: Path
    top: int | None
    output: Path
    at_most: int


def voxbench(task: Task) -> None:
    given = NO_BACK_END
    if task.top is not None:
        given = read_back_end(BackEndFiles(None, task.cohort, task.top, None, None, None, None, None))
    source = read_table(task.trials)
    trials = source.of(source.table.rename_columns(["label", "enroll", "test"]))
    scores, _ = trial_scores(read_embeddings(task.embeddings), trials, given.back_end, given.enrolments)
    said = {"trials": task.trials.name, "trials_sha256": file_sha256(task.trials)}
    table = trials.table.select(["enroll", "test", "label"]).append_column("score", [scores])
    write_trials(task.output, table, said)


def named(path: Path) -> dict[str, np.ndarray]:
    """Return embeddings by their names."""
    return dict(zip(path.with_suffix(".txt").read_text(encoding="utf-8").split(), np.load(path), strict=True))


def listed(task: Task) -> list[tuple[str, str]]:
    """Return enroll and test of the first trials."""
    with task.trials.open(encoding="utf-8") as lines:
        pairs = [tuple(line.split()[1:]) for _, line in zip(range(task.at_most), lines, strict=False)]
    return [(enroll, test) for enroll, test in pairs]


def each(task: Task, score: Callable[[str, str], float]) -> None:
    """Write the score of every trial, one after the other."""
    with task.output.open("w", encoding="utf-8") as lines:
        for enroll, test in listed(task):
            lines.write(f"{enroll} {test} {score(enroll, test):.9f}\n")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length one."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def wespeaker_loop(task: Task) -> None:
    vectors = named(task.embeddings)
    each(task, lambda enroll, test: cosine_similarity(vectors[enroll][None], vectors[test][None])[0, 0])


def levels(scores: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the `top` highest scores of each row, by a full sort."""
    highest = np.sort(scores, axis=1)[:, ::-1][:, :top]
    return highest.mean(axis=1), highest.std(axis=1)


def wespeaker_steps(task: Task) -> None:
    vectors, cohort = named(task.embeddings), unit(np.load(task.cohort))
    sides = []
    for names in map(sorted, map(set, zip(*listed(task), strict=True))):
        found = levels(unit(np.stack([vectors[name] for name in names])) @ cohort.T, task.top)
        sides.append(dict(zip(names, zip(*found, strict=True), strict=True)))

    def score(enroll: str, test: str) -> float:
        plain = float(unit(vectors[enroll]) @ unit(vectors[test]))
        (mean_e, spread_e), (mean_t, spread_t) = sides[0][enroll], sides[1][test]
        return 0.5 * ((plain - mean_e) / spread_e + (plain - mean_t) / spread_t)

    each(task, score)


def wespeaker_pairs(task: Task) -> None:
    vectors, cohort = named(task.embeddings), unit(np.load(task.cohort))

    def score(enroll: str, test: str) -> float:
        both = unit(np.stack([vectors[enroll], vectors[test]]))
        means, spreads = levels(both @ cohort.T, task.top)
        return float(np.mean((float(both[0] @ both[1]) - means) / spreads))

    each(task, score)


def speechbrain_loop(task: Task) -> None:
    vectors = {name: torch.from_numpy(vector)[None, None] for name, vector in named(task.embeddings).items()}
    similarity = torch.nn.CosineSimilarity(dim=-1, eps=1e-6)
    cohort = torch.from_numpy(np.load(task.cohort))[:, None]

    def score(enroll: str, test: str) -> float:
        plain = similarity(vectors[enroll], vectors[test])[0]
        if task.top is None:
            return float(plain)
        found = 0.0
        for side in (enroll, test):
            scores = similarity(vectors[side].repeat(len(cohort), 1, 1), cohort)
            highest = torch.topk(scores, k=task.top, dim=0)[0]
            # Its deviation is of top - 1; that of the others is of top.
            found += float((plain - highest.mean(dim=0)) / highest.std(dim=0, correction=0)) / 2
        return found

    each(task, score)


def written(path: Path) -> np.ndarray:
    """Return the scores that a side wrote."""
    table = (
        pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep=" ", names=["e", "t", "score"])
    )
    scores: np.ndarray = table["score"].to_numpy()
    return scores


COSINE = {"voxbench": voxbench, "WeSpeaker's loop": wespeaker_loop, "SpeechBrain's loop": speechbrain_loop}
AS_NORM = {
    "voxbench": voxbench,
    "WeSpeaker's steps": wespeaker_steps,
    "WeSpeaker pair by pair": wespeaker_pairs,
    "SpeechBrain's loop": speechbrain_loop,
}
WHOLE = ("voxbench", "WeSpeaker's steps")
"""Sides that score the whole list; the times of the others are scaled up."""
