"""Subsets: what is drawn, the list that it leaves, and a corpus that is prepared from the list alone."""

import csv
import json

import pytest

from stages.pipeline import CORPUS, manifest_of
from tiny import tiny_params, write_params, write_table_corpus
from voxbench.cli import main
from voxbench.corpora.subsetting import list_sha256
from voxbench.schema import InputError, Split
from voxbench.stages.prepare import prepare
from voxbench.stages.subset import SubsetOptions, subset
from voxbench.stages.workspace import open_workspace

HOURS = 30 / 3600


def workspace_of(root, only=None):
    params = tiny_params()
    params["corpora"][CORPUS] |= {"only": only, "max_excluded_fraction": 0.4}
    return open_workspace(write_params(root, params))


@pytest.fixture
def raw(tmp_path):
    write_table_corpus(tmp_path / "raw", speakers=20, clips=3)
    return tmp_path


def draw(root, name="list.csv", hours=HOURS, seed=1, speakers=None, split=None):
    output = root / "lists" / name
    subset(workspace_of(root), CORPUS, SubsetOptions(hours, seed, speakers, split, output))
    return output


def rows_of(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def only(path):
    return {"file": "lists/list.csv", "sha256": list_sha256(path)}


def test_as_much_is_drawn_as_is_asked_and_one_recording_less_would_be_too_little(raw, capsys):
    seconds = [float(row["seconds"]) for row in rows_of(draw(raw))]
    assert sum(seconds[:-1]) < 30 <= sum(seconds) + 0.001
    said = capsys.readouterr().out
    assert f"{len(seconds)} recordings of 20 speakers, 0.01 h; 0 unreadable" in said


def test_one_seed_gives_one_list_and_a_longer_one_holds_it(raw):
    short, again, longer = (draw(raw, f"{n}.csv", n_hours) for n, n_hours in enumerate((HOURS, HOURS, 1.5 * HOURS)))
    assert short.read_bytes() == again.read_bytes()
    assert longer.read_text().startswith(short.read_text())
    assert draw(raw, "other.csv", seed=2).read_bytes() != short.read_bytes()


def test_speakers_limit_who_is_drawn(raw):
    people = {row["id"].split("/")[0] for row in rows_of(draw(raw, hours=HOURS / 3, speakers=4))}
    assert len(people) == 4
    assert {int(name[1:]) % 2 for name in people} == {0, 1}


def test_what_cannot_be_decoded_is_left_out_and_counted(raw, capsys):
    first = rows_of(draw(raw, "before.csv"))[0]["id"]
    (raw / "raw" / first).write_text("no audio")
    assert first not in {row["id"] for row in rows_of(draw(raw))}
    assert "1 unreadable one left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hours": 0.0}, "--hours is 0, expected more than 0"),
        ({"hours": float("nan")}, "--hours is nan"),
        ({"hours": 9.0}, r"has 0\.0\d h that can be drawn, expected 9"),
        ({"speakers": 21}, "21 speakers are wanted of a corpus that has 20"),
        ({"split": Split.TRAIN}, r"has 0\.00 h that can be drawn"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_list(raw, changes, message):
    with pytest.raises(InputError, match=message):
        draw(raw, **changes)
    assert not (raw / "lists").exists()


def test_a_list_that_is_there_is_kept(raw):
    path = draw(raw)
    with pytest.raises(InputError, match="is there already"):
        draw(raw, seed=2)
    assert rows_of(path)


def test_a_corpus_is_prepared_from_its_list_alone(raw, capsys):
    path = draw(raw, hours=HOURS * 0.8)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"in params.yaml, corpora.{CORPUS}.only: {{file: lists/list.csv, sha256: {list_sha256(path)}}}"
    workspace = workspace_of(raw, only(path))
    prepare(workspace, CORPUS)
    wanted = {row["id"] for row in rows_of(path)}
    assert set(manifest_of(workspace)["id"]) == wanted
    funnel = json.loads((workspace.prepared(CORPUS) / "funnel.json").read_text())
    assert (funnel["found"], funnel["outside_subset"]) == (len(wanted), 60 - len(wanted))


def test_another_list_prepares_other_recordings(raw):
    path = draw(raw)
    prepare(workspace_of(raw, only(path)), CORPUS)
    path.unlink()
    workspace = workspace_of(raw, only(draw(raw, seed=2)))
    prepare(workspace, CORPUS)
    assert set(manifest_of(workspace)["id"]) == {row["id"] for row in rows_of(path)}


def test_a_list_that_was_changed_or_is_of_another_corpus_is_refused(raw):
    path = draw(raw)
    before = only(path)
    path.write_text(path.read_text() + "s99/0.wav,1.000\n")
    with pytest.raises(InputError, match=r"list\.csv has SHA-256 \w+, expected \w+ as in `only`"):
        prepare(workspace_of(raw, before), CORPUS)
    with pytest.raises(InputError, match=r"lacks 1 of the \d+ recordings of its list `only`, the first is s99/0\.wav"):
        prepare(workspace_of(raw, only(path)), CORPUS)


def test_the_command_draws(raw):
    workspace_of(raw)
    words = ["subset", CORPUS, "--hours", "0.005", "--seed", "3", "--speakers", "6", "--output", str(raw / "own.csv")]
    assert main(["--params", str(raw / "params.yaml"), *words]) == 0
    assert len({row["id"].split("/")[0] for row in rows_of(raw / "own.csv")}) == 6
