"""Fine-tuning fits calibration and thresholds on validation rows alone, stores them, and trains nothing for them."""

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from stages.pipeline import BENCHMARK, BENCHMARKS, HEIR, copy_of, fingerprints, manifest_of, models_of
from voxbench.artifacts import read_json
from voxbench.config import Decisions
from voxbench.evaluation.decisions import read_decision
from voxbench.metrics.bayes import cllr, min_cllr
from voxbench.metrics.calibration import fit_affine
from voxbench.metrics.thresholds import fit
from voxbench.schema import InputError
from voxbench.stages.finetune import finetune
from voxbench.tracking.store import connect


def tables(workspace, model):
    """Return the validation and the test rows of a model's scores, with their log odds."""
    table = pd.read_parquet(workspace.models(BENCHMARK) / model / "scores.parquet")
    table["score"] = np.log(table["p_male"] / table["p_female"])
    return [table[table["split"] == split] for split in ("valid", "test")]


def changed_scores(workspace, change):
    """Change the score table of every model of the first benchmark."""
    for model in models_of(workspace):
        path = workspace.models(BENCHMARK) / model / "scores.parquet"
        table = pd.read_parquet(path)
        change(table)
        table.to_parquet(path, index=False)


def set_decisions(**changes):
    return lambda params: params["decisions"].update(changes)


def test_the_record_is_fitted_on_the_validation_rows(finished):
    settings = finished.params.decisions
    for model in models_of(finished):
        valid, _ = tables(finished, model)
        found = read_decision(finished.models(BENCHMARK) / model)
        calibration = settings.calibration
        ridge, p_target = calibration.ridge, calibration.p_target
        expected = fit_affine(valid["score"], valid["truth"], p_target=p_target, ridge=ridge)
        assert found.calibration.scale == pytest.approx(expected.scale)
        assert found.calibration.offset == pytest.approx(expected.offset)
        llrs = expected.scale * valid["score"] + expected.offset
        for name, policy in settings.policies.items():
            threshold = fit(policy, llrs, valid["truth"])
            assert found.thresholds[name].value == pytest.approx(threshold.value)
            assert (found.thresholds[name].p_miss, found.thresholds[name].p_fa) == (threshold.p_miss, threshold.p_fa)
        assert (found.settings, found.classes) == (settings, ("female", "male"))
        assert (found.rows, found.speakers) == (len(valid), valid["speaker"].nunique())


def test_test_rows_change_nothing_that_is_stored(finished, tmp_path, trained):
    def spoil(table):
        test = table["split"] == "test"
        table.loc[test, ["p_female", "p_male"]] = table.loc[test, ["p_male", "p_female"]].to_numpy()
        table.loc[test, "truth"] = 0

    copy = copy_of(finished, tmp_path / "copy")
    changed_scores(copy, spoil)
    finetune(copy, BENCHMARK)
    assert trained == []
    for model in models_of(finished):
        stored = [(each.models(BENCHMARK) / model / "decision.json").read_bytes() for each in (finished, copy)]
        assert stored[0] == stored[1]


def test_other_settings_decide_anew_and_train_nothing(finished, tmp_path, trained):
    policies = {"equal-error": {"policy": "eer_point"}, "none-wrong": {"policy": "fixed_far", "rate": 0.0}}
    copy = copy_of(finished, tmp_path / "copy", set_decisions(policies=policies, policy="none-wrong"))
    for name in BENCHMARKS:
        finetune(copy, name)
    assert trained == []
    assert fingerprints(copy.models(HEIR)) == fingerprints(finished.models(HEIR)), "years have no threshold"
    for model in models_of(copy):
        folders = [each.models(BENCHMARK) / model for each in (finished, copy)]
        before, after = map(read_decision, folders)
        assert set(after.thresholds) == {"equal-error", "none-wrong"}
        assert after.thresholds["none-wrong"].p_fa == 0
        assert after.settings == copy.params.decisions != before.settings
        assert after.calibration == before.calibration
        kept = [{key: value for key, value in fingerprints(each).items() if "decision" not in key} for each in folders]
        assert kept[0] == kept[1]


WRONG = {
    "inverted": (lambda table: table.update({"p_female": table["p_male"], "p_male": table["p_female"]}), "do not rise"),
    "one class": (lambda table: table.update({"truth": 0 * table["truth"]}), "needs both classes"),
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_fit_that_is_undefined_is_stored_with_its_reason(finished, tmp_path, wrong):
    change, reason = WRONG[wrong]
    copy = copy_of(finished, tmp_path / "copy")

    # Whatever the tiny networks have learnt: first make their scores sound, so that turning them is unsound.
    def spoil(table):
        p_male = 0.5 + (0.3 + 0.1 * np.sin(np.arange(len(table)))) * (2 * table["truth"] - 1)
        table["p_male"], table["p_female"] = p_male, 1 - p_male
        change(table)

    changed_scores(copy, spoil)
    finetune(copy, BENCHMARK)
    for model in models_of(copy):
        found = read_decision(copy.models(BENCHMARK) / model)
        assert reason in found.reason
        assert (found.calibration, found.thresholds) == (None, {})
    runs = children(copy, BENCHMARK)
    assert {run.data.tags["undecided"] for run in runs.values()} == {found.reason}
    assert not [name for run in runs.values() for name in run.data.metrics if name.startswith("decision/")]


def test_a_quality_that_the_manifest_lacks_is_refused(finished, tmp_path):
    copy = copy_of(
        finished, tmp_path / "copy", lambda params: params["decisions"]["calibration"].update(quality="kept_seconds")
    )
    path = copy.prepared("tiny") / "manifest.parquet"
    manifest_of(copy).drop(columns="kept_seconds").to_parquet(path, index=False)
    with pytest.raises(InputError, match="quality is 'kept_seconds', but nothing says it of the recordings"):
        finetune(copy, BENCHMARK)


def children(workspace, name):
    """Return the runs of fine-tuning by model."""
    client = MlflowClient(f"sqlite:///{workspace.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name).experiment_id
    runs = client.search_runs([experiment], "tags.stage = 'finetune'")
    return {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}


def test_the_run_shows_what_calibration_did_to_the_validation_rows(finished):
    for model, run in children(finished, BENCHMARK).items():
        valid, _ = tables(finished, model)
        found = read_decision(finished.models(BENCHMARK) / model)
        served = found.thresholds[found.settings.policy]
        assert {name: value for name, value in run.data.metrics.items() if name.startswith("decision/")} == {
            "decision/threshold": served.value,
            "decision/valid_cllr_before": pytest.approx(cllr(valid["score"], valid["truth"])),
            "decision/valid_cllr": pytest.approx(cllr(found.llrs(valid["score"], None), valid["truth"])),
            "decision/valid_min_cllr": pytest.approx(min_cllr(valid["score"], valid["truth"])),
            "decision/valid_p_miss": served.p_miss,
            "decision/valid_p_fa": served.p_fa,
        }
        assert run.data.tags["policy"] == "bayes"
    for run in children(finished, HEIR).values():
        assert run.data.tags["undecided"] == "a threshold parts two classes, and the task's answer is a value"


def test_the_decision_travels_with_the_registered_model(finished):
    version = connect(finished.root).get_model_version_by_alias(BENCHMARK, "champion")
    stored = list((finished.root / "mlruns").rglob("decision.json"))
    model = version.tags["model"]
    expected = (finished.models(BENCHMARK) / model / "decision.json").read_bytes()
    assert expected in [path.read_bytes() for path in stored]
    assert len(stored) == len(models_of(finished))


def test_the_settings_of_the_record_are_those_of_the_configuration(finished):
    content = read_json(finished.models(BENCHMARK) / models_of(finished)[0] / "decision.json")
    assert Decisions.model_validate(content["settings"]) == finished.params.decisions
