"""What a served model of words takes and gives: transcript, word times, phrases, and errors that name their cause."""

import base64
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from mlflow.models.utils import _enforce_schema

from serving.clips import bad_clips, encoded
from serving.recognizer import RECOGNIZER, recognizing_project, tones, write_recognizer
from tiny import RATE_HZ
from voxbench.artifacts import read_json, write_json
from voxbench.config import Beam, LanguageModel
from voxbench.evaluation.decisions import DECISION, NO_VERDICT, read_decision
from voxbench.schema import AudioError, InputError
from voxbench.serving.bundle import BUNDLE, LANGUAGE_MODEL
from voxbench.serving.contract import example
from voxbench.serving.countermeasure import Countermeasure
from voxbench.serving.predictor import Predictor
from voxbench.serving.pyfunc_words import WordModel
from voxbench.serving.transcriber import Check, Transcriber, Transcript, Word, spelt_phrase
from voxbench.serving.verifier import Verifier
from voxbench.serving.word_contract import COLUMNS, answer_row, error_row, signature
from voxbench.transcripts.beam import Decoder, grams_of
from voxbench.transcripts.greedy import greedy
from voxbench.transcripts.phrases import phrase_scores

HEARD = Transcript(
    text="open it",
    words=(Word("open", 0.1, 0.4, 0.9), Word("it", 0.5, 0.6, 0.7)),
    log_probs_1TC=None,
    cut_seconds=0.1,
    source_seconds=1.0,
    kept_seconds=0.8,
    clipped_fraction=0.0,
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return recognizing_project(tmp_path_factory.mktemp("recognizer"))


@pytest.fixture(scope="module")
def folder(workspace):
    return workspace.models("asr-tiny") / RECOGNIZER.split("/")[1]


@pytest.fixture(scope="module")
def transcriber(folder):
    return Transcriber(folder)


@pytest.fixture(scope="module")
def served(folder):
    model = WordModel()
    model.transcriber = Transcriber(folder)
    return model


def asked(served, rows):
    """Return the answers as MLflow hands a request over, and takes the answer back."""
    frame = pd.DataFrame(rows)
    for name in frame:
        frame[name] = frame[name].astype(object)
    answers = served.predict(None, _enforce_schema(frame, signature().inputs))
    assert answers.columns.tolist() == list(COLUMNS)
    return json.loads(answers.to_json(orient="records"))


def test_a_recording_is_read_and_scored_as_in_evaluation(transcriber):
    heard = transcriber(tones())
    outputs = transcriber.listener(tones()).outputs
    assert heard.text == greedy(outputs)[0]
    assert len(heard.text.split()) == len(heard.words) > 0
    check = transcriber.check(heard, "open it")
    assert check.score == phrase_scores(outputs, ["open it"])[0]
    assert check.verdict == transcriber.decision.verdict(check.score, heard.kept_seconds)
    assert check.right is (check.verdict.decision == "right")


def test_a_stored_language_model_takes_part_in_reading(tmp_path):
    workspace = recognizing_project(tmp_path)
    language = LanguageModel(order=3, weight=2.0, insertion=0.0)
    beam = Beam(width=8, threshold=30.0, language_model=language)
    folder = write_recognizer(workspace, beam=beam)
    with pytest.raises(InputError, match=r"no language_model.json in .*: run the finetune stage again"):
        Transcriber(folder)
    grams = grams_of(beam, ["open the door", "close it"])
    write_json(folder / LANGUAGE_MODEL, grams)
    transcriber = Transcriber(folder)
    heard = transcriber(tones())
    assert heard.text == Decoder(beam, grams)(heard.log_probs_1TC)[0]
    assert heard.text != greedy(heard.log_probs_1TC)[0]
    assert [word.word for word in heard.words] == heard.text.split()
    version = transcriber.version
    write_json(folder / LANGUAGE_MODEL, grams_of(beam, ["another text"]))
    assert Transcriber(folder).version != version


def test_words_follow_each_other_within_what_was_kept(transcriber):
    heard = transcriber(tones())
    assert [word.word for word in heard.words] == heard.text.split()
    times = [(word.start_seconds, word.end_seconds) for word in heard.words]
    assert all(start < end for start, end in times)
    assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(times))
    assert times[0][0] >= 0
    assert times[-1][1] <= heard.kept_seconds
    assert all(0 < word.confidence <= 1 for word in heard.words)


def test_times_are_of_the_recording_only_where_nothing_was_removed(workspace, folder):
    assert Transcriber(folder)(tones()).cut_seconds is None, "silence within is removed as well"
    kept = Transcriber(write_recognizer(workspace, silence_q=0.0))(tones())
    write_recognizer(workspace)
    assert kept.cut_seconds == 0.0
    assert kept.kept_seconds == kept.source_seconds


def test_what_was_cut_before_the_speech_is_part_of_the_times(transcriber):
    heard = transcriber.listener(tones())
    text = greedy(heard.outputs)[0]
    early, late = (transcriber._words(replace(heard, cut_seconds=cut), text) for cut in (0.0, 0.25))
    assert [b.start_seconds - a.start_seconds for a, b in zip(early, late, strict=True)] == pytest.approx(
        [0.25] * len(early)
    )
    assert late[-1].end_seconds == pytest.approx(early[-1].end_seconds + 0.25)


def test_a_stored_policy_can_be_named_and_another_is_refused(folder):
    decision = read_decision(folder)
    assert Transcriber(folder, "far-10-percent").decision.settings.policy == "far-10-percent"
    assert Transcriber(folder).decision == decision
    with pytest.raises(InputError, match=r"no policy 'bays'.*did you mean 'bayes'"):
        Transcriber(folder, "bays")


def test_the_version_follows_what_an_answer_depends_on(workspace, tmp_path):
    one, again = recognizing_project(tmp_path / "one"), recognizing_project(tmp_path / "two")
    folders = [each.models("asr-tiny") / RECOGNIZER.split("/")[1] for each in (one, again)]
    assert len({Transcriber(each).version for each in folders}) == 1
    decision = read_json(folders[1] / DECISION)
    decision["thresholds"]["bayes"]["value"] = 1.5
    write_json(folders[1] / DECISION, decision)
    assert len({Transcriber(each).version for each in folders}) == 2


def test_commands_of_other_tasks_refuse_it_by_name(folder):
    for ask in (Predictor, Verifier, Countermeasure):
        with pytest.raises(InputError, match=r"writes down what is said|compares none|is no countermeasure"):
            ask(folder)


def test_a_bundle_that_does_not_say_how_to_read_is_refused(tmp_path):
    workspace = recognizing_project(tmp_path)
    folder = workspace.models("asr-tiny") / RECOGNIZER.split("/")[1]
    write_json(folder / BUNDLE, read_json(folder / BUNDLE) | {"transcription": None})
    with pytest.raises(InputError, match="does not say how transcripts are read: run the finetune stage again"):
        Transcriber(folder)


def test_another_task_is_refused(tmp_path):
    workspace = recognizing_project(tmp_path)
    folder = workspace.models("asr-tiny") / RECOGNIZER.split("/")[1]
    write_json(folder / BUNDLE, read_json(folder / BUNDLE) | {"task": "gender"})
    with pytest.raises(InputError, match=r"writes nothing down \(task 'gender'\): name a model of .*'transcription'"):
        Transcriber(folder)


@pytest.mark.parametrize(("phrase", "spelt"), [("Open, please!", "open please"), ("ОТКРОЙ, Ёж", "открой еж")])
def test_a_phrase_is_spelt_as_transcripts_are(phrase, spelt):
    assert spelt_phrase(phrase) == spelt


@pytest.mark.parametrize(
    ("phrase", "found"), [("room 5", "'5'"), ("門", "'門'"), ("...", "one word or more"), ("", "one")]
)
def test_a_phrase_that_cannot_be_spelt_is_refused_by_its_character(phrase, found):
    with pytest.raises(InputError, match=r"^phrase: ") as refused:
        spelt_phrase(phrase)
    assert found in str(refused.value)


def test_answers_and_errors_have_the_same_columns():
    verdict = replace(NO_VERDICT, llr=1.5, decision="right", policy="bayes", threshold=0.0)
    answer = answer_row(HEARD, Check("open it", -0.25, verdict, right=True))
    assert list(answer) == list(error_row("x")) == list(COLUMNS) == signature().outputs.input_names()
    assert json.loads(answer.pop("words")) == [
        {"word": "open", "start_seconds": 0.1, "end_seconds": 0.4, "confidence": 0.9},
        {"word": "it", "start_seconds": 0.5, "end_seconds": 0.6, "confidence": 0.7},
    ]
    assert answer == {
        "label": "open it",
        "cut_seconds": 0.1,
        "phrase": "open it",
        "phrase_score": -0.25,
        "llr": 1.5,
        "decision": "right",
        "policy": "bayes",
        "threshold": 0.0,
        "undecided": None,
        "source_seconds": 1.0,
        "kept_seconds": 0.8,
        "clipped_fraction": 0.0,
        "error": None,
    }
    without = answer_row(HEARD, None)
    assert [without[name] for name in ("phrase", "phrase_score", "llr", "decision", "undecided")] == [None] * 5
    assert without["label"] == "open it"


def test_the_signature_names_what_comes_and_what_goes():
    described = signature()
    assert described.inputs.input_names() == ["audio", "phrase"]
    assert [column.required for column in described.inputs] == [True, False]
    assert not any(column.required for column in described.outputs)
    words = {column.name for column in described.outputs if column.type.name == "string"}
    assert words == {"label", "words", "phrase", "decision", "policy", "undecided", "error"}


def test_a_request_may_have_phrases_none_or_some(served):
    clip = tones()
    alone = asked(served, {"audio": [clip]})
    assert alone[0]["error"] is None
    assert alone[0]["phrase_score"] is None
    some = asked(served, {"audio": [clip] * 3, "phrase": ["Open it!", None, float("nan")]})
    assert [row["phrase"] for row in some] == ["open it", None, None]
    assert {row["label"] for row in some} == {alone[0]["label"]}
    check = served.transcriber.check(served.transcriber(clip), "open it")
    assert some[0]["phrase_score"] == pytest.approx(check.score, abs=1e-9)
    assert (some[0]["decision"], some[0]["policy"]) == (check.verdict.decision, "bayes")


def test_the_example_is_a_request(served):
    (answer,) = asked(served, example(1.0, RATE_HZ).to_dict("list"))
    assert answer["error"] is None


def test_what_cannot_be_judged_is_an_error_and_others_are_answered(served):
    clip, text = tones(), base64.b64encode(tones()).decode()
    clips = [clip, bad_clips()["silence"][0], clip, clip, text.encode(), b"", clip]
    phrases = ["open", "open", "room 5", "", "門", "open", "..."]
    answers = asked(served, {"audio": clips, "phrase": phrases})
    assert [answer["error"] is None for answer in answers] == [True] + [False] * 6
    for answer, named in zip(answers[1:], ("silent", "'5'", "one word", "'門'", "empty", "one word"), strict=True):
        assert named in answer["error"]
        assert {value for name, value in answer.items() if name != "error"} == {None}


def test_a_phrase_that_is_no_text_is_an_error(served):
    (answer,) = served.predict(None, pd.DataFrame({"audio": [tones()], "phrase": [5]})).to_dict("records")
    assert answer["error"] == "phrase: expected a text, found 5"


def test_a_phrase_too_long_for_the_recording_is_wrong_and_no_crash(transcriber):
    check = transcriber.check(transcriber(tones()), "open " * 60 + "it")
    assert np.isfinite(check.score)
    assert check.right is False


def test_a_model_without_a_decision_says_why(tmp_path):
    workspace = recognizing_project(tmp_path)
    transcriber = Transcriber(write_recognizer(workspace, one_class=True))
    check = transcriber.check(transcriber(tones()), "open")
    assert check.right is None
    assert "on validation rows" in check.verdict.undecided


def test_a_recording_that_cannot_be_used_is_refused(transcriber):
    with pytest.raises(AudioError, match="too_short"):
        transcriber(encoded(np.random.default_rng(0).normal(size=RATE_HZ // 20).astype(np.float32) * 0.1))
