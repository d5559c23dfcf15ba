"""What is served decides as evaluation does: the stored record, applied to stored scores, gives the same answers."""

import json
import shutil

import mlflow
import numpy as np
import pandas as pd
import pytest

from serving.clips import bad_clips, good_clips
from stages.pipeline import BENCHMARK, HEIR, copy_of, manifest_of, models_of
from voxbench.evaluation.decisions import NO_VERDICT, read_decision
from voxbench.metrics.thresholds import decide
from voxbench.schema import InputError
from voxbench.serving.predictor import Predictor
from voxbench.stages.finetune import finetune
from voxbench.tracking.store import connect

DECIDED = ["llr", "decision", "policy", "threshold", "undecided"]


def expected(workspace, model):
    """Return what the stored record says of each row of the score table, by its own few lines, and by recording."""
    folder = workspace.models(BENCHMARK) / model
    record = json.loads((folder / "decision.json").read_text())
    table = pd.read_parquet(folder / "scores.parquet").set_index("id")
    calibration, chosen = record["calibration"], record["settings"]["policy"]
    llrs = calibration["scale"] * np.log(table["p_male"] / table["p_female"]) + calibration["offset"]
    if "log_kept_seconds" in calibration["weights"]:
        seconds = manifest_of(workspace).set_index("id").loc[table.index, "kept_seconds"]
        llrs = llrs + calibration["weights"]["log_kept_seconds"] * np.log(seconds)
    threshold = record["thresholds"][chosen]["value"]
    words = np.where(llrs >= threshold, "male", "female")
    return pd.DataFrame({"llr": llrs, "decision": words, "policy": chosen, "threshold": threshold}, index=table.index)


def same(prediction, row):
    verdict = prediction.verdict
    assert verdict.llr == pytest.approx(row.llr, abs=1e-5)
    assert (verdict.decision, verdict.policy) == (row.decision, row.policy)
    assert (verdict.threshold, verdict.undecided) == (row.threshold, None)


@pytest.mark.parametrize("place", [0, 1])
def test_every_recording_is_decided_as_in_the_evaluation(finished, place):
    model = models_of(finished)[place]
    predictor, rows = Predictor(finished.models(BENCHMARK) / model), expected(finished, model)
    assert len(rows) == (manifest_of(finished)["split"] != "train").sum()
    assert set(rows["decision"]) == {"female", "male"}
    for row in rows.itertuples():
        same(predictor((finished.root / "raw" / row.Index).read_bytes()), row)


def test_the_stored_record_decides_score_tables_the_same(finished):
    model = models_of(finished)[0]
    folder, rows = finished.models(BENCHMARK) / model, expected(finished, model)
    decision = read_decision(folder)
    table = pd.read_parquet(folder / "scores.parquet")
    llrs = decision.llrs(np.log(table["p_male"] / table["p_female"]), None)
    assert llrs.tolist() == pytest.approx(rows["llr"].tolist())
    accepted = decide(llrs, decision.thresholds[decision.settings.policy])
    assert np.where(accepted, "male", "female").tolist() == rows["decision"].tolist()


def test_the_registered_model_answers_with_the_decisions_of_the_evaluation(finished):
    loaded = mlflow.pyfunc.load_model(f"models:/{BENCHMARK}@champion")
    model = connect(finished.root).get_model_version_by_alias(BENCHMARK, "champion").tags["model"]
    rows = expected(finished, model)
    clips, bad = good_clips(finished, len(rows)), bad_clips()
    answers = loaded.predict(pd.DataFrame({"audio": [*clips.values(), *(data for data, _ in bad.values())]}))
    good, broken = answers.iloc[: len(clips)], answers.iloc[len(clips) :]
    rows = rows.loc[list(clips)]
    assert good["llr"].to_numpy(float) == pytest.approx(rows["llr"].to_numpy(), abs=1e-5)
    for name in ("decision", "policy", "threshold"):
        assert good[name].tolist() == rows[name].tolist()
    assert good["undecided"].isna().all()
    assert broken[DECIDED].isna().all(axis=None)


def test_years_are_not_decided(finished):
    model = models_of(finished)[0]
    assert not (finished.models(HEIR) / model / "decision.json").exists()
    (clip,) = good_clips(finished, 1).values()
    assert Predictor(finished.models(HEIR) / model)(clip).verdict == NO_VERDICT


def test_the_seconds_of_the_served_recording_are_weighed(finished, tmp_path, trained):
    copy = copy_of(
        finished, tmp_path / "copy", lambda params: params["decisions"]["calibration"].update(quality="kept_seconds")
    )
    finetune(copy, BENCHMARK)
    assert trained == []
    for model in models_of(copy):
        predictor, rows = Predictor(copy.models(BENCHMARK) / model), expected(copy, model)
        weights = read_decision(copy.models(BENCHMARK) / model).calibration.weights
        assert abs(weights["log_kept_seconds"]) > 1e-3
        for row in rows.itertuples():
            same(predictor((copy.root / "raw" / row.Index).read_bytes()), row)


def test_a_decision_that_could_not_be_fitted_is_answered_with_the_reason(finished, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(finished.models(BENCHMARK) / models_of(finished)[0], folder)
    record = json.loads((folder / "decision.json").read_text())
    reason = "on validation rows: one class only"
    record |= {"calibration": None, "thresholds": {}, "reason": reason}
    (folder / "decision.json").write_text(json.dumps(record))
    (clip,) = good_clips(finished, 1).values()
    prediction = Predictor(folder)(clip)
    verdict = prediction.verdict
    assert (verdict.llr, verdict.decision, verdict.policy, verdict.threshold) == (None, None, None, None)
    assert verdict.undecided == reason
    assert prediction.label in ("female", "male")


def test_a_model_without_its_decision_is_not_served(finished, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(finished.models(BENCHMARK) / models_of(finished)[0], folder)
    (folder / "decision.json").unlink()
    with pytest.raises(InputError, match=r"no decision\.json in .*: run the finetune stage again"):
        Predictor(folder)
