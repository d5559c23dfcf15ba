"""Serving counts: a wave, a linear spectrogram or cepstra in the evaluation are the same in the answer."""

import mlflow
import numpy as np
import pandas as pd
import pytest

from serving.clips import encoded
from stages.counting import COMPOSITIONS, COUNT, MODELS, SECONDS, SEXES, crowd
from tiny import RATE_HZ
from voxbench.schema import AudioError, InputKind
from voxbench.serving.predictor import Predictor
from voxbench.tasks import tasks
from voxbench.tracking.store import connect

NAMES = {COUNT: ["p_1", "p_2", "p_3"], SEXES: list(tasks["sex_composition"].score_columns)}


def clip_of(sexes, seed=9):
    return encoded(crowd(sexes, np.random.default_rng(seed)))


def served(counted, benchmark):
    """Return the registered champion as MLflow loads it, and its model's name."""
    version = connect(counted.root).get_model_version_by_alias(benchmark, "champion")
    return mlflow.pyfunc.load_model(f"models:/{benchmark}@champion"), version.tags["model"]


@pytest.mark.parametrize("benchmark", NAMES)
@pytest.mark.parametrize("model", MODELS.values())
def test_every_recording_gets_the_score_of_its_evaluation(counted, benchmark, model):
    predictor = Predictor(counted.models(benchmark) / model)
    stored = pd.read_parquet(counted.models(benchmark) / model / "scores.parquet").set_index("id")
    assert len(stored) == 4 * len(COMPOSITIONS)
    for row_id, row in stored.iterrows():
        prediction = predictor((counted.root / "raw" / row_id).read_bytes())
        assert list(prediction.scores) == NAMES[benchmark]
        assert list(prediction.scores.values()) == pytest.approx(row[NAMES[benchmark]].tolist(), abs=1e-6)
        assert prediction.label == predictor.task.classes[int(np.argmax(list(prediction.scores.values())))]


def test_all_three_kinds_of_input_are_served(counted):
    assert {Predictor(counted.models(COUNT) / model).listener.kind for model in MODELS.values()} == set(InputKind)


def test_a_crop_of_a_wave_is_what_the_bundle_says(counted):
    predictor = Predictor(counted.models(COUNT) / "m3")
    assert predictor.listener.crop_frames == 0.4 * RATE_HZ
    assert predictor.listener.network.mean_F1.tolist() == [[0.0]]
    assert predictor.listener.network.std_F1.tolist() == [[1.0]]


@pytest.mark.parametrize(("benchmark", "columns"), NAMES.items())
def test_a_clip_of_three_voices_gets_counts_with_probabilities(counted, benchmark, columns):
    loaded, model = served(counted, benchmark)
    answer = loaded.predict(pd.DataFrame({"audio": [clip_of("FMF")]})).iloc[0]
    probabilities = answer[columns].to_numpy(float)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert answer["label"] == columns[int(probabilities.argmax())].removeprefix("p_")
    assert pd.isna(answer["error"])
    alone = Predictor(counted.models(benchmark) / model)(clip_of("FMF"))
    assert probabilities == pytest.approx(list(alone.scores.values()), abs=1e-9)
    outputs = mlflow.models.get_model_info(f"models:/{benchmark}@champion").signature.outputs.input_names()
    assert outputs[1 : 1 + len(columns)] == columns


@pytest.mark.parametrize("model", MODELS.values())
def test_a_clip_that_is_too_short_is_refused_whatever_the_network_reads(counted, model):
    wave = crowd("FM", np.random.default_rng(1))[: int(0.4 * SECONDS * RATE_HZ)]
    with pytest.raises(AudioError) as refused:
        Predictor(counted.models(COUNT) / model)(encoded(wave))
    assert refused.value.reason == "too_short"
