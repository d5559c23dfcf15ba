"""Metrics and paired tests from score tables alone, by scikit-learn and SciPy."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics

from stages.pipeline import manifest_of

CLASSES = {
    "accuracy": lambda truth, p_male: metrics.accuracy_score(truth, p_male > 0.5),
    "balanced_accuracy": lambda truth, p_male: metrics.balanced_accuracy_score(truth, p_male > 0.5),
    "macro_f1": lambda truth, p_male: metrics.f1_score(truth, p_male > 0.5, average="macro"),
    "log_loss": lambda truth, p_male: metrics.log_loss(truth, np.stack([1 - p_male, p_male], axis=1)),
    "roc_auc": metrics.roc_auc_score,
}
VALUES = {
    "mae": metrics.mean_absolute_error,
    "median_absolute_error": metrics.median_absolute_error,
    "rmse": metrics.root_mean_squared_error,
    "r2": metrics.r2_score,
    "pearson": lambda truth, years: stats.pearsonr(truth, years).statistic,
}


def measured(workspace, folder, split_column="split"):
    """Return scikit-learn's metrics of one run's score table, which must hold the test rows and no other."""
    scores = pd.read_parquet(folder / "scores.parquet")
    manifest = manifest_of(workspace).set_index("id")
    assert sorted(scores["id"]) == sorted(manifest.index[manifest[split_column] == "test"])
    rows = manifest.loc[scores["id"]]
    if "p_male" in scores:
        truth, answers, functions = (rows["gender"] == "male").to_numpy(), scores["p_male"].to_numpy(), CLASSES
    else:
        truth, answers, functions = rows["age_years"].to_numpy(), scores["predicted"].to_numpy(), VALUES
    return {name: function(truth, answers) for name, function in functions.items()}


def paired(a, b):
    """Return t, p and the 95 % interval of the mean difference; two equal rows have t = 0 and p = 1 by convention."""
    if np.array_equal(a, b):
        return {"t": 0.0, "p_t": 1.0, "ci_low": 0.0, "ci_high": 0.0, "mean_difference": 0.0}
    test = stats.ttest_rel(a, b)
    low, high = test.confidence_interval(0.95)
    means = {"mean_difference": np.mean(np.subtract(a, b)), "ci_low": low, "ci_high": high}
    return {"t": test.statistic, "p_t": test.pvalue} | means


def holm(p_values):
    """Return Holm's adjustment: the k-th smallest of m by m - k + 1, none below the one before it, none above 1."""
    adjusted, least = {}, 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return [adjusted[place] for place in range(len(p_values))]
