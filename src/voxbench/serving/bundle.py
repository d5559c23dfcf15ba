"""What a trained model carries besides its weights: every setting between a recording and its scores."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from voxbench.artifacts import read_json, write_json
from voxbench.config import Cleaning, Features, Section, Trainable, Training, Transcription
from voxbench.schema import InputError

BUNDLE = "model.json"
WEIGHTS = "weights.safetensors"
BACK_END = "back_end.safetensors"
"""Of a model that compares two recordings: what its scores were fitted on; empty where nothing was."""
LANGUAGE_MODEL = "language_model.json"
"""Of a model that writes down what is said with the help of a language model: how often which characters follow."""


class Bundle(Section):
    """The content of `model.json`.

    `transcription` says how a network that writes down what is said is read; None of all others.
    """

    benchmark: str
    task: str
    corpus: str
    licence: str
    model: str
    trainable: Trainable
    training: Training
    cleaning: Cleaning
    features: Features
    transcription: Transcription | None


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write `model.json` beside the weights."""
    write_json(folder / BUNDLE, bundle.model_dump(mode="json"))


def read_bundle(folder: Path) -> Bundle:
    """Return the bundle of a model folder."""
    path = folder / BUNDLE
    if not path.is_file():
        raise InputError(
            f"no {BUNDLE} in {folder}: expected a folder that the finetune stage wrote, models/BENCHMARK/MODEL"
        )
    try:
        return Bundle.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} was written by another version of voxbench: run the finetune stage again") from error
