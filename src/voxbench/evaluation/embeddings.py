"""Embeddings in the place of scores: each trial's score is computed from its two sides.

A matrix (N, D) has a row for each recording, whose names stand in a text file, one in each line: the file that is
named, or the one of the matrix's name that ends in .txt. A parquet file has columns `utterance` and `embedding`, and
may have `speaker`.

A score is the cosine in float64, or what the options of `voxbench.evaluation.back_ends` make of it. The matrix itself
stays mapped.

Shape letters: N recordings, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxbench.corpora.tables import read_lines
from voxbench.evaluation.files import ARRAY, PARQUET, Source, ending, read_array, read_table
from voxbench.evaluation.joining import CHANGES, SHOWN
from voxbench.metrics.closeness import lengths, without_direction
from voxbench.metrics.trial_scores import BackEnd, score_trials
from voxbench.schema import InputError

COLUMN = "embedding"


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors (N, D) of N named recordings; `speakers` are theirs where the file says so."""

    path: Path
    names: pa.StringArray
    vectors_ND: np.ndarray
    speakers: pa.StringArray | None


def read_embeddings(path: Path) -> Embeddings:
    """Return the embeddings of an npy file, whose names stand beside it, or of a parquet file.

    Raises InputError for any other file, and for embeddings without a direction (zero, NaN or infinite).
    """
    suffix = ending(path)
    if suffix == ARRAY:
        embeddings = matrix_embeddings(path, read_array(path), None)
    elif suffix == PARQUET and COLUMN in (source := read_table(path)).table.column_names:
        embeddings = table_embeddings(source)
    else:
        raise InputError(f"{path} holds no embeddings; expected npy, or parquet with columns utterance and {COLUMN}")
    refuse_without_direction(embeddings)
    return embeddings


def matrix_embeddings(path: Path, vectors_ND: np.ndarray, utterances: Path | None) -> Embeddings:
    """Return the rows of a matrix under the names of a text file.

    Raises InputError for what is no matrix of floats, names that are missing, empty or double, and another number of
    them than of rows.
    """
    if vectors_ND.ndim != 2 or vectors_ND.dtype.kind != "f":
        raise InputError(
            f"{path} holds {vectors_ND.dtype} of shape {vectors_ND.shape}; expected floats (recordings, dimensions)"
        )
    return _named(path, read_names(path, utterances, len(vectors_ND)), vectors_ND, None)


def table_embeddings(source: Source) -> Embeddings:
    """Return the column `embedding` under the names of the column `utterance`.

    Raises InputError for missing columns, names that are empty or double, and lists of different or no length.
    """
    table = source.table
    if "utterance" not in table.column_names:
        raise InputError(f"{source.path} has no column 'utterance'; found: {', '.join(table.column_names)}")
    lists = table[COLUMN].combine_chunks()
    if not (pa.types.is_nested(lists.type) and lists.type.num_fields == 1) or not pa.types.is_floating(
        lists.type.value_type
    ):
        raise InputError(f"{source.path}: {COLUMN} is a column of {lists.type}; expected lists of floats")
    sizes = np.array([0 if vector is None else len(vector) for vector in lists.to_numpy(zero_copy_only=False)])
    names = table["utterance"].cast(pa.string()).to_pylist()
    if sizes.min() != sizes.max() or not sizes.max():
        odd = int((sizes != sizes[0]).argmax())
        raise InputError(
            f"{source.path}: {COLUMN} of {names[odd]} has {sizes[odd]} numbers, that of {names[0]} {sizes[0]}; "
            "expected as many in each row"
        )
    speakers = table["speaker"].cast(pa.string()).combine_chunks() if "speaker" in table.column_names else None
    vectors_ND = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    return _named(source.path, names, vectors_ND, speakers)


def read_names(path: Path, utterances: Path | None, rows: int) -> list[str]:
    """Return the names of the rows of an array; raises InputError where there is another number of them."""
    listed = path.with_suffix(".txt") if utterances is None else utterances
    if not listed.is_file():
        raise InputError(
            f"no {listed} for the names of the {rows:,} rows of {path}; expected a name in each line: --utterances FILE"
        )
    names = [line.strip() for _, line in read_lines(listed)]
    if len(names) != rows:
        raise InputError(f"{listed} has {len(names):,} lines, {path} {rows:,} rows; expected a name for each row")
    return names


def trial_scores(
    embeddings: Embeddings, trials: Source, back_end: BackEnd, enrolments: Mapping[str, Sequence[str]]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the score of enroll and test of every trial, and notes.

    With `enrolments`, the clips of each template by its name, the enroll side of a trial names a template. Raises
    InputError for trials of recordings without an embedding, embeddings without a direction (zero, NaN or infinite),
    and a test recording that is among the clips of its trial's template.
    """
    refuse_without_direction(embeddings)
    sides = [] if enrolments else [trials.table["enroll"]]
    embeddings, notes = _named_as(embeddings, _joined(trials.table["test"], *sides), trials)
    test_T = _places(embeddings, trials.table["test"], trials.path)
    used_N = np.zeros(len(embeddings.names), dtype=bool)
    used_N[test_T] = True
    if not enrolments:
        enroll_T = _places(embeddings, trials.table["enroll"], trials.path)
        used_N[enroll_T] = True
        scores_T = score_trials(back_end, embeddings.vectors_ND, enroll_T, test_T)
    else:
        enroll_T, clips = _templates(embeddings, trials, enrolments)
        refuse_own_clips(trials, clips, enroll_T, test_T)
        used_N[np.concatenate(clips)] = True
        scores_T = score_trials(back_end, embeddings.vectors_ND, enroll_T, test_T, clips)
    kind = "cosines" if back_end.plda is None else "log-likelihood ratios of a PLDA"
    notes += (f"scores are {kind} of embeddings of {embeddings.vectors_ND.shape[1]} dimensions",)
    if unused := int((~used_N).sum()):
        notes += (f"{unused:,} of {len(used_N):,} embeddings occur in no trial",)
    return scores_T, notes


def refuse_own_clips(trials: Source, clips: Sequence[np.ndarray], enroll_T: np.ndarray, test_T: np.ndarray) -> None:
    """Raise InputError for a trial whose test recording is among the clips of its template."""
    count = 1 + max(int(test_T.max()), *(int(rows.max()) for rows in clips))
    owned = np.concatenate([place * count + rows for place, rows in enumerate(clips)])
    own_T = np.isin(enroll_T * count + test_T, owned)
    if own_T.any():
        table, first = trials.table, int(own_T.argmax())
        raise InputError(
            f"{trials.path}: test {table['test'][first].as_py()} is a clip of its template "
            f"{table['enroll'][first].as_py()}, and so in {int(own_T.sum()):,} trials; leave it out of either"
        )


def _templates(
    embeddings: Embeddings, trials: Source, enrolments: Mapping[str, Sequence[str]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the template of every trial's enroll side, and the rows of each template's clips."""
    names = pa.array(list(enrolments), pa.string())
    places = pc.index_in(trials.table["enroll"], names)
    if places.null_count:
        absent = pc.unique(trials.table["enroll"].filter(pc.is_null(places)))
        shown = ", ".join(absent.slice(0, SHOWN).to_pylist())
        raise InputError(
            f"no enrolment of {len(absent):,} templates of {trials.path} ({shown}), but of "
            f"{', '.join(names.slice(0, SHOWN).to_pylist())}; expected a line `template recording` for each clip"
        )
    wanted = pa.array([clip for clips in enrolments.values() for clip in clips], pa.string())
    rows = _places(embeddings, wanted, Path("--enrolments"))
    return places.to_numpy(), np.split(rows, np.cumsum([len(clips) for clips in enrolments.values()])[:-1])


def _named(path: Path, names: list[str], vectors_ND: np.ndarray, speakers: pa.StringArray | None) -> Embeddings:
    if len(set(names)) < len(names) or not all(names):
        _refuse_names(path, names)
    return Embeddings(path, pa.array(names, pa.string()), vectors_ND, speakers)


def _refuse_names(path: Path, names: list[str]) -> None:
    place_of: dict[str, int] = {}
    for place, name in enumerate(names):
        if not name:
            raise InputError(f"{path}: row {place + 1} has no name; expected one for each")
        if place_of.setdefault(name, place) != place:
            raise InputError(f"{path}: {name} names row {place_of[name] + 1} and row {place + 1}; expected each once")


def refuse_without_direction(embeddings: Embeddings) -> None:
    """Raise InputError for an embedding whose length is zero, NaN or infinite."""
    lengths_N = lengths(embeddings.vectors_ND)
    bad_N = without_direction(lengths_N)
    if bad_N.any():
        place = int(bad_N.argmax())
        raise InputError(
            f"{embeddings.path} row {place + 1} ({embeddings.names[place]}): an embedding of length "
            f"{lengths_N[place]:g} has no direction, and so have {int(bad_N.sum()):,} rows; expected finite numbers, "
            "not all zero"
        )


def _joined(*columns: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks])


def _named_as(embeddings: Embeddings, wanted: pa.ChunkedArray, trials: Source) -> tuple[Embeddings, tuple[str, ...]]:
    """Return the embeddings under the names of a list that leaves out upper folders, and a note, else as they are.

    VoxCeleb's lists say id10270/5r0dWxy17C8/00001.wav, wherever the folders of its people lie. Names must stay as many.
    """
    unique = pc.unique(wanted)
    first = unique[0].as_py() if len(unique) else ""
    if pc.all(pc.is_in(unique, embeddings.names)).as_py() or "/" not in first:
        return embeddings, ()
    short = pc.replace_substring_regex(embeddings.names, f"^.*/((?:[^/]+/){{{first.count('/')}}}[^/]+)$", r"\1")
    if not pc.all(pc.is_in(unique, short)).as_py() or len(pc.unique(short)) < len(short):
        return embeddings, ()
    note = f"recordings of {trials.path.name} are those of {embeddings.path.name} without their upper folders"
    return replace(embeddings, names=short), (note,)


def _places(embeddings: Embeddings, wanted: pa.ChunkedArray, asking: Path) -> np.ndarray:
    """Return the row of every recording that is wanted, by the file that asks for it."""
    places = pc.index_in(wanted, embeddings.names)
    if places.null_count:
        absent = pc.unique(wanted.filter(pc.is_null(places)))
        alike = [
            name
            for name, change in CHANGES.items()
            if pc.any(pc.is_in(change(absent), change(embeddings.names))).as_py()
        ]
        fix = f"some differ in {alike[-1]} alone: write them alike" if alike else "are they of the same list?"
        first = [", ".join(names.slice(0, SHOWN).to_pylist()) for names in (absent, embeddings.names)]
        raise InputError(
            f"{embeddings.path} has no embedding of {len(absent):,} recordings of {asking} ({first[0]}), but of "
            f"{first[1]}; {fix}"
        )
    return places.to_numpy()
