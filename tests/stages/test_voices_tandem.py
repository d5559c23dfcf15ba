"""`voxbench verify --countermeasure`: accepted only if the voice is accepted and the recording is judged bona fide."""

import json

import pytest

from serving.pairs import MODEL, NETWORK, write_model
from stages.spoofed import COUNTERMEASURE, spoofed_project, write_countermeasure
from voxbench.cli import main
from voxbench.evaluation.decisions import DECISION
from voxbench.serving.countermeasure import both

THRESHOLDS = {True: -1000.0, False: 1000.0}
"""Of log-likelihood ratios: one that everything reaches, one that nothing does."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = spoofed_project(tmp_path_factory.mktemp("guarded"))
    words = [str(workspace.root / "spoofed-raw/test/t0/0-bonafide.wav"), "--model", MODEL]
    assert run(workspace, "enroll", "ann", *words) == 0
    return workspace


def run(workspace, *words):
    return main(["--params", str(workspace.root / "params.yaml"), *words])


def verify(workspace, *words):
    clip = str(workspace.root / "spoofed-raw/test/t0/1-bonafide.wav")
    return run(workspace, "verify", "ann", clip, "--countermeasure", COUNTERMEASURE, *words)


def set_threshold(workspace, name, accepts):
    path = workspace.root / "models" / name / DECISION
    record = json.loads(path.read_text(encoding="utf-8"))
    for threshold in record["thresholds"].values():
        threshold["value"] = THRESHOLDS[accepts]
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("voice", [True, False])
@pytest.mark.parametrize("bonafide", [True, False])
def test_both_must_accept_and_who_refused_is_said(workspace, capsys, voice, bonafide):
    set_threshold(workspace, MODEL, voice)
    set_threshold(workspace, COUNTERMEASURE, bonafide)
    capsys.readouterr()
    status = verify(workspace)
    whole, recording, own = capsys.readouterr().out.splitlines()
    assert status == (0 if voice and bonafide else 1)
    assert whole.startswith(f"ann: {'accepted' if status == 0 else 'rejected'}, ")
    assert ("the recording is judged spoofed" in whole) is (not bonafide)
    assert ("the voice is rejected" in whole) is (not voice)
    assert recording.startswith(f"recording: {'bona fide' if bonafide else 'spoofed'}, log-likelihood ratio")
    assert own.startswith(f"voice: ann: {'accepted' if voice else 'rejected'}, log-likelihood ratio")
    assert verify(workspace, "--json") == status
    answer = json.loads(capsys.readouterr().out)
    assert (answer["accepted"], answer["voice_accepted"]) == (voice and bonafide, voice)
    assert (answer["countermeasure"]["bonafide"], answer["countermeasure"]["network"]) == (bonafide, COUNTERMEASURE)
    assert answer["countermeasure"]["threshold"] == THRESHOLDS[bonafide]


def test_without_a_countermeasure_the_answer_is_that_of_the_voice(workspace, capsys):
    set_threshold(workspace, MODEL, True)
    set_threshold(workspace, COUNTERMEASURE, False)
    clip = str(workspace.root / "spoofed-raw/test/t0/1-A02.wav")
    assert run(workspace, "verify", "ann", clip, "--json") == 0
    assert "countermeasure" not in json.loads(capsys.readouterr().out)


def test_the_policy_is_that_of_both(workspace, capsys):
    assert verify(workspace, "--policy", "equal-error", "--json") in (0, 1)
    answer = json.loads(capsys.readouterr().out)
    assert answer["policy"] == answer["countermeasure"]["policy"] == "equal-error"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (MODEL, "is no countermeasure (task 'verification')"),
        (f"spoof-tiny/{NETWORK[:-1]}", f"did you mean '{NETWORK}'"),
        ("spof-tiny/x", "did you mean 'spoof-tiny'"),
    ],
)
def test_another_network_is_refused(workspace, capfd, name, message):
    clip = str(workspace.root / "spoofed-raw/test/t0/1-bonafide.wav")
    capfd.readouterr()
    assert run(workspace, "verify", "ann", clip, "--countermeasure", name) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert message in line


def test_what_cannot_be_decided_is_no_answer_unless_the_other_rejects(tmp_path, capsys):
    workspace = spoofed_project(tmp_path)
    clip = str(workspace.root / "spoofed-raw/test/t0/0-bonafide.wav")
    assert run(workspace, "enroll", "ann", clip, "--model", MODEL) == 0
    write_countermeasure(workspace, one_class=True)
    for voice, status, words in ((True, 2, "undecided, as nothing says whether the recording"), (False, 1, "rejected")):
        set_threshold(workspace, MODEL, voice)
        capsys.readouterr()
        assert verify(workspace) == status
        assert words in capsys.readouterr().out
    write_model(workspace, NETWORK, seed=1, one_class=True)
    assert verify(workspace) == 2
    assert "whether the recording is bona fide and whose voice it is" in capsys.readouterr().out


def test_either_rejects_alone():
    said = {(one, other): both(one, other) for one in (True, False, None) for other in (True, False, None)}
    assert [pair for pair, answer in said.items() if answer] == [(True, True)]
    assert all(answer is False for pair, answer in said.items() if False in pair)
