"""Files of scores, labels and embeddings, each read whole into one table of columns, strictly and fast.

| ending        | what is read                                                                                  |
|---------------|-----------------------------------------------------------------------------------------------|
| .csv          | fields between commas; one in double quotes may hold commas, line ends and doubled quotes       |
| .tsv          | fields between tabs; quotes are ordinary characters                                             |
| .txt, or none | fields between blanks, any number of them; quotes are ordinary characters                       |
| .npy          | one array; pickled objects are never loaded, since loading them runs what is written in them    |
| .parquet      | columns with names and types of their own                                                      |

Text is UTF-8, with or without a byte order mark, its lines end in LF, CRLF or CR, and the last may lack its end; blank
lines are no rows. All fields of a text file are strings here and have no names: what they are, `columns` finds out.
"""

from __future__ import annotations

import codecs
import csv as python_csv
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from voxbench.corpora.tables import LONGEST_LINE, read_lines
from voxbench.registry import closest
from voxbench.schema import InputError

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": " ", "": " "}
BETWEEN = {",": "commas", "\t": "tabs", " ": "blanks"}
ARRAY, PARQUET = ".npy", ".parquet"
ENDINGS = (".csv", ".tsv", ".txt", ARRAY, PARQUET)
OTHER_BLANKS = (b"\t", b"\v", b"\f")
NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"
SHOWN, SHOWN_NAMES = 60, 300
"""Characters of a field or a line, and of a list of names, that a message shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file as a table. `is_named` says whether its columns have names, or only places.

    `classes` are the words that stood for labels 0 and 1, where the labels of a detection are numbers already.
    """

    path: Path
    table: pa.Table
    is_named: bool
    classes: tuple[str, ...] = ()

    def of(self, table: pa.Table) -> Source:
        """Return the same file with other columns, which have names."""
        return Source(self.path, table, True, self.classes)


def listed(names: Iterable[str]) -> str:
    """Return names for a message of one line, no longer than a few lines of a terminal."""
    return ", ".join(name if name.isprintable() else repr(name) for name in names)[:SHOWN_NAMES]


def ending(path: Path) -> str:
    """Return the ending of a file that is read here; raises InputError for a missing file and any other ending."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; expected a file that ends in {', '.join(ENDINGS)}")
    suffix = path.suffix.lower()
    if suffix not in (*DELIMITERS, *ENDINGS):
        raise InputError(
            f"{path} ends in {suffix}{closest(suffix, ENDINGS)}; expected {', '.join(ENDINGS)}: save it as one of them"
        )
    return suffix


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as it is."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_table(path: Path) -> Source:
    """Read a csv, tsv, txt or parquet file.

    Raises InputError for a file that cannot be read, another encoding than UTF-8, NUL, no rows, and lines that do not
    all have the same number of fields.
    """
    suffix = ending(path)
    source = _read_parquet(path) if suffix == PARQUET else _read_text(path, DELIMITERS[suffix])
    if not source.table.num_rows:
        raise InputError(f"{path} is empty; expected a row for each recording or trial")
    return source


def read_array(path: Path) -> np.ndarray:
    """Map the array of an npy file into memory; raises InputError for what is no array of numbers or words."""
    expected = "expected one array of numbers, as numpy.save writes it"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as npy: {reason}; {expected}, without pickled objects") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufUS":
        found = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise InputError(f"{path} holds {found}; {expected}")
    if array.ndim == 0 or not array.size:
        raise InputError(f"{path} has shape {array.shape}, which has no rows; {expected}")
    return array


def numbers(source: Source, name: str) -> pa.ChunkedArray:
    """Return a column as float64; raises InputError for the first row without a finite number."""
    column = source.table[name]
    found = to_numbers(column)
    if found is None:
        place, text = first_without_number(column)
        what = f"{text[:SHOWN]!r}, which is no number" if text.strip() else "empty"
        raise InputError(f"{source.path} row {place + 1}: {name} is {what}; expected a finite number in each row")
    finite_N = pc.is_finite(found).to_numpy()
    if not finite_N.all():
        place = int(finite_N.argmin())
        raise InputError(
            f"{source.path} row {place + 1}: {name} is {found[place].as_py()}; NaN or infinite in "
            f"{int((~finite_N).sum()):,} of {len(finite_N):,} rows; expected a finite number in each row"
        )
    return found


def to_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return a column as float64, None where some field is no number; NaN and infinities are numbers here."""
    if column.null_count or not (pa.types.is_primitive(column.type) or pa.types.is_string(column.type)):
        return None
    for cleaned in (lambda: column, lambda: pc.utf8_trim_whitespace(column)):
        try:
            return cleaned().cast(pa.float64())
        except pa.ArrowException:
            continue
    return None


def first_without_number(column: pa.ChunkedArray) -> tuple[int, str]:
    """Return place and text of the first field of a column that is no number."""
    if pa.types.is_nested(column.type):
        return 0, f"a {column.type}"
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    place = pc.index(pc.fill_null(pc.match_substring_regex(texts, NUMBER, ignore_case=True), False), False).as_py()
    return max(place, 0), str(column[max(place, 0)].as_py() or "")


def _read_parquet(path: Path) -> Source:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error
    plain: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in plain:
            raise InputError(f"{path}: column {name!r} occurs twice; rename or remove one")
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        plain[name] = column
    return Source(path, pa.table(plain), is_named=True)


def _read_text(path: Path, delimiter: str) -> Source:
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if b"\0" in content:
        _refuse_encoding(path)
    try:
        if delimiter == "," and b'"' in content:
            table = _parse_quoted(path)
        else:
            table = _parse_blanks(content) if delimiter == " " else _parse(content, delimiter)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        _refuse_encoding(path)
        what = _ragged(path, delimiter) or f"{path} cannot be read: {str(error).splitlines()[0]}"
        raise InputError(what) from error
    return Source(path, table, is_named=False)


def _parse_quoted(path: Path) -> pa.Table:
    """Return fields of which some are quoted, by Python's reader: Arrow's takes what follows an open quote for text."""
    rows: list[list[str]] = []
    for number, fields in _quoted_rows(path):
        rows.append(fields)
        if len(fields) != len(rows[0]):
            raise InputError(_other_width(path, number, fields, len(rows[0]), ","))
    return pa.table({_place(place): pa.chunked_array([column]) for place, column in enumerate(zip(*rows, strict=True))})


def _quoted_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its last line and the fields of each row."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = python_csv.reader(stream, strict=True)
        try:
            yield from ((reader.line_num, fields) for fields in reader if fields)
        except python_csv.Error as error:
            raise InputError(
                f"{path} line {reader.line_num}: {error}; is a quotation mark left open, or not doubled in a field?"
            ) from error


def _parse_blanks(content: bytes) -> pa.Table:
    """Return fields between any number of blanks; the usual single ones need no look at every byte."""
    if not any(blank in content for blank in OTHER_BLANKS):
        try:
            table = _parse(content, " ")
            if all(pc.min(pc.binary_length(column)).as_py() != 0 for column in table.columns):
                return table
        except pa.ArrowInvalid:
            pass
    for blank in OTHER_BLANKS:
        content = content.replace(blank, b" ")
    content = content.replace(b"\r", b"\n")
    while b"  " in content:
        content = content.replace(b"  ", b" ")
    return _parse(content.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" "), " ")


def _parse(content: bytes, delimiter: str) -> pa.Table:
    start = content.lstrip(b"\r\n")[:LONGEST_LINE].decode("utf-8", errors="replace").replace("\r", "\n")
    if not start:
        return pa.table({})
    names = [_place(place) for place in range(start.split("\n")[0].count(delimiter) + 1)]
    return csv.read_csv(
        pa.py_buffer(content),
        csv.ReadOptions(column_names=names),
        csv.ParseOptions(delimiter=delimiter, quote_char=False),
        csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _place(place: int) -> str:
    return f"column {place + 1}"


def _refuse_encoding(path: Path) -> None:
    """Raise InputError with the line for what is no UTF-8 text."""
    deque(read_lines(path), maxlen=0)


def _ragged(path: Path, delimiter: str) -> str:
    """Return which line has another number of fields than the first, empty where none has."""
    width = 0
    for number, line in read_lines(path):
        fields = line.split() if delimiter == " " else line.split(delimiter)
        if fields in ([], [""]):
            continue
        width = width or len(fields)
        if len(fields) != width:
            return _other_width(path, number, fields, width, delimiter)
    return ""


def _other_width(path: Path, number: int, fields: list[str], width: int, delimiter: str) -> str:
    return (
        f"{path} line {number}: {delimiter.join(fields)[:SHOWN]!r} has {len(fields)} fields between "
        f"{BETWEEN[delimiter]}, but the first line has {width}; expected the same number in each line"
    )
