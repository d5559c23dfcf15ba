"""Where rows come from: the files, and which list of trials it is that a figure holds for.

A list in a file of its own is known by that file. Labels that stand among the scores are hashed apart from them, so
that two systems on one list tell the same: as lines of label and names, in the order of the rows, which for trials is
the form of VoxCeleb's lists, and so finds those too.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from voxbench.corpora.trials import OFFICIAL, identify_list
from voxbench.evaluation.files import DELIMITERS, file_sha256
from voxbench.evaluation.joining import keys_of
from voxbench.evaluation.records import Origin


def origin_of(scores: Path, labels: Path | None, table: pa.Table, truth: str) -> Origin:
    """Return the origin of rows whose labels are the column `truth` of `table`, in a file of their own or not."""
    sha256 = file_sha256(scores)
    if labels is None:
        content = _lines(table, truth)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        known = next((official for official in OFFICIAL if official.md5 == md5), None)
        trials, is_cleaned = (known.name, known.is_cleaned) if known else (scores.name, None)
        return Origin(scores.name, sha256, None, trials, hashlib.sha256(content).hexdigest(), is_cleaned)
    if labels.suffix.lower() in DELIMITERS:
        identity = identify_list(labels)
        return Origin(scores.name, sha256, labels.name, identity.name, identity.sha256, identity.is_cleaned)
    return Origin(scores.name, sha256, labels.name, labels.name, file_sha256(labels), None)


def _lines(table: pa.Table, truth: str) -> bytes:
    columns = [table[name].cast(pa.string()).to_pylist() for name in (truth, *keys_of(table))]
    return "".join(f"{' '.join(fields)}\n" for fields in zip(*columns, strict=True)).encode()
