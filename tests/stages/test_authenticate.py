"""`voxbench authenticate`: accepted only if voice, liveness and phrase pass, with the reasons, and what was unsure."""

import json
import re
from itertools import product

import numpy as np
import pytest
from ruamel.yaml import YAML

from serving.clips import bad_clips, encoded
from serving.pairs import MODEL
from serving.recognizer import ASR, RECOGNIZER, RECOGNIZER_NETWORK, add_recognizer, write_recognizer
from stages.spoofed import COUNTERMEASURE, spoofed_project, write_countermeasure
from tiny import voice, write_params
from voxbench.cli import main
from voxbench.evaluation.decisions import read_decision
from voxbench.stages.workspace import open_workspace

PARTS = ("voice", "liveness", "phrase")
PASS, FAIL = -1e6, 1e6
"""Of log-likelihood ratios: one that everything reaches, one that nothing does."""
NETWORKS = {"verifier": MODEL, "countermeasure": COUNTERMEASURE, "recognizer": RECOGNIZER}


def guarded_project(root):
    """Return a project of a verifier, a countermeasure and a recognizer, in which ann is enrolled."""
    workspace = spoofed_project(root)
    params = YAML(typ="safe").load((root / "params.yaml").read_text(encoding="utf-8"))
    add_recognizer(params)
    workspace = open_workspace(write_params(root, params))
    write_recognizer(workspace)
    words = [str(root / "spoofed-raw/test/t0/0-bonafide.wav"), "--model", MODEL]
    assert main(["--params", str(root / "params.yaml"), "enroll", "ann", *words]) == 0
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return guarded_project(tmp_path_factory.mktemp("authenticated"))


def clip_of(workspace):
    return workspace.root / "spoofed-raw/test/t0/1-bonafide.wav"


def write_policy(workspace, seconds=0.1, networks=NETWORKS, **rules):
    """Write a policy whose parts all pass but for those that `rules` changes."""
    accept = {part: {"least_llr": PASS} for part in PARTS} | rules
    path = workspace.root / "policy.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump({**networks, "least_speech_seconds": seconds, "accept": accept}, stream)
    return path


def run(workspace, policy, *words, name="ann", clip=None, phrase="open the door"):
    place = ["--params", str(workspace.root / "params.yaml"), "authenticate", name, str(clip or clip_of(workspace))]
    return main([*place, "--phrase", phrase, "--policy", str(policy), *words])


def told(workspace, capsys, policy, **asked):
    capsys.readouterr()
    status = run(workspace, policy, "--json", **asked)
    return status, json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def said(workspace, capsys, policy, **asked):
    capsys.readouterr()
    status = run(workspace, policy, **asked)
    return status, capsys.readouterr().out.splitlines()


def complaint(workspace, capfd, policy, **asked):
    capfd.readouterr()
    assert run(workspace, policy, **asked) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("voxbench authenticate: ")
    return line


@pytest.mark.parametrize("passing", list(product([True, False], repeat=3)))
def test_all_parts_must_pass_and_those_that_fail_are_named(workspace, capsys, passing):
    rules = {part: {"least_llr": PASS if each else FAIL} for part, each in zip(PARTS, passing, strict=True)}
    policy = write_policy(workspace, **rules)
    failed = [part for part, each in zip(PARTS, passing, strict=True) if not each]
    status, answer = told(workspace, capsys, policy)
    assert status == (1 if failed else 0)
    assert answer["accepted"] is (not failed)
    assert answer["decisive"] == (failed or list(PARTS))
    assert [answer["parts"][part]["passed"] for part in PARTS] == list(passing)
    status, lines = said(workspace, capsys, policy)
    assert status == (1 if failed else 0)
    assert lines[0] == f"ann: {'rejected by ' + ' and '.join(failed) if failed else 'accepted, as all parts pass'}"
    for part, each in zip(PARTS, passing, strict=True):
        (line,) = [line for line in lines if line.startswith(f"{part}: ")]
        assert line.startswith(f"{part}: {'passes' if each else 'fails'}, log-likelihood ratio ")
        assert f"{'reaches' if each else 'is below'} the threshold" in line
        assert "of the policy file; score " in line


def test_every_part_says_what_its_own_command_says(workspace, capsys):
    _, answer = told(workspace, capsys, write_policy(workspace))
    run_alone = ["--params", str(workspace.root / "params.yaml")]
    clip = str(clip_of(workspace))
    main([*run_alone, "verify", "ann", clip, "--countermeasure", COUNTERMEASURE, "--json"])
    verified = json.loads(capsys.readouterr().out)
    main([*run_alone, "predict", clip, "--model", RECOGNIZER, "--phrase", "open the door", "--json"])
    (written,) = json.loads(capsys.readouterr().out)
    expected = {"voice": verified, "liveness": verified["countermeasure"], "phrase": written["phrase"]}
    for part, alone in expected.items():
        assert (answer["parts"][part]["score"], answer["parts"][part]["llr"]) == (alone["score"], alone["llr"])
    assert [answer["parts"][part]["version"] for part in PARTS[:2]] == [
        verified["version"],
        verified["countermeasure"]["version"],
    ]
    assert (answer["heard"], answer["phrase"]) == (written["text"], "open the door")
    assert [answer["parts"][part]["network"] for part in PARTS] == list(NETWORKS.values())


@pytest.mark.parametrize("name", ["bayes", "equal-error", "far-10-percent"])
def test_a_stored_policy_decides_and_its_errors_are_told(workspace, capsys, name):
    policy = write_policy(workspace, **{part: {"policy": name} for part in PARTS})
    _, answer = told(workspace, capsys, policy)
    folders = [workspace.root / "models" / network for network in NETWORKS.values()]
    for part, folder in zip(PARTS, folders, strict=True):
        stored, found = read_decision(folder).thresholds[name], answer["parts"][part]
        assert (found["policy"], found["threshold"]) == (name, stored.value)
        assert found["passed"] is (found["llr"] >= stored.value)
        assert (found["fitted"]["p_fa"], found["fitted"]["nontargets"]) == (stored.p_fa, stored.nontargets)
    _, lines = said(workspace, capsys, policy)
    stored = read_decision(folders[2]).thresholds[name]
    share = f"accepted {100 * stored.p_fa:.1f}\u202f% of {stored.nontargets} wrong phrases"
    (line,) = [line for line in lines if share in line]
    assert line.startswith("  on validation rows of 4 speakers of tiny it ")
    missed = min(1.0, sum(answer["parts"][part]["fitted"]["p_miss"] for part in PARTS))
    assert any(f"is rejected at most {100 * missed:.1f}\u202f% of the time" in line for line in lines[-1:])


def test_a_threshold_of_ones_own_has_errors_that_nobody_counted(workspace, capsys):
    _, lines = said(workspace, capsys, write_policy(workspace))
    assert sum("nobody has counted" in line for line in lines) == 3
    assert not any("at most" in line for line in lines)


def test_prompt_and_transcript_stand_under_each_other(workspace, capsys):
    _, lines = said(workspace, capsys, write_policy(workspace))
    place = next(number for number, line in enumerate(lines) if line.startswith("phrase: "))
    assert lines[place + 1].startswith(f"  by {RECOGNIZER}, heard ")
    assert lines[place + 3].startswith("  phrase: [open]")
    assert lines[place + 4].startswith("  heard:  [")


def test_corpora_that_differ_are_told(workspace, capsys, tmp_path):
    calibrated = "each part was calibrated alone"
    _, answer = told(workspace, capsys, write_policy(workspace))
    assert [warning.split(";")[0] for warning in answer["warnings"]] == [calibrated]
    folder = workspace.models(ASR) / RECOGNIZER_NETWORK
    written = (folder / "model.json").read_text(encoding="utf-8")
    (folder / "model.json").write_text(written.replace('"corpus": "tiny"', '"corpus": "books"'), encoding="utf-8")
    _, lines = said(workspace, capsys, write_policy(workspace))
    (folder / "model.json").write_text(written, encoding="utf-8")
    notes = [line for line in lines if line.startswith("note: ")]
    assert "different corpora (voice tiny, liveness tiny, phrase books)" in notes[0]
    assert notes[1].startswith(f"note: {calibrated}")


def test_too_little_speech_is_no_answer(workspace, capsys):
    status, answer = told(workspace, capsys, write_policy(workspace, seconds=60.0))
    assert (status, answer["accepted"], answer["decisive"]) == (2, None, list(PARTS))
    assert all("s of speech; at least 60 s" in part["undecided"] for part in answer["parts"].values())
    status, lines = said(workspace, capsys, write_policy(workspace, seconds=60.0))
    assert status == 2
    assert lines[0] == "ann: no answer, as voice and liveness and phrase cannot be judged and nothing else fails"


@pytest.mark.parametrize("kind", ["silence", "too short"])
def test_what_cannot_be_heard_is_no_answer_and_says_why(workspace, capsys, tmp_path, kind):
    clip = tmp_path / "bad.wav"
    short = encoded(voice(120.0, 0.1, np.random.default_rng(0)))
    clip.write_bytes(bad_clips()["silence"][0] if kind == "silence" else short)
    status, answer = told(workspace, capsys, write_policy(workspace), clip=clip)
    assert (status, answer["accepted"], answer["heard"]) == (2, None, None)
    reason = {"silence": "silent: ", "too short": "too_short: "}[kind]
    assert all(part["undecided"].startswith(reason) for part in answer["parts"].values())
    assert all(part["score"] is None for part in answer["parts"].values())
    status, lines = said(workspace, capsys, write_policy(workspace), clip=clip)
    assert status == 2
    assert lines[1].startswith(f"voice: cannot be judged, {reason}")


def test_nobody_enrolled_is_said_whatever_is_heard(workspace, capfd, tmp_path):
    clip = tmp_path / "mute.wav"
    clip.write_bytes(bad_clips()["silence"][0])
    assert "no voice 'anne'" in complaint(workspace, capfd, write_policy(workspace), name="anne", clip=clip)


def test_a_part_without_a_decision_is_no_answer_unless_another_fails(tmp_path, capsys):
    workspace = guarded_project(tmp_path)
    write_recognizer(workspace, one_class=True)
    write_countermeasure(workspace, one_class=True)
    for rule, status, decisive in ((PASS, 2, ["liveness", "phrase"]), (FAIL, 1, ["voice"])):
        found, answer = told(workspace, capsys, write_policy(workspace, voice={"least_llr": rule}))
        assert (found, answer["decisive"]) == (status, decisive)
        assert answer["accepted"] is (None if status == 2 else False)
        assert "on validation rows" in answer["parts"]["phrase"]["undecided"]


def test_equal_input_gives_equal_answers(workspace, capsys):
    policy = write_policy(workspace)
    assert told(workspace, capsys, policy) == told(workspace, capsys, policy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "anne"}, r"no voice 'anne' in .* \(did you mean 'ann'\?\)"),
        ({"phrase": "room 5"}, "phrase: '5' "),
        ({"phrase": "..."}, "phrase: found '...', expected one word or more"),
    ],
)
def test_wrong_words_are_one_line(workspace, capfd, changes, message):
    assert re.search(message, complaint(workspace, capfd, write_policy(workspace), **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recognizer": MODEL}, "writes nothing down (task 'verification')"),
        ({"countermeasure": RECOGNIZER}, "is no countermeasure (task 'transcription')"),
        ({"verifier": RECOGNIZER}, "and compares none: name a model of a benchmark of task 'verification'"),
        ({"recognizer": f"{ASR}/deep_speech_2x69"}, f"did you mean '{RECOGNIZER_NETWORK}'"),
        ({"verifier": "verify-tiny/spectrogram_cnn_3"}, "voice 'ann' was enrolled by verify-tiny/bilstm_h128_l1"),
    ],
)
def test_wrong_networks_are_one_line(workspace, capfd, changes, message):
    assert message in complaint(workspace, capfd, write_policy(workspace, networks=NETWORKS | changes))


def test_a_policy_that_is_not_stored_is_one_line(workspace, capfd):
    line = complaint(workspace, capfd, write_policy(workspace, phrase={"policy": "bays"}))
    assert "no policy 'bays' is stored with the model (did you mean 'bayes'?)" in line
    assert "the policy absent.yaml cannot be read" in complaint(workspace, capfd, "absent.yaml")
