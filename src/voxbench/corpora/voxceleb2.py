"""VoxCeleb2: interviews of 6,112 celebrities, none of them in VoxCeleb1, cut from video; its reader.

Chung, Nagrani & Zisserman, "VoxCeleb2: deep speaker recognition", Interspeech 2018;
https://www.robots.ox.ac.uk/~vgg/data/voxceleb/. Metadata CC BY 4.0; the audio is for research only and its rights stay
with the owners of the videos.

Below the root, or below its folder `vox2`, lie the metadata and one form of each recording (16 kHz, mono): AAC in MP4
as released, or WAV as most recipes convert it.

    vox2_meta.csv, and vox2_age_train.csv and vox2_age_test.csv where ages are wanted
    dev/aac/id00012/21Uxsk56VDQ/00001.m4a and test/aac/id00017/...
    dev/wav/id00012/21Uxsk56VDQ/00001.wav and test/wav/...
    aac/id00012/... or wav/id00012/...                               both sets in one folder

Copies of `vox2_meta.csv` disagree on everything but the order of the columns: commas or tabs or both between fields,
blanks around them, the whole line in quotes, commas at its end, no names at all, or names with a comma in them. A line
is therefore taken apart around the two IDs, which have a form of their own:

    Name                VoxCeleb2 ID  VGGFace2 ID  Gender  Set
    Aaron_Ashmore       id00012       n000012      m       dev
    Carlos_Sainz,_Jr.   id01380       n001380      m       dev

| set   | speakers                | utterances |
|-------|-------------------------|------------|
| dev   | 5,994 (3,682 m 2,312 f) | 1,092,009  |
| test  | 118 (of 120: 81 m 39 f) | 36,237     |

Two of the 120 test speakers have no audio. The counts of utterances are those that users of the corpus repeat from its
page, where they add up to 1,128,246; PaddleSpeech's 36,273 has two digits swapped.

Ages: Hechmi, Trong, Hautamaki & Kinnunen, "VoxCeleb enrichment for age and gender recognition", ASRU 2021,
https://github.com/hechmik/voxceleb_enrichment_age_gender (`dataset/age-train.txt` and `age-test.txt`, MIT licence),
saved under the names above beside the metadata: the age in years in one video each of 1,690 and 1,127 speakers, found
by machine and checked by nobody.

    speaker_age,birth_year,Name,VoxCeleb_ID,video_id
    26.0,1987.0,Arnd_Peiffer,id00778,DoazlQs250s

Deviations: the set word `dev` becomes the train split. A session is one video; its name carries the speaker. An age is
that of the video named, so other videos of the same speaker have none. Their train and test have nothing to do with
the corpus's sets (22 test speakers of VoxCeleb2 are in their test): `extra["age_set"]` keeps the word.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Part, Sheet
from voxbench.corpora.voxceleb import add_speaker, audio_folders, find_metadata, part_of, speaker_folders, walk
from voxbench.registry import closest
from voxbench.schema import InputError, Utterance, age_group

META = "vox2_meta.csv"
AGES = {"vox2_age_train.csv": "train", "vox2_age_test.csv": "test"}
AGE_COLUMNS = ("speaker_age", "VoxCeleb_ID", "video_id")
ABOVE = "vox2"
FORMS = ("aac", "wav")
ENDINGS = (".m4a", ".wav")
TREE = "dev/aac/idXXXXX/VIDEO/00001.m4a and test/aac/..., or .../wav/.../00001.wav, beside " + META
HEADER = "VoxCeleb2 ID"
ROW = re.compile(r"""(?:(.*?)[\s,"]+)?(id[0-9]{5})[\s,"]+(n[0-9]{6})[\s,"]+([^\s,"]*)[\s,"]+([^\s,"]*)""")
"""A line without what stands at its ends: name, VoxCeleb2 ID, VGGFace2 ID, gender, set."""


@readers.register("voxceleb2")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per m4a or wav file, ordered by folder, speaker, video and file name.

    Raises InputError for a missing root or metadata file, a line of it that cannot be taken apart, an unknown gender or
    set word, a speaker without metadata or in the other set's folder, two forms of the tree at once, a wrong age file,
    and (when its turn comes) a clip in both forms, a file that is no clip, and a tree without any.
    """
    meta = find_metadata(root, ABOVE, META, TREE)
    speakers = _read_meta(meta)
    places = speaker_folders(root, audio_folders(root, ABOVE, FORMS, TREE), speakers, meta)
    ages = _read_ages(meta.parent, speakers)
    rows = walk(root, places, ENDINGS, TREE)
    return (_aged(row, ages) for row in rows) if ages else rows


def _aged(row: Utterance, ages: Mapping[str, tuple[float, str]]) -> Utterance:
    if row.session is None or row.session not in ages:
        return row
    age, age_set = ages[row.session]
    return replace(row, age_years=age, age_group=age_group(age), extra={**row.extra, "age_set": age_set})


def _read_meta(path: Path) -> dict[str, Utterance]:
    """Return each speaker's utterance template: everything but id, path and session."""
    speakers: dict[str, Utterance] = {}
    lines = path.read_text(encoding="utf-8-sig", errors="backslashreplace").split("\n")
    for number, line in enumerate(lines, start=1):
        content = line.strip(' \t\r,"')
        if not content or (number == 1 and HEADER in content):
            continue
        match = ROW.fullmatch(content)
        if match is None:
            raise InputError(
                f"{path} line {number}: {content!r} cannot be taken apart; expected a name, an ID like id00012, "
                "one like n000012, a gender and a set, with commas or tabs between them"
            )
        name, speaker, face, gender, set_word = match.groups()
        extra = {"vggface2_id": face} | ({"name": name} if name else {})
        add_speaker(speakers, speaker, (gender, set_word), extra, f"{path} line {number}")
    return speakers


def _read_ages(folder: Path, speakers: Mapping[str, Utterance]) -> dict[str, tuple[float, str]]:
    """Return age in years and age set by session, from the age files that are there."""
    ages: dict[str, tuple[float, str]] = {}
    for name, age_set in AGES.items():
        for place, row in _age_rows(folder / name):
            session, age = _age(row, speakers, place)
            if session in ages:
                raise InputError(f"{place}: {session} again; keep one age")
            ages[session] = age, age_set
    return ages


def _age_rows(path: Path) -> Iterator[tuple[str, Mapping[str, str | None]]]:
    """Yield the place of each row and the row; nothing where there is no file."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = [column for column in AGE_COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}; found {list(rows.fieldnames or ())}")
        yield from ((f"{path} line {rows.line_num}", row) for row in rows)


def _age(row: Mapping[str, str | None], speakers: Mapping[str, Utterance], place: str) -> tuple[str, float]:
    """Return session and age in years of a line of an age file."""
    word, speaker, video = ((row[column] or "").strip() for column in AGE_COLUMNS)
    if speaker not in speakers:
        raise InputError(f"{place}: speaker {speaker!r}{closest(speaker, speakers)} is not in {META}; correct one")
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?", word) or float(word) > 130:
        raise InputError(f"{place}: age {word!r}; expected years from 0 to 130")
    if not video:
        raise InputError(f"{place}: no video; expected its name in the column video_id")
    return f"{speaker}/{video}", float(word)


sheets.add(
    "voxceleb2",
    Sheet(
        title="VoxCeleb2",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
        licence="CC BY 4.0 for metadata; audio for research only, rights with the owners of the videos",
        tree=(
            META,
            "dev/aac/id00012/21Uxsk56VDQ/00001.m4a",
            "test/aac/id00017/01dfn2spqyE/00001.m4a",
            "or dev/wav/id00012/21Uxsk56VDQ/00001.wav and test/wav/...",
            "or aac/id00012/... or wav/id00012/... for both sets",
            f"{' and '.join(AGES)} (optional)",
        ),
        part_of=part_of,
        releases={"VoxCeleb2": (Part("dev", 1_092_009, 5_994), Part("test", 36_237, 118))},
        steps=(
            "Ask for access with the form on the corpus page; the owners send the addresses of the audio.",
            "Join the eight parts of the dev set (cat vox2_dev_aac_parta* > dev.zip) and unpack the archive.",
            "Unpack vox2_test_aac.zip as well, so that the speakers are in ROOT/dev/aac and ROOT/test/aac.",
            f"Put {META}, from the same page, into ROOT; no conversion to WAV is needed.",
            "For ages, fetch age-train.txt and age-test.txt from github.com/hechmik/voxceleb_enrichment_age_gender "
            f"and save them beside it as {' and '.join(AGES)}.",
        ),
    ),
)
