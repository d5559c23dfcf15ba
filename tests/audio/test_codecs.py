"""Codecs: what each leaves of the band, that it is heard, and that equal waves give equal bytes."""

import numpy as np
import pytest
from scipy.signal import chirp

from voxbench.audio.codecs import codecs, transcode
from voxbench.schema import InputError

RATE_HZ = 16_000
NARROW = ("alaw", "ulaw", "pstn", "gsm")
WIDE = ("opus", "low_mp3", "high_mp3", "low_ogg", "high_ogg")
MOST_DELAY = 100


@pytest.fixture(scope="module")
def wave():
    """A second that sweeps over the band, amid softer noise."""
    seconds = np.arange(RATE_HZ) / RATE_HZ
    sweep = 0.4 * chirp(seconds, 100, 1.0, 7_000, method="logarithmic")
    return (sweep + np.random.default_rng(1).normal(0, 0.02, RATE_HZ)).astype(np.float32)


def likeness(wave, coded):
    """Return the correlation at the best delay."""
    size = 4 * wave.size
    crossed = np.fft.irfft(np.conj(np.fft.rfft(wave, size)) * np.fft.rfft(coded, size))
    best = int(np.argmax(crossed[:MOST_DELAY]))
    return np.corrcoef(wave[: wave.size - best], coded[best:])[0, 1]


def share_above(wave, hz):
    power = np.abs(np.fft.rfft(wave)) ** 2
    return power[np.fft.rfftfreq(wave.size, 1 / RATE_HZ) > hz].sum() / power.sum()


def test_the_words_of_the_two_scenarios_are_there():
    assert {*NARROW, *WIDE, "none", "nocodec"} <= set(codecs)
    with pytest.raises(InputError, match="unknown codec 'g711'"):
        transcode(np.zeros(100), RATE_HZ, "g711")


@pytest.mark.parametrize("name", ["none", "nocodec"])
def test_no_codec_changes_nothing(wave, name):
    np.testing.assert_array_equal(transcode(wave, RATE_HZ, name), wave)


@pytest.mark.parametrize("name", [*NARROW, *WIDE])
def test_a_codec_changes_the_wave_and_leaves_it_recognisable(wave, name):
    coded = transcode(wave, RATE_HZ, name)
    assert (coded.shape, coded.dtype) == (wave.shape, wave.dtype)
    assert np.isfinite(coded).all()
    assert not np.array_equal(coded, wave)
    np.testing.assert_array_equal(transcode(wave, RATE_HZ, name), coded)
    kept = share_above(coded, 4_200) / share_above(wave, 4_200)
    assert kept < 0.05 if name in NARROW else kept > 0.3
    if name in WIDE:
        assert likeness(wave, coded) > (0.6 if name == "opus" else 0.85)


def test_telephone_lines_cut_the_band_at_both_ends(wave):
    low = 0.4 * np.sin(2 * np.pi * 80 * np.arange(RATE_HZ) / RATE_HZ)
    assert np.std(transcode(low, RATE_HZ, "pstn")[RATE_HZ // 2 :]) < 0.03 * np.std(low)
    assert np.std(transcode(low, RATE_HZ, "alaw")) > 0.9 * np.std(low)


def test_stronger_compression_loses_more(wave):
    for kind in ("mp3", "ogg"):
        low, high = (likeness(wave, transcode(wave, RATE_HZ, f"{strength}_{kind}")) for strength in ("low", "high"))
        assert low < high


def test_loud_waves_are_clipped_and_dtypes_kept():
    loud = 3.0 * np.sin(np.arange(4_000.0))
    coded = transcode(loud, RATE_HZ, "alaw")
    assert coded.dtype == np.float64
    assert np.abs(coded).max() < 1.3
