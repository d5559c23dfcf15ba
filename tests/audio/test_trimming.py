"""Silence at the ends alone, recordings that keep their level, and chains without a low-pass."""

import numpy as np
import pytest

from voxbench.audio import AudioError, clean
from voxbench.audio.cleaning import low_pass, remove_silence, trim_silence
from voxbench.config import Cleaning
from voxbench.features.store import dequantize, quantize

RATE_HZ = 16_000
SETTINGS = {
    "sample_rate_hz": 16_000,
    "silence_q": 0.0,
    "silence_at": "everywhere",
    "pre_emphasis": 0.0,
    "low_pass_order": 10,
    "low_pass_hz": None,
    "zero_phase": True,
    "z_score": False,
    "min_seconds": 0.1,
    "max_seconds": 9.0,
    "max_clipped_fraction": 0.01,
}
NOISE = np.random.default_rng(3).laplace(size=3 * RATE_HZ).astype(np.float32) * np.float32(0.05)


def chain(wave, rate_hz=RATE_HZ, **changes):
    return clean(np.asarray(wave, np.float32), rate_hz, Cleaning(**(SETTINGS | changes)))


def refusal(*arguments, **changes):
    with pytest.raises(AudioError) as caught:
        chain(*arguments, **changes)
    return caught.value.reason, caught.value.detail


def spoken(*parts):
    """Join seconds of a square wave (True), of which every sample is loud, and of digital silence (False)."""
    return np.concatenate([np.tile([0.5, -0.5], round(seconds * RATE_HZ / 2)) * loud for loud, seconds in parts])


def by_loop(wave, q, reach):
    far = np.abs(wave - wave.mean()) >= q * wave.std()
    speech = [place for place in range(wave.size) if np.mean(far[max(place - reach, 0) : place + reach + 1]) >= 0.5]
    return wave[speech[0] : speech[-1] + 1]


def test_ends_go_and_pauses_stay():
    wave = spoken((False, 0.4), (True, 0.5), (False, 0.7), (True, 0.3), (False, 0.2))
    trimmed = trim_silence(wave, RATE_HZ, 0.075)[0]
    # A window of 801 samples centred on the first or the last loud sample holds 401 loud ones.
    np.testing.assert_array_equal(trimmed, spoken((True, 0.5), (False, 0.7), (True, 0.3)))
    assert chain(wave, silence_q=0.075, silence_at="ends").kept_seconds == 1.5
    assert chain(wave, silence_q=0.075).kept_seconds == 0.8


def test_half_is_enough_also_at_an_end():
    # One sample on either side; of the first and its neighbour the latter is distant, of the fourth's three one.
    np.testing.assert_array_equal(trim_silence(np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0]), 40, 0.5)[0], [0, 1, -1])


@pytest.mark.parametrize("seed", range(4))
def test_trimming_against_a_loop(seed):
    draws = np.random.default_rng(seed)
    levels = np.repeat(draws.choice([0.0, 0.01, 0.3, 1.0], 12), 200)
    wave = draws.normal(size=levels.size) * levels + 0.2
    np.testing.assert_array_equal(trim_silence(wave, 8_000, 0.3)[0], by_loop(wave, 0.3, 200))


@pytest.mark.parametrize("place", [0, 100, 2_000, 5_400])
def test_a_click_is_no_speech(place):
    wave = spoken((False, 0.4), (True, 0.5), (False, 0.4))
    expected = trim_silence(wave, RATE_HZ, 0.075)[0]
    for samples, same in ((1, True), (160, True), (900, False)):
        clicked = wave.copy()
        clicked[place : place + samples] = np.resize([0.9, -0.9], samples)
        assert (trim_silence(clicked, RATE_HZ, 0.075)[0].size == expected.size) == same, samples
        assert remove_silence(clicked, 0.075).size > expected.size


def test_faint_noise_at_the_ends_is_silence_too():
    draws = np.random.default_rng(0)
    wave = spoken((False, 0.4), (True, 0.5), (False, 0.4)) + draws.normal(scale=0.01, size=20_800)
    assert trim_silence(wave, RATE_HZ, 0.075)[0].size == pytest.approx(8_000, abs=100)


def test_nothing_is_cut_where_all_is_speech_and_with_q_0():
    assert trim_silence(spoken((True, 0.3)), RATE_HZ, 0.075)[0].size == 4_800
    padded = np.pad(NOISE, 4_000)
    assert trim_silence(padded, RATE_HZ, 0.0)[0].size == padded.size
    assert trim_silence(padded, RATE_HZ, 0.075)[0].size == pytest.approx(NOISE.size, abs=200)


def test_trimming_does_not_depend_on_gain():
    padded = np.pad(NOISE, 4_000)
    trimmed = trim_silence(padded, RATE_HZ, 0.075)[0]
    np.testing.assert_array_equal(trim_silence(padded * np.float32(2**-9), RATE_HZ, 0.075)[0], trimmed * 2.0**-9)


def test_clicks_alone_leave_nothing():
    wave = np.zeros(RATE_HZ)
    wave[::1600] = 0.5
    assert trim_silence(wave, RATE_HZ, 0.075)[0].size == 0
    assert refusal(wave, silence_q=0.075, silence_at="ends")[0] == "too_short"
    with pytest.raises(AudioError, match="all 99 samples are equal"):
        trim_silence(np.ones(99), RATE_HZ, 0.075)[0]


@pytest.mark.parametrize("gain", [2.0**-15, 0.37, 1.9])
@pytest.mark.parametrize("silence_at", ["everywhere", "ends"])
def test_with_every_step_left_out_a_recording_is_what_was_decoded(gain, silence_at):
    wave = NOISE * np.float32(gain)
    cleaned = chain(wave, silence_at=silence_at)
    assert cleaned.wave.dtype == np.float32
    np.testing.assert_array_equal(cleaned.wave, wave)
    samples, scale = quantize(cleaned.wave)
    assert np.abs(samples).max() == 32_767
    np.testing.assert_allclose(dequantize(samples, scale), wave, rtol=0, atol=0.51 * cleaned.peak / 32_767)


def test_the_store_keeps_what_16_bits_hold_of_the_faintest_recordings():
    wave = (NOISE / np.abs(NOISE).max() * 1.01e-12).astype(np.float32)
    samples, scale = quantize(chain(wave).wave)
    kept = dequantize(samples, scale)
    np.testing.assert_allclose(kept, wave, rtol=0, atol=0.51 * np.abs(wave).max() / 32_767)


@pytest.mark.parametrize("gain", [2.0**-30, 0.25, 4.0])
def test_without_z_score_the_level_is_the_recordings_own(gain):
    changes = {"pre_emphasis": 0.97, "low_pass_hz": 4000.0, "sample_rate_hz": 12_000, "max_clipped_fraction": 1.0}
    own, other = chain(NOISE, **changes).wave, chain(NOISE * np.float32(gain), **changes).wave
    np.testing.assert_array_equal(other, own * np.float32(gain))
    scored = chain(NOISE, **changes, z_score=True).wave
    assert np.corrcoef(own, scored)[0, 1] == pytest.approx(1, abs=1e-6)
    emphasized = np.append(NOISE[:1], NOISE[1:] - 0.97 * NOISE[:-1]).astype(float)
    assert own.std() == pytest.approx(low_pass(emphasized, RATE_HZ, 10, 4000.0, True).std(), rel=1e-3)


def test_levels_beyond_what_the_store_and_spectra_hold_are_refused():
    peak = np.abs(NOISE).max()
    reason, detail = refusal(NOISE / peak * 9e-13)
    assert reason == "silent"
    assert "at least 1e-12 without z-score" in detail
    reason, detail = refusal(NOISE / peak * 1.1e12, max_clipped_fraction=1.0)
    assert reason == "clipped"
    assert "at most 1e+12 without z-score" in detail
    for gain in (9e-13, 1.1e12):
        assert chain(NOISE / peak * gain, max_clipped_fraction=1.0, z_score=True).wave.std() == pytest.approx(1)


def test_without_low_pass_no_rate_is_too_low():
    slow = np.sin(2 * np.pi * 500 * np.arange(8_000) / 8_000) * 0.5
    assert refusal(slow, 8_000, low_pass_hz=4000.0)[0] == "rate_too_low"
    raised = chain(slow, 8_000).wave
    assert raised.size == 16_000
    expected = np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000) * 0.5
    np.testing.assert_allclose(raised[300:-300], expected[300:-300], atol=1e-4)


def test_without_low_pass_high_frequencies_stay():
    high = np.sin(2 * np.pi * 6000 * np.arange(RATE_HZ) / RATE_HZ) * 0.5
    assert chain(high).wave.std() == pytest.approx(0.5 / np.sqrt(2), rel=1e-4)
    assert chain(high, low_pass_hz=4000.0).wave[2000:-2000].std() < 1e-6


@pytest.mark.parametrize(("silence_at", "lead"), [("ends", 0.5), ("everywhere", None)])
def test_where_the_wave_begins_in_its_recording_is_told(silence_at, lead):
    wave = spoken((False, 0.5), (True, 2.0), (False, 1.0))
    found = chain(wave, silence_at=silence_at, silence_q=0.5).lead_seconds
    assert found is None if lead is None else found == pytest.approx(lead, abs=0.026)
    assert chain(wave, silence_at=silence_at).lead_seconds == 0.0
