"""A table with a column `split`: kept by `official`, of no effect by `speaker`, and certified like any other."""

import json

import pandas as pd
import pytest

from stages.pipeline import CORPUS, copy_of, fingerprints, manifest_of
from voxbench.schema import InputError
from voxbench.stages.prepare import prepare


@pytest.fixture
def with_splits(featured, tmp_path):
    """Return a function that gives a copy's table the column `split`, by `split_of(path)`, and prepares it."""

    def stated(split_of, by="official"):
        copy = copy_of(featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["splitting"].update(by=by))
        path = copy.root / "raw" / "metadata.csv"
        table = pd.read_csv(path, dtype=str)
        table.assign(split=table["path"].map(split_of)).to_csv(path, index=False)
        prepare(copy, CORPUS)
        return copy

    return stated


def speaker_of(path):
    return int(path[1:3])


def thirds(path):
    """Deal pairs of a woman and a man: two of three train, the others validate and test in turn."""
    return ("train", "train", "valid", "train", "train", "test")[speaker_of(path) // 2 % 6]


def certificate_of(workspace):
    return json.loads((workspace.prepared(CORPUS) / "leakage.json").read_text())


def test_an_official_split_is_that_of_the_table(with_splits):
    copy = with_splits(thirds)
    manifest = manifest_of(copy)
    assert manifest["split"].tolist() == manifest["id"].map(thirds).tolist()
    assert "extra_split" not in manifest
    certificate = certificate_of(copy)
    assert (certificate["by"], certificate["clean"]) == ("official", True)
    assert certificate["splits"] == {
        "train": {"rows": 32, "speakers": 16},
        "valid": {"rows": 8, "speakers": 4},
        "test": {"rows": 8, "speakers": 4},
    }


def test_rows_without_a_split_are_left_out_and_training_speakers_validate(with_splits):
    copy = with_splits(lambda path: ("", "test", "train", "train")[speaker_of(path) // 2 % 4])
    manifest, excluded = manifest_of(copy), pd.read_csv(copy.prepared(CORPUS) / "excluded.csv")
    stated = manifest["id"].map(lambda path: speaker_of(path) // 2 % 4)
    assert set(stated[manifest["split"] == "test"]) == {1}
    assert set(stated[manifest["split"].isin(["train", "valid"])]) == {2, 3}
    assert (stated == 1).sum() == (manifest["split"] == "test").sum() == 12
    speakers = manifest.groupby("split")["speaker"].nunique().to_dict()
    assert speakers == {"train": 10, "valid": 2, "test": 6}, "a fifth of six, rounded, of each gender"
    assert set(excluded["reason"]) == {"unsplit"}
    assert {speaker_of(path) // 2 % 4 for path in excluded["id"]} == {0}
    assert len(excluded) == 12


def test_a_table_for_evaluation_alone_is_a_test_set(with_splits):
    assert set(manifest_of(with_splits(lambda path: "test"))["split"]) == {"test"}


@pytest.mark.parametrize("other", ["valid", "train"])
def test_a_person_in_two_official_splits_is_found(with_splits, other):
    """The second clip of s10, who tests, is put elsewhere."""
    assert thirds("s10/0.wav") == "test"
    message = rf"1 speaker value\(s\) occur in both {other} and test, e\.g\. 's10' \(s10/1\.wav, s10/0\.wav\)"
    with pytest.raises(InputError, match=message):
        with_splits(lambda path: other if path == "s10/1.wav" else thirds(path))


def test_a_column_without_a_word_is_no_official_split(with_splits):
    with pytest.raises(InputError, match="48 of 48 rows have no official split: use 'speaker'"):
        with_splits(lambda path: "")


def test_by_speaker_the_column_changes_no_byte(featured, with_splits):
    copy = with_splits(thirds, by="speaker")
    assert manifest_of(copy)["split"].tolist() != manifest_of(copy)["id"].map(thirds).tolist()
    assert fingerprints(copy.prepared(CORPUS)) == fingerprints(featured.prepared(CORPUS))
