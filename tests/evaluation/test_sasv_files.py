"""Tables of trials with two scores: read alike from every form, and refused in words with the fix."""

import pandas as pd
import pytest

from evaluation.tandem_trials import tandem_trials
from voxbench.evaluation.sasv_files import check_trials, read_tandem
from voxbench.schema import InputError

DEVELOPMENT, TEST = tandem_trials(1), tandem_trials(2)


def written(path, table):
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_two_files_are_read_as_they_were_written(tmp_path, ending):
    paths = [written(tmp_path / f"{name}{ending}", table) for name, table in (("dev", DEVELOPMENT), ("test", TEST))]
    development, test = read_tandem(paths[1], paths[0])
    for found, expected in ((development, DEVELOPMENT), (test, TEST)):
        pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)


def test_one_file_is_parted_by_its_splits(tmp_path):
    parts = [DEVELOPMENT.assign(split="valid"), TEST.assign(split="test"), tandem_trials(3).assign(split="train")]
    development, test = read_tandem(written(tmp_path / "all.csv", pd.concat(parts)), None)
    assert development["test"].tolist() == DEVELOPMENT["test"].tolist()
    assert test["test"].tolist() == TEST["test"].tolist()


def test_who_is_heard_may_be_unknown(tmp_path):
    plain = [each.drop(columns="speaker") for each in (DEVELOPMENT, TEST)]
    paths = [written(tmp_path / f"{place}.csv", table) for place, table in enumerate(plain)]
    assert "speaker" not in read_tandem(paths[1], paths[0])[1]


def changed(column, value, row=0, table=TEST):
    table = table.astype({"asv": object, "cm": object})
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("development", "test", "message"),
    [
        (DEVELOPMENT, TEST.drop(columns="cm"), "has no column 'cm'"),
        (DEVELOPMENT, TEST.rename(columns={"asv": "avs"}), "did you mean 'avs'"),
        (DEVELOPMENT, changed("asv", "nan"), "row 1: asv is nan"),
        (DEVELOPMENT, changed("cm", "high"), "row 1: cm is 'high', which is no number"),
        (DEVELOPMENT, changed("key", "tarjet"), "key 'tarjet' .did you mean 'target'"),
        (DEVELOPMENT, changed("enroll", ""), "row 1: enroll is empty"),
        (DEVELOPMENT, TEST[TEST["key"] != "spoof"], "test trials of .* have no spoof trial .found 32 target, 224 nont"),
        (DEVELOPMENT[DEVELOPMENT["key"] == "spoof"], TEST, "development trials of .* have no target and no nontarget"),
        (DEVELOPMENT, pd.concat([TEST, TEST.iloc[:1]]), "1 of the test trials of .* occur twice, 2-0 2-0/0 first"),
        (DEVELOPMENT, changed("cm", "9.0"), "2-0/0 has several scores of the countermeasure"),
        (DEVELOPMENT, changed("speaker", "2-1"), "is a target trial, but 2-1 is heard"),
        (DEVELOPMENT, changed("speaker", "2-1", row=8 * 4), "is a spoof trial, but 2-1 is heard"),
        (DEVELOPMENT, pd.concat([TEST, DEVELOPMENT]), "64 recordings of the test trials are heard in development"),
        (None, TEST, "has no column 'split', so no trial is one of development: name a file of them with --dev"),
    ],
)
def test_a_mistake_is_named_with_its_fix(tmp_path, development, test, message):
    path = None if development is None else written(tmp_path / "dev.csv", development)
    with pytest.raises(InputError, match=message):
        read_tandem(written(tmp_path / "test.csv", test), path)


def test_a_recording_is_spoofed_in_all_of_its_trials_or_in_none():
    both = TEST.assign(key=TEST["key"].where(TEST.index != 1, "spoof")).drop(columns="speaker")
    with pytest.raises(InputError, match="2-0/0 has trials of both bona fide and spoofed speech"):
        check_trials(both, "test trials")
