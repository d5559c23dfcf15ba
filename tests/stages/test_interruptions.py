"""Preparation and features on processes, on a cluster, and when they are killed or the disk is full: the same bytes."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from stages.pipeline import CORPUS, copy_of, fingerprints
from tiny import tiny_params, write_params, write_table_corpus
from voxbench.artifacts import read_json
from voxbench.cli import main
from voxbench.features import store
from voxbench.features.store import RaggedStore, read_notes
from voxbench.stages.features import features
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import open_workspace

SHARDS = 12


def in_small_shards(params):
    params["parallel"] |= {"rows_per_shard": 4, "workers": 2}


def project(root, change=in_small_shards):
    """Return a workspace whose corpus of 48 recordings is not yet prepared."""
    params = tiny_params()
    change(params)
    write_table_corpus(root / "raw")
    return open_workspace(write_params(root, params))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the outputs of a run that nothing disturbed."""
    workspace = project(tmp_path_factory.mktemp("undisturbed"))
    prepare(workspace, CORPUS)
    features(workspace, CORPUS)
    return outputs(workspace)


def outputs(workspace):
    return fingerprints(workspace.prepared(CORPUS)) | fingerprints(workspace.features(CORPUS))


def start(workspace, stage, **popen):
    command = [sys.executable, "-m", "voxbench", "--params", str(workspace.root / "params.yaml"), stage, CORPUS]
    return subprocess.Popen(command, start_new_session=True, text=True, stderr=subprocess.PIPE, **popen)


def whole_shards(folder):
    return sorted(folder.rglob("shard-*.arrow"))


def kill_when(process, folder, count):
    """Kill the process and its workers once `count` shards are there."""
    deadline = time.monotonic() + 120
    while len(whole_shards(folder)) < count and process.poll() is None:
        assert time.monotonic() < deadline, "the stage makes no progress"
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 6])
def test_what_was_finished_before_a_kill_is_whole_and_not_done_again(tmp_path, undisturbed, count):
    workspace = project(tmp_path)
    for stage, folder in (("prepare", workspace.prepared(CORPUS)), ("features", workspace.features(CORPUS))):
        kill_when(start(workspace, stage), folder, count)
        finished = {path: path.stat().st_mtime_ns for path in whole_shards(folder)}
        assert len(finished) >= count
        assert all(len(RaggedStore(path.parent, path.name)) == 4 and read_notes(path) for path in finished)
        assert start(workspace, stage).wait() == 0
        assert {path: path.stat().st_mtime_ns for path in finished} == finished
        assert not list(folder.rglob("*.partial"))
    assert outputs(workspace) == undisturbed


@pytest.mark.slow
def test_a_killed_worker_process_loses_nothing(tmp_path, undisturbed):
    """The stage's own processes are killed, not the stage: it says so, and goes on when called again."""
    workspace = project(tmp_path)
    stage, folder = start(workspace, "prepare"), workspace.prepared(CORPUS)
    while not whole_shards(folder) and stage.poll() is None:
        time.sleep(0.002)
    subprocess.run(["pkill", "-KILL", "-P", str(stage.pid), "-f", "LokyProcess"], check=False)
    said = stage.communicate()[1]
    if stage.returncode:
        assert stage.returncode == 2
        assert any(line.startswith("voxbench prepare: a worker process was killed") for line in said.splitlines())
    prepare(workspace, CORPUS)
    features(workspace, CORPUS)
    assert outputs(workspace) == undisturbed


@pytest.mark.slow
def test_a_dask_cluster_writes_the_same_bytes_and_loses_nothing_with_a_worker(tmp_path, undisturbed):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:

        def on_the_cluster(params):
            in_small_shards(params)
            params["parallel"] |= {"backend": "dask", "scheduler": cluster.scheduler_address}

        workspace = project(tmp_path, on_the_cluster)
        stage, folder = start(workspace, "prepare"), workspace.prepared(CORPUS)
        while not whole_shards(folder) and stage.poll() is None:
            time.sleep(0.002)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        assert stage.wait() == 0, stage.stderr.read()
        features(workspace, CORPUS)
    assert outputs(workspace) == undisturbed


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that mounts a disk of so many kilobytes, where that is allowed."""
    mounted = []

    def mount(place: Path, kilobytes: int) -> None:
        place.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small disk is not allowed here")
        mounted.append(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("stage", ["prepare", "features"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_line_and_what_was_finished_is_kept(
    tmp_path, undisturbed, small_disk, capfd, stage, workers
):
    def change(params):
        in_small_shards(params)
        params["parallel"]["workers"] = workers

    workspace = project(tmp_path, change)
    if stage == "features":
        prepare(workspace, CORPUS)
    folder = workspace.prepared(CORPUS) if stage == "prepare" else workspace.features(CORPUS)
    small_disk(folder, 400)
    capfd.readouterr()
    command = ["--params", str(workspace.root / "params.yaml"), stage, CORPUS]
    assert main(command) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith(f"voxbench {stage}: no space is left on the disk")
    assert "finished work is kept: free space and run the command again" in line
    finished = {path: path.stat().st_mtime_ns for path in whole_shards(folder)}
    assert 0 < len(finished) < SHARDS * (1 if stage == "prepare" else 2)
    assert not list(folder.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    features(workspace, CORPUS)
    assert outputs(workspace) == undisturbed


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path, capfd, monkeypatch):
    workspace = project(tmp_path)

    def locked(*_):
        raise PermissionError(13, "Permission denied", str(workspace.prepared(CORPUS)))

    monkeypatch.setattr(store.os, "fsync", locked)
    write_params(tmp_path, tiny_params())
    capfd.readouterr()
    assert main(["--params", str(tmp_path / "params.yaml"), "prepare", CORPUS]) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line == (
        f"voxbench prepare: Permission denied ({workspace.prepared(CORPUS)}): "
        "allow writing there, or work in a copy of the project"
    )


def test_the_size_of_shards_changes_no_number(tmp_path, featured):
    """Neither does the size of batches within them."""
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["parallel"].update(rows_per_shard=7))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "BATCH_VALUES", 20_000)
        prepare(copy, CORPUS)
        features(copy, CORPUS)
    manifests = [each.prepared(CORPUS) / "manifest.parquet" for each in (featured, copy)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()
    about = [read_json(each.features(CORPUS) / "features.json") for each in (featured, copy)]
    for kind in ("spectrogram", "cepstra"):
        for number in ("mean", "std"):
            assert about[0][kind][number] == about[1][kind][number]
        before, after = (RaggedStore(each.features(CORPUS) / kind) for each in (featured, copy))
        assert before.ids == after.ids
        assert all((one == two).all() for one, two in zip(before, after, strict=True))
    before, after = (RaggedStore(each.prepared(CORPUS)) for each in (featured, copy))
    assert all((one == two).all() for one, two in zip(before, after, strict=True))
