"""The figures of tasks that estimate a number: estimate against truth, and the errors of each age.

A network that learns little answers near the mean of its training ages: the young are made older and the old
younger. Both figures are drawn so that this regression to the mean is seen.

Shape letters: N rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import FigureBase

from voxbench.metrics.groups import by_group
from voxbench.reporting.drawing import BASELINES, INK, MUTED, SERIES, Figure, legend_above
from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.figures_comparisons import look_of
from voxbench.reporting.panels import FEWEST, MOST_DOTS, counted_cells, medians
from voxbench.reporting.quantities import MINUS, counted, quantity
from voxbench.reporting.scored import Scored
from voxbench.schema import AGE_GROUPS, GENDERS, age_group

# How the sexes look; rows that do not say are between them.
SEXES = dict(zip((*GENDERS, "sex unknown"), ((SERIES[1], "o"), (SERIES[0], "^"), (MUTED, "D")), strict=True))
DOTS: dict[str, Any] = {"linestyle": "", "markersize": 4, "alpha": 0.5, "markeredgewidth": 0}
LINE: dict[str, Any] = {"linewidth": 1.6, "markersize": 5}
# Years on a side of the cells in which many clips are counted, and of the steps whose medians a line joins.
CELL, STEP = 2.0, 5.0


def estimates_figure(evidence: Evidence) -> Figure:
    """Draw the estimate of every test row against its truth, a panel for each finalist."""
    subject, unit = evidence.task.subject, evidence.task.unit
    dots = "A dot is a clip"
    if evidence.clips > MOST_DOTS:
        dots = (
            f"Grey dots grow with the number of clips in {CELL:g} by {CELL:g} {unit}; lines are the median estimate "
            f"of steps of {STEP:g} {unit} with at least {counted(FEWEST, 'clip')}"
        )
    return Figure(
        name="estimates",
        title=f"Estimated against true {subject}",
        says=(
            f"{dots}; {evidence.sample}. On the dotted diagonal the estimate is right; a cloud flatter than it is a "
            "network that answers near the mean of its training rows. The one fine-tuned network of each finalist."
        ),
        panels=tuple(partial(_estimates, evidence, finalist) for finalist in evidence.ranked),
        width=3.4,
        height=4.0,
    )


def _estimates(evidence: Evidence, finalist: Finalist, part: FigureBase) -> None:
    axes, task = part.subplots(), evidence.task
    low, high = _limits(evidence)
    axes.plot([low, high], [low, high], color=MUTED, linestyle=":", linewidth=1.2)
    table = pd.DataFrame({"truth": finalist.tuned.truth, "estimate": finalist.tuned.scores})
    sex_N, many = _sexes(finalist.tuned), evidence.clips > MOST_DOTS
    if many:
        counted_cells(axes, table, CELL)
    for sex, (color, marker) in SEXES.items():
        if (rows := table[sex_N == sex]).empty:
            continue
        line, style = (medians(rows, STEP), LINE) if many else (rows, DOTS)
        label = f"{sex} ({counted(len(rows), 'clip')})"
        axes.plot(line["truth"], line["estimate"], color=color, marker=marker, label=label, **style)
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set(xlabel=f"true {task.subject} ({task.unit})", ylabel=f"estimated {task.subject} ({task.unit})")
    axes.set_title(finalist.model)
    error, clips = quantity("mae", evidence.clips), counted(len(finalist.tuned.truth), "clip")
    words = f"{error.label} {error.value(finalist.tuned.values['mae'])}, n = {clips}"
    part.legend(loc="outside lower left", title=words, alignment="left", handletextpad=0.4, borderpad=0)


def _limits(evidence: Evidence) -> tuple[float, float]:
    """Return limits that all panels and both axes share."""
    values = np.concatenate([part for each in evidence.finalists for part in (each.tuned.truth, each.tuned.scores)])
    margin = 0.05 * float(np.ptp(values)) or 1.0
    return float(values.min()) - margin, float(values.max()) + margin


def _sexes(scored: Scored) -> np.ndarray:
    known = scored.rows["gender"] if "gender" in scored.rows else pd.Series(None, index=scored.rows.index, dtype=object)
    sex_N: np.ndarray = known.where(known.isin(GENDERS), "sex unknown").to_numpy(str)
    return sex_N


def age_figure(evidence: Evidence) -> Figure:
    """Draw bias and absolute error of every finalist by true age group, beside the constant baseline."""
    return Figure(
        name="errors_by_age",
        title="Errors by true age",
        says=(
            f"Above: mean of estimated minus true age; below: mean absolute error; bars are {evidence.level} intervals "
            f"over speakers. The dashed steps are a constant answer, the {evidence.baselines[0].name}: a network that "
            "runs along them has learned little more than the mean age of its training rows. "
            f"{evidence.sample[0].upper()}{evidence.sample[1:]}; age groups of fewer than "
            f"{counted(evidence.settings.min_group_speakers, 'speaker')} are named without dots."
        ),
        panels=(partial(_by_age, evidence),),
        width=5.6,
        height=5.0,
    )


def _by_age(evidence: Evidence, part: FigureBase) -> None:
    above, below = part.subplots(2, 1, sharex=True)
    above.axhline(0, color=MUTED, linewidth=0.8, zorder=0.5)
    for axes, measured in ((above, _differences), (below, _absolute)):
        for number, finalist in enumerate(evidence.ranked):
            color, marker, _ = look_of(evidence, finalist)
            table = _by_group(evidence, finalist.tuned, measured(finalist.tuned))
            # Side by side within the group, without touching its neighbours.
            place = np.arange(len(table)) + 0.6 * ((number + 0.5) / len(evidence.ranked) - 0.5)
            axes.vlines(place, table["low"], table["high"], color=color, linewidth=1.4)
            dots = table["mean"].where(table["low"].notna())
            axes.plot(place, dots, marker, color=color, markersize=4.5, label=finalist.model)
        baseline = evidence.baselines[0]
        table = _by_group(evidence, baseline.scored, measured(baseline.scored))
        steps = {"color": MUTED, "linestyle": BASELINES[0], "linewidth": 1.4, "label": baseline.name}
        means, places = table["mean"][table["low"].notna()], np.flatnonzero(table["low"].notna())
        axes.hlines(means, places - 0.4, places + 0.4, **steps)
        axes.grid(visible=False, axis="x")
    above.set_ylabel(f"estimated {MINUS} true\n({evidence.task.unit})")
    below.set_ylabel(f"absolute error\n({evidence.task.unit}; lower is better)")
    below.set(xlim=(-0.5, len(table) - 0.5), ylim=(0, None))
    below.set_xticks(range(len(table)), _words(table), color=INK, fontsize=7)
    legend_above(above)


def _differences(scored: Scored) -> np.ndarray:
    return scored.scores - scored.truth


def _absolute(scored: Scored) -> np.ndarray:
    return np.abs(_differences(scored))


def _by_group(evidence: Evidence, scored: Scored, values_N: np.ndarray) -> pd.DataFrame:
    groups = pd.Categorical([age_group(years) for years in scored.truth], categories=AGE_GROUPS)
    return by_group(
        values_N,
        pd.DataFrame({"age_group": groups}),
        scored.speakers,
        min_clusters=max(evidence.settings.min_group_speakers, 2),
        resamples=evidence.settings.resamples,
        level=evidence.settings.level,
        seed=evidence.settings.seed,
    )


def _words(table: pd.DataFrame) -> list[str]:
    return [
        f"{row.age_group}\n{counted(row.rows, 'clip')}\n{counted(row.clusters, 'speaker')}"
        + ("" if np.isfinite(row.low) else ",\ntoo few")
        for row in table.itertuples()
    ]
