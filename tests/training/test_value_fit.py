"""Training on a value: years in, years out, and a metric of which less is better."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from training.recipes import (
    KilledError,
    assert_equal,
    augmented,
    column,
    job,
    killed_in,
    load,
    recipe,
    run,
)
from voxbench.features.dataset import evaluation_loader, even_places
from voxbench.schema import InputError, Split
from voxbench.training.fit import fit
from voxbench.training.network import predict
from voxbench.training.pruning import FrozenHistory

TASK = "age_years"
FAST = {"per_class": None, "learning_rate": 0.01}


def ages(data, split):
    return data.task.targets(data.split(split))


@pytest.fixture
def data(aged):
    return load(aged, recipe(aged), TASK)


def test_ages_are_learned_better_than_any_constant(aged, data):
    """Voices of the tiny corpus tell the decade; the median of the training ages is the best constant."""
    one = recipe(aged, epochs=6, **FAST, dropout=0.0)
    fitted = fit(one, data, "mae", None)
    truth = ages(data, Split.VALID)
    constant = np.abs(truth - np.median(ages(data, Split.TRAIN))).mean()
    assert fitted.history[fitted.best_epoch]["valid_mae"] < constant / 2
    assert {"valid_mae", "valid_rmse", "valid_r2"} <= fitted.history[0].keys()


def test_one_recipe_gives_one_result_and_resumes_to_it(aged, data, tmp_path):
    settings = augmented(aged, noise_snr_db=(0.0, 10.0), mask_seconds=0.1)
    one = recipe(aged, epochs=3, plan={"checkpoints": True}, augmentation=settings, scheduler_patience=0)
    whole = fit(one, data, "mae", None)
    with pytest.raises(KilledError):
        fit(one, data, "mae", None, prune=killed_in(1), checkpoints=tmp_path)
    assert_equal(fit(one, data, "mae", None, checkpoints=tmp_path), whole)


def test_the_scale_is_that_of_the_rows_that_are_trained_on(aged, data):
    one = recipe(aged, per_class=5, epochs=1)
    head = fit(one, data, "mae", None).network.head
    chosen = data.task.targets(data.training_rows(5, one.seed))
    assert len(chosen) == 5
    assert (float(head.mean), float(head.std)) == pytest.approx((chosen.mean(), chosen.std()), rel=1e-6)


def test_the_validation_loss_is_the_squared_error_in_training_deviations(aged, data):
    one = recipe(aged, per_class=5, epochs=2)
    fitted = fit(one, data, "mae", None)
    rows, crops = data.split(Split.VALID), one.training.evaluation_crops
    outputs_NK = (
        predict(fitted.network, evaluation_loader(data.dataset(rows), 8, even_places(crops)), crops).double().numpy()
    )
    deviation = data.task.targets(data.training_rows(5, one.seed)).std()
    truth_N = data.task.targets(rows)
    epoch = fitted.history[fitted.best_epoch]
    assert epoch["valid_loss"] == pytest.approx((((outputs_NK - truth_N[:, None]) / deviation) ** 2).mean(), rel=1e-5)
    assert epoch["valid_mae"] == pytest.approx(np.abs(outputs_NK.mean(1) - truth_N).mean(), rel=1e-6)


def test_rates_fall_and_runs_stop_where_the_loss_does_not(aged, data):
    """Where old and young are exchanged in validation, the better a network learns, the worse it looks."""
    one = recipe(aged, epochs=9, plan={"patience": 3}, **FAST, scheduler_patience=0)
    valid = data.rows["split"] == Split.VALID
    exchanged = data.rows["age_years"].mask(valid, 90 - data.rows["age_years"])
    fitted = fit(one, replace(data, rows=data.rows.assign(age_years=exchanged)), "mae", None)
    assert (len(fitted.history), fitted.best_epoch) == (4, 0)
    assert column(fitted.history, "learning_rate")[3] < column(fitted.history, "learning_rate")[0]


@pytest.mark.parametrize(("rival", "pruned"), [(0.001, True), (1000.0, False)])
def test_a_larger_error_than_the_rivals_is_pruned(aged, data, rival, pruned):
    history = FrozenHistory(((rival,) * 2,), greater_is_better=False, percentile=50.0, after_epochs=0)
    fitted = fit(recipe(aged), data, "mae", None, history)
    assert (fitted.pruned, len(fitted.history)) == (pruned, 1 if pruned else 2)


def test_a_job_scores_in_years_and_keeps_the_scale(aged, tmp_path):
    scored = (Split.VALID, Split.TEST)
    one = job(aged, tmp_path / "a", recipe(aged, **FAST), TASK, metric="mae", scored=scored, keep_weights=True)
    (finished,) = run([one])
    data = one.source.load(one.recipe)
    table = finished.scores
    assert {"id", "speaker", "session", "gender", "split", "truth", "predicted"} == set(table.columns)
    assert table["truth"].tolist() == [*ages(data, Split.VALID), *ages(data, Split.TEST)]
    valid = table[table["split"] == "valid"]
    assert finished.best["valid_mae"] == pytest.approx(np.abs(valid["predicted"] - valid["truth"]).mean(), rel=1e-12)
    stored = load_file(one.folder / "weights.safetensors")
    train = ages(data, Split.TRAIN)
    assert (stored["head.mean"], stored["head.std"]) == pytest.approx((train.mean(), train.std()), rel=1e-6)


@pytest.mark.parametrize("balance", ["sampling", "loss"])
def test_a_value_has_no_classes_to_even_out(aged, data, balance):
    with pytest.raises(InputError, match=r"training\.balance .* set it to 'none'"):
        fit(recipe(aged, balance=balance), data, "mae", None)


def test_training_on_one_age_is_refused(aged, data):
    alike = replace(data, rows=data.rows.assign(age_years=33.0))
    with pytest.raises(InputError, match="all 8 training targets are 33"):
        fit(recipe(aged, per_class=8), alike, "mae", None)


def test_the_loss_is_a_float_that_the_network_learns_from(aged, data):
    """Ages are doubles; the network is not."""
    targets = torch.tensor(ages(data, Split.TRAIN))
    outputs = torch.zeros(len(targets), requires_grad=True)
    loss = data.task.loss(targets.numpy(), aged.params.training)(outputs, targets, 0.0)
    assert (targets.dtype, loss.dtype) == (torch.float64, torch.float32)
    loss.backward()
    assert outputs.grad.dtype == torch.float32
