"""Text files of corpora: read line by line, strictly, and without guessing.

One rule for every list, table and transcript: UTF-8, with or without a byte order mark; lines that end in LF, CRLF or
CR, also mixed; the last line may lack its end. Other encodings, NUL and endless lines are refused with the line's
number; nothing is decoded by guess, for a wrong guess changes names and labels in silence.

    path,speaker,text
    a/1.wav,ann,"Hello, you"
"""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from voxbench.registry import closest
from voxbench.schema import InputError

LONGEST_LINE = 131_072
"""Characters of a line, and of a field that goes over several lines: the limit of Python's csv module as well."""

OTHER_MARKS = {b"\xff\xfe": "UTF-16 or UTF-32", b"\xfe\xff": "UTF-16", b"\0\0\xfe\xff": "UTF-32"}
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", " ": "blanks"}
SHOWN_CHARACTERS = 300
SAVE = "expected UTF-8 text: save it as UTF-8"


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of each line, without its end, in the order of the file.

    One line at a time is in memory. Only LF, CRLF and CR end a line: other separators of Unicode belong to the text.
    Raises InputError, with file and line, for a file that cannot be read, another encoding than UTF-8, NUL, and a line
    of more than `LONGEST_LINE` characters.
    """
    for number, line in _ended_lines(path):
        yield number, line.rstrip("\r\n")


def read_rows(
    path: Path, needed: Sequence[str], delimiter: str, quoted: bool, optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of its last line and the fields by column of each row below the header; blank lines are none.

    With `quoted`, a field in double quotes may hold delimiters, line ends and doubled quotes; without, quotes are
    ordinary characters. Fields are as written, blanks around them included. Raises InputError for what `read_lines`
    refuses, a column of `needed` that is missing, a column that differs from one of `needed` or `optional` in case or
    blanks alone, a column without a name or that occurs twice, a row with more or fewer fields than the header, and
    quotes that are left open or stand inside a quoted field.
    """
    header: list[str] = []
    for number, fields in _quoted(path, delimiter) if quoted else _plain(path, delimiter):
        if not header:
            header = fields
            _check_header(path, header, needed, delimiter)
            _check_columns(path, header, (*needed, *optional))
        elif len(fields) != len(header):
            fix = "quote fields that hold a delimiter, or mend the line" if quoted else "mend the line"
            raise InputError(
                f"{path} line {number}: the number of fields is not that of the header, {len(fields)} and not "
                f"{len(header)}; {fix}"
            )
        else:
            yield number, dict(zip(header, fields, strict=True))
    if not header:
        _check_header(path, (), needed, delimiter)


def _check_header(path: Path, header: Sequence[str], needed: Sequence[str], delimiter: str) -> None:
    for column in needed:
        if column not in header:
            alike = [name for name in header if name.strip().lower() == column.lower()]
            hint = f" (did you mean {alike[0]!r}?)" if alike else closest(column, header)
            raise InputError(
                f"{path} has no column {column!r}{hint}; found: {_in_one_line(header) or 'nothing'}; expected "
                f"{', '.join(needed)}, separated by {SEPARATORS.get(delimiter, repr(delimiter))}"
            )


def _in_one_line(header: Sequence[str]) -> str:
    names = (name if name.isprintable() else repr(name) for name in header)
    return textwrap.shorten(", ".join(names), SHOWN_CHARACTERS, placeholder=" ...")


def _check_columns(path: Path, header: Sequence[str], known: Sequence[str]) -> None:
    plain = {name.lower(): name for name in known}
    for place, column in enumerate(header):
        if not column.strip():
            raise InputError(f"{path} line 1: column {place + 1} of {len(header)} has no name; name or remove it")
        if column in header[:place]:
            raise InputError(f"{path} line 1: column {column!r} occurs twice; rename or remove one")
        meant = plain.get(column.strip().lower(), column)
        if column != meant and column not in known:
            raise InputError(f"{path} line 1: column {column!r} is not read as {meant!r}; write it like this")


def _plain(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(path):
        if line:
            yield number, line.split(delimiter)


def _quoted(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    # Strict: otherwise an open quote swallows the rows below it without a word.
    rows = csv.reader((line for _, line in _ended_lines(path)), delimiter=delimiter, strict=True)
    try:
        for fields in rows:
            if fields:
                yield rows.line_num, fields
    except csv.Error as error:
        raise InputError(
            f"{path} line {rows.line_num}: {error}; is a quotation mark left open, or not doubled inside a field?"
        ) from error


def _ended_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line, its end as written."""
    number = 0
    try:
        _refuse_other_marks(path)
        # Untranslated line ends: a quoted field keeps its own.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            # A limit, for a file without line ends would be read whole.
            while line := stream.readline(LONGEST_LINE + 3):
                number += 1
                _check_line(path, number, line)
                yield number, line
    except UnicodeDecodeError as error:
        raise InputError(f"{path} line {_first_bad_line(path)}: {error.reason}; {SAVE}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _check_line(path: Path, number: int, line: str) -> None:
    if "\0" in line:
        raise InputError(f"{path} line {number}: a NUL character, as in UTF-16 or a damaged file; {SAVE}")
    if len(line) > LONGEST_LINE and len(line.rstrip("\r\n")) > LONGEST_LINE:
        raise InputError(
            f"{path} line {number}: more than {LONGEST_LINE:,} characters; expected a line for each entry: "
            "is this the right file?"
        )


def _refuse_other_marks(path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(4)
    for mark, encoding in OTHER_MARKS.items():
        if start.startswith(mark):
            raise InputError(f"{path} line 1: begins like {encoding}; {SAVE}")


def _first_bad_line(path: Path) -> int:
    """Return the number of the first line that is not UTF-8; the decoder reads ahead and cannot tell."""
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as stream:
        number = 1
        while line := stream.readline(LONGEST_LINE):
            if any("\udc80" <= character <= "\udcff" for character in line):
                break
            number += line.endswith(("\n", "\r"))
    return number
