"""What a served model takes and gives: the request's column, its decoding, and the answer's columns.

An answer always has a row for each clip. A clip that cannot be judged gets an `error` and no label: never a guess,
and never a crash that would take the other clips of the request with it.

`label` is the most probable class, or the estimate; of a detection, whose score is no word, it is the decision.
`decision` is the class that the stored `threshold` of `policy` accepts by the calibrated log-likelihood ratio `llr`;
label and decision can differ. A model whose decision could not be fitted says why in `undecided`, and a task without
thresholds has none of the five.

A task that counts has two more for each thing it counts: `people` is the number that the label says, `expected_people`
the mean of the numbers by their probabilities. FFM says 2 `women`, 1 `men` and 3 `people`.
"""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import asdict

import numpy as np
import pandas as pd
import soundfile
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from voxbench.evaluation.decisions import NO_VERDICT
from voxbench.schema import AudioError
from voxbench.seeding import generator
from voxbench.serving.predictor import Prediction, count_columns
from voxbench.tasks import Task

INPUT = "audio"
MAGIC = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"NIST",
)
FIX = "send base64 of a wav, flac, mp3, ogg, m4a or SPHERE file"
QUALITY = ("source_seconds", "kept_seconds", "clipped_fraction")
WORDS = {"label", "decision", "policy", "undecided", "error"}


def audio_bytes(cell: object) -> bytes:
    """Return the recording in one request cell.

    MLflow hands over decoded bytes for `dataframe_records` and the base64 text itself for `inputs` and `instances`;
    text that is not base64 reaches a model as no bytes at all.
    """
    if isinstance(cell, str):
        cell = cell.encode("ascii", errors="replace")
    if not isinstance(cell, bytes) or not cell:
        raise AudioError(
            "empty",
            f"no audio bytes arrived; {FIX}",
        )
    if cell.startswith(MAGIC) or (cell[0] == 0xFF and cell[1:2] >= b"\xe0"):
        return cell
    # An m4a file begins with the length of its first box, which no base64 does.
    if cell[0] == 0 and cell[4:8] == b"ftyp":
        return cell
    try:
        return base64.b64decode(b"".join(cell.split()), validate=True)
    except binascii.Error as error:
        raise AudioError("unreadable", f"neither audio nor base64; {FIX}") from error


def answer_row(prediction: Prediction) -> dict[str, object]:
    """Return the answer for a clip that was judged."""
    quality = {name: getattr(prediction, name) for name in QUALITY}
    judged = prediction.scores | prediction.counts | asdict(prediction.verdict)
    return {"label": prediction.label, **judged, **quality, "error": None}


def error_row(error: AudioError, task: Task) -> dict[str, object]:
    """Return the answer for a clip that was not."""
    return dict.fromkeys(_columns(task)) | {"error": str(error)}


def _columns(task: Task) -> list[str]:
    return ["label", *task.score_columns, *count_columns(task), *asdict(NO_VERDICT), *QUALITY, "error"]


def signature(task: Task) -> ModelSignature:
    """Return the MLflow signature of a model of a task; every column of an answer may be null."""
    special = dict.fromkeys(WORDS, DataType.string) | dict.fromkeys(task.counts, DataType.long)
    kinds = {name: special.get(name, DataType.double) for name in _columns(task)}
    outputs = Schema([ColSpec(kind, name, required=False) for name, kind in kinds.items()])
    return ModelSignature(inputs=Schema([ColSpec(DataType.binary, INPUT)]), outputs=outputs)


def example(seconds: float, sample_rate_hz: int) -> pd.DataFrame:
    """Return a request of one generated clip, a harmonic tone in noise: a person's recording is not ours to ship."""
    time = np.arange(int(seconds * sample_rate_hz)) / sample_rate_hz
    tone = sum(np.sin(2 * np.pi * 160 * harmonic * time) / harmonic for harmonic in range(1, 12))
    noise = generator(0, "input example").normal(size=len(time))
    wave = 0.1 * tone * (1 + 0.5 * np.sin(2 * np.pi * 4 * time)) + 0.005 * noise
    stream = io.BytesIO()
    soundfile.write(stream, wave, sample_rate_hz, format="WAV", subtype="PCM_16")
    return pd.DataFrame({INPUT: [stream.getvalue()]})
