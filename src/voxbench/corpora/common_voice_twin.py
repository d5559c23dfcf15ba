"""The synthetic twin of Common Voice: generated speakers who read invented sentences.

Layout and licence of the original: `voxbench.corpora.common_voice`. An edition stands for its time:

| edition | columns                                            | gender words                    | clips  |
|---------|----------------------------------------------------|---------------------------------|--------|
| 7.0     | 10, `accent`                                       | male, female                    | 48 kHz |
| 17.0    | 13, `accents`, `sentence_id`, `sentence_domain`    | male_masculine, female_feminine | 32 kHz |

Deviations: every clip is validated; the test set is a drawn share of the speakers and dev as large; accents, variants
and segments are empty.

Shape letter: S samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voxbench.audio.channel import transmit
from voxbench.audio.voices import Voice, draw_voice, invent_sentence, speak
from voxbench.config import Twin
from voxbench.corpora.common_voice import SET_WORDS, VALIDATED
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import cast, draw_channel, whole_tree, write_lines
from voxbench.registry import closest
from voxbench.schema import GENDERS, InputError
from voxbench.seeding import generator

AGE_STARTS = (0.0, 20.0, 30.0, 40.0, 50.0, 60.0)
"""The first year of each of `AGE_GROUPS`."""

AGE_WORDS = ("teens", "twenties", "thirties", "fourties", "fifties", "sixties", "seventies", "eighties", "nineties")
FIRST_CLIP = 20_000_001


@dataclass(frozen=True, slots=True)
class _Edition:
    """What differs between releases; `columns` are separated by blanks."""

    columns: str
    genders: dict[str, str]
    sample_rate_hz: int


EDITIONS = {
    "7.0": _Edition(
        "client_id path sentence up_votes down_votes age gender accent locale segment",
        {"male": "male", "female": "female"},
        48_000,
    ),
    "17.0": _Edition(
        "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale"
        " segment",
        {"male": "male_masculine", "female": "female_feminine"},
        32_000,
    ),
}


@dataclass(frozen=True, slots=True)
class _Speaker:
    """One speaker of the twin; `set_word` is train, dev or test."""

    index: int
    client_id: str
    gender: str
    age_years: float
    is_labelled: bool
    set_word: str

    @property
    def age_word(self) -> str:
        return AGE_WORDS[min(max(int(self.age_years // 10) - 1, 0), len(AGE_WORDS) - 1)]


@twins.register("common_voice")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic language folder of Common Voice: the four tables, mp3 clips and a note.

    `settings.language` is eSpeak's (en-US, ru), the locale its first part. A clip is made of whole sentences, the
    last of which reaches the drawn length. Ages are drawn evenly over the age groups that `age_years` touches, within
    each sex and set. The tree is written beside `root` and renamed when complete. Equal settings give equal bytes.
    Raises InputError if `root` exists and is not empty, for an unknown edition or language, missing or impossible
    ages, and if the counts leave a set without one of the sexes.
    """
    edition = _check(settings)
    speakers = _speakers(settings)
    locale = settings.language.split("-")[0]
    number = FIRST_CLIP
    lines: dict[str, list[str]] = {word: ["\t".join(edition.columns.split())] for word in (*SET_WORDS, VALIDATED)}
    with whole_tree(root) as folder:
        (folder / "clips").mkdir()
        for speaker in speakers:
            for wave_S, sentence in _clips(speaker, settings, edition.sample_rate_hz):
                name = f"common_voice_{locale}_{number}.mp3"
                number += 1
                soundfile.write(
                    folder / "clips" / name, wave_S, edition.sample_rate_hz, format="MP3", subtype="MPEG_LAYER_III"
                )
                line = _line(speaker, name, sentence, locale, edition)
                lines[speaker.set_word].append(line)
                lines[VALIDATED].append(line)
        for word, rows in lines.items():
            write_lines(folder / f"{word}.tsv", rows)
        note = "Synthetic speech in the layout of Common Voice: every voice is generated, nobody was recorded."
        write_lines(folder / "README.txt", [note, "Made by voxbench with eSpeak NG; not part of Common Voice."])


def _check(settings: Twin) -> _Edition:
    """Return the edition; raise InputError for settings that this layout cannot have."""
    if settings.edition not in EDITIONS:
        raise InputError(
            f"edition {settings.edition!r}{closest(str(settings.edition), EDITIONS)} of Common Voice; "
            f"expected {' or '.join(EDITIONS)}"
        )
    if settings.age_years is None or not 0 <= settings.age_years[0] <= settings.age_years[1] <= 130:
        raise InputError(f"age_years {settings.age_years}: Common Voice has ages; expected bounds within 0 and 130")
    if "MP3" not in soundfile.available_formats():
        raise InputError(
            f"libsndfile {soundfile.__libsndfile_version__} writes no mp3; expected 1.1 or later: "
            "reinstall soundfile from its wheel"
        )
    return EDITIONS[settings.edition]


def _speakers(settings: Twin) -> list[_Speaker]:
    """Deal sex, set, age and labels to the speakers, in random order."""
    roles = cast(settings, "common_voice cast")
    genders = [gender for gender, _ in roles]
    sets = ["test" if is_test else "train" for _, is_test in roles]
    ages = [0.0] * len(roles)
    for gender in GENDERS:
        own = [index for index in range(len(roles)) if genders[index] == gender]
        train, test = ([index for index in own if sets[index] == word] for word in ("train", "test"))
        if len(train) <= len(test):
            raise InputError(
                f"{settings.speakers} speakers with test_fraction {settings.test_fraction}: a dev set as large as "
                f"the test set leaves no {gender} speaker to train; raise speakers or lower test_fraction"
            )
        for index in train[: len(test)]:
            sets[index] = "dev"
        # Train first, then dev, then test: dealt in turn, the age groups are even in each set as well.
        own = train[len(test) :] + train[: len(test)] + test
        for index, age in zip(own, _ages(settings, gender, len(own)), strict=True):
            ages[index] = age
    hidden = generator(settings.seed, "common_voice unlabelled").permutation(len(roles))
    hidden = hidden[: round(settings.unlabelled_fraction * len(roles))]
    clients = [generator(settings.seed, "common_voice client", index).bytes(64).hex() for index in range(len(roles))]
    return [
        _Speaker(index, clients[index], genders[index], ages[index], index not in hidden, sets[index])
        for index in range(len(roles))
    ]


def _ages(settings: Twin, gender: str, count: int) -> list[float]:
    """Draw ages in years: the age groups that the bounds touch in turn, and evenly within each."""
    assert settings.age_years is not None
    low, high = settings.age_years
    ends = (*AGE_STARTS[1:], 131.0)
    draws = generator(settings.seed, "common_voice ages", gender)
    parts = [(max(low, start), min(high, end)) for start, end in zip(AGE_STARTS, ends, strict=True)]
    parts = [part for part in parts if part[0] < part[1]] or [(low, high)]
    order = draws.permutation(len(parts))
    return [draws.uniform(*parts[order[turn % len(parts)]]) for turn in range(count)]


def _clips(speaker: _Speaker, settings: Twin, sample_rate_hz: int) -> Iterator[tuple[NDArray[np.floating], str]]:
    """Yield the speaker's clips `(S,)` at `sample_rate_hz` and what is said in them."""
    voice = draw_voice(generator(settings.seed, "common_voice voice", speaker.index), speaker.gender, speaker.age_years)
    voice = replace(voice, language=settings.language)
    for session in range(settings.sessions_per_speaker):
        draws = generator(settings.seed, "common_voice session", speaker.index, session)
        shift = 1.0 + draws.normal(0.0, settings.session_pitch_sd)
        shifted = replace(voice, pitch_hz=voice.pitch_hz * shift)
        channel = draw_channel(draws, settings, speaker.index, session)
        for clip in range(settings.clips_per_session):
            draws = generator(settings.seed, "common_voice clip", speaker.index, session, clip)
            spoken_S, sentence = _read_aloud(shifted, settings.clip_seconds, sample_rate_hz, draws)
            yield transmit(spoken_S, sample_rate_hz, channel, draws), sentence


def _read_aloud(
    voice: Voice, clip_seconds: tuple[float, float], sample_rate_hz: int, draws: np.random.Generator
) -> tuple[NDArray[np.floating], str]:
    """Speak whole invented sentences until the drawn length is reached; return the wave `(S,)` and the text."""
    samples = draws.uniform(*clip_seconds) * sample_rate_hz
    waves: list[NDArray[np.floating]] = []
    sentences: list[str] = []
    while sum(wave_S.size for wave_S in waves) < samples:
        sentences.append(invent_sentence(draws, voice.language))
        wave_S, spoken_rate_hz = speak(voice, sentences[-1])
        waves.append(soxr.resample(wave_S, spoken_rate_hz, sample_rate_hz))
    return np.concatenate(waves), " ".join(sentences)


def _line(speaker: _Speaker, name: str, sentence: str, locale: str, edition: _Edition) -> str:
    """Return one row of a table."""
    fields = {
        "client_id": speaker.client_id,
        "path": name,
        "sentence_id": hashlib.sha256(sentence.encode()).hexdigest(),
        "sentence": sentence,
        "up_votes": "2",
        "down_votes": "0",
        "age": speaker.age_word if speaker.is_labelled else "",
        "gender": edition.genders[speaker.gender] if speaker.is_labelled else "",
        "locale": locale,
    }
    return "\t".join(fields.get(column, "") for column in edition.columns.split())
