"""What the twins of ASVspoof share: what speakers say, how it is recorded, and whom a recording claims to be.

Of everything said there is a bona fide recording and spoofed ones, with the same speech, pauses, channel and level.
Verification scores are drawn from normal distributions, `SCORES`.

Shape letter: S samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxbench.audio.channel import Channel
from voxbench.audio.voices import draw_voice
from voxbench.config import Twin
from voxbench.corpora.asvspoof2019 import SPOOF
from voxbench.corpora.synthesis import draw_channel, talk
from voxbench.registry import closest
from voxbench.schema import BONAFIDE, InputError
from voxbench.seeding import generator

SAMPLE_RATE_HZ = 16_000
PAUSE_SECONDS = (0.1, 0.3)
FADE_SECONDS = 0.005
SHORTEST_SECONDS = 1.0
SPARE_SECONDS = 0.5
"""What eSpeak may leave silent before the first word."""

QUIET = 0.02
"""Share of the peak below which the start of a clip counts as silence."""

SCORES = {"target": (10.0, 6.0), "nontarget": (-15.0, 6.0), SPOOF: (3.0, 10.0)}
"""Mean and standard deviation of the verification scores, by key."""


Wave = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker of the twin; `part` is train, dev or eval."""

    index: int
    gender: str
    part: str


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a speaker said: the dry speech `(S,)`, the pauses around it in samples, the session's channel.

    `place` names it among all that is said: speaker, session and clip.
    """

    speaker: Speaker
    place: tuple[int, int, int]
    speech_S: Wave
    before: int
    after: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class Trial:
    """One recording of a protocol; `attack` is `bonafide` or an attack."""

    speaker: Speaker
    name: str
    environment: str
    attack: str


def check(settings: Twin, corpus: str, editions: tuple[str, ...]) -> None:
    """Raise InputError for settings that no edition of ASVspoof can have."""
    if settings.edition not in editions:
        near = closest(settings.edition or "", editions)
        raise InputError(f"edition {settings.edition!r}{near} of {corpus}; expected {' or '.join(editions)}")
    if settings.age_years is not None or settings.unlabelled_fraction:
        raise InputError(
            f"age_years {settings.age_years}, unlabelled_fraction {settings.unlabelled_fraction:g}: {corpus} has no "
            "ages and labels everything; set null and 0"
        )
    if settings.language.split("-")[0] != "en":
        raise InputError(f"language {settings.language!r}: {corpus} is in English; set en-US")
    if settings.clip_seconds[0] < SHORTEST_SECONDS:
        raise InputError(
            f"clip_seconds {settings.clip_seconds}: a clip holds pauses of up to {2 * PAUSE_SECONDS[1]:g} s; "
            f"expected at least {SHORTEST_SECONDS:g}"
        )


def say(speaker: Speaker, settings: Twin, corpus: str, clips: int) -> Iterator[Said]:
    """Yield what a speaker says in all sessions, `clips` in each."""
    voice = draw_voice(generator(settings.seed, f"{corpus} voice", speaker.index), speaker.gender, None)
    voice = replace(voice, language=settings.language)
    for session in range(settings.sessions_per_speaker):
        draws = generator(settings.seed, f"{corpus} session", speaker.index, session)
        shifted = replace(voice, pitch_hz=voice.pitch_hz * (1.0 + draws.normal(0.0, settings.session_pitch_sd)))
        channel = draw_channel(draws, settings, speaker.index, session)
        for clip in range(clips):
            draws = generator(settings.seed, f"{corpus} clip", speaker.index, session, clip)
            before, after = (round(draws.uniform(*PAUSE_SECONDS) * SAMPLE_RATE_HZ) for _ in range(2))
            length = round(draws.uniform(*settings.clip_seconds) * SAMPLE_RATE_HZ) - before - after
            seconds = length / SAMPLE_RATE_HZ + SPARE_SECONDS
            spoken_S = talk(shifted, (seconds, seconds), SAMPLE_RATE_HZ, draws)
            start = int(np.argmax(np.abs(spoken_S) > QUIET * np.max(np.abs(spoken_S))))
            start = min(start, spoken_S.size - length)
            place = (speaker.index, session, clip)
            yield Said(speaker, place, spoken_S[start : start + length], before, after, channel)


def embed(said: Said, speech_S: Wave, pauses: bool) -> Wave:
    """Return speech with soft edges between the pauses of what was said, or without them."""
    fade = round(FADE_SECONDS * SAMPLE_RATE_HZ)
    ramp_S = (np.arange(fade) + 0.5) / fade
    edged_S = speech_S.copy()
    edged_S[:fade] *= ramp_S
    edged_S[-fade:] *= ramp_S[::-1]
    return np.pad(edged_S, (said.before, said.after)) if pauses else edged_S


def draw_names(prefix: str, count: int, seed: int) -> list[str]:
    """Draw different names of seven digits, which say nothing about what is recorded."""
    numbers = generator(seed, "asvspoof names", prefix).choice(9_000_000, count, replace=False)
    return [f"{prefix}{1_000_000 + int(number)}" for number in numbers]


def write_flac(path: Path, wave_S: Wave) -> None:
    """Write a wave `(S,)` as FLAC of 16 bit at 16 kHz."""
    soundfile.write(path, wave_S, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")


def other_speaker(speaker: Speaker, speakers: list[Speaker]) -> Speaker:
    """Return the next speaker of the same sex, or of any where there is no other."""
    same = [other for other in speakers if other.gender == speaker.gender]
    circle = same if len(same) > 1 else speakers
    return circle[(circle.index(speaker) + 1) % len(circle)]


def claims(trials: list[Trial]) -> list[tuple[Speaker, Trial, str]]:
    """Return verification trials: who is claimed, the recording, and target, nontarget or spoof."""
    speakers = sorted({trial.speaker for trial in trials}, key=lambda speaker: speaker.index)
    found = []
    for trial in trials:
        found.append((trial.speaker, trial, "target" if trial.attack == BONAFIDE else SPOOF))
        if trial.attack == BONAFIDE:
            found.append((other_speaker(trial.speaker, speakers), trial, "nontarget"))
    return found


def draw_scores(keys: list[str], draws: np.random.Generator) -> list[float]:
    """Draw one verification score for each key from `SCORES`."""
    return [float(draws.normal(*SCORES[key])) for key in keys]
