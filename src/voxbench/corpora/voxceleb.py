"""VoxCeleb1: interviews of 1,251 celebrities, cut from video; its reader, its trial lists and its twin.

Nagrani, Chung & Zisserman, "VoxCeleb: a large-scale speaker identification dataset", Interspeech 2017;
https://www.robots.ox.ac.uk/~vgg/data/voxceleb/. Metadata CC BY 4.0; the audio is for research only and its
rights stay with the owners of the videos.

Below the root lie the metadata and one of two forms of the audio (16 kHz, mono, 16 bit):

    vox1_meta.csv
    wav/id10001/1zcIwhmdeo4/00001.wav                    both sets in one folder
    dev/wav/id10001/... and test/wav/id10270/...         or each set in its own

`vox1_meta.csv` is separated by tabs:

    VoxCeleb1 ID  VGGFace1 ID   Gender  Nationality  Set
    id10001       A.J._Buckley  m       Ireland      dev

| set   | speakers            | utterances |
|-------|---------------------|------------|
| dev   | 1,211 (665 m 546 f) | 148,642    |
| test  | 40 (25 m 15 f)      | 4,874      |

Trial lists hold `label enroll test`, label 1 for the same speaker, paths relative to the `wav` folder:

    1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav

Deviations: the set word `dev` becomes the train split. A session is one video; its name carries the speaker.
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from voxbench.audio.channel import transmit
from voxbench.audio.voices import draw_voice
from voxbench.config import Twin
from voxbench.corpora.registries import readers, twins
from voxbench.corpora.synthesis import cast, draw_channel, talk, whole_tree, write_lines
from voxbench.registry import closest
from voxbench.schema import InputError, Split, Utterance
from voxbench.seeding import generator

META = "vox1_meta.csv"
COLUMNS = ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set")
GENDER_WORDS = {"m": "male", "f": "female"}
SET_WORDS = {"dev": Split.TRAIN, "test": Split.TEST}
TREE = "wav/idXXXXX/VIDEO/00001.wav, or dev/wav/... and test/wav/..., beside " + META
SAMPLE_RATE_HZ = 16_000
VIDEO_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@readers.register("voxceleb")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per wav file, ordered by folder, speaker, video and file name.

    Raises InputError for a missing root, metadata file or column, an unknown gender or set word, a speaker
    without metadata, both forms of the tree at once, and (after the last file) a tree without any wav file.
    """
    speakers = _read_meta(root)
    folders = _audio_folders(root)
    named = sorted({name for folder in folders for name in _subfolders(root / folder)})
    unknown = [name for name in named if name not in speakers]
    if unknown:
        raise InputError(
            f"{len(unknown)} speaker folders are not in {root / META}, the first is {unknown[0]!r}"
            f"{closest(unknown[0], speakers)}; complete the metadata or remove the folders"
        )
    return _walk(root, folders, speakers)


def _walk(root: Path, folders: list[str], speakers: Mapping[str, Utterance]) -> Iterator[Utterance]:
    """Yield the utterances: each speaker's template with the file's id, path and session filled in."""
    # The depth is fixed, so a link can be followed without ever walking in a circle.
    places = ((folder, speaker) for folder in folders for speaker in _subfolders(root / folder))
    sessions = ((*place, video) for place in places for video in _subfolders(root.joinpath(*place)))
    found = False
    for folder, speaker, video in sessions:
        template = replace(speakers[speaker], session=f"{speaker}/{video}")
        files = root / folder / speaker / video
        for name in sorted(name for name in os.listdir(files) if _is_wav(name)):
            found = True
            yield replace(template, id=f"{folder}/{speaker}/{video}/{name}", path=files / name)
    if not found:
        raise InputError(f"no wav file found below {root}; expected {TREE}")


def _is_wav(name: str) -> bool:
    # Archives packed on a Mac hold a `._00001.wav` of attributes beside each file.
    return name.endswith(".wav") and not name.startswith(".")


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _audio_folders(root: Path) -> list[str]:
    """Return the folders that hold speaker folders, relative to the root."""
    folders = [folder for folder in ("dev/wav", "test/wav", "wav") if (root / folder).is_dir()]
    if not folders:
        raise InputError(f"no audio folder in {root}; expected {TREE}")
    if "wav" in folders and len(folders) > 1:
        raise InputError(
            f"{root} holds {' and '.join(folders)}, which counts utterances twice; keep wav, or dev and test"
        )
    return folders


def _read_meta(root: Path) -> dict[str, Utterance]:
    """Return each speaker's utterance template: everything but id, path and session."""
    if not root.is_dir():
        raise InputError(f"VoxCeleb root {root} is not a folder; expected {TREE}")
    path = root / META
    if not path.is_file():
        raise InputError(f"no {path}; fetch {META} from the VoxCeleb site and put it there")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path} lacks the columns {', '.join(missing)}; found {list(rows.fieldnames or ())}, "
                f"expected them separated by tabs"
            )
        speakers: dict[str, Utterance] = {}
        for row in rows:
            template = _template(row, f"{path} line {rows.line_num}")
            if template.speaker in speakers:
                raise InputError(f"{path} line {rows.line_num}: {template.speaker} again; keep one row")
            speakers[template.speaker] = template
    return speakers


def _template(row: Mapping[str, str | None], place: str) -> Utterance:
    speaker, name, gender, nationality, set_word = ((row[column] or "").strip() for column in COLUMNS)
    if gender not in GENDER_WORDS:
        raise InputError(f"{place}: unknown gender {gender!r}; expected m or f")
    if set_word not in SET_WORDS:
        raise InputError(f"{place}: unknown set {set_word!r}; expected dev or test")
    return Utterance(
        id="",
        path=Path(),
        speaker=speaker,
        split=SET_WORDS[set_word],
        gender=GENDER_WORDS[gender],
        extra={"nationality": nationality, "name": name},
    )


def read_trials(path: Path) -> pd.DataFrame:
    """Read a trial list: columns `label` (1 target, 0 nontarget), `enroll` and `test`, in file order.

    CRLF line ends and a missing last line end are accepted. Raises InputError for a missing or empty file,
    a line without three fields, and a label that contradicts the speakers of its two paths.
    """
    if not path.is_file():
        raise InputError(f"no trial list {path}; expected lines of `label enroll test`")
    fields = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not fields:
        raise InputError(f"trial list {path} is empty; expected lines of `label enroll test`")
    for number, trial in enumerate(fields, start=1):
        if len(trial) != 3:
            raise InputError(f"{path} trial {number}: {' '.join(trial)!r} is not `label enroll test`")
        same = trial[1].split("/")[0] == trial[2].split("/")[0]
        if trial[0] != str(int(same)):
            raise InputError(
                f"{path} trial {number}: label {trial[0]!r} for {trial[1]} and {trial[2]}; "
                f"expected {int(same)}, the speakers are {'the same' if same else 'different'}"
            )
    trials = pd.DataFrame(fields, columns=["label", "enroll", "test"])
    return trials.astype({"label": "int64"})


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
    """Write a synthetic VoxCeleb1 in the one-folder form, with metadata, trial list and a note.

    The tree is written beside `root` and renamed when complete. Equal settings give equal bytes. Raises InputError
    if `root` exists and is not empty, if the counts leave a set or a kind of trial without members, and for an
    edition, an age range or unlabelled speakers, none of which this layout has.
    """
    if settings.edition is not None or settings.age_years is not None or settings.unlabelled_fraction:
        raise InputError(
            f"edition {settings.edition!r}, age_years {settings.age_years}, unlabelled_fraction "
            f"{settings.unlabelled_fraction:g}: VoxCeleb has one edition, no ages and labels for everyone; "
            "set null, null and 0"
        )
    if settings.sessions_per_speaker * settings.clips_per_session < 2:
        raise InputError("one clip per speaker leaves no target trial; raise sessions_per_speaker")
    speakers = [_Speaker(index, *role) for index, role in enumerate(cast(settings, "voxceleb cast"))]
    with whole_tree(root) as folder:
        clips = {speaker.name: _write_speaker(folder / "wav", speaker, settings) for speaker in speakers}
        rows = ["\t".join(COLUMNS)]
        for speaker in speakers:
            name = f"Synthetic_Speaker_{speaker.index + 1:03d}"
            set_word = "test" if speaker.is_test else "dev"
            rows.append("\t".join((speaker.name, name, speaker.gender[0], "Nowhere", set_word)))
        write_lines(folder / META, rows)
        test_clips = [clips[speaker.name] for speaker in speakers if speaker.is_test]
        write_lines(folder / "veri_test.txt", _trials(test_clips, generator(settings.seed, "voxceleb trials")))
        note = "Synthetic speech in the layout of VoxCeleb1: every voice is generated, nobody was recorded."
        write_lines(folder / "README.txt", [note, "Made by voxbench with eSpeak NG; not part of VoxCeleb."])


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


def _trials(clips: list[list[str]], draws: np.random.Generator) -> list[str]:
    """Return every pair of one speaker's clips, each followed by a nontarget pair for the same first clip."""
    lines = []
    for speaker, own in enumerate(clips):
        others = [clip for other, theirs in enumerate(clips) if other != speaker for clip in theirs]
        for enroll, test in itertools.combinations(own, 2):
            lines.append(f"1 {enroll} {test}")
            lines.append(f"0 {enroll} {draws.choice(others)}")
    return lines
