"""The stages together: running again changes nothing, wherever the first run was cut off."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import voxbench
from stages.pipeline import (
    BENCHMARK,
    CORPUS,
    build_finished,
    copy_of,
    fingerprints,
    folders_of,
    models_of,
    own,
    run_all,
)
from voxbench.schema import InputError
from voxbench.stages.ablate import ablate
from voxbench.stages.finetune import finetune
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select


def test_a_second_run_trains_nothing_and_changes_no_byte(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy")
    run_all(copy)
    assert trained == []
    assert fingerprints(*folders_of(copy)) == fingerprints(*folders_of(finished))


@pytest.mark.slow
def test_from_scratch_the_same_bytes_come_out(featured, finished, tmp_path):
    copy = copy_of(featured, tmp_path / "copy")
    run_all(copy)
    assert fingerprints(*folders_of(copy)) == fingerprints(*folders_of(finished))


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(featured, finished, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["parallel"].update(workers=2))
    run_all(copy)
    assert fingerprints(*folders_of(copy)) == fingerprints(*folders_of(finished))


def test_outputs_hold_no_folder_of_this_machine(finished):
    for folder in folders_of(finished):
        for path in filter(lambda path: path.is_file(), folder.rglob("*")):
            assert str(finished.root).encode() not in path.read_bytes(), path


def test_a_longer_fine_tuning_leaves_the_selection_alone(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["finetune"]["schedule"].update(max_epochs=1))
    for stage in (select, finetune):
        stage(copy, BENCHMARK)
    assert sorted(trained) == sorted(models_of(finished))


@pytest.mark.parametrize("stage", [select, finetune, repeat, ablate])
def test_stages_before_features_name_the_missing_one(finished, tmp_path, stage):
    copy = copy_of(finished, tmp_path / "copy")
    shutil.rmtree(copy.features(CORPUS))
    with pytest.raises(InputError, match=r"run `dvc repro features@tiny` first"):
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
    folders = own(copy)
    kill_when(run_command(copy, "select", BENCHMARK), folders["select"], "*-0?-*", 3)
    assert not (folders["select"] / "selection.json").exists()
    select(copy, BENCHMARK)
    kill_when(run_command(copy, "repeat", BENCHMARK), folders["repeat"], "*-seed?", 3)
    repeat(copy, BENCHMARK)
    kill_when(run_command(copy, "ablate", BENCHMARK), folders["ablate"], "*-seed?", 3)
    for stage in (finetune, ablate):
        stage(copy, BENCHMARK)
    assert fingerprints(*own(copy).values()) == fingerprints(*own(whole).values())


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
        ("prepare", "audio/cleaning.py", "emphasized[1:] += ", "emphasized[1:] -= "),
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
