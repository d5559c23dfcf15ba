"""A verifier's scores beside the manifest: of the test rows and no others, whatever edition they come from."""

import hashlib

import pandas as pd
import pytest

from voxbench.corpora.asv_scores import OFFICIAL
from voxbench.corpora.stored_asv_scores import STORED, read_stored, store_asv_scores
from voxbench.schema import InputError

NAME = "scores/asv.txt"
LINES = ["bonafide target 7.5", "bonafide nontarget -3", "A07 spoof 1.25", "A07 spoof -1", "A08 spoof 2"]
TEST_ATTACKS = ["bonafide", "A07", "A08", "A07"]


@pytest.fixture
def corpus(tmp_path):
    """Return a prepared folder with a manifest, and the root of a corpus with scores."""
    folder, root = tmp_path / "la", tmp_path / "raw"
    folder.mkdir()
    (root / NAME).parent.mkdir(parents=True)
    (root / NAME).write_text("\n".join(LINES) + "\n", encoding="utf-8")
    write_manifest(folder, TEST_ATTACKS)
    return folder, root


def write_manifest(folder, attacks):
    rows = [("train", "A01"), ("valid", "bonafide"), *(("test", attack) for attack in attacks)]
    pd.DataFrame(rows, columns=["split", "attack"]).to_parquet(folder / "manifest.parquet", index=False)


def test_scores_come_back_with_the_name_and_hash_of_their_file(corpus):
    folder, root = corpus
    assert store_asv_scores(folder, "asvspoof2019", root, NAME) == f"{NAME}: 5 trials of a speaker verifier"
    stored = read_stored(folder)
    assert (stored.file, stored.asv_set.name) == (NAME, None)
    assert stored.asv_set.sha256 == hashlib.sha256((root / NAME).read_bytes()).hexdigest()
    assert stored.asv_set.spoofs == {"A07": 2, "A08": 1}
    assert stored.table.columns.tolist() == ["source", "key", "score"]
    assert stored.table["score"].tolist() == [7.5, -3.0, 1.25, -1.0, 2.0]
    assert stored.table["key"].tolist() == ["target", "nontarget", "spoof", "spoof", "spoof"]


def test_an_official_file_is_called_by_its_set(corpus, monkeypatch):
    folder, root = corpus
    monkeypatch.setitem(OFFICIAL, hashlib.sha256((root / NAME).read_bytes()).hexdigest(), "some eval")
    store_asv_scores(folder, "asvspoof2019", root, NAME)
    assert read_stored(folder).asv_set.name == "some eval"


def test_scores_of_2021_are_stored_in_the_same_columns(corpus):
    folder, root = corpus
    (root / "ASVspoof2021_LA_eval" / "flac").mkdir(parents=True)
    place = root / "keys" / "LA" / "ASV" / "ASVTorch_Kaldi"
    place.mkdir(parents=True)
    trials = [("bonafide", "target"), ("bonafide", "nontarget"), ("A07", "spoof"), ("A07", "spoof"), ("A08", "spoof")]
    names = [f"LA_E_{1000000 + number}" for number in range(len(trials))]
    lines = [f"LA_0001 {name} {number}.5\n" for number, name in enumerate(names)]
    (place / "score.txt").write_text("".join(lines), encoding="utf-8")
    about = (f"LA_0001 {name} alaw ita_tx {source} {key} notrim eval\n"
             for name, (source, key) in zip(names, trials, strict=True))  # fmt: skip
    (place.parent / "trial_metadata.txt").write_text("".join(about), encoding="utf-8")
    store_asv_scores(folder, "asvspoof2021", root, "keys/LA/ASV/ASVTorch_Kaldi/score.txt")
    stored = read_stored(folder)
    assert stored.table["source"].tolist() == ["bonafide", "bonafide", "A07", "A07", "A08"]
    assert stored.table["score"].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert stored.table.columns.tolist() == ["source", "key", "score"]


def test_a_folder_without_scores_has_none(tmp_path):
    assert read_stored(tmp_path) is None


def test_a_file_that_is_not_there_is_refused_with_what_to_do(corpus):
    folder, root = corpus
    with pytest.raises(
        InputError, match=r"asv_scores names 'other\.txt', but there is no file .*set asv_scores to null"
    ):
        store_asv_scores(folder, "asvspoof2019", root, "other.txt")


@pytest.mark.parametrize("attacks", [["A07", "A08"], ["A07", "A07", "A09"], ["A07", "A07", "A08", "A08"], []])
def test_scores_of_another_set_are_refused_and_nothing_is_stored(corpus, attacks):
    folder, root = corpus
    write_manifest(folder, attacks)
    with pytest.raises(
        InputError, match=r"asv\.txt: the verification scores are of another set than the test rows of la"
    ):
        store_asv_scores(folder, "asvspoof2019", root, NAME)
    assert not (folder / STORED).exists()
