"""LibriSpeech: 1,000 hours of audio books, read in English by 2,484 volunteers of LibriVox; its reader and its sheet.

Panayotov, Chen, Povey & Khudanpur, "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015;
https://www.openslr.org/12. CC BY 4.0. 16 kHz, mono, FLAC.

The root is the folder `LibriSpeech` that the archives unpack to, with those of its subsets that were fetched:

    SPEAKERS.TXT
    train-clean-100/84/121123/84-121123-0000.flac        reader, chapter, number in the chapter
    train-clean-100/84/121123/84-121123.trans.txt        84-121123-0000 GO DO YOU HEAR

`SPEAKERS.TXT` is separated by `|`, which may also stand in a name, and `;` opens a comment:

    ;ID  |SEX| SUBSET           |MINUTES| NAME
    60   | M | train-clean-100  | 20.18 | |CBW|Simon

| subset          | split | readers (women) | utterances |
|-----------------|-------|-----------------|------------|
| train-clean-100 | train | 251 (125)       | 28,539     |
| train-clean-360 | train | 921 (439)       | 104,014    |
| train-other-500 | train | 1,166 (564)     | 148,688    |
| dev-clean       | valid | 40 (20)         | 2,703      |
| dev-other       | valid | 33 (16)         | 2,864      |
| test-clean      | test  | 40 (20)         | 2,620      |
| test-other      | test  | 33 (17)         | 2,939      |

Readers by count of `SPEAKERS.TXT`, utterances as Kaldi and others count them. MD5 sums are those of
https://www.openslr.org/resources/12/md5sum.txt, sizes those that Kaldi's recipe checks downloads against
(egs/librispeech/s5/local/download_and_untar.sh, its list for the final release).

A reader has one subset, so the official splits share no speaker. A session is a chapter. A recording without a line
in the transcript has no text; a line without a recording is a row whose file is missing. Where a chapter holds both
`X.flac` and a converted `X.wav`, they are one recording and the FLAC is read. Minutes, `CHAPTERS.TXT` and `BOOKS.TXT`
are not read, nor are folders beside the subsets (`intro`, `mp3`, `texts`). Ages are not known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Archive, Part, Sheet
from voxbench.corpora.tables import read_lines
from voxbench.registry import closest
from voxbench.schema import InputError, Split, Utterance

TABLE = "SPEAKERS.TXT"
TREE = f"{TABLE} and train-clean-100/84/121123/84-121123-0000.flac with 84-121123.trans.txt"
COLUMNS = ("ID", "SEX", "SUBSET", "MINUTES", "NAME")
SEXES = {"F": "female", "M": "male"}
SPLITS = {"train": Split.TRAIN, "dev": Split.VALID, "test": Split.TEST}
SUBSET = re.compile("(train|dev|test)-[a-z0-9-]+")
AUDIO = (".flac", ".wav")
"""Of one recording in both forms, the first is read."""

Facts = tuple[str, str, str]
"""A reader's gender, subset and name."""


@readers.register("librispeech")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per recording or line of a transcript, ordered by path.

    Raises InputError for a missing or wrong speaker table, a folder without subsets, a subset without readers, a
    reader whom the table does not know or puts into another subset, and (when its turn comes) a chapter that is
    empty, a recording that is named after another chapter, and a wrong transcript.
    """
    subsets = _find_subsets(root)
    speakers = _read_speakers(root / TABLE)
    folders = [folder for subset in subsets for folder in _reader_folders(root / subset, speakers)]
    return (row for folder in folders for row in _read_reader(root, folder, speakers[folder.name]))


def _find_subsets(root: Path) -> list[str]:
    """Return the subsets at the root, which holds the speaker table as well."""
    if not (root / TABLE).is_file():
        raise InputError(f"no {TABLE} in {root}; expected {TREE}{_better_root(root)}")
    subsets = []
    for name in _visible(root):
        if not name.startswith(tuple(SPLITS)) or not (root / name).is_dir():
            continue
        if not SUBSET.fullmatch(name):
            known = [part.name for part in PARTS]
            raise InputError(f"{root / name} is no subset{closest(name, known)}; expected {', '.join(known)}")
        subsets.append(name)
    if not subsets:
        raise InputError(f"no subset in {root}; expected one or more of {', '.join(part.name for part in PARTS)}")
    return subsets


def _better_root(root: Path) -> str:
    """Return the advice to take a folder near the root that does hold the table, or what to do without one."""
    for place in (root / "LibriSpeech", root.parent):
        if (place / TABLE).is_file():
            return f"; set the root to {place}"
    return ": copy the file from any of the archives, it holds the sexes"


def _visible(folder: Path) -> list[str]:
    """Return the sorted names in a folder, less hidden ones: a Mac writes `._X` beside each X."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _read_speakers(table: Path) -> dict[str, Facts]:
    """Return the facts of each reader by ID."""
    speakers: dict[str, Facts] = {}
    for number, line in read_lines(table):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        place = f"{table} line {number}"
        fields = [field.strip() for field in line.split("|", len(COLUMNS) - 1)]
        if len(fields) < len(COLUMNS):
            raise InputError(f"{place}: {line.strip()!r} has {len(fields)} columns; expected {' | '.join(COLUMNS)}")
        reader, sex, subset, _, name = fields
        if sex not in SEXES:
            raise InputError(f"{place}: SEX is {sex!r}; expected one of {', '.join(SEXES)}")
        if not SUBSET.fullmatch(subset):
            known = [part.name for part in PARTS]
            raise InputError(f"{place}: SUBSET is {subset!r}{closest(subset, known)}; expected {', '.join(known)}")
        if reader in speakers:
            raise InputError(f"{place}: reader {reader} again; keep one line")
        speakers[reader] = (SEXES[sex], subset, name)
    return speakers


def _reader_folders(subset: Path, speakers: dict[str, Facts]) -> list[Path]:
    """Return the readers' folders of a subset; each must be where the speaker table puts the reader."""
    folders = [subset / name for name in _visible(subset) if (subset / name).is_dir()]
    for folder in folders:
        if folder.name not in speakers:
            # No nearest name: a neighbouring number is another reader, not a misspelling.
            raise InputError(f"{folder} is of a reader who is not in {TABLE}; complete the table or remove the folder")
        if (said := speakers[folder.name][1]) != subset.name:
            raise InputError(f"{folder} lies in {subset.name}, but {TABLE} puts reader {folder.name} into {said}")
    if not folders:
        raise InputError(f"{subset} holds no reader; complete the copy or remove the folder")
    return folders


def _read_reader(root: Path, folder: Path, facts: Facts) -> Iterator[Utterance]:
    """Yield the utterances of a reader, chapter by chapter."""
    reader, (gender, subset, name) = folder.name, facts
    for chapter in _visible(folder):
        if not (folder / chapter).is_dir():
            continue
        for path, text in _read_chapter(folder / chapter):
            yield Utterance(
                id=path.relative_to(root).as_posix(),
                path=path,
                speaker=reader,
                split=SPLITS[subset.split("-")[0]],
                session=f"{reader}/{chapter}",
                gender=gender,
                language="en",
                text=text,
                extra={"subset": subset, "chapter": chapter, "name": name},
            )


def _read_chapter(folder: Path) -> list[tuple[Path, str | None]]:
    """Return path and text of each utterance of a chapter, also where one of the two is missing."""
    stem = f"{folder.parent.name}-{folder.name}"
    names = _visible(folder)
    files: dict[str, str] = {}
    for name in names:
        utterance, extension = os.path.splitext(name)
        if extension.lower() not in AUDIO:
            continue
        if not re.fullmatch(re.escape(stem) + "-[0-9]+", utterance):
            raise InputError(f"{folder / name} is no utterance of this chapter; expected {stem}-0000.flac, remove it")
        if files.setdefault(utterance, name) != name and extension.lower() == AUDIO[0]:
            files[utterance] = name
    transcript = f"{stem}.trans.txt"
    texts = _read_transcript(folder / transcript, stem) if transcript in names else {}
    if not files and not texts:
        raise InputError(f"{folder} holds no recording and no {transcript}; complete the copy or remove the folder")
    # In a converted copy, what is missing would have been converted as well.
    extension = AUDIO[1] if files and all(name.lower().endswith(AUDIO[1]) for name in files.values()) else AUDIO[0]
    return [
        (folder / files.get(utterance, utterance + extension), texts.get(utterance))
        for utterance in sorted({*files, *texts})
    ]


def _read_transcript(path: Path, stem: str) -> dict[str, str]:
    """Return the text of each utterance of a chapter, as written."""
    texts: dict[str, str] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        match = re.fullmatch(rf"\s*({re.escape(stem)}-[0-9]+)\s+(\S.*?)\s*", line)
        if match is None:
            raise InputError(f"{path} line {number} is {line[:60]!r}; expected {stem}-0000 and its words")
        if match[1] in texts:
            raise InputError(f"{path} line {number}: {match[1]} again; keep one line")
        texts[match[1]] = match[2]
    return texts


def part_of(utterance: Utterance) -> str:
    """Return the subset that an utterance belongs to."""
    return utterance.extra["subset"]


PARTS = (
    Part("train-clean-100", 28_539, 251),
    Part("train-clean-360", 104_014, 921),
    Part("train-other-500", 148_688, 1_166),
    Part("dev-clean", 2_703, 40),
    Part("dev-other", 2_864, 33),
    Part("test-clean", 2_620, 40),
    Part("test-other", 2_939, 33),
)
ARCHIVES = (
    ("train-clean-100", 6_387_309_499, "2a93770f6d5c6c964bc36631d331a522"),
    ("train-clean-360", 23_049_477_885, "c0e676e450a7ff2f54aeade5171606fa"),
    ("train-other-500", 30_593_501_606, "d1a0fd59409feb2c614ce4d30c387708"),
    ("dev-clean", 337_926_286, "42e2234ba48799c1f50f24a7926300a1"),
    ("dev-other", 314_305_928, "c8d0bcc9cca99d4f8b62fcc847357931"),
    ("test-clean", 346_663_984, "32fa31d27d2e1cad72775fee3f4849a9"),
    ("test-other", 328_757_843, "fb5a50374b501bb3bac4815ee91d3135"),
)
sheets.add(
    "librispeech",
    Sheet(
        title="LibriSpeech",
        homepage="https://www.openslr.org/12",
        licence="CC BY 4.0",
        tree=(
            TABLE,
            "train-clean-100/84/121123/84-121123-0000.flac",
            "train-clean-100/84/121123/84-121123.trans.txt",
        ),
        part_of=part_of,
        releases={"SLR12": PARTS},
        archives=tuple(
            # Each archive repeats the files beside the subsets, SPEAKERS.TXT among them.
            Archive(part, f"https://www.openslr.org/resources/12/{part}.tar.gz", size, f"md5:{md5}", strip=1)
            for part, size, md5 in ARCHIVES
        ),
    ),
)
