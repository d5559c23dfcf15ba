"""The laws of the cleaning chain against published vectors, scipy, torchaudio and brute force."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soxr
from scipy import signal

from voxbench.audio import AudioError, clean
from voxbench.audio.cleaning import low_pass, pre_emphasize, remove_silence, resample, z_score
from voxbench.config import Cleaning
from voxbench.schema import InputError

RATE_HZ = 16_000
TIME = np.arange(3 * RATE_HZ) / RATE_HZ
NOISE = np.random.default_rng(3).laplace(size=3 * RATE_HZ) * 0.05
SETTINGS = {
    "sample_rate_hz": 16_000,
    "silence_q": 0.075,
    "silence_at": "everywhere",
    "pre_emphasis": 0.97,
    "low_pass_order": 10,
    "low_pass_hz": 4000.0,
    "zero_phase": True,
    "z_score": True,
    "min_seconds": 1.0,
    "max_seconds": 4.0,
    "max_clipped_fraction": 0.01,
}


def chain(wave, rate_hz=RATE_HZ, **changes):
    return clean(np.asarray(wave, np.float32), rate_hz, Cleaning(**(SETTINGS | changes)))


def reason(function, *arguments, **changes):
    with pytest.raises(AudioError) as caught:
        function(*arguments, **changes)
    return caught.value.reason


X = [0.0, 0.5, -0.02, 0.01, -0.5, 0.03, 0.0, 0.2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("q", "kept"),
    [
        (0.0, X),
        (0.05, [0.0, 0.5, -0.02, 0.01, -0.5, 0.0, 0.2]),
        (0.075, [0.0, 0.5, -0.02, -0.5, 0.0, 0.2]),
        (0.10, [0.0, 0.5, -0.02, -0.5, 0.0, 0.2]),
        (0.11, [0.5, -0.02, -0.5, 0.2]),
    ],
)
def test_silence_vector(q, kept, dtype):
    result = remove_silence(np.array(X, dtype), q)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.array(kept, dtype))


def test_silence_against_a_loop():
    mean, std = NOISE.mean(), NOISE.std()
    expected = [x for x in NOISE if abs(x - mean) / std >= 0.075]
    np.testing.assert_array_equal(remove_silence(NOISE, 0.075), expected)


def test_silence_keeps_a_sample_at_exactly_q():
    # mean 0, population deviation 1: distances are 1 (four times) and 0 is never reached
    np.testing.assert_array_equal(remove_silence(np.array([1.0, -1.0, 1.0, -1.0]), 1.0), [1, -1, 1, -1])


def test_silence_does_not_depend_on_gain():
    kept = remove_silence(NOISE, 0.075)
    np.testing.assert_array_equal(remove_silence(NOISE * 2.0**-9, 0.075), kept * 2.0**-9)


def test_silence_share_of_laplacian_noise():
    # P(|x| < q std) = 1 - exp(-q sqrt 2) = 10.07 % at q 0.075
    assert 1 - remove_silence(NOISE, 0.075).size / NOISE.size == pytest.approx(0.1007, abs=0.006)


def test_silence_refuses_a_constant():
    assert reason(remove_silence, np.full(100, 0.5), 0.075) == "silent"


def test_pre_emphasis_vector():
    np.testing.assert_allclose(pre_emphasize(np.array([1.0, 2.0, -1.0, 0.5]), 0.97), [1, 1.03, -2.94, 1.47], atol=1e-12)


def test_pre_emphasis_against_torchaudio():
    functional = pytest.importorskip("torchaudio").functional
    torch = pytest.importorskip("torch")
    expected = functional.preemphasis(torch.from_numpy(NOISE.copy()), 0.97).numpy()
    np.testing.assert_allclose(pre_emphasize(NOISE, 0.97), expected, atol=1e-12)


IMPULSE = [0.00289645, 0.02896446, 0.12645772, 0.30875003, 0.43717224, 0.30026511, -0.04691208, -0.22550631]


@pytest.mark.parametrize("samples", [100, 16_000])
def test_low_pass_impulse_vector(samples):
    impulse = np.zeros(samples)
    impulse[0] = 1
    np.testing.assert_allclose(low_pass(impulse, RATE_HZ, 10, 4000.0, False)[:8], IMPULSE, atol=1e-8)


def test_low_pass_gain_vector():
    impulse = np.zeros(16_000)
    impulse[0] = 1
    for passes, centre in ((1, 0), (2, 8_000)):
        response = low_pass(np.roll(impulse, centre), RATE_HZ, 10, 4000.0, passes == 2)
        gain_db = 20 * np.log10(np.abs(np.fft.rfft(response)))[[1000, 3500, 4000, 5000, 6000]]
        expected = passes * np.array([0, -0.083, -3.01, -35.023, -76.555])
        np.testing.assert_allclose(gain_db, expected, atol=1e-3 * passes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("samples", [800, 16_000])
def test_low_pass_two_tone_vector(samples, dtype):
    time = np.arange(samples) / RATE_HZ
    tones = (np.sin(2 * np.pi * 1000 * time) + np.sin(2 * np.pi * 6000 * time)).astype(dtype)
    once, twice = (low_pass(tones, RATE_HZ, 10, 4000.0, zero_phase) for zero_phase in (False, True))
    assert once.dtype == twice.dtype == dtype
    np.testing.assert_allclose(twice[400:405], [0, 0.382683, 0.707107, 0.92388, 1.0], atol=1.5e-6)
    expected = [-0.957332, -0.77359, -0.472532, -0.099096, 0.289262]
    np.testing.assert_allclose(once[400:405], expected, atol=1.5e-6)


@pytest.mark.parametrize("samples", [40, 500, 1_407, 1_408, 5_000, 48_000])
@pytest.mark.parametrize(
    ("rate_hz", "order", "cutoff_hz"),
    [
        (16_000, 10, 4000.0),
        (48_000, 10, 4000.0),
        (22_050, 3, 4000.0),
        (16_000, 6, 7990.0),
        (16_000, 1, 100.0),
    ],
)
def test_low_pass_against_scipy(samples, rate_hz, order, cutoff_hz):
    wave = NOISE[:samples] * 20 + 1
    sections = signal.butter(order, cutoff_hz, fs=rate_hz, output="sos")
    once, twice = signal.sosfilt(sections, wave), signal.sosfiltfilt(sections, wave)
    np.testing.assert_allclose(low_pass(wave, rate_hz, order, cutoff_hz, False), once, atol=1e-9)
    np.testing.assert_allclose(low_pass(wave, rate_hz, order, cutoff_hz, True), twice, atol=1e-9)
    single = low_pass(wave.astype(np.float32), rate_hz, order, cutoff_hz, True)
    np.testing.assert_allclose(single, twice, atol=1e-6 * np.abs(wave).max())


def oaconvolved(wave, rate_hz, zero_phase):
    impulse = np.eye(1, 8192)[0]
    response = signal.sosfilt(signal.butter(10, 4000.0, fs=rate_hz, output="sos"), impulse)
    response = response[: np.flatnonzero(np.abs(response) > 1e-12 * np.abs(response).max())[-1] + 1]
    kernel = np.convolve(response, response[::-1]) if zero_phase else response
    whole = signal.oaconvolve(wave, kernel.astype(wave.dtype))
    start = response.size - 1 if zero_phase else 0
    return whole[start : start + wave.size], 2 * response.size if zero_phase else 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize(
    # 3,106 and 1,425 samples are steps from block to block; the last sizes leave less than the filter's delay.
    ("rate_hz", "samples"),
    [(16_000, 48_000), (16_000, 31_060), (16_000, 14_250), (16_000, 31_059), (16_000, 31_100)],
)
def test_low_pass_is_oaconvolve_to_the_bit(rate_hz, samples, zero_phase, dtype):
    wave = NOISE[:samples].astype(dtype)
    expected, edge = oaconvolved(wave, rate_hz, zero_phase)
    inner = slice(edge, samples - edge)
    np.testing.assert_array_equal(low_pass(wave, rate_hz, 10, 4000.0, zero_phase)[inner], expected[inner])


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("zero_phase", [True, False])
def test_low_pass_is_oaconvolve_where_blocks_are_shorter_to_be_faster(zero_phase, dtype, most):
    wave = NOISE[:48_000].astype(dtype)
    expected, edge = oaconvolved(wave, 48_000, zero_phase)
    inner = slice(edge, wave.size - edge)
    np.testing.assert_allclose(
        low_pass(wave, 48_000, 10, 4000.0, zero_phase)[inner], expected[inner], rtol=0, atol=most
    )


def test_low_pass_refusals():
    for cutoff_hz in (8000.0, 9000.0, 0.0):
        assert reason(low_pass, NOISE, RATE_HZ, 10, cutoff_hz, True) == "rate_too_low"
    assert reason(low_pass, NOISE[:33], RATE_HZ, 10, 4000.0, True) == "too_short"


def test_z_score():
    result = z_score(NOISE * 7 + 3)
    assert (result.mean(), result.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1, abs=1e-12))
    np.testing.assert_allclose(z_score(np.array([1.0, 3.0])), [-1, 1])
    np.testing.assert_array_equal(z_score(np.full(5, 0.25)), np.zeros(5))


def test_resample():
    assert resample(NOISE, RATE_HZ, RATE_HZ) is NOISE
    np.testing.assert_array_equal(resample(NOISE, 48_000, 16_000), soxr.resample(NOISE, 48_000, 16_000, "HQ"))
    tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(resample(tone, 48_000, 16_000)[200:-200], expected[200:-200], atol=1e-4)
    with pytest.raises(InputError, match="sample rates 0"):
        resample(NOISE, 0, RATE_HZ)


@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
def test_chain_against_float64_in_the_order_of_the_sheet(rate_hz, zero_phase):
    wave = NOISE.astype(np.float32)
    kept = wave.astype(float)[
        np.abs(wave - NOISE.astype(np.float32).mean(dtype=float)) / wave.std(dtype=float) >= 0.075
    ]
    voiced = np.concatenate([kept[:1], kept[1:] - 0.97 * kept[:-1]])
    filtering = signal.sosfiltfilt if zero_phase else signal.sosfilt
    passed = filtering(signal.butter(10, 4000, fs=rate_hz, output="sos"), voiced)
    scored = (passed - passed.mean()) / passed.std()
    expected = soxr.resample(scored, rate_hz, RATE_HZ, "HQ") if rate_hz != RATE_HZ else scored
    cleaned = chain(wave, rate_hz, zero_phase=zero_phase, min_seconds=0.1)
    assert cleaned.wave.dtype == np.float32
    np.testing.assert_allclose(cleaned.wave, expected, atol=2e-5)
    assert cleaned.source_seconds == wave.size / rate_hz
    assert cleaned.kept_seconds == kept.size / rate_hz
    assert cleaned.peak == np.abs(wave).max()
    assert cleaned.clipped_fraction == 0


@pytest.mark.parametrize("gain", [2.0**-90, 2.0**-9, 2.0, 2.0**120])
def test_chain_does_not_depend_on_gain(gain):
    wave = (NOISE / np.abs(NOISE).max() / 4).astype(np.float32)
    scaled = chain(wave * np.float32(gain), max_clipped_fraction=1.0)
    np.testing.assert_array_equal(scaled.wave, chain(wave).wave)


def test_chain_leaves_its_input_alone():
    wave = NOISE.astype(np.float32)
    before = wave.copy()
    chain(wave)
    np.testing.assert_array_equal(wave, before)


def test_min_bounds_what_is_kept_and_max_bounds_the_source():
    kept_seconds = chain(NOISE).kept_seconds
    assert kept_seconds < 3.0
    assert chain(NOISE, min_seconds=kept_seconds, max_seconds=3.0).kept_seconds == kept_seconds
    assert reason(chain, NOISE, min_seconds=kept_seconds + 1e-4) == "too_short"
    assert reason(chain, NOISE, max_seconds=2.9999) == "too_long"


def test_clipped_fraction():
    wave = 0.5 * np.sin(2 * np.pi * 200 * TIME)
    wave[:480] = 1.0
    wave[480:960] = -1.0
    assert chain(wave, max_clipped_fraction=0.02).clipped_fraction == 0.02
    assert reason(chain, wave, max_clipped_fraction=0.0199) == "clipped"


def test_chain_refusals():
    assert reason(chain, np.zeros(32_000)) == "silent"
    assert reason(chain, np.zeros(0)) == "too_short"
    assert reason(chain, np.where(np.arange(32_000) == 5, np.nan, 0.1)) == "non_finite"
    assert reason(chain, NOISE[:30], min_seconds=1e-6) == "too_short"
    assert reason(chain, NOISE, 8_000, max_seconds=9.0) == "rate_too_low"


def test_long_waves_are_cleaned_alike_on_one_thread_and_on_several():
    """BLAS sums a dot product of more than ten thousand samples in as many parts as it has threads."""
    program = (
        "import hashlib, numpy as np\n"
        "from voxbench.audio.cleaning import remove_silence, z_score\n"
        "waves = [np.random.default_rng(seed).normal(size=20_000 + 999 * seed) for seed in range(20)]\n"
        "print(hashlib.sha256(b''.join(z_score(remove_silence(w, 0.5)).tobytes() for w in waves)).hexdigest())\n"
    )
    runs = set()
    for threads in ("1", "2"):
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": threads}
        run = [sys.executable, "-c", program]
        runs.add(subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout)
    assert len(runs) == 1
