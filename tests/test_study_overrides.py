"""What one study does otherwise: values of training and selection, checked like everything else."""

import pytest

from tiny import tiny_params, write_params
from voxbench.config import load_params
from voxbench.schema import InputError

NAME = "gender-tiny"


def loaded(tmp_path, override):
    params = tiny_params()
    params["studies"][NAME]["override"] = override
    return load_params(write_params(tmp_path, params))


def test_no_override_is_what_all_share(tmp_path):
    params = loaded(tmp_path, {})
    assert params.searching(NAME).training == params.training
    assert params.searching(NAME).selection == params.selection


def test_a_study_has_its_own_values_and_its_benchmarks_do_not(tmp_path):
    override = {"training": {"batch_size": 5}, "selection": {"schedule": {"max_epochs": 9}, "train_per_class": None}}
    params = loaded(tmp_path, override)
    own = params.searching(NAME)
    assert (own.training.batch_size, own.selection.schedule.max_epochs, own.selection.train_per_class) == (5, 9, None)
    assert own.selection.schedule.patience == params.selection.schedule.patience
    assert params.learning(NAME).training == params.training
    assert params.training.batch_size == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"trainingg": {}}, r"unknown key 'studies\.gender-tiny\.override\.trainingg' \(did you mean 'training'\?\)"),
        ({"training": {"batch_sise": 3}}, r"override\.training\.batch_sise' \(did you mean 'batch_size'\?\)"),
        ({"finetune": {"train_per_class": 3}}, r"unknown key 'studies\.gender-tiny\.override\.finetune'"),
        ({"training": {"batch_size": 0}}, r"studies\.gender-tiny\.override\.training\.batch_size: .* greater than"),
        ({"training": {"crop_seconds": 0.6}}, r"studies\.gender-tiny: training\.crop_seconds is 0\.6, longer than"),
        ({"selection": {"round_size": 0}}, r"override\.selection\.round_size: .* greater than or equal to 1"),
        ({"training": {"dropout": 0.7}}, r"studies\.gender-tiny: training\.dropout is 0\.7, outside selection\.space"),
        (
            {"selection": {"space": {"dropout": {"low": 0.0, "high": 1.0, "log": False}}}},
            r"studies\.gender-tiny: selection\.space\.dropout must lie in \[0, 1\)",
        ),
    ],
)
def test_an_override_that_does_not_fit_is_refused(tmp_path, override, message):
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, override)


def test_a_round_too_small_for_the_finalists_is_found_in_the_override(tmp_path):
    params = tiny_params()
    params["studies"][NAME] |= {"finalists": {"cnn": 2, "lstm": 1}, "override": {"selection": {"round_size": 1}}}
    with pytest.raises(InputError, match=r"selection\.round_size is 1, but .* must hold the 2 finalists"):
        load_params(write_params(tmp_path, params))
