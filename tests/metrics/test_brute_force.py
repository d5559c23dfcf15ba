"""Every metric of detection on thousands of small sets with ties, against counting everything that can be counted."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given

from metrics.detection_cases import random_trials, rates, trials
from voxbench.metrics.detection import (
    AsvRates,
    auc,
    eer,
    eer_threshold,
    isotonic_llrs,
    min_cllr,
    min_tdcf,
    operating_points,
    pav,
)

SETS = 2000


def counts(scores, labels):
    """Return (targets, nontargets) at each distinct score, rising."""
    return [(int(sum(labels[scores == s])), int(sum(1 - labels[scores == s]))) for s in np.unique(scores)]


def bits(blocks, targets, nontargets):
    """Return the Cllr of blocks of (targets, nontargets), each with its own ratio; one class alone costs nothing."""
    total = 0.0
    for block_targets, block_nontargets in blocks:
        hit, accepted = block_targets / targets, block_nontargets / nontargets
        total += hit * math.log2(1 + accepted / hit) if hit else 0.0
        total += accepted * math.log2(1 + hit / accepted) if accepted else 0.0
    return total / 2


def rising_partitions(cells):
    """Yield every way to join neighbouring scores into blocks whose share of targets never falls."""
    for size in range(len(cells)):
        for cuts in combinations(range(1, len(cells)), size):
            parts = [cells[a:b] for a, b in pairwise([0, *cuts, len(cells)])]
            blocks = [tuple(map(sum, zip(*part, strict=True))) for part in parts]
            if all(a[0] * b[1] <= b[0] * a[1] for a, b in pairwise(blocks)):
                yield blocks


def test_no_map_that_never_falls_has_a_smaller_cllr():
    checked = 0
    for scores, labels in random_trials(SETS):
        cells = counts(scores, labels)
        if len(cells) > 8:
            continue
        targets, nontargets = int(labels.sum()), int((1 - labels).sum())
        least = min(bits(blocks, targets, nontargets) for blocks in rising_partitions(cells))
        assert min_cllr(scores, labels) == pytest.approx(least, abs=1e-12)
        checked += 1
    assert checked > SETS // 2


def test_the_blocks_are_joined_neighbours_with_the_ratio_of_their_counts():
    for scores, labels in random_trials(SETS // 4):
        blocks, llrs = pav(scores, labels), isotonic_llrs(scores, labels)
        for low, high, llr in zip(blocks.low, blocks.high, blocks.llr, strict=True):
            inside = (scores >= low) & (scores <= high)
            hit, accepted = labels[inside].sum() / labels.sum(), (1 - labels)[inside].sum() / (1 - labels).sum()
            expected = math.inf if not accepted else -math.inf if not hit else math.log(hit / accepted)
            assert llr == pytest.approx(expected)
            assert (llrs[inside] == llr).all()


def test_the_area_is_the_share_of_pairs_won():
    for scores, labels in random_trials(SETS):
        gaps = scores[labels == 1][:, None] - scores[labels == 0]
        assert auc(scores, labels) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean(), abs=1e-15)


def test_the_hull_crosses_where_two_thresholds_mixed_by_chance_do_best():
    for scores, labels in random_trials(SETS):
        points = np.array([[float(miss), float(fa)] for _, miss, fa in rates(scores, labels)])
        gap = points[:, 0] - points[:, 1]
        below, above = points[gap <= 0], points[gap > 0]
        share = gap[gap <= 0][:, None] / (gap[gap <= 0][:, None] - gap[gap > 0])
        mixed = below[:, None, 0] + share * (above[:, 0] - below[:, None, 0])
        assert eer(scores, labels, "rocch") == pytest.approx(mixed.min(), abs=1e-12)


@pytest.mark.parametrize("version", ["legacy", "revised"])
def test_the_tandem_cost_of_every_threshold(version):
    draws, checked = np.random.default_rng(4), 0
    for scores, labels in random_trials(SETS):
        if len(np.unique(scores)) < 3:
            continue
        asv = AsvRates(*(draws.uniform(0, limit) for limit in (0.5, 0.9, 1.0)))
        # Costs of ASVspoof, from the definition: what the two systems together do wrong, in the three kinds of trial.
        missed_by_asv, accepted_by_asv = 0.9405 * asv.p_miss, 0.0095 * 10 * asv.p_fa
        costs = []
        for _, miss, fa in rates(scores, labels):
            bonafide_lost = 0.9405 * float(miss)
            if version == "revised":
                # Targets that the CM passes and the ASV misses, impostors that both pass, spoofs that both pass.
                wrong = (missed_by_asv + accepted_by_asv) * (1 - float(miss)) + bonafide_lost
            else:
                wrong = float(miss) * (0.9405 - missed_by_asv - accepted_by_asv)
            costs.append(wrong + 0.05 * 10 * asv.p_fa_spoof * float(fa))
        # Accepting and rejecting everything are the first and the last threshold.
        default = min(costs[0], costs[-1])
        assert min_tdcf(scores, labels, asv, version=version) == pytest.approx(min(costs) / default, rel=1e-12)
        checked += 1
    assert checked > SETS // 2


@given(drawn=trials())
def test_rising_maps_change_no_method_and_move_its_threshold(drawn):
    scores, labels = drawn
    places = np.unique(scores, return_inverse=True)[1]
    for method in ("interpolated", "asvspoof", "rocch"):
        assert eer(places, labels, method) == eer(scores, labels, method)
        at, place = eer_threshold(scores, labels, method), eer_threshold(places, labels, method)
        assert at == np.unique(scores)[int(place)] if place >= 0 else at < scores.min()


@given(drawn=trials())
def test_the_smallest_costs_are_reached_by_some_threshold(drawn):
    scores, labels = drawn
    points = operating_points(scores, labels)
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    again = operating_points(scores[order], labels[order])
    for name in ("thresholds", "misses", "false_alarms"):
        assert np.array_equal(getattr(points, name), getattr(again, name))
    assert (np.diff(points.misses) >= 0).all()
    assert (np.diff(points.false_alarms) <= 0).all()
    assert (np.diff(points.misses) - np.diff(points.false_alarms) > 0).all()
