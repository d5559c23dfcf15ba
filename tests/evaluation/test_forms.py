"""Files of detection scores without a header: each published form is known, and what could be two is refused."""

import re

import numpy as np
import pytest

from evaluation.score_files import DETECTION, TRIALS, columns_of, read, refused, written
from voxbench.corpora.asvspoof2021 import COLUMNS
from voxbench.schema import ScoreKind

PAIRS = {"enroll": ["x-1", "x-2"], "test": ["y-1", "y-2"]}
IDS = {"id": ["u1", "u2"]}
NUMBERED, COUNTERED = ("nontarget", "target"), ("spoof", "bonafide")
WITH_LABELS = {
    "1 x-1 y-1 0.5\n0 x-2 y-2 -2e-1\n": (NUMBERED, PAIRS),
    "target x-1 y-1 0.5\nnontarget x-2 y-2 -0.2\n": (NUMBERED, PAIRS),
    "x-1 y-1 TGT 0.5\nx-2 y-2 imp -0.2\n": (("imp", "tgt"), PAIRS),
    "x-1 y-1 0.5 genuine\nx-2 y-2 -0.2 impostor\n": (("impostor", "genuine"), PAIRS),
    "0.5 true x-1 y-1\n-0.2 false x-2 y-2\n": (NUMBERED, PAIRS),
    "u1 - bonafide 0.5\nu2 A07 spoof -0.2\n": (COUNTERED, IDS | {"attack": ["bonafide", "A07"]}),
    "u1 A00 bonafide 0.5\nu2 A07 spoof -0.2\n": (COUNTERED, IDS | {"attack": ["bonafide", "A07"]}),
    "u1 0.5 bonafide\nu2 -0.2 spoof\n": (COUNTERED, IDS),
    "u1 genuine 0.5\nu2 spoof -0.2\n": (("spoof", "genuine"), IDS),
    "1 u1 +0.5\n0 u2 -.2\n": (NUMBERED, IDS),
    "1 0.5 u1\n0 -.2 u2\n": (NUMBERED, IDS),
    "0.5 u1 1\n-.2 u2 0\n": (NUMBERED, IDS),
    "0.5 1 u1\n-.2 0 u2\n": (NUMBERED, IDS),
    "0.5 1\n-.2 0\n": (NUMBERED, {}),
    "bonafide 0.5\nspoof -.2\n": (COUNTERED, {}),
}


@pytest.mark.parametrize("text", WITH_LABELS)
def test_form_with_labels(tmp_path, text):
    classes, names = WITH_LABELS[text]
    rows = read(DETECTION, written(tmp_path, "s.txt", text))
    assert columns_of(rows) == ([0.5, -0.2], [1, 0])
    assert rows.classes == classes
    assert rows.rows.to_dict("list") == names


@pytest.mark.parametrize(
    "text",
    [
        "b/v/1.wav b/w/1.wav 3\na/v/1.wav a/w/1.wav 1\na/v/1.wav b/w/1.wav 2\n",
        "3 b/v/1.wav b/w/1.wav\n1 a/v/1.wav a/w/1.wav\n2 a/v/1.wav b/w/1.wav\n",
    ],
)
@pytest.mark.parametrize("ending", ["txt", "csv", "tsv"])
def test_form_without_labels_takes_them_from_the_list(tmp_path, text, ending):
    between = {"txt": " ", "csv": ",", "tsv": "\t"}[ending]
    scores = written(tmp_path, f"s.{ending}", text.replace(" ", between))
    rows = read(DETECTION, scores, written(tmp_path, "l.txt", TRIALS))
    assert columns_of(rows) == ([3, 1, 2], [1, 1, 0])
    assert [side.tolist() for side in rows.speakers] == [["b", "a", "a"], ["b", "a", "b"]]


PROTOCOLS = {
    "S1 u1 - - bonafide\nS2 u2 - A07 spoof\n": {"speaker": ["S1", "S2"], "attack": ["bonafide", "A07"]},
    "S1 u1 aaa - bonafide\nS2 u2 aab AA spoof\n": {
        "speaker": ["S1", "S2"],
        "environment": ["aaa", "aab"],
        "attack": ["bonafide", "AA"],
    },
    "S1 u1 alaw ita_tx bonafide bonafide notrim eval\nS2 u2 g722 loc_tx A07 spoof trim eval\n": {
        "speaker": ["S1", "S2"],
        "codec": ["alaw", "g722"],
        "transmission": ["ita_tx", "loc_tx"],
        "attack": ["bonafide", "A07"],
        "trim": ["notrim", "trim"],
        "subset": ["eval", "eval"],
    },
    "S1 u1 R1 M1 d1 - - - - bonafide notrim eval\nS2 u2 R3 M3 d4 r1 m1 s4 c3 spoof notrim eval\n": {
        "speaker": ["S1", "S2"],
        "asv_room": ["R1", "R3"],
        "asv_microphone": ["M1", "M3"],
        "distance_to_asv": ["d1", "d4"],
        "attacker_room": [None, "r1"],
        "attacker_microphone": [None, "m1"],
        "replay_device": [None, "s4"],
        "attacker_to_talker": [None, "c3"],
        "trim": ["notrim", "notrim"],
        "subset": ["eval", "eval"],
        "attack": ["bonafide", "c3-s4"],
    },
}


@pytest.mark.parametrize("text", PROTOCOLS)
def test_protocol_of_a_challenge(tmp_path, text):
    scores = written(tmp_path, "s.txt", "u2 -0.2\nu1 0.5\n")
    rows = read(DETECTION, scores, written(tmp_path, "key.txt", text))
    assert columns_of(rows) == ([-0.2, 0.5], [0, 1])
    assert rows.classes == COUNTERED
    found = rows.rows.astype(object).where(rows.rows.notna(), None).to_dict("list")
    assert found == {"id": ["u2", "u1"]} | {name: words[::-1] for name, words in PROTOCOLS[text].items()}
    assert rows.speakers[0].tolist() == ["S2", "S1"]


def test_key_of_deepfakes_has_thirteen_columns(tmp_path):
    key = "S1 u1 nocodec asvspoof bonafide bonafide notrim eval bonafide - - - -\n"
    key += "S2 u2 low_m4a vcc2020 Task1-team20 spoof notrim eval neural Task1 team20 FF E\n"
    rows = read(DETECTION, written(tmp_path, "s.txt", "u1 1\nu2 0.5\n"), written(tmp_path, "key.txt", key))
    assert set(COLUMNS["DF"]) - {"trial", "key"} == set(rows.rows.columns) - {"id"}
    assert rows.rows["attack"].tolist() == ["bonafide", "Task1-team20"]


def test_a_key_of_bona_fide_speech_alone(tmp_path):
    key = "S1 u1 alaw ita_tx bonafide bonafide notrim eval\n"
    rows = read(DETECTION, written(tmp_path, "s.txt", "u1 1\n"), written(tmp_path, "key.txt", key))
    assert rows.columns[1].tolist() == [1]
    assert rows.rows["attack"].tolist() == ["bonafide"]


REFUSED = {
    "x-1 3 0.5\nx-2 4 0.7\n": r"columns \(words, first 'x-1'; numbers, first '3'; numbers, first '0.5'\) is none of",
    "1 x 0\n0 y 1\n": "could be: 'label id score' or 'score id label'; name them: --columns",
    "a b c\nd e f\n": "has no header that is known",
    "u1 0.5 spoof\nu2 0.7 spof\n": r"labels, but 'spof' in row 2\) is none of",
    "u1 0.5 spoof\nu2 NA spoof\n": r"numbers, but 'NA' in row 2;",
    "u1 S1 spoof 0.5 x y\n": "its columns",
    "u1 1 target nontarget\n": "its columns",
}


@pytest.mark.parametrize("text", REFUSED)
def test_columns_that_cannot_be_told_apart(tmp_path, text):
    message = refused(DETECTION, written(tmp_path, "s.txt", text))
    assert message.startswith("s.txt has no header that is known, and its columns")
    assert re.search(REFUSED[text], message), message


def test_the_user_names_columns(tmp_path):
    scores = written(tmp_path, "s.txt", "u1 3 0.5 1\nu2 4 0.7 0\n")
    rows = read(DETECTION, scores, columns=("id", "snr_db", "score", "label"))
    assert columns_of(rows) == ([0.5, 0.7], [1, 0])
    assert rows.rows.to_dict("list") == {"id": ["u1", "u2"], "snr_db": [3, 4]}
    assert not [note for note in rows.notes if "taken as" in note]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("id", "score"), "--columns names 2 columns, id, score, but s.txt has 3; name each"),
        (("id", "score", "score"), "s.txt: columns 'score' and 'score' both mean 'score'; rename or remove one"),
        (("id", "snr", "snr"), "s.txt: column 'snr' occurs twice; rename or remove one"),
        (("score", "a", "b"), "s.txt row 1: score is 'u1', which is no number; expected a finite number in each row"),
        (
            ("id", "a", "label"),
            "s.txt needs a column 'score'; found: id, a, label; name it so, or with --columns where",
        ),
        (("id", "", "score"), "s.txt: column 2 of 3 has no name; name or remove it"),
    ],
)
def test_wrong_names_of_columns(tmp_path, columns, message):
    scores = written(tmp_path, "s.txt", "u1 3 0.5\nu2 4 0.7\n")
    assert refused(DETECTION, scores, columns=columns).startswith(message)


def test_columns_and_names_are_for_files_without_them(tmp_path):
    np.save(tmp_path / "s.npy", np.ones(2))
    found = refused(DETECTION, tmp_path / "s.npy", columns=("score",))
    assert found == "--columns names the columns of a text file without a header, and s.npy is none; omit it"
    scores = written(tmp_path, "s.csv", "score,label\n1,1\n")
    found = refused(DETECTION, scores, utterances=tmp_path / "n.txt")
    assert found == "--utterances names the rows of an array, and s.csv is none; omit it"


@pytest.mark.parametrize(
    ("kind", "scores", "labels", "expected"),
    [
        (ScoreKind.VALUE, "u1 30.5\nu2 40\n", "u2 41\nu1 30\n", ([30, 41], [30.5, 40])),
        (ScoreKind.VALUE, "30.5\n40\n", "30\n41\n", ([30, 41], [30.5, 40])),
    ],
)
def test_values_without_a_header(tmp_path, kind, scores, labels, expected):
    rows = read(kind, written(tmp_path, "s.txt", scores), written(tmp_path, "l.txt", labels))
    assert columns_of(rows) == expected


def test_a_note_says_what_columns_were_taken_for(tmp_path):
    rows = read(DETECTION, written(tmp_path, "s.txt", "u1 A00 bonafide 0.5\nu2 A07 spoof -0.2\n"))
    assert rows.notes == (
        "s.txt has no header; its columns are taken as: id attack label score",
        "attack 'A00' of bona fide rows of s.txt is read as 'bonafide'",
        "no column speaker: intervals cannot be over speakers",
    )


@pytest.mark.parametrize("trials", ["12013 7 tgt\n12013 8 imp\n", "1 12013 7\n0 12013 8\n"])
def test_names_of_a_list_may_be_numbers(tmp_path, trials):
    scores = written(tmp_path, "s.csv", "enroll,test,score\n12013,8,-1\n12013,7,2\n")
    rows = read(DETECTION, scores, written(tmp_path, "l.txt", trials))
    assert columns_of(rows) == ([-1, 2], [0, 1])
    assert rows.rows.to_dict("list") == {"enroll": ["12013", "12013"], "test": ["8", "7"]}


def test_a_first_line_with_a_number_or_a_label_is_no_header(tmp_path):
    scores = written(tmp_path, "s.txt", "path 0.5\nu2 -0.2\n")
    rows = read(DETECTION, scores, written(tmp_path, "l.txt", "path spoof\nu2 bonafide\n"))
    assert columns_of(rows) == ([0.5, -0.2], [0, 1])
    assert rows.rows["id"].tolist() == ["path", "u2"]
