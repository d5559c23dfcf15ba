"""The x-vector network: five time-delay layers and the statistics of their output into speaker embeddings.

| model        | widths                   | embedding | encoder, 24 / 40 / 80 bands       |
|--------------|--------------------------|----------:|-----------------------------------|
| x_vector     | 512, 512, 512, 512, 1500 |       512 | 4,211,604 / 4,252,564 / 4,354,964 |
| x_vector_128 | 128, 128, 128, 128, 375  |       128 | 276,837 / 287,077 / 312,677       |

Spans are 5, 3, 3, 1, 1 and dilations 1, 2, 3, 1, 1; the smaller one is for a demonstration.

A layer is a convolution, LeakyReLU and batch normalisation; mean and deviation over time (3,000 numbers) pass a linear
layer. What follows in the original, another layer and the classes, is the head's affair.

Reference: D. Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", ICASSP 2018. Of several
implementations that differ this is SpeechBrain's (`speechbrain.lobes.models.Xvector` 1.1), with mirrored ends.
Deviations: SpeechBrain adds random numbers of 1e-5 to 9e-5 to the mean, in evaluation too, and 1e-5 to the deviation;
here nothing is random, and 1e-10 is added to the variance. A clip's end is mirrored in a padded batch too.

Shape letters: B batch, F mel bands, C channels, T time frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder
from voxbench.models.pooling import MirroredConv1d, Padding, StatisticsPooling, read_padding
from voxbench.models.pretrained import load_encoder
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

VARIANCE_FLOOR = 1e-10
# PyTorch's, which SpeechBrain takes.
SLOPE = 0.01


@dataclass(frozen=True, slots=True)
class XVectorSettings:
    """Bands per frame, a safetensors file to start from or None, and what a row of the table says of each layer."""

    n_features: int
    initial: Path | None
    widths: tuple[int, ...] = field(metadata=ARCHITECTURE)
    spans: tuple[int, ...] = field(metadata=ARCHITECTURE)
    dilations: tuple[int, ...] = field(metadata=ARCHITECTURE)
    embedding: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.spans) == len(self.dilations) > 0:
            raise InputError(f"found {self}, expected as many widths as spans and dilations, and one or more")
        if min(*self.widths, *self.spans, *self.dilations, self.embedding) < 1 or any(s % 2 == 0 for s in self.spans):
            raise InputError(f"found {self}, expected numbers from 1 on and odd spans")


class Layer(nn.Module):
    """Convolution, LeakyReLU, batch normalisation: `(B, inputs, T)` to `(B, outputs, T)`."""

    def __init__(self, inputs: int, outputs: int, span: int, dilation: int) -> None:
        super().__init__()
        self.conv = MirroredConv1d(inputs, outputs, span, dilation)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, frames_BCT: Tensor, padding: Padding | None) -> Tensor:
        """Return the layer's output."""
        output_BCT: Tensor = self.norm(functional.leaky_relu_(self.conv(frames_BCT, padding), SLOPE))
        return output_BCT


class XVectorEncoder(Encoder):
    """Map log-mel frames `(B, F, T)` to embeddings `(B, D)`; `lengths_B` counts a clip's frames, the rest pads it."""

    takes_lengths = True

    def __init__(self, settings: XVectorSettings) -> None:
        super().__init__(settings.embedding, None if settings.initial is None else ("embed",))
        self.n_features = settings.n_features
        inputs = (settings.n_features, *settings.widths)
        reach = tuple(zip(settings.spans, settings.dilations, strict=True))
        shapes = zip(inputs, settings.widths, reach, strict=False)
        self.layers = nn.ModuleList(Layer(before, after, *own) for before, after, own in shapes)
        # The deviation needs two frames.
        self.min_frames: int = max(1, *((span - 1) * dilation // 2 for span, dilation in reach)) + 1
        self.pooling = StatisticsPooling(VARIANCE_FLOOR)
        self.embed = nn.Linear(2 * settings.widths[-1], settings.embedding)

    def forward(self, features_BFT: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Return embeddings; a batch of another shape or with too few frames raises `InputError`."""
        padding = read_padding(features_BFT, lengths_B, self.n_features, self.min_frames)
        frames_BCT = features_BFT
        for layer in self.layers:
            frames_BCT = layer(frames_BCT, padding)
        embedding_BD: Tensor = self.embed(self.pooling(frames_BCT, padding))
        return embedding_BD


def build_x_vector(settings: XVectorSettings) -> XVectorEncoder:
    """Build the encoder with random weights, or with those of `settings.initial`."""
    encoder = XVectorEncoder(settings)
    if settings.initial is not None:
        load_encoder(encoder, settings.initial)
    return encoder


for _name, _widths, _embedding in (
    ("x_vector", (512, 512, 512, 512, 1500), 512),
    ("x_vector_128", (128, 128, 128, 128, 375), 128),
):
    model(
        _name,
        family="x_vector",
        input_kind=InputKind.SPECTROGRAM,
        published=XVectorSettings(
            n_features=24,
            initial=None,
            widths=_widths,
            spans=(5, 3, 3, 1, 1),
            dilations=(1, 2, 3, 1, 1),
            embedding=_embedding,
        ),
        reference="Snyder et al., ICASSP 2018",
    )(build_x_vector)
