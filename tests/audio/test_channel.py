"""The laws of the channel, each measured on the output."""

import numpy as np
import pytest

from voxbench.audio.channel import (
    Channel,
    add_noise,
    band_limit,
    impulse_response,
    reverberate,
    set_peak,
    transmit,
)
from voxbench.schema import AudioError, InputError

RATE_HZ = 16_000


def rng(seed=0):
    return np.random.default_rng(seed)


def tone(hz, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def power_db(wave):
    return 10 * np.log10(np.mean(wave**2))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("pink_share", [0.0, 0.4, 1.0])
def test_noise_has_exactly_the_asked_snr(snr_db, pink_share):
    clean = 0.3 * tone(440)
    noise = add_noise(clean, snr_db, pink_share, rng()) - clean
    assert power_db(clean) - power_db(noise) == pytest.approx(snr_db, abs=1e-9)


@pytest.mark.parametrize(("pink_share", "db_per_octave"), [(0.0, 0.0), (1.0, -3.0103)])
def test_noise_colour(pink_share, db_per_octave):
    clean = tone(440, seconds=20.0)
    noise = add_noise(clean, 0.0, pink_share, rng()) - clean
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(noise.size, 1 / RATE_HZ)
    density = [10 * np.log10(power[(hz >= low) & (hz < 1.1 * low)].mean()) for low in (500, 1000, 2000, 4000)]
    assert np.diff(density) == pytest.approx(db_per_octave, abs=0.8)


def test_pink_share_is_the_pink_part_of_the_power():
    clean = tone(440, seconds=20.0)
    noises = {share: add_noise(clean, 0.0, share, rng()) - clean for share in (0.0, 0.5, 1.0)}
    hz = np.fft.rfftfreq(clean.size, 1 / RATE_HZ)
    above = {share: np.sum(np.abs(np.fft.rfft(noise))[hz > 4000] ** 2) for share, noise in noises.items()}
    assert above[0.5] == pytest.approx((above[0.0] + above[1.0]) / 2, rel=0.05)


def test_noise_on_an_odd_prime_length_and_on_one_sample():
    assert add_noise(np.ones(10_007), 10.0, 1.0, rng()).shape == (10_007,)
    assert add_noise(np.ones(1), 10.0, 0.5, rng()).shape == (1,)


def test_silence_has_no_snr_and_no_level():
    with pytest.raises(AudioError, match="silent"):
        add_noise(np.zeros(100), 10.0, 0.0, rng())
    with pytest.raises(AudioError, match="silent"):
        set_peak(np.zeros(100), -3.0)


@pytest.mark.parametrize("rt60_seconds", [0.2, 0.5, 1.0])
def test_reverberation_time_by_backward_integration(rt60_seconds):
    """Schroeder 1965: the backward integral of h^2 falls by 60 dB in rt60 (fitted from -5 to -25 dB)."""
    response = impulse_response(RATE_HZ, rt60_seconds, rng(3))
    decay_db = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1])
    fitted = np.flatnonzero((decay_db < -5) & (decay_db > -25))
    slope = np.polyfit(fitted / RATE_HZ, decay_db[fitted], 1)[0]
    assert -60 / slope == pytest.approx(rt60_seconds, rel=0.1)
    assert np.sum(response**2) == pytest.approx(1.0)


def test_reverberation_of_an_impulse_is_the_response_and_dry_is_dry():
    impulse = np.zeros(RATE_HZ)
    impulse[100] = 1.0
    wet = reverberate(impulse, RATE_HZ, 0.3, rng(1))
    response = impulse_response(RATE_HZ, 0.3, rng(1))
    np.testing.assert_allclose(wet[100 : 100 + response.size], response, atol=1e-12)
    np.testing.assert_allclose(wet[:100], 0.0, atol=1e-12)
    np.testing.assert_array_equal(reverberate(impulse, RATE_HZ, 0.0, rng(1)), impulse)
    with pytest.raises(InputError, match="rt60_seconds"):
        reverberate(impulse, RATE_HZ, -0.1, rng(1))


@pytest.mark.parametrize(("hz", "gain_db"), [(300, -3.01), (3400, -3.01), (1000, 0.0)])
def test_band_limit_gain(hz, gain_db):
    steady = slice(RATE_HZ // 2, None)
    out = band_limit(tone(hz), RATE_HZ, 300, 3400, 4)
    assert power_db(out[steady]) - power_db(tone(hz)[steady]) == pytest.approx(gain_db, abs=0.05)


def test_band_limit_stops_what_lies_outside():
    assert power_db(band_limit(tone(7000), RATE_HZ, 300, 3400, 4)[RATE_HZ // 2 :]) < -40


@pytest.mark.parametrize(("low_hz", "high_hz"), [(0, 3400), (3400, 300), (300, 8000)])
def test_impossible_bands_are_refused(low_hz, high_hz):
    with pytest.raises(InputError, match="expected 0 < low < high < 8000"):
        band_limit(tone(440), RATE_HZ, low_hz, high_hz, 4)


def test_peak_level():
    assert np.abs(set_peak(0.01 * tone(440), -6.0206)).max() == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(InputError, match="full scale"):
        set_peak(tone(440), 1.0)


def test_a_channel_is_deterministic_keeps_dtype_and_input():
    channel = Channel(5, 0.2, 15.0, 0.5, 100.0, 6000.0, 4, -3.0)
    wave = (0.1 * tone(440)).astype(np.float32)
    before = wave.copy()
    first, second = (transmit(wave, RATE_HZ, channel, rng(2)) for _ in range(2))
    assert first.dtype == np.float32
    assert first.shape == wave.shape
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(wave, before)
    assert np.abs(first).max() == pytest.approx(10 ** (-3 / 20), rel=1e-6)
    assert not np.array_equal(first, transmit(wave, RATE_HZ, channel, rng(3)))
