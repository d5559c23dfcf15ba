"""`params.yaml`, parsed once into frozen, typed sections.

Unknown keys are refused with the closest known name, and nothing that changes a number has a
default here: a hidden default would escape `dvc params diff`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from voxbench.registry import closest
from voxbench.schema import InputError

Row = TypeVar("Row")


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"bounds are [{bounds[0]:g}, {bounds[1]:g}], expected the lower one first")
    return bounds


Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Bounds = Annotated[tuple[float, float], AfterValidator(_ordered)]
Trainable = Literal["head", "upper", "all"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Section(BaseModel):
    """A part of `params.yaml`: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Twin(Section):
    """A synthetic corpus, written in the layout of the corpus it stands in for.

    Pairs are the bounds of a uniform draw. A session draws its signal-to-noise ratio, reverberation time (RT60),
    band edges and peak level once; `filter_order` holds at both edges. `session_pitch_sd` is the relative standard
    deviation of a speaker's mean F0 between sessions, `test_fraction` the share of each sex in the official test set.
    """

    layout: str
    root: Path
    seed: int
    speakers: Count
    sessions_per_speaker: Count
    clips_per_session: Count
    clip_seconds: Bounds
    session_pitch_sd: Annotated[float, Field(ge=0)]
    snr_db: Bounds
    reverberation_seconds: Bounds
    low_hz: Bounds
    high_hz: Bounds
    filter_order: Count
    peak_dbfs: Bounds
    test_fraction: Fraction


class Cleaning(Section):
    """The chain from a decoded recording to prepared audio; laws in `voxbench.audio.cleaning`."""

    sample_rate_hz: Count
    silence_q: Annotated[float, Field(ge=0)]
    pre_emphasis: Fraction
    low_pass_order: Count
    low_pass_hz: Positive
    zero_phase: bool
    min_seconds: Positive
    max_seconds: Positive
    max_clipped_fraction: Annotated[float, Field(ge=0, le=1)]


class Features(Section):
    """Numbers of the spectrogram and the cepstra; laws in `voxbench.features.frontends`."""

    spectrogram: Literal["log_mel", "linear"]
    window_ms: Positive
    hop_ms: Positive
    n_fft: Count
    f_min_hz: Annotated[float, Field(ge=0)]
    f_max_hz: Positive
    n_mels: Count
    n_mfcc: Count
    top_db: Positive


class Splitting(Section):
    """How rows become train, valid and test."""

    by: Literal["speaker", "official", "utterance"]
    stratify: Literal["gender"] | None
    valid_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: int


class Corpus(Section):
    """Where a corpus lies, how it is read, and what is made of it."""

    reader: str
    root: Path
    licence: str
    max_excluded_fraction: Fraction
    splitting: Splitting
    cleaning: Cleaning
    features: Features


class Benchmark(Section):
    """One comparison: a task on a corpus by candidate models."""

    task: str
    corpus: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]


class Training(Section):
    """What every training run shares."""

    learning_rate: Positive
    betas: tuple[Fraction, Fraction]
    weight_decay: Annotated[float, Field(ge=0)]
    scheduler_factor: Annotated[float, Field(gt=0, lt=1)]
    scheduler_patience: Annotated[int, Field(ge=0)]
    min_learning_rate: Annotated[float, Field(ge=0)]
    dropout: Fraction
    recurrent_dropout: Fraction
    batch_size: Count
    crop_seconds: Positive
    evaluation_crops: Count
    resize: Annotated[int, Field(ge=32)] | None
    weights: Literal["random"]
    seed: int


class Schedule(Section):
    """How long a stage trains, and which part of the network."""

    max_epochs: Count
    patience: Count
    trainable: Trainable
    checkpoints: bool


class Range(Section):
    """A search interval."""

    low: float
    high: float
    log: bool

    @model_validator(mode="after")
    def _sound(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"found low {self.low:g} and high {self.high:g}, expected low <= high, above 0 where log is true"
            )
        return self


class Space(Section):
    """What stage 1 varies besides the model; the base trial uses the values of `training`."""

    learning_rate: Range
    dropout: Range


class Selection(Section):
    """Stage 1: an Optuna study for each model family."""

    metric: str
    schedule: Schedule
    train_per_class: Count | None
    finalists: dict[str, Count]
    trials: dict[str, Count]
    round_size: Count
    prune_percentile: Annotated[float, Field(gt=0, le=100)]
    prune_after_epochs: Annotated[int, Field(ge=0)]
    space: Space

    @model_validator(mode="after")
    def _enough_unpruned(self) -> Selection:
        most = max(self.finalists.values())
        if self.round_size < most:
            raise ValueError(
                f"round_size is {self.round_size}, but the first round is the only one that is never pruned "
                f"and must hold the {most} finalists of a family: set round_size to {most} or more"
            )
        if unknown := set(self.finalists) ^ set(self.trials):
            raise ValueError(f"finalists and trials must name the same families, found {sorted(unknown)} in one only")
        return self


class Finetune(Section):
    """Stage 2: the winners, trained on the whole training split."""

    schedule: Schedule


class Repeat(Section):
    """The seeds that the significance tests pair."""

    seeds: Annotated[tuple[int, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _distinct(self) -> Repeat:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, found {list(self.seeds)}")
        return self


class Report(Section):
    """How uncertainty is stated."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Count
    power: Annotated[float, Field(gt=0.5, lt=1)]
    seed: int


class Parallel(Section):
    """How many processes share the work; changes no number."""

    workers: Annotated[int, Field(ge=1)]
    rows_per_shard: Count


class Params(Section):
    """The whole of `params.yaml`."""

    twins: dict[Name, Twin]
    corpora: dict[Name, Corpus]
    benchmarks: dict[Name, Benchmark]
    training: Training
    selection: Selection
    finetune: Finetune
    repeat: Repeat
    report: Report
    parallel: Parallel

    @model_validator(mode="after")
    def _references(self) -> Params:
        for name, benchmark in self.benchmarks.items():
            if benchmark.corpus not in self.corpora:
                raise ValueError(
                    f"benchmarks.{name}.corpus is {benchmark.corpus!r}{closest(benchmark.corpus, self.corpora)}; "
                    f"known corpora: {', '.join(self.corpora)}"
                )
            longest, shortest = (
                self.training.crop_seconds,
                self.corpora[benchmark.corpus].cleaning.min_seconds,
            )
            if longest > shortest:
                raise ValueError(
                    f"training.crop_seconds is {longest:g}, longer than the shortest clip of corpus "
                    f"{benchmark.corpus!r} (cleaning.min_seconds {shortest:g}): nothing is padded, so lower the one "
                    "or raise the other"
                )
        if not 0 <= self.selection.space.dropout.low <= self.selection.space.dropout.high < 1:
            raise ValueError("selection.space.dropout must lie in [0, 1)")
        for key, bounds in (
            ("learning_rate", self.selection.space.learning_rate),
            ("dropout", self.selection.space.dropout),
        ):
            value = getattr(self.training, key)
            if not bounds.low <= value <= bounds.high:
                raise ValueError(
                    f"training.{key} is {value:g}, outside selection.space.{key} [{bounds.low:g}, {bounds.high:g}], "
                    "where the base trial must lie: widen the interval"
                )
        return self

    def corpus(self, name: str) -> Corpus:
        """Return one row of `corpora`."""
        return _row(self.corpora, "corpora", name)

    def twin(self, name: str) -> Twin:
        """Return one row of `twins`."""
        return _row(self.twins, "twins", name)

    def benchmark(self, name: str) -> Benchmark:
        """Return one row of `benchmarks`."""
        return _row(self.benchmarks, "benchmarks", name)


def _row(rows: dict[str, Row], section: str, name: str) -> Row:
    if name not in rows:
        raise InputError(
            f"no row {name!r} under {section!r} in params.yaml{closest(name, rows)}; rows: {', '.join(rows)}"
        )
    return rows[name]
