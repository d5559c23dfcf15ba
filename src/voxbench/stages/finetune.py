"""Stage 2: the finalists, trained on the whole training split, stored with all that serving needs, and registered.

Outputs in `models/BENCHMARK/MODEL`: `weights.safetensors`, `model.json`, `history.csv`, `scores.parquet`. Which
version becomes champion is decided on validation scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import voxbench
from voxbench.metrics import METRICS
from voxbench.progress import Progress
from voxbench.schema import Split
from voxbench.serving import contract
from voxbench.serving.bundle import Bundle, write_bundle
from voxbench.stages.finalists import finalist_recipe, read_selection, source
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tracking.registry import Candidate, Served, register
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Finished, Job, discard_others, refuse_diverged, run_jobs


def finetune(workspace: Workspace, name: str) -> None:
    """Train and register the finalists of benchmark `name`; those finished by an interrupted run are kept."""
    params = workspace.params
    selection = read_selection(workspace, name)
    jobs = [_job(workspace, name, finalist, selection["metric"]) for finalist in selection["finalists"]]
    discard_others(workspace.models(name), jobs)
    column = f"valid_{selection['metric']}"
    candidates = []
    settings = {"training": params.training, "finetune": params.finetune}
    with (
        open_stage(workspace.root, name, "finetune", settings) as stage,
        Progress(f"finetune {name}", len(jobs)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(jobs, params.parallel.workers)):
            model = finished.job.recipe.model
            write_bundle(finished.job.folder, _bundle(workspace, name, finished))
            run_id = stage.log_job(model, finished, {})
            candidates.append(
                Candidate(model, finished.job.folder, run_id, finished.best[column], finished.best["valid_loss"])
            )
            progress.advance(f"{model}: {column} {finished.best[column]:.3f} at epoch {finished.best_epoch + 1}")
        greater_is_better = METRICS[selection["metric"]].greater_is_better
        champion = register(workspace.root, name, candidates, _served(workspace, name), greater_is_better)
        stage.log_summary({"champion": champion})
    print(f"{name}: {len(candidates)} versions registered, best on validation: {champion}")


def _job(workspace: Workspace, name: str, finalist: dict[str, Any], metric: str) -> Job:
    return Job(
        folder=workspace.models(name) / finalist["model"],
        source=source(workspace, name),
        recipe=finalist_recipe(workspace, finalist, workspace.params.training.seed),
        metric=metric,
        scored=(Split.VALID, Split.TEST),
        keep_weights=True,
        pruning=None,
    )


def _bundle(workspace: Workspace, name: str, finished: Finished) -> Bundle:
    benchmark = workspace.params.benchmark(name)
    corpus = workspace.params.corpus(benchmark.corpus)
    return Bundle(
        benchmark=name,
        task=benchmark.task,
        corpus=benchmark.corpus,
        licence=corpus.licence,
        model=finished.job.recipe.model,
        trainable=finished.job.recipe.schedule.trainable,
        training=finished.job.recipe.training,
        cleaning=corpus.cleaning,
        features=corpus.features,
    )


def _served(workspace: Workspace, name: str) -> Served:
    benchmark = workspace.params.benchmark(name)
    cleaning = workspace.params.corpus(benchmark.corpus).cleaning
    return Served(
        script=Path(contract.__file__).with_name("pyfunc_model.py"),
        package=Path(voxbench.__file__).parent,
        signature=contract.signature([f"p_{word}" for word in tasks[benchmark.task].classes]),
        example=contract.example(2 * cleaning.min_seconds, cleaning.sample_rate_hz),
    )
