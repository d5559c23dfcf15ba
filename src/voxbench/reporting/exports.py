"""What other tools show: `metrics.json` and the plot data for DVC, and every figure as PNG."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.metrics import roc_curve
from voxbench.reporting.drawing import png
from voxbench.reporting.evidence import AUC, Evidence
from voxbench.reporting.figures import figures
from voxbench.reporting.verdict import judge


def summary(evidence: Evidence) -> dict[str, float]:
    """Return the few numbers of one benchmark for `dvc metrics show`; what is undefined is left out.

    They are of the finalist that validation prefers: mean and standard deviation of the selection metric over the
    seeds, the bounds of its fine-tuned network over speakers, its mean AUC, then the trivial baseline and the
    Holm-adjusted p of the lead on the test rows.
    """
    finalist, name = evidence.validated, evidence.metric.name
    spread, interval = finalist.spreads[name], finalist.bounds[name].interval
    numbers = {name: spread.mean, f"{name}_sd": spread.sd}
    if interval is not None:
        numbers |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    if name != AUC and AUC in finalist.spreads:
        numbers["auc"] = finalist.spreads[AUC].mean
    numbers["baseline"] = evidence.baseline.values.get(name, math.nan)
    numbers["p_holm"] = judge(evidence).p_holm
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def write_figures(evidence: Evidence, folder: Path) -> None:
    """Write `BENCHMARK-FIGURE.png` for each figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures(evidence):
        (folder / f"{evidence.name}-{figure.name}.png").write_bytes(png(figure))


def write_plots(evidence: Evidence, folder: Path) -> None:
    """Write the data of DVC's plots.

    `seeds.csv` holds all finalists. The others hold the one that validation prefers, so that `dvc plots diff`
    compares revisions: `curves.csv` (a row for each epoch), `confusion.csv` (a row for each test clip), and for two
    classes `roc.csv` (a row for each operating point).
    """
    folder.mkdir(parents=True, exist_ok=True)
    finalist, classes = evidence.validated, np.array(evidence.task.classes)
    tables = {
        "curves": finalist.history.assign(epoch=finalist.history["epoch"] + 1),
        "confusion": pd.DataFrame(
            {"actual": classes[finalist.tuned.truth], "predicted": classes[finalist.tuned.predicted]}
        ),
    }
    if len(classes) == 2 and AUC in finalist.tuned.values:
        curve = roc_curve(finalist.tuned.truth, finalist.tuned.probabilities[:, 1])
        rates = {"false_positive_rate": curve.false_positive_rate, "true_positive_rate": curve.true_positive_rate}
        tables["roc"] = pd.DataFrame(rates)
    for name, table in tables.items():
        table.assign(model=finalist.model).to_csv(folder / f"{name}.csv", index=False)
    _seeds(evidence).to_csv(folder / "seeds.csv", index=False)


def _seeds(evidence: Evidence) -> pd.DataFrame:
    rows = [
        {"model": finalist.model, "seed": seed}
        | {name: spread.values[place] for name, spread in finalist.spreads.items()}
        for finalist in evidence.finalists
        for place, seed in enumerate(evidence.seeds)
    ]
    return pd.DataFrame(rows)
