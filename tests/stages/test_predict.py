"""`voxbench predict`: the score of the evaluation, what it means by hand, and a word for every recording."""

import json
import math
import re

import numpy as np
import pytest

from serving.clips import bad_clips
from stages.judging_networks import CORPUS, two_kinds, write_network
from voxbench.cli import main
from voxbench.evaluation.decisions import NO_VERDICT, Verdict, read_decision
from voxbench.stages.predict import probability_of

LSTM, WAVES = "bilstm_h128_l1", "m5"
REPEATED = {
    "crop_seconds": 2.0,
    "shorter": "repeat",
    "evaluation_place": "start",
    "evaluation_crops": 1,
    "subtract": "nothing",
}
NUMBER = re.compile(r"[\u22120-9.,]+")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return two_kinds(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def spoofing(workspace):
    return write_network(workspace, "anti_spoofing", LSTM)


@pytest.fixture(scope="module")
def waves(workspace):
    return write_network(workspace, "anti_spoofing", WAVES, **REPEATED)


@pytest.fixture(scope="module")
def rare(workspace):
    """Return a network whose ratios are best where one recording in 200 is bona fide."""
    return write_network(workspace, "anti_spoofing", LSTM, p_target=0.005)


def run(workspace, written, *words):
    model = written if isinstance(written, str) else written.model
    return main(["--params", str(workspace.root / "params.yaml"), "predict", *words, "--model", model])


def told(workspace, capsys, written, *words):
    """Return the exit status and the answers as JSON."""
    capsys.readouterr()
    status = run(workspace, written, *words, "--json")
    return status, json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def said(workspace, capsys, written, *words):
    capsys.readouterr()
    status = run(workspace, written, *words)
    return status, capsys.readouterr().out.splitlines()


def places(workspace, table):
    return [str(workspace.root / "raw" / name) for name in table["id"]]


def complaint(workspace, capfd, written, *words):
    capfd.readouterr()
    assert run(workspace, written, *words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("voxbench predict: ")
    return line


@pytest.mark.parametrize("network", ["spoofing", "waves"])
def test_every_recording_gets_the_score_of_its_evaluation(workspace, capsys, request, network):
    written = request.getfixturevalue(network)
    status, answers = told(workspace, capsys, written, *places(workspace, written.table))
    assert status == 0
    assert [answer["score"] for answer in answers] == pytest.approx(written.table["score"].tolist(), abs=1e-6)
    assert written.table["score"].nunique() == len(answers) > 4
    decision = read_decision(written.folder)
    ratios = decision.llrs([answer["score"] for answer in answers], None)
    assert [answer["llr"] for answer in answers] == pytest.approx(ratios.tolist(), rel=1e-9)


@pytest.mark.parametrize("policy", ["bayes", "equal-error", "far-10-percent"])
def test_the_decision_is_that_of_the_named_policy(workspace, capsys, spoofing, policy):
    _, answers = told(workspace, capsys, spoofing, *places(workspace, spoofing.table), "--policy", policy)
    threshold = read_decision(spoofing.folder).thresholds[policy].value
    for answer in answers:
        assert (answer["policy"], answer["threshold"]) == (policy, threshold)
        assert answer["decision"] == ("bonafide" if answer["llr"] >= threshold else "spoof")
    assert len({answer["decision"] for answer in answers}) == 2


@pytest.mark.parametrize(("network", "prior"), [("spoofing", 0.5), ("rare", 0.005)])
def test_the_probability_follows_from_ratio_and_prior(workspace, capsys, request, network, prior):
    written = request.getfixturevalue(network)
    _, answers = told(workspace, capsys, written, *places(workspace, written.table))
    for answer in answers:
        odds = math.exp(answer["llr"]) * prior / (1 - prior)
        assert answer["p_bonafide"] == pytest.approx(odds / (1 + odds), rel=1e-9)


@pytest.mark.parametrize(("llr", "expected"), [(-2000.0, 0.0), (2000.0, 1.0), (0.0, 0.5), (math.log(3), 0.75)])
def test_a_probability_never_overflows(spoofing, llr, expected):
    verdict = Verdict(llr, "spoof", "bayes", 0.0, None)
    assert probability_of(read_decision(spoofing.folder), verdict) == pytest.approx(expected, abs=1e-12)


def test_without_a_ratio_there_is_no_probability(spoofing):
    assert probability_of(read_decision(spoofing.folder), NO_VERDICT) is None


def number(words):
    return float(words.replace("\u2212", "-").replace("\u202f", "").replace(",", ""))


def test_the_words_say_score_ratio_probability_and_decision(workspace, capsys, spoofing):
    clips = places(workspace, spoofing.table)
    _, answers = told(workspace, capsys, spoofing, *clips)
    status, lines = said(workspace, capsys, spoofing, *clips)
    assert status == 0
    blocks = [lines[start : start + 7] for start in range(0, len(lines), 7)]
    assert len(blocks) == len(answers)
    for clip, answer, block in zip(clips, answers, blocks, strict=True):
        word = {"bonafide": "bona fide", "spoof": "spoofed"}[answer["decision"]]
        assert block[0] == f"{clip}: judged {word}"
        assert number(NUMBER.search(block[1])[0]) == pytest.approx(answer["score"], abs=6e-4)
        assert "higher means bona fide, and only calibration says how much" in block[1]
        assert number(NUMBER.search(block[2])[0]) == pytest.approx(answer["llr"], abs=6e-3)
        order = ("bona fide", "spoofed") if answer["llr"] >= 0 else ("spoofed", "bona fide")
        ratio = re.search(r"such a score is (.+) times as likely of (.+) as of (.+) recordings", block[2])
        assert ratio.groups()[1:] == order
        assert number(ratio[1]) == pytest.approx(math.exp(abs(answer["llr"])), rel=0.05)
        assert block[3].startswith(f"  P(bona fide) {answer['p_bonafide']:.3f}, if 50 % of recordings were bona fide")
        side = "reaches" if answer["decision"] == "bonafide" else "is below"
        threshold = f"the ratio {side} the threshold 0.00 of policy bayes"
        assert block[4] == f"  decision {word}: {threshold}"
        assert block[5] == f"  heard: {answer['kept_seconds']:.2f} of {answer['source_seconds']:.2f} s"
        people = spoofing.table["speaker"].nunique()
        assert block[6].startswith(
            f"  rests on {len(answers)} validation recordings of {people} speakers of {CORPUS}; "
        )
    assert {block[0].rsplit(" judged ")[1] for block in blocks} == {"bona fide", "spoofed"}


def test_a_small_prior_is_said_as_it_is(workspace, capsys, rare):
    _, lines = said(workspace, capsys, rare, places(workspace, rare.table)[0])
    assert "if 0.5 % of recordings were bona fide" in lines[3]


def test_what_cannot_be_heard_has_no_answer_and_others_have(workspace, tmp_path, capsys, spoofing):
    (tmp_path / "no.wav").write_text("no audio")
    (tmp_path / "mute.wav").write_bytes(bad_clips()["silence"][0])
    good = places(workspace, spoofing.table)[0]
    clips = [str(tmp_path / "no.wav"), good, str(tmp_path / "mute.wav"), str(tmp_path / "absent.wav")]
    status, answers = told(workspace, capsys, spoofing, *clips)
    assert status == 2
    assert [answer["clip"] for answer in answers] == clips
    assert [answer["error"] and answer["error"].split(":")[0] for answer in answers] == [
        *("unreadable", None, "silent", "unreadable")
    ]
    assert [("score" in answer, "decision" in answer) for answer in answers] == [
        (answer["error"] is None,) * 2 for answer in answers
    ]
    status, lines = said(workspace, capsys, spoofing, *clips)
    assert status == 2
    assert [line.split(": ")[1].split(",")[0] for line in lines if not line.startswith(" ")] == [
        *("no answer", lines[1].split(": ")[1], "no answer", "no answer")
    ]
    assert lines[1].startswith(f"{good}: judged ")


def test_an_unknown_policy_is_one_line(workspace, capfd, spoofing):
    line = complaint(workspace, capfd, spoofing, places(workspace, spoofing.table)[0], "--policy", "bays")
    known = "bayes, equal-error, far-10-percent"
    assert f"no policy 'bays' is stored with the model (did you mean 'bayes'?); there are: {known}" in line


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gender-tinny/x", r"no benchmark is called 'gender-tinny' \(did you mean 'gender-tiny'\?\)"),
        ("gender-tiny/x", "run `dvc repro finetune@gender-tiny` first"),
        ("x", "expected BENCHMARK/MODEL"),
    ],
)
def test_an_unknown_model_is_one_line(workspace, capfd, spoofing, model, message):
    assert re.search(message, complaint(workspace, capfd, model, places(workspace, spoofing.table)[0]))


def test_classes_are_answered_with_their_probabilities_and_the_decision(workspace, capsys):
    written = write_network(workspace, "gender", LSTM)
    clips = places(workspace, written.table)
    status, answers = told(workspace, capsys, written, *clips)
    assert status == 0
    columns = ["p_female", "p_male"]
    found = np.array([[answer[name] for name in columns] for answer in answers])
    assert found == pytest.approx(written.table[columns].to_numpy(), abs=1e-6)
    _, lines = said(workspace, capsys, written, *clips)
    for place, answer in enumerate(answers):
        assert answer["label"] == ("female" if answer["p_female"] >= answer["p_male"] else "male")
        assert answer["decision"] == ("male" if answer["llr"] >= 0 else "female")
        head, decided, _ = lines[3 * place : 3 * place + 3]
        scores = f"female {answer['p_female']:.3f}, male {answer['p_male']:.3f}"
        assert head == f"{clips[place]}: {answer['label']} (probabilities: {scores})"
        side = "reaches" if answer["decision"] == "male" else "is below"
        assert decided == f"  decision {answer['decision']}: the ratio {side} the threshold 0.00 of policy bayes"


def test_years_are_answered_and_decided_by_no_policy(workspace, capfd):
    written = write_network(workspace, "age_years", LSTM)
    clips = places(workspace, written.table)[:2]
    status, answers = told(workspace, capfd, written, *clips)
    assert status == 0
    expected = written.table["predicted"].tolist()[:2]
    assert [answer["predicted"] for answer in answers] == pytest.approx(expected, abs=1e-4)
    assert {answer["decision"] for answer in answers} == {None}
    _, lines = said(workspace, capfd, written, *clips)
    assert lines[0] == f"{clips[0]}: {expected[0]:.0f} years"
    assert len(lines) == 4
    line = complaint(workspace, capfd, written, clips[0], "--policy", "bayes")
    assert "task 'age_years' decides by no policy, found --policy bayes" in line
