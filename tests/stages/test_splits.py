"""Splits: nobody is heard on both sides of the first, and the second, which leaks by design, says so."""

import json
import shutil
from itertools import combinations

import pandas as pd
import pytest
import soundfile

from stages.pipeline import CORPUS, copy_of, fingerprints, manifest_of
from tiny import tiny_params, write_params, write_table_corpus
from voxbench.schema import InputError
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import open_workspace

MAIN, LEAKY = "leakage.json", "leakage-utterance.json"


def certificate_of(workspace, name):
    return json.loads((workspace.prepared(CORPUS) / name).read_text())


def shared(manifest, column, key):
    """Return how many values of `key` each pair of splits has in common."""
    sides = {split: set(rows[key].dropna()) for split, rows in manifest.groupby(column)}
    return {pair: len(sides[pair[0]] & sides[pair[1]]) for pair in combinations(("train", "valid", "test"), 2)}


def test_the_certificate_counts_rows_and_speakers(featured):
    certificate = json.loads((featured.prepared(CORPUS) / "leakage.json").read_text())
    assert (certificate["clean"], certificate["by"]) == (True, "speaker")
    assert len(certificate["overlaps"]) == 9
    assert sum(split["rows"] for split in certificate["splits"].values()) == 48
    counts = manifest_of(featured).groupby("split")["speaker"].nunique()
    assert {name: split["speakers"] for name, split in certificate["splits"].items()} == counts.to_dict()


@pytest.mark.parametrize(("name", "column"), [(MAIN, "split"), (LEAKY, "split_utterance")])
def test_each_certificate_counts_what_its_own_splits_share(featured, name, column):
    manifest, certificate = manifest_of(featured), certificate_of(featured, name)
    for overlap in certificate["overlaps"]:
        assert overlap["shared"] == shared(manifest, column, overlap["key"])[tuple(overlap["splits"])], overlap
    rows = manifest.groupby(column)["speaker"].agg(rows="size", speakers="nunique")
    assert certificate["splits"] == rows.to_dict("index")


def test_the_split_by_utterance_shares_speakers_and_no_recording_and_says_so(featured):
    manifest, certificate = manifest_of(featured), certificate_of(featured, LEAKY)
    assert (certificate["by"], certificate["clean"]) == ("utterance", False)
    assert min(shared(manifest, "split_utterance", "speaker").values()) > 0
    assert set(shared(manifest, "split_utterance", "audio_sha256").values()) == {0}
    assert set(shared(manifest, "split", "speaker").values()) == {0}
    shares = manifest.groupby("gender")["split_utterance"].value_counts().unstack()
    assert (shares["test"] == round(0.2 * 24)).all(), "fractions are of utterances, within each gender"
    assert (shares["valid"] == round(0.2 * 24)).all()


@pytest.fixture
def tolerant_copy(featured, tmp_path):
    """Return a copy of the featured workspace that allows half of its recordings to be left out."""
    return copy_of(
        featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS].update(max_excluded_fraction=0.5)
    )


def excluded_of(workspace):
    return pd.read_csv(workspace.prepared(CORPUS) / "excluded.csv").set_index("id")


def test_of_copies_of_a_recording_one_is_kept(featured, tolerant_copy):
    """Here each speaker's second clip is a copy of the first."""
    for folder in (tolerant_copy.root / "raw").glob("s*"):
        shutil.copy(folder / "0.wav", folder / "1.wav")
    prepare(tolerant_copy, CORPUS)
    manifest, excluded = manifest_of(tolerant_copy), excluded_of(tolerant_copy)
    assert manifest["id"].tolist() == [row_id for row_id in manifest_of(featured)["id"] if row_id.endswith("/0.wav")]
    assert set(excluded["reason"]) == {"duplicate"}
    assert (excluded["detail"] == "the same audio as " + excluded["speaker"] + "/0.wav").all()
    assert excluded.index.tolist() == [row_id for row_id in manifest_of(featured)["id"] if row_id.endswith("/1.wav")]
    funnel = json.loads((tolerant_copy.prepared(CORPUS) / "funnel.json").read_text())
    assert (funnel["found"], funnel["kept"], funnel["excluded"]) == (48, 24, {"duplicate": 24})
    assert funnel["labelled"]["gender"] == 24
    assert funnel["hours"] == pytest.approx(manifest["source_seconds"].sum() / 3600, abs=5e-5)
    assert certificate_of(tolerant_copy, LEAKY)["clean"] is True, "no speaker is on both sides"


def test_too_many_copies_stop_the_run(copied):
    for folder in (copied.root / "raw").glob("s*"):
        shutil.copy(folder / "0.wav", folder / "1.wav")
    with pytest.raises(InputError, match=r"24 of 48 recordings are unusable \({'duplicate': 24}; first: s00/1.wav"):
        prepare(copied, CORPUS)


def test_a_changed_seed_draws_both_splits_anew(featured, tmp_path):
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["splitting"].update(seed=1))
    prepare(copy, CORPUS)
    for column in ("split", "split_utterance"):
        assert manifest_of(copy)[column].tolist() != manifest_of(featured)[column].tolist()


def test_where_the_main_split_is_by_utterance_both_are_the_same(featured, tmp_path):
    change = {"by": "utterance"}
    copy = copy_of(featured, tmp_path / "copy", lambda params: params["corpora"][CORPUS]["splitting"].update(change))
    prepare(copy, CORPUS)
    manifest = manifest_of(copy)
    assert manifest["split"].tolist() == manifest["split_utterance"].tolist()
    assert manifest["split"].tolist() == manifest_of(featured)["split_utterance"].tolist()
    assert (
        fingerprints(copy.prepared(CORPUS))[f"{CORPUS}/{LEAKY}"]
        == fingerprints(featured.prepared(CORPUS))[f"{CORPUS}/{LEAKY}"]
    )
    assert certificate_of(copy, MAIN) == certificate_of(copy, LEAKY)


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_the_same_audio_of_two_speakers_is_nobodys(copied, container):
    wave, rate = soundfile.read(copied.root / "raw" / "s00" / "0.wav", dtype="int16")
    soundfile.write(copied.root / "raw" / "s03" / "1.wav", wave, rate, format=container)
    prepare(copied, CORPUS)
    excluded = excluded_of(copied)
    assert excluded.index.tolist() == ["s00/0.wav", "s03/1.wav"]
    assert set(excluded["reason"]) == {"contradictory_duplicate"}
    assert "but not their speaker, gender: e.g. s00/0.wav and s03/1.wav" in excluded["detail"].iloc[0]
    assert not manifest_of(copied)["id"].isin(excluded.index).any()


def test_fewer_speakers_than_splits_are_refused(tmp_path):
    write_table_corpus(tmp_path / "raw", speakers=4, clips=2)
    workspace = open_workspace(write_params(tmp_path, tiny_params()))
    with pytest.raises(InputError, match=r"2 gender 'female' speakers cannot fill 3 splits"):
        prepare(workspace, CORPUS)
