"""Jobs: done once, redone when anything that decides has changed, the same however they are run."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from stages.pipeline import CORPUS, copy_of, fingerprints, manifest_of, rewrite_features
from training.recipes import CNN, KilledError, assert_equal, job, killed_in, load, recipe, schedule
from voxbench import artifacts as artifacts_module
from voxbench.artifacts import read_json, write_json
from voxbench.schema import InputError, Split
from voxbench.training import jobs as jobs_module
from voxbench.training.fit import fit
from voxbench.training.jobs import code_digest, discard_others, job_digest, refuse_diverged, run_jobs, train_job
from voxbench.training.module import TrainingModule
from voxbench.training.pruning import FrozenHistory

PROMISED = {"job.json", "history.csv", "scores.parquet"}


def run(jobs, workers=1):
    return list(run_jobs(jobs, workers))


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
    fitted = fit(one.recipe, data, one.metric)
    assert finished.history.to_dict("records") == [
        pytest.approx(epoch, rel=1e-15, nan_ok=True) for epoch in fitted.history
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


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, recipe=replace(one.recipe, seed=2)),
        lambda one: replace(one, recipe=replace(one.recipe, model="bilstm_h128_l2")),
        lambda one: replace(one, recipe=replace(one.recipe, train_per_class=5)),
        lambda one: replace(one, recipe=replace(one.recipe, schedule=schedule(max_epochs=1, patience=2))),
        lambda one: replace(one, recipe=replace(one.recipe, training=_with(one, dropout=0.1))),
        lambda one: replace(one, recipe=replace(one.recipe, training=_with(one, evaluation_crops=1))),
        lambda one: replace(one, metric="roc_auc"),
        lambda one: replace(one, scored=(Split.TEST,)),
        lambda one: replace(one, keep_weights=True),
        lambda one: replace(one, pruning=FrozenHistory((), True, 50.0, 0)),
    ],
)
def test_a_job_is_redone_when_what_is_asked_has_changed(quick, change):
    one = quick()
    run([one])
    (again,) = run([change(one)])
    assert again.seconds is not None
    (kept,) = run([change(one)])
    assert kept.seconds is None


def _with(one, **changes):
    return one.recipe.training.model_copy(update=changes)


def _relabel(manifest):
    rows = manifest["split"] == Split.TRAIN
    manifest.loc[rows, "gender"] = manifest.loc[rows, "gender"].map({"female": "male", "male": "female"})


def _exchange_valid_and_test(manifest):
    manifest["split"] = manifest["split"].replace({"valid": "test", "test": "valid"})


def _rename_a_speaker(manifest):
    manifest.loc[manifest["split"] == Split.VALID, "speaker"] += "x"


@pytest.mark.parametrize("change", [_relabel, _exchange_valid_and_test, _rename_a_speaker])
def test_a_job_is_redone_when_labels_or_splits_have_changed(copied, tmp_path, change):
    """The audio is the same, and so are its features."""
    one = job(copied, tmp_path / "a", recipe(copied, epochs=1))
    run([one])
    manifest = manifest_of(copied)
    change(manifest)
    manifest.to_parquet(copied.prepared(CORPUS) / "manifest.parquet", index=False)
    (again,) = run([one])
    assert again.seconds is not None, "kept, though the rows have changed"


def test_a_job_is_redone_when_its_features_have_changed_and_only_then(copied, tmp_path):
    one = job(copied, tmp_path / "a", recipe(copied, epochs=1))
    run([one])
    about = copied.features(CORPUS) / "features.json"
    content = read_json(about)
    content["spectrogram"]["digest"] = "another"
    write_json(about, content)
    assert run([one])[0].seconds is None, "an LSTM does not read spectrograms"
    content["cepstra"]["digest"] = "another"
    write_json(about, content)
    assert run([one])[0].seconds is not None


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
        fit(one.recipe, data, one.metric, killed_in(2), one.folder.with_name("a.partial") / wanted)
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

    monkeypatch.setattr(jobs_module, "_write_scores", fail)
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


def test_equal_work_in_another_folder_has_an_equal_digest(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy")
    ours, theirs = (job(each, tmp_path / each.root.name, recipe(each)) for each in (featured, copy))
    digests = [job_digest(one, one.source.load(one.recipe).features_digest) for one in (ours, theirs)]
    assert digests[0] == digests[1]
    first, second = (train_job(one, wanted) for one, wanted in zip((ours, theirs), digests, strict=True))
    assert list(fingerprints(first.job.folder).values()) == list(fingerprints(second.job.folder).values())


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a copy of the package, of which the digest is taken."""
    copy = tmp_path / "voxbench"
    source = Path(artifacts_module.__file__).parent
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(artifacts_module, "__file__", str(copy / "artifacts.py"))
    return copy


@pytest.mark.parametrize(
    "name",
    [
        "training/fit.py",
        "training/pruning.py",
        "features/dataset.py",
        "models/cnn.py",
        "tasks/classification.py",
        "metrics/roc.py",
        "audio/cleaning.py",
        "seeding.py",
        "schema.py",
    ],
)
def test_a_changed_source_file_changes_the_code_digest(package, name):
    before = code_digest.__wrapped__()
    assert before == code_digest.__wrapped__()
    with (package / name).open("a", encoding="utf-8") as stream:
        stream.write("\nANSWER = 42\n")
    assert code_digest.__wrapped__() != before


def test_a_new_source_file_changes_the_code_digest(package):
    before = code_digest.__wrapped__()
    (package / "models" / "new.py").write_text("")
    assert code_digest.__wrapped__() != before


@pytest.mark.parametrize("name", ["reporting/page.py", "tracking/runs.py", "serving/contract.py", "stages/repeat.py"])
def test_what_changes_no_number_does_not_change_the_code_digest(package, name):
    before = code_digest.__wrapped__()
    (package / name).write_text("")
    assert code_digest.__wrapped__() == before


def test_other_versions_of_a_library_change_the_code_digest(monkeypatch):
    before = code_digest.__wrapped__()
    monkeypatch.setattr(jobs_module, "version", lambda name: "0" if name == "torch" else "1")
    assert code_digest.__wrapped__() != before


def test_the_same_digest_means_the_same_result(featured, quick):
    one = quick()
    data = one.source.load(one.recipe)
    assert_equal(fit(one.recipe, data, one.metric), fit(one.recipe, load(featured, one.recipe), one.metric))
