"""All that the report says of one benchmark, read from what the stages wrote: scores, curves, tests, accounts.

Metrics are recomputed from the score tables. Nothing is chosen here: the finalists are those of `selection.json`,
and the one called `validated` is the best by its validation metric, as in the model registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from voxbench.config import Report
from voxbench.evaluation.label_words import ANTI_SPOOFING
from voxbench.metrics import Metric, metrics_of
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.corpus import CorpusAccount
from voxbench.reporting.decisions import Applied
from voxbench.reporting.finalists import (
    Finalist,
    Question,
    Sources,
    Spread,
    best_on_validation,
)
from voxbench.reporting.probes import Probe, Probes
from voxbench.reporting.quantities import NARROW_SPACE, count, counted, spoken
from voxbench.reporting.scored import AUC, Bootstrap, Bounded, Scored, people
from voxbench.reporting.scored_words import NOUNS
from voxbench.reporting.text_findings import Transcripts
from voxbench.reporting.trial_findings import Detections
from voxbench.schema import ScoreKind, Split
from voxbench.tasks import Task

__all__ = ["AUC", "Evidence", "Finalist", "Question", "Scored", "Sources", "Spread"]

TOP_2, BRIER = "top_2_accuracy", "brier"


@dataclass(frozen=True)
class Evidence:
    """One benchmark.

    `decisions` is what the stored decision of the network that is best on validation does on the test rows; None for a
    task without thresholds. `groups` are the errors of the network that is best on validation, by groups of speakers
    (`voxbench.reporting.groups`). `variants` holds a row for each variant and model, compared with the unchanged runs,
    `variant_runs` each of their runs with every metric; both are as `voxbench ablate` writes them. `trials` are the
    study's, with their time (`voxbench.reporting.trials`).
    `selected_by` is the metric of the study, `inherited` its name where the finalists are those of another task or
    corpus; `chosen_by` is the metric by which one of the fine-tuned networks is best on validation. `published` are
    figures of others (`voxbench.reporting.published`). `detected` is what only detection has; its rows are trials, and
    its groups stand there, as those of transcripts in `texts`. `studied` is the task of the study. `told_in` is the
    benchmark whose chapter tells of these networks and recordings, where this one is another view of them.
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
    texts: Transcripts | None
    studied: Task
    chosen_by: Metric
    told_in: str | None

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
    def countermeasure(self) -> bool:
        """Say whether the benchmark is one of anti-spoofing."""
        return self.task.name == ANTI_SPOOFING

    @property
    def inherited(self) -> str | None:
        """Return the study that chose the finalists, where it is not the benchmark's own."""
        return None if self.study in (self.name, self.told_in) else self.study

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
            words = ""
            if self.task.score_kind is ScoreKind.TEXT:
                words = f" ({counted(int(self.finalists[0].tuned.edits['wer'].reference.sum()), 'word')})"
            return f"{counted(self.clips, self.noun)}{words} of {counted(self.speakers, 'speaker')}"
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
        return NOUNS.get(self.task.score_kind, "clip")

    @property
    def worked_on(self) -> str:
        """Return what multiply-adds are counted for."""
        return "one second of speech" if self.studied.score_kind is ScoreKind.TEXT else "one crop"

    @property
    def over(self) -> str:
        """Return what intervals are over."""
        return "speakers of both sides" if self.task.pairs else "speakers"

    @property
    def bound(self) -> Bootstrap:
        """Return what draws the intervals."""
        if self.detects and self.detected is not None:
            return self.detected.bound
        if self.texts is not None:
            return self.texts.bound
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
        return best_on_validation(self.finalists, self.chosen_by)

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
