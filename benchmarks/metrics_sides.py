"""Who takes part in `metrics.py`, each as a function from scores and labels to the values that it gives by name.

| side | how |
|---|---|
| voxbench | `operating_points` once, then the five metrics on that table |
| scikit-learn | `roc_curve` once for EER, minDCF and the AUC, `log_loss` for Cllr, `IsotonicRegression` for minCllr |
| torchmetrics | `binary_eer` and `binary_auroc`; it has no detection cost and no Cllr |
| SpeechBrain | `EER`, which tries every threshold on every trial; so on few trials, scaled up by the square |

A side that is not installed, and one that the package index does not have, has a row that says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import auc as area_under
from sklearn.metrics import log_loss, roc_curve

from voxbench.metrics.detection import auc, cllr, eer, min_cllr, min_dcf, operating_points

P_TARGET = 0.01
NOT_OFFERED = ("PYLLR", "pybosaris", "wespeaker")

Values = dict[str, float]


@dataclass(frozen=True)
class Side:
    """A contender: its function, the module it needs, and the most trials it is given where its work is quadratic."""

    function: Callable[[np.ndarray, np.ndarray], Values]
    module: str
    at_most: int | None = None

    @property
    def installed(self) -> bool:
        """Say whether its module can be imported."""
        return find_spec(self.module) is not None


def voxbench(scores: np.ndarray, labels: np.ndarray) -> Values:
    points = operating_points(scores, labels)
    return {
        "EER": eer(points),
        "minDCF": min_dcf(points, None, P_TARGET),
        "Cllr": cllr(points),
        "minCllr": min_cllr(points),
        "AUC": auc(points),
    }


def scikit_learn(scores: np.ndarray, labels: np.ndarray) -> Values:
    accepted, hit, _ = roc_curve(labels, scores, drop_intermediate=False)
    cost = np.min(P_TARGET * (1 - hit) + (1 - P_TARGET) * accepted) / min(P_TARGET, 1 - P_TARGET)
    weights = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    fitted = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, labels, sample_weight=weights)
    return {
        "EER": crossing(accepted, hit),
        "minDCF": float(cost),
        "Cllr": log_loss(labels, expit(scores), sample_weight=weights) / math.log(2),
        "minCllr": log_loss(labels, fitted, sample_weight=weights) / math.log(2),
        "AUC": float(area_under(accepted, hit)),
    }


def crossing(accepted: np.ndarray, hit: np.ndarray) -> float:
    """Return where the lines between the points of a ROC cross P_miss = P_fa."""
    gap = accepted - (1 - hit)
    after = int(np.argmax(gap >= 0))
    return float(np.interp(0, gap[after - 1 : after + 1], accepted[after - 1 : after + 1]))


def torchmetrics(scores: np.ndarray, labels: np.ndarray) -> Values:
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_eer

    # In float64 a logistic map, which it would apply itself, keeps the order of these scores.
    predicted, truth = torch.from_numpy(expit(scores)), torch.from_numpy(labels)
    return {"EER": float(binary_eer(predicted, truth)), "AUC": float(binary_auroc(predicted, truth))}


def speechbrain(scores: np.ndarray, labels: np.ndarray) -> Values:
    import torch
    from speechbrain.utils.metric_stats import EER

    positive, negative = (torch.from_numpy(scores[labels == label]) for label in (1, 0))
    return {"EER": float(EER(positive, negative)[0])}


SIDES = {
    "voxbench": Side(voxbench, "voxbench"),
    "scikit-learn": Side(scikit_learn, "sklearn"),
    "torchmetrics": Side(torchmetrics, "torchmetrics"),
    "SpeechBrain": Side(speechbrain, "speechbrain", at_most=4000),
}
