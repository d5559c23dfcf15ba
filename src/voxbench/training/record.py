"""What a training run keeps of its epochs: the learning curve, the seconds, the best weights, and the mean of such."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import lightning
import torch

from voxbench.tasks import Task
from voxbench.training.averaging import WeightMean
from voxbench.training.judging import Judge
from voxbench.training.module import TrainingModule
from voxbench.training.scoring import evaluate

LOG = logging.getLogger(__name__)
"""Told of every epoch, for whom it concerns."""

Pruner = Callable[[int, float], bool]
Epoch = dict[str, float | None]


class EpochRecord(lightning.Callback):
    """Keeps the learning curve, the seconds and the best weights, and asks whether to prune.

    `best_loss` is that of the best weights, which are an epoch's, or the mean of `averaged` epochs. With `averages` the
    weights of all epochs that were the best so far are averaged in `mean`.
    """

    def __init__(
        self, task: Task, judge: Judge, metric: str, prune: Pruner | None, patience: int, *, averages: bool
    ) -> None:
        self.task = task
        self.judge = judge
        self.metric = metric
        self.prune = prune
        self.patience = patience
        self.history: list[Epoch] = []
        self.seconds: list[float] = []
        self.best_epoch = -1
        self.best_weights: dict[str, torch.Tensor] = {}
        self.best_loss = math.nan
        self.averages = averages
        self.mean = WeightMean()
        self.averaged = 0
        self.pruned = False
        self.phase_start = 0
        self.identity: dict[str, Any] = {}

    def begin_phase(self) -> None:
        """Go on with another phase, whose epochs have the whole patience before them."""
        self.phase_start = len(self.history)
        self.mean = WeightMean()

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
        if self.best_epoch < 0 or loss < self.best_loss:
            self.best_epoch, self.best_loss, self.averaged = len(self.history) - 1, loss, 0
            weights = pl_module.network.state_dict()
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
            if self.averages:
                self.mean.add(weights)
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
        kept = ("history", "seconds", "best_epoch", "best_loss", "best_weights", "averaged", "identity")
        return {name: getattr(self, name) for name in kept} | {"mean": self.mean.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a run was cut off."""
        self.history = state_dict["history"]
        self.seconds = state_dict["seconds"]
        self.best_epoch = state_dict["best_epoch"]
        self.best_loss = state_dict["best_loss"]
        self.best_weights = state_dict["best_weights"]
        self.averaged = state_dict["averaged"]
        self.mean.load_state_dict(state_dict["mean"])
        for epoch in self.history:
            self._ask(epoch)
