"""Embeddings and a trial list: cosines worked by hand, in blocks, and every row that has no direction refused."""

import numpy as np
import pandas as pd
import pytest

from evaluation.score_files import DETECTION, TRIALS, columns_of, read, refused, written
from voxbench.metrics import closeness

NAMES = ["b/w/1.wav", "a/v/1.wav", "a/w/1.wav", "b/v/1.wav"]
VECTORS = np.array([[0, 5], [3, 4], [6, 8], [1, 0]], dtype=np.float32)
EXPECTED = [1.0, 0.8, 0.0]
TASK = "speaker_verification"


def files(folder, vectors=VECTORS, names=NAMES, trials=TRIALS):
    np.save(folder / "e.npy", vectors)
    written(folder, "e.txt", "".join(f"{name}\n" for name in names))
    return folder / "e.npy", written(folder, "trials.txt", trials)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("task", [None, TASK])
def test_cosine_of_each_trial(tmp_path, dtype, task):
    rows = read(DETECTION, *files(tmp_path, VECTORS.astype(dtype)), task=task)
    assert columns_of(rows) == (EXPECTED, [1, 0, 1])
    assert rows.classes == ("nontarget", "target")
    assert [side.tolist() for side in rows.speakers] == [["a", "a", "b"], ["a", "b", "b"]]
    assert rows.rows.columns.tolist() == ["enroll", "test"]
    assert (rows.origin.scores, rows.origin.labels, rows.origin.trials) == ("e.npy", "trials.txt", "trials.txt")
    assert "scores are cosines of embeddings of 2 dimensions" in rows.notes


def test_names_in_another_file(tmp_path):
    scores, labels = files(tmp_path, names=["x"])
    names = written(tmp_path, "names.lst", "\r\n".join(NAMES))
    assert columns_of(read(DETECTION, scores, labels, utterances=names))[0] == EXPECTED
    assert refused(DETECTION, scores, labels) == "e.txt has 1 lines, e.npy 4 rows; expected a name for each row"


def test_embeddings_that_no_trial_uses_are_counted(tmp_path):
    vectors, names = np.vstack([VECTORS, [[1, 1], [1, 2]]]), [*NAMES, "c", "d"]
    rows = read(DETECTION, *files(tmp_path, vectors, names))
    assert "2 of 6 embeddings occur in no trial" in rows.notes


@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_blocks_change_nothing(tmp_path, monkeypatch, block):
    monkeypatch.setattr(closeness, "BLOCK", block)
    draws = np.random.default_rng(1)
    vectors = draws.normal(size=(20, 7)).astype(np.float32)
    pairs = [(enroll, test) for enroll in range(20) for test in range(20)]
    trials = "".join(f"{int(a == b)} s{a}/x s{b}/x\n" for a, b in pairs)
    rows = read(DETECTION, *files(tmp_path, vectors, [f"s{number}/x" for number in range(20)], trials))
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(rows.columns[0], (unit @ unit.T).ravel(), rtol=0, atol=1e-14)


def test_parquet_of_names_and_lists(tmp_path):
    frame = pd.DataFrame({"utterance": NAMES, "embedding": list(VECTORS)})
    frame.to_parquet(tmp_path / "e.parquet")
    rows = read(
        DETECTION, tmp_path / "e.parquet", written(tmp_path, "t.csv", "label,enroll,test\n1,a/w/1.wav,b/w/1.wav")
    )
    assert columns_of(rows) == ([0.8], [1])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_rows_without_a_direction(tmp_path, value):
    vectors = VECTORS.copy()
    vectors[2] = value
    length = {"0.0": "0", "nan": "nan", "inf": "inf"}[str(value)]
    assert refused(DETECTION, *files(tmp_path, vectors)) == (
        f"e.npy row 3 (a/w/1.wav): an embedding of length {length} has no direction, and so have 1 rows; expected "
        "finite numbers, not all zero"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": [*NAMES[:3], "a/v/1.wav"]}, "e.npy: a/v/1.wav names row 2 and row 4; expected each once"),
        ({"names": [*NAMES[:3], " "]}, "e.npy: row 4 has no name; expected one for each"),
        ({"names": NAMES[:3]}, "e.txt has 3 lines, e.npy 4 rows; expected a name for each row"),
        (
            {"names": ["x", *NAMES[1:]]},
            "e.npy has no embedding of 1 recordings of trials.txt (b/w/1.wav), but of x, a/v",
        ),
        ({"names": [name[:-4] for name in NAMES]}, "b/w/1, a/v/1, a/w/1; some differ in their ending alone: write"),
        (
            {"vectors": VECTORS.astype(int)},
            "e.npy holds int64 of shape (4, 2); expected floats (recordings, dimensions)",
        ),
        ({"trials": "u1 1\nu2 0\n"}, "e.npy holds embeddings, but trials.txt names no enroll and test; expected a tri"),
        ({"trials": "1 a/v/1.wav a/w/1.wav\n" * 2}, "trials.txt: a/v/1.wav a/w/1.wav in row 1 and row 2; 1 rows have"),
    ],
)
def test_what_does_not_fit(tmp_path, changes, message):
    found = refused(DETECTION, *files(tmp_path, **changes), task=TASK).replace(f"{tmp_path}/", "")
    assert message in found


def test_embeddings_need_names_and_trials(tmp_path):
    scores, labels = files(tmp_path)
    assert "e.npy holds embeddings, but no labels are given; expected a trial list" in refused(
        DETECTION, scores, task=TASK
    )
    (tmp_path / "e.txt").unlink()
    assert refused(DETECTION, scores, labels) == (
        "no e.txt for the names of the 4 rows of e.npy; expected a name in each line: --utterances FILE"
    )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"name": ["a"], "embedding": [[1.0]]}, "has no column 'utterance'; found: name, embedding"),
        ({"utterance": ["a", "b"], "embedding": [[1.0], [1.0, 2]]}, "embedding of b has 2 numbers, that of a 1; exp"),
        (
            {"utterance": ["a"], "embedding": [["x"]]},
            "embedding is a column of list<element: string>; expected lists of",
        ),
        ({"utterance": ["a"], "embedding": ["x"]}, "embedding is a column of string; expected lists of floats"),
        (
            {"utterance": ["a", "b"], "embedding": [[1.0], None]},
            "embedding of b has 0 numbers, that of a 1; expected as",
        ),
        ({"utterance": ["a", None], "embedding": [[1.0], [2.0]]}, "row 2 has no name"),
    ],
)
def test_tables_that_hold_no_embeddings(tmp_path, frame, message):
    pd.DataFrame(frame).to_parquet(tmp_path / "e.parquet")
    assert message in refused(DETECTION, tmp_path / "e.parquet", written(tmp_path, "t.txt", "1 a a\n"))


def test_a_matrix_is_no_score_of_anti_spoofing(tmp_path):
    scores, labels = files(tmp_path)
    found = refused(DETECTION, scores, labels, task="anti_spoofing")
    assert found.startswith("e.npy holds float32 of shape (4, 2); expected one number for each row")


@pytest.mark.parametrize("vectors", [VECTORS, VECTORS[:, :1]])
def test_a_matrix_without_a_trial_list_may_be_anything(tmp_path, vectors):
    scores, labels = files(tmp_path, vectors)
    found = refused(DETECTION, scores, None if vectors.shape[1] == 2 else labels)
    assert found.endswith("expected one number for each row, or embeddings (recordings, dimensions) and a trial list")


def test_a_list_may_leave_out_upper_folders(tmp_path):
    for folders in (["wav/"] * 4, ["dev/wav/", "test/wav/", "dev/wav/", "wav/"]):
        rows = read(
            DETECTION, *files(tmp_path, names=[folder + name for folder, name in zip(folders, NAMES, strict=True)])
        )
        assert columns_of(rows) == (EXPECTED, [1, 0, 1])
        assert "recordings of trials.txt are those of e.npy without their upper folders" in rows.notes
    assert not any("upper folders" in note for note in read(DETECTION, *files(tmp_path)).notes)


def test_upper_folders_that_tell_recordings_apart_are_not_left_out(tmp_path):
    vectors, names = np.vstack([VECTORS, [[1, 1]]]), [*(f"one/{name}" for name in NAMES), f"two/{NAMES[0]}"]
    assert refused(DETECTION, *files(tmp_path, vectors, names)).endswith(
        "some differ in their folder alone: write them alike"
    )
