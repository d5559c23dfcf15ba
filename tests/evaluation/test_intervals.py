"""How intervals are drawn: over what, how often, and the sentence that says so."""

import numpy as np
import pytest

from evaluation.rows import reordered, score_rows, settings, verification
from voxbench.evaluation.intervals import Plan, content_order, plan_of, trials_with_speakers
from voxbench.metrics.uncertainty import cluster_weights
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import generator


def plan(scored, **changes):
    chosen = settings(**changes)
    return plan_of(scored, chosen.report, chosen.evaluation)


def test_what_is_drawn_is_what_is_known_of_speakers():
    scores, labels, speakers = [1.0, 2.0], [0, 1], ["a", "a"]
    found = [plan(score_rows(ScoreKind.DETECTION, scores, labels, [speakers] * sides)).over for sides in range(3)]
    assert found == ["rows", "speakers", "both speakers"]
    with pytest.raises(InputError, match="a row of text scores has one speaker, found columns of 2"):
        plan(score_rows(ScoreKind.TEXT, ["a"], ["a"], [["p"], ["q"]]))


def test_the_sentence_says_over_what_and_how_often():
    alone = score_rows(ScoreKind.DETECTION, np.arange(10.0), [0, 1] * 5)
    assert plan(alone).described == (
        "90 % intervals from 200 resamples of rows, as nobody says who speaks: too narrow where speakers repeat."
    )
    assert plan(verification()).described == (
        "90 % intervals from 200 resamples of speakers, those of both sides of a trial."
    )
    assert plan(alone, draws=1500, resamples=2000).described.startswith(
        "90 % intervals from 150 resamples instead of 2,000, as the list is long of rows,"
    )


def test_long_lists_are_drawn_less_often_and_very_long_ones_not_at_all():
    scored = verification()
    rows = len(scored.columns[0])
    assert plan(scored, draws=rows * 150, resamples=2000).resamples == 150
    assert plan(scored, draws=rows * 100, resamples=2000).resamples == 100
    none = plan(scored, draws=rows * 100 - 1, resamples=2000)
    assert (none.resamples, none.interval("eer", 0.1, None, 9)[0]) == (0, None)
    assert "leave 99 resamples" in none.why_none
    assert none.described == f"No intervals: {none.why_none}."
    assert "leave 99 resamples" in plan(scored, resamples=99).why_none


def test_draws_of_speakers_are_those_of_the_bootstrap():
    found = np.concatenate(list(plan(verification()).draws(12, "trials")))
    expected = np.concatenate(list(cluster_weights(12, 200, generator(7, "evaluate", "trials"))))
    assert (found == expected).all()
    assert (found.sum(axis=1) == 12).all()


def test_draws_of_rows_are_whole_and_independent_of_the_parts(monkeypatch):
    drawn = plan(score_rows(ScoreKind.DETECTION, np.arange(10.0), [0, 1] * 5))
    found = np.concatenate(list(drawn.draws(10, "trials")))
    assert found.shape == (200, 10)
    assert (found.sum(axis=1) == 10).all()
    assert 0.3 < (found == 0).mean() < 0.4  # (1 - 1/10)^10 = 0.349
    monkeypatch.setattr("voxbench.evaluation.intervals.WEIGHTS_AT_ONCE", 35)
    assert (np.concatenate(list(drawn.draws(10, "trials"))) == found).all()


def test_missing_intervals_have_reasons():
    drawn = Plan("speakers", 200, 200, 0.9, 0.1, 7, "")
    values = np.append(np.full(21, np.nan), np.arange(179.0))
    interval, reason = drawn.interval("auc", 1.0, values, 5)
    assert interval is None
    assert reason == "auc is undefined on 21 of 200 resamples, at most 0.1 of them may be"
    assert drawn.interval("auc", 1.0, values[1:], 5)[0] is None
    assert drawn.interval("auc", 1.0, np.append(values[1:], 1.0), 5)[0].undefined == 20
    assert drawn.interval("auc", 1.0, values[1:], 1) == (None, "an interval needs two speakers to resample, found 1")
    both = drawn.measured("cllr", 2.0, None, 0, "no ratios")
    assert both.reason == "no ratios; an interval needs two speakers to resample, found 0"


@pytest.mark.parametrize(
    "scored",
    [
        score_rows(ScoreKind.DETECTION, [2.0, 1.0, 2.0, 0.5], [1, 0, 0, 1]),
        score_rows(ScoreKind.TEXT, ["b", "a", "a", ""], ["x", "y", "x", ""]),
        score_rows(ScoreKind.CLASSES, [1, 0, 1, 1], [[0.5, 0.5], [0.5, 0.5], [0.1, 0.9], [0.3, 0.7]]),
    ],
)
def test_rows_are_numbered_by_content(scored):
    for order in ([3, 1, 0, 2], [2, 3, 1, 0]):
        other = reordered(scored, order)
        for ours, theirs in zip(scored.columns, other.columns, strict=True):
            assert (ours[content_order(scored)] == theirs[content_order(other)]).all()


def test_trials_without_speakers_are_clusters_of_their_own():
    trials = trials_with_speakers(score_rows(ScoreKind.DETECTION, [3.0, 1.0, 2.0], [1, 0, 1]))
    assert trials.enroll.tolist() == trials.test.tolist() == [2, 0, 1]
    assert trials.speakers.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"labels must lie in 0\.\.1"):
        trials_with_speakers(score_rows(ScoreKind.DETECTION, [3.0, 1.0], [1, 2]))
