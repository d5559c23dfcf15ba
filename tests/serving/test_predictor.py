"""Serving equals evaluation: the same recording gets the same score, by every way in."""

import json
import shutil

import mlflow
import numpy as np
import pandas as pd
import pytest

from serving.clips import bad_clips, base64_text, clip, encoded, good_clips
from stages.pipeline import BENCHMARK, manifest_of, models_of
from voxbench.schema import AudioError, InputError
from voxbench.serving.bundle import read_bundle
from voxbench.serving.predictor import Predictor
from voxbench.tracking.store import connect

BAD = bad_clips()
SCORES = ["p_female", "p_male"]


def stored_scores(finished, model):
    return pd.read_parquet(finished.models(BENCHMARK) / model / "scores.parquet").set_index("id")


@pytest.fixture(scope="module", params=[0, 1])
def model(finished, request):
    """Return the name of each finalist in turn: one reads spectrograms, the other cepstra."""
    return models_of(finished)[request.param]


@pytest.fixture(scope="module")
def predictor(finished, model):
    return Predictor(finished.models(BENCHMARK) / model)


@pytest.fixture(scope="module")
def served(finished):
    """Return the registered champion as MLflow loads it, and its model's name."""
    client = connect(finished.root)
    version = client.get_model_version_by_alias(BENCHMARK, "champion")
    return mlflow.pyfunc.load_model(f"models:/{BENCHMARK}@champion"), version.tags["model"]


def test_both_kinds_of_input_are_served(finished):
    kinds = {Predictor(finished.models(BENCHMARK) / name).listener.kind for name in models_of(finished)}
    assert kinds == {"spectrogram", "cepstra"}


def test_every_recording_gets_the_score_of_its_evaluation(finished, predictor, model):
    stored = stored_scores(finished, model)
    manifest = manifest_of(finished).set_index("id")
    assert len(stored) == (manifest["split"] != "train").sum()
    for row_id, row in stored.iterrows():
        prediction = predictor((finished.root / "raw" / row_id).read_bytes())
        assert [prediction.scores[name] for name in SCORES] == pytest.approx(row[SCORES].tolist(), abs=1e-6)
        assert prediction.label == ("female" if row["p_female"] >= row["p_male"] else "male")
        facts = manifest.loc[row_id]
        assert (prediction.source_seconds, prediction.kept_seconds) == (facts["source_seconds"], facts["kept_seconds"])


def test_scores_do_not_depend_on_what_was_asked_before(finished, predictor):
    clips = list(good_clips(finished, 3).values())
    forward = [predictor(data) for data in clips]
    with pytest.raises(AudioError):
        predictor(b"")
    assert [predictor(data) for data in reversed(clips)] == forward[::-1]


def test_the_container_does_not_matter_where_it_loses_nothing(predictor):
    wave = np.round(clip() * 2**15) / 2**15
    assert predictor(encoded(wave, container="FLAC")) == predictor(encoded(wave))


@pytest.mark.parametrize("name", [name for name, (_, reason) in BAD.items() if reason and name != "text"])
def test_what_cannot_be_judged_says_why(predictor, name):
    data, reason = BAD[name]
    with pytest.raises(AudioError) as refused:
        predictor(data)
    assert refused.value.reason == reason


def test_the_registered_model_gives_the_scores_of_the_evaluation(finished, served):
    loaded, name = served
    stored = stored_scores(finished, name)
    clips = good_clips(finished, len(stored))
    answers = loaded.predict(pd.DataFrame({"audio": list(clips.values())}))
    expected = stored.loc[list(clips), SCORES].to_numpy()
    assert answers[SCORES].to_numpy(float) == pytest.approx(expected, abs=1e-6)
    assert answers["error"].isna().all()


@pytest.mark.parametrize("form", [lambda data: data, base64_text])
def test_bad_clips_get_an_error_and_leave_the_good_ones_alone(finished, served, form):
    loaded, _ = served
    good = list(good_clips(finished, 2).values())
    alone = loaded.predict(pd.DataFrame({"audio": good}))
    cells = [good[0], *(data for data, _ in BAD.values()), good[1]]
    # Straight to the model's own code: as `inputs` and `instances`, text arrives undecoded.
    answers = loaded.unwrap_python_model().predict(None, pd.DataFrame({"audio": [form(data) for data in cells]}))
    assert len(answers) == len(cells)
    together = answers.iloc[[0, -1]].reset_index(drop=True)
    assert together[SCORES].to_numpy(float).tolist() == alone[SCORES].to_numpy(float).tolist()
    assert together["label"].tolist() == alone["label"].tolist()
    assert together["error"].isna().all()
    for (name, (_, reason)), answer in zip(BAD.items(), answers.iloc[1:-1].to_dict("records"), strict=True):
        assert answer["error"].startswith(reason), name
        assert "\n" not in answer["error"]
        assert pd.isna(answer["label"]), name
        assert all(pd.isna(answer[column]) for column in (*SCORES, "source_seconds", "kept_seconds")), name


def test_a_request_of_bad_clips_only_is_answered(served):
    loaded, _ = served
    answers = loaded.predict(pd.DataFrame({"audio": [b"text", b""]}))
    assert answers["label"].isna().all()
    assert answers["error"].notna().all()
    assert {"label", *SCORES, "error"} <= set(answers.columns)


def test_a_folder_without_a_model_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match=r"no model.json in .*: expected a folder that the finetune stage wrote"):
        Predictor(tmp_path)


@pytest.mark.parametrize(
    "change", [lambda bundle: bundle.pop("cleaning"), lambda bundle: bundle.update(later="invention")]
)
def test_a_bundle_of_another_version_is_refused(finished, tmp_path, change):
    folder = tmp_path / "model"
    shutil.copytree(finished.models(BENCHMARK) / models_of(finished)[0], folder)
    bundle = json.loads((folder / "model.json").read_text())
    change(bundle)
    (folder / "model.json").write_text(json.dumps(bundle))
    with pytest.raises(InputError, match="was written by another version of voxbench: run the finetune stage again"):
        read_bundle(folder)


def test_a_bundle_names_its_origin(finished, model):
    bundle = read_bundle(finished.models(BENCHMARK) / model)
    assert (bundle.benchmark, bundle.model, bundle.task) == (BENCHMARK, model, "gender")
    assert bundle.cleaning == finished.params.corpus("tiny").cleaning
    assert bundle.features == finished.params.corpus("tiny").features
