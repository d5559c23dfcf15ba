"""Metrics of classes, values and texts: resamples against repeated rows, and values that no order changes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.rows import reordered, score_rows, settings
from voxbench.evaluation import row_sums
from voxbench.evaluation.intervals import plan_of
from voxbench.evaluation.row_metrics import edit_counts_of, measure_rows, resampled_rows
from voxbench.evaluation.row_sums import summed_metrics
from voxbench.metrics import cluster_bootstrap, measure, metrics_of
from voxbench.metrics.joint_clusters import people_of
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import generator

WORDS = ["", "a", "a b", "b", "c b a", "a a b b"]


class Drawn:
    """A plan that draws what a test says."""

    def __init__(self, *weights):
        self.weights = weights

    def draws(self, clusters, *purpose):
        yield np.array(self.weights, dtype=np.float64)


def rows_of(kind, seed, speakers):
    """Return a row for each of `speakers`; small numbers and words, so that ties and constants occur."""
    numbers = np.random.default_rng(seed)
    rows = len(speakers)
    if kind is ScoreKind.TEXT:
        first, second = ([WORDS[place] for place in numbers.integers(len(WORDS), size=rows)] for _ in range(2))
    elif kind is ScoreKind.VALUE:
        first, second = numbers.integers(20, 23, size=rows) / 10, numbers.integers(19, 24, size=rows) / 10
    else:
        classes = int(numbers.integers(2, 4))
        weights = numbers.integers(0, 4, size=(rows, classes)) + 0.25
        first, second = numbers.integers(classes, size=rows), weights / weights.sum(axis=1, keepdims=True)
    return score_rows(kind, first, second, (speakers,))


@pytest.mark.parametrize("kind", [ScoreKind.CLASSES, ScoreKind.VALUE, ScoreKind.TEXT])
@given(
    seed=st.integers(0, 10_000),
    speakers=st.lists(st.integers(0, 3), min_size=2, max_size=12),
    weights=st.lists(st.integers(0, 3), min_size=4, max_size=4),
)
def test_a_resample_is_the_metric_of_repeated_rows(kind, seed, speakers, weights):
    distinct, cluster_N = np.unique(speakers, return_inverse=True)
    weights = np.array(weights[: len(distinct)])
    if not weights.any():
        weights[0] = 1
    scored = rows_of(kind, seed, speakers)
    counts = edit_counts_of(scored) if kind is ScoreKind.TEXT else {}
    known = measure(kind, *scored.columns)[0]
    metrics = [each for each in metrics_of(kind) if each.name in known]
    found = resampled_rows(scored, metrics, counts, people_of(np.array(speakers)), Drawn(weights))
    drawn = np.repeat(np.arange(len(speakers)), weights[cluster_N])
    expected, undefined = measure(kind, *(column[drawn] for column in scored.columns))
    for name, values in found.items():
        assert values[0] == pytest.approx(expected.get(name, math.nan), abs=1e-9, nan_ok=True), (name, undefined)


def test_only_what_cannot_be_summed_repeats_rows():
    of_kind = {
        kind: {each.name for each in metrics_of(kind)} - summed_metrics(scored, counts, np.arange(4), 4).keys()
        for kind, scored, counts in (
            (kind, each, edit_counts_of(each) if kind is ScoreKind.TEXT else {})
            for kind in (ScoreKind.CLASSES, ScoreKind.VALUE, ScoreKind.TEXT)
            for each in [rows_of(kind, 1, list("abcd"))]
        )
    }
    assert of_kind[ScoreKind.CLASSES] <= {"roc_auc", "top_2_accuracy"}
    assert of_kind[ScoreKind.VALUE] == {"median_absolute_error"}
    assert not of_kind[ScoreKind.TEXT]


def test_tables_that_would_be_too_large_are_counted_on_repeated_rows(monkeypatch):
    scored, plan = (
        rows_of(ScoreKind.CLASSES, 5, [f"s{row % 9}" for row in range(40)]),
        plan_of(rows_of(ScoreKind.CLASSES, 5, ["a", "b"]), settings().report, settings().evaluation),
    )
    fast = measure_rows(scored, plan)
    monkeypatch.setattr(row_sums, "CELLS", 1)
    for each, other in zip(fast, measure_rows(scored, plan), strict=True):
        assert each.value == other.value
        if each.interval:
            assert (each.interval.low, each.interval.high) == pytest.approx((other.interval.low, other.interval.high))


def test_intervals_are_those_of_the_general_bootstrap():
    speakers = [f"s{row % 9}" for row in range(60)]
    scored = rows_of(ScoreKind.VALUE, 3, speakers)
    plan = plan_of(scored, settings().report, settings().evaluation)
    found = {each.name: each.interval for each in measure_rows(scored, plan)}
    for metric in metrics_of(ScoreKind.VALUE):
        expected = cluster_bootstrap(
            metric.function,
            speakers,
            *scored.columns,
            resamples=200,
            level=0.9,
            generator=generator(7, "evaluate", "rows"),
        )
        interval = found[metric.name]
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9), metric.name


@pytest.mark.parametrize("speakers", [True, False])
@pytest.mark.parametrize("kind", [ScoreKind.CLASSES, ScoreKind.VALUE, ScoreKind.TEXT])
def test_no_order_of_rows_changes_a_bit(kind, speakers):
    scored = rows_of(kind, 4, [f"s{row % 7}" for row in range(50)])
    if not speakers:
        scored = score_rows(kind, *scored.columns)
    plan = plan_of(scored, settings().report, settings().evaluation)
    order = np.random.default_rng(2).permutation(50)
    assert measure_rows(scored, plan) == measure_rows(reordered(scored, order), plan)


def test_texts_have_the_rates_of_all_words_and_characters():
    scored = score_rows(ScoreKind.TEXT, ["a b c", "d e"], ["a b c", "d f g"], (["p", "q"],))
    plan = plan_of(scored, settings().report, settings().evaluation)
    wer, cer = measure_rows(scored, plan)
    assert (wer.name, wer.value, cer.name, cer.value) == ("wer", 0.4, "cer", 3 / 8)


def test_texts_without_a_reference_are_undefined_and_unsound_rows_refused():
    empty = score_rows(ScoreKind.TEXT, ["", ""], ["a", ""], (["p", "q"],))
    plan = plan_of(empty, settings().report, settings().evaluation)
    assert [(each.value, each.interval) for each in measure_rows(empty, plan)] == [(None, None)] * 2
    assert "needs a reference" in measure_rows(empty, plan)[0].reason
    with pytest.raises(InputError, match="must be finite, found 1 of 2"):
        measure_rows(score_rows(ScoreKind.VALUE, [1.0, 2.0], [np.nan, 1.0]), plan)


def test_one_class_has_reasons_and_the_rest_has_values():
    scored = score_rows(ScoreKind.CLASSES, [0, 0, 0], [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]], (list("abc"),))
    plan = plan_of(scored, settings().report, settings().evaluation)
    found = {each.name: each for each in measure_rows(scored, plan)}
    assert found["accuracy"].value == 2 / 3
    assert found["accuracy"].interval is not None
    assert found["roc_auc"].value is None
    assert "both classes" in found["roc_auc"].reason
