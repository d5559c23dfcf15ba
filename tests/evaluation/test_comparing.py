"""Two systems on the same rows: paired intervals, tests, and refusals of other lists."""

import math
from dataclasses import replace

import numpy as np
import pytest

from evaluation.rows import EVAL, countermeasure, needs_scores, reordered, score_rows, settings, verification
from voxbench.evaluation.comparing import UNNAMED, compare
from voxbench.evaluation.intervals import trials_with_speakers
from voxbench.metrics.detection import eer
from voxbench.metrics.significance import holm, permutation_test
from voxbench.metrics.trial_bootstrap import Resampling, paired_trial_bootstrap
from voxbench.metrics.weighted_detection import weighted_eer
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import generator


def by_name(found):
    return {each.name: each for each in found.differences}


def second_of(first, gap=0.0, spread=0.3):
    """Return a system of the same rows, with `gap` more between the classes."""
    numbers = np.random.default_rng(9)
    scores, labels = first.columns
    other = scores + gap * labels + spread * numbers.normal(size=len(scores))
    return replace(first, columns=(other, labels), origin=replace(first.origin, scores="second.csv"))


def ages(errors, name="scores.csv", **changes):
    """Return ages of two recordings of each speaker that are wrong by `errors`."""
    columns = {"id": [f"u{row}" for row in range(len(errors))]} | changes
    speakers = [f"s{row // 2}" for row in range(len(errors))]
    return score_rows(
        ScoreKind.VALUE, np.full(len(errors), 30.0), 30.0 + np.array(errors), (speakers,), name=name, **columns
    )


def test_a_difference_is_that_of_the_paired_bootstrap():
    first, second = verification(), second_of(verification(), gap=1.0)
    found = by_name(compare(first, second, settings()))["eer"]
    expected = paired_trial_bootstrap(
        {"eer": weighted_eer},
        trials_with_speakers(first),
        second.columns[0],
        Resampling(200, 0.9, 2, 0.1),
        generator(7, "evaluate", "trials"),
    )["eer"]
    assert (found.first, found.second) == (eer(*first.columns), eer(*second.columns))
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.interval.estimate == found.first - found.second > 0
    assert found.test == "bootstrap"
    assert found.effect_size > 0
    assert found.smallest_detectable > 0


def test_the_speakers_of_both_sides_are_counted():
    every = verification()
    first = reordered(every, np.flatnonzero(every.speakers[0] <= "id001"))
    found = by_name(compare(first, second_of(first, gap=1.0), settings()))["eer"]
    assert len(set(first.speakers[0])) == 2
    assert found.interval.clusters == len(set(np.concatenate(first.speakers))) == 12
    one = reordered(every, np.flatnonzero(every.speakers[0] == "id000"))
    assert "undefined on" in by_name(compare(one, second_of(one, gap=1.0), settings()))["eer"].reason


def test_a_system_beside_itself_differs_in_nothing():
    for each in compare(verification(), verification(), settings()).differences:
        assert (each.interval.estimate, each.interval.low, each.interval.high) == (0, 0, 0)
        assert (each.p, each.p_holm, each.effect_size) == (1.0, 1.0, None)


def test_a_much_better_system_is_told_from_chance_and_a_little_noise_is_not():
    first = verification()
    better = by_name(compare(first, second_of(first, gap=3.0), settings()))["eer"]
    assert better.p < 0.05
    assert better.interval.low > 0
    assert 0 < better.smallest_detectable < 0.2
    alike = by_name(compare(first, second_of(first, spread=0.01), settings()))["eer"]
    assert alike.p > 0.1


def test_means_of_rows_have_the_permutation_test_of_speakers():
    first, second = ages([1, 2, 3, 4, 5, 6, 7, 9]), ages([0, 1, 1, 2, 2, 3, 9, 9])
    found = by_name(compare(first, second, settings()))
    expected = permutation_test(
        [1, 2, 3, 4, 5, 6, 7, 9],
        [0, 1, 1, 2, 2, 3, 9, 9],
        [f"s{row // 2}" for row in range(8)],
        permutations=200,
        level=0.9,
        power=0.8,
        generator=np.random.default_rng(1),
    )
    mae = found["mae"]
    assert (mae.test, mae.p, mae.effect_size) == ("permutation", expected.p, pytest.approx(expected.cohen_dz))
    assert mae.interval.estimate == pytest.approx(10 / 8)
    assert found["rmse"].test == "bootstrap"
    assert found["r2"].first is None
    assert "R2 needs two different values" in found["r2"].reason
    assert found["r2"].p_holm is None


def test_error_rates_of_texts_are_tested_by_speaker_in_their_own_unit():
    first, second = (
        score_rows(
            ScoreKind.TEXT,
            ["a b", "c d"] * 6,
            said,
            (np.repeat(list("pqrstu"), 2),),
            id=[str(row) for row in range(12)],
        )
        for said in (["a x", "c y"] * 6, ["a b", "c d"] * 5 + ["a b", "c y"])
    )
    wer = by_name(compare(first, second, settings()))["wer"]
    assert (wer.first, wer.second, wer.test) == (0.5, 1 / 24, "permutation")
    # Of six speakers five gain two errors of four words and one gains one: sd / mean in errors as in rates.
    per_row = np.array([1.0] * 5 + [0.5])
    assert wer.effect_size == pytest.approx(per_row.mean() / per_row.std(ddof=1))
    assert wer.p == 2 / 64
    test = {"permutations": 200, "level": 0.9, "power": 0.8, "generator": np.random.default_rng(1)}
    expected = permutation_test(per_row / 2, np.zeros(6), list("pqrstu"), **test)
    assert wer.smallest_detectable == pytest.approx(expected.smallest_detectable)


def test_p_values_are_adjusted_for_all_metrics():
    found = compare(verification(), second_of(verification(), gap=1.0), settings()).differences
    assert [each.p_holm for each in found] == pytest.approx(holm([each.p for each in found]))


@pytest.mark.parametrize("speakers", [True, False])
def test_rows_are_matched_by_name_in_any_order(speakers):
    first = verification() if speakers else replace(verification(), speakers=())
    second = second_of(first, gap=1.0)
    order = np.random.default_rng(4).permutation(len(first.columns[0]))
    expected = compare(first, second, settings())
    assert compare(first, reordered(second, order), settings()).differences == expected.differences
    assert compare(reordered(first, order), second, settings()).differences == expected.differences


def test_rows_that_one_system_ties_are_told_apart_by_the_other():
    labels, numbers = np.arange(40) % 2, np.random.default_rng(1)
    first = score_rows(ScoreKind.DETECTION, labels * 1.0, labels, id=[f"u{row}" for row in range(40)])
    second = replace(first, columns=(numbers.normal(size=40) + labels, labels))
    order = numbers.permutation(40)
    expected = compare(first, second, settings()).differences
    assert compare(reordered(first, order), second, settings()).differences == expected


def test_rows_without_names_are_matched_by_position_and_that_is_told():
    first = score_rows(ScoreKind.DETECTION, [1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1])
    assert compare(first, first, settings()).notes == (UNNAMED,)
    assert compare(ages([1, 2]), ages([1, 2]), settings()).notes == ()
    with pytest.raises(InputError, match="are of other lists: 4 and 2 rows"):
        compare(first, score_rows(ScoreKind.DETECTION, [1.0, 2.0], [0, 1]), settings())


def test_other_lists_truths_speakers_and_kinds_are_refused():
    first = ages([1, 2, 3, 4])
    with pytest.raises(InputError, match="other lists: 1 rows are in the first alone and 1 in the second"):
        compare(first, ages([1, 2, 3, 4], id=["u0", "u1", "u2", "x"]), settings())
    with pytest.raises(InputError, match="disagree about what is true in 1 of 4 rows"):
        compare(first, replace(first, columns=(np.array([30, 30, 30, 31.0]), first.columns[1])), settings())
    with pytest.raises(InputError, match="disagree about who speaks"):
        compare(first, replace(first, speakers=(np.array(["s0", "s0", "s1", "s2"]),)), settings())
    with pytest.raises(InputError, match="another kind or other classes: value and detection nontarget/target"):
        compare(first, verification(), settings())


def test_raw_scores_are_doubted_here_too():
    first = verification(gap=4.0)
    cosines = replace(first, columns=(np.tanh(first.columns[0] / 10), first.columns[1]))
    found = by_name(compare(first, cosines, settings()))
    assert "evidently no log-likelihood ratios" in found["cllr"].reason
    assert found["eer"].reason == ""


def test_without_resamples_there_are_values_and_no_tests():
    found = by_name(compare(verification(), second_of(verification()), settings(resamples=10)))["eer"]
    assert found.first is not None
    assert found.p is None
    assert "leave 10 resamples" in found.reason


@needs_scores
@pytest.mark.slow
def test_two_published_systems_differ():
    first, second = (
        countermeasure(f"{name}_asvspoof2019_la_eval.txt", EVAL) for name in ("air_softmax", "air2021_ecapa_ctsf")
    )
    found = by_name(compare(first, second, settings(task="anti_spoofing", resamples=100)))["eer_asvspoof"]
    assert found.interval.estimate == pytest.approx(0.05057773 - 0.04147556, abs=1e-7)
    assert found.interval.clusters == 67
    assert not math.isnan(found.p_holm)
