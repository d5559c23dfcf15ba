"""How long epochs took: kept beside the jobs, measured once, and of no weight in what the jobs are."""

from dataclasses import replace

import pytest

from stages.pipeline import fingerprints
from training.recipes import KilledError, job, killed_in, load, recipe, schedule
from voxbench.artifacts import read_json
from voxbench.training.fit import fit
from voxbench.training.jobs import job_digest, run_jobs, seconds_file
from voxbench.training.module import TrainingModule


@pytest.fixture
def one(featured, tmp_path):
    """Return a job of three epochs that leaves checkpoints."""
    plan = recipe(featured, epochs=3)
    kept = replace(plan, schedule=schedule(max_epochs=3, checkpoints=True))
    return job(featured, tmp_path / "jobs" / "a", kept)


def timed(one, folder):
    (finished,) = run_jobs([one], 1, folder)
    return finished, read_json(seconds_file(folder, one))


def test_each_epoch_is_timed_and_no_more_than_the_run_took(one, tmp_path):
    finished, found = timed(one, tmp_path / "seconds")
    assert set(found) == {"seconds", "workers"}
    assert found["workers"] == 1
    assert len(found["seconds"]) == len(finished.history) == 3
    assert all(seconds > 0 for seconds in found["seconds"])
    assert sum(found["seconds"]) < finished.seconds


def test_an_epoch_that_waits_takes_longer(one, tmp_path, monkeypatch):
    clock, start = [0.0], TrainingModule.on_train_epoch_start
    monkeypatch.setattr("voxbench.training.record.time.monotonic", lambda: clock[0])

    def wait(module):
        clock[0] += 10.0 * (1 + module.current_epoch)
        start(module)

    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", wait)
    assert timed(one, tmp_path / "seconds")[1]["seconds"] == [10.0, 20.0, 30.0]


def test_a_job_that_is_kept_keeps_its_times(one, tmp_path):
    timed(one, tmp_path / "seconds")
    before = fingerprints(tmp_path / "seconds")
    finished, _ = timed(one, tmp_path / "seconds")
    assert finished.seconds is None
    assert fingerprints(tmp_path / "seconds") == before


def test_a_clock_changes_no_byte_of_a_job_and_is_none_without_being_asked_for(one, tmp_path):
    timed(one, tmp_path / "seconds")
    other = replace(one, folder=tmp_path / "other" / "a")
    list(run_jobs([other], 1))
    assert fingerprints(one.folder) == fingerprints(other.folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "other", "seconds"]


def test_a_run_that_was_cut_off_has_the_times_of_all_its_epochs(featured, one, tmp_path, monkeypatch):
    data = load(featured, one.recipe)
    place = one.folder.with_name("a.partial") / job_digest(one, data.features_digest)
    with pytest.raises(KilledError):
        fit(one.recipe, data, one.metric, None, killed_in(2), place)
    epochs, start = [], TrainingModule.on_train_epoch_start
    monkeypatch.setattr(
        TrainingModule, "on_train_epoch_start", lambda module: epochs.append(module.current_epoch) or start(module)
    )
    _, found = timed(one, tmp_path / "seconds")
    assert epochs == [2]
    assert len(found["seconds"]) == 3
