"""Calibrations as records, and the data, settings and records that have none."""

import json
import math

import numpy as np
import pytest

from voxbench.metrics import UndefinedError
from voxbench.metrics.calibration import Affine, Isotonic, apply, calibration_from, fit_affine, fit_isotonic
from voxbench.schema import InputError


@pytest.mark.parametrize(
    "calibration",
    [Affine(scale=2, offset=-1, weights={"log_seconds": 0.5}), Isotonic(scores=(0, 1.5), llrs=(-2, 1e-17))],
)
def test_records_survive_json(calibration):
    back = calibration_from(json.loads(calibration.model_dump_json()))
    assert back == calibration
    assert type(back) is type(calibration)


BAD_RECORDS = {
    "unknown": ({"kind": "platt"}, "'affine', 'isotonic'"),
    "scale": ({"kind": "affine", "scale": 0, "offset": 0, "weights": {}}, "scale: .*greater than 0"),
    "endless": ({"kind": "affine", "scale": math.inf, "offset": 0, "weights": {}}, "scale: .*finite"),
    "key": ({"kind": "affine", "scale": 1, "offset": 0, "weights": {}, "bias": 1}, "bias: Extra"),
    "lengths": ({"kind": "isotonic", "scores": [1, 2], "llrs": [1]}, "2 scores and 1 llrs"),
    "falling": ({"kind": "isotonic", "scores": [1, 2], "llrs": [1, 0]}, "must not fall"),
    "tied": ({"kind": "isotonic", "scores": [1, 1], "llrs": [0, 1]}, "must rise"),
    "empty": ({"kind": "isotonic", "scores": [], "llrs": []}, "scores: .*at least 1"),
}


@pytest.mark.parametrize(("record", "reason"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_a_bad_record_is_refused_in_one_line(record, reason):
    with pytest.raises(InputError, match=f"no calibration: .*{reason}") as refusal:
        calibration_from(record)
    assert "\n" not in str(refusal.value)


SEPARABLE = {
    "apart": ([0, 1, 2, 3], None),
    "touching": ([0, 1, 1, 3], None),
    "by both": ([0, 2, 1, 3], {"noise": [0, 5, 0, 5]}),
    "quality alone": ([0, 3, 0, 3], {"noise": [0, 0, 1, 2]}),
    "quality is the score": ([0, 2, 1, 3], {"copy": [0, 4, 2, 6]}),
}


@pytest.mark.parametrize(("scores", "quality"), SEPARABLE.values(), ids=SEPARABLE)
def test_data_without_an_optimum_need_a_ridge(scores, quality):
    labels = [0, 0, 1, 1]
    with pytest.raises(UndefinedError, match=r"no finite optimum: .*give a ridge above 0"):
        fit_affine(scores, labels, p_target=0.5, ridge=0, quality=quality)
    if scores != [0, 3, 0, 3]:
        found = fit_affine(scores, labels, p_target=0.5, ridge=1e-3, quality=quality)
        smaller = fit_affine(scores, labels, p_target=0.5, ridge=1e-1, quality=quality)
        assert smaller.scale < found.scale < 100


@pytest.mark.parametrize("scores", [[0, 1, 2, 3], [0, 1, 1, 3]], ids=["apart", "touching"])
def test_scores_that_separate_the_classes_are_named_as_the_reason(scores):
    with pytest.raises(UndefinedError, match="optimum: no nontarget scores above a target; give"):
        fit_affine(scores, [0, 0, 1, 1], p_target=0.5, ridge=0)


def test_large_sets_with_one_pair_of_overlapping_trials_have_an_optimum():
    labels = (np.arange(400_000) % 100 == 0).astype(int)
    scores = np.random.default_rng(1).uniform(0.1, 3, len(labels)) * (2 * labels - 1)
    scores[[0, 1]] = -0.05, 0.05
    found = fit_affine(scores, labels, p_target=0.01, ridge=0)
    assert 10 < found.scale < 1000


def test_inverted_constant_and_one_class_scores_are_refused():
    both = {"affine": lambda *columns: fit_affine(*columns, p_target=0.5, ridge=0.1)}
    both["isotonic"] = lambda *columns: fit_isotonic(*columns, smoothing=1)
    with pytest.raises(UndefinedError, match=r"do not rise from nontarget to target.*turn the sign"):
        both["affine"]([3, 2, 1, 0], [0, 0, 1, 1])
    # No better than chance: the scale is zero but for rounding, of either sign.
    for scores in ([3, 3, -4, 6, 1, -3, -3, -6, 3], [-0.1, -0.3, 0.4, -0.6, -0.1, 0.3, 0.3, 0.6, -0.3]):
        with pytest.raises(UndefinedError, match="do not rise"):
            fit_affine(scores, [0, 1, 0, 0, 0, 1, 1, 0, 1], p_target=0.5, ridge=0)
    with pytest.raises(UndefinedError, match="scores that differ, found 3"):
        both["affine"]([3, 3, 3], [0, 1, 1])
    with pytest.raises(UndefinedError, match="level that differ, found 1"):
        fit_affine([1, 2, 3], [0, 1, 0], p_target=0.5, ridge=1, quality={"level": [1, 1, 1]})
    for name, fitted in both.items():
        for label in (0, 1):
            with pytest.raises(UndefinedError, match=f"{name} calibration needs both classes"):
                fitted([1, 2], [label] * 2)
        for scores, labels, reason in (
            ([1, math.inf], [0, 1], "finite"),
            ([1, 2, 3], [0, 1], r"shape \(3,\)"),
            ([1, 2], [0, 3], "found 3 in row 1"),
            ([], [], "non-empty"),
        ):
            with pytest.raises(InputError, match=reason):
                fitted(scores, labels)


def test_settings_and_qualities_out_of_range_are_refused():
    scores, labels = [1, 2, 3, 4], [0, 1, 0, 1]
    for change, reason in (
        ({"p_target": 0}, "p_target"),
        ({"p_target": 1}, "p_target"),
        ({"ridge": -1}, "ridge"),
        ({"ridge": math.nan}, "ridge"),
        ({"quality": {"snr": [1, 2]}}, "'snr' must have shape"),
        ({"quality": {"scores": [1, 2, 3, 5]}}, "must not be named scores"),
        ({"quality": {"snr": [1, 2, 3, math.nan]}}, "snr must be finite"),
    ):
        with pytest.raises(InputError, match=reason):
            fit_affine(scores, labels, **({"p_target": 0.5, "ridge": 0} | change))
    for smoothing in (0, -1, math.inf, math.nan):
        with pytest.raises(InputError, match="smoothing"):
            fit_isotonic(scores, labels, smoothing=smoothing)
    aware = Affine(scale=1, offset=0, weights={"log_seconds": 1})
    with pytest.raises(InputError, match="qualities log_seconds, found none"):
        apply(aware, [1.0])
    with pytest.raises(InputError, match="qualities none, found snr"):
        apply(fit_isotonic(scores, labels, smoothing=1), [1.0], {"snr": [1]})
    assert apply(aware, 1.0, {"log_seconds": 2.0}) == 3.0
