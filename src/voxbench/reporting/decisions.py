"""The decision that is stored with the best network on validation, applied to the test rows; nothing is fitted here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from voxbench.evaluation.decisions import Decision, detection_scores, read_decision, seconds_of, undecidable
from voxbench.evaluation.records import Decided, Measured
from voxbench.metrics import UndefinedError
from voxbench.metrics.bayes import min_cllr
from voxbench.metrics.inputs import Floats
from voxbench.metrics.joint_clusters import People, people_of
from voxbench.metrics.trial_bootstrap import Trials, weighted_values
from voxbench.metrics.uncertainty import cluster_weights, percentile_interval
from voxbench.metrics.weighted_detection import (
    WeightedMetric,
    weighted_by_repetition,
    weighted_cllr,
    weighted_false_alarm_rate,
    weighted_miss_rate,
)
from voxbench.reporting.detections import DetectionBootstrap
from voxbench.reporting.pairs import SIDES
from voxbench.reporting.scored import Bootstrap, Scored
from voxbench.seeding import generator
from voxbench.tasks import Task

Measure = Callable[[Mapping[str, WeightedMetric], Floats, Scored], dict[str, Measured]]
"""Metrics of scores (N,) of some test rows, each with its interval."""

BEFORE, AFTER, LEAST = "cllr_before", "cllr", "min_cllr"


@dataclass(frozen=True)
class Applied:
    """What the stored decision of `model` does on the test rows.

    `cllrs` are Cllr in bits by name: of the scores as they are, of the calibrated ones, and the least that a map which
    never falls could reach on these very rows. `decided` has an entry for each policy, and none where the fit was
    undefined; neither are there `llrs` (N,), the calibrated scores.
    """

    model: str
    decision: Decision
    cllrs: dict[str, Measured]
    decided: tuple[Decided, ...]
    llrs: Floats | None = field(compare=False)

    @property
    def served(self) -> Decided | None:
        """Return what the policy does that serving applies."""
        return next((each for each in self.decided if each.name == self.decision.settings.policy), None)


def applied_decision(task: Task, scored: Scored, folder: Path, manifest: Path, bound: Bootstrap) -> Applied | None:
    """Apply the decision that lies in a model's `folder` to its test rows; None for a task without thresholds.

    `manifest` is that of the prepared corpus, which knows the seconds of recordings.
    """
    if undecidable(task.score_kind, task.classes):
        return None
    decision = read_decision(folder)
    scores = detection_scores(task.score_kind, scored.scores)
    measured: Measure = bound.measured if isinstance(bound, DetectionBootstrap) else partial(_measured, bound=bound)
    cllrs = measured({BEFORE: weighted_cllr, LEAST: weighted_by_repetition(min_cllr)}, scores, scored)
    if decision.reason:
        return Applied(folder.name, decision, cllrs | {AFTER: Measured(AFTER, None, None, decision.reason)}, (), None)
    llrs = decision.llrs(scores, _seconds(task, scored.rows, manifest, decision))
    functions: dict[str, WeightedMetric] = {AFTER: weighted_cllr}
    for name, threshold in decision.thresholds.items():
        functions |= {f"p_miss {name}": weighted_miss_rate(threshold.value)}
        functions |= {f"p_fa {name}": weighted_false_alarm_rate(threshold.value)}
    found = measured(functions, llrs, scored)
    decided = tuple(
        Decided(name, threshold, found[f"p_miss {name}"], found[f"p_fa {name}"])
        for name, threshold in decision.thresholds.items()
    )
    return Applied(folder.name, decision, cllrs | {AFTER: found[AFTER]}, decided, llrs)


def _seconds(task: Task, rows: pd.DataFrame, manifest: Path, decision: Decision) -> Floats | None:
    """Return the seconds (N,) that the calibration weighs: of a trial those of the shorter recording, as in the fit."""
    sides = [rows[column] for column in (SIDES if task.pairs else ("id",))]
    heard = [seconds_of(manifest, ids, decision.settings.calibration) for ids in sides]
    known = [each for each in heard if each is not None]
    return np.min(np.array(known), axis=0) if known else None


def _measured(
    functions: Mapping[str, WeightedMetric], scores: Floats, scored: Scored, bound: Bootstrap
) -> dict[str, Measured]:
    """Return each metric with its interval over speakers, all on the same resamples, whatever the scores."""
    people, settings, metrics = people_of(scored.speakers), bound.settings, list(functions.values())
    # Whoever is heard in a row stands on both of its sides, so that the row comes as often as they do.
    trials = Trials(scores, scored.truth == 1, people.crowd, people.crowd, np.arange(people.crowds))
    values_M = weighted_values(metrics, trials, [np.ones((1, people.crowds))])[:, 0]
    drawn_MR = np.empty((len(metrics), 0))
    if people.total > 1:
        draws = generator(settings.seed, "report", bound.benchmark, "decision")
        parts = cluster_weights(people.total, settings.resamples, draws)
        drawn_MR = weighted_values(metrics, trials, people.weights(parts))
    return {
        name: _bounded(name, float(value), drawn_R, settings.level, (trials.is_target, people))
        for name, value, drawn_R in zip(functions, values_M, drawn_MR, strict=True)
    }


def _bounded(
    name: str, value: float, drawn_R: Floats, level: float, about: tuple[NDArray[np.bool_], People]
) -> Measured:
    """Return a metric with its interval from the values (R,) of the resamples, or the reason of what is missing."""
    is_target_N, speakers = about[0], about[1].total
    targets = int(is_target_N.sum())
    if not np.isfinite(value):
        found = f"found {targets} of the positive class and {len(is_target_N) - targets} of the other"
        return Measured(name, None, None, f"a class that it needs has no test clip: {found}")
    if not drawn_R.size:
        return Measured(name, value, None, f"an interval over speakers needs at least 2, found {speakers}")
    try:
        return Measured(name, value, percentile_interval(value, drawn_R, level, speakers), "")
    except UndefinedError as error:
        return Measured(name, value, None, str(error))
