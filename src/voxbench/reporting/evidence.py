"""All that the report says of one benchmark, read from what the stages wrote: scores, curves, tests, accounts.

Metrics are recomputed from the score tables. Nothing is chosen here: the finalists are those of `selection.json`,
and the one called `validated` is the best by its validation metric, as in the model registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.artifacts import read_json
from voxbench.config import Report
from voxbench.corpora.stored_asv_scores import read_stored
from voxbench.metrics import METRICS, Metric, metrics_of
from voxbench.reporting.baselines import Baseline, baselines
from voxbench.reporting.corpus import CorpusAccount, read_account
from voxbench.reporting.decisions import Applied, applied_decision
from voxbench.reporting.finalists import (
    Finalist,
    Question,
    Sources,
    Spread,
    best_on_validation,
    existing,
    read_finalist,
    read_table,
)
from voxbench.reporting.groups import COLUMNS as GROUP_COLUMNS
from voxbench.reporting.groups import group_errors
from voxbench.reporting.pairs import trial_probes
from voxbench.reporting.probes import Probe, Probes, probes
from voxbench.reporting.published import published_as, published_figures
from voxbench.reporting.quantities import NARROW_SPACE, count, counted, spoken
from voxbench.reporting.scored import AUC, Bootstrap, Bounded, Scored, people
from voxbench.reporting.trial_findings import Detections, bootstrap_of, detections_of, tandem_of
from voxbench.reporting.trials import timed
from voxbench.schema import ScoreKind, Split
from voxbench.tasks import Task

__all__ = ["AUC", "Evidence", "Finalist", "Question", "Scored", "Sources", "Spread", "gather"]

TOP_2, BRIER = "top_2_accuracy", "brier"
NO_GROUPS = pd.DataFrame(columns=list(GROUP_COLUMNS))


@dataclass(frozen=True)
class Evidence:
    """One benchmark.

    `decisions` is what the stored decision of the network that is best on validation does on the test rows; None for a
    task without thresholds. `groups` are the errors of the network that is best on validation, by groups of speakers
    (`voxbench.reporting.groups`). `variants` holds a row for each variant and model, compared with the unchanged runs,
    `variant_runs` each of their runs with every metric; both are as `voxbench ablate` writes them. `trials` are the
    study's, with their time (`voxbench.reporting.trials`).
    `selected_by` is the metric of the study, `inherited` its name where the finalists are those of another task or
    corpus. `published` are figures of others (`voxbench.reporting.published`). `detected` is what only detection
    has; its rows are trials, and its groups stand there. `studied` is the task of the study.
    """

    name: str
    task: Task
    metric: Metric
    settings: Report
    seeds: tuple[int, ...]
    finalists: tuple[Finalist, ...]
    baselines: tuple[Baseline, ...]
    probes: Probes
    decisions: Applied | None
    groups: pd.DataFrame
    tests: pd.DataFrame
    trials: pd.DataFrame
    variants: pd.DataFrame
    variant_runs: pd.DataFrame
    published: pd.DataFrame
    study: str
    selected_by: Metric
    account: CorpusAccount
    detected: Detections | None
    studied: Task

    @property
    def measured(self) -> list[Metric]:
        """Return the metrics of the task's kind, the one of selection first; the AUC of two classes, top-2 of more.

        The log loss stands for both proper scores, since a page has room for one; the Brier score is shown where it
        selects.
        """
        if self.detects:
            return sorted(self.bound.metrics(self.task), key=lambda metric: metric.name != self.metric.name)
        unfit = {TOP_2 if len(self.task.classes) == 2 else AUC, BRIER} - {self.metric.name}
        metrics = metrics_of(self.task.score_kind, ordered=self.task.ordered)
        shown = [metric for metric in metrics if metric.name not in unfit]
        return sorted(shown, key=lambda metric: metric.name != self.metric.name)

    @property
    def detects(self) -> bool:
        """Say whether the benchmark is one of detection, so that its rows are trials."""
        return self.task.score_kind is ScoreKind.DETECTION

    @property
    def inherited(self) -> str | None:
        """Return the study that chose the finalists, where it is not the benchmark's own."""
        return None if self.study == self.name else self.study

    @property
    def level(self) -> str:
        """Return the confidence level in words."""
        return f"{100 * self.settings.level:g}{NARROW_SPACE}%"

    @property
    def power(self) -> str:
        """Return the power at which the smallest detectable difference is stated, in words."""
        return f"{100 * self.settings.power:g}{NARROW_SPACE}%"

    @property
    def alpha(self) -> float:
        """Return the level below which a p-value is significant."""
        return 1 - self.settings.level

    @property
    def sample(self) -> str:
        """Return how many test rows of how many speakers there are, in words."""
        if not self.detects:
            return f"{counted(self.clips, 'clip')} of {counted(self.speakers, 'speaker')}"
        targets = int(np.sum(self.finalists[0].tuned.truth == 1))
        nontarget, target = self.words
        sides = f"{count(targets)} {target}, {count(self.clips - targets)} {nontarget}"
        return f"{counted(self.clips, 'trial')} ({sides}) of {counted(self.speakers, 'speaker')}"

    @property
    def words(self) -> tuple[str, ...]:
        """Return the classes as people read them."""
        return tuple(spoken(word) for word in self.task.classes)

    @property
    def noun(self) -> str:
        """Return what a test row is."""
        return "trial" if self.detects else "clip"

    @property
    def over(self) -> str:
        """Return what intervals are over."""
        return "speakers of both sides" if self.task.pairs else "speakers"

    @property
    def bound(self) -> Bootstrap:
        """Return what draws the intervals."""
        if self.detects and self.detected is not None:
            return self.detected.bound
        return Bootstrap(self.name, self.settings, self.metric)

    @property
    def resamples(self) -> int:
        """Return how many resamples the intervals are of."""
        return self.bound.resamples(self.finalists[0].tuned)

    @property
    def validated_on(self) -> int:
        """Return the number of validation rows: clips, or pairs of clips."""
        if self.task.pairs and self.detected is not None:
            return int(self.detected.lists[Split.VALID]["trials"])
        return int(self.account.totals.loc[Split.VALID, "clips"])

    @property
    def validation(self) -> str:
        """Return how many validation rows there are, in words that none takes for trials of a study."""
        if self.task.pairs:
            return f"{counted(self.validated_on, 'pair')} of validation clips"
        return counted(self.validated_on, "validation clip")

    @property
    def repeats(self) -> str:
        """Return how many seeds there are, in words."""
        return counted(len(self.seeds), "seed")

    @property
    def clips(self) -> int:
        """Return the number of test rows."""
        return len(self.finalists[0].tuned.truth)

    @cached_property
    def speakers(self) -> int:
        """Return the number of speakers of the test rows."""
        return people(self.finalists[0].tuned.rows)

    @cached_property
    def ranked(self) -> list[Finalist]:
        """Return the finalists by mean test metric over the seeds, best first; without a mean last."""
        sign = -1 if self.metric.greater_is_better else 1

        def rank(finalist: Finalist) -> tuple[bool, float]:
            mean = finalist.spreads[self.metric.name].mean
            return bool(np.isnan(mean)), 0.0 if np.isnan(mean) else sign * mean

        return sorted(self.finalists, key=rank)

    @cached_property
    def validated(self) -> Finalist:
        """Return the finalist with the best validation metric; ties go to the lower validation loss, then by name."""
        return best_on_validation(self.finalists, self.metric)

    @cached_property
    def strongest(self) -> Baseline:
        """Return the baseline with the best test metric, which a network has to beat; of equal ones the last."""
        return min(reversed(self.baselines), key=lambda baseline: self._rank(baseline.scored))

    def _rank(self, scored: Scored) -> tuple[bool, float]:
        """Return what sorts systems by the test metric: the best first, those without it last."""
        value, sign = scored.values.get(self.metric.name), -1 if self.metric.greater_is_better else 1
        return value is None, 0.0 if value is None else sign * value

    @cached_property
    def gain(self) -> Bounded:
        """Return by how much the network that validation chooses is better than the strongest baseline.

        Above 0 is better. The network is not the best on the test rows, which would make the gain too good; the
        baseline is. Both are measured on the same rows, and whole speakers are resampled for both at once.
        """
        bound, chosen = self.bound, self.validated
        return bound.gain(chosen.model, chosen.tuned, self.strongest.name, self.strongest.scored)

    @property
    def beats_baseline(self) -> bool:
        """Say whether the interval of the gain lies above zero."""
        return self.gain.interval is not None and self.gain.interval.low > 0

    @cached_property
    def closest_probe(self) -> Probe | None:
        """Return the probe with the best test metric; None where no probe has it."""
        measured = [probe for probe in self.probes.found if self.metric.name in probe.scored.values]
        return min(measured, key=lambda probe: self._rank(probe.scored), default=None)

    @cached_property
    def probe_gain(self) -> Bounded:
        """Return by how much the network that validation chooses is better than the closest probe, as `gain` does."""
        bound, chosen, probe = self.bound, self.validated, self.closest_probe
        if probe is None:
            return Bounded(None, "there is no probe")
        return bound.gain(chosen.model, chosen.tuned, probe.name, probe.scored)


def gather(question: Question, sources: Sources, settings: Report) -> Evidence:
    """Read and compute everything the report says of a benchmark; a file that is missing raises `InputError`."""
    selection = read_json(existing(sources.select / "selection.json"))
    task, metric = question.task, METRICS[question.metric]
    account = read_account(sources.prepared, task)
    tandem = tandem_of(task, read_stored(sources.prepared), account.labelled)
    bound = bootstrap_of(question, settings, metric, tandem)
    finalists = tuple(read_finalist(row, question, sources, account.labelled, bound) for row in selection["finalists"])
    validated, like = best_on_validation(finalists, metric), finalists[0].tuned
    trivial = baselines(task, account.labelled, like, bound)
    decisions = _decisions(validated, sources, task, bound)
    return Evidence(
        name=question.name,
        task=task,
        metric=metric,
        settings=settings,
        seeds=question.seeds,
        finalists=finalists,
        baselines=trivial,
        probes=_probes(question, account.labelled, trivial[0], bound),
        decisions=decisions,
        groups=NO_GROUPS if question.judging else group_errors(validated.tuned, settings, question.name),
        tests=read_table(sources.repeat / "significance.csv"),
        trials=timed(read_table(sources.select / "trials.csv"), read_table(sources.seconds / "epochs.csv")),
        variants=_variants(sources.ablate, "comparison.csv"),
        variant_runs=_variants(sources.ablate, "variants.csv"),
        published=published_figures(published_as(question.reader, account.labelled), account.languages, task.name),
        study=question.study,
        selected_by=METRICS[selection["metric"]],
        account=account,
        detected=detections_of(question, sources, finalists, decisions, bound),
        studied=question.studied,
    )


def _probes(question: Question, labelled: pd.DataFrame, chance: Baseline, bound: Bootstrap) -> Probes:
    if question.judging is not None and question.judging.verification is not None:
        return trial_probes(question.task, labelled, question.judging.verification.trials, chance, bound)
    return probes(question.task, labelled, chance.scored, chance, bound)


def _decisions(validated: Finalist, sources: Sources, task: Task, bound: Bootstrap) -> Applied | None:
    folder, manifest = sources.models / validated.model, sources.prepared / "manifest.parquet"
    return applied_decision(task, validated.tuned, folder, manifest, bound)


def _variants(folder: Path | None, file: str) -> pd.DataFrame:
    return pd.DataFrame() if folder is None else read_table(folder / file)
