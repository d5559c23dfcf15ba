"""Thin residual networks: log-mel frames as an image of few channels, and the statistics over time, into embeddings.

| model              | blocks      | kind       | first width | encoder, 80 bands: 256 | 192 numbers |
|--------------------|-------------|------------|------------:|-----------------------:|------------:|
| thin_resnet18      | 2, 2, 2, 2  | basic      |          32 |              4,105,440 |   3,777,696 |
| thin_resnet34      | 3, 4, 6, 3  | basic      |          32 |              6,634,336 |   6,306,592 |
| thin_resnet50      | 3, 4, 6, 3  | bottleneck |          32 |             11,131,360 |   9,820,576 |
| thin_resnet101     | 3, 4, 23, 3 | bottleneck |          32 |             15,892,448 |  14,581,664 |
| thin_resnet152     | 3, 8, 36, 3 | bottleneck |          32 |             19,814,880 |  18,504,096 |
| thin_resnet34_half | 3, 4, 6, 3  | basic      |          16 |              1,988,656 |   1,824,752 |

Unlike an ImageNet network (`resnet18`), whose first convolution and pool shrink an image fourfold, these begin with a
convolution of 3 x 3 that shrinks nothing and have half the width: 32, 64, 128, 256. The last three groups halve bands
and frames. Mean and deviation over time of every channel and band pass a linear layer. The source document on speaker
recognition prints the table of the ImageNet network; verification systems use this one.

Reference: the networks of K. He et al., arXiv:1512.03385, 2015, in the layout of wespeaker (H. Wang et al.,
arXiv:2210.17016, 2022): unbiased variance plus 1e-7, embeddings of 256 numbers straight from the first linear layer.
Deviation: clips may be padded; zeros stand behind a clip's end before every convolution, as behind a clip alone.

Shape letters: B batch, F bands, W channels, T frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder
from voxbench.models.pooling import Padding, StatisticsPooling, padding_of, read_padding
from voxbench.models.pretrained import load_encoder
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

VARIANCE_FLOOR = 1e-7
EXPANSION = 4
# oneDNN, as PyTorch 2.11 has it, writes outside of its memory in the gradient of a strided pointwise convolution of
# fewer than 12 channels, stored channels last, as those of a one-channel image are; widths double from here on.
LEAST_WIDTH = 12


@dataclass(frozen=True, slots=True)
class ThinResnetSettings:
    """Bands per frame, a safetensors file to start from or None, and what a row of the table says.

    `blocks` has the number of blocks of each group, `width` is that of the first and doubles from group to group.
    """

    n_features: int
    initial: Path | None
    blocks: tuple[int, ...] = field(metadata=ARCHITECTURE)
    bottleneck: bool = field(metadata=ARCHITECTURE)
    width: int = field(metadata=ARCHITECTURE)
    embedding: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        if not self.blocks or min(*self.blocks, self.width, self.embedding) < 1:
            raise InputError(f"found {self}, expected one group of blocks or more, and numbers from 1 on")
        if self.width < LEAST_WIDTH:
            raise InputError(
                f"found a thin residual network of width {self.width}, expected {LEAST_WIDTH} or more: PyTorch's "
                "kernels for narrower ones damage memory; take fewer blocks to have a smaller network"
            )


class ThinBlock(nn.Module):
    """Two convolutions of 3 x 3, or one between two pointwise ones, to whose output the input is added."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = width * EXPANSION if bottleneck else width
        spans = (1, 3, 1) if bottleneck else (3, 3)
        widths = (inputs, *[width] * (len(spans) - 1), outputs)
        # The first convolution of 3 x 3 is the one that shrinks.
        self.shrinks, self.stride, self.outputs = spans.index(3), stride, outputs
        strides = [stride if number == self.shrinks else 1 for number in range(len(spans))]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for before, after, span, step in zip(widths, widths[1:], spans, strides, strict=False):
            self.convs.append(nn.Conv2d(before, after, span, step, span // 2, bias=False))
            self.norms.append(nn.BatchNorm2d(after))
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, maps_BWFT: Tensor, padding: Padding | None) -> tuple[Tensor, Padding | None]:
        """Return the rectified sum and its padding; behind a clip's end stand zeros, before and after."""
        hidden_BWFT = maps_BWFT
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if number:
                hidden_BWFT = _rectified(hidden_BWFT, padding)
            hidden_BWFT = norm(conv(hidden_BWFT))
            if padding is not None and number == self.shrinks and self.stride > 1:
                padding = padding_of((padding.lengths_B - 1) // self.stride + 1, hidden_BWFT.shape[3])
        return _rectified(hidden_BWFT + self.shortcut(maps_BWFT), padding), padding


class ThinResnetEncoder(Encoder):
    """Map log-mel frames `(B, F, T)` to embeddings `(B, D)`; `lengths_B` counts a clip's frames, the rest pads it."""

    takes_lengths = True

    def __init__(self, settings: ThinResnetSettings) -> None:
        upper = None if settings.initial is None else (f"groups.{len(settings.blocks) - 1}", "embed")
        super().__init__(settings.embedding, upper)
        self.n_features = settings.n_features
        self.conv = nn.Conv2d(1, settings.width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(settings.width)
        self.groups = nn.ModuleList()
        inputs, bands = settings.width, settings.n_features
        for group, blocks in enumerate(settings.blocks):
            members = nn.ModuleList()
            for number in range(blocks):
                stride = 2 if group and not number else 1
                block = ThinBlock(inputs, settings.width * 2**group, stride, bottleneck=settings.bottleneck)
                members.append(block)
                inputs, bands = block.outputs, -(-bands // stride)
            self.groups.append(members)
        # The deviation needs two frames at the end.
        self.min_frames = 2 ** (len(settings.blocks) - 1) + 1
        self.pooling = StatisticsPooling(VARIANCE_FLOOR)
        self.embed = nn.Linear(2 * inputs * bands, settings.embedding)

    def forward(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return embeddings; a batch of another shape or with too few frames raises `InputError`."""
        padding = read_padding(features_BFT, lengths_B, self.n_features, self.min_frames)
        if padding is not None:
            features_BFT = padding.zeroed(features_BFT)
        # The channel is added last and moved, which leaves strides that convolutions on a CPU are fastest with.
        maps_BWFT = _rectified(self.norm(self.conv(features_BFT.unsqueeze(-1).movedim(-1, 1))), padding)
        for group in self.groups:
            for block in group.children():
                maps_BWFT, padding = block(maps_BWFT, padding)
        embedding_BD: Tensor = self.embed(self.pooling(maps_BWFT, padding))
        return embedding_BD


def _rectified(maps_BWFT: Tensor, padding: Padding | None) -> Tensor:
    rectified_BWFT = functional.relu(maps_BWFT)
    return rectified_BWFT if padding is None else padding.zeroed(rectified_BWFT)


def build_thin_resnet(settings: ThinResnetSettings) -> ThinResnetEncoder:
    """Build the encoder with random weights, or with those of `settings.initial`."""
    encoder = ThinResnetEncoder(settings)
    if settings.initial is not None:
        load_encoder(encoder, settings.initial)
    return encoder


for _name, _blocks, _bottleneck, _width in (
    ("thin_resnet18", (2, 2, 2, 2), False, 32),
    ("thin_resnet34", (3, 4, 6, 3), False, 32),
    ("thin_resnet50", (3, 4, 6, 3), True, 32),
    ("thin_resnet101", (3, 4, 23, 3), True, 32),
    ("thin_resnet152", (3, 8, 36, 3), True, 32),
    ("thin_resnet34_half", (3, 4, 6, 3), False, 16),
):
    model(
        _name,
        family="thin_resnet",
        input_kind=InputKind.SPECTROGRAM,
        published=ThinResnetSettings(
            n_features=80, initial=None, blocks=_blocks, bottleneck=_bottleneck, width=_width, embedding=256
        ),
        reference="He et al., arXiv:1512.03385, 2015; wespeaker, arXiv:2210.17016, 2022",
    )(build_thin_resnet)
