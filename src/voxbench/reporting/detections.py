"""Detection: what the report measures of scores of two classes, of recordings one by one or of pairs of them.

A row of a score table is a trial: one recording that is bona fide or spoofed, or a pair of which one person is heard
or two. Intervals are over the speakers of the rows, of pairs those of both sides, the very ones of `voxbench evaluate`
on the same table: the same draws, `voxbench.metrics.trial_bootstrap`, and for long lists the same fewer resamples. The
metrics are those that the field quotes, the least costs at the operating points of `evaluation.costs`.

Shape letters: N trials, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.config import Evaluation, OperatingCosts
from voxbench.evaluation.intervals import Plan, plan_of, trials_with_speakers
from voxbench.evaluation.label_words import ANTI_SPOOFING
from voxbench.evaluation.records import Measured, Origin, ScoreRows
from voxbench.evaluation.row_columns import EXTRA
from voxbench.evaluation.trial_metrics import (
    AUC,
    CLLR,
    EER,
    EER_ASVSPOOF,
    MIN_CLLR,
    TrialMetric,
    least_cost,
    measure_trials,
    resampled,
    weighted_by_points,
)
from voxbench.metrics import METRICS, Metric
from voxbench.metrics.inputs import Floats
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.trial_bootstrap import Trials, weighted_values
from voxbench.metrics.weighted_detection import WeightedMetric
from voxbench.reporting.pairs import SIDES, grouping_columns, trial_rows
from voxbench.reporting.quantities import spoken
from voxbench.reporting.scored import Bootstrap, Bounded, Scored, known_rows
from voxbench.schema import InputError, ScoreKind, Split
from voxbench.tasks import Task
from voxbench.training.scoring import score_values
from voxbench.transcripts.phrases import NEAR, OTHER

# Prior and costs of the metrics that stages write, whose names tables share with theirs.
REGISTERED = {(0.01, 1.0, 1.0): "min_dcf_p01", (0.05, 1.0, 1.0): "min_dcf_p05"}
# The custom of ASVspoof rejects the targets of equal scores first, which puts what gives all trials one score at 100 %.
# Baselines and probes, to which many trials are alike, are measured without it: what knows nothing is at 50 %.
UNTIED = TrialMetric(EER_ASVSPOOF.name, EER.value, EER.weighted)
UNNAMED = Origin("", "", None, "", "", None)
# What groups trials of phrases, and what their table calls it; how the kinds of wrong phrases are called.
PHRASE, WRONG = "phrase", "wrong phrase"
KINDS = {OTHER: "another sentence", NEAR: "one word replaced"}


@dataclass(frozen=True)
class DetectionBootstrap(Bootstrap):
    """Metrics of trials, and their intervals over speakers; `tandem` are costs behind a speaker verifier, if any."""

    task: Task
    evaluation: Evaluation
    tandem: tuple[TrialMetric, ...]

    @property
    def is_anti_spoofing(self) -> bool:
        """Return whether the figures are those that anti-spoofing quotes."""
        return self.task.name == ANTI_SPOOFING

    def metrics(self, task: Task) -> list[Metric]:
        """Return the metrics that are shown; costs at the operating points that the settings name."""
        return [
            Metric(each.name, task.score_kind, each.value, _rises(each.name), needs_order=False)
            for each in self._measures(aside=False)
        ]

    def read(self, task: Task, path: Path, labelled: pd.DataFrame) -> Scored:
        """Read the test trials of a score table; `labelled` says what is known of each recording."""
        table = pd.read_parquet(path)
        table = table[table["split"] == Split.TEST].reset_index(drop=True)
        name = f"{path.parent.name}/{path.name}"
        rows = trial_rows(table, labelled, name) if task.pairs else known_rows(table, labelled, name)
        if PHRASE in table:
            kinds = table["kind"].replace(KINDS)
            rows = rows.assign(**{PHRASE: table[PHRASE].to_numpy(), EXTRA + WRONG: kinds.to_numpy()})
        return self._scored(Scored(table["truth"].to_numpy(), score_values(task, table), rows, {}, {}))

    def score(self, task: Task, like: Scored, scores: np.ndarray) -> Scored:
        """Measure what a baseline or a probe says of the same trials."""
        return self._scored(Scored(like.truth, scores, like.rows, {}, {}, aside=True))

    def __call__(self, system: str, scored: Scored) -> dict[str, Bounded]:
        """Return the intervals of the benchmark's metric and of the area under the ROC."""
        chosen = [each for each in self._measures(aside=scored.aside) if each.name in (self.metric.name, AUC.name)]
        points = operating_points(scored.scores, scored.truth)
        found = measure_trials(chosen, points, self.trials(scored, scored.scores), self.plan(scored), doubt="")
        return {each.name: Bounded(each.interval, each.reason) for each in found}

    def gain(self, system: str, scored: Scored, reference: str, other: Scored) -> Bounded:
        """Return by how much `scored` is better than `other` on the same trials; above 0 is better."""
        name, plan, drawn = self.metric.name, self.plan(scored), []
        trials = [self.trials(scored, each.scores) for each in (scored, other)]
        for each, own in zip((scored, other), trials, strict=True):
            if name in each.undefined:
                return Bounded(None, each.undefined[name])
            metric = next(metric for metric in self._measures(aside=each.aside) if metric.name == name)
            drawn.append(resampled({name: metric.weighted}, own, plan))
        sign = 1 if self.metric.greater_is_better else -1
        values_R = sign * (drawn[0][name] - drawn[1][name]) if all(drawn) else None
        value = sign * (scored.values[name] - other.values[name])
        return Bounded(*plan.interval(name, value, values_R, len(trials[0].speakers)))

    def measured(self, functions: Mapping[str, WeightedMetric], scores: Floats, scored: Scored) -> dict[str, Measured]:
        """Return metrics of other scores (N,) of the same trials, each with its interval."""
        trials, plan = self.trials(scored, scores), self.plan(scored)
        speakers = len(trials.speakers)
        values_M = weighted_values(list(functions.values()), trials, [np.ones((1, speakers))])[:, 0]
        drawn = resampled(functions, trials, plan)
        found = {}
        for name, value in zip(functions, values_M.tolist(), strict=True):
            known = plan.measured(name, value, drawn.get(name), speakers)
            lacking = Measured(name, None, None, "a class that it needs has no test trial")
            found[name] = known if np.isfinite(value) else lacking
        return found

    def plan(self, scored: Scored) -> Plan:
        """Return how intervals of some trials are drawn."""
        return plan_of(score_rows(self.task, scored, scored.scores, UNNAMED), self.settings, self.evaluation)

    def trials(self, scored: Scored, scores: np.ndarray) -> Trials:
        """Return trials with these scores (N,), and their speakers."""
        return trials_with_speakers(score_rows(self.task, scored, scores, UNNAMED))

    def resamples(self, scored: Scored) -> int:
        """Return how many resamples the intervals are of."""
        return self.plan(scored).resamples

    def _measures(self, *, aside: bool) -> list[TrialMetric]:
        custom = UNTIED if aside else EER_ASVSPOOF
        rates = [custom, EER] if self.is_anti_spoofing else [EER]
        costs = (_least_cost(each) for each in self.evaluation.costs)
        known = [*rates, *self.tandem, *costs, CLLR, MIN_CLLR, AUC]
        name = self.metric.name
        if name not in {each.name for each in known}:
            known.insert(0, TrialMetric(name, self.metric.function, weighted_by_points(self.metric.function)))
        return known

    def _scored(self, scored: Scored) -> Scored:
        points, values, undefined = operating_points(scored.scores, scored.truth), {}, {}
        for each in self._measures(aside=scored.aside):
            try:
                values[each.name] = each.value(points)
            # Not `UndefinedError` alone: the t-DCF refuses a baseline that gives all trials one score.
            except InputError as error:
                undefined[each.name] = str(error)
        return replace(scored, values=values, undefined=undefined)


def _least_cost(costs: OperatingCosts) -> TrialMetric:
    """Return the least cost, under the name that the registry of metrics has for it, if any."""
    found = least_cost(costs)
    name = REGISTERED.get((costs.p_target, costs.c_miss, costs.c_fa), found.name)
    return TrialMetric(name, found.value, found.weighted)


def _rises(name: str) -> bool:
    return name in METRICS and METRICS[name].greater_is_better


def score_rows(task: Task, scored: Scored, scores: np.ndarray, origin: Origin) -> ScoreRows:
    """Return trials with these scores (N,) as `voxbench evaluate` would have read them, with what groups them."""
    speakers: tuple[np.ndarray, ...] = (scored.speakers,)
    if task.pairs:
        speakers = tuple(scored.rows[f"{side}_speaker"].to_numpy() for side in SIDES)
    return ScoreRows(
        kind=ScoreKind.DETECTION,
        columns=(scores, scored.truth),
        classes=tuple(spoken(word) for word in task.classes),
        unit="",
        rows=grouping_columns(scored.rows) if task.pairs else scored.rows,
        speakers=speakers,
        origin=origin,
        notes=(),
    )
