"""Any folder of recordings with a metadata table.

`ROOT/metadata.csv`, UTF-8 with a header, comma-separated:

    path,speaker,gender,age,text
    audio/0001/000010011.flac,so762-0001,male,6,WE CALL IT BEAR

`path` (relative to ROOT) and `speaker` are needed. `gender` (female, male, f, m), `age` in years, `age_group`
(or `age_class`: teens, twenties, ... sixties+, or Common Voice's words), `session`, `language`, `text`, `attack`
(`bonafide`, or a name for what made a spoofed recording) and `split` (train, valid, test) are understood where present;
every other column is kept as `extra`. An empty field means unknown, but a group follows from an age in years. Licence
and splits are the owner's: `split` is the corpus's official split, kept by `splitting.by: official`, which leaves out
rows that have none.

Names of columns are in lower case. Label words may be in any case and between blanks; names (path, speaker, session,
language, attack) may not stand between blanks, for " ann" would be another speaker than "ann"; nor may an attack be
called by another word for bona fide speech. Other fields are kept to the letter, line ends in quotes included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Sheet
from voxbench.corpora.tables import read_rows
from voxbench.registry import closest
from voxbench.schema import AGE_GROUPS, AGE_WORDS, BONAFIDE, InputError, Split, Utterance, age_group

TABLE = "metadata.csv"
NEEDED = ("path", "speaker")
NAMES = (*NEEDED, "session", "language", "attack")
UNDERSTOOD = (*NAMES, "gender", "age", "age_group", "age_class", "text", "split")
BONAFIDE_WORDS = ("bonafide", "genuine", "human", "real", "none", "")
"""What others write for a recording that is not spoofed, in small letters, without blanks and marks between words."""
GENDER_WORDS = {"female": "female", "f": "female", "male": "male", "m": "male", "": None}


@readers.register("table")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance for each row, in the order of the table.

    Raises `InputError` for a missing table or column, a path that is empty, absolute, repeated or leaves ROOT,
    an empty speaker, a name between blanks or with a line end, an attack that is another word for bona fide, an unknown
    gender, age group or split, an age that is not a number from 0 to 130 or not in its group, and what
    `voxbench.corpora.tables` refuses.
    """
    table = root / TABLE
    if not table.is_file():
        raise InputError(f"no {TABLE} in {root}: the table reader needs one with the columns {', '.join(NEEDED)}")
    seen: set[str] = set()
    for line, row in read_rows(table, NEEDED, ",", quoted=True, optional=UNDERSTOOD):
        utterance = _utterance(root, row, f"{table} line {line}")
        if utterance.id in seen:
            raise InputError(f"{table} line {line}: path {utterance.id!r} occurs twice; keep one row")
        seen.add(utterance.id)
        yield utterance


def part_of(utterance: Utterance) -> str:
    """Return the one part of any table."""
    return TABLE


sheets.add(
    "table",
    Sheet(
        title="A folder of recordings with a metadata table",
        homepage="",
        licence="the owner's: state it in params.yaml",
        tree=(
            f"{TABLE} with the columns path, speaker and, where known, gender, age, text, split, ...",
            "the recordings, wherever path says",
        ),
        part_of=part_of,
        steps=(f"write {TABLE}, one row for each recording, paths relative to its folder", "set the root to it"),
    ),
)


def _utterance(root: Path, row: Mapping[str, str], place: str) -> Utterance:
    for column in NAMES:
        _check_name(column, row.get(column, ""), place)
    relative = PurePosixPath(row["path"])
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{place}: path {row['path']!r} must be relative and stay below {root}")
    if not row["speaker"]:
        raise InputError(f"{place}: the speaker is empty; every recording needs one, or splits would leak")
    gender = row.get("gender", "").strip().lower()
    if gender not in GENDER_WORDS:
        raise InputError(f"{place}: gender {row['gender']!r}; expected female, male, f, m or nothing")
    age = _age(row.get("age", ""), place)
    return Utterance(
        id=relative.as_posix(),
        path=root / relative,
        speaker=row["speaker"],
        split=_split(row.get("split", ""), place),
        session=row.get("session") or None,
        gender=GENDER_WORDS[gender],
        age_years=age,
        age_group=_group(_group_word(row, place), age, place),
        language=row.get("language") or None,
        text=row["text"] if row.get("text", "").strip() else None,
        attack=_attack(row.get("attack", ""), place),
        extra={column: value for column, value in row.items() if column not in UNDERSTOOD},
    )


def _check_name(column: str, value: str, place: str) -> None:
    if value != value.strip():
        raise InputError(f"{place}: {column} {value!r} stands between blanks; remove them")
    if re.search(r"[\n\r\t]", value):
        raise InputError(f"{place}: {column} {value!r} holds a line end or a tab; remove it")
    if column == "path" and "\\" in value:
        raise InputError(f"{place}: path {value!r}; write / between folders and file, not \\")


def _attack(word: str, place: str) -> str | None:
    """Return the word as it is: taken for an attack, another word for bona fide would turn labels round."""
    plain = re.sub(r"[\s_-]", "", word.lower())
    if word and word != BONAFIDE and plain in BONAFIDE_WORDS:
        raise InputError(f"{place}: attack {word!r} is no attack; write {BONAFIDE}, or nothing where it is not known")
    return word or None


def _split(word: str, place: str) -> Split | None:
    plain, known = word.strip().lower(), [str(split) for split in Split]
    if plain and plain not in known:
        raise InputError(f"{place}: split {word!r}{closest(plain, known)}; expected {', '.join(known)} or nothing")
    return Split(plain) if plain else None


def _group_word(row: Mapping[str, str], place: str) -> str:
    words = {row[column].strip() for column in ("age_group", "age_class") if row.get(column, "").strip()}
    if len(words) > 1:
        raise InputError(f"{place}: age_group and age_class differ ({', '.join(sorted(words))}); keep one")
    return "".join(words)


def _group(word: str, age: float | None, place: str) -> str | None:
    derived = None if age is None else age_group(age)
    if not word:
        return derived
    group = AGE_WORDS.get(word.lower())
    if group is None:
        raise InputError(f"{place}: age group {word!r}{closest(word, AGE_WORDS)}; expected {', '.join(AGE_GROUPS)}")
    if derived not in (None, group):
        raise InputError(f"{place}: age {age:g} is of the {derived}, but the age group is {word!r}; correct one")
    return group


def _age(word: str, place: str) -> float | None:
    if not word.strip():
        return None
    # Not float() alone: it takes 1_0 for 10, and digits of any script.
    age = float(word) if re.fullmatch(r"\s*[0-9]+(\.[0-9]*)?\s*", word) else float("nan")
    if not 0 <= age <= 130:
        raise InputError(f"{place}: age {word!r}; expected years from 0 to 130 with a decimal point, or nothing")
    return age
