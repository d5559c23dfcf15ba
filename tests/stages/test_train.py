"""One network outside of the pipeline: the plan, the run that `finetune` would do, and going on from a checkpoint."""

import shutil

import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from stages.pipeline import fingerprints
from stages.verification import MODELS, PEOPLE, VERIFY, build_people, copy_of_people
from tiny import write_params
from voxbench.cli import main
from voxbench.schema import InputError
from voxbench.stages.train import TrainOptions, train
from voxbench.stages.workspace import open_workspace
from voxbench.training.record import EpochRecord

LSTM = MODELS["lstm"]
OPTIONS = {"model": LSTM, "output": None, "devices": 1, "resume": None, "dry_run": False, "verbose": False}
RESULT = ("weights.safetensors", "history.csv", "scores.parquet", "back_end.safetensors")


@pytest.fixture
def project(tmp_path_factory, tmp_path):
    return copy_of_people(build_people(tmp_path_factory.getbasetemp()), tmp_path / "copy")


def with_override(workspace, **override):
    """Return the workspace with values of its benchmark's override added."""
    params = YAML(typ="safe").load((workspace.root / "params.yaml").read_text(encoding="utf-8"))
    params["benchmarks"][VERIFY]["override"] |= override
    return open_workspace(write_params(workspace.root, params))


def epochs(workspace, number):
    return with_override(workspace, finetune={"schedule": {"max_epochs": number}})


def run(workspace, **options):
    train(workspace, VERIFY, TrainOptions(**OPTIONS | options))


def result(folder):
    return {name: fingerprints(folder)[f"{folder.name}/{name}"] for name in RESULT}


def test_a_dry_run_prints_the_whole_plan_and_writes_nothing(project, capsys):
    before = fingerprints(project.root)
    run(project, dry_run=True)
    said = capsys.readouterr().out
    assert fingerprints(project.root) == before
    manifest = pd.read_parquet(project.prepared(PEOPLE) / "manifest.parquet")
    rows = manifest[manifest["split"] == "train"]
    people = rows["speaker"].nunique()
    steps = -(-len(rows) // 16)
    for words in (
        f"train rows: {len(rows)} of {people} speakers",
        f"classes: {people}\n",
        f"steps: {steps} of 16 crops in an epoch, {2 * steps} in 2 epochs",
        "trials (",
        f"{LSTM}: ",
        " parameters, ",
        "starts from: random",
        'training.margin: {"kind": "aam"',
        "finetune.schedule.max_epochs: 2\n",
        'verification.as_norm: {"top": 5}',
        f"output: {project.root / 'trained' / VERIFY / LSTM}",
        "nothing is trained",
    ):
        assert words in said


def test_it_is_the_run_that_finetune_does_of_a_finalist_with_these_settings(project, capfd):
    run(project, verbose=True)
    folder = project.trained(VERIFY) / LSTM
    assert {*RESULT, "model.json", "decision.json", "trials.json", "job.json", "checkpoints"} <= {
        path.name for path in folder.iterdir()
    }
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert len(told) == 2
    assert told[0].startswith("epoch 1: train_loss ")
    assert "valid_eer" in told[1]
    before = result(folder)
    run(project)
    said = capfd.readouterr()
    assert "was finished before" in said.out
    assert "epoch 1:" not in said.err
    assert result(folder) == before


class KilledError(Exception):
    """Stands for whatever ends a process."""


def test_a_run_that_was_cut_off_goes_on_to_the_same_result_from_wherever_its_checkpoint_lies(project, monkeypatch):
    whole, cut = epochs(project, 3), project.root / "cut"
    run(whole, output=project.root / "whole")
    record = EpochRecord.on_train_epoch_end

    def die(self, trainer, module):
        record(self, trainer, module)
        if len(self.history) == 3:
            raise KilledError

    monkeypatch.setattr(EpochRecord, "on_train_epoch_end", die)
    with pytest.raises(KilledError):
        run(whole, output=cut)
    monkeypatch.undo()
    (left,) = (project.root / "cut.partial").rglob("last.ckpt")
    place = project.root / "elsewhere.ckpt"
    shutil.copy(left, place)
    shutil.rmtree(project.root / "cut.partial")
    run(whole, output=cut, resume=place)
    assert result(cut) == result(project.root / "whole")


def test_more_epochs_go_on_where_fewer_ended(project, capsys):
    run(epochs(project, 3), output=project.root / "whole")
    run(epochs(project, 2), output=project.root / "parts")
    run(epochs(project, 3), output=project.root / "parts", resume=project.root / "parts" / "checkpoints")
    assert "after 2 epochs" in capsys.readouterr().out
    assert result(project.root / "parts") == result(project.root / "whole")
    with pytest.raises(InputError, match=r"has trained 3 epochs, more than finetune\.schedule.max_epochs 2"):
        run(epochs(project, 2), resume=project.root / "parts" / "checkpoints")


def test_a_checkpoint_of_another_run_is_refused(project):
    run(epochs(project, 1))
    checkpoints = project.trained(VERIFY) / LSTM / "checkpoints"
    with pytest.raises(InputError, match=f"another model: '{LSTM}', expected '{MODELS['spectrogram_cnn']}'"):
        run(project, model=MODELS["spectrogram_cnn"], resume=checkpoints)
    training = project.params.benchmark(VERIFY).override["training"]
    with pytest.raises(InputError, match="is of a run with another training; go on"):
        run(with_override(project, training=training | {"learning_rate": 0.001}), resume=checkpoints)
    other = project.root / "other.ckpt"
    torch.save({"callbacks": {}}, other)
    for path in (other, project.root / "params.yaml"):
        with pytest.raises(InputError, match="is no checkpoint of a voxbench training run"):
            run(project, resume=path)
    with pytest.raises(InputError, match="no checkpoint"):
        run(project, resume=project.root)


def test_what_cannot_be_trained_is_refused_before_anything_is_written(project):
    before = fingerprints(project.root)
    (project.root / "mine").mkdir()
    for options, message in (
        ({"devices": 2}, "--devices is 2, expected 1"),
        ({"model": "bilstm_h128_l4"}, "unknown model 'bilstm_h128_l4'"),
        ({"output": project.models(VERIFY) / LSTM}, "belongs to the pipeline"),
        ({"output": project.root / "mine"}, "holds no network of `voxbench train`"),
    ):
        with pytest.raises(InputError, match=message):
            run(project, **options)
    assert fingerprints(project.root) == before


def test_a_model_is_trained_by_its_own_values(project, capsys):
    own = {LSTM: {"training": {"batch_size": 8}, "finetune": {"schedule": {"max_epochs": 7}}}}
    workspace = with_override(project, models=own)
    for model, words in ((LSTM, ("of 8 crops", "in 7 epochs")), (MODELS["spectrogram_cnn"], ("of 16", "in 2 epochs"))):
        run(workspace, model=model, dry_run=True)
        said = capsys.readouterr().out
        assert all(word in said for word in words)


def test_the_command_trains(project, capsys):
    words = ["train", VERIFY, "--model", LSTM, "--devices", "1", "--dry-run", "--output", str(project.root / "own")]
    assert main(["--params", str(project.root / "params.yaml"), *words]) == 0
    assert f"output: {project.root / 'own'}" in capsys.readouterr().out
