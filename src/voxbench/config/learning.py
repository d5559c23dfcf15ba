"""Learning in `params.yaml`: training runs, the study of stage 1, fine-tuning, repetition and variants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from voxbench.config.base import Bounds, Changes, Count, Fraction, Name, Positive, Probability, Section, Trainable


class Augmentation(Section):
    """What is done to training recordings only, each with its own draw; a null leaves a step out.

    Each step is applied with `probability`. `noise_snr_db` adds white and pink noise, `reverberation_seconds` (RT60)
    a room, `speed` plays faster or slower and so moves pitch and formants, `low_pass_hz` is the edge of a codec-like
    band limit. SpecAugment: one stripe of up to `mask_seconds` and one of up to `mask_fraction` of the bins.
    """

    probability: Probability
    noise_snr_db: Bounds | None
    reverberation_seconds: Bounds | None
    speed: Bounds | None
    low_pass_hz: Bounds | None
    mask_seconds: Positive | None
    mask_fraction: Annotated[float, Field(gt=0, lt=1)] | None

    @property
    def changes_waves(self) -> bool:
        """Say whether recordings are changed before their features are computed."""
        steps = (self.noise_snr_db, self.reverberation_seconds, self.speed, self.low_pass_hz)
        return self.probability > 0 and any(step is not None for step in steps)

    @property
    def masks(self) -> bool:
        """Say whether stripes of features are hidden."""
        return self.probability > 0 and (self.mask_seconds is not None or self.mask_fraction is not None)


class Training(Section):
    """What every training run shares.

    `weights` is `random`, `imagenet` (fetched by `voxbench weights fetch`), or the path of a safetensors file; `stem`
    reduces the first convolution of three-channel weights to one channel. `balance` evens out the classes by
    drawing rarer ones more often (`sampling`) or by weighing their loss (`loss`).
    """

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
    weights: str
    stem: Literal["sum", "mean"]
    balance: Literal["none", "sampling", "loss"]
    augmentation: Augmentation
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


class Study(Section):
    """One Optuna study for each family of candidate models, on one task and corpus; benchmarks take its finalists.

    `override` replaces values of `training` or `selection` for this study alone.
    """

    task: str
    corpus: str
    metric: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    finalists: Annotated[dict[str, Count], Field(min_length=1)]
    trials: dict[str, Count]
    override: dict[str, Changes]

    @model_validator(mode="after")
    def _same_families(self) -> Study:
        if unknown := set(self.finalists) ^ set(self.trials):
            raise ValueError(f"finalists and trials must name the same families, found {sorted(unknown)} in one only")
        return self


class Selection(Section):
    """How every study of stage 1 runs."""

    schedule: Schedule
    train_per_class: Count | None
    round_size: Count
    prune_percentile: Annotated[float, Field(gt=0, le=100)]
    prune_after_epochs: Annotated[int, Field(ge=0)]
    space: Space


class Finetune(Section):
    """Stage 2: the winners, trained on the training split, or on at most so many rows of each class."""

    schedule: Schedule
    train_per_class: Count | None


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ, found {list(seeds)}")
    return seeds


Seeds = Annotated[tuple[int, ...], Field(min_length=2), AfterValidator(_distinct)]


class Repeat(Section):
    """The seeds that the significance tests pair."""

    seeds: Seeds


class Variant(Section):
    """One thing done differently in fine-tuning: another split (null for the corpus's own), or other training."""

    split: Literal["utterance"] | None
    training: Changes


class Ablation(Section):
    """Variants are trained with these seeds, for the first finalists of each family, beside the unchanged recipe."""

    seeds: Seeds
    finalists: Count
    variants: dict[Name, Variant]
