"""Any folder of recordings with a metadata table.

`ROOT/metadata.csv`, UTF-8 with a header, comma-separated:

    path,speaker,gender,age,text
    audio/0001/000010011.flac,so762-0001,male,6,WE CALL IT BEAR

`path` (relative to ROOT) and `speaker` are needed. `gender` (female, male, f, m), `age` in years, `age_group`
(or `age_class`: teens, twenties, ... sixties+, or Common Voice's words), `session`, `language` and `text` are
understood where present; every other column is kept as `extra`. An empty field means unknown, but a group follows from
an age in years. Licence and splits are the owner's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from voxbench.corpora.registries import readers
from voxbench.registry import closest
from voxbench.schema import AGE_GROUPS, AGE_WORDS, InputError, Utterance, age_group

TABLE = "metadata.csv"
NEEDED = ("path", "speaker")
UNDERSTOOD = (*NEEDED, "gender", "age", "age_group", "age_class", "session", "language", "text")
GENDER_WORDS = {"female": "female", "f": "female", "male": "male", "m": "male", "": None}


@readers.register("table")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance for each row, in the order of the table.

    Raises `InputError` for a missing table or column, a path that is empty, absolute, repeated or leaves ROOT,
    an empty speaker, an unknown gender or age group, an age that is not a number from 0 to 130 or not in its group.
    """
    table = root / TABLE
    if not table.is_file():
        raise InputError(f"no {TABLE} in {root}: the table reader needs one with the columns {', '.join(NEEDED)}")
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        for column in NEEDED:
            if column not in (rows.fieldnames or ()):
                raise InputError(
                    f"{table} has no column {column!r}{closest(column, rows.fieldnames or ())}; "
                    f"found: {', '.join(rows.fieldnames or ()) or 'nothing'}"
                )
        seen: set[str] = set()
        for row in rows:
            utterance = _utterance(root, row, f"{table} line {rows.line_num}")
            if utterance.id in seen:
                raise InputError(f"{table} line {rows.line_num}: path {utterance.id!r} occurs twice; keep one row")
            seen.add(utterance.id)
            yield utterance


def _utterance(root: Path, row: dict[str, str], place: str) -> Utterance:
    if None in row or None in row.values():
        raise InputError(f"{place}: the number of fields is not that of the header; quote fields that hold a comma")
    relative = PurePosixPath(row["path"])
    if not row["path"] or relative.is_absolute() or ".." in relative.parts:
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
        session=row.get("session") or None,
        gender=GENDER_WORDS[gender],
        age_years=age,
        age_group=_group(row.get("age_group") or row.get("age_class") or "", age, place),
        language=row.get("language") or None,
        text=row.get("text") or None,
        extra={column: value for column, value in row.items() if column not in UNDERSTOOD},
    )


def _group(word: str, age: float | None, place: str) -> str | None:
    derived = None if age is None else age_group(age)
    if not word.strip():
        return derived
    group = AGE_WORDS.get(word.strip())
    if group is None:
        raise InputError(f"{place}: age group {word!r}{closest(word, AGE_WORDS)}; expected {', '.join(AGE_GROUPS)}")
    if derived not in (None, group):
        raise InputError(f"{place}: age {age:g} is of the {derived}, but the age group is {word!r}; correct one")
    return group


def _age(word: str, place: str) -> float | None:
    if not word.strip():
        return None
    try:
        age = float(word)
    except ValueError:
        age = float("nan")
    if not 0 <= age <= 130:
        raise InputError(f"{place}: age {word!r}; expected years from 0 to 130, or nothing")
    return age
