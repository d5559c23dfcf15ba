"""TIMIT: 630 adults from eight dialect regions of the United States who read ten sentences each; its reader.

Garofolo, Lamel, Fisher, Fiscus, Pallett & Dahlgren, "DARPA TIMIT acoustic-phonetic continuous speech corpus",
NISTIR 4930, 1993; https://catalog.ldc.upenn.edu/LDC93S1. Licensed by the Linguistic Data Consortium: it cannot be
fetched for the user. 16 kHz, mono, 16 bit, recorded in 1986.

The root is this tree or the folder above it; names may be in upper or lower case:

    DOC/SPKRINFO.TXT
    TRAIN/DR6/MABC0/SA1.WAV        NIST SPHERE, whatever the extension says
    TRAIN/DR6/MABC0/SA1.TXT        0 46797 The sentence as it was read.

A public copy keeps the audio in `data/TRAIN/...` and has a RIFF twin `SA1.WAV.wav` beside each `SA1.WAV`: one
recording, counted once. `SPKRINFO.TXT` is separated by spaces, `;` opens a comment and `?` stands for the unknown:

    ;ID  Sex DR Use  RecDate   BirthDate  Ht    Race Edu  Comments
    ABC0  M  6  TRN  03/03/86  06/17/60   5'11"  WHT  BS

| set   | speakers            | utterances |
|-------|---------------------|------------|
| TRAIN | 462 (326 m 136 f)   | 4,620      |
| TEST  | 168 (112 m 56 f)    | 1,680      |

(`DOC/README.DOC` and `DOC/SPKRINFO.TXT` of the corpus; https://catalog.ldc.upenn.edu/docs/LDC93S1/TIMIT.html.)

Sentences: SA1 and SA2 are read by everyone, each SX by seven speakers, each SI by one.

Deviations: there is no official validation set. Age is the days from birth to recording over 365.25, not a whole
number. A session is the speaker, who has one recording date; the date itself is no session, for speakers of both
sets share it without sharing a recording. `race` stays as written (HIS and HSP both occur), and an unknown fact has
no key in `extra`. The time-aligned words and phones (WRD, PHN) are not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Part, Sheet
from voxbench.corpora.tables import read_lines
from voxbench.registry import closest
from voxbench.schema import InputError, Split, Utterance, age_group

TABLE = "SPKRINFO.TXT"
TREE = "TRAIN/DR1..DR8/MABC0/SA1.WAV with SA1.TXT, TEST likewise, and DOC/" + TABLE
COLUMNS = ("ID", "Sex", "DR", "Use", "RecDate", "BirthDate", "Ht", "Race", "Edu")
SEXES = {"M": "male", "F": "female"}
USES = {"TRN": Split.TRAIN, "TST": Split.TEST}
DIALECTS = tuple("12345678")
FOLDERS_DEEP = 2
"""How far below the root the tree may start: `TIMIT/data`."""


@readers.register("timit")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per recording, ordered by path.

    Age is None where a date is unknown or impossible, and `extra["age_note"]` says why. Raises InputError for a
    missing, doubled or linked part of the tree, a wrong line of the speaker table, a speaker without one, a folder
    that contradicts it in sex, set or dialect, and (when its turn comes) a wrong sentence file.
    """
    tree = _find_tree(root)
    speakers = _read_speakers(_find_table(root, tree))
    folders = [
        tree.joinpath(part, dialect, name)
        for part in _subfolders(tree, "train|test")
        for dialect in _subfolders(tree / part, "dr[1-8]", alone=True)
        for name in _subfolders(tree / part / dialect, "[fm][a-z]+[0-9]", alone=True)
    ]
    if not folders:
        raise InputError(f"no speaker folder below {tree}; expected {TREE}")
    return _walk(root, [(folder, _agreeing(folder, speakers)) for folder in folders])


def part_of(utterance: Utterance) -> str:
    """Return the set that a row belongs to, TRAIN or TEST.

    >>> part_of(Utterance("TEST/DR1/FAKS0/SA1.WAV", Path("SA1.WAV"), "FAKS0", Split.TEST))
    'TEST'
    """
    return {Split.TRAIN: "TRAIN", Split.TEST: "TEST"}[utterance.split or Split.TRAIN]


sheets.add(
    "timit",
    Sheet(
        title="TIMIT (LDC93S1)",
        homepage="https://catalog.ldc.upenn.edu/LDC93S1",
        licence="LDC User Agreement",
        tree=(
            "DOC/SPKRINFO.TXT",
            "TRAIN/DR1..DR8/MABC0/SA1.WAV (NIST SPHERE), SA1.TXT",
            "TEST/DR1..DR8/FXYZ0/SX123.WAV, SX123.TXT",
        ),
        part_of=part_of,
        releases={"LDC93S1": (Part("TRAIN", 4_620, 462), Part("TEST", 1_680, 168))},
        steps=(
            "license the corpus from the Linguistic Data Consortium, https://catalog.ldc.upenn.edu/LDC93S1, as a"
            " member's organisation or for its fee",
            "unpack the archive, or copy the disc",
            "set the root to the folder that holds TRAIN, TEST and DOC, or to the one above it",
        ),
    ),
)


def _walk(root: Path, speakers: list[tuple[Path, Utterance]]) -> Iterator[Utterance]:
    """Yield the utterances: each speaker's template with the facts of the sentence filled in."""
    for folder, template in speakers:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
        texts = _by_stem(names, r"\.txt")
        recordings = _by_stem(names, r"\.wav(\.wav)?")
        if not recordings:
            raise InputError(f"{folder} holds no recording; complete the copy or remove the folder")
        for stem, name in sorted(recordings.items(), key=lambda recording: recording[1]):
            path = folder / name
            if not re.fullmatch("(sa|sx|si)[0-9]+", stem):
                raise InputError(f"{path} is no sentence of TIMIT; expected SA1, SX123 or SI1234, remove it")
            yield replace(
                template,
                id=path.relative_to(root).as_posix(),
                path=path,
                text=_read_text(folder / texts[stem]) if stem in texts else None,
                extra={**template.extra, "sentence_type": stem[:2].upper()},
            )


def _by_stem(names: list[str], extension: str) -> dict[str, str]:
    """Return the file of each sentence; of several, the shortest name: the SPHERE file, not its RIFF twin."""
    files: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (len(name), name)):
        stem, endings = re.subn(f"{extension}$", "", name.lower(), count=1)
        if endings:
            files.setdefault(stem, name)
    return files


def _read_text(path: Path) -> str:
    """Return the sentence of a `start end words` file."""
    content = "\n".join(line for _, line in read_lines(path))
    match = re.fullmatch(r"\s*[0-9]+\s+[0-9]+\s+(\S.*?)\s*", content)
    if match is None:
        raise InputError(f"{path} holds {content[:60]!r}; expected one line of first sample, last sample and words")
    return match[1]


def _subfolders(folder: Path, pattern: str, alone: bool = False) -> list[str]:
    """Return the names that match in any case; with `alone`, refuse every other folder as well.

    Links are refused, not followed: a tree without them has no loops and counts nothing twice.
    """
    with os.scandir(folder) as entries:
        found = {entry.name: entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")}
    names: dict[str, str] = {}
    for name in sorted(found):
        if not re.fullmatch(pattern, name, re.IGNORECASE):
            if alone:
                raise InputError(f"unexpected folder {folder / name}; expected {TREE}")
            continue
        if found[name].is_symlink():
            raise InputError(f"{folder / name} is a link, and links are not followed; set the root to its target")
        if name.upper() in names:
            raise InputError(f"{folder} holds both {names[name.upper()]} and {name}; keep one, or all counts twice")
        names[name.upper()] = name
    return list(names.values())


def _find_tree(root: Path) -> Path:
    """Return the folder that holds TRAIN or TEST: the root itself, or below folders named TIMIT or data."""
    if not root.is_dir():
        raise InputError(f"TIMIT root {root} is not a folder; expected {TREE}")
    places = level = [root]
    for _ in range(FOLDERS_DEEP):
        level = [place / name for place in level for name in _subfolders(place, "timit|data")]
        places = places + level
    trees = [place for place in places if _subfolders(place, "train|test")]
    if not trees:
        raise InputError(f"no TRAIN or TEST folder in {root}, its TIMIT or its data folder; expected {TREE}")
    if len(trees) > 1:
        raise InputError(f"{trees[0]} and {trees[1]} both hold TIMIT, which counts utterances twice; keep one")
    return trees[0]


def _find_table(root: Path, tree: Path) -> Path:
    """Return the speaker table: in a DOC folder or loose, at the tree or above it up to the root."""
    places = [place for place in (tree, *tree.parents) if place.is_relative_to(root)]
    for folder in (folder for place in places for folder in (*_documents(place), place)):
        for name in sorted(os.listdir(folder)):
            if name.upper() == TABLE:
                return folder / name
    raise InputError(f"no DOC/{TABLE} in {tree}; expected {TREE}: copy the file, it holds sexes and birth dates")


def _documents(place: Path) -> list[Path]:
    return [place / name for name in _subfolders(place, "doc")]


def _read_speakers(table: Path) -> dict[str, Utterance]:
    """Return each speaker's utterance template by ID: everything but the facts of one sentence."""
    speakers: dict[str, Utterance] = {}
    for number, line in read_lines(table):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        template = _template(line, f"{table} line {number}")
        name = template.speaker[1:]
        if name in speakers:
            raise InputError(f"{table} line {number}: {name} again; keep one line")
        speakers[name] = template
    return speakers


def _template(line: str, place: str) -> Utterance:
    fields = line.split()
    if len(fields) < len(COLUMNS):
        raise InputError(f"{place}: {line.strip()!r} has {len(fields)} columns; expected {' '.join(COLUMNS)}")
    name, sex, dialect, use, recorded, born, height, race, education = fields[: len(COLUMNS)]
    for column, word, words in (("Sex", sex, SEXES), ("DR", dialect, DIALECTS), ("Use", use, USES)):
        if word not in words:
            raise InputError(f"{place}: {column} is {word!r}; expected one of {', '.join(words)}")
    age, age_note = age_at_recording(recorded, born)
    facts = {"race": race, "education": education}
    facts = {key: word for key, word in facts.items() if "?" not in word}
    if age_note:
        facts["age_note"] = age_note
    speaker = sex + name.upper()
    return Utterance(
        id="",
        path=Path(),
        speaker=speaker,
        split=USES[use],
        session=speaker,
        gender=SEXES[sex],
        age_years=age,
        age_group=None if age is None else age_group(age),
        language="en",
        extra={"dialect": f"DR{dialect}", "use": use, **facts, **_height(height)},
    )


def age_at_recording(recorded: str, born: str) -> tuple[float | None, str]:
    """Return the age in years (days / 365.25) between two dates MM/DD/YY of the 20th century, and "".

    An unknown or impossible date gives None and the reason.

    >>> age_at_recording("03/03/86", "06/17/60")
    (25.70841889117043, '')
    >>> age_at_recording("03/03/86", "??/??/60")
    (None, 'the birth date ??/??/60 is not known')
    """
    dates = []
    for event, word in (("recording", recorded), ("birth", born)):
        if "?" in word:
            return None, f"the {event} date {word} is not known"
        match = re.fullmatch("([0-9]{1,2})/([0-9]{1,2})/([0-9]{2})", word)
        try:
            month, day, year = map(int, match.groups() if match else ())
            dates.append(date(1900 + year, month, day))
        except ValueError:
            return None, f"the {event} date {word} is no date MM/DD/YY"
    if dates[1] > dates[0]:
        return None, f"the birth date {born} is after the recording date {recorded}"
    return (dates[0] - dates[1]).days / 365.25, ""


def _height(word: str) -> dict[str, str]:
    """Return the height in cm, to a millimetre, from feet and inches; an unknown one gives nothing."""
    match = re.fullmatch("""([1-9])'([0-9]|0[0-9]|1[01])\"""", word)
    if match:
        return {"height_cm": f"{(12 * int(match[1]) + int(match[2])) * 2.54:.1f}"}
    return {} if "?" in word else {"height_note": f"the height {word} is not in feet and inches"}


def _agreeing(folder: Path, speakers: Mapping[str, Utterance]) -> Utterance:
    """Return the template of a speaker folder, which must tell the same story as the speaker table."""
    part, dialect, speaker = (name.upper() for name in folder.parts[-3:])
    template = speakers.get(speaker[1:])
    if template is None:
        raise InputError(
            f"{folder} is of a speaker who is not in {TABLE}{closest(speaker[1:], speakers)}; "
            "complete the table or remove the folder"
        )
    for column, word, said in (
        ("Sex", speaker[0], template.speaker[0]),
        ("Use", {"TRAIN": "TRN", "TEST": "TST"}[part], template.extra["use"]),
        ("DR", dialect, template.extra["dialect"]),
    ):
        if word != said:
            raise InputError(
                f"{folder} stands for {column} {word}, but {TABLE} gives {speaker[1:]} the {column} {said}; "
                "correct the one that is wrong"
            )
    return template
