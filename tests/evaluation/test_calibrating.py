"""Calibration and decisions: fitted on development rows alone, applied to others, refused where rows are shared."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluation.rows import CALIBRATION, EVAL, countermeasure, needs_scores, score_rows, settings, verification
from voxbench.config.decisions import FixedFar
from voxbench.evaluation.calibrating import as_detection, calibrated, rates_at
from voxbench.metrics.calibration import Affine, Isotonic, fit_affine
from voxbench.metrics.detection import act_dcf, cllr, eer, min_cllr
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.thresholds import fit
from voxbench.schema import BONAFIDE, InputError, ScoreKind

SCORED, DEVELOPMENT = verification(seed=1), verification(seed=2, name="dev.csv", prefix="d", speakers=15)


def values(measured):
    return {each.name: each.value for each in measured}


def test_the_map_and_the_thresholds_are_fitted_on_development_rows_alone():
    found = calibrated(SCORED, DEVELOPMENT, settings())
    assert found.calibration == fit_affine(*DEVELOPMENT.columns, p_target=0.5, ridge=0.001)
    assert found.development == DEVELOPMENT.origin
    assert found.scored.origin == SCORED.origin
    llrs = found.calibration.scale * SCORED.columns[0] + found.calibration.offset
    assert found.scored.columns[0] == pytest.approx(llrs)
    ours = found.calibration.scale * DEVELOPMENT.columns[0] + found.calibration.offset
    assert {each.name: each.threshold for each in found.decided} == {
        name: fit(policy, ours, DEVELOPMENT.columns[1]) for name, policy in settings().decisions.policies.items()
    }
    # Other scores leave the fit as it is.
    other = replace(SCORED, columns=(SCORED.columns[0] + 100, SCORED.columns[1]))
    assert calibrated(other, DEVELOPMENT, settings()).calibration == found.calibration


def test_metrics_and_rates_are_those_of_the_calibrated_rows():
    found = calibrated(SCORED, DEVELOPMENT, settings())
    llrs, labels = found.scored.columns
    assert values(found.measured) == pytest.approx(
        {
            "eer": eer(llrs, labels),
            "act_dcf(p_target=0.01)": act_dcf(llrs, labels, 0.01),
            "act_dcf(p_target=0.5, c_fa=10)": act_dcf(llrs, labels, 0.5, c_fa=10),
            "cllr": cllr(llrs, labels),
            "min_cllr": min_cllr(llrs, labels),
        }
    )
    for each in found.decided:
        accepted = llrs >= each.threshold.value
        assert each.p_miss.value == pytest.approx((~accepted[labels == 1]).mean())
        assert each.p_fa.value == pytest.approx(accepted[labels == 0].mean())
        assert each.p_miss.interval.low <= each.p_miss.value <= each.p_miss.interval.high
        assert (each.p_miss.name, each.p_fa.name) == (f"p_miss({each.name})", f"p_fa({each.name})")
    assert not any(each.reason for each in found.measured)


def test_rows_that_are_scored_as_well_are_refused_and_counted():
    with pytest.raises(InputError, match=r"156 of 156 development trials are scored rows as well: scores.csv and dev"):
        calibrated(SCORED, verification(seed=1, name="dev.csv"), settings())
    ours, theirs = (
        score_rows(ScoreKind.DETECTION, [1.0, 2.0], [0, 1], name=name, id=ids)
        for name, ids in (("a.csv", ["x", "y"]), ("b.csv", ["z", "y"]))
    )
    with pytest.raises(InputError, match="1 of 2 development ids are scored rows as well"):
        calibrated(ours, theirs, settings())
    nameless = score_rows(ScoreKind.DETECTION, [1.0, 2.0], [0, 1])
    with pytest.raises(InputError, match=r"the same file, scores\.csv"):
        calibrated(nameless, nameless, settings())
    test, valid = (replace(SCORED, rows=pd.DataFrame({"split": [name] * 156})) for name in ("test", "valid"))
    assert calibrated(test, valid, settings()).scored.notes
    with pytest.raises(InputError, match="the same file"):
        calibrated(test, test, settings())


def test_what_cannot_be_checked_and_shared_speakers_are_told():
    numbers = np.random.default_rng(1)
    columns = numbers.normal(size=200) + np.arange(200) % 2, np.arange(200) % 2
    nameless = [score_rows(ScoreKind.DETECTION, *columns, name=name) for name in ("a.csv", "b.csv")]
    assert calibrated(*nameless, settings()).scored.notes == (
        "Nobody says which rows these are, so none could be looked for among the development rows.",
    )
    speakers = np.repeat(list("abcde"), 40), np.repeat(list("efghi"), 40)
    ours, theirs = (
        score_rows(ScoreKind.DETECTION, *columns, (each,), name=name, id=[f"{name}{row}" for row in range(200)])
        for each, name in zip(speakers, ("a.csv", "b.csv"), strict=True)
    )
    assert calibrated(ours, theirs, settings()).scored.notes == (
        "1 of 5 speakers are in the development rows as well.",
    )


def test_other_kinds_and_other_classes_are_refused():
    spoofs = score_rows(ScoreKind.DETECTION, [1.0, 2.0], [0, 1], classes=("spoof", BONAFIDE), name="dev.csv")
    with pytest.raises(InputError, match=r"of other classes than the scored ones: .*spoof"):
        calibrated(SCORED, spoofs, settings())
    ages = score_rows(ScoreKind.VALUE, [1.0, 2.0], [1.0, 2.0], name="ages.csv")
    with pytest.raises(InputError, match="development rows are of another kind than the scored ones: value in ages"):
        calibrated(SCORED, ages, settings())
    with pytest.raises(InputError, match="cannot be calibrated: a threshold parts two classes, and the task's answer"):
        calibrated(ages, replace(ages, origin=SCORED.origin), settings())


def test_development_rows_that_allow_no_fit_say_why():
    alone = replace(DEVELOPMENT, columns=(DEVELOPMENT.columns[0], np.ones(len(DEVELOPMENT.columns[0]))))
    with pytest.raises(UndefinedError, match="needs both classes"):
        calibrated(SCORED, alone, settings())


def test_scored_rows_of_one_class_keep_the_rate_that_they_have():
    kept = np.flatnonzero(SCORED.columns[1] == 0)
    alone = replace(
        SCORED,
        columns=(SCORED.columns[0][kept], SCORED.columns[1][kept]),
        rows=SCORED.rows.iloc[kept],
        speakers=tuple(side[kept] for side in SCORED.speakers),
    )
    found = calibrated(alone, DEVELOPMENT, settings())
    assert all(each.value is None for each in found.measured)
    decided = found.decided[0]
    assert decided.p_miss.value is None
    assert "a miss rate needs targets" in decided.p_miss.reason
    assert 0 < decided.p_fa.value < 1
    assert decided.p_fa.interval is not None


def test_two_classes_are_a_detection_by_their_log_odds():
    p_male = np.array([0.2, 0.9, 0.5, 1.0])
    scored = score_rows(ScoreKind.CLASSES, [0, 1, 0, 1], np.column_stack([1 - p_male, p_male]), (list("abcd"),))
    found = as_detection(scored)
    assert found.kind is ScoreKind.DETECTION
    assert found.classes == ("female", "male")
    assert found.columns[0][:3] == pytest.approx(np.log([0.25, 9.0, 1.0]))
    assert np.isfinite(found.columns[0]).all()
    assert found.columns[1].tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="the task has 3"):
        as_detection(score_rows(ScoreKind.CLASSES, [0], [[1.0, 0.0, 0.0]], classes=("a", "b", "c")))


def test_isotonic_maps_and_qualities_are_fitted_too():
    isotonic = settings(calibration=CALIBRATION | {"map": "isotonic"})
    assert isinstance(calibrated(SCORED, DEVELOPMENT, isotonic).calibration, Isotonic)
    weighed = settings(calibration=CALIBRATION | {"quality": "kept_seconds"})
    with pytest.raises(InputError, match="nothing says it of the recordings"):
        calibrated(SCORED, DEVELOPMENT, weighed)
    numbers = np.random.default_rng(1)
    ours, theirs = (
        replace(each, rows=each.rows.assign(kept_seconds=numbers.uniform(1, 9, size=len(each.rows))))
        for each in (SCORED, DEVELOPMENT)
    )
    found = calibrated(ours, theirs, weighed).calibration
    assert isinstance(found, Affine)
    assert set(found.weights) == {"log_kept_seconds"}


def test_rates_at_a_threshold_accept_what_equals_it():
    p_miss, p_fa = rates_at("strict", 2.0)
    points = operating_points([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 0])
    assert (p_miss.value(points), p_fa.value(points)) == (0.5, 1.0)
    p_miss, p_fa = rates_at("strict", 2.5)
    assert (p_miss.value(points), p_fa.value(points)) == (1.0, 0.5)


@needs_scores
@pytest.mark.parametrize("system", ["air_softmax", "air2021_ecapa_ctsf"])
def test_calibration_on_half_of_the_speakers_nearly_reaches_the_least_cllr_of_the_other_half(system):
    scored = countermeasure(f"{system}_asvspoof2019_la_eval.txt", EVAL)
    names = np.unique(scored.speakers[0])
    halves = [part(scored, np.isin(scored.speakers[0], names[start::2]), f"half {start}.txt") for start in (0, 1)]
    # Saturated scores of a softmax are no line away from ratios: an affine map stays a third above the least.
    for chosen, most in (({"map": "isotonic"}, 1.03), ({"map": "affine"}, 1.7)):
        for fitted, applied in (halves, halves[::-1]):
            changed = settings(calibration=CALIBRATION | chosen, resamples=1)
            found = values(calibrated(applied, fitted, changed).measured)
            assert cllr(*applied.columns) > 2 * found["cllr"]
            assert found["min_cllr"] <= found["cllr"] < most * found["min_cllr"]


def part(scored, kept, name):
    """Return some rows, as of another file."""
    return replace(
        scored,
        columns=tuple(column[kept] for column in scored.columns),
        rows=scored.rows[kept],
        speakers=tuple(side[kept] for side in scored.speakers),
        origin=replace(scored.origin, scores=name, scores_sha256=name),
    )


@needs_scores
def test_a_far_that_was_met_on_development_attacks_is_not_met_on_unseen_ones():
    file = "air2021_ecapa_ctsf_asvspoof2019_la_{}.txt"
    development = countermeasure(file.format("dev"), "ASVspoof2019.LA.cm.dev.trl.txt")
    scored = countermeasure(file.format("eval"), EVAL)
    chosen = settings(policies={"strict": FixedFar(rate=0.01)}, policy="strict", resamples=1)
    (decided,) = calibrated(scored, development, chosen).decided
    assert decided.threshold.p_fa <= 0.01 < 0.1 < decided.p_fa.value
