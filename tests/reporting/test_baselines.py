"""What a network has to beat: worked by hand, and against the sentences that say whether it does."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting.reading import rows_of
from voxbench.metrics import METRICS
from voxbench.reporting.baselines import baselines
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.exports import summary
from voxbench.reporting.scored import Bootstrap, Scored, score
from voxbench.reporting.tables_overview import overview_table
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.verdict import judge
from voxbench.tasks import tasks

YEARS = tasks["age_years"]


def training(targets: list[float], genders: list[str | None]) -> pd.DataFrame:
    speakers = [f"t{number}" for number in range(len(targets))]
    rows = pd.DataFrame({"id": speakers, "speaker": speakers, "split": "train", "gender": genders, "target": targets})
    # Rows of other splits must not move a baseline.
    return pd.concat([rows, rows.assign(split="test", target=0.0), rows.assign(split="valid", target=1.0)])


def heard(task: str, truth: list[float], genders: list[str | None], scores: np.ndarray) -> Scored:
    rows = pd.DataFrame({"speaker": [f"s{number}" for number in range(len(truth))], "gender": genders})
    kind = np.float64 if task == "age_years" else np.int64
    return score(tasks[task], np.array(truth, dtype=kind), scores, rows)


def bound(evidence: Evidence, metric: str) -> Bootstrap:
    return Bootstrap("some", evidence.settings, METRICS[metric])


def test_the_medians_are_those_of_the_training_rows(evidence: Evidence) -> None:
    labelled = training([20, 30, 70, 40, 50], ["female", "female", "female", "male", None])
    like = heard("age_years", [25, 60, 33], ["female", "male", None], np.zeros(3))
    overall, own = baselines(YEARS, labelled, like, bound(evidence, "mae"))
    assert (overall.name, own.name) == ("training median", "same-sex training median")
    assert overall.scored.scores.tolist() == [40, 40, 40]
    assert own.scored.scores.tolist() == [30, 40, 40]
    assert overall.scored.values["mae"] == pytest.approx((15 + 20 + 7) / 3)
    assert own.scored.values["mae"] == pytest.approx((5 + 20 + 7) / 3)
    assert "1 clip of unknown sex" in own.says
    assert "30 of female speakers and 40 of male speakers" in own.says


def test_without_any_known_sex_there_is_one_median(evidence: Evidence) -> None:
    like = heard("age_years", [25, 60], [None, None], np.zeros(2))
    [only] = baselines(YEARS, training([20, 30], [None, None]), like, bound(evidence, "mae"))
    assert only.scored.scores.tolist() == [25, 25]


def test_the_majority_class_takes_the_training_shares(evidence: Evidence) -> None:
    labelled = training([1, 1, 1, 0], ["male", "male", "male", "female"])
    like = heard("gender", [0, 1], ["female", "male"], np.eye(2))
    [majority] = baselines(tasks["gender"], labelled, like, bound(evidence, "accuracy"))
    assert majority.scored.scores.tolist() == [[0.25, 0.75]] * 2
    assert majority.scored.values["accuracy"] == 0.5
    assert "majority class, male" in majority.says


def test_the_verdict_is_about_the_strongest_baseline(any_evidence: Evidence) -> None:
    sign = -1 if any_evidence.metric.greater_is_better else 1
    values = {each.name: sign * each.scored.values[any_evidence.metric.name] for each in any_evidence.baselines}
    assert values[any_evidence.strongest.name] == min(values.values())
    assert f"the {any_evidence.strongest.name}" in " ".join(judge(any_evidence).sentences)
    assert summary(any_evidence)["baseline"] == sign * min(values.values())


def test_the_gain_is_the_paired_difference_whichever_way_is_better(any_evidence: Evidence) -> None:
    chosen, interval, metric = any_evidence.validated, any_evidence.gain.interval, any_evidence.metric
    difference = chosen.tuned.values[metric.name] - any_evidence.strongest.scored.values[metric.name]
    assert interval.estimate == pytest.approx(difference if metric.greater_is_better else -difference)
    assert interval.low <= interval.estimate <= interval.high
    assert any_evidence.beats_baseline == (interval.low > 0)


def answered(evidence: Evidence, scores: np.ndarray) -> Evidence:
    """Return the evidence, had every finalist given these answers."""
    tuned = evidence.finalists[0].tuned
    heard = score(evidence.task, tuned.truth, scores, tuned.rows)
    return replace(evidence, finalists=tuple(replace(each, tuned=heard) for each in evidence.finalists))


def test_estimates_that_are_a_constant_do_not_beat_the_baseline(age_evidence: Evidence) -> None:
    constant = answered(age_evidence, age_evidence.strongest.scored.scores)
    words = " ".join(judge(constant).sentences)
    assert "does not beat the baseline, as far as these speakers show" in words
    assert f"The gain over it of the fine-tuned {constant.validated.model}, the best on validation, on" in words
    assert "the same clips, is 0.00 years" in words
    assert "is not shown to beat a baseline" in judge(constant).headline
    [row] = overview_table([constant]).rows
    assert "not shown" in row.cells


def test_a_gain_that_hangs_on_one_speaker_is_not_enough(age_evidence: Evidence) -> None:
    tuned, scores = age_evidence.finalists[0].tuned, age_evidence.strongest.scored.scores.copy()
    lucky = tuned.speakers == tuned.speakers[0]
    scores[lucky] = tuned.truth[lucky]
    one = answered(age_evidence, scores)
    assert one.gain.interval.estimate > 0
    assert not one.beats_baseline
    assert f"{one.validated.model} does not beat the baseline, as far" in " ".join(judge(one).sentences)
    assert "not shown" in overview_table([one]).rows[0].cells


def test_estimates_far_off_are_worse_and_right_ones_beat_it(age_evidence: Evidence) -> None:
    truth = age_evidence.finalists[0].tuned.truth
    worse, right = answered(age_evidence, truth + 90), answered(age_evidence, truth)
    assert "it does not beat the baseline, it is worse" in " ".join(judge(worse).sentences)
    assert "no, worse" in overview_table([worse]).rows[0].cells
    assert "it beats the baseline" in " ".join(judge(right).sentences)
    assert "is not shown to beat" not in judge(right).headline
    assert "yes" in overview_table([right]).rows[0].cells


def test_both_medians_stand_in_the_table_of_results(age_evidence: Evidence) -> None:
    rows = rows_of(results_table(age_evidence))
    for baseline in age_evidence.baselines:
        assert rows[baseline.name][1] == "baseline"
        assert rows[baseline.name][3] == f"{baseline.scored.values['mae']:.2f}"
        interval = baseline.bounds["mae"].interval
        assert rows[baseline.name][-1] == f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
