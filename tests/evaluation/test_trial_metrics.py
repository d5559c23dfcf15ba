"""Metrics of trials: names, values against the plain metrics, and resamples against repeated rows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.rows import settings, verification
from voxbench.config import OperatingCosts
from voxbench.evaluation.intervals import plan_of, trials_with_speakers
from voxbench.evaluation.trial_metrics import (
    EER_ASVSPOOF,
    actual_cost,
    least_cost,
    llr_doubt,
    measure_trials,
    resampled,
    trial_metrics,
)
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.weighted_detection import weighted_trials

COSTS = [OperatingCosts(p_target=0.2, c_miss=1.0, c_fa=1.0), OperatingCosts(p_target=0.05, c_miss=2.5, c_fa=10.0)]
ALL = trial_metrics(COSTS, is_anti_spoofing=False)


def test_names_hold_the_settings_and_the_first_is_what_the_task_quotes():
    assert [each.name for each in ALL] == [
        "eer",
        "eer_asvspoof",
        "eer_rocch",
        "min_dcf(p_target=0.2)",
        "act_dcf(p_target=0.2)",
        "min_dcf(p_target=0.05, c_miss=2.5, c_fa=10)",
        "act_dcf(p_target=0.05, c_miss=2.5, c_fa=10)",
        "auc",
        "cllr",
        "min_cllr",
    ]
    assert trial_metrics(COSTS, is_anti_spoofing=True)[0].name == "eer_asvspoof"


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25),
    st.sampled_from(ALL),
)
def test_weights_are_repetitions_for_every_metric(rows, metric):
    rows = sorted(rows, key=lambda row: -row[0])
    scores, is_target, weights = (np.array(column) for column in zip(*rows, strict=True))
    trials = weighted_trials(scores.astype(float), is_target, weights[:, None].astype(float))
    found = float(metric.weighted(trials)[0])
    try:
        expected = metric.value(operating_points(np.repeat(scores, weights), np.repeat(is_target, weights)))
    except ValueError:
        expected = math.nan
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_thresholds_at_which_no_trial_was_drawn_do_not_count(metric):
    numbers = np.random.default_rng(2)
    scores = np.arange(40.0)[::-1]
    for _ in range(50):
        is_target = numbers.random(40) < 0.5 + (scores - 20) / 80
        weights = numbers.poisson(0.5, size=40)
        found = metric.weighted(weighted_trials(scores / 10, is_target, weights[:, None].astype(float)))
        points = operating_points(np.repeat(scores / 10, weights), np.repeat(is_target, weights))
        assert found[0] == pytest.approx(metric.value(points), abs=1e-12)


def test_values_are_those_of_the_trials_and_intervals_enclose_them():
    scored = verification()
    plan = plan_of(scored, settings().report, settings().evaluation)
    points = operating_points(*scored.columns)
    for metric, each in zip(ALL, measure_trials(ALL, points, trials_with_speakers(scored), plan, ""), strict=True):
        assert each.value == metric.value(points)
        assert each.interval.low <= each.value <= each.interval.high, each.name
        assert each.interval.clusters == 12


def test_an_interval_does_not_depend_on_what_else_is_measured():
    scored = verification()
    plan = plan_of(scored, settings().report, settings().evaluation)
    points, trials = operating_points(*scored.columns), trials_with_speakers(scored)
    together = {each.name: each for each in measure_trials(ALL, points, trials, plan, "")}
    assert measure_trials([EER_ASVSPOOF], points, trials, plan, "") == (together["eer_asvspoof"],)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_every_metric_undefined_with_its_reason(label):
    points = operating_points([0.5, 1.0, 2.0], [label] * 3)
    plan = plan_of(verification(), settings().report, settings().evaluation)
    for each in measure_trials(ALL, points, None, plan, llr_doubt(points)):
        assert each.value is None
        assert each.interval is None
        assert f"found {3 * label} targets and {3 * (1 - label)} nontargets" in each.reason


def test_a_speaker_alone_has_no_interval():
    scored = verification(speakers=1)
    trials = trials_with_speakers(scored)
    plan = plan_of(scored, settings().report, settings().evaluation)
    assert resampled({"eer": ALL[0].weighted}, trials, plan) == {}


def test_scores_that_are_no_ratios_are_told_by_two_kinds_of_evidence():
    numbers = np.random.default_rng(1)
    labels = np.arange(2000) % 2
    llrs = 2 * (numbers.normal(size=2000) + 2 * labels) - 2
    assert llr_doubt(operating_points(llrs, labels)) == ""
    # Ten times too certain: worse than no scores.
    assert "inform worse (Cllr 2." in llr_doubt(operating_points(10 * llrs, labels))
    # The same order between -1 and 1, where no ratios could have such an area.
    assert "none is beyond 1, so the area under the ROC could not be above 0.731" in llr_doubt(
        operating_points(np.tanh(llrs) / np.tanh(llrs).max(), labels)
    )


def test_chance_is_no_evidence():
    assert llr_doubt(operating_points([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1])) == ""
    numbers = np.random.default_rng(3)
    for _ in range(20):
        assert llr_doubt(operating_points(numbers.normal(scale=1e-3, size=500), np.arange(500) % 2)) == ""
    assert llr_doubt(operating_points([-1e300, 1e300], [0, 1])) == ""


def test_doubt_stands_beside_what_reads_ratios_and_nothing_else():
    scored = verification()
    points = operating_points(*scored.columns)
    plan = plan_of(scored, settings(resamples=1).report, settings().evaluation)
    found = measure_trials(ALL, points, None, plan, "no ratios")
    assert {each.name.partition("(")[0] for each in found if "no ratios; " in each.reason} == {"act_dcf", "cllr"}


def test_costs_are_weighed_by_hand():
    points = operating_points([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1])
    costs = OperatingCosts(p_target=0.5, c_miss=1.0, c_fa=4.0)
    # Rejecting all but 4.0 misses half and accepts nobody: 0.5 * 0.5 / 0.5.
    assert least_cost(costs).value(points) == 0.5
    # ln 4 = 1.386: only 1.0 is rejected, half the nontargets are accepted at four times the cost.
    assert actual_cost(costs).value(points) == 2.0
    with pytest.raises(UndefinedError, match="needs both classes"):
        least_cost(costs).value(operating_points([1.0], [1]))
