"""Thresholds by a named policy: fitted on validation trials, stored with the model, applied wherever it decides.

A trial is accepted when score >= threshold. Three policies:

- `EerPoint`: where miss and false-alarm rate are closest; for scores of any scale, when no costs are known. Of equal
  gaps that of the smaller sum of both rates, then the highest threshold (`equal_error.eer_threshold` is read off the
  EER's own curve: it takes the lowest, and never rejects everything).
- `Bayes`: ln(c_fa (1 - p_target) / (c_miss p_target)), the threshold of least expected cost for natural-log
  likelihood ratios (Brummer and du Preez, "Application-independent evaluation of speaker detection", 2006). It
  reads no scores, and is right only for calibrated ones (`voxbench.metrics.calibration`).
- `FixedFar`: the lowest threshold whose false-alarm rate does not exceed a given one.

`EerPoint` and `FixedFar` need scores of the same kind at fitting and at deciding, raw or calibrated. They choose among
the distinct scores seen and, to reject everything, the next number above the highest: equal scores stand on one side
of a threshold together, and the order of the trials changes nothing. Policies (they are sections of `params.yaml`)
and thresholds are frozen records, as JSON by `record.model_dump(mode="json")`, read back by `policy_from` and
`threshold_from`.

Shape letters: T distinct scores and the point that rejects everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from voxbench.config.base import Count, Probability, Section
from voxbench.config.decisions import Bayes, EerPoint, FixedFar, Policy
from voxbench.metrics.bayes import bayes_threshold
from voxbench.metrics.inputs import finite_numbers
from voxbench.metrics.operating_points import OperatingPoints, both_classes
from voxbench.schema import InputError

Record = TypeVar("Record")


class Threshold(Section):
    """A threshold, the policy behind it, and what it reached on the trials that it was fitted on."""

    policy: Policy
    value: FiniteFloat
    targets: Count
    nontargets: Count
    p_miss: Probability
    p_fa: Probability


_POLICY: TypeAdapter[EerPoint | Bayes | FixedFar] = TypeAdapter(Policy)
_THRESHOLD = TypeAdapter(Threshold)


def fit(policy: EerPoint | Bayes | FixedFar, scores: ArrayLike, labels: ArrayLike) -> Threshold:
    """Return the threshold of a policy on N trials, and the rates that it reaches there, as fractions.

    `scores` (N,) are finite, higher = more target; `labels` (N,) are 1 = target (bona fide), 0 = nontarget
    (spoof). One class alone raises `UndefinedError`, for `Bayes` too: its rates would be unknown.

    >>> scores, labels = [0.1, 0.3, 0.4, 0.5, 0.7, 0.8], [0, 0, 1, 0, 1, 1]
    >>> fit(EerPoint(), scores, labels).value
    0.5
    >>> strict = fit(FixedFar(rate=0.1), scores, labels)
    >>> strict.value, strict.p_fa, round(strict.p_miss, 4)
    (0.7, 0.0, 0.3333)
    >>> round(fit(Bayes(p_target=0.01, c_miss=1, c_fa=1), scores, labels).value, 5)
    4.59512
    """
    points = both_classes(scores, labels, f"threshold policy {policy.policy}")
    if isinstance(policy, Bayes):
        value = bayes_threshold(policy.p_target, policy.c_miss, policy.c_fa)
        row = int(np.searchsorted(points.thresholds, value))
    else:
        row = _closest_rates(points) if isinstance(policy, EerPoint) else int((points.p_fa <= policy.rate).argmax())
        highest = points.thresholds[-2]
        value = float(min(points.thresholds[row], np.nextafter(highest, np.inf)))
    return Threshold(
        policy=policy,
        value=value,
        targets=points.targets,
        nontargets=points.nontargets,
        p_miss=float(points.p_miss[row]),
        p_fa=float(points.p_fa[row]),
    )


def decide(scores: ArrayLike, threshold: Threshold) -> NDArray[np.bool_]:
    """Return which scores, in any shape, are accepted: score >= threshold; NaN is refused.

    >>> decide([0.2, 0.5, 0.9], fit(EerPoint(), [0.1, 0.5], [0, 1])).tolist()
    [False, True, True]
    """
    return np.asarray(finite_numbers(scores, "scores") >= threshold.value)


def policy_from(record: Mapping[str, Any]) -> EerPoint | Bayes | FixedFar:
    """Return the policy of a record such as `{"policy": "fixed_far", "rate": 0.01}`; others raise `InputError`.

    >>> policy_from({"policy": "bayes", "p_target": 0.05, "c_miss": 1, "c_fa": 1}).p_target
    0.05
    """
    return _validated(_POLICY, record, "threshold policy")


def threshold_from(record: Mapping[str, Any]) -> Threshold:
    """Return the threshold that `model_dump` wrote; anything else raises `InputError`.

    >>> threshold = fit(EerPoint(), [0.1, 0.5], [0, 1])
    >>> threshold_from(threshold.model_dump(mode="json")) == threshold
    True
    """
    return _validated(_THRESHOLD, record, "threshold")


def _closest_rates(points: OperatingPoints) -> int:
    """Return the row of the EER point; rates are compared as integers, over the product of both counts."""
    misses_T, false_alarms_T = points.misses * points.nontargets, points.false_alarms * points.targets
    gap_T = np.abs(misses_T - false_alarms_T)
    closest = np.flatnonzero(gap_T == gap_T.min())
    errors = (misses_T + false_alarms_T)[closest]
    return int(closest[errors == errors.min()][-1])


def _validated(adapter: TypeAdapter[Record], record: Mapping[str, Any], name: str) -> Record:
    """Return a record of known form, or refuse it in one line."""
    try:
        return adapter.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the record"
        raise InputError(f"no {name}: {place}: {first['msg'].removeprefix('Value error, ')}") from error
