"""What a score file of each kind becomes: exact rows, the words of labels, speakers and groups."""

import numpy as np
import pandas as pd
import pytest

from evaluation.score_files import CLASSES, DETECTION, VALUE, columns_of, read, refused, written
from voxbench.evaluation.records import ScoreRows

COUNTERED, VERIFIED = ("spoof", "bonafide"), ("nontarget", "target")


@pytest.mark.parametrize(
    ("words", "task", "classes"),
    [
        (("1", "0"), None, VERIFIED),
        (("1", "0"), "speaker_verification", VERIFIED),
        (("1", "0"), "anti_spoofing", COUNTERED),
        (("1.0", "0.0"), "anti_spoofing", COUNTERED),
        (("True", "False"), None, VERIFIED),
        (("Target", "NONTARGET"), None, VERIFIED),
        (("tgt", "imp"), "speaker_verification", ("imp", "tgt")),
        (("genuine", "impostor"), None, ("impostor", "genuine")),
        (("genuine", "spoof"), "anti_spoofing", ("spoof", "genuine")),
        (("Bonafide", "Spoof"), "anti_spoofing", COUNTERED),
    ],
)
def test_words_of_labels(tmp_path, words, task, classes):
    text = f"id,label,score\na,{words[0]},2\nb, {words[1]} ,-1.5\n"
    rows = read(DETECTION, written(tmp_path, "s.csv", text), task=task)
    assert columns_of(rows) == ([2, -1.5], [1, 0])
    assert rows.classes == classes


@pytest.mark.parametrize(
    ("words", "task", "message"),
    [
        (
            ("target", "nontarget", "spoof"),
            None,
            "s.csv: labels are nontarget, spoof, target; expected the words of one",
        ),
        (
            ("target", "spoof"),
            None,
            "s.csv: labels are spoof, target; expected the words of one pair: target/nontarget",
        ),
        (("1", "target"), None, "s.csv: labels are 1, target; expected"),
        (
            ("bonafide", "spoof"),
            "speaker_verification",
            "labels are bonafide, spoof; expected the words of one pair for",
        ),
        (("target", "nontarget"), "anti_spoofing", "expected the words of one pair for anti_spoofing: bonafide/spoof"),
        (
            ("target", "nontaget"),
            None,
            "s.csv: label 'nontaget' in row 2 (did you mean 'nontarget'?); expected the words",
        ),
        (("1", "2"), None, "s.csv: label '2' in row 2; expected"),
        (("1", ""), None, "s.csv row 2: label is empty; expected one in each row"),
    ],
)
def test_labels_that_are_no_pair(tmp_path, words, task, message):
    text = "label,score\n" + "".join(f"{word},1\n" for word in words)
    assert message in refused(DETECTION, written(tmp_path, "s.csv", text), task=task)


def test_one_class_alone_is_read(tmp_path):
    rows = read(DETECTION, written(tmp_path, "s.csv", "label,score\nspoof,1\nspoof,2\n"))
    assert rows.columns[1].tolist() == [0, 0]
    assert rows.classes == COUNTERED


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32, ">i4", "U1", "S1"])
def test_arrays_of_anti_spoofing(tmp_path, dtype):
    np.save(tmp_path / "scores.npy", np.array([0.5, -1], dtype=np.float32))
    np.save(tmp_path / "labels.npy", np.array([1, 0]).astype(dtype))
    rows = read(DETECTION, tmp_path / "scores.npy", tmp_path / "labels.npy", task="anti_spoofing")
    assert columns_of(rows) == ([0.5, -1], [1, 0])
    assert rows.classes == COUNTERED
    assert rows.rows.shape == (2, 0)
    assert (rows.origin.labels, rows.origin.trials, rows.origin.is_cleaned) == ("labels.npy", "labels.npy", None)


def test_an_array_whose_rows_have_names(tmp_path):
    np.save(tmp_path / "s.npy", np.array([1, 2]))
    names, key = (
        written(tmp_path, "n", "u2\nu1\n"),
        written(tmp_path, "key.txt", "S1 u1 - - bonafide\nS2 u2 - A07 spoof\n"),
    )
    rows = read(DETECTION, tmp_path / "s.npy", key, utterances=names)
    assert columns_of(rows) == ([1, 2], [0, 1])
    assert "s.npy has no name for each row, key.txt id" in refused(DETECTION, tmp_path / "s.npy", key).replace(
        f"{tmp_path}/", ""
    )


GROUPS = "id,label,score,gender,snr_db,duration_seconds,session,code,empty,age\n"
GROUPS += "7,1,2,f,5,1.5,01,007,,30\n8,0,1,,10,2,02,010,,\n"


def test_groups_keep_their_types(tmp_path):
    rows = read(DETECTION, written(tmp_path, "s.csv", GROUPS)).rows
    assert rows.columns.tolist() == ["id", "gender", "snr_db", "duration_seconds", "session", "code", "age"]
    assert rows["id"].tolist() == ["7", "8"]
    assert rows["gender"].isna().tolist() == [False, True]
    assert rows["snr_db"].tolist() == [5, 10]
    assert rows["snr_db"].dtype == np.int64
    assert rows["duration_seconds"].tolist() == [1.5, 2]
    assert (rows["session"].tolist(), rows["code"].tolist()) == (["01", "02"], ["007", "010"])
    assert (rows["age"].tolist()[0], rows["age"].isna().tolist()) == (30, [False, True])


@pytest.mark.parametrize(
    ("header", "row", "speakers"),
    [
        ("speaker", "S1", [["S1", "S2"]]),
        ("enroll_speaker,test_speaker", "S1,T1", [["S1", "S2"], ["T1", "T2"]]),
        ("speaker,enroll_speaker,test_speaker", "S0,S1,T1", [["S1", "S2"], ["T1", "T2"]]),
    ],
)
def test_columns_of_speakers(tmp_path, header, row, speakers):
    text = f"label,score,{header}\n1,2,{row}\n0,1,{row.replace('1', '2')}\n"
    rows = read(DETECTION, written(tmp_path, "s.csv", text))
    assert [side.tolist() for side in rows.speakers] == speakers
    assert all(side.dtype == object for side in rows.speakers)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("label,score,speaker\n1,2,S1\n0,1,\n", "1 rows of speaker are empty: intervals cannot be over speakers"),
        ("label,score\n1,2\n", "no column speaker: intervals cannot be over speakers"),
        (
            "label,score,enroll,test\n1,2,a,b\n",
            "no columns enroll_speaker and test_speaker, and no folder in the paths",
        ),
        (
            "label,score,enroll,test\n1,2,old/a1,new/a2\n",
            "the first folders of the paths are not the speakers (label of old/a1 new/a2): add",
        ),
    ],
)
def test_rows_without_speakers_say_so(tmp_path, text, note):
    rows = read(DETECTION, written(tmp_path, "s.csv", text))
    assert rows.speakers == ()
    assert [found for found in rows.notes if found.startswith(note)]


def test_labels_of_voxceleb_may_not_contradict_their_speakers(tmp_path):
    text = "0 id10001/v/1.wav id10002/v/1.wav 1\n1 id10001/v/1.wav id10003/v/1.wav 2\n"
    found = refused(DETECTION, written(tmp_path, "s.txt", text))
    assert found.startswith("label 1 of id10001/v/1.wav id10003/v/1.wav: the speakers are different, and 1 labels")


CLASS_TEXT = "id,speaker,split,truth,p_female,p_male\nu1,S1,test,{},0.9,0.1\nu2,S2,test,{},0.25,0.75\n"


@pytest.mark.parametrize("truth", [("female", "male"), ("0", "1")])
def test_classes_by_word_or_place(tmp_path, truth):
    rows = read(CLASSES, written(tmp_path, "s.csv", CLASS_TEXT.format(*truth)))
    assert columns_of(rows) == ([0, 1], [[0.9, 0.1], [0.25, 0.75]])
    assert rows.columns[0].dtype == np.int64
    assert rows.classes == ("female", "male")
    assert rows.speakers[0].tolist() == ["S1", "S2"]
    assert rows.rows.columns.tolist() == ["id", "speaker", "split"]


def test_classes_that_are_numbers(tmp_path):
    text = "truth,p_1,p_2,p_3\n1,0.5,0.25,0.25\n3,0.5,0.25,0.25\n"
    assert read(CLASSES, written(tmp_path, "s.csv", text)).columns[0].tolist() == [0, 2]
    found = refused(CLASSES, written(tmp_path, "t.csv", text.replace("\n3,", "\n2,")))
    assert found.startswith("t.csv: truths could be the classes 1, 2, 3 or their places from 0; write a word before")


def test_a_table_of_this_project(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b", "c"], "speaker": ["S", "S", "T"], "gender": ["male", "male", None]})
    frame = frame.assign(split=["valid", "test", "test"], truth=[1, 1, 0], p_female=[0.0, 0.5, 1], p_male=[1, 0.5, 0])
    frame.to_parquet(tmp_path / "scores.parquet")
    rows = read(CLASSES, tmp_path / "scores.parquet")
    assert columns_of(rows) == ([1, 0], [[0.5, 0.5], [1, 0]])
    assert rows.rows["gender"].isna().tolist() == [False, True]
    frame.assign(predicted=[30.5, 40, 50]).to_parquet(tmp_path / "scores.parquet")
    assert columns_of(read(VALUE, tmp_path / "scores.parquet", split="valid")) == ([1], [30.5])


@pytest.mark.parametrize("labels", [np.array([1, 0]), np.array([1, 0], dtype=np.uint8), np.array(["1", "0"])])
def test_arrays_of_classes(tmp_path, labels):
    np.save(tmp_path / "s.npy", np.array([[0.25, 0.75], [1, 0]]))
    np.save(tmp_path / "l.npy", labels)
    rows = read(CLASSES, tmp_path / "s.npy", tmp_path / "l.npy")
    assert columns_of(rows) == ([1, 0], [[0.25, 0.75], [1, 0]])
    assert rows.classes == ("0", "1")


def test_arrays_of_values(tmp_path):
    np.save(tmp_path / "s.npy", np.array([1.5, 2], dtype=np.float32))
    np.save(tmp_path / "l.npy", np.array([1, 3]))
    rows = read(VALUE, tmp_path / "s.npy", tmp_path / "l.npy")
    assert columns_of(rows) == ([1, 3], [1.5, 2])
    assert (rows.classes, rows.unit) == ((), "")


def test_task_and_kind_must_fit(tmp_path):
    path = written(tmp_path, "s.csv", "score,label\n1,1\n")
    assert refused(VALUE, path, task="anti_spoofing") == (
        "task anti_spoofing is of kind detection, not value; give one of them"
    )
    assert refused(DETECTION, path, task="antispoofing").startswith(
        "unknown task 'antispoofing' (did you mean 'anti_sp"
    )


def test_rows_are_a_record(tmp_path):
    rows = read(DETECTION, written(tmp_path, "s.csv", "score,label\n1,1\n"), written(tmp_path, "l.csv", "label\n1\n"))
    assert isinstance(rows, ScoreRows)
    assert rows.rows.shape == (1, 0)
