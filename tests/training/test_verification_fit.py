"""Training on speakers: what is learnt, what it is judged by, the large-margin phase, and interruptions of both."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from stages.verification import OTHER_LIST, PEOPLE
from training.recipes import KilledError, assert_equal, column, killed_in
from training.speaker_recipes import copied, load, recipe
from voxbench.features.dataset import evaluation_loader, even_places
from voxbench.features.trial_lists import STORED, drawn_list, usable_trials
from voxbench.schema import InputError, Split
from voxbench.training import batches as batches_module
from voxbench.training.fit import fit
from voxbench.training.judging import judge_of
from voxbench.training.network import predict
from voxbench.training.trials import trials_of


def valid_outputs(fitted, data, one):
    judge = judge_of(data, Split.VALID, one, data.training_rows(2, 1))
    crops = one.training.evaluation_crops
    return judge, predict(fitted.network, evaluation_loader(data.dataset(judge.rows), 16, even_places(crops)), crops)


@pytest.fixture(scope="module")
def data(people):
    return load(people, recipe(people))


@pytest.fixture(scope="module")
def two_phases(people, data):
    return fit(recipe(people, large={}, augmentation=copied(people)), data, "eer", None)


def test_one_recipe_gives_one_result(people, data):
    assert_equal(*(fit(recipe(people), data, "eer", None) for _ in range(2)))


def test_classes_are_the_training_speakers_and_their_copies(people, data):
    speakers = data.split(Split.TRAIN)["speaker"].nunique()
    assert fit(recipe(people, epochs=1), data, "eer", None).network.head.speakers == speakers
    doubled = recipe(people, epochs=1, augmentation=copied(people))
    assert fit(doubled, data, "eer", None).network.head.speakers == 2 * speakers


def test_an_epoch_is_judged_by_the_trials_of_its_own_embeddings(people, data):
    one = recipe(people)
    fitted = fit(one, data, "eer", None)
    judge, outputs = valid_outputs(fitted, data, one)
    assert float(judge.loss(outputs)) == fitted.history[fitted.best_epoch]["valid_loss"]


def test_every_recording_of_a_trial_is_embedded_once_and_none_besides(people, data):
    one = recipe(people)
    rows = data.split(Split.VALID)
    judge = judge_of(data, Split.VALID, one, data.training_rows(2, 1))
    listed = trials_of(rows, None, one.verification, Split.VALID).trials
    assert set(judge.heard["id"]) == {*listed["enroll"], *listed["test"]}
    assert judge.rows["id"].is_unique
    assert judge.fitted["speaker"].nunique() == data.split(Split.TRAIN)["speaker"].nunique()
    nothing = {"centre": False, "as_norm": None}
    unfitted = replace(one, verification=one.verification.model_copy(update=nothing))
    bare = judge_of(data, Split.VALID, unfitted, judge.fitted)
    assert bare.fitted.empty


def test_scores_are_cosines_where_nothing_is_fitted(people, data):
    one = recipe(people, epochs=1)
    one = replace(one, verification=one.verification.model_copy(update={"centre": False, "as_norm": None}))
    judge, outputs_UKD = valid_outputs(fit(one, data, "eer", None), data, one)
    table = judge.table(outputs_UKD)
    mean_UD = outputs_UKD.double().mean(dim=1)
    place = {row_id: number for number, row_id in enumerate(judge.heard["id"])}
    for row in table.itertuples():
        pair = [mean_UD[place[side]] for side in (row.enroll, row.test)]
        assert row.score == pytest.approx(float(torch.nn.functional.cosine_similarity(*pair, dim=0)), abs=1e-9)


def test_a_network_that_diverged_or_hears_everybody_as_one_has_no_loss(people, data):
    one = recipe(people)
    judge = judge_of(data, Split.VALID, one, data.training_rows(2, 1))
    for outputs in (torch.full((len(judge.rows), 2, 4), torch.nan), torch.ones(len(judge.rows), 2, 4)):
        assert torch.isnan(judge.loss(outputs))
        assert judge.table(outputs)["score"].isna().all()
        assert judge.back_end(outputs) is None
    mixed = torch.randn(len(judge.rows), 2, 4, generator=torch.Generator().manual_seed(1))
    assert torch.isfinite(judge.loss(mixed))


def test_the_second_phase_goes_on_from_the_best_weights_with_its_own_rate(people, two_phases):
    rates = column(two_phases.history, "learning_rate")
    assert column(two_phases.history, "epoch").tolist() == [0, 1, 2]
    assert rates.tolist() == [0.003, 0.003, 0.0005]
    losses = column(two_phases.history, "valid_loss")
    assert two_phases.best_epoch == np.argmin(losses)


def test_the_second_phase_sees_longer_crops_and_no_copies(people, data, monkeypatch):
    seen, loader = [], batches_module.training_loader

    def look(dataset, batch_size, sampler):
        seen.append(dataset)
        return loader(dataset, batch_size, sampler)

    monkeypatch.setattr(batches_module, "training_loader", look)
    fit(recipe(people, epochs=1, large={}, augmentation=copied(people)), data, "eer", None)
    first, second = seen
    assert (first.crops.frames, second.frames) == (40, 45)
    assert len(first) == 2 * len(second)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_killed_in_either_phase_goes_on_to_the_same_result(people, data, two_phases, tmp_path, epoch):
    kept = recipe(people, large={}, plan={"checkpoints": True}, augmentation=copied(people))
    with pytest.raises(KilledError):
        fit(kept, data, "eer", None, killed_in(epoch), tmp_path)
    assert (tmp_path / "last.ckpt").is_file()
    assert_equal(fit(kept, data, "eer", None, None, tmp_path), two_phases)


def test_each_phase_has_the_whole_patience(people, data):
    """The first ends for want of a lower loss, and the second still trains."""
    impatient = recipe(people, epochs=9, large={"epochs": 2}, plan={"patience": 1})
    history = fit(impatient, data, "eer", None).history
    rates = column(history, "learning_rate")
    assert (rates == 0.0005).sum() >= 1
    assert (rates > 0.0005).sum() < 9


def test_a_network_learns_voices(people, data):
    before, after = (fit(recipe(people, epochs=epochs), data, "eer", None) for epochs in (1, 6))
    assert min(column(after.history, "valid_eer")) < 0.35
    assert min(column(after.history, "valid_loss")) <= min(column(before.history, "valid_loss"))


def test_the_trials_of_a_list_are_test_trials_and_only_of_test_speakers(people, data):
    stored = usable_trials(people.prepared(PEOPLE) / STORED, OTHER_LIST)
    settings = people.params.verification
    rows = data.split(Split.TEST)
    with pytest.raises(InputError, match=r"recordings of lists/all\.txt are not in the test split, the first is"):
        trials_of(rows, stored, settings, Split.TEST)
    inside = stored.trials["enroll"].isin(rows["id"]) & stored.trials["test"].isin(rows["id"])
    own = replace(stored, trials=stored.trials[inside])
    assert trials_of(rows, own, settings, Split.TEST) is own
    assert trials_of(data.split(Split.VALID), own, settings, Split.VALID).name == "drawn by rule"


def test_a_list_belongs_to_the_identity_of_the_data(people):
    one = recipe(people)
    named = replace(one, verification=one.verification.model_copy(update={"test_list": OTHER_LIST}))
    plain, listed = load(people, one), load(people, named)
    assert plain.listed is None
    assert len(listed.listed.trials)
    assert plain.features_digest != listed.features_digest


def test_speakers_who_were_trained_on_are_refused_in_trials(people, data):
    rows = data.rows.assign(split=np.where(data.rows["split"] == Split.VALID, Split.TRAIN, data.rows["split"]))
    mixed = replace(data, rows=pd.concat([rows, data.rows[data.rows["split"] == Split.VALID]], ignore_index=True))
    one = recipe(people)
    with pytest.raises(InputError, match="valid trials"):
        judge_of(mixed, Split.VALID, one, mixed.split(Split.TRAIN))


def test_drawn_trials_do_not_depend_on_the_runs_seed(people, data):
    rows = data.split(Split.VALID)
    one, other = (trials_of(rows, None, people.params.verification, Split.VALID) for _ in range(2))
    assert one.sha256 == other.sha256 == drawn_list(one.trials).sha256
