"""Training on altered recordings and evened-out classes: repeatable, resumable, and nothing to validation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from stages.pipeline import CORPUS, copy_of, manifest_of
from training.recipes import (
    LSTM,
    SMALL_CNN,
    KilledError,
    assert_equal,
    augmented,
    column,
    killed_in,
    load,
    lopsided,
    recipe,
)
from voxbench.features.dataset import evaluation_loader, even_places
from voxbench.features.store import RaggedStore, read_notes, write_shard
from voxbench.schema import InputError, Split
from voxbench.training import batches as batches_module
from voxbench.training import module as module_module
from voxbench.training.fit import fit
from voxbench.training.network import predict

NOISE, MASKS = {"noise_snr_db": (0.0, 10.0)}, {"mask_seconds": 0.1, "mask_fraction": 0.2}
STEPS = [
    NOISE,
    {"reverberation_seconds": (0.2, 0.4)},
    {"low_pass_hz": (1000.0, 2000.0)},
    {"speed": (0.9, 1.1)},
    {"babble_snr_db": (0.0, 5.0), "babble_voices": (1, 2)},
    {"music_snr_db": (0.0, 5.0)},
    MASKS,
]
STILL = {"learning_rate": 1e-30, "dropout": 0.0}
SHORT = {"crop_seconds": 0.4}  # what is left of every recording at the highest speed


@pytest.fixture
def loaders(monkeypatch):
    """Return a list to which every training loader that is made is added."""
    made, build = [], batches_module.training_loader
    monkeypatch.setattr(
        batches_module, "training_loader", lambda *arguments: made.append(build(*arguments)) or made[-1]
    )
    return made


def trained(workspace, one, view=lambda data: data):
    return fit(one, view(load(workspace, one)), "accuracy", None)


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: next(iter(steps)))
def test_an_altered_run_repeats_itself_and_differs_from_the_plain_one(featured, steps):
    altered = recipe(featured, **SHORT, augmentation=augmented(featured, **steps))
    first = trained(featured, altered)
    assert_equal(trained(featured, altered), first)
    plain = trained(featured, recipe(featured, **SHORT))
    assert (column(first.history, "train_loss") != column(plain.history, "train_loss")).all()


def test_a_step_that_never_comes_changes_nothing(featured):
    never = augmented(featured, probability=0.0, **NOISE, **MASKS)
    assert_equal(trained(featured, recipe(featured, augmentation=never)), trained(featured, recipe(featured)))


@pytest.mark.parametrize("steps", [NOISE, MASKS])
def test_validation_sees_recordings_as_they_are(featured, steps):
    """A network that does not learn has one validation loss, whatever was done to the training rows."""
    altered = trained(featured, recipe(featured, **STILL, augmentation=augmented(featured, **steps)))
    plain = trained(featured, recipe(featured, **STILL))
    assert column(altered.history, "valid_loss").tolist() == column(plain.history, "valid_loss").tolist()
    assert column(altered.history, "train_loss").tolist() != column(plain.history, "train_loss").tolist()


def test_only_training_recordings_are_altered(featured, tmp_path):
    """Every other recording is made unusable, and nobody notices."""
    copy = copy_of(featured, tmp_path / "copy")
    manifest = manifest_of(copy)
    hidden = set(manifest.loc[manifest["split"] != Split.TRAIN, "id"])
    folder = copy.prepared(CORPUS)
    for path in sorted(folder.glob("shard-*.arrow")):
        store, notes = RaggedStore(folder, path.name), read_notes(path)
        scales = [np.nan if row_id in hidden else scale for row_id, scale in zip(store.ids, store.scales, strict=True)]
        write_shard(path.with_suffix(".new"), store.ids, [wave.copy() for wave in store], scales, notes)
        path.with_suffix(".new").replace(path)
    one = recipe(featured, per_class=None, epochs=1, augmentation=augmented(featured, **NOISE))
    assert_equal(trained(copy, one), trained(featured, one))


def test_masks_differ_by_seed_and_epoch_and_batch_and_hide_with_the_mean(featured, monkeypatch):
    drawn, hide = [], module_module.mask

    def note(features, lengths, fill, settings, hop_ms, draws):
        drawn.append((str(draws.bit_generator.state), fill.clone(), settings, hop_ms))
        return hide(features, lengths, fill, settings, hop_ms, draws)

    monkeypatch.setattr(module_module, "mask", note)
    settings = augmented(featured, **MASKS)
    for seed in (1, 2):
        fitted = trained(featured, recipe(featured, per_class=8, seed=seed, augmentation=settings))
    states, fills, used, hops = zip(*drawn, strict=True)
    assert len(set(states)) == len(states) == 2 * 2 * 2
    assert all(torch.equal(fill, fitted.network.mean_F1) for fill in fills)
    assert set(used) == {settings}
    assert set(hops) == {featured.params.corpus(CORPUS).features.hop_ms}


@pytest.mark.parametrize(
    ("model", "balance", "epoch"), [(LSTM, "none", 1), (LSTM, "sampling", 2), (SMALL_CNN, "loss", 1)]
)
def test_resuming_with_altered_recordings_and_masks_changes_nothing(featured, tmp_path, model, balance, epoch):
    settings = augmented(featured, probability=0.7, **NOISE, **MASKS)
    plan = {"checkpoints": True}
    one = recipe(featured, model, epochs=3, plan=plan, per_class=None, augmentation=settings, balance=balance)
    data = lopsided(load(featured, one), keep=4)
    whole = fit(one, data, "accuracy", None)
    with pytest.raises(KilledError):
        fit(one, data, "accuracy", None, prune=killed_in(epoch), checkpoints=tmp_path)
    assert_equal(fit(one, data, "accuracy", None, checkpoints=tmp_path), whole)


@pytest.mark.parametrize(("balance", "expected"), [("sampling", [10, 10]), ("none", [16, 4]), ("loss", [16, 4])])
@pytest.mark.parametrize("steps", [{}, NOISE])
def test_balanced_sampling_draws_all_classes_alike(featured, loaders, balance, expected, steps):
    one = recipe(featured, per_class=None, epochs=1, balance=balance, augmentation=augmented(featured, **steps))
    first = trained(featured, one, lambda data: lopsided(data, keep=4))
    for epoch in (0, 1):
        loaders[0].sampler.set_epoch(epoch)
        assert np.bincount(torch.cat([batch.target for batch in loaders[0]])).tolist() == expected
    assert_equal(trained(featured, one, lambda data: lopsided(data, keep=4)), first)


def losses(fitted, batches, weight):
    """Return the mean of the batches' cross-entropies, as training reports it."""
    network = fitted.network.eval()
    with torch.inference_mode():
        values = [cross_entropy(network(batch.features), batch.target, weight=weight) for batch in batches]
    return float(torch.stack(values).mean())


@pytest.mark.parametrize(("balance", "weight"), [("loss", [20 / (2 * 16), 20 / (2 * 4)]), ("none", [1.0, 1.0])])
def test_a_balanced_loss_weighs_training_rows_by_their_class(featured, loaders, balance, weight):
    one = recipe(featured, per_class=None, epochs=1, balance=balance, **STILL)
    fitted = trained(featured, one, lambda data: lopsided(data, keep=4))
    loaders[0].sampler.set_epoch(0)
    assert fitted.history[0]["train_loss"] == pytest.approx(losses(fitted, loaders[0], torch.tensor(weight)), rel=1e-5)


def test_the_validation_loss_weighs_every_row_the_same(featured):
    one = recipe(featured, per_class=None, epochs=2, balance="loss")
    data = lopsided(load(featured, one), keep=4)
    fitted = fit(one, data, "accuracy", None)
    rows, crops = data.split(Split.VALID), one.training.evaluation_crops
    outputs_NKC = predict(fitted.network, evaluation_loader(data.dataset(rows), 8, even_places(crops)), crops)
    truth_N = torch.tensor(data.task.targets(rows)).repeat_interleave(crops)
    plain, weighted = (
        float(cross_entropy(outputs_NKC.flatten(0, 1), truth_N, weight=weight))
        for weight in (None, torch.tensor([20 / 32, 20 / 8]))
    )
    assert fitted.history[fitted.best_epoch]["valid_loss"] == pytest.approx(plain, abs=1e-6)
    assert abs(plain - weighted) > 1e-3, "the case must tell the two apart"


@pytest.mark.parametrize("balance", ["sampling", "loss"])
def test_a_class_without_training_rows_cannot_be_evened_out(featured, balance):
    one = recipe(featured, per_class=None, balance=balance)
    data = load(featured, one)
    men = (data.rows["gender"] == "male") & (data.rows["split"] == Split.TRAIN)
    with pytest.raises(InputError, match=f"training.balance is '{balance}', but no training row is male"):
        fit(one, replace(data, rows=data.rows[~men]), "accuracy", None)
