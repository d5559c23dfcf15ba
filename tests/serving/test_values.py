"""Serving a task that estimates a number: years in the evaluation are years in the answer."""

import mlflow
import pandas as pd
import pytest

from serving.clips import bad_clips, good_clips
from stages.pipeline import BENCHMARK, HEIR, models_of
from voxbench.serving.predictor import Predictor
from voxbench.tracking.store import connect

DECIDED = ["llr", "decision", "policy", "threshold", "undecided"]
ANSWER = ["label", "predicted", *DECIDED, "source_seconds", "kept_seconds", "clipped_fraction", "error"]
BAD = bad_clips()


def stored_years(finished, model):
    table = pd.read_parquet(finished.models(HEIR) / model / "scores.parquet")
    return table.set_index("id")["predicted"]


@pytest.fixture(scope="module")
def served(finished):
    """Return the registered champion as MLflow loads it, and its model's name."""
    version = connect(finished.root).get_model_version_by_alias(HEIR, "champion")
    return mlflow.pyfunc.load_model(f"models:/{HEIR}@champion"), version.tags["model"]


@pytest.mark.parametrize("place", [0, 1])
def test_every_recording_gets_the_years_of_its_evaluation(finished, place):
    model = models_of(finished)[place]
    predictor, stored = Predictor(finished.models(HEIR) / model), stored_years(finished, model)
    assert len(stored) > 8
    assert stored.nunique() == len(stored)
    for row_id, years in stored.items():
        prediction = predictor((finished.root / "raw" / row_id).read_bytes())
        assert list(prediction.scores) == ["predicted"]
        assert prediction.scores["predicted"] == pytest.approx(years, abs=1e-4)
        assert prediction.label == f"{prediction.scores['predicted']:.0f} years"


def test_the_registered_model_answers_with_the_years_of_the_evaluation(finished, served):
    loaded, model = served
    stored = stored_years(finished, model)
    clips = good_clips(finished, len(stored))
    answers = loaded.predict(pd.DataFrame({"audio": list(clips.values())}))
    assert answers.columns.tolist() == ANSWER
    assert answers["predicted"].to_numpy(float) == pytest.approx(stored.loc[list(clips)].to_numpy(), abs=1e-4)
    assert answers["label"].tolist() == [f"{years:.0f} years" for years in answers["predicted"]]
    assert answers["error"].isna().all()
    assert answers[DECIDED].isna().all(axis=None), "years have no threshold"


def test_a_bad_clip_has_neither_a_label_nor_years(finished, served):
    loaded, _ = served
    (good,) = good_clips(finished, 1).values()
    cells = [good, *(data for data, _ in BAD.values())]
    answers = loaded.predict(pd.DataFrame({"audio": cells}))
    assert answers[["label", "predicted"]].notna().all(axis=1).tolist() == [True, *[False] * len(BAD)]
    errors = answers.iloc[1:]
    assert errors.drop(columns="error").isna().all(axis=None)
    assert [str(word).startswith(reason) for word, (_, reason) in zip(errors["error"], BAD.values(), strict=True)] == (
        [True] * len(BAD)
    )


def test_the_signatures_name_what_each_task_answers(served):
    columns = {
        name: mlflow.models.get_model_info(f"models:/{name}@champion").signature.outputs.input_names()
        for name in (BENCHMARK, HEIR)
    }
    assert columns[HEIR] == ANSWER
    assert columns[BENCHMARK][1:8] == ["p_female", "p_male", *DECIDED]
