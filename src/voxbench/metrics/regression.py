"""Metrics of a predicted number, such as an age in years, against the true one.

References: scikit-learn's regression metrics (mean, median and root mean squared error, coefficient of
determination); Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45 (1989).
Deviation: where scikit-learn answers with a warning or a chosen number, R2 and Pearson's correlation are
undefined.

Every function takes `truth` and `predicted`, both (N,) finite numbers in one unit, and raises `InputError` for
anything else. Errors are in that unit (years stay years), correlations are pure numbers. Equal values need no
rule: no metric here ranks.

A constant prediction is the first baseline to beat: the median of the training truth for the mean absolute
error, its mean for the root mean squared error and R2. Its concordance is 0 and it has no Pearson correlation.

Shape letters: N rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Floats, value_columns
from voxbench.metrics.registries import UndefinedError, metric
from voxbench.schema import ScoreKind


@metric(ScoreKind.VALUE, greater_is_better=False)
def mae(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean absolute error, mean |predicted - truth|, in the unit of the truth.

    >>> mae([20, 30, 40], [22, 30, 33])
    3.0
    """
    truth_N, predicted_N = value_columns(truth, predicted)
    return float(np.abs(predicted_N - truth_N).mean())


@metric(ScoreKind.VALUE, greater_is_better=False)
def median_absolute_error(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the median of |predicted - truth|, in the unit of the truth; the mean of the middle two if N is even.

    >>> median_absolute_error([20, 30, 40], [22, 30, 33])
    2.0
    """
    truth_N, predicted_N = value_columns(truth, predicted)
    return float(np.median(np.abs(predicted_N - truth_N)))


@metric(ScoreKind.VALUE, greater_is_better=False)
def rmse(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the root mean squared error, sqrt(mean (predicted - truth)^2), in the unit of the truth.

    >>> rmse([20, 30], [21, 37])
    5.0
    """
    truth_N, predicted_N = value_columns(truth, predicted)
    return float(np.sqrt(np.mean((predicted_N - truth_N) ** 2)))


@metric(ScoreKind.VALUE, greater_is_better=True)
def r2(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return R2 = 1 - sum (predicted - truth)^2 / sum (truth - mean truth)^2, at most 1, without a lower bound.

    Predicting the mean of this very truth scores 0. Undefined when the truth is constant, one row included.

    >>> r2([20, 30, 40], [22, 30, 38])
    0.96
    """
    truth_N, predicted_N = value_columns(truth, predicted)
    spread = float(np.ptp(truth_N))
    if spread == 0:
        raise UndefinedError(f"R2 needs two different values in the truth: all {len(truth_N)} are {truth_N[0]:g}")
    # In units of the spread, so that no square becomes 0 where the values differ.
    residual_N, deviation_N = (predicted_N - truth_N) / spread, _centred(truth_N) / spread
    return float(1 - residual_N @ residual_N / (deviation_N @ deviation_N))


@metric(ScoreKind.VALUE, greater_is_better=True)
def pearson(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return Pearson's correlation of truth and prediction, in [-1, 1].

    Blind to scale and offset: a prediction that is ten years too high everywhere scores 1; see `concordance`.
    Undefined when the truth, or the prediction, is constant, one row included.

    >>> pearson([20, 30, 40], [1, 2, 3])
    1.0
    """
    columns = dict(zip(("truth", "prediction"), value_columns(truth, predicted), strict=True))
    for name, values_N in columns.items():
        if np.ptp(values_N) == 0:
            raise UndefinedError(
                f"a correlation needs two different values: the {name} is {values_N[0]:g} in all {len(values_N)} rows"
            )
    truth_N, predicted_N = (_centred(values_N) / np.ptp(values_N) for values_N in columns.values())
    correlation = truth_N @ predicted_N / np.sqrt((truth_N @ truth_N) * (predicted_N @ predicted_N))
    return float(np.clip(correlation, -1.0, 1.0))


@metric(ScoreKind.VALUE, greater_is_better=True)
def concordance(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return Lin's concordance correlation, in [-1, 1]: 1 only where prediction and truth are equal.

    With population moments (division by N), 2 cov / (var truth + var predicted + (difference of means)^2),
    computed as 1 - mean (predicted - truth)^2 / that denominator. 0 when truth or prediction is constant, as
    the formula says; undefined when both are the same constant, which is 0 / 0.

    >>> concordance([20, 30, 40], [30, 40, 50])
    0.5714285714285714
    """
    truth_N, predicted_N = value_columns(truth, predicted)
    spreads = float(np.ptp(truth_N)), float(np.ptp(predicted_N))
    if 0 in spreads:
        if spreads == (0, 0) and truth_N[0] == predicted_N[0]:
            raise UndefinedError(
                f"the concordance needs two different values: truth and prediction are {truth_N[0]:g} in all rows"
            )
        return 0.0
    unit = max(spreads)
    error_N = (predicted_N - truth_N) / unit
    variances = (_centred(truth_N) / unit).var() + (_centred(predicted_N) / unit).var()
    return float(1 - np.mean(error_N**2) / (variances + error_N.mean() ** 2))


def bias(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean of predicted - truth, in the unit of the truth: positive = guessed too high.

    Best at 0, so neither greater nor smaller is better, and it is no registered metric: a search could not
    select by it.

    >>> bias([20, 30, 40], [22, 30, 32])
    -2.0
    """
    truth_N, predicted_N = value_columns(truth, predicted)
    return float((predicted_N - truth_N).mean())


def _centred(values_N: Floats) -> Floats:
    """Return the values minus their mean."""
    return values_N - values_N.mean()
