"""The page: one stand-alone HTML file, without scripts, and without anything to load.

Everything that comes from files (names, licence texts, reasons) is escaped by the template; only the figures, which are
drawn here, go in as markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from voxbench import __version__
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.figures import figures_of
from voxbench.reporting.figures_cross import cross_figures
from voxbench.reporting.quantities import counted, p_equation, quantity, visible
from voxbench.reporting.table import Table
from voxbench.reporting.tables import significance_table, trials_table
from voxbench.reporting.tables_costs import costs_table
from voxbench.reporting.tables_counts import counts_table
from voxbench.reporting.tables_data import excluded_table, funnel_rows, leakage_words, splits_table
from voxbench.reporting.tables_decisions import decision_tables
from voxbench.reporting.tables_lists import crossed_lists_table, identities_table, read_identities, read_lists
from voxbench.reporting.tables_overview import cross_table, overview_table, read_matrix
from voxbench.reporting.tables_results import leaky_variants, results_table
from voxbench.reporting.tables_spoofing import (
    read_spoofing,
    read_spoofing_groups,
    spoofing_groups_table,
    spoofing_table,
)
from voxbench.reporting.tables_text import transcript_tables
from voxbench.reporting.tables_variants import variants_table
from voxbench.reporting.tables_voices import classes_table, groups_table
from voxbench.reporting.templates import Drawn, drawn, template
from voxbench.reporting.text_findings import Aligned
from voxbench.reporting.trial_findings import lists_table, trial_tables
from voxbench.reporting.verdict import Verdict, judge, lead_of

# The part of a chapter where a figure is shown; one that is not named here is shown with the networks.
PARTS = {"seeds": "result", "differences": "result", "variants": "variants", "groups": "groups", "costs": "trials"}


@dataclass(frozen=True)
class Tile:
    """A number that matters, large, and the words below it."""

    number: str
    words: str


@dataclass(frozen=True)
class Chapter:
    """What the template shows of one benchmark; a table without rows is left out.

    `detection` are the tables that only detection has: `metrics`, `groups` and `gaps` of its trials, and, of pairs,
    their `lists`; `texts` those that only transcription has, and `aligned` some of its utterances. `told_in` is the
    chapter that tells of these networks and recordings, if it is another one.
    """

    name: str
    facts: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    results: Table
    significance: Table
    variants: Table
    decisions: tuple[Table, ...]
    groups: Table
    classes: Table
    counts: Table
    trials: Table | None
    costs: Table | None
    inherited: str | None
    splits: Table
    excluded: Table
    funnel: list[tuple[str, int]]
    leakage: str
    leakage_utterance: str
    clean: bool
    licence: str
    drawn: dict[str, Drawn]
    detection: dict[str, Table]
    texts: dict[str, Table]
    aligned: tuple[Aligned, ...]
    told_in: str | None

    def figures(self, part: str) -> list[Drawn]:
        """Return the figures of a part of the chapter, in order; those of one panel first."""
        own = [each for name, each in self.drawn.items() if PARTS.get(name, "networks") == part]
        return sorted(own, key=lambda each: len(each.panels) > 1)


@dataclass(frozen=True)
class Crossing:
    """What the template shows of networks that were tested on other corpora: by labels, and by lists of trials."""

    tables: tuple[Table, ...]
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True, eq=False)
class Crossed:
    """What the cross stage wrote: its matrix of labels, its measures of lists of trials, of who speaks, of spoofing."""

    matrix: pd.DataFrame
    lists: pd.DataFrame
    identities: pd.DataFrame
    spoofing: pd.DataFrame
    spoofing_groups: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what the cross stage left in `folder`; tables without rows of what it did not write."""
        lists, spoofing = read_lists(folder), read_spoofing(folder)
        return cls(read_matrix(folder), lists, read_identities(folder), spoofing, read_spoofing_groups(folder))

    def __bool__(self) -> bool:
        """Say whether there is anything to show."""
        return any(len(table) for table in (self.matrix, self.lists, self.spoofing))


def render(benchmarks: Sequence[Evidence], crossed: Crossed) -> str:
    """Return the page of all benchmarks and of the cross stage's tables; equal evidence gives equal bytes."""
    shown = trials_shown(benchmarks)
    return template("page.html.j2").render(
        chapters=[chapter(evidence, with_trials=evidence.name in shown) for evidence in benchmarks],
        overview=overview_table(benchmarks) if len(benchmarks) > 1 else None,
        crossing=crossing(crossed, benchmarks[0].level) if crossed else None,
        spoofs=any(evidence.countermeasure for evidence in benchmarks),
        texts=any(evidence.texts is not None for evidence in benchmarks),
        version=__version__,
    )


def trials_shown(benchmarks: Sequence[Evidence]) -> set[str]:
    """Return the benchmarks whose chapters show the trials: each study once, in its own chapter if it has one."""
    chapters: dict[str, str] = {}
    own = [evidence for evidence in benchmarks if evidence.told_in is None]
    for evidence in sorted(own, key=lambda evidence: evidence.inherited is not None):
        chapters.setdefault(evidence.study, evidence.name)
    return set(chapters.values())


def crossing(crossed: Crossed, level: str) -> Crossing:
    """Return what the cross stage wrote in the words and drawings of the page."""
    figures = tuple(drawn("cross", figure) for figure in cross_figures(crossed.matrix).values())
    tables = (
        cross_table(crossed.matrix, level),
        crossed_lists_table(crossed.lists, level),
        identities_table(crossed.identities, level),
        spoofing_table(crossed.spoofing, level),
        spoofing_groups_table(crossed.spoofing_groups, level),
    )
    return Crossing(tuple(table for table in tables if table.rows), figures)


def chapter(evidence: Evidence, *, with_trials: bool) -> Chapter:
    """Return one benchmark in the words and drawings of the page."""
    account = evidence.account
    utterance = account.leakage_utterance
    return Chapter(
        name=evidence.name,
        facts=" · ".join(_facts(evidence)),
        verdict=judge(evidence),
        tiles=tuple(tiles(evidence)),
        results=results_table(evidence),
        significance=significance_table(evidence),
        variants=variants_table(evidence),
        decisions=decision_tables(evidence),
        groups=groups_table(evidence),
        classes=classes_table(evidence),
        counts=counts_table(evidence),
        trials=trials_table(evidence) if with_trials else None,
        costs=costs_table(evidence) if with_trials else None,
        inherited=evidence.inherited,
        splits=splits_table(account, evidence.task.unit),
        excluded=excluded_table(account),
        funnel=funnel_rows(account),
        leakage=leakage_words(account.leakage),
        leakage_utterance=leakage_words(utterance) if utterance and leaky_variants(evidence) else "",
        clean=account.leakage["clean"],
        licence=visible(account.funnel["licence"]),
        detection=_detection(evidence),
        texts=transcript_tables(evidence),
        aligned=evidence.texts.aligned if evidence.texts else (),
        told_in=evidence.told_in,
        drawn={name: drawn(evidence.name, figure) for name, figure in figures_of(evidence).items()},
    )


def _detection(evidence: Evidence) -> dict[str, Table]:
    detected = evidence.detected
    if detected is None:
        return {}
    return trial_tables(detected) | ({"lists": lists_table(detected)} if detected.lists else {})


def _facts(evidence: Evidence) -> list[str]:
    task = evidence.task
    inherited = [f"finalists inherited from {evidence.inherited}"] if evidence.inherited else []
    return [
        f"{task.name.replace('_', ' ')}: {' / '.join(evidence.words)}"
        if task.classes
        else f"{task.name}: {task.subject}"
        if not task.unit
        else f"{task.subject} in {task.unit}",
        f"test {'trials' if evidence.detects else 'rows'}: {evidence.sample}",
        counted(len(evidence.finalists), "finalist"),
        evidence.repeats,
        *inherited,
    ]


def tiles(evidence: Evidence) -> list[Tile]:
    """Return the numbers that matter, as far as they are defined."""
    name = evidence.metric.name
    shown, level = quantity(name, evidence.clips), evidence.level
    best, *others = evidence.ranked
    spread, found = best.spreads[name], []
    if not math.isnan(spread.mean):
        words = f"test {shown.label} of {best.model}, mean ± sd of {counted(len(spread.values), 'seed')}"
        found.append(Tile(f"{shown.value(spread.mean)} ± {shown.number(spread.sd)}", words))
        found += _lead_tiles(evidence) if others else []
    strongest = evidence.strongest
    if name in strongest.scored.values:
        words = (
            f"{shown.label} of the trivial baseline ({strongest.name}) on the same "
            f"{counted(evidence.clips, evidence.noun)}"
        )
        found.append(Tile(shown.value(strongest.scored.values[name]), words))
    if (interval := best.bounds[name].interval) is not None:
        words = f"{level} interval of the fine-tuned {best.model} over {counted(evidence.speakers, 'speaker')}"
        words += " of both sides" if evidence.task.pairs else ""
        found.append(Tile(f"{shown.number(interval.low)} to {shown.value(interval.high)}", words))
    return found


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
