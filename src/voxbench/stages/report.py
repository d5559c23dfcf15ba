"""The report stage: one page for all benchmarks, its figures, and what `dvc metrics` and `dvc plots` show.

Outputs in `reports`: `index.html`, `metrics.json`, `figures/BENCHMARK-FIGURE.png`, `plots/BENCHMARK/*.csv`. It reads
test scores, and chooses nothing.
"""

from __future__ import annotations

import shutil

from voxbench.artifacts import write_json, write_text
from voxbench.reporting.evidence import Evidence, Question, Sources
from voxbench.reporting.exports import summary, write_cross_figures, write_figures, write_plots
from voxbench.reporting.finalists import Judging
from voxbench.reporting.gathering import gather, gather_prompted
from voxbench.reporting.page import Crossed, render
from voxbench.schema import ScoreKind
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks


def report(workspace: Workspace) -> None:
    """Write the report of every benchmark of `params.yaml`; all of them must be finished."""
    folder = workspace.reports
    benchmarks = [each for name in workspace.params.benchmarks for each in gather_chapters(workspace, name)]
    crossed = Crossed.read(workspace.results("cross", ""))
    for part in (folder / "figures", folder / "plots"):
        shutil.rmtree(part, ignore_errors=True)
    for evidence in benchmarks:
        write_figures(evidence, folder / "figures")
        write_plots(evidence, folder / "plots" / evidence.name)
    write_cross_figures(crossed.matrix, folder / "figures")
    write_json(folder / "metrics.json", {evidence.name: summary(evidence) for evidence in benchmarks})
    write_text(folder / "index.html", render(benchmarks, crossed))
    print(f"report on {', '.join(workspace.params.benchmarks)}: {folder / 'index.html'}")


def gather_chapters(workspace: Workspace, name: str) -> tuple[Evidence, ...]:
    """Return the evidence of benchmark `name`, of transcription with that of prompted phrases by the same networks."""
    evidence = gather_benchmark(workspace, name)
    if evidence.texts is None:
        return (evidence,)
    return evidence, gather_prompted(evidence, *_asked(workspace, name))


def gather_benchmark(workspace: Workspace, name: str) -> Evidence:
    """Return the evidence of benchmark `name`."""
    return gather(*_asked(workspace, name), workspace.params.report)


def _asked(workspace: Workspace, name: str) -> tuple[Question, Sources]:
    params = workspace.params
    row = params.benchmark(name)
    learning = params.learning(name)
    task, judging = tasks[row.task], None
    if task.score_kind in (ScoreKind.DETECTION, ScoreKind.TEXT):
        judging = Judging(learning.verification if task.pairs else None, params.evaluation, params.decisions)
    question = Question(
        name=name,
        task=task,
        reader=params.corpus(row.corpus).reader,
        metric=row.metric,
        study=row.select_from,
        seeds=learning.repeat.seeds,
        studied=tasks[params.study(row.select_from).task],
        judging=judging,
        table="scores.parquet",
    )
    sources = Sources(
        prepared=workspace.prepared(row.corpus),
        select=workspace.results(row.select_from, "select"),
        seconds=workspace.results(row.select_from, "seconds"),
        repeat=workspace.results(name, "repeat"),
        ablate=workspace.results(name, "ablate") if row.variants else None,
        models=workspace.models(name),
    )
    return question, sources
