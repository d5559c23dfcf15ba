"""MLflow runs mirror what the stages wrote: parents, children, names, settings, curves, tags, files."""

import json
import socket

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from stages.pipeline import BENCHMARK, CORPUS, HEIR, copy_of, models_of
from training.recipes import job, recipe
from voxbench.stages.repeat import repeat
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Finished, run_jobs

CURVES = {
    "train_loss": "train/loss",
    "valid_loss": "valid/loss",
    "valid_accuracy": "valid/accuracy",
    "learning_rate": "optimizer/learning_rate",
}
STAGES = ["select", "finetune", "repeat", "ablate"]


@pytest.fixture(scope="module")
def client(finished):
    return MlflowClient(f"sqlite:///{finished.root / 'mlflow.db'}")


@pytest.fixture(scope="module")
def runs(client):
    """Return all runs of the finished pipeline by name, the latest first."""
    experiment = client.get_experiment_by_name(BENCHMARK)
    return client.search_runs([experiment.experiment_id], max_results=1000)


def parent_of(runs, stage):
    (parent,) = (run for run in runs if run.info.run_name == stage)
    return parent


def children_of(runs, stage):
    number = parent_of(runs, stage).info.run_id
    return {run.info.run_name: run for run in runs if run.data.tags.get("mlflow.parentRunId") == number}


def folders_of(finished, stage):
    folder = finished.models(BENCHMARK) if stage == "finetune" else finished.results(BENCHMARK, stage)
    return {path.name: path for path in folder.iterdir() if path.is_dir()}


@pytest.mark.parametrize("stage", STAGES)
def test_each_training_run_is_a_child_of_its_stage(finished, runs, stage):
    names = {name.replace(" ", "-") for name in children_of(runs, stage)}
    assert names == set(folders_of(finished, stage))
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == len(STAGES) + 6 + 2 + 6 + 8


@pytest.mark.parametrize("stage", STAGES)
def test_a_child_holds_its_curve_its_best_epoch_and_its_settings(finished, client, runs, stage):
    for name, run in children_of(runs, stage).items():
        folder = folders_of(finished, stage)[name.replace(" ", "-")]
        history = pd.read_csv(folder / "history.csv")
        summary = json.loads((folder / "job.json").read_text())["summary"]
        for column, curve in CURVES.items():
            points = client.get_metric_history(run.info.run_id, curve)
            assert {point.step: point.value for point in points} == dict(enumerate(history[column])), column
        best = history.iloc[summary["best_epoch"]]
        assert run.data.metrics["best/valid_loss"] == best["valid_loss"]
        assert run.data.metrics["best/epoch"] == summary["best_epoch"]
        assert run.data.metrics["time/seconds"] > 0
        assert run.data.tags["initial"] == summary["initial"] == "random"
        assert run.data.tags["family"] == ("lstm" if "lstm" in run.data.params["model"] else "cnn")
        assert run.data.params["training.batch_size"] == "8"
        assert run.data.params["schedule.max_epochs"] == "2"
        assert run.data.params["model"] == run.data.tags["model"]
        assert run.data.params["model"] in name
        assert int(run.data.params["parameters"]) == summary["parameters"]
        assert int(run.data.params["multiply_adds"]) == summary["multiply_adds"]
        assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"history.csv", "scores.parquet"}


def test_a_trials_own_settings_are_logged_and_not_the_base(finished, runs):
    trials = pd.read_csv(finished.results(BENCHMARK, "select") / "trials.csv")
    children = children_of(runs, "select")
    assert trials["dropout"].nunique() > 1
    for row in trials.itertuples():
        run = children[f"{row.family} {row.trial:02d} {row.model}"]
        assert float(run.data.params["training.dropout"]) == row.dropout
        assert float(run.data.params["training.learning_rate"]) == row.learning_rate
        assert run.data.tags["state"] == row.state


def test_tags_lead_back_to_code_and_data(finished, runs):
    about = json.loads((finished.features(CORPUS) / "features.json").read_text())
    for run in runs:
        assert run.data.tags["benchmark"] == BENCHMARK
        assert {"git.revision", "git.changed", "dvc.lock"} <= run.data.tags.keys()
        assert run.data.tags["dvc.experiment"] == "none"
    for run in children_of(runs, "repeat").values():
        job_json = folders_of(finished, "repeat")[run.info.run_name] / "job.json"
        assert run.data.tags["features.digest"] == json.loads(job_json.read_text())["summary"]["features_digest"]
    assert len({run.data.tags["features.digest"] for run in children_of(runs, "repeat").values()}) == len(
        set(about) - {"licence", "wave"}
    )


def test_test_metrics_of_a_seed_are_those_of_the_table(finished, runs):
    seeds = pd.read_csv(finished.results(BENCHMARK, "repeat") / "seeds.csv")
    for row in seeds.to_dict("records"):
        run = children_of(runs, "repeat")[f"{row['model']}-seed{row['seed']}"]
        assert run.data.params["seed"] == str(row["seed"])
        for name in ("accuracy", "log_loss", "roc_auc"):
            assert run.data.metrics[f"test/{name}"] == row[name]


def test_no_run_of_selection_or_fine_tuning_knows_a_test_metric(runs):
    for stage in ("select", "finetune"):
        for run in children_of(runs, stage).values():
            assert not [name for name in run.data.metrics if "test" in name]


def test_a_stage_holds_its_parameters_its_outcome_and_its_tables(finished, client, runs):
    selection = parent_of(runs, "select")
    assert selection.data.params["selection.schedule.max_epochs"] == "2"
    assert selection.data.params["selection.round_size"] == "2"
    assert selection.data.params["study.trials.cnn"] == "3"
    assert selection.data.tags["finalists"] == ", ".join(models_of(finished))
    assert parent_of(runs, "finetune").data.tags["champion"] in models_of(finished)
    repetition, ablation = parent_of(runs, "repeat"), parent_of(runs, "ablate")
    assert ablation.data.params["ablation.seeds"] == "[1, 2]"
    tables = [client.list_artifacts(run.info.run_id, "tables") for run in (repetition, ablation)]
    assert {file.path for file in tables[0]} == {"tables/seeds.csv", "tables/significance.csv"}
    assert {file.path for file in tables[1]} == {"tables/comparison.csv"}
    means = pd.read_csv(finished.results(BENCHMARK, "repeat") / "seeds.csv").groupby("model")["accuracy"]
    for model, own in means:
        assert repetition.data.metrics[f"test_accuracy_mean/{model}"] == pytest.approx(own.mean())
        assert repetition.data.metrics[f"test_accuracy_std/{model}"] == pytest.approx(own.std())


def test_a_variants_run_says_which_it_is_and_what_it_changed(finished, runs):
    rows = pd.read_csv(finished.results(BENCHMARK, "ablate") / "variants.csv")
    children = children_of(runs, "ablate")
    for row in rows[rows["variant"] != "base"].to_dict("records"):
        run = children[f"{row['model']}-{row['variant']}-seed{row['seed']}"]
        assert run.data.tags["variant"] == row["variant"]
        assert run.data.metrics["test/accuracy"] == row["accuracy"]
        noise = "[0.0, 20.0]" if row["variant"] == "noise" else "None"
        assert run.data.params["training.augmentation.noise_snr_db"] == noise


def test_an_heir_has_runs_of_its_own_and_no_study(client, finished):
    runs = client.search_runs([client.get_experiment_by_name(HEIR).experiment_id], max_results=1000)
    parents = {run.info.run_name for run in runs if "mlflow.parentRunId" not in run.data.tags}
    assert parents == {"finetune", "repeat", "ablate"}
    assert len(runs) == 3 + 2 + 6 + 8
    assert parent_of(runs, "finetune").data.params["benchmark.select_from"] == BENCHMARK


def test_an_experiments_runs_bear_its_name(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "muddy-snail")
    copy = copy_of(finished, tmp_path / "copy")
    repeat(copy, BENCHMARK)
    client = MlflowClient(f"sqlite:///{copy.root / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name(BENCHMARK).experiment_id])
    assert [run.info.run_name for run in found if "mlflow.parentRunId" not in run.data.tags] == ["repeat (muddy-snail)"]
    assert {run.data.tags["dvc.experiment"] for run in found} == {"muddy-snail"}
    assert not any("time/seconds" in run.data.metrics for run in found if "mlflow.parentRunId" in run.data.tags), (
        "all kept"
    )


def test_a_stage_that_fails_is_marked_so(copied):
    def fail():
        with open_stage(copied.root, BENCHMARK, "select", {"training": copied.params.training}):
            raise KeyError("any")

    with pytest.raises(KeyError, match="any"):
        fail()
    client = MlflowClient(f"sqlite:///{copied.root / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name(BENCHMARK).experiment_id])
    assert run.info.status == "FAILED"


def test_what_has_no_value_is_left_out_and_words_become_tags(copied, tmp_path):
    (finished,) = run_jobs([job(copied, tmp_path / "a", recipe(copied, epochs=1))], 1)
    history = finished.history.assign(valid_matthews_correlation=float("nan"))
    history.to_csv(finished.job.folder / "history.csv", index=False)
    with open_stage(copied.root, BENCHMARK, "any", {}) as stage:
        number = stage.log_job("a", finished, {"state": "complete", "test/accuracy": 0.5, "test/roc_auc": None})
    run = MlflowClient(f"sqlite:///{copied.root / 'mlflow.db'}").get_run(number)
    assert run.data.tags["state"] == "complete"
    assert run.data.metrics["test/accuracy"] == 0.5
    absent = {"test/roc_auc", "valid/matthews_correlation", "best/valid_matthews_correlation"}
    assert not absent & run.data.metrics.keys()


def test_a_curve_longer_than_one_call_may_carry_is_whole(copied, tmp_path):
    (finished,) = run_jobs([job(copied, tmp_path / "a", recipe(copied, epochs=1))], 1)
    history = pd.concat([finished.history] * 150, ignore_index=True).assign(epoch=range(150))
    history["valid_loss"] = [1 / (epoch + 1) for epoch in range(150)]
    history.to_csv(finished.job.folder / "history.csv", index=False)
    assert history.size > 1000
    with open_stage(copied.root, BENCHMARK, "any", {}) as stage:
        number = stage.log_job("a", Finished(finished.job, 149, False, 0, 1, 10, "random", "f", None), {})
    client = MlflowClient(f"sqlite:///{copied.root / 'mlflow.db'}")
    points = client.get_metric_history(number, "valid/loss")
    assert {point.step: point.value for point in points} == dict(enumerate(history["valid_loss"]))


def test_runs_of_a_process_that_is_gone_are_marked_as_killed(tmp_path, monkeypatch):
    with open_stage(tmp_path, "gender-tiny", "select", {}) as alive:
        client = alive.client
        gone = client.create_run(alive.experiment, tags={"process": f"{socket.gethostname()}:{2**22 + 1}"})
        elsewhere = client.create_run(alive.experiment, tags={"process": "another-host:1"})
        with open_stage(tmp_path, "gender-tiny", "repeat", {}):
            statuses = [
                client.get_run(run).info.status for run in (gone.info.run_id, elsewhere.info.run_id, alive.run_id)
            ]
    assert statuses == ["KILLED", "RUNNING", "RUNNING"]
