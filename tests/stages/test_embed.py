"""Embeddings of a corpus in a file: those that the network was evaluated with, and what cannot be heard beside them."""

import numpy as np
import pandas as pd
import pytest

from stages.verification import BROKEN, MODELS, PEOPLE, VERIFY, copy_of_people
from voxbench.cli import main
from voxbench.evaluation.embeddings import read_embeddings

NETWORK = MODELS["lstm"]


@pytest.fixture(scope="module")
def copy(verified, tmp_path_factory):
    return copy_of_people(verified, tmp_path_factory.mktemp("embedded") / "copy")


def embed(workspace, output, *words, model=f"{VERIFY}/{NETWORK}", corpus=PEOPLE):
    options = ["--model", model, "--output", str(output), *words]
    return main(["--params", str(workspace.root / "params.yaml"), "embed", corpus, *options])


def test_cosines_of_the_file_are_the_scores_of_the_run(copy, tmp_path, capsys):
    paths = {split: tmp_path / f"{split}.parquet" for split in ("train", "test")}
    for split, path in paths.items():
        assert embed(copy, path, "--split", split) == 0
    said = capsys.readouterr().out
    table = pd.read_parquet(paths["test"])
    assert f"{len(table)} embeddings of 256 numbers" in said
    manifest = pd.read_parquet(copy.prepared(PEOPLE) / "manifest.parquet").set_index("id")
    assert table["utterance"].tolist() == manifest.index[manifest["split"] == "test"].tolist()
    assert table["speaker"].tolist() == manifest.loc[table["utterance"], "speaker"].tolist()
    assert table["kept_seconds"].to_numpy() == pytest.approx(manifest.loc[table["utterance"], "kept_seconds"])
    read = read_embeddings(paths["test"])
    assert read.names.to_pylist() == table["utterance"].tolist()
    vectors = pd.Series(list(np.stack(table["embedding"])), table["utterance"])
    stored = pd.read_parquet(copy.models(VERIFY) / NETWORK / "scores.parquet").query("split == 'test'")
    cosines = [raw_cosine(vectors[row.enroll], vectors[row.test]) for row in stored.itertuples()]
    # AS-norm and the mean come on top: the order of raw cosines is close to theirs, and not by chance.
    assert np.corrcoef(cosines, stored["score"])[0, 1] > 0.5


def raw_cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_the_file_is_what_evaluate_scores_trials_with(copy, tmp_path):
    own, other = tmp_path / "test.parquet", tmp_path / "train.parquet"
    embed(copy, own, "--split", "test")
    embed(copy, other, "--split", "train")
    stored = pd.read_parquet(copy.models(VERIFY) / NETWORK / "scores.parquet").query("split == 'test'")
    lines = stored.apply(lambda row: f"{row['truth']} {row['enroll']} {row['test']}\n", axis=1)
    (tmp_path / "list.txt").write_text("".join(lines), encoding="utf-8")
    words = ["evaluate", "--task", "speaker_verification", "--scores", own, "--labels", tmp_path / "list.txt"]
    words += ["--centre", other, "--output", tmp_path / "found"]
    assert main(["--params", str(copy.root / "params.yaml"), *map(str, words)]) == 0
    scores = pd.read_parquet(tmp_path / "found" / "scores.parquet")
    heard = [np.stack(pd.read_parquet(path)["embedding"]) for path in (own, other)]
    centred = pd.Series(list(heard[0] - heard[1].mean(axis=0)), pd.read_parquet(own)["utterance"])
    by_hand = [raw_cosine(centred[row.enroll], centred[row.test]) for row in stored.itertuples()]
    assert scores["score"].to_numpy() == pytest.approx(by_hand, abs=1e-6)


def test_what_cannot_be_heard_stands_beside_the_file(copy, tmp_path, capsys):
    root = copy.root / "raw"
    manifest = pd.read_parquet(copy.prepared(PEOPLE) / "manifest.parquet")
    lost = manifest.loc[manifest["split"] == "valid", "id"].iloc[0]
    kept = (root / lost).read_bytes()
    (root / lost).write_bytes((root / BROKEN).read_bytes())
    try:
        assert embed(copy, tmp_path / "valid.parquet", "--split", "valid") == 0
    finally:
        (root / lost).write_bytes(kept)
    assert "1 recording cannot be heard (see valid.excluded.csv)" in capsys.readouterr().out
    excluded = pd.read_csv(tmp_path / "valid.excluded.csv")
    assert excluded["id"].tolist() == [lost]
    assert excluded["reason"].notna().all()
    assert lost not in pd.read_parquet(tmp_path / "valid.parquet")["utterance"].tolist()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "nothing"}, "expected BENCHMARK/MODEL"),
        ({"model": f"{VERIFY}/bilstm_h128_l9"}, "no model 'bilstm_h128_l9' of benchmark"),
        ({"model": "verify-peple/bilstm_h128_l1"}, "did you mean"),
        ({"corpus": "peoplex"}, "did you mean 'people'"),
        ({"output": "found.npy"}, "expected a file that ends in .parquet"),
    ],
)
def test_wrong_words_are_refused(copy, tmp_path, capsys, changed, words):
    output = tmp_path / changed.pop("output", "found.parquet")
    assert embed(copy, output, **changed) == 2
    assert words in capsys.readouterr().err
    assert not output.exists()
