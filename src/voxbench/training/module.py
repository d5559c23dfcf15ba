"""The one LightningModule: network, loss, optimiser, and what is measured in every epoch."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor

from voxbench.config import Training
from voxbench.features.augmentation import mask
from voxbench.features.dataset import Batch, PaddedBatch, lengths_of, places_of
from voxbench.features.online import OnlineFeatures
from voxbench.features.wave_crops import WaveBatch
from voxbench.seeding import derive_seed, generator
from voxbench.tasks.registry import Loss
from voxbench.training.judging import Judge
from voxbench.training.network import Network, in_order
from voxbench.training.rates import planned_rate


class TrainingModule(lightning.LightningModule):
    """Trains `network`; `valid_outputs` `(N, K, ...)` holds the last epoch's validation outputs.

    `loss` steers the optimiser; that of the `judge` steers schedule and early stopping. Where recordings are altered,
    `online` makes the features of a batch, on the device.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        judge: Judge,
        training: Training,
        seed: int,
        hop_ms: float,
        online: OnlineFeatures | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.judge = judge
        self.online = online
        self.training_settings = training
        self.hop_ms = hop_ms
        self.seed = seed
        self._plateau_state: dict[str, Any] = {}
        self._outputs: list[tuple[Tensor, Tensor]] = []
        self._losses: list[Tensor] = []
        self.valid_outputs = torch.empty(0)
        self.train_loss = float("nan")

    def on_train_epoch_start(self) -> None:
        """Forget the losses of the epoch before."""
        self._losses.clear()

    def training_step(self, given: Batch | PaddedBatch | WaveBatch, batch_index: int) -> Tensor:
        """Return the loss of one batch; dropout draws from (seed, epoch, batch), so interruptions change nothing."""
        batch = self._features_of(given, batch_index)
        torch.manual_seed(derive_seed(self.seed, "dropout", self.current_epoch, batch_index))
        draws = generator(self.seed, "mask", self.current_epoch, batch_index)
        augmentation = self.training_settings.augmentation
        lengths = lengths_of(batch)
        fill = self.network.centre(batch.features, lengths)
        features = mask(batch.features, lengths, fill, augmentation, self.hop_ms, draws)
        epochs = self.current_epoch + batch_index / self.trainer.num_training_batches
        self._set_rate(epochs)
        loss = self.loss(self.network(features, lengths), batch.target, epochs)
        self._losses.append(loss.detach())
        return loss

    def _features_of(self, given: Batch | PaddedBatch | WaveBatch, batch_index: int) -> Batch | PaddedBatch:
        if not isinstance(given, WaveBatch):
            return given
        assert self.online is not None, "given wherever waves are"
        altered: Batch = self.online(given, self.current_epoch, batch_index)
        return altered

    def _set_rate(self, epochs: float) -> None:
        """Set the learning rate of a step, where there is a plan of it."""
        assert self.trainer.max_epochs is not None, "the schedule of a recipe says how long it trains"
        rate = planned_rate(self.training_settings, epochs, self.trainer.max_epochs)
        if rate is not None:
            for group in self.trainer.optimizers[0].param_groups:
                group["lr"] = rate

    def on_validation_epoch_start(self) -> None:
        """Forget the outputs of the epoch before."""
        self._outputs.clear()

    def validation_step(self, batch: Batch | PaddedBatch, batch_index: int) -> None:
        """Collect outputs, with the rows that they are of."""
        self._outputs.append((batch.row.cpu(), self.network.judged(batch.features, lengths_of(batch)).cpu()))

    def on_validation_epoch_end(self) -> None:
        """Gather the epoch: outputs by recording and crop, and the validation loss that steers the schedule."""
        self.valid_outputs = in_order(self._outputs, len(places_of(self.training_settings)))
        self.log("valid_loss", self.judge.loss(self.valid_outputs))
        self.train_loss = float(torch.stack(self._losses).mean()) if self._losses else float("nan")

    def configure_optimizers(self) -> Any:
        """Return Adam, and make the plateau schedule of the paper's sheet."""
        settings = self.training_settings
        trainable = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(
            trainable,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=settings.scheduler_factor,
            patience=settings.scheduler_patience,
            min_lr=settings.min_learning_rate,
        )
        if self._plateau_state:
            self.plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_train_epoch_end(self) -> None:
        """Let the plateau schedule see the epoch before its checkpoint is written, which Lightning would not."""
        if self.training_settings.scheduler == "plateau":
            self.plateau.step(self.trainer.callback_metrics["valid_loss"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the plateau schedule."""
        checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the plateau schedule, which is made later."""
        self._plateau_state = checkpoint["plateau"]
