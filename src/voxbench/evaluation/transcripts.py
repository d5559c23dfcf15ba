"""Transcripts as Kaldi writes them: a line for each utterance, its name first, then its words.

    1089-134686-0001 stuff it into you his belly counselled him

A line of a name alone is an empty transcript. Words stay as they are written, blanks between them included.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from voxbench.corpora.tables import read_lines
from voxbench.evaluation.files import Source
from voxbench.schema import InputError


def read_transcripts(path: Path, name: str, columns: Sequence[str]) -> Source:
    """Return columns `id` and `name`; where `columns` are `name` alone, each line, blank ones too, is a transcript.

    Raises InputError for an empty file, other columns, and what `read_lines` refuses.
    """
    if columns not in ((), (name,), ("id", name)):
        raise InputError(
            f"--columns {','.join(columns)} for the transcripts of {path}; expected {name}, of lines without names, or "
            f"id,{name}"
        )
    lines = [line.strip() for _, line in read_lines(path)]
    if not any(lines):
        raise InputError(f"{path} is empty; expected a line for each utterance")
    if columns == (name,):
        return Source(path, pa.table({name: pa.chunked_array([lines], pa.string())}), is_named=True)
    fields = [line.split(maxsplit=1) for line in lines if line]
    ids, texts = [field[0] for field in fields], [field[1] if len(field) > 1 else "" for field in fields]
    table = {"id": pa.chunked_array([ids], pa.string()), name: pa.chunked_array([texts], pa.string())}
    return Source(path, pa.table(table), is_named=True)
