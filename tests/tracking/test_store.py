"""One store for a project and all copies that DVC makes of it."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from voxbench.tracking.store import connect, experiment_id, project_root


@pytest.mark.parametrize(
    ("root", "home"),
    [
        ("/home/ann/voices", "/home/ann/voices"),
        ("/home/ann/voices/.dvc/tmp/exps/standalone/tmpx1", "/home/ann/voices"),
        ("/home/ann/voices/.dvc/tmp/exps/tmpx1", "/home/ann/voices"),
        ("/home/ann/voices/.dvc/tmp/exps/temp/a/b", "/home/ann/voices"),
        ("/home/ann/voices/.dvc/tmp", "/home/ann/voices/.dvc/tmp"),
        ("/home/ann/.dvc/tmp/voices", "/home/ann/.dvc/tmp/voices"),
        ("/exps/tmp/.dvc/voices", "/exps/tmp/.dvc/voices"),
    ],
)
def test_a_copy_leads_to_the_project(root, home):
    assert project_root(Path(root)) == Path(home)


def test_a_copy_uses_the_store_of_the_project(copied):
    copy = copied.root / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx1"
    copy.mkdir(parents=True)
    client = connect(copy)
    assert client.tracking_uri == f"sqlite:///{copied.root / 'mlflow.db'}"
    number = experiment_id(client, copy, "gender-tiny")
    assert number == experiment_id(connect(copied.root), copied.root, "gender-tiny")
    artifacts = client.get_experiment(number).artifact_location
    assert artifacts == (copied.root / "mlruns" / "gender-tiny").as_uri()
    assert not (copy / "mlflow.db").exists()


def test_a_relative_folder_is_the_same_project(copied, monkeypatch):
    monkeypatch.chdir(copied.root)
    assert connect(Path(".")).tracking_uri == f"sqlite:///{copied.root / 'mlflow.db'}"


def test_the_store_can_be_elsewhere(copied, tmp_path, monkeypatch):
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    (tmp_path / "elsewhere.db").write_bytes((copied.root / "mlflow.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    client = connect(copied.root)
    assert client.tracking_uri == elsewhere == mlflow.get_tracking_uri() == mlflow.get_registry_uri()
    experiment_id(client, copied.root, "there")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert connect(copied.root).get_experiment_by_name("there") is None


def test_two_projects_in_one_process_have_two_stores(copied, featured):
    for root in (copied.root, featured.root, copied.root):
        assert connect(root).tracking_uri == mlflow.get_tracking_uri() == f"sqlite:///{root / 'mlflow.db'}"


def test_connecting_leaves_nothing_for_child_processes_to_inherit(copied, monkeypatch):
    """MLflow exports both addresses; a child of another project would follow them."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    connect(copied.root)
    assert [os.environ.get(name) for name in names] == [None, None]


def test_an_experiment_is_created_once(copied):
    client = connect(copied.root)
    first = experiment_id(client, copied.root, "a")
    assert first == experiment_id(client, copied.root, "a") != experiment_id(client, copied.root, "b")
    assert client.get_experiment(first).name == "a"


@pytest.mark.slow
def test_four_processes_at_once_create_one_store(tmp_path):
    words = (
        "import sys; from pathlib import Path; from voxbench.tracking.store import connect, experiment_id; "
        "root = Path(sys.argv[1]); print('ready', flush=True); input(); client = connect(root); "
        "print(experiment_id(client, root, 'one'))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen([sys.executable, "-c", words, str(tmp_path)], env=environment, text=True, **pipes)
        for _ in range(4)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 1
    assert len(connect(tmp_path).search_experiments(filter_string="name = 'one'")) == 1
