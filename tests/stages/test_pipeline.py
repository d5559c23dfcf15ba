"""Selection, fine-tuning and repetition on the tiny corpus: what they leave, and that running again changes nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

import voxbench
from stages.pipeline import BENCHMARK, CORPUS, build_finished, copy_of, fingerprints, manifest_of, rewrite_features
from voxbench.schema import InputError
from voxbench.stages.finetune import finetune
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select
from voxbench.training.jobs import Finished

METRICS = {
    "accuracy": lambda truth, p_male: sklearn_metrics.accuracy_score(truth, p_male > 0.5),
    "balanced_accuracy": lambda truth, p_male: sklearn_metrics.balanced_accuracy_score(truth, p_male > 0.5),
    "macro_f1": lambda truth, p_male: sklearn_metrics.f1_score(truth, p_male > 0.5, average="macro"),
    "log_loss": lambda truth, p_male: sklearn_metrics.log_loss(truth, np.stack([1 - p_male, p_male], axis=1)),
    "roc_auc": sklearn_metrics.roc_auc_score,
}


def own(workspace):
    """Return the folders whose bytes the three stages answer for."""
    return (
        workspace.results(BENCHMARK, "select"),
        workspace.models(BENCHMARK),
        workspace.results(BENCHMARK, "repeat"),
    )


def trials_of(workspace):
    return pd.read_csv(workspace.results(BENCHMARK, "select") / "trials.csv")


def selection_of(workspace):
    return json.loads((workspace.results(BENCHMARK, "select") / "selection.json").read_text())


def selected_copy(finished, root, change=lambda params: None):
    """Copy a finished workspace without what the last two stages wrote."""
    copy = copy_of(finished, root, change)
    for folder in own(copy)[1:]:
        shutil.rmtree(folder)
    return copy


@pytest.fixture
def trained(monkeypatch):
    """Return a list to which every job that was really trained in this process adds its folder's name."""
    names, finish = [], Finished.__init__

    def count(self, job, *rest, **facts):
        finish(self, job, *rest, **facts)
        if self.seconds is not None:
            names.append(job.folder.name)

    monkeypatch.setattr(Finished, "__init__", count)
    return names


def test_selection_leaves_a_table_of_all_trials(finished):
    trials = trials_of(finished)
    promised = ["family", "trial", "model", "learning_rate", "dropout", "state", "parameters", "epochs"]
    assert trials.columns[:8].tolist() == promised
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
    about = json.loads((finished.features(CORPUS) / "features.json").read_text())
    assert len(selection["features"]) == len(about) == 2


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
    assert fingerprints(own(copy)[0]) == fingerprints(own(finished)[0])


def test_fine_tuning_leaves_all_that_serving_needs(finished):
    selection = selection_of(finished)
    folders = sorted(path.name for path in finished.models(BENCHMARK).iterdir())
    assert folders == sorted(finalist["model"] for finalist in selection["finalists"])
    for finalist in selection["finalists"]:
        folder = finished.models(BENCHMARK) / finalist["model"]
        assert {path.name for path in folder.iterdir()} == {
            *("weights.safetensors", "model.json", "history.csv", "scores.parquet", "job.json"),
        }
        bundle = json.loads((folder / "model.json").read_text())
        assert {name: bundle["training"][name] for name in finalist["settings"]} == finalist["settings"]
        assert bundle["licence"] == finished.params.corpus(CORPUS).licence
        manifest = manifest_of(finished)
        scored = manifest.loc[manifest["split"] != "train", "id"]
        assert sorted(pd.read_parquet(folder / "scores.parquet")["id"]) == sorted(scored)


def test_every_pair_of_model_and_seed_is_repeated(finished):
    seeds = pd.read_csv(finished.results(BENCHMARK, "repeat") / "seeds.csv")
    models = [finalist["model"] for finalist in selection_of(finished)["finalists"]]
    assert list(zip(seeds["model"], seeds["seed"], strict=True)) == [
        (model, seed) for seed in (1, 2, 3) for model in models
    ]
    assert seeds.groupby("model")["log_loss"].nunique().tolist() == [3, 3], "seeds must make a difference"


def test_seed_metrics_are_sklearns_on_the_score_tables(finished):
    folder = finished.results(BENCHMARK, "repeat")
    manifest = manifest_of(finished).set_index("id")
    for row in pd.read_csv(folder / "seeds.csv").to_dict("records"):
        scores = pd.read_parquet(folder / f"{row['model']}-seed{row['seed']}" / "scores.parquet")
        assert set(scores["id"]) == set(manifest.index[manifest["split"] == "test"])
        truth = (manifest.loc[scores["id"], "gender"] == "male").to_numpy()
        for name, metric in METRICS.items():
            assert row[name] == pytest.approx(metric(truth, scores["p_male"].to_numpy()), abs=1e-12), name


def test_significance_is_scipys_paired_test_on_the_seeds(featured, finished, tmp_path):
    """By log loss, which differs with every seed; accuracies of eight recordings are often equal."""
    selection = selection_of(finished) | {"metric": "log_loss"}
    copy = selected_copy(finished, tmp_path / "copy")
    (copy.results(BENCHMARK, "select") / "selection.json").write_text(json.dumps(selection))
    repeat(copy, BENCHMARK)
    folder = copy.results(BENCHMARK, "repeat")
    seeds, tests = (pd.read_csv(folder / name) for name in ("seeds.csv", "significance.csv"))
    values = seeds.pivot(index="seed", columns="model", values="log_loss")
    (row,) = tests.to_dict("records")
    assert row["metric"] == "log_loss"
    assert [row["a"], row["b"]] == [finalist["model"] for finalist in selection["finalists"]]
    t, p = stats.ttest_rel(values[row["a"]], values[row["b"]])
    assert (row["t"], row["p_t"]) == (pytest.approx(t, rel=1e-9), pytest.approx(p, rel=1e-9))
    assert row["mean_difference"] == pytest.approx((values[row["a"]] - values[row["b"]]).mean(), rel=1e-9)


def test_the_shipped_significance_speaks_of_the_selection_metric(finished):
    tests = pd.read_csv(finished.results(BENCHMARK, "repeat") / "significance.csv")
    seeds = pd.read_csv(finished.results(BENCHMARK, "repeat") / "seeds.csv")
    means = seeds.groupby("model")["accuracy"].mean()
    (row,) = tests.to_dict("records")
    assert (row["metric"], row["n"]) == ("accuracy", 3)
    assert (row["mean_a"], row["mean_b"]) == (pytest.approx(means[row["a"]]), pytest.approx(means[row["b"]]))


def test_a_second_run_trains_nothing_and_changes_no_byte(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy")
    for stage in (select, finetune, repeat):
        stage(copy, BENCHMARK)
    assert trained == []
    assert fingerprints(*own(copy)) == fingerprints(*own(finished))


@pytest.mark.slow
def test_from_scratch_the_same_bytes_come_out(featured, finished, tmp_path):
    copy = copy_of(featured, tmp_path / "copy")
    for stage in (select, finetune, repeat):
        stage(copy, BENCHMARK)
    assert fingerprints(*own(copy)) == fingerprints(*own(finished))


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(featured, finished, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["parallel"].update(workers=2))
    for stage in (select, finetune, repeat):
        stage(copy, BENCHMARK)
    assert fingerprints(*own(copy)) == fingerprints(*own(finished))


def test_outputs_hold_no_folder_of_this_machine(finished):
    for folder in own(finished):
        for path in filter(lambda path: path.is_file(), folder.rglob("*")):
            assert str(finished.root).encode() not in path.read_bytes(), path


def test_another_seed_trains_the_new_pairs_only(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["repeat"].update(seeds=[1, 2, 3, 7]))
    repeat(copy, BENCHMARK)
    models = [finalist["model"] for finalist in selection_of(finished)["finalists"]]
    assert trained == [f"{model}-seed7" for model in models]
    ours, before = (pd.read_csv(each.results(BENCHMARK, "repeat") / "seeds.csv") for each in (copy, finished))
    assert ours[ours["seed"] != 7].reset_index(drop=True).equals(before)


def test_a_seed_that_is_no_longer_wanted_leaves_nothing(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["repeat"].update(seeds=[3, 1]))
    repeat(copy, BENCHMARK)
    assert trained == []
    folder = copy.results(BENCHMARK, "repeat")
    assert {path.name.rpartition("seed")[2] for path in folder.iterdir() if path.is_dir()} == {"1", "3"}
    assert set(pd.read_csv(folder / "seeds.csv")["seed"]) == {1, 3}


def test_fewer_trials_leave_no_trial_behind(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["selection"].update(trials={"cnn": 2, "lstm": 2}))
    select(copy, BENCHMARK)
    assert trained == []
    folder = copy.results(BENCHMARK, "select")
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        f"{row.family}-{row.trial:02d}-{row.model}" for row in trials_of(copy).itertuples()
    }


def test_a_longer_fine_tuning_leaves_the_selection_alone(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["finetune"]["schedule"].update(max_epochs=1))
    for stage in (select, finetune):
        stage(copy, BENCHMARK)
    assert sorted(trained) == sorted(finalist["model"] for finalist in selection_of(finished)["finalists"])


def of_one_family(family, models, **selection):
    """Return a change of the parameters that leaves one family, to be searched quickly."""

    def change(params):
        params["benchmarks"][BENCHMARK]["models"] = models
        params["selection"] |= {"finalists": {family: 1}, "trials": {family: 4}} | selection

    return change


def test_a_metric_of_which_less_is_better_selects_the_least(featured, tmp_path):
    change = of_one_family("lstm", ["bilstm_h128_l1", "bilstm_h128_l2"], metric="log_loss", prune_percentile=100.0)
    copy = copy_of(featured, tmp_path / "copy", change)
    select(copy, BENCHMARK)
    trials = trials_of(copy)
    assert trials["valid_log_loss"].nunique() == 4
    (finalist,) = selection_of(copy)["finalists"]
    assert finalist["settings"]["dropout"] == trials.loc[trials["valid_log_loss"].idxmin(), "dropout"]


def test_a_seed_on_which_the_metric_has_no_value_is_refused_in_one_line(finished, tmp_path):
    """A network that has learnt nothing says one word only, and its correlation with the truth has no value."""
    copy = selected_copy(
        finished, tmp_path / "copy", lambda params: params["finetune"]["schedule"].update(max_epochs=1)
    )
    selection = selection_of(copy) | {"metric": "matthews_correlation"}
    for finalist in selection["finalists"]:
        finalist["settings"]["learning_rate"] = 1e-12
    (copy.results(BENCHMARK, "select") / "selection.json").write_text(json.dumps(selection))
    with pytest.raises(InputError) as refused:
        repeat(copy, BENCHMARK)
    assert "\n" not in str(refused.value)


def test_a_diverging_finalist_stops_with_one_line(finished, tmp_path):
    copy = selected_copy(finished, tmp_path / "copy")
    selection = selection_of(copy)
    selection["finalists"][0]["settings"]["learning_rate"] = 1e30
    (copy.results(BENCHMARK, "select") / "selection.json").write_text(json.dumps(selection))
    with pytest.raises(
        InputError, match=f"training {selection['finalists'][0]['model']} with seed .* diverged"
    ) as refused:
        repeat(copy, BENCHMARK)
    assert "\n" not in str(refused.value)


def test_a_diverging_trial_does_not_stop_the_search(featured, tmp_path):
    def change(params):
        of_one_family("cnn", ["resnet18"])(params)
        params["selection"]["space"]["learning_rate"] = {"low": 0.001, "high": 1e30, "log": False}

    copy = copy_of(featured, tmp_path / "copy", change)
    select(copy, BENCHMARK)
    assert trials_of(copy)["state"].tolist() == ["complete", "diverged", "diverged", "diverged"]
    assert selection_of(copy)["finalists"][0]["settings"]["learning_rate"] == 0.001


@pytest.mark.parametrize("stage", [finetune, repeat])
def test_stages_before_selection_name_the_missing_one(featured, stage):
    with pytest.raises(InputError, match=r"selection\.json: run `dvc repro select@gender-tiny` first"):
        stage(featured, BENCHMARK)


@pytest.mark.parametrize("stage", [select, finetune, repeat])
def test_stages_before_features_name_the_missing_one(finished, tmp_path, stage):
    copy = copy_of(finished, tmp_path / "copy")
    shutil.rmtree(copy.features(CORPUS))
    with pytest.raises(InputError, match=r"features@tiny|features tiny"):
        stage(copy, BENCHMARK)


def run_command(workspace, *words, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **options}
    return subprocess.Popen(
        [sys.executable, "-m", "voxbench", *words],
        cwd=workspace.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_when(process, folder, pattern, count):
    """Wait until `count` folders match, then kill the process as the kernel does when memory runs out."""
    deadline = time.monotonic() + 120
    while len([path for path in folder.glob(pattern) if path.suffix != ".partial"]) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_a_killed_pipeline_ends_as_if_it_had_not_been_killed(featured, tmp_path_factory, tmp_path):
    whole = build_finished(tmp_path_factory.getbasetemp())
    copy = copy_of(featured, tmp_path / "copy")
    folder = copy.results(BENCHMARK, "select")
    kill_when(run_command(copy, "select", BENCHMARK), folder, "*-0?-*", 3)
    assert not (folder / "selection.json").exists()
    select(copy, BENCHMARK)
    kill_when(run_command(copy, "repeat", BENCHMARK), copy.results(BENCHMARK, "repeat"), "*-seed?", 3)
    for stage in (finetune, repeat):
        stage(copy, BENCHMARK)
    assert fingerprints(*own(copy)) == fingerprints(*own(whole))


@pytest.fixture
def edited(tmp_path):
    """Return a function that gives a copy of the sources with one passage of one file replaced."""

    def edit(name, old, new):
        package = tmp_path / "src" / "voxbench"
        shutil.copytree(Path(voxbench.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (package / name).write_text(text.replace(old, new), encoding="utf-8")
        return str(package.parent)

    return edit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "name", "old", "new"),
    [
        ("prepare", "audio/cleaning.py", "emphasized[1:] -= ", "emphasized[1:] += "),
        ("features", "features/frontends.py", "0.5 - 0.5 * np.cos(phase)", "0.54 - 0.46 * np.cos(phase)"),
    ],
)
def test_changed_code_is_not_answered_with_old_shards(featured, tmp_path, edited, stage, name, old, new):
    """DVC reruns a stage whose code has changed, but leaves its outputs: the stage itself must redo them."""
    sources = edited(name, old, new)
    kept, fresh = (copy_of(featured, tmp_path / name) for name in ("kept", "fresh"))
    shutil.rmtree(getattr(fresh, "prepared" if stage == "prepare" else "features")(CORPUS))
    for workspace in (kept, fresh):
        process = run_command(workspace, stage, CORPUS, PYTHONPATH=sources)
        assert process.wait(120) == 0, process.communicate()[1]
    folders = [getattr(each, "prepared" if stage == "prepare" else "features")(CORPUS) for each in (kept, fresh)]
    assert fingerprints(folders[0]) == fingerprints(folders[1])
