"""The model registry: who is registered, and who is served."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from stages.pipeline import BENCHMARK, BENCHMARKS, CORPUS, HEIR, models_of
from voxbench.artifacts import read_json
from voxbench.tracking import registry
from voxbench.tracking.registry import CHALLENGER, CHAMPION, Candidate, Served, register
from voxbench.tracking.store import connect


@pytest.fixture(scope="module")
def client(finished):
    store = f"sqlite:///{finished.root / 'mlflow.db'}"
    return MlflowClient(store, registry_uri=store)


METRICS = {BENCHMARK: "valid_accuracy", HEIR: "valid_mae"}


def best_of(finished, name, model):
    folder = finished.models(name) / model
    return pd.read_csv(folder / "history.csv").iloc[read_json(folder / "job.json")["summary"]["best_epoch"]]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_finalist_is_a_version_with_its_run(finished, client, name):
    versions = client.search_model_versions(f"name = '{name}'")
    assert sorted(version.tags["model"] for version in versions) == sorted(models_of(finished))
    for version in versions:
        run = client.get_run(version.run_id)
        assert run.info.run_name == version.tags["model"]
        assert run.data.tags["stage"] == "finetune"
        assert run.info.status == "FINISHED"
        value = best_of(finished, name, version.tags["model"])[METRICS[name]]
        assert float(version.tags["valid_metric"]) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(("name", "sign"), [(BENCHMARK, -1), (HEIR, 1)])
def test_the_champion_is_the_best_on_validation_and_the_first_of_the_ranking(finished, client, name, sign):
    def rank(model):
        best = best_of(finished, name, model)
        return sign * best[METRICS[name]], best["valid_loss"]

    roles = [client.get_model_version_by_alias(name, role).tags["model"] for role in (CHAMPION, CHALLENGER)]
    assert roles == sorted(models_of(finished), key=rank)
    assert roles == [row["model"] for row in read_json(finished.models(name) / "ranking.json")]


@pytest.fixture
def registered(copied, tmp_path, monkeypatch):
    """Return a function that registers (model, metric, loss) rows, each as a version without files."""
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    client = connect(copied.root)
    client.create_registered_model("m")

    def log_version(client, name, candidate, served):
        version = client.create_model_version(name, (tmp_path / candidate.model).as_uri())
        client.set_model_version_tag(name, version.version, "model", candidate.model)
        return str(version.version)

    monkeypatch.setattr(registry, "_log_version", log_version)
    served = Served(Path("a"), Path("b"), None, None)

    def run(*rows, greater=True):
        candidates = [Candidate(model, "tiny", "none", tmp_path, "run", value, loss) for model, value, loss in rows]
        best = register(copied.root, "m", candidates, served, greater)
        roles = {
            role: client.get_model_version(name="m", version=number).tags["model"]
            for role, number in client.get_registered_model("m").aliases.items()
        }
        assert (
            best == min(candidates, key=lambda one: (-one.value if greater else one.value, one.loss, one.model)).model
        )
        return roles

    return run


def test_the_runner_up_is_the_challenger(registered):
    assert registered(("a", 0.8, 0.1), ("b", 0.9, 0.5), ("c", 0.7, 0.1)) == {CHAMPION: "b", CHALLENGER: "a"}


def test_less_is_better_where_the_metric_says_so(registered):
    assert registered(("a", 0.8, 0.1), ("b", 0.9, 0.5), ("c", 0.7, 0.1), greater=False) == {
        CHAMPION: "c",
        CHALLENGER: "a",
    }


def test_ties_go_to_the_lower_loss_and_then_to_the_name(registered):
    assert registered(("a", 0.9, 0.5), ("b", 0.9, 0.2), ("c", 0.9, 0.2)) == {CHAMPION: "b", CHALLENGER: "c"}


def test_a_pipeline_run_moves_both_roles(registered):
    registered(("a", 0.8, 0.1), ("b", 0.9, 0.5))
    assert registered(("d", 0.2, 0.1), ("e", 0.1, 0.5)) == {CHAMPION: "d", CHALLENGER: "e"}


def test_a_pipeline_run_with_one_finalist_leaves_no_challenger_of_before(registered):
    registered(("a", 0.8, 0.1), ("b", 0.9, 0.5))
    assert registered(("d", 0.2, 0.1)) == {CHAMPION: "d"}


def test_an_experiment_does_not_move_the_champion(registered, monkeypatch):
    registered(("a", 0.8, 0.1), ("b", 0.7, 0.5))
    monkeypatch.setenv("DVC_EXP_NAME", "muddy-snail")
    assert registered(("d", 0.99, 0.1), ("e", 0.98, 0.5)) == {CHAMPION: "a", CHALLENGER: "d"}


def test_the_first_of_all_is_served_even_if_it_is_an_experiment(registered, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "muddy-snail")
    assert registered(("d", 0.99, 0.1), ("e", 0.98, 0.5)) == {CHAMPION: "d", CHALLENGER: "e"}


def test_a_version_and_its_run_tell_the_corpus_and_its_licence(finished):
    client = connect(finished.root)
    told = {"corpus": CORPUS, "licence": finished.params.corpus(CORPUS).licence}
    for found in client.search_model_versions(f"name = '{BENCHMARK}'"):
        run = client.get_run(found.run_id)
        assert {key: found.tags[key] for key in told} == {key: run.data.tags[key] for key in told} == told
        assert found.tags["model"] == run.data.tags["model"]


def test_a_version_carries_code_signature_and_pinned_libraries(finished):
    connect(finished.root)
    info = mlflow.models.get_model_info(f"models:/{BENCHMARK}@{CHAMPION}")
    assert info.signature.inputs.input_names() == ["audio"]
    assert info.signature.outputs.input_names()[0] == "label"
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{BENCHMARK}@{CHAMPION}"))
    assert (folder / "code" / "voxbench" / "serving" / "predictor.py").is_file()
    lines = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in lines)
    assert {"torch", "soundfile", "mlflow"} <= {line.partition("==")[0] for line in lines}
    assert not [path for path in folder.rglob("*") if path.suffix == ".pyc"]
