"""Are the rows scored equally well for everybody? Errors by group, the worst group, and the gaps between groups.

| kind | metrics |
|---|---|
| detection | `eer`, or `eer_asvspoof` for anti-spoofing |
| classes | `accuracy` |
| value | `mae` |
| text | `wer` |
| two classes | with development rows, `p_miss` and `p_fa` of class 1 at one threshold for all groups |

Which columns make groups, and of which rows, `voxbench.evaluation.group_columns` says. A group of fewer speakers than
`report.min_group_speakers` is listed with its size and no figures, and takes no part in the worst group or in gaps;
neither do rows whose group nobody knows. The gap of `p_miss` and of `p_fa` at a common threshold is that of equalised
odds (`voxbench.metrics.groups`).

A column in which all targets have one word, such as `attack`, with `bonafide`, divides the nontargets alone. There each
group is the spoofs of one attack with all bona fide trials, which is how the field reports errors by attack.

Shape letters: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from voxbench.evaluation.group_columns import group_columns, group_labels
from voxbench.evaluation.group_ratios import gap_of_ratios, ratios_by_group
from voxbench.evaluation.intervals import Plan, clusters_of, trials_with_speakers
from voxbench.evaluation.records import Calibrated, ScoreRows
from voxbench.evaluation.row_metrics import edit_counts_of
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.trial_metrics import EER, EER_ASVSPOOF
from voxbench.metrics import METRICS
from voxbench.metrics.classification import class_columns
from voxbench.metrics.gaps import Gap
from voxbench.metrics.group_labels import UNKNOWN
from voxbench.metrics.groups import (
    by_group,
    gap_of_means,
    gap_of_trials,
    trials_by_group,
    worst_group,
)
from voxbench.metrics.inputs import Floats, Integers, value_columns
from voxbench.metrics.joint_clusters import People
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.trial_bootstrap import Resampling, Trials, rows_of
from voxbench.metrics.weighted_detection import WeightedMetric, weighted_false_alarm_rate, weighted_miss_rate
from voxbench.schema import ScoreKind
from voxbench.seeding import derive_seed

GROUPS = ("by", "group", "metric", "rows", "clusters", "value", "low", "high", "note")
WORST = ("by", "group", "metric", "value", "low", "high")
GAPS = ("by", "metric", "highest", "lowest", "gap", "low", "high", "chance", "p")
MISS, FALSE_ALARM = "p_miss", "p_fa"


@dataclass(frozen=True, slots=True)
class Grouped:
    """The tables of groups, of the worst of them, and of gaps: `Findings` has their columns."""

    groups: pd.DataFrame
    worst: pd.DataFrame
    gaps: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Measure:
    """What is measured of each group: trials by metrics, means of rows, or ratios of two sums of rows (text)."""

    trials: tuple[tuple[Mapping[str, WeightedMetric], Trials], ...]
    means: Mapping[str, Floats]
    ratios: Mapping[str, tuple[Integers, Integers]]
    people: People


def grouped(scored: ScoreRows, calibrated: Calibrated | None, settings: Settings, plan: Plan) -> Grouped:
    """Return the errors of every group of the columns that were asked for, or of all usual ones.

    A column that was asked for and is not there, and one of numbers without bins, raise `InputError`.
    """
    names = group_columns(scored.rows, settings.groups, settings.report.bins)
    if not names:
        return Grouped(*(pd.DataFrame(columns=list(columns)) for columns in (GROUPS, WORST, GAPS)))
    measure = _measure(scored, calibrated, settings)
    fewest = max(settings.report.min_group_speakers, 2)
    # Where nothing is drawn, no group is large enough for an interval.
    resampling = Resampling(
        resamples=max(plan.resamples, 1),
        level=plan.level,
        min_speakers=len(measure.people.crowd) + 2 if plan.why_none else fewest,
        max_undefined=plan.max_undefined,
    )
    seed = derive_seed(plan.seed, "evaluate")
    tables, gaps = [], []
    for name in names:
        labels = group_labels(scored.rows[name], settings.report.bins)
        tables.append(_named(pd.concat(_tables(measure, labels, resampling, seed)), name, plan, fewest))
        if not plan.why_none:
            gaps += [_gap_row(name, metric, found) for metric, found in _gaps(measure, labels, resampling, seed)]
    groups = pd.concat(tables, ignore_index=True)
    return Grouped(groups, _worst(groups), pd.DataFrame(gaps, columns=list(GAPS)))


def _measure(scored: ScoreRows, calibrated: Calibrated | None, settings: Settings) -> _Measure:
    """Return what is measured of the groups of these rows."""
    trials: list[tuple[Mapping[str, WeightedMetric], Trials]] = []
    means: dict[str, Floats] = {}
    ratios: dict[str, tuple[Integers, Integers]] = {}
    if scored.kind is ScoreKind.DETECTION:
        rate = EER_ASVSPOOF if settings.is_anti_spoofing else EER
        trials.append(({rate.name: rate.weighted}, trials_with_speakers(scored)))
    elif scored.kind is ScoreKind.CLASSES:
        truth_N, probabilities_NC = class_columns(*scored.columns)
        means["accuracy"] = (probabilities_NC.argmax(axis=1) == truth_N).astype(np.float64)
    elif scored.kind is ScoreKind.VALUE:
        numbers_N, predicted_N = value_columns(*scored.columns)
        means["mae"] = np.abs(predicted_N - numbers_N)
    else:
        counts = edit_counts_of(scored)["wer"]
        ratios["wer"] = counts.errors, counts.reference
    if calibrated is not None:
        policy = settings.decisions.policy
        threshold = next(each.threshold.value for each in calibrated.decided if each.name == policy)
        rates = {
            f"{MISS}({policy})": weighted_miss_rate(threshold),
            f"{FALSE_ALARM}({policy})": weighted_false_alarm_rate(threshold),
        }
        trials.append((rates, trials_with_speakers(calibrated.scored)))
    return _Measure(tuple(trials), means, ratios, clusters_of(scored))


def _tables(measure: _Measure, labels: pd.Series, resampling: Resampling, seed: int) -> Iterator[pd.DataFrame]:
    """Yield a table for each way of measuring, with the columns of `GROUPS` but for the name of the attribute."""
    seed, frame = derive_seed(seed, str(labels.name)), labels.to_frame("group")
    for metrics, trials in measure.trials:
        yield trials_by_group(*_divided(metrics, trials, frame), resampling, seed)
    for name, values_N in measure.means.items():
        table = by_group(
            values_N,
            frame,
            measure.people,
            min_clusters=resampling.min_speakers,
            resamples=resampling.resamples,
            level=resampling.level,
            seed=seed,
        )
        yield table.rename(columns={"mean": "value"}).assign(metric=name)
    for name, (errors_N, lengths_N) in measure.ratios.items():
        yield ratios_by_group(errors_N, lengths_N, frame, measure.people, resampling, seed).assign(metric=name)


def _gaps(measure: _Measure, labels: pd.Series, resampling: Resampling, seed: int) -> Iterator[tuple[str, Gap]]:
    """Yield the gap between known groups in each metric; a metric without two groups that have a value has none."""
    seed, known_N = derive_seed(seed, str(labels.name)), _known(labels).to_numpy()
    frame, people = labels[known_N].to_frame("group"), measure.people.of(np.flatnonzero(known_N))
    makers: list[tuple[str, partial[Gap]]] = []
    if not known_N.any():
        return
    for metrics, trials in measure.trials:
        chosen, part, words = _divided(metrics, rows_of(trials, np.flatnonzero(known_N)), frame)
        makers += [(name, partial(gap_of_trials, each, part, words)) for name, each in chosen.items()]
    makers += [(name, partial(gap_of_means, each[known_N], frame, people)) for name, each in measure.means.items()]
    for name, (errors_N, lengths_N) in measure.ratios.items():
        makers.append((name, partial(gap_of_ratios, errors_N[known_N], lengths_N[known_N], frame, people)))
    for name, make in makers:
        try:
            yield name, make(resampling, seed)
        except UndefinedError:
            continue


def _divided(
    metrics: Mapping[str, WeightedMetric], trials: Trials, frame: pd.DataFrame
) -> tuple[Mapping[str, WeightedMetric], Trials, pd.DataFrame]:
    """Return metrics, trials and groups as they are, or, where groups divide the nontargets alone, all targets in each.

    The targets then stand once for each group, under the same speakers, and their misses do not depend on the group.
    """
    labels, is_target_N = frame["group"], trials.is_target
    known_N = _known(labels).to_numpy()
    words = set(labels[known_N & is_target_N])
    others = labels[~is_target_N]
    if len(words) > 1 or words & set(others) or not is_target_N.any() or not known_N[~is_target_N].any():
        return metrics, trials, frame
    targets, nontargets = np.flatnonzero(is_target_N), np.flatnonzero(~is_target_N)
    divided = others.astype(object).where(_known(others), UNKNOWN)
    attacks = sorted(set(divided))
    repeated = np.repeat(np.array(attacks, dtype=object), len(targets))
    places = np.concatenate([np.tile(targets, len(attacks)), nontargets])
    kept = {name: each for name, each in metrics.items() if not name.startswith(MISS)}
    return kept, rows_of(trials, places), pd.DataFrame({"group": np.concatenate([repeated, divided.to_numpy()])})


def _known(labels: pd.Series) -> pd.Series:
    return labels.notna() & (labels.astype(object) != UNKNOWN)


def _named(table: pd.DataFrame, name: str, plan: Plan, fewest: int) -> pd.DataFrame:
    """Return a table of groups as `Findings` has it: small ones without figures, and what the notes mean here."""
    table = table.assign(by=name)
    if plan.why_none:
        return table.assign(note=plan.why_none)[list(GROUPS)]
    small = table["clusters"] < fewest
    table["value"] = table["value"].where(~small, np.nan)
    if plan.over == "rows":
        table["note"] = table["note"].str.replace("too few speakers", "too few rows", regex=False)
    return table[list(GROUPS)]


def _worst(groups: pd.DataFrame) -> pd.DataFrame:
    """Return the worst known group of each attribute and metric that has an interval."""
    worst = []
    for (_, metric), table in groups[groups["group"] != UNKNOWN].groupby(["by", "metric"], sort=False):
        try:
            worst.append(worst_group(table, greater_is_better=metric in METRICS and METRICS[metric].greater_is_better))
        except UndefinedError:
            continue
    return pd.DataFrame(worst, columns=list(WORST)).reset_index(drop=True)


def _gap_row(name: str, metric: str, found: Gap) -> dict[str, str | float]:
    return {
        "by": name,
        "metric": metric,
        "highest": found.highest.removeprefix("group="),
        "lowest": found.lowest.removeprefix("group="),
        "gap": found.interval.estimate,
        "low": found.interval.low,
        "high": found.interval.high,
        "chance": found.chance,
        "p": found.p,
    }
