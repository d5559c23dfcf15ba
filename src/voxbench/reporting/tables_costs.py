"""The table of what each model of a study reaches and costs, as the document of the counting project has it."""

from __future__ import annotations

from typing import Any

from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import DASH, Quantity, count, decimal, quantity
from voxbench.reporting.table import Row, Table
from voxbench.reporting.tables import loss_unit
from voxbench.reporting.trials import best_of_models


def costs_table(evidence: Evidence) -> Table:
    """Tabulate the best trial of each model of the study: size, work, time, validation metric and loss."""
    shown = quantity(evidence.selected_by.name, evidence.validated_on)
    heard = "on the task and corpus of that study" if evidence.inherited else f"on {evidence.validation}"
    trials = best_of_models(evidence.trials, evidence.selected_by).to_dict("records")
    finalists = {finalist.model for finalist in evidence.finalists}
    untimed = [str(trial["model"]) for trial in trials if trial["seconds_per_epoch"] != trial["seconds_per_epoch"]]
    return Table(
        title="What each model reaches and costs",
        says=(
            f"The best trial of each model, complete ones first, at its epoch of lowest validation loss, {heard}. "
            "Seconds per epoch: the median over the trial's epochs of the wall-clock time for training and validation "
            "rows, on one thread, with at most so many trials side by side. Unlike all other numbers they depend on "
            "the machine and on what else it did. Multiply-adds are those of "
            f"{evidence.worked_on}. Marked rows are the finalists."
        ),
        columns=(
            *("model", "family", "state", "parameters", "million multiply-adds", "seconds per epoch", "side by side"),
            *(f"best validation {shown.heading}", f"validation loss ({loss_unit(evidence)})"),
        ),
        words=3,
        rows=tuple(Row(_cells(trial, evidence, shown), trial["model"] in finalists) for trial in trials),
        notes=(f"{', '.join(untimed)}: no seconds, for the times of its run were not kept",) if untimed else (),
    )


def _cells(trial: dict[str, Any], evidence: Evidence, shown: Quantity) -> tuple[str, ...]:
    workers = trial["workers"]
    return (
        *(str(trial[name]) for name in ("model", "family", "state")),
        count(int(trial["parameters"])),
        decimal(trial["multiply_adds"] / 1e6, 2),
        decimal(trial["seconds_per_epoch"], 2),
        DASH if workers != workers else count(int(workers)),
        shown.number(trial[f"valid_{evidence.selected_by.name}"]),
        decimal(trial["valid_loss"], 3),
    )
