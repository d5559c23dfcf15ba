"""Splits and the leakage certificate: disjoint, balanced, repeatable, and refused where they cannot be."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.config import Splitting
from voxbench.corpora.integrity import certify, check_speakers
from voxbench.corpora.splitting import assign_splits
from voxbench.schema import InputError, Split


def manifest(women=20, men=20, clips=3):
    rows = [
        {
            "id": f"{gender}{speaker}-{clip}",
            "speaker": f"{gender}{speaker}",
            "gender": gender,
            "session": f"{gender}{speaker}-s",
        }
        for gender, count in (("female", women), ("male", men))
        for speaker in range(count)
        for clip in range(clips)
    ]
    table = pd.DataFrame(rows)
    return table.assign(split=None, audio_sha256=table["id"])


def splitting(**changes):
    base = {"by": "speaker", "stratify": "gender", "valid_fraction": 0.2, "test_fraction": 0.2, "seed": 1}
    return Splitting(**(base | changes))


@settings(max_examples=25, deadline=None)
@given(women=st.integers(3, 40), men=st.integers(3, 40), seed=st.integers(0, 10))
def test_speaker_splits_are_disjoint_stratified_and_complete(women, men, seed):
    table = manifest(women, men)
    split = assign_splits(table, splitting(seed=seed))
    assert split.notna().all()
    assert (split.groupby(table["speaker"]).nunique() == 1).all()
    for _, genders in table.groupby(split)["gender"]:
        assert set(genders) == {"female", "male"}


def test_shares_are_those_asked_for_and_the_seed_decides():
    table = manifest()
    split = assign_splits(table, splitting())
    assert split.value_counts().to_dict() == {Split.TRAIN: 72, Split.TEST: 24, Split.VALID: 24}
    assert split.equals(assign_splits(table, splitting()))
    assert not split.equals(assign_splits(table, splitting(seed=2)))


def test_the_order_of_rows_does_not_matter():
    table = manifest()
    shuffled = table.sample(frac=1, random_state=1)
    assert assign_splits(shuffled, splitting()).sort_index().equals(assign_splits(table, splitting()))


def test_fewer_speakers_than_splits_is_refused():
    with pytest.raises(InputError, match="2 gender 'male' speakers cannot fill 3 splits"):
        assign_splits(manifest(men=2), splitting())


def test_fractions_that_leave_nothing_are_refused():
    with pytest.raises(InputError, match="leave no training data"):
        assign_splits(manifest(), splitting(valid_fraction=0.5, test_fraction=0.5))


def test_official_split_is_kept_and_validation_taken_from_training_speakers():
    table = manifest()
    official = ["test" if speaker.endswith(("1", "2")) else "train" for speaker in table["speaker"]]
    split = assign_splits(table.assign(split=official), splitting(by="official"))
    assert ((split == Split.TEST) == (pd.Series(official) == "test")).all()
    assert (split == Split.VALID).any()
    assert (split.groupby(table["speaker"]).nunique() == 1).all()


def test_official_split_needs_one():
    with pytest.raises(InputError, match="120 of 120 rows have no official split"):
        assign_splits(manifest(), splitting(by="official"))


def test_certificate_of_a_clean_split():
    table = manifest()
    certificate = certify(table.assign(split=assign_splits(table, splitting())), "speaker")
    assert certificate["clean"]
    assert certificate["splits"]["train"] == {"rows": 72, "speakers": 24}
    assert len(certificate["overlaps"]) == 9


def test_utterance_split_is_certified_as_leaky_not_refused():
    table = manifest()
    certificate = certify(table.assign(split=assign_splits(table, splitting(by="utterance"))), "utterance")
    assert not certificate["clean"]
    assert sum(overlap["shared"] for overlap in certificate["overlaps"] if overlap["key"] == "speaker") > 0


@pytest.mark.parametrize("key", ["speaker", "session", "audio_sha256"])
@pytest.mark.parametrize("pair", [("train", "test"), ("train", "valid"), ("valid", "test")])
def test_any_overlap_blocks_and_names_an_example(key, pair):
    table = manifest()
    table["split"] = assign_splits(table, splitting()).astype(str)
    rows = [table.index[table["split"] == split][0] for split in pair]
    table.loc[rows, key] = "culprit"
    with pytest.raises(InputError, match=f"1 {key} value.*both {pair[0]} and {pair[1]}, e.g. 'culprit'"):
        certify(table, "speaker")


def test_equal_audio_blocks_even_an_utterance_split():
    table = manifest()
    table["split"] = assign_splits(table, splitting(by="utterance")).astype(str)
    rows = [table.index[table["split"] == split][0] for split in ("train", "test")]
    table.loc[rows, "audio_sha256"] = "twin"
    with pytest.raises(InputError, match="audio_sha256"):
        certify(table, "utterance")


def test_a_speaker_of_two_genders_is_named_with_a_recording_of_each():
    table = manifest(women=2, men=1)
    table.loc[0, "gender"] = "male"
    with pytest.raises(InputError, match=r"'female0' is labelled male \(female0-0\) and female \(female0-1\)"):
        check_speakers(table)
    check_speakers(manifest())
