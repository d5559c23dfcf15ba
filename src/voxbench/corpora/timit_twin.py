"""The synthetic twin of TIMIT: read sentences in NIST SPHERE files, speakers with dates of birth.

Editions: `sphere` (upper-case names), `lower` (lower-case names) and `riff` (the public copy: audio in `data`, with
a RIFF twin `SA1.WAV.wav` beside each SPHERE file). Equal settings give the same recordings in all three.

Deviations from TIMIT: the two sentences that everyone reads (SA) and all others (SX, SI) are invented, and no other
sentence is read twice. Heights, races and education are unknown, for a generated voice has none. There are no
time-aligned words and phones (WRD, PHN).

Shape letter: S samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voxbench.audio.channel import Channel
from voxbench.audio.voices import Voice, draw_voice, invent_sentence
from voxbench.config import Twin
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import cast, draw_channel, record, whole_tree, write_lines
from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.seeding import generator

EDITIONS = ("sphere", "lower", "riff")
SAMPLE_RATE_HZ = 16_000
HEADER_BYTES = 1024
DIALECTS = 8
SHARED = (
    "The young doctor carried a broken lantern around the frozen garden.",
    "Please ask which of these five boxes we should leave beside the bridge.",
)
"""SA1 and SA2, invented for this twin."""
KINDS = ("SX", "SI", "SX", "SI", "SX", "SI", "SX", "SX")
"""What follows SA1 and SA2: as in TIMIT, five SX and three SI in ten sentences."""
FIRST_DAY, DAYS = date(1986, 1, 1), 365
OLDEST_YEARS = 85
"""Older speakers would be born before 1900, which a two-digit year cannot say."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker of the twin; `born` is known to the twin also where the speaker table hides it (`is_dated`)."""

    index: int
    gender: str
    is_test: bool
    name: str
    dialect: int
    age_years: float
    recorded: date
    born: date
    is_dated: bool

    @property
    def folder(self) -> str:
        """`PART/DIALECT/SPEAKER`, in upper case."""
        return f"{'TEST' if self.is_test else 'TRAIN'}/DR{self.dialect}/{self.gender[0].upper()}{self.name}"


@twins.register("timit")
def write_twin(root: Path, settings: Twin) -> None:
    """Write a synthetic TIMIT in one of `EDITIONS`.

    A clip is one sentence; where that is shorter than the lower bound of `clip_seconds`, SA is said again and SX
    and SI go on with another sentence, and the text file says so. No clip is cut, so the upper bound has no effect.
    Equal settings give equal bytes. Raises InputError if `root` exists and is not empty, for a cast that leaves a
    set without one of the sexes, and for settings that this layout does not have.
    """
    _check(settings)
    speakers = deal(settings)
    with whole_tree(root) as folder:
        for speaker in speakers:
            _write_speaker(folder, speaker, settings)
        write_lines(_place(folder, settings, "DOC/SPKRINFO.TXT"), _table(speakers))
        note = "Synthetic speech in the layout of TIMIT: every voice is generated, nobody was recorded."
        source = "Made by voxbench with eSpeak NG; not part of TIMIT. Words and phones (WRD, PHN) are left out."
        write_lines(_place(folder, settings, "README.TXT"), [note, source])


def _check(settings: Twin) -> None:
    if settings.edition not in EDITIONS:
        near = closest(settings.edition or "", EDITIONS)
        raise InputError(f"edition {settings.edition!r}{near} of the TIMIT twin; expected {', '.join(EDITIONS)}")
    if settings.sessions_per_speaker != 1:
        raise InputError(
            f"sessions_per_speaker {settings.sessions_per_speaker}: TIMIT recorded everyone once; set it to 1 and "
            "choose the number of sentences by clips_per_session"
        )
    if settings.age_years is None or not 0 <= settings.age_years[0] <= settings.age_years[1] <= OLDEST_YEARS:
        raise InputError(
            f"age_years {settings.age_years}: TIMIT knows its speakers' ages; set bounds within 0 and {OLDEST_YEARS}, "
            "which two-digit years of birth can say"
        )
    if settings.language.split("-")[0] != "en":
        raise InputError(f"language {settings.language!r}: TIMIT is in English; set en-US")


def deal(settings: Twin) -> list[Speaker]:
    """Return the speakers: sexes and sets dealt by `cast`, dialects in turn, ages uniform, dates to fit the ages."""
    roles = cast(settings, "timit cast")
    codes = generator(settings.seed, "timit names").choice(26**3 * 10, len(roles), replace=False)
    hidden = round(settings.unlabelled_fraction * len(roles))
    undated = set(generator(settings.seed, "timit unlabelled").permutation(len(roles))[:hidden].tolist())
    assert settings.age_years is not None, "checked before"
    speakers = []
    for index, (gender, is_test) in enumerate(roles):
        draws = generator(settings.seed, "timit speaker", index)
        age = float(draws.uniform(*settings.age_years))
        recorded = FIRST_DAY + timedelta(days=int(draws.integers(DAYS)))
        speakers.append(
            Speaker(
                index=index,
                gender=gender,
                is_test=is_test,
                name=_name(int(codes[index])),
                dialect=1 + index % DIALECTS,
                age_years=age,
                recorded=recorded,
                born=recorded - timedelta(days=round(age * 365.25)),
                is_dated=index not in undated,
            )
        )
    return speakers


def _name(code: int) -> str:
    """Return three letters and a digit for a code below 26^3 * 10."""
    initials, digit = divmod(code, 10)
    return "".join(chr(ord("A") + initials // 26**place % 26) for place in (2, 1, 0)) + str(digit)


def _table(speakers: list[Speaker]) -> list[str]:
    """Return the lines of SPKRINFO.TXT, ordered by name."""
    lines = ["; Speakers of a synthetic corpus; ? stands for what is not known.", ";"]
    lines.append(";ID  Sex DR Use  RecDate   BirthDate Ht     Race Edu  Comments")
    for speaker in sorted(speakers, key=lambda speaker: speaker.name):
        born = f"{speaker.born:%m/%d/%y}" if speaker.is_dated else "??/??/??"
        use = "TST" if speaker.is_test else "TRN"
        known = f"{speaker.name}  {speaker.gender[0].upper()}  {speaker.dialect}  {use}  {speaker.recorded:%m/%d/%y}"
        lines.append(f"{known}  {born}  ?'??\"  ???  ??   synthetic")
    return lines


def _place(folder: Path, settings: Twin, path: str) -> Path:
    """Return where the edition keeps what the upper-case edition keeps at `path`."""
    return folder / (path.lower() if settings.edition == "lower" else path)


def _write_speaker(root: Path, speaker: Speaker, settings: Twin) -> None:
    """Write the recordings and texts of a speaker, all through one channel."""
    draws = generator(settings.seed, "timit session", speaker.index)
    voice = draw_voice(generator(settings.seed, "timit voice", speaker.index), speaker.gender, speaker.age_years)
    shift = 1.0 + draws.normal(0.0, settings.session_pitch_sd)
    voice = replace(voice, language=settings.language, pitch_hz=voice.pitch_hz * shift)
    channel = draw_channel(draws, settings, speaker.index)
    above = "data/" if settings.edition == "riff" else ""
    for clip in range(settings.clips_per_session):
        draws = generator(settings.seed, "timit clip", speaker.index, clip)
        text, wave_S = _read_aloud(voice, clip, settings, channel, draws)
        # An SX or SI number names a text, and no other speaker of the twin reads it.
        number = clip + 1 if clip < len(SHARED) else 1 + speaker.index * settings.clips_per_session + clip
        kind = "SA" if clip < len(SHARED) else KINDS[(clip - len(SHARED)) % len(KINDS)]
        stem = f"{above}{speaker.folder}/{kind}{number}"
        write_lines(_place(root, settings, f"{stem}.TXT"), [f"0 {wave_S.size} {text}"])
        samples_S = np.rint(wave_S * 32767.0).astype("<i2")
        _place(root, settings, f"{stem}.WAV").write_bytes(sphere(samples_S))
        if settings.edition == "riff":
            soundfile.write(root / f"{stem}.WAV.wav", samples_S, SAMPLE_RATE_HZ, subtype="PCM_16")


def _read_aloud(
    voice: Voice, clip: int, settings: Twin, channel: Channel, draws: np.random.Generator
) -> tuple[str, NDArray[np.floating]]:
    """Return a text and its recording `(S,)`, no shorter than the lower bound of `clip_seconds`."""

    def sentence() -> str:
        return SHARED[clip] if clip < len(SHARED) else invent_sentence(draws, settings.language)

    text = sentence()
    wave_S = record(voice, text, SAMPLE_RATE_HZ, channel, draws)
    while wave_S.size < settings.clip_seconds[0] * SAMPLE_RATE_HZ:
        text = f"{text} {sentence()}"
        wave_S = record(voice, text, SAMPLE_RATE_HZ, channel, draws)
    return text, wave_S


def sphere(samples_S: NDArray[np.int16]) -> bytes:
    """Return a NIST SPHERE file of one channel of 16-bit little-endian samples at 16 kHz."""
    lines = [
        "NIST_1A",
        f"{HEADER_BYTES:7d}",
        f"sample_count -i {samples_S.size}",
        f"sample_rate -i {SAMPLE_RATE_HZ}",
        "channel_count -i 1",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "sample_sig_bits -i 16",
        "end_head",
    ]
    header = "".join(f"{line}\n" for line in lines).encode("ascii")
    return header.ljust(HEADER_BYTES) + samples_S.astype("<i2").tobytes()
