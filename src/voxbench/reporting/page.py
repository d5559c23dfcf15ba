"""The page: one stand-alone HTML file, without scripts, and without anything to load.

Everything that comes from files (names, licence texts, reasons) is escaped by the template; only the figures, which are
drawn here, go in as markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from voxbench import __version__
from voxbench.reporting.drawing import Figure, svgs
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.figures import figures
from voxbench.reporting.quantities import counted, p_equation, quantity, visible
from voxbench.reporting.tables import (
    Table,
    excluded_table,
    finalists_table,
    funnel_rows,
    leakage_words,
    significance_table,
    splits_table,
    trials_table,
)
from voxbench.reporting.verdict import Verdict, judge, lead_of


@dataclass(frozen=True)
class Tile:
    """A number that matters, large, and the words below it."""

    number: str
    words: str


@dataclass(frozen=True)
class Drawn:
    """A figure and its panels as markup."""

    figure: Figure
    panels: tuple[Markup, ...]


@dataclass(frozen=True)
class Chapter:
    """What the template shows of one benchmark."""

    name: str
    facts: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    finalists: Table
    significance: Table
    trials: Table
    splits: Table
    excluded: Table
    funnel: list[tuple[str, int]]
    leakage: str
    clean: bool
    licence: str
    drawn: dict[str, Drawn]


def render(benchmarks: Sequence[Evidence]) -> str:
    """Return the page of all benchmarks; equal evidence gives equal bytes."""
    environment = Environment(
        loader=PackageLoader("voxbench.reporting", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    chapters = [chapter(evidence) for evidence in benchmarks]
    return environment.get_template("page.html.j2").render(chapters=chapters, version=__version__)


def chapter(evidence: Evidence) -> Chapter:
    """Return one benchmark in the words and drawings of the page."""
    account = evidence.account
    return Chapter(
        name=evidence.name,
        facts=" · ".join(_facts(evidence)),
        verdict=judge(evidence),
        tiles=tuple(_tiles(evidence)),
        finalists=finalists_table(evidence),
        significance=significance_table(evidence),
        trials=trials_table(evidence),
        splits=splits_table(account),
        excluded=excluded_table(account),
        funnel=funnel_rows(account),
        leakage=leakage_words(account),
        clean=account.leakage["clean"],
        licence=visible(account.funnel["licence"]),
        drawn={figure.name: _drawn(evidence, figure) for figure in figures(evidence)},
    )


def _drawn(evidence: Evidence, figure: Figure) -> Drawn:
    return Drawn(figure, tuple(Markup(each) for each in svgs(figure, f"{evidence.name}-{figure.name}")))


def _facts(evidence: Evidence) -> list[str]:
    return [
        f"{evidence.task.name}: {' / '.join(evidence.task.classes)}",
        f"test rows: {evidence.sample}",
        counted(len(evidence.finalists), "finalist"),
        evidence.repeats,
    ]


def _tiles(evidence: Evidence) -> list[Tile]:
    name = evidence.metric.name
    shown, level = quantity(name, evidence.clips), evidence.level
    best, *others = evidence.ranked
    spread, tiles = best.spreads[name], []
    if not math.isnan(spread.mean):
        words = f"test {shown.label} of {best.model}, mean ± sd of {counted(len(spread.values), 'seed')}"
        tiles.append(Tile(f"{shown.value(spread.mean)} ± {shown.number(spread.sd)}", words))
        tiles += _lead_tiles(evidence) if others else []
    if name in evidence.baseline.values:
        words = f"{shown.label} of the trivial baseline on the same {counted(evidence.clips, 'clip')}"
        tiles.append(Tile(shown.value(evidence.baseline.values[name]), words))
    if (interval := best.bounds[name].interval) is not None:
        words = f"{level} interval of the fine-tuned {best.model} over {counted(evidence.speakers, 'speaker')}"
        tiles.append(Tile(f"{shown.number(interval.low)} to {shown.value(interval.high)}", words))
    return tiles


def _lead_tiles(evidence: Evidence) -> list[Tile]:
    shown, level = quantity(evidence.metric.name, evidence.clips), evidence.level
    best, runner_up = evidence.ranked[:2]
    lead = lead_of(evidence, best, runner_up)
    words = f"mean advantage over {runner_up.model}"
    if not math.isnan(lead.p):
        words += (
            f", {level} interval {shown.number(lead.low)} to {shown.number(lead.high)}; Holm {p_equation(lead.p_holm)}"
        )
    tiles = [Tile(f"{shown.number(lead.difference)}{shown.step}", words)]
    if not math.isnan(lead.smallest_detectable):
        power = evidence.power
        words = f"smallest true difference found with {power} power by {evidence.repeats}"
        tiles.append(Tile(f"{shown.number(lead.smallest_detectable)}{shown.step}", words))
    return tiles
