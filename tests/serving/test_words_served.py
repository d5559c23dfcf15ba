"""Serving words equals evaluating them: transcript and phrase score, from the folder and through MLflow."""

import json

import mlflow
import pandas as pd
import pytest

from stages.words import MODELS, WORDS
from voxbench.serving.transcriber import Transcriber
from voxbench.serving.word_contract import COLUMNS
from voxbench.tracking.store import connect


def stored(worded, model, name):
    return pd.read_parquet(worded.models(WORDS) / model / name)


@pytest.mark.parametrize("model", MODELS.values())
def test_every_recording_gets_the_text_and_the_phrase_scores_of_its_evaluation(worded, model):
    transcriber = Transcriber(worded.models(WORDS) / model)
    phrases = stored(worded, model, "phrases.parquet").groupby("id")
    for row in stored(worded, model, "scores.parquet").to_dict("records"):
        heard = transcriber((worded.root / "raw" / row["id"]).read_bytes())
        assert heard.text == row["hypothesis"]
        own = phrases.get_group(row["id"])
        found = [transcriber.check(heard, phrase).score for phrase in own["phrase"]]
        assert found == pytest.approx(own["score"].tolist(), abs=1e-4)


def test_the_words_of_a_tone_language_are_where_they_were_played(worded):
    """The first word begins near the start, the last ends near the end, in order, without overlap."""
    model = next(iter(MODELS.values()))
    row = stored(worded, model, "scores.parquet").iloc[0]
    heard = Transcriber(worded.models(WORDS) / model)((worded.root / "raw" / row["id"]).read_bytes())
    assert heard.cut_seconds == 0.0
    starts = [word.start_seconds for word in heard.words]
    assert starts == sorted(starts)
    assert heard.words[-1].end_seconds <= heard.source_seconds


def test_the_registered_model_answers_with_and_without_a_phrase(worded):
    version = connect(worded.root).get_model_version_by_alias(WORDS, "champion")
    model = version.tags["model"]
    loaded = mlflow.pyfunc.load_model(f"models:/{WORDS}@champion")
    row = stored(worded, model, "scores.parquet").iloc[0]
    clip = (worded.root / "raw" / row["id"]).read_bytes()
    alone = loaded.predict(pd.DataFrame({"audio": [clip]}))
    assert list(alone.columns) == list(COLUMNS)
    assert alone.iloc[0]["label"] == row["hypothesis"]
    asked = pd.DataFrame({"audio": [clip] * 3, "phrase": [row["truth"].upper(), None, "room 5"]})
    answers = json.loads(loaded.predict(asked).to_json(orient="records"))
    expected = stored(worded, model, "phrases.parquet").set_index(["id", "phrase"]).loc[(row["id"], row["truth"])]
    assert answers[0]["phrase_score"] == pytest.approx(expected["score"], abs=1e-4)
    assert answers[0]["decision"] in ("right", "wrong")
    assert [answer["label"] for answer in answers[:2]] == [row["hypothesis"]] * 2
    assert answers[1]["phrase_score"] is None
    assert "'5'" in answers[2]["error"]
    assert {value for name, value in answers[2].items() if name != "error"} == {None}
    described = mlflow.models.get_model_info(f"models:/{WORDS}@champion").signature
    assert described.inputs.input_names() == ["audio", "phrase"]
