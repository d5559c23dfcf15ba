"""Verification scores of ASVspoof 2019 and 2021: read, refused by line, and known by their set."""

import hashlib

import pytest

from voxbench.corpora.asv_scores import (
    AsvSet,
    count_spoofs,
    identify_asv_scores,
    read_asv_scores,
    read_asv_scores_2021,
    require_same_set,
)
from voxbench.schema import InputError

SCORES = ["bonafide target 7.981530", "bonafide nontarget -15.4", "A07 spoof 1e-2", "AB spoof 3", "A07 spoof -2.5"]
LA = [
    ("LA_0007 LA_E_5013670 -4.8546", "LA_0007 LA_E_5013670 alaw ita_tx bonafide nontarget notrim eval"),
    ("LA_0008 LA_E_5013671 12.5", "LA_0008 LA_E_5013671 none loc_tx - target notrim progress"),
    ("LA_0009 LA_E_9332881 3.25", "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof trim hidden"),
]
PA = [
    ("PA_0007 PA_E_1000002 -4.0", "PA_0007 PA_E_1000002 R9 M1 D6 - - - - target notrim progress"),
    ("PA_0010 PA_E_1000001 3.25", "PA_0010 PA_E_1000001 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval"),
]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def pair(folder, rows):
    scores, metadata = zip(*rows, strict=True)
    return write(folder / "score.txt", scores), write(folder / "trial_metadata.txt", metadata)


def test_scores_of_2019(tmp_path):
    table = read_asv_scores(write(tmp_path / "scores.txt", SCORES))
    assert list(table.columns) == ["source", "key", "score"]
    assert table.values.tolist() == [
        ["bonafide", "target", 7.98153],
        ["bonafide", "nontarget", -15.4],
        ["A07", "spoof", 0.01],
        ["AB", "spoof", 3.0],
        ["A07", "spoof", -2.5],
    ]
    assert table["score"].dtype == "float64"
    assert count_spoofs(table) == {"A07": 2, "AB": 1}
    windows = tmp_path / "windows.txt"
    windows.write_bytes(("\ufeff" + "\r\n".join(SCORES)).encode())
    assert read_asv_scores(windows).equals(table)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bonafide target", "has 2 columns; expected 3: source key score"),
        ("LA_0001 bonafide target 3.0", "has 4 columns"),
        ("bonafide targget 3.0", "key 'targget' .did you mean 'target'.*expected target, nontarget, spoof"),
        ("bonafide bonafide 3.0", "key 'bonafide'; expected target, nontarget, spoof"),
        ("A20 spoof 3.0", "source 'A20'; expected bonafide, A01 to A19 or AA to CC"),
        ("bonafide spoof 3.0", "source 'bonafide' contradicts the key 'spoof'"),
        ("A07 target 3.0", "source 'A07' contradicts the key 'target'"),
        ("A07 spoof nan", "score 'nan'; expected a finite number"),
        ("A07 spoof -inf", "score '-inf'; expected a finite number"),
        ("A07 spoof 1,5", "score '1,5'; expected a finite number"),
    ],
)
def test_wrong_scores_are_refused_by_line(tmp_path, line, message):
    path = write(tmp_path / "scores.txt", [SCORES[0], "", line])
    with pytest.raises(InputError, match=f"scores.txt line 3: .*{message}"):
        read_asv_scores(path)


def test_no_scores(tmp_path):
    with pytest.raises(InputError, match=r"no .*scores.txt; expected lines of source key score"):
        read_asv_scores(tmp_path / "scores.txt")
    with pytest.raises(InputError, match=r"scores.txt is empty"):
        read_asv_scores(write(tmp_path / "scores.txt", [""]))


def test_scores_of_2021_la(tmp_path):
    table = read_asv_scores_2021(*pair(tmp_path, LA), "LA")
    assert table.to_dict("records")[0] == {
        "source": "bonafide",
        "claimed": "LA_0007",
        "trial": "LA_E_5013670",
        "codec": "alaw",
        "transmission": "ita_tx",
        "attack": "bonafide",
        "key": "nontarget",
        "trim": "notrim",
        "subset": "eval",
        "score": -4.8546,
    }
    assert table[["source", "key", "score"]].values.tolist()[1:] == [
        ["bonafide", "target", 12.5],
        ["A07", "spoof", 3.25],
    ]
    assert count_spoofs(table) == {"A07": 1}


def test_scores_of_2021_pa(tmp_path):
    table = read_asv_scores_2021(*pair(tmp_path, PA), "PA")
    assert table[["source", "key", "attacker_room", "score"]].values.tolist() == [
        ["bonafide", "target", "-", -4.0],
        ["c4-s4", "spoof", "r1", 3.25],
    ]


def test_2021_files_that_do_not_belong_together(tmp_path):
    scores, metadata = pair(tmp_path, LA)
    with pytest.raises(InputError, match="scenario 'DF' of ASVspoof 2021 has no verification scores"):
        read_asv_scores_2021(scores, metadata, "DF")
    write(scores, [LA[1][0], LA[0][0], LA[2][0]])
    with pytest.raises(InputError, match=r"score.txt line 1: trial LA_0008 LA_E_5013671, but .* line 1 has LA_0007 LA"):
        read_asv_scores_2021(scores, metadata, "LA")
    write(scores, [LA[0][0], LA[1][0]])
    with pytest.raises(InputError, match=r"score.txt ends where the other file has line 3"):
        read_asv_scores_2021(scores, metadata, "LA")
    write(scores, [*(line for line, _ in LA), "LA_0001 LA_E_1000000 1.0"])
    with pytest.raises(InputError, match=r"trial_metadata.txt ends where the other file has line 4"):
        read_asv_scores_2021(scores, metadata, "LA")


@pytest.mark.parametrize(
    ("scored", "said", "message"),
    [
        ("A LA_E_1000000 nan", "A LA_E_1000000 alaw ita_tx A07 spoof trim eval", "score.txt line 1: score 'nan'"),
        ("A LA_E_1000000 1", "A LA_E_1000000 alaw ita_tx A07 spuf trim eval", "metadata.txt line 1: key 'spuf'"),
        ("A LA_E_1000000 1", "A LA_E_1000000 alaw ita_tx A07 target trim eval", "attack 'A07' contradicts the key"),
        ("A LA_E_1000000 1", "A LA_E_1000000 alaw ita_tx - spoof trim eval", "attack '-' contradicts the key"),
        ("A LA_E_1000000", "A LA_E_1000000 alaw ita_tx A07 spoof trim eval", "has 2 columns; expected 3"),
        ("A LA_E_1000000 1", "A LA_E_1000000 A07 spoof trim eval", "has 6 columns; expected 8"),
    ],
)
def test_wrong_lines_of_2021(tmp_path, scored, said, message):
    with pytest.raises(InputError, match=message):
        read_asv_scores_2021(*pair(tmp_path, [(scored, said)]), "LA")


def test_a_set_is_known_by_its_attacks(tmp_path):
    path = write(tmp_path / "scores.txt", SCORES)
    found = identify_asv_scores(path)
    assert found == AsvSet(hashlib.sha256(path.read_bytes()).hexdigest(), None, {"A07": 2, "AB": 1})
    require_same_set(found, {"AB": 1, "A07": 2}, "cm.csv")
    with pytest.raises(InputError, match=r"of another set than cm.csv: 2 and 3 spoofed trials of A07, and 0 more"):
        require_same_set(found, {"AB": 1, "A07": 3}, "cm.csv")
    with pytest.raises(
        InputError, match=r"0 and 5 spoofed trials of A01, and 2 more attacks differ; use the dev scores"
    ):
        require_same_set(found, {"A01": 5}, "cm.csv")


def test_the_published_scores_know_their_sets(shared):
    """Counts, and the operating point of the organisers' system, from REFERENCE section 5."""
    found = {}
    for name, trials in (("dev", (1_484, 5_768, 22_296)), ("eval", (5_370, 33_327, 63_882))):
        path = shared / "lists" / "asvspoof2019" / f"ASVspoof2019.LA.asv.{name}.gi.trl.scores.txt"
        table = read_asv_scores(path)
        assert tuple(int((table["key"] == key).sum()) for key in ("target", "nontarget", "spoof")) == trials
        found[name] = identify_asv_scores(path)
        assert found[name].name == f"ASVspoof 2019 LA {name}"
    eval_spoofs = {f"A{number:02d}": 4_914 for number in range(7, 20)}
    require_same_set(found["eval"], eval_spoofs, "cm scores")
    with pytest.raises(InputError, match=r"\(ASVspoof 2019 LA dev\) are of another set than cm scores: 3716 and 0"):
        require_same_set(found["dev"], eval_spoofs, "cm scores")
