"""`params.yaml`: what ships is valid, and every kind of mistake is named with its place and its mend."""

import pytest
from pydantic import ValidationError

from tiny import PROJECT, tiny_params, write_params
from voxbench.config import Params, Section, load_params
from voxbench.schema import InputError


def complaint(tmp_path, change):
    params = tiny_params()
    change(params)
    with pytest.raises(InputError) as refused:
        load_params(write_params(tmp_path, params))
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_shipped_configuration_is_valid():
    params = load_params(PROJECT / "params.yaml")
    assert len(params.benchmark("gender-voxceleb1").models) == 16
    assert len(params.repeat.seeds) == 10


def test_misspelt_key_names_the_closest_one(tmp_path):
    message = complaint(tmp_path, lambda params: params["training"].update(learning_rat=1))
    assert "unknown key 'training.learning_rat' (did you mean 'learning_rate'?)" in message


def test_misspelt_key_below_a_named_row_names_the_closest_one(tmp_path):
    message = complaint(tmp_path, lambda params: params["corpora"]["tiny"]["cleaning"].update(silence=1))
    assert "'corpora.tiny.cleaning.silence' (did you mean 'silence_q'?)" in message


def test_missing_key_is_named(tmp_path):
    assert "key 'training.dropout' is missing" in complaint(tmp_path, lambda params: params["training"].pop("dropout"))


def test_wrong_value_is_shown_with_what_was_expected(tmp_path):
    message = complaint(tmp_path, lambda params: params["training"].update(batch_size=0))
    assert "training.batch_size" in message
    assert "greater than or equal to 1, found 0" in message


def test_unknown_corpus_of_a_benchmark_names_the_closest_one(tmp_path):
    message = complaint(tmp_path, lambda params: params["benchmarks"]["gender-tiny"].update(corpus="tinny"))
    assert "did you mean 'tiny'?" in message


def test_crop_longer_than_the_shortest_clip_is_refused(tmp_path):
    assert "crop_seconds is 2" in complaint(tmp_path, lambda params: params["training"].update(crop_seconds=2))


def test_base_trial_outside_the_search_interval_is_refused(tmp_path):
    message = complaint(tmp_path, lambda params: params["training"].update(learning_rate=0.5))
    assert "training.learning_rate is 0.5, outside selection.space.learning_rate [0.0001, 0.01]" in message


def test_round_too_small_for_the_finalists_is_refused(tmp_path):
    message = complaint(tmp_path, lambda params: params["selection"].update(finalists={"cnn": 3, "lstm": 1}))
    assert "set round_size to 3 or more" in message


def test_repeated_seed_is_refused(tmp_path):
    assert "seeds must differ" in complaint(tmp_path, lambda params: params["repeat"].update(seeds=[1, 1]))


def test_broken_yaml_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text("training: [1, 2\nmore: {", encoding="utf-8")
    with pytest.raises(InputError, match="is not YAML") as refused:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(refused.value)


def test_absent_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"no configuration at .*params\.yaml"):
        load_params(tmp_path / "params.yaml")


def test_unknown_row_names_the_closest_one():
    with pytest.raises(InputError, match="did you mean 'gender-voxceleb1'"):
        load_params(PROJECT / "params.yaml").benchmark("gender-voxceleb")


def test_sections_are_frozen():
    params = load_params(PROJECT / "params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.training.batch_size = 3  # type: ignore[misc]


def test_no_section_has_a_default():
    sections = [Params]
    while sections:
        section = sections.pop()
        for name, field in section.model_fields.items():
            assert field.is_required(), f"{section.__name__}.{name} has a default, which would escape dvc params diff"
    assert all(field.is_required() for heir in Section.__subclasses__() for field in heir.model_fields.values())
