"""The synthetic twin of VoxCeleb1: the one-folder form, its metadata, its trial lists and its identification list.

Deviations from VoxCeleb1: everyone is from Nowhere, so pairs of Vox1-H share the sex alone. Vox1-O has every pair of a
test speaker's clips, Vox1-E and Vox1-H one target and one nontarget trial for each clip of the corpus. Nothing is
wrong with any trial, so a cleaned list lacks drawn ones, one in 300 and at least one (really 109 of 37,720). In
`iden_split.txt` a speaker's last session, or the last clip of the only one, is held out, for test and validation in
turn; the others train.

Shape letter: S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from voxbench.audio.channel import transmit
from voxbench.audio.voices import draw_voice
from voxbench.config import Twin
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import cast, draw_channel, talk, whole_tree, write_lines
from voxbench.corpora.voxceleb import COLUMNS, IDENTIFICATION, META
from voxbench.schema import GENDERS, InputError
from voxbench.seeding import generator

SAMPLE_RATE_HZ = 16_000
VIDEO_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
TRIALS_PER_CLEANED = 300


@dataclass(frozen=True, slots=True)
class _Speaker:
    """One speaker of the twin."""

    index: int
    gender: str
    is_test: bool

    @property
    def name(self) -> str:
        return f"id{10001 + self.index}"


@twins.register("voxceleb")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic VoxCeleb1 in the one-folder form, with metadata, trial lists, identification list and a note.

    The tree is written beside `root` and renamed when complete. Equal settings give equal bytes. Raises InputError
    if `root` exists and is not empty, if the counts leave a set or a kind of trial without members, and for an
    edition, an age range or unlabelled speakers, none of which this layout has.
    """
    _check(settings)
    speakers = [_Speaker(index, *role) for index, role in enumerate(cast(settings, "voxceleb cast"))]
    with whole_tree(root) as folder:
        clips = [_write_speaker(folder / "wav", speaker, settings) for speaker in speakers]
        rows = ["\t".join(COLUMNS)]
        for speaker in speakers:
            name = f"Synthetic_Speaker_{speaker.index + 1:03d}"
            set_word = "test" if speaker.is_test else "dev"
            rows.append("\t".join((speaker.name, name, speaker.gender[0], "Nowhere", set_word)))
        write_lines(folder / META, rows)
        _write_trials(folder, speakers, clips, settings.seed)
        held_out = settings.clips_per_session if settings.sessions_per_speaker > 1 else 1
        write_lines(folder / IDENTIFICATION, _identification(clips, held_out))
        note = "Synthetic speech in the layout of VoxCeleb1: every voice is generated, nobody was recorded."
        write_lines(folder / "README.txt", [note, "Made by voxbench with eSpeak NG; not part of VoxCeleb."])


def _check(settings: Twin) -> None:
    if settings.edition is not None or settings.age_years is not None or settings.unlabelled_fraction:
        raise InputError(
            f"edition {settings.edition!r}, age_years {settings.age_years}, unlabelled_fraction "
            f"{settings.unlabelled_fraction:g}: VoxCeleb has one edition, no ages and labels for everyone; "
            "set null, null and 0"
        )
    if settings.sessions_per_speaker * settings.clips_per_session < 2:
        raise InputError("one clip per speaker leaves no target trial; raise sessions_per_speaker")


def _write_speaker(folder: Path, speaker: _Speaker, settings: Twin) -> list[str]:
    """Write all clips of a speaker; return their paths relative to `folder`."""
    voice = draw_voice(generator(settings.seed, "voxceleb voice", speaker.index), speaker.gender, None)
    voice = replace(voice, language=settings.language)
    clips = []
    for session in range(settings.sessions_per_speaker):
        draws = generator(settings.seed, "voxceleb session", speaker.index, session)
        video = "".join(draws.choice(VIDEO_LETTERS, 11))
        shift = 1.0 + draws.normal(0.0, settings.session_pitch_sd)
        shifted = replace(voice, pitch_hz=voice.pitch_hz * shift)
        channel = draw_channel(draws, settings, speaker.index, session)
        (folder / speaker.name / video).mkdir(parents=True)
        for clip in range(settings.clips_per_session):
            draws = generator(settings.seed, "voxceleb clip", speaker.index, session, clip)
            spoken_S = talk(shifted, settings.clip_seconds, SAMPLE_RATE_HZ, draws)
            clips.append(f"{speaker.name}/{video}/{clip + 1:05d}.wav")
            wave_S = transmit(spoken_S, SAMPLE_RATE_HZ, channel, draws)
            soundfile.write(folder / clips[-1], wave_S, SAMPLE_RATE_HZ, subtype="PCM_16")
    return clips


def _write_trials(folder: Path, speakers: Sequence[_Speaker], clips: Sequence[list[str]], seed: int) -> None:
    """Write the three lists and their cleaned forms; `clips` holds each speaker's."""
    tested = [own for speaker, own in zip(speakers, clips, strict=True) if speaker.is_test]
    alike = [[own for speaker, own in zip(speakers, clips, strict=True) if speaker.gender == sex] for sex in GENDERS]
    lists = {
        "veri_test": _trials(tested, generator(seed, "voxceleb trials")),
        "list_test_all": _drawn_trials([clips], generator(seed, "voxceleb trials of all")),
        "list_test_hard": _drawn_trials(alike, generator(seed, "voxceleb hard trials")),
    }
    for name, lines in lists.items():
        write_lines(folder / f"{name}.txt", lines)
        dropped = max(1, len(lines) // TRIALS_PER_CLEANED)
        wrong = set(generator(seed, "voxceleb cleaning", name).permutation(len(lines))[:dropped].tolist())
        write_lines(folder / f"{name}2.txt", [line for number, line in enumerate(lines) if number not in wrong])


def _trials(clips: list[list[str]], draws: np.random.Generator) -> list[str]:
    """Return every pair of one speaker's clips, each followed by a nontarget pair for the same first clip."""
    lines = []
    for speaker, own in enumerate(clips):
        others = [clip for other, theirs in enumerate(clips) if other != speaker for clip in theirs]
        for place, enroll in enumerate(own, start=1):
            # No trial twice: real lists have none, and evaluation refuses such.
            strangers = draws.choice(others, len(own) - place, replace=False)
            for test, stranger in zip(own[place:], strangers, strict=True):
                lines += [f"1 {enroll} {test}", f"0 {enroll} {stranger}"]
    return lines


def _drawn_trials(groups: Sequence[Sequence[list[str]]], draws: np.random.Generator) -> list[str]:
    """Return a target and a nontarget trial for each clip; nontargets are of the same group of speakers."""
    lines = []
    for group in groups:
        for speaker, own in enumerate(group):
            for clip, enroll in enumerate(own):
                same = own[(clip + int(draws.integers(1, len(own)))) % len(own)]
                other = group[(speaker + int(draws.integers(1, len(group)))) % len(group)]
                lines.append(f"1 {enroll} {same}")
                lines.append(f"0 {enroll} {draws.choice(other)}")
    return lines


def _identification(clips: Sequence[list[str]], held_out: int) -> list[str]:
    """Return the lines of the identification list: train, but the last `held_out` clips of each speaker."""
    lines = []
    for speaker, own in enumerate(clips):
        last = "2" if speaker % 2 else "3"
        lines += [f"{'1' if clip < len(own) - held_out else last} {path}" for clip, path in enumerate(own)]
    return lines
