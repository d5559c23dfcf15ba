"""What one benchmark or variant does otherwise: merged deeply, checked like everything else, and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny import PROJECT, tiny_params, write_params
from voxbench.config import Params, Section, Training, changed, load_params
from voxbench.schema import InputError

SHIPPED = load_params(PROJECT / "params.yaml")
NAME = "gender-tiny"


def loaded(tmp_path, override=None, **changes):
    """Return the tiny parameters with another override, and other values of training or ablation."""
    params = tiny_params()
    params["benchmarks"] = {NAME: params["benchmarks"][NAME] | {"override": override or {}}}
    for section, values in changes.items():
        params[section] |= values
    return load_params(write_params(tmp_path, params))


def sections(part):
    """Yield a section and every one within it."""
    yield part
    for name in type(part).model_fields:
        value = getattr(part, name)
        for inner in value.values() if isinstance(value, dict) else [value]:
            if isinstance(inner, Section):
                yield from sections(inner)


def leaves(values, path=()):
    for key, value in values.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]


def nested(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


def test_no_change_is_the_same_section():
    parts = list(sections(SHIPPED))
    assert len(parts) > 20
    assert all(changed(part, {}, "place") == part for part in parts)


@pytest.mark.parametrize(("path", "value"), list(leaves(SHIPPED.training.model_dump())), ids=lambda part: str(part))
def test_a_value_changed_to_itself_is_no_change(path, value):
    assert changed(SHIPPED.training, nested(path, value), "place") == SHIPPED.training


@given(rate=st.floats(1e-6, 1), probability=st.floats(0, 1), low=st.floats(-20, 20), width=st.floats(0, 20))
def test_a_change_reaches_what_it_names_and_nothing_else(rate, probability, low, width):
    augmentation = {"probability": probability, "noise_snr_db": [low, low + width]}
    changes = {"learning_rate": rate, "augmentation": augmentation}
    result = changed(SHIPPED.training, changes, "place")
    expected = SHIPPED.training.model_dump() | {"learning_rate": rate}
    expected["augmentation"] |= {"probability": probability, "noise_snr_db": (low, low + width)}
    assert isinstance(result, Training)
    assert result.model_dump() == expected
    assert (
        changed(changed(SHIPPED.training, {"augmentation": augmentation}, "a"), {"learning_rate": rate}, "b") == result
    )


def test_what_is_changed_stays_as_it_was():
    before = SHIPPED.model_dump()
    changed(SHIPPED.training, {"augmentation": {"probability": 0.9}}, "place")
    assert SHIPPED.model_dump() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batchsize": 4}, r"unknown key 'here\.batchsize' \(did you mean 'batch_size'\?\)"),
        (
            {"augmentation": {"noise_db": 4}},
            r"unknown key 'here\.augmentation\.noise_db' \(did you mean 'noise_snr_db'",
        ),
        ({"batch_size": 0}, r"^here\.batch_size: Input should be greater than or equal to 1, found 0$"),
        ({"augmentation": {"speed": [2, 1]}}, r"^here\.augmentation\.speed: bounds are \[2, 1\], expected the lower "),
        ({"augmentation": None}, r"^here\.augmentation: .*found None"),
    ],
)
def test_a_wrong_change_names_the_place_and_the_key(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(SHIPPED.training, changes, "here")


def test_an_override_holds_for_its_benchmark_alone_and_leaves_the_rest(tmp_path):
    override = {
        "training": {"batch_size": 4, "augmentation": {"probability": 1.0}},
        "finetune": {"schedule": {"max_epochs": 7}},
        "repeat": {"seeds": [1, 2, 6]},
    }
    params = loaded(tmp_path, override)
    learning = params.learning(NAME)
    assert (learning.training.batch_size, learning.training.augmentation.probability) == (4, 1.0)
    assert (learning.finetune.schedule.max_epochs, learning.repeat.seeds) == (7, (1, 2, 6))
    own = params.training.model_copy(update={"batch_size": 4, "augmentation": learning.training.augmentation})
    assert learning.training == own
    assert learning.training.augmentation.model_copy(update={"probability": 0.5}) == params.training.augmentation
    schedule = params.finetune.schedule.model_copy(update={"max_epochs": 7})
    assert learning.finetune == params.finetune.model_copy(update={"schedule": schedule})
    assert (params.training.batch_size, params.finetune.schedule.max_epochs, params.repeat.seeds) == (8, 2, (1, 2, 3))


def test_without_an_override_a_benchmark_learns_as_all_do(tmp_path):
    params = loaded(tmp_path)
    learning = params.learning(NAME)
    assert (learning.training, learning.finetune, learning.repeat) == (params.training, params.finetune, params.repeat)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            {"trainings": {}},
            r"unknown key 'benchmarks\.gender-tiny\.override\.trainings' \(did you mean 'training'\?\)",
        ),
        ({"selection": {"round_size": 9}}, r"unknown key 'benchmarks\.gender-tiny\.override\.selection'"),
        (
            {"training": {"learning_rat": 1}},
            r"'benchmarks\.gender-tiny\.override\.training\.learning_rat' \(did you mean 'learning_rate'\?\)",
        ),
        (
            {"finetune": {"schedule": {"max_epoch": 1}}},
            r"override\.finetune\.schedule\.max_epoch' \(did you mean 'max_epochs'\?\)",
        ),
        (
            {"training": {"dropout": 1.5}},
            r"benchmarks\.gender-tiny\.override\.training\.dropout: Input should be less than 1, found 1\.5",
        ),
        (
            {"repeat": {"seeds": [1, 1]}},
            r"benchmarks\.gender-tiny\.override\.repeat\.seeds: seeds must differ, found \[1, 1\]$",
        ),
        ({"training": 3}, r"benchmarks\.gender-tiny\.override\.training: Input should be a valid dictionary, found 3"),
    ],
)
def test_a_wrong_override_is_refused_when_the_file_is_read(tmp_path, override, message):
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, override)


def variant(split=None, **training):
    return {
        "variants": {
            "utterance-split": {"split": None, "training": {}},
            "noise": {"split": split, "training": training},
        }
    }


@pytest.mark.parametrize(
    ("ablation", "message"),
    [
        (
            variant(augmentation={"noise_snr": [0, 9]}),
            r"unknown key 'ablation\.variants\.noise\.training\.augmentation\.noise_snr' \(did you mean 'noise_snr_db'",
        ),
        (variant(balance="both"), r"ablation\.variants\.noise\.training\.balance: Input should be 'none'"),
        (variant(split="speaker"), r"ablation\.variants\.noise\.split: Input should be 'utterance', found 'speaker'"),
    ],
)
def test_a_wrong_variant_is_refused_when_the_file_is_read(tmp_path, ablation, message):
    with pytest.raises(InputError, match=message):
        loaded(tmp_path, ablation=ablation)


def crops_and_speed(crop_seconds, *speed):
    return {"crop_seconds": crop_seconds, "augmentation": {"speed": list(speed)}}


@pytest.mark.parametrize("speed", [(1.0, 1.25), (1.25, 1.25)])
@pytest.mark.parametrize(("crop_seconds", "fits"), [(0.4, True), (0.41, False)])
def test_a_crop_must_fit_the_shortest_clip_at_the_highest_speed(tmp_path, speed, crop_seconds, fits):
    """The shortest clip has 0.5 s, of which 1.25 times the speed leaves 0.4."""
    override = {"training": crops_and_speed(crop_seconds, *speed)}
    if fits:
        assert loaded(tmp_path, override).learning(NAME).training.crop_seconds == crop_seconds
    else:
        message = r"benchmarks\.gender-tiny: .* is 0\.41, longer .*min_seconds 0\.5, .* speed, 1\.25: .* to 0\.5125"
        with pytest.raises(InputError, match=message):
            loaded(tmp_path, override)


def test_a_slow_voice_does_not_make_room_for_a_longer_crop(tmp_path):
    """Speed comes with a probability: some clips stay as short as they are."""
    with pytest.raises(
        InputError,
        match=r"is 0\.55, longer than .*min_seconds 0\.5, .* speed, 1: .* to 0\.55",
    ):
        loaded(tmp_path, {"training": crops_and_speed(0.55, 0.8, 0.9)})


def test_crops_of_every_training_section_are_checked(tmp_path):
    with pytest.raises(InputError, match=r"studies\.gender-tiny: training\.crop_seconds is 2, longer"):
        loaded(tmp_path, {"training": {"crop_seconds": 0.5}}, training={"crop_seconds": 2})
    with pytest.raises(
        InputError, match=r"ablation\.variants\.noise\.training: training\.crop_seconds is 0\.5, longer"
    ):
        loaded(tmp_path, ablation=variant(augmentation={"speed": [0.9, 1.1]}))


def test_a_variant_is_laid_over_the_override_of_its_benchmark(tmp_path):
    """The override makes room for the variant's speed."""
    params = loaded(tmp_path, {"training": {"crop_seconds": 0.4}}, ablation=variant(augmentation={"speed": [0.9, 1.1]}))
    assert isinstance(params, Params)
