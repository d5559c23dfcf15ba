"""The synthetic twin of VoxCeleb2, as released or as most recipes convert it.

Editions: `aac` (`dev/aac` and `test/aac`, AAC-LC at 64 kbit/s in MP4) and `wav` (both sets in `wav`, PCM of 16 bit).
Equal settings give the same recordings in both, up to the coding. With `age_years` the twin has Hechmi's age files,
which name the first session of each labelled speaker; everyone keeps one age.

`vox2_meta.csv` is in the dialect with commas and blanks, and every name holds a comma, as fifteen of the real ones do.
Its last row is a test speaker without audio, of whom the corpus has two.

Deviations from VoxCeleb2: its AAC has other encoders behind it. FFmpeg's encoder runs without metadata of its own
(`bitexact`), so that equal settings give equal bytes; another build of FFmpeg may give others.

Shape letter: S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import soundfile
from av.codec.context import Flags
from numpy.typing import NDArray

from voxbench.audio.channel import transmit
from voxbench.audio.voices import draw_voice
from voxbench.config import Twin
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import cast, draw_channel, talk, whole_tree, write_lines
from voxbench.corpora.voxceleb2 import AGES, META
from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.seeding import generator

EDITIONS = ("aac", "wav")
SAMPLE_RATE_HZ = 16_000
BITS_PER_SECOND = 64_000
FIRST_ID = 12
VIDEO_YEAR = 2018
VIDEO_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class _Speaker:
    """One speaker of the twin; `age_years` is that of the voice, a whole number, None where voices have no age."""

    index: int
    gender: str
    is_test: bool
    age_years: int | None
    is_dated: bool

    @property
    def name(self) -> str:
        return f"id{FIRST_ID + self.index:05d}"

    @property
    def set_word(self) -> str:
        return "test" if self.is_test else "dev"

    @property
    def person(self) -> str:
        return f"Speaker_{self.index + 1:04d},_Synthetic"


@twins.register("voxceleb2")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic VoxCeleb2 in one of `EDITIONS`, with metadata, age files where voices have ages, and a note.

    Equal settings give equal bytes. Raises InputError if `root` exists and is not empty, for a cast that leaves a set
    without one of the sexes, and for settings that this layout does not have.
    """
    _check(settings)
    speakers = _deal(settings)
    with whole_tree(root) as folder:
        videos = [_write_speaker(folder, speaker, settings)[0] for speaker in speakers]
        mute = _Speaker(len(speakers), "female", is_test=True, age_years=None, is_dated=False)
        write_lines(folder / META, _metadata([*speakers, mute]))
        if settings.age_years is not None:
            for turn, file in enumerate(AGES):
                write_lines(folder / file, _ages(speakers, videos, turn))
        note = "Synthetic speech in the layout of VoxCeleb2: every voice is generated, nobody was recorded."
        write_lines(folder / "README.txt", [note, "Made by voxbench with eSpeak NG; not part of VoxCeleb."])


def _check(settings: Twin) -> None:
    if settings.edition not in EDITIONS:
        near = closest(settings.edition or "", EDITIONS)
        raise InputError(f"edition {settings.edition!r}{near} of the VoxCeleb2 twin; expected {', '.join(EDITIONS)}")
    if settings.age_years is None and settings.unlabelled_fraction:
        raise InputError(
            f"unlabelled_fraction {settings.unlabelled_fraction:g} without age_years: VoxCeleb2 has labels of sex for "
            "everyone, and only an age can be missing; set 0, or bounds of age"
        )
    if settings.age_years is not None and not 0 <= settings.age_years[0] <= settings.age_years[1] <= 130:
        raise InputError(f"age_years {settings.age_years}; expected bounds within 0 and 130")


def _deal(settings: Twin) -> list[_Speaker]:
    """Return the speakers: sexes and sets dealt by `cast`, ages uniform and rounded to whole years."""
    roles = cast(settings, "voxceleb2 cast")
    hidden = round(settings.unlabelled_fraction * len(roles))
    undated = set(generator(settings.seed, "voxceleb2 unlabelled").permutation(len(roles))[:hidden].tolist())
    speakers = []
    for index, (gender, is_test) in enumerate(roles):
        age = None
        if settings.age_years is not None:
            age = round(generator(settings.seed, "voxceleb2 age", index).uniform(*settings.age_years))
        speakers.append(_Speaker(index, gender, is_test, age, is_dated=index not in undated))
    return speakers


def _metadata(speakers: Sequence[_Speaker]) -> list[str]:
    rows = [("Name", "VoxCeleb2 ID", "VGGFace2 ID", "Gender", "Set")]
    for speaker in speakers:
        face = f"n{FIRST_ID + speaker.index:06d}"
        rows.append((speaker.person, speaker.name, face, speaker.gender[0], speaker.set_word))
    return [" ,".join(row) + " " for row in rows]


def _ages(speakers: Sequence[_Speaker], videos: Sequence[str], turn: int) -> list[str]:
    """Return the lines of an age file: every other labelled speaker."""
    lines = ["speaker_age,birth_year,Name,VoxCeleb_ID,video_id"]
    dated = [(speaker, video) for speaker, video in zip(speakers, videos, strict=True) if speaker.is_dated]
    for speaker, video in dated[turn :: len(AGES)]:
        assert speaker.age_years is not None, "age files are written where voices have ages"
        years = f"{speaker.age_years}.0,{VIDEO_YEAR - speaker.age_years}.0"
        lines.append(f'{years},"{speaker.person}",{speaker.name},{video}')
    return lines


def _write_speaker(root: Path, speaker: _Speaker, settings: Twin) -> list[str]:
    """Write all clips of a speaker; return the names of the videos."""
    folder = root / (f"{speaker.set_word}/aac" if settings.edition == "aac" else "wav") / speaker.name
    voice = draw_voice(generator(settings.seed, "voxceleb2 voice", speaker.index), speaker.gender, speaker.age_years)
    voice = replace(voice, language=settings.language)
    videos = []
    for session in range(settings.sessions_per_speaker):
        draws = generator(settings.seed, "voxceleb2 session", speaker.index, session)
        videos.append("".join(draws.choice(VIDEO_LETTERS, 11)))
        shift = 1.0 + draws.normal(0.0, settings.session_pitch_sd)
        shifted = replace(voice, pitch_hz=voice.pitch_hz * shift)
        channel = draw_channel(draws, settings, speaker.index, session)
        (folder / videos[-1]).mkdir(parents=True)
        for clip in range(settings.clips_per_session):
            draws = generator(settings.seed, "voxceleb2 clip", speaker.index, session, clip)
            spoken_S = talk(shifted, settings.clip_seconds, SAMPLE_RATE_HZ, draws)
            wave_S = transmit(spoken_S, SAMPLE_RATE_HZ, channel, draws)
            stem = folder / videos[-1] / f"{clip + 1:05d}"
            if settings.edition == "aac":
                stem.with_suffix(".m4a").write_bytes(m4a(wave_S))
            else:
                soundfile.write(stem.with_suffix(".wav"), wave_S, SAMPLE_RATE_HZ, subtype="PCM_16")
    return videos


def m4a(wave_S: NDArray[np.floating]) -> bytes:
    """Return a mono wave of 16 kHz in [-1, 1] as AAC-LC in MP4, the same bytes whenever asked.

    The encoder puts 1,024 samples of its own before the first one and fills up the last frame; the edit list of the
    file says so.
    """
    file = BytesIO()
    with av.open(file, "w", format="ipod", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        stream.bit_rate = BITS_PER_SECOND
        stream.codec_context.flags |= Flags.bitexact
        frame = av.AudioFrame.from_ndarray(wave_S.astype(np.float32)[None], format="fltp", layout="mono")
        # Only a frame that has a time moves the encoder's delay to before time zero, where the edit list cuts it off.
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
        for sound in (frame, None):
            container.mux(stream.encode(sound))
    return file.getvalue()
