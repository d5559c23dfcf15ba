"""Selection: a table of trials, the finalists, and what a study refuses."""

import shutil

import numpy as np
import pandas as pd

from stages.pipeline import BENCHMARK, CORPUS, copy_of, fingerprints, manifest_of, own, rewrite_features, selection_of
from voxbench.artifacts import read_json
from voxbench.stages.select import select


def trials_of(workspace):
    return pd.read_csv(workspace.results(BENCHMARK, "select") / "trials.csv")


def test_selection_leaves_a_table_of_all_trials(finished):
    trials = trials_of(finished)
    promised = ["family", "trial", "model", "learning_rate", "dropout", "state", "parameters"]
    promised += ["multiply_adds", "initial", "epochs"]
    assert trials.columns[:10].tolist() == promised
    assert set(trials["initial"]) == {"random"}
    assert {"valid_loss", "valid_accuracy", "valid_roc_auc"} <= set(trials.columns)
    assert trials["family"].tolist() == ["cnn"] * 3 + ["lstm"] * 3
    assert trials["trial"].tolist() == [0, 1, 2] * 2
    for row in trials.itertuples():
        folder = finished.results(BENCHMARK, "select") / f"{row.family}-{row.trial:02d}-{row.model}"
        history = pd.read_csv(folder / "history.csv")
        best = history.iloc[history["valid_loss"].argmin()]
        assert (row.epochs, row.valid_loss, row.valid_accuracy) == (
            len(history),
            best["valid_loss"],
            best["valid_accuracy"],
        )


def test_finalists_are_the_best_complete_trials_of_their_families(finished):
    trials, selection = trials_of(finished), selection_of(finished)
    complete = trials[trials["state"] == "complete"]
    for finalist in selection["finalists"]:
        rivals = complete[complete["family"] == finalist["family"]]
        rivals = rivals.sort_values(["valid_accuracy", "valid_loss"], ascending=[False, True])
        assert finalist["model"] == rivals["model"].iloc[0]
        chosen = rivals[rivals["model"] == finalist["model"]].iloc[0]
        assert finalist["settings"] == {name: chosen[name] for name in ("learning_rate", "dropout")}
    assert [finalist["family"] for finalist in selection["finalists"]] == ["cnn", "lstm"]
    assert selection["metric"] == "accuracy"
    about = read_json(finished.features(CORPUS) / "features.json")
    assert len(selection["features"]) == len(about.keys() - {"licence", "wave"}) == 2


def test_selection_scores_no_test_row(finished):
    splits = [
        pd.read_parquet(path)["split"].unique().tolist()
        for path in finished.results(BENCHMARK, "select").rglob("scores.parquet")
    ]
    assert splits == [["valid"]] * 6


def test_selection_does_not_depend_on_test_rows(finished, tmp_path):
    copy = copy_of(finished, tmp_path / "copy")
    shutil.rmtree(copy.results(BENCHMARK, "select"))
    rows = manifest_of(copy)
    hidden = set(rows.loc[rows["split"] == "test", "id"])
    for kind in ("cepstra", "spectrogram"):
        rewrite_features(copy, kind, lambda row_id, values: values * np.nan if row_id in hidden else values)
    select(copy, BENCHMARK)
    assert fingerprints(own(copy)["select"]) == fingerprints(own(finished)["select"])


def test_fewer_trials_leave_no_trial_behind(finished, tmp_path, trained):
    def change(params):
        params["studies"][BENCHMARK]["trials"] = {"cnn": 2, "lstm": 2}

    copy = copy_of(finished, tmp_path / "copy", change)
    select(copy, BENCHMARK)
    assert trained == []
    folder = copy.results(BENCHMARK, "select")
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        f"{row.family}-{row.trial:02d}-{row.model}" for row in trials_of(copy).itertuples()
    }


def of_one_family(family, models, **study):
    """Return a change of the parameters that leaves one family, to be searched quickly."""

    def change(params):
        params["studies"][BENCHMARK] |= {"models": models, "finalists": {family: 1}, "trials": {family: 4}} | study

    return change


def test_a_metric_of_which_less_is_better_selects_the_least(featured, tmp_path):
    def change(params):
        of_one_family("lstm", ["bilstm_h128_l1", "bilstm_h128_l2"], metric="log_loss")(params)
        params["selection"]["prune_percentile"] = 100.0

    copy = copy_of(featured, tmp_path / "copy", change)
    select(copy, BENCHMARK)
    trials = trials_of(copy)
    assert trials["valid_log_loss"].nunique() == 4
    (finalist,) = selection_of(copy)["finalists"]
    assert finalist["settings"]["dropout"] == trials.loc[trials["valid_log_loss"].idxmin(), "dropout"]


def test_a_diverging_trial_does_not_stop_the_search(featured, tmp_path):
    def change(params):
        of_one_family("cnn", ["resnet18"])(params)
        params["selection"]["space"]["learning_rate"] = {"low": 0.001, "high": 1e30, "log": False}

    copy = copy_of(featured, tmp_path / "copy", change)
    select(copy, BENCHMARK)
    assert trials_of(copy)["state"].tolist() == ["complete", "diverged", "diverged", "diverged"]
    assert selection_of(copy)["finalists"][0]["settings"]["learning_rate"] == 0.001
