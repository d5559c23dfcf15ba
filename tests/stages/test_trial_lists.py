"""Lists of trials beside the manifest: by its ids, with what is lost named and counted, and nothing dropped."""

import hashlib

import pandas as pd
import pytest

from voxbench.artifacts import read_json
from voxbench.features.trial_lists import STORED, drawn_list, usable_trials
from voxbench.schema import InputError
from voxbench.stages.trial_lists import ACCOUNT, store_trials

LINES = ["1 ann/v1/1.wav ann/v2/1.wav", "0 ann/v1/1.wav bob/v3/1.wav", "1 bob/v3/1.wav bob/v3/2.wav",
         "0 cyd/v4/1.wav ann/v2/1.wav"]  # fmt: skip
KEPT = ["wav/ann/v1/1.wav", "wav/ann/v2/1.wav", "wav/bob/v3/1.wav"]
EXCLUDED = {"wav/bob/v3/2.wav": "silent"}


@pytest.fixture
def prepared(tmp_path):
    """Return a prepared folder of three recordings, without a fourth that was excluded."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    write_manifest(folder, KEPT)
    rows = [f"{row_id},x,{reason},none" for row_id, reason in EXCLUDED.items()]
    (folder / "excluded.csv").write_text("\n".join(["id,speaker,reason,detail", *rows]) + "\n", encoding="utf-8")
    return folder


def write_manifest(folder, ids, speakers=None):
    names = speakers or [row_id.split("/")[1] for row_id in ids]
    pd.DataFrame({"id": ids, "speaker": names}).to_parquet(folder / "manifest.parquet", index=False)


def write_list(prepared, lines=LINES, name="list.txt"):
    path = prepared.parent / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name, path


def test_trials_are_stored_by_the_manifests_ids_in_the_order_of_the_file(prepared):
    said = store_trials(prepared, [write_list(prepared)], 0.5)
    assert said == "list.txt: 2 of 4 trials"
    table = pd.read_parquet(prepared / STORED)
    assert table["enroll"].tolist() == [KEPT[0], KEPT[0], KEPT[2], "cyd/v4/1.wav"]
    assert table["test"].tolist() == [KEPT[1], KEPT[2], "wav/bob/v3/2.wav", KEPT[1]]
    assert table["truth"].tolist() == [1, 0, 1, 0]
    assert table["lost"].fillna("").tolist() == ["", "", "silent", "not found"]
    assert set(table["list"]) == set(table["name"]) == {"list.txt"}
    assert table["is_cleaned"].isna().all()
    text = "\n".join(LINES) + "\n"
    assert set(table["sha256"]) == {hashlib.sha256(text.encode()).hexdigest()}


def test_what_is_lost_is_counted_and_named(prepared):
    store_trials(prepared, [write_list(prepared), write_list(prepared, LINES[:2], "short.txt")], 0.5)
    long, short = read_json(prepared / ACCOUNT)
    assert (long["trials"], long["targets"], long["usable"], long["usable_targets"]) == (4, 2, 2, 1)
    assert long["lost"] == {"not found": 1, "silent": 1}
    assert long["recordings"] == {"cyd/v4/1.wav": "not found", "wav/bob/v3/2.wav": "silent"}
    assert (short["trials"], short["usable"], short["lost"], short["recordings"]) == (2, 2, {}, {})
    assert (short["known"], short["is_cleaned"]) == (False, None)


def test_only_usable_trials_of_the_list_that_is_named_are_scored(prepared):
    store_trials(prepared, [write_list(prepared), write_list(prepared, LINES[1:2], "short.txt")], 0.5)
    found = usable_trials(prepared / STORED, "list.txt")
    assert found.trials.to_dict("list") == {"enroll": [KEPT[0]] * 2, "test": KEPT[1:], "truth": [1, 0]}
    assert (found.name, found.is_cleaned, found.lost) == ("list.txt", None, 2)
    assert found.account() == {
        "list": "list.txt", "sha256": found.sha256, "is_cleaned": None, "trials": 2, "targets": 1, "lost": 2
    }  # fmt: skip
    assert len(usable_trials(prepared / STORED, "short.txt").trials) == 1
    with pytest.raises(InputError, match=r"holds no list 'other\.txt': run the prepare stage again"):
        usable_trials(prepared / STORED, "other.txt")


def test_more_lost_trials_than_are_allowed_stop_the_stage(prepared):
    with pytest.raises(InputError, match=r"2 of 4 trials .* lost .*first: wav/bob/v3/2\.wav: silent.*_fraction 0\.49"):
        store_trials(prepared, [write_list(prepared)], 0.49)
    assert not (prepared / STORED).exists()


def test_a_list_of_other_speakers_is_refused(prepared):
    write_manifest(prepared, KEPT, ["ann", "eve", "bob"])
    with pytest.raises(InputError, match=r"1 labels contradict .*the first is 1 for wav/ann/v1/1\.wav and wav/ann/v2"):
        store_trials(prepared, [write_list(prepared)], 0.5)


def test_a_name_that_fits_two_recordings_is_refused(prepared):
    write_manifest(prepared, [*KEPT, "old/ann/v1/1.wav"], ["ann", "ann", "bob", "ann"])
    with pytest.raises(InputError, match=r"ann/v1/1\.wav of .* may be wav/ann/v1/1\.wav or old/ann/v1/1\.wav: keep"):
        store_trials(prepared, [write_list(prepared)], 0.5)


def test_equal_lists_give_equal_bytes(prepared):
    store_trials(prepared, [write_list(prepared)], 0.5)
    first = (prepared / STORED).read_bytes()
    store_trials(prepared, [write_list(prepared)], 0.5)
    assert (prepared / STORED).read_bytes() == first


def test_drawn_trials_have_the_hash_of_the_list_that_they_would_make(prepared):
    lines = ["1 ann/v1/1.wav ann/v2/1.wav", "0 ann/v1/1.wav bob/v3/1.wav"]
    fields = [line.split() for line in lines]
    trials = pd.DataFrame({"enroll": [each[1] for each in fields], "test": [each[2] for each in fields],
                           "truth": [int(each[0]) for each in fields]})  # fmt: skip
    found = drawn_list(trials)
    assert found.sha256 == hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()
    assert (found.name, found.lost) == ("drawn by rule", 0)
    assert drawn_list(trials.iloc[::-1]).sha256 != found.sha256
