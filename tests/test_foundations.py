"""Floor 0: registries, seeds, artifacts, progress."""

import json

import numpy as np
import pytest

from voxbench.artifacts import digest, files_digest, read_json, write_json
from voxbench.progress import Progress
from voxbench.registry import Registry
from voxbench.schema import AGE_GROUPS, InputError, age_group
from voxbench.seeding import derive_seed, generator


def test_registry_refuses_a_second_entry_of_a_name():
    registry = Registry("thing")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="thing 'one' is registered twice"):
        registry.add("one", 2)
    assert registry["one"] == 1


def test_registry_names_the_closest_entry():
    registry = Registry("thing")
    registry.add("resnet18", 1)
    with pytest.raises(InputError, match=r"unknown thing 'resnet81' \(did you mean 'resnet18'\?\); known: resnet18"):
        registry["resnet81"]


def test_registry_keeps_the_order_of_registration():
    registry = Registry("thing")
    for name in ("b", "a", "c"):
        registry.register(name)(name.upper())
    assert list(registry) == ["b", "a", "c"]
    assert len(registry) == 3
    assert "a" in registry


@pytest.mark.parametrize(
    ("years", "group"),
    [
        (0, "teens"),
        (9.99, "teens"),
        (10, "teens"),
        (19.99, "teens"),
        (20, "twenties"),
        (29.99, "twenties"),
        (30, "thirties"),
        (40, "fourties"),
        (50, "fifties"),
        (59.99, "fifties"),
        (60, "sixties+"),
        (70, "sixties+"),
        (130, "sixties+"),
    ],
)
def test_age_groups_go_by_decades(years, group):
    assert age_group(years) == group


@pytest.mark.parametrize("years", [-0.1, 130.5, float("nan"), float("inf")])
def test_what_is_no_age_has_no_group(years):
    with pytest.raises(InputError, match="expected years from 0 to 130"):
        age_group(years)


def test_every_age_group_has_ages_in_order():
    assert list(dict.fromkeys(age_group(years) for years in range(131))) == list(AGE_GROUPS)


def test_seeds_differ_by_seed_and_by_every_word_of_the_purpose():
    seeds = {
        derive_seed(seed, *purpose)
        for seed in (1, 2)
        for purpose in (("order", 1), ("order", 2), ("order1",), ("crop", 1))
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_repeat():
    assert np.array_equal(generator(3, "x").random(5), generator(3, "x").random(5))


def test_json_is_deterministic_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None], "b": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "c.json", {"a": float("nan")})
    assert not (tmp_path / "c.json").exists()


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_digests_see_content_and_names(tmp_path):
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    for name, content in (("x", b"1"), ("y", b"1")):
        (tmp_path / name).write_bytes(content)
    both, one = [tmp_path / "x", tmp_path / "y"], [tmp_path / "x"]
    assert files_digest(both, tmp_path) == files_digest(reversed(both), tmp_path)
    assert files_digest(one, tmp_path) != files_digest([tmp_path / "y"], tmp_path)


def test_progress_prints_plain_lines_where_there_is_no_terminal(capsys):
    with Progress("prepare", 4) as progress:
        progress.advance("first", 3)
        progress.advance("second")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" [")[0] for line in lines] == ["prepare 3/4", "prepare 4/4"]
    assert lines[1].endswith("second")
