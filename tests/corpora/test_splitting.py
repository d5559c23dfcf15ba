"""Splits and the leakage certificate: disjoint, balanced, repeatable, and refused where they cannot be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.config import Splitting
from voxbench.corpora.integrity import Speakers, certify, find_copies
from voxbench.corpora.splitting import assign_splits
from voxbench.schema import InputError, Split, Utterance
from voxbench.seeding import generator


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
    return table.assign(split=None, audio_sha256=table["id"], speakers=None, attack=None)


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


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stratify", ["gender", None])
def test_copies_of_a_recording_are_one_utterance(seed, stratify):
    """Copies by one speaker, by two, and by a woman and a man; the hash alone tells them."""
    table = manifest()
    copies = {"one": (0, 1), "two": (3, 33, 34), "mixed": (9, 70, 100)}
    for name, rows in copies.items():
        table.loc[list(rows), "audio_sha256"] = name
    split = assign_splits(table, splitting(by="utterance", stratify=stratify, seed=seed))
    assert split.notna().all()
    assert (split.groupby(table["audio_sha256"]).nunique() == 1).all()
    assert not certify(table.assign(split=split), "utterance")["clean"], "speakers are on both sides"


def test_shares_of_an_utterance_split_are_of_distinct_recordings():
    table = manifest(women=10, men=10, clips=2)
    table.loc[table["gender"] == "female", "audio_sha256"] = [f"f{row // 2}" for row in range(20)]
    split = assign_splits(table, splitting(by="utterance"))
    counts = split.groupby([table["gender"], split]).size()
    assert counts["female"].to_dict() == {"test": 4, "train": 12, "valid": 4}
    assert counts["male"].to_dict() == {"test": 4, "train": 12, "valid": 4}
    distinct = table[table["gender"] == "female"].groupby(split)["audio_sha256"].nunique()
    assert distinct.to_dict() == {"test": 2, "train": 6, "valid": 2}


@pytest.mark.parametrize("by", ["speaker", "official"])
def test_other_splits_do_not_look_at_the_audio(by):
    table = manifest()
    table["split"] = ["test" if speaker.endswith("3") else "train" for speaker in table["speaker"]]
    plain = assign_splits(table, splitting(by=by))
    assert plain.equals(assign_splits(table.assign(audio_sha256="same"), splitting(by=by)))


def test_age_groups_and_the_unknown_among_them_are_strata():
    table = manifest(women=15, men=15)
    ages = table["speaker"].map(
        {name: ("teens", "sixties+", None)[n % 3] for n, name in enumerate(table["speaker"].unique())}
    )
    split = assign_splits(table.assign(age_group=ages), splitting(stratify="age_group"))
    for _, groups in ages.fillna("unknown").groupby(split):
        assert set(groups) == {"teens", "sixties+", "unknown"}
    counts = split.groupby([ages.fillna("unknown"), split]).size()
    assert min(counts[group]["test"] for group in ("teens", "sixties+", "unknown")) >= 3


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


def test_an_official_validation_part_is_left_as_it_is():
    table = manifest()
    official = pd.Series([["train", "valid", "test"][int(speaker[-1]) % 3] for speaker in table["speaker"]])
    assert assign_splits(table.assign(split=official), splitting(by="official")).equals(official)


def test_a_corpus_for_evaluation_stays_a_test_set():
    table = manifest().assign(split="test")
    assert set(assign_splits(table, splitting(by="official"))) == {"test"}
    table.loc[0, "split"] = "train"
    with pytest.raises(InputError, match="speakers cannot fill 2 splits"):
        assign_splits(table, splitting(by="official"))


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


def heard(*rows):
    speakers = Speakers()
    for row_id, speaker, gender in rows:
        speakers.hear(Utterance(row_id, Path(row_id), speaker, gender=gender))
    return speakers


def test_a_speaker_of_two_genders_is_named_with_a_recording_of_each():
    rows = [
        ("a-0", "a", "male"),
        ("a-1", "a", None),
        ("a-2", "a", "female"),
        ("b-0", "b", "female"),
        ("a-3", "a", "male"),
    ]
    with pytest.raises(InputError, match=r"'a' is labelled male \(a-0\) and female \(a-2\)") as refused:
        heard(*rows).check()
    assert "1 speaker(s) contradict" in str(refused.value)
    heard(*rows[:2], *rows[3:]).check()


def copied(*groups):
    """Return a manifest in which each group of rows holds the same audio."""
    table = manifest()
    for rows in groups:
        table.loc[list(rows), "audio_sha256"] = table["audio_sha256"][rows[0]]
    return table


def test_of_equal_recordings_the_first_is_kept():
    copies = find_copies(copied((0, 2), (6, 7, 8)))
    assert copies.index.tolist() == [2, 7, 8]
    assert copies["reason"].tolist() == ["duplicate"] * 3
    assert copies["detail"].tolist() == ["the same audio as female0-0"] + ["the same audio as female2-0"] * 2
    assert find_copies(manifest()).empty


@pytest.mark.parametrize(
    ("splits", "left_out"),
    [
        (("train", "valid", "test"), [0, 1]),
        (("train", "train", "valid"), [0, 1]),
        (("train", None, "train"), [1, 2]),
        (("test", "train", "test"), [1, 2]),
    ],
)
def test_the_copy_in_the_official_test_set_is_the_one_to_keep(splits, left_out):
    table = copied((0, 1, 2))
    table.loc[[0, 1, 2], "split"] = splits
    assert find_copies(table).index.tolist() == left_out


@pytest.mark.parametrize(
    ("rows", "column"), [((0, 3), "speaker"), ((0, 63), "speaker, gender"), ((0, 1), "attack"), ((0, 1), "gender")]
)
def test_copies_that_contradict_each_other_are_all_left_out(rows, column):
    table = copied(rows)
    if column in ("attack", "gender"):
        table.loc[rows[1], column] = {"attack": "A07", "gender": None}[column]
    copies = find_copies(table)
    assert copies.index.tolist() == list(rows)
    assert set(copies["reason"]) == {"contradictory_duplicate"}
    names = " and ".join(table["id"][list(rows)])
    assert copies["detail"].iloc[0] == f"the audio of 2 recordings is equal, but not their {column}: e.g. {names}"


def mixtures():
    table = pd.DataFrame({"id": ["m0", "m1", "m2", "m3"], "speaker": ["a+b", "c", "d+e", "a"]})
    return table.assign(
        speakers=[["a", "b"], None, ["d", "e"], None], session=None, audio_sha256=table["id"], gender=""
    )


def test_each_speaker_of_a_mixture_counts():
    clean = mixtures().assign(split=["train", "valid", "test", "train"])
    certificate = certify(clean, "official")
    assert certificate["clean"]
    assert certificate["splits"] == {
        "train": {"rows": 2, "speakers": 2},
        "valid": {"rows": 1, "speakers": 1},
        "test": {"rows": 1, "speakers": 2},
    }
    assert certify(clean[::-1], "official") == certificate | {"splits": certificate["splits"]}
    with pytest.raises(InputError, match=r"1 speaker value\(s\) occur in both train and test, e.g. 'a' \(m0, m3\)"):
        certify(clean.assign(split=["train", "valid", "test", "test"]), "official")


def test_mixtures_have_no_split_by_speaker():
    with pytest.raises(InputError, match=r"recordings hold several speakers.*use 'official'"):
        assign_splits(mixtures(), splitting(stratify=None))


def test_a_split_is_what_it_was_when_names_were_drawn_instead_of_numbers():
    """The law of earlier manifests: shuffle the sorted names of a stratum, take test, then validation."""
    table = manifest(women=13, men=17)
    expected = {}
    for gender, rows in table.groupby("gender"):
        names = generator(5, "split", gender).permutation(np.array(sorted(rows["speaker"].unique()), dtype=object))
        cuts = [round(0.2 * len(names)), 2 * round(0.2 * len(names))]
        for split, part in zip(("test", "valid", "train"), np.split(names, cuts), strict=True):
            expected |= dict.fromkeys(part, split)
    assert assign_splits(table, splitting(seed=5)).tolist() == table["speaker"].map(expected).tolist()
