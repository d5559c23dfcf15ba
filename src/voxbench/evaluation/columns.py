"""The columns of score and label files under the names that the rest of this room knows, and with their types.

| kind      | scores               | labels    |
|-----------|----------------------|-----------|
| detection | score                | label     |
| classes   | p_CLASS of each class | truth     |
| value     | predicted            | truth     |
| text      | hypothesis           | reference |

Both may hold `id`, or `enroll` and `test`, which join them; `speaker`, or `enroll_speaker` and `test_speaker`; `split`;
and any other columns, by which rows are grouped. Case does not matter, and some other words mean the same: `NAMES`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.evaluation.files import DELIMITERS, SHOWN, Source, listed, numbers, to_numbers
from voxbench.evaluation.forms import SCORES, recognised
from voxbench.evaluation.label_words import are_label_words
from voxbench.metrics.inputs import SUM_TOLERANCE
from voxbench.registry import closest
from voxbench.schema import InputError, ScoreKind

SHARED = {
    "id": ("utt", "utt_id", "utterance", "utterance_id", "file", "filename", "trial", "path"),
    "enroll": ("enrol", "enrollment", "enrolment"),
    "test": (),
    "speaker": ("spk", "speaker_id"),
    "enroll_speaker": (),
    "test_speaker": (),
    "split": (),
}
TRUTH = {"truth": ("label", "class")}
NAMES: dict[ScoreKind, dict[str, tuple[str, ...]]] = {
    ScoreKind.DETECTION: {
        "score": ("scores", "llr", "cm-score", "cm_score"),
        "label": ("labels", "key", "truth"),
        **SHARED,
    },
    ScoreKind.CLASSES: TRUTH | SHARED,
    ScoreKind.VALUE: {"truth": ("label",), "predicted": ("prediction", "estimate"), **SHARED},
    ScoreKind.TEXT: {"reference": ("ref", "sentence"), "hypothesis": ("hyp", "transcript"), **SHARED},
}
"""What is read of each kind, and which other words mean the same."""

NEEDED = {
    ScoreKind.DETECTION: ("score", "label"),
    ScoreKind.CLASSES: ("p_CLASS", "truth"),
    ScoreKind.VALUE: ("predicted", "truth"),
    ScoreKind.TEXT: ("hypothesis", "reference"),
}
"""What the scores and what the labels of each kind must have."""

PROBABILITY = "p_"
NUMERIC = ("score", "predicted")
TRANSCRIPTS = ("reference", "hypothesis")
KEYS = ("id", "enroll", "test")
WORDS = (*KEYS, "speaker", "enroll_speaker", "test_speaker", "split", "session")
"""Columns whose fields are names, even where they look like numbers."""

NOTHING = pa.scalar(None, pa.string())
CODE = r"^[+-]?0\d"
"""How a name of digits begins that a number would lose: 007."""


def named(source: Source, kind: ScoreKind, side: str, columns: Sequence[str]) -> tuple[Source, tuple[str, ...]]:
    """Return a file with names and types of its columns, and notes of what was found out.

    `columns` are the names that the user gives, none to find out; `side` is `SCORES` or `LABELS`. Raises InputError for
    columns that cannot be told apart, names that are missing or double, and fields of another type than their column.
    """
    notes: tuple[str, ...] = ()
    table = source.table
    if columns:
        table = table.rename_columns(_checked(source, columns))
    elif not source.is_named and _has_header(table, kind):
        header = [str(column[0].as_py()) for column in table.columns]
        table = table.slice(1).rename_columns(header)
        if not table.num_rows:
            raise InputError(f"{source.path} has a header ({listed(header)}) and no rows below it")
    elif not source.is_named:
        table = recognised(source, kind, side).table
        notes = (f"{source.path.name} has no header; its columns are taken as: {' '.join(table.column_names)}",)
    table = table.rename_columns(_canonical(source, table.column_names, kind))
    _require(source, table.column_names, kind, side)
    return _typed(source.of(table), kind), notes


def group_columns(table: pa.Table, used: Container[str]) -> pd.DataFrame:
    """Return the columns besides those `used`, which group rows, as numbers where all fields are.

    Names stay words, and so do codes with leading zeros. Columns without any field are left out.
    """
    kept = {name: _grouping(name, table[name]) for name in table.column_names if name not in used}
    series = {name: column.to_pandas() for name, column in kept.items() if column.null_count < len(column)}
    # Without any column, the number of rows is still theirs.
    return pd.DataFrame(series, index=pd.RangeIndex(table.num_rows))


def probabilities(table: pa.Table) -> list[str]:
    """Return the names of the columns of probabilities, in their order."""
    return [name for name in table.column_names if name.startswith(PROBABILITY)]


def _checked(source: Source, columns: Sequence[str]) -> Sequence[str]:
    width = source.table.num_columns
    if len(columns) != width:
        raise InputError(
            f"--columns names {len(columns)} columns, {', '.join(columns)}, but {source.path} has {width}; name each"
        )
    return columns


def _has_header(table: pa.Table, kind: ScoreKind) -> bool:
    """Tell whether the first line is of names: no number, no label, and a name that is known, two for texts."""
    first = [column.slice(0, 1) for column in table.columns]
    if any(to_numbers(field) is not None for field in first):
        return False
    if kind == ScoreKind.DETECTION and any(map(are_label_words, first)):
        return False
    known = {*NAMES[kind], *(word for words in NAMES[kind].values() for word in words)}
    fields = [str(field[0].as_py()).strip() for field in first]
    hits = sum(field.lower() in known for field in fields)
    if kind == ScoreKind.CLASSES:
        hits += sum(field.startswith(PROBABILITY) for field in fields)
    return hits >= (min(2, len(fields)) if kind == ScoreKind.TEXT else 1)


def _canonical(source: Source, names: Sequence[str], kind: ScoreKind) -> list[str]:
    """Return names as the rest of this room knows them; one that means the same counts where the name itself is not."""
    names = [name.strip() for name in names]
    for place, name in enumerate(names):
        if not name:
            raise InputError(f"{source.path}: column {place + 1} of {len(names)} has no name; name or remove it")
    lower = [name.lower() for name in names]
    for role, others in NAMES[kind].items():
        meant = [place for place, name in enumerate(lower) if name == role]
        meant = meant or [place for place, name in enumerate(lower) if name in others]
        if len(meant) > 1:
            both = " and ".join(repr(names[place]) for place in meant)
            raise InputError(f"{source.path}: columns {both} both mean {role!r}; rename or remove one")
        for place in meant:
            names[place] = role
    if double := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InputError(f"{source.path}: column {double[0]!r} occurs twice; rename or remove one")
    return names


def _require(source: Source, names: list[str], kind: ScoreKind, side: str) -> None:
    needed = NEEDED[kind][0 if side == SCORES else 1]
    found = [name for name in names if name == needed or (needed == "p_CLASS" and name.startswith(PROBABILITY))]
    if not found or (needed == "p_CLASS" and len(found) < 2):
        between = " (between commas)" if DELIMITERS.get(source.path.suffix.lower()) == "," and len(names) == 1 else ""
        what = "a column p_CLASS of each of two or more classes" if needed == "p_CLASS" else f"a column {needed!r}"
        raise InputError(
            f"{source.path} needs {what}{closest(needed, names)}; found{between}: "
            f"{listed(names)}; name it so, or with --columns where there is no header"
        )
    if ("enroll" in names) != ("test" in names):
        there, absent = ("enroll", "test") if "enroll" in names else ("test", "enroll")
        raise InputError(f"{source.path} has a column {there!r} but none {absent!r}; a trial has both")


def _typed(source: Source, kind: ScoreKind) -> Source:
    columns = {name: _typed_column(source, name, kind) for name in source.table.column_names}
    table = pa.table(columns)
    if kind == ScoreKind.CLASSES and probabilities(table):
        _refuse_no_distribution(source, table)
    return source.of(table)


def _typed_column(source: Source, name: str, kind: ScoreKind) -> pa.ChunkedArray:
    column = source.table[name]
    is_truth = name == "truth" and kind in (ScoreKind.VALUE, ScoreKind.CLASSES)
    if (name in NUMERIC and name in NAMES[kind]) or (is_truth and kind == ScoreKind.VALUE):
        return numbers(source, name)
    if kind == ScoreKind.CLASSES and name.startswith(PROBABILITY):
        return numbers(source, name)
    if kind == ScoreKind.TEXT and name in TRANSCRIPTS:
        return _texts(source, name)
    if name in KEYS or is_truth or (name == "label" and kind == ScoreKind.DETECTION):
        words = _words(source, name)
        return pc.utf8_lower(words) if name == "label" else words
    column = column.cast(pa.string()) if name in WORDS else column
    return pc.if_else(pc.equal(column, ""), NOTHING, column) if pa.types.is_string(column.type) else column


def _texts(source: Source, name: str) -> pa.ChunkedArray:
    """Return transcripts, which may be empty but not missing."""
    column = source.table[name]
    if not pa.types.is_string(column.type):
        raise InputError(f"{source.path}: {name} is a column of {column.type}; expected strings")
    if column.null_count:
        place = pc.index(pc.is_null(column), True).as_py()
        raise InputError(f"{source.path} row {place + 1}: {name} is missing; write an empty one for no words")
    return column


def _words(source: Source, name: str) -> pa.ChunkedArray:
    """Return names, classes or labels as strings without blanks around them; InputError for a row without one."""
    try:
        words = pc.utf8_trim_whitespace(source.table[name].cast(pa.string()))
    except pa.ArrowException as error:
        found = source.table[name].type
        raise InputError(f"{source.path}: {name} is a column of {found}; expected words or integers") from error
    absent = pc.fill_null(pc.equal(words, ""), True)
    if pc.any(absent).as_py():
        place = pc.index(absent, True).as_py()
        raise InputError(f"{source.path} row {place + 1}: {name} is empty; expected one in each row")
    return words


def _refuse_no_distribution(source: Source, table: pa.Table) -> None:
    probabilities_NC = np.column_stack([table[name].to_numpy() for name in probabilities(table)])
    bad_N = (probabilities_NC.min(axis=1) < 0) | (np.abs(probabilities_NC.sum(axis=1) - 1) > SUM_TOLERANCE)
    if bad_N.any():
        place = int(bad_N.argmax())
        of = f" ({table['id'][place].as_py()})" if "id" in table.column_names else ""
        shown = ", ".join(f"{value:g}" for value in probabilities_NC[place])[:SHOWN]
        raise InputError(
            f"{source.path} row {place + 1}{of}: probabilities {shown}; {int(bad_N.sum()):,} of {len(bad_N):,} rows "
            f"have one below 0 or do not sum to 1 within {SUM_TOLERANCE:g}: apply a softmax to logits first"
        )


def _grouping(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type) or name in WORDS:
        return column
    present = column.drop_null()
    numeric = to_numbers(present)
    if numeric is None or pc.any(pc.match_substring_regex(present, CODE)).as_py():
        return column
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.utf8_trim_whitespace(column).cast(kind)
        except pa.ArrowInvalid:
            continue
    return column
