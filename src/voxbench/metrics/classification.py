"""Metrics of class probabilities, and the tables behind them.

Definitions follow scikit-learn's metrics; the calibration error is that of Guo et al., "On Calibration of
Modern Neural Networks", ICML 2017, the Brier score that of Brier, "Verification of forecasts expressed in terms of
probability", Monthly Weather Review 78 (1950). Deviations: what scikit-learn answers with a warning and a number is
undefined here (AUC with one class, Matthews correlation of a constant, top-k of k classes), probabilities are never
rescaled, the Brier score is never halved, and the first of equal probabilities wins in top-k too.

Every registered metric takes `truth` (N,) integer class indices and `probabilities` (N, C) in [0, 1] whose
rows sum to one, and raises `InputError` for anything else. The predicted class is the first of the most
probable.

Shape letters: N rows, C classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.inputs import Floats, Integers, class_columns, class_indices
from voxbench.metrics.registries import UndefinedError, metric
from voxbench.metrics.roc import area_under_roc
from voxbench.schema import InputError, ScoreKind

# The smallest probability that log_loss charges, so at most 36.04 nats a row: float64 epsilon, as in sklearn.
PROBABILITY_FLOOR = float(np.finfo(np.float64).eps)
# The number of bins of Guo et al. 2017.
CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class ClassTable:
    """Per class (C,): rows in the truth, precision, recall, F1; NaN where a ratio is 0 / 0."""

    support: Integers
    precision: Floats
    recall: Floats
    f1: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Per bin of confidence (B,): rows, mean confidence, accuracy; NaN where the bin is empty."""

    count: Integers
    confidence: Floats
    accuracy: Floats


@metric(ScoreKind.CLASSES, greater_is_better=True)
def accuracy(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the fraction of rows whose most probable class is the true one, in [0, 1].

    >>> accuracy([0, 1, 1], [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    0.6666666666666666
    """
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    return float(np.mean(probabilities_NC.argmax(axis=1) == truth_N))


def top_k_accuracy(truth: ArrayLike, probabilities: ArrayLike, k: int) -> float:
    """Return the fraction of rows whose true class is among the `k` most probable ones, in [0, 1].

    Of equal probabilities the first classes are taken, so with `k` = 1 it is `accuracy`. Where there are no more than
    `k` classes every row is right, whatever the scores: undefined.

    >>> top_k_accuracy([2, 2], [[0.5, 0.3, 0.2], [0.4, 0.2, 0.4]], k=2)
    0.5
    """
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        raise InputError(f"k must be a whole number of classes, 1 or more, found {k!r}")
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    classes = probabilities_NC.shape[1]
    if k >= classes:
        raise UndefinedError(f"the top-{k} accuracy needs more than {k} classes: found {classes}")
    p_true_N1 = probabilities_NC[np.arange(len(truth_N)), truth_N][:, None]
    ahead_NC = (probabilities_NC > p_true_N1) | (
        (probabilities_NC == p_true_N1) & (np.arange(classes) < truth_N[:, None])
    )
    return float(np.mean(ahead_NC.sum(axis=1) < k))


@metric(ScoreKind.CLASSES, greater_is_better=True)
def top_2_accuracy(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the fraction of rows whose true class is one of the two most probable; undefined for two classes.

    >>> top_2_accuracy([2, 2], [[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]])
    0.5
    """
    return top_k_accuracy(truth, probabilities, k=2)


@metric(ScoreKind.CLASSES, greater_is_better=True)
def balanced_accuracy(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean recall over the classes that occur in the truth, in [0, 1].

    >>> balanced_accuracy([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    0.8333333333333333
    """
    return float(np.nanmean(_ratios(_counts(truth, probabilities)).recall))


@metric(ScoreKind.CLASSES, greater_is_better=True)
def macro_f1(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean over all C classes of F1 = 2 TP / (2 TP + FP + FN), 0 where that is 0 / 0; in [0, 1].

    >>> macro_f1([0, 0, 1], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.1, 0.9, 0.0]])
    0.4444444444444444
    """
    return float(np.mean(np.nan_to_num(_ratios(_counts(truth, probabilities)).f1)))


@metric(ScoreKind.CLASSES, greater_is_better=True)
def matthews_correlation(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the correlation of truth and prediction over C classes (Gorodkin 2004, R_K), in [-1, 1].

    Undefined when the truth, or the prediction, is the same class in every row.

    >>> matthews_correlation([0, 1, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    1.0
    """
    counts_CC = _counts(truth, probabilities).astype(np.float64)
    truth_C, predicted_C, rows = counts_CC.sum(axis=1), counts_CC.sum(axis=0), counts_CC.sum()
    spread_truth, spread_predicted = rows**2 - truth_C @ truth_C, rows**2 - predicted_C @ predicted_C
    if spread_truth == 0 or spread_predicted == 0:
        constant = "truth" if spread_truth == 0 else "prediction"
        raise UndefinedError(f"the Matthews correlation needs two classes: the {constant} holds only one")
    covariance = np.trace(counts_CC) * rows - truth_C @ predicted_C
    return float(covariance / np.sqrt(spread_truth * spread_predicted))


@metric(ScoreKind.CLASSES, greater_is_better=False)
def log_loss(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean of -ln p(true class), in nats; p is raised to at least `PROBABILITY_FLOOR`.

    >>> round(log_loss([0, 1], [[0.5, 0.5], [0.5, 0.5]]), 6)
    0.693147
    """
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    p_true_N = probabilities_NC[np.arange(len(truth_N)), truth_N]
    return float(-np.mean(np.log(np.clip(p_true_N, PROBABILITY_FLOOR, 1.0)))) + 0.0


@metric(ScoreKind.CLASSES, greater_is_better=False)
def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean over rows of sum over classes (p - 1 for the true class, p for the others)^2, in [0, 2].

    0 = certain and right, 2 = certain and wrong; equal probabilities for C classes give 1 - 1 / C. Ties need no rule:
    nothing is ranked. For two classes it is twice the binary form, mean (p of class 1 - truth)^2.

    >>> round(brier([0, 1], [[0.9, 0.1], [0.8, 0.2]]), 6)
    0.65
    """
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    errors_NC = probabilities_NC - np.eye(probabilities_NC.shape[1])[truth_N]
    return float(np.mean((errors_NC**2).sum(axis=1)))


@metric(ScoreKind.CLASSES, greater_is_better=False)
def expected_calibration_error(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return sum over bins of count / N * |accuracy - mean confidence|, with `CALIBRATION_BINS` equal bins; in [0, 1].

    >>> round(expected_calibration_error([0, 1], [[0.9, 0.1], [0.9, 0.1]]), 6)
    0.4
    """
    bins = reliability(truth, probabilities, CALIBRATION_BINS)
    gap_B = np.nan_to_num(np.abs(bins.accuracy - bins.confidence))
    return float(bins.count @ gap_B / bins.count.sum())


@metric(ScoreKind.CLASSES, greater_is_better=True)
def roc_auc(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the area under the ROC of two classes, class 1 being the positive one; ties count one half; in [0, 1].

    Undefined for more than two classes, and when one class does not occur in the truth.

    >>> roc_auc([0, 0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.2, 0.8]])
    0.875
    """
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    if probabilities_NC.shape[1] != 2:
        raise UndefinedError(f"the ROC needs two classes: found {probabilities_NC.shape[1]}")
    return area_under_roc(truth_N, probabilities_NC[:, 1])


def confusion(truth: ArrayLike, predicted: ArrayLike, classes: int) -> Integers:
    """Count rows by true class (rows) and predicted class (columns), (C, C).

    >>> confusion([0, 0, 1], [0, 1, 1], classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    if classes < 1:
        raise InputError(f"classes must be at least 1, found {classes}")
    truth_N = class_indices(truth, "truth", classes)
    predicted_N = class_indices(predicted, "predicted", classes)
    if len(truth_N) != len(predicted_N):
        raise InputError(f"truth has {len(truth_N)} rows but predicted has {len(predicted_N)}")
    return np.bincount(truth_N * classes + predicted_N, minlength=classes**2).reshape(classes, classes)


def per_class(truth: ArrayLike, predicted: ArrayLike, classes: int) -> ClassTable:
    """Return support, precision, recall and F1 of each class.

    Precision is NaN for a class that is never predicted, recall for one that never occurs, F1 for one that
    neither is predicted nor occurs.

    >>> per_class([0, 0, 1], [0, 1, 1], classes=2).recall.tolist()
    [0.5, 1.0]
    """
    return _ratios(confusion(truth, predicted, classes))


def reliability(truth: ArrayLike, probabilities: ArrayLike, bins: int) -> Reliability:
    """Compare confidence with accuracy in `bins` equal-width bins; bin b holds b/B < confidence <= (b+1)/B.

    Confidence is the probability of the predicted class.

    >>> reliability([0, 1], [[0.9, 0.1], [0.7, 0.3]], bins=2).accuracy.tolist()
    [nan, 0.5]
    """
    if bins < 1:
        raise InputError(f"bins must be at least 1, found {bins}")
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    confidence_N = np.minimum(probabilities_NC.max(axis=1), 1.0)
    correct_N = (probabilities_NC.argmax(axis=1) == truth_N).astype(np.float64)
    bin_N = np.searchsorted(np.linspace(0.0, 1.0, bins + 1), confidence_N, side="left") - 1
    count_B = np.bincount(bin_N, minlength=bins)
    confidence_B = _ratio(np.bincount(bin_N, weights=confidence_N, minlength=bins), count_B)
    return Reliability(count_B, confidence_B, _ratio(np.bincount(bin_N, weights=correct_N, minlength=bins), count_B))


def _counts(truth: ArrayLike, probabilities: ArrayLike) -> Integers:
    """Return the confusion table of the most probable classes."""
    truth_N, probabilities_NC = class_columns(truth, probabilities)
    return confusion(truth_N, probabilities_NC.argmax(axis=1), probabilities_NC.shape[1])


def _ratios(counts_CC: Integers) -> ClassTable:
    """Return the ratios of a confusion table."""
    hit_C, support_C, predicted_C = np.diag(counts_CC), counts_CC.sum(axis=1), counts_CC.sum(axis=0)
    return ClassTable(
        support=support_C,
        precision=_ratio(hit_C, predicted_C),
        recall=_ratio(hit_C, support_C),
        f1=_ratio(2 * hit_C, support_C + predicted_C),
    )


def _ratio(numerator: NDArray[np.generic], denominator: Integers) -> Floats:
    """Divide element by element, NaN where the denominator is 0."""
    empty = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=empty, where=denominator > 0)
