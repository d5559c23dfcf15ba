"""`voxbench evaluate` of embeddings: the scores that it writes, how they are made comparable, and leaks refused."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from stages.test_evaluate import UTTERANCES, VOICES, write_trials
from tiny import tiny_params, write_params
from voxbench.cli import main

PLAIN = "--task speaker_verification --scores embeddings.npy --labels trials.txt"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trials")
    params = tiny_params()
    params["report"]["resamples"] = 100
    write_params(folder, params)
    write_trials(folder, np.random.default_rng(11))
    return folder


@pytest.fixture
def run(files, tmp_path, monkeypatch):
    """Return how options are run into a folder of the test; it gives the exit status and that folder."""
    monkeypatch.chdir(files)

    def call(line: str, name: str = "out") -> tuple[int, Path]:
        return main(["evaluate", *line.split(), "--output", str(tmp_path / name)]), tmp_path / name

    return call


def record(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_scores_are_written_with_the_hash_of_their_list(run, files):
    status, folder = run(PLAIN)
    assert status == 0
    table = pq.read_table(folder / "scores.parquet")
    assert table.column_names == ["enroll", "test", "score", "label"]
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    content = (files / "trials.txt").read_bytes()
    assert (said["trials"], said["trials_sha256"]) == ("trials.txt", hashlib.sha256(content).hexdigest())
    sha256 = hashlib.sha256((files / "embeddings.npy").read_bytes()).hexdigest()
    assert (said["scores"], said["scores_sha256"]) == ("embeddings.npy", sha256)
    lines = [line.split() for line in content.decode().splitlines()]
    assert list(zip(table["enroll"].to_pylist(), table["test"].to_pylist(), strict=True)) == [
        (a, b) for _, a, b in lines
    ]
    assert table["label"].to_pylist() == [int(label) for label, _, _ in lines]
    vectors = dict(zip((files / "embeddings.txt").read_text().split(), np.load(files / "embeddings.npy"), strict=True))
    expected = [vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b]) for _, a, b in lines]
    np.testing.assert_allclose(table["score"].to_numpy(), expected, atol=1e-14)


def test_a_second_run_writes_the_same_bytes_in_the_place_of_the_first(run):
    line = f"{PLAIN} --centre others.npy --cohort others.npy --top 10"
    first = (run(line)[1] / "scores.parquet").read_bytes()
    status, folder = run(line)
    assert status == 0
    assert (folder / "scores.parquet").read_bytes() == first
    assert sum("others.npy (sha256 " in note for note in record(folder)["notes"]) == 2


def test_written_scores_are_a_score_file_of_the_same_figures(run):
    _, folder = run(f"{PLAIN} --centre others.npy")
    status, again = run(f"--task speaker_verification --scores {folder / 'scores.parquet'}", "again")
    assert status == 0
    first, second = record(folder), record(again)
    assert [each["value"] for each in first["metrics"]] == [each["value"] for each in second["metrics"]]
    assert second["origin"]["trials_sha256"] == first["origin"]["trials_sha256"]


def test_what_the_options_are_worth_is_seen_beside_the_plain_cosine(run):
    status, folder = run(f"{PLAIN} --centre others.npy --cohort others.npy --top 10 --against embeddings.npy")
    _, plain = run(PLAIN, "plain")
    assert status == 0
    others = {each["name"]: each["other"] for each in record(folder)["compared"]["metrics"]}
    assert others["eer"] == next(each["value"] for each in record(plain)["metrics"] if each["name"] == "eer")
    assert len({each["this"] for each in record(folder)["compared"]["metrics"]} - set(others.values())) > 0


def test_development_embeddings_are_scored_like_the_others(run, files):
    names = [f"id3{voice:04}/s/{clip}.wav" for voice in range(8) for clip in range(3)]
    draws = np.random.default_rng(4)
    np.save(files / "dev.npy", np.repeat(draws.normal(size=(8, 8)), 3, axis=0) + 0.6 * draws.normal(size=(24, 8)))
    (files / "dev.txt").write_text("\n".join(names) + "\n")
    pairs = [(a, b) for a in range(24) for b in range(a + 1, 24)]
    listed = "".join(f"{int(a // 3 == b // 3)} {names[a]} {names[b]}\n" for a, b in pairs)
    (files / "dev-trials.txt").write_text(listed)
    options = "--centre others.npy --cohort others.npy --top 10"
    whole = record(run(f"{PLAIN} {options} --dev-scores dev.npy --dev-labels dev-trials.txt")[1])
    parts = [
        run(f"--task speaker_verification --scores {name}.npy --labels {labels} {options}", name)[1] / "scores.parquet"
        for name, labels in (("embeddings", "trials.txt"), ("dev", "dev-trials.txt"))
    ]
    again = record(run(f"--task speaker_verification --scores {parts[0]} --dev-scores {parts[1]}", "again")[1])
    assert whole["calibrated"]["thresholds"] == again["calibrated"]["thresholds"]
    assert whole["calibrated"]["calibration"] == again["calibrated"]["calibration"]
    # The people of the development trials may not be those whose mean is subtracted.
    assert run(f"{PLAIN} --dev-scores dev.npy --dev-labels dev-trials.txt --centre dev.npy", "leak")[0] == 2


def test_identification_of_templates(run):
    status, folder = run(
        "--task speaker_verification --scores embeddings.npy --labels template-trials.txt --enrolments enrolments.txt"
    )
    assert status == 0
    table = pd.read_parquet(folder / "scores.parquet")
    assert len(table) == VOICES * VOICES * (UTTERANCES - 3)
    best = table.loc[table.groupby("test")["score"].idxmax()]
    values = {each["name"]: each["value"] for each in record(folder)["metrics"]}
    assert values["rank_accuracy(k=1)"] == best["label"].mean() > 0.5
    assert values["rank_accuracy(k=1)"] <= values["rank_accuracy(k=5)"] <= 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--centre embeddings.npy", "has 60 recordings of trials.txt"),
        ("--cohort others.npy", "--cohort without --top"),
        ("--cohort others.npy --top 21", "top is 21, but must be a whole number of the 20 cohort speakers"),
        ("--plda others.npy --plda-dimensions 9 --plda-iterations 1", "keeps 9 dimensions of embeddings that have 8"),
        ("--centre nowhere.npy", "nowhere.npy does not exist"),
        ("--enrolments enrolments.txt", "no enrolment of"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(run, capfd, more, message):
    status, folder = run(f"{PLAIN} {more}")
    assert status == 2
    assert message in capfd.readouterr().err.splitlines()[-1]
    assert not list(folder.glob("**/*"))
