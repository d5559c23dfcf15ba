"""Learning in `params.yaml`: training runs, the study of stage 1, fine-tuning, repetition and variants."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from voxbench.config.augmentation import Augmentation
from voxbench.config.base import Bounds, Changes, Count, Fraction, Name, Positive, Section, Trainable


class Margin(Section):
    """What the loss of speakers asks of the true class, and from when on.

    Logits are `scale` times cosines. `kind`: `softmax` asks nothing more, `am` that the cosine exceed the others by
    `margin`, `aam` that the angle be `margin` radians smaller. `beyond` says what stands for `aam` where the enlarged
    angle would pass half a turn. A speaker has `subcentres` weights, of which the nearest counts. `warm_up_epochs`:
    the margin is 0 until so many epochs have been trained, and whole from so many on; null: whole from the first on.
    """

    kind: Literal["softmax", "am", "aam"]
    margin: Annotated[float, Field(ge=0, lt=math.pi / 2)]
    scale: Positive
    beyond: Literal["chord", "touching"]
    subcentres: Count
    warm_up_epochs: Bounds | None

    @model_validator(mode="after")
    def _sound(self) -> Margin:
        if self.kind == "softmax" and self.margin:
            raise ValueError(f"kind softmax has no margin, found margin {self.margin:g}: set it to 0, or use am or aam")
        if self.warm_up_epochs and self.warm_up_epochs[0] < 0:
            raise ValueError(f"warm_up_epochs starts at {self.warm_up_epochs[0]:g}, expected 0 epochs or more")
        return self


class OneClass(Section):
    """The loss that learns bona fide speech as one class: OC-softmax (Zhang, Jiang, Duan, IEEE SPL 28, 2021).

    Embeddings and one centre lie on a sphere. Bona fide cosines are to exceed `real`, those of spoofs to stay below
    `fake`; `scale` is how steeply the loss rises.
    """

    scale: Positive
    real: Annotated[float, Field(gt=-1, le=1)]
    fake: Annotated[float, Field(ge=-1, lt=1)]

    @model_validator(mode="after")
    def _apart(self) -> OneClass:
        if self.fake >= self.real:
            raise ValueError(f"fake is {self.fake:g}, expected below real, {self.real:g}: the two classes would mix")
        return self


class Training(Section):
    """What every training run shares.

    The learning rate falls by `scheduler`: `plateau` multiplies it by `scheduler_factor` once `scheduler_patience`
    epochs in a row brought no lower validation loss, `step` every `scheduler_patience` epochs, and neither passes
    `min_learning_rate`, where `cosine` ends after all epochs, step by step. `average_best` averages the weights of the
    epochs that were the best so far (SWA), which are taken where their validation loss is lower still.

    `weights` is `random`, `imagenet` (fetched by `voxbench weights fetch`), or the path of a safetensors file; `stem`
    reduces the first convolution of three-channel weights to one channel. From each feature the mean of all training
    rows is subtracted or that of the crop, which takes the channel with it (cepstral mean subtraction); the deviation
    that divides it is that of the training rows. With `nothing` features stay as they are, as networks on waves are
    published. With `crop_seconds` null recordings are taken whole, as transcripts need them; then at most
    `batch_seconds`, padding counted, and at most `batch_size` recordings of like lengths make a batch.
    A recording `shorter` than the crop is refused, or repeated from its start. Crops for evaluation are
    `spread` over a recording, or one is taken from its `start`. `balance` evens out the classes by drawing rarer
    ones more often (`sampling`) or by weighing their loss (`loss`); `class_weights` gives the loss's weights by
    hand. `one_class` replaces the cross-entropy of tasks that detect spoofs, null for all others.
    `clips_per_speaker` and `margin` are of tasks that learn speakers, null for all others: with the former a batch
    drawn by `sampling` has so many rows of each speaker who is in it, otherwise as they come.
    """

    learning_rate: Positive
    betas: tuple[Fraction, Fraction]
    weight_decay: Annotated[float, Field(ge=0)]
    scheduler: Literal["plateau", "step", "cosine"]
    scheduler_factor: Annotated[float, Field(gt=0, lt=1)]
    scheduler_patience: Annotated[int, Field(ge=0)]
    min_learning_rate: Annotated[float, Field(ge=0)]
    average_best: bool
    dropout: Fraction
    recurrent_dropout: Fraction
    batch_size: Count
    batch_seconds: Positive | None
    crop_seconds: Positive | None
    evaluation_crops: Count
    evaluation_place: Literal["spread", "start"]
    shorter: Literal["refuse", "repeat"]
    resize: Annotated[int, Field(ge=32)] | None
    weights: str
    stem: Literal["sum", "mean"]
    subtract: Literal["corpus_mean", "crop_mean", "nothing"]
    balance: Literal["none", "sampling", "loss"]
    class_weights: dict[Name, Positive] | None
    one_class: OneClass | None
    clips_per_speaker: Count | None
    margin: Margin | None
    augmentation: Augmentation
    seed: int

    @model_validator(mode="after")
    def _sound(self) -> Training:
        if self.class_weights and self.balance != "none":
            raise ValueError(
                f"class_weights are set and balance is {self.balance!r}: set balance to none, or weigh once"
            )
        if self.one_class and (self.class_weights or self.balance == "loss"):
            raise ValueError("one_class has margins in place of weights: set class_weights to null and balance to none")
        if self.evaluation_place == "start" and self.evaluation_crops != 1:
            raise ValueError(f"evaluation_crops is {self.evaluation_crops}, expected 1 where evaluation_place is start")
        if (self.crop_seconds is None) != (self.batch_seconds is not None):
            raise ValueError(
                "batch_seconds is of whole recordings: set it where crop_seconds is null, and to null elsewhere"
            )
        if self.crop_seconds is None and (self.evaluation_crops, self.shorter) != (1, "refuse"):
            raise ValueError(
                "crop_seconds is null, which takes recordings whole, but evaluation_crops is "
                f"{self.evaluation_crops} and shorter is {self.shorter!r}, expected 1 and refuse"
            )
        if self.scheduler == "step" and not self.scheduler_patience:
            raise ValueError("scheduler_patience is 0, expected 1 or more epochs from step to step of scheduler step")
        return self


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

    `override` replaces values of `training`, `selection`, `verification` or `transcription` for this study alone.
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


class LargeMargin(Section):
    """A second phase of learning speakers: longer crops and a larger margin, from the best weights of the first."""

    epochs: Count
    crop_seconds: Positive
    margin: Annotated[float, Field(ge=0, lt=math.pi / 2)]
    learning_rate: Positive


class Finetune(Section):
    """Stage 2: the winners, trained on the training split, or on at most so many rows of each class.

    `large_margin` is of tasks that learn to tell speakers apart, null for none.
    """

    schedule: Schedule
    train_per_class: Count | None
    large_margin: LargeMargin | None


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
