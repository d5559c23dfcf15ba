"""What a served model of pairs takes and gives: two columns of recordings, and the answer's columns.

`test` is a recording as base64. `enroll` is one as well, or several of one person: a list of them, or a text that is
a JSON list of them, for clients whose cells hold no lists. `score` and `llr` are higher for one person; `decision` is
`target` (one person) or `nontarget` by the stored `threshold` of `policy`, and `undecided` says why there is none.

An answer always has a row for each pair. A pair that cannot be judged gets an `error`, which names the side, and
nothing else. Unlike the column `audio` of other models these are text for MLflow: it would decode one clip itself, but
no list of them. `inputs` and `instances` take lists as JSON text alone, tables take both.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from voxbench.evaluation.decisions import NO_VERDICT
from voxbench.schema import AudioError
from voxbench.serving import contract
from voxbench.serving.verifier import Comparison, Speech

ENROLL, TEST = "enroll", "test"
QUALITY = ("enroll_clips", "enroll_kept_seconds", "test_source_seconds", "test_kept_seconds", "test_clipped_fraction")
COLUMNS = ("score", *asdict(NO_VERDICT), *QUALITY, "error")


def clips_of(cell: object) -> list[bytes]:
    """Return the recordings of an `enroll` cell, at least one; `AudioError` names the one that is none.

    >>> clips_of('["UklGRg==", "UklGRg=="]')
    [b'RIFF', b'RIFF']
    """
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise AudioError("unreadable", f"neither base64 nor a JSON list of it: {error}") from error
    if not isinstance(cell, str | bytes) and hasattr(cell, "tolist"):
        cell = cell.tolist()
    if not isinstance(cell, list | tuple):
        return [contract.audio_bytes(cell)]
    if not cell:
        raise AudioError("empty", "a list of no clips; send one or more")
    return [_placed(clip, place, len(cell)) for place, clip in enumerate(cell, start=1)]


def answer_row(compared: Comparison, enrolled: list[Speech], test: Speech) -> dict[str, object]:
    """Return the answer for a pair that was judged; `enrolled` are the clips that count, those of one audio once."""
    quality = {
        "enroll_clips": len(enrolled),
        "enroll_kept_seconds": sum(clip.kept_seconds for clip in enrolled),
        "test_source_seconds": test.source_seconds,
        "test_kept_seconds": test.kept_seconds,
        "test_clipped_fraction": test.clipped_fraction,
    }
    return {"score": compared.score, **asdict(compared.verdict), **quality, "error": None}


def error_row(message: str) -> dict[str, object]:
    """Return the answer for a pair that was not."""
    return dict.fromkeys(COLUMNS) | {"error": message}


def signature() -> ModelSignature:
    """Return the MLflow signature of a model of pairs; every column of an answer may be null."""
    kinds = {name: DataType.string if name in contract.WORDS else DataType.double for name in COLUMNS}
    outputs = Schema([ColSpec(kind, name, required=False) for name, kind in kinds.items()])
    return ModelSignature(inputs=Schema([ColSpec(DataType.string, name) for name in (ENROLL, TEST)]), outputs=outputs)


def example(seconds: float, sample_rate_hz: int) -> pd.DataFrame:
    """Return a request of one pair, a generated clip twice."""
    clip = contract.example(seconds, sample_rate_hz)[contract.INPUT][0]
    return pd.DataFrame({side: [base64.b64encode(clip).decode("ascii")] for side in (ENROLL, TEST)})


def _placed(clip: object, place: int, count: int) -> bytes:
    try:
        return contract.audio_bytes(clip)
    except AudioError as error:
        raise AudioError(error.reason, f"{error.detail} (clip {place} of {count})") from error
