"""The metrics of classes, values and texts with their intervals.

Most are functions of a few sums, so that resamples of speakers are fast (`voxbench.evaluation.row_sums`). The others
are computed on repeated rows, one resample after the other.

Shape letters: N rows, C classes, U crowds (speakers, where each row has one), R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from voxbench.evaluation.intervals import Plan, clusters_of, content_order
from voxbench.evaluation.records import Measured, ScoreRows
from voxbench.evaluation.row_sums import summed_metrics
from voxbench.metrics import Metric, UndefinedError, measure, metrics_of
from voxbench.metrics.alignment import EditCounts
from voxbench.metrics.inputs import Floats, Integers, value_columns
from voxbench.metrics.joint_clusters import People
from voxbench.metrics.text import character_counts, error_rate, word_counts
from voxbench.metrics.trial_bootstrap import Trials, weighted_values
from voxbench.metrics.weighted_detection import weighted_auc
from voxbench.schema import ScoreKind


def measure_rows(scored: ScoreRows, plan: Plan) -> tuple[Measured, ...]:
    """Return every metric of a kind that is no detection, with its interval; the order of the rows never counts."""
    scored = _sorted(scored)
    counts = edit_counts_of(scored) if scored.kind is ScoreKind.TEXT else {}
    values, undefined = _values(scored, counts)
    people = clusters_of(scored)
    defined = [each for each in metrics_of(scored.kind) if each.name in values]
    drawn: dict[str, Floats] = {}
    if not plan.why_none and people.total >= 2:
        drawn = resampled_rows(scored, defined, counts, people, plan)
    return tuple(
        plan.measured(each.name, values[each.name], drawn.get(each.name), people.total)
        if each.name in values
        else Measured(each.name, None, None, undefined[each.name])
        for each in metrics_of(scored.kind)
    )


def edit_counts_of(scored: ScoreRows) -> dict[str, EditCounts]:
    """Return the edits of each row by the name of the rate that they make, aligned once."""
    references, hypotheses = (column.tolist() for column in scored.columns)
    return {"wer": word_counts(references, hypotheses), "cer": character_counts(references, hypotheses)}


def _sorted(scored: ScoreRows) -> ScoreRows:
    """Return the rows in the order of their content, so that sums round alike whatever order they came in."""
    order_N = content_order(scored)
    first, second = (column[order_N] for column in scored.columns)
    return ScoreRows(
        kind=scored.kind,
        columns=(first, second),
        classes=scored.classes,
        unit=scored.unit,
        rows=scored.rows.iloc[order_N],
        speakers=tuple(side[order_N] for side in scored.speakers),
        origin=scored.origin,
        notes=scored.notes,
    )


def _values(scored: ScoreRows, counts: Mapping[str, EditCounts]) -> tuple[dict[str, float], dict[str, str]]:
    """Return every metric of the rows, or why it is undefined; texts are not aligned again."""
    if not counts:
        return measure(scored.kind, *scored.columns)
    values, undefined = {}, {}
    for each in metrics_of(scored.kind):
        try:
            known = counts.get(each.name)
            values[each.name] = (
                each.function(*scored.columns) if known is None else error_rate(known.errors, known.reference)
            )
        except UndefinedError as error:
            undefined[each.name] = str(error)
    return values, undefined


def resampled_rows(
    scored: ScoreRows,
    metrics: list[Metric],
    counts: Mapping[str, EditCounts],
    people: People,
    plan: Plan,
) -> dict[str, Floats]:
    """Return each metric on every resample (R,), NaN where it is undefined."""
    summed = summed_metrics(scored, counts, people.crowd, people.crowds)
    drawn: dict[str, list[Floats]] = {each.name: [] for each in metrics}
    for part_RU in people.weights(plan.draws(people.total, "rows")):
        # Where rows have several people, a resample may hold no row.
        held_R = np.asarray(part_RU.any(axis=1))
        part_RU = part_RU[held_R]
        found = {name: summed[name].finish(part_RU @ summed[name].sums) for name in drawn.keys() & summed.keys()}
        found |= _without_sums(scored, [each for each in metrics if each.name not in summed], part_RU, people.crowd)
        for name, values_R in found.items():
            whole_R = np.full(len(held_R), np.nan)
            whole_R[held_R] = values_R
            drawn[name].append(whole_R)
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def _without_sums(
    scored: ScoreRows, metrics: list[Metric], part_RU: Floats, crowd_N: Integers
) -> Iterator[tuple[str, Floats]]:
    """Yield the metrics that are no functions of sums, on some resamples."""
    for each in metrics:
        if each.name == "roc_auc":
            truth_N, probabilities_NC = scored.columns
            places = np.arange(part_RU.shape[1])
            trials = Trials(probabilities_NC[:, 1].astype(np.float64), truth_N == 1, crowd_N, crowd_N, places)
            yield each.name, weighted_values([weighted_auc], trials, [part_RU])[0]
        elif each.name == "median_absolute_error":
            truth_N, predicted_N = value_columns(*scored.columns)
            yield each.name, _medians(np.abs(predicted_N - truth_N), part_RU, crowd_N)
        else:
            yield each.name, _repeated(each, scored, part_RU, crowd_N)


def _repeated(metric: Metric, scored: ScoreRows, part_RU: Floats, crowd_N: Integers) -> Floats:
    """Return a metric on rows that stand as often as they were drawn (R,)."""
    values = []
    for weights_U in part_RU.astype(np.int64):
        drawn_N = np.repeat(np.arange(len(crowd_N)), weights_U[crowd_N])
        try:
            values.append(metric.function(*(column[drawn_N] for column in scored.columns)))
        except UndefinedError:
            values.append(np.nan)
    return np.array(values)


def _medians(values_N: Floats, part_RU: Floats, crowd_N: Integers) -> Floats:
    """Return the median of values of each resample (R,); the mean of the middle two where they are even in number."""
    order_N = np.argsort(values_N, kind="stable")
    rising_N, crowd_N = values_N[order_N], crowd_N[order_N]
    medians = []
    for weights_U in part_RU:
        reached_N = np.cumsum(weights_U[crowd_N])
        middle = np.floor((reached_N[-1] + np.array([1, 2])) / 2)
        medians.append(rising_N[np.searchsorted(reached_N, middle)].mean())
    return np.array(medians)
