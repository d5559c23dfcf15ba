"""Deep Speech 2: convolutions over time, then recurrent layers that read both ways, one output for every few frames.

| model             | convolutions | recurrent layers | stride | encoder, 40 / 64 / 80 bands       | per second  |
|-------------------|--------------|------------------|-------:|-----------------------------------|------------:|
| deep_speech_2x96  | 96, 96       | 2 of 2 x 96      |      3 | 368,256 / 393,600 / 410,496       |  13,839,360 |
| deep_speech_3x256 | 256, 256     | 3 of 2 x 256     |      2 | 3,599,360 / 3,666,944 / 3,712,000 | 184,934,400 |

"Per second" are multiply-adds for 100 frames of 80 bands.

Two convolutions (spans 11 and 5; the first has the stride), each with batch normalisation and a ReLU that ends at 20;
then GRUs, one for each direction, whose outputs stand side by side and are normalised. A clip is continued by zeros;
its T frames give ceil(T / stride) outputs.

Reference: D. Amodei et al., "Deep Speech 2", arXiv:1512.02595, 2015, which has up to three convolutions and seven
recurrent layers. Deviations: convolutions are over time only; a recurrent layer's normalisation stands behind it, not
between its input weights and its units, so that the layer stays that of `torch.nn.GRU`; there is no fully connected
layer before the head.

Shape letters: B batch, F mel bands, C channels, T time frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder
from voxbench.models.pooling import read_padding
from voxbench.models.pretrained import load_encoder
from voxbench.models.sequences import BothWaysGru, CentredConv1d, FramesNorm, shortened
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

CEILING = 20.0
SPANS = (11, 5)


@dataclass(frozen=True, slots=True)
class DeepSpeechSettings:
    """Bands per frame, dropout before every recurrent layer, a safetensors file to start from or None, and a row.

    `hidden` counts the units of one direction in each of the recurrent `layers`.
    """

    n_features: int
    recurrent_dropout: float
    initial: Path | None
    channels: int = field(metadata=ARCHITECTURE)
    stride: int = field(metadata=ARCHITECTURE)
    hidden: int = field(metadata=ARCHITECTURE)
    layers: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        if not 0 <= self.recurrent_dropout < 1:
            raise InputError(f"found recurrent_dropout {self.recurrent_dropout}, expected a probability in [0, 1)")
        if min(self.channels, self.stride, self.hidden, self.layers) < 1:
            raise InputError(f"found {self}, expected sizes from 1 on")


class DeepSpeechEncoder(Encoder):
    """Map log-mel frames `(B, F, T)` to `(B, ceil(T / stride), D)`; `lengths_B` counts a clip's frames.

    What pads a clip changes none of its outputs; the outputs behind its end are zero.
    """

    takes_lengths = True

    def __init__(self, settings: DeepSpeechSettings) -> None:
        last = settings.layers - 1
        upper = None if settings.initial is None else (f"layers.{last}", f"norms.{last}")
        super().__init__(2 * settings.hidden, upper)
        self.n_features, self.stride = settings.n_features, settings.stride
        channels, outputs = settings.channels, 2 * settings.hidden
        first, second = SPANS
        self.stem = CentredConv1d(settings.n_features, channels, first, settings.stride, 1, 1)
        self.stem_norm = FramesNorm(channels)
        self.conv = CentredConv1d(channels, channels, second, 1, 1, 1)
        self.conv_norm = FramesNorm(channels)
        self.dropout = nn.Dropout(settings.recurrent_dropout)
        inputs = (channels, *(outputs for _ in range(last)))
        self.layers = nn.ModuleList(BothWaysGru(size, settings.hidden) for size in inputs)
        self.norms = nn.ModuleList(FramesNorm(outputs) for _ in inputs)

    def forward(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return outputs; a batch of another shape raises `InputError`."""
        padding = read_padding(features_BFT, lengths_B, self.n_features, self.min_frames)
        if padding is not None:
            features_BFT = padding.zeroed(features_BFT)
        assert self.stride is not None, "set above"
        padding = shortened(padding, features_BFT.shape[2], self.stride)
        frames_BCT = functional.hardtanh(self.stem_norm(self.stem(features_BFT), padding), 0.0, CEILING)
        frames_BCT = functional.hardtanh(self.conv_norm(self.conv(frames_BCT), padding), 0.0, CEILING)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            frames_BCT = norm(layer(self.dropout(frames_BCT), padding), padding)
        return frames_BCT.mT


def build_deep_speech(settings: DeepSpeechSettings) -> DeepSpeechEncoder:
    """Build the encoder with random weights, or with those of `settings.initial`."""
    encoder = DeepSpeechEncoder(settings)
    if settings.initial is not None:
        load_encoder(encoder, settings.initial)
    return encoder


for _name, _channels, _stride, _hidden, _layers in (
    ("deep_speech_2x96", 96, 3, 96, 2),
    ("deep_speech_3x256", 256, 2, 256, 3),
):
    model(
        _name,
        family="deep_speech",
        input_kind=InputKind.SPECTROGRAM,
        published=DeepSpeechSettings(
            n_features=80,
            recurrent_dropout=0.0,
            initial=None,
            channels=_channels,
            stride=_stride,
            hidden=_hidden,
            layers=_layers,
        ),
        reference="Amodei et al., arXiv:1512.02595, 2015",
    )(build_deep_speech)
