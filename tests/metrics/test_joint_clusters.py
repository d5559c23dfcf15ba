"""Intervals over speakers who share rows: equal to the plain ones where nobody does, and by brute force otherwise."""

import numpy as np
import pytest

from voxbench.metrics import METRICS, cluster_bootstrap
from voxbench.metrics.joint_clusters import joint_cluster_bootstrap
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
        joint = joint_cluster_bootstrap(
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
    found = joint_cluster_bootstrap(np.mean, members, correct, **SETTINGS, generator=draws())
    low, high = np.nanquantile(values, [0.05, 0.95])
    assert (found.estimate, found.low, found.high) == pytest.approx((correct.mean(), low, high), abs=1e-12)
    assert (found.clusters, found.resamples, found.undefined) == (6, 300, int(np.isnan(values).sum()))


def test_shared_voices_make_the_interval_wider_than_rows_would():
    members, correct = crowd()
    rows = [(f"row{number}",) for number in range(len(members))]
    widths = []
    for clusters in (rows, members):
        found = joint_cluster_bootstrap(np.mean, clusters, correct, **SETTINGS, generator=draws())
        widths.append(found.high - found.low)
    assert widths[1] > 1.5 * widths[0]


def test_neither_the_order_of_the_rows_nor_that_of_their_speakers_matters():
    members, correct = crowd(rows=40)
    order = np.random.default_rng(3).permutation(len(members))
    turned = [members[place][::-1] for place in order]
    first = joint_cluster_bootstrap(np.mean, members, correct, **SETTINGS, generator=draws())
    second = joint_cluster_bootstrap(np.mean, turned, correct[order], **SETTINGS, generator=draws())
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=1e-12)


@pytest.mark.parametrize(
    ("members", "values", "message"),
    [
        ([("a",), ()], [1.0, 0.0], "1 of 2 rows name no speaker"),
        ([("a",), ("b",)], [1.0], r"members has 2 rows but an array has shape \(1,\)"),
        ([("a",), ("a",)], [1.0, 0.0], "at least 2, found only a"),
        ([("a", None), ("b",)], [1.0, 0.0], "name every speaker"),
        ([], [], "non-empty"),
    ],
)
def test_unsound_input_is_refused(members, values, message):
    with pytest.raises(InputError, match=message):
        joint_cluster_bootstrap(np.mean, members, values, **SETTINGS, generator=draws())
