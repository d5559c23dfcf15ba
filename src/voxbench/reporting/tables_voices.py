"""The tables of the network that is best on validation: its classes one by one, and groups of speakers."""

from __future__ import annotations

import pandas as pd

from voxbench.metrics import per_class
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.groups import extremes
from voxbench.reporting.quantities import DASH, Quantity, count, p_equation, quantity
from voxbench.reporting.table import Row, Table
from voxbench.schema import ScoreKind


def classes_table(evidence: Evidence) -> Table:
    """Tabulate precision, recall and F1 of each class; without rows for values and for detection."""
    finalist, classes = evidence.validated, evidence.task.classes
    shown = quantity("accuracy", evidence.clips)
    rows = []
    if evidence.task.score_kind is ScoreKind.CLASSES:
        table = per_class(finalist.tuned.truth, finalist.tuned.predicted, len(classes))
        for number, word in enumerate(classes):
            ratios = (column[number] for column in (table.precision, table.recall, table.f1))
            rows.append(
                Row((word, count(int(table.support[number])), *(shown.number(ratio) for ratio in ratios)), False)
            )
    return Table(
        title="Class by class",
        says=(
            f"{finalist.model}, the fine-tuned network that is best on validation; {evidence.sample}. Precision: of "
            "the clips called so, how many are; recall: of those that are, how many are called so; F1: their harmonic "
            f"mean. {DASH} stands for 0 / 0: a class that is never predicted has no precision, one that never occurs "
            "no recall."
        ),
        columns=("class", "test clips", *(f"{word} ({shown.unit})" for word in ("precision", "recall", "F1"))),
        words=1,
        rows=tuple(rows),
        notes=(),
    )


def groups_table(evidence: Evidence) -> Table:
    """Tabulate the errors of every group of test speakers; the worst of each attribute is marked."""
    shown, finalist = group_quantity(evidence), evidence.validated
    worst = {name: found["group"] for name, found, _, _ in _extremes(evidence)}
    rows = [
        Row(_group_cells(row, shown), worst.get(row["by"]) == row["group"])
        for row in evidence.groups.to_dict("records")
    ]
    least = max(evidence.settings.min_group_speakers, 2)
    small = int(evidence.groups["low"].isna().sum()) if rows else 0
    note = f"{count(small)} of {count(len(rows))} groups have fewer than {least} speakers and no figures."
    return Table(
        title="Is it equally good for everybody?",
        says=(
            f"The {shown.label} of {finalist.model}, the fine-tuned network that is best on validation, by groups of "
            f"the test speakers, with the {evidence.level} interval over speakers. Marked: the worst of each "
            "attribute. Some group is always the worst, by chance alone too, so beside each gap stands what chance "
            f"explains: equal groups of these sizes stay below it in {evidence.level} of all draws of speakers. The "
            "p-values are not adjusted for the number of attributes."
        ),
        columns=("by", "group", "clips", "speakers", shown.heading, f"{evidence.level} interval"),
        words=2,
        rows=tuple(rows),
        notes=(*group_words(evidence), *([note] if small else [])),
    )


def group_quantity(evidence: Evidence) -> Quantity:
    """Return what the groups are measured in: accuracy, or the mean absolute error."""
    return quantity("accuracy" if evidence.task.classes else "mae", evidence.clips)


def group_words(evidence: Evidence) -> tuple[str, ...]:
    """Say for each attribute which group is worst, how far the best one is from it, and what chance would do."""
    shown = group_quantity(evidence)
    return tuple(
        f"By {by_words(attribute)}: worst {worst['group']} ({shown.value(worst['mean'])}, {evidence.level} interval "
        f"{_span(shown, worst['low'], worst['high'])}), best {best['group']} ({shown.value(best['mean'])}): "
        f"{_gap_words(evidence, worst, width)}"
        for attribute, worst, best, width in _extremes(evidence)
    )


def by_words(attribute: str) -> str:
    """Return how an attribute, or two of them, is called.

    >>> by_words("gender x age_group")
    'gender and age group'
    """
    return attribute.replace(" x ", " and ").replace("_", " ")


def _extremes(evidence: Evidence) -> list[tuple[str, pd.Series, pd.Series, float]]:
    return extremes(evidence.groups, greater_is_better=bool(evidence.task.classes))


def _gap_words(evidence: Evidence, worst: pd.Series, width: float) -> str:
    """Say how wide the gap is and, where that is known, what chance alone would make of equal groups."""
    shown = group_quantity(evidence)
    gap = f"a gap of {shown.number(width)}{shown.step}"
    if pd.isna(worst["gap_p"]):
        return f"{gap}; how much of it is chance cannot be said."
    verdict = "no more than chance explains" if worst["gap_p"] >= evidence.alpha else "more than chance explains"
    return (
        f"{gap} ({_span(shown, worst['gap_low'], worst['gap_high'])}), {verdict}: up to "
        f"{shown.number(worst['gap_chance'])}{shown.step} ({p_equation(worst['gap_p'])})."
    )


def _span(shown: Quantity, low: float, high: float) -> str:
    return f"{shown.number(low)} to {shown.number(high)}"


def _group_cells(row: dict[str, float], shown: Quantity) -> tuple[str, ...]:
    interval = DASH if pd.isna(row["low"]) else _span(shown, row["low"], row["high"])
    return (
        by_words(str(row["by"])),
        str(row["group"]),
        count(int(row["rows"])),
        count(int(row["speakers"])),
        shown.number(row["mean"]),
        interval,
    )
