"""The trials of a study as the report reads them: with the time of their epochs, and the best one of each model."""

from __future__ import annotations

import pandas as pd

from voxbench.metrics import Metric


def timed(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with `seconds_per_epoch`, the median over a trial's epochs, and `workers`.

    `epochs` has a row for each epoch that was timed, as the select stage writes them. The median, since the first epoch
    also warms caches up. A trial without times gets NaN.
    """
    keys = ["family", "trial"]
    found = epochs.groupby(keys, as_index=False).agg(
        seconds_per_epoch=("seconds", "median"), workers=("workers", "max")
    )
    return trials.merge(found, how="left", on=keys, validate="one_to_one")


def best_of_models(trials: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return each model's best trial, best model first, with the rules of selection.

    Complete trials go before those that are not, whatever the metric; ties go to the lower validation loss, then by
    name. A trial without a value goes last.
    """
    order = {
        "unfinished": True,
        f"valid_{metric.name}": not metric.greater_is_better,
        "valid_loss": True,
        "model": True,
    }
    ranked = trials.assign(unfinished=trials["state"] != "complete")
    ranked = ranked.sort_values(list(order), ascending=list(order.values()), kind="stable")
    return ranked.drop(columns="unfinished").drop_duplicates("model")
