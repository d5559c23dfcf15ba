"""The figure of what a network costs: the trials of the benchmark's own study by size, by work and by time.

Work is counted in multiply-adds (`voxbench.models.cost`), which are the same on every machine. Time is that of an epoch
on the machine that trained; it is the one number here that differs between equal runs.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import EngFormatter, Formatter, LogLocator, MaxNLocator, NullFormatter

from voxbench.reporting.drawing import PAPER, Figure, legend_above, look
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.figures_comparisons import axis_words
from voxbench.reporting.quantities import counted, quantity
from voxbench.reporting.trials import best_of_models

TIME = "seconds_per_epoch"
COSTS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds for {}",
    TIME: "seconds per epoch",
}


def costs_figure(evidence: Evidence) -> Figure:
    """Draw every trial's validation metric against its parameters, multiply-adds and seconds per epoch."""
    shown, drawn = quantity(evidence.selected_by.name, _clips(evidence)), _measured(evidence)
    lost, untimed = len(evidence.trials) - len(drawn), int(drawn[TIME].isna().sum())
    return Figure(
        name="costs",
        title=f"Validation {shown.label} and what it costs",
        says=(
            f"A dot is one of {counted(len(evidence.trials), 'trial')} of stage 1 at its epoch of lowest validation "
            f"loss, on {evidence.validation}; hollow: pruned. The finalists are named. "
            "Multiply-adds are the products that are added up in convolutions, linear layers and LSTMs; they do not "
            "depend on the machine, as seconds do: the median over a trial's epochs, training and validation rows, "
            "measured while it was trained."
            + (f" {counted(lost, 'trial')} without a value: not drawn." if lost else "")
            + (f" {counted(untimed, 'trial')} without times: not drawn by seconds." if untimed else "")
        ),
        panels=tuple(partial(_costs, evidence, cost) for cost in COSTS if drawn[cost].notna().any()),
        width=4.0,
        height=3.6,
    )


def _clips(evidence: Evidence) -> int:
    return evidence.validated_on


def _measured(evidence: Evidence) -> pd.DataFrame:
    return evidence.trials[evidence.trials[f"valid_{evidence.selected_by.name}"].notna()]


def _costs(evidence: Evidence, cost: str, part: FigureBase) -> None:
    axes, column = part.subplots(), f"valid_{evidence.selected_by.name}"
    shown, drawn = quantity(evidence.selected_by.name, _clips(evidence)), _measured(evidence).dropna(subset=[cost])
    for number, (family, trials) in enumerate(drawn.groupby("family", sort=False)):
        color, marker, _ = look(number)
        for state, own in trials.groupby(trials["state"] == "complete", sort=False):
            face = color if state else PAPER
            axes.scatter(
                own[cost], shown.factor * own[column], s=26, marker=marker, color=face, edgecolors=color, zorder=3
            )
        axes.plot([], [], color=color, marker=marker, linestyle="", markersize=5, label=str(family))
    for number, row in enumerate(_named(evidence, drawn).sort_values(cost, kind="stable").to_dict("records")):
        place = (float(row[cost]), shown.factor * float(row[column]))
        # By turns above and below, since names are wider than the dots are apart.
        offset = (0, 5) if number % 2 == 0 else (0, -12)
        axes.annotate(str(row["model"]), place, offset, textcoords="offset points", ha="center", fontsize=7.5)
    axes.set_xscale("log")
    axes.margins(x=0.18, y=0.14)
    _plain_ticks(axes, "{x:g}" if cost == TIME else EngFormatter(sep=""))
    axes.set_xlabel(COSTS[cost].format(evidence.worked_on))
    axes.set_ylabel(f"validation {axis_words(evidence.selected_by, _clips(evidence))}")
    legend_above(axes)


def _plain_ticks(axes: Axes, numbers: str | Formatter) -> None:
    """Write the ticks of a logarithmic axis as `numbers`, as many as have room."""
    low, high = axes.get_xlim()
    decades = LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5))
    axes.xaxis.set_major_locator(decades if high > 3 * low else MaxNLocator(4))
    axes.xaxis.set_major_formatter(numbers)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _named(evidence: Evidence, drawn: pd.DataFrame) -> pd.DataFrame:
    """Return the best complete trial of each finalist."""
    won = drawn[(drawn["state"] == "complete") & drawn["model"].isin([each.model for each in evidence.finalists])]
    return best_of_models(won, evidence.selected_by)
