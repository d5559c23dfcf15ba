"""Everything besides the data that decides what a training run yields."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voxbench.config import LargeMargin, Schedule, Training, Transcription, Verification
from voxbench.schema import InputError
from voxbench.seeding import derive_seed


@dataclass(frozen=True)
class Recipe:
    """How one training run is made."""

    model: str
    training: Training
    schedule: Schedule
    seed: int
    train_per_class: int | None
    large_margin: LargeMargin | None
    verification: Verification | None
    transcription: Transcription | None

    def with_training(self, training: Training) -> Recipe:
        """Return this recipe with another training section."""
        return replace(self, training=training)

    def second_phase(self, plan: LargeMargin) -> Recipe:
        """Return the recipe of the large-margin phase: longer crops, its own margin, no copies.

        Raises InputError for a margin of a loss that has none.
        """
        training, margin = self.training, self.training.margin
        assert margin is not None, "checked before anything is trained"
        if margin.kind == "softmax" and plan.margin:
            raise InputError(
                f"finetune.large_margin.margin is {plan.margin:g}, but training.margin.kind is softmax, which has "
                "none: set it to 0, or use am or aam"
            )
        changes = {
            "learning_rate": plan.learning_rate,
            "crop_seconds": plan.crop_seconds,
            "margin": margin.model_copy(update={"margin": plan.margin, "warm_up_epochs": None}),
            "augmentation": training.augmentation.model_copy(update={"speed_speakers": None}),
        }
        return replace(
            self,
            training=training.model_copy(update=changes),
            schedule=self.schedule.model_copy(update={"max_epochs": plan.epochs}),
            seed=derive_seed(self.seed, "large margin"),
            large_margin=None,
        )
