"""Profiles: they change what they say, keep comments, and leave the file alone where they do not fit."""

import shutil

import pytest

from tiny import PROJECT
from voxbench.cli import main
from voxbench.config import load_params
from voxbench.config.profiles import apply_profile
from voxbench.schema import InputError


@pytest.fixture
def project(tmp_path):
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    shutil.copytree(PROJECT / "profiles", tmp_path / "profiles")
    return tmp_path


@pytest.mark.parametrize("name", [path.stem for path in (PROJECT / "profiles").glob("*.yaml")])
def test_every_shipped_profile_fits_and_a_second_time_changes_nothing(project, name):
    changes = apply_profile(project / "params.yaml", name)
    assert changes
    load_params(project / "params.yaml")
    assert apply_profile(project / "params.yaml", name) == []


def test_values_change_and_all_other_lines_stay(project):
    before = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    changes = apply_profile(project / "params.yaml", "full")
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    assert load_params(project / "params.yaml").training.resize == 224
    assert "training.resize: 64 -> 224" in changes
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= len(changes)
    assert [line for line in after if "side of the CNNs' input image" in line]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training: {batch_sise: 3}",
            r"'training\.batch_sise', which params\.yaml does not have \(did you mean 'batch_size'",
        ),
        ("training: {batch_size: 0}", "profile 'bad' does not fit: .*training.batch_size"),
    ],
)
def test_a_profile_that_does_not_fit_leaves_the_file_alone(project, text, message):
    (project / "profiles" / "bad.yaml").write_text(text, encoding="utf-8")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=message):
        apply_profile(project / "params.yaml", "bad")
    assert (project / "params.yaml").read_bytes() == before


def test_unknown_profile_names_the_closest(project, capsys):
    assert main(["--params", str(project / "params.yaml"), "profile", "ful"]) == 2
    assert "did you mean 'full'?" in capsys.readouterr().err
