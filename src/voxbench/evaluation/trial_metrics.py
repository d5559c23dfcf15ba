"""The metrics of detection rows: each by name, with its value at the operating points and on weighted resamples.

| name | what |
|---|---|
| `eer`, `eer_asvspoof`, `eer_rocch` | the equal error rate in its three customs, `voxbench.metrics.equal_error` |
| `min_dcf(p_target=0.01)` | least normalised cost at a prior and costs, which are named where they are not 1 |
| `act_dcf(p_target=0.01)` | the same at the Bayes threshold of log-likelihood ratios |
| `auc` | area under the ROC |
| `cllr`, `min_cllr` | cost of log-likelihood ratios in bits, as they are and after isotonic recalibration |

`act_dcf` and `cllr` read scores as natural-log likelihood ratios. They are stated of any scores, but `llr_doubt` says
where the scores are evidently none.

Shape letters: P operating points, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from voxbench.config import OperatingCosts
from voxbench.evaluation.intervals import Plan
from voxbench.evaluation.records import Measured
from voxbench.metrics.detection import act_dcf, auc, cllr, eer, eer_asvspoof, min_cllr, min_dcf
from voxbench.metrics.inputs import Floats, Integers
from voxbench.metrics.operating_points import OperatingPoints
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.trial_bootstrap import Trials, weighted_values
from voxbench.metrics.weighted_detection import (
    WeightedMetric,
    WeightedTrials,
    weighted_act_dcf,
    weighted_auc,
    weighted_cllr,
    weighted_eer,
    weighted_min_dcf,
)

# Standard errors beyond which what was found is no chance.
EVIDENT = 3

PointMetric = Callable[[OperatingPoints], float]


@dataclass(frozen=True, slots=True)
class TrialMetric:
    """A metric of trials: of their operating points, and of weighted resamples; `reads_llrs` if scales matter."""

    name: str
    value: PointMetric
    weighted: WeightedMetric
    reads_llrs: bool = False


def weighted_by_points(statistic: PointMetric) -> WeightedMetric:
    """Return a metric of operating points as one of weighted trials, NaN where it is undefined.

    Weights must be whole. Nothing is sorted anew: cumulated weights are counts of repeated rows.

    >>> from voxbench.metrics.weighted_detection import weighted_trials
    >>> trials = weighted_trials(np.array([3.0, 2.0]), np.array([True, False]), np.array([[1.0, 0.0], [2.0, 1.0]]))
    >>> weighted_by_points(min_cllr)(trials).tolist()
    [0.0, nan]
    """

    def weighted(trials: WeightedTrials) -> Floats:
        values = []
        for points in _points_of(trials):
            try:
                values.append(statistic(points))
            except UndefinedError:
                values.append(np.nan)
        return np.array(values)

    return weighted


EER = TrialMetric("eer", eer, weighted_eer)
EER_ASVSPOOF = TrialMetric("eer_asvspoof", eer_asvspoof, weighted_by_points(eer_asvspoof))
_eer_rocch: PointMetric = partial(eer, labels=None, method="rocch")
EER_ROCCH = TrialMetric("eer_rocch", _eer_rocch, weighted_by_points(_eer_rocch))
AUC = TrialMetric("auc", auc, weighted_auc)
CLLR = TrialMetric("cllr", cllr, weighted_cllr, reads_llrs=True)
MIN_CLLR = TrialMetric("min_cllr", min_cllr, weighted_by_points(min_cllr))


def trial_metrics(costs: Sequence[OperatingCosts], *, is_anti_spoofing: bool) -> list[TrialMetric]:
    """Return all metrics, first the equal error rate that the task's figures are quoted in.

    >>> [each.name for each in trial_metrics([OperatingCosts(p_target=0.05, c_miss=1, c_fa=10)], is_anti_spoofing=True)]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['eer_asvspoof', 'eer', 'eer_rocch', 'min_dcf(p_target=0.05, c_fa=10)', 'act_dcf(p_target=0.05, c_fa=10)', 'auc',
     'cllr', 'min_cllr']
    """
    rates = [EER_ASVSPOOF, EER] if is_anti_spoofing else [EER, EER_ASVSPOOF]
    return [
        *rates,
        EER_ROCCH,
        *(at for each in costs for at in (least_cost(each), actual_cost(each))),
        AUC,
        CLLR,
        MIN_CLLR,
    ]


def calibrated_metrics(costs: Sequence[OperatingCosts], *, is_anti_spoofing: bool) -> list[TrialMetric]:
    """Return the metrics of calibrated ratios: error rate, actual costs, and Cllr beside its minimum."""
    rate = EER_ASVSPOOF if is_anti_spoofing else EER
    return [rate, *(actual_cost(each) for each in costs), CLLR, MIN_CLLR]


def least_cost(costs: OperatingCosts) -> TrialMetric:
    """Return `min_dcf` at a prior and costs."""
    value: PointMetric = partial(min_dcf, labels=None, **costs.model_dump())
    return TrialMetric(_at("min_dcf", costs), value, weighted_min_dcf(**costs.model_dump()))


def actual_cost(costs: OperatingCosts) -> TrialMetric:
    """Return `act_dcf` at a prior and costs."""
    value: PointMetric = partial(act_dcf, labels=None, **costs.model_dump())
    return TrialMetric(_at("act_dcf", costs), value, weighted_act_dcf(**costs.model_dump()), reads_llrs=True)


def measure_trials(
    metrics: Sequence[TrialMetric], points: OperatingPoints, trials: Trials | None, plan: Plan, doubt: str
) -> tuple[Measured, ...]:
    """Return each metric with its interval; one without a value has the reason instead.

    `trials` are those of `points`, None where no intervals are drawn. `doubt` stands beside what reads scores as
    log-likelihood ratios.
    """
    values: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for each in metrics:
        try:
            values[each.name] = each.value(points)
        except UndefinedError as error:
            undefined[each.name] = str(error)
    drawn = resampled({each.name: each.weighted for each in metrics if each.name in values}, trials, plan)
    speakers = 0 if trials is None else len(trials.speakers)
    return tuple(
        plan.measured(each.name, values[each.name], drawn.get(each.name), speakers, doubt if each.reads_llrs else "")
        if each.name in values
        else Measured(each.name, None, None, undefined[each.name])
        for each in metrics
    )


def resampled(metrics: Mapping[str, WeightedMetric], trials: Trials | None, plan: Plan) -> dict[str, Floats]:
    """Return each metric on every resample (R,), NaN where undefined; nothing where none are drawn."""
    if trials is None or plan.why_none or len(trials.speakers) < 2 or not metrics:
        return {}
    # Equal scores weigh differently, and sums over them should round alike whatever order they came in.
    order_N = np.lexsort((trials.test, trials.enroll, trials.is_target, trials.scores))
    trials = Trials(
        trials.scores[order_N],
        trials.is_target[order_N],
        trials.enroll[order_N],
        trials.test[order_N],
        trials.speakers,
    )
    values_MR = weighted_values(list(metrics.values()), trials, plan.draws(len(trials.speakers), "trials"))
    return dict(zip(metrics, values_MR, strict=True))


def llr_doubt(points: OperatingPoints) -> str:
    """Return why the scores are evidently no log-likelihood ratios, or nothing.

    Two things are evidence, where they stand `EVIDENT` standard errors (of independent trials) away from chance. A
    Cllr above 1: as ratios, the scores inform worse than saying nothing. And ratios too small for what they tell
    apart: where none is beyond b, the area under the ROC is at most 1 / (1 + e^-b), as the slope of the ROC at a
    threshold is the likelihood ratio there; cosines and probabilities of a good system pass that bound. Elsewhere
    scores may be ratios or not: `cllr` beside `min_cllr` says how good ones.
    """
    if not (points.targets and points.nontargets):
        return ""
    scores = points.thresholds[:-1]
    target, target_error = _mean_cost(np.logaddexp(0, -scores), np.diff(points.misses))
    nontarget, nontarget_error = _mean_cost(np.logaddexp(0, scores), -np.diff(points.false_alarms))
    actual, error = (target + nontarget) / 2, math.sqrt(target_error + nontarget_error) / 2
    if actual - 1 > EVIDENT * error:
        return (
            f"evidently no log-likelihood ratios: as such, the scores inform worse (Cllr {actual:.3g}) than no scores "
            "(1); calibrate them on development rows"
        )
    largest = float(np.abs(scores[[0, -1]]).max())
    bound, area = 1 / (1 + math.exp(-largest)), auc(points)
    if area - bound > EVIDENT * math.sqrt(bound * (1 - bound) / min(points.targets, points.nontargets)):
        return (
            f"evidently no log-likelihood ratios: none is beyond {largest:.3g}, so the area under the ROC could not be "
            f"above {bound:.3g}, but it is {area:.3g}; calibrate them on development rows"
        )
    return ""


def _mean_cost(nats_T: Floats, counts_T: Integers) -> tuple[float, float]:
    """Return the mean cost of one class in bits, and the square of its standard error."""
    trials = int(counts_T.sum())
    # Scores of 1e200 have squares beyond float64: their error is then infinite, and nothing is evident.
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float((nats_T * counts_T).sum()) / trials
        variance = float(((nats_T - mean) ** 2 * counts_T).sum()) / trials
    return mean / math.log(2), variance / (trials * math.log(2) ** 2)


def _at(name: str, costs: OperatingCosts) -> str:
    """Return the name of a cost with its prior, and with its costs where they are not 1."""
    named = {"p_target": costs.p_target} | {
        cost: value for cost, value in (("c_miss", costs.c_miss), ("c_fa", costs.c_fa)) if value != 1
    }
    return f"{name}({', '.join(f'{word}={value:.15g}' for word, value in named.items())})"


@lru_cache(maxsize=1)
def _points_of(trials: WeightedTrials) -> tuple[OperatingPoints, ...]:
    """Return the operating points of each resample, kept for the next metric of the same resamples."""
    return tuple(_points(trials))


def _points(trials: WeightedTrials) -> Iterator[OperatingPoints]:
    """Yield the operating points of each resample, without the thresholds at which no trial was drawn."""
    thresholds = trials.thresholds[::-1]
    targets_R = trials.weights[trials.is_target].sum(axis=0)
    nontargets_R = trials.weights[~trials.is_target].sum(axis=0)
    for place, (targets, nontargets) in enumerate(zip(targets_R.tolist(), nontargets_R.tolist(), strict=True)):
        misses = _counts(trials.p_miss[::-1, place], targets)
        false_alarms = _counts(trials.p_fa[::-1, place], nontargets)
        # A threshold of no trial rejects what the next one does; of equal points the hull would keep none.
        kept = np.flatnonzero((misses[1:] != misses[:-1]) | (false_alarms[1:] != false_alarms[:-1]))
        kept = np.append(kept, len(thresholds) - 1)
        yield OperatingPoints(thresholds[kept], misses[kept], false_alarms[kept], int(targets), int(nontargets))


def _counts(rates_P: Floats, total: float) -> Integers:
    """Return rates as counts; the rates of a class without weight are NaN, and its counts 0."""
    return np.rint(rates_P * total).astype(np.int64) if total else np.zeros(len(rates_P), dtype=np.int64)
