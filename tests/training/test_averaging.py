"""Means of weights over the best epochs, and rates that follow a plan, in whole training runs."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from training.recipes import CNN, LSTM, KilledError, assert_equal, column, killed_in, load, recipe
from voxbench.features.dataset import evaluation_loader, places_of
from voxbench.schema import Split
from voxbench.training import fit as fit_module
from voxbench.training.averaging import WeightMean
from voxbench.training.fit import fit, identity
from voxbench.training.network import predict

KEPT = {"checkpoints": True}


def test_a_mean_of_weights_by_hand():
    mean = WeightMean()
    for number in (1.0, 2.0, 6.0):
        mean.add({"w": torch.full((2,), number), "batches": torch.tensor(int(number))})
    assert mean.count == 3
    assert mean.weights["w"].tolist() == pytest.approx([3.0, 3.0])
    assert mean.weights["batches"].item() == 6


def test_a_mean_goes_on_from_what_was_kept():
    whole, cut = WeightMean(), WeightMean()
    for number in (1.0, 5.0):
        whole.add({"w": torch.tensor([number])})
    cut.add({"w": torch.tensor([1.0])})
    resumed = WeightMean()
    resumed.load_state_dict(cut.state_dict())
    resumed.add({"w": torch.tensor([5.0])})
    assert torch.equal(resumed.weights["w"], whole.weights["w"])
    assert resumed.count == 2


def validation_loss(fitted, one, data):
    rows, places = data.split(Split.VALID), places_of(one.training)
    outputs = predict(fitted.network, evaluation_loader(data.dataset(rows), 8, places), len(places))
    targets = torch.tensor(data.task.targets(rows)).repeat_interleave(len(places))
    return float(cross_entropy(outputs.flatten(0, 1), targets))


@pytest.fixture(scope="module", params=[LSTM, CNN])
def averaged(featured, request):
    """Return a run whose average is taken, and the same run without."""
    one = recipe(featured, request.param, epochs=4, learning_rate=3e-3)
    data = load(featured, one)
    return one, data, fit(one, data, "accuracy", None), with_mean(one, data)


def with_mean(one, data, **changes):
    again = one.with_training(one.training.model_copy(update={"average_best": True}))
    return fit(again, data, "accuracy", None, **changes)


def test_the_mean_is_taken_where_its_validation_loss_is_lower_and_nowhere_else(averaged):
    one, data, plain, mean = averaged
    assert mean.history == plain.history
    best = min(column(plain.history, "valid_loss"))
    lower = validation_loss(mean, one, data)
    if mean.averaged:
        assert mean.averaged > 1
        assert lower < best
    else:
        assert_equal(mean, plain)


def test_a_mean_that_is_worse_is_left(featured, monkeypatch):
    """The statistics of the mean are spoilt, so that it cannot be the better one."""
    one = recipe(featured, CNN, epochs=3)
    data = load(featured, one)

    def spoil(network, *_):
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.fill_(float("nan"))

    monkeypatch.setattr(fit_module, "renew_statistics", spoil)
    assert_equal(with_mean(one, data), fit(one, data, "accuracy", None))


def test_a_mean_that_is_better_is_taken_with_its_own_statistics(featured, monkeypatch):
    """Whatever the mean is worth, a judge that finds it better has it taken."""
    one = recipe(featured, CNN, epochs=3)
    data = load(featured, one)
    found = []
    plain = fit(one, data, "accuracy", None)
    renew = fit_module.renew_statistics

    def note(network, *rest):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        renew(network, *rest)
        found.append((before, {name: tensor.clone() for name, tensor in network.state_dict().items()}))

    monkeypatch.setattr(fit_module, "renew_statistics", note)
    monkeypatch.setattr("voxbench.training.record.EpochRecord.best_loss", property(_high, _ignore), raising=False)
    mean = with_mean(one, data)
    (before, after), weights = found[-1], mean.network.state_dict()
    assert mean.averaged == len(plain.history)
    assert all(torch.equal(weights[name], after[name]) for name in after)
    moved = [name for name in after if name.endswith("running_mean")]
    assert any(not torch.equal(before[name], after[name]) for name in moved)
    assert all(torch.equal(before[name], after[name]) for name, _ in mean.network.named_parameters())


def _high(record):
    return float("inf")


def _ignore(record, value):
    pass


@pytest.mark.parametrize("plan", [{"scheduler": "cosine"}, {"scheduler": "step", "scheduler_patience": 1}])
@pytest.mark.parametrize("killed", [1, 2])
def test_resuming_a_planned_and_averaged_run_changes_nothing(featured, tmp_path, plan, killed):
    one = recipe(featured, LSTM, epochs=4, plan=KEPT, average_best=True, learning_rate=3e-3, **plan)
    data = load(featured, one)
    whole = fit(one, data, "accuracy", None)
    with pytest.raises(KilledError):
        fit(one, data, "accuracy", None, killed_in(killed), tmp_path)
    resumed = fit(one, data, "accuracy", None, None, tmp_path)
    assert_equal(resumed, whole)
    assert resumed.averaged == whole.averaged


def test_a_cosine_is_seen_in_the_history_and_ends_near_the_least_rate(featured):
    one = recipe(featured, LSTM, epochs=4, scheduler="cosine", learning_rate=1e-2, min_learning_rate=1e-4)
    rates = column(fit(one, load(featured, one), "accuracy", None).history, "learning_rate")
    # Eight rows are one batch an epoch.
    turns = np.arange(4) / 4
    assert rates == pytest.approx(1e-4 + 9.9e-3 * (1 + np.cos(np.pi * turns)) / 2)


def test_a_checkpoint_of_a_cosine_is_not_one_of_more_epochs(featured):
    short, long = (recipe(featured, LSTM, epochs=epochs, scheduler="cosine") for epochs in (2, 3))
    data = load(featured, short)
    assert identity(short, data) != identity(long, data)
    flat = [recipe(featured, LSTM, epochs=epochs) for epochs in (2, 3)]
    assert identity(flat[0], data) == identity(flat[1], data)
