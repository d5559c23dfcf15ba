"""Common Voice: sentences that volunteers read aloud in their browsers; the reader of its releases.

Ardila et al., "Common Voice: a massively-multilingual speech corpus", LREC 2020; https://commonvoice.mozilla.org.
Licence CC0 1.0; its terms ask users not to try to find out who the speakers are. Sex and age are what volunteers
said of themselves.

The root is one language's folder of a release (read: 4 to 22), for example `cv-corpus-17.0-2024-03-15/en`:

    train.tsv dev.tsv test.tsv validated.tsv
    clips/common_voice_en_27710027.mp3                      mono, 32 to 48 kHz

The tables are UTF-8 separated by tabs, without quoting: sentences hold single quotation marks. Releases differ in
their columns; `client_id path sentence age gender` are in all of them and needed here:

| releases | columns                                                                                              |
|----------|------------------------------------------------------------------------------------------------------|
| to 7     | client_id path sentence up_votes down_votes age gender accent locale segment                         |
| from 17  | client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant   |
|          | locale segment                                                                                       |

    0ca03...    common_voice_tw_35280430.mp3    0270a...    Ɛnyɛ adammɔ.        4   0       male_masculine ...

| release | validated | train     | dev    | test   |
|---------|-----------|-----------|--------|--------|
| 17.0 en | 1,799,288 | 1,101,170 | 16,393 | 16,393 |
| 7.0 ru  | 99,709    | 17,070    | 8,422  | 8,425  |

Rows read: the official sets, then what `validated.tsv` lists beyond them, with no split (the official sets hold
few clips per sentence and speaker). The set word `dev` becomes the valid split. `other.tsv`, `invalidated.tsv` and
`reported.tsv` are never read: their clips were not, or not favourably, voted on. A clip listed twice is one
utterance; its first row counts.

Labels. The six age groups are the paper's: the words from `sixties` up become `sixties+`. Where `gender` or
`age_group` is None, `extra` says why: no `gender_word` (`age_word`) means that the field was empty, a word other
than of the two sexes that the volunteer is counted to neither, and a word that has a label that the volunteer's
clips contradict each other: clips of both sexes, or of more than one age group, lose that label in all of the
volunteer's clips. An empty field contradicts nothing and stays empty: a volunteer may record before filling in the
profile (https://github.com/common-voice/CorporaCreator/issues/117).
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from voxbench.corpora.registries import readers
from voxbench.registry import closest
from voxbench.schema import AGE_WORDS, InputError, Split, Utterance

TREE = "the folder of one language that holds train.tsv, dev.tsv, test.tsv, validated.tsv and clips/"
SET_WORDS = {"train": Split.TRAIN, "dev": Split.VALID, "test": Split.TEST}
VALIDATED = "validated"
NEEDED = ("client_id", "path", "sentence", "age", "gender")
KEPT = {"accent": "accent", "accents": "accent", "variant": "variant", "segment": "segment"}
"""Columns that go to `extra`, under one name in all releases."""

GENDER_WORDS = {
    **dict.fromkeys(("male", "male_masculine"), "male"),
    **dict.fromkeys(("female", "female_feminine"), "female"),
    **dict.fromkeys(("other", "transgender", "non-binary", "intersex", "do_not_wish_to_say", ""), None),
}


@readers.register("common_voice")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per clip of train, dev, test and then validated, in the order of the tables.

    Every row is checked before the first utterance. Raises InputError for a missing folder, table or column, text
    that is not UTF-8, a row of another length than the header, an empty client, a path that is not a bare file
    name, an unknown gender or age word, a clip in two official sets, and a clip with two clients or sentences.
    """
    tables = _tables(root)
    clips, two_genders, two_ages = _survey(tables)
    return _utterances(root, tables, clips, (two_genders, two_ages))


def _utterances(
    root: Path, tables: list[Path], clips: set[str], contradictory: tuple[set[str], set[str]]
) -> Iterator[Utterance]:
    for table in tables:
        for _, row in _rows(table):
            if row["path"] in clips:
                clips.remove(row["path"])
                yield _utterance(root, row, SET_WORDS.get(table.stem), contradictory)


def _utterance(
    root: Path, row: Mapping[str, str], split: Split | None, contradictory: tuple[set[str], set[str]]
) -> Utterance:
    client, name, sentence, age, gender = (row[column] for column in NEEDED)
    two_genders, two_ages = contradictory
    extra = {KEPT[column]: row[column] for column in KEPT if row.get(column)}
    words = {"gender_word": gender, "age_word": age}
    return Utterance(
        id=f"clips/{name}",
        path=root / "clips" / name,
        speaker=client,
        split=split,
        gender=None if client in two_genders else GENDER_WORDS[gender],
        age_group=None if client in two_ages else AGE_WORDS.get(age),
        language=row.get("locale") or root.absolute().name,
        text=sentence or None,
        extra=extra | {key: word for key, word in words.items() if word},
    )


def _survey(tables: list[Path]) -> tuple[set[str], set[str], set[str]]:
    """Check every row; return the clips, and the clients whose genders and whose age groups contradict each other."""
    # A clip's table and a hash of its content, not the row: the English table has two million.
    clips: dict[str, tuple[str, int]] = {}
    genders: defaultdict[str, set[str | None]] = defaultdict(set)
    ages: defaultdict[str, set[str | None]] = defaultdict(set)
    for table in tables:
        for line, row in _rows(table):
            client, name, sentence, age, gender = (row[column] for column in NEEDED)
            home, content = clips.setdefault(name, (table.stem, hash((client, sentence))))
            if content != hash((client, sentence)):
                raise InputError(
                    f"{table} line {line}: clip {name!r} with another client or sentence than in {home}.tsv; "
                    "keep the right row"
                )
            if home != table.stem and table.stem in SET_WORDS:
                raise InputError(f"{table} line {line}: clip {name!r} is in the {home} set too; keep it in one of them")
            genders[client].add(GENDER_WORDS[gender])
            ages[client].add(AGE_WORDS.get(age))
    two_genders, two_ages = (
        {client for client, labels in by_client.items() if len(labels - {None}) > 1} for by_client in (genders, ages)
    )
    return set(clips), two_genders, two_ages


def _tables(root: Path) -> list[Path]:
    """Return the tables to read: the official sets, if they are there, and `validated.tsv`, if it is there."""
    if not root.is_dir():
        raise InputError(f"Common Voice root {root} is not a folder; expected {TREE}")
    official = [root / f"{word}.tsv" for word in SET_WORDS]
    validated = root / f"{VALIDATED}.tsv"
    missing = [table.name for table in official if not table.is_file()]
    if len(missing) == len(official) and not validated.is_file():
        languages = sorted(table.parent.name for table in root.glob(f"*/{VALIDATED}.tsv"))
        fix = f"; set the root to one of the languages in it, such as {root / languages[0]}" if languages else ""
        raise InputError(f"no train.tsv and no validated.tsv in {root}; expected {TREE}{fix}")
    if 0 < len(missing) < len(official):
        raise InputError(
            f"{root} lacks {', '.join(missing)}; without one of the official sets the split of its clips is lost: "
            "unpack the release again, or remove the other sets to read validated.tsv alone"
        )
    if not (root / "clips").is_dir():
        raise InputError(f"no folder {root / 'clips'}; expected {TREE}")
    return ([] if missing else official) + ([validated] if validated.is_file() else [])


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and checked row; `path` is the clip's file name, label words are without blanks."""
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        try:
            _check_header(table, rows.fieldnames or ())
            for row in rows:
                yield rows.line_num, _checked(row, table, rows.line_num)
        except UnicodeDecodeError as error:
            raise InputError(f"{table} after line {rows.line_num}: {error.reason}; expected UTF-8") from error


def _check_header(table: Path, header: Sequence[str]) -> None:
    for column in NEEDED:
        if column not in header:
            raise InputError(
                f"{table} has no column {column!r}{closest(column, header)}; "
                f"found: {', '.join(header) or 'nothing'}; expected them separated by tabs"
            )


def _checked(row: dict[str, str], table: Path, line: int) -> dict[str, str]:
    if None in row or None in row.values():
        raise InputError(f"{table} line {line}: the number of fields is not that of the header; mend the line")
    for column, words in (("gender", GENDER_WORDS), ("age", {**AGE_WORDS, "": None})):
        row[column] = row[column].strip()
        if row[column] not in words:
            raise InputError(
                f"{table} line {line}: unknown {column} {row[column]!r}{closest(row[column], words)}; "
                f"known: {', '.join(filter(None, words))}, or nothing"
            )
    name = row["path"]
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise InputError(f"{table} line {line}: path {name!r}; expected the bare name of a file in clips")
    if not PurePosixPath(name).suffix:
        # The first releases listed names without it.
        row["path"] = f"{name}.mp3"
    if not row["client_id"]:
        raise InputError(
            f"{table} line {line}: the client_id is empty; every clip needs a speaker, or splits would leak"
        )
    return row
