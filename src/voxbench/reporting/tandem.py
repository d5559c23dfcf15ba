"""The findings of a tandem of verifier and countermeasure as files: a page, tables, a record, and the scored trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import FigureBase

from voxbench import __version__
from voxbench.artifacts import write_json, write_text
from voxbench.evaluation.records import Measured
from voxbench.evaluation.sasv import CASCADE, FUSION, VERIFIER, Rule, shown_scores
from voxbench.evaluation.sasv_measuring import COUNTERMEASURE, Ruled, TandemFindings
from voxbench.metrics.spoofing_aware import KEYS, REJECTED
from voxbench.metrics.tandem import ASVSPOOF_COSTS
from voxbench.reporting.drawing import INK, MUTED, Figure, legend_above, look
from voxbench.reporting.evaluation_record import measured_record
from voxbench.reporting.quantities import DASH, counted, decimal, quantity, visible
from voxbench.reporting.table import Row, Table
from voxbench.reporting.templates import drawn, template
from voxbench.schema import InputError

PAGE, RECORD, MEASURES, SCORES = "index.html", "findings.json", "tandem.csv", "scores.parquet"
FILES = (PAGE, RECORD, MEASURES, SCORES)
WHAT = {
    VERIFIER: "verifier alone",
    "sum": "sum of both ratios",
    CASCADE: "cascade: countermeasure, then verifier",
    FUSION: "fusion of both ratios",
}
# Beyond this, points would hide each other.
MOST_POINTS = 2_000


@dataclass(frozen=True)
class TandemSource:
    """What was judged: names of the two systems or of the files, and what must be known of the trials."""

    title: str
    facts: Mapping[str, str]
    notes: tuple[str, ...]


def check_output(folder: Path) -> None:
    """Refuse a folder that holds anything but what `write_tandem` writes."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"--output {folder} is a file or a link, expected a folder or a new name")
    content = folder.iterdir() if folder.is_dir() else []
    strange = sorted(path.name for path in content if path.name.removesuffix(".partial") not in FILES)
    if strange:
        raise InputError(
            f"--output {folder} holds {strange[0]!r}, which `voxbench tandem` did not write: name a new or empty folder"
        )


def write_tandem(findings: TandemFindings, source: TandemSource, folder: Path) -> None:
    """Write page, record, table of all measures, and scored test trials into `folder`."""
    check_output(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, _record(findings, source))
    write_text(folder / MEASURES, pd.DataFrame(list(_measures(findings))).to_csv(index=False, lineterminator="\n"))
    partial_path = folder / f"{SCORES}.partial"
    shown_scores(findings.scored).to_parquet(partial_path, index=False)
    partial_path.replace(folder / SCORES)
    write_text(folder / PAGE, _page(findings, source))


def tandem_lines(findings: TandemFindings) -> list[str]:
    """Return a short table for the terminal: errors and cost of the chosen cascade and of every system."""
    headed = _headline(findings)
    names = [f"{WHAT[each.rule.system]}, {each.rule.name}" for each in headed]
    width = max(map(len, names))
    lines = [f"{'':{width}}{'misses':>9}{'impostors':>11}{'spoofs':>9}{'a-DCF':>9}   {_level(findings)} interval"]
    for name, each in zip(names, headed, strict=True):
        cells = [quantity(error.name, len(findings.scored)).value(error.value or 0.0) for error in each.errors]
        cost = quantity("a_dcf", 0)
        bounds = each.a_dcf.interval
        interval = each.a_dcf.reason if bounds is None else f"{cost.number(bounds.low)} to {cost.number(bounds.high)}"
        row = f"{name:{width}}{cells[0]:>9}{cells[1]:>11}{cells[2]:>9}{cost.number(each.a_dcf.value or 0.0):>9}"
        lines.append(f"{row}   {interval}")
    for found in findings.countermeasure:
        shown = quantity(found.name, 0)
        value = DASH if found.value is None else shown.value(found.value)
        lines.append(f"countermeasure: {shown.label} {value}{f' ({found.reason})' if found.reason else ''}")
    return lines


def _headline(findings: TandemFindings) -> list[Ruled]:
    """Return the cascade by the chosen policy, and each system at its threshold of least cost."""
    chosen = findings.fit.policy
    return [
        each
        for each in findings.ruled
        if each.rule.system in each.rule.thresholds or (each.rule.system, each.rule.name) == (CASCADE, chosen)
    ]


def _record(findings: TandemFindings, source: TandemSource) -> dict[str, Any]:
    fit = findings.fit
    return {
        "version": __version__,
        "title": source.title,
        "facts": dict(source.facts),
        "notes": [*source.notes, *findings.notes],
        "resampled": findings.resampled,
        "trials": {key: int((findings.scored["key"] == key).sum()) for key in KEYS},
        "costs": asdict(ASVSPOOF_COSTS),
        "fitted": {
            "asv": fit.asv.model_dump(mode="json"),
            "cm": fit.cm.model_dump(mode="json"),
            "policy": fit.policy,
            "spoof_share": fit.share,
            "thresholds": {system: _finite(value) for system, value in fit.thresholds.items()},
        },
        "verifier_in_tdcf": asdict(findings.rates),
        "systems": {name: list(map(measured_record, each)) for name, each in findings.systems.items()},
        "countermeasure": list(map(measured_record, findings.countermeasure)),
        "rules": [
            {
                "system": each.rule.system,
                "rule": each.rule.name,
                "thresholds": {name: _finite(value) for name, value in each.rule.thresholds.items()},
                "measures": [measured_record(one) for one in (*each.errors, each.a_dcf)],
            }
            for each in findings.ruled
        ],
        "differences": {name: list(map(measured_record, each)) for name, each in findings.differences.items()},
    }


def _finite(threshold: float) -> float | None:
    """Return a threshold, None for that of a cascade which accepts what its first stage rejects."""
    return None if threshold == REJECTED else threshold


def _measures(findings: TandemFindings) -> Iterator[dict[str, Any]]:
    """Yield a row for each number of the page."""
    for system, measured in findings.systems.items():
        yield from (_line(system, "", "", each) for each in measured)
    yield from (_line(COUNTERMEASURE, "", "", each) for each in findings.countermeasure)
    for ruled in findings.ruled:
        yield from (_line(ruled.rule.system, ruled.rule.name, "", each) for each in (*ruled.errors, ruled.a_dcf))
    for system, measured in findings.differences.items():
        yield from (_line(system, "", VERIFIER, each) for each in measured)


def _line(system: str, rule: str, minus: str, measured: Measured) -> dict[str, Any]:
    bounds = measured.interval
    low, high = (None, None) if bounds is None else (bounds.low, bounds.high)
    about = {"system": system, "rule": rule, "minus": minus, "metric": measured.name}
    return about | {"value": measured.value, "low": low, "high": high, "note": measured.reason}


def _page(findings: TandemFindings, source: TandemSource) -> str:
    counts = findings.scored["key"].value_counts()
    facts = [f"{counted(int(counts[key]), f'{key} trial')}" for key in KEYS]
    figure = drawn("tandem", _scatter(findings))
    return template("tandem.html.j2").render(
        title=visible(source.title),
        facts=[*facts, *(f"{name}: {visible(value)}" for name, value in source.facts.items())],
        notes=[visible(note) for note in (findings.resampled, *source.notes, *findings.notes)],
        tables=[_systems_table(findings), _rules_table(findings), _countermeasure_table(findings)],
        figures=[figure],
        version=__version__,
    )


def _systems_table(findings: TandemFindings) -> Table:
    names = [each.name for each in findings.systems[VERIFIER]]
    rows = []
    for system, measured in findings.systems.items():
        gain = findings.differences[system][-1] if system in findings.differences else None
        cells = (*map(_cell, measured), DASH if gain is None else _cell(gain, signed=True))
        rows.append(Row((WHAT[system], *cells), marked=system == FUSION))
    return Table(
        title="Which score tells targets from impostors and spoofs?",
        says=(
            f"Each system's one score, {_level(findings)} intervals in brackets. The last column is the a-DCF minus "
            "that of the verifier alone, on the same resamples: below 0 is better, and an interval without 0 is no "
            "accident of these people."
        ),
        columns=("system", *(quantity(name, 0).heading for name in names), "a-DCF minus verifier's"),
        words=1,
        rows=tuple(rows),
        notes=_reasons([*(each for some in findings.systems.values() for each in some)]),
    )


def _rules_table(findings: TandemFindings) -> Table:
    rows = []
    for each in findings.ruled:
        cells = (WHAT[each.rule.system], each.rule.name, _thresholds(each.rule), *map(_cell, each.errors))
        chosen = (each.rule.system, each.rule.name) == (CASCADE, findings.fit.policy)
        rows.append(Row((*cells, _cell(each.a_dcf)), marked=chosen))
    return Table(
        title="What is accepted, and what is rejected?",
        says=(
            "Every threshold is of log-likelihood ratios (asv, cm) or of a system's own score, and comes from "
            f"development trials alone. The marked row is the cascade by the policy that the settings choose; "
            f"{findings.ruled[-1].rule.name} is the threshold at which the development trials cost least."
        ),
        columns=(
            *("system", "rule", "thresholds", "targets rejected (%)", "impostors accepted (%)"),
            *("spoofs accepted (%)", "a-DCF"),
        ),
        words=3,
        rows=tuple(rows),
        notes=_reasons([one for each in findings.ruled for one in (*each.errors, each.a_dcf)]),
    )


def _countermeasure_table(findings: TandemFindings) -> Table:
    rates = findings.rates
    percent = quantity("p_miss", 0)
    return Table(
        title="What is the countermeasure worth to this verifier?",
        says=(
            "The t-DCF takes the verifier at the threshold of its equal error rate on these trials, where it rejects "
            f"{percent.value(rates.p_miss)} of the targets and accepts {percent.value(rates.p_fa)} of the impostors "
            f"and {percent.value(rates.p_fa_spoof)} of the spoofs. Each recording counts once."
        ),
        columns=("metric", f"value [{_level(findings)} interval]"),
        words=1,
        rows=tuple(Row((quantity(each.name, 0).heading, _cell(each)), False) for each in findings.countermeasure),
        notes=_reasons(findings.countermeasure),
    )


def _scatter(findings: TandemFindings) -> Figure:
    return Figure(
        name="ratios",
        title="Both ratios of every trial",
        says=(
            f"Test trials, at most {MOST_POINTS} of a kind, in the order of their names at equal steps; natural "
            "logarithms. Straight lines: the thresholds of the cascade by the chosen policy, which accepts what lies "
            "above and to the right of both. Curve: the threshold of the fusion."
        ),
        panels=(partial(_ratios, findings),),
        width=6.0,
        height=4.6,
    )


def _ratios(findings: TandemFindings, part: FigureBase) -> None:
    axes = part.subplots()
    scored, fit = findings.scored, findings.fit
    for place, key in enumerate(KEYS):
        rows = scored[scored["key"] == key]
        rows = rows.iloc[:: -(-len(rows) // MOST_POINTS)]
        color, marker, _ = look(place)
        axes.plot(rows["asv_llr"], rows["cm_llr"], marker, color=color, markersize=3.5, alpha=0.6, label=key, lw=0)
    axes.axvline(fit.asv.thresholds[fit.policy].value, color=MUTED, linestyle="--")
    axes.axhline(fit.cm.thresholds[fit.policy].value, color=MUTED, linestyle="--")
    low, high = axes.get_xlim()
    asv = np.linspace(low, high, 4_000)
    # What the countermeasure's ratio must reach: the fusion's equation solved for it.
    left = np.exp(-fit.thresholds[FUSION]) - (1 - fit.share) * np.exp(-asv)
    bottom, top = axes.get_ylim()
    cm = np.full(len(asv), np.nan)
    cm[left > 0] = -np.log(left[left > 0] / fit.share)
    axes.plot(asv, np.where(cm <= top, cm, np.nan), color=INK, label="fusion")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom, top)
    axes.set_xlabel("verifier: ln p(target) / p(impostor)")
    axes.set_ylabel("countermeasure: ln p(bona fide) / p(spoof)")
    legend_above(axes, columns=4)


def _cell(measured: Measured, signed: bool = False) -> str:
    if measured.value is None:
        return DASH
    shown = quantity(measured.name, 0)
    if measured.interval is None:
        return shown.number(measured.value)
    if not signed:
        return shown.interval(measured.interval)
    low, high = shown.signed(measured.interval.low), shown.signed(measured.interval.high)
    return f"{shown.signed(measured.value)} [{low}, {high}]"


def _thresholds(rule: Rule) -> str:
    words = {name: DASH if value == REJECTED else decimal(value, 2) for name, value in rule.thresholds.items()}
    return ", ".join(f"{name} {word}" for name, word in words.items())


def _reasons(measured: Sequence[Measured]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{quantity(each.name, 0).label}: {each.reason}" for each in measured if each.reason))


def _level(findings: TandemFindings) -> str:
    bounds = findings.systems[VERIFIER][0].interval
    return "no" if bounds is None else f"{decimal(100 * bounds.level, 0)} %"
