"""ECAPA-TDNN: time-delay blocks with squeeze-excitation, and attentive statistics, into speaker embeddings.

| model                | channels, joined | blocks | encoder, 80 bands | EER %, Vox1-O of the paper           |
|----------------------|------------------|-------:|------------------:|--------------------------------------|
| ecapa_tdnn           | 512, 1536        |      3 |         6,194,048 | 1.01                                 |
| ecapa_tdnn_1024      | 1024, 1536       |      3 |        14,660,416 | 0.87                                 |
| ecapa_tdnn_1024_3072 | 1024, 3072       |      3 |        20,767,552 | (SpeechBrain's public network: 0.90) |
| ecapa_tdnn_64        | 64, 192          |      3 |           316,792 | fewest filters, for a demonstration  |
| ecapa_tdnn_256       | 256, 1536        |      3 |         3,334,048 | fewer filters                        |
| ecapa_tdnn_deep      | 512, 1536        |      4 |         7,726,912 | one more block, of dilation 5        |

A convolution of span 5, then blocks of span 3 (dilations 2, 3, 4): a pointwise layer, 8 splits of the channels of which
all but the first pass a convolution with the previous one's output added, a pointwise layer, squeeze-excitation (128),
and the block's input added. The blocks' outputs side by side pass a pointwise layer to 1536, attentive statistics
(bottleneck 128), batch normalisation and a linear layer to 192. A layer is convolution, ReLU, batch normalisation.

Reference: B. Desplanques et al., arXiv:2005.07143, 2020. Of several implementations that differ this is SpeechBrain's
(`speechbrain.lobes.models.ECAPA_TDNN` 1.1): mirrored ends, batch normalisation after the joining layer and inside the
attention. Deviation: a clip's end is mirrored in a padded batch too, where SpeechBrain's convolutions read the padding.
So a padded batch gives here what SpeechBrain gives for the clips one by one.

Shape letters: B batch, F mel bands, C channels, T time frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder
from voxbench.models.pooling import AttentiveStatisticsPooling, MirroredConv1d, Padding, mean_over_time, read_padding
from voxbench.models.pretrained import load_encoder
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

STEM_SPAN, SPAN = 5, 3


@dataclass(frozen=True, slots=True)
class EcapaSettings:
    """Bands per frame, a safetensors file to start from or None, and what a row of the table says.

    `dilations` has one number for each block, `splits` is the number of parts of `channels` in a block, `squeeze` and
    `attention` are bottlenecks, `joined` the channels that are pooled, `embedding` the size of the output.
    """

    n_features: int
    initial: Path | None
    channels: int = field(metadata=ARCHITECTURE)
    dilations: tuple[int, ...] = field(metadata=ARCHITECTURE)
    splits: int = field(metadata=ARCHITECTURE)
    squeeze: int = field(metadata=ARCHITECTURE)
    joined: int = field(metadata=ARCHITECTURE)
    attention: int = field(metadata=ARCHITECTURE)
    embedding: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        sizes = (self.channels, self.splits, self.squeeze, self.joined, self.attention, self.embedding)
        if not self.dilations or min(*sizes, *self.dilations) < 1 or self.splits < 2:
            raise InputError(f"found {self}, expected one dilation or more, two splits or more and sizes from 1 on")
        if self.channels % self.splits:
            raise InputError(f"found {self.channels} channels, expected a multiple of the {self.splits} splits")


class Layer(nn.Module):
    """Convolution, ReLU, batch normalisation: `(B, inputs, T)` to `(B, outputs, T)`."""

    def __init__(self, inputs: int, outputs: int, span: int, dilation: int) -> None:
        super().__init__()
        self.conv = MirroredConv1d(inputs, outputs, span, dilation)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return the layer's output."""
        output_BCT: Tensor = self.norm(functional.relu_(self.conv(frames_BCT, padding)))
        return output_BCT


class Squeeze(nn.Module):
    """Give every channel a number in (0, 1) that follows from the clip's mean over time, `(B, C, T)` to `(B, C)`."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, bottleneck)
        self.expand = nn.Linear(bottleneck, channels)

    def forward(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return the numbers."""
        mean_BC = mean_over_time(frames_BCT, padding)
        scale_BC: Tensor = self.expand(functional.relu(self.reduce(mean_BC))).sigmoid()
        return scale_BC


class Block(nn.Module):
    """One block, `(B, C, T)` to the same shape."""

    def __init__(self, settings: EcapaSettings, dilation: int) -> None:
        super().__init__()
        channels, self.width = settings.channels, settings.channels // settings.splits
        self.first = Layer(channels, channels, 1, 1)
        self.parts = nn.ModuleList(Layer(self.width, self.width, SPAN, dilation) for _ in range(settings.splits - 1))
        self.second = Layer(channels, channels, 1, 1)
        self.squeeze = Squeeze(channels, settings.squeeze)

    def forward(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return the block's output."""
        untouched, *others = self.first(frames_BCT, padding).split(self.width, dim=1)
        outputs = [untouched]
        for number, (part, split_BCT) in enumerate(zip(self.parts, others, strict=True)):
            outputs.append(part(split_BCT + outputs[-1] if number else split_BCT, padding))
        output_BCT = self.second(torch.cat(outputs, dim=1), padding)
        return torch.addcmul(frames_BCT, output_BCT, self.squeeze(output_BCT, padding)[:, :, None])


class EcapaEncoder(Encoder):
    """Map log-mel frames `(B, F, T)` to embeddings `(B, D)`; `lengths_B` counts a clip's frames, the rest pads it."""

    takes_lengths = True

    def __init__(self, settings: EcapaSettings) -> None:
        upper = None if settings.initial is None else ("pooling", "norm", "embed")
        super().__init__(settings.embedding, upper)
        self.n_features = settings.n_features
        self.min_frames = max(STEM_SPAN // 2, *settings.dilations) + 1
        self.stem = Layer(settings.n_features, settings.channels, STEM_SPAN, 1)
        self.blocks = nn.ModuleList(Block(settings, dilation) for dilation in settings.dilations)
        self.join = Layer(settings.channels * len(self.blocks), settings.joined, 1, 1)
        self.pooling = AttentiveStatisticsPooling(settings.joined, settings.attention)
        self.norm = nn.BatchNorm1d(2 * settings.joined)
        self.embed = nn.Linear(2 * settings.joined, settings.embedding)

    def forward(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return embeddings; a batch of another shape or with too few frames raises `InputError`."""
        padding = read_padding(features_BFT, lengths_B, self.n_features, self.min_frames)
        return self.embeddings(features_BFT, padding)

    def embeddings(self, features_BFT: Tensor, padding: Padding | None) -> Tensor:
        """Return embeddings of a checked batch."""
        frames_BCT: Tensor = self.stem(features_BFT, padding)
        outputs = []
        for block in self.blocks:
            frames_BCT = block(frames_BCT, padding)
            outputs.append(frames_BCT)
        joined_BCT = self.join(torch.cat(outputs, dim=1), padding)
        embedding_BD: Tensor = self.embed(self.norm(self.pooling(joined_BCT, padding)))
        return embedding_BD


def build_ecapa(settings: EcapaSettings) -> EcapaEncoder:
    """Build the encoder with random weights, or with those of `settings.initial`."""
    encoder = EcapaEncoder(settings)
    if settings.initial is not None:
        load_encoder(encoder, settings.initial)
    return encoder


for _name, _channels, _joined, _dilations in (
    ("ecapa_tdnn", 512, 1536, (2, 3, 4)),
    ("ecapa_tdnn_1024", 1024, 1536, (2, 3, 4)),
    ("ecapa_tdnn_1024_3072", 1024, 3072, (2, 3, 4)),
    ("ecapa_tdnn_64", 64, 192, (2, 3, 4)),
    ("ecapa_tdnn_256", 256, 1536, (2, 3, 4)),
    ("ecapa_tdnn_deep", 512, 1536, (2, 3, 4, 5)),
):
    model(
        _name,
        family="ecapa_tdnn",
        input_kind=InputKind.SPECTROGRAM,
        published=EcapaSettings(
            n_features=80,
            initial=None,
            channels=_channels,
            dilations=_dilations,
            splits=8,
            squeeze=128,
            joined=_joined,
            attention=128,
            embedding=192,
        ),
        reference="Desplanques et al., arXiv:2005.07143, 2020",
    )(build_ecapa)
