"""Metrics of classes, values and texts as functions of a few sums, for many resamples of speakers at once.

Counts of a confusion table, errors, products: those of a resample are the sums of each speaker times how often it was
drawn, which is one product of matrices for all resamples, however many rows there are. The formulas are those of
`voxbench.metrics.classification`, `.regression` and `.text`, which give the values themselves; tests hold both against
each other on repeated rows.

Shape letters: N rows, C classes, B bins, K clusters, R resamples, S sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from voxbench.evaluation.group_ratios import ratio
from voxbench.evaluation.records import ScoreRows
from voxbench.metrics.alignment import EditCounts
from voxbench.metrics.classification import CALIBRATION_BINS, PROBABILITY_FLOOR
from voxbench.metrics.inputs import Floats, Integers, class_columns, value_columns
from voxbench.schema import ScoreKind

Finish = Callable[[Floats], Floats]

# A confusion table for each cluster takes at most so many cells; beyond, rows are repeated instead.
CELLS = 1 << 24
# Of the variance of all rows: a resample with less holds one value, repeated, and the rest is rounding.
CONSTANT = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """A metric as a function of sums: those of each cluster (K, S), and what makes values (R,) of sums (R, S)."""

    sums: Floats
    finish: Finish

    @property
    def is_ratio(self) -> bool:
        """Return whether it is the ratio of two sums, so that rows add to it one by one: a mean, an error rate."""
        return self.finish is _rate


def summed_metrics(
    scored: ScoreRows, counts: Mapping[str, EditCounts], cluster_N: Integers, clusters: int
) -> dict[str, Summed]:
    """Return the metrics of `scored` that are functions of sums, by name."""

    def per_cluster(*values: ArrayLike) -> Floats:
        return np.column_stack([np.bincount(cluster_N, weights=value_N, minlength=clusters) for value_N in values])

    if scored.kind is ScoreKind.TEXT:
        return {name: Summed(per_cluster(each.errors, each.reference), _rate) for name, each in counts.items()}
    if scored.kind is ScoreKind.VALUE:
        return _of_values(*value_columns(*scored.columns), per_cluster)
    truth_N, probabilities_NC = class_columns(*scored.columns)
    found = _of_probabilities(truth_N, probabilities_NC, per_cluster)
    classes = probabilities_NC.shape[1]
    if clusters * classes**2 <= CELLS:
        cells_N = (cluster_N * classes + truth_N) * classes + probabilities_NC.argmax(axis=1)
        table = np.bincount(cells_N, minlength=clusters * classes**2).reshape(clusters, classes**2)
        finishes = {"balanced_accuracy": _balanced, "macro_f1": _macro_f1, "matthews_correlation": _matthews}
        found |= {name: Summed(table.astype(np.float64), finish) for name, finish in finishes.items()}
    return found


def _of_probabilities(
    truth_N: Integers, probabilities_NC: Floats, per_cluster: Callable[..., Floats]
) -> dict[str, Summed]:
    """Return the metrics of class probabilities that need no confusion table."""
    rows = np.arange(len(truth_N))
    p_true_N, predicted_N = probabilities_NC[rows, truth_N], probabilities_NC.argmax(axis=1)
    correct_N = (predicted_N == truth_N).astype(np.float64)
    squares_N = (probabilities_NC**2).sum(axis=1) - p_true_N**2 + (p_true_N - 1) ** 2
    means = {
        "accuracy": correct_N,
        "log_loss": -np.log(np.clip(p_true_N, PROBABILITY_FLOOR, 1.0)),
        "brier": squares_N,
    }
    if probabilities_NC.shape[1] > 2:
        ahead_NC = probabilities_NC > p_true_N[:, None]
        ahead_NC |= (probabilities_NC == p_true_N[:, None]) & (np.arange(probabilities_NC.shape[1]) < truth_N[:, None])
        means["top_2_accuracy"] = (ahead_NC.sum(axis=1) < 2).astype(np.float64)
    found = {name: Summed(per_cluster(values_N, np.ones(len(rows))), _rate) for name, values_N in means.items()}
    confidence_N = np.minimum(probabilities_NC.max(axis=1), 1.0)
    bin_N = np.searchsorted(np.linspace(0.0, 1.0, CALIBRATION_BINS + 1), confidence_N, side="left") - 1
    excess = [np.where(bin_N == place, correct_N - confidence_N, 0.0) for place in range(CALIBRATION_BINS)]
    found["expected_calibration_error"] = Summed(per_cluster(*excess, np.ones(len(rows))), _calibration_error)
    return found


def _of_values(truth_N: Floats, predicted_N: Floats, per_cluster: Callable[..., Floats]) -> dict[str, Summed]:
    """Return the metrics of predicted numbers; sums are of distances to the middle of the truth, for the digits."""
    error_N, ones_N = predicted_N - truth_N, np.ones(len(truth_N))
    t_N, p_N = truth_N - truth_N.mean(), predicted_N - truth_N.mean()
    moments_KS = per_cluster(ones_N, t_N, p_N, t_N**2, p_N**2, t_N * p_N, error_N**2)
    least = CONSTANT * t_N.var(), CONSTANT * p_N.var()
    return {
        "mae": Summed(per_cluster(np.abs(error_N), ones_N), _rate),
        "rmse": Summed(per_cluster(error_N**2, ones_N), _root),
        "r2": Summed(moments_KS, partial(_r2, least=least)),
        "pearson": Summed(moments_KS, partial(_pearson, least=least)),
        "concordance": Summed(moments_KS, partial(_concordance, least=least)),
    }


def _rate(sums_R2: Floats) -> Floats:
    return ratio(*sums_R2.T)


def _root(sums_R2: Floats) -> Floats:
    return np.sqrt(_rate(sums_R2))


def _calibration_error(sums_RS: Floats) -> Floats:
    """Return what bins are off (R, B), without sign, over the rows of the last column."""
    return np.abs(sums_RS[:, :-1]).sum(axis=1) / sums_RS[:, -1]


def _tables(sums_RS: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hits, rows of each true class and rows of each predicted one (R, C)."""
    classes = math.isqrt(sums_RS.shape[1])
    table_RCC = sums_RS.reshape(-1, classes, classes)
    return np.einsum("rcc->rc", table_RCC), table_RCC.sum(axis=2), table_RCC.sum(axis=1)


def _balanced(sums_RS: Floats) -> Floats:
    hit_RC, support_RC, _ = _tables(sums_RS)
    recall_RC = np.divide(hit_RC, support_RC, out=np.zeros_like(hit_RC), where=support_RC > 0)
    return recall_RC.sum(axis=1) / (support_RC > 0).sum(axis=1)


def _macro_f1(sums_RS: Floats) -> Floats:
    hit_RC, support_RC, predicted_RC = _tables(sums_RS)
    both_RC = support_RC + predicted_RC
    return np.divide(2 * hit_RC, both_RC, out=np.zeros_like(hit_RC), where=both_RC > 0).mean(axis=1)


def _matthews(sums_RS: Floats) -> Floats:
    hit_RC, support_RC, predicted_RC = _tables(sums_RS)
    rows_R = support_RC.sum(axis=1)
    covariance_R = hit_RC.sum(axis=1) * rows_R - (support_RC * predicted_RC).sum(axis=1)
    spreads_R = (rows_R**2 - (support_RC**2).sum(axis=1)) * (rows_R**2 - (predicted_RC**2).sum(axis=1))
    return _ratio(covariance_R, np.sqrt(spreads_R), spreads_R > 0)


def _moments(sums_RS: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return variance of truth and prediction, covariance, bias and mean squared error, (R,) each."""
    means_SR = sums_RS[:, 1:].T / sums_RS[:, 0]
    t_R, p_R, tt_R, pp_R, tp_R, squared_R = means_SR
    return tt_R - t_R**2, pp_R - p_R**2, tp_R - t_R * p_R, p_R - t_R, squared_R


def _r2(sums_RS: Floats, least: tuple[float, float]) -> Floats:
    truth_R, _, _, _, squared_R = _moments(sums_RS)
    return 1 - _ratio(squared_R, truth_R, truth_R > least[0])


def _pearson(sums_RS: Floats, least: tuple[float, float]) -> Floats:
    truth_R, predicted_R, covariance_R, _, _ = _moments(sums_RS)
    varied_R = (truth_R > least[0]) & (predicted_R > least[1])
    spreads_R = np.sqrt(np.where(varied_R, truth_R * predicted_R, 1.0))
    return np.clip(_ratio(covariance_R, spreads_R, varied_R), -1.0, 1.0)


def _concordance(sums_RS: Floats, least: tuple[float, float]) -> Floats:
    truth_R, predicted_R, _, bias_R, squared_R = _moments(sums_RS)
    apart_R = truth_R + predicted_R + bias_R**2
    return 1 - _ratio(squared_R, apart_R, apart_R > max(least))


def _ratio(numerator_R: Floats, denominator_R: Floats, is_defined_R: np.ndarray) -> Floats:
    """Divide where it is defined, NaN elsewhere."""
    return np.divide(numerator_R, denominator_R, out=np.full(len(numerator_R), np.nan), where=is_defined_R)
