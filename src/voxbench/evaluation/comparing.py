"""Is one system better than another on the same rows? Paired differences of every metric over the same resamples.

Both systems are measured on the same draws of speakers, so that what makes a speaker hard for both cancels. What a
difference is worth:

- Metrics that are sums over rows (accuracy, absolute error, error rates of texts): the permutation test that exchanges
  the two systems for whole speakers (`voxbench.metrics.significance.permutation_test`).
- All others, an EER among them, whose scores cannot be exchanged as each system has a scale of its own: the share of
  resamples whose difference lies as far from the one found as that lies from 0, the bootstrap under the null hypothesis
  (Hall and Wilson, "Two guidelines for bootstrap hypothesis testing", Biometrics 47, 1991). The smallest detectable
  difference is then that of a normal difference with the spread of the resamples, and the effect size the difference
  over that spread, per square root of the number of speakers.

P-values are adjusted for the number of metrics after Holm.

Shape letters: N rows, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from voxbench.config import Report
from voxbench.evaluation.calibrating import KEYS
from voxbench.evaluation.intervals import Plan, clusters_of, plan_of, trials_with_speakers
from voxbench.evaluation.records import Origin, ScoreRows
from voxbench.evaluation.row_metrics import edit_counts_of, resampled_rows
from voxbench.evaluation.row_sums import Summed, summed_metrics
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.trial_metrics import llr_doubt, resampled, trial_metrics
from voxbench.metrics import Interval, measure, metrics_of
from voxbench.metrics.inputs import Floats, Integers
from voxbench.metrics.joint_clusters import People, people_of
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.significance import holm, permutation_test
from voxbench.metrics.trial_bootstrap import Trials
from voxbench.schema import InputError, ScoreKind
from voxbench.seeding import generator

UNNAMED = "No row has a name, so the rows of both files are taken to stand in one order."


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of both systems, and the first minus the second; what is missing is None, and `reason` says why.

    `p` is two-sided, `p_holm` adjusted for all metrics of the comparison. `effect_size` is the difference in standard
    deviations over speakers, `smallest_detectable` the difference that would be found with the power of the settings.
    """

    name: str
    first: float | None
    second: float | None
    interval: Interval | None
    test: Literal["permutation", "bootstrap"] | None
    p: float | None
    p_holm: float | None
    effect_size: float | None
    smallest_detectable: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Two systems on the same rows; `resampled` says over what the intervals are."""

    first: Origin
    second: Origin
    differences: tuple[Difference, ...]
    resampled: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Values of one metric and of its resamples (R,) under both systems; `rows` are its parts of each row, if any."""

    name: str
    values: tuple[float, float] | None
    drawn: tuple[Floats, Floats] | None
    rows: tuple[Summed, Summed] | None
    reason: str


def compare(first: ScoreRows, second: ScoreRows, settings: Settings) -> Compared:
    """Return the differences of two systems in every metric of their kind.

    Both must have scored the same rows with the same truth and speakers, in any order where rows have names: anything
    else raises `InputError`.
    """
    second, notes = _aligned(first, second)
    plan = plan_of(first, settings.report, settings.evaluation)
    pairs = (
        _of_trials(first, second, settings, plan)
        if first.kind is ScoreKind.DETECTION
        else _of_rows(first, second, plan)
    )
    people = _clusters(first, second)
    # Of trials, the speakers of both sides are drawn.
    clusters = people.total if len(first.speakers) < 2 else len(trials_with_speakers(first).speakers)
    found = [_difference(pair, people, clusters, plan, settings.report) for pair in pairs]
    adjusted = holm([np.nan if each.p is None else each.p for each in found])
    differences = tuple(
        replace(each, p_holm=None if each.p is None else float(p)) for each, p in zip(found, adjusted, strict=True)
    )
    return Compared(first.origin, second.origin, differences, plan.described, notes)


def _of_trials(first: ScoreRows, second: ScoreRows, settings: Settings, plan: Plan) -> list[_Pair]:
    """Return the metrics of two detection systems."""
    points = [operating_points(*each.columns) for each in (first, second)]
    doubt = next(filter(None, map(llr_doubt, points)), "")
    metrics = trial_metrics(settings.evaluation.costs, is_anti_spoofing=settings.is_anti_spoofing)
    drawn: list[dict[str, Floats]] = [{}, {}]
    if not plan.why_none and points[0].targets and points[0].nontargets:
        trials = _trials(first, second)
        weighted = {each.name: each.weighted for each in metrics}
        scores = [each.columns[0].astype(np.float64) for each in (first, second)]
        drawn = [resampled(weighted, replace(trials, scores=scores_N), plan) for scores_N in scores]
    pairs = []
    for each in metrics:
        both = (drawn[0][each.name], drawn[1][each.name]) if each.name in drawn[0] else None
        try:
            values = each.value(points[0]), each.value(points[1])
        except UndefinedError as error:
            pairs.append(_Pair(each.name, None, None, None, str(error)))
        else:
            pairs.append(_Pair(each.name, values, both, None, doubt if each.reads_llrs else ""))
    return pairs


def _of_rows(first: ScoreRows, second: ScoreRows, plan: Plan) -> list[_Pair]:
    """Return the metrics of two systems whose rows are classes, values or texts."""
    people = _clusters(first, second)
    rows = np.arange(len(first.columns[0])), len(first.columns[0])
    sides = []
    for each in (first, second):
        counts = edit_counts_of(each) if each.kind is ScoreKind.TEXT else {}
        values, undefined = measure(each.kind, *each.columns)
        defined = [metric for metric in metrics_of(each.kind) if metric.name in values]
        drawn = {} if plan.why_none else resampled_rows(each, defined, counts, people, plan)
        sides.append((values, undefined, drawn, summed_metrics(each, counts, *rows)))
    (values, undefined, drawn, parts), (others, also_undefined, also_drawn, other_parts) = sides
    pairs = []
    for name in (metric.name for metric in metrics_of(first.kind)):
        if name not in values or name not in others:
            pairs.append(_Pair(name, None, None, None, (undefined | also_undefined)[name]))
            continue
        both = (drawn[name], also_drawn[name]) if name in drawn else None
        summed = (parts[name], other_parts[name]) if name in parts and parts[name].is_ratio else None
        pairs.append(_Pair(name, (values[name], others[name]), both, summed, ""))
    return pairs


def _difference(pair: _Pair, people: People, clusters: int, plan: Plan, report: Report) -> Difference:
    """Return one metric's difference with its interval and test."""
    nothing = Difference(pair.name, None, None, None, None, None, None, None, None, pair.reason)
    if pair.values is None:
        return nothing
    first, second = pair.values
    value = first - second
    difference_R = None if pair.drawn is None else pair.drawn[0] - pair.drawn[1]
    interval, missing = plan.interval(pair.name, value, difference_R, clusters)
    stated = replace(
        nothing, first=first, second=second, interval=interval, reason="; ".join(filter(None, (pair.reason, missing)))
    )
    if interval is None or difference_R is None:
        return stated
    # Rows that share people cannot be exchanged for whole speakers.
    if pair.rows is not None and not people.joint:
        return _permuted(stated, pair.rows, people.crowd, plan, report)
    known_R = difference_R[np.isfinite(difference_R)]
    # Differences closer than rounding are as far as each other.
    far = np.abs(known_R - value) >= abs(value) * (1 - 1e-9)
    spread = float(known_R.std(ddof=1))
    normal = NormalDist()
    reach = normal.inv_cdf((1 + report.level) / 2) + normal.inv_cdf(report.power)
    return replace(
        stated,
        test="bootstrap",
        p=(1 + int(far.sum())) / (1 + len(known_R)),
        effect_size=value / (spread * math.sqrt(clusters)) if spread else None,
        smallest_detectable=reach * spread if spread else None,
    )


def _permuted(
    stated: Difference, rows: tuple[Summed, Summed], cluster_N: Integers, plan: Plan, report: Report
) -> Difference:
    """Return a difference with the permutation test of what rows add to it."""
    found = permutation_test(
        rows[0].sums[:, 0],
        rows[1].sums[:, 0],
        cluster_N,
        permutations=plan.resamples,
        level=report.level,
        power=report.power,
        generator=generator(plan.seed, "evaluate", "permutation"),
    )
    # Of means both sums are rows; of an error rate the second is words, and detectable are errors per row.
    per_row = len(rows[0].sums) / float(rows[0].sums[:, 1].sum())
    detectable = found.smallest_detectable * per_row
    return replace(
        stated,
        test="permutation",
        p=found.p,
        effect_size=None if math.isnan(found.cohen_dz) else found.cohen_dz,
        smallest_detectable=None if math.isnan(detectable) else detectable,
        reason="; ".join(filter(None, (stated.reason, found.note))),
    )


def _trials(first: ScoreRows, second: ScoreRows) -> Trials:
    """Return the trials of the first system; where no speaker is known, each trial is one."""
    trials = trials_with_speakers(first)
    if first.speakers:
        return trials
    people = _clusters(first, second)
    return replace(trials, enroll=people.crowd, test=people.crowd, speakers=np.arange(people.total))


def _clusters(first: ScoreRows, second: ScoreRows) -> People:
    """Return who is heard in each row, or, where nobody says, of each row its place by the content of both files."""
    if first.speakers:
        return clusters_of(first)
    alike = [
        np.unique(column.astype(str) if column.dtype == object else column, axis=0, return_inverse=True)[1].reshape(-1)
        for column in (*second.columns, *first.columns)
    ]
    order_N = np.lexsort(alike)
    place_N = np.empty_like(order_N)
    place_N[order_N] = np.arange(len(order_N))
    return people_of(place_N)


def _aligned(first: ScoreRows, second: ScoreRows) -> tuple[ScoreRows, tuple[str, ...]]:
    """Return the second rows in the order of the first, and notes; rows of another list are refused."""
    names = f"{first.origin.scores} and {second.origin.scores}"
    if first.kind != second.kind or first.classes != second.classes:
        raise InputError(f"{names} are of another kind or other classes: {_shape(first)} and {_shape(second)}")
    key = next((words for words in KEYS if all(set(words) <= set(each.rows) for each in (first, second))), None)
    notes: tuple[str, ...] = ()
    if key is None:
        order_N, notes = np.arange(len(second.columns[0])), (UNNAMED,)
    else:
        ours, theirs = (list(each.rows[list(key)].itertuples(index=False, name=None)) for each in (first, second))
        _require_same(set(ours), set(theirs), names)
        place = {name: row for row, name in enumerate(theirs)}
        order_N = np.array([place[name] for name in ours])
    if len(order_N) != len(first.columns[0]) or len(order_N) != len(second.columns[0]):
        raise InputError(f"{names} are of other lists: {len(first.columns[0]):,} and {len(second.columns[0]):,} rows")
    second = replace(
        second,
        columns=(second.columns[0][order_N], second.columns[1][order_N]),
        rows=second.rows.iloc[order_N],
        speakers=tuple(side[order_N] for side in second.speakers),
    )
    truth = 1 if first.kind is ScoreKind.DETECTION else 0
    others = int((first.columns[truth] != second.columns[truth]).sum())
    if others:
        raise InputError(f"{names} disagree about what is true in {others:,} of {len(order_N):,} rows: use one list")
    if any((ours != theirs).any() for ours, theirs in zip(first.speakers, second.speakers, strict=False)):
        raise InputError(f"{names} disagree about who speaks: use one list")
    return second, notes


def _require_same(ours: Iterable[object], theirs: Iterable[object], names: str) -> None:
    """Refuse two sets of names that differ."""
    only, other = len(set(ours) - set(theirs)), len(set(theirs) - set(ours))
    if only or other:
        raise InputError(
            f"{names} are of other lists: {only:,} rows are in the first alone and {other:,} in the second; a paired "
            "comparison needs the same rows"
        )


def _shape(scored: ScoreRows) -> str:
    return f"{scored.kind} {'/'.join(scored.classes)}".strip()
