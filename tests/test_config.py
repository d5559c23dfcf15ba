"""`params.yaml`: what ships is valid, and every kind of mistake is named with its place and its mend."""

import re
from typing import Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from tiny import PROJECT, tiny_params, write_params
from voxbench.config import Params, Section, load_params
from voxbench.config.policy import Rule
from voxbench.schema import InputError


def complaint(tmp_path, change):
    params = tiny_params()
    change(params)
    with pytest.raises(InputError) as refused:
        load_params(write_params(tmp_path, params))
    message = str(refused.value)
    assert "\n" not in message
    assert "Value error" not in message
    return message


def test_shipped_configuration_is_valid():
    params = load_params(PROJECT / "params.yaml")
    assert len(params.study("gender-voxceleb1").models) == 16
    assert params.benchmark("gender-voxceleb1").select_from == "gender-voxceleb1"
    assert len(params.repeat.seeds) == 10
    assert set(params.ablation.seeds) <= set(params.repeat.seeds)
    assert set(params.corpora) == set(params.twins), "every corpus of the demo is written by a twin"


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("training", "learning_rat", "'training.learning_rat' (did you mean 'learning_rate'?)"),
        ("studies.gender-tiny", "finalist", "'studies.gender-tiny.finalist' (did you mean 'finalists'?)"),
        ("benchmarks.gender-tiny", "selects_from", "'benchmarks.gender-tiny.selects_from' (did you mean 'select_from'"),
        ("training.augmentation", "noise_db", "'training.augmentation.noise_db' (did you mean 'noise_snr_db'?)"),
        ("corpora.tiny.cleaning", "silence", "'corpora.tiny.cleaning.silence' (did you mean 'silence_q'?)"),
        ("ablation.variants.noise", "splits", "'ablation.variants.noise.splits' (did you mean 'split'?)"),
        ("report", "min_group", "'report.min_group' (did you mean 'min_group_speakers'?)"),
    ],
)
def test_a_misspelt_key_names_the_closest_one(tmp_path, section, key, message):
    def misspell(params):
        for part in section.split("."):
            params = params[part]
        params[key] = 1

    assert f"unknown key {message}" in complaint(tmp_path, misspell)


@pytest.mark.parametrize(
    ("section", "key"),
    [("training", "dropout"), ("training", "balance"), ("finetune", "train_per_class"), ("ablation", "finalists")],
)
def test_a_missing_key_is_named(tmp_path, section, key):
    assert f"key '{section}.{key}' is missing" in complaint(tmp_path, lambda params: params[section].pop(key))


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("training", {"batch_size": 0}, "training.batch_size: Input should be greater than or equal to 1, found 0"),
        ("training", {"balance": "both"}, "training.balance: Input should be 'none', 'sampling' or 'loss'"),
        ("training", {"stem": "max"}, "training.stem: Input should be 'sum' or 'mean', found 'max'"),
        ("repeat", {"seeds": [1, 1]}, "repeat.seeds: seeds must differ, found [1, 1]"),
        ("repeat", {"seeds": [1]}, "repeat.seeds"),
        ("ablation", {"seeds": [1]}, "ablation.seeds"),
        ("training", {"learning_rate": 0.5}, "training.learning_rate is 0.5, outside selection.space.learning_rate"),
    ],
)
def test_a_wrong_value_is_shown_with_what_was_expected(tmp_path, section, changes, message):
    assert message in complaint(tmp_path, lambda params: params[section].update(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_snr_db": [20, 0]}, "training.augmentation.noise_snr_db: bounds are [20, 0], expected the lower one"),
        ({"probability": 1.5}, "training.augmentation.probability: Input should be less than or equal to 1"),
        ({"mask_fraction": 1.0}, "training.augmentation.mask_fraction: Input should be less than 1"),
        ({"mask_seconds": 0}, "training.augmentation.mask_seconds: Input should be greater than 0"),
        ({"babble_snr_db": [5, 10]}, "training.augmentation: babble_snr_db and babble_voices belong together"),
        ({"babble_voices": [3, 5]}, "training.augmentation: babble_snr_db and babble_voices belong together"),
        ({"babble_snr_db": [5, 10], "babble_voices": [5, 3]}, "babble_voices are [5, 3], expected the lower number"),
        ({"speed_speakers": [0.9, 0.9]}, "speed_speakers are [0.9, 0.9], expected different speeds, none of them 1"),
        ({"speed_speakers": [1.0, 1.1]}, "speed_speakers are [1.0, 1.1], expected different speeds, none of them 1"),
        ({"speed_speakers": []}, "training.augmentation.speed_speakers: Tuple should have at least 1 item"),
        ({"speed_speakers": [-1.0]}, "training.augmentation.speed_speakers.0: Input should be greater than 0"),
    ],
)
def test_a_wrong_augmentation_is_named(tmp_path, changes, message):
    assert message in complaint(tmp_path, lambda params: params["training"]["augmentation"].update(changes))


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("studies", {"corpus": "tinny"}, "studies.gender-tiny.corpus is 'tinny' (did you mean 'tiny'?); known corpora"),
        ("benchmarks", {"corpus": "tinny"}, "benchmarks.gender-tiny.corpus is 'tinny' (did you mean 'tiny'?)"),
        (
            "benchmarks",
            {"select_from": "gender-tyni"},
            "gender-tiny.select_from is 'gender-tyni' (did you mean 'gender-tiny'?); known studies: gender-tiny",
        ),
        (
            "benchmarks",
            {"variants": ["noise", "utterance-spilt"]},
            "benchmarks.gender-tiny.variants is 'utterance-spilt' (did you mean 'utterance-split'?)",
        ),
    ],
)
def test_a_row_that_names_no_row_is_refused(tmp_path, section, changes, message):
    assert message in complaint(tmp_path, lambda params: params[section]["gender-tiny"].update(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"finalists": {"cnn": 3, "lstm": 1}},
            "round_size is 2, but .* the 3 finalists .* set round_size to 3 or more",
        ),
        ({"finalists": {"cnn": 1}}, r"must name the same families, found \['lstm'\] in one only"),
        ({"finalists": {"cnn": 0, "lstm": 1}}, "finalists.cnn: Input should be greater than or equal to 1"),
        ({"finalists": {}, "trials": {}}, "finalists: Dictionary should have at least 1 item"),
        ({"models": []}, "models: .* at least 1 item"),
    ],
)
def test_a_study_without_sense_is_refused(tmp_path, changes, message):
    assert re.search(message, complaint(tmp_path, lambda params: params["studies"]["gender-tiny"].update(changes)))


def test_a_round_that_holds_every_study_is_accepted(tmp_path):
    params = tiny_params()
    params["studies"]["other"] = params["studies"]["gender-tiny"] | {"finalists": {"cnn": 3, "lstm": 1}}
    params["selection"]["round_size"] = 3
    assert load_params(write_params(tmp_path, params)).study("other").finalists["cnn"] == 3


def test_broken_yaml_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text("training: [1, 2\nmore: {", encoding="utf-8")
    with pytest.raises(InputError, match="is not YAML") as refused:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(refused.value)


def test_absent_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"no configuration at .*params\.yaml"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("row", ["benchmark", "study", "learning"])
def test_unknown_row_names_the_closest_one(row):
    with pytest.raises(InputError, match="did you mean 'gender-voxceleb1'"):
        getattr(load_params(PROJECT / "params.yaml"), row)("gender-voxceleb")


def test_sections_are_frozen():
    params = load_params(PROJECT / "params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.training.batch_size = 3  # type: ignore[misc]


def heirs(section):
    return {section} | {heir for child in section.__subclasses__() for heir in heirs(child)}


def test_no_section_has_a_default():
    sections = heirs(Section)
    assert {"Params", "Study", "Benchmark", "Augmentation", "Ablation", "Variant", "Twin", "Splitting"} <= {
        section.__name__ for section in sections
    }
    assert Params in sections
    for section in sections:
        for name, field in section.model_fields.items():
            if get_origin(field.annotation) is Literal and get_args(field.annotation) == (field.default,):
                continue  # the tag of a record, which can have no other value
            if section is Rule:
                continue  # of a policy file, no part of params.yaml: exactly one of its two keys is given
            assert field.is_required(), f"{section.__name__}.{name} has a default, which would escape dvc params diff"
