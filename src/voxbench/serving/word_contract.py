"""What a served model that writes down what is said takes and gives: `audio`, perhaps a `phrase`, and the answer.

`label` is the transcript, `words` JSON text: a list of `{"word", "start_seconds", "end_seconds", "confidence"}`. Times
are seconds of the recording that was sent if `cut_seconds` has a number: so much silence was cut off before its speech,
and is part of the times. Where it is null, silence within was removed too, and times are of the speech that was kept.

Where a phrase was given, `phrase` is how it is spelt, `phrase_score` how probable it is beside the best path, `llr`
what calibration makes of it, and `decision` is `right` or `wrong` by the stored `threshold` of `policy`; `undecided`
says why there is none. Without a phrase these are null.

An answer always has a row for each clip. A clip that cannot be heard, and a phrase that cannot be spelt, get an `error`
and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from voxbench.evaluation.decisions import NO_VERDICT
from voxbench.schema import InputError
from voxbench.serving import contract
from voxbench.serving.transcriber import Check, Transcript

PHRASE = "phrase"
COLUMNS = (
    *("label", "words", "cut_seconds", "phrase", "phrase_score"),
    *asdict(NO_VERDICT),
    *contract.QUALITY,
    "error",
)
WORDS = contract.WORDS | {"words", "phrase"}


def phrase_of(cell: object) -> str | None:
    """Return the phrase of a request's cell, None for a cell without one; `InputError` for what is no text."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell):
        return None
    if not isinstance(cell, str):
        raise InputError(f"phrase: expected a text, found {cell!r}")
    return cell


def answer_row(heard: Transcript, check: Check | None) -> dict[str, object]:
    """Return the answer for a clip that was heard, and for its phrase, if there is one."""
    verdict = NO_VERDICT if check is None else check.verdict
    return {
        "label": heard.text,
        "words": json.dumps([asdict(word) for word in heard.words], ensure_ascii=False),
        "cut_seconds": heard.cut_seconds,
        "phrase": None if check is None else check.phrase,
        "phrase_score": None if check is None else check.score,
        **asdict(verdict),
        **{name: getattr(heard, name) for name in contract.QUALITY},
        "error": None,
    }


def error_row(message: str) -> dict[str, object]:
    """Return the answer for a clip that was not heard, or whose phrase cannot be spelt."""
    return dict.fromkeys(COLUMNS) | {"error": message}


def signature() -> ModelSignature:
    """Return the MLflow signature; a phrase may be left out, and every column of an answer may be null."""
    kinds = {name: DataType.string if name in WORDS else DataType.double for name in COLUMNS}
    outputs = Schema([ColSpec(kind, name, required=False) for name, kind in kinds.items()])
    inputs = Schema([ColSpec(DataType.binary, contract.INPUT), ColSpec(DataType.string, PHRASE, required=False)])
    return ModelSignature(inputs=inputs, outputs=outputs)
