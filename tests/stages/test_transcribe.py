"""`voxbench predict` of a network that writes down what is said: words, times, and whether a phrase is right."""

import json
import re

import pytest

from serving.clips import bad_clips
from serving.pairs import MODEL, project
from serving.recognizer import ASR, RECOGNIZER, recognizing_project, tones, write_recognizer
from voxbench.cli import main
from voxbench.serving.transcriber import Transcriber
from voxbench.stages.answers import probability_of
from voxbench.stages.transcribe import beside


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = recognizing_project(tmp_path_factory.mktemp("transcribed"))
    (workspace.root / "one.wav").write_bytes(tones())
    return workspace


def run(workspace, *words, model=RECOGNIZER):
    return main(["--params", str(workspace.root / "params.yaml"), "predict", *words, "--model", model])


def clip_of(workspace):
    return str(workspace.root / "one.wav")


def told(workspace, capsys, *words):
    capsys.readouterr()
    status = run(workspace, *words, "--json")
    return status, json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def said(workspace, capsys, *words):
    capsys.readouterr()
    status = run(workspace, *words)
    return status, capsys.readouterr().out.splitlines()


def complaint(workspace, capfd, *words, **named):
    capfd.readouterr()
    assert run(workspace, *words, **named) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("voxbench predict: ")
    return line


def number(words):
    return float(words.replace("\u2212", "-").replace("\u202f", ""))


def test_the_transcript_is_told_with_each_words_time_and_confidence(workspace, capsys):
    status, (answer,) = told(workspace, capsys, clip_of(workspace))
    assert status == 0
    assert "phrase" not in answer
    assert answer["text"].split() == [word["word"] for word in answer["words"]] != []
    status, lines = said(workspace, capsys, clip_of(workspace))
    assert status == 0
    assert lines[0] == f"{clip_of(workspace)}: {answer['text']}"
    assert lines[1] == "  words, in seconds of the speech that was kept, with the network's confidence:"
    for line, word in zip(lines[2:-1], answer["words"], strict=True):
        start, end, confidence = (f"{word[name]:.2f}" for name in ("start_seconds", "end_seconds", "confidence"))
        assert line.split() == [start, "to", end, confidence, word["word"]]
    assert lines[-1] == f"  heard: {answer['kept_seconds']:.2f} of {answer['source_seconds']:.2f} s"


def test_where_nothing_is_removed_times_are_of_the_recording(tmp_path, capsys):
    workspace = recognizing_project(tmp_path)
    write_recognizer(workspace, silence_q=0.0)
    (tmp_path / "one.wav").write_bytes(tones())
    _, lines = said(workspace, capsys, clip_of(workspace))
    assert lines[1] == "  words, in seconds of the recording, with the network's confidence:"


def test_the_phrase_is_told_with_score_ratio_probability_and_decision(workspace, capsys):
    words = (clip_of(workspace), "--phrase", "Open the door!")
    status, (answer,) = told(workspace, capsys, *words)
    found = answer["phrase"]
    assert (status, found["phrase"], found["decision"]) == (0, "open the door", "right" if found["right"] else "wrong")
    status, lines = said(workspace, capsys, *words)
    assert status == 0
    start = next(place for place, line in enumerate(lines) if line.startswith("  phrase: "))
    _, heard, score, ratio, probability, decision, rests, _ = lines[start:]
    assert re.sub(r"[\[\]]", "", lines[start]).split()[1:] == ["open", "the", "door"]
    assert re.sub(r"[\[\]]", "", heard).split()[1:] == answer["text"].split()
    assert number(re.search(r"score ([\u22120-9.\u202f]+):", score)[1]) == pytest.approx(found["score"], abs=6e-4)
    assert "the phrase's probability over that of the best path, as a mean over its characters" in score
    assert number(re.search(r"ratio ([\u22120-9.\u202f]+):", ratio)[1]) == pytest.approx(found["llr"], abs=6e-3)
    assert ratio.endswith("as of right phrases" if found["llr"] < 0 else "as of wrong phrases")
    assert probability == f"  P(right) {found['p_right']:.3f}, if 50 % of phrases were right"
    assert decision.startswith(f"  decision: {found['decision']}, log-likelihood ratio ")
    assert decision.endswith("threshold 0.00 of policy bayes")
    assert rests.startswith("  rests on 8 validation phrases of 4 speakers of tiny")


def test_the_probability_follows_from_the_ratio(workspace, capsys):
    _, (answer,) = told(workspace, capsys, clip_of(workspace), "--phrase", "open")
    transcriber = Transcriber(workspace.models(ASR) / RECOGNIZER.split("/")[1])
    check = transcriber.check(transcriber(tones()), "open")
    assert answer["phrase"]["p_right"] == probability_of(transcriber.decision, check.verdict)


@pytest.mark.parametrize("policy", ["bayes", "equal-error", "far-10-percent"])
def test_the_decision_is_that_of_the_named_policy(workspace, capsys, policy):
    _, (answer,) = told(workspace, capsys, clip_of(workspace), "--phrase", "open", "--policy", policy)
    found = answer["phrase"]
    assert found["policy"] == policy
    assert found["right"] is (found["llr"] >= found["threshold"])


def test_what_cannot_be_heard_has_no_answer_and_others_have(workspace, capsys, tmp_path):
    (tmp_path / "mute.wav").write_bytes(bad_clips()["silence"][0])
    clips = [str(tmp_path / "mute.wav"), clip_of(workspace), str(tmp_path / "absent.wav")]
    status, answers = told(workspace, capsys, *clips, "--phrase", "open")
    assert status == 2
    assert [answer["clip"] for answer in answers] == clips
    assert [answer["error"] is None for answer in answers] == [False, True, False]
    assert ["phrase" in answer for answer in answers] == [False, True, False]
    status, lines = said(workspace, capsys, *clips)
    assert status == 2
    assert lines[0].startswith(f"{clips[0]}: no answer, silent: ")


@pytest.mark.parametrize(("phrase", "found"), [("room 5", "'5' (U+0035"), ("門", "'門'"), ("", "one word or more")])
def test_a_phrase_that_cannot_be_spelt_is_one_line(workspace, capfd, phrase, found):
    assert found in complaint(workspace, capfd, clip_of(workspace), "--phrase", phrase)


def test_a_model_without_a_decision_says_why(tmp_path, capsys):
    workspace = recognizing_project(tmp_path)
    write_recognizer(workspace, one_class=True)
    (tmp_path / "one.wav").write_bytes(tones())
    status, lines = said(workspace, capsys, clip_of(workspace), "--phrase", "open")
    assert status == 0
    assert any(line.startswith("  decision: undecided, on validation rows: ") for line in lines)
    assert not any("P(right)" in line for line in lines)


def test_a_phrase_is_for_networks_of_words(tmp_path, capfd):
    workspace = project(tmp_path)
    (tmp_path / "one.wav").write_bytes(tones())
    line = complaint(workspace, capfd, clip_of(workspace), "--phrase", "open", model=MODEL)
    assert f"--phrase is for networks that write down what is said, and {MODEL} is of verification" in line


def test_an_unknown_policy_is_one_line(workspace, capfd):
    line = complaint(workspace, capfd, clip_of(workspace), "--policy", "bays")
    assert "no policy 'bays' is stored with the model (did you mean 'bayes'?)" in line


@pytest.mark.parametrize(
    ("phrase", "heard", "lines"),
    [
        ("open it", "open it", ["phrase: open it", "heard:  open it"]),
        ("open it", "", ["phrase: [open] [it]", "heard:  []     []"]),
        ("a b", "a c b", ["phrase: a []  b", "heard:  a [c] b"]),
    ],
)
def test_words_that_differ_are_marked_on_both_sides(phrase, heard, lines):
    assert beside(phrase, heard) == lines
