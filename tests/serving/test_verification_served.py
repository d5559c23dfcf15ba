"""A model of pairs behind MLflow: the answer to a pair is that of its evaluation, and errors are rows."""

import json
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest

from serving.clips import bad_clips, base64_text
from serving.pairs import BENCHMARK, NETWORK, project, recording
from stages.verification import MODELS, VERIFY
from voxbench.evaluation.decisions import read_decision
from voxbench.serving import pair_contract
from voxbench.serving.pyfunc_pairs import PairModel
from voxbench.serving.verifier import Verifier, template_of
from voxbench.tracking.store import connect

GOOD = base64_text(recording(90.0))
BAD = bad_clips()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the model's own code, with random weights."""
    folder = project(tmp_path_factory.mktemp("pairs")).models(BENCHMARK) / NETWORK
    loaded = PairModel()
    loaded.load_context(SimpleNamespace(artifacts={"model": folder}))
    return loaded


def ask(model, *pairs):
    answers = model.predict(None, pd.DataFrame(pairs, columns=["enroll", "test"]))
    assert answers.columns.tolist() == list(pair_contract.COLUMNS)
    rows = answers.to_dict("records")
    json.dumps(rows, allow_nan=False)
    return rows


def test_a_pair_gets_score_decision_and_quality(model):
    (row,) = ask(model, (GOOD, base64_text(recording(90.0, 3))))
    verifier = model.verifier
    heard = verifier.embed(recording(90.0, 3))
    expected = verifier.compare([template_of([verifier.embed(recording(90.0))])], heard)[0]
    assert (row["score"], row["llr"], row["decision"]) == (
        expected.score, expected.verdict.llr, expected.verdict.decision,
    )  # fmt: skip
    assert (row["policy"], row["enroll_clips"], row["error"]) == ("bayes", 1, None)
    assert row["test_kept_seconds"] == heard.kept_seconds


@pytest.mark.parametrize("form", [lambda clips: clips, json.dumps, np.array])
def test_several_clips_make_one_template_and_a_repeated_one_counts_once(model, form):
    clips = [GOOD, base64_text(recording(90.0, 2))]
    test = base64_text(recording(90.0, 3))
    once, repeated = ask(model, (form(clips), test), (form([*clips, GOOD]), test))
    assert once["enroll_clips"] == 2
    assert once == repeated
    assert once["score"] != ask(model, (GOOD, test))[0]["score"]


@pytest.mark.parametrize("side", ["enroll", "test"])
def test_a_bad_clip_is_an_error_that_names_its_side_and_leaves_the_other_rows_alone(model, side):
    other = {"enroll": "test", "test": "enroll"}[side]
    rows = [{side: base64_text(data), other: GOOD} for data, _ in BAD.values()]
    answers = ask(model, (GOOD, GOOD), *[(row["enroll"], row["test"]) for row in rows])
    assert answers[0]["error"] is None
    for answer, (name, (_, reason)) in zip(answers[1:], BAD.items(), strict=True):
        assert answer.pop("error").startswith(f"{side}: {reason}"), name
        assert set(answer.values()) == {None}


@pytest.mark.parametrize(
    "cell",
    [None, float("nan"), 7, {"a": 1}, "", "[]", [], "[1]", '["', "[" * 100_000, '[["x"]]', "not base64!", ["no!"]],
)
def test_hostile_cells_are_errors(model, cell):
    enroll, test = ask(model, (cell, GOOD), (GOOD, cell))
    assert enroll["error"].startswith("enroll: ")
    assert test["error"].startswith("test: ")
    assert "\n" not in enroll["error"]


def test_the_bad_one_of_several_clips_is_named(model):
    (row,) = ask(model, ([GOOD, "no!"], GOOD))
    assert row["error"].endswith("(clip 2 of 2)")


def test_the_signature_names_both_sides_and_the_answer():
    described = pair_contract.signature()
    assert described.inputs.input_names() == ["enroll", "test"]
    assert described.outputs.input_names() == list(pair_contract.COLUMNS)
    request = pair_contract.example(1.0, 16000)
    assert request.columns.tolist() == ["enroll", "test"]
    assert pair_contract.clips_of(request["enroll"][0])[0][:4] == b"RIFF"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS.values())
def test_every_trial_gets_the_score_of_its_evaluation(verified, name):
    folder = verified.models(VERIFY) / name
    verifier, table = Verifier(folder), pd.read_parquet(folder / "scores.parquet")
    heard = {
        row_id: verifier.embed((verified.root / "raw" / row_id).read_bytes())
        for row_id in {*table["enroll"], *table["test"]}
    }
    decision = read_decision(folder)
    for row in table.itertuples():
        found = verifier.compare([template_of([heard[row.enroll]])], heard[row.test])[0]
        assert found.score == pytest.approx(row.score, abs=1e-5)
        seconds = min(heard[row.enroll].kept_seconds, heard[row.test].kept_seconds)
        assert found.verdict == decision.verdict(found.score, seconds)


@pytest.mark.slow
def test_the_registered_champion_gives_the_scores_of_its_evaluation(verified):
    version = connect(verified.root).get_model_version_by_alias(VERIFY, "champion")
    table = pd.read_parquet(verified.models(VERIFY) / version.tags["model"] / "scores.parquet").iloc[:5]
    loaded = mlflow.pyfunc.load_model(f"models:/{VERIFY}@champion")
    sides = {
        side: [base64_text((verified.root / "raw" / row_id).read_bytes()) for row_id in table[side]]
        for side in ("enroll", "test")
    }
    answers = loaded.predict(pd.DataFrame(sides))
    assert answers["score"].to_numpy(float) == pytest.approx(table["score"].to_numpy(), abs=1e-5)
    assert answers["error"].isna().all()
