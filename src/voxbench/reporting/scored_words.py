"""What is said of scored rows wherever they are shown: how many, of whom, and how a metric of them is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from voxbench.evaluation.records import Measured, Origin, ScoreRows
from voxbench.metrics import METRICS, Interval
from voxbench.metrics.joint_clusters import people_of
from voxbench.reporting.quantities import DASH, Quantity, count, counted, quantity, visible
from voxbench.schema import ScoreKind

NOUNS = {ScoreKind.DETECTION: "trial", ScoreKind.TEXT: "utterance"}
# Digits of a hash that tell lists apart at a glance; the whole hash stands in results.json.
HASH_DIGITS = 12
# Metrics that are functions of settings, and so not in the registry.
LOWER_IS_BETTER = {"act_dcf", "eer_rocch", "min_dcf", "min_tdcf", "p_fa", "p_miss"}


class Reasoned(Protocol):
    """What bears the name of a metric, and a reason for what is missing or doubted of it."""

    @property
    def name(self) -> str:
        """Return the name of the metric."""

    @property
    def reason(self) -> str:
        """Return the reason, or an empty word."""


def noun(scored: ScoreRows) -> str:
    """Return what a row is."""
    return NOUNS.get(scored.kind, "row")


def size(scored: ScoreRows) -> int:
    """Return the number of rows."""
    return len(scored.columns[0])


def speakers(scored: ScoreRows) -> int:
    """Return how many speakers there are on any side; 0 where nobody says."""
    return len({name for side in scored.speakers for name in people_of(side).names.tolist()})


def clustered(scored: ScoreRows) -> str:
    """Return what is resampled, in the singular: a speaker, or a row where nobody says who speaks."""
    return "speaker" if scored.speakers else noun(scored)


def sample(scored: ScoreRows) -> str:
    """Return how many rows of how many speakers there are, in words; of detection those of each class as well."""
    words = counted(size(scored), noun(scored))
    if scored.kind is ScoreKind.DETECTION:
        positives = int(np.sum(scored.columns[1] == 1))
        parts = zip((positives, size(scored) - positives), reversed(sides(scored)), strict=True)
        words += f" ({', '.join(f'{count(number)} {side}' for number, side in parts)})"
    return f"{words} of {counted(speakers(scored), 'speaker')}" if scored.speakers else f"{words}, speakers unknown"


def sides(scored: ScoreRows) -> tuple[str, str]:
    """Return the words of the labels 0 and 1 of detection rows."""
    nontarget, target = scored.classes or ("nontarget", "target")
    return visible(nontarget), visible(target)


def shown(metric: str, scored: ScoreRows) -> Quantity:
    """Return how a metric of these rows is written; one of values in the unit of the values."""
    known = quantity(metric, size(scored))
    in_years = scored.kind is ScoreKind.VALUE and known.unit == "years"
    return replace(known, unit=visible(scored.unit)) if in_years else known


def better(metric: str) -> str:
    """Return an arrow towards the better end of a metric, or nothing where nobody says.

    >>> better("min_dcf(p_target=0.01)"), better("accuracy")
    ('↓', '↑')
    """
    name = metric.partition("(")[0]
    if name in METRICS:
        return "↑" if METRICS[name].greater_is_better else "↓"
    return "↓" if name in LOWER_IS_BETTER else ""


def value_words(measured: Measured, scored: ScoreRows) -> str:
    """Return a value with its unit, or a dash."""
    return DASH if measured.value is None else shown(measured.name, scored).value(measured.value)


def interval_words(measured: Measured, scored: ScoreRows) -> str:
    """Return the bounds of the interval without their unit, or a dash."""
    if measured.interval is None:
        return DASH
    quantity_shown = shown(measured.name, scored)
    return f"{quantity_shown.number(measured.interval.low)} to {quantity_shown.number(measured.interval.high)}"


def level_words(measured: tuple[Measured, ...]) -> str:
    """Return the level of the intervals, such as `95 %`; an empty word without any."""
    return interval_percent([each.interval for each in measured])


def interval_percent(intervals: Sequence[Interval | None]) -> str:
    """Return the level of the first interval that there is, such as `95 %`; an empty word without any."""
    levels = [interval.level for interval in intervals if interval is not None]
    return f"{100 * levels[0]:g}\u00a0%" if levels else ""


def reasons(named: Sequence[Reasoned], scored: ScoreRows) -> tuple[str, ...]:
    """Return what must be known of metrics, each reason once, with all that it holds for."""
    labels: dict[str, list[str]] = {}
    for each in named:
        if each.reason:
            labels.setdefault(each.reason, []).append(shown(each.name, scored).label)
    return tuple(f"{', '.join(names)}: {visible(reason)}" for reason, names in labels.items())


def list_words(origin: Origin) -> str:
    """Return the name of the list and the first digits of its hash."""
    cleaned = {True: ", cleaned", False: ", not cleaned", None: ""}[origin.is_cleaned]
    return f"{visible(origin.trials)}{cleaned} (sha256 {origin.trials_sha256[:HASH_DIGITS]})"
