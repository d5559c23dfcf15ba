"""Rooms, loudspeakers and replay: each letter changes the physics that it stands for."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from voxbench.audio.replay import (
    ATTACKS,
    DISTANCE_M,
    ENVIRONMENTS,
    ROOM_M2,
    SNR_AT_1_M_DB,
    T60_SECONDS,
    Device,
    Place,
    draw_device,
    draw_place,
    pick_up,
    play,
    replay,
)
from voxbench.schema import AudioError, InputError

RATE_HZ = 16_000
PLACE = Place(room_m2=10.0, t60_seconds=0.5, distance_m=1.0, seed=4)


def rng(seed=1):
    return np.random.default_rng(seed)


def tone(hz, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def power_db(wave):
    return 10 * np.log10(np.mean(wave**2))


def impulse(seconds=1.5):
    wave = np.zeros(round(seconds * RATE_HZ))
    wave[0] = 1.0
    return wave


def test_the_words():
    assert (len(ENVIRONMENTS), ENVIRONMENTS[0], ENVIRONMENTS[5], ENVIRONMENTS[-1]) == (27, "aaa", "abc", "ccc")
    assert ATTACKS == ("AA", "AB", "AC", "BA", "BB", "BC", "CA", "CB", "CC")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_lies_within_its_bounds(environment):
    place = draw_place(environment, rng())
    tables = zip((ROOM_M2, T60_SECONDS, DISTANCE_M), environment, strict=True)
    drawn = (place.room_m2, place.t60_seconds, place.distance_m)
    for (low, high), value in zip((table[letter] for table, letter in tables), drawn, strict=True):
        assert low <= value <= high
    assert place == draw_place(environment, rng()) != draw_place(environment, rng(2))


def test_no_other_words():
    with pytest.raises(InputError, match=r"environment 'aad'.*expected aaa to ccc"):
        draw_place("aad", rng())
    with pytest.raises(InputError, match="device quality 'D'; expected A, B or C"):
        draw_device("D", rng())


def test_reverberation_time_and_direct_sound():
    """Schroeder 1965 on the tail; the direct sound comes first and unchanged."""
    heard = pick_up(impulse(), RATE_HZ, PLACE)
    assert heard[0] == pytest.approx(1.0)
    tail = heard.copy()
    tail[0] = 0.0
    decay_db = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2) + 1e-12)
    fitted = np.flatnonzero((decay_db < -5) & (decay_db > -25))
    slope = np.polyfit(fitted / RATE_HZ, decay_db[fitted], 1)[0]
    assert -60 / slope == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("distance_m", [0.2, 1.0, 1.5])
def test_the_tail_is_as_loud_as_the_direct_sound_at_the_critical_distance(distance_m):
    critical_m = 0.057 * np.sqrt(10.0 * 2.7 / 0.5)
    heard = pick_up(impulse(), RATE_HZ, replace(PLACE, distance_m=distance_m))
    assert np.sum(heard[1:] ** 2) == pytest.approx((distance_m / critical_m) ** 2, rel=1e-6)


def test_larger_rooms_are_drier_and_their_tails_later():
    small, large = (pick_up(impulse(), RATE_HZ, replace(PLACE, room_m2=size)) for size in (3.0, 18.0))
    assert np.sum(large[1:] ** 2) < 0.2 * np.sum(small[1:] ** 2)
    first_small, first_large = (np.flatnonzero(np.abs(heard[1:]) > 1e-9)[0] for heard in (small, large))
    assert first_small < first_large < 0.01 * RATE_HZ


def test_devices():
    assert draw_device("A", rng()) == Device(None, None, 0.0)
    for seed in range(20):
        high, low = draw_device("B", rng(seed)), draw_device("C", rng(seed))
        assert high.low_hz < 600 < low.low_hz
        assert low.high_hz < 10_000 < high.high_hz
        assert high.drive < low.drive
    wave = rng().normal(0, 0.1, 1000)
    np.testing.assert_array_equal(play(wave, RATE_HZ, Device(None, None, 0.0)), wave)


@pytest.mark.parametrize(("hz", "gain_db"), [(700.0, -3.01), (4_000.0, -3.01), (1_700.0, 0.0)])
def test_band_edges_of_a_loudspeaker(hz, gain_db):
    played = play(tone(hz), RATE_HZ, Device(700.0, 4_000.0, 0.0))[RATE_HZ // 2 :]
    assert power_db(played) - power_db(tone(hz)) == pytest.approx(gain_db, abs=0.35)


def test_a_driven_loudspeaker_makes_harmonics_of_even_and_odd_order():
    spectra = {}
    for drive in (0.2, 1.5):
        played = play(tone(500.0), RATE_HZ, Device(None, None, drive))
        spectra[drive] = np.abs(np.fft.rfft(played))[[500, 1_000, 1_500]]
    ratio = {drive: bins[1:] / bins[0] for drive, bins in spectra.items()}
    assert (ratio[1.5] > 0.02).all()
    assert (ratio[1.5] > 3 * ratio[0.2]).all()


def test_the_attackers_noise_rises_with_distance():
    dry = {"room_m2": 10.0, "t60_seconds": 0.05, "seed": 4}
    for distance_m in (0.1, 1.0):
        place = Place(distance_m=distance_m, **dry)
        clean = pick_up(tone(440), RATE_HZ, place)
        noise = replay(tone(440), RATE_HZ, place, Device(None, None, 0.0), rng()) - clean
        wanted_db = SNR_AT_1_M_DB - 20 * np.log10(distance_m)
        assert power_db(clean) - power_db(noise) == pytest.approx(wanted_db, abs=0.2)


def test_replays_are_finite_deterministic_and_different():
    wave = (0.3 * tone(440) + 0.3 * tone(1_900)).astype(np.float32)
    made = {}
    for distance, quality in itertools.product("abc", "ABC"):
        place, device = draw_place(f"ab{distance}", rng()), draw_device(quality, rng(2))
        first, second = (replay(wave, RATE_HZ, place, device, rng(3)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert (first.shape, first.dtype) == (wave.shape, np.float32)
        assert np.isfinite(first).all()
        made[distance + quality] = first
    pairs = itertools.combinations(made.values(), 2)
    assert min(np.abs(one - other).max() for one, other in pairs) > 1e-3
    with pytest.raises(AudioError, match="silent"):
        replay(np.zeros(100), RATE_HZ, PLACE, Device(None, None, 0.0), rng())
