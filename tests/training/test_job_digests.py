"""What identifies a job: everything that decides its result, and nothing else."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stages.pipeline import CORPUS, copy_of, fingerprints, manifest_of
from training.recipes import (
    SMALL_CNN,
    assert_equal,
    give_ages,
    job,
    load,
    recipe,
    run,
    schedule,
    source,
    write_manifest,
)
from voxbench import artifacts as artifacts_module
from voxbench.artifacts import read_json, write_json
from voxbench.schema import InputError, Split
from voxbench.training import jobs as jobs_module
from voxbench.training.fit import fit
from voxbench.training.jobs import code_digest, job_digest, train_job
from voxbench.training.pruning import FrozenHistory


@pytest.fixture
def quick(featured, tmp_path):
    """Return a function that makes one short job."""
    return lambda name="a", **changes: job(featured, tmp_path / "jobs" / name, recipe(featured, epochs=1, **changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, recipe=replace(one.recipe, seed=2)),
        lambda one: replace(one, recipe=replace(one.recipe, model="bilstm_h128_l2")),
        lambda one: replace(one, recipe=replace(one.recipe, train_per_class=5)),
        lambda one: replace(one, recipe=replace(one.recipe, schedule=schedule(max_epochs=1, patience=2))),
        lambda one: replace(one, recipe=replace(one.recipe, training=_with(one, dropout=0.1))),
        lambda one: replace(one, recipe=replace(one.recipe, training=_with(one, evaluation_crops=1))),
        lambda one: replace(one, recipe=replace(one.recipe, training=_with(one, balance="sampling"))),
        lambda one: replace(one, recipe=replace(one.recipe, training=_masked(one))),
        lambda one: replace(one, source=replace(one.source, split_column="split_utterance")),
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


def _masked(one):
    altered = one.recipe.training.augmentation.model_copy(update={"mask_seconds": 0.1})
    return _with(one, augmentation=altered)


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
    write_manifest(copied, manifest)
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


@pytest.mark.parametrize(
    "name", ["cli.py", "workers.py", "reporting/page.py", "tracking/runs.py", "serving/contract.py", "stages/repeat.py"]
)
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
    assert_equal(fit(one.recipe, data, one.metric, None), fit(one.recipe, load(featured, one.recipe), one.metric, None))


def identity(one):
    return job_digest(one, one.source.load(one.recipe).features_digest)


def write_weights(folder, name, content):
    """Write what pretends to be fetched weights: a job's digest looks at their hash alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(content)
    row = {"url": "", "sha256_download": "", "sha256": hashlib.sha256(content).hexdigest()}
    write_json(folder / "index.json", {name: row})


def test_initial_weights_are_part_of_what_identifies_a_job(copied, tmp_path):
    imagenet = job(copied, tmp_path / "a", recipe(copied, SMALL_CNN, weights="imagenet"))
    own = job(copied, tmp_path / "a", recipe(copied, SMALL_CNN, weights="own.safetensors"))
    digests = []
    for content in (b"first", b"second", b"first"):
        write_weights(copied.weights, SMALL_CNN, content)
        (copied.root / "own.safetensors").write_bytes(content)
        digests.append((identity(imagenet), identity(own)))
        assert imagenet.source.initial(imagenet.recipe).path == copied.weights / f"{SMALL_CNN}.safetensors"
        assert own.source.initial(own.recipe).path == copied.root / "own.safetensors"
        assert own.source.initial(own.recipe).sha256 == hashlib.sha256(content).hexdigest()
    assert digests[0] == digests[2]
    assert len({word for pair in digests[:2] for word in pair}) == 4


def test_random_weights_need_no_file_and_see_none(copied, tmp_path):
    one = job(copied, tmp_path / "a", recipe(copied, SMALL_CNN))
    before = identity(one)
    write_weights(copied.weights, SMALL_CNN, b"first")
    assert one.source.initial(one.recipe) is None
    assert identity(one) == before


def test_weights_changed_behind_the_index_are_refused(copied, tmp_path):
    one = job(copied, tmp_path / "a", recipe(copied, SMALL_CNN, weights="imagenet"))
    write_weights(copied.weights, SMALL_CNN, b"first")
    (copied.weights / f"{SMALL_CNN}.safetensors").write_bytes(b"second")
    with pytest.raises(InputError, match="the file was changed: run `voxbench weights fetch mobilenet_v2`"):
        identity(one)


def test_tasks_and_their_targets_are_part_of_what_identifies_a_job(copied, tmp_path):
    give_ages(copied)
    gender = job(copied, tmp_path / "a", recipe(copied))
    age = replace(gender, source=source(copied, "age_years"))
    before = identity(gender), identity(age)
    assert before[0] != before[1]
    manifest = manifest_of(copied)
    manifest.loc[3, "age_years"] += 0.5
    write_manifest(copied, manifest)
    assert identity(gender) == before[0], "ages are nothing to the gender task"
    assert identity(age) != before[1]
