"""Rooms and lines for batches of waves on any device, with the laws of `voxbench.audio.channel`.

Deviation: the band limit is a brick wall, as nearly as those of codecs are, and needs no filter order.

Shape letters: B batch, S samples, R samples of a response, F frequencies.
"""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor


def impulse_responses(rt60_B: Tensor, samples: int, sample_rate_hz: int, draws: torch.Generator) -> Tensor:
    """Draw room responses `(B, R)` of unit energy, which are 0 after `rt60` seconds; 0 seconds is a dry room.

    h[t] = g[t] 10^(-3 t / rt60), g standard normal and g[0] = 3, so the decay reaches -60 dB at its end. `samples`
    is R: as many as the longest room of all batches has, so that equal draws do not depend on the batch.
    """
    rt60_B1 = rt60_B.float()[:, None]
    time_R = torch.arange(samples, device=rt60_B.device)
    seconds_R = time_R / sample_rate_hz
    response_BR = torch.randn(len(rt60_B), samples, generator=draws, device=rt60_B.device, dtype=torch.float32)
    response_BR[:, 0] = 3.0
    response_BR *= 10 ** (-3 * seconds_R / rt60_B1.clamp(min=1 / sample_rate_hz))
    response_BR *= time_R < (rt60_B1 * sample_rate_hz).round().clamp(min=1)
    return response_BR / response_BR.square().sum(dim=1, keepdim=True).sqrt()


def convolve(wave_BS: Tensor, response_BR: Tensor) -> Tensor:
    """Return the first S samples of the convolution of each wave with its response."""
    samples = wave_BS.shape[1]
    # A transform of a length with a large prime factor takes ten times as long.
    length = next_fast_len(samples + response_BR.shape[1] - 1, real=True)
    product_BF = torch.fft.rfft(wave_BS, length) * torch.fft.rfft(response_BR, length)
    return torch.fft.irfft(product_BF, length)[:, :samples]


def low_pass(wave_BS: Tensor, edge_hz_B: Tensor, sample_rate_hz: int) -> Tensor:
    """Take away everything above each wave's `edge_hz`."""
    samples = wave_BS.shape[1]
    length = next_fast_len(samples, real=True)
    spectrum_BF = torch.fft.rfft(wave_BS, length)
    bins_F = torch.arange(spectrum_BF.shape[1], device=wave_BS.device)
    kept_BF = bins_F <= (edge_hz_B[:, None] * length / sample_rate_hz).floor()
    return torch.fft.irfft(spectrum_BF * kept_BF, length)[:, :samples]
