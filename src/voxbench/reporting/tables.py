"""The tables of the page: every cell is text by now, every table says how many it counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxbench.reporting.corpus import CorpusAccount
from voxbench.reporting.evidence import Bounded, Evidence, Finalist, Spread
from voxbench.reporting.quantities import DASH, Quantity, count, counted, decimal, p_value, quantity, visible
from voxbench.schema import Split

LISTED = 20


@dataclass(frozen=True)
class Row:
    """One row; a marked one stands out, and the first cell heads it."""

    cells: tuple[str, ...]
    marked: bool


@dataclass(frozen=True)
class Table:
    """A table; the first `words` columns hold words, the others numbers. Notes give the reason of every dash."""

    title: str
    says: str
    columns: tuple[str, ...]
    words: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def finalists_table(evidence: Evidence) -> Table:
    """Tabulate the finalists by mean test metric, and the trivial baseline beside them."""
    shown = [quantity(metric.name, evidence.clips) for metric in evidence.measured]
    arrows = ["↑" if metric.greater_is_better else "↓" for metric in evidence.measured]
    best = evidence.ranked[0]
    rows = [Row(_finalist_cells(evidence, finalist, shown), finalist is best) for finalist in evidence.ranked]
    values = [evidence.baseline.values.get(metric.name) for metric in evidence.measured]
    baseline = [DASH if value is None else each.number(value) for each, value in zip(shown, values, strict=True)]
    interval = _interval(shown[0], evidence.baseline_bounds[evidence.metric.name])
    rows.append(Row(("trivial baseline", DASH, DASH, *baseline, interval), False))
    return Table(
        title="Finalists on the test rows",
        says=(
            f"Mean ± standard deviation over {evidence.repeats}; {evidence.sample}. ↑ higher is better, ↓ lower is "
            f"better. The last column is the one fine-tuned network with its {evidence.level} interval over speakers "
            f"({count(evidence.settings.resamples)} bootstrap resamples of whole speakers). The baseline gives every "
            "clip the class shares of the training rows, so it always names their majority class; it has no "
            "parameters and no seeds."
        ),
        columns=(
            *("model", "family", "parameters"),
            *(f"{each.heading} {arrow}" for each, arrow in zip(shown, arrows, strict=True)),
            f"fine-tuned: {shown[0].heading}",
        ),
        words=2,
        rows=tuple(rows),
        notes=tuple(_gaps(evidence)),
    )


def _finalist_cells(evidence: Evidence, finalist: Finalist, shown: list[Quantity]) -> tuple[str, ...]:
    spreads = [finalist.spreads[metric.name] for metric in evidence.measured]
    return (
        finalist.model,
        finalist.family,
        count(finalist.parameters),
        *(_spread(each, spread) for each, spread in zip(shown, spreads, strict=True)),
        _interval(shown[0], finalist.bounds[evidence.metric.name]),
    )


def _spread(shown: Quantity, spread: Spread) -> str:
    return DASH if spread.reason else shown.spread(spread.mean, spread.sd)


def _interval(shown: Quantity, bounded: Bounded) -> str:
    return DASH if bounded.interval is None else shown.interval(bounded.interval)


def _gaps(evidence: Evidence) -> list[str]:
    """Return the reason of every dash among the measurements, and the systems that it concerns."""
    gaps: dict[str, list[str]] = {}

    def note(system: str, metric: str, reason: str) -> None:
        if reason:
            gaps.setdefault(f"{quantity(metric, evidence.clips).label}: {reason}", []).append(system)

    chosen = evidence.metric.name
    for finalist in evidence.ranked:
        for name, spread in finalist.spreads.items():
            note(finalist.model, name, spread.reason)
        note(f"fine-tuned {finalist.model}", chosen, finalist.bounds[chosen].reason)
    for name, reason in evidence.baseline.undefined.items():
        note("trivial baseline", name, reason)
    note("interval of the trivial baseline", chosen, evidence.baseline_bounds[chosen].reason)
    return [f"{', '.join(systems)}: {gap}" for gap, systems in gaps.items()]


def significance_table(evidence: Evidence) -> Table:
    """Tabulate the paired tests of all pairs of finalists."""
    shown = quantity(evidence.metric.name, evidence.clips)
    unit = shown.step.strip() or shown.label
    rows = [
        Row(_test_cells(row, shown), bool(row["p_t_holm"] < evidence.alpha))
        for row in evidence.tests.to_dict("records")
    ]
    noted = [row for row in evidence.tests.to_dict("records") if isinstance(row["note"], str) and row["note"]]
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
    """Tabulate every trial of the selection, best first within each family."""
    valid = evidence.account.totals.loc[Split.VALID]
    column, clips = f"valid_{evidence.metric.name}", int(valid.clips)
    shown = quantity(evidence.metric.name, clips)
    known = {"family", "trial", "model", "state", "parameters", "epochs"}
    settings = [name for name in evidence.trials if name not in known and not name.startswith("valid_")]
    order = ["family", column, "valid_loss"]
    ascending = [True, not evidence.metric.greater_is_better, True]
    rows = [
        Row(_trial_cells(trial, settings, column, shown), _won(trial, evidence, settings))
        for trial in evidence.trials.sort_values(order, ascending=ascending, kind="stable").to_dict("records")
    ]
    return Table(
        title="How the finalists were selected",
        says=(
            f"All {counted(len(rows), 'trial')} of stage 1, one training run each, at its epoch of lowest validation "
            f"loss; {counted(clips, 'validation clip')} of {counted(int(valid.speakers), 'speaker')}, so one clip is "
            f"{quantity('accuracy', clips).value(1 / clips)}. No test row was read. Marked rows are the finalists; "
            "only complete trials can win, and a single run has no spread."
        ),
        columns=(
            *("model", "family", "state", "trial"),
            *(name.replace("_", " ") for name in settings),
            *("epochs", "parameters", f"validation {shown.heading}", "validation loss (nats)"),
        ),
        words=3,
        rows=tuple(rows),
        notes=(),
    )


def _trial_cells(trial: dict[str, float], settings: list[str], column: str, shown: Quantity) -> tuple[str, ...]:
    return (
        *(str(trial[name]) for name in ("model", "family", "state", "trial")),
        *(f"{trial[name]:.3g}" for name in settings),
        count(int(trial["epochs"])),
        count(int(trial["parameters"])),
        shown.number(trial[column]),
        decimal(trial["valid_loss"], 3),
    )


def _won(trial: dict[str, float], evidence: Evidence, settings: list[str]) -> bool:
    chosen = {name: trial[name] for name in settings}
    return trial["state"] == "complete" and any(
        finalist.model == trial["model"] and finalist.settings == chosen for finalist in evidence.finalists
    )


def splits_table(account: CorpusAccount) -> Table:
    """Tabulate clips, speakers and hours of each split by class."""
    rows = []
    for split, own in account.sizes.groupby("split", sort=False):
        cells = [f"{count(row.clips)} / {count(row.speakers)}" for row in own.itertuples()]
        total = account.totals.loc[split]
        rows.append(
            Row((str(split), *cells, count(total.clips), count(total.speakers), decimal(total.hours, 2)), False)
        )
    classes = account.sizes["class"].drop_duplicates()
    return Table(
        title="Splits",
        says="Clips / speakers of each class; hours before cleaning.",
        columns=("split", *classes, "clips", "speakers", "hours"),
        words=1,
        rows=tuple(rows),
        notes=(f"{counted(account.unlabelled, 'clip')} without a label take no part.",) if account.unlabelled else (),
    )


def excluded_table(account: CorpusAccount) -> Table:
    """Tabulate the first recordings that were set aside, and why."""
    first = account.excluded.head(LISTED)
    return Table(
        title="Quarantined files",
        says=f"The first {len(first)} of {counted(len(account.excluded), 'file')}; all are listed in excluded.csv.",
        columns=("file", "speaker", "reason", "detail"),
        words=4,
        rows=tuple(
            Row(tuple(visible(cell) for cell in row), False) for row in first.itertuples(index=False, name=None)
        ),
        notes=(),
    )


def funnel_rows(account: CorpusAccount) -> list[tuple[str, int]]:
    """Return found, excluded by reason, and kept recordings."""
    funnel = account.funnel
    lost = [(f"excluded: {visible(reason)}", number) for reason, number in funnel["excluded"].items()]
    return [("found", funnel["found"]), *(lost or [("excluded", 0)]), ("kept", funnel["kept"])]


def leakage_words(account: CorpusAccount) -> str:
    """Say what the leakage certificate certifies."""
    leakage: dict[str, object] = account.leakage
    overlaps = pd.DataFrame(leakage["overlaps"])
    names = {"speaker": "speaker", "session": "session", "audio_sha256": "identical recording (SHA-256 of the audio)"}
    keys = [names.get(key, key) for key in overlaps["key"].unique()]
    if leakage["clean"]:
        return f"Certified clean: no {', no '.join(keys)} is in two splits (split by {leakage['by']})."
    shared = overlaps[overlaps["shared"] > 0]
    found = [
        f"{row.splits[0]} and {row.splits[1]} share {counted(row.shared, names.get(row.key, row.key))}"
        for row in shared.itertuples()
    ]
    return f"LEAKY (split by {leakage['by']}): {'; '.join(found)}."
