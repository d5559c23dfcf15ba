"""The tables of the page: every cell is text by now, every table says how many it counts."""

from __future__ import annotations

import numpy as np

from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import DASH, Quantity, count, counted, decimal, p_value, quantity
from voxbench.reporting.table import Row, Table
from voxbench.schema import ScoreKind, Split

LOSS_UNITS = {
    ScoreKind.CLASSES: "nats",
    ScoreKind.VALUE: "variances",
    ScoreKind.DETECTION: "bits",
    ScoreKind.TEXT: "nats per character",
}


def significance_table(evidence: Evidence) -> Table:
    """Tabulate the paired tests of all pairs of finalists."""
    shown = quantity(evidence.metric.name, evidence.clips)
    unit = shown.step.strip() or shown.label
    rows = [
        Row(_test_cells(row, shown), bool(row["p_t_holm"] < evidence.alpha))
        for row in evidence.tests.to_dict("records")
    ]
    noted = [row for row in evidence.tests.to_dict("records") if row["note"]]
    return Table(
        title="Are the differences real?",
        says=(
            f"Test {shown.label} of all {counted(len(evidence.tests), 'pair')} of finalists, paired over "
            f"{evidence.repeats}, on {evidence.sample}; differences are first minus second, in {unit}. t: paired "
            "t-test; W: Wilcoxon's signed-rank test, exact; both two-sided. Holm: adjusted over all pairs. Marked rows "
            f"are significant at {evidence.alpha:.3g} after Holm (t-test). d: Cohen's d of the differences. "
            f"Detectable: the smallest true difference that the t-test would find with {evidence.power} power, before "
            "Holm."
        ),
        columns=(
            *("first", "second", "difference", f"{evidence.level} interval", "t", "p (t)", "p (t, Holm)"),
            *("p (W)", "p (W, Holm)", "d", "detectable"),
        ),
        words=2,
        rows=tuple(rows),
        notes=tuple(f"{row['a']} and {row['b']}: {row['note']}" for row in noted),
    )


def _test_cells(row: dict[str, float], shown: Quantity) -> tuple[str, ...]:
    low, high = shown.signed(row["ci_low"]), shown.signed(row["ci_high"])
    return (
        str(row["a"]),
        str(row["b"]),
        shown.signed(row["mean_difference"]),
        DASH if np.isnan(row["ci_low"]) else f"{low} to {high}",
        decimal(row["t"], 2),
        *(p_value(row[name]) for name in ("p_t", "p_t_holm", "p_wilcoxon", "p_wilcoxon_holm")),
        decimal(row["cohen_dz"], 2),
        shown.number(row["smallest_detectable"]),
    )


def trials_table(evidence: Evidence) -> Table:
    """Tabulate every trial of the study that chose the finalists, best first within each family."""
    column = f"valid_{evidence.selected_by.name}"
    valid = evidence.account.totals.loc[Split.VALID]
    clips = evidence.validated_on
    shown = quantity(evidence.selected_by.name, clips)
    known = {"family", "trial", "model", "state", "parameters", "multiply_adds", "epochs", "initial"}
    known |= {"seconds_per_epoch", "workers"}
    settings = [name for name in evidence.trials if name not in known and not name.startswith("valid_")]
    words = ["model", "family", "state", *(["initial"] if "initial" in evidence.trials else [])]
    order = ["family", column, "valid_loss"]
    ascending = [True, not evidence.selected_by.greater_is_better, True]
    rows = [
        Row(
            (*(str(trial[name]) for name in words), *_trial_cells(trial, settings, column, shown)),
            _won(trial, evidence, settings),
        )
        for trial in evidence.trials.sort_values(order, ascending=ascending, kind="stable").to_dict("records")
    ]
    heard = f"; {evidence.validation} of {counted(int(valid.speakers), 'speaker')}"
    if shown.unit == "%" and evidence.task.score_kind is ScoreKind.CLASSES:
        heard += f", so one clip is {quantity('accuracy', clips).value(1 / clips)}"
    whole = "on the task and corpus of that study" if evidence.inherited else ""
    return Table(
        title=f"How the finalists were selected: study {evidence.study}",
        says=(
            f"All {counted(len(rows), 'trial')} of stage 1, one training run each, at its epoch of lowest validation "
            f"loss{f' ({whole})' if whole else heard}. No test row was read. Marked rows are the finalists; only "
            f"complete trials can win, and a single run has no spread. Multiply-adds: of {evidence.worked_on}."
        ),
        columns=(
            *("started from" if name == "initial" else name for name in words),
            "trial",
            *(name.replace("_", " ") for name in settings),
            *("epochs", "parameters", "million multiply-adds"),
            *(f"validation {shown.heading}", f"validation loss ({loss_unit(evidence)})"),
        ),
        words=len(words),
        rows=tuple(rows),
        notes=(),
    )


def loss_unit(evidence: Evidence) -> str:
    """Return the unit of the loss that selected: nats of classes or characters, variances of targets, bits of pairs.

    Recordings that are detected one by one are learnt by a logistic loss, of logits or of margins, in nats.
    """
    studied = evidence.studied
    return "nats" if studied.score_kind is ScoreKind.DETECTION and not studied.pairs else LOSS_UNITS[studied.score_kind]


def _trial_cells(trial: dict[str, float], settings: list[str], column: str, shown: Quantity) -> tuple[str, ...]:
    return (
        str(trial["trial"]),
        *(f"{trial[name]:.3g}" for name in settings),
        count(int(trial["epochs"])),
        count(int(trial["parameters"])),
        decimal(trial["multiply_adds"] / 1e6, 2),
        shown.number(trial[column]),
        decimal(trial["valid_loss"], 3),
    )


def _won(trial: dict[str, float], evidence: Evidence, settings: list[str]) -> bool:
    chosen = {name: trial[name] for name in settings}
    return trial["state"] == "complete" and any(
        finalist.model == trial["model"] and finalist.settings == chosen for finalist in evidence.finalists
    )
