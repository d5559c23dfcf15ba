"""RawNet2: residual blocks on fixed sinc filters, and a recurrent layer, to tell recorded speech from made speech.

| model           | sinc filters, taps | widths   |   GRU | with its head of 2 classes | EER %, t-DCF of 2021 LA |
|-----------------|--------------------|----------|------:|---------------------------:|-------------------------|
| rawnet2         | 20, 1025           | 20, 128  | 1,024 |                 17,621,410 | 9.50, 0.4257            |
| rawnet2_eurecom | 128, 129           | 128, 512 | 1,024 |                 25,433,602 |                         |
| rawnet2_s       | 16, 129            | 16, 32   |    64 |                     90,658 | for a demonstration     |

The largest magnitude of each 3 samples of every filter, batch normalisation, SELU; six blocks of two convolutions over
3 moments, leaky ReLUs (0.3) and a pool of 3, the first two narrow; behind each block every channel is multiplied by,
and raised by, a number in (0, 1) that follows from all channels' means. Three GRU layers; a linear layer makes the last
moment's output the embedding, and the published network's last layer is the task's head.

Reference: H. Tak et al., "End-to-end anti-spoofing with RawNet2", ICASSP 2021 (arXiv:2011.01108): `rawnet2_eurecom`
after the authors' code, whose filters end 2 steps of the mel scale below half the sampling rate. `rawnet2` is the
baseline of ASVspoof 2021 and of AASIST's code: more taps, fewer channels, and blocks that own `bn1` but give their
first convolution the input as it is, which is kept (`unused`). Tensors bear the names of those codes, whose last layer
is `fc2_gru`. Deviation: any length that leaves a moment is taken. `rawnet2_s` pools 15 samples at once and has 4
blocks.

Shape letters: B batch, S samples, C channels, T moments, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder, require_wave
from voxbench.models.pretrained import load_encoder
from voxbench.models.sinc import SincBank
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

POOL, SLOPE = 3, 0.3


@dataclass(frozen=True, slots=True)
class RawNet2Settings:
    """A safetensors file to start from or None, how many filters a training step may hide, and a row of the table.

    `masked_filters` is None or 0 where no filter is hidden; `taps` is odd; `beyond` says how many steps of the mel
    scale the last filter ends below half the sampling rate; `time_pool` is the number of samples of the first pool,
    `widths` that of channels of each block; `normalised_input` says whether a block's first convolution sees what `bn1`
    makes of its input; `recurrent` and `layers` are the features and the layers of the GRU.
    """

    initial: Path | None
    masked_filters: int | None
    filters: int = field(metadata=ARCHITECTURE)
    taps: int = field(metadata=ARCHITECTURE)
    beyond: int = field(metadata=ARCHITECTURE)
    time_pool: int = field(metadata=ARCHITECTURE)
    widths: tuple[int, ...] = field(metadata=ARCHITECTURE)
    normalised_input: bool = field(metadata=ARCHITECTURE)
    recurrent: int = field(metadata=ARCHITECTURE)
    layers: int = field(metadata=ARCHITECTURE)
    embedding: int = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        sizes = (self.filters, self.taps, self.time_pool, *self.widths, self.recurrent, self.layers, self.embedding)
        if not self.widths or min(sizes) < 1 or self.beyond < 0 or not self.taps % 2:
            raise InputError(f"found {self}, expected one block or more, sizes from 1 on and an odd span of taps")
        if not 0 <= (self.masked_filters or 0) <= self.filters:
            raise InputError(
                f"found masked_filters {self.masked_filters}, expected at most the {self.filters} filters of the bank"
            )


class RawNet2Block(nn.Module):
    """Two convolutions to whose output the input is added, and a pool: `(B, inputs, T)` to `(B, width, T // 3)`."""

    def __init__(self, inputs: int, width: int, *, first: bool, normalised_input: bool) -> None:
        super().__init__()
        self.normalises = normalised_input and not first
        if not first:
            self.bn1 = nn.BatchNorm1d(inputs)
        self.conv1 = nn.Conv1d(inputs, width, 3, padding=1)
        self.bn2 = nn.BatchNorm1d(width)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1)
        if inputs != width:
            self.conv_downsample = nn.Conv1d(inputs, width, 1)
        self.widens = inputs != width

    def forward(self, frames_BCT: Tensor) -> Tensor:
        """Return the pooled sum."""
        seen_BCT = functional.leaky_relu(self.bn1(frames_BCT), SLOPE) if self.normalises else frames_BCT
        hidden_BCT = functional.leaky_relu(self.bn2(self.conv1(seen_BCT)), SLOPE)
        kept_BCT = self.conv_downsample(frames_BCT) if self.widens else frames_BCT
        return functional.max_pool1d(self.conv2(hidden_BCT) + kept_BCT, POOL)


class RawNet2Encoder(Encoder):
    """Map waves `(B, 1, S)` to embeddings `(B, D)`."""

    def __init__(self, settings: RawNet2Settings) -> None:
        super().__init__(settings.embedding, None)
        self.min_frames = settings.taps - 1 + settings.time_pool * POOL ** len(settings.widths)
        self.bank = SincBank(
            settings.filters,
            settings.taps,
            beyond=settings.beyond,
            band_pool=1,
            time_pool=settings.time_pool,
            masked=settings.masked_filters or 0,
        )
        self.first_bn = nn.BatchNorm1d(settings.filters)
        inputs = settings.filters
        for number, width in enumerate(settings.widths):
            block = RawNet2Block(inputs, width, first=not number, normalised_input=settings.normalised_input)
            self.add_module(f"block{number}", nn.Sequential(block))
            self.add_module(f"fc_attention{number}", nn.Sequential(nn.Linear(width, width)))
            inputs = width
        self.blocks = len(settings.widths)
        self.bn_before_gru = nn.BatchNorm1d(inputs)
        self.gru = nn.GRU(inputs, settings.recurrent, settings.layers, batch_first=True)
        self.fc1_gru = nn.Linear(settings.recurrent, settings.embedding)
        if not settings.normalised_input:
            self.unused = tuple(name for name, _ in self.named_parameters() if ".bn1." in name)
        if settings.initial is not None:
            self.upper = ("bn_before_gru", "gru", "fc1_gru")
            load_encoder(self, settings.initial)

    def forward(self, wave_B1S: Tensor) -> Tensor:
        """Return embeddings; a batch of another shape or of too few samples raises `InputError`."""
        require_wave(wave_B1S, self.min_frames)
        frames_BCT = functional.selu(self.first_bn(self.bank(wave_B1S)))
        for number in range(self.blocks):
            frames_BCT = self.get_submodule(f"block{number}")(frames_BCT)
            scale_BC1 = self.get_submodule(f"fc_attention{number}")(frames_BCT.mean(dim=2)).sigmoid()[:, :, None]
            frames_BCT = frames_BCT * scale_BC1 + scale_BC1
        frames_BCT = functional.selu(self.bn_before_gru(frames_BCT))
        outputs_BTD = self.gru(frames_BCT.transpose(1, 2))[0]
        embedding_BD: Tensor = self.fc1_gru(outputs_BTD[:, -1])
        return embedding_BD


for _name, _bank, _widths, _normalised_input, _recurrent in (
    ("rawnet2", (20, 1025, 0, 3), (20, 20, 128, 128, 128, 128), False, 1024),
    ("rawnet2_eurecom", (128, 129, 2, 3), (128, 128, 512, 512, 512, 512), True, 1024),
    ("rawnet2_s", (16, 129, 0, 15), (16, 16, 32, 32), False, 64),
):
    model(
        _name,
        family="rawnet2",
        input_kind=InputKind.WAVE,
        published=RawNet2Settings(
            initial=None,
            masked_filters=None,
            filters=_bank[0],
            taps=_bank[1],
            beyond=_bank[2],
            time_pool=_bank[3],
            widths=_widths,
            normalised_input=_normalised_input,
            recurrent=_recurrent,
            layers=3,
            embedding=_recurrent,
        ),
        reference="Tak et al., arXiv:2011.01108, 2021",
    )(RawNet2Encoder)
