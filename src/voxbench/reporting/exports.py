"""What other tools show: `metrics.json` and the plot data for DVC, and every figure as PNG."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.metrics import roc_curve
from voxbench.metrics.operating_points import operating_points
from voxbench.reporting.curves import det_table, roc_of, roc_table
from voxbench.reporting.drawing import png
from voxbench.reporting.evidence import AUC, Evidence, Finalist
from voxbench.reporting.figures import figures_of
from voxbench.reporting.figures_cross import cross_figures
from voxbench.reporting.verdict import judge


def summary(evidence: Evidence) -> dict[str, float]:
    """Return the few numbers of one benchmark for `dvc metrics show`; what is undefined is left out.

    They are of the finalist that validation prefers: mean and standard deviation of the selection metric over the
    seeds, the bounds of its fine-tuned network over speakers, its mean AUC, of trials and texts the other means, of two
    classes what its stored decision does (Cllr before and after calibration and the least possible, both error rates of
    the policy that serving applies), then the strongest trivial baseline, the closest probe with the gain over it and
    its bounds, and the Holm-adjusted p of the lead on the test rows.
    """
    finalist, name = evidence.validated, evidence.metric.name
    spread, interval = finalist.spreads[name], finalist.bounds[name].interval
    numbers = {name: spread.mean, f"{name}_sd": spread.sd}
    if interval is not None:
        numbers |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    if name != AUC and AUC in finalist.spreads:
        numbers["auc"] = finalist.spreads[AUC].mean
    if evidence.detects or evidence.texts is not None:
        numbers |= {each.name: finalist.spreads[each.name].mean for each in evidence.measured}
    numbers |= _decided(evidence)
    numbers["baseline"] = evidence.strongest.scored.values.get(name, math.nan)
    numbers |= _probed(evidence)
    numbers["p_holm"] = judge(evidence).p_holm
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def _probed(evidence: Evidence) -> dict[str, float]:
    closest, interval = evidence.closest_probe, evidence.probe_gain.interval
    if closest is None:
        return {}
    found = {"probe": closest.scored.values[evidence.metric.name]}
    if interval is not None:
        found |= {"probe_gain": interval.estimate, "probe_gain_low": interval.low, "probe_gain_high": interval.high}
    return found


def _decided(evidence: Evidence) -> dict[str, float]:
    if evidence.decisions is None:
        return {}
    served = evidence.decisions.served
    found = dict(evidence.decisions.cllrs) | ({"p_miss": served.p_miss, "p_fa": served.p_fa} if served else {})
    return {name: each.value for name, each in found.items() if each.value is not None}


def write_figures(evidence: Evidence, folder: Path) -> None:
    """Write `BENCHMARK-FIGURE.png` for each figure."""
    folder.mkdir(parents=True, exist_ok=True)
    for figure in figures_of(evidence).values():
        (folder / f"{evidence.name}-{figure.name}.png").write_bytes(png(figure))


def write_cross_figures(matrix: pd.DataFrame, folder: Path) -> None:
    """Write `cross-FIGURE.png` for each figure of the cross stage's matrix."""
    for figure in cross_figures(matrix).values():
        (folder / f"cross-{figure.name}.png").write_bytes(png(figure))


def write_plots(evidence: Evidence, folder: Path) -> None:
    """Write the data of DVC's plots.

    `seeds.csv` holds all finalists. The others hold the one that validation prefers, so that `dvc plots diff`
    compares revisions: `curves.csv` (a row for each epoch); of classes, `confusion.csv` (a row for each test clip) and
    for two of them `roc.csv` (a row for each operating point); of trials, `det.csv` and `roc.csv`; of values,
    `estimates.csv` (a row for each test clip); of texts, `speakers.csv` (a row for each test speaker).
    """
    folder.mkdir(parents=True, exist_ok=True)
    finalist = evidence.validated
    tables = {}
    if evidence.told_in is None:
        tables["curves"] = finalist.history.assign(epoch=finalist.history["epoch"] + 1)
    if evidence.detects:
        tables |= _trial_plots(finalist)
    elif evidence.texts is not None:
        tables["speakers"] = evidence.texts.speakers
    else:
        tables |= _class_plots(evidence) if evidence.task.classes else _value_plots(finalist)
    for name, table in tables.items():
        table.assign(model=finalist.model).to_csv(folder / f"{name}.csv", index=False)
    _seeds(evidence).to_csv(folder / "seeds.csv", index=False)


def _class_plots(evidence: Evidence) -> dict[str, pd.DataFrame]:
    tuned, classes = evidence.validated.tuned, np.array(evidence.task.classes)
    actual, predicted = classes[tuned.truth], classes[tuned.predicted]
    tables = {"confusion": pd.DataFrame({"actual": actual, "predicted": predicted})}
    if len(classes) == 2 and AUC in tuned.values:
        curve = roc_curve(tuned.truth, tuned.scores[:, 1])
        rates = {"false_positive_rate": curve.false_positive_rate, "true_positive_rate": curve.true_positive_rate}
        tables["roc"] = pd.DataFrame(rates)
    return tables


def _trial_plots(finalist: Finalist) -> dict[str, pd.DataFrame]:
    points = operating_points(finalist.tuned.scores, finalist.tuned.truth)
    if not (points.targets and points.nontargets):
        return {}
    return {"det": det_table(points), "roc": roc_table(roc_of(points))}


def _value_plots(finalist: Finalist) -> dict[str, pd.DataFrame]:
    return {"estimates": pd.DataFrame({"truth": finalist.tuned.truth, "predicted": finalist.tuned.predicted})}


def _seeds(evidence: Evidence) -> pd.DataFrame:
    rows = [
        {"model": finalist.model, "seed": seed}
        | {name: spread.values[place] for name, spread in finalist.spreads.items()}
        for finalist in evidence.finalists
        for place, seed in enumerate(evidence.seeds)
    ]
    return pd.DataFrame(rows)
