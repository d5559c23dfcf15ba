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

| release | validated | train     | dev    | test   | from https://github.com/common-voice/cv-dataset
|---------|-----------|-----------|--------|--------|
| 17.0 en | 1,799,288 | 1,101,170 | 16,393 | 16,393 |
| 7.0 ru  | 99,709    | 17,070    | 8,422  | 8,425  |

Since October 2025 releases are to be had from the Mozilla Data Collective alone, with an account
(https://huggingface.co/mozilla-foundation). CC0 remains the licence, but the platform's terms forbid to pass the files
on (https://community.mozilladatacollective.com/faq-why-cant-i-re-host-or-share-common-voice-datasets-that-i-download-from-mdc).

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

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Part, Sheet
from voxbench.corpora.tables import read_rows
from voxbench.registry import closest
from voxbench.schema import AGE_WORDS, InputError, Split, Utterance

TREE = "the folder of one language that holds train.tsv, dev.tsv, test.tsv, validated.tsv and clips/"
SET_WORDS = {"train": Split.TRAIN, "dev": Split.VALID, "test": Split.TEST}
VALIDATED = "validated"
UNSPLIT = "unsplit"
NEEDED = ("client_id", "path", "sentence", "age", "gender")
KEPT = {"accent": "accent", "accents": "accent", "variant": "variant", "segment": "segment"}
"""Columns that go to `extra`, under one name in all releases."""

GENDER_WORDS = {
    **dict.fromkeys(("male", "male_masculine"), "male"),
    **dict.fromkeys(("female", "female_feminine"), "female"),
    **dict.fromkeys(("other", "transgender", "non-binary", "intersex", "do_not_wish_to_say", ""), None),
}
LABELS: tuple[tuple[str, Mapping[str, str | None]], ...] = (("gender", GENDER_WORDS), ("age", {**AGE_WORDS, "": None}))
"""The columns of labels and the words that each may hold."""


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


def part_of(utterance: Utterance) -> str:
    """Return the language and the list that a row comes from; `unsplit` is what `validated.tsv` has beyond the sets.

    >>> part_of(Utterance("clips/a.mp3", Path("a.mp3"), "ann", Split.VALID, language="en"))
    'en dev'
    """
    words = {split: word for word, split in SET_WORDS.items()}
    return f"{utterance.language} {UNSPLIT if utterance.split is None else words[utterance.split]}"


def _release(language: str, validated: int, train: int, dev: int, test: int) -> tuple[Part, ...]:
    """Return the parts of one language of a release; the official sets are taken from what is validated."""
    counts = {"train": train, "dev": dev, "test": test, UNSPLIT: validated - train - dev - test}
    return tuple(Part(f"{language} {word}", count) for word, count in counts.items())


sheets.add(
    "common_voice",
    Sheet(
        title="Common Voice",
        homepage="https://commonvoice.mozilla.org",
        licence="CC0-1.0",
        tree=(
            "train.tsv, dev.tsv, test.tsv",
            "validated.tsv",
            "clips/common_voice_en_27710027.mp3",
        ),
        part_of=part_of,
        releases={
            "17.0 en": _release("en", 1_799_288, 1_101_170, 16_393, 16_393),
            "17.0 en, validated.tsv alone": (Part(f"en {UNSPLIT}", 1_799_288),),
            "7.0 ru": _release("ru", 99_709, 17_070, 8_422, 8_425),
            "7.0 ru, validated.tsv alone": (Part(f"ru {UNSPLIT}", 99_709),),
        },
        steps=(
            "make an account at https://mozilladatacollective.com, the only place that gives out the releases",
            "choose a language of Common Voice Scripted Speech, accept the terms, fetch its .tar.gz",
            "unpack it: tar -xzf cv-corpus-*.tar.gz",
            "set the root to the folder of the language in it, which holds validated.tsv and clips",
        ),
    ),
)


def _utterances(
    root: Path, tables: list[Path], clips: dict[str, int], contradictory: tuple[set[str], set[str]]
) -> Iterator[Utterance]:
    folder, language = root / "clips", root.absolute().name
    for table in tables:
        split = SET_WORDS.get(table.stem)
        for _, row in _rows(table):
            if clips.pop(row["path"], None) is not None:
                yield _utterance(folder / row["path"], row, split, language, contradictory)


def _utterance(
    path: Path, row: Mapping[str, str], split: Split | None, language: str, contradictory: tuple[set[str], set[str]]
) -> Utterance:
    client, name, sentence, age, gender = (row[column] for column in NEEDED)
    two_genders, two_ages = contradictory
    extra = {KEPT[column]: row[column] for column in KEPT if row.get(column)}
    words = {"gender_word": gender, "age_word": age}
    return Utterance(
        id=f"clips/{name}",
        path=path,
        speaker=client,
        split=split,
        gender=None if client in two_genders else GENDER_WORDS[gender],
        age_group=None if client in two_ages else AGE_WORDS.get(age),
        language=row.get("locale") or language,
        text=sentence or None,
        extra=extra | {key: word for key, word in words.items() if word},
    )


def _survey(tables: list[Path]) -> tuple[dict[str, int], set[str], set[str]]:
    """Check every row; return the clips, and the clients whose genders and whose age groups contradict each other."""
    # Per clip one number, of a hash of its content and the place of its table: the English tables have two million.
    clips: dict[str, int] = {}
    genders: defaultdict[str, set[str | None]] = defaultdict(set)
    ages: defaultdict[str, set[str | None]] = defaultdict(set)
    for place, table in enumerate(tables):
        is_official = table.stem in SET_WORDS
        for line, row in _rows(table):
            client, name = row["client_id"], row["path"]
            content = hash((client, row["sentence"]))
            known, home = divmod(clips.setdefault(name, content * len(tables) + place), len(tables))
            if known != content:
                raise InputError(
                    f"{table} line {line}: clip {name!r} with another client or sentence than in {tables[home].name}; "
                    "keep the right row"
                )
            if home != place and is_official:
                raise InputError(
                    f"{table} line {line}: clip {name!r} is in the {tables[home].stem} set too; keep it in one of them"
                )
            genders[client].add(GENDER_WORDS[row["gender"]])
            ages[client].add(AGE_WORDS.get(row["age"]))
    two_genders, two_ages = (
        {client for client, labels in by_client.items() if len(labels - {None}) > 1} for by_client in (genders, ages)
    )
    return clips, two_genders, two_ages


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
    for line, row in read_rows(table, NEEDED, "\t", quoted=False, optional=("locale", *KEPT)):
        yield line, _checked(row, table, line)


def _checked(row: dict[str, str], table: Path, line: int) -> dict[str, str]:
    for column, words in LABELS:
        row[column] = row[column].strip()
        if row[column] not in words:
            raise InputError(
                f"{table} line {line}: unknown {column} {row[column]!r}{closest(row[column], words)}; "
                f"known: {', '.join(filter(None, words))}, or nothing"
            )
    name = row["path"]
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise InputError(f"{table} line {line}: path {name!r}; expected the bare name of a file in clips")
    if posixpath.splitext(name)[1] in ("", "."):
        # The first releases listed names without it.
        row["path"] = f"{name}.mp3"
    if not row["client_id"]:
        raise InputError(
            f"{table} line {line}: the client_id is empty; every clip needs a speaker, or splits would leak"
        )
    for column in ("client_id", "path"):
        if row[column] != row[column].strip():
            raise InputError(f"{table} line {line}: {column} {row[column]!r} with blanks around it; remove them")
    return row
