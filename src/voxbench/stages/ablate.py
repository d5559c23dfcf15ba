"""Variants: the finalists trained with one thing done differently, beside the unchanged runs with the same seeds.

Outputs in `results/BENCHMARK/ablate`: one folder for each (model, variant, seed), `variants.csv` (every metric of every
run, the unchanged ones as variant `base`) and `comparison.csv` (each variant against base, paired by seed). The
unchanged runs are those of the repeat stage. Nothing here chooses a model.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxbench.config import changed
from voxbench.metrics.significance import compare_pairs, holm
from voxbench.progress import Progress
from voxbench.schema import InputError, Split
from voxbench.stages.finalists import (
    LEAKY_SPLIT,
    SPLIT,
    check_learning,
    check_pairs,
    defined,
    finalist_recipe,
    read_selection,
    source,
)
from voxbench.stages.repeat import repeat_jobs
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Job, discard_others, finished_before, refuse_diverged, run_jobs
from voxbench.training.scoring import evaluate

BASE = "base"
COLUMNS = (
    "variant", "model", "metric", "seeds", "base_mean", "base_sd", "variant_mean", "variant_sd", "mean_difference",
    "ci_low", "ci_high", "t", "df", "p_t", "p_t_holm", "smallest_detectable", "same_test_rows", "note",
)  # fmt: skip


def ablate(workspace: Workspace, name: str) -> None:
    """Train the variants of benchmark `name`; runs that are finished and unchanged are kept."""
    params = workspace.params
    benchmark, folder = params.benchmark(name), workspace.results(name, "ablate")
    finalists = _chosen(workspace, name)
    jobs = {variant: _jobs(workspace, name, variant, finalists) for variant in benchmark.variants}
    every = [job for group in jobs.values() for job in group]
    folder.mkdir(parents=True, exist_ok=True)
    discard_others(folder, every)
    rows = [_row(benchmark.task, BASE, finished) for finished in _unchanged(workspace, name, finalists)]
    names = iter([variant for variant, group in jobs.items() for _ in group])
    learning = params.learning(name)
    settings = {"training": learning.training, "finetune": learning.finetune, "ablation": params.ablation}
    with (
        open_stage(workspace.root, name, "ablate", settings) as stage,
        Progress(f"ablate {name}", len(every)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(every, params.parallel.workers)):
            variant = next(names)
            rows.append(_row(benchmark.task, variant, finished))
            measured = {f"test/{key}": rows[-1][key] for key in rows[-1] if key not in ("variant", "model", "seed")}
            stage.log_job(finished.job.folder.name, finished, measured | {"variant": variant})
            value = defined(benchmark.metric, rows[-1][benchmark.metric], finished.job.folder.name)
            progress.advance(f"{finished.job.folder.name}: test {benchmark.metric} {value:.3f}")
        table = pd.DataFrame(rows)
        table.to_csv(folder / "variants.csv", index=False)
        comparison = _compare(workspace, name, table)
        comparison.to_csv(folder / "comparison.csv", index=False)
        stage.log_table("comparison.csv", folder / "comparison.csv")
    print(f"{name}: {len(every)} runs of {len(jobs)} variants")
    print(comparison[["variant", "model", "base_mean", "variant_mean", "p_t_holm"]].to_string(index=False))


def _chosen(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """Return the first finalists of each family, as many as `ablation.finalists` says."""
    chosen: list[dict[str, Any]] = []
    for finalist in read_selection(workspace, name)["finalists"]:
        if sum(other["family"] == finalist["family"] for other in chosen) < workspace.params.ablation.finalists:
            chosen.append(finalist)
    return chosen


def _jobs(workspace: Workspace, name: str, variant: str, finalists: list[dict[str, Any]]) -> list[Job]:
    benchmark, settings = workspace.params.benchmark(name), workspace.params.ablation.variants[variant]
    if settings.split == "utterance" and tasks[benchmark.task].pairs:
        raise InputError(
            f"benchmarks.{name}.variants names {variant!r}, a split by utterance, but task {benchmark.task!r} compares "
            "people whom nobody trained on: take it out"
        )
    column = LEAKY_SPLIT if settings.split == "utterance" else SPLIT
    jobs = []
    for seed in workspace.params.ablation.seeds:
        for finalist in finalists:
            recipe = finalist_recipe(workspace, name, finalist, seed)
            training = changed(recipe.training, settings.training, f"ablation.variants.{variant}.training")
            check_learning(workspace, benchmark, training)
            learning = workspace.params.learning(name, finalist["model"])
            check_pairs(workspace, benchmark, learning.model_copy(update={"training": training}))
            jobs.append(
                Job(
                    folder=workspace.results(name, "ablate") / f"{finalist['model']}-{variant}-seed{seed}",
                    source=source(workspace, benchmark.task, benchmark.corpus, column),
                    recipe=recipe.with_training(training),
                    metric=benchmark.metric,
                    scored=(Split.TEST,),
                    keep_weights=False,
                    pruning=None,
                )
            )
    return jobs


def _unchanged(workspace: Workspace, name: str, finalists: list[dict[str, Any]]) -> list[Any]:
    models = {finalist["model"] for finalist in finalists}
    jobs = repeat_jobs(workspace, name, workspace.params.ablation.seeds)
    return [finished_before(job, f"dvc repro repeat@{name}") for job in jobs if job.recipe.model in models]


def _row(task: str, variant: str, finished: Any) -> dict[str, Any]:
    recipe = finished.job.recipe
    return {"variant": variant, "model": recipe.model, "seed": recipe.seed} | evaluate(tasks[task], finished.scores)


def _compare(workspace: Workspace, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return each variant of each model against its base, with Holm's adjustment over all of them."""
    benchmark, report = workspace.params.benchmark(name), workspace.params.report
    rows = []
    for variant in benchmark.variants:
        leaky = workspace.params.ablation.variants[variant].split == "utterance"
        for model in table["model"].unique():
            pair = table[(table["model"] == model) & table["variant"].isin([variant, BASE])]
            values = pair.rename(columns={"variant": "system", benchmark.metric: "value"})
            values = values.sort_values("system", key=lambda words: words == BASE)
            tested = compare_pairs(values[["system", "seed", "value"]], report.level, report.power).iloc[0]
            rows.append(
                {"variant": variant, "model": model, "metric": benchmark.metric, "seeds": tested["n"]}
                | {"base_mean": tested["mean_b"], "base_sd": tested["sd_b"]}
                | {"variant_mean": tested["mean_a"], "variant_sd": tested["sd_a"], "same_test_rows": not leaky}
                | {key: tested[key] for key in COLUMNS if key in tested and key != "p_t_holm"}
            )
    comparison = pd.DataFrame(rows, columns=list(COLUMNS))
    comparison["p_t_holm"] = holm(comparison["p_t"]) if len(comparison) else comparison["p_t"]
    return comparison
