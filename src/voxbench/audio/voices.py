"""Synthetic speakers: drawn voices, invented sentences, and eSpeak NG to speak them.

eSpeak NG (Duddington; Dunn; https://github.com/espeak-ng/espeak-ng) comes as a shared library with its
data in the package `espeakng-loader`. It is GPL-3.0-or-later and is only loaded at run time through ctypes.

A voice is a generated eSpeak voice file. Its numbers are drawn by sex from published distributions:

| quantity              | male        | female      | source                                               |
|-----------------------|-------------|-------------|------------------------------------------------------|
| mean F0, Hz           | 120 sd 20   | 210 sd 25   | Titze 1989 (means); spread of Hillenbrand et al. 1995 |
| formant scale         | 1.00 sd .05 | 1.16 sd .05 | Peterson & Barney 1952, Hillenbrand et al. 1995      |
| F0 change with age    | rises > 60  | falls       | Stathopoulos, Huber & Sussman 2011                   |
| speaking rate, breath | slower, breathier and rougher with age    | Ramig 1983; Linville 1996       |

Deviations: F0 and formant scale are independent within a sex; the slopes with age are rounded figures in
the direction of the sources, not fits. The distributions of the sexes overlap on purpose.
"""

from __future__ import annotations

import _ctypes
import ctypes
import functools
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from voxbench.registry import closest
from voxbench.schema import GENDERS, InputError

MEAN_F0_HZ = {"female": (210.0, 25.0), "male": (120.0, 20.0)}
FORMANT_SCALE = {"female": (1.16, 0.05), "male": (1.00, 0.05)}
F0_BOUNDS_HZ = (70.0, 330.0)
REFERENCE_AGE_YEARS = 40.0
"""The age at which the table holds; also taken for a speaker of unknown age."""

AGE_EXAGGERATION = 2.0
"""How much faster than people these voices age, so that the few hundred clips of a demo suffice to learn it."""

FORMANTS = 9
"""eSpeak's peaks 0..8: 0 lies below the first formant, 6..8 shape the high frequencies."""

OUTPUT_SYNCHRONOUS = 2
DO_NOT_EXIT = 0x8000
TEXT_IS_UTF8 = 1
LONGEST_VOICE_PATH = 150

_SAMPLES_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_speaking = threading.Lock()


@dataclass(frozen=True, slots=True)
class Voice:
    """One synthetic speaker: what eSpeak needs to sound like them.

    `language` names a file of eSpeak's `lang` folder (`en-US`, `ru`). `pitch_range_hz` separates the two
    pitch anchors of the intonation. The tuples hold one percentage per peak, relative to eSpeak's own
    adult male voice. `flutter` (slow F0 wander), `roughness` (0..7) and `breath` (noise in the formants)
    are in eSpeak's units; `speed_percent` is relative to 175 words per minute.
    """

    language: str
    pitch_hz: float
    pitch_range_hz: float
    frequency_percent: tuple[int, ...]
    height_percent: tuple[int, ...]
    width_percent: tuple[int, ...]
    flutter: int
    roughness: int
    breath: int
    speed_percent: int


def draw_voice(generator: np.random.Generator, gender: str, age_years: float | None) -> Voice:
    """Draw an American English speaker of one of `GENDERS`; None stands for an unknown age.

    `dataclasses.replace(voice, language="ru")` lets the same speaker speak another language.
    """
    if gender not in GENDERS:
        raise InputError(f"unknown gender {gender!r}{closest(gender, GENDERS)}; known: {', '.join(GENDERS)}")
    age = REFERENCE_AGE_YEARS if age_years is None else age_years
    years = AGE_EXAGGERATION * (age - REFERENCE_AGE_YEARS)
    drift_hz = -0.5 * years if gender == "female" else max(0.0, years - AGE_EXAGGERATION * (60.0 - REFERENCE_AGE_YEARS))
    pitch_hz = float(np.clip(generator.normal(*MEAN_F0_HZ[gender]) + drift_hz, *F0_BOUNDS_HZ))
    scale = generator.normal(*FORMANT_SCALE[gender])
    frequencies = 100.0 * scale * (1.0 + generator.normal(0.0, 0.04, FORMANTS))
    heights = 100.0 * (1.0 + generator.normal(0.0, 0.20, FORMANTS)) - 0.25 * years * (np.arange(FORMANTS) > 2)
    widths = 115.0 * (1.0 + generator.normal(0.0, 0.20, FORMANTS))
    return Voice(
        language="en-US",
        pitch_hz=pitch_hz,
        pitch_range_hz=pitch_hz * generator.uniform(0.2, 0.5),
        frequency_percent=_whole(frequencies, 70, 145),
        height_percent=_whole(heights, 40, 160),
        width_percent=_whole(widths, 70, 190),
        flutter=int(generator.integers(1, 6)) + round(max(0.0, years) / 10.0),
        roughness=int(np.clip(generator.integers(0, 5) + round(years / 20.0), 0, 7)),
        breath=int(np.clip(generator.integers(0, 6) + round(years / 20.0), 0, 9)),
        speed_percent=_whole(generator.normal(100.0 - 0.4 * years, 8.0, 1), 65, 140)[0],
    )


def _whole(values: NDArray[np.float64], low: int, high: int) -> tuple[int, ...]:
    """Round to whole numbers within bounds."""
    return tuple(int(value) for value in np.clip(np.rint(values), low, high))


def speak(voice: Voice, text: str) -> tuple[NDArray[np.float32], int]:
    """Speak a text: float32 samples (S,) within -1..1 and their sample rate in Hz (22,050).

    The same voice and text give the same bytes in every process and whatever was spoken before.
    A text without anything to say raises InputError.
    """
    if not any(letter.isalnum() for letter in text):
        raise InputError(f"text {text!r} holds nothing that can be spoken")
    with _speaking, tempfile.NamedTemporaryFile("w", prefix="voice", encoding="utf-8") as voice_file:
        if len(voice_file.name) > LONGEST_VOICE_PATH:
            # eSpeak copies the path into a buffer of about 190 bytes without looking.
            raise InputError(f"temporary path {voice_file.name!r} is too long; set a shorter TMPDIR")
        voice_file.write(_voice_text(voice))
        voice_file.flush()
        pcm, sample_rate_hz = _synthesize(voice_file.name.encode(), text.encode())
    return np.frombuffer(pcm, np.int16).astype(np.float32) / 32768.0, sample_rate_hz


def _synthesize(voice_path: bytes, text: bytes) -> tuple[bytes, int]:
    """Load eSpeak, speak, unload it; return 16-bit samples and their rate."""
    # Flutter phase, glottal cycle count and gain control live in static variables of the library that
    # no call resets: only a freshly loaded library is in a known state. Loading takes about 1 ms.
    library_path = espeakng_loader.get_library_path()
    _refuse_if_loaded(library_path)
    chunks: list[bytes] = []

    def keep(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _SAMPLES_CALLBACK(keep)
    espeak = ctypes.CDLL(library_path)
    try:
        data_path = espeakng_loader.get_data_path().encode()
        sample_rate_hz = espeak.espeak_Initialize(OUTPUT_SYNCHRONOUS, 0, data_path, DO_NOT_EXIT)
        if sample_rate_hz <= 0:
            raise RuntimeError(f"eSpeak NG cannot read its data in {data_path.decode()}")
        espeak.espeak_SetSynthCallback(callback)
        if espeak.espeak_ng_SetVoiceByFile(voice_path) != 0:
            raise RuntimeError("eSpeak NG refuses the generated voice file")
        # Loading seeds the breath noise from the clock.
        espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))
        size = ctypes.c_size_t(len(text) + 1)
        if espeak.espeak_Synth(text, size, 0, 0, 0, TEXT_IS_UTF8, None, None) != 0:
            raise RuntimeError("eSpeak NG failed to speak")
        espeak.espeak_Terminate()
    finally:
        _ctypes.dlclose(espeak._handle)
    return b"".join(chunks), sample_rate_hz


def _refuse_if_loaded(library_path: str) -> None:
    """Raise if someone else holds the library: its state, and so our bytes, would depend on them."""
    try:
        held = ctypes.CDLL(library_path, mode=os.RTLD_NOLOAD)
    except OSError:
        return
    _ctypes.dlclose(held._handle)
    raise RuntimeError("eSpeak NG is already loaded in this process; speak in a process of its own")


def _voice_text(voice: Voice) -> str:
    """Write the voice file: the language's own settings, then the speaker's."""
    # Measured over ranges of 30 to 100 Hz: median F0 = low - 9 + 0.79 (high - low), within 1 Hz.
    low_hz = voice.pitch_hz + 9.0 - 0.79 * voice.pitch_range_hz
    lines = [
        _language_text(voice.language),
        f"pitch {round(low_hz)} {round(low_hz + voice.pitch_range_hz)}",
        f"flutter {voice.flutter}",
        f"roughness {voice.roughness}",
        f"breath {' '.join([str(voice.breath)] * 8)}",
        f"speed {voice.speed_percent}",
    ]
    peaks = zip(voice.frequency_percent, voice.height_percent, voice.width_percent, strict=True)
    lines += [f"formant {k} {' '.join(map(str, percents))}" for k, percents in enumerate(peaks)]
    return "\n".join(lines) + "\n"


@functools.cache
def _language_text(language: str) -> str:
    """Return eSpeak's settings of a language."""
    folder = Path(espeakng_loader.get_data_path(), "lang")
    files = {path.name: path for path in sorted(folder.rglob("*")) if path.is_file()}
    if language not in files:
        raise InputError(f"eSpeak NG does not speak {language!r}{closest(language, files)}")
    return files[language].read_text(encoding="utf-8")


_GRAMMARS = {
    "en": {
        "sentence": "the adjective noun verb the noun place the adjective noun",
        "adjective": "quiet old narrow yellow clever heavy young bitter famous early gentle northern broken"
        " simple golden curious empty cheerful careful distant",
        "noun": "teacher river garden window doctor station bridge morning market village sailor kitchen"
        " mountain picture journey lantern captain question newspaper forest engine neighbour machine",
        "verb": "followed carried discovered remembered painted answered visited measured repaired noticed"
        " opened described watched borrowed explained ignored guarded chased collected surprised",
        "place": "behind beside above without near around beyond against under before",
        "time": "yesterday today tonight twice again quickly slowly together already forever once eventually",
        "opening": "Perhaps However Suddenly Meanwhile Later Usually Often Apparently Fortunately Afterwards",
    },
    "ru": {  # who: masculine nominative; what: feminine accusative; where: masculine genitive
        "sentence": "какой кто сделал какую что рядом какого чего",
        "какой": "старый молодой высокий добрый весёлый строгий усталый знакомый тихий смелый мудрый вежливый"
        " ленивый сильный хитрый рыжий скромный бывший известный счастливый",
        "кто": "учитель доктор моряк сосед мальчик художник капитан повар рыбак садовник гость брат пекарь лётчик"
        " сторож музыкант инженер охотник кузнец почтальон",
        "сделал": "нашёл увидел забыл купил спрятал потерял вспомнил описал проверил починил показал заметил"
        " выбрал принёс измерил оставил продал украсил поднял получил",
        "какую": "старую новую жёлтую тяжёлую красивую пустую длинную странную лёгкую большую синюю круглую"
        " дорогую редкую тёмную широкую простую чужую яркую узкую",
        "что": "книгу лампу лодку картину газету машину шляпу дверь сумку карту чашку рыбу лестницу монету"
        " крышу скрипку тетрадь клетку верёвку корзину",
        "рядом": "около возле вокруг вдоль позади напротив близ посреди",
        "какого": "узкого северного каменного зелёного дальнего шумного городского пустого древнего белого"
        " холодного высокого широкого тёмного нового маленького",
        "чего": "моста сада леса рынка города вокзала дворца дома завода озера музея поля театра острова порта двора",
        "time": "вчера сегодня утром вечером снова быстро медленно вместе однажды наконец случайно летом",
        "opening": "Наверное Однако Кажется Конечно Пожалуй Впрочем Говорят Возможно Вероятно Действительно",
    },
}
_WORDS = {language: {kind: words.split() for kind, words in grammar.items()} for language, grammar in _GRAMMARS.items()}


def invent_sentence(generator: np.random.Generator, language: str) -> str:
    """Invent a sentence of 8 to 12 words from a fixed grammar (over 10^9 different ones).

    `language` is eSpeak's (`en-US`, `ru`); its part before the hyphen must have a grammar here, or InputError
    is raised.
    """
    words = _WORDS.get(language.split("-")[0])
    if words is None:
        raise InputError(f"no sentences in {language!r}{closest(language, _WORDS)}; known: {', '.join(_WORDS)}")

    def pick(kind: str) -> str:
        return str(generator.choice(words[kind]))

    sentence = " ".join(pick(word) if word in words else word for word in words["sentence"])
    if generator.random() < 0.5:
        sentence = f"{pick('opening')}, {sentence}"
    if generator.random() < 0.5:
        sentence = f"{sentence} {pick('time')}"
    return sentence[0].upper() + sentence[1:] + "."
