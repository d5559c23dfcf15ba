"""Score files, whoever made them, as rows of which metrics can be computed: the one entrance to reading.

    lists = Path("scores.txt"), Path("veri_test2.txt")
    read_scores(ScoreRequest(ScoreKind.DETECTION, *lists, (), None, None, None, NO_BACK_END))

Files are read (`files`), their columns told apart and named (`columns`, `forms`), and joined (`joining`). Nothing is
dropped, replaced or guessed: what does not fit is refused, and what a reader of the figures must know is a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from voxbench.evaluation.arrays import array_columns
from voxbench.evaluation.back_ends import NO_BACK_END, GivenBackEnd
from voxbench.evaluation.columns import PROBABILITY, group_columns, named, probabilities
from voxbench.evaluation.embeddings import (
    COLUMN,
    Embeddings,
    matrix_embeddings,
    read_names,
    table_embeddings,
    trial_scores,
)
from voxbench.evaluation.files import ARRAY, DELIMITERS, PARQUET, Source, ending, listed, read_array, read_table
from voxbench.evaluation.forms import LABELS, SCORES, with_bonafide
from voxbench.evaluation.joining import PAIR, choose_split, has_splits, joined, keys_of, refuse_doubles
from voxbench.evaluation.label_words import ANTI_SPOOFING, TASKS, class_places, label_numbers
from voxbench.evaluation.origins import origin_of
from voxbench.evaluation.records import ScoreRows
from voxbench.evaluation.speakers import speakers_of
from voxbench.evaluation.transcripts import read_transcripts
from voxbench.registry import closest
from voxbench.schema import InputError, ScoreKind

SCORED = {
    ScoreKind.DETECTION: ("label", "score"),
    ScoreKind.CLASSES: ("truth", PROBABILITY),
    ScoreKind.VALUE: ("truth", "predicted"),
    ScoreKind.TEXT: ("reference", "hypothesis"),
}
"""The columns of the truth and of the scores of each kind."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What is to be read, as the command line says it.

    `labels` is None where the score file holds them. `columns` names the columns of a score file without a header, none
    to find out. `utterances` names the rows of an array. `split` is one of the words of the column `split`. `task` is
    `speaker_verification`, `anti_spoofing` or None. `back_end` is how embeddings are scored, `NO_BACK_END` by their
    cosine.
    """

    kind: ScoreKind
    scores: Path
    labels: Path | None
    columns: tuple[str, ...]
    utterances: Path | None
    split: str | None
    task: str | None
    back_end: GivenBackEnd


def read_scores(request: ScoreRequest) -> ScoreRows:
    """Return the rows of a score file, joined with their labels, in the order of the score file.

    Raises InputError, in one line, for files that cannot be read, columns that cannot be told apart, fields that are
    no numbers, labels or names, rows that occur twice or in one of the files only, and a split that no row is of.
    """
    _refuse_contradictions(request)
    labels, label_notes = (None, ()) if request.labels is None else _read(request, request.labels, LABELS)
    embeddings = _embeddings(request)
    if embeddings is None:
        if request.back_end is not NO_BACK_END:
            raise InputError(
                f"{request.scores} holds scores, and --centre, --cohort, --plda are of embeddings; omit them"
            )
        scores, notes = _read(request, request.scores, SCORES)
    else:
        scores, notes = _of_trials(embeddings, labels, request.back_end)
    table, join_notes = _together(scores, labels if embeddings is None else None, request.split)
    columns, classes = _scored(request, table, (labels or scores).classes or scores.classes)
    speakers, speaker_notes = speakers_of(table)
    used = (*SCORED[request.kind], *(probabilities(table) if request.kind == ScoreKind.CLASSES else ()))
    return ScoreRows(
        kind=request.kind,
        columns=columns,
        classes=classes,
        unit="",
        rows=group_columns(table, used),
        speakers=speakers,
        origin=origin_of(request.scores, request.labels, table, SCORED[request.kind][0]),
        notes=(*notes, *label_notes, *join_notes, *speaker_notes),
    )


def _refuse_contradictions(request: ScoreRequest) -> None:
    suffix = ending(request.scores)
    if request.utterances is not None and suffix != ARRAY:
        raise InputError(f"--utterances names the rows of an array, and {request.scores} is none; omit it")
    if request.columns and suffix in (ARRAY, PARQUET):
        raise InputError(
            f"--columns names the columns of a text file without a header, and {request.scores} is none; omit it"
        )
    if request.task is None:
        return
    if request.task not in TASKS:
        raise InputError(f"unknown task {request.task!r}{closest(request.task, TASKS)}; known: {', '.join(TASKS)}")
    if request.kind != ScoreKind.DETECTION:
        raise InputError(f"task {request.task} is of kind detection, not {request.kind.value}; give one of them")


def _read(request: ScoreRequest, path: Path, side: str) -> tuple[Source, tuple[str, ...]]:
    """Return one of both files with names and types, labels of detections as 1 and 0."""
    columns = request.columns if side == SCORES else ()
    suffix = ending(path)
    if suffix == ARRAY:
        source = array_columns(path, read_array(path), request.kind, side)
        if side == SCORES and request.utterances is not None:
            names = read_names(path, request.utterances, source.table.num_rows)
            source = source.of(source.table.append_column("id", pa.chunked_array([names])))
    elif request.kind == ScoreKind.TEXT and DELIMITERS.get(suffix) == " ":
        name = SCORED[ScoreKind.TEXT][side == SCORES]
        # Lines without names are so in both files.
        plain = request.columns == (SCORED[ScoreKind.TEXT][1],)
        source, columns = read_transcripts(path, name, (name,) if plain else columns), ()
    else:
        source = read_table(path)
    source, notes = named(source, request.kind, side, columns)
    scored = [name for name in source.table.column_names if name.startswith(SCORED[request.kind][1])]
    if side == LABELS and scored:
        raise InputError(f"{path} is given as labels and has scores, {scored[0]!r}; remove the column or omit --labels")
    if request.kind != ScoreKind.DETECTION or "label" not in source.table.column_names:
        return source, notes
    labels_N, classes = label_numbers(source.table["label"], str(path), request.task)
    place = source.table.column_names.index("label")
    table = source.table.set_column(place, "label", pa.chunked_array([labels_N]))
    source, more = with_bonafide(Source(path, table, True, classes))
    return source, (*notes, *more)


def _embeddings(request: ScoreRequest) -> Embeddings | None:
    """Return the embeddings of a score file that holds such."""
    if request.kind != ScoreKind.DETECTION or request.task == ANTI_SPOOFING:
        return None
    suffix = ending(request.scores)
    if suffix == ARRAY:
        vectors_ND = read_array(request.scores)
        is_matrix = vectors_ND.ndim == 2 and vectors_ND.shape[1] > 1
        if not is_matrix or (request.labels is None and request.task is None):
            return None
        return matrix_embeddings(request.scores, vectors_ND, request.utterances)
    if suffix == PARQUET:
        source = read_table(request.scores)
        return table_embeddings(source) if COLUMN in source.table.column_names else None
    return None


def _of_trials(embeddings: Embeddings, trials: Source | None, given: GivenBackEnd) -> tuple[Source, tuple[str, ...]]:
    """Return the trial list with the score of each trial."""
    if trials is None or keys_of(trials.table) != PAIR:
        found = "no labels are given" if trials is None else f"{trials.path} names no enroll and test"
        raise InputError(f"{embeddings.path} holds embeddings, but {found}; expected a trial list: --labels trials.txt")
    unknown = given.refuse_leaks(trials)
    scores, notes = trial_scores(embeddings, trials, given.back_end, given.enrolments)
    scored = trials.of(trials.table.append_column("score", pa.chunked_array([scores])))
    return scored, (*notes, *given.notes, *unknown)


def _together(scores: Source, labels: Source | None, split: str | None) -> tuple[pa.Table, tuple[str, ...]]:
    """Return scores and labels as one table, of the split that is asked for, and notes."""
    sources = [scores] if labels is None else [scores, labels]
    if split is not None and not any(has_splits(source.table) for source in sources):
        raise InputError(f"--split {split}, but {scores.path} has no column split; omit it, or add the column")
    chosen_N, notes = choose_split(scores, split)
    if labels is None:
        refuse_doubles(scores)
        return scores.table.filter(pa.array(chosen_N)), notes
    needed_M, more = choose_split(labels, split)
    table, joins = joined(scores, labels, chosen_N, needed_M)
    return table, (*notes, *more, *joins)


def _scored(
    request: ScoreRequest, table: pa.Table, words: tuple[str, ...]
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[str, ...]]:
    """Return what metrics take of a table, and the words of the classes."""
    truth, score = SCORED[request.kind]
    if truth not in table.column_names:
        raise InputError(
            f"{request.scores} has no column {truth!r}, and no labels are given; found: "
            f"{listed(table.column_names)}; give --labels FILE"
        )
    if request.kind == ScoreKind.DETECTION:
        return (table[score].to_numpy(), table[truth].to_numpy()), words
    if request.kind in (ScoreKind.VALUE, ScoreKind.TEXT):
        return (table[truth].to_numpy(), table[score].to_numpy()), ()
    classes = tuple(name.removeprefix(PROBABILITY) for name in probabilities(table))
    probabilities_NC = np.column_stack([table[name].to_numpy() for name in probabilities(table)])
    return (class_places(table[truth], classes, str(request.labels or request.scores)), probabilities_NC), classes
