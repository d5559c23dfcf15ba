"""What `voxbench evaluate` writes of one score file: a page, its figures, tables, and the numbers for other tools.

| file | what |
|---|---|
| `index.html` | the page: one stand-alone file without scripts, and without anything to load |
| `results.json` | everything, unrounded |
| `results.md` | the tables in Markdown |
| `figures/NAME.png` | the figures |
| `det.csv`, `roc.csv` | the curves, where the kind has them |
| `scores.parquet` | of trials, the score of each: `voxbench.evaluation.trial_tables` |

Equal findings give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from voxbench import __version__
from voxbench.artifacts import write_json, write_text
from voxbench.config import OperatingCosts
from voxbench.evaluation.records import Findings
from voxbench.evaluation.trial_tables import TRIALS
from voxbench.metrics.detection import operating_points
from voxbench.reporting.curves import det_table, roc_of, roc_table
from voxbench.reporting.drawing import Figure, png
from voxbench.reporting.evaluation_compared import Against, compared_figures, compared_lines, compared_table
from voxbench.reporting.evaluation_record import record_of
from voxbench.reporting.evaluation_tables import evaluation_tables, notes_of, origin_table
from voxbench.reporting.figures_evaluation import evaluation_figures, two_class_roc
from voxbench.reporting.markdown import markdown
from voxbench.reporting.quantities import visible
from voxbench.reporting.scored_words import interval_words, level_words, list_words, sample, shown, value_words
from voxbench.reporting.table import Table
from voxbench.reporting.templates import Drawn, drawn, template
from voxbench.schema import InputError, ScoreKind

PAGE, RECORD, TABLES, FIGURES = "index.html", "results.json", "results.md", "figures"
CURVES = ("det.csv", "roc.csv")
# Every figure of any kind: what an earlier run may have left.
FIGURE_NAMES = frozenset(
    f"{name}.png"
    for name in (
        *("calibration", "confusion", "confusions", "det", "det-compared", "errors", "estimates", "groups"),
        *("reliability", "roc", "scores"),
    )
)
# The part of the page where a figure or a table is shown; a part with nothing to show is left out.
PARTS = {
    "Result": (("metrics",), ("det", "roc", "confusion", "reliability", "estimates", "errors", "confusions")),
    "Two systems": (("compared",), ("det-compared",)),
    "Scores and thresholds": (("calibrated", "thresholds"), ("scores", "calibration")),
    "Groups": (("worst", "groups", "gaps"), ("groups",)),
    "Data": (("origin",), ()),
}
TITLES = {
    ScoreKind.CLASSES: "How good are these classifications?",
    ScoreKind.VALUE: "How good are these estimates?",
    ScoreKind.DETECTION: "How good are these detection scores?",
    ScoreKind.TEXT: "How good are these transcripts?",
}
MOST_TILES = 5


@dataclass(frozen=True)
class Part:
    """A part of the page: its heading, tables, and figures."""

    title: str
    tables: tuple[Table, ...]
    drawn: tuple[Drawn, ...]


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but what `write_evaluation` writes, since it clears what it wrote before."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"--output {folder} is a file or a link, expected a folder or a new name")
    strange = sorted(str(path.relative_to(folder)) for path in _content(folder) if not _is_ours(path, folder))
    if strange:
        raise InputError(
            f"--output {folder} holds {strange[0]!r}, which `voxbench evaluate` did not write"
            f"{f', and {len(strange) - 1} more' if len(strange) > 1 else ''}: name a new or an empty folder"
        )


def _content(folder: Path) -> list[Path]:
    """Return what is in the folder, and what is in its folder of figures instead of that."""
    figures = folder / FIGURES
    if not folder.is_dir() or figures.is_symlink() or not figures.is_dir():
        return sorted(folder.iterdir()) if folder.is_dir() else []
    return sorted([*(path for path in folder.iterdir() if path != figures), *figures.iterdir()])


def _is_ours(path: Path, folder: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    name = path.name.removesuffix(".partial")
    return name in (FIGURE_NAMES if path.parent != folder else {PAGE, RECORD, TABLES, TRIALS, *CURVES})


def write_evaluation(
    findings: Findings,
    costs: Sequence[OperatingCosts],
    folder: Path,
    advance: Callable[[str], None],
    against: Against | None = None,
) -> None:
    """Write everything into `folder`; `advance` is told of each of `STEPS` pieces of work that is done.

    `against` is the comparison with another system, where one was asked for.
    """
    check_folder(folder)
    for path in _content(folder):
        path.unlink()
    figures = evaluation_figures(findings, costs)
    figures += [] if against is None else compared_figures(findings, against)
    tables = tables_of(findings, against)
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for figure in figures:
        (folder / FIGURES / f"{figure.name}.png").write_bytes(png(figure))
    advance("figures")
    for name, table in curves(findings).items():
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))
    write_json(folder / RECORD, record_of(findings, against))
    scored = findings.scored
    facts = [sample(scored), f"list: {list_words(scored.origin)}", findings.resampled, f"voxbench {__version__}"]
    write_text(folder / TABLES, markdown(f"Evaluation of {visible(scored.origin.scores)}", facts, tables.values()))
    advance("tables")
    write_text(folder / PAGE, render(findings, figures, tables))
    advance("page")


STEPS = 3


def tables_of(findings: Findings, against: Against | None) -> dict[str, Table]:
    """Return the tables that have rows, by name, in the order of the page; that of two systems after the metrics."""
    tables = evaluation_tables(findings)
    if against is None:
        return tables
    compared = {"metrics": tables.pop("metrics"), "compared": compared_table(findings, against)}
    return compared | tables | {"origin": origin_table(findings, against.compared.second)}


def curves(findings: Findings) -> dict[str, pd.DataFrame]:
    """Return the curves by the names of their files; none where one class does not occur."""
    scored = findings.scored
    if scored.kind is ScoreKind.CLASSES:
        curve = two_class_roc(scored)
        return {"roc.csv": roc_table(curve)} if curve else {}
    if scored.kind is not ScoreKind.DETECTION:
        return {}
    points = operating_points(*scored.columns)
    if not (points.targets and points.nontargets):
        return {}
    return {"det.csv": det_table(points), "roc.csv": roc_table(roc_of(points))}


def render(findings: Findings, figures: Sequence[Figure], tables: dict[str, Table]) -> str:
    """Return the page; equal findings give equal bytes."""
    by_name = {figure.name: drawn("evaluation", figure) for figure in figures}
    # Its notes stand at the head of the page.
    tables = tables | {"origin": replace(tables["origin"], notes=())}
    parts = []
    for title, (of_tables, of_figures) in PARTS.items():
        own = [by_name[name] for name in of_figures if name in by_name]
        # Those of one panel first: they stand in pairs.
        own.sort(key=lambda each: len(each.panels) > 1)
        parts.append(Part(title, tuple(tables[name] for name in of_tables if name in tables), tuple(own)))
    scored = findings.scored
    return template("evaluation.html.j2").render(
        title=TITLES[scored.kind],
        kind=str(scored.kind),
        scores=visible(scored.origin.scores),
        facts=[sample(scored), f"list: {list_words(scored.origin)}"],
        notes=notes_of(findings),
        tiles=tiles(findings),
        parts=[part for part in parts if part.tables or part.drawn],
        compared="compared" in tables,
        version=__version__,
    )


def tiles(findings: Findings) -> list[tuple[str, str]]:
    """Return the first metrics that have a value, one of each sort, large, each with the words below it."""
    found: dict[str, tuple[str, str]] = {}
    for each in findings.measured:
        # The customs of the equal error rate, and a cost at several priors, are one sort.
        sort = each.name.partition("(")[0].removesuffix("_asvspoof").removesuffix("_rocch")
        # A number that has a reason against it is not one to print large.
        if each.value is not None and not each.reason and sort not in found:
            level = level_words((each,))
            bounds = f", {level} interval {interval_words(each, findings.scored)}" if level else ", no interval"
            number = value_words(each, findings.scored)
            found[sort] = (number, shown(each.name, findings.scored).label + bounds)
    return list(found.values())[:MOST_TILES]


def terminal_lines(findings: Findings, against: Against | None = None) -> list[str]:
    """Return a short table: name, value, interval, and which list it is of; below it the comparison, if any."""
    scored = findings.scored
    cells = [
        (shown(each.name, scored).label, value_words(each, scored), interval_words(each, scored))
        for each in findings.measured
    ]
    name, value, bounds = (max(len(row[column]) for row in cells) for column in range(3))
    lines = [f"{row[0]:<{name}}  {row[1]:>{value}}  {row[2]:>{bounds}}" for row in cells]
    compared = [] if against is None else compared_lines(findings, against)
    return [f"{sample(scored)}; {list_words(scored.origin)}", *lines, findings.resampled, *compared]
