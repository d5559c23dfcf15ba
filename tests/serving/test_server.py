"""The server of MLflow itself, asked over HTTP in every form that it takes."""

import json

import pandas as pd
import pytest

from serving.clips import bad_clips, base64_text, good_clips
from serving.server import ask, predictions, started
from stages.pipeline import BENCHMARK
from voxbench.tracking.store import connect

SCORES = ["p_female", "p_male"]
FORMS = {
    "dataframe_records": lambda texts: [{"audio": text} for text in texts],
    "dataframe_split": lambda texts: {"columns": ["audio"], "data": [[text] for text in texts]},
    "inputs": lambda texts: {"audio": texts},
    "instances": lambda texts: [{"audio": text} for text in texts],
}


@pytest.fixture(scope="module")
def server(finished, tmp_path_factory):
    """Serve the champion and return the port."""
    with started(finished.root, BENCHMARK, tmp_path_factory.mktemp("server")) as port:
        yield port


@pytest.fixture(scope="module")
def expected(finished):
    """Return the stored scores of the champion by recording."""
    model = connect(finished.root).get_model_version_by_alias(BENCHMARK, "champion").tags["model"]
    return pd.read_parquet(finished.models(BENCHMARK) / model / "scores.parquet").set_index("id")


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_request_gets_the_scores_of_the_evaluation(finished, server, expected, form):
    clips = good_clips(finished, 3)
    status, body = ask(server, "invocations", {form: FORMS[form]([base64_text(data) for data in clips.values()])})
    assert status == 200, body
    answers = predictions(body)
    for answer, row_id in zip(answers, clips, strict=True):
        scores = expected.loc[row_id, SCORES].tolist()
        assert [answer[name] for name in SCORES] == pytest.approx(scores, abs=1e-6)
        assert answer["label"] == SCORES[scores.index(max(scores))].removeprefix("p_")
        assert answer["error"] is None


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_a_broken_clip_gets_an_error_and_the_others_their_scores(finished, server, expected, form):
    (row_id, data), bad = next(iter(good_clips(finished, 1).items())), bad_clips()
    texts = [base64_text(data), *(base64_text(broken) for broken, _ in bad.values())]
    status, body = ask(server, "invocations", {form: FORMS[form](texts)})
    assert status == 200, body
    good, *errors = predictions(body)
    assert [good[name] for name in SCORES] == pytest.approx(expected.loc[row_id, SCORES].tolist(), abs=1e-6)
    for answer, (name, (_, reason)) in zip(errors, bad.items(), strict=True):
        assert answer["error"].startswith(reason), name
        assert answer["label"] is answer["p_male"] is None


@pytest.mark.slow
@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_text_that_is_no_base64_gets_an_error_and_the_others_their_scores(finished, server, form):
    (data,) = good_clips(finished, 1).values()
    status, body = ask(server, "invocations", {form: FORMS[form](["not base64!", base64_text(data)])})
    assert status == 200, body
    broken, good = predictions(body)
    assert (broken["label"], broken["error"][:10]) == (None, "unreadable")
    assert (good["label"] is None, good["error"]) == (False, None)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dataframe_records", "dataframe_split"])
def test_mlflow_refuses_a_table_with_text_that_is_no_base64_and_lives_on(finished, server, form):
    """It decodes tables itself, before the model is asked."""
    (data,) = good_clips(finished, 1).values()
    status, body = ask(server, "invocations", {form: FORMS[form](["not base64!", base64_text(data)])})
    assert (status, json.loads(body)["error_code"]) == (400, "BAD_REQUEST")
    assert ask(server, "invocations", {form: FORMS[form]([base64_text(data)])})[0] == 200


@pytest.mark.slow
def test_another_column_is_refused_with_its_name(server):
    status, body = ask(server, "invocations", {"dataframe_records": [{"sound": "UklGRg=="}]})
    assert status == 400
    assert b"audio" in body
