"""Stage 1: which models, with which settings, are worth fine-tuning. Sees training and validation rows only.

Outputs in `results/STUDY/select`: one folder for each trial, `trials.csv`, and `selection.json`, which holds the
finalists and the features' digest, and nothing that changes when the winners do not.

Beside it, in `results/STUDY/seconds`, how long epochs took: a file for each trial and, of all, `epochs.csv`. These
differ between equal runs, so they are an output of their own, which the report alone reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.artifacts import read_json, write_json
from voxbench.config import Study
from voxbench.metrics import METRICS
from voxbench.progress import Progress
from voxbench.schema import ScoreKind, Split
from voxbench.stages.finalists import SPLIT, check_learning, check_pairs, source
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Finished, Job, discard_others, run_jobs, seconds_file
from voxbench.training.recipe import Recipe
from voxbench.training.search import Search, Trial, families, winners

SECONDS = "seconds"


def select(workspace: Workspace, name: str) -> None:
    """Search the candidates of study `name`; trials finished by an interrupted run are kept."""
    params = workspace.params
    study, searching = params.study(name), params.searching(name)
    training, selection = searching.training, searching.selection
    check_learning(workspace, study, training)
    check_pairs(workspace, study, searching)
    base = _base_job(workspace, study, name)
    searches = [
        Search(family, models, study.trials[family], selection, base, workspace.journal(name, family))
        for family, models in families(name, study).items()
    ]

    def run(jobs: Sequence[Job]) -> Iterator[Finished]:
        return run_jobs(jobs, params.parallel.workers, workspace.results(name, SECONDS))

    trials: list[Trial] = []
    settings = {"training": training, "selection": selection, "study": study, "verification": searching.verification}
    with (
        open_stage(workspace.root, name, "select", settings) as stage,
        Progress(f"select {name}", sum(study.trials.values())) as progress,
    ):
        for search in searches:
            for trial in search(run):
                trials.append(trial)
                stage.log_job(
                    f"{trial.family} {trial.number:02d} {trial.finished.job.recipe.model}",
                    trial.finished,
                    {"state": trial.state},
                )
                progress.advance(_describe(trial, study.metric))
        finalists = _finish(workspace, name, study, trials)
        _tabulate_seconds(workspace.results(name, SECONDS), trials)
        stage.log_summary({"finalists": ", ".join(finalists)})
    discard_others(base.folder, [job for search in searches for job in search.jobs])
    print(f"{name}: finalists {', '.join(finalists)}")


def _base_job(workspace: Workspace, study: Study, name: str) -> Job:
    searching = workspace.params.searching(name)
    training, selection = searching.training, searching.selection
    return Job(
        folder=workspace.results(name, "select"),
        source=source(workspace, study.task, study.corpus, SPLIT),
        recipe=Recipe(
            model=study.models[0],
            training=training,
            schedule=selection.schedule,
            seed=training.seed,
            train_per_class=selection.train_per_class,
            large_margin=None,
            verification=searching.verification if tasks[study.task].pairs else None,
            transcription=searching.transcription if tasks[study.task].score_kind is ScoreKind.TEXT else None,
        ),
        metric=study.metric,
        scored=(Split.VALID,),
        keep_weights=False,
        pruning=None,
    )


def _finish(workspace: Workspace, name: str, study: Study, trials: list[Trial]) -> list[str]:
    """Write the trial table and the finalists, and return the finalists' names."""
    folder = workspace.results(name, "select")
    rows = [
        {"family": trial.family, "trial": trial.number, "model": trial.finished.job.recipe.model}
        | trial.settings
        | {"state": trial.state, "parameters": trial.finished.parameters}
        | {"multiply_adds": trial.finished.multiply_adds, "initial": trial.finished.initial}
        | {"epochs": len(trial.finished.history)}
        | {column: value for column, value in trial.finished.best.items() if column.startswith("valid_")}
        for trial in trials
    ]
    pd.DataFrame(rows).to_csv(folder / "trials.csv", index=False)
    best = {family: _winners(family, trials, study) for family in study.finalists}
    digests = {str(trial.finished.features_digest) for chosen in best.values() for trial in chosen}
    finalists: list[dict[str, Any]] = [
        {"family": family, "model": trial.finished.job.recipe.model, "settings": trial.settings}
        for family, chosen in best.items()
        for trial in chosen
    ]
    write_json(
        folder / "selection.json",
        {"metric": study.metric, "features": sorted(digests), "finalists": finalists},
    )
    return [finalist["model"] for finalist in finalists]


def _tabulate_seconds(folder: Path, trials: Sequence[Trial]) -> None:
    """Write `epochs.csv`, a row for each epoch of each trial that was timed, and remove the files of other trials."""
    files = [seconds_file(folder, trial.finished.job) for trial in trials]
    for stale in set(folder.glob("*.json")) - set(files):
        stale.unlink()
    rows = [
        {"family": trial.family, "trial": trial.number, "workers": found["workers"], "epoch": epoch, "seconds": seconds}
        for trial, file in zip(trials, files, strict=True)
        if file.is_file()
        for found in [read_json(file)]
        for epoch, seconds in enumerate(found["seconds"])
    ]
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["family", "trial", "workers", "epoch", "seconds"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "epochs.csv", index=False)


def _winners(family: str, trials: list[Trial], study: Study) -> list[Trial]:
    own = [trial for trial in trials if trial.family == family]
    return winners(own, study.finalists[family], METRICS[study.metric].greater_is_better)


def _describe(trial: Trial, metric: str) -> str:
    settings = " ".join(f"{name}={value:.3g}" for name, value in trial.settings.items())
    value = "diverged" if trial.value is None else f"valid {metric} {trial.value:.3f}"
    seconds = "kept" if trial.finished.seconds is None else f"{trial.finished.seconds:.0f} s"
    return f"{trial.finished.job.recipe.model} {settings}: {value} ({trial.state}, {seconds})"
