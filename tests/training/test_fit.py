"""One training run: repeatable, resumable, blind to the test rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch.nn.functional import cross_entropy

from stages.pipeline import copy_of, manifest_of, rewrite_features
from training.recipes import CNN, LSTM, SMALL_CNN, KilledError, assert_equal, column, killed_in, load, recipe
from voxbench.features.dataset import evaluation_loader, even_places
from voxbench.schema import Split
from voxbench.training import batches as batches_module
from voxbench.training.fit import fit
from voxbench.training.module import TrainingModule
from voxbench.training.network import predict
from voxbench.training.pruning import FrozenHistory

KEPT = {"checkpoints": True}
IMPATIENT = {"scheduler_patience": 0}


@pytest.fixture
def data(featured):
    return load(featured, recipe(featured))


def contrary(data):
    """Swap the validation labels: the better a network learns, the worse it looks, so that rates fall and runs stop."""
    swapped = data.rows["gender"].map({"female": "male", "male": "female"})
    return replace(
        data, rows=data.rows.assign(gender=data.rows["gender"].mask(data.rows["split"] == Split.VALID, swapped))
    )


@pytest.fixture
def trained_epochs(monkeypatch):
    """Return a list to which every epoch that is trained adds its number."""
    epochs, start = [], TrainingModule.on_train_epoch_start

    def count(module):
        epochs.append(module.current_epoch)
        start(module)

    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", count)
    return epochs


def outputs_of(fitted, one, data, split):
    rows, crops = data.split(split), one.training.evaluation_crops
    loader = evaluation_loader(data.dataset(rows), one.training.batch_size, even_places(crops))
    return predict(fitted.network, loader, crops), torch.tensor(data.task.targets(rows))


@pytest.mark.parametrize("model", [LSTM, CNN])
def test_one_recipe_gives_one_result(featured, model):
    one = recipe(featured, model)
    data = load(featured, one)
    assert_equal(fit(one, data, "accuracy", None), fit(one, data, "accuracy", None))


def test_another_seed_gives_another_result(featured, data):
    results = [fit(recipe(featured, seed=seed), data, "accuracy", None) for seed in (1, 2)]
    assert (column(results[0].history, "train_loss") != column(results[1].history, "train_loss")).all()


def test_another_seed_starts_from_other_weights(featured, data):
    still = [fit(recipe(featured, seed=seed, epochs=1, learning_rate=1e-30), data, "accuracy", None) for seed in (1, 2)]
    first, second = (dict(fitted.network.named_parameters()) for fitted in still)
    assert not any(torch.equal(first[name], second[name]) for name in first)


def test_dropout_differs_by_seed_and_epoch_and_batch(featured, data, monkeypatch):
    draws, drop = [], torch.nn.functional.dropout

    def note(values, p, training, inplace=False):
        if training:
            draws.append((torch.initial_seed(), float(torch.rand(1))))
        return drop(values, p, training, inplace)

    monkeypatch.setattr(torch.nn.functional, "dropout", note)
    for seed in (1, 2):
        fit(recipe(featured, per_class=8, epochs=2, seed=seed), data, "accuracy", None)
    assert len({value for _, value in draws}) == len(draws) >= 2 * 2 * 2
    assert len({seed for seed, _ in draws}) >= 2 * 2, "every epoch must begin with a seed of its own"


def test_draws_of_others_between_epochs_change_nothing(featured, data):
    one = recipe(featured, epochs=3)

    def draw(epoch, value):
        torch.rand(epoch + 1)
        return False

    assert_equal(fit(one, data, "accuracy", None, prune=draw), fit(one, data, "accuracy", None))


@pytest.mark.parametrize(("model", "training"), [(LSTM, {}), (LSTM, IMPATIENT), (SMALL_CNN, IMPATIENT)])
def test_resuming_a_shorter_run_equals_never_having_stopped(featured, tmp_path, trained_epochs, model, training):
    short, long = (recipe(featured, model, epochs=epochs, plan=KEPT, **training) for epochs in (2, 4))
    data = contrary(load(featured, long))
    whole = fit(long, data, "accuracy", None)
    if training:
        assert column(whole.history, "learning_rate")[3] < column(whole.history, "learning_rate")[1], "rates must fall"
    fit(short, data, "accuracy", None, checkpoints=tmp_path)
    assert_equal(fit(long, data, "accuracy", None, checkpoints=tmp_path), whole)
    assert trained_epochs == [0, 1, 2, 3] * 2


@pytest.mark.parametrize(("model", "epoch"), [(LSTM, 0), (LSTM, 1), (LSTM, 3), (SMALL_CNN, 2)])
def test_being_killed_costs_one_epoch_and_changes_nothing(featured, tmp_path, trained_epochs, model, epoch):
    one = recipe(featured, model, epochs=4, plan=KEPT, **IMPATIENT)
    data = contrary(load(featured, one))
    whole = fit(one, data, "accuracy", None)
    with pytest.raises(KilledError):
        fit(one, data, "accuracy", None, prune=killed_in(epoch), checkpoints=tmp_path)
    trained_epochs.clear()
    assert_equal(fit(one, data, "accuracy", None, checkpoints=tmp_path), whole)
    assert trained_epochs == [0, 1, 2, 3][epoch:]


def test_being_killed_twice_changes_nothing(featured, data, tmp_path):
    one = recipe(featured, epochs=4, plan=KEPT, **IMPATIENT)
    for epoch in (1, 3):
        with pytest.raises(KilledError):
            fit(one, contrary(data), "accuracy", None, prune=killed_in(epoch), checkpoints=tmp_path)
    assert_equal(
        fit(one, contrary(data), "accuracy", None, checkpoints=tmp_path), fit(one, contrary(data), "accuracy", None)
    )


def test_a_run_killed_after_its_last_epoch_is_not_trained_further(featured, data, tmp_path, trained_epochs):
    one = recipe(featured, epochs=9, plan=KEPT | {"patience": 2})
    whole = fit(one, contrary(data), "accuracy", None, checkpoints=tmp_path)
    assert trained_epochs == [0, 1, 2], "early stopping must act"
    assert_equal(fit(one, contrary(data), "accuracy", None, checkpoints=tmp_path), whole)
    assert trained_epochs == [0, 1, 2]


def test_a_pruned_run_killed_before_it_was_written_stays_pruned(featured, data, tmp_path):
    one = recipe(featured, epochs=3, plan=KEPT)
    whole = fit(one, data, "accuracy", None, prune=lambda epoch, value: epoch == 1, checkpoints=tmp_path)
    assert (whole.pruned, len(whole.history)) == (True, 2)
    assert_equal(fit(one, data, "accuracy", None, prune=lambda epoch, value: epoch == 1, checkpoints=tmp_path), whole)


def test_a_resumed_run_is_pruned_as_the_whole_one(featured, data, tmp_path):
    """The pruner looks at the best value so far; here it was that of the first epoch, before the stop."""
    short, one = (recipe(featured, epochs=epochs, plan=KEPT) for epochs in (2, 4))
    curve = column(fit(one, contrary(data), "log_loss", None).history, "valid_log_loss")
    assert curve[0] < curve[2]
    rivals = (9.0, 9.0, (curve[0] + curve[2]) / 2, 0.0)

    def pruner():
        return FrozenHistory((rivals,), greater_is_better=False, percentile=50.0, after_epochs=0)

    whole = fit(one, contrary(data), "log_loss", None, pruner())
    assert len(whole.history) == 4
    fit(short, contrary(data), "log_loss", None, pruner(), tmp_path)
    assert_equal(fit(one, contrary(data), "log_loss", None, pruner(), tmp_path), whole)


@pytest.mark.parametrize("view", [lambda data: data, contrary])
def test_the_best_epoch_is_that_of_the_lowest_validation_loss(featured, data, view):
    one, data = recipe(featured, epochs=4), view(data)
    fitted = fit(one, data, "accuracy", None)
    losses = column(fitted.history, "valid_loss")
    assert fitted.best_epoch == losses.argmin() == (0 if view is contrary else 3)
    outputs_NKC, truth_N = outputs_of(fitted, one, data, Split.VALID)
    loss = cross_entropy(outputs_NKC.flatten(0, 1), truth_N.repeat_interleave(outputs_NKC.shape[1]))
    assert float(loss) == pytest.approx(losses.min(), abs=1e-6)


def test_the_curve_holds_what_the_network_measures(featured, data):
    one = recipe(featured, epochs=1)
    fitted = fit(one, data, "accuracy", None)
    outputs_NKC, truth_N = outputs_of(fitted, one, data, Split.VALID)
    words_N = outputs_NKC.softmax(-1).mean(1).argmax(-1)
    assert fitted.history[0]["valid_accuracy"] == accuracy_score(truth_N, words_N)
    promised = {"epoch", "train_loss", "valid_loss", "valid_accuracy", "valid_roc_auc", "learning_rate"}
    assert promised <= fitted.history[0].keys()
    assert [epoch["epoch"] for epoch in fitted.history] == [0]


def test_early_stopping_counts_epochs_without_a_better_loss(featured, data):
    fitted = fit(recipe(featured, epochs=9, plan={"patience": 3}), contrary(data), "accuracy", None)
    assert (len(fitted.history), fitted.best_epoch) == (4, 0)


def test_the_pruner_is_asked_once_an_epoch_with_the_metric(featured, data):
    asked = []
    one = recipe(featured, epochs=3)
    fitted = fit(one, data, "roc_auc", None, prune=lambda epoch, value: asked.append((epoch, value)) or epoch == 1)
    assert fitted.pruned
    assert asked == [(epoch, fitted.history[epoch]["valid_roc_auc"]) for epoch in (0, 1)]


@pytest.mark.parametrize("model", [LSTM, CNN])
def test_test_rows_are_never_read(featured, tmp_path, model):
    copy = copy_of(featured, tmp_path / "copy")
    rows = manifest_of(copy)
    hidden = set(rows.loc[rows["split"] == Split.TEST, "id"])
    for kind in ("cepstra", "spectrogram"):
        rewrite_features(copy, kind, lambda row_id, values: values * np.nan if row_id in hidden else values)
    one = recipe(copy, model, per_class=None, epochs=1)
    poisoned = load(copy, one)
    first = poisoned.dataset(poisoned.split(Split.TEST))
    assert np.isnan(first.store[first.positions[0]]).all(), "the poison must be there"
    assert_equal(fit(one, poisoned, "accuracy", None), fit(one, load(featured, one), "accuracy", None))


@pytest.mark.parametrize(("per_class", "expected"), [(3, [3, 3]), (None, None)])
def test_training_sees_so_many_rows_of_each_class(featured, data, monkeypatch, per_class, expected):
    seen, loader = [], batches_module.training_loader

    def look(dataset, batch_size, sampler):
        seen.append(dataset)
        assert (batch_size, sampler.seed, len(sampler)) == (8, 7, len(dataset))
        return loader(dataset, batch_size, sampler)

    monkeypatch.setattr(batches_module, "training_loader", look)
    fit(recipe(featured, per_class=per_class, epochs=1, seed=7), data, "accuracy", None)
    rows = data.split(Split.TRAIN)
    whole = np.bincount(data.task.targets(rows)).tolist()
    assert np.bincount(seen[0].targets).tolist() == (expected or whole)
    positions = [data.store.position(row_id) for row_id in rows["id"]]
    by_position = dict(zip(positions, data.task.targets(rows), strict=True))
    assert [by_position[position] for position in seen[0].positions] == seen[0].targets.tolist()


@pytest.mark.parametrize(
    ("model", "trainable", "learns"), [(CNN, "head", False), (CNN, "all", True), (LSTM, "head", True)]
)
def test_only_the_trainable_part_learns(featured, model, trainable, learns):
    """No weights of an LSTM were ever published, so that it has no part to freeze."""
    fast, still = (
        fit(one, load(featured, one), "accuracy", None).network
        for rate in (0.01, 1e-30)
        for one in [recipe(featured, model, epochs=1, plan={"trainable": trainable}, learning_rate=rate)]
    )
    assert not torch.equal(fast.head[1].weight, still.head[1].weight)
    before, after = (dict(network.encoder.named_parameters()) for network in (still, fast))
    assert all(torch.equal(before[name], after[name]) != learns for name in before)
    means = [value for name, value in fast.encoder.named_buffers() if name.endswith("running_mean")]
    assert all(bool(value.any()) == learns for value in means), "frozen normalisation keeps its statistics"


def test_normalisation_is_part_of_the_network(featured, data):
    fitted = fit(recipe(featured, epochs=1), data, "accuracy", None)
    assert torch.equal(fitted.network.mean_F1[:, 0], torch.from_numpy(data.mean))
    assert torch.equal(fitted.network.std_F1[:, 0], torch.from_numpy(data.std))
    features_BFT = torch.randn(2, len(data.mean), 50)
    plain = (features_BFT - torch.from_numpy(data.mean)[:, None]) / torch.from_numpy(data.std)[:, None]
    with torch.inference_mode():
        network = fitted.network.eval()
        assert torch.equal(network(features_BFT), network.head(network.encoder(plain)))
