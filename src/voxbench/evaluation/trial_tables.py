"""Scores of trials as a file: parquet, with the list that they are of in its metadata.

Columns `enroll`, `test`, `score` (float64) and `label` (1 target, 0 nontarget), in the order of the list. Its metadata
has `trials` and `trials_sha256`, name and hash of the list, `is_cleaned` where that is known, and `scores` and
`scores_sha256`, what the scores were read or computed from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from voxbench.evaluation.joining import PAIR
from voxbench.evaluation.records import ScoreRows
from voxbench.schema import ScoreKind

TRIALS = "scores.parquet"


def are_trials(scored: ScoreRows) -> bool:
    """Tell whether rows are trials that name both of their sides."""
    return scored.kind is ScoreKind.DETECTION and set(PAIR) <= set(scored.rows.columns)


def table_of(scored: ScoreRows) -> tuple[pa.Table, dict[str, str]]:
    """Return trials as a table, and what its metadata says of them."""
    scores_N, labels_N = scored.columns
    columns = {side: pa.array(scored.rows[side], pa.string()) for side in PAIR}
    said = {name: str(fact) for name, fact in asdict(scored.origin).items() if fact is not None and name != "labels"}
    return pa.table({**columns, "score": scores_N, "label": labels_N}), said


def write_trials(path: Path, trials: pa.Table, said: Mapping[str, str]) -> None:
    """Write the columns of trials and, in the metadata, what is said of them; equal ones give equal bytes."""
    partial = path.with_name(path.name + ".partial")
    # Names of recordings repeat; the numbers of a score hardly do.
    named = [name for name in trials.column_names if name != "score"]
    pq.write_table(trials.replace_schema_metadata(said), partial, use_dictionary=named)
    os.replace(partial, path)
