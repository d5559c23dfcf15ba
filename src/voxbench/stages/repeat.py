"""The seed-repeat stage: every finalist with every seed, on the test rows, and the significance of their differences.

Outputs in `results/BENCHMARK/repeat`: one folder for each (model, seed) pair, `seeds.csv` (every metric of every pair)
and `significance.csv` (every pair of models, by seed). Nothing here chooses a model.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from voxbench.metrics import METRICS
from voxbench.metrics.significance import compare_pairs
from voxbench.progress import Progress
from voxbench.schema import Split
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
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Job, discard_others, refuse_diverged, run_jobs
from voxbench.training.scoring import evaluate


def repeat(workspace: Workspace, name: str) -> None:
    """Repeat the finalists of benchmark `name` over all seeds; pairs that are finished and unchanged are kept."""
    params = workspace.params
    benchmark, learning = params.benchmark(name), params.learning(name)
    check_learning(workspace, benchmark, learning.training)
    check_pairs(workspace, benchmark, learning)
    task, metric, folder = tasks[benchmark.task], benchmark.metric, workspace.results(name, "repeat")
    jobs = repeat_jobs(workspace, name, learning.repeat.seeds)
    discard_others(folder, jobs)
    rows = []
    settings = {"training": learning.training, "finetune": learning.finetune, "repeat": learning.repeat}
    with (
        open_stage(workspace.root, name, "repeat", settings) as stage,
        Progress(f"repeat {name}", len(jobs)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(jobs, params.parallel.workers)):
            recipe = finished.job.recipe
            measured = evaluate(task, finished.scores)
            rows.append({"model": recipe.model, "seed": recipe.seed} | measured)
            stage.log_job(finished.job.folder.name, finished, {f"test/{key}": value for key, value in measured.items()})
            value = defined(metric, measured[metric], finished.job.folder.name)
            progress.advance(f"{finished.job.folder.name}: test {metric} {value:.3f}")
        seeds = pd.DataFrame(rows)
        seeds.to_csv(folder / "seeds.csv", index=False)
        values = seeds.rename(columns={"model": "system", metric: "value"})[["system", "seed", "value"]]
        tests = compare_pairs(values, params.report.level, params.report.power)
        tests.insert(0, "metric", metric)
        tests.to_csv(folder / "significance.csv", index=False)
        means = seeds.groupby("model")[metric].agg(["mean", "std"])
        stage.log_numbers(
            {f"test_{metric}_{column}/{model}": means.loc[model, column] for model in means.index for column in means}
        )
        stage.log_table("significance.csv", folder / "significance.csv")
        stage.log_table("seeds.csv", folder / "seeds.csv")
    better = "higher" if METRICS[metric].greater_is_better else "lower"
    print(f"{name}: {len(jobs)} pairs; test {metric} ({better} is better)")
    print(seeds.groupby("model")[metric].agg(["mean", "std", "min", "max"]).to_string(float_format="%.4f"))


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
