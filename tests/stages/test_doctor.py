"""The doctor: what it says of healthy and sick folders, and the exit code that follows."""

import json
import os
import shutil
from collections import namedtuple

import pytest

from tiny import tiny_params, write_params, write_table_corpus
from voxbench.schema import InputError
from voxbench.stages import doctor as doctor_module
from voxbench.stages.doctor import doctor, examine
from voxbench.stages.workspace import open_workspace

KEYS = """corpus reader title homepage root licence tree steps usable verdict fix suggested_root notes found release
parts labels sample disk"""
FOUND = "rows files size_bytes missing empty unlisted misspelt unread_folders linked_folders"
CALM = {"count": 0, "first": []}


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with a corpus of 8 speakers and 16 clips; 10 % of them may be excluded."""
    write_table_corpus(tmp_path / "raw", speakers=8)
    return open_workspace(write_params(tmp_path, tiny_params()))


def lose(workspace, count):
    for path in sorted((workspace.root / "raw").rglob("*.wav"))[:count]:
        path.unlink()


def refuse_constants(word):
    raise AssertionError(f"{word} is no JSON")


def test_a_healthy_corpus_as_json(workspace, capsys):
    assert doctor(workspace, "tiny", None, as_json=True) == 0
    output = capsys.readouterr().out
    report = json.loads(output, parse_constant=refuse_constants)
    assert set(report) == set(KEYS.split())
    assert (report["corpus"], report["reader"], report["usable"], report["fix"]) == ("tiny", "table", True, None)
    assert report["root"] == str(workspace.root / "raw")
    assert report["licence"] == {
        "row": "synthetic speech, generated here; no restrictions",
        "sheet": "the owner's: state it in params.yaml",
    }
    assert list(report["found"]) == FOUND.split()
    assert (report["found"]["rows"], report["found"]["files"]) == (16, 16)
    assert all(report["found"][key] == CALM for key in FOUND.split()[3:])
    assert report["parts"] == [
        {
            "part": "metadata.csv",
            "rows": 16,
            "files": 16,
            "expected": None,
            "missing": 0,
            "speakers": 8,
            "expected_speakers": None,
        }
    ]
    assert report["labels"]["words"]["gender"] == {"female": 8, "male": 8}
    assert report["labels"]["age_years"] == [22, 67]
    assert (report["labels"]["speakers"], report["labels"]["sessions"]) == (8, 0)
    unlabelled = report["labels"]["unlabelled"]
    assert (unlabelled["gender"], unlabelled["age_years"], unlabelled["text"], unlabelled["split"]) == (0, 0, 1, 1)
    sample = report["sample"]
    assert (sample["drawn"], sample["formats"], sample["rates_hz"]) == (16, {"WAV PCM_16": 16}, {"16000": 16})
    assert (sample["channels"], sample["faults"]) == ({"1": 16}, CALM)
    assert 0.9 <= sample["seconds"]["min"] <= sample["seconds"]["median"] <= sample["seconds"]["max"] <= 1.3
    seconds = report["found"]["size_bytes"] / 32_000
    assert sample["hours_estimated"] * 3600 == pytest.approx(seconds, rel=0.01)
    # int16 at 16 kHz; float16 of 40 mel bands and 13 cepstra each 10 ms.
    assert report["disk"]["prepared_bytes"] == pytest.approx(seconds * 32_000, rel=0.01)
    assert report["disk"]["features_bytes"] == pytest.approx(seconds * 100 * 53 * 2, rel=0.01)
    assert report["disk"]["free_at_project_bytes"] > 0


def test_a_healthy_corpus_is_one_screen_of_text(workspace, capsys):
    assert doctor(workspace, "tiny", None, as_json=False) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert captured.err == ""
    for line in (
        "corpus      tiny (reader table): A folder of recordings with a metadata table",
        f"root        {workspace.root / 'raw'}",
        "            gender     female 8, male 8",
        "            age_years  22.0 to 67.0",
        "            split      none",
        "            16000 Hz 16; mono 16",
        "verdict     usable: every recording listed is there",
    ):
        assert line in lines
    assert not any(line.startswith(("steps", "fix", "note")) for line in lines)


@pytest.mark.parametrize(("lost", "code"), [(1, 0), (2, 1), (16, 1)])
def test_more_missing_than_allowed_is_not_usable(workspace, lost, code, capsys):
    """10 % of 16 are 1.6 recordings."""
    lose(workspace, lost)
    assert doctor(workspace, "tiny", None, as_json=False) == code
    text = capsys.readouterr().out
    assert f"{lost} of 16 recordings are missing" in text
    assert "              s00/0.wav" in text
    assert ("NOT USABLE" in text) == ("more than max_excluded_fraction 0.1" in text) == bool(code)


@pytest.mark.parametrize(("lost", "usable"), [(8, True), (9, False)])
def test_a_bare_reader_asks_for_a_majority(workspace, lost, usable):
    lose(workspace, lost)
    report = examine(workspace, "table", workspace.root / "raw")
    assert report["usable"] is usable
    assert report["licence"]["row"] is None
    assert report["disk"]["prepared_bytes"] is None
    assert "more than half" in report["verdict"] or usable


def test_faults_that_prepare_would_exclude_are_counted(workspace):
    for speaker in range(2):
        path = workspace.root / "raw" / f"s{speaker:02d}" / "0.wav"
        path.write_bytes(path.read_bytes()[:9000])
    report = examine(workspace, "tiny", None)
    assert not report["usable"]
    assert report["sample"]["reasons"] == {"truncated": 2}
    assert report["verdict"].startswith("0 of 16 recordings are missing, 2 of 16 drawn are faulty: about 12.5%")
    assert report["fix"] == "replace the faulty recordings, or take their rows out of its lists"
    workspace = open_workspace(write_params(workspace.root, short_is_bad()))
    assert examine(workspace, "tiny", None)["sample"]["reasons"]["too_short"] > 2


def short_is_bad():
    params = tiny_params()
    params["corpora"]["tiny"]["cleaning"]["min_seconds"] = 5.0
    return params


def test_files_of_another_ending_are_to_be_renamed(workspace):
    for path in sorted((workspace.root / "raw").rglob("*.wav")):
        path.rename(path.with_suffix(".WAV"))
    report = examine(workspace, "tiny", None)
    assert not report["usable"]
    assert report["found"]["misspelt"]["count"] == report["found"]["unlisted"]["count"] == 16
    assert report["found"]["misspelt"]["first"][0] == "s00/0.wav is there as s00/0.WAV: another case"
    assert report["fix"] == "rename the 16 files (or mend their rows) that differ in spelling alone"


def test_a_missing_root_and_a_wrong_root_come_with_a_better_one(workspace, capsys):
    raw = workspace.root / "raw"
    for wrong, verdict in ((workspace.root / "rwa", "is not a folder"), (raw / "s00", "the reader 'table' refuses it")):
        report = examine(workspace, "tiny", wrong)
        assert (report["usable"], report["suggested_root"]) == (False, str(raw))
        assert report["fix"] == f"set the root to {raw}, which the reader takes"
        assert verdict in report["verdict"]
        assert report["found"] is report["sample"] is report["labels"] is None
    shutil.rmtree(raw)
    assert doctor(workspace, "tiny", None, as_json=False) == 1
    text = capsys.readouterr().out
    assert f"NOT USABLE: the root {raw} is not a folder" in text
    assert "steps       1. write metadata.csv" in text
    assert "fix         get the corpus (steps above)" in text
    json.dumps(examine(workspace, "tiny", None), allow_nan=False)


def test_a_list_without_rows_is_not_usable(workspace):
    (workspace.root / "raw" / "metadata.csv").write_text("path,speaker\n")
    report = examine(workspace, "tiny", None)
    assert (report["usable"], report["verdict"]) == (False, "the reader finds no recordings")
    assert report["found"]["unlisted"]["count"] == 16


def test_a_folder_that_the_reader_may_not_open_is_no_crash(workspace, monkeypatch):
    def closed(*arguments):
        raise PermissionError(13, "Permission denied", "raw/s00")

    monkeypatch.setattr(doctor_module, "take_inventory", closed)
    report = examine(workspace, "tiny", None)
    assert not report["usable"]
    assert "Permission denied" in report["verdict"]


def test_a_small_disk_is_told_and_not_held_against_the_corpus(workspace, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10, 9, 1))
    report = examine(workspace, "tiny", None)
    assert report["usable"]
    assert report["notes"] == ["the disk of the project will be full before prepare and features have finished"]


def test_a_root_of_the_command_replaces_that_of_the_row(workspace, tmp_path):
    write_table_corpus(tmp_path / "other", speakers=2)
    report = examine(workspace, "tiny", tmp_path / "other")
    assert (report["found"]["rows"], report["licence"]["row"] is None) == (4, False)


@pytest.mark.parametrize("as_json", [False, True])
def test_names_that_are_no_text_are_printed_escaped(workspace, capsys, as_json):
    root = workspace.root / os.fsdecode(b"r\xff")
    (workspace.root / "raw").rename(root)
    (root / os.fsdecode(b"\xfe.wav")).touch()
    assert doctor(workspace, "tiny", root, as_json) == 0
    output = capsys.readouterr().out
    assert "r\\udcff" in output
    assert "\\udcfe.wav" in output
    if as_json:
        assert json.loads(output)["root"] == str(root)


@pytest.mark.parametrize(
    ("name", "root", "message"),
    [
        ("tinny", None, r"'tinny' is no row of corpora in params\.yaml \(did you mean 'tiny'\?\); rows: tiny"),
        ("timit", None, "with --root DIR it is read as a corpus of that kind"),
        ("tabel", ".", r"no row of corpora and no reader \(did you mean 'table'\?\); known: tiny, .*table"),
    ],
)
def test_wrong_calls_are_refused(workspace, name, root, message):
    with pytest.raises(InputError, match=message):
        doctor(workspace, name, root, as_json=False)


def test_long_work_says_how_far_it_is_on_standard_error(workspace, monkeypatch, capsys):
    monkeypatch.setattr(doctor_module, "SECONDS_BETWEEN_LINES", 0.0)
    assert doctor(workspace, "tiny", None, as_json=True) == 0
    captured = capsys.readouterr()
    assert "doctor tiny: 16 recordings decoded [" in captured.err
    json.loads(captured.out)
