"""Jobs: done once, redone when anything that decides has changed, the same however they are run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.numpy import load_file
from safetensors.torch import save_file

from stages.pipeline import fingerprints, rewrite_features
from training.recipes import CNN, SMALL_CNN, KilledError, job, killed_in, load, recipe, run, schedule
from voxbench.artifacts import read_json
from voxbench.schema import InputError, Split
from voxbench.training import jobs as jobs_module
from voxbench.training.fit import fit
from voxbench.training.jobs import discard_others, finished_before, job_digest, refuse_diverged, run_jobs
from voxbench.training.module import TrainingModule
from voxbench.training.pruning import FrozenHistory

PROMISED = {"job.json", "history.csv", "scores.parquet"}


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture
def quick(featured, tmp_path):
    """Return a function that makes one short job."""
    return lambda name="a", **changes: job(featured, tmp_path / "jobs" / name, recipe(featured, epochs=1, **changes))


def test_a_job_leaves_what_it_promises(quick):
    one = replace(quick(), scored=(Split.VALID, Split.TEST), keep_weights=True)
    (finished,) = run([one])
    assert {path.name for path in one.folder.iterdir()} == PROMISED | {"weights.safetensors"}
    assert [path.name for path in one.folder.parent.iterdir()] == ["a"]
    data = one.source.load(one.recipe)
    scores = finished.scores
    expected = [row_id for split in one.scored for row_id in data.split(split)["id"]]
    assert scores["id"].tolist() == expected
    assert {"id", "speaker", "session", "gender", "split", "truth", "p_female", "p_male"} == set(scores.columns)
    assert [("female", "male")[truth] for truth in scores["truth"]] == scores["gender"].tolist()
    fitted = fit(one.recipe, data, one.metric, None)
    assert finished.history.to_dict("records") == [
        pytest.approx(
            {name: math.nan if value is None else value for name, value in epoch.items()}, rel=1e-15, nan_ok=True
        )
        for epoch in fitted.history
    ]
    stored = load_file(one.folder / "weights.safetensors")
    assert all(np.array_equal(stored[name], value.numpy()) for name, value in fitted.network.state_dict().items())
    assert finished.parameters == sum(value.numel() for value in fitted.network.parameters())


def test_unasked_weights_are_not_kept_and_unasked_splits_not_scored(quick):
    (finished,) = run([quick()])
    assert {path.name for path in finished.job.folder.iterdir()} == PROMISED
    assert set(finished.scores["split"]) == {"valid"}


def test_a_finished_job_is_not_redone(quick):
    one = quick()
    (first,) = run([one])
    before = stamps(one.folder)
    (second,) = run([one])
    assert stamps(one.folder) == before
    assert (first.seconds is None, second.seconds is None) == (False, True)
    assert replace(first, seconds=None) == second


def test_a_job_without_its_record_is_redone(quick):
    one = quick()
    run([one])
    before = fingerprints(one.folder)
    (one.folder / "job.json").unlink()
    assert run([one])[0].seconds is not None
    assert fingerprints(one.folder) == before


def test_results_come_in_the_order_of_the_jobs(quick):
    wanted = [quick("long"), quick("b", seed=2), quick("c", seed=3), quick("d", seed=4)]
    run([wanted[1], wanted[3]])
    results = run(wanted)
    assert [one.job.folder.name for one in results] == ["long", "b", "c", "d"]
    assert [one.seconds is None for one in results] == [False, True, False, True]


def test_results_come_as_they_become_ready(quick):
    results = run_jobs([quick("a"), quick("b", seed=2)], 1)
    next(results)
    assert not (quick("b").folder / "job.json").exists()
    results.close()
    assert [one.seconds is None for one in run([quick("a"), quick("b", seed=2)])] == [True, False]


def test_jobs_that_share_a_pruning_history_do_not_hear_of_each_other(featured, tmp_path):
    """One worker gets the very object that two workers would get copies of."""
    curves = ((0.4, 0.7),)
    alone, shared = (FrozenHistory(curves, False, 50.0, 0) for _ in range(2))
    one = recipe(featured, epochs=2, per_class=None, seed=1, learning_rate=0.01)
    two = recipe(featured, epochs=2, per_class=None, seed=1, learning_rate=1e-6)
    ask = {"metric": "log_loss"}
    (single,) = run([job(featured, tmp_path / "alone", two, pruning=alone, **ask)])
    assert single.pruned, "what does not learn must be pruned"
    _, second = run(
        [job(featured, tmp_path / name, each, pruning=shared, **ask) for name, each in (("one", one), ("two", two))]
    )
    assert second.pruned
    assert (
        fingerprints(second.job.folder).items()
        == {name.replace("alone", "two"): value for name, value in fingerprints(single.job.folder).items()}.items()
    )


def four_jobs(featured, root):
    history = FrozenHistory(((0.5, 0.9), (0.6, 0.8)), True, 50.0, 0)
    models = (CNN, "bilstm_h128_l1", "bilstm_h128_l1", "mobilenet_v2")
    return [
        job(
            featured,
            root / f"{number}-{model}",
            recipe(featured, model, seed=number),
            keep_weights=True,
            pruning=history,
        )
        for number, model in enumerate(models)
    ]


@pytest.mark.slow
def test_the_number_of_workers_changes_no_bit_and_no_order(featured, tmp_path):
    results = {}
    for workers in (1, 2):
        jobs = four_jobs(featured, tmp_path / str(workers) / "jobs")
        assert [one.job for one in run(jobs, workers)] == jobs
        results[workers] = fingerprints(tmp_path / str(workers) / "jobs")
    assert len(results[1]) == 16
    assert results[1] == results[2]


def test_what_a_kill_left_behind_is_taken_over_and_leaves_no_trace(quick, tmp_path):
    one = replace(quick(), recipe=replace(quick().recipe, schedule=schedule(max_epochs=2, checkpoints=True)))
    clean = replace(one, folder=tmp_path / "clean" / "a")
    run([clean])
    left = one.folder.with_name("a.partial")
    (left / "0123456789abcdef").mkdir(parents=True)
    (left / "0123456789abcdef" / "last.ckpt").write_bytes(b"of another recipe")
    (left / "weights.safetensors").write_bytes(b"of a job that kept them")
    (left / "history.csv").write_text("half a li")
    run([one])
    assert fingerprints(one.folder) == fingerprints(clean.folder)
    assert not left.exists()


def test_a_killed_job_goes_on_from_its_checkpoint(featured, quick, tmp_path, monkeypatch):
    kept = schedule(max_epochs=3, checkpoints=True)
    one = replace(quick(), recipe=replace(quick().recipe, schedule=kept), keep_weights=True)
    whole = replace(one, folder=tmp_path / "whole" / "a")
    run([whole])
    data = load(featured, one.recipe)
    wanted = job_digest(one, data.features_digest)
    with pytest.raises(KilledError):
        fit(one.recipe, data, one.metric, None, killed_in(2), one.folder.with_name("a.partial") / wanted)
    epochs, start = [], TrainingModule.on_train_epoch_start
    monkeypatch.setattr(
        TrainingModule, "on_train_epoch_start", lambda module: epochs.append(module.current_epoch) or start(module)
    )
    discard_others(one.folder.parent, [one])
    run([one])
    assert epochs == [2]
    assert fingerprints(one.folder) == fingerprints(whole.folder)


def test_a_job_that_fails_leaves_no_finished_folder(quick, monkeypatch):
    one = quick()

    def fail(*arguments):
        raise KilledError

    monkeypatch.setattr(jobs_module, "write_scores", fail)
    with pytest.raises(KilledError):
        run([one])
    assert not one.folder.exists()
    monkeypatch.undo()
    assert run([one])[0].seconds is not None


def test_a_changed_job_replaces_the_folder_whole(quick):
    one = replace(quick(), keep_weights=True)
    run([one])
    run([replace(one, keep_weights=False)])
    assert {path.name for path in one.folder.iterdir()} == PROMISED


def test_jobs_that_nobody_asked_for_are_discarded(quick, tmp_path):
    folder = tmp_path / "jobs"
    for name in ("a", "old", "older.partial"):
        (folder / name).mkdir(parents=True)
        (folder / name / "job.json").write_text("{}")
    (folder / "seeds.csv").write_text("kept: it is no job")
    discard_others(folder, [quick("a"), quick("b")])
    assert sorted(path.name for path in folder.iterdir()) == ["a", "seeds.csv"]
    discard_others(tmp_path / "nothing", [quick("a")])


def test_what_a_wanted_job_has_begun_is_not_discarded(quick, tmp_path):
    begun = tmp_path / "jobs" / "a.partial"
    begun.mkdir(parents=True)
    discard_others(tmp_path / "jobs", [quick("a")])
    assert begun.is_dir(), "its checkpoints are what a resumed run goes on from"


def test_a_diverged_job_is_finished_but_refused_in_one_line(copied, tmp_path):
    rewrite_features(copied, "cepstra", lambda row_id, values: values * np.nan)
    one = job(copied, tmp_path / "a", recipe(copied, learning_rate=0.25))
    (finished,) = run([one])
    assert finished.diverged
    with pytest.raises(InputError) as refused:
        refuse_diverged(finished)
    message = str(refused.value)
    assert "\n" not in message
    assert "bilstm_h128_l1 with seed 1 diverged" in message
    assert "lower training.learning_rate, now 0.25" in message
    assert run([one])[0].diverged, "kept, and still known as diverged"


def test_an_absurd_learning_rate_is_refused_and_not_a_crash(featured, tmp_path):
    (finished,) = run([job(featured, tmp_path / "a", recipe(featured, CNN, learning_rate=1e30))])
    with pytest.raises(InputError, match=r"training resnet18 with seed 1 diverged .* now 1e\+30"):
        refuse_diverged(finished)


def test_a_run_that_diverges_late_ends_there_and_keeps_its_best_epoch(featured, tmp_path):
    (finished,) = run([job(featured, tmp_path / "a", recipe(featured, epochs=5, learning_rate=1e30))])
    losses = finished.history["valid_loss"]
    assert np.isfinite(losses[0])
    assert losses.size == 2
    assert np.isnan(losses[1])
    assert (finished.best_epoch, finished.diverged) == (0, False)
    assert np.isfinite(finished.scores["p_male"]).all()


def test_a_sound_job_is_returned(quick):
    (finished,) = run([quick()])
    assert refuse_diverged(finished) is finished


def test_a_job_that_another_stage_did_is_found(quick):
    (done,) = run([quick()])
    assert finished_before(quick(), "voxbench finetune x") == replace(done, seconds=None)


@pytest.mark.parametrize("changes", [{"name": "b"}, {"seed": 2}])
def test_a_job_that_no_stage_did_names_the_command_that_does_it(quick, changes):
    run([quick()])
    one = quick(**changes)
    with pytest.raises(InputError, match=f"no finished run in {one.folder.name}, .* run `voxbench finetune x` first"):
        finished_before(one, "voxbench finetune x")
    assert not one.folder.with_name("b").exists()


def test_a_network_starts_from_the_named_file_and_its_job_says_so(copied, tmp_path):
    torch.manual_seed(3)
    published = torchvision.models.mobilenet_v2(weights=None).state_dict()
    save_file(published, copied.root / "own.safetensors")
    still = recipe(copied, SMALL_CNN, epochs=1, learning_rate=1e-30, weights="own.safetensors", stem="mean")
    (finished,) = run([job(copied, tmp_path / "a", still, keep_weights=True)])
    assert finished.initial == "own.safetensors"
    stored = load_file(finished.job.folder / "weights.safetensors")
    for name, value in published.items():
        if name.endswith(".weight") and not name.startswith("classifier"):
            expected = value.mean(1, keepdim=True) if name == "features.0.0.weight" else value
            assert torch.equal(torch.from_numpy(stored[f"encoder.network.{name}"]), expected), name


def test_what_starts_from_random_weights_says_so(copied, tmp_path):
    """ImageNet weights of an LSTM do not exist."""
    finished = run(
        [job(copied, tmp_path / word, recipe(copied, epochs=1, weights=word)) for word in ("imagenet", "random")]
    )
    assert [one.initial for one in finished] == ["random", "random"]
    assert [read_json(one.job.folder / "job.json")["summary"]["initial"] for one in finished] == ["random", "random"]


def test_weights_that_were_not_fetched_are_refused_before_any_training(copied, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs_module, "fit", None)
    jobs = [
        job(copied, tmp_path / model, recipe(copied, model, epochs=1, weights="imagenet"))
        for model in ("bilstm_h128_l1", SMALL_CNN)
    ]
    with pytest.raises(InputError, match="run `voxbench weights fetch mobilenet_v2`"):
        run(jobs)
