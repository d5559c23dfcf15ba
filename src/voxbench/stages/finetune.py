"""Stage 2: the finalists, trained on the whole training split, stored with all that serving needs, and registered.

Outputs in `models/BENCHMARK/MODEL`: `weights.safetensors`, `model.json`, `history.csv`, `scores.parquet`; in
`models/BENCHMARK`: `ranking.json`. Which version becomes champion is decided on validation scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import voxbench
from voxbench.artifacts import write_json
from voxbench.metrics import METRICS
from voxbench.progress import Progress
from voxbench.schema import Split
from voxbench.serving import contract
from voxbench.serving.bundle import Bundle, write_bundle
from voxbench.stages.finalists import SPLIT, check_learning, defined, finalist_recipe, read_selection, source
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tracking.registry import Candidate, Served, best_first, register
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Finished, Job, discard_others, refuse_diverged, run_jobs


def finetune(workspace: Workspace, name: str) -> None:
    """Train and register the finalists of benchmark `name`; those finished by an interrupted run are kept.

    The licence of the corpus goes with the files of every model, its runs and its version in the registry.
    """
    params = workspace.params
    benchmark, learning = params.benchmark(name), params.learning(name)
    check_learning(workspace, benchmark, learning.training)
    jobs = [_job(workspace, name, finalist) for finalist in read_selection(workspace, name)["finalists"]]
    discard_others(workspace.models(name), jobs)
    column = f"valid_{benchmark.metric}"
    candidates = []
    settings = {"training": learning.training, "finetune": learning.finetune, "benchmark": benchmark}
    with (
        open_stage(workspace.root, name, "finetune", settings) as stage,
        Progress(f"finetune {name}", len(jobs)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(jobs, params.parallel.workers)):
            model = finished.job.recipe.model
            bundle = _bundle(workspace, name, finished)
            write_bundle(finished.job.folder, bundle)
            run_id = stage.log_job(model, finished, {"corpus": bundle.corpus, "licence": bundle.licence})
            value = defined(benchmark.metric, finished.best[column], f"{model} on validation rows")
            place, loss = finished.job.folder, finished.best["valid_loss"]
            candidates.append(Candidate(model, bundle.corpus, bundle.licence, place, run_id, value, loss))
            progress.advance(f"{model}: {column} {value:.3f} at epoch {finished.best_epoch + 1}")
        greater_is_better = METRICS[benchmark.metric].greater_is_better
        _rank(workspace, name, candidates, greater_is_better)
        champion = register(workspace.root, name, candidates, _served(workspace, name), greater_is_better)
        stage.log_summary({"champion": champion})
    print(f"{name}: {len(candidates)} versions registered, best on validation: {champion}")


def _rank(workspace: Workspace, name: str, candidates: list[Candidate], greater_is_better: bool) -> None:
    """Write `ranking.json`: the finalists by validation metric, then loss, best first."""
    ranked = [
        {"model": each.model, "value": each.value, "loss": each.loss}
        for each in best_first(candidates, greater_is_better)
    ]
    write_json(workspace.models(name) / "ranking.json", ranked)


def _job(workspace: Workspace, name: str, finalist: dict[str, Any]) -> Job:
    benchmark = workspace.params.benchmark(name)
    seed = workspace.params.learning(name).training.seed
    return Job(
        folder=workspace.models(name) / finalist["model"],
        source=source(workspace, benchmark.task, benchmark.corpus, SPLIT),
        recipe=finalist_recipe(workspace, name, finalist, seed),
        metric=benchmark.metric,
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
        signature=contract.signature(list(tasks[benchmark.task].score_columns)),
        example=contract.example(2 * cleaning.min_seconds, cleaning.sample_rate_hz),
    )
