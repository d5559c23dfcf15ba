"""Bins, reports of trials by group, and gaps: by hand, nobody lost, and no gap where there is none."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from voxbench.metrics import UndefinedError
from voxbench.metrics.gaps import gap_between
from voxbench.metrics.groups import (
    TRIAL_COLUMNS,
    UNKNOWN,
    by_group,
    gap,
    gap_of_means,
    gap_of_trials,
    in_bins,
    trials_by_group,
    worst_group,
)
from voxbench.metrics.trial_bootstrap import Resampling, rows_of, trial_bootstrap, trials_of
from voxbench.metrics.uncertainty import cluster_weights
from voxbench.metrics.weighted_detection import (
    weighted_auc,
    weighted_eer,
    weighted_false_alarm_rate,
    weighted_min_dcf,
    weighted_miss_rate,
)
from voxbench.schema import InputError
from voxbench.seeding import generator

RESAMPLING = Resampling(resamples=200, level=0.9, min_speakers=5, max_undefined=0.05)
METRICS = {"eer": weighted_eer, "min_dcf": weighted_min_dcf(0.5, 1, 1)}


def test_a_bin_holds_its_lower_edge_and_no_number_is_lost():
    binned = in_bins([2, 1.9999, 5, -np.inf, 4.999, np.inf, 10, np.nan], edges=[2, 5, 10], unit="s")
    assert binned.categories.tolist() == ["< 2 s", "2 to < 5 s", "5 to < 10 s", ">= 10 s"]
    assert binned.codes.tolist() == [1, 0, 2, 0, 1, 3, 3, -1]
    assert binned.ordered


@pytest.mark.parametrize(
    "column",
    [[1, None, 3], pd.array([1, None, 3], dtype="Int64"), pd.Series([1.0, np.nan, 3.0], index=[7, 5, 3]),
     np.array([1, np.nan, 3], dtype=np.float32), pd.Series([1, None, 3], dtype=object)],
)  # fmt: skip
def test_missing_numbers_stay_missing(column):
    assert in_bins([None, None], edges=[2.5], unit="dB").codes.tolist() == [-1, -1]
    assert in_bins(column, edges=[2.5], unit="dB").tolist() == ["< 2.5 dB", np.nan, ">= 2.5 dB"]
    table = by_group([1, 2, 4], pd.DataFrame({"snr": in_bins(column, [2.5], "dB")}), list("abc"),
                     min_clusters=2, resamples=5, level=0.9, seed=1)  # fmt: skip
    assert table[["snr", "mean"]].to_numpy().tolist() == [["< 2.5 dB", 1], [">= 2.5 dB", 4], [UNKNOWN, 2]]


def test_a_report_by_bins_is_in_the_order_of_the_numbers_without_empty_bins():
    seconds = pd.DataFrame({"duration": in_bins([30, 4, 11, 3], edges=[5, 10, 20], unit="s")})
    table = by_group([1, 2, 4, 8], seconds, list("abcd"), min_clusters=2, resamples=5, level=0.9, seed=1)
    assert table["duration"].tolist() == ["< 5 s", "10 to < 20 s", ">= 20 s"]
    assert table["mean"].tolist() == [5, 4, 1]


@pytest.mark.parametrize(
    ("values", "edges", "reason"),
    [
        ([1, 2], [], "one or more rising numbers, found \\[\\]"),
        ([1, 2], [3, 3], "rising"),
        ([1, 2], [3, 2], "rising"),
        ([1, 2], [[1, 2]], "rising"),
        ([1, 2], [1, np.inf], "edges must be finite"),
        (["a", "b"], [1], "words are groups as they are"),
        (["1", "2"], [1], "column of numbers"),
        ([True, False], [1], "found bool"),
        (pd.array([True, None], dtype="boolean"), [1], "found bool"),
    ],
)
def test_what_cannot_be_binned_is_refused(values, edges, reason):
    with pytest.raises(InputError, match=reason):
        in_bins(values, edges, "s")


def table_of_trials(seed=0, speakers=40, rows=2000):
    """Trials whose noise depends on the codec, and labels of trials with a missing one."""
    rng = np.random.default_rng(seed)
    enroll = rng.integers(0, speakers, rows)
    labels = (rng.random(rows) < 0.4).astype(int)
    test = np.where(labels == 1, enroll, (enroll + rng.integers(1, speakers, rows)) % speakers)
    groups = pd.DataFrame({"codec": rng.choice(["alaw", "gsm", None], rows, p=[0.5, 0.45, 0.05])})
    noise = np.where(groups["codec"] == "gsm", 3.0, 1.0)
    return trials_of(2 * labels + noise * rng.normal(0, 1, rows), labels, enroll, test), groups


def test_every_trial_counts_in_one_group_with_the_value_and_interval_of_the_group_alone():
    trials, groups = table_of_trials()
    table = trials_by_group(METRICS, trials, groups, RESAMPLING, seed=7)
    assert table.columns.tolist() == ["codec", *TRIAL_COLUMNS]
    assert table[["codec", "metric"]].to_numpy().tolist() == [
        [codec, metric] for codec in ("alaw", "gsm", UNKNOWN) for metric in METRICS
    ]
    of_eer = table[table["metric"] == "eer"]
    assert (of_eer["rows"].sum(), of_eer["targets"].sum()) == (2000, trials.is_target.sum())
    part = rows_of(trials, np.flatnonzero(groups["codec"] == "gsm"))
    alone = trial_bootstrap(METRICS, part, RESAMPLING, generator(7, "groups", "trials", "codec=gsm"))
    for name, row in table[table["codec"] == "gsm"].set_index("metric").iterrows():
        assert (row["value"], row["low"], row["high"]) == (alone[name].estimate, alone[name].low, alone[name].high)
        assert (row["clusters"], row["note"]) == (40, "")


def test_the_worst_group_of_trials_and_the_gap():
    trials, groups = table_of_trials()
    table = trials_by_group(METRICS, trials, groups, RESAMPLING, seed=7)
    of_eer = table[table["metric"] == "eer"]
    assert worst_group(of_eer, greater_is_better=False)["codec"] == "gsm"
    found = gap_of_trials(weighted_eer, trials, groups, RESAMPLING, seed=7)
    assert (found.highest, found.groups) == ("codec=gsm", 3)
    assert found.interval.estimate == pytest.approx(gap(of_eer), rel=1e-12)
    assert 0 < found.interval.low < found.interval.estimate < found.interval.high
    assert found.chance < found.interval.estimate
    assert found.p < 0.05
    # The hundred trials of unknown codec alone can put equal groups far apart.
    known = groups["codec"].notna().to_numpy()
    without = gap_of_trials(weighted_eer, rows_of(trials, np.flatnonzero(known)), groups[known], RESAMPLING, seed=7)
    assert without.chance < min(found.chance / 2, without.interval.low)
    assert (without.p, without.groups) == (1 / 201, 2)
    assert found == gap_of_trials(weighted_eer, trials, groups, RESAMPLING, seed=7)


def test_small_groups_and_groups_of_one_class_are_listed_with_the_reason():
    pairs = [*combinations(range(6), 2), (4, 5), (5, 6), (6, 7), (7, 0)]
    rows = [(1.0, 1, k, k) for k in range(8)] + [(0.0, 0, j, k) for j, k in pairs]
    groups = pd.DataFrame({"attack": ["a"] * 6 + ["b"] * 2 + ["a"] * 15 + ["c"] * 4})
    trials = trials_of(*zip(*rows, strict=True))
    table = trials_by_group({"auc": weighted_auc}, trials, groups, RESAMPLING, seed=1).set_index("attack")
    assert table[["rows", "targets", "clusters"]].to_numpy().tolist() == [[21, 6, 6], [2, 2, 2], [4, 0, 5]]
    assert table["value"].iloc[0] == 1
    assert np.isnan(table["value"].iloc[1:].tolist()).all()
    assert table["low"].notna().tolist() == [True, False, False]
    assert table["note"].iloc[0] == ""
    assert table["note"].iloc[1] == "too few speakers for an interval: 2, expected 5 or more"
    assert "found 0 target and 4 nontarget trials" in table["note"].iloc[2]
    with pytest.raises(UndefinedError, match="two groups of at least 5 speakers with a value, found 1"):
        gap_of_trials(weighted_auc, trials, groups, RESAMPLING, seed=1)


def test_equalised_odds_compares_both_rates_at_one_threshold():
    trials, groups = table_of_trials()
    for metric, worst in ((weighted_miss_rate(1.0), "codec=gsm"), (weighted_false_alarm_rate(1.0), "codec=gsm")):
        found = gap_of_trials(metric, trials, groups[["codec"]].fillna("alaw"), RESAMPLING, seed=1)
        assert (found.highest, found.groups) == (worst, 2)
        assert found.interval.low > 0


def mean_score(trials):
    return trials.scores @ trials.weights / trials.weights.sum(axis=0)


def test_the_order_of_trials_and_a_shared_draw_for_all_groups():
    trials, groups = table_of_trials()
    found = gap_of_trials(weighted_auc, trials, groups, RESAMPLING, seed=1)
    # The same trials again, shifted: whatever the draw, the means are one apart.
    halves = pd.DataFrame({"half": np.repeat(["x", "y"], 2000)})
    twice = trials_of(*(np.tile(column, 2) for column in (trials.scores, trials.is_target.astype(int),
                                                          trials.enroll, trials.test)))  # fmt: skip
    shifted = replace(twice, scores=twice.scores + np.repeat([0, 1], 2000))
    apart = gap_of_trials(mean_score, shifted, halves, RESAMPLING, seed=1)
    assert (apart.highest, apart.lowest, apart.p) == ("half=y", "half=x", 1 / 201)
    assert [apart.interval.low, apart.interval.high] == pytest.approx([1, 1], rel=1e-9)
    same = gap_of_trials(weighted_auc, twice, halves, RESAMPLING, seed=1)
    assert (same.highest, same.lowest, same.interval.low, same.interval.high) == ("half=x", "half=y", 0, 0)
    assert same.p == 1
    order = np.random.default_rng(0).permutation(2000)
    moved = trials_of(trials.scores[order], trials.is_target[order].astype(int), trials.enroll[order],
                      trials.test[order])  # fmt: skip
    again = gap_of_trials(weighted_auc, moved, groups.iloc[order], RESAMPLING, seed=1)
    assert [again.interval.low, again.p] == pytest.approx([found.interval.low, found.p], rel=1e-12)


def test_a_group_of_some_speakers_takes_their_own_multiplicities_and_a_small_one_no_part():
    names = np.arange(24)
    scores = np.random.default_rng(0).normal(0, 1, 24)
    groups = pd.DataFrame({"g": ["y"] * 10 + ["x"] * 12 + ["z"] * 2})
    found = gap_of_trials(mean_score, trials_of(scores, [1] * 24, names, names), groups, RESAMPLING, seed=3)
    assert found.groups == 2
    drawn_RK = np.vstack(list(cluster_weights(24, 200, generator(3, "groups", "gap", "g"))))
    means = {g: drawn_RK[:, part] @ scores[part] / drawn_RK[:, part].sum(axis=1)
             for g, part in (("g=y", slice(10)), ("g=x", slice(10, 22)))}  # fmt: skip
    bounds = np.quantile(means[found.highest] - means[found.lowest], [0.05, 0.95])
    assert [found.interval.low, found.interval.high] == pytest.approx(bounds, rel=1e-9)


def voices(rng, apart):
    """Sixty speakers in three groups whose means are 0, apart / 2 and apart."""
    groups = np.repeat(["a", "b", "c"], 20)
    means = rng.normal(0, 1, 60) + apart * np.searchsorted(["a", "b", "c"], groups) / 2
    return np.repeat(means, 3) + rng.normal(0, 1, 180), pd.DataFrame({"g": np.repeat(groups, 3)}), np.arange(180) // 3


def test_the_gap_of_means_is_that_of_the_report():
    values, groups, speakers = voices(np.random.default_rng(0), apart=3)
    table = by_group(values, groups, speakers, min_clusters=5, resamples=5, level=0.9, seed=1)
    found = gap_of_means(values, groups, speakers, RESAMPLING, seed=1)
    assert found.interval.estimate == pytest.approx(gap(table), rel=1e-12)
    assert (found.highest, found.lowest, found.groups, found.interval.clusters) == ("g=c", "g=a", 3, 60)
    small = Resampling(200, 0.9, 21, 0.05)
    with pytest.raises(UndefinedError, match="at least 21 speakers with a value, found 0"):
        gap_of_means(values, groups, speakers, small, seed=1)


def test_equal_groups_seldom_show_a_gap_and_a_real_one_is_held():
    rng, small, held, times = np.random.default_rng(1), 0, 0, 200
    for seed in range(times):
        small += gap_of_means(*voices(rng, apart=0), RESAMPLING, seed).p <= 0.1
        found = gap_of_means(*voices(rng, apart=2), RESAMPLING, seed)
        held += found.interval.low <= 2 <= found.interval.high
    # Three standard errors of a binomial at 0.1 are 0.064.
    assert small / times == pytest.approx(0.1, abs=0.064)
    assert held / times == pytest.approx(0.88, abs=0.07)


def test_too_many_resamples_without_a_group_are_refused():
    values = np.array([[1.0, np.nan, 2.0, 2.0], [0.0, 0.0, 1.0, 0.0]])
    labels = [{"g": "x"}, {"g": "y"}]
    with pytest.raises(UndefinedError, match=r"no value on 1 of 4 resamples, at most 0\.2"):
        gap_between(labels, np.array([1.0, 0.0]), values, Resampling(4, 0.9, 2, 0.2), clusters=9)
    found = gap_between(labels, np.array([1.0, 0.0]), values, Resampling(4, 0.9, 2, 0.25), clusters=9)
    # Without the differences found the defined resamples are 0 and 0, 1 and 1, 1 and 0 apart from them: gaps 0, 0, 1.
    assert (found.interval.undefined, found.p) == (1, 0.5)


def test_settings_out_of_range_are_no_note_of_a_group():
    trials, groups = table_of_trials()
    with pytest.raises(InputError, match=r"95 % is 0\.95"):
        trials_by_group(METRICS, trials, groups, Resampling(10, 95, 5, 0.1), seed=1)


def test_a_label_named_value_leaves_a_report_of_means_alone():
    table = by_group([1, 2, 4, 8], pd.DataFrame({"value": list("xxyy")}), list("abcd"),
                     min_clusters=2, resamples=5, level=0.9, seed=1)  # fmt: skip
    assert gap(table) == 4.5


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (pd.DataFrame({"codec": ["x"]}), "2000 rows but groups has 1"),
        (pd.DataFrame({"value": ["x"] * 2000}), "'value' of its own"),
        (pd.DataFrame({"mean": ["x"] * 2000}), "'mean' of its own"),
        (pd.DataFrame({"snr": [0.5] * 2000}), "name ranges"),
    ],
)
def test_bad_groups_of_trials_are_refused(groups, reason):
    trials, _ = table_of_trials()
    with pytest.raises(InputError, match=reason):
        trials_by_group(METRICS, trials, groups, RESAMPLING, seed=1)
    with pytest.raises(InputError, match=reason):
        gap_of_trials(weighted_eer, trials, groups, RESAMPLING, seed=1)


def test_groups_of_exactly_the_least_number_of_speakers_take_part():
    groups, least = pd.DataFrame({"sex": list("fffmmmm")}), replace(RESAMPLING, max_undefined=0.5)
    for fewest, error in ((3, False), (4, True)):
        resampling = replace(least, min_speakers=fewest)
        if error:
            with pytest.raises(UndefinedError, match="two groups of at least 4 speakers with a value, found 1"):
                gap_of_means([1, 1, 1, 5, 5, 5, 5], groups, list("abcdefg"), resampling, seed=1)
        else:
            found = gap_of_means([1, 1, 1, 5, 5, 5, 5], groups, list("abcdefg"), resampling, seed=1)
            assert (found.interval.estimate, found.groups) == (4, 2)
