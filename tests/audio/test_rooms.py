"""Rooms and band limits of batches: the decay a room is named by, convolution by an independent reference, edges."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from voxbench.audio.channel import impulse_response
from voxbench.audio.rooms import convolve, impulse_responses, low_pass

RATE_HZ = 16_000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rt60", [0.2, 0.5, 0.8])
def test_a_room_decays_by_sixty_decibels_in_its_time(rt60):
    """The slope of the logarithm of the energy, averaged over many responses, as measured in rooms."""
    responses = impulse_responses(torch.full((200,), rt60), RATE_HZ, RATE_HZ, seeded()).double().numpy()
    samples = round(rt60 * RATE_HZ)
    assert (responses[:, samples:] == 0).all()
    energy = (responses[:, 1:samples] ** 2).mean(axis=0)
    blocks = energy[: len(energy) // 100 * 100].reshape(-1, 100).mean(axis=1)
    seconds = (np.arange(len(blocks)) + 0.5) * 100 / RATE_HZ
    db_per_second = np.polyfit(seconds, 10 * np.log10(blocks), 1)[0]
    assert -60 / db_per_second == pytest.approx(rt60, rel=0.01)


def test_rooms_have_the_law_of_the_prepared_channels():
    """Unit energy, and the share of it that comes at once, are those of single responses."""
    ours = impulse_responses(torch.full((400,), 0.1), 5000, RATE_HZ, seeded()).double().numpy()
    theirs = np.stack([impulse_response(RATE_HZ, 0.1, np.random.default_rng(seed)) for seed in range(400)])
    assert (ours**2).sum(axis=1) == pytest.approx(np.ones(400), abs=1e-5)
    assert (ours[:, 0] > 0).all()
    for part in (slice(0, 1), slice(1, 100), slice(100, 800), slice(800, 1600)):
        assert (ours[:, part] ** 2).sum() == pytest.approx((theirs[:, part] ** 2).sum(), rel=0.05)


def test_rooms_of_one_batch_have_their_own_times():
    responses = impulse_responses(torch.tensor([0.0, 0.01, 0.02]), 1000, RATE_HZ, seeded())
    assert [int(np.flatnonzero(row)[-1]) + 1 for row in responses.numpy()] == [1, 160, 320]
    assert responses[0, 0] == 1, "a dry room changes nothing"


def test_a_convolution_is_that_of_each_row():
    draws = np.random.default_rng(1)
    wave, response = draws.normal(size=(3, 701)), draws.normal(size=(3, 97))
    ours = convolve(torch.from_numpy(wave), torch.from_numpy(response)).numpy()
    expected = np.stack([fftconvolve(*rows)[:701] for rows in zip(wave, response, strict=True)])
    assert np.abs(ours - expected).max() < 1e-12


def test_nothing_above_its_edge_is_left_of_a_wave_and_everything_below():
    draws = np.random.default_rng(1)
    wave = torch.from_numpy(draws.normal(size=(3, 1600)))
    spectra = torch.fft.rfft(low_pass(wave, torch.tensor([1000.0, 2005.0, 7990.0]), RATE_HZ)).abs()
    for row, last in enumerate((100, 200, 799)):
        assert (spectra[row, last + 1 :] < 1e-9).all()
        assert torch.allclose(spectra[row, : last + 1], torch.fft.rfft(wave[row]).abs()[: last + 1])
