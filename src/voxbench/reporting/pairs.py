"""Rows that are trials: what the report measures of a task of pairs, and the intervals of it.

A row of the score table is a pair of recordings, so a row depends on two people. Intervals are over the speakers of
both sides, the very ones of `voxbench evaluate` on the same table: the same draws, `voxbench.metrics.trial_bootstrap`,
and for long lists the same fewer resamples. The metrics are those that the field quotes, the least costs at the
operating points of `evaluation.costs`.

Probes of trials know by how much the two recordings differ in the numbers of the manifest: the absolute difference of
each. They are fitted to trials of training rows, drawn by the rule of the benchmark.

Shape letters: N trials, R resamples, X numbers of a recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.config import Evaluation, OperatingCosts, TrialRule
from voxbench.evaluation.intervals import Plan, plan_of
from voxbench.evaluation.records import Measured, Origin, ScoreRows
from voxbench.evaluation.trial_metrics import (
    AUC,
    CLLR,
    EER,
    MIN_CLLR,
    TrialMetric,
    least_cost,
    measure_trials,
    resampled,
    weighted_by_points,
)
from voxbench.features.trial_rule import draw_trials
from voxbench.metrics import METRICS, Metric, UndefinedError
from voxbench.metrics.inputs import Floats
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.trial_bootstrap import Trials, trials_of, weighted_values
from voxbench.metrics.weighted_detection import WeightedMetric
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.probes import CLUES, Probes, probes
from voxbench.reporting.scored import Bootstrap, Bounded, Scored
from voxbench.schema import InputError, ScoreKind, Split
from voxbench.tasks import Task

SIDES = ("enroll", "test")
SEX, SESSION = "sex", "session"
# Prior and costs of the metrics that stages write, whose names tables share with theirs.
REGISTERED = {(0.01, 1.0, 1.0): "min_dcf_p01", (0.05, 1.0, 1.0): "min_dcf_p05"}
UNNAMED = Origin("", "", None, "", "", None)


@dataclass(frozen=True)
class TrialBootstrap(Bootstrap):
    """Metrics of trials, and their intervals over the speakers of both sides."""

    evaluation: Evaluation

    def metrics(self, task: Task) -> list[Metric]:
        """Return the metrics that are shown; costs at the operating points that the settings name."""
        return [
            Metric(each.name, task.score_kind, each.value, _rises(each.name), needs_order=False)
            for each in self._measures()
        ]

    def read(self, task: Task, path: Path, labelled: pd.DataFrame) -> Scored:
        """Read the test trials of a score table; `labelled` says what is known of each recording."""
        table = pd.read_parquet(path)
        table = table[table["split"] == Split.TEST].reset_index(drop=True)
        rows = trial_rows(table, labelled, f"{path.parent.name}/{path.name}")
        return self._scored(table["truth"].to_numpy(), table["score"].to_numpy(np.float64), rows)

    def score(self, task: Task, like: Scored, scores: np.ndarray) -> Scored:
        """Measure what another system says of the same trials."""
        return self._scored(like.truth, scores, like.rows)

    def __call__(self, system: str, scored: Scored) -> dict[str, Bounded]:
        """Return the intervals of the benchmark's metric and of the area under the ROC."""
        chosen = [each for each in self._measures() if each.name in (self.metric.name, AUC.name)]
        points = operating_points(scored.scores, scored.truth)
        found = measure_trials(chosen, points, both_sides(scored, scored.scores), self.plan(scored), doubt="")
        return {each.name: Bounded(each.interval, each.reason) for each in found}

    def gain(self, system: str, scored: Scored, reference: str, other: Scored) -> Bounded:
        """Return by how much `scored` is better than `other` on the same trials; above 0 is better."""
        metric, plan = next(each for each in self._measures() if each.name == self.metric.name), self.plan(scored)
        for each in (scored, other):
            if metric.name in each.undefined:
                return Bounded(None, each.undefined[metric.name])
        sign = 1 if self.metric.greater_is_better else -1
        trials = [both_sides(scored, each.scores) for each in (scored, other)]
        drawn = [resampled({metric.name: metric.weighted}, each, plan) for each in trials]
        values_R = sign * (drawn[0][metric.name] - drawn[1][metric.name]) if all(drawn) else None
        value = sign * (scored.values[metric.name] - other.values[metric.name])
        return Bounded(*plan.interval(metric.name, value, values_R, len(trials[0].speakers)))

    def measured(self, functions: Mapping[str, WeightedMetric], scores: Floats, scored: Scored) -> dict[str, Measured]:
        """Return metrics of other scores (N,) of the same trials, each with its interval."""
        trials, plan = both_sides(scored, scores), self.plan(scored)
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
        return plan_of(score_rows(scored, scored.scores, UNNAMED), self.settings, self.evaluation)

    def resamples(self, scored: Scored) -> int:
        """Return how many resamples the intervals are of."""
        return self.plan(scored).resamples

    def _measures(self) -> list[TrialMetric]:
        known = [EER, *(_least_cost(each) for each in self.evaluation.costs), CLLR, MIN_CLLR, AUC]
        name = self.metric.name
        if name not in {each.name for each in known}:
            known.insert(0, TrialMetric(name, self.metric.function, weighted_by_points(self.metric.function)))
        return known

    def _scored(self, truth_N: np.ndarray, scores_N: np.ndarray, rows: pd.DataFrame) -> Scored:
        points, values, undefined = operating_points(scores_N, truth_N), {}, {}
        for each in self._measures():
            try:
                values[each.name] = each.value(points)
            except UndefinedError as error:
                undefined[each.name] = str(error)
        return Scored(truth_N, scores_N, rows, values, undefined)


def _least_cost(costs: OperatingCosts) -> TrialMetric:
    """Return the least cost, under the name that the registry of metrics has for it, if any."""
    found = least_cost(costs)
    name = REGISTERED.get((costs.p_target, costs.c_miss, costs.c_fa), found.name)
    return TrialMetric(name, found.value, found.weighted)


def _rises(name: str) -> bool:
    return name in METRICS and METRICS[name].greater_is_better


def both_sides(scored: Scored, scores: np.ndarray) -> Trials:
    """Return trials with the speakers of both sides."""
    return trials_of(scores, scored.truth, *(scored.rows[f"{side}_speaker"].to_numpy() for side in SIDES))


def score_rows(scored: Scored, scores: np.ndarray, origin: Origin) -> ScoreRows:
    """Return trials with these scores (N,) as `voxbench evaluate` would have read them."""
    return ScoreRows(
        kind=ScoreKind.DETECTION,
        columns=(scores, scored.truth),
        classes=("nontarget", "target"),
        unit="",
        rows=scored.rows[[name for name in (*SIDES, SEX, SESSION) if name in scored.rows]],
        speakers=tuple(scored.rows[f"{side}_speaker"].to_numpy() for side in SIDES),
        origin=origin,
        notes=(),
    )


def trial_rows(table: pd.DataFrame, labelled: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return what is known of each trial of a score table: who speaks on both sides, groups, and what probes know.

    Groups are the sexes of both speakers, and whether both recordings are of one session. `labelled` has a row for
    each recording; one that it does not hold raises InputError, which calls the table by `name`.
    """
    known = labelled.set_index("id")
    if lost := sorted({*table["enroll"], *table["test"]} - {*known.index}):
        raise InputError(
            f"{name} has trials of {len(lost)} recordings that the manifest does not hold, {lost[0]!r} among them: run "
            "`dvc repro` to finish the stages before the report"
        )
    who = [table[f"{side}_speaker"].tolist() for side in SIDES]
    rows = table[["id", *SIDES, *(f"{side}_speaker" for side in SIDES)]].assign(
        # Each once: a draw of one person brings that person's target trials as often.
        speaker=who[0],
        speakers=[list(dict.fromkeys(pair)) for pair in zip(*who, strict=True)],
    )
    return rows.assign(**_grouped(table), **_differences(table, known))


def _grouped(table: pd.DataFrame) -> dict[str, list[str | None]]:
    """Return the groups of trials; those that nothing is known of, or that are all alike, are none."""
    groups: dict[str, list[str | None]] = {}
    if {f"{side}_gender" for side in SIDES} <= set(table):
        sexes = zip(*(table[f"{side}_gender"] for side in SIDES), strict=True)
        groups[SEX] = [None if any(map(pd.isna, pair)) else " and ".join(sorted(pair)) for pair in sexes]
    if {f"{side}_session" for side in SIDES} <= set(table):
        sessions = zip(*(table[f"{side}_session"] for side in SIDES), strict=True)
        groups[SESSION] = [
            None if any(map(pd.isna, pair)) else "the same" if pair[0] == pair[1] else "different" for pair in sessions
        ]
    return {name: words for name, words in groups.items() if len(set(words)) > 1}


def _differences(trials: pd.DataFrame, known: pd.DataFrame) -> dict[str, Floats]:
    """Return by how much both recordings of each trial (N,) differ in each number that a probe may know."""
    columns = [name for name in dict.fromkeys(name for names in CLUES.values() for name in names) if name in known]
    enroll_NX, test_NX = (known.loc[trials[side], columns].to_numpy(np.float64) for side in SIDES)
    return dict(zip(columns, np.abs(enroll_NX - test_NX).T, strict=True))


def trial_probes(
    task: Task, labelled: pd.DataFrame, rule: TrialRule, chance: Baseline, bound: TrialBootstrap
) -> Probes:
    """Return the probes that the settings name, fitted to trials of the training rows that are drawn by `rule`.

    `labelled` has a row for each recording. Where no trials can be drawn there are no probes, and the reason is that.
    """
    training = labelled[labelled["split"] == Split.TRAIN]
    try:
        drawn = draw_trials(training, rule, f"probes of {Split.TRAIN}")
    except InputError as error:
        return Probes((), {f"{kind} probe": str(error) for kind in bound.settings.probes})
    facts = pd.DataFrame(_differences(drawn, training.set_index("id")), index=drawn.index)
    known = facts.assign(split=str(Split.TRAIN), target=drawn["truth"])
    return probes(task, known, chance.scored, chance, bound)


def listed_alike(lists: Sequence[Mapping[str, str]]) -> None:
    """Refuse score tables that are not of one list: nothing could be compared."""
    if len(found := sorted({each["sha256"] for each in lists})) > 1:
        raise InputError(
            f"the finalists and their repetitions were tested on {len(found)} lists of trials (sha256 "
            f"{', '.join(each[:12] for each in found)}): run `dvc repro` to finish the stages before the report"
        )
