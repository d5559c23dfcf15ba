"""Countermeasures in whole training jobs: both losses, weights, recordings that are repeated, and what is stored."""

import json

import numpy as np
import pandas as pd
import pytest

from stages.pipeline import copy_of, manifest_of
from training.recipes import LSTM, job, load, recipe, run, write_manifest
from voxbench.config import OneClass
from voxbench.metrics.detection import eer
from voxbench.schema import InputError, Split
from voxbench.training.fit import fit

TASK = "anti_spoofing"
ONE_CLASS = OneClass(scale=20.0, real=0.9, fake=0.2)
KINDS = {
    "even": {"balance": "loss"},
    "weighed": {"class_weights": {"spoof": 0.1, "bonafide": 0.9}},
    "one-class": {"one_class": ONE_CLASS},
}


@pytest.fixture(scope="module")
def spoofed(featured, tmp_path_factory):
    """Return a copy of the tiny corpus whose high voices are bona fide and whose low ones are two attacks."""
    copy = copy_of(featured, tmp_path_factory.mktemp("spoofed") / "copy")
    manifest = manifest_of(copy)
    attack = np.where(np.arange(len(manifest)) % 2, "A01", "A07")
    write_manifest(copy, manifest.assign(attack=np.where(manifest["gender"] == "female", "bonafide", attack)))
    return copy


def trained(spoofed, tmp_path, kind):
    one = recipe(spoofed, LSTM, epochs=6, per_class=None, learning_rate=3e-3, **KINDS[kind])
    splits = (Split.VALID, Split.TEST)
    (done,) = run([job(spoofed, tmp_path / kind, one, TASK, metric="eer", scored=splits, keep_weights=True)])
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_a_countermeasure_learns_what_parts_the_classes(spoofed, tmp_path, kind):
    done = trained(spoofed, tmp_path, kind)
    scores = done.scores
    assert list(scores.columns[-2:]) == ["truth", "score"]
    assert set(scores["split"]) == {"valid", "test"}
    assert eer(scores["score"].to_numpy(), scores["truth"].to_numpy()) < 0.2
    assert done.history["valid_loss"].iloc[-1] < done.history["valid_loss"].iloc[0]
    assert done.multiply_adds > 0
    about = json.loads((tmp_path / kind / "job.json").read_text())["summary"]
    assert about["averaged"] == 0


def test_scores_of_one_class_are_cosines(spoofed, tmp_path):
    scores = trained(spoofed, tmp_path, "one-class").scores["score"]
    assert scores.between(-1, 1).all()
    assert scores.nunique() > 2


def test_the_validation_loss_weighs_both_classes_alike_whatever_training_does(spoofed):
    """The first epoch's network is the same but for the loss: at a rate of nearly nothing, its losses are equal."""
    still = {"epochs": 1, "per_class": None, "learning_rate": 1e-30}
    found = []
    for changes in (KINDS["even"], KINDS["weighed"], {}):
        one = recipe(spoofed, LSTM, **still, **changes)
        found.append(fit(one, load(spoofed, one, TASK), "eer", None).history[0])
    assert found[0]["valid_loss"] == found[1]["valid_loss"] == found[2]["valid_loss"]
    assert len({each["train_loss"] for each in found}) > 1


def test_shorter_recordings_are_refused_or_repeated(spoofed, tmp_path):
    seconds = manifest_of(spoofed)["kept_seconds"]
    longer = {"crop_seconds": float(seconds.max()) + 1.0, "evaluation_crops": 1, "per_class": None, "epochs": 1}
    refused = recipe(spoofed, LSTM, **longer)
    with pytest.raises(ValueError, match="frames was asked of a recording of"):
        fit(refused, load(spoofed, refused, TASK), "eer", None)
    one = recipe(spoofed, LSTM, **longer, shorter="repeat", evaluation_place="start")
    (done,) = run([job(spoofed, tmp_path / "repeated", one, TASK, metric="eer")])
    assert done.scores["score"].notna().all()


def test_a_task_without_attacks_has_no_rows(featured):
    one = recipe(featured, LSTM)
    data = load(featured, one, TASK)
    with pytest.raises(InputError, match="task 'anti_spoofing' has no labelled rows in the train split"):
        fit(one, data, "eer", None)


def test_repeated_runs_are_equal_to_the_last_bit(spoofed, tmp_path):
    tables = [trained(spoofed, tmp_path / place, "one-class").scores for place in ("a", "b")]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
