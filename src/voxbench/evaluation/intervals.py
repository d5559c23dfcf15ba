"""How the intervals of a list of rows are drawn: over what, how often, and when not at all.

Whole speakers are drawn where they are known, of both sides where trials name two (`voxbench.metrics.trial_bootstrap`).
Where they are not, single rows are, and the sentence that goes with the figures says that this is too narrow. All
metrics of one list see the same resamples, which depend on the seed, the purpose and the number of clusters alone; so
no interval depends on what else is measured. Rows drawn singly are numbered in the order of their content, so that the
order in a file does not count either.

Shape letters: N rows, K clusters, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.config import Evaluation, Report
from voxbench.evaluation.records import Measured, ScoreRows
from voxbench.metrics import Interval, UndefinedError
from voxbench.metrics.inputs import Floats, Integers, class_indices, finite_numbers
from voxbench.metrics.joint_clusters import People, people_of
from voxbench.metrics.trial_bootstrap import Trials, trials_of
from voxbench.metrics.uncertainty import cluster_weights, percentile_interval
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import generator

# The ends of a 95 % interval are then the third values from either side; fewer resamples would give noise.
LEAST_RESAMPLES = 100
# Bounds the memory of the weights drawn at once; the draws do not depend on it.
WEIGHTS_AT_ONCE = 1 << 22
CROWDS = (
    "several people are heard in a row, and a metric of detection is resampled over one speaker of each or two sides"
)
EMPTY = "an interval needs {} to resample, found {}"

Over = Literal["both speakers", "speakers", "rows"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How intervals are drawn; `resamples` is 0 where there are none, and `why_none` says why."""

    over: Over
    asked: int
    resamples: int
    level: float
    max_undefined: float
    seed: int
    why_none: str

    def draws(self, clusters: int, *purpose: str) -> Iterator[Floats]:
        """Yield how often each of K clusters is drawn, whole numbers (R, K) by parts; the same at every call."""
        numbers = generator(self.seed, "evaluate", *purpose)
        if self.over != "rows":
            for part_RK in cluster_weights(clusters, self.resamples, numbers):
                yield part_RK.astype(np.float64)
            return
        # With as many clusters as rows, drawing places is ten times faster than drawing multiplicities.
        at_once = max(1, WEIGHTS_AT_ONCE // clusters)
        for start in range(0, self.resamples, at_once):
            count = min(at_once, self.resamples - start)
            drawn = [np.bincount(numbers.integers(clusters, size=clusters), minlength=clusters) for _ in range(count)]
            yield np.array(drawn, dtype=np.float64)

    def measured(self, name: str, value: float, values_R: Floats | None, clusters: int, reason: str = "") -> Measured:
        """Return a metric with its interval, or with the reason why it has none.

        `values_R` are those of the resamples, NaN where undefined; None where nothing was drawn. `reason` is what a
        reader must know of the value anyway.
        """
        interval, missing = self.interval(name, value, values_R, clusters)
        return Measured(name, value, interval, "; ".join(part for part in (reason, missing) if part))

    def interval(self, name: str, value: float, values_R: Floats | None, clusters: int) -> tuple[Interval | None, str]:
        """Return the percentile interval of a metric, or None and why."""
        if self.why_none:
            return None, self.why_none
        if clusters < 2 or values_R is None:
            return None, EMPTY.format(f"two {'rows' if self.over == 'rows' else 'speakers'}", clusters)
        undefined = int((~np.isfinite(values_R)).sum())
        if undefined > self.max_undefined * len(values_R):
            return None, (
                f"{name} is undefined on {undefined} of {len(values_R)} resamples, at most {self.max_undefined:g} of "
                "them may be"
            )
        try:
            return percentile_interval(value, values_R, self.level, clusters), ""
        except UndefinedError as error:
            return None, str(error)

    @property
    def described(self) -> str:
        """Return the sentence that goes with the intervals."""
        if self.why_none:
            return f"No intervals: {self.why_none}."
        words = {
            "both speakers": "speakers, those of both sides of a trial",
            "speakers": "speakers",
            "rows": "rows, as nobody says who speaks: too narrow where speakers repeat",
        }
        fewer = "" if self.resamples == self.asked else f" instead of {self.asked:,}, as the list is long"
        return f"{self.level * 100:g} % intervals from {self.resamples:,} resamples{fewer} of {words[self.over]}."


def plan_of(scored: ScoreRows, report: Report, evaluation: Evaluation) -> Plan:
    """Return how the intervals of `scored` are drawn.

    Rows times resamples are at most `evaluation.draws`; fewer than `LEAST_RESAMPLES` resamples give no intervals, and
    detection rows in which several people are heard have none. Two speakers a row are for detection only: others raise
    `InputError`.
    """
    rows, sides = len(scored.columns[0]), len(scored.speakers)
    if sides > 1 and scored.kind is not ScoreKind.DETECTION:
        raise InputError(f"a row of {scored.kind} scores has one speaker, found columns of {sides}")
    resamples, why_none = min(report.resamples, evaluation.draws // max(rows, 1)), ""
    if resamples < LEAST_RESAMPLES:
        why_none = (
            f"{rows:,} rows leave {resamples:,} resamples of the {evaluation.draws:,} draws allowed (report.resamples "
            f"{report.resamples:,}), and an interval takes {LEAST_RESAMPLES} or more"
        )
        resamples = 0
    elif scored.kind is ScoreKind.DETECTION and several_heard(scored):
        resamples, why_none = 0, CROWDS
    over: tuple[Over, ...] = ("rows", "speakers", "both speakers")
    return Plan(over[sides], report.resamples, resamples, report.level, evaluation.max_undefined, report.seed, why_none)


def several_heard(scored: ScoreRows) -> bool:
    """Say whether the rows name several people who are heard at once."""
    return len(scored.speakers) == 1 and isinstance(scored.speakers[0][0], tuple)


def clusters_of(scored: ScoreRows) -> People:
    """Return who is heard in each row, or of each row its place among the rows where nobody says."""
    return people_of(scored.speakers[0] if scored.speakers else ranks(scored))


def trials_with_speakers(scored: ScoreRows) -> Trials:
    """Return detection rows as trials of two speakers, of one, or, where none or several are known, of one each."""
    scores, labels = scored.columns
    if scored.speakers and not several_heard(scored):
        return trials_of(scores, labels, scored.speakers[0], scored.speakers[-1])
    # Without `trials_of`, whose checks of names take seconds where each of millions of rows is one.
    place_N, is_target_N = ranks(scored), class_indices(labels, "labels", 2) == 1
    return Trials(finite_numbers(scores, "scores"), is_target_N, place_N, place_N, np.arange(len(place_N)))


def ranks(scored: ScoreRows) -> Integers:
    """Return the place (N,) of each row in an order that its columns decide; equal rows are exchangeable."""
    order_N = content_order(scored)
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    return place_N


def content_order(scored: ScoreRows) -> Integers:
    """Return the rows (N,) in an order that their columns decide, whatever their order was."""
    first, second = scored.columns
    if scored.kind is ScoreKind.TEXT:
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        return np.array(sorted(range(len(pairs)), key=pairs.__getitem__), dtype=np.int64)
    if second.ndim == 1:
        return np.lexsort((second, first))
    # Bytes: any order does, and one comparison takes all classes.
    packed = np.ascontiguousarray(np.column_stack([first, second]), dtype=np.float64)
    return np.argsort(packed.view(f"V{packed.itemsize * packed.shape[1]}").ravel(), kind="stable")
