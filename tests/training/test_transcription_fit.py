"""Learning from whole recordings: neither padding nor order nor interruptions change it."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages.words import MODELS, SPOKEN, WORDS, build_spoken
from training.recipes import KilledError, assert_equal, killed_in
from voxbench.config import Beam, LanguageModel
from voxbench.schema import InputError, Split
from voxbench.stages.finalists import SPLIT, finalist_recipe, source
from voxbench.tasks import tasks
from voxbench.tasks.transcription import ctc_losses
from voxbench.training.batches import judged_batches
from voxbench.training.data import refuse_crowded
from voxbench.training.fit import fit
from voxbench.training.jobs import cost
from voxbench.training.judging import TextJudge, judge_of
from voxbench.training.network import Statistics, build_network, in_order, predict
from voxbench.transcripts.alphabet import CLASSES, decode, encode

QUARTZNET = MODELS["quartznet"]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    return build_spoken(tmp_path_factory.getbasetemp() / "learnt")


@pytest.fixture(scope="module")
def data(spoken):
    return source(spoken, "transcription", SPOKEN, SPLIT).load(recipe(spoken))


def recipe(spoken, model=QUARTZNET, epochs=2, **changes):
    found = {"finalists": [{"model": model, "settings": {}}]}
    with patch("voxbench.stages.finalists._selection", return_value=found):
        one = finalist_recipe(spoken, WORDS, found["finalists"][0], seed=1)
    schedule = one.schedule.model_copy(update={"max_epochs": epochs, "checkpoints": True})
    return replace(one, schedule=schedule, training=one.training.model_copy(update=changes))


def untrained(one, data, subtract="corpus_mean"):
    torch.manual_seed(3)
    rows = data.split(Split.TRAIN)
    training = one.training.model_copy(update={"subtract": subtract})
    statistics = Statistics(data.mean, data.std, data.task.targets(rows))
    return build_network(one.model, data.task, training, "all", statistics, initial=None).eval()


@pytest.mark.parametrize("subtract", ["corpus_mean", "crop_mean"])
@pytest.mark.parametrize("model", MODELS.values())
def test_a_recording_says_alone_what_it_says_among_others(spoken, data, model, subtract):
    one, rows = recipe(spoken, model), data.split(Split.TEST)
    network = untrained(one, data, subtract)
    together = predict(network, judged_batches(data, rows, one.training), 1)[:, 0]
    whole = data.whole(rows)
    order = np.argsort(whole.lengths, kind="stable")
    assert whole.lengths[order[0]] < whole.lengths[order[-1]]
    for row in (order[0], order[len(order) // 2], order[-1]):
        alone = network(whole[[int(row)]].features)[0].detach()
        torch.testing.assert_close(together[row, : len(alone)], alone, rtol=0, atol=2e-4)
        rest = together[row, len(alone) :]
        assert (rest[:, 0] == 0).all()
        assert (rest[:, 1:] < -9000).all()


def test_outputs_of_batches_are_put_into_the_order_of_rows():
    found = [(torch.tensor([2, 0]), torch.tensor([[2.0], [0.0]])), (torch.tensor([1, 3]), torch.tensor([[1.0], [3.0]]))]
    assert in_order(found, 1)[:, 0, 0].tolist() == [0, 1, 2, 3]
    crops = [(torch.tensor([0, 0, 1]), torch.tensor([[1.0], [2.0], [3.0]])), (torch.tensor([1]), torch.tensor([[4.0]]))]
    assert in_order(crops, 2)[:, :, 0].tolist() == [[1, 2], [3, 4]]


def test_the_loss_is_that_of_each_character_whatever_the_length():
    logits = torch.randn(2, 20, len(CLASSES), generator=torch.Generator().manual_seed(1)).double()
    numbers = torch.from_numpy(encode(["ab", "tomato"]))
    found = ctc_losses(logits.log_softmax(-1), numbers)
    for row, letters in enumerate((2, 6)):
        alone = torch.nn.functional.ctc_loss(
            logits[row].log_softmax(-1),
            numbers[row, :letters],
            torch.tensor(20),
            torch.tensor(letters),
            reduction="sum",
        )
        assert found[row] == pytest.approx(float(alone) / letters, rel=1e-12)
    loss = tasks["transcription"].loss(numbers.numpy(), None)
    assert float(loss(logits.log_softmax(-1), numbers, 0.0)) == pytest.approx(float(found.mean()), rel=1e-12)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(spoken, data, tmp_path):
    one = recipe(spoken)
    whole = fit(one, data, "wer", None, None, tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(one, data, "wer", None, killed_in(1), tmp_path / "cut")
    resumed = fit(one, data, "wer", None, None, tmp_path / "cut")
    assert_equal(resumed, whole)


def test_a_network_starts_from_what_another_has_learnt(spoken, data, tmp_path):
    one = recipe(spoken)
    learnt = untrained(one, data)
    with torch.no_grad():
        learnt.head.linear.bias += 1.0
    save_file(learnt.kept(), tmp_path / "weights.safetensors")
    statistics = Statistics(data.mean + 1, data.std, np.zeros((1, 1), dtype=np.int64))
    found = build_network(one.model, data.task, one.training, "all", statistics, tmp_path / "weights.safetensors")
    for part in ("encoder", "head"):
        ours, theirs = (getattr(network, part).state_dict() for network in (found, learnt))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(found.mean_F1[:, 0], torch.from_numpy(data.mean + 1).float())


def test_masks_change_what_is_learnt(spoken, data):
    masks = spoken.params.training.augmentation.model_copy(
        update={"probability": 1.0, "mask_seconds": 0.1, "mask_fraction": 0.2, "mask_stripes": 2}
    )
    plain, masked = (fit(recipe(spoken, epochs=1, **how), data, "wer", None) for how in ({}, {"augmentation": masks}))
    assert plain.history[0]["train_loss"] != masked.history[0]["train_loss"]


def test_the_judge_reads_as_the_settings_say_and_its_model_knows_the_training_texts_alone(spoken, data):
    one, train = recipe(spoken), data.split(Split.TRAIN)
    language = LanguageModel(order=3, weight=0.5, insertion=0.0)
    beam = Beam(width=8, threshold=20.0, language_model=language)
    searching = replace(one, transcription=one.transcription.model_copy(update={"beam": beam}))
    plain, judge = (judge_of(data, Split.VALID, each, train) for each in (one, searching))
    assert isinstance(judge, TextJudge)
    assert plain.grams is None
    texts = decode(data.task.targets(train))
    assert judge.grams["$"] == len(texts)
    outputs = torch.randn(len(judge.rows), 1, 40, len(CLASSES), generator=torch.Generator().manual_seed(2))
    outputs = (3 * outputs).log_softmax(-1)
    assert judge.table(outputs)["truth"].tolist() == plain.table(outputs)["truth"].tolist()
    assert judge.table(outputs)["hypothesis"].tolist() != plain.table(outputs)["hypothesis"].tolist()
    torch.testing.assert_close(judge.loss(outputs), plain.loss(outputs))


def test_transcripts_that_no_path_can_hold_are_refused_by_name(data):
    rows = data.split(Split.VALID)
    refuse_crowded(data, [rows], stride=3)
    with pytest.raises(InputError, match=r"\d+ recordings are too short for their transcripts, 's\d\d/\d.wav' among"):
        refuse_crowded(data, [rows], stride=60)


def test_an_untrained_network_costs_what_a_second_of_speech_costs(spoken, data):
    one = recipe(spoken)
    _, operations = cost(untrained(one, data), data)
    _, of_longer = cost(untrained(one, data), replace(data, crop_frames=2 * data.frames(1.0)))
    assert of_longer == pytest.approx(2 * operations, rel=0.03)
