"""The seed-repeat stage: every finalist with every seed, on the test rows, and the significance of their differences.

Outputs in `results/BENCHMARK/repeat`: one folder for each (model, seed) pair, `seeds.csv` (every metric of every pair)
and `significance.csv` (every pair of models, by seed). Nothing here chooses a model.
"""

from __future__ import annotations

import pandas as pd

from voxbench.metrics import METRICS
from voxbench.metrics.significance import compare_pairs
from voxbench.progress import Progress
from voxbench.schema import InputError, Split
from voxbench.stages.finalists import finalist_recipe, read_selection, source
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Job, discard_others, refuse_diverged, run_jobs
from voxbench.training.scoring import evaluate


def repeat(workspace: Workspace, name: str) -> None:
    """Repeat the finalists of benchmark `name` over all seeds; pairs that are finished and unchanged are kept."""
    params = workspace.params
    task, folder = tasks[params.benchmark(name).task], workspace.results(name, "repeat")
    metric = read_selection(workspace, name)["metric"]
    jobs = _jobs(workspace, name, metric)
    discard_others(folder, jobs)
    rows = []
    settings = {"training": params.training, "finetune": params.finetune, "repeat": params.repeat}
    with (
        open_stage(workspace.root, name, "repeat", settings) as stage,
        Progress(f"repeat {name}", len(jobs)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(jobs, params.parallel.workers)):
            recipe = finished.job.recipe
            measured = evaluate(task, finished.scores)
            rows.append({"model": recipe.model, "seed": recipe.seed} | measured)
            stage.log_job(finished.job.folder.name, finished, {f"test_{key}": value for key, value in measured.items()})
            if measured[metric] is None:
                raise InputError(f"{metric} has no value for {finished.job.folder.name}: select by another metric")
            progress.advance(f"{finished.job.folder.name}: test {metric} {measured[metric]:.3f}")
        seeds = pd.DataFrame(rows)
        seeds.to_csv(folder / "seeds.csv", index=False)
        values = seeds.rename(columns={"model": "system", metric: "value"})[["system", "seed", "value"]]
        tests = compare_pairs(values, params.report.level, params.report.power)
        tests.insert(0, "metric", metric)
        tests.to_csv(folder / "significance.csv", index=False)
        stage.log_table("significance.csv", folder / "significance.csv")
        stage.log_table("seeds.csv", folder / "seeds.csv")
    better = "higher" if METRICS[metric].greater_is_better else "lower"
    print(f"{name}: {len(jobs)} pairs; test {metric} ({better} is better)")
    print(seeds.groupby("model")[metric].agg(["mean", "std", "min", "max"]).to_string(float_format="%.4f"))


def _jobs(workspace: Workspace, name: str, metric: str) -> list[Job]:
    return [
        Job(
            folder=workspace.results(name, "repeat") / f"{finalist['model']}-seed{seed}",
            source=source(workspace, name),
            recipe=finalist_recipe(workspace, finalist, seed),
            metric=metric,
            scored=(Split.TEST,),
            keep_weights=False,
            pruning=None,
        )
        for seed in workspace.params.repeat.seeds
        for finalist in read_selection(workspace, name)["finalists"]
    ]
