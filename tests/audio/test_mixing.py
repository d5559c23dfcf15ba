"""Mixing: the mean by hand, levels and places by measurement, and what cannot be mixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxbench.audio.mixing import average, excerpt, mix
from voxbench.schema import AudioError, InputError

WAVES = st.lists(arrays(np.float32, st.integers(1, 40), elements=st.floats(-1, 1, width=32)), min_size=1, max_size=4)


def voices(count, samples=4000, seed=0):
    draws = np.random.default_rng(seed)
    return [draws.uniform(0.1, 1.0) * draws.standard_normal(samples + 7 * k) for k in range(count)]


def power(wave):
    return np.mean(np.square(wave))


def test_the_mean_by_hand():
    waves = [np.float32([1, -1, 0.5, 0.25]), np.float32([0.5, -1, 1]), np.float32([0, 1, 0])]
    np.testing.assert_array_equal(average(waves), np.float32([0.5, -1 / 3, 0.5]))
    assert average(waves).dtype == np.float32


def test_one_voice_stays_as_it_is():
    (wave,) = voices(1)
    np.testing.assert_array_equal(average([wave]), wave)
    np.testing.assert_array_equal(mix([wave], (), (), ()), wave)


@given(WAVES)
def test_the_mean_is_as_long_as_the_shortest_and_no_louder_than_the_loudest(waves):
    mixed = average(waves)
    assert mixed.shape == (min(wave.size for wave in waves),)
    assert np.abs(mixed).max() <= max(np.abs(wave).max() for wave in waves)
    np.testing.assert_allclose(average(waves[::-1]), mixed, atol=1e-6)


@given(WAVES)
def test_without_levels_and_with_full_overlap_a_mixture_is_the_mean(waves):
    others = len(waves) - 1
    np.testing.assert_array_equal(mix(waves, None, [1.0] * others, [0.3] * others), average(waves))


def test_levels_are_ratios_to_the_first_whatever_was_recorded():
    first, second, third = voices(3)
    snr_db = (-4.0, 9.5)
    mixed = 3 * mix([first, 7 * second, third / 50], snr_db, (1.0, 1.0), (0.0, 0.0))
    others = (second[: first.size], third[: first.size])
    gains, *_ = np.linalg.lstsq(np.stack([first, *others], axis=1), mixed, rcond=None)
    assert gains[0] == pytest.approx(1.0)
    ratios = [10 * np.log10(power(first) / power(gain * wave)) for gain, wave in zip(gains[1:], others, strict=True)]
    np.testing.assert_allclose(ratios, snr_db, atol=1e-9)


@pytest.mark.parametrize(
    ("overlap", "onset", "heard"),
    [(1.0, 0.7, (0, 10)), (0.5, 0.0, (0, 5)), (0.5, 1.0, (5, 10)), (0.3, 0.5, (4, 7)), (0.001, 1.0, (9, 10))],
)
def test_a_further_voice_is_heard_in_its_share_of_the_mixture(overlap, onset, heard):
    second = np.arange(1.0, 11.0)
    mixed = mix([np.zeros(10), second], None, (overlap,), (onset,))
    expected = np.zeros(10)
    expected[slice(*heard)] = second[: heard[1] - heard[0]] / 2
    np.testing.assert_array_equal(mixed, expected)


def test_a_level_holds_where_the_voice_is_heard():
    first, second = voices(2)
    mixed = 2 * mix([first, second], (6.0,), (0.25,), (1.0,)) - first
    assert not mixed[:3000].any()
    assert 10 * np.log10(power(first) / power(mixed[3000:])) == pytest.approx(6.0)


def test_length_does_not_tell_how_many_there_are():
    lengths = {mix(voices(k)[::-1], (0.0,) * (k - 1), (0.2,) * (k - 1), (0.5,) * (k - 1)).size for k in (1, 2, 3)}
    assert lengths == {4000}


def test_an_excerpt_by_hand():
    wave = np.arange(100.0)
    np.testing.assert_array_equal(excerpt(wave, 10, 2.59, 0.5), [25, 26, 27, 28, 29])
    np.testing.assert_array_equal(excerpt(wave, 10, 0.0, 10.0), wave)


@given(st.integers(1, 500), st.floats(0.001, 1), st.floats(0, 1))
def test_an_excerpt_within_the_recording_is_whole(samples, share, place):
    seconds = samples / 16_000
    length = max(share * seconds, 1 / 16_000)
    part = excerpt(np.zeros(samples), 16_000, place * (seconds - length), length)
    assert part.size == round(length * 16_000)


@pytest.mark.parametrize(("start", "seconds"), [(9.6, 0.5), (0.0, 10.1), (20.0, 0.1)])
def test_an_excerpt_beyond_the_end_is_refused(start, seconds):
    with pytest.raises(AudioError, match=r"10\.000 s; an excerpt needs") as refusal:
        excerpt(np.zeros(100), 10, start, seconds)
    assert refusal.value.reason == "too_short"


@pytest.mark.parametrize(("start", "seconds"), [(-0.1, 0.5), (0.0, 0.0), (0.0, 0.01)])
def test_an_excerpt_of_nothing_is_refused(start, seconds):
    with pytest.raises(InputError, match="expected a length and a start of 0 or more"):
        excerpt(np.zeros(100), 10, start, seconds)


@pytest.mark.parametrize("waves", [[], [np.zeros(0)], [np.ones(3), np.zeros(0)]])
def test_nothing_cannot_be_mixed(waves):
    with pytest.raises(AudioError, match="a mixture needs one wave or more, each with samples") as refusal:
        average(waves)
    assert refusal.value.reason == "empty"


@pytest.mark.parametrize("silent", [0, 1])
def test_silence_has_no_level(silent):
    waves = voices(2)
    waves[silent] = np.zeros(4000)
    with pytest.raises(AudioError, match="two voices with power") as refusal:
        mix(waves, (0.0,), (1.0,), (0.0,))
    assert refusal.value.reason == "silent"


@pytest.mark.parametrize(
    ("snr_db", "overlap", "onset", "message"),
    [
        ((), (1.0,), (0.0,), "2 waves; expected an SNR, an overlap and an onset for each after the first"),
        ((0.0,), (1.0, 1.0), (0.0,), "2 waves"),
        ((0.0,), (1.0,), (), "2 waves"),
        (None, (), (), "2 waves"),
        (None, (0.0,), (0.0,), r"overlap 0\.0, onset 0\.0; expected shares in \(0, 1\] and \[0, 1\]"),
        (None, (1.1,), (0.0,), r"overlap 1\.1"),
        (None, (0.5,), (-0.1,), r"onset -0\.1"),
        (None, (float("nan"),), (0.0,), "overlap nan"),
    ],
)
def test_numbers_out_of_range(snr_db, overlap, onset, message):
    with pytest.raises(InputError, match=message):
        mix(voices(2), snr_db, overlap, onset)
