"""Five convolutional networks that read the wave itself, in the course's size and in the paper's.

| model   | groups, width x convolutions                    | encoder, course | encoder, paper | least samples |
|---------|-------------------------------------------------|----------------:|---------------:|--------------:|
| m3      | 1x1                                             |           5,824 |        218,624 |           128 |
| m5      | 1x1, 2x1, 4x1                                   |          37,120 |        553,984 |         1,088 |
| m11     | 1x2, 2x2, 4x3, 8x2                              |         448,288 |      1,781,312 |         4,160 |
| m18     | 1x4, 2x4, 4x4, 8x4                              |         923,872 |      3,678,656 |         4,160 |
| m34_res | blocks of two: 1x3, 2x4, 4x6, 8x3               |       1,771,168 |      3,974,640 |         4,160 |

Widths are multiples of that of the first convolution, which spans 80 samples and is followed by batch normalisation,
ReLU and a pool of 4, as every group is but the last; then comes the average over time. A convolution of a group spans
3 and is padded by 1. A block of `m34_res` adds its input, with channels of zeros where it has too few.

`m5` is the network of the course's project: 32 channels, stride 16. `m5_paper` has those of W. Dai et al., "Very deep
convolutional neural networks for raw waveforms", ICASSP 2017 (arXiv:1610.00087): 256 (M3), 128 (M5), 64 (M11, M18) or
48 channels (M34-res), stride 4.

Deviations: the course's notebook pads nothing and pools after the last group too, which changes no count and asks for
6,848 samples of `m5`. The paper does not say how a block's input gets more channels; zeros come closest to the 4
million parameters that it states for M34-res.

Shape letters: B batch, S samples, W channels, T frames, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain

from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder, require_wave
from voxbench.models.zoo import model
from voxbench.schema import InputKind

FIRST_SPAN, SPAN, POOL = 80, 3, 4
COURSE_WIDTH, COURSE_STRIDE, PAPER_STRIDE = 32, 16, 4


@dataclass(frozen=True, slots=True)
class WaveCnnSettings:
    """A network on waves leaves nothing to the caller."""


@dataclass(frozen=True, slots=True)
class WaveCnnVariant:
    """A row of the table: the convolutions or blocks of each group, whether they are blocks, the paper's width."""

    name: str
    repeats: tuple[int, ...]
    residual: bool
    paper_width: int


VARIANTS = (
    WaveCnnVariant("m3", (1,), residual=False, paper_width=256),
    WaveCnnVariant("m5", (1, 1, 1), residual=False, paper_width=128),
    WaveCnnVariant("m11", (2, 2, 3, 2), residual=False, paper_width=64),
    WaveCnnVariant("m18", (4, 4, 4, 4), residual=False, paper_width=64),
    WaveCnnVariant("m34_res", (3, 4, 6, 3), residual=True, paper_width=48),
)


class ResidualBlock(nn.Module):
    """Two convolutions, to whose output the input is added: `(B, W, T)` to `(B, width, T)`."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.more = width - inputs
        self.first = nn.Sequential(*_convolution(inputs, width))
        self.second = nn.Sequential(*_convolution(width, width)[:2])

    def forward(self, frames_BWT: Tensor) -> Tensor:
        """Return the rectified sum."""
        kept_BWT = functional.pad(frames_BWT, (0, 0, 0, self.more)) if self.more else frames_BWT
        return functional.relu(self.second(self.first(frames_BWT)) + kept_BWT)


class WaveCnnEncoder(Encoder):
    """Map waves `(B, 1, S)` to the time average of the last group, `(B, D)`."""

    def __init__(self, variant: WaveCnnVariant, width: int, stride: int, settings: WaveCnnSettings) -> None:
        widths = [width * 2**number for number in range(len(variant.repeats))]
        super().__init__(embedding_dim=widths[-1], upper=None)
        self.min_frames = FIRST_SPAN + stride * (POOL ** len(variant.repeats) - 1)
        self.stem = nn.Sequential(nn.Conv1d(1, width, FIRST_SPAN, stride), nn.BatchNorm1d(width), nn.ReLU())
        layer = _block if variant.residual else _convolution
        self.groups = nn.ModuleList()
        for inputs, outputs, repeats in zip([width, *widths], widths, variant.repeats, strict=False):
            layers = (layer(inputs if not number else outputs, outputs) for number in range(repeats))
            self.groups.append(nn.Sequential(nn.MaxPool1d(POOL), *chain.from_iterable(layers)))

    def forward(self, wave_B1S: Tensor) -> Tensor:
        """Return embeddings `(B, D)`; a batch of another shape or of too few samples raises `InputError`."""
        require_wave(wave_B1S, self.min_frames)
        frames_BWT: Tensor = self.stem(wave_B1S)
        for group in self.groups:
            frames_BWT = group(frames_BWT)
        return frames_BWT.mean(dim=2)


def _convolution(inputs: int, width: int) -> list[nn.Module]:
    return [nn.Conv1d(inputs, width, SPAN, padding=SPAN // 2), nn.BatchNorm1d(width), nn.ReLU()]


def _block(inputs: int, width: int) -> list[nn.Module]:
    return [ResidualBlock(inputs, width)]


for _variant in VARIANTS:
    for _suffix, _width, _stride in (
        ("", COURSE_WIDTH, COURSE_STRIDE),
        ("_paper", _variant.paper_width, PAPER_STRIDE),
    ):
        model(
            f"{_variant.name}{_suffix}",
            family="wave_cnn",
            input_kind=InputKind.WAVE,
            published=WaveCnnSettings(),
            reference="Dai et al., arXiv:1610.00087, 2016",
        )(partial(WaveCnnEncoder, _variant, _width, _stride))
