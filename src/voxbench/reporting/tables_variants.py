"""The table of variants: what changed when one thing was done differently."""

from __future__ import annotations

import pandas as pd

from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import DASH, Quantity, count, counted, p_value, quantity
from voxbench.reporting.table import Row, Table


def variants_table(evidence: Evidence) -> Table:
    """Tabulate every variant before and after; without rows where the benchmark has none."""
    shown = quantity(evidence.metric.name, evidence.clips)
    records = evidence.variants.to_dict("records")
    better = "higher" if evidence.metric.greater_is_better else "lower"
    return Table(
        title="One thing done differently",
        says=(
            f"Test {shown.heading}, {better} is better: the unchanged runs (before) and those of the variant (after), "
            "mean ± standard deviation over the same seeds; the difference is after minus before, with its "
            f"{evidence.level} interval from the paired t-test. Holm: adjusted over all "
            f"{counted(len(records), 'comparison')}. Marked rows are significant at {evidence.alpha:.3g} after Holm. "
            f"Detectable: the smallest true difference that these seeds would find with {evidence.power} power."
        ),
        columns=(
            *("variant", "model", "seeds", "before", "after", "difference", f"{evidence.level} interval"),
            *("p (t)", "p (t, Holm)", "detectable"),
        ),
        words=2,
        rows=tuple(Row(_cells(row, shown), bool(row["p_t_holm"] < evidence.alpha)) for row in records),
        notes=tuple(_notes(evidence)),
    )


def _cells(row: dict[str, float], shown: Quantity) -> tuple[str, ...]:
    low, high = shown.signed(row["ci_low"]), shown.signed(row["ci_high"])
    return (
        str(row["variant"]),
        str(row["model"]),
        count(int(row["seeds"])),
        shown.spread(row["base_mean"], row["base_sd"]),
        shown.spread(row["variant_mean"], row["variant_sd"]),
        shown.signed(row["mean_difference"]),
        DASH if pd.isna(row["ci_low"]) else f"{low} to {high}",
        p_value(row["p_t"]),
        p_value(row["p_t_holm"]),
        shown.number(row["smallest_detectable"]),
    )


def _notes(evidence: Evidence) -> list[str]:
    if evidence.variants.empty:
        return []
    other = evidence.variants[~evidence.variants["same_test_rows"].astype(bool)]
    notes = [
        f"{variant}: the split by utterance has other test rows, so its difference mixes the leak with the change of "
        "rows; runs are paired by seed alone."
        for variant in other["variant"].unique()
    ]
    noted = evidence.variants[evidence.variants["note"] != ""]
    return notes + [f"{row.variant}, {row.model}: {row.note}" for row in noted.itertuples()]
