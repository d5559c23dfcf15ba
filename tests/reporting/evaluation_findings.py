"""Findings that nobody measured: one of each kind, with numbers that a test can recognise."""

from dataclasses import replace

import numpy as np
import pandas as pd

from voxbench.config import OperatingCosts
from voxbench.config.decisions import Bayes, FixedFar
from voxbench.evaluation.records import Calibrated, Decided, Findings, Measured, Origin, ScoreRows
from voxbench.metrics import Interval
from voxbench.metrics.calibration import Affine
from voxbench.metrics.thresholds import fit
from voxbench.schema import ScoreKind

COSTS = (OperatingCosts(p_target=0.01, c_miss=1.0, c_fa=1.0), OperatingCosts(p_target=0.05, c_miss=1.0, c_fa=10.0))
RESAMPLED = "95 % intervals from 2,000 resamples of speakers."
ORIGIN = Origin("scores.txt", "a" * 64, "trials.txt", "Vox1-O", "0123456789ab" + "c" * 52, True)
DEVELOPMENT = Origin("dev.txt", "d" * 64, None, "dev.txt", "e" * 64, None)
EMPTY = pd.DataFrame()
GROUPS = ("by", "group", "metric", "rows", "clusters", "value", "low", "high", "note")


def measured(name: str, value: float, low: float, high: float, reason: str = "") -> Measured:
    return Measured(name, value, Interval(value, low, high, 0.95, 20, 2000, 3), reason)


def rows(kind: ScoreKind, columns: tuple[np.ndarray, np.ndarray], classes: tuple[str, ...] = ()) -> ScoreRows:
    speakers = np.array([f"s{number % 20:02}" for number in range(len(columns[0]))])
    return ScoreRows(kind, columns, classes, "", pd.DataFrame(), (speakers,), ORIGIN, ("read with care",))


def detection(rows_of_class: int = 300, classes: tuple[str, str] = ("spoof", "bonafide")) -> Findings:
    """Return detection findings with groups, a gap, a calibration and two thresholds."""
    draws = np.random.default_rng(5)
    labels = np.arange(2 * rows_of_class) % 2
    scored = rows(ScoreKind.DETECTION, (draws.normal(1.5 * labels), labels), classes)
    ratios = replace(scored, columns=(2 * scored.columns[0] - 1, labels))
    policies = {"bayes": Bayes(p_target=0.5, c_miss=1, c_fa=1), "strict": FixedFar(rate=0.01)}
    decided = tuple(
        Decided(name, fit(policy, *ratios.columns), measured(f"p_miss({name})", 0.0625, 0.05, 0.07),
                measured(f"p_fa({name})", 0.125, 0.1, 0.15))
        for name, policy in policies.items()
    )  # fmt: skip
    calibration = Affine(scale=2.0, offset=-1.0, weights={})
    calibrated = Calibrated(calibration, DEVELOPMENT, ratios, (measured("cllr", 0.5, 0.4, 0.6),), decided)
    groups = pd.DataFrame(
        [
            ("attack", "A07", "eer", 400, 20, 0.02, 0.01, 0.03, ""),
            ("attack", "A08", "eer", 400, 20, 0.2, 0.15, 0.25, ""),
            ("attack", "A09", "eer", 4, 2, np.nan, np.nan, np.nan, "too few speakers"),
        ],
        columns=list(GROUPS),
    )
    gap = {"by": "attack", "metric": "eer", "highest": "A08", "lowest": "A07", "gap": 0.18, "low": 0.1, "high": 0.2,
           "chance": 0.05, "p": 0.001}  # fmt: skip
    return Findings(
        scored=scored,
        measured=(
            measured("eer", 0.2265, 0.2, 0.25),
            measured("min_dcf(p_target=0.01)", 0.75, 0.7, 0.8),
            measured("cllr", 0.79, 0.7, 0.9, "evidently no log-likelihood ratios"),
            Measured("auc", None, None, "nobody knows"),
        ),
        resampled=RESAMPLED,
        groups=groups,
        worst=groups.iloc[[1]][["by", "group", "metric", "value", "low", "high"]],
        gaps=pd.DataFrame([gap]),
        calibrated=calibrated,
    )


def plain(kind: ScoreKind) -> Findings:
    """Return findings of another kind, without groups and calibration."""
    draws = np.random.default_rng(6)
    if kind is ScoreKind.CLASSES:
        truth = np.arange(200) % 2
        p = 1 / (1 + np.exp(-draws.normal(2.0 * truth - 1)))
        scored = rows(kind, (truth, np.column_stack([1 - p, p])), ("female", "male"))
        found = (measured("accuracy", 0.75, 0.7, 0.8), measured("roc_auc", 0.875, 0.85, 0.9))
    elif kind is ScoreKind.VALUE:
        truth = draws.uniform(20, 70, 200)
        scored, found = rows(kind, (truth, truth + draws.normal(0, 5, 200))), (measured("mae", 4.25, 4.0, 4.5),)
    else:
        texts = np.array(["one two three", "four", ""] * 10, dtype=object)
        heard = np.array(["one too three", "four five", ""] * 10, dtype=object)
        scored, found = rows(kind, (texts, heard)), (measured("wer", 0.5, 0.4, 0.6),)
    return Findings(scored, found, RESAMPLED, EMPTY, EMPTY, EMPTY, None)


def findings_of(kind: ScoreKind) -> Findings:
    return detection() if kind is ScoreKind.DETECTION else plain(kind)
