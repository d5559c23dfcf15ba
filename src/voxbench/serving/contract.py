"""What a served model takes and gives: the request's column, its decoding, and the answer's columns.

An answer always has a row for each clip. A clip that cannot be judged gets an `error` and no label: never a guess,
and never a crash that would take the other clips of the request with it.

`label` is the most probable class, or the estimate. `decision` is the class that the stored `threshold` of `policy`
accepts by the calibrated log-likelihood ratio `llr`; the two can differ. A model whose decision could not be fitted
says why in `undecided`, and a task without thresholds has none of the five.
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
from voxbench.serving.predictor import Prediction

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
            "no audio bytes arrived; send base64 of a wav, flac, mp3 or ogg file",
        )
    if cell.startswith(MAGIC) or (cell[0] == 0xFF and cell[1:2] >= b"\xe0"):
        return cell
    try:
        return base64.b64decode(b"".join(cell.split()), validate=True)
    except binascii.Error as error:
        raise AudioError(
            "unreadable", "neither audio nor base64; send base64 of a wav, flac, mp3 or ogg file"
        ) from error


def answer_row(prediction: Prediction) -> dict[str, object]:
    """Return the answer for a clip that was judged."""
    quality = {name: getattr(prediction, name) for name in QUALITY}
    return {"label": prediction.label, **prediction.scores, **asdict(prediction.verdict), **quality, "error": None}


def error_row(error: AudioError, score_columns: list[str]) -> dict[str, object]:
    """Return the answer for a clip that was not."""
    nothing = dict.fromkeys(score_columns) | asdict(NO_VERDICT) | dict.fromkeys(QUALITY)
    return {"label": None, **nothing, "error": str(error)}


def signature(score_columns: list[str]) -> ModelSignature:
    """Return the MLflow signature of a model with these score columns; every column of an answer may be null."""
    columns = ("label", *score_columns, *asdict(NO_VERDICT), *QUALITY, "error")
    kinds = {name: DataType.string if name in WORDS else DataType.double for name in columns}
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
