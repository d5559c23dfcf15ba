"""A fixed bank of band-pass filters, the first layer of networks that read the wave, and the pool behind it.

Filter i is the difference of two ideal low-pass filters, 2 f/fs sinc(2 f n/fs) at its upper and at its lower edge,
times a Hamming window. Edges are equally spaced on the mel scale, 2595 log10(1 + f/700), from 0 to half the sampling
rate. Nothing of it is learnt and nothing of it is in a network's weights.

The networks were designed at 16 kHz (`DESIGN_RATE_HZ`). A wave of another rate passes the same taps, whose bands are
then another part of its spectrum.

Reference: M. Ravanelli and Y. Bengio, "Speaker recognition from raw waveform with SincNet", arXiv:1808.00158, 2018; the
fixed form is that of H. Tak et al., "End-to-end anti-spoofing with RawNet2", arXiv:2011.01108, 2021. Deviations: the
filters are computed once in float64, and filters and samples that the pool drops are left out before it.

Shape letters: B batch, S samples, N filters, F rows of pooled filters, T time frames, K taps.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

DESIGN_RATE_HZ = 16_000
MEL_SCALE, MEL_CORNER_HZ = 2595.0, 700.0
# How many filtered samples are made at once on a CPU.
CELLS = 1_000_000


def band_edges_hz(filters: int, beyond: int) -> np.ndarray:
    """Return the `filters` + 1 edges of neighbouring bands, in hertz from 0 on.

    The last one is half the sampling rate, or `beyond` steps of the mel scale below it.
    """
    highest = MEL_SCALE * np.log10(1 + DESIGN_RATE_HZ / 2 / MEL_CORNER_HZ)
    mels = np.linspace(0.0, highest, filters + 1 + beyond)[: filters + 1]
    edges: np.ndarray = MEL_CORNER_HZ * (10 ** (mels / MEL_SCALE) - 1)
    return edges


def sinc_bank(filters: int, taps: int, beyond: int) -> np.ndarray:
    """Return the filters `(N, K)`, float64; `taps` is odd, and `beyond` as of `band_edges_hz`."""
    edges = band_edges_hz(filters, beyond)[:, None] / DESIGN_RATE_HZ
    places = np.arange(taps) - taps // 2
    low_pass = 2 * edges * np.sinc(2 * edges * places)
    bank: np.ndarray = np.diff(low_pass, axis=0) * np.hamming(taps)
    return bank


class SincBank(nn.Module):
    """Filter waves and keep the largest magnitude of each `band_pool` filters by `time_pool` samples.

    `(B, 1, S)` to `(B, F, T)`, F filters // band_pool and T (S - taps + 1) // time_pool. In training mode up to
    `masked` neighbouring filters give zeros for the whole batch; torch's global generator draws how many and which.
    """

    bank_NK: Tensor

    def __init__(self, filters: int, taps: int, *, beyond: int, band_pool: int, time_pool: int, masked: int) -> None:
        super().__init__()
        self.taps, self.band_pool, self.time_pool, self.masked = taps, band_pool, time_pool, masked
        # Not a tensor of torch's making: a network that is built on the device "meta" needs its filters, too.
        bank_NK = torch.from_numpy(sinc_bank(filters, taps, beyond).astype(np.float32))
        self.register_buffer("bank_NK", bank_NK, persistent=False)

    def own_multiply_adds(self, wave_B1S: Tensor) -> int:
        """Return those of the filters."""
        filters = self.bank_NK.shape[0] // self.band_pool * self.band_pool
        return len(wave_B1S) * filters * (wave_B1S.shape[2] - self.taps + 1) * self.taps

    def forward(self, wave_B1S: Tensor) -> Tensor:
        """Return the pooled magnitudes."""
        bank_NK = self._masked() if self.training and self.masked else self.bank_NK
        bank_NK = bank_NK[: bank_NK.shape[0] // self.band_pool * self.band_pool]
        if torch.compiler.is_compiling() or wave_B1S.device.type != "cpu":
            return self._pooled(wave_B1S, bank_NK)
        # Fresh memory for the outputs of a whole batch would take longer than the filters.
        clips = max(CELLS // (wave_B1S.shape[2] * bank_NK.shape[0]), 1)
        return torch.cat([self._pooled(some_B1S, bank_NK) for some_B1S in wave_B1S.split(clips)])

    def _pooled(self, wave_B1S: Tensor, bank_NK: Tensor) -> Tensor:
        filtered_BNS = functional.conv1d(wave_B1S, bank_NK[:, None])
        rows, frames = bank_NK.shape[0] // self.band_pool, filtered_BNS.shape[2] // self.time_pool
        magnitude_BNS = filtered_BNS[:, :, : frames * self.time_pool].abs()
        # Torch's own pool of 3 by 3 takes five times as long on a CPU.
        # `shape[0]` is a symbol while a network is traced, `len` would be a constant.
        clips = wave_B1S.shape[0]
        magnitudes = magnitude_BNS.reshape(clips, rows, self.band_pool, frames, self.time_pool).unbind(-1)
        return reduce(torch.maximum, magnitudes).amax(dim=2)

    def _masked(self) -> Tensor:
        filters = self.bank_NK.shape[0]
        count = int(torch.randint(self.masked + 1, ()))
        first = int(torch.randint(filters - count + 1, ()))
        bank_NK = self.bank_NK.clone()
        bank_NK[first : first + count] = 0
        return bank_NK
