"""The tiny pipeline, computed once and copied for those who change it."""

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from tiny import tiny_workspace, write_params
from voxbench.features.store import RaggedStore, read_notes, write_shard
from voxbench.stages.ablate import ablate
from voxbench.stages.cross import cross
from voxbench.stages.features import features
from voxbench.stages.finetune import finetune
from voxbench.stages.prepare import prepare
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tracking.store import connect
from voxbench.training.jobs import Finished

CORPUS, BENCHMARK, HEIR = "tiny", "gender-tiny", "age-tiny"
BENCHMARKS = (BENCHMARK, HEIR)
STORE = "mlflow.db"


@cache
def build_featured(base: Path) -> Workspace:
    """Prepare the tiny corpus and its features, beside an empty MLflow store."""
    torch.set_num_threads(1)
    workspace = tiny_workspace(base / "featured")
    connect(workspace.root)
    prepare(workspace, CORPUS)
    features(workspace, CORPUS)
    return workspace


@cache
def build_finished(base: Path) -> Workspace:
    """Go through the whole pipeline but for the report."""
    workspace = copy_of(build_featured(base), base / "finished")
    run_all(workspace)
    return workspace


def run_all(workspace: Workspace) -> None:
    """Run every stage from selection to the crossing of corpora."""
    select(workspace, BENCHMARK)
    for name in BENCHMARKS:
        for stage in (finetune, repeat, ablate):
            stage(workspace, name)
    cross(workspace)


def own(workspace: Workspace, name: str = BENCHMARK) -> dict[str, Path]:
    """Return the folders whose bytes the stages of a benchmark answer for, by stage."""
    return {
        "select": workspace.results(BENCHMARK, "select"),
        "finetune": workspace.models(name),
        "repeat": workspace.results(name, "repeat"),
        "ablate": workspace.results(name, "ablate"),
    }


def folders_of(workspace: Workspace) -> list[Path]:
    """Return every folder that `run_all` wrote, but for the MLflow store."""
    found = {folder: None for name in BENCHMARKS for folder in own(workspace, name).values()}
    return [*found, workspace.results("cross", "")]


def selection_of(workspace: Workspace) -> dict:
    return json.loads((workspace.results(BENCHMARK, "select") / "selection.json").read_text())


def models_of(workspace: Workspace) -> list[str]:
    """Return the names of the finalists, in the order of selection."""
    return [finalist["model"] for finalist in selection_of(workspace)["finalists"]]


def write_selection(workspace: Workspace, selection: dict) -> None:
    (workspace.results(BENCHMARK, "select") / "selection.json").write_text(json.dumps(selection))


def selected_copy(finished: Workspace, root: Path, change=lambda params: None) -> Workspace:
    """Copy a finished workspace without what the stages after selection wrote."""
    copy = copy_of(finished, root, change)
    for name in BENCHMARKS:
        for stage, folder in own(copy, name).items():
            if stage != "select":
                shutil.rmtree(folder)
    return copy


def copy_of(workspace: Workspace, root: Path, change=lambda params: None) -> Workspace:
    """Copy a project folder, change its parameters, and give it an empty MLflow store.

    The store that comes with it would lead back: it names the folder of its artifacts.
    """
    shutil.copytree(workspace.root, root, ignore=shutil.ignore_patterns(STORE, "mlruns", ".mlflow.lock"))
    empty = next(folder for folder in (workspace.root, workspace.root.parent / "featured") if folder.name == "featured")
    shutil.copy(empty / STORE, root / STORE)
    params = YAML(typ="safe").load((root / "params.yaml").read_text(encoding="utf-8"))
    change(params)
    return open_workspace(write_params(root, params))


def fingerprints(*folders: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below some folders."""
    return {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rewrite_features(workspace: Workspace, kind: str, change) -> None:
    """Replace the stored features of each recording by `change(id, features)`, under an unchanged digest."""
    folder = workspace.features(CORPUS) / kind
    for path in sorted(folder.glob("shard-*.arrow")):
        store, notes = RaggedStore(folder, path.name), read_notes(path)
        arrays = [change(row_id, values.copy()) for row_id, values in zip(store.ids, store, strict=True)]
        write_shard(path.with_suffix(".new"), store.ids, arrays, store.scales.tolist(), notes)
        path.with_suffix(".new").replace(path)


def manifest_of(workspace: Workspace) -> pd.DataFrame:
    return pd.read_parquet(workspace.prepared(CORPUS) / "manifest.parquet")


@pytest.fixture(scope="session")
def featured(tmp_path_factory):
    """Return the tiny workspace with features; read it only."""
    return build_featured(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the tiny workspace with everything but the report; read it only."""
    return build_finished(tmp_path_factory.getbasetemp())


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


@pytest.fixture
def copied(featured, tmp_path):
    """Return a copy of the featured workspace that a test may change."""
    return copy_of(featured, tmp_path / "copy")
