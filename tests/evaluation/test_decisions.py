"""The decision that is stored with a model: one score of each task, fitted on rows, written, read and applied."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from voxbench.config import CalibrationSettings, Decisions
from voxbench.evaluation.decisions import (
    NO_VERDICT,
    Decision,
    Verdict,
    detection_scores,
    fit_calibration,
    fit_decision,
    quality_of,
    read_decision,
    seconds_of,
    undecidable,
    write_decision,
)
from voxbench.metrics import UndefinedError
from voxbench.metrics.calibration import Affine, Isotonic, apply, fit_affine, fit_isotonic
from voxbench.metrics.thresholds import decide, fit
from voxbench.schema import AGE_GROUPS, GENDERS, InputError, ScoreKind
from voxbench.tasks import tasks

AFFINE = {"map": "affine", "p_target": 0.5, "ridge": 0.001, "smoothing": 1.0, "quality": None}
POLICIES = {
    "equal": {"policy": "eer_point"},
    "bayes": {"policy": "bayes", "p_target": 0.2, "c_miss": 1.0, "c_fa": 1.0},
    "few-alarms": {"policy": "fixed_far", "rate": 0.1},
}
SCORES = np.array([-2.0, -1.0, 0.0, 1.5, 0.5, 1.0, 2.0, 3.0])
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SPEAKERS = ["a", "a", "b", "b", "c", "c", "d", "d"]
SECONDS = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 4.0, 3.0, 2.0])
CLASSES = ("female", "male")


def settings(policy: str = "bayes", **calibration: Any) -> Decisions:
    return Decisions.model_validate({"calibration": AFFINE | calibration, "policies": POLICIES, "policy": policy})


def fitted(scores=SCORES, labels=LABELS, seconds=None, policy="bayes", **calibration) -> Decision:
    return fit_decision(settings(policy, **calibration), CLASSES, scores, labels, SPEAKERS, seconds)


# One score of a task.


def test_two_classes_are_scored_by_their_log_odds():
    table = [[0.5, 0.5], [0.2, 0.8], [0.75, 0.25]]
    assert detection_scores(ScoreKind.CLASSES, table).tolist() == pytest.approx([0.0, math.log(4), -math.log(3)])


@pytest.mark.parametrize("tiny", [1e-20, 1e-200, 1e-300])
def test_log_odds_keep_what_the_smaller_probability_still_holds(tiny):
    """1 - 1e-20 is 1 in float64: log odds from one column alone would be infinite at one end."""
    up, down = detection_scores(ScoreKind.CLASSES, [[tiny, 1.0], [1.0, tiny]]).tolist()
    assert up == pytest.approx(-math.log(tiny))
    assert down == -up


@pytest.mark.parametrize("tiny", [0.0, 5e-324, 1e-310])
def test_probabilities_that_underflow_give_the_ends_of_the_scale(tiny):
    end = -math.log(np.finfo(np.float64).tiny)
    assert detection_scores(ScoreKind.CLASSES, [[tiny, 1.0], [1.0, tiny]]).tolist() == [end, -end]
    assert end == pytest.approx(708.396, abs=1e-3)


def test_a_detection_score_is_the_score_itself():
    for values in ([0.5, -1e9, 3.0], [[0.5], [-1e9], [3.0]]):
        assert detection_scores(ScoreKind.DETECTION, values).tolist() == [0.5, -1e9, 3.0]


@pytest.mark.parametrize(
    ("kind", "values", "reason"),
    [
        (ScoreKind.CLASSES, [[0.2, 0.3, 0.5]], "a threshold parts two classes, and the task has 3"),
        (ScoreKind.CLASSES, [[0.2, 0.3]], "sum to 1"),
        (ScoreKind.CLASSES, [[-0.2, 1.2]], ">= 0"),
        (ScoreKind.CLASSES, [[np.nan, 0.5]], "finite"),
        (ScoreKind.CLASSES, [0.2, 0.8], "probabilities must be"),
        (ScoreKind.DETECTION, [[0.2, 0.8]], "one score for each row"),
        (ScoreKind.DETECTION, [np.inf], "finite"),
        (ScoreKind.VALUE, [33.0], "the task's answer is a value"),
        (ScoreKind.TEXT, ["a"], "the task's answer is a text"),
    ],
)
def test_what_has_no_single_score_is_refused(kind, values, reason):
    with pytest.raises(InputError, match=reason):
        detection_scores(kind, values)


def test_only_tasks_of_two_classes_have_thresholds():
    reasons = {name: undecidable(tasks[name].score_kind, tasks[name].classes) for name in tasks}
    assert reasons["gender"] == ""
    assert reasons["age_group"] == f"a threshold parts two classes, and the task has {len(AGE_GROUPS)}"
    assert reasons["age_years"] == "a threshold parts two classes, and the task's answer is a value"
    assert undecidable(ScoreKind.DETECTION, ("spoof", "bonafide")) == ""
    assert undecidable(ScoreKind.DETECTION, ()) == "a threshold parts two classes, and the task has 0"


# The fit.


@pytest.mark.parametrize("quality", [None, "kept_seconds"])
def test_the_affine_fit_is_that_of_the_metrics(quality):
    found = fitted(seconds=SECONDS, quality=quality)
    qualities = {"log_kept_seconds": np.log(SECONDS)} if quality else None
    expected = fit_affine(SCORES, LABELS, p_target=0.5, ridge=0.001, quality=qualities)
    llrs = apply(expected, SCORES, qualities)
    assert found.calibration == expected
    assert found.llrs(SCORES, SECONDS).tolist() == llrs.tolist()
    policies = settings().policies
    assert found.thresholds == {name: fit(policies[name], llrs, LABELS) for name in POLICIES}
    assert found.thresholds["bayes"].value == pytest.approx(math.log(4))
    assert (found.rows, found.speakers, found.classes, found.reason) == (8, 4, CLASSES, "")


def test_settings_reach_the_fit():
    found = fitted(p_target=0.2, ridge=0.5)
    assert found.calibration == fit_affine(SCORES, LABELS, p_target=0.2, ridge=0.5)
    found = fitted(map="isotonic", smoothing=0.5)
    assert found.calibration == fit_isotonic(SCORES, LABELS, smoothing=0.5)


@pytest.mark.parametrize("policy", list(POLICIES))
def test_a_verdict_is_the_stored_threshold_on_the_calibrated_score(policy):
    found = fitted(policy=policy, seconds=SECONDS, quality="kept_seconds")
    threshold, llrs = found.thresholds[policy], found.llrs(SCORES, SECONDS)
    for score, seconds, llr in zip(SCORES, SECONDS, llrs, strict=True):
        word = GENDERS[int(decide(llr, threshold))]
        assert found.verdict(float(score), float(seconds)) == Verdict(llr, word, policy, threshold.value, None)
    words = {found.verdict(float(score), 2.0).decision for score in SCORES}
    assert words == {"female", "male"}


def test_a_score_on_the_threshold_is_accepted():
    found = fitted(policy="equal")
    on_it = SCORES[np.argmin(np.abs(found.llrs(SCORES, None) - found.thresholds["equal"].value))]
    assert found.verdict(float(on_it), 1.0).decision == "male"
    assert found.verdict(float(np.nextafter(on_it, -9)) - 1e-9, 1.0).decision == "female"


UNDEFINED = {
    "one class": ({"labels": np.ones(8, dtype=int)}, "needs both classes: found 8 targets and 0 nontargets"),
    "inverted": ({"scores": -SCORES}, "the scores do not rise from nontarget to target"),
    "inverted, isotonic": ({"scores": -SCORES, "map": "isotonic"}, "gives every score the same ratio"),
    "constant": ({"scores": np.zeros(8)}, "needs scores that differ"),
    "separated, no ridge": ({"scores": LABELS + 0.1 * SCORES, "ridge": 0.0}, "give a ridge above 0"),
    "equal seconds": ({"seconds": np.full(8, 2.0), "quality": "kept_seconds"}, "needs log_kept_seconds that differ"),
}


@pytest.mark.parametrize("name", list(UNDEFINED))
def test_an_undefined_fit_leaves_its_reason_and_decides_nothing(name, tmp_path):
    change, reason = UNDEFINED[name]
    found = fitted(**change)
    assert found.reason.startswith("on validation rows: ")
    assert reason in found.reason
    assert (found.calibration, found.thresholds, found.rows) == (None, {}, 8)
    assert found.verdict(0.0, 1.0) == Verdict(None, None, None, None, found.reason)
    with pytest.raises(UndefinedError, match="on validation rows"):
        found.llrs(SCORES, None)
    write_decision(tmp_path, found)
    assert read_decision(tmp_path) == found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scores": np.append(SCORES[:-1], np.nan)}, "scores must be finite"),
        ({"labels": LABELS + 1}, "labels must be 1 = target"),
        ({"scores": SCORES[:-1]}, "labels must have shape"),
        ({"quality": "kept_seconds"}, "decisions.calibration.quality is 'kept_seconds', but nothing says it"),
        ({"quality": "kept_seconds", "seconds": SECONDS - 1}, "kept_seconds must be above 0"),
        ({"quality": "kept_seconds", "seconds": SECONDS * np.nan}, "kept_seconds must be finite"),
    ],
)
def test_unsound_rows_are_refused(change, reason):
    with pytest.raises(InputError, match=reason) as refused:
        fitted(**change)
    assert not isinstance(refused.value, UndefinedError)


# The quality.


def test_seconds_are_not_read_where_no_quality_is_asked_for():
    assert quality_of(settings().calibration, None) is None
    assert quality_of(settings().calibration, [-1.0]) is None
    asked = settings(quality="kept_seconds").calibration
    assert quality_of(asked, [math.e, 1.0])["log_kept_seconds"].tolist() == [1.0, 0.0]


def test_a_decision_that_weighs_seconds_refuses_rows_without_them():
    found = fitted(seconds=SECONDS, quality="kept_seconds")
    with pytest.raises(InputError, match="give the seconds of each, or set it to null"):
        found.llrs(SCORES, None)


def test_seconds_come_from_the_manifest_in_the_order_asked(tmp_path):
    path = tmp_path / "manifest.parquet"
    pd.DataFrame({"id": ["a", "b", "c"], "kept_seconds": [1.0, 2.0, 3.0]}).to_parquet(path)
    asked, other = (settings(quality=quality).calibration for quality in ("kept_seconds", None))
    assert seconds_of(path, ["c", "a"], asked).tolist() == [3.0, 1.0]
    assert seconds_of(path, ["c"], other) is None
    with pytest.raises(InputError, match="kept_seconds must be finite, found 1 of 2"):
        quality_of(asked, seconds_of(path, ["c", "d"], asked))
    pd.DataFrame({"id": ["a"]}).to_parquet(path)
    assert seconds_of(path, ["a"], asked) is None


# The file.


@pytest.mark.parametrize("calibration", [{}, {"map": "isotonic"}, {"quality": "kept_seconds"}])
def test_what_is_read_is_what_was_written_to_the_last_bit(tmp_path, calibration):
    found = fitted(seconds=SECONDS, **calibration)
    write_decision(tmp_path, found)
    read = read_decision(tmp_path)
    assert read == found
    assert isinstance(read.calibration, Isotonic if calibration.get("map") else Affine)
    assert read.llrs(SCORES, SECONDS).tolist() == found.llrs(SCORES, SECONDS).tolist()
    first = (tmp_path / "decision.json").read_bytes()
    write_decision(tmp_path, read)
    assert (tmp_path / "decision.json").read_bytes() == first


def test_a_folder_without_a_decision_names_the_stage(tmp_path):
    with pytest.raises(InputError, match=r"no decision\.json in .*: run the finetune stage again"):
        read_decision(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"later": "invention"},
        {"calibration": None},
        {"reason": "both"},
        {"thresholds": {}},
        {"classes": ["female"]},
        {"calibration": {"kind": "affine", "scale": -1, "offset": 0, "weights": {}}},
        {"rows": 0},
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, change):
    content = fitted().model_dump(mode="json")
    (tmp_path / "decision.json").write_text(json.dumps(content | change))
    with pytest.raises(InputError, match="was written by another version of voxbench: run the finetune stage again"):
        read_decision(tmp_path)


def test_nothing_is_said_of_a_task_without_thresholds():
    assert Verdict(None, None, None, None, None) == NO_VERDICT


def test_both_maps_are_monotone_on_the_rows_that_they_were_fitted_on():
    for kind in ("affine", "isotonic"):
        found = fit_calibration(CalibrationSettings.model_validate(AFFINE | {"map": kind}), SCORES, LABELS, None)
        assert (np.diff(apply(found, np.sort(SCORES))) >= 0).all()
