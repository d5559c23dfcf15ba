"""A speaker verifier's scores of the test rows, stored beside the manifest: what a t-DCF of the corpus needs.

`asv_scores.parquet` has the columns source, key and score of `voxbench.corpora.asv_scores`, whichever edition they come
from; its metadata name the file, its SHA-256, and the official set that it is, empty for none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxbench.corpora.asv_scores import (
    OFFICIAL,
    AsvSet,
    count_spoofs,
    read_asv_scores,
    read_asv_scores_2021,
    require_same_set,
)
from voxbench.corpora.asvspoof2021 import find_scenario
from voxbench.schema import BONAFIDE, InputError, Split

STORED = "asv_scores.parquet"
COLUMNS = ["source", "key", "score"]
METADATA_2021 = Path("..", "trial_metadata.txt")
"""Of ASVspoof 2021, where the metadata lie from the scores' folder."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredAsv:
    """Stored scores of a verifier: their table, the name of their file, and which trials they are about."""

    table: pd.DataFrame
    file: str
    asv_set: AsvSet


def require_asv_scores(root: Path, name: str) -> Path:
    """Return the file `name` below a corpus's `root`; raises InputError where there is none."""
    if not (path := root / name).is_file():
        raise InputError(
            f"asv_scores names {name!r}, but there is no file {path}: unpack the scores of the speaker verifier there, "
            "or set asv_scores to null, which leaves the t-DCF out"
        )
    return path


def store_asv_scores(folder: Path, reader: str, root: Path, name: str) -> str:
    """Store the scores of the file `name` below the corpus's `root` in the prepared `folder`, and say so in a line.

    Raises InputError for a file that is not there or of another form, and for scores of another set than the test rows
    of the folder's manifest.
    """
    path = require_asv_scores(root, name)
    if reader == "asvspoof2021":
        table = read_asv_scores_2021(path, path.parent / METADATA_2021, find_scenario(root))
    else:
        table = read_asv_scores(path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    found = AsvSet(sha256, OFFICIAL.get(sha256), count_spoofs(table))
    rows = pd.read_parquet(folder / "manifest.parquet", columns=["split", "attack"])
    attacks = rows.loc[(rows["split"] == Split.TEST) & rows["attack"].notna() & (rows["attack"] != BONAFIDE), "attack"]
    counts = {str(attack): int(number) for attack, number in attacks.value_counts().items()}
    try:
        require_same_set(found, counts, f"the test rows of {folder.name}")
    except InputError as error:
        raise InputError(
            f"{path}: {error}; a corpus that is cut down, split anew or lacks recordings has none: set asv_scores to "
            "null"
        ) from error
    kept = pa.table({column: pa.array(table[column].to_numpy()) for column in COLUMNS})
    about = {"file": name, "sha256": sha256, "name": found.name or ""}
    pq.write_table(kept.replace_schema_metadata(about), folder / STORED)
    return f"{name}: {len(table)} trials of a speaker verifier"


def read_stored(folder: Path) -> StoredAsv | None:
    """Return the scores that `store_asv_scores` left in a prepared folder; None where it left none."""
    if not (folder / STORED).is_file():
        return None
    kept = pq.read_table(folder / STORED)
    about = {word.decode(): fact.decode() for word, fact in kept.schema.metadata.items()}
    table = kept.to_pandas()
    return StoredAsv(table, about["file"], AsvSet(about["sha256"], about["name"] or None, count_spoofs(table)))
