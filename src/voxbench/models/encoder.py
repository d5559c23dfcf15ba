"""What every encoder is: a network without its final layer, part of which may be frozen.

The three words of `TRAINABLE` are the paper's stages. `head`: the encoder is frozen and only the task's
head learns (selection). `upper`: the blocks nearest the embedding learn as well (fine-tuning). `all`:
nothing is frozen, the only sensible choice for a network that starts from random weights. A family without
published weights always starts from random ones, so in it nothing is frozen under any of the three.

Reference: A. Jorrin-Coz et al., Computation 13(8):177, 2025, and the freezing rule of its precursor
(FAIA 379, 2024). Deviation: frozen batch normalisation also stops updating its running statistics, so a
frozen part is a fixed function whose outputs may be computed once and kept.

Shape letters: B batch, F features per frame, T time frames, D embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from torch import Tensor, nn

from voxbench.registry import closest
from voxbench.schema import InputError

TRAINABLE = ("head", "upper", "all")


class Encoder(nn.Module):
    """Map a batch to embeddings `(B, embedding_dim)`, or `(B, ceil(T / stride), embedding_dim)` for transcription.

    `upper` names the submodules that `freeze(encoder, "upper")` leaves trainable; None says that no weights of this
    network were ever published, so that none of it is frozen. `min_frames` is the least T that it can map, of a wave in
    samples: more than 1 where pools or strides would leave nothing. Where `takes_lengths`, `forward` accepts the number
    of frames of every clip `(B,)` as a second argument, and what pads a clip does not change its embedding. One with a
    `stride` gives an output for every so many frames; None: one embedding of the whole clip. `unused` names the
    parameters that a published network has and never reads: they are kept so that its weights have a place.
    """

    min_frames = 1
    takes_lengths = False
    stride: int | None = None
    unused: tuple[str, ...] = ()

    def __init__(self, embedding_dim: int, upper: tuple[str, ...] | None) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.upper = upper

    def train(self, mode: bool = True) -> Self:
        """Set training mode everywhere but in frozen parts, which stay in evaluation mode."""
        super().train(mode)
        for module in _frozen_modules(self):
            module.training = False
        return self


def _frozen_modules(module: nn.Module) -> Iterator[nn.Module]:
    """Yield every module inside a part that owns parameters, none of which is trainable."""
    flags = [parameter.requires_grad for parameter in module.parameters()]
    if flags and not any(flags):
        yield from module.modules()
    else:
        for child in module.children():
            yield from _frozen_modules(child)


def freeze(encoder: Encoder, trainable: str) -> None:
    """Choose which part of `encoder` learns, in place, and put it in training mode.

    `head` freezes the whole encoder, first convolution included (a one-channel stem is derived from the
    three-channel kernel and needs no training of its own), `upper` all but `encoder.upper`, `all`
    nothing. An encoder whose `upper` is None is not frozen by any word: a head on a random projection
    would measure the head. Dropout and batch normalisation inside frozen parts stay in evaluation mode from here on,
    whatever `.train()` is called. Raises `InputError` for another word.
    """
    if trainable not in TRAINABLE:
        raise InputError(
            f"unknown trainable part {trainable!r}{closest(trainable, TRAINABLE)}; "
            f"expected one of: {', '.join(TRAINABLE)}"
        )
    encoder.requires_grad_(trainable == "all" or encoder.upper is None)
    if trainable == "upper":
        for part in encoder.upper or ():
            encoder.get_submodule(part).requires_grad_(True)
    encoder.train()


def require_features(features_BFT: Tensor, n_features: int) -> None:
    """Refuse a batch that is not `(B, n_features, T)` with `InputError`."""
    if features_BFT.ndim != 3 or features_BFT.shape[1] != n_features:
        raise InputError(
            f"found a batch of shape {tuple(features_BFT.shape)}, expected (batch, {n_features}, frames); "
            f"build the model with the front end's n_features"
        )


def require_wave(wave_B1S: Tensor, least: int) -> None:
    """Refuse a batch that is not `(B, 1, S)` with S of `least` or more with `InputError`."""
    if wave_B1S.ndim != 3 or wave_B1S.shape[1] != 1 or wave_B1S.shape[2] < least:
        raise InputError(
            f"found a batch of shape {tuple(wave_B1S.shape)}, expected (batch, 1, {least} samples or more)"
        )
