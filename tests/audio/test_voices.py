"""Voices: what was asked is what sounds, and the same words give the same bytes."""

import ctypes
import hashlib
import os
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace

import librosa
import numpy as np
import pytest

from voxbench.audio.voices import draw_voice, invent_sentence, speak
from voxbench.schema import GENDERS, InputError

TEXT = "The old teacher followed the quiet river behind the yellow bridge."


def voice_of(seed, gender="female", age_years=None):
    return draw_voice(np.random.default_rng(seed), gender, age_years)


def median_f0_hz(wave, sample_rate_hz):
    f0, _, _ = librosa.pyin(wave, fmin=50, fmax=450, sr=sample_rate_hz, frame_length=1024, hop_length=512)
    return np.nanmedian(f0)


def worst_case():
    """Return a voice that uses every part of eSpeak that keeps a state: flutter, roughness, noise."""
    return replace(voice_of(3), flutter=5, roughness=5, breath=6)


@pytest.mark.parametrize(("pitch_hz", "range_hz"), [(90.0, 20.0), (140.0, 60.0), (210.0, 90.0), (280.0, 60.0)])
def test_measured_pitch_follows_the_voice(pitch_hz, range_hz):
    wave, rate_hz = speak(replace(voice_of(1), pitch_hz=pitch_hz, pitch_range_hz=range_hz), TEXT)
    assert median_f0_hz(wave, rate_hz) == pytest.approx(pitch_hz, rel=0.03)


def test_formant_scale_moves_the_spectrum_and_not_the_pitch():
    neutral = replace(voice_of(1), breath=0, pitch_hz=150.0, height_percent=(100,) * 9, width_percent=(100,) * 9)
    centroids, pitches = [], []
    for percent in (90, 120):
        wave, rate_hz = speak(
            replace(neutral, frequency_percent=(percent,) * 9),
            "We were away a year ago, in our yellow rowing area.",
        )
        power = np.mean(np.abs(librosa.stft(wave, n_fft=1024)) ** 2, axis=1)
        centroids.append(power @ librosa.fft_frequencies(sr=rate_hz, n_fft=1024) / power.sum())
        pitches.append(median_f0_hz(wave, rate_hz))
    assert centroids[1] > 1.1 * centroids[0]
    assert pitches[1] == pytest.approx(pitches[0], rel=0.03)


def digest():
    wave, _ = speak(worst_case(), TEXT)
    return hashlib.sha256(wave.tobytes()).hexdigest()


def test_speed():
    slow, fast = (speak(replace(voice_of(1), speed_percent=percent), TEXT)[0].size for percent in (80, 120))
    assert slow > 1.2 * fast


def test_speech_is_mono_float32_unclipped_and_audible():
    wave, rate_hz = speak(voice_of(2, "male"), TEXT)
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert rate_hz == 22_050
    assert 2.0 < wave.size / rate_hz < 8.0
    assert 0.1 < np.abs(wave).max() < 1.0
    assert np.sqrt(np.mean(wave**2)) > 0.01


def test_same_bytes_whatever_was_spoken_before_and_in_another_second():
    first, _ = speak(worst_case(), TEXT)
    speak(replace(voice_of(9, "male"), flutter=3, roughness=7, breath=9), "Something else of another length.")
    ctypes.CDLL(None).srand(12_345)
    time.sleep(1.1)  # eSpeak seeds its noise from the clock, in whole seconds
    second, _ = speak(worst_case(), TEXT)
    np.testing.assert_array_equal(first, second)


def run_fresh(statement):
    """Run a statement in a new process that knows this module's `names`."""
    program = f"import ctypes, espeakng_loader, runpy, sys; names = runpy.run_path(sys.argv[1]); {statement}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", program, __file__], capture_output=True, text=True, env=environment)


def test_same_bytes_in_a_fresh_process():
    fresh = run_fresh("sys.stdout.write(names['digest']())")
    assert fresh.returncode == 0, fresh.stderr
    assert fresh.stdout == digest()


def test_a_library_held_by_someone_else_is_refused():
    fresh = run_fresh("held = ctypes.CDLL(espeakng_loader.get_library_path()); names['digest']()")
    assert fresh.returncode != 0
    assert "already loaded" in fresh.stderr


def test_other_languages_and_unknown_ones():
    russian, _ = speak(replace(voice_of(1), language="ru"), "Добрый день, как ваши дела сегодня?")
    assert russian.size > 22_050
    with pytest.raises(InputError, match="did you mean 'en-US'"):
        speak(replace(voice_of(1), language="en-USA"), TEXT)


@pytest.mark.parametrize("text", ["", "  ", "...!"])
def test_nothing_to_say_is_refused(text):
    with pytest.raises(InputError, match="nothing that can be spoken"):
        speak(voice_of(1), text)


def test_a_temporary_path_that_overflows_the_library_is_refused(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 150)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(InputError, match="TMPDIR"):
        speak(voice_of(1), TEXT)


def test_unknown_gender_is_refused():
    with pytest.raises(InputError, match="did you mean 'female'"):
        voice_of(1, "femal")


def test_draws_are_repeatable_and_follow_the_published_distributions():
    assert voice_of(7) == voice_of(7)
    assert voice_of(7) != voice_of(8)
    generator = np.random.default_rng(0)
    pitch, scale = {}, {}
    for gender in GENDERS:
        voices = [draw_voice(generator, gender, None) for _ in range(1500)]
        pitch[gender] = np.array([voice.pitch_hz for voice in voices])
        scale[gender] = np.array([np.mean(voice.frequency_percent) for voice in voices]) / 100
    assert pitch["male"].mean() == pytest.approx(120, abs=2)
    assert pitch["female"].mean() == pytest.approx(210, abs=2)
    assert scale["female"].mean() / scale["male"].mean() == pytest.approx(1.16, abs=0.01)
    # The sexes overlap: the best single threshold on either cue makes errors.
    assert np.quantile(pitch["male"], 0.99) > np.quantile(pitch["female"], 0.01)
    assert np.quantile(scale["male"], 0.98) > np.quantile(scale["female"], 0.02)


def test_age_lowers_female_pitch_raises_late_male_pitch_and_slows_speech():
    def mean(field, gender, age_years):
        voices = [voice_of(seed, gender, age_years) for seed in range(50)]
        return np.mean([getattr(voice, field) for voice in voices])

    assert mean("pitch_hz", "female", 75.0) < mean("pitch_hz", "female", 20.0) - 15
    assert mean("pitch_hz", "male", 80.0) > mean("pitch_hz", "male", 50.0) + 10
    assert mean("speed_percent", "male", 80.0) < mean("speed_percent", "male", 20.0) - 10


def test_an_unknown_age_is_the_reference_age():
    assert voice_of(4, age_years=None) == voice_of(4, age_years=40.0)


@pytest.mark.parametrize(("language", "words"), [("en-US", {10, 11, 12}), ("ru", {8, 9, 10})])
def test_sentences_vary_and_repeat_with_the_seed(language, words):
    sentences = [invent_sentence(np.random.default_rng(seed), language) for seed in range(200)]
    assert len(set(sentences)) == 200
    assert sentences[3] == invent_sentence(np.random.default_rng(3), language)
    assert {len(sentence.split()) for sentence in sentences} == words
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in sentences)


def test_sentences_are_in_the_letters_of_their_language():
    for language, script in (("en-GB", "LATIN"), ("ru", "CYRILLIC")):
        sentences = [invent_sentence(np.random.default_rng(seed), language) for seed in range(500)]
        letters = set("".join(sentences)) - set(" ,.")
        assert all(unicodedata.name(letter).startswith(script) for letter in letters)


def test_recorded_sentences():
    """A sentence that changes changes every corpus made of it."""
    recorded = {
        ("en-US", 0): "The cheerful journey opened the bridge without the quiet river.",
        ("en-US", 1): "Afterwards, the early kitchen ignored the neighbour behind the narrow newspaper twice.",
        ("ru", 1): "Вероятно, смелый гость оставил узкую книгу возле тёмного двора.",
    }
    for (language, seed), sentence in recorded.items():
        assert invent_sentence(np.random.default_rng(seed), language) == sentence


def test_a_language_without_grammar_is_refused():
    with pytest.raises(InputError, match=r"no sentences in 'rus' \(did you mean 'ru'\?\); known: en, ru"):
        invent_sentence(np.random.default_rng(0), "rus")
