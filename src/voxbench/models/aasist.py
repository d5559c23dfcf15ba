"""AASIST: a graph of bands and a graph of moments attend to each other, to tell recorded speech from made speech.

| model    | sinc filters | widths of the blocks   | with its head of 2 classes | EER %, t-DCF of ASVspoof 2019 LA |
|----------|-------------:|------------------------|---------------------------:|----------------------------------|
| aasist   |           70 | 32, 32, 64, 64, 64, 64 |                    297,866 | 0.83, 0.0275                     |
| aasist_l |           70 | 32, 32, 24, 24, 24, 24 |                     85,306 | 0.99, 0.0309                     |
| aasist_s |           24 | 8, 16, 16, 16          |                     24,602 | for a demonstration              |

A bank of sinc filters, the largest magnitude of each 3 filters by 3 samples, then residual blocks: convolutions of 2
bands by 3 moments, batch normalisation, SELU and a pool of 3 moments. The largest magnitudes over time are the nodes of
one graph (with a position of their own), those over the bands of the other. Each passes an attention layer and a pool;
two branches of two layers between both kinds follow, and their larger numbers. The embedding holds, for both kinds, the
largest magnitude and the mean over the nodes, and a master node. `aasist_s` pools 15 samples at once and has 4 blocks.

Reference: J. Jung et al., "AASIST: Audio Anti-Spoofing using Integrated Spectro-Temporal Graph Attention Networks",
ICASSP 2022 (arXiv:2110.01200), and its official code (clovaai/aasist, MIT licence), whose names the tensors bear.

The published weights are those of a network with an oversight, which is kept: blocks 1 to 5 own `bn1`, but the first
convolution takes the block's input as it is. These tensors are in the state dict (`unused`) and never computed.
Deviations: any length that leaves a moment is taken; the last dropout and the linear layer are the task's head; in
evaluation mode batch normalisation is folded into convolutions, and on a CPU a block maps a long clip piece by piece,
which stays in the cache. Both change nothing but the last digits.

Shape letters: B batch, S samples, C channels, F bands, T moments, N nodes, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxbench.models.encoder import Encoder, require_wave
from voxbench.models.graph_attention import GraphAttention, GraphPool, PairedAttention
from voxbench.models.pretrained import load_encoder
from voxbench.models.sinc import SincBank
from voxbench.models.zoo import ARCHITECTURE, model
from voxbench.schema import InputError, InputKind

POOL = 3
# How many moments of one clip a block maps at once, and how far its two convolutions reach to either side.
PIECE, REACH = 1536, 2
BRANCHES = ("1", "2")


@dataclass(frozen=True, slots=True)
class AasistSettings:
    """A safetensors file to start from or None, how many filters a training step may hide, and a row of the table.

    `masked_filters` is None or 0 where no filter is hidden. `taps` is odd. `time_pool` is the number of samples of the
    first pool, `widths` that of channels of each block, `graph_widths` that of features of a node before and after the
    first attention between kinds; `pool_ratios` are the shares of nodes that stay of bands, of moments, and of both
    between the layers; `temperatures` belong to the layers of bands, of moments, and of both. The dropouts stand before
    an attention layer, before the scores of a pool, and behind a branch.
    """

    initial: Path | None
    masked_filters: int | None
    filters: int = field(metadata=ARCHITECTURE)
    taps: int = field(metadata=ARCHITECTURE)
    time_pool: int = field(metadata=ARCHITECTURE)
    widths: tuple[int, ...] = field(metadata=ARCHITECTURE)
    graph_widths: tuple[int, int] = field(metadata=ARCHITECTURE)
    pool_ratios: tuple[float, float, float] = field(metadata=ARCHITECTURE)
    temperatures: tuple[float, float, float] = field(metadata=ARCHITECTURE)
    input_dropout: float = field(metadata=ARCHITECTURE)
    pool_dropout: float = field(metadata=ARCHITECTURE)
    branch_dropout: float = field(metadata=ARCHITECTURE)

    def __post_init__(self) -> None:
        sizes = (self.filters // POOL, self.taps, self.time_pool, *self.widths, *self.graph_widths)
        if not self.widths or min(sizes) < 1 or not self.taps % 2:
            raise InputError(
                f"found {self}, expected one block or more, {POOL} filters or more and an odd span of taps"
            )
        if not all(0 < ratio <= 1 for ratio in self.pool_ratios) or min(self.temperatures) <= 0:
            raise InputError(f"found {self}, expected pool ratios in (0, 1] and temperatures above 0")
        if not 0 <= (self.masked_filters or 0) <= self.filters:
            raise InputError(
                f"found masked_filters {self.masked_filters}, expected at most the {self.filters} filters of the bank"
            )


class AasistBlock(nn.Module):
    """Two convolutions, to whose output the input is added, and a pool: `(B, C, F, T)` to `(B, width, F, T // 3)`."""

    def __init__(self, inputs: int, width: int, *, first: bool) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, (2, 3), padding=(0, 1))
        if inputs != width:
            self.conv_downsample = nn.Conv2d(inputs, width, (1, 3), padding=(0, 1))
        self.widens = inputs != width

    def own_multiply_adds(self, maps_BCFT: Tensor) -> int:
        """Return those of the convolutions, which `forward` computes with the layers' weights."""
        rows, inputs, bands, moments = maps_BCFT.shape
        width, span = len(self.conv1.weight), self.conv1.kernel_size[1]
        per_moment = 2 * inputs * (bands + 1) + 2 * width * bands + (inputs * bands if self.widens else 0)
        return rows * moments * width * span * per_moment

    def forward(self, maps_BCFT: Tensor) -> Tensor:
        """Return the pooled sum."""
        frames = maps_BCFT.shape[3]
        whole = self.bn2.training or maps_BCFT.device.type != "cpu" or torch.compiler.is_compiling()
        piece = frames if whole else max(PIECE // len(maps_BCFT), PIECE // 16) // POOL * POOL
        if frames <= piece:
            return functional.max_pool2d(self._summed(maps_BCFT), (1, POOL))
        pooled = []
        for start in range(0, frames - frames % POOL, piece):
            margin = min(start, REACH)
            summed_BCFT = self._summed(maps_BCFT[..., start - margin : start + piece + REACH])
            inside_BCFT = summed_BCFT[..., margin : margin + piece]
            last = inside_BCFT.shape[3] - inside_BCFT.shape[3] % POOL
            pooled.append(reduce(torch.maximum, (inside_BCFT[..., i:last:POOL] for i in range(POOL))))
        return torch.cat(pooled, dim=3)

    def _summed(self, maps_BCFT: Tensor) -> Tensor:
        hidden_BCFT = functional.selu_(self._first(maps_BCFT))
        summed_BCFT = _convolved(self.conv2, hidden_BCFT)
        summed_BCFT += _convolved(self.conv_downsample, maps_BCFT) if self.widens else maps_BCFT
        return summed_BCFT

    def _first(self, maps_BCFT: Tensor) -> Tensor:
        """Return the first convolution of the block's input, not of what `bn1` would make of it, normalised."""
        conv, norm = self.conv1, self.bn2
        if norm.training:
            normalised_BCFT: Tensor = norm(_convolved(conv, maps_BCFT))
            return normalised_BCFT
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert conv.bias is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = (conv.bias - norm.running_mean) * scale + norm.bias
        return functional.conv2d(maps_BCFT, conv.weight * scale[:, None, None, None], bias, padding=(1, 1))


def _convolved(conv: nn.Conv2d, maps_BCFT: Tensor) -> Tensor:
    # Not a call of the layer: what is computed twice where pieces of a clip overlap is not to count as the network's.
    assert isinstance(conv.padding, tuple)
    return functional.conv2d(maps_BCFT, conv.weight, conv.bias, padding=conv.padding)


class AasistEncoder(Encoder):
    """Map waves `(B, 1, S)` to embeddings `(B, D)`."""

    def __init__(self, settings: AasistSettings) -> None:
        before, after = settings.graph_widths
        super().__init__(5 * after, None)
        count, last = len(settings.widths), settings.widths[-1]
        self.min_frames = settings.taps - 1 + settings.time_pool * POOL**count
        self.bank = SincBank(
            settings.filters,
            settings.taps,
            beyond=0,
            band_pool=POOL,
            time_pool=settings.time_pool,
            masked=settings.masked_filters or 0,
        )
        self.pos_S = nn.Parameter(torch.randn(1, settings.filters // POOL, last))
        self.master1 = nn.Parameter(torch.randn(1, 1, before))
        self.master2 = nn.Parameter(torch.randn(1, 1, before))
        self.first_bn = nn.BatchNorm2d(1)
        inputs = (1, *settings.widths)
        blocks = (AasistBlock(inputs[i], width, first=not i) for i, width in enumerate(settings.widths))
        self.encoder = nn.Sequential(*(nn.Sequential(block) for block in blocks))
        self._add_graphs(settings)
        self.drop_way = nn.Dropout(settings.branch_dropout)
        self.unused = tuple(name for name, _ in self.named_parameters() if ".bn1." in name)
        if settings.initial is not None:
            self.upper = tuple(name for name, _ in self.named_children() if name.startswith(("GAT", "Htrg", "pool")))
            load_encoder(self, settings.initial)

    def _add_graphs(self, settings: AasistSettings) -> None:
        before, after = settings.graph_widths
        (bands, moments, between), (warm_S, warm_T, warm_ST) = settings.pool_ratios, settings.temperatures
        dropout = settings.input_dropout
        self.GAT_layer_S = GraphAttention(settings.widths[-1], before, warm_S, dropout)
        self.GAT_layer_T = GraphAttention(settings.widths[-1], before, warm_T, dropout)
        for branch in BRANCHES:
            self.add_module(f"HtrgGAT_layer_ST{branch}1", PairedAttention(before, after, warm_ST, dropout))
            self.add_module(f"HtrgGAT_layer_ST{branch}2", PairedAttention(after, after, warm_ST, dropout))
        self.pool_S = GraphPool(bands, before, settings.pool_dropout)
        self.pool_T = GraphPool(moments, before, settings.pool_dropout)
        for branch in BRANCHES:
            self.add_module(f"pool_hS{branch}", GraphPool(between, after, settings.pool_dropout))
            self.add_module(f"pool_hT{branch}", GraphPool(between, after, settings.pool_dropout))

    def own_multiply_adds(self, wave_B1S: Tensor) -> int:
        """Return none: positions are added, and masters are the layers' business."""
        return 0

    def forward(self, wave_B1S: Tensor) -> Tensor:
        """Return embeddings; a batch of another shape or of too few samples raises `InputError`."""
        require_wave(wave_B1S, self.min_frames)
        map_BFT = functional.selu(self.first_bn(self.bank(wave_B1S).unsqueeze(1))).squeeze(1)
        # The channel is added last and moved, which leaves strides that convolutions on a CPU are fastest with; it is
        # done behind the normalisation, which loses them.
        return self.graphs(self.encoder(map_BFT.unsqueeze(-1).movedim(-1, 1)))

    def graphs(self, maps_BCFT: Tensor) -> Tensor:
        """Return the embeddings of what the blocks make of a batch."""
        magnitude_BCFT = maps_BCFT.abs()
        bands_BNC = magnitude_BCFT.amax(dim=3).transpose(1, 2) + self.pos_S
        moments_BNC = magnitude_BCFT.amax(dim=2).transpose(1, 2)
        bands_BND, moments_BND = self.pool_S(self.GAT_layer_S(bands_BNC)), self.pool_T(self.GAT_layer_T(moments_BNC))
        branches = [self._branch(name, moments_BND, bands_BND) for name in BRANCHES]
        moments_BND, bands_BND, master_B1D = (torch.maximum(*both) for both in zip(*branches, strict=True))
        parts = [part for nodes in (moments_BND, bands_BND) for part in (nodes.abs().amax(dim=1), nodes.mean(dim=1))]
        return torch.cat([*parts, master_B1D.squeeze(1)], dim=1)

    def _branch(self, branch: str, moments_BND: Tensor, bands_BND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second = (self.get_submodule(f"HtrgGAT_layer_ST{branch}{number}") for number in (1, 2))
        master = self.master1 if branch == BRANCHES[0] else self.master2
        moments_BND, bands_BND, master_B1D = first(moments_BND, bands_BND, master.repeat(bands_BND.shape[0], 1, 1))
        bands_BND = self.get_submodule(f"pool_hS{branch}")(bands_BND)
        moments_BND = self.get_submodule(f"pool_hT{branch}")(moments_BND)
        more = second(moments_BND, bands_BND, master_B1D)
        before = (moments_BND, bands_BND, master_B1D)
        moments_BND, bands_BND, master_B1D = (
            self.drop_way(nodes + added) for nodes, added in zip(before, more, strict=True)
        )
        return moments_BND, bands_BND, master_B1D


for _name, _widths, _graph_widths, _ratios, _filters, _time_pool in (
    ("aasist", (32, 32, 64, 64, 64, 64), (64, 32), (0.5, 0.7, 0.5), 70, 3),
    ("aasist_l", (32, 32, 24, 24, 24, 24), (24, 32), (0.4, 0.5, 0.7), 70, 3),
    ("aasist_s", (8, 16, 16, 16), (24, 16), (0.5, 0.7, 0.5), 24, 15),
):
    model(
        _name,
        family="aasist",
        input_kind=InputKind.WAVE,
        published=AasistSettings(
            initial=None,
            masked_filters=None,
            filters=_filters,
            taps=129,
            time_pool=_time_pool,
            widths=_widths,
            graph_widths=_graph_widths,
            pool_ratios=_ratios,
            temperatures=(2.0, 2.0, 100.0),
            input_dropout=0.2,
            pool_dropout=0.3,
            branch_dropout=0.2,
        ),
        reference="Jung et al., arXiv:2110.01200, 2022",
    )(AasistEncoder)
