"""How far apart are the best and the worst group, and how far would chance alone put them?

The largest difference between groups is above 0 even where all are equal, and the more so the more groups
there are. So beside the interval of the difference between the two extreme groups stands the gap that resamples
show when the differences found are taken out, which is a bootstrap test of equality (Hall and Wilson, "Two
guidelines for bootstrap hypothesis testing", Biometrics 47, 1991: resample under the null hypothesis).

Shape letters: G groups, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.metrics.inputs import Floats
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.trial_bootstrap import Resampling
from voxbench.metrics.uncertainty import Interval, percentile_interval


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference `interval.estimate` between the `highest` and the `lowest` of `groups` groups.

    The interval is that of these two groups, picked because they are extreme: it says how large the gap is, not
    whether there is one. `chance` is the gap that equal groups of these sizes stay below with probability
    `interval.level`, and `p` the chance that equal groups show a gap this large.
    """

    highest: str
    lowest: str
    interval: Interval
    chance: float
    p: float
    groups: int


def gap_between(
    labels: Sequence[Mapping[str, str]],
    estimates_G: Floats,
    values_GR: Floats,
    resampling: Resampling,
    clusters: int,
) -> Gap:
    """Return the gap between groups from their figures (G,) and the same on common resamples (G, R).

    A resample on which any group is not finite is undefined for all. Fewer than two groups, or more undefined
    resamples than declared, raise `UndefinedError`. Of equal groups the first is the highest, the last the lowest.

    >>> values = np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 4.0]])
    >>> groups, resampling = [{"sex": "f"}, {"sex": "m"}], Resampling(3, 0.9, 2, 0.0)
    >>> found = gap_between(groups, np.array([2.0, 5.0]), values, resampling, clusters=9)
    >>> found.highest, found.interval.estimate, found.p
    ('sex=m', 3.0, 0.25)
    """
    if len(labels) < 2:
        raise UndefinedError(
            f"a gap needs two groups of at least {resampling.min_speakers} speakers with a value, found {len(labels)}"
        )
    resamples = values_GR.shape[1]
    defined_R = np.asarray(np.isfinite(values_GR).all(axis=0))
    undefined = resamples - int(defined_R.sum())
    if undefined > resampling.max_undefined * resamples:
        raise UndefinedError(
            f"a group has no value on {undefined} of {resamples} resamples, at most "
            f"{resampling.max_undefined:g} of them may be so; merge small groups or ask for more speakers in each"
        )
    falling_G = np.argsort(-estimates_G, kind="stable")
    highest, lowest = int(falling_G[0]), int(falling_G[-1])
    estimate = float(estimates_G[highest] - estimates_G[lowest])
    difference_R = np.where(defined_R, values_GR[highest] - values_GR[lowest], np.nan)
    interval = percentile_interval(estimate, difference_R, resampling.level, clusters)
    without_R = np.ptp(values_GR[:, defined_R] - estimates_G[:, None], axis=0)
    words = [", ".join(f"{column}={word}" for column, word in group.items()) for group in labels]
    return Gap(
        highest=words[highest],
        lowest=words[lowest],
        interval=interval,
        chance=float(np.quantile(without_R, resampling.level)),
        p=(1 + int((without_R >= estimate).sum())) / (1 + len(without_R)),
        groups=len(labels),
    )
