"""What is found of a score file: of every kind, in any order, with what is missing named."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluation.rows import reordered, score_rows, settings, verification
from voxbench.evaluation.measuring import find
from voxbench.metrics import measure
from voxbench.metrics.detection import eer
from voxbench.schema import InputError, ScoreKind


def found_of(scored, development=None, **changes):
    return find(scored, development, None, settings(**changes))


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (ScoreKind.CLASSES, [0, 1, 1, 0], [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.6, 0.4]]),
        (ScoreKind.VALUE, [20.0, 30.0, 41.0, 52.0], [22.0, 30.0, 33.0, 50.0]),
        (ScoreKind.TEXT, ["a b", "c", "d e", "f"], ["a b", "x", "d", "f f"]),
    ],
)
def test_every_registered_metric_of_a_kind_is_found(kind, first, second):
    scored = score_rows(kind, first, second, (list("abcd"),))
    values, undefined = measure(kind, *scored.columns)
    found = found_of(scored).measured
    assert {each.name for each in found} == values.keys() | undefined.keys()
    assert {each.name: each.value for each in found if each.value is not None} == pytest.approx(values, abs=1e-12)
    assert {each.name: each.reason for each in found if each.value is None} == undefined


def test_verification_has_metrics_groups_calibration_and_decisions():
    development = verification(seed=2, name="dev.csv", prefix="d")
    found = found_of(verification(), development, task="speaker_verification")
    assert found.measured[0].name == "eer"
    assert found.measured[0].value == eer(*verification().columns)
    assert found.resampled.endswith("of speakers, those of both sides of a trial.")
    assert set(found.groups["by"]) == {"enroll_gender", "test_gender"}
    assert set(found.groups["metric"]) == {"eer", "p_miss(bayes)", "p_fa(bayes)"}
    assert found.calibrated.development == development.origin
    assert [each.name for each in found.calibrated.decided] == ["bayes", "equal", "strict"]


def test_two_classes_are_calibrated_by_their_log_odds():
    numbers = np.random.default_rng(1)
    files = []
    for name in ("dev.csv", "scores.csv"):
        truth = np.arange(80) % 2
        odds = 3 * (numbers.normal(size=80) + 2 * truth - 1)
        p_male = 1 / (1 + np.exp(-odds))
        ids = [f"{name}{row}" for row in range(80)]
        files.append(
            score_rows(
                ScoreKind.CLASSES,
                truth,
                np.column_stack([1 - p_male, p_male]),
                (np.repeat(range(20), 4),),
                name=name,
                id=ids,
            )
        )
    found = found_of(files[1], files[0])
    assert found.scored.kind is ScoreKind.CLASSES
    assert found.calibrated.scored.kind is ScoreKind.DETECTION
    assert {each.name for each in found.measured} >= {"accuracy", "roc_auc"}
    assert found.calibrated.measured[0].name == "eer"


def test_no_order_of_rows_changes_a_finding():
    development = verification(seed=2, name="dev.csv", prefix="d")
    tied = replace(verification(), columns=(verification().columns[0].round(1), verification().columns[1]))
    alone = score_rows(ScoreKind.DETECTION, *tied.columns, name="alone.csv")
    for scored in (verification(), tied, alone):
        order = np.random.default_rng(3).permutation(len(scored.columns[0]))
        ours, theirs = (found_of(each, development) for each in (scored, reordered(scored, order)))
        assert ours.measured == theirs.measured
        assert ours.resampled == theirs.resampled
        assert ours.calibrated.measured == theirs.calibrated.measured
        assert ours.calibrated.decided == theirs.calibrated.decided
        pd.testing.assert_frame_equal(ours.groups, theirs.groups)


def test_another_seed_moves_intervals_and_no_value():
    ours, theirs = found_of(verification()), found_of(verification(), seed=8)
    assert [each.value for each in ours.measured] == [each.value for each in theirs.measured]
    assert ours.measured[0].interval != theirs.measured[0].interval


def test_tasks_are_of_detections_and_known():
    with pytest.raises(InputError, match="the task anti_spoofing is a detection, found scores of value"):
        found_of(score_rows(ScoreKind.VALUE, [1.0], [1.0]), task="anti_spoofing")
    with pytest.raises(InputError, match=r"unknown task 'antispoofing' \(did you mean 'anti_spoofing'\?\)"):
        settings(task="antispoofing")


@pytest.mark.parametrize("scores", [[1.0, np.nan], [1.0, np.inf], [[1.0], [2.0]]])
def test_unsound_scores_are_refused(scores):
    with pytest.raises(InputError, match="scores must"):
        found_of(score_rows(ScoreKind.DETECTION, scores, [0, 1]))


@pytest.mark.parametrize("scores", [[0.5, 0.5], [1e-300, -1e-300], [-1e300, 1e300], [0.0, -0.0]])
def test_hostile_scores_have_values_or_reasons(scores):
    for each in found_of(score_rows(ScoreKind.DETECTION, scores, [0, 1])).measured:
        assert each.value is not None or each.reason


@pytest.mark.slow
def test_millions_of_trials_take_seconds():
    numbers = np.random.default_rng(1)
    labels = np.arange(4_000_000) % 2
    scored = score_rows(ScoreKind.DETECTION, numbers.normal(size=4_000_000) + 2 * labels, labels)
    start = time.process_time()
    found = find(scored, None, None, settings(draws=200_000_000, resamples=2000))
    # About a second; the bound leaves room for a busy machine.
    assert time.process_time() - start < 10
    assert all(each.value is not None and each.interval is None for each in found.measured)
    assert "leave 50 resamples" in found.resampled
