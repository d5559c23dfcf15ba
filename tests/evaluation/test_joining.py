"""Scores and labels of two files: joined by name or by position, and refused with what does not fit."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from evaluation.score_files import CLASSES, DETECTION, TRIALS, columns_of, read, refused, written
from voxbench.corpora.trials import OfficialList
from voxbench.evaluation import origins
from voxbench.evaluation.records import Origin

IDS = "id,label\nu1,1\nu2,0\nu3,1\n"
SCORES = "id,score\nu3,0.3\nu1,0.1\nu2,0.2\n"


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def both(folder, scores, labels):
    return written(folder, "s.csv", scores), written(folder, "l.csv", labels)


def test_rows_keep_the_order_of_the_scores(tmp_path):
    rows = read(DETECTION, *both(tmp_path, SCORES, IDS))
    assert columns_of(rows) == ([0.3, 0.1, 0.2], [1, 1, 0])
    assert rows.columns[0].dtype == np.float64
    assert rows.columns[1].dtype == np.int64
    assert rows.rows.to_dict("list") == {"id": ["u3", "u1", "u2"]}
    assert rows.speakers == ()
    assert rows.unit == ""


def test_the_origin_names_both_files(tmp_path):
    rows = read(DETECTION, *both(tmp_path, SCORES.replace("\n", "\r\n"), "\ufeff" + IDS.replace("\n", "\r\n").rstrip()))
    assert rows.origin == Origin("s.csv", sha256(SCORES.replace("\n", "\r\n")), "l.csv", "l.csv", sha256(IDS), None)


def test_labels_among_the_scores_are_hashed_apart_from_them(tmp_path):
    first = read(DETECTION, written(tmp_path, "a.csv", "id,score,label\nu1,0.1,1\nu2,0.2,0\n"))
    second = read(DETECTION, written(tmp_path, "b.txt", "u1 bonafide 7\nu2 spoof 8\n"))
    assert first.origin.trials_sha256 == second.origin.trials_sha256 == sha256("1 u1\n0 u2\n")
    assert (first.origin.labels, first.origin.trials) == (None, "a.csv")


def test_a_known_list_is_known_among_the_scores(tmp_path, monkeypatch):
    md5 = hashlib.md5(TRIALS.encode(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(origins, "OFFICIAL", (OfficialList("x", "Vox0-X", True, 3, md5),))
    text = "".join(f"{line} 0.{place}\n" for place, line in enumerate(TRIALS.splitlines()))
    origin = read(DETECTION, written(tmp_path, "s.txt", text)).origin
    assert (origin.trials, origin.trials_sha256, origin.is_cleaned) == ("Vox0-X", sha256(TRIALS), True)


def test_a_pair_is_not_its_reverse(tmp_path):
    labels = "enroll,test,label\na,b,1\nb,a,0\n"
    assert columns_of(read(DETECTION, *both(tmp_path, "enroll,test,score\nb,a,2\na,b,1\n", labels))) == ([2, 1], [0, 1])
    message = refused(DETECTION, *both(tmp_path, "enroll,test,score\nb,a,2\nb,c,1\n", labels))
    assert "1 of 2 labels have no score (a b) and 1 of 2 scores have no label (b c); are they" in message


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (SCORES + "u4,1\n", IDS, "do not fit: 1 of 4 scores have no label (u4); are they of the same list?"),
        (SCORES, IDS + "u5,1\nu4,0\n", "do not fit: 2 of 5 labels have no score (u5, u4); are they of the same list?"),
        (
            SCORES.replace("u", "x"),
            IDS + "u4,0\n",
            "4 of 4 labels have no score (u1, u2, u3, ...) and 3 of 3 scores have no label (x3, x1, x2); are they of",
        ),
        (SCORES.replace(",0", ".flac,0"), IDS, "(u3.flac, u1.flac, u2.flac); some differ in their ending alone: write"),
        (
            SCORES,
            IDS.replace("u1", "wav/u1"),
            "(wav/u1) and 1 of 3 scores have no label (u1); some differ in their fol",
        ),
        (SCORES.replace("u1", "U1"), IDS, "and 1 of 3 scores have no label (U1); some differ in case alone: write"),
        (
            SCORES + "u1,1\n",
            IDS,
            "s.csv: u1 in row 2 and row 4; 1 rows have a name that occurs above (u1); expected each",
        ),
        (
            SCORES,
            IDS + "u3,1\nu3,0\n",
            "l.csv: u3 in row 3 and row 4; 2 rows have a name that occurs above (u3, u3); exp",
        ),
        (
            SCORES,
            "label\n1\n0\n1\n",
            "has id for each row, l.csv no name; expected the same in both, to join them by: id,",
        ),
        ("enroll,test,score\na,b,1\n", IDS, "has enroll and test for each row, l.csv id; expected the same in both"),
        ("score\n1\n2\n", "label\n1\n0\n1\n", "s.csv has 2 rows and l.csv 3; expected one label for each score, or an"),
        (
            "id,score,snr\nu1,1,5\nu2,2,6\nu3,3,7\n",
            "id,label,snr\nu3,1,7\nu2,0,8\nu1,1,9\n",
            "snr of u1 is '5' in s.csv and '9' in l.csv, and 2 rows differ; correct one",
        ),
        ("id,score,label\nu1,1,0\nu2,2,0\nu3,3,1\n", IDS, "label of u1 is '0' in s.csv and '1' in l.csv, and 1 rows"),
    ],
)
def test_files_that_do_not_fit(tmp_path, scores, labels, message):
    assert message in refused(DETECTION, *both(tmp_path, scores, labels))


def test_scores_alone_may_not_name_a_row_twice(tmp_path):
    scores = written(tmp_path, "s.csv", "enroll,test,score,label\na,b,1,1\na,c,2,0\na,b,3,1\n")
    assert refused(DETECTION, scores).startswith("s.csv: a b in row 1 and row 3; 1 rows have a name that occurs above")


def test_columns_of_both_files_stand_once_where_they_agree(tmp_path):
    labels = "id,label,codec,extra\nu3,1,x,9\nu2,0,y,8\nu1,1,,\n"
    rows = read(DETECTION, *both(tmp_path, "id,score,label,codec\nu1,1,true,z\nu2,2,false,y\nu3,3,true,\n", labels))
    assert rows.rows["codec"].tolist() == ["z", "y", "x"]
    assert rows.rows["extra"].tolist()[1:] == [8, 9]


def test_without_names_rows_are_joined_by_position(tmp_path):
    rows = read(DETECTION, written(tmp_path, "s.txt", "0.1\n0.2\n"), written(tmp_path, "l.txt", "spoof\nbonafide\n"))
    assert columns_of(rows) == ([0.1, 0.2], [0, 1])
    assert "rows of scores and labels are joined by position: neither file names them" in rows.notes


SPLITS = "id,split,score,label\nu1,train,0.1,1\nu2,test,0.2,0\nu3,valid,0.3,1\nu4,test,0.4,1\n"


@pytest.mark.parametrize(
    ("split", "expected", "left"), [(None, [0.2, 0.4], 2), ("test", [0.2, 0.4], 2), ("valid", [0.3], 3)]
)
def test_rows_of_one_split(tmp_path, split, expected, left):
    rows = read(DETECTION, written(tmp_path, "s.csv", SPLITS), split=split)
    assert rows.columns[0].tolist() == expected
    split = split or "test"
    note = f"only rows of split {split!r} of s.csv; {left} of other splits are left out (test 2, train 1, valid 1)"
    assert note in rows.notes


def test_splits_that_are_not_there(tmp_path):
    message = (
        "s.csv has no row of split 'tset' (did you mean 'test'?); rows: test 2, train 1, valid 1; give one of them"
    )
    assert refused(DETECTION, written(tmp_path, "s.csv", SPLITS), split="tset").startswith(message[:-16])
    bare = written(tmp_path, "b.csv", "score,label\n1,1\n")
    assert refused(DETECTION, bare, split="test").startswith("--split test, but b.csv has no column split")
    valid = written(tmp_path, "v.csv", "split,score,label\nvalid,1,1\n")
    assert "no row of split 'test'; rows: valid 1" in refused(DETECTION, valid)


def test_splits_of_the_labels_leave_out_their_scores(tmp_path):
    labels = "id,label,split\nu1,1,test\nu2,0,train\nu3,0,test\nu4,1,train\n"
    rows = read(DETECTION, *both(tmp_path, SCORES, labels))
    assert columns_of(rows) == ([0.3, 0.1], [0, 1])
    message = refused(DETECTION, *both(tmp_path, SCORES, labels), split="train")
    assert "1 of 4 labels have no score (u4)" in message


def test_splits_of_the_scores_need_labels_of_their_own_rows_alone(tmp_path):
    scores = "id,score,split\nu1,0.1,test\nu2,0.2,train\nu3,0.3,test\n"
    rows = read(DETECTION, *both(tmp_path, scores, "id,label\nu3,1\nu1,0\n"))
    assert columns_of(rows) == ([0.1, 0.3], [0, 1])


def test_a_key_of_subsets_is_taken_whole_or_by_subset(tmp_path):
    key = "".join(
        f"S{n} u{n} alaw ita_tx {'bonafide bonafide' if n == 1 else 'A07 spoof'} notrim {subset}\n"
        for n, subset in enumerate(("eval", "progress", "eval"), start=1)
    )
    files = written(tmp_path, "s.txt", "u3 3\nu1 1\nu2 2\n"), written(tmp_path, "key.txt", key)
    whole = read(DETECTION, *files)
    assert whole.columns[0].tolist() == [3, 1, 2]
    assert "rows of every subset of key.txt (eval 2, progress 1); --split takes one of them" in whole.notes
    assert read(DETECTION, *files, split="eval").columns[0].tolist() == [3, 1]


def test_probabilities_and_their_labels_in_two_files(tmp_path):
    table = pd.DataFrame({"id": ["u2", "u1"], "p_female": [0.25, 1.0], "p_male": [0.75, 0.0]})
    table.to_parquet(tmp_path / "s.parquet")
    rows = read(CLASSES, tmp_path / "s.parquet", written(tmp_path, "l.txt", "u1 female\nu2 male\n"))
    assert columns_of(rows) == ([1, 0], [[0.25, 0.75], [1, 0]])
