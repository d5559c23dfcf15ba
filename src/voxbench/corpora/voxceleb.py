"""VoxCeleb1: interviews of 1,251 celebrities, cut from video; its reader, and what VoxCeleb2 reads in the same way.

Nagrani, Chung & Zisserman, "VoxCeleb: a large-scale speaker identification dataset", Interspeech 2017;
https://www.robots.ox.ac.uk/~vgg/data/voxceleb/. Metadata and lists CC BY 4.0; the audio is for research only and its
rights stay with the owners of the videos.

Below the root, or below its folder `vox1`, lie the metadata, the lists, and one form of the audio (16 kHz, mono,
16 bit):

    vox1_meta.csv, and iden_split.txt where the identification task is wanted
    wav/id10001/1zcIwhmdeo4/00001.wav                    both sets in one folder
    dev/wav/id10001/... and test/wav/id10270/...         or each set in its own
    wav/Eartha_Kitt/x6uYqmx31kE_0000001.wav              or an old copy, by name; `wav` may be `voxceleb1_wav`

`vox1_meta.csv` is separated by tabs; the second column gives the folders of old copies:

    VoxCeleb1 ID  VGGFace1 ID   Gender  Nationality  Set
    id10001       A.J._Buckley  m       Ireland      dev

| set   | speakers            | utterances |
|-------|---------------------|------------|
| dev   | 1,211 (665 m 546 f) | 148,642    |
| test  | 40 (25 m 15 f)      | 4,874      |

`iden_split.txt` deals all 153,516 utterances anew, with everyone in each set: 1 train, 2 valid, 3 test (138,361 /
6,904 / 8,251). Trial lists: `voxbench.corpora.trials`.

    1 id10003/tCq2LcKO6xY/00002.wav

Deviations: the set word `dev` becomes the train split. A session is one video; its name carries the speaker's ID, in
old copies too. A line of `iden_split.txt` whose file is absent adds no row: the list covers both sets, and many a copy
holds one. A file that it does not name has no `identification` in `extra`.

The table above is of the corpus page; MD5 sums as in PaddleSpeech and Kiwano, none is published for `iden_split.txt`.
Every line of a list has the same length, so the sizes follow from the counts.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Archive, Part, Sheet
from voxbench.corpora.trials import OFFICIAL
from voxbench.registry import closest
from voxbench.schema import InputError, Split, Utterance

META = "vox1_meta.csv"
IDENTIFICATION = "iden_split.txt"
ABOVE = "vox1"
COLUMNS = ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set")
GENDER_WORDS = {"m": "male", "f": "female"}
SET_WORDS = {"dev": Split.TRAIN, "test": Split.TEST}
IDENTIFICATION_SETS = {"1": "train", "2": "valid", "3": "test"}
PARTS = ("dev/", "test/", "")
"""What may stand above an audio folder."""
FORMS = ("wav", "voxceleb1_wav")
TREE = "wav/idXXXXX/VIDEO/00001.wav, or dev/wav/... and test/wav/..., beside " + META
LISTS_URL = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/"
TRIAL_BYTES, IDENTIFICATION_BYTES = 62, 32


@dataclass(frozen=True, slots=True)
class SpeakerFolder:
    """A folder of one speaker's recordings: its path relative to the root, and all that its rows have in common."""

    path: str
    template: Utterance


@readers.register("voxceleb")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per wav file, ordered by folder, speaker, video and file name.

    Raises InputError for a missing root, metadata file or column, an unknown gender, set word or code, a speaker
    without metadata or in the other set's folder, two forms of the tree at once, an identification list of another
    tree, and (when its turn comes) a file that is no clip, and a tree without any.
    """
    meta = find_metadata(root, ABOVE, META, TREE)
    speakers = _read_meta(meta)
    names = Counter(row.extra["name"] for row in speakers.values())
    named = {row.extra["name"]: row for row in speakers.values() if names[row.extra["name"]] == 1}
    folders = audio_folders(root, ABOVE, FORMS, TREE)
    places = speaker_folders(root, folders, speakers | named, meta)
    identification = _read_identification(meta.with_name(IDENTIFICATION), places)
    rows = walk(root, places, (".wav",), TREE)
    return (_identified(row, identification) for row in rows) if identification else rows


def find_metadata(root: Path, above: str, name: str, tree: str) -> Path:
    """Return the metadata file in the root or in its folder `above`."""
    if not root.is_dir():
        raise InputError(f"VoxCeleb root {root} is not a folder; expected {tree}")
    for path in (root / name, root / above / name):
        if path.is_file():
            return path
    raise InputError(f"no {root / name}; fetch {name} from {LISTS_URL} and put it there")


def audio_folders(root: Path, above: str, forms: Sequence[str], tree: str) -> list[str]:
    """Return the folders that hold speaker folders, relative to the root: one for each set, or one for both.

    `forms` are the names such a folder may have, in `dev` and `test` or outside them, in `above` or outside it.
    """
    places = [(part, f"{top}{part}{form}") for top in ("", f"{above}/") for part in PARTS for form in forms]
    found = [(part, folder) for part, folder in places if (root / folder).is_dir()]
    if not found:
        raise InputError(f"no audio folder in {root}; expected {tree}")
    parts = [part for part, _ in found]
    if len(set(parts)) < len(parts) or ("" in parts and len(parts) > 1):
        raise InputError(
            f"{root} holds {' and '.join(folder for _, folder in found)}, which counts utterances twice; "
            f"keep one folder for both sets, or one for each"
        )
    return sorted(folder for _, folder in found)


def speaker_folders(
    root: Path, folders: Sequence[str], templates: Mapping[str, Utterance], meta: Path
) -> list[SpeakerFolder]:
    """Return all speaker folders in order, each of a speaker that `meta` knows, places in that set, and has once."""
    found = [(folder, name) for folder in folders for name in _subfolders(root / folder)]
    unknown = [name for _, name in found if name not in templates]
    if unknown:
        raise InputError(
            f"{len(unknown)} speaker folders are not in {meta}, the first is {unknown[0]!r}"
            f"{closest(unknown[0], templates)}; complete the metadata or remove the folders"
        )
    seen: dict[str, str] = {}
    for folder, name in found:
        template, place = templates[name], f"{folder}/{name}"
        if (before := seen.setdefault(template.speaker, place)) != place:
            raise InputError(f"{root} holds {before} and {place}, which counts {template.speaker} twice; keep one")
        wrong = "dev" if template.split is Split.TEST else "test"
        if wrong in folder.split("/"):
            raise InputError(f"{root / place}: {meta.name} does not place {template.speaker} in {wrong}; correct one")
    return [SpeakerFolder(f"{folder}/{name}", templates[name]) for folder, name in found]


def walk(root: Path, places: Sequence[SpeakerFolder], endings: tuple[str, ...], tree: str) -> Iterator[Utterance]:
    """Yield the utterances: each speaker's template with the file's id, path and session filled in."""
    found = False
    for place in places:
        for video, name in _clips(root / place.path, endings):
            found = True
            yield replace(
                place.template,
                id=f"{place.path}/{name}",
                path=root / place.path / name,
                session=f"{place.template.speaker}/{video}",
            )
    if not found:
        raise InputError(f"no {' or '.join(ending[1:] for ending in endings)} file found below {root}; expected {tree}")


def _clips(folder: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the video and the relative path of each clip of a speaker: `VIDEO/00001.wav`, or all flat."""
    videos, flat = _subfolders(folder), _recordings(folder, endings)
    if videos and flat:
        raise InputError(f"{folder} holds both {videos[0]} and {flat[0]}, a new and an old copy; keep one")
    for name in flat:
        # A video's name is 11 characters, and any of them may be an underscore.
        match = re.fullmatch(r"(.{11})_[0-9]+\.[a-z0-9]+", name)
        if match is None:
            raise InputError(f"{folder / name} is no clip of VoxCeleb; expected VIDEO_0000001{endings[0]}, remove it")
        yield match[1], name
    # The depth is fixed, so a link can be followed without ever walking in a circle.
    for video in videos:
        for name in _recordings(folder / video, endings):
            yield video, f"{video}/{name}"


def _recordings(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Return the names of the recordings in a folder, refusing one that is there in two forms."""
    # Archives packed on a Mac hold a `._00001.wav` of attributes beside each file.
    names = sorted(name for name in os.listdir(folder) if name.endswith(endings) and not name.startswith("."))
    clips: dict[str, str] = {}
    for name in names:
        if (other := clips.setdefault(name.rpartition(".")[0], name)) != name:
            raise InputError(f"{folder} holds both {other} and {name}, which counts one clip twice; keep one form")
    return names


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _read_meta(path: Path) -> dict[str, Utterance]:
    """Return each speaker's utterance template: everything but id, path and session."""
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
            speaker, name, gender, nationality, set_word = ((row[column] or "").strip() for column in COLUMNS)
            extra = {"nationality": nationality, "name": name}
            add_speaker(speakers, speaker, (gender, set_word), extra, f"{path} line {rows.line_num}")
    return speakers


def add_speaker(
    speakers: dict[str, Utterance], speaker: str, words: tuple[str, str], extra: Mapping[str, str], place: str
) -> None:
    """Add a speaker's template, given the words for gender and set; `place` names the line in messages."""
    gender, set_word = words
    if gender not in GENDER_WORDS:
        raise InputError(f"{place}: unknown gender {gender!r}; expected m or f")
    if set_word not in SET_WORDS:
        raise InputError(f"{place}: unknown set {set_word!r}; expected dev or test")
    if speaker in speakers:
        raise InputError(f"{place}: {speaker} again; keep one row")
    speakers[speaker] = Utterance(
        id="", path=Path(), speaker=speaker, split=SET_WORDS[set_word], gender=GENDER_WORDS[gender], extra=extra
    )


def _read_identification(path: Path, places: Sequence[SpeakerFolder]) -> dict[str, str]:
    """Return the set of each file, by its path below the audio folder; empty without a list."""
    if not path.is_file():
        return {}
    sets: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or fields[0] not in IDENTIFICATION_SETS:
            raise InputError(f"{path} line {number}: {line.strip()!r}; expected 1, 2 or 3 and a path")
        code, file = fields
        if file in sets:
            raise InputError(f"{path} line {number}: {file} again; keep one line")
        sets[file] = IDENTIFICATION_SETS[code]
    heads = {file.split("/")[0] for file in sets}
    if places and heads.isdisjoint(place.path.rpartition("/")[2] for place in places):
        raise InputError(
            f"{path} names none of the speaker folders, of which the first is {places[0].path}; take the list of the "
            "same copy (an old one goes by names, a new one by IDs), or remove it"
        )
    return sets


def _identified(row: Utterance, sets: Mapping[str, str]) -> Utterance:
    word = sets.get(row.id.partition("wav/")[2])
    return replace(row, extra={**row.extra, "identification": word}) if word else row


def part_of(row: Utterance) -> str:
    """Return the corpus's own word for the set of a row."""
    return "test" if row.split is Split.TEST else "dev"


sheets.add(
    "voxceleb",
    Sheet(
        title="VoxCeleb1",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
        licence="CC BY 4.0 for metadata and lists; audio for research only, rights with the owners of the videos",
        tree=(
            META,
            "dev/wav/id10001/1zcIwhmdeo4/00001.wav",
            "test/wav/id10270/x6uYqmx31kE/00001.wav",
            "or wav/id10001/1zcIwhmdeo4/00001.wav for both sets",
            "or wav/Eartha_Kitt/x6uYqmx31kE_0000001.wav in an old copy",
            f"{IDENTIFICATION} (optional)",
        ),
        part_of=part_of,
        releases={"VoxCeleb1": (Part("dev", 148_642, 1_211), Part("test", 4_874, 40))},
        archives=(
            Archive("metadata", LISTS_URL + META, 40_782, "md5:f5067cae5157ca27904c4b0a926e2661"),
            Archive("identification", LISTS_URL + IDENTIFICATION, 153_516 * IDENTIFICATION_BYTES, None),
            *(Archive("trials", LISTS_URL + o.file, o.trials * TRIAL_BYTES, f"md5:{o.md5}") for o in OFFICIAL),
        ),
        steps=(
            "Ask for access with the form on the corpus page; the owners send the addresses of the audio.",
            "Join the four parts of the dev set (cat vox1_dev_wav_parta* > dev.zip) and unpack it into ROOT/dev.",
            "Unpack vox1_test_wav.zip into ROOT/test: the speakers are then in ROOT/dev/wav and ROOT/test/wav.",
            f"Put {META} into ROOT, and beside it {IDENTIFICATION} and the trial lists that you need.",
        ),
    ),
)
