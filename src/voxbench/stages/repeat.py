"""The seed-repeat stage: every finalist with every seed, on the test rows, and the significance of their differences.

Outputs in `results/BENCHMARK/repeat`: one folder for each (model, seed) pair, `seeds.csv` (every metric of every pair)
and `significance.csv` (every pair of models, by seed); of transcription both again for prompted phrases, their names
begun by `phrase_`. Nothing here chooses a model.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from voxbench.config import Report
from voxbench.metrics import METRICS
from voxbench.metrics.significance import compare_pairs
from voxbench.progress import Progress
from voxbench.schema import ScoreKind, Split
from voxbench.stages.finalists import (
    SPLIT,
    check_learning,
    check_pairs,
    defined,
    finalist_recipe,
    read_selection,
    source,
)
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tasks.phrases import PHRASE_METRIC, PHRASES
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Job, discard_others, refuse_diverged, run_jobs
from voxbench.training.scoring import evaluate

PROMPTED = "phrase_"


def repeat(workspace: Workspace, name: str) -> None:
    """Repeat the finalists of benchmark `name` over all seeds; pairs that are finished and unchanged are kept."""
    params = workspace.params
    benchmark, learning = params.benchmark(name), params.learning(name)
    check_learning(workspace, benchmark, learning.training)
    check_pairs(workspace, benchmark, learning)
    task, metric, folder = tasks[benchmark.task], benchmark.metric, workspace.results(name, "repeat")
    jobs = repeat_jobs(workspace, name, learning.repeat.seeds)
    discard_others(folder, jobs)
    rows, prompted = [], []
    settings = {"training": learning.training, "finetune": learning.finetune, "repeat": learning.repeat}
    with (
        open_stage(workspace.root, name, "repeat", settings) as stage,
        Progress(f"repeat {name}", len(jobs)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(jobs, params.parallel.workers)):
            recipe = finished.job.recipe
            measured = evaluate(task, finished.scores)
            rows.append({"model": recipe.model, "seed": recipe.seed} | measured)
            if task.score_kind is ScoreKind.TEXT:
                prompted.append({"model": recipe.model, "seed": recipe.seed} | evaluate(PHRASES, finished.phrases))
            stage.log_job(finished.job.folder.name, finished, {f"test/{key}": value for key, value in measured.items()})
            value = defined(metric, measured[metric], finished.job.folder.name)
            progress.advance(f"{finished.job.folder.name}: test {metric} {value:.3f}")
        tables = {"": (metric, rows)} | ({PROMPTED: (PHRASE_METRIC, prompted)} if prompted else {})
        for prefix, (measured_by, found) in tables.items():
            seeds, tests = _tested(pd.DataFrame(found), measured_by, params.report)
            for file, table in {f"{prefix}seeds.csv": seeds, f"{prefix}significance.csv": tests}.items():
                table.to_csv(folder / file, index=False)
                stage.log_table(file, folder / file)
            stage.log_numbers(_means(seeds, prefix, measured_by))
            better = "higher" if METRICS[measured_by].greater_is_better else "lower"
            print(f"{name}: {len(jobs)} pairs; test {prefix}{measured_by} ({better} is better)")
            print(seeds.groupby("model")[measured_by].agg(["mean", "std", "min", "max"]).to_string(float_format="%.4f"))


def _tested(seeds: pd.DataFrame, metric: str, report: Report) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return every run's metrics as they are, and the tests of every pair of models, paired by seed."""
    values = seeds.rename(columns={"model": "system", metric: "value"})[["system", "seed", "value"]]
    tests = compare_pairs(values, report.level, report.power)
    tests.insert(0, "metric", metric)
    return seeds, tests


def _means(seeds: pd.DataFrame, prefix: str, metric: str) -> dict[str, float]:
    means = seeds.groupby("model")[metric].agg(["mean", "std"])
    return {
        f"test_{prefix}{metric}_{column}/{model}": means.loc[model, column] for model in means.index for column in means
    }


def repeat_jobs(workspace: Workspace, name: str, seeds: Sequence[int]) -> list[Job]:
    """Return the training run of every finalist of benchmark `name` with every seed, seed by seed."""
    benchmark = workspace.params.benchmark(name)
    return [
        Job(
            folder=workspace.results(name, "repeat") / f"{finalist['model']}-seed{seed}",
            source=source(workspace, benchmark.task, benchmark.corpus, SPLIT),
            recipe=finalist_recipe(workspace, name, finalist, seed),
            metric=benchmark.metric,
            scored=(Split.TEST,),
            keep_weights=False,
            pruning=None,
        )
        for seed in seeds
        for finalist in read_selection(workspace, name)["finalists"]
    ]
