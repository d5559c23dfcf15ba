"""The tables of a score file: metrics, calibration, thresholds, groups, gaps, and where the rows come from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from voxbench.config.decisions import Bayes, FixedFar, Policy
from voxbench.evaluation.records import Calibrated, Decided, Findings, Measured, Origin, ScoreRows
from voxbench.metrics.calibration import Affine
from voxbench.reporting.quantities import DASH, MINUS, Quantity, count, counted, decimal, p_value, visible
from voxbench.reporting.scored_words import (
    better,
    clustered,
    interval_words,
    level_words,
    list_words,
    reasons,
    sample,
    shown,
    sides,
    value_words,
)
from voxbench.reporting.table import Row, Table


def evaluation_tables(findings: Findings) -> dict[str, Table]:
    """Return the tables that have rows, by name, in the order of the page."""
    calibrated = findings.calibrated
    tables = {"metrics": metrics_table(findings)}
    if calibrated is not None:
        tables["calibrated"] = calibrated_table(findings, calibrated)
        tables["thresholds"] = thresholds_table(findings, calibrated)
    tables |= {"groups": groups_table(findings), "worst": worst_table(findings), "gaps": gaps_table(findings)}
    tables["origin"] = origin_table(findings)
    return {name: table for name, table in tables.items() if table.rows}


def metrics_table(findings: Findings) -> Table:
    """Tabulate every metric of the scores as they are."""
    return _measured_table(
        "Metrics",
        f"{sample(findings.scored)}; {list_words(findings.scored.origin)}. {findings.resampled} The arrow points to "
        "the better end.",
        findings.measured,
        findings.scored,
    )


def calibrated_table(findings: Findings, calibrated: Calibrated) -> Table:
    """Tabulate the metrics that read scores as log-likelihood ratios, after calibration."""
    fitted = calibrated.calibration
    words = (
        f"llr = {decimal(fitted.scale, 4)} \u00d7 score {'+' if fitted.offset >= 0 else MINUS} "
        f"{decimal(abs(fitted.offset), 4)}{_qualities(fitted)}"
        if isinstance(fitted, Affine)
        else f"an isotonic map of {counted(len(fitted.scores), 'knot')}"
    )
    return _measured_table(
        "After calibration",
        f"{sample(calibrated.scored)}, as log-likelihood ratios of a map that was fitted on development rows alone "
        f"({list_words(calibrated.development)}): {words}. {findings.resampled}",
        calibrated.measured,
        calibrated.scored,
    )


def _qualities(fitted: Affine) -> str:
    return "".join(f" + {decimal(weight, 4)} \u00d7 {visible(name)}" for name, weight in fitted.weights.items())


def _measured_table(title: str, says: str, measured: Sequence[Measured], scored: ScoreRows) -> Table:
    rows = [
        Row((_name(each, scored), value_words(each, scored), interval_words(each, scored)), False) for each in measured
    ]
    level = level_words(tuple(measured))
    columns = ("metric", "value", f"{level} interval" if level else "interval")
    return Table(title, says, columns, 1, tuple(rows), reasons(measured, scored))


def _name(measured: Measured, scored: ScoreRows) -> str:
    """Return what a metric is called, with an arrow towards its better end."""
    return f"{shown(measured.name, scored).label} {better(measured.name)}".rstrip()


def thresholds_table(findings: Findings, calibrated: Calibrated) -> Table:
    """Tabulate what each policy's threshold, fitted on development rows, does on these rows."""
    scored = calibrated.scored
    nontarget, target = sides(scored)
    decided = calibrated.decided
    level = level_words(tuple(each.p_miss for each in decided))
    rate = shown("p_fa", scored)
    return Table(
        title="Thresholds",
        says=(
            "Thresholds on the log-likelihood ratio, fitted on development rows "
            f"({list_words(calibrated.development)}), and the errors they make there and on these rows: "
            f"{sample(scored)}. Misses are {target} trials rejected, false alarms {nontarget} trials accepted, in "
            f"percent; in brackets the {level} interval over {clustered(scored)}s. A threshold that errs much more "
            "here than there does not carry over."
        ),
        columns=(
            *("policy", "meaning", "threshold", "misses, development", "misses, here"),
            *("false alarms, development", "false alarms, here"),
        ),
        words=2,
        rows=tuple(Row(_decided_cells(each, scored, rate), False) for each in decided),
        notes=reasons([part for each in decided for part in (each.p_miss, each.p_fa)], scored),
    )


def _decided_cells(decided: Decided, scored: ScoreRows, rate: Quantity) -> tuple[str, ...]:
    threshold = decided.threshold
    return (
        visible(decided.name),
        policy_words(threshold.policy),
        decimal(threshold.value, 3),
        rate.number(threshold.p_miss),
        measured_words(decided.p_miss, scored),
        rate.number(threshold.p_fa),
        measured_words(decided.p_fa, scored),
    )


def measured_words(measured: Measured, scored: ScoreRows) -> str:
    """Return a value with its interval in brackets, without its unit; a dash where there is none."""
    if measured.value is None:
        return DASH
    quantity = shown(measured.name, scored)
    return quantity.number(measured.value) if measured.interval is None else quantity.interval(measured.interval)


def policy_words(policy: Policy) -> str:
    """Return what a threshold policy stands for.

    >>> policy_words(FixedFar(rate=0.01))
    'at most 1 % false alarms'
    """
    if isinstance(policy, Bayes):
        return f"least expected cost at p = {policy.p_target:g}, c_miss = {policy.c_miss:g}, c_fa = {policy.c_fa:g}"
    if isinstance(policy, FixedFar):
        return f"at most {100 * policy.rate:g} % false alarms"
    return "misses as frequent as false alarms"


def groups_table(findings: Findings) -> Table:
    """Tabulate every metric of every group; the worst of each attribute by its first metric is marked."""
    groups, scored = findings.groups, findings.scored
    metrics = list(dict.fromkeys(groups["metric"])) if len(groups) else []
    worst = {(each["by"], each["group"]) for each in findings.worst.to_dict("records") if each["metric"] in metrics[:1]}
    rows = [
        Row(_group_cells(by, group, table, metrics, scored), (by, group) in worst)
        for (by, group), table in (groups.groupby(["by", "group"], sort=False) if len(groups) else ())
    ]
    first = shown(metrics[0], scored).label if metrics else ""
    headings = [f"{shown(metric, scored).heading} {better(metric)}".rstrip() for metric in metrics]
    noted = groups[groups["note"] != ""].drop_duplicates(["by", "group", "note"]) if len(groups) else groups
    return Table(
        title="Groups",
        says=(
            f"{sample(scored)}, by what is known of each. {findings.resampled} In brackets the interval of the group's "
            f"rows. The marked row is the worst group of its kind by {first}, among those large enough."
        ),
        columns=("by", "group", "rows", f"{clustered(scored)}s", *headings),
        words=2,
        rows=tuple(rows),
        notes=tuple(
            dict.fromkeys(f"{visible(str(row['group']))}: {visible(row['note'])}" for row in noted.to_dict("records"))
        ),
    )


def _group_cells(by: str, group: str, table: pd.DataFrame, metrics: list[str], scored: ScoreRows) -> tuple[str, ...]:
    found = {row["metric"]: row for row in table.to_dict("records")}
    first = table.iloc[0]
    cells = [_range(found[metric], shown(metric, scored)) if metric in found else DASH for metric in metrics]
    return (visible(str(by)), visible(str(group)), count(int(first["rows"])), count(int(first["clusters"])), *cells)


def _range(row: dict[str, float], quantity: Quantity, name: str = "value") -> str:
    if not _known(row[name]):
        return DASH
    number = quantity.number(row[name])
    if not (_known(row["low"]) and _known(row["high"])):
        return number
    return f"{number} [{quantity.number(row['low'])}, {quantity.number(row['high'])}]"


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def worst_table(findings: Findings) -> Table:
    """Tabulate the worst group of each attribute and metric: what a user of that group must expect."""
    scored = findings.scored
    rows = [
        Row(
            (
                visible(str(row["by"])),
                shown(str(row["metric"]), scored).heading,
                visible(str(row["group"])),
                _range(row, shown(str(row["metric"]), scored)),
            ),
            False,
        )
        for row in findings.worst.to_dict("records")
    ]
    return Table(
        title="Worst groups",
        says=f"The worst group of each kind that is large enough, with its interval. {findings.resampled}",
        columns=("by", "metric", "worst group", "value"),
        words=3,
        rows=tuple(rows),
        notes=(),
    )


def gaps_table(findings: Findings) -> Table:
    """Tabulate the gap between the best and the worst group, beside the gap that equal groups show by chance."""
    scored, level = findings.scored, level_words(findings.measured)
    rows = [
        Row(_gap_cells(row, shown(str(row["metric"]), scored)), bool(_known(row["p"]) and row["gap"] > row["chance"]))
        for row in findings.gaps.to_dict("records")
    ]
    return Table(
        title="Gaps between groups",
        says=(
            "The highest minus the lowest value among groups that are large enough. A gap is never below 0, so chance "
            f"alone makes one: equal groups of these sizes stay below the gap by chance with a chance of {level}, and "
            "p is the chance that they show a gap this large. Marked rows are wider than chance makes them. "
            f"{findings.resampled}"
        ),
        columns=("by", "metric", "highest", "lowest", "gap", "gap by chance", "p"),
        words=4,
        rows=tuple(rows),
        notes=(),
    )


def _gap_cells(row: dict[str, float], quantity: Quantity) -> tuple[str, ...]:
    return (
        visible(str(row["by"])),
        quantity.heading,
        visible(str(row["highest"])),
        visible(str(row["lowest"])),
        _range(row, quantity, "gap"),
        quantity.number(row["chance"]),
        p_value(row["p"]),
    )


def origin_table(findings: Findings, compared: Origin | None = None) -> Table:
    """Tabulate the files behind the figures, those of another system among them, with the hashes of their content."""
    parts = {"evaluated": findings.scored.origin}
    if compared is not None:
        parts["compared"] = compared
    if findings.calibrated is not None:
        parts["development"] = findings.calibrated.development
    rows = [Row((part, *cells), False) for part, origin in parts.items() for cells in _origin_cells(origin)]
    return Table(
        title="Files",
        says="Figures of two lists cannot be compared: the hash of the list tells whether it is the same one.",
        columns=("rows", "what", "name", "sha256"),
        words=4,
        rows=tuple(rows),
        notes=notes_of(findings),
    )


def notes_of(findings: Findings) -> tuple[str, ...]:
    """Return what must be known of how the files were read, those of development rows among it."""
    read = findings.scored if findings.calibrated is None else findings.calibrated.scored
    return tuple(visible(note) for note in read.notes)


def _origin_cells(origin: Origin) -> list[tuple[str, str, str]]:
    cells = [("scores", visible(origin.scores), origin.scores_sha256)]
    labels = "" if origin.labels in (None, origin.trials) else f" ({visible(origin.labels)})"
    cleaned = {True: ", cleaned", False: ", not cleaned", None: ""}[origin.is_cleaned]
    return [*cells, ("list", f"{visible(origin.trials)}{cleaned}{labels}", origin.trials_sha256)]
