"""The report stage: one page for all benchmarks, its figures, and what `dvc metrics` and `dvc plots` show.

Outputs in `reports`: `index.html`, `metrics.json`, `figures/BENCHMARK-FIGURE.png`, `plots/BENCHMARK/*.csv`. It reads
test scores, and chooses nothing.
"""

from __future__ import annotations

import shutil

from voxbench.artifacts import write_json, write_text
from voxbench.reporting import Evidence, Sources, gather, render, summary, write_figures, write_plots
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks


def report(workspace: Workspace) -> None:
    """Write the report of every benchmark of `params.yaml`; all of them must be finished."""
    folder = workspace.reports
    benchmarks = [_gather(workspace, name) for name in workspace.params.benchmarks]
    for part in (folder / "figures", folder / "plots"):
        shutil.rmtree(part, ignore_errors=True)
    for evidence in benchmarks:
        write_figures(evidence, folder / "figures")
        write_plots(evidence, folder / "plots" / evidence.name)
    write_json(folder / "metrics.json", {evidence.name: summary(evidence) for evidence in benchmarks})
    write_text(folder / "index.html", render(benchmarks))
    print(f"report on {', '.join(workspace.params.benchmarks)}: {folder / 'index.html'}")


def _gather(workspace: Workspace, name: str) -> Evidence:
    row = workspace.params.benchmark(name)
    sources = Sources(
        prepared=workspace.prepared(row.corpus),
        select=workspace.results(name, "select"),
        repeat=workspace.results(name, "repeat"),
        models=workspace.models(name),
    )
    return gather(name, tasks[row.task], sources, workspace.params.report, workspace.params.repeat.seeds)
