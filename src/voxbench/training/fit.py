"""One training run: from a recipe and a benchmark's data to a network, its learning curve and its best epoch."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from voxbench.config import Schedule, Training
from voxbench.features.dataset import places_of
from voxbench.features.online import OnlineFeatures
from voxbench.schema import Split
from voxbench.seeding import derive_seed
from voxbench.training.averaging import renew_statistics
from voxbench.training.batches import copies_of, judged_batches, training_batches
from voxbench.training.data import BenchmarkData, refuse_crowded
from voxbench.training.judging import Judge, TrialJudge, judge_of
from voxbench.training.module import TrainingModule
from voxbench.training.network import Network, Statistics, build_network, predict
from voxbench.training.recipe import Recipe
from voxbench.training.record import Epoch, EpochRecord, Pruner


def identity(recipe: Recipe, data: BenchmarkData) -> dict[str, Any]:
    """Return, as JSON, what a checkpoint has to be of for a phase of this recipe to go on from it to its own result.

    How long it trains is left out: more epochs go on where fewer ended. Under a cosine they do not, for it ends when
    they do.
    """
    planned = {"max_epochs": recipe.schedule.max_epochs} if recipe.training.scheduler == "cosine" else {}
    return planned | {
        "model": recipe.model,
        "seed": recipe.seed,
        "training": recipe.training.model_dump(mode="json"),
        "trainable": recipe.schedule.trainable,
        "train_per_class": recipe.train_per_class,
        "verification": recipe.verification and recipe.verification.model_dump(mode="json"),
        "transcription": recipe.transcription and recipe.transcription.model_dump(mode="json"),
        "data": data.features_digest,
    }


@dataclass(frozen=True)
class Fitted:
    """A network at its best epoch; `history` has one record for each epoch that was trained, `seconds` its time.

    An epoch's seconds are those of its training and validation rows, without the measuring of scores. `averaged` is of
    how many epochs the weights are the mean, 0 for those of the best epoch.
    """

    network: Network
    history: list[Epoch]
    seconds: list[float]
    best_epoch: int
    pruned: bool
    averaged: int


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
    judge = judge_of(data, Split.VALID, recipe, train_rows)
    if network.encoder.stride is not None:
        refuse_crowded(data, [train_rows, judge.rows], network.encoder.stride)
    if isinstance(judge, TrialJudge):
        judge.check(network.encoder.embedding_dim)
    averages = recipe.training.average_best
    record = EpochRecord(data.task, judge, metric, prune, recipe.schedule.patience, averages=averages)
    run = _Run(network, data, train_rows, targets, judge, record)
    run.train(recipe, data, checkpoints)
    network.load_state_dict(record.best_weights)
    if second and record.goes_on:
        record.begin_phase()
        folder = checkpoints / "large-margin" if checkpoints else None
        assert recipe.large_margin is not None, "a second phase has a plan"
        run.train(second, data.with_crops(recipe.large_margin.crop_seconds), folder)
        network.load_state_dict(record.best_weights)
    return Fitted(network, record.history, record.seconds, record.best_epoch, record.pruned, record.averaged)


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
        last = checkpoints / "last.ckpt" if checkpoints else None
        with warnings.catch_warnings():
            # Advice on loader workers: the features are mapped from memory, so workers would only add copies.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning's own use of a name that torch has deprecated.
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
            _trainer(recipe.schedule, self.record, checkpoints).fit(
                TrainingModule(self.network, loss, self.judge, training, recipe.seed, data.hop_ms, online),
                batches,
                judged_batches(self.judged, self.judge.rows, training),
                ckpt_path=str(last) if last and last.is_file() else None,
            )
        if self.record.mean.count > 1 and not self.record.pruned:
            self._try_mean(training, batches, online)

    def _try_mean(self, training: Training, batches: DataLoader[Any], online: OnlineFeatures | None) -> None:
        """Take the mean of the weights in place of the best epoch's, if its validation loss is lower."""
        record, network = self.record, self.network
        network.load_state_dict(record.mean.weights)
        renew_statistics(network, batches, online, record.best_epoch)
        loader = judged_batches(self.judged, self.judge.rows, training)
        loss = float(self.judge.loss(predict(network, loader, len(places_of(training)))))
        if loss < record.best_loss:
            record.best_loss, record.averaged = loss, record.mean.count
            record.best_weights = {name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}


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
