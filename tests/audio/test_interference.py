"""What is added to voices: the colour of noise, what babble and chords are made of, exact ratios, hostile inputs."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.audio.channel import add_noise
from voxbench.audio.interference import (
    Tunes,
    at_snr,
    babble,
    choose_voices,
    chords,
    coloured_noise,
    draw_tunes,
)

RATE_HZ, CPU = 16_000, torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rng(seed=0):
    return np.random.default_rng(seed)


def slope(noise_S):
    """Return the exponent of frequency that the power density follows, fitted over four decades of bins."""
    power = np.abs(np.fft.rfft(noise_S.astype(np.float64))) ** 2
    edges = np.geomspace(10, len(power) - 1, 20).astype(int)
    bands = [power[low:high].mean() for low, high in pairwise(edges)]
    return np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(bands), 1)[0]


def test_noise_is_flat_or_falls_with_the_frequency_and_has_unit_power():
    white_S, pink_S = coloured_noise(torch.tensor([0.0, 1.0]), 1 << 18, seeded()).numpy()
    assert slope(white_S) == pytest.approx(0, abs=0.03)
    assert slope(pink_S) == pytest.approx(-1, abs=0.03)
    powers = coloured_noise(torch.linspace(0, 1, 5).repeat(60), 4000, seeded()).square().mean(dim=1)
    assert powers.reshape(60, 5).mean(dim=0).tolist() == pytest.approx([1.0] * 5, abs=0.1)


@pytest.mark.parametrize("pink_share", [0.0, 0.4, 1.0])
def test_noise_has_the_law_of_the_prepared_channels(pink_share):
    """In bands of an octave both kinds have the same mean power."""
    ours = coloured_noise(torch.full((300,), pink_share), 2048, seeded()).double().numpy()
    silent = np.full(2048, 1e-3)
    theirs = np.stack([add_noise(silent, -60.0, pink_share, rng(seed)) - silent for seed in range(300)])
    for low, high in [(1, 4), (4, 32), (32, 256), (256, 1025)]:
        powers = [np.mean(np.abs(np.fft.rfft(noise)[:, low:high]) ** 2) for noise in (ours, theirs)]
        assert powers[0] == pytest.approx(powers[1], rel=0.15)


@pytest.mark.parametrize("samples", [1, 2, 3, 4001])
def test_noise_of_any_length(samples):
    noise_BS = coloured_noise(torch.tensor([0.0, 1.0]), samples, seeded())
    assert noise_BS.shape == (2, samples)
    assert noise_BS.isfinite().all()


def test_babble_adds_equally_loud_voices():
    voices = torch.tensor([[3.0, -3.0], [0.5, 0.5], [0.0, 0.0]])
    chosen = torch.tensor([[True, True, False], [False, True, True], [False, False, True]])
    assert babble(voices, chosen).tolist() == [[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


def test_voices_of_the_smallest_keys_are_chosen_but_never_ones_own():
    keys = torch.tensor([[10.0, 40.0, 20.0, 30.0], [10.0, 40.0, 20.0, 30.0]])
    own = torch.tensor([[True, False, False, False], [False, False, True, True]])
    chosen = choose_voices(keys, own, torch.tensor([2, 9]))
    assert chosen.tolist() == [[False, False, True, True], [True, True, False, False]]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_as_many_voices_as_wanted_are_chosen_where_there_are_so_many(rows, voices, seed):
    draws = rng(seed)
    own = torch.from_numpy(draws.random((rows, voices)) < 0.4)
    wanted = torch.from_numpy(draws.integers(1, voices + 1, rows))
    chosen = choose_voices(torch.from_numpy(draws.random((rows, voices))), own, wanted)
    assert not (chosen & own).any()
    assert chosen.sum(dim=1).tolist() == torch.minimum(wanted, (~own).sum(dim=1)).tolist()


def tune_of(hz, brightness=0.5, seconds=1.0, decay_seconds=1e6, lead=0.0):
    """Return one row's tune: a tone on every beat."""
    return Tunes(np.array(hz).reshape(1, -1, 1), seconds, lead, np.array([brightness]), np.array([decay_seconds]))


@pytest.mark.parametrize(("hz", "brightness"), [(100.0, 0.5), (440.0, 0.8), (1250.0, 0.79), (7000.0, 0.6)])
def test_a_tone_is_the_sum_of_its_harmonics_below_half_the_rate(hz, brightness):
    wave_S = chords(tune_of(hz, brightness), RATE_HZ, RATE_HZ, CPU)[0].double().numpy()
    time_S = np.arange(RATE_HZ) / RATE_HZ
    harmonics = range(1, int(np.ceil(RATE_HZ / 2 / hz)))
    expected = sum(brightness**h * np.sin(2 * np.pi * h * hz * time_S) for h in harmonics)
    assert np.abs(wave_S - expected).max() < 0.002 * np.abs(expected).max()
    spectrum = np.abs(np.fft.rfft(wave_S)) ** 2
    lines = [round(h * hz) for h in harmonics]
    assert spectrum[lines].sum() / spectrum.sum() > 0.9999


def test_every_beat_strikes_anew_and_dies_away():
    """Two beats of half a second at 200 and 300 Hz; after a decay time the tone has 1/e of its loudness."""
    tune = tune_of([200.0, 300.0], seconds=0.5, decay_seconds=0.25)
    first_S, second_S = chords(tune, RATE_HZ, RATE_HZ, CPU)[0].double().numpy().reshape(2, -1)
    for part_S, hz in ((first_S, 200), (second_S, 300)):
        assert np.abs(np.fft.rfft(part_S)).argmax() * 2 == hz
        loudness = [np.sqrt(np.mean(part_S[start : start + 800] ** 2)) for start in (0, 4000)]
        assert loudness[1] / loudness[0] == pytest.approx(np.exp(-1), rel=1e-3)


def test_a_tune_begins_within_a_beat():
    whole_S = chords(tune_of([200.0, 300.0], decay_seconds=0.3), 2 * RATE_HZ, RATE_HZ, CPU)[0]
    late_S = chords(tune_of([200.0, 300.0], decay_seconds=0.3, lead=0.25), RATE_HZ, RATE_HZ, CPU)[0]
    assert torch.equal(late_S, whole_S[4000:20_000])


def test_tunes_are_triads_of_one_key_at_a_beat_people_can_dance_to():
    tunes = draw_tunes(200, 3.0, rng())
    semitones = 12 * np.log2(tunes.hz / 440) + 69
    assert np.abs(semitones - semitones.round()).max() < 1e-9
    intervals = {tuple(chord - chord[0]) for chord in semitones.round().astype(int).reshape(-1, 3)}
    assert intervals == {(0, 4, 7), (0, 3, 7)}
    assert (semitones.min(), semitones.max()) == pytest.approx((36, 59 + 16))


def test_no_tune_ends_before_it_should():
    drawn = [draw_tunes(2, seconds, rng(seed)) for seed in range(100) for seconds in (0.1, 1.0, 3.01)]
    beats = [tunes.seconds for tunes in drawn]
    assert 1 / 3 <= min(beats) < 0.35
    assert 0.9 < max(beats) <= 1
    for tunes, seconds in zip(drawn, (0.1, 1.0, 3.01) * 100, strict=True):
        assert chords(tunes, round(seconds * 8000), 8000, CPU).shape == (2, round(seconds * 8000))


def test_ratios_are_exact():
    draws = rng()
    wave, other = (torch.from_numpy(draws.normal(size=(3, 500)) * 4) for _ in range(2))
    wanted = torch.tensor([-5.0, 0.0, 17.0], dtype=torch.float64)
    added = at_snr(wave, other, wanted)
    assert (10 * (wave.square().sum(1) / added.square().sum(1)).log10()).tolist() == pytest.approx(wanted.tolist())
    assert torch.allclose(added / other, (added / other)[:, :1])


def test_silence_gets_nothing_and_adds_nothing():
    silence, sound = torch.zeros(1, 8), torch.ones(1, 8)
    for wave, other in ((silence, sound), (sound, silence), (silence, silence)):
        assert (at_snr(wave, other, torch.tensor([3.0])) == 0).all()
