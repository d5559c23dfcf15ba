"""Trials of three kinds with two scores each: the table that a tandem of verifier and countermeasure is judged by.

| column | what |
|---|---|
| `enroll` | who is claimed: a speaker, or the name of a template |
| `test` | the recording that is heard |
| `asv`, `cm` | scores of verifier and countermeasure, of any scale, higher for more target, more bona fide |
| `key` | `target`, `nontarget` or `spoof` |
| `speaker` | optional: who is heard; of targets and spoofs the one who is claimed |
| `split` | optional in a file: `valid` for development trials, `test` for those that are judged |

A recording has one score of the countermeasure, whoever is claimed, and is spoofed in all of its trials or in none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from voxbench.evaluation.files import Source, listed, numbers, read_table
from voxbench.evaluation.joining import choose_split
from voxbench.metrics.spoofing_aware import KEYS
from voxbench.registry import closest
from voxbench.schema import InputError, Split

NAMES, SCORES = ("enroll", "test"), ("asv", "cm")
NEEDED = (*NAMES, *SCORES, "key")
SPEAKER, SPLIT = "speaker", "split"
SPOOF = KEYS[2]


def read_tandem(scores: Path, development: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the development trials and the test trials of a file, or of two.

    Raises InputError for files that cannot be read, columns that are missing, and what `check_trials` and
    `check_apart` refuse.
    """
    source = _named(read_table(scores))
    if development is None:
        if SPLIT not in source.table.column_names:
            raise InputError(
                f"{scores} has no column {SPLIT!r}, so no trial is one of development: name a file of them with --dev, "
                f"or add the column with {Split.VALID} and {Split.TEST}"
            )
        parts = [_part(source, split) for split in (Split.VALID, Split.TEST)]
    else:
        parts = [_frame(_named(read_table(development))), _frame(source)]
    names = (f"development trials of {development or scores}", f"test trials of {scores}")
    for name, trials in zip(names, parts, strict=True):
        check_trials(trials, name)
    check_apart(*parts)
    return parts[0], parts[1]


def check_trials(trials: pd.DataFrame, what: str) -> None:
    """Refuse trials without one of the three kinds, with a recording of two scores, or one that contradicts itself."""
    counts = trials["key"].value_counts()
    if missing := [key for key in KEYS if key not in counts]:
        found = ", ".join(f"{counts[key]:,} {key}" for key in KEYS if key in counts) or "none at all"
        raise InputError(
            f"the {what} have no {' and no '.join(missing)} trial (found {found}): all three kinds are needed to fit "
            "and to judge a tandem; add such trials, or name another corpus or split"
        )
    if twice := int(trials.duplicated(list(NAMES)).sum()):
        first = trials[trials.duplicated(list(NAMES))].iloc[0]
        raise InputError(f"{twice:,} of the {what} occur twice, {first['enroll']} {first['test']} first; keep one each")
    facts = trials.assign(spoofed=trials["key"] == SPOOF).groupby("test")
    for column, contradiction in (
        ("cm", "several scores of the countermeasure, which judges the recording, not the claim"),
        ("spoofed", "trials of both bona fide and spoofed speech"),
    ):
        if (several := facts[column].nunique() > 1).any():
            raise InputError(f"{several.idxmax()} has {contradiction} (in the {what}): correct the table")
    if SPEAKER in trials:
        strange = trials[(trials["key"] != KEYS[1]) & (trials[SPEAKER] != trials["enroll"])]
        if len(strange):
            row = strange.iloc[0]
            raise InputError(
                f"{row['enroll']} {row['test']} is a {row['key']} trial, but {row[SPEAKER]} is heard: only a nontarget "
                f"claims somebody else (in the {what})"
            )


def check_apart(development: pd.DataFrame, test: pd.DataFrame) -> None:
    """Refuse development trials that hear a recording of the test trials: what is fitted must not know them."""
    if shared := sorted(set(development["test"]) & set(test["test"])):
        raise InputError(
            f"{len(shared):,} recordings of the test trials are heard in development trials too, {shared[0]} first: "
            "calibration and thresholds are fitted on other recordings than they are judged by"
        )


def _named(source: Source) -> Source:
    """Return a file by the names of its columns, which a text file has in its first line."""
    if not source.is_named:
        header = [str(column[0].as_py()) for column in source.table.columns]
        if len(set(header)) < len(header):
            raise InputError(f"{source.path} has a header with a name twice: {listed(header)}")
        source = source.of(source.table.slice(1).rename_columns(header))
    names = source.table.column_names
    if missing := [name for name in NEEDED if name not in names]:
        raise InputError(
            f"{source.path} has no column {missing[0]!r}{closest(missing[0], names)}; found {listed(names)}, expected "
            f"{', '.join(NEEDED)}, named in its first line"
        )
    return source


def _part(source: Source, split: Split) -> pd.DataFrame:
    chosen_N, _ = choose_split(source, split)
    return _frame(source.of(source.table.filter(pa.array(chosen_N))))


def _frame(source: Source) -> pd.DataFrame:
    """Return names as strings and scores as finite numbers; a field that is none, or an unknown key, is refused."""
    table = source.table
    columns: dict[str, np.ndarray] = {}
    for name in (*NAMES, "key", *([SPEAKER] if SPEAKER in table.column_names else [])):
        words = [str(word if word is not None else "").strip() for word in table[name].to_pylist()]
        if "" in words:
            raise InputError(f"{source.path} row {words.index('') + 1}: {name} is empty; every trial needs one")
        columns[name] = np.array(words, dtype=object)
    if unknown := sorted(set(columns["key"]) - set(KEYS)):
        raise InputError(f"{source.path}: key {unknown[0]!r}{closest(unknown[0], KEYS)}; expected {', '.join(KEYS)}")
    columns |= {name: numbers(source, name).to_numpy() for name in SCORES}
    return pd.DataFrame(columns)
