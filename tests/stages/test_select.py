"""Selection: a table of trials, the finalists, and what a study refuses."""

import re
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from stages.pipeline import BENCHMARK, CORPUS, copy_of, fingerprints, manifest_of, own, rewrite_features, selection_of
from voxbench.artifacts import read_json
from voxbench.stages.select import select

PROJECT = Path(__file__).parents[2]


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


def epochs_of(workspace):
    return pd.read_csv(workspace.results(BENCHMARK, "seconds") / "epochs.csv")


def test_every_epoch_of_every_trial_is_timed_apart_from_the_results(finished):
    found = epochs_of(finished)
    trials = trials_of(finished)
    counted = found.groupby(["family", "trial"]).size()
    assert counted.to_dict() == {(row.family, row.trial): row.epochs for row in trials.itertuples()}
    assert (found["seconds"] > 0).all()
    assert set(found["workers"]) == {finished.params.parallel.workers}
    results = finished.results(BENCHMARK, "select")
    assert not any("seconds" in path.name for path in results.rglob("*")), "what decides must be equal in equal runs"


def test_times_of_other_trials_go_and_lost_ones_leave_a_gap(finished, tmp_path, trained):
    fewer = {"cnn": 2, "lstm": 2}
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["studies"][BENCHMARK].update(trials=fewer))
    (copy.results(BENCHMARK, "seconds") / f"lstm-00-{trials_of(copy)['model'].iloc[3]}.json").unlink()
    select(copy, BENCHMARK)
    assert trained == []
    kept = {(row.family, row.trial) for row in epochs_of(copy).itertuples()}
    assert kept == {("cnn", 0), ("cnn", 1), ("lstm", 1)}
    assert len(list(copy.results(BENCHMARK, "seconds").glob("*.json"))) == 3
    before = epochs_of(finished)
    pd.testing.assert_frame_equal(
        epochs_of(copy), before[[(row.family, row.trial) in kept for row in before.itertuples()]].reset_index(drop=True)
    )


def test_nothing_but_the_report_depends_on_times():
    stages = YAML(typ="safe").load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    times = "results/${key}/seconds"
    assert {times: {"persist": True}} in stages["select"]["do"]["outs"]
    readers = {
        name
        for name, stage in stages.items()
        for path in stage.get("do", stage)["deps"]
        if PurePosixPath(times.replace("${key}", "a")).is_relative_to(re.sub(r"\$\{[^}]*\}", "a", path))
    }
    assert readers == {"report"}


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
