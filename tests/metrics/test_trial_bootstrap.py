"""The bootstrap over the two speakers of a trial: multiplicities by hand, other forms of it, honest refusals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.metrics import UndefinedError, area_under_roc, cluster_bootstrap
from voxbench.metrics import trial_bootstrap as room
from voxbench.metrics.trial_bootstrap import (
    Resampling,
    paired_trial_bootstrap,
    rows_of,
    trial_bootstrap,
    trials_of,
    weighted_values,
)
from voxbench.metrics.uncertainty import cluster_weights
from voxbench.metrics.weighted_detection import (
    weighted_act_dcf,
    weighted_auc,
    weighted_by_repetition,
    weighted_cllr,
    weighted_eer,
    weighted_min_dcf,
)
from voxbench.schema import InputError
from voxbench.seeding import generator

METRICS = {
    "eer": weighted_eer,
    "min_dcf": weighted_min_dcf(0.05, 1, 1),
    "act_dcf": weighted_act_dcf(0.05, 1, 1),
    "cllr": weighted_cllr,
    "auc": weighted_auc,
}
RESAMPLING = Resampling(resamples=100, level=0.9, min_speakers=5, max_undefined=0.05)


def columns(seed, speakers=15, rows=400):
    """Scores, labels and two speakers: a third of the trials within one speaker, scores with ties."""
    rng = np.random.default_rng(seed)
    enroll = rng.integers(0, speakers, rows)
    labels = (rng.random(rows) < 1 / 3).astype(int)
    test = np.where(labels == 1, enroll, (enroll + rng.integers(1, speakers, rows)) % speakers)
    mean = 2 * labels + rng.normal(0, 0.5, speakers)[enroll] + rng.normal(0, 0.5, speakers)[test]
    names = np.array([f"id{place:02d}" for place in range(speakers)])
    return np.round(mean + rng.normal(0, 1, rows), 1), labels, names[enroll], names[test]


def test_a_trial_counts_as_the_product_of_its_speakers_and_once_within_one():
    # a drawn twice, b once, c never: a-a counts 2, a-b 2, b-b 1, a-c and c-c 0, the replay of b on b 1.
    trials = trials_of([1, 2, 4, 8, 16, 32], [1, 0, 1, 0, 1, 0], list("aabacb"), list("abbccb"))
    seen = []

    def weight_of_scores(block):
        seen.append(dict(zip(block.scores.tolist(), block.weights.T.tolist()[0], strict=True)))
        return block.weights.sum(axis=0)

    found = weighted_values([weight_of_scores], trials, [np.array([[2, 1, 0]])])
    assert seen == [{1: 2, 2: 2, 4: 1, 8: 0, 16: 0, 32: 1}]
    assert found.tolist() == [[6]]


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-2, 2)), min_size=1, max_size=12),
    drawn=st.lists(st.integers(0, 3), min_size=4, max_size=4),
)
def test_the_value_of_a_resample_is_that_of_the_listed_copies(pairs, drawn):
    """A resample written out: copies of speakers, trials between copies of different ones and within each."""
    times = np.bincount(drawn, minlength=4)
    pairs = [*pairs, *((k, k, 3) for k in range(4)), (0, 1, 0)]
    rows = [(score, int(a == b), a, b) for a, b, score in pairs]
    written = [
        (score, label)
        for score, label, a, b in rows
        for copy_a in range(times[a])
        for copy_b in range(times[b])
        if a != b or copy_a == copy_b
    ]
    value = weighted_values([weighted_auc], trials_of(*zip(*rows, strict=True)), [times[None]])[0, 0]
    scores, labels = (np.array(column) for column in zip(*written, strict=True))
    if len(set(labels.tolist())) == 2:
        assert value == pytest.approx(area_under_roc(labels, scores), abs=1e-12)
    else:
        assert np.isnan(value)


def test_one_speaker_on_both_sides_is_the_one_way_bootstrap_draw_for_draw():
    scores, labels, speakers, _ = columns(0)
    twice = trials_of(scores, labels, speakers, speakers)
    found = trial_bootstrap({"auc": weighted_auc}, twice, RESAMPLING, generator(1, "x"))["auc"]
    plain = cluster_bootstrap(
        area_under_roc, speakers, labels, scores, resamples=100, level=0.9, generator=generator(1, "x")
    )
    assert [found.estimate, found.low, found.high] == pytest.approx([plain.estimate, plain.low, plain.high], abs=1e-12)
    assert (found.clusters, found.resamples, found.undefined) == (plain.clusters, plain.resamples, plain.undefined)


def test_all_metrics_share_the_resamples_and_each_is_what_it_is_alone():
    trials = trials_of(*columns(1))
    together = trial_bootstrap(METRICS, trials, RESAMPLING, generator(1, "x"))
    for name, metric in METRICS.items():
        assert trial_bootstrap({name: metric}, trials, RESAMPLING, generator(1, "x")) == {name: together[name]}
        assert together[name].low < together[name].estimate < together[name].high
    slow = weighted_by_repetition(lambda scores, labels: area_under_roc(labels, scores))
    again = trial_bootstrap({"auc": slow}, trials, RESAMPLING, generator(1, "x"))["auc"]
    assert [again.low, again.high] == pytest.approx([together["auc"].low, together["auc"].high], abs=1e-12)


def test_the_interval_is_the_percentiles_of_the_values():
    trials = trials_of(*columns(2))
    values = weighted_values([weighted_eer], trials, cluster_weights(15, 100, generator(3, "x")))[0]
    found = trial_bootstrap({"eer": weighted_eer}, trials, RESAMPLING, generator(3, "x"))["eer"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])), rel=1e-12)
    assert (found.clusters, found.resamples, found.level, found.undefined) == (15, 100, 0.9, 0)


def test_neither_the_order_of_rows_nor_of_sides_nor_the_size_of_blocks_moves_a_bound(monkeypatch):
    scores, labels, enroll, test = columns(3)
    first = trial_bootstrap(METRICS, trials_of(scores, labels, enroll, test), RESAMPLING, generator(1, "x"))
    order = np.random.default_rng(0).permutation(len(scores))
    moved = trials_of(scores[order], labels[order], test[order], enroll[order])
    monkeypatch.setattr(room, "WEIGHTS_AT_ONCE", 1000)
    again = trial_bootstrap(METRICS, moved, RESAMPLING, generator(1, "x"))
    for name in METRICS:
        bounds = [[one.estimate, one.low, one.high] for one in (first[name], again[name])]
        assert bounds[0] == pytest.approx(bounds[1], rel=1e-12)
    assert first != trial_bootstrap(METRICS, moved, RESAMPLING, generator(2, "x"))


def test_blocks_keep_to_their_memory(monkeypatch):
    monkeypatch.setattr(room, "WEIGHTS_AT_ONCE", 1000)
    sizes = []

    def size(block):
        sizes.append(block.weights.shape)
        return block.weights.sum(axis=0)

    trial_bootstrap({"size": size}, trials_of(*columns(3)), RESAMPLING, generator(1, "x"))
    assert sizes == [(400, 1)] + 50 * [(400, 2)]


def test_speakers_may_be_integers_and_their_names_only_order_the_draws():
    scores, labels, enroll, test = columns(4)
    numbers = [[int(name[2:]) for name in side] for side in (enroll, test)]
    first, second = (
        trial_bootstrap(METRICS, trials_of(scores, labels, *sides), RESAMPLING, generator(1, "x"))
        for sides in ((enroll, test), numbers)
    )
    assert first == second


def test_the_difference_of_two_systems_takes_the_same_resamples():
    scores, labels, enroll, test = columns(5)
    trials, other = trials_of(scores, labels, enroll, test), scores + np.random.default_rng(0).normal(0, 1, 400)
    found = paired_trial_bootstrap(METRICS, trials, other, RESAMPLING, generator(1, "x"))
    values = [
        weighted_values(list(METRICS.values()), each, cluster_weights(15, 100, generator(1, "x")))
        for each in (trials, trials_of(other, labels, enroll, test))
    ]
    for name, difference in zip(METRICS, values[0] - values[1], strict=True):
        bounds = tuple(np.quantile(difference, [0.05, 0.95]))
        assert (found[name].low, found[name].high) == pytest.approx(bounds, rel=1e-12)
    assert found["auc"].estimate == pytest.approx(area_under_roc(labels, scores) - area_under_roc(labels, other))
    same = paired_trial_bootstrap(METRICS, trials, scores, RESAMPLING, generator(1, "x"))
    assert {(one.estimate, one.low, one.high) for one in same.values()} == {(0, 0, 0)}


def test_as_many_undefined_resamples_as_declared_are_no_reason_to_refuse():
    # One of six speakers has the only target trial: a resample without it has no target.
    trials = trials_of([3, 1, 2, 0, 1, 2], [1, 0, 0, 0, 0, 0], list("aaaaaa"), list("abcdef"))
    lenient = Resampling(resamples=64, level=0.9, min_speakers=5, max_undefined=0.9)
    undefined = trial_bootstrap({"auc": weighted_auc}, trials, lenient, generator(1))["auc"].undefined
    assert 0 < undefined < 57
    exact, strict = (replace(lenient, max_undefined=(undefined - less) / 64) for less in (0, 1))
    assert trial_bootstrap({"auc": weighted_auc}, trials, exact, generator(1))["auc"].undefined == undefined
    with pytest.raises(UndefinedError, match=f"undefined on {undefined} of 64"):
        trial_bootstrap({"auc": weighted_auc}, trials, strict, generator(1))


def test_some_rows_keep_their_own_speakers_only():
    trials = trials_of([1, 2, 3], [1, 0, 0], ["c", "c", "a"], ["c", "b", "b"])
    part = rows_of(trials, [2, 0])
    assert (part.scores.tolist(), part.is_target.tolist()) == ([3, 1], [False, True])
    assert part.speakers[part.enroll].tolist() == ["a", "c"]
    assert part.speakers[part.test].tolist() == ["b", "c"]
    assert part.speakers.tolist() == ["a", "b", "c"]
    assert rows_of(trials, [0]).speakers.tolist() == ["c"]


def few_targets(bound):
    """Ten speakers, one of which has all target trials: 0.9^10 = 0.349 of the resamples lack them."""
    rows = [(1.0, 1, 0, 0), (0.0, 1, 0, 0), *((0.5, 0, k, (k + 1) % 10) for k in range(10))]
    resampling = Resampling(resamples=2000, level=0.9, min_speakers=5, max_undefined=bound)
    return trial_bootstrap({"auc": weighted_auc}, trials_of(*zip(*rows, strict=True)), resampling, generator(1, "x"))


def test_resamples_of_one_class_are_counted_and_bounded():
    found = few_targets(0.5)["auc"]
    # Nontarget pairs of neighbours are all missing now and then too.
    assert found.undefined / 2000 == pytest.approx(0.349, abs=0.04)
    assert np.isfinite([found.low, found.high]).all()
    with pytest.raises(UndefinedError, match=r"auc .* \d+ of 2000 .* at most 0\.05 .* 1 of 10 speakers have target"):
        few_targets(0.05)


@pytest.mark.parametrize(("label", "found"), [(1, "2 target and 0 nontarget"), (0, "0 target and 2 nontarget")])
def test_trials_of_one_class_have_no_estimate(label, found):
    trials = trials_of([1, 2], [label, label], ["a", "b"], ["a", "b"])
    with pytest.raises(UndefinedError, match=f"eer is undefined: found {found} trials"):
        trial_bootstrap({"eer": weighted_eer}, trials, Resampling(10, 0.9, 2, 0.5), generator(1, "x"))


def test_too_few_speakers_are_refused():
    ring = trials_of([3, 2, 1, 1, 0, 2], [1, 1, 1, 0, 0, 0], list("abcabc"), list("abcbca"))
    assert trial_bootstrap({"eer": weighted_eer}, ring, Resampling(50, 0.9, 3, 0.5), generator(1, "x"))
    with pytest.raises(InputError, match="at least 4 of them, found 3 in 6"):
        trial_bootstrap({"eer": weighted_eer}, ring, Resampling(50, 0.9, 4, 0.5), generator(1, "x"))
    trials = trials_of([1, 2], [1, 0], ["a", "a"], ["a", "b"])
    for form, more in ((trial_bootstrap, ()), (paired_trial_bootstrap, ([1, 2],))):
        with pytest.raises(InputError, match="at least 5 of them, found 2 in 2 trials"):
            form({"eer": weighted_eer}, trials, *more, RESAMPLING, generator(1, "x"))


@pytest.mark.parametrize(
    ("place", "column", "reason"),
    [
        (0, [1.0, np.nan], "scores must be finite"),
        (0, [1.0], r"2 rows but scores has shape \(1,\)"),
        (0, [[1.0], [2.0]], r"scores has shape \(2, 1\)"),
        (1, [1, 2], "labels must lie in 0..1"),
        (1, [1.0, 0.0], "integer"),
        (1, [], "non-empty"),
        (1, [1, 1], "1 are not, first row 1: a and b; are labels 1 = target"),
        (2, ["a"], "enroll_speakers has shape"),
        (2, ["a", None], "name every speaker"),
        (3, ["a", "b", "c"], "test_speakers has shape"),
        (3, [1, 2], "found int, str"),
    ],
)
def test_unsound_columns_are_refused(place, column, reason):
    arguments = [[1.0, 2.0], [1, 0], ["a", "a"], ["a", "b"]]
    arguments[place] = column
    with pytest.raises(InputError, match=reason):
        trials_of(*arguments)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"min_speakers": 1}, "min_speakers must be at least 2"),
        ({"max_undefined": 1.0}, "max_undefined"),
        ({"max_undefined": -0.1}, "max_undefined"),
        ({"resamples": 0}, "resamples must be at least 1"),
        ({"level": 95}, "95 % is 0.95"),
    ],
)
def test_settings_out_of_range_are_refused(change, reason):
    with pytest.raises(InputError, match=reason):
        trial_bootstrap(
            METRICS,
            trials_of(*columns(0)),
            Resampling(**{"resamples": 10, "level": 0.9, "min_speakers": 5, "max_undefined": 0.1} | change),
            generator(1, "x"),
        )


def test_a_pair_of_different_rows_is_refused():
    with pytest.raises(InputError, match=r"found 400 trials and \(3,\) scores"):
        paired_trial_bootstrap(METRICS, trials_of(*columns(0)), [1, 2, 3], RESAMPLING, generator(1, "x"))
