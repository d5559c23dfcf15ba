"""What a request may hold and what an answer looks like."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow.models.utils import _enforce_schema

from audio.encoded_files import m4a
from serving.clips import base64_text, clip, encoded
from voxbench.audio import decode_audio
from voxbench.evaluation.decisions import Verdict
from voxbench.schema import AudioError
from voxbench.serving.contract import answer_row, audio_bytes, error_row, example, signature
from voxbench.serving.predictor import Prediction
from voxbench.tasks import tasks

TASK = tasks["gender"]
PREDICTION = Prediction(
    label="male",
    scores={"p_female": 0.25, "p_male": 0.75},
    counts={},
    source_seconds=2.0,
    kept_seconds=1.5,
    clipped_fraction=0.0,
    verdict=Verdict(llr=0.9, decision="female", policy="strict", threshold=2.5, undecided=None),
)


def containers():
    """Return a recording in every container that can be decoded, and MP3 of every MPEG version."""
    found = {name: encoded(clip(), container=name) for name in ("WAV", "FLAC", "OGG", "MP3", "RF64", "NIST")}
    found["big-endian WAV"] = encoded(clip(), container="WAV", endian="BIG")
    for rate_hz in (44100, 22050, 11025):
        found[f"MP3 at {rate_hz}"] = encoded(clip(rate_hz=rate_hz), rate_hz, "MP3")
    return found


def without_tag(mp3):
    """Cut the first frame, which holds the Xing tag, at the sync of the second."""
    return mp3[mp3.index(mp3[:2], 4) :]


@pytest.mark.parametrize("name", list(containers()))
def test_a_recording_arrives_in_whichever_form_mlflow_hands_it_over(name):
    data = containers()[name]
    decode_audio(data)
    text = base64_text(data)
    assert audio_bytes(data) == data, "decoded by MLflow"
    assert audio_bytes(text) == data, "base64 as text"
    assert audio_bytes(text.encode()) == data, "base64 as bytes"


def test_an_m4a_arrives_too(tmp_path):
    data = m4a(tmp_path)
    decode_audio(data)
    assert {audio_bytes(data), audio_bytes(base64_text(data))} == {data}


@pytest.mark.parametrize("rate_hz", [44100, 22050, 11025])
def test_an_mp3_without_a_tag_begins_with_its_sync(rate_hz):
    data = without_tag(encoded(clip(2.0, rate_hz=rate_hz), rate_hz, "MP3"))
    assert data[0] == 0xFF
    assert soundfile.info(io.BytesIO(data)).format == "MP3"
    assert audio_bytes(data) == data


def test_base64_in_lines_is_base64():
    """The `base64` command breaks its output into lines unless it is told not to; MLflow itself does not mind."""
    data = encoded(clip())
    assert audio_bytes(base64.encodebytes(data).decode()) == data
    assert audio_bytes(base64_text(data) + "\n") == data


@pytest.mark.parametrize("cell", [None, b"", "", float("nan"), 7, ["UklGRg=="], np.nan])
def test_no_bytes_are_refused(cell):
    with pytest.raises(AudioError, match="empty: no audio bytes arrived"):
        audio_bytes(cell)


@pytest.mark.parametrize("cell", ["not base64!", "ä" * 8, b"\x00\x01\x02", "UklGR", b"hello world"])
def test_what_is_neither_audio_nor_base64_is_refused(cell):
    with pytest.raises(AudioError, match="unreadable: neither audio nor base64"):
        audio_bytes(cell)


def test_answers_and_errors_have_the_same_columns():
    answer, error = answer_row(PREDICTION), error_row(AudioError("silent", "all samples equal"), TASK)
    assert list(answer) == list(error)
    assert answer == {
        "label": "male",
        "p_female": 0.25,
        "p_male": 0.75,
        "llr": 0.9,
        "decision": "female",
        "policy": "strict",
        "threshold": 2.5,
        "undecided": None,
        "source_seconds": 2.0,
        "kept_seconds": 1.5,
        "clipped_fraction": 0.0,
        "error": None,
    }
    assert error.pop("error") == "silent: all samples equal"
    assert set(error.values()) == {None}


def test_the_signature_names_what_comes_and_what_goes():
    described = signature(TASK)
    assert described.inputs.input_names() == ["audio"]
    assert described.outputs.input_names() == list(answer_row(PREDICTION))
    kinds = {column.name: column.type.name for column in described.outputs}
    words = {"label", "decision", "policy", "undecided", "error"}
    assert {name for name, kind in kinds.items() if kind == "string"} == words
    assert {kinds[name] for name in kinds.keys() - words} == {"double"}
    assert not any(column.required for column in described.outputs)


def test_an_answer_without_a_decision_says_why():
    undecided = replace(PREDICTION, verdict=Verdict(None, None, None, None, "one class only"))
    answer = answer_row(undecided)
    assert [answer[name] for name in ("llr", "decision", "policy", "threshold")] == [None] * 4
    assert (answer["undecided"], answer["label"], answer["error"]) == ("one class only", "male", None)


def test_the_signature_accepts_the_example_and_refuses_another_column():
    request, described = example(1.0, 16000), signature(TASK)
    assert _enforce_schema(request, described.inputs)["audio"].tolist() == request["audio"].tolist()
    with pytest.raises(Exception, match="audio"):
        _enforce_schema(request.rename(columns={"audio": "sound"}), described.inputs)


def test_the_example_is_a_sound_recording_and_always_the_same():
    request = example(1.5, 16000)
    wave, rate_hz = decode_audio(request["audio"][0])
    assert (rate_hz, len(wave)) == (16000, 24000)
    assert 0.05 < np.abs(wave).max() < 1
    pd.testing.assert_frame_equal(request, example(1.5, 16000))


def test_an_error_row_is_json():
    assert json.loads(json.dumps(error_row(AudioError("silent", "x"), TASK)))["label"] is None
