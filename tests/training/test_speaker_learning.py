"""What speakers are learnt with and judged by: margins as training goes on, what scores are fitted on, refusals."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from stages.verification import LARGE, MARGIN
from training.speaker_recipes import copied, judge, load, recipe
from voxbench.metrics.detection import min_cllr
from voxbench.metrics.score_normalisation import as_norm
from voxbench.schema import InputError, Split
from voxbench.training import batches as batches_module
from voxbench.training import fit as fit_module
from voxbench.training import module as module_module
from voxbench.training.batches import training_batches
from voxbench.training.fit import fit, identity


@pytest.fixture(scope="module")
def data(people):
    return load(people, recipe(people))


def noticing(data):
    """Return the data with a task that notes what each loss is built from, and when it is asked."""
    seen = []

    def build(targets, settings):
        own = data.task.loss(targets, settings)
        seen.append((settings, asked := []))

        def loss(cosines, speakers, epochs):
            asked.append(epochs)
            return own(cosines, speakers, epochs)

        return loss

    return replace(data, task=replace(data.task, loss=build)), seen


def test_a_margin_grows_with_every_batch_and_a_second_phase_has_its_own_whole_one(people, data):
    watched, seen = noticing(data)
    fit(recipe(people, epochs=2, large={}), watched, "eer", None)
    (first, asked), (second, later) = seen
    batches = len(asked) // 2
    assert batches > 1
    assert asked == pytest.approx(np.arange(2 * batches) / batches)
    assert later[0] == 0
    assert first.margin.model_dump(mode="json") == MARGIN
    assert second.margin.model_dump(mode="json") == MARGIN | {"margin": LARGE["margin"], "warm_up_epochs": None}
    assert second.learning_rate == LARGE["learning_rate"]


def test_a_second_phase_begins_with_the_best_weights_and_draws_of_its_own(people, data, monkeypatch):
    """What the first phase left is spoilt, and the second has its best weights nevertheless."""
    starts, seeds, train = [], [], fit_module._Run.train

    def spoilt(run, one, *others):
        starts.append({name: tensor.clone() for name, tensor in run.network.state_dict().items()})
        seeds.append(one.seed)
        train(run, one, *others)
        best = {name: tensor.clone() for name, tensor in run.record.best_weights.items()}
        for parameter in run.network.parameters():
            parameter.data.add_(1)
        starts.append(best)

    monkeypatch.setattr(fit_module._Run, "train", spoilt)
    fit(recipe(people, epochs=1, large={}), data, "eer", None)
    _, best, second, _ = starts
    assert all(torch.equal(best[name], second[name]) for name in best)
    assert len(set(seeds)) == 2


def test_scores_are_fitted_on_training_recordings_alone(people, data):
    """Centred cosines, normalised by training speakers' means: computed here from the outputs, recording by recording.

    Whatever a trial's recordings sound like, what is fitted stays.
    """
    one = recipe(people)
    judging = judge(data, one)
    draws = np.random.default_rng(3)
    outputs_UKD = torch.from_numpy(draws.normal(size=(len(judging.rows), 2, 6)))
    of_UD = dict(zip(judging.rows["id"], outputs_UKD.mean(dim=1).numpy(), strict=True))
    train = data.training_rows(one.train_per_class, one.seed)
    assert set(train["id"]) == {*judging.fitted["id"]}
    mean_D = np.mean([of_UD[row_id] for row_id in train["id"]], axis=0)
    cohort_KD = np.stack(
        [np.mean([of_UD[row_id] for row_id in own], axis=0) for _, own in train.groupby("speaker")["id"]]
    )

    def cosines(one_UD, other_VD):
        one_UD, other_VD = one_UD - mean_D, other_VD - mean_D
        lengths = [np.linalg.norm(each, axis=1) for each in (one_UD, other_VD)]
        return one_UD @ other_VD.T / np.outer(*lengths)

    table = judging.table(outputs_UKD)
    sides = [np.stack([of_UD[row_id] for row_id in table[side]]) for side in ("enroll", "test")]
    rows = np.arange(len(table))
    normalised = as_norm(np.diag(cosines(*sides)), rows, rows, *(cosines(side, cohort_KD) for side in sides), top=5)
    np.testing.assert_allclose(table["score"], normalised, rtol=1e-9)
    assert float(judging.loss(outputs_UKD)) == pytest.approx(min_cllr(normalised, table["truth"]), rel=1e-6)
    louder_UKD = outputs_UKD.clone()
    louder_UKD[: len(judging.heard)] += 1
    before, after = (judging.back_end(each).arrays() for each in (outputs_UKD, louder_UKD))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_at_most_so_many_recordings_of_a_speaker_are_fitted_on(people, data):
    one = recipe(people)
    assert (
        judge(data, one, recordings_per_speaker=1).fitted.groupby("speaker").size().tolist()
        == [1] * data.rows.query("split == 'train'")["speaker"].nunique()
    )
    assert judge(data, one, recordings_per_speaker=None).fitted.groupby("speaker").size().max() == 2


@pytest.mark.parametrize("split", [Split.VALID, Split.TEST])
def test_people_who_are_learnt_from_are_refused_though_nothing_is_fitted_on_them(people, data, split):
    one = recipe(people)
    plain = {"centre": False, "as_norm": None}
    assert judge(data, one, split, **plain).fitted.empty
    again = data.rows[data.rows["split"] == split].assign(split=str(Split.TRAIN))
    leaky = replace(data, rows=pd.concat([data.rows, again], ignore_index=True))
    with pytest.raises(InputError, match=rf"the training split beside the {split} trials has \d+ of the \d+ speakers"):
        judge(leaky, one, split, **plain)


def test_babble_is_of_other_people_than_those_of_a_copy(people, data):
    """A copy at another speed is another class, and still the same person."""
    steps = {"probability": 1.0, "babble_snr_db": (0.0, 5.0), "babble_voices": (1, 2)}
    one = recipe(people, augmentation=copied(people, **steps))
    rows = data.training_rows(2, 1)
    loader, _ = training_batches(data, rows, one.training, 1)
    persons, classes = loader.dataset.people, loader.dataset.targets.numpy()
    speakers = rows["speaker"].nunique()
    assert classes.max() + 1 == 2 * speakers
    assert persons.tolist() == (classes % speakers).tolist()


def test_a_checkpoint_is_of_a_run_with_the_same_settings_however_long(people, data):
    one = recipe(people)
    verification = one.verification.model_copy(update={"centre": not one.verification.centre})
    others = [
        replace(one, model="spectrogram_cnn_3"),
        replace(one, seed=2),
        replace(one, train_per_class=1),
        replace(one, verification=verification),
        recipe(people, learning_rate=0.5),
        recipe(people, plan={"trainable": "head"}),
    ]
    told = [identity(each, data) for each in (one, *others)]
    told.append(identity(one, replace(data, features_digest="")))
    assert all(left != right for place, left in enumerate(told) for right in told[:place])
    assert identity(recipe(people, epochs=9, large={}), data) == told[0]


@pytest.mark.parametrize("subtract", ["corpus_mean", "crop_mean"])
def test_what_is_masked_is_what_is_subtracted(people, data, monkeypatch, subtract):
    """So that a masked cell says nothing, whichever mean the network takes away."""
    filled, hide = [], module_module.mask

    def note(features, lengths, fill, *others):
        filled.append((features, fill))
        return hide(features, lengths, fill, *others)

    monkeypatch.setattr(module_module, "mask", note)
    masks = people.params.training.augmentation.model_copy(update={"probability": 1.0, "mask_fraction": 0.5})
    network = fit(recipe(people, epochs=1, subtract=subtract, augmentation=masks), data, "eer", None).network
    for features, fill in filled:
        own = features.mean(dim=2, keepdim=True)
        torch.testing.assert_close(fill, own if subtract == "crop_mean" else network.mean_F1)


def test_both_phases_are_judged_by_the_same_crops(people, data, monkeypatch):
    frames, loader = [], batches_module.evaluation_loader

    def look(dataset, *others):
        frames.append(dataset.frames)
        return loader(dataset, *others)

    monkeypatch.setattr(batches_module, "evaluation_loader", look)
    fit(recipe(people, epochs=1, large={}), data, "eer", None)
    assert frames == [40, 40]


@pytest.mark.parametrize(
    ("training", "verification", "large", "words"),
    [
        ({}, {"as_norm": {"top": 99}}, None, "top is 99, but must be a whole number of the 12 cohort speakers"),
        ({"margin": {"kind": "softmax", "margin": 0.0}}, {}, {}, r"large_margin\.margin is 0\.3, but .* is softmax"),
        ({}, {"plda": {"dimensions": 9999, "iterations": 1}}, None, "PLDA keeps 9999 dimensions of embeddings that"),
        ({}, {"plda": {"dimensions": 2, "iterations": 1}}, None, "PLDA needs .* as many clips more than speakers"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_learnt(
    people, data, monkeypatch, training, verification, large, words
):
    one = recipe(people, large=large)
    margin = one.training.margin.model_copy(update=training.get("margin", {}))
    settings = type(one.verification).model_validate(one.verification.model_dump() | verification)
    one = replace(one, training=one.training.model_copy(update={"margin": margin}), verification=settings)
    monkeypatch.setattr(fit_module._Run, "train", lambda *_: pytest.fail("something was learnt"))
    with pytest.raises(InputError, match=words):
        fit(one, data, "eer", None)
