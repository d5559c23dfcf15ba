"""Curves of many points: few points draw the same line, and the tables hold the operating points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.metrics import area_under_roc, roc_curve
from voxbench.metrics.detection import operating_points, probit
from voxbench.reporting.curves import (
    DRAWN_CELLS,
    TABLE_CELLS,
    det_positions,
    det_table,
    outline,
    roc_of,
    roc_positions,
    roc_table,
)

STEPS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=200)


@given(STEPS, st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_what_is_left_out_lies_within_a_cell_of_the_line(steps, cells) -> None:
    x, y = np.cumsum([step[0] for step in steps]), -np.cumsum([step[1] for step in steps])
    kept = outline(x, y, cells)
    assert kept[0] == 0
    assert kept[-1] == len(x) - 1
    assert (np.diff(kept) > 0).all()
    side = [np.ptp(values) / cells for values in (x, y)]
    for place in set(range(len(x))) - set(kept.tolist()):
        before, after = kept[kept < place][-1], kept[kept > place][0]
        assert x[after] - x[before] <= side[0] * (1 + 1e-9)
        assert y[before] - y[after] <= side[1] * (1 + 1e-9)


def test_a_curve_of_a_million_points_is_drawn_with_a_few_thousand() -> None:
    draws = np.random.default_rng(1)
    labels = np.arange(1_000_000) % 10 == 0
    points = operating_points(draws.normal(2.0 * labels), labels)
    assert len(points.thresholds) > 999_000
    # A falling curve enters each row and each column of cells once, and leaves two points there.
    assert len(det_positions(points)[0]) <= 4 * DRAWN_CELLS + 4
    assert len(det_table(points)) <= 4 * TABLE_CELLS + 4
    assert len(roc_positions(roc_of(points))[0]) <= 4 * DRAWN_CELLS + 4


def test_short_curves_keep_every_corner() -> None:
    scores, labels = [0.9, 0.8, 0.3, 0.6, 0.2, 0.1], [1, 1, 1, 0, 0, 0]
    table = det_table(operating_points(scores, labels))
    assert table["threshold"].tolist() == [0.1, 0.2, 0.3, 0.6, 0.8, 0.9, np.inf]
    assert table["p_miss"].tolist() == [0, 0, 0, 1 / 3, 1 / 3, 2 / 3, 1]
    assert table["p_fa"].tolist() == [1, 2 / 3, 1 / 3, 1 / 3, 0, 0, 0]


def test_positions_are_probits_of_false_alarms_and_misses() -> None:
    points = operating_points([0.9, 0.3, 0.6, 0.1], [1, 1, 0, 0])
    p_fa, p_miss = det_positions(points)
    assert p_fa.tolist() == probit([1.0, 0.5, 0.5, 0.0, 0.0]).tolist()
    assert p_miss.tolist() == probit([0.0, 0.0, 0.5, 0.5, 1.0]).tolist()


def test_between_tied_scores_rates_change_in_a_straight_line() -> None:
    p_fa, p_miss = det_positions(operating_points([1.0, 1.0, 1.0], [1, 0, 0]))
    assert len(p_fa) > 50
    assert p_miss.tolist() == pytest.approx((-p_fa).tolist(), abs=1e-6)
    assert np.abs(p_fa).min() == pytest.approx(0)
    rounded = np.repeat(np.arange(2000), 2) + np.tile([0, 1], 2000)
    assert len(det_positions(operating_points(rounded, np.tile([0, 1], 2000)))[0]) <= 4 * DRAWN_CELLS + 4


@pytest.mark.parametrize("seed", range(5))
def test_the_roc_of_operating_points_is_that_of_the_scores(seed) -> None:
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 2, 60)
    scores = draws.integers(0, 30, 60) + labels
    ours, theirs = roc_of(operating_points(scores, labels)), roc_curve(labels, scores)
    assert ours.thresholds.tolist() == theirs.thresholds.tolist()
    assert ours.false_positive_rate.tolist() == theirs.false_positive_rate.tolist()
    assert ours.true_positive_rate.tolist() == theirs.true_positive_rate.tolist()
    table = roc_table(ours)
    area = np.trapezoid(table["true_positive_rate"], table["false_positive_rate"])
    assert area == pytest.approx(area_under_roc(labels, scores))
