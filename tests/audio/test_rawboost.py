"""RawBoost: its filters against scipy's, powers of a sine by hand, impulses counted, noise as loud everywhere."""

import numpy as np
import pytest
import torch
from scipy.signal import firwin, freqz

from voxbench.audio import rawboost
from voxbench.audio.rawboost import (
    BandStops,
    cascades,
    convolutive,
    draw_band_stops,
    filtered,
    impulsive,
    stationary,
)

RATE_HZ = 16_000
CPU = torch.device("cpu")


def rng(seed=0):
    return np.random.default_rng(seed)


def on_device(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(*shape):
    """Return filters that change nothing."""
    taps = torch.zeros(*shape, 2 * rawboost.REACH + 1)
    taps[..., rawboost.REACH] = 1
    return taps


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_cascade_is_the_product_of_scipys_band_stops(rate_hz):
    """Those whose band ends within the spectrum; scipy needs edges within it."""
    stops = draw_band_stops((30,), rate_hz, rng())
    stops = stops._replace(centre_hz=np.clip(stops.centre_hz, 550, rate_hz / 2 - 550))
    ours = cascades(stops, rate_hz).double().numpy()
    for row, (centres, widths, taps) in enumerate(zip(*stops, strict=True)):
        expected = np.ones(1)
        for centre, width, count in zip(centres, widths, taps, strict=True):
            edges = [centre - width / 2, centre + width / 2]
            expected = np.convolve(expected, firwin(count, edges, window="hamming", fs=rate_hz, scale=False))
        expected /= np.abs(freqz(expected, worN=8192)[1]).max()
        beside = (ours.shape[1] - expected.size) // 2
        assert np.abs(ours[row] - np.pad(expected, beside)).max() < 1e-3
        assert np.abs(freqz(ours[row], worN=8192)[1]).max() == pytest.approx(1, abs=1e-3)


def test_cascades_are_symmetric_and_reach_no_further_than_said():
    stops = draw_band_stops((4, 3), RATE_HZ, rng())
    longest = stops._replace(taps=np.full_like(stops.taps, 99))
    for each in (stops, longest):
        made = cascades(each, RATE_HZ)
        assert made.shape == (4, 3, 491)
        assert torch.allclose(made, made.flip(-1), atol=1e-7)
    assert (cascades(longest, RATE_HZ)[..., 0].abs() > 0).all()


def test_a_band_beyond_the_spectrum_is_cut_off():
    """A band-stop from below 0 to 1 kHz is a high-pass, one that reaches beyond 8 kHz a low-pass."""
    for centre_hz, stopped_hz, passed_hz in ((500.0, 300, 2000), (7600.0, 7700, 5000)):
        stops = BandStops(np.full((1, 5), centre_hz), np.full((1, 5), 1100.0), np.full((1, 5), 99))
        _, gain = freqz(cascades(stops, RATE_HZ)[0].double().numpy(), worN=[stopped_hz, passed_hz], fs=RATE_HZ)
        assert abs(gain[0]) < 0.01
        assert abs(gain[1]) > 0.9


def test_band_stops_are_drawn_between_their_bounds():
    stops = draw_band_stops((4000,), RATE_HZ, rng())
    assert (stops.centre_hz.min(), stops.centre_hz.max()) == pytest.approx((20, 8000), abs=5)
    assert (stops.width_hz.min(), stops.width_hz.max()) == pytest.approx((100, 1000), abs=1)
    assert set(np.unique(stops.taps)) == set(range(11, 100, 2))
    assert draw_band_stops((4000,), 8000, rng()).centre_hz.max() < 4000
    assert not np.array_equal(draw_band_stops((1,), RATE_HZ, rng(1))[0], draw_band_stops((1,), RATE_HZ, rng(2))[0])


def test_filters_keep_the_place_of_what_they_let_through():
    wave = torch.from_numpy(rng().normal(size=(2, 3000))).float()
    assert torch.allclose(filtered(wave, flat(2)), wave, atol=1e-5)
    stops = BandStops(np.full((2, 5), 6000.0), np.full((2, 5), 500.0), np.full((2, 5), 99))
    low = torch.sin(2 * torch.pi * 500 * torch.arange(3000) / RATE_HZ).expand(2, -1)
    heard = filtered(low, cascades(stops, RATE_HZ))
    assert (heard - low)[:, 250:-250].abs().max() < 0.02


def test_the_second_power_of_a_sine_lies_at_twice_its_frequency_and_so_far_below():
    """sin^2 x = (1 - cos 2x) / 2: half the amplitude, and as much below that as its filter is below the linear one's;
    sin^3 x = (3 sin x - sin 3x) / 4. The constant part goes with the mean."""
    seconds = torch.arange(RATE_HZ, dtype=torch.float64) / RATE_HZ
    wave = torch.stack([gain * torch.sin(2 * torch.pi * 500 * seconds) for gain in (3.0, 0.2)])
    for powers, expected in ((2, {1000: 1 / 2}), (3, {1000: 1 / 2, 1500: 1 / 4})):
        heard = convolutive(wave, flat(2, powers).double(), torch.tensor([6.0, 20.0], dtype=torch.float64))
        amplitude = torch.fft.rfft(heard).abs() / (RATE_HZ / 2)
        for row, (gain, below_db) in enumerate(((3.0, 6.0), (0.2, 20.0))):
            weaker = 10 ** (-below_db / 20)
            fundamental = gain * (1 + (3 / 4 * weaker if powers == 3 else 0))
            assert amplitude[row, 500].item() == pytest.approx(fundamental, rel=1e-3)
            for hz, share in expected.items():
                assert amplitude[row, hz].item() == pytest.approx(gain * weaker * share, rel=1e-3)
            assert amplitude[row, 0].item() == pytest.approx(0, abs=1e-9)


def test_each_power_has_a_filter_of_its_own():
    """A filter that takes 1 kHz away from the second power leaves the linear part whole."""
    seconds = torch.arange(RATE_HZ) / RATE_HZ
    wave = torch.sin(2 * torch.pi * 500 * seconds)[None]
    stop = BandStops(np.full((1, 5), 1000.0), np.full((1, 5), 600.0), np.full((1, 5), 99))
    filters = torch.stack([flat(1), cascades(stop, RATE_HZ)], dim=1)
    spectrum = torch.fft.rfft(convolutive(wave, filters, torch.tensor([0.0])))[0].abs() / (RATE_HZ / 2)
    assert spectrum[500].item() == pytest.approx(1, abs=0.01)
    assert spectrum[1000].item() < 0.01


def test_powers_go_by_the_shape_of_a_wave_not_by_its_level():
    wave = torch.from_numpy(rng().normal(size=(1, 2000))).float()
    filters = cascades(draw_band_stops((1, 5), RATE_HZ, rng()), RATE_HZ)
    quiet, loud = (convolutive(gain * wave, filters, torch.tensor([10.0])) / gain for gain in (0.01, 40.0))
    assert torch.allclose(quiet, loud, atol=1e-4)
    assert (convolutive(torch.zeros(1, 500), filters, torch.tensor([10.0])) == 0).all()


def test_impulses_touch_the_share_of_samples_and_follow_them():
    wave = torch.from_numpy(rng().normal(size=(4, 1000)) + 5).float()
    heard = impulsive(wave, torch.tensor([0.0, 0.1, 0.7, 1.0]), on_device())
    changed = heard != wave
    assert changed.sum(dim=1).tolist() == [0, 100, 700, 1000]
    factor = (heard / wave - 1)[changed]
    assert factor.abs().max() <= 2
    # Of a product of two numbers even between -1 and 1 the mean is 0, the variance (1/3)^2; twice that has 4/9.
    assert factor.mean().item() == pytest.approx(0, abs=0.05)
    assert factor.var().item() == pytest.approx(4 / 9, abs=0.05)
    assert factor.max() > 1.7
    assert (changed[1:3].float().view(2, 10, 100).mean(dim=2) > 0).all(), "impulses lie everywhere"


def test_impulses_leave_silence_silent_and_differ_by_row_and_draw():
    wave = torch.ones(2, 500)
    assert (impulsive(0 * wave, torch.tensor([0.5, 0.5]), on_device()) == 0).all()
    heard, again, other = (impulsive(wave, torch.tensor([0.5, 0.5]), on_device(seed)) for seed in (1, 1, 2))
    assert torch.equal(heard, again)
    assert not torch.equal(heard, other)
    assert not torch.equal(heard[0], heard[1])


def test_stationary_noise_has_the_colour_of_its_filter_from_end_to_end():
    stops = BandStops(np.full((400, 5), 6000.0), np.full((400, 5), 1000.0), np.full((400, 5), 99))
    filters = cascades(stops, RATE_HZ)
    noise = stationary(filters, 3000, on_device()).double()
    assert noise.shape == (400, 3000)
    energy = filters[0].double().square().sum().item()
    for part in (noise[:, :50], noise[:, 1000:1050], noise[:, -50:]):
        assert part.square().mean().item() == pytest.approx(energy, rel=0.05)
    power = torch.fft.rfft(noise).abs().square().mean(dim=0)
    share = power[round(3000 * 5800 / RATE_HZ) : round(3000 * 6200 / RATE_HZ)].mean() / power[100:800].mean()
    assert share < 1e-3
