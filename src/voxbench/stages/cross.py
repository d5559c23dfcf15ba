"""Train on one corpus, test on another: the network of each benchmark that is best on validation, on every corpus.

Outputs in `results/cross`: `scores.parquet` (one row for each network and test recording) and `matrix.csv` (one for
each network, corpus and metric). A network hears the other corpus as a served model would: the raw recording, through
the cleaning and the front end that it was trained with. Years are held against age groups as groups. Networks that
compare two recordings are asked of lists of trials (`voxbench.stages.cross_trials`) and who speaks
(`voxbench.stages.cross_identities`), countermeasures which recordings are spoofed (`voxbench.stages.cross_spoofing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

from voxbench.audio import read_bytes
from voxbench.config import Report
from voxbench.metrics import METRICS, cluster_bootstrap
from voxbench.metrics.joint_clusters import heard, people_of
from voxbench.progress import Progress
from voxbench.schema import AGE_GROUPS, GENDERS, AudioError, InputError, Split, age_group
from voxbench.seeding import generator
from voxbench.serving.predictor import Predictor
from voxbench.stages.cross_identities import cross_identities
from voxbench.stages.cross_spoofing import cross_spoofing
from voxbench.stages.cross_trials import cross_trials
from voxbench.stages.finalists import best_on_validation
from voxbench.stages.hearing import Hearing
from voxbench.stages.workspace import Workspace
from voxbench.tasks import Task, tasks

LABELS = {"gender": "gender", "age": "age_group"}
CLASSES = {"gender": GENDERS, "age": AGE_GROUPS}
OLDEST = 130.0
SCORES, MATRIX = "scores.parquet", "matrix.csv"


@dataclass(frozen=True)
class Cell:
    """One network on one corpus: the test rows with a label, and what became of each.

    `constant_years` is the median age of the training rows of a network that estimates years.
    """

    benchmark: str
    task: Task
    model: str
    trained_on: str
    corpus: str
    rows: pd.DataFrame
    constant_years: float | None
    note: str


def cross(workspace: Workspace) -> None:
    """Test the best network of every benchmark on every corpus that has labels for its subject, or lists of trials."""
    folder = workspace.root / "results" / "cross"
    hearing = Hearing(workspace)
    are_written = [
        _cross_labels(workspace, folder),
        cross_trials(hearing, folder),
        cross_identities(hearing, folder),
        cross_spoofing(workspace, folder),
    ]
    if not any(are_written):
        raise InputError(
            "no benchmark can be crossed: none is of gender, age or spoofing, or no corpus has a test recording left, "
            "and none is of verification, or no corpus names a list under corpora.NAME.trials"
        )


def _cross_labels(workspace: Workspace, folder: Path) -> bool:
    """Test what judges recordings one by one; return whether anything was written, and if not, remove what was."""
    params = workspace.params
    names = [name for name, row in params.benchmarks.items() if tasks[row.task].subject in LABELS]
    corpora = {params.benchmarks[name].corpus for name in names}
    work = [(name, corpus) for name in names for corpus in params.corpora if corpus in corpora]
    cells: list[Cell] = []
    with Progress("cross", len(work)) as progress:
        jobs = (joblib.delayed(test)(workspace, name, corpus) for name, corpus in work)
        for cell in joblib.Parallel(n_jobs=params.parallel.workers, return_as="generator")(jobs):
            cells.append(cell)
            progress.advance(f"{cell.benchmark} on {cell.corpus}: {len(cell.rows)} recordings")
    tables = [
        cell.rows.drop(columns="speakers").assign(benchmark=cell.benchmark, corpus=cell.corpus)
        for cell in cells
        if len(cell.rows)
    ]
    if not tables:
        for name in (SCORES, MATRIX):
            (folder / name).unlink(missing_ok=True)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_parquet(folder / SCORES, index=False)
    matrix = pd.DataFrame([row for cell in cells for row in _measure(cell, params.report)])
    matrix.to_csv(folder / MATRIX, index=False)
    print(matrix[["benchmark", "corpus", "metric", "value", "low", "high"]].to_string(index=False))
    return True


def test(workspace: Workspace, benchmark: str, corpus: str) -> Cell:
    """Run one network over the labelled test recordings of one corpus; runs in a worker process."""
    torch.set_num_threads(1)
    row, folder = workspace.params.benchmark(benchmark), best_on_validation(workspace, benchmark)
    task = tasks[row.task]
    label = LABELS[task.subject]
    manifest = pd.read_parquet(workspace.prepared(corpus) / "manifest.parquet")
    rows = manifest[(manifest["split"] == Split.TEST) & manifest[label].notna()].reset_index(drop=True)
    columns = ["id", "speaker", "speakers", "gender", "age_group", "age_years"]
    if heard := _heard(workspace, row.corpus, corpus, rows):
        return Cell(benchmark, task, folder.name, row.corpus, corpus, rows[columns].iloc[:0], None, heard)
    predictor = Predictor(folder)
    root = workspace.root / workspace.params.corpus(corpus).root
    answers = [_answer(predictor, root / recording) for recording in rows["id"]]
    constant = None if task.classes else _median_years(workspace, row.corpus)
    return Cell(
        benchmark, task, folder.name, row.corpus, corpus, rows[columns].assign(**_columns(task, answers)), constant, ""
    )


def _median_years(workspace: Workspace, corpus: str) -> float:
    manifest = pd.read_parquet(workspace.prepared(corpus) / "manifest.parquet", columns=["split", "age_years"])
    return float(manifest.loc[manifest["split"] == Split.TRAIN, "age_years"].median())


def _heard(workspace: Workspace, trained: str, tested: str, rows: pd.DataFrame) -> str:
    """Say how many test recordings were trained on, which can be only where two corpora share audio."""
    if trained == tested:
        return ""
    own = pd.read_parquet(workspace.prepared(trained) / "manifest.parquet", columns=["audio_sha256", "split"])
    shared = rows["audio_sha256"].isin(own.loc[own["split"] != Split.TEST, "audio_sha256"]).sum()
    return f"{shared} of {len(rows)} test recordings are in the training data of {trained}" if shared else ""


def _answer(predictor: Predictor, path: Path) -> dict[str, float] | str:
    try:
        return predictor(read_bytes(path)).scores
    except AudioError as error:
        return str(error.reason)


def _columns(task: Task, answers: list[dict[str, float] | str]) -> dict[str, list[Any]]:
    """Return what was predicted for each recording, as a class and, from tasks that estimate them, in years."""
    words: list[str | None] = []
    years: list[float | None] = []
    for answer in answers:
        estimate = answer["predicted"] if isinstance(answer, dict) and not task.classes else None
        years.append(estimate)
        if isinstance(answer, str):
            words.append(None)
        else:
            words.append(task.answer(answer) if estimate is None else age_group(min(max(estimate, 0.0), OLDEST)))
    reasons = [answer if isinstance(answer, str) else None for answer in answers]
    return {"predicted": words, "predicted_years": years, "excluded": reasons}


def _measure(cell: Cell, settings: Report) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric that cell and corpus allow."""
    lost = cell.rows["excluded"].notna() if len(cell.rows) else pd.Series(dtype=bool)
    judged = cell.rows[~lost] if len(cell.rows) else cell.rows
    about: dict[str, Any] = {
        "subject": cell.task.subject,
        "benchmark": cell.benchmark,
        "task": cell.task.name,
        "model": cell.model,
    }
    about |= {
        "trained_on": cell.trained_on,
        "corpus": cell.corpus,
        "clips": len(judged),
        "speakers": people_of(heard(judged)).total if len(judged) else 0,
    }
    about |= {"excluded": int(lost.sum()), "note": cell.note}
    if judged.empty:
        nothing = dict.fromkeys(("value", "low", "high", "baseline"))
        reason = "no recording could be used" if lost.any() else f"no test recording has a label of {cell.task.subject}"
        yield about | {"metric": "balanced_accuracy"} | nothing | {"note": cell.note or reason}
        return
    classes = CLASSES[cell.task.subject]
    number = {word: place for place, word in enumerate(classes)}
    truth = judged[LABELS[cell.task.subject]].map(number).to_numpy(np.int64)
    chosen = np.eye(len(classes))[judged["predicted"].map(number).to_numpy(np.int64)]
    bounds = _bounds("balanced_accuracy", judged, (truth, chosen), about, settings)
    yield about | bounds | {"baseline": 1 / len(np.unique(truth))}
    known = judged[judged["age_years"].notna()]
    if cell.constant_years is not None and len(known):
        ages, years = known["age_years"].to_numpy(np.float64), known["predicted_years"].to_numpy(np.float64)
        bounds = _bounds("mae", known, (ages, years), about, settings)
        yield about | bounds | {"baseline": float(np.abs(ages - cell.constant_years).mean())}


def _bounds(
    metric: str, rows: pd.DataFrame, columns: tuple[np.ndarray, np.ndarray], about: dict[str, Any], settings: Report
) -> dict[str, Any]:
    """Return a metric with its interval over speakers, or without one and the reason."""
    function, key = METRICS[metric].function, (about["benchmark"], about["corpus"], metric)
    draws = generator(settings.seed, "cross", *key)
    try:
        found = cluster_bootstrap(
            function,
            heard(rows),
            *columns,
            resamples=settings.resamples,
            level=settings.level,
            generator=draws,
        )
    except InputError as error:
        value = {"metric": metric, "value": function(*columns), "low": None, "high": None}
        return value | {"note": str(error)}
    return {"metric": metric, "value": found.estimate, "low": found.low, "high": found.high}
