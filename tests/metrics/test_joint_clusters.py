"""Intervals over speakers who share rows: equal to the plain ones where nobody does, and by brute force otherwise."""

import numpy as np
import pandas as pd
import pytest

from voxbench import seeding
from voxbench.evaluation.group_ratios import gap_of_ratios, ratios_by_group
from voxbench.metrics import METRICS, cluster_bootstrap, clustered_mean_interval
from voxbench.metrics.groups import by_group, gap_of_means
from voxbench.metrics.joint_clusters import people_of
from voxbench.metrics.trial_bootstrap import Resampling
from voxbench.metrics.uncertainty import cluster_weights
from voxbench.schema import InputError

SETTINGS = {"resamples": 300, "level": 0.9}


def draws(seed=1):
    return np.random.default_rng(seed)


def crowd(rows=200, people=12, most=3, seed=4):
    """Return rows of one to `most` of some people, right more or less often by who is in them."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=people)
    members = [tuple(rng.choice(people, 1 + row % most, replace=False)) for row in range(rows)]
    correct = np.array([float(rng.random() < 1 / (1 + np.exp(-2 * ease[list(row)].mean()))) for row in members])
    return [tuple(f"p{name:02d}" for name in row) for row in members], correct


def test_rows_of_one_speaker_each_get_the_plain_interval_to_the_bit():
    rng = np.random.default_rng(2)
    speakers, truth = [f"s{number}" for number in rng.integers(0, 9, 80)], rng.integers(0, 2, 80)
    scores = rng.dirichlet((1, 1), 80)
    for name in ("accuracy", "roc_auc"):
        metric = METRICS[name].function
        plain = cluster_bootstrap(metric, speakers, truth, scores, **SETTINGS, generator=draws())
        joint = cluster_bootstrap(
            metric, [(speaker,) for speaker in speakers], truth, scores, **SETTINGS, generator=draws()
        )
        assert joint == plain


def test_a_row_comes_as_often_as_the_product_of_its_speakers():
    """Brute force: each row is written out as many times, one by one."""
    members, correct = crowd(rows=30, people=6)
    names = sorted({name for row in members for name in row})
    values = []
    for weights in cluster_weights(len(names), SETTINGS["resamples"], draws()):
        for weight in weights:
            often = dict(zip(names, weight, strict=True))
            chosen = []
            for row, value in zip(members, correct, strict=True):
                times = 1
                for name in row:
                    times *= int(often[name])
                chosen += [value] * times
            values.append(np.mean(chosen) if chosen else np.nan)
    found = cluster_bootstrap(np.mean, members, correct, **SETTINGS, generator=draws())
    low, high = np.nanquantile(values, [0.05, 0.95])
    assert (found.estimate, found.low, found.high) == pytest.approx((correct.mean(), low, high), abs=1e-12)
    assert (found.clusters, found.resamples, found.undefined) == (6, 300, int(np.isnan(values).sum()))


def test_shared_voices_make_the_interval_wider_than_rows_would():
    members, correct = crowd()
    rows = [(f"row{number}",) for number in range(len(members))]
    widths = []
    for clusters in (rows, members):
        found = cluster_bootstrap(np.mean, clusters, correct, **SETTINGS, generator=draws())
        widths.append(found.high - found.low)
    assert widths[1] > 1.5 * widths[0]


def test_neither_the_order_of_the_rows_nor_that_of_their_speakers_matters():
    members, correct = crowd(rows=40)
    order = np.random.default_rng(3).permutation(len(members))
    turned = [members[place][::-1] for place in order]
    first = cluster_bootstrap(np.mean, members, correct, **SETTINGS, generator=draws())
    second = cluster_bootstrap(np.mean, turned, correct[order], **SETTINGS, generator=draws())
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=1e-12)


@pytest.mark.parametrize(
    ("members", "values", "message"),
    [
        ([("a",), ()], [1.0, 0.0], "1 of 2 rows name no speaker"),
        ([("a",), ("b",)], [1.0], r"clusters has 2 rows but an array has shape \(1,\)"),
        ([("a",), ("a",)], [1.0, 0.0], "at least 2, found only a"),
        ([("a", None), ("b",)], [1.0, 0.0], "name every speaker"),
        ([], [], "non-empty"),
    ],
)
def test_unsound_input_is_refused(members, values, message):
    with pytest.raises(InputError, match=message):
        cluster_bootstrap(np.mean, members, values, **SETTINGS, generator=draws())


def often_of(members, resamples, generator):
    """Return how often each row comes in each resample (R, N), written out person by person."""
    names = sorted({name for row in members for name in row})
    drawn = np.concatenate(list(cluster_weights(len(names), resamples, generator)))
    columns = [np.prod([drawn[:, names.index(name)] for name in row], axis=0) for row in members]
    return np.stack(columns, axis=1)


def test_the_fast_mean_is_the_general_one():
    members, correct = crowd()
    general = cluster_bootstrap(np.mean, members, correct, **SETTINGS, generator=draws())
    fast = clustered_mean_interval(correct, members, **SETTINGS, generator=draws())
    assert (fast.low, fast.high, fast.estimate) == pytest.approx((general.low, general.high, general.estimate))
    assert (fast.clusters, fast.undefined) == (general.clusters, general.undefined) == (12, 0)


def test_no_value_depends_on_how_many_weights_are_multiplied_at_once(monkeypatch):
    members, correct = crowd()
    whole = clustered_mean_interval(correct, members, **SETTINGS, generator=draws())
    monkeypatch.setattr("voxbench.metrics.joint_clusters.WEIGHTS_AT_ONCE", 5000)
    parts = clustered_mean_interval(correct, members, **SETTINGS, generator=draws())
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=1e-12)


def test_some_rows_have_the_people_that_occur_in_them():
    people = people_of([("c", "a"), ("b",), ("b", "d"), ("a",)]).of([2, 3, 2])
    assert people.names.tolist() == ["a", "b", "d"]
    assert [people.names[people.members[crowd][people.members[crowd] < 3]].tolist() for crowd in people.crowd] == [
        ["b", "d"],
        ["a"],
        ["b", "d"],
    ]
    alone = people_of(["b", "c", "b", "a"]).of([0, 2, 3])
    assert (alone.names.tolist(), alone.crowd.tolist(), alone.joint) == (["a", "b"], [1, 1, 0], False)


@pytest.mark.parametrize("ratio", [False, True])
def test_groups_of_mixtures_are_drawn_person_by_person(ratio):
    """Brute force; the first group holds six people who are heard in the second as well."""
    members, correct = crowd(rows=60, people=10)
    frame = pd.DataFrame({"noise": np.where([row[0] < "p06" for row in members], "low", "high")})
    lengths = 1 + np.arange(60) % 4
    errors = np.where(correct == 1, lengths, 0)
    resampling = Resampling(SETTINGS["resamples"], SETTINGS["level"], 3, 0.2)
    if ratio:
        found = ratios_by_group(errors, lengths, frame, members, resampling, 5).rename(columns={"value": "mean"})
        gap = gap_of_ratios(errors, lengths, frame, members, resampling, 5)
    else:
        found = by_group(correct, frame, members, min_clusters=3, **SETTINGS, seed=5)
        gap = gap_of_means(correct, frame, members, resampling, 5)
    weighed = lengths if ratio else np.ones(60)
    means = {}
    for row in found.itertuples():
        own = np.flatnonzero(frame["noise"] == row.noise)
        people = [members[place] for place in own]
        often = often_of(people, SETTINGS["resamples"], seeding.generator(5, "groups", f"noise={row.noise}"))
        with np.errstate(invalid="ignore"):
            values = often @ (correct * weighed)[own] / (often @ weighed[own])
        assert row.clusters == len({name for names in people for name in names}) > 5
        assert (row.low, row.high) == pytest.approx(tuple(np.nanquantile(values, [0.05, 0.95])), abs=1e-12)
        together = often_of(members, SETTINGS["resamples"], seeding.generator(5, "groups", "gap", "noise"))[:, own]
        with np.errstate(invalid="ignore"):
            means[row.noise] = together @ (correct * weighed)[own] / (together @ weighed[own])
    apart = abs(np.diff(found["mean"])[0])
    assert gap.interval.estimate == pytest.approx(apart)
    width = means[gap.highest.removeprefix("noise=")] - means[gap.lowest.removeprefix("noise=")]
    assert (gap.interval.low, gap.interval.high) == pytest.approx(tuple(np.nanquantile(width, [0.05, 0.95])), abs=1e-12)


def simulated(rng, people=40, rows=600):
    """Return who is in each of some mixtures, and how hard they are: by the people in them, of 0 on average."""
    hard = rng.normal(size=people)
    members = [tuple(rng.choice(people, 1 + row % 3, replace=False).tolist()) for row in range(rows)]
    values = np.array([hard[list(row)].mean() for row in members]) + rng.normal(0, 1, rows)
    return [tuple(f"p{name}" for name in row) for row in members], values


@pytest.mark.slow
def test_intervals_of_mixtures_hold_the_truth_as_often_as_they_say_and_joined_names_do_not():
    rng, times = np.random.default_rng(6), 150
    hits = dict.fromkeys(("people", "joined names", "a group of people", "a group of joined names"), 0)
    for _ in range(times):
        members, values = simulated(rng)
        joined = ["+".join(row) for row in members]
        half = pd.DataFrame({"half": np.arange(len(members)) % 2})
        for form, clusters in (("people", members), ("joined names", joined)):
            whole = clustered_mean_interval(values, clusters, **SETTINGS, generator=rng)
            hits[form] += whole.low <= 0 <= whole.high
            part = by_group(values, half, clusters, min_clusters=2, **SETTINGS, seed=int(rng.integers(1 << 30))).iloc[0]
            hits[f"a group of {form}"] += part.low <= 0 <= part.high
    share = {form: count / times for form, count in hits.items()}
    # Three standard errors of a binomial at 0.9 are 0.073; products are conservative (the module says why).
    for form in ("people", "a group of people"):
        assert 0.83 <= share[form] <= 0.99, share
    assert share["joined names"] < 0.65, share
    assert share["a group of joined names"] < 0.8, share
