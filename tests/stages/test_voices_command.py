"""The commands of enrolled voices: exit status, text and JSON, and one line for every mistake."""

import json

import pytest

from serving.pairs import BENCHMARK, MODEL, NETWORK, OTHER, project, recording, write_model
from voxbench.cli import main


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a project with a model, recordings of two people, and one of them enrolled."""
    root = tmp_path_factory.mktemp("commands")
    project(root)
    for pitch_hz in (90, 280):
        for take in range(3):
            (root / f"{pitch_hz}-{take}.wav").write_bytes(recording(float(pitch_hz), take))
    assert run(root, "enroll", "low", *clips(root, 90), "--model", MODEL) == 0
    assert run(root, "enroll", "high", *clips(root, 280), "--model", MODEL) == 0
    return root


def clips(root, pitch_hz, takes=(0, 1)):
    return [str(root / f"{pitch_hz}-{take}.wav") for take in takes]


def run(root, *words):
    return main(["--params", str(root / "params.yaml"), *words])


def told(root, capsys, *words):
    capsys.readouterr()
    status = run(root, *words, "--json")
    return status, json.loads(capsys.readouterr().out)


def test_the_status_says_what_the_answer_says(root, capsys):
    for pitch_hz in (90, 280):
        (clip,) = clips(root, pitch_hz, [2])
        status, answer = told(root, capsys, "verify", "low", clip)
        assert status == (0 if answer["accepted"] else 1)
        assert answer["accepted"] is (answer["llr"] >= answer["threshold"])
        assert (answer["decision"], answer["network"]) == (("nontarget", "target")[answer["accepted"]], MODEL)
        capsys.readouterr()
        assert run(root, "verify", "low", clip) == status
        assert f"low: {'accepted' if answer['accepted'] else 'rejected'}, log-likelihood" in capsys.readouterr().out


def test_identification_ranks_the_voices(root, capsys):
    (clip,) = clips(root, 280, [2])
    status, answer = told(root, capsys, "identify", clip)
    assert {match["name"] for match in answer["matches"]} == {"low", "high"}
    assert status == (1 if answer["name"] is None else 0)
    assert len(told(root, capsys, "identify", clip, "--top", "1")[1]["matches"]) == 1


def test_voices_are_listed_and_forgotten(root, capsys, tmp_path):
    folder = ["--voices", str(tmp_path / "own")]
    assert told(root, capsys, "voices", *folder) == (0, [])
    assert run(root, "enroll", "ann", *clips(root, 90), "--model", MODEL, *folder) == 0
    status, listed = told(root, capsys, "voices", *folder)
    assert [record["name"] for record in listed] == ["ann"]
    status, answer = told(root, capsys, "forget", "ann", *folder)
    assert (status, answer["forgotten"]) == (0, "ann")
    assert not list((tmp_path / "own").glob("*ann*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "lo", "90-2.wav"], "no voice 'lo' in"),
        (["verify", "low", "absent.wav"], "absent.wav: No such file"),
        (["verify", "low", "90-2.wav", "--policy", "bays"], "did you mean 'bayes'?"),
        (["verify", "low", "90-2.wav", "--model", f"{BENCHMARK}/{NETWORK[:-1]}"], f"did you mean '{NETWORK}'?"),
        (["verify", "low", "90-2.wav", "--model", "verify-tinny/x"], "'verify-tinny'"),
        (["enroll", "low", "90-2.wav", "--model", MODEL], "--replace"),
        (["enroll", "../low", "90-2.wav", "--model", MODEL], "cannot name a voice"),
        (["identify", "90-2.wav", "--top", "0"], "top is 0"),
        (["forget", "nobody"], "no voice 'nobody' in"),
        (["voices", "--voices", "90-2.wav"], "90-2.wav is no folder"),
        (["enroll", "ann", "90-2.wav", "--model", NETWORK], "expected BENCHMARK/MODEL"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(root, capfd, monkeypatch, words, message):
    monkeypatch.chdir(root)
    capfd.readouterr()
    assert run(root, *words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"voxbench {words[0]}: ")
    assert message in line


def test_voices_of_different_networks_are_not_identified_together(root, capsys, tmp_path):
    (clip,), folder = clips(root, 90, [0]), ["--voices", str(tmp_path)]
    assert run(root, "enroll", "ann", clip, "--model", MODEL, *folder) == 0
    assert run(root, "enroll", "ben", clip, "--model", f"{BENCHMARK}/{OTHER}", *folder) == 0
    assert "ben: 1 clip," in capsys.readouterr().out
    assert run(root, "identify", clip, *folder) == 2
    assert "keep a folder for each" in capsys.readouterr().err


def test_a_model_without_a_decision_gives_no_answer(tmp_path, capsys):
    workspace = project(tmp_path)
    write_model(workspace, NETWORK, seed=1, one_class=True)
    path = tmp_path / "a.wav"
    path.write_bytes(recording(90.0))
    assert run(tmp_path, "enroll", "ann", str(path), "--model", MODEL) == 0
    status, answer = told(tmp_path, capsys, "verify", "ann", str(path))
    assert (status, answer["accepted"], answer["llr"]) == (2, None, None)
    assert "on validation rows" in answer["undecided"]
