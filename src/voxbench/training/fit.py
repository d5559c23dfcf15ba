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
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from voxbench.config import Schedule, Training
from voxbench.features.dataset import BalancedCrops, Batch, ShuffledCrops, evaluation_loader, training_loader
from voxbench.schema import Split
from voxbench.seeding import derive_seed
from voxbench.training.data import BenchmarkData
from voxbench.training.module import TrainingModule
from voxbench.training.network import Network, Statistics, build_network
from voxbench.training.scoring import evaluate, score_table

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

    def with_training(self, training: Training) -> Recipe:
        """Return this recipe with another training section."""
        return replace(self, training=training)


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
    a run that was cut off goes on from it, to the same result.
    """
    torch.manual_seed(derive_seed(recipe.seed, "weights", recipe.model))
    train_rows = data.training_rows(recipe.train_per_class, recipe.seed)
    statistics = Statistics(data.mean, data.std, data.task.targets(train_rows))
    network = build_network(recipe.model, data.task, recipe.training, recipe.schedule.trainable, statistics, initial)
    valid_rows = data.split(Split.VALID)
    record = EpochRecord(
        lambda outputs: evaluate(data.task, score_table(data.task, valid_rows, outputs)),
        metric,
        prune,
        recipe.schedule.patience,
    )
    trainer = _trainer(recipe.schedule, record, checkpoints)
    last = checkpoints / "last.ckpt" if checkpoints else None
    batch_size, crops = recipe.training.batch_size, recipe.training.evaluation_crops
    with warnings.catch_warnings():
        # Advice on loader workers: the features are mapped from memory, so workers would only add copies.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own use of a name that torch has deprecated.
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
        trainer.fit(
            _module(network, data, statistics, recipe),
            _training_loader(data, train_rows, recipe),
            evaluation_loader(data.dataset(valid_rows), batch_size, crops),
            ckpt_path=str(last) if last and last.is_file() else None,
        )
    network.load_state_dict(record.best_weights)
    return Fitted(network, record.history, record.seconds, record.best_epoch, record.pruned)


def _module(network: Network, data: BenchmarkData, statistics: Statistics, recipe: Recipe) -> TrainingModule:
    loss = data.task.loss(statistics.targets, recipe.training.balance == "loss")
    valid_loss = data.task.loss(statistics.targets, False)
    return TrainingModule(network, loss, valid_loss, recipe.training, recipe.seed, data.hop_ms)


def _training_loader(data: BenchmarkData, rows: pd.DataFrame, recipe: Recipe) -> DataLoader[Batch]:
    crops, training = data.dataset(rows), recipe.training
    sampler: ShuffledCrops | BalancedCrops = ShuffledCrops(len(rows), recipe.seed)
    if training.balance == "sampling":
        sampler = BalancedCrops(data.task.targets(rows), data.task.classes, recipe.seed)
    dataset = data.altered(crops, training.augmentation, recipe.seed) if training.augmentation.changes_waves else crops
    return training_loader(dataset, training.batch_size, sampler)


def _trainer(schedule: Schedule, record: EpochRecord, checkpoints: Path | None) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[lightning.Callback] = [record]
    if checkpoints:
        callbacks.append(
            ModelCheckpoint(checkpoints, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        )
    return lightning.Trainer(
        max_epochs=schedule.max_epochs,
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

    def __init__(
        self, measure: Callable[[torch.Tensor], Epoch], metric: str, prune: Pruner | None, patience: int
    ) -> None:
        self.measure = measure
        self.metric = metric
        self.prune = prune
        self.patience = patience
        self.history: list[Epoch] = []
        self.seconds: list[float] = []
        self.best_epoch = -1
        self.best_weights: dict[str, torch.Tensor] = {}
        self.pruned = False

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note when the epoch begins."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch; validation has run by now."""
        assert isinstance(pl_module, TrainingModule)
        self.seconds.append(time.monotonic() - self.started)
        loss = float(trainer.callback_metrics["valid_loss"])
        # A diverged network has no scores to measure.
        finite = bool(pl_module.valid_outputs.isfinite().all())
        measured = self.measure(pl_module.valid_outputs) if finite else dict.fromkeys([self.metric])
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.history.append(
            {"epoch": trainer.current_epoch, "train_loss": pl_module.train_loss, "valid_loss": loss}
            | {f"valid_{name}": value for name, value in measured.items()}
            | {"learning_rate": float(rate)}
        )
        if self.best_epoch < 0 or loss < self.history[self.best_epoch]["valid_loss"]:  # type: ignore[operator]
            self.best_epoch = len(self.history) - 1
            self.best_weights = {
                name: tensor.detach().cpu().clone() for name, tensor in pl_module.network.state_dict().items()
            }
        self._ask(self.history[-1])
        trainer.should_stop |= self.over

    @property
    def over(self) -> bool:
        """Say whether the run was pruned, has waited long enough for a lower loss, or has none that is finite."""
        waited, loss = len(self.history) - 1 - self.best_epoch, self.history[-1]["valid_loss"]
        return self.pruned or waited >= self.patience or loss is None or not math.isfinite(loss)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop at once where a resumed run was over."""
        trainer.should_stop |= bool(self.history) and self.over

    def _ask(self, epoch: Epoch) -> None:
        value = epoch[f"valid_{self.metric}"]
        if self.prune and value is not None and self.prune(int(epoch["epoch"] or 0), value):
            self.pruned = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        kept = ("history", "seconds", "best_epoch", "best_weights")
        return {name: getattr(self, name) for name in kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a run was cut off."""
        self.history = state_dict["history"]
        self.seconds = state_dict["seconds"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_weights = state_dict["best_weights"]
        for epoch in self.history:
            self._ask(epoch)
