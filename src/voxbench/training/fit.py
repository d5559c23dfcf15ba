"""One training run: from a recipe and a benchmark's data to a network, its learning curve and its best epoch."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from voxbench.config import LargeMargin, Schedule, Training, Verification
from voxbench.features.dataset import evaluation_loader
from voxbench.schema import InputError, Split
from voxbench.seeding import derive_seed
from voxbench.tasks import Task
from voxbench.training.batches import copies_of, training_batches
from voxbench.training.data import BenchmarkData
from voxbench.training.judging import Judge, TrialJudge, judge_of
from voxbench.training.module import TrainingModule
from voxbench.training.network import Network, Statistics, build_network
from voxbench.training.scoring import evaluate

LOG = logging.getLogger(__name__)
"""Told of every epoch, for whom it concerns."""

Pruner = Callable[[int, float], bool]
Epoch = dict[str, float | None]


@dataclass(frozen=True)
class Recipe:
    """Everything besides the data that decides what a training run yields."""

    model: str
    training: Training
    schedule: Schedule
    seed: int
    train_per_class: int | None
    large_margin: LargeMargin | None
    verification: Verification | None

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


def identity(recipe: Recipe, data: BenchmarkData) -> dict[str, Any]:
    """Return, as JSON, what a checkpoint has to be of for a phase of this recipe to go on from it to its own result.

    How long it trains is left out: more epochs go on where fewer ended.
    """
    return {
        "model": recipe.model,
        "seed": recipe.seed,
        "training": recipe.training.model_dump(mode="json"),
        "trainable": recipe.schedule.trainable,
        "train_per_class": recipe.train_per_class,
        "verification": recipe.verification and recipe.verification.model_dump(mode="json"),
        "data": data.features_digest,
    }


@dataclass(frozen=True)
class Fitted:
    """A network at its best epoch; `history` has one record for each epoch that was trained, `seconds` its time.

    An epoch's seconds are those of its training and validation rows, without the measuring of scores.
    """

    network: Network
    history: list[Epoch]
    seconds: list[float]
    best_epoch: int
    pruned: bool


def fit(
    recipe: Recipe,
    data: BenchmarkData,
    metric: str,
    initial: Path | None,
    prune: Pruner | None = None,
    checkpoints: Path | None = None,
) -> Fitted:
    """Train from `initial` weights (None: random) until the schedule ends, early stopping or `prune` says stop.

    Early stopping watches the validation loss, `prune(epoch, value)` the validation metric.

    The best epoch is that of the lowest validation loss. With a folder of `checkpoints`, every epoch leaves one and
    a run that was cut off goes on from it, to the same result. A large-margin phase goes on from the best epoch's
    weights; its epochs follow in the history, and the best of all of them is kept.
    """
    second = recipe.second_phase(recipe.large_margin) if recipe.large_margin else None
    torch.manual_seed(derive_seed(recipe.seed, "weights", recipe.model))
    train_rows = data.training_rows(recipe.train_per_class, recipe.seed)
    targets = copies_of(data, train_rows, recipe.training).target
    statistics = Statistics(data.mean, data.std, targets)
    network = build_network(recipe.model, data.task, recipe.training, recipe.schedule.trainable, statistics, initial)
    judge = judge_of(data, Split.VALID, recipe.training, recipe.verification, train_rows)
    if isinstance(judge, TrialJudge):
        judge.check(network.encoder.embedding_dim)
    record = EpochRecord(data.task, judge, metric, prune, recipe.schedule.patience)
    run = _Run(network, data, train_rows, targets, judge, record)
    run.train(recipe, data, checkpoints)
    network.load_state_dict(record.best_weights)
    if second and record.goes_on:
        record.begin_phase()
        folder = checkpoints / "large-margin" if checkpoints else None
        run.train(second, data.with_crops(second.training.crop_seconds), folder)
        network.load_state_dict(record.best_weights)
    return Fitted(network, record.history, record.seconds, record.best_epoch, record.pruned)


@dataclass(frozen=True)
class _Run:
    """What both phases of a training run share."""

    network: Network
    judged: BenchmarkData
    train_rows: pd.DataFrame
    targets: np.ndarray
    judge: Judge
    record: EpochRecord

    def train(self, recipe: Recipe, data: BenchmarkData, checkpoints: Path | None) -> None:
        """Train until the recipe's schedule or the record says stop; crops to learn from are those of `data`."""
        training = recipe.training
        self.record.identity = identity(recipe, data)
        loss = data.task.loss(self.targets, training)
        batches, online = training_batches(data, self.train_rows, training, recipe.seed)
        judged = self.judged.dataset(self.judge.rows)
        last = checkpoints / "last.ckpt" if checkpoints else None
        with warnings.catch_warnings():
            # Advice on loader workers: the features are mapped from memory, so workers would only add copies.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning's own use of a name that torch has deprecated.
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
            _trainer(recipe.schedule, self.record, checkpoints).fit(
                TrainingModule(self.network, loss, self.judge, training, recipe.seed, data.hop_ms, online),
                batches,
                evaluation_loader(judged, training.batch_size, training.evaluation_crops),
                ckpt_path=str(last) if last and last.is_file() else None,
            )


def _trainer(schedule: Schedule, record: EpochRecord, checkpoints: Path | None) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[lightning.Callback] = [record]
    if checkpoints:
        callbacks.append(
            ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        )
    return lightning.Trainer(
        max_epochs=schedule.max_epochs,
        # Several would see other batches, and so give another result.
        devices=1,
        callbacks=callbacks,
        # Without exceptions on a CPU. CUDA has no deterministic form of some pooling gradients: there it warns.
        deterministic="warn" if torch.cuda.is_available() else True,
        logger=False,
        enable_checkpointing=checkpoints is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


class EpochRecord(lightning.Callback):
    """Keeps the learning curve, the seconds and the best weights, and asks whether to prune."""

    def __init__(self, task: Task, judge: Judge, metric: str, prune: Pruner | None, patience: int) -> None:
        self.task = task
        self.judge = judge
        self.metric = metric
        self.prune = prune
        self.patience = patience
        self.history: list[Epoch] = []
        self.seconds: list[float] = []
        self.best_epoch = -1
        self.best_weights: dict[str, torch.Tensor] = {}
        self.pruned = False
        self.phase_start = 0
        self.identity: dict[str, Any] = {}

    def begin_phase(self) -> None:
        """Go on with another phase, whose epochs have the whole patience before them."""
        self.phase_start = len(self.history)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note when the epoch begins."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch; validation has run by now."""
        assert isinstance(pl_module, TrainingModule)
        self.seconds.append(time.monotonic() - self.started)
        loss = float(trainer.callback_metrics["valid_loss"])
        # A diverged network has no scores to measure.
        outputs = pl_module.valid_outputs
        finite = bool(outputs.isfinite().all()) and not (self.task.pairs and math.isnan(loss))
        measured = evaluate(self.task, self.judge.table(outputs)) if finite else dict.fromkeys([self.metric])
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.history.append(
            {"epoch": len(self.history), "train_loss": pl_module.train_loss, "valid_loss": loss}
            | {f"valid_{name}": value for name, value in measured.items()}
            | {"learning_rate": float(rate)}
        )
        if self.best_epoch < 0 or loss < self.history[self.best_epoch]["valid_loss"]:  # type: ignore[operator]
            self.best_epoch = len(self.history) - 1
            self.best_weights = {
                name: tensor.detach().cpu().clone() for name, tensor in pl_module.network.state_dict().items()
            }
        known = {name: value for name, value in self.history[-1].items() if value is not None and name != "epoch"}
        LOG.info("epoch %d: %s", len(self.history), ", ".join(f"{name} {value:.5g}" for name, value in known.items()))
        self._ask(self.history[-1])
        trainer.should_stop |= self.over

    @property
    def over(self) -> bool:
        """Say whether the run was pruned, has waited long enough for a lower loss, or has none that is finite."""
        waited = len(self.history) - 1 - max(self.best_epoch, self.phase_start - 1)
        return self.pruned or waited >= self.patience or not self._is_finite(-1)

    @property
    def goes_on(self) -> bool:
        """Say whether another phase can begin: the run was not pruned, and its best epoch has a finite loss."""
        return not self.pruned and self._is_finite(self.best_epoch)

    def _is_finite(self, epoch: int) -> bool:
        loss = self.history[epoch]["valid_loss"]
        return loss is not None and math.isfinite(loss)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop at once where a resumed run was over."""
        trainer.should_stop |= len(self.history) > self.phase_start and self.over

    def _ask(self, epoch: Epoch) -> None:
        value = epoch[f"valid_{self.metric}"]
        if self.prune and value is not None and self.prune(int(epoch["epoch"] or 0), value):
            self.pruned = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        kept = ("history", "seconds", "best_epoch", "best_weights", "identity")
        return {name: getattr(self, name) for name in kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a run was cut off."""
        self.history = state_dict["history"]
        self.seconds = state_dict["seconds"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_weights = state_dict["best_weights"]
        for epoch in self.history:
            self._ask(epoch)
