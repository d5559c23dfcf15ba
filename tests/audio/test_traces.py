"""The traces of silence and channel: worked by hand, on signals whose numbers are known."""

import warnings

import numpy as np
import pytest
import soundfile
from scipy import signal

from voxbench.audio import clean, load_audio
from voxbench.audio.traces import BANDS, EDGES_HZ, ENERGY, FLOOR_DBFS, TRACES, trace
from voxbench.config import Cleaning
from voxbench.corpora.manifest import COLUMNS

RATE_HZ = 16_000
Q = 0.075
DRAWS = np.random.default_rng(11)


def noise(seconds, dbfs, rate_hz=RATE_HZ, seed=0):
    """Return white noise of a level."""
    return 10 ** (dbfs / 20) * np.random.default_rng(seed).normal(size=round(seconds * rate_hz))


def zeros(seconds, rate_hz=RATE_HZ):
    return np.zeros(round(seconds * rate_hz))


def traced(*parts, rate_hz=RATE_HZ):
    wave = np.concatenate(parts).astype(np.float32)
    return trace(wave, rate_hz, Q, float(np.abs(wave).max()))


SPEECH = noise(1.0, -20)


def test_every_trace_is_a_float_in_the_order_of_the_manifest():
    found = traced(SPEECH)
    assert tuple(found) == TRACES
    assert {type(value) for value in found.values()} == {float}
    assert np.isfinite(list(found.values())).all()
    assert [name for name, _ in COLUMNS][-len(TRACES) :] == list(TRACES)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_silence_is_found_where_it_is(rate_hz):
    speech = noise(0.6, -20, rate_hz)
    found = traced(zeros(0.5, rate_hz), speech, zeros(0.3, rate_hz), speech, zeros(0.2, rate_hz), rate_hz=rate_hz)
    assert found["leading_silence_seconds"] == pytest.approx(0.5, abs=0.0101)
    assert found["trailing_silence_seconds"] == pytest.approx(0.2, abs=0.0201)
    assert found["pauses"] == 1
    assert found["silent_fraction"] == pytest.approx(1.0 / 2.2, abs=0.02)
    assert found["digital_silence_fraction"] == pytest.approx(1.0 / 2.2, abs=0.02)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0])
@pytest.mark.parametrize("made", [zeros, lambda seconds: noise(seconds, -70, seed=5)], ids=["digital", "room"])
def test_silence_that_is_added_is_added(seconds, made):
    before, after = traced(SPEECH), traced(made(seconds), SPEECH)
    assert after["leading_silence_seconds"] - before["leading_silence_seconds"] == pytest.approx(seconds)
    assert after["trailing_silence_seconds"] == before["trailing_silence_seconds"] == 0
    after = traced(SPEECH, made(seconds))
    assert after["trailing_silence_seconds"] == pytest.approx(seconds)
    assert after["leading_silence_seconds"] == 0


def test_a_pause_lasts_a_tenth_of_a_second():
    for frames, pauses in ((9, 0), (10, 1), (11, 1)):
        assert traced(SPEECH, zeros(frames / 100), SPEECH)["pauses"] == pauses
    assert traced(zeros(0.3), *[SPEECH[:1600], zeros(0.15)] * 4)["pauses"] == 3, "the ends are no pauses"


def test_a_frame_is_silent_below_the_threshold_of_cleaning():
    """Half the frames at 1, half at x: the mean power is (1 + x^2) / 2, so silent where x^2 < q^2 (1 + x^2) / 2."""
    least = np.sqrt(Q**2 / (2 - Q**2))
    square = np.tile([1.0, -1.0], RATE_HZ // 4)
    for x, share in ((0.999 * least, 0.5), (1.001 * least, 0.0)):
        assert traced(square, x * square)["silent_fraction"] == share


def test_how_energy_is_spread_by_hand():
    """Of four frames three have power 1 and one a hundredth: mean 0.7525, levels 0 and -20 dB, 18.8 dB below it."""
    frame = np.tile([1.0, -1.0], RATE_HZ // 200)
    found = traced(frame, frame, 0.1 * frame, frame)
    assert found["frame_level_sd_db"] == pytest.approx(np.std([0, 0, -20, 0]))
    assert found["frame_power_sd"] == pytest.approx(np.std([1, 1, 0.01, 1]) / 0.7525)
    assert found["loudest_frame_db"] == pytest.approx(-10 * np.log10(0.7525))
    assert (found["weak_fraction"], found["faint_fraction"]) == (0.25, 0)
    even = traced(frame, frame)
    assert [even[name] for name in ENERGY] == [0] * 5


def test_a_frame_is_weak_10_db_below_the_mean_and_silence_is_60_db_below():
    """Half the frames at 1, half at x: weak where x^2 < 0.1 (1 + x^2) / 2, that is x^2 < 1 / 19; faint: 1 / 199."""
    square = np.tile([1.0, -1.0], RATE_HZ // 4)
    for x, share in ((0.999, 0.5), (1.001, 0.0)):
        assert traced(square, x / np.sqrt(19) * square)["weak_fraction"] == share
        assert traced(square, x / np.sqrt(199) * square)["faint_fraction"] == share
    levels = [10 * np.log10(2), -60.0]
    assert traced(square, 0 * square)["frame_level_sd_db"] == pytest.approx(np.std(levels))


def test_another_voice_fills_the_pauses_of_the_first():
    def talk(seed):
        draws = np.random.default_rng(seed)
        return noise(4.0, -20, seed=seed) * np.repeat(draws.random(40) < 0.6, RATE_HZ // 10)

    counts = [
        np.mean([traced(sum(map(talk, range(9 * k, 9 * k + n))))["frame_level_sd_db"] for k in range(5)])
        for n in (1, 2, 3)
    ]
    assert counts[0] > counts[1] + 3 > counts[2] + 6


@pytest.mark.parametrize("offset", [0.0, 0.02, -0.3])
def test_an_offset_is_told_and_moves_nothing_else(offset):
    rooms = [noise(0.4, -60, seed=1), SPEECH, noise(0.4, -60, seed=2)]
    before = traced(*rooms)
    after = traced(*[part + offset for part in rooms])
    assert after["dc_offset"] - before["dc_offset"] == pytest.approx(offset, abs=1e-6)
    for name in set(TRACES) - {"dc_offset", "peak_dbfs"}:
        assert after[name] == pytest.approx(before[name], abs=0.02), name


@pytest.mark.parametrize("dbfs", [-50, -65, -80])
def test_quiet_frames_have_the_level_and_spectrum_of_the_room(dbfs):
    found = traced(noise(4.0, dbfs), SPEECH)
    # Those with the least power lie a little below the mean of all.
    assert found["quiet_dbfs"] == pytest.approx(dbfs - 1, abs=0.7)
    powers = [10 ** (found[name] / 10) for name in BANDS]
    assert 10 * np.log10(sum(powers)) == pytest.approx(found["quiet_dbfs"])
    widths = np.diff([0, *EDGES_HZ, RATE_HZ / 2]) / (RATE_HZ / 2)
    levels = dbfs + 10 * np.log10(widths)
    assert [found[name] for name in BANDS[1:]] == pytest.approx(levels[1:] - 1, abs=1.3)
    assert found[BANDS[0]] == pytest.approx(levels[0] - 2, abs=2), "what is constant over a frame is left out"


def test_each_tone_lies_in_its_band():
    for place, hz in enumerate((300, 800, 1500, 3000, 6000)):
        tone = 0.001 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)
        found = [traced(tone, SPEECH)[name] for name in BANDS]
        assert found[place] == pytest.approx(-60 + 10 * np.log10(0.5), abs=0.5)
        assert max(found[:place] + found[place + 1 :]) < found[place] - 20


@pytest.mark.parametrize("place", range(len(EDGES_HZ)))
def test_an_edge_belongs_to_the_band_above(place):
    tone = 0.001 * np.sin(2 * np.pi * EDGES_HZ[place] * np.arange(RATE_HZ) / RATE_HZ)
    found = traced(tone, SPEECH)
    assert found[BANDS[place + 1]] > found[BANDS[place]] + 3


def test_gain_moves_levels_and_nothing_else():
    parts = [noise(0.4, -60), SPEECH]
    before, after = traced(*parts), traced(*[part * 2.0**-3 for part in parts])
    levels = {"quiet_dbfs", "peak_dbfs", *BANDS}
    for name in levels:
        assert after[name] - before[name] == pytest.approx(20 * np.log10(2.0**-3)), name
    for name in set(TRACES) - levels - {"dc_offset"}:
        assert after[name] == before[name], name


def test_digital_silence_is_counted_apart_from_the_room():
    room = noise(1.0, -60)
    without, zeroed = traced(room, SPEECH), traced(zeros(0.5), room, SPEECH, zeros(0.5))
    assert without["digital_silence_fraction"] == 0
    assert zeroed["digital_silence_fraction"] == pytest.approx(1 / 3)
    assert zeroed["quiet_dbfs"] == pytest.approx(without["quiet_dbfs"], abs=0.5)


def test_one_bit_of_noise_is_no_digital_silence():
    step = 2.0**-15 * DRAWS.integers(-1, 2, size=RATE_HZ)
    assert traced(step, SPEECH)["digital_silence_fraction"] == 0


def test_no_power_has_the_level_of_the_floor_and_no_warning():
    """Only the samples after the last whole frame are not zero: there is nothing to measure, and nothing fails."""
    wave = np.concatenate([zeros(1.0), np.full(80, 0.5)]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trace(wave, RATE_HZ, Q, 0.5)
    assert found["digital_silence_fraction"] == 1
    assert [found[name] for name in ("quiet_dbfs", *BANDS)] == [FLOOR_DBFS] * 6
    assert [trace(np.append(zeros(0.1), [0.5, -0.5]).astype(np.float32), RATE_HZ, Q, 0.5)[name] for name in ENERGY] == [
        0
    ] * 5
    assert np.isfinite(list(found.values())).all()


def test_a_threshold_that_no_frame_reaches_makes_all_of_it_silence():
    wave = np.tile([0.5, -0.5], RATE_HZ // 2).astype(np.float32)
    found = trace(wave, RATE_HZ, 2.0, 0.5)
    assert (found["leading_silence_seconds"], found["trailing_silence_seconds"]) == (1.0, 1.0)
    assert (found["silent_fraction"], found["pauses"]) == (1.0, 0.0)


@pytest.mark.parametrize("gain", [1e-25, 1e-14, 1e14, 1e30])
def test_absurd_gains_are_measured_like_any_other(gain):
    parts = [zeros(0.1), noise(0.4, -60), SPEECH]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before, after = traced(*parts), traced(*[part * gain for part in parts])
    for name in ("leading_silence_seconds", "silent_fraction", "digital_silence_fraction", "pauses", "bandwidth_hz"):
        assert after[name] == before[name], name
    assert after["peak_dbfs"] == pytest.approx(max(before["peak_dbfs"] + 20 * np.log10(gain), FLOOR_DBFS), abs=1e-3)
    assert after["quiet_dbfs"] == pytest.approx(max(before["quiet_dbfs"] + 20 * np.log10(gain), FLOOR_DBFS), abs=1e-3)


@pytest.mark.parametrize("cutoff_hz", [1500, 3000, 5000])
def test_bandwidth_is_where_the_channel_ends(cutoff_hz):
    sections = signal.ellip(12, 0.1, 90, cutoff_hz, fs=RATE_HZ, output="sos")
    found = traced(signal.sosfilt(sections, noise(3.0, -20)))
    assert found["bandwidth_hz"] == pytest.approx(cutoff_hz, abs=600)  # the window's skirts
    assert traced(noise(3.0, -20))["bandwidth_hz"] == RATE_HZ / 2


def test_bands_above_half_the_rate_have_the_level_of_the_floor():
    found = traced(noise(1.0, -60, 6_000), noise(1.0, -20, 6_000), rate_hz=6_000)
    assert found[BANDS[-1]] == FLOOR_DBFS < found[BANDS[-2]]


@pytest.mark.parametrize("samples", [2, 17, 159, 161])
def test_recordings_shorter_than_a_frame_are_one_frame(samples):
    wave = np.tile([0.25, -0.5], samples)[:samples].astype(np.float32)
    found = trace(wave, RATE_HZ, Q, 0.5)
    assert np.isfinite(list(found.values())).all()
    assert (found["silent_fraction"], found["pauses"]) == (0.0, 0.0)


def test_equal_audio_has_equal_traces_in_every_container(tmp_path):
    samples = np.rint(2.0**15 * np.concatenate([noise(0.3, -70), 0.5 * SPEECH, zeros(0.2)])).astype(np.int16)
    found = []
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, samples, RATE_HZ, subtype="PCM_16")
        decoded, rate_hz = load_audio(tmp_path / name)
        found.append(trace(decoded, rate_hz, Q, float(np.abs(decoded).max())))
    assert found[0] == found[1]


def test_where_the_samples_lie_in_memory_changes_no_bit():
    wave = np.concatenate([noise(0.3, -60), SPEECH]).astype(np.float32)
    expected = trace(wave, RATE_HZ, Q, 0.5)
    for shift in range(1, 9):
        moved = np.empty(wave.size + shift, np.float32)[shift:]
        moved[:] = wave
        assert trace(moved, RATE_HZ, Q, 0.5) == expected


def test_cleaning_knows_the_peak():
    settings = Cleaning(
        sample_rate_hz=RATE_HZ,
        silence_q=Q,
        silence_at="everywhere",
        pre_emphasis=0.97,
        low_pass_order=10,
        low_pass_hz=4000.0,
        zero_phase=True,
        z_score=True,
        min_seconds=0.5,
        max_seconds=10.0,
        max_clipped_fraction=0.1,
    )
    wave = (0.25 * SPEECH / np.abs(SPEECH).max()).astype(np.float32)
    found = trace(wave, RATE_HZ, Q, clean(wave, RATE_HZ, settings).peak)
    assert found["peak_dbfs"] == pytest.approx(20 * np.log10(0.25), abs=1e-5)
