"""Training a network on waves: repeatable, resumable, altered as it was asked for, and blind to stored features."""

import numpy as np
import pytest
import torch

from stages.pipeline import rewrite_features
from training.recipes import KilledError, assert_equal, augmented, killed_in, load, recipe
from voxbench.features.dataset import Cut
from voxbench.features.store import RaggedStore, dequantize
from voxbench.schema import InputKind, Split
from voxbench.training.fit import fit

M3 = "m3"
STEPS = {"noise_snr_db": (0.0, 10.0)}


@pytest.fixture
def data(featured):
    return load(featured, recipe(featured, M3))


def test_each_row_meets_its_own_recording_and_target(featured, data):
    rows = data.split(Split.TRAIN)
    crops, audio = data.dataset(rows), RaggedStore(featured.prepared("tiny"))
    assert (data.kind, data.crop_frames) == (InputKind.WAVE, 8000)
    for row in (0, 7, len(rows) - 1):
        position = audio.position(rows["id"][row])
        wave = dequantize(audio[position], audio.scales[position])
        batch = crops[Cut(row, 0.0)]
        assert np.array_equal(batch.features.numpy(), wave[None, :8000])
        assert int(batch.target) == ["female", "male"].index(rows["gender"][row])


def test_one_recipe_gives_one_result_and_learns(featured, data):
    one = recipe(featured, M3, epochs=4, per_class=None, learning_rate=0.003)
    first = fit(one, data, "accuracy", None)
    assert_equal(first, fit(one, data, "accuracy", None))
    assert first.history[-1]["train_loss"] < first.history[0]["train_loss"]


def test_being_killed_changes_nothing(featured, data, tmp_path):
    one = recipe(featured, M3, epochs=3, plan={"checkpoints": True})
    whole = fit(one, data, "accuracy", None)
    with pytest.raises(KilledError):
        fit(one, data, "accuracy", None, prune=killed_in(1), checkpoints=tmp_path)
    assert_equal(fit(one, data, "accuracy", None, checkpoints=tmp_path), whole)


def test_the_network_carries_statistics_that_change_no_sample(featured, data):
    network = fit(recipe(featured, M3, epochs=1), data, "accuracy", None).network
    wave = torch.randn(2, 1, 8000)
    assert torch.equal((wave - network.mean_F1) / network.std_F1, wave)


def test_stored_features_are_of_no_effect(copied, data):
    one = recipe(copied, M3, epochs=1)
    before = fit(one, data, "accuracy", None)
    for kind in ("spectrogram", "cepstra"):
        rewrite_features(copied, kind, lambda row_id, values: values * 0 + 1)
    assert_equal(fit(one, load(copied, one), "accuracy", None), before)


def test_altered_waves_are_trained_on(featured, data):
    plain = recipe(featured, M3, epochs=1)
    noisy = recipe(featured, M3, epochs=1, augmentation=augmented(featured, **STEPS))
    results = [fit(one, data, "accuracy", None) for one in (plain, noisy, noisy)]
    assert_equal(*results[1:])
    assert results[0].history[0]["train_loss"] != results[1].history[0]["train_loss"]


def test_a_step_that_never_comes_changes_nothing(featured, data):
    off = augmented(featured, **STEPS, probability=0.0)
    plain, never = recipe(featured, M3, epochs=1), recipe(featured, M3, epochs=1, augmentation=off)
    assert_equal(fit(plain, data, "accuracy", None), fit(never, data, "accuracy", None))


def test_waves_have_a_digest_of_their_own(featured, data):
    others = {load(featured, recipe(featured, model)).features_digest for model in ("bilstm_h128_l1", "resnet18")}
    assert data.features_digest not in others
    assert load(featured, recipe(featured, "m5")).features_digest == data.features_digest
