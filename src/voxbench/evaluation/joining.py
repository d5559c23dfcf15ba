"""Scores and labels of two files as one table: joined by name, or refused with what does not fit.

Rows are joined by `id`, or by the pair of `enroll` and `test`; by position only where neither file names its rows and
both have as many. A label without a score or a score without a label is an error of whoever wrote the files: a metric
of what is left would be of another list. Columns of both files must agree, and stand once in the table.

Shape letters: N rows of scores, M rows of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.evaluation.files import Source, listed
from voxbench.registry import closest
from voxbench.schema import InputError, Split

PAIR = ("enroll", "test")
SHOWN = 3
"""Examples that a message shows of each complaint."""
ENDING = r"\.[A-Za-z0-9]{1,5}$"
SUBSET = "subset"
"""The column of ASVspoof 2021's keys that `--split` can choose from; results without one are of all of them."""


def keys_of(table: pa.Table) -> tuple[str, ...]:
    """Return the columns that name a row: enroll and test, or id, or none."""
    names = table.column_names
    return PAIR if set(PAIR) <= set(names) else ("id",) if "id" in names else ()


def names_of(table: pa.Table, keys: Sequence[str], places: Sequence[int] | np.ndarray) -> str:
    """Return the names of the first of some rows, for a message."""
    shown = [" ".join(table[key][int(place)].as_py() for key in keys) for place in places[:SHOWN]]
    return listed(shown) + (", ..." if len(places) > SHOWN else "")


def refuse_doubles(source: Source, codes_N: np.ndarray | None = None) -> None:
    """Raise InputError for a name that two rows have; `codes_N` are equal where names are, computed where not given."""
    keys = keys_of(source.table)
    if not keys:
        return
    codes_N = _codes([source.table], keys)[0] if codes_N is None else codes_N
    double = np.flatnonzero(pd.Series(codes_N).duplicated().to_numpy())
    if len(double):
        first = int((codes_N == codes_N[double[0]]).argmax())
        raise InputError(
            f"{source.path}: {names_of(source.table, keys, double[:1])} in row {first + 1} and row {double[0] + 1}; "
            f"{len(double):,} rows have a name that occurs above ({names_of(source.table, keys, double)}); "
            f"expected each {' and '.join(keys)} once: keep one row"
        )


def has_splits(table: pa.Table) -> bool:
    """Tell whether rows of a table can be chosen by split."""
    return not {"split", SUBSET}.isdisjoint(table.column_names)


def choose_split(source: Source, split: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return which rows (N,) are of the split that is asked for, the test split by default, and a note of the others.

    Without a column `split`, all are, unless one is asked for: then the column `subset` is looked at. Raises InputError
    for a split that no row is of.
    """
    table = source.table
    column = "split" if "split" in table.column_names else SUBSET
    if column not in table.column_names:
        return np.ones(table.num_rows, dtype=bool), ()
    wanted = Split.TEST.value if split is None else split
    words = pc.fill_null(table[column].cast(pa.string()), "")
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(words).to_pylist()}
    shown = ", ".join(f"{word or 'none'} {count:,}" for word, count in sorted(counts.items()))
    if column == SUBSET and split is None:
        whole = (f"rows of every {SUBSET} of {source.path.name} ({shown}); --split takes one of them",)
        return np.ones(table.num_rows, dtype=bool), whole if len(counts) > 1 else ()
    if wanted not in counts:
        raise InputError(
            f"{source.path} has no row of {column} {wanted!r}{closest(wanted, counts)}; rows: {shown}; give one of them"
        )
    left_out = len(words) - counts[wanted]
    note = (
        f"only rows of {column} {wanted!r} of {source.path.name}; {left_out:,} of other splits are left out ({shown})"
    )
    return pc.equal(words, wanted).to_numpy(), (note,) if left_out else ()


def joined(
    scores: Source, labels: Source, chosen_N: np.ndarray, needed_M: np.ndarray
) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the columns of both files in the order of the scores, and notes.

    `chosen_N` and `needed_M` say which rows of either side are asked for: these must have each other. Raises InputError
    for names in one file only or twice in one, labels without a score and scores without a label, other lengths of
    files without names, and columns that contradict each other.
    """
    keys, other = keys_of(scores.table), keys_of(labels.table)
    notes: tuple[str, ...] = ()
    if not keys and not other:
        place_N = _by_position(scores, labels)
        notes = ("rows of scores and labels are joined by position: neither file names them",)
    else:
        place_N = _by_name(scores, labels, chosen_N, needed_M)
    kept_N = chosen_N & needed_M[place_N]
    table, place_N = scores.table.filter(pa.array(kept_N)), place_N[kept_N]
    for name in labels.table.column_names:
        column = labels.table[name].take(place_N)
        if name not in table.column_names:
            table = table.append_column(name, column)
        elif name not in keys:
            table = _agreed(table, name, column, (scores, labels))
    return table, notes


def _by_position(scores: Source, labels: Source) -> np.ndarray:
    rows, others = scores.table.num_rows, labels.table.num_rows
    if rows != others:
        raise InputError(
            f"{scores.path} has {rows:,} rows and {labels.path} {others:,}; expected one label for each score, or an "
            "id in both files to join them by"
        )
    return np.arange(rows)


def _shared_keys(scores: Source, labels: Source) -> tuple[str, ...]:
    for keys in (PAIR, ("id",)):
        if all(set(keys) <= set(source.table.column_names) for source in (scores, labels)):
            return keys
    found = [" and ".join(keys_of(source.table)) or "no name" for source in (scores, labels)]
    raise InputError(
        f"{scores.path} has {found[0]} for each row, {labels.path} {found[1]}; expected the same in both, to join them "
        "by: id, or enroll and test"
    )


def _by_name(scores: Source, labels: Source, chosen_N: np.ndarray, needed_M: np.ndarray) -> np.ndarray:
    """Return the place (N,) of each score among the labels, -1 of one that is not asked for and has none."""
    keys = _shared_keys(scores, labels)
    codes_N, codes_M = _codes([scores.table, labels.table], keys)
    for source, codes in ((scores, codes_N), (labels, codes_M)):
        refuse_doubles(source, codes if keys_of(source.table) == keys else None)
    place_of = np.full(max(codes_N.max(), codes_M.max()) + 1, -1)
    place_of[codes_M] = np.arange(len(codes_M))
    place_N = place_of[codes_N]
    scored = np.zeros(len(place_of), dtype=bool)
    scored[codes_N] = True
    without_label = np.flatnonzero(chosen_N & (place_N < 0))
    without_score = np.flatnonzero(needed_M & ~scored[codes_M])
    if len(without_label) or len(without_score):
        raise InputError(_mismatch(scores, labels, keys, without_label, without_score))
    return place_N


def _mismatch(
    scores: Source, labels: Source, keys: Sequence[str], without_label: np.ndarray, without_score: np.ndarray
) -> str:
    complaints = [
        f"{len(places):,} of {source.table.num_rows:,} {what} ({names_of(source.table, keys, places)})"
        for source, what, places in (
            (labels, "labels have no score", without_score),
            (scores, "scores have no label", without_label),
        )
        if len(places)
    ]
    fix = "are they of the same list?"
    for name, change in CHANGES.items():
        changed = [_changed(source.table, keys, change) for source in (scores, labels)]
        codes_N, codes_M = _codes(changed, keys)
        if set(codes_M[without_score]) & set(codes_N) or set(codes_N[without_label]) & set(codes_M):
            fix = f"some differ in {name} alone: write them alike"
    return f"{scores.path} and {labels.path} do not fit: {' and '.join(complaints)}; {fix}"


CHANGES: dict[str, Callable[[pa.ChunkedArray], pa.ChunkedArray]] = {
    "case": pc.utf8_lower,
    "their folder": lambda names: pc.replace_substring_regex(names, r"^.*/", ""),
    "their ending": lambda names: pc.replace_substring_regex(names, ENDING, ""),
}
"""What names of the same recording often differ in."""


def _changed(table: pa.Table, keys: Sequence[str], change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    return pa.table({key: change(table[key]) for key in keys})


def _codes(tables: Sequence[pa.Table], keys: Sequence[str]) -> list[np.ndarray]:
    """Return for each table the numbers of its rows' names, equal where the names are, from 0 without gaps."""
    codes: np.ndarray = np.zeros(sum(table.num_rows for table in tables), dtype=np.int64)
    for key in keys:
        column = pa.chunked_array([chunk for table in tables for chunk in table[key].chunks], type=pa.string())
        encoded = column.combine_chunks().dictionary_encode()
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
    codes = pd.factorize(codes)[0]
    return np.split(codes, np.cumsum([table.num_rows for table in tables])[:-1])


def _agreed(table: pa.Table, name: str, column: pa.ChunkedArray, sources: tuple[Source, Source]) -> pa.Table:
    """Return the table with the fields of both files' column; where both have one, they must be equal."""
    first, second = table[name].cast(pa.string()), column.cast(pa.string())
    differs = pc.fill_null(pc.not_equal(first, second), False)
    if pc.any(differs).as_py():
        place = pc.index(differs, True).as_py()
        keys = keys_of(table)
        of = f" of {names_of(table, keys, [place])}" if keys else f" in row {place + 1}"
        raise InputError(
            f"{name}{of} is {first[place].as_py()!r} in {sources[0].path} and {second[place].as_py()!r} in "
            f"{sources[1].path}, and {pc.sum(differs).as_py():,} rows differ; correct one, or remove one of the columns"
        )
    return table.set_column(
        table.column_names.index(name), name, pc.coalesce(table[name], column.cast(table[name].type))
    )
