"""Curves of millions of operating points: as few of them as draw the same line, and as tables.

A curve that only rises or only falls is laid on a grid; of the points of a cell the first and the last stay. So no
point is further from the line that is drawn than a cell is wide, whatever the number of points, and at most four
points stay for each cell of a side.

Shape letters: T operating points, V those that stay.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from voxbench.metrics import RocCurve
from voxbench.metrics.detection import OperatingPoints, probit
from voxbench.metrics.inputs import Floats, Integers

# Cells of a drawn curve on a side: half a pixel of the page.
DRAWN_CELLS = 1000
# Those of a table: a few hundred kilobytes at most.
TABLE_CELLS = 4000
# Points between two that ties hold apart: up to these log odds from either, so many for each unit.
STEEPEST, STEPS = 12, 4


def outline(x_T: Floats, y_T: Floats, cells: int) -> Integers:
    """Return the places (V,) of the points that draw the line through T points, each coordinate rising or falling.

    >>> outline(np.array([0.0, 0.1, 0.2, 1.0]), np.array([0.0, 0.1, 0.1, 1.0]), cells=2).tolist()
    [0, 2, 3]
    """
    moved_T = np.zeros(len(x_T) - 1, dtype=bool)
    for values_T in (x_T, y_T):
        low, width = values_T.min(), np.ptp(values_T) or 1.0
        cell_T = np.floor(cells * (values_T - low) / width)
        moved_T |= cell_T[1:] != cell_T[:-1]
    return np.flatnonzero(np.append(True, moved_T) | np.append(moved_T, True))


def det_table(points: OperatingPoints) -> pd.DataFrame:
    """Return threshold, p_miss and p_fa, from accepting to rejecting everything, outlined on the axes of a DET plot."""
    return _det_rows(points, TABLE_CELLS)


def det_positions(points: OperatingPoints) -> tuple[Floats, Floats]:
    """Return the probit of false-alarm and miss rates, outlined for a drawing.

    Between two operating points rates change along a straight line, as in `eer`, which is none on these axes.
    """
    rows = _det_rows(points, DRAWN_CELLS)
    p_fa, p_miss = _with_ties_filled(rows["p_fa"].to_numpy(), rows["p_miss"].to_numpy())
    across, up = probit(p_fa), probit(p_miss)
    places = outline(across, up, DRAWN_CELLS)
    return across[places], up[places]


def _with_ties_filled(x_T: Floats, y_T: Floats) -> tuple[Floats, Floats]:
    """Return points with others between those that differ in both coordinates, denser towards either."""
    slanted = np.flatnonzero((np.diff(x_T) != 0) & (np.diff(y_T) != 0))
    share_S = 1 / (1 + np.exp(-np.linspace(-STEEPEST, STEEPEST, 2 * STEEPEST * STEPS + 1)))
    at = np.repeat(slanted + 1, len(share_S))
    between = [(v[slanted, None] + share_S * (v[slanted + 1] - v[slanted])[:, None]).ravel() for v in (x_T, y_T)]
    return np.insert(x_T, at, between[0]), np.insert(y_T, at, between[1])


def roc_of(points: OperatingPoints) -> RocCurve:
    """Return the receiver operating characteristic of operating points, from rejecting to accepting everything."""
    # Counts are subtracted before the division, which alone rounds.
    hits_T = (points.targets - points.misses) / points.targets
    return RocCurve(points.thresholds[::-1], points.p_fa[::-1], hits_T[::-1])


def roc_table(curve: RocCurve) -> pd.DataFrame:
    """Return threshold, false_positive_rate and true_positive_rate, outlined."""
    return _roc_rows(curve, TABLE_CELLS)


def roc_positions(curve: RocCurve) -> tuple[Floats, Floats]:
    """Return false and true positive rates, outlined for a drawing."""
    rows = _roc_rows(curve, DRAWN_CELLS)
    return rows["false_positive_rate"].to_numpy(), rows["true_positive_rate"].to_numpy()


def _det_rows(points: OperatingPoints, cells: int) -> pd.DataFrame:
    places = outline(probit(points.p_fa), probit(points.p_miss), cells)
    columns = {"threshold": points.thresholds, "p_miss": points.p_miss, "p_fa": points.p_fa}
    return pd.DataFrame({name: values_T[places] for name, values_T in columns.items()})


def _roc_rows(curve: RocCurve, cells: int) -> pd.DataFrame:
    places = outline(curve.false_positive_rate, curve.true_positive_rate, cells)
    columns = {
        "threshold": curve.thresholds,
        "false_positive_rate": curve.false_positive_rate,
        "true_positive_rate": curve.true_positive_rate,
    }
    return pd.DataFrame({name: values_T[places] for name, values_T in columns.items()})
