"""The split certificate of planned mixtures: people and recordings are looked for one by one, not by joined names."""

import pandas as pd
import pytest

from voxbench.corpora.integrity import certify
from voxbench.corpora.mixture_plan import JOINT, Mixing, plan_mixtures
from voxbench.schema import InputError, Split

PEOPLE = {"train": 8, "valid": 6, "test": 6}


def planned():
    """Return the manifest of 30 mixtures of up to three people, each person with two recordings."""
    rows = [
        (f"{split}{number}/{take}", f"{split}{number}", "female" if number % 2 else "male", split, 2.0)
        for split, people in PEOPLE.items()
        for number in range(people)
        for take in range(2)
    ]
    sources = pd.DataFrame(rows, columns=["id", "speaker", "gender", "split", "seconds"])
    plan = plan_mixtures(sources, Mixing(3, 3, dict.fromkeys(Split, 10), 1.0, None, (1.0, 1.0), None))
    return pd.DataFrame(
        {
            "id": plan["path"],
            "speaker": plan["sources"],
            "split": plan["split"],
            "speakers": plan["sources"].str.split(JOINT, regex=False),
            "session": None,
            "audio_sha256": plan["path"],
            "recordings": plan["ids"].map(list),
        }
    )


def planted(manifest, column, value):
    """Put `value` into the last place of a test mixture of three."""
    row = manifest.index[(manifest["split"] == "test") & (manifest["speakers"].str.len() == 3)][0]
    listed = manifest[column].copy()
    listed[row] = [*listed[row][:2], value]
    changed = manifest.assign(**{column: listed})
    return changed.assign(speaker=changed["speakers"].str.join(JOINT)), manifest["id"][row]


def test_a_plan_is_clean_of_people_and_of_recordings():
    certificate = certify(planned(), "speaker")
    assert certificate["clean"]
    assert {each["key"] for each in certificate["overlaps"]} == {"speaker", "session", "audio_sha256", "recording"}
    people = planned()["speakers"].explode().groupby(planned()["split"]).nunique()
    assert {split: sizes["speakers"] for split, sizes in certificate["splits"].items()} == people.to_dict()


def test_one_person_of_training_in_one_test_mixture_blocks():
    manifest = planned()
    person = manifest["speakers"][manifest["split"] == "train"].iloc[0][0]
    leaky, row = planted(manifest, "speakers", person)
    assert leaky["speaker"].is_unique or not set(leaky["speaker"][leaky["split"] == "test"]) & set(
        leaky["speaker"][leaky["split"] == "train"]
    ), "joined names would not show it"
    with pytest.raises(InputError, match=rf"1 speaker value\(s\) occur in both train and test, e.g. '{person}'.*{row}"):
        certify(leaky, "speaker")


def test_one_recording_on_both_sides_blocks_whatever_its_person_is_called():
    manifest = planned()
    recording = manifest["recordings"][manifest["split"] == "train"].iloc[0][0]
    leaky, row = planted(manifest, "recordings", recording)
    with pytest.raises(InputError, match=rf"1 recording value\(s\) occur in both train and test.*'{recording}'.*{row}"):
        certify(leaky, "speaker")


def test_a_split_that_deals_mixtures_anew_shares_both_by_intent():
    manifest = planned()
    anew = ["train", "valid", "test"] * (len(manifest) // 3)
    certificate = certify(manifest.assign(split=anew), "utterance")
    shared = {each["key"] for each in certificate["overlaps"] if each["shared"]}
    assert not certificate["clean"]
    assert shared == {"speaker", "recording"}
    with pytest.raises(InputError, match="audio_sha256"):
        certify(manifest.assign(split=anew, audio_sha256="same"), "utterance")
