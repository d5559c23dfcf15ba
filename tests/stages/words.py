"""A small corpus of sentences in which every letter is a tone of its own, and the pipeline of writing them down.

Who speaks moves all tones by a few percent: so a network can learn it in seconds, and is heard by new speakers.
"""

import csv
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tiny import RATE_HZ, tiny_params, write_params
from voxbench.stages.features import features
from voxbench.stages.finetune import finetune
from voxbench.stages.prepare import prepare
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tracking.store import connect

SPOKEN, WORDS = "spoken", "asr-spoken"
MODELS = {"quartznet": "quartznet_5x1_192", "deep_speech": "deep_speech_2x96"}
TONES_HZ = {"a": 400.0, "e": 650.0, "m": 1000.0, "o": 1500.0, "t": 2200.0, "'": 3200.0}
VOCABULARY = ("am", "to", "me", "mate", "tomato", "ate", "me'", "oat")
SPEAKERS, CLIPS, LETTER_SECONDS, GAP_SECONDS = 12, 6, 0.07, 0.03
TRAINING = {
    "learning_rate": 0.004,
    "scheduler": "cosine",
    "dropout": 0.1,
    "batch_size": 8,
    "batch_seconds": 24.0,
    "crop_seconds": None,
    "evaluation_crops": 1,
}


def spoken(text: str, draws: np.random.Generator, shift: float = 1.0) -> np.ndarray:
    """Return a text as tones `(S,)`, a letter after another, each word after a pause, in a little noise."""
    parts = []
    for sign in text:
        seconds = LETTER_SECONDS * draws.uniform(0.85, 1.2)
        time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
        # A blank is a hum: silence would be a letter that cleaning removes.
        tone_hz = 150.0 if sign == " " else TONES_HZ[sign] * shift
        parts.append(np.sin(2 * np.pi * tone_hz * time) * np.hanning(len(time)) ** 0.3)
        parts.append(np.zeros(int(GAP_SECONDS * RATE_HZ)))
    wave = 0.2 * np.concatenate(parts)
    return (wave + 0.01 * draws.normal(size=len(wave))).astype(np.float32)


def sentence(draws: np.random.Generator, words: int = 3) -> str:
    return " ".join(VOCABULARY[place] for place in draws.integers(len(VOCABULARY), size=words))


def write_spoken(root: Path) -> None:
    """Write speakers of alternating gender, each with as many sentences, in the layout of the table reader."""
    draws, rows = np.random.default_rng(11), []
    for speaker in range(SPEAKERS):
        shift = draws.uniform(0.96, 1.04)
        for clip in range(CLIPS):
            path = root / f"s{speaker:02d}" / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            text = sentence(draws)
            soundfile.write(path, spoken(text, draws, shift), RATE_HZ, subtype="PCM_16")
            sex = ("female", "male")[speaker % 2]
            rows.append((path.relative_to(root).as_posix(), f"s{speaker:02d}", sex, text.upper()))
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "speaker", "gender", "text"), *rows])


def spoken_params() -> dict:
    """Return parameters of one study of transcription, and of a benchmark that takes its finalists."""
    params = tiny_params()
    corpus = params["corpora"].pop("tiny")
    corpus["splitting"] = corpus["splitting"] | {"valid_fraction": 0.25, "test_fraction": 0.25}
    corpus["cleaning"] = corpus["cleaning"] | {"silence_q": 0.0, "low_pass_hz": None, "min_seconds": 0.3}
    params["corpora"] = {SPOKEN: corpus}
    task = {"task": "transcription", "corpus": SPOKEN, "metric": "wer"}
    ones = {"finalists": dict.fromkeys(MODELS, 1), "trials": dict.fromkeys(MODELS, 1)}
    own = {"training": TRAINING, "selection": {"train_per_class": None}}
    params["repeat"]["seeds"] = [1, 2]
    params["studies"] = {WORDS: task | ones | {"models": list(MODELS.values()), "override": own}}
    plan = {"training": TRAINING, "finetune": {"schedule": {"max_epochs": 8}}}
    params["benchmarks"] = {WORDS: task | {"select_from": WORDS, "variants": [], "override": plan}}
    return params


@cache
def build_spoken(base: Path) -> Workspace:
    """Prepare the corpus and its features."""
    torch.set_num_threads(1)
    root = base / "spoken"
    write_spoken(root / "raw")
    workspace = open_workspace(write_params(root, spoken_params()))
    connect(workspace.root)
    prepare(workspace, SPOKEN)
    features(workspace, SPOKEN)
    return workspace


def copy_of_spoken(workspace: Workspace, root: Path) -> Workspace:
    """Copy a project in which nothing was trained, its empty MLflow store included."""
    shutil.copytree(workspace.root, root, ignore=shutil.ignore_patterns(".mlflow.lock"))
    return open_workspace(root / "params.yaml")


@cache
def build_worded(base: Path) -> Workspace:
    """Go through all stages but the report."""
    workspace = copy_of_spoken(build_spoken(base), base / "worded")
    for stage in (select, finetune, repeat):
        stage(workspace, WORDS)
    return workspace


@pytest.fixture(scope="session")
def worded(tmp_path_factory):
    """Return the workspace of transcription with everything but the report; read it only."""
    return build_worded(tmp_path_factory.getbasetemp())
