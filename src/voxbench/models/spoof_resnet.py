"""Residual networks on cepstra and on spectrograms that tell recorded speech from made speech.

| model                | rows | blocks, widths                  | with its head of 2 | EER %, t-DCF of 2019 LA |
|----------------------|-----:|---------------------------------|-------------------:|-------------------------|
| lfcc_resnet18        |   60 | 2, 2, 2, 2 of 64, 128, 256, 512 |         12,450,290 | 5.06, 0.1208            |
| lfcc_resnet18_s      |   60 | 1, 1, 1, 1 of 16, 16, 32, 32    |             71,090 | for a demonstration     |
| spectrogram_resnet   | 1025 | 11 of 32                        |            315,490 |                         |
| spectrogram_resnet_s | 1025 | 4 of 16, a pool before them     |             38,882 | for a demonstration     |
| mfcc_resnet          |   72 | 9 of 32                         |            312,994 |                         |

`lfcc_resnet18` is the network of Y. Zhang et al., "One-class learning towards synthetic voice spoofing detection",
IEEE SPL 28, 2021, and its official code (yzyouzhang/AIR-ASVspoof): a convolution of 9 by 3 that keeps a third of the
cepstra, groups of blocks that normalise before they convolve, one convolution over all rows that are left, and weights
that are a softmax over time of the tanh of one vector's products. Sum and deviation over time of the weighted frames
pass a linear layer, whose 256 numbers are the embedding. Deviation: the code adds noise of deviation 1e-5 to the
frames, also in evaluation; here its variance is added to that of the frames.

The others are those of M. Alzantot et al., "Deep residual neural networks for audio spoofing detection", Interspeech
2019, and its official code (nesl/asvspoof2019): blocks of two convolutions with a third one beside them, pools of 3 by
3, and a linear layer of 128. Two oversights are kept: blocks own `pre_bn` but give their first convolution the input as
it is, and the spectrogram's network passes every second block by (`unused`). Deviations: any number of frames is taken,
of which the means over as many stretches stay as the published 126 frames leave.

Tensors bear the names of both codes; their last layers are the task's head.

Shape letters: B batch, F rows, T time frames, C channels, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder, require_features
from voxbench.models.pretrained import load_encoder
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

NOISE = 1e-5
POOL, SLOPE, SPOOF_DROPOUT, HIDDEN = 3, 0.01, 0.5, 128
# oneDNN, as PyTorch 2.11 has it, writes outside of its memory in the gradient of a strided pointwise convolution of
# fewer than 12 channels that are stored last.
LEAST_WIDTH = 12


@dataclass(frozen=True, slots=True)
class LfccResnetSettings:
    """Rows per frame, a safetensors file to start from or None, and a row of the table: each group's blocks and width.

    `stem` is the width of the first convolution, `joined` that of the one over all rows.
    """

    n_features: int
    initial: Path | None
    stem: int = field(metadata=ARCHITECTURE)
    blocks: tuple[int, ...] = field(metadata=ARCHITECTURE)
    widths: tuple[int, ...] = field(metadata=ARCHITECTURE)
    joined: int = field(metadata=ARCHITECTURE)
    embedding: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.widths) or min(self.blocks, default=0) < 1 or self.n_features < 7:
            raise InputError(
                f"found {self}, expected as many widths as numbers of blocks, and 7 rows per frame or more"
            )
        if min(self.stem, *self.widths) < LEAST_WIDTH:
            raise InputError(
                f"found a residual network of widths {self.stem}, {self.widths}, expected {LEAST_WIDTH} or more: "
                "PyTorch's kernels for narrower ones damage memory; take fewer blocks to have a smaller network"
            )


class LfccBlock(nn.Module):
    """Normalise, convolve, twice; the input is added, through a convolution where its shape is another one."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.reshapes = stride != 1 or inputs != width
        if self.reshapes:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False))

    def forward(self, maps_BCFT: Tensor) -> Tensor:
        """Return the sum."""
        normalised_BCFT = functional.relu(self.bn1(maps_BCFT))
        kept_BCFT = self.shortcut(normalised_BCFT) if self.reshapes else maps_BCFT
        hidden_BCFT = functional.relu(self.bn2(self.conv1(normalised_BCFT)))
        summed_BCFT: Tensor = self.conv2(hidden_BCFT) + kept_BCFT
        return summed_BCFT


class SelfAttention(nn.Module):
    """Sum and deviation over time of frames times their softmax weights, `(B, C, T)` to `(B, 2C)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.att_weights = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(1, channels)))

    def own_multiply_adds(self, frames_BCT: Tensor) -> int:
        """Return those of the products with the weight vector."""
        return frames_BCT.numel()

    def forward(self, frames_BCT: Tensor) -> Tensor:
        """Return the statistics of each clip."""
        weights_B1T = (self.att_weights @ frames_BCT).tanh().softmax(dim=2)
        weighted_BCT = frames_BCT * weights_B1T
        return torch.cat([weighted_BCT.sum(dim=2), (weighted_BCT.var(dim=2) + NOISE**2).sqrt()], dim=1)


class LfccResnetEncoder(Encoder):
    """Map cepstra `(B, F, T)` to embeddings `(B, D)`."""

    def __init__(self, settings: LfccResnetSettings) -> None:
        super().__init__(settings.embedding, None)
        self.n_features, self.groups = settings.n_features, len(settings.blocks)
        # The deviation needs two frames at the end.
        self.min_frames = 2 ** (self.groups - 1) + 1
        self.conv1 = nn.Conv2d(1, settings.stem, (9, 3), (3, 1), padding=(1, 1), bias=False)
        self.bn1 = nn.BatchNorm2d(settings.stem)
        inputs, rows = settings.stem, (settings.n_features + 2 - 9) // 3 + 1
        for number, (blocks, width) in enumerate(zip(settings.blocks, settings.widths, strict=True)):
            stride = 2 if number else 1
            first, others = LfccBlock(inputs, width, stride), (LfccBlock(width, width, 1) for _ in range(blocks - 1))
            self.add_module(f"layer{number + 1}", nn.Sequential(first, *others))
            inputs, rows = width, -(-rows // stride)
        self.conv5 = nn.Conv2d(inputs, settings.joined, (rows, 3), padding=(0, 1), bias=False)
        self.bn5 = nn.BatchNorm2d(settings.joined)
        self.fc = nn.Linear(2 * settings.joined, settings.embedding)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        nn.init.kaiming_uniform_(self.fc.weight)
        self.attention = SelfAttention(settings.joined)
        if settings.initial is not None:
            self.upper = (f"layer{self.groups}", "conv5", "bn5", "attention", "fc")
            load_encoder(self, settings.initial)

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Return embeddings; a batch of another shape or with too few frames raises `InputError`."""
        require_features(features_BFT, self.n_features)
        if features_BFT.shape[2] < self.min_frames:
            raise InputError(
                f"found {features_BFT.shape[2]} frames, expected at least {self.min_frames}: "
                "use longer recordings or crops"
            )
        # The channel is added last and moved, which leaves strides that convolutions on a CPU are fastest with.
        maps_BCFT = functional.relu(self.bn1(self.conv1(features_BFT.unsqueeze(-1).movedim(-1, 1))))
        for number in range(self.groups):
            maps_BCFT = self.get_submodule(f"layer{number + 1}")(maps_BCFT)
        joined_BCT = functional.relu(self.bn5(self.conv5(maps_BCFT))).squeeze(2)
        embedding_BD: Tensor = self.fc(self.attention(joined_BCT))
        return embedding_BD


@dataclass(frozen=True, slots=True)
class SpectrogramResnetSettings:
    """Rows per frame, a safetensors file to start from or None, and a row of the table.

    `groups` has, for each pool, the numbers of the `blocks` before it, from 1 on; `frames` is the length whose grid of
    cells, after all pools, is what the linear layer sees of a clip of any length.
    """

    n_features: int
    initial: Path | None
    blocks: int = field(metadata=ARCHITECTURE)
    groups: tuple[tuple[int, ...], ...] = field(metadata=ARCHITECTURE)
    width: int = field(metadata=ARCHITECTURE)
    frames: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        numbers = [number for group in self.groups for number in group]
        if not numbers or not set(numbers) <= set(range(1, self.blocks + 1)) or min(self.width, self.frames) < 1:
            raise InputError(f"found {self}, expected groups of blocks from 1 to {self.blocks}, and sizes from 1 on")


class SpectrogramBlock(nn.Module):
    """Two convolutions, to whose output a third one's of the same input is added: `(B, C, F, T)` to the same shape."""

    def __init__(self, width: int, *, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(SPOOF_DROPOUT)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv11 = nn.Conv2d(width, width, 3, padding=1)
        if not first:
            self.pre_bn = nn.BatchNorm2d(width)

    def forward(self, maps_BCFT: Tensor) -> Tensor:
        """Return the sum; `pre_bn` has no part in it."""
        hidden_BCFT = functional.leaky_relu(self.bn1(self.conv1(maps_BCFT)), SLOPE)
        summed_BCFT: Tensor = self.conv2(self.dropout(hidden_BCFT)) + self.conv11(maps_BCFT)
        return summed_BCFT


class SpectrogramResnetEncoder(Encoder):
    """Map frames `(B, F, T)` to embeddings `(B, D)`."""

    def __init__(self, settings: SpectrogramResnetSettings) -> None:
        super().__init__(HIDDEN, None)
        self.n_features, self.groups = settings.n_features, settings.groups
        self.conv1 = nn.Conv2d(1, settings.width, 3, padding=1)
        for number in range(1, settings.blocks + 1):
            self.add_module(f"block{number}", SpectrogramBlock(settings.width, first=number == 1))
        self.bn = nn.BatchNorm2d(settings.width)
        # A pool of 3 that is padded by 1 keeps a third of the cells, rounded up.
        shrunk = POOL ** len(settings.groups)
        self.cells = (-(-settings.n_features // shrunk), -(-settings.frames // shrunk))
        self.dropout = nn.Dropout(SPOOF_DROPOUT)
        self.fc1 = nn.Linear(settings.width * self.cells[0] * self.cells[1], HIDDEN)
        run = {f"block{number}" for group in settings.groups for number in group}
        self.unused = tuple(
            name
            for name, _ in self.named_parameters()
            if ".pre_bn." in name or (name.startswith("block") and name.partition(".")[0] not in run)
        )
        if settings.initial is not None:
            self.upper = (*(f"block{number}" for number in settings.groups[-1]), "bn", "fc1")
            load_encoder(self, settings.initial)

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Return embeddings; a batch of another shape raises `InputError`."""
        require_features(features_BFT, self.n_features)
        maps_BCFT: Tensor = self.conv1(features_BFT.unsqueeze(-1).movedim(-1, 1))
        for number, group in enumerate(self.groups):
            for block in group:
                maps_BCFT = self.get_submodule(f"block{block}")(maps_BCFT)
            if number == len(self.groups) - 1:
                maps_BCFT = functional.leaky_relu(self.bn(maps_BCFT), SLOPE)
            maps_BCFT = functional.max_pool2d(maps_BCFT, POOL, padding=1)
        cells_BD = functional.adaptive_avg_pool2d(maps_BCFT, self.cells).flatten(1)
        return functional.leaky_relu(self.fc1(self.dropout(cells_BD)), SLOPE)


for _name, _stem, _blocks, _widths, _joined in (
    ("lfcc_resnet18", 16, (2, 2, 2, 2), (64, 128, 256, 512), 256),
    ("lfcc_resnet18_s", 16, (1, 1, 1, 1), (16, 16, 32, 32), 64),
):
    model(
        _name,
        family="lfcc_resnet",
        input_kind=InputKind.CEPSTRA,
        published=LfccResnetSettings(
            n_features=60, initial=None, stem=_stem, blocks=_blocks, widths=_widths, joined=_joined, embedding=_joined
        ),
        reference="Zhang et al., arXiv:2010.13995, 2021",
    )(LfccResnetEncoder)

_SECOND_ONES = ((1,), (3,), (5,), (7,), (9,), (11,))
for _name, _kind, _rows, _count, _groups, _width in (
    ("spectrogram_resnet", InputKind.SPECTROGRAM, 1025, 11, _SECOND_ONES, 32),
    ("spectrogram_resnet_s", InputKind.SPECTROGRAM, 1025, 4, ((), (1,), (2,), (3,), (4,)), 16),
    ("mfcc_resnet", InputKind.CEPSTRA, 72, 9, ((1, 2, 3), (4, 5, 6), (7, 8, 9)), 32),
):
    model(
        _name,
        family="spectrogram_resnet",
        input_kind=_kind,
        published=SpectrogramResnetSettings(
            n_features=_rows, initial=None, blocks=_count, groups=_groups, width=_width, frames=126
        ),
        reference="Alzantot et al., arXiv:1907.00501, 2019",
    )(SpectrogramResnetEncoder)
