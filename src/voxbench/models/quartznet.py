"""QuartzNet: time-channel separable convolutions between residual sums, with one output for every few frames.

| model             | channels | blocks x layers, spans | stride | encoder, 40 / 64 / 80 bands       | per second  |
|-------------------|---------:|------------------------|-------:|-----------------------------------|------------:|
| quartznet_5x1_192 |      192 | 5 x 1, 11              |      3 | 505,400 / 510,272 / 513,520       |  17,276,896 |
| quartznet_5x3_384 |      384 | 5 x 3, 33 39 51 63 75  |      2 | 3,760,680 / 3,770,688 / 3,777,360 | 187,946,400 |

"Per second" are multiply-adds for 100 frames of 80 bands.

A layer is a convolution of every channel by itself over time, a pointwise layer over channels, batch normalisation and
ReLU. The first layer (span 11; 33) has the stride. A block has `layers` layers, and its input, through a pointwise
layer and batch normalisation, is added before the last ReLU. A layer of dilation 2 (`late`, span 11; 87) and one that
is pointwise, to twice the channels (`top`), follow. A clip is continued by zeros; its T frames give ceil(T / stride)
outputs.

Reference: S. Kriman et al., "QuartzNet", arXiv:1910.10261, 2019, whose 5x5 has 256 to 512 channels and 6.7 million
parameters. Deviations: one number of channels throughout, for fewer parameters; means and variances of batch
normalisation are of the clips' own frames, where the published code lets it see the padding.

Shape letters: B batch, F mel bands, C channels, T time frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder
from voxbench.models.pooling import Padding, read_padding
from voxbench.models.pretrained import load_encoder
from voxbench.models.sequences import CentredConv1d, FramesNorm, shortened
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind


@dataclass(frozen=True, slots=True)
class QuartzNetSettings:
    """Bands per frame, dropout after every ReLU, a safetensors file to start from or None, and a row of the table.

    `spans` has one number for each block, `late` is the span and the dilation of the layer behind the blocks.
    """

    n_features: int
    dropout: float
    initial: Path | None
    channels: int = field(metadata=ARCHITECTURE)
    stem_span: int = field(metadata=ARCHITECTURE)
    stride: int = field(metadata=ARCHITECTURE)
    spans: tuple[int, ...] = field(metadata=ARCHITECTURE)
    layers: int = field(metadata=ARCHITECTURE)
    late: tuple[int, int] = field(metadata=ARCHITECTURE)
    top: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"found dropout {self.dropout}, expected a probability in [0, 1)")
        spans = (self.stem_span, *self.spans, self.late[0])
        if not self.spans or min(*spans, self.channels, self.stride, self.layers, self.late[1], self.top) < 1:
            raise InputError(f"found {self}, expected one block or more and sizes from 1 on")
        if even := [span for span in spans if span % 2 == 0]:
            raise InputError(f"found a span of {even[0]} frames, expected odd spans, which have a middle")


class Separable(nn.Module):
    """Convolution of every channel, pointwise layer, batch normalisation: `(B, inputs, T)` to `(B, outputs, T')`."""

    def __init__(self, inputs: int, outputs: int, span: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.over_time = CentredConv1d(inputs, inputs, span, stride, dilation, groups=inputs)
        self.pointwise = CentredConv1d(inputs, outputs, 1, 1, 1, groups=1)
        self.norm = FramesNorm(outputs)

    def forward(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return the layer's output; `padding` is that of the output, the input's own is zero."""
        output_BCT: Tensor = self.norm(self.pointwise(self.over_time(frames_BCT)), padding)
        return output_BCT


class Block(nn.Module):
    """Layers of one span and the sum with their input, `(B, C, T)` to the same shape."""

    def __init__(self, channels: int, span: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Separable(channels, channels, span, 1, 1) for _ in range(layers))
        self.residual = CentredConv1d(channels, channels, 1, 1, 1, groups=1)
        self.norm = FramesNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return the block's output."""
        kept_BCT = self.norm(self.residual(frames_BCT), padding)
        for number, layer in enumerate(self.layers):
            if number:
                frames_BCT = self.dropout(functional.relu(frames_BCT))
            frames_BCT = layer(frames_BCT, padding)
        output_BCT: Tensor = self.dropout(functional.relu(frames_BCT + kept_BCT))
        return output_BCT


class QuartzNetEncoder(Encoder):
    """Map log-mel frames `(B, F, T)` to `(B, ceil(T / stride), D)`; `lengths_B` counts a clip's frames.

    What pads a clip changes none of its outputs; the outputs behind its end are zero.
    """

    takes_lengths = True

    def __init__(self, settings: QuartzNetSettings) -> None:
        upper = None if settings.initial is None else ("late", "top", "norm")
        super().__init__(settings.top, upper)
        self.n_features, self.stride = settings.n_features, settings.stride
        channels = settings.channels
        self.stem = Separable(settings.n_features, channels, settings.stem_span, settings.stride, 1)
        self.blocks = nn.ModuleList(Block(channels, span, settings.layers, settings.dropout) for span in settings.spans)
        span, dilation = settings.late
        self.late = Separable(channels, channels, span, 1, dilation)
        self.top = CentredConv1d(channels, settings.top, 1, 1, 1, groups=1)
        self.norm = FramesNorm(settings.top)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return outputs; a batch of another shape raises `InputError`."""
        padding = read_padding(features_BFT, lengths_B, self.n_features, self.min_frames)
        if padding is not None:
            features_BFT = padding.zeroed(features_BFT)
        assert self.stride is not None, "set above"
        padding = shortened(padding, features_BFT.shape[2], self.stride)
        frames_BCT = self.dropout(functional.relu(self.stem(features_BFT, padding)))
        for block in self.blocks:
            frames_BCT = block(frames_BCT, padding)
        frames_BCT = self.dropout(functional.relu(self.late(frames_BCT, padding)))
        output_BCT: Tensor = functional.relu(self.norm(self.top(frames_BCT), padding))
        return output_BCT.mT


def build_quartznet(settings: QuartzNetSettings) -> QuartzNetEncoder:
    """Build the encoder with random weights, or with those of `settings.initial`."""
    encoder = QuartzNetEncoder(settings)
    if settings.initial is not None:
        load_encoder(encoder, settings.initial)
    return encoder


for _name, _channels, _stem_span, _stride, _spans, _layers, _late, _top in (
    ("quartznet_5x1_192", 192, 11, 3, (11, 11, 11, 11, 11), 1, (11, 2), 384),
    ("quartznet_5x3_384", 384, 33, 2, (33, 39, 51, 63, 75), 3, (87, 2), 768),
):
    model(
        _name,
        family="quartznet",
        input_kind=InputKind.SPECTROGRAM,
        published=QuartzNetSettings(
            n_features=64,
            dropout=0.0,
            initial=None,
            channels=_channels,
            stem_span=_stem_span,
            stride=_stride,
            spans=_spans,
            layers=_layers,
            late=_late,
            top=_top,
        ),
        reference="Kriman et al., arXiv:1910.10261, 2019",
    )(build_quartznet)
