"""The speaker bootstrap: coverage, agreement of both forms, honest counts."""

import numpy as np
import pytest

from voxbench.metrics import (
    Interval,
    UndefinedError,
    area_under_roc,
    cluster_bootstrap,
    clustered_mean_interval,
    difference_of,
    paired_difference_interval,
    uncertainty,
)
from voxbench.metrics.regression import mae, pearson
from voxbench.schema import InputError


def clustered_values(rng, speakers, rows, between, within):
    """Normal rows around normal speaker means: true mean 0."""
    means = rng.normal(0, between, speakers)
    return (means[:, None] + rng.normal(0, within, (speakers, rows))).ravel(), np.repeat(np.arange(speakers), rows)


def ragged_table(seed):
    rng = np.random.default_rng(seed)
    speakers = np.repeat([f"id{k:02d}" for k in range(12)], rng.integers(1, 9, 12))
    order = rng.permutation(len(speakers))
    return rng.normal(size=len(speakers))[order], speakers[order]


@pytest.mark.parametrize("seed", range(3))
def test_the_fast_form_is_the_general_form_of_the_mean(seed):
    values, speakers = ragged_table(seed)
    fast = clustered_mean_interval(values, speakers, resamples=300, level=0.9, generator=np.random.default_rng(seed))
    general = cluster_bootstrap(
        np.mean, speakers, values, resamples=300, level=0.9, generator=np.random.default_rng(seed)
    )
    assert [fast.estimate, fast.low, fast.high] == pytest.approx(
        [general.estimate, general.low, general.high], rel=1e-12
    )
    assert (fast.clusters, fast.undefined) == (general.clusters, general.undefined) == (12, 0)


def test_a_resample_repeats_whole_speakers():
    sizes = {"a": 2, "b": 3, "c": 1}
    speakers = np.repeat(list(sizes), list(sizes.values()))
    seen = []

    def record(names, rows):
        counts = {name: int((names == name).sum()) for name in sizes}
        assert all(counts[name] % sizes[name] == 0 for name in sizes)
        assert all(speakers[row] == name for name, row in zip(names, rows, strict=True))
        seen.append(sum(counts[name] // sizes[name] for name in sizes))
        return float(len(names))

    interval = cluster_bootstrap(
        record, speakers, speakers, np.arange(6), resamples=200, level=0.9, generator=np.random.default_rng(0)
    )
    assert seen[1:] == [3] * 200
    assert interval.estimate == 6
    assert interval.low < 6 < interval.high


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(2024)
    hits, trials = 0, 400
    for _ in range(trials):
        values, speakers = clustered_values(rng, speakers=40, rows=5, between=1.0, within=1.0)
        interval = clustered_mean_interval(values, speakers, resamples=400, level=0.9, generator=rng)
        hits += interval.low <= 0 <= interval.high
    # Three standard errors of a binomial at 0.9 are 0.045; 40 clusters cost about a hundredth.
    assert 0.845 <= hits / trials <= 0.945


def test_the_naive_bootstrap_is_too_narrow_when_a_speaker_repeats_itself():
    values, speakers = clustered_values(np.random.default_rng(5), speakers=40, rows=25, between=1.0, within=0.1)
    clustered, naive = (
        clustered_mean_interval(values, clusters, resamples=1000, level=0.95, generator=np.random.default_rng(6))
        for clusters in (speakers, np.arange(len(values)))
    )
    # With 25 equal rows per speaker the true ratio of widths is the square root of 25.
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(5, rel=0.2)


def test_the_width_is_that_of_the_normal_theory():
    values = np.random.default_rng(8).normal(size=400)
    interval = clustered_mean_interval(
        values, np.arange(400), resamples=4000, level=0.95, generator=np.random.default_rng(9)
    )
    expected = 2 * 1.96 * values.std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.06)


def test_resamples_with_one_class_are_counted_not_dropped_in_silence():
    truth, scores, speakers = np.array([0, 1, 1]), np.array([0.1, 0.9, 0.8]), np.array(["a", "b", "c"])
    interval = cluster_bootstrap(
        area_under_roc, speakers, truth, scores,
        resamples=3000, level=0.95, generator=np.random.default_rng(1),
    )  # fmt: skip
    # No "a": (2/3)^3 = 8/27; only "a": 1/27.
    assert interval.undefined / interval.resamples == pytest.approx(9 / 27, abs=0.03)
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_nan_counts_as_undefined():
    values = np.array([1.0, 2.0, 3.0])

    def nan_without_first(rows):
        return float(rows.mean()) if 1.0 in rows else float("nan")

    interval = cluster_bootstrap(
        nan_without_first, [1, 2, 3], values, resamples=900, level=0.9, generator=np.random.default_rng(1)
    )
    assert interval.undefined / 900 == pytest.approx(8 / 27, abs=0.05)
    assert np.isfinite([interval.low, interval.high]).all()


def test_an_estimate_without_a_value_is_an_error():
    arguments = {"resamples": 10, "level": 0.9}
    with pytest.raises(UndefinedError, match="both classes"):
        cluster_bootstrap(
            area_under_roc, ["a", "b"], [1, 1], [0.1, 0.2], **arguments, generator=np.random.default_rng(0)
        )
    with pytest.raises(UndefinedError, match="whole sample is nan"):
        cluster_bootstrap(lambda: float("nan"), ["a", "b"], **arguments, generator=np.random.default_rng(0))


def test_a_statistic_without_a_value_in_any_resample_is_an_error():
    calls = iter([1.0] + [float("nan")] * 10)
    with pytest.raises(UndefinedError, match="all 10 resamples"):
        cluster_bootstrap(lambda: next(calls), ["a", "b"], resamples=10, level=0.9, generator=np.random.default_rng(0))


def test_unsound_input_in_the_statistic_is_not_swallowed():
    calls = iter([1.0])

    def fail():
        for value in calls:
            return value
        raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        cluster_bootstrap(fail, ["a", "b"], resamples=10, level=0.9, generator=np.random.default_rng(0))


def test_equal_seeds_give_equal_intervals_whatever_the_order_and_the_part_size(monkeypatch):
    values, speakers = ragged_table(0)
    values = np.round(values * 8) / 8

    def interval(order):
        return clustered_mean_interval(
            values[order], speakers[order], resamples=100, level=0.9, generator=np.random.default_rng(3)
        )

    first = interval(np.arange(len(values)))
    assert first == interval(np.arange(len(values))) == interval(np.argsort(values))
    monkeypatch.setattr(uncertainty, "WEIGHTS_AT_ONCE", 100)
    assert interval(np.arange(len(values))) == first


def test_constant_values_have_an_interval_of_no_width():
    found = clustered_mean_interval(
        [1, 1, 1], ["a", "b", "b"], resamples=50, level=0.95, generator=np.random.default_rng(0)
    )
    assert found == Interval(1.0, 1.0, 1.0, 0.95, clusters=2, resamples=50, undefined=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"clusters": ["a", "a"]}, "at least 2, found only a"),
        ({"clusters": []}, "non-empty"),
        ({"clusters": ["a", None]}, "NoneType, str"),
        ({"clusters": [1.0, float("nan")]}, "found float"),
        ({"clusters": ["a", "b", "c"]}, "3 rows"),
        ({"values": [1.0, float("nan")]}, "finite"),
        ({"values": [[1.0], [2.0]]}, r"shape \(2, 1\)"),
        ({"resamples": 0}, "resamples"),
        ({"level": 95}, "95 % is 0.95"),
    ],
)
def test_bad_arguments_are_refused(change, reason):
    arguments = {"values": [0.0, 1.0], "clusters": ["a", "b"], "resamples": 10, "level": 0.9} | change
    with pytest.raises(InputError, match=reason):
        clustered_mean_interval(**arguments, generator=np.random.default_rng(0))


def test_the_general_form_refuses_arrays_of_another_length():
    with pytest.raises(InputError, match="2 rows but an array"):
        cluster_bootstrap(np.mean, ["a", "b"], [1, 2, 3], resamples=5, level=0.9, generator=np.random.default_rng(0))


def paired_errors(seed, speakers=30, rows=6):
    """Absolute errors of two systems that find the same speakers hard; the first is better by 0.5."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.exponential(5, speakers), rows)
    errors = [hard + shift + rng.uniform(0, 1, speakers * rows) for shift in (0.0, 0.5)]
    return *errors, np.repeat([f"id{k:02d}" for k in range(speakers)], rows)


PAIRED = {"resamples": 300, "level": 0.95}


def paired(a, b, speakers, seed=0):
    return paired_difference_interval(a, b, speakers, **PAIRED, generator=np.random.default_rng(seed))


def test_a_paired_difference_by_hand():
    # Speaker a: -1 in both rows, speaker b: +1; so the resamples have the means -1, 0 and 1.
    found = paired([1, 2, 5, 6], [2, 3, 4, 5], list("aabb"))
    assert (found.estimate, found.low, found.high, found.clusters) == (0, -1, 1, 2)


def test_pairing_sees_what_two_separate_intervals_hide():
    a, b, speakers = paired_errors(0)
    alone_a, alone_b = (
        clustered_mean_interval(values, speakers, **PAIRED, generator=np.random.default_rng(0)) for values in (a, b)
    )
    assert alone_a.high > alone_b.low
    together = paired(a, b, speakers)
    assert together.high < 0
    assert together.estimate == pytest.approx(alone_a.estimate - alone_b.estimate, rel=1e-12)
    assert together.high - together.low < 0.1 * (alone_a.high - alone_a.low)


def test_swapping_the_systems_mirrors_the_interval():
    a, b, speakers = paired_errors(1)
    forth, back = paired(a, b, speakers), paired(b, a, speakers)
    assert [forth.estimate, forth.low, forth.high] == pytest.approx([-back.estimate, -back.high, -back.low], rel=1e-12)
    same = paired(a, a, speakers)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)


def test_neither_row_order_nor_speaker_names_move_the_paired_estimate():
    a, b, speakers = paired_errors(2)
    order = np.random.default_rng(0).permutation(len(a))
    first, shuffled = paired(a, b, speakers), paired(a[order], b[order], speakers[order])
    assert [shuffled.estimate, shuffled.low, shuffled.high] == pytest.approx([first.estimate, first.low, first.high])
    renamed = paired(a, b, np.array([f"{name[::-1]}x" for name in speakers]))
    assert renamed.estimate == first.estimate
    assert renamed.clusters == first.clusters


def test_the_difference_of_a_mean_is_the_paired_interval():
    rng = np.random.default_rng(3)
    truth, speakers = rng.integers(18, 70, 90), np.repeat(np.arange(15), 6)
    a, b = truth + rng.normal(0, 5, 90), np.full(90, 40.0)
    general = cluster_bootstrap(difference_of(mae), speakers, truth, a, b, **PAIRED, generator=np.random.default_rng(0))
    fast = paired(np.abs(a - truth), np.abs(b - truth), speakers)
    assert [general.estimate, general.low, general.high] == pytest.approx([fast.estimate, fast.low, fast.high])


def test_the_difference_takes_both_systems_of_the_same_resample():
    rng = np.random.default_rng(4)
    truth, speakers = rng.integers(0, 2, 80), np.repeat(np.arange(20), 4)
    scores = rng.normal(truth, 1)
    # An increasing map keeps the area on any one resample, so the difference is 0 on all of them.
    found = cluster_bootstrap(
        difference_of(area_under_roc), speakers, truth, scores, np.exp(scores), **PAIRED,
        generator=np.random.default_rng(0),
    )  # fmt: skip
    assert (found.estimate, found.low, found.high, found.undefined) == (0, 0, 0, 0)
    better = difference_of(area_under_roc)(truth, truth, scores)
    assert better == 1 - area_under_roc(truth, scores) > 0


def test_a_difference_is_undefined_where_one_side_is():
    truth, constant_without_c = [20, 30, 40], [5, 5, 6]
    found = cluster_bootstrap(
        difference_of(pearson), list("abc"), truth, truth, constant_without_c, resamples=2000, level=0.9,
        generator=np.random.default_rng(0),
    )  # fmt: skip
    # No "c": 8/27; only "c": 1/27.
    assert found.undefined / found.resamples == pytest.approx(9 / 27, abs=0.04)


def test_a_pair_of_different_rows_is_refused():
    with pytest.raises(InputError, match=r"same rows: values_a has shape \(3,\), values_b \(2,\)"):
        paired([1, 2, 3], [1, 2], list("abc"))
    with pytest.raises(InputError, match=r"values_b \(\)"):
        paired([1, 2, 3], 2, list("abc"))
    with pytest.raises(InputError, match="values_b must be finite"):
        paired([1, 2], [1, np.nan], list("ab"))
