"""Stage 1's search: an Optuna study for each model family, in rounds, with the same result however often it is stopped.

A study first runs every candidate once with the base settings, then lets the TPE sampler (Bergstra et al. 2011) choose
candidate and settings. Trials run in rounds of fixed size: a round is asked for whole, run side by side and told in
order, so what the sampler and the pruner know never depends on timing. The first round is not pruned. A search that
was cut off asks again from the start and finds its finished trials on disk.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from voxbench.config import Range, Selection, Study
from voxbench.metrics import METRICS
from voxbench.models import spec
from voxbench.schema import InputError
from voxbench.seeding import derive_seed
from voxbench.training.jobs import Finished, Job
from voxbench.training.pruning import Curve, FrozenHistory

optuna.logging.set_verbosity(optuna.logging.WARNING)

Run = Callable[[Sequence[Job]], Iterator[Finished]]


@dataclass(frozen=True)
class Trial:
    """One finished trial of a study, numbered as Optuna numbers it."""

    number: int
    family: str
    settings: dict[str, Any]
    finished: Finished
    value: float | None

    @property
    def state(self) -> str:
        """Return complete, pruned or diverged."""
        if self.value is None:
            return "diverged"
        return "pruned" if self.finished.pruned else "complete"


def families(name: str, study: Study) -> dict[str, list[str]]:
    """Return the candidates of each family of study `name`, and refuse one that cannot fill its finalists."""
    if repeated := [model for model, count in Counter(study.models).items() if count > 1]:
        raise InputError(f"studies.{name} names {repeated[0]!r} twice: name every candidate once")
    groups: dict[str, list[str]] = {}
    for model in study.models:
        groups.setdefault(spec(model).family, []).append(model)
    if unwanted := [family for family in groups if family not in study.finalists]:
        raise InputError(
            f"studies.{name} names {unwanted[0]} models ({', '.join(groups[unwanted[0]])}), but its finalists have "
            f"no {unwanted[0]}: remove the models or add the family"
        )
    for family, wanted in study.finalists.items():
        if len(groups.get(family, [])) < wanted:
            raise InputError(
                f"studies.{name}.finalists wants {wanted} {family} model(s), but it names {len(groups.get(family, []))}"
            )
        if study.trials[family] < len(groups[family]):
            raise InputError(
                f"studies.{name}.trials.{family} is {study.trials[family]}, fewer than its {len(groups[family])} "
                "candidates"
            )
    return groups


class Search:
    """One family's part of a study; `base` is the job whose recipe the trials vary, `journal` where Optuna keeps it."""

    def __init__(
        self, family: str, candidates: list[str], trials: int, selection: Selection, base: Job, journal: Path
    ) -> None:
        self.family = family
        self.trials = trials
        self.selection = selection
        self.base = base
        self.greater_is_better = METRICS[base.metric].greater_is_better
        self.space: dict[str, BaseDistribution] = {
            "model": CategoricalDistribution(candidates),
            "learning_rate": _interval(selection.space.learning_rate),
            "dropout": _interval(selection.space.dropout),
        }
        self.jobs: list[Job] = []
        self.curves: list[Curve] = []
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.unlink(missing_ok=True)
        self.study = optuna.create_study(
            study_name=family,
            storage=JournalStorage(JournalFileBackend(str(journal))),
            direction="maximize" if self.greater_is_better else "minimize",
        )
        training = base.recipe.training
        for model in candidates:
            self.study.enqueue_trial(
                {"model": model, "learning_rate": training.learning_rate, "dropout": training.dropout}
            )

    def __call__(self, run: Run) -> Iterator[Trial]:
        """Yield the trials as they finish, in order."""
        total, size = self.trials, self.selection.round_size
        for start in range(0, total, size):
            self.study.sampler = optuna.samplers.TPESampler(
                seed=derive_seed(self.base.recipe.seed, "search", self.family, start) % 2**32
            )
            asked = [self.study.ask(self.space) for _ in range(start, min(start + size, total))]
            history = FrozenHistory(
                tuple(self.curves),
                self.greater_is_better,
                self.selection.prune_percentile,
                self.selection.prune_after_epochs,
            )
            jobs = [self._job(trial, history) for trial in asked]
            self.jobs += jobs
            for trial, finished in zip(asked, run(jobs), strict=True):
                yield self._tell(trial, finished)

    def _job(self, trial: optuna.Trial, history: FrozenHistory) -> Job:
        model = trial.params["model"]
        settings = {name: value for name, value in trial.params.items() if name != "model"}
        training = self.base.recipe.training.model_copy(update=settings)
        return replace(
            self.base,
            folder=self.base.folder / f"{self.family}-{trial.number:02d}-{model}",
            recipe=replace(self.base.recipe, model=model, training=training),
            pruning=history,
        )

    def _tell(self, trial: optuna.Trial, finished: Finished) -> Trial:
        column = f"valid_{self.base.metric}"
        curve = finished.history[column]
        value = None if finished.diverged or math.isnan(finished.best[column]) else float(finished.best[column])
        settings = {name: choice for name, choice in trial.params.items() if name != "model"}
        if value is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            measured = [None if math.isnan(point) else float(point) for point in curve]
            for epoch, point in enumerate(measured):
                if point is not None:
                    trial.report(point, epoch)
            if finished.pruned:
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, value)
                self.curves.append(tuple(measured))
        return Trial(trial.number, self.family, settings, finished, value)


def winners(trials: Sequence[Trial], count: int, greater_is_better: bool) -> list[Trial]:
    """Return the best complete trial of each of the `count` best models; ties go to the lower validation loss."""

    def rank(trial: Trial) -> tuple[float, float, str]:
        assert trial.value is not None
        sign = -1 if greater_is_better else 1
        return sign * trial.value, trial.finished.best["valid_loss"], trial.finished.job.recipe.model

    best: dict[str, Trial] = {}
    for trial in sorted((trial for trial in trials if trial.state == "complete"), key=rank):
        best.setdefault(trial.finished.job.recipe.model, trial)
    if len(best) < count:
        raise InputError(
            f"only {len(best)} of the {count} wanted finalists completed ({', '.join(best) or 'none'}); "
            "raise the study's trials or selection.prune_percentile"
        )
    return list(best.values())[:count]


def _interval(bounds: Range) -> FloatDistribution:
    return FloatDistribution(bounds.low, bounds.high, log=bounds.log)
