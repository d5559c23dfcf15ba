"""`params.yaml` as a whole: its rows, and what they must agree on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from voxbench.config.base import Changes, Count, Name, Positive, Section, changed
from voxbench.config.corpora import Corpus, Mixture, Twin
from voxbench.config.decisions import Decisions, Evaluation
from voxbench.config.learning import Ablation, Finetune, Repeat, Selection, Study, Training
from voxbench.config.transcription import Transcription
from voxbench.config.verification import Verification
from voxbench.registry import closest
from voxbench.schema import InputError

Row = TypeVar("Row")
MODELS = "models"


class Benchmark(Section):
    """One comparison: a task on a corpus by the finalists of a study.

    `variants` names rows of `ablation.variants` to train beside the finalists. `override` replaces values of
    `training`, `finetune`, `repeat` or `verification` for this benchmark alone; its key `models` those of `training`
    or `finetune` for single models of it, as in `models: {x_vector: {training: {batch_size: 64}}}`.
    """

    task: str
    corpus: str
    metric: str
    select_from: str
    variants: tuple[str, ...]
    override: dict[str, Changes]

    @property
    def of_models(self) -> dict[str, dict[str, Changes]]:
        """Return what single models do differently, by their names."""
        return self.override.get(MODELS, {})

    @model_validator(mode="after")
    def _sections_of_models(self) -> Benchmark:
        for name, sections in self.of_models.items():
            if not isinstance(sections, dict) or set(sections) - {"training", "finetune"}:
                raise ValueError(
                    f"override.models.{name} is {sections}, expected a mapping of training, finetune or both: what a "
                    "model is trained with"
                )
        return self


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(left >= right for left, right in pairwise(edges)):
        raise ValueError(f"edges must rise, found {list(edges)}")
    return edges


class Report(Section):
    """How uncertainty is stated; groups smaller than `min_group_speakers` are listed without figures.

    `bins` names columns of numbers and the rising edges that make groups of them. `probes` says of what alone linear
    models are to answer beside the networks, and `probe_ridge` how much their squared weights cost.
    """

    level: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Count
    power: Annotated[float, Field(gt=0.5, lt=1)]
    min_group_speakers: Count
    bins: dict[str, Annotated[tuple[float, ...], Field(min_length=1), AfterValidator(_rising)]]
    probes: tuple[Literal["silence", "duration", "channel", "energy"], ...]
    probe_ridge: Positive
    seed: int


class Parallel(Section):
    """Who shares the work; changes no number.

    `loky` means `workers` processes of this machine, `dask` the workers of the cluster whose scheduler listens at
    `scheduler` (such as tcp://10.0.0.1:8786).
    """

    backend: Literal["loky", "dask"]
    scheduler: str | None
    workers: Count
    rows_per_shard: Count

    @model_validator(mode="after")
    def _address(self) -> Parallel:
        if (self.backend == "dask") != (self.scheduler is not None):
            raise ValueError(
                f"backend is {self.backend!r} and scheduler is {self.scheduler!r}: dask needs the address of a "
                "scheduler, and loky has none (null)"
            )
        return self


class Learning(Section):
    """The learning sections as one benchmark sees them, its overrides applied."""

    training: Training
    finetune: Finetune
    repeat: Repeat
    verification: Verification
    transcription: Transcription


class Searching(Section):
    """The learning sections as one study sees them, its overrides applied."""

    training: Training
    selection: Selection
    verification: Verification
    transcription: Transcription


class Params(Section):
    """The whole of `params.yaml`."""

    twins: dict[Name, Twin]
    corpora: dict[Name, Corpus]
    mixtures: dict[Name, Mixture]
    studies: dict[Name, Study]
    benchmarks: dict[Name, Benchmark]
    training: Training
    selection: Selection
    finetune: Finetune
    repeat: Repeat
    verification: Verification
    transcription: Transcription
    ablation: Ablation
    decisions: Decisions
    evaluation: Evaluation
    report: Report
    parallel: Parallel

    @model_validator(mode="after")
    def _sources(self) -> Params:
        for name, mixture in self.mixtures.items():
            self._require(mixture.corpus, self.corpora, f"mixtures.{name}.corpus", "corpora")
            if name in self.corpora:
                raise ValueError(f"{name!r} is a row of corpora and of mixtures, which share a folder: rename one")
            if silence_q := self.corpora[mixture.corpus].cleaning.silence_q:
                raise ValueError(
                    f"mixtures.{name}.corpus is {mixture.corpus!r}, whose cleaning.silence_q is {silence_q:g}, "
                    "expected 0.0: silence would be removed from each voice before they are mixed, but from the "
                    f"mixture when it is served; set corpora.{mixture.corpus}.cleaning.silence_q to 0.0, or mix "
                    "another row of corpora that differs in this alone"
                )
            if not self.corpora[mixture.corpus].cleaning.z_score:
                raise ValueError(
                    f"mixtures.{name}.corpus is {mixture.corpus!r}, whose cleaning.z_score is false, expected true: "
                    "a mixture is brought to mean 0 and deviation 1, and would not be when it is served; set "
                    f"corpora.{mixture.corpus}.cleaning.z_score to true, or mix another row of corpora"
                )
        return self

    @model_validator(mode="after")
    def _rows(self) -> Params:
        for name, study in self.studies.items():
            self._require(study.corpus, self.prepared, f"studies.{name}.corpus", "corpora")
            searching = self.searching(name)
            self._require_room(f"studies.{name}", study.corpus, searching.training)
            if (size := searching.selection.round_size) < (most := max(study.finalists.values())):
                raise ValueError(
                    f"selection.round_size is {size}, but the first round is the only one that is "
                    f"never pruned and must hold the {most} finalists that a family of studies.{name} has: set "
                    f"round_size to {most} or more"
                )
        for name, variant_row in self.ablation.variants.items():
            changed(self.training, variant_row.training, f"ablation.variants.{name}.training")
        for name, benchmark in self.benchmarks.items():
            place = f"benchmarks.{name}"
            self._require(benchmark.corpus, self.prepared, f"{place}.corpus", "corpora")
            self._require(benchmark.select_from, self.studies, f"{place}.select_from", "studies")
            seeds = self.learning(name).repeat.seeds
            if benchmark.variants and (other := sorted(set(self.ablation.seeds) - set(seeds))):
                raise ValueError(
                    f"ablation.seeds has {other}, which the repeat.seeds of {place} lack: variants are held against "
                    "the runs of the same seeds"
                )
            for variant in benchmark.variants:
                self._require(variant, self.ablation.variants, f"{place}.variants", "ablation.variants")
            for section, training in self._trainings(name):
                self._require_room(section, benchmark.corpus, training)
        return self

    @model_validator(mode="after")
    def _base_trials(self) -> Params:
        bases = {"": self._searching}
        for place, base in (bases | {f"studies.{name}: ": self.searching(name) for name in self.studies}).items():
            space = base.selection.space
            if not 0 <= space.dropout.low <= space.dropout.high < 1:
                raise ValueError(f"{place}selection.space.dropout must lie in [0, 1)")
            for key in ("learning_rate", "dropout"):
                value, bounds = getattr(base.training, key), getattr(space, key)
                if not bounds.low <= value <= bounds.high:
                    raise ValueError(
                        f"{place}training.{key} is {value:g}, outside selection.space.{key} [{bounds.low:g}, "
                        f"{bounds.high:g}], where the base trial must lie: widen the interval"
                    )
        return self

    @staticmethod
    def _require(name: str, rows: dict[str, Row], place: str, section: str) -> None:
        if name not in rows:
            raise ValueError(f"{place} is {name!r}{closest(name, rows)}; known {section}: {', '.join(rows)}")

    def _require_room(self, place: str, corpus: str, training: Training) -> None:
        """Refuse crops that the shortest clip, played at the highest speed, cannot fill: nothing is padded."""
        if training.shorter == "repeat" or training.crop_seconds is None:
            return
        needed = training.crop_seconds * training.augmentation.fastest
        # 1.1 times 1.1 is 1.2100000000000002, which is no longer than 1.21.
        if (shortest := self.prepared[corpus].cleaning.min_seconds) < needed * (1 - 1e-9):
            raise ValueError(
                f"{place}: training.crop_seconds is {training.crop_seconds:g}, longer than the shortest clip of corpus "
                f"{corpus!r}, cleaning.min_seconds {shortest:g}, at the highest speed, "
                f"{training.augmentation.fastest:g}: nothing is padded, so lower the one or raise the other to "
                f"{needed:.4g}"
            )

    def _trainings(self, name: str) -> Iterator[tuple[str, Training]]:
        for model in (None, *self.benchmarks[name].of_models):
            learning, own = self.learning(name, model), f"benchmarks.{name}" + (f", {model}" if model else "")
            training = learning.training
            yield own, training
            if large := learning.finetune.large_margin:
                alone = {"augmentation": training.augmentation.model_copy(update={"speed_speakers": None})}
                longer = training.model_copy(update={"crop_seconds": large.crop_seconds, **alone})
                yield f"{own} with finetune.large_margin", longer
            for variant in self.benchmarks[name].variants:
                place = f"ablation.variants.{variant}.training"
                yield place, changed(training, self.ablation.variants[variant].training, place)

    def searching(self, name: str) -> Searching:
        """Return the learning sections of a study."""
        return changed(self._searching, self.study(name).override, f"studies.{name}.override")

    @property
    def _searching(self) -> Searching:
        return Searching(
            training=self.training,
            selection=self.selection,
            verification=self.verification,
            transcription=self.transcription,
        )

    def learning(self, name: str, model: str | None = None) -> Learning:
        """Return the learning sections of a benchmark, or of one model of it."""
        base = Learning(
            training=self.training,
            finetune=self.finetune,
            repeat=self.repeat,
            verification=self.verification,
            transcription=self.transcription,
        )
        row, place = self.benchmark(name), f"benchmarks.{name}.override"
        shared = changed(base, {key: value for key, value in row.override.items() if key != MODELS}, place)
        own = row.of_models.get(model, {}) if model else {}
        return changed(shared, own, f"{place}.{MODELS}.{model}")

    @property
    def prepared(self) -> dict[str, Corpus]:
        """Return the rows of `corpora`, and those of `mixtures` as the corpora that they amount to."""
        mixed = {name: mixture.of(self.corpora[mixture.corpus]) for name, mixture in self.mixtures.items()}
        return {**self.corpora, **mixed}

    def corpus(self, name: str) -> Corpus:
        """Return one row of `corpora`, or the corpus that a row of `mixtures` amounts to."""
        return _row(self.prepared, "corpora", name)

    def mixture(self, name: str) -> Mixture:
        """Return one row of `mixtures`."""
        return _row(self.mixtures, "mixtures", name)

    def twin(self, name: str) -> Twin:
        """Return one row of `twins`."""
        return _row(self.twins, "twins", name)

    def study(self, name: str) -> Study:
        """Return one row of `studies`."""
        return _row(self.studies, "studies", name)

    def benchmark(self, name: str) -> Benchmark:
        """Return one row of `benchmarks`."""
        return _row(self.benchmarks, "benchmarks", name)


def _row(rows: dict[str, Row], section: str, name: str) -> Row:
    if name not in rows:
        raise InputError(
            f"no row {name!r} under {section!r} in params.yaml{closest(name, rows)}; rows: {', '.join(rows) or 'none'}"
        )
    return rows[name]
