"""A small corpus of voices that talk at once, and the pipeline of counting them."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tiny import PITCH_HZ, RATE_HZ, tiny_params, voice, write_params
from voxbench.audio.mixing import average
from voxbench.schema import Split
from voxbench.stages.ablate import ablate
from voxbench.stages.features import features
from voxbench.stages.finetune import finetune
from voxbench.stages.prepare import prepare
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tracking.store import connect

CROWD, COUNT, SEXES = "crowd", "count-crowd", "sexes-crowd"
MODELS = {"wave_cnn": "m3", "spectrogram_cnn": "spectrogram_cnn_3", "lstm": "bilstm_h128_l1"}
SEX_WORDS = {"F": "female", "M": "male"}
COMPOSITIONS = ("F", "M", "MF", "FF", "MM", "FMF", "MFM", "FFF", "MMM")
SIZES = {Split.TRAIN: 6, Split.VALID: 2, Split.TEST: 2}
SECONDS = 0.8


def crowd(sexes: str, draws: np.random.Generator) -> np.ndarray:
    """Return the mean of a voice for each letter, each of its own pitch."""
    pitches = [PITCH_HZ[SEX_WORDS[letter]] * draws.uniform(0.8, 1.25) for letter in sexes]
    return average([voice(pitch, SECONDS, draws, tremor_ms=draws.uniform(1, 4)) for pitch in pitches])


def write_crowds(root: Path) -> None:
    """Write every composition several times for each split, of people who are heard nowhere else."""
    draws, rows, person = np.random.default_rng(3), [], 0
    for split, times in SIZES.items():
        for number, sexes in enumerate(COMPOSITIONS * times):
            path = root / split / f"{number:03d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, crowd(sexes, draws), RATE_HZ, subtype="PCM_16")
            names = "+".join(f"p{person + place}" for place in range(len(sexes)))
            rows.append((f"{split}/{path.name}", split, names, sexes))
            person += len(sexes)
    with (root / "mixtures.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "split", "sources", "sexes"), *rows])


def crowd_params() -> dict:
    """Return parameters of one study of counting, and of two benchmarks that take its finalists."""
    params = tiny_params()
    corpus = params["corpora"].pop("tiny") | {"reader": "mixtures"}
    corpus["splitting"] = corpus["splitting"] | {"by": "official", "stratify": None}
    corpus["features"] = corpus["features"] | {"spectrogram": "linear_db", "n_fft": 400, "hop_ms": 12.5}
    params["corpora"] = {CROWD: corpus}
    task = {"task": "speaker_count", "corpus": CROWD, "metric": "class_distance"}
    ones = {"finalists": dict.fromkeys(MODELS, 1), "trials": dict.fromkeys(MODELS, 1)}
    own = {"training": {"crop_seconds": 0.4}, "selection": {"train_per_class": None}}
    params["repeat"]["seeds"] = [1, 2]
    params["studies"] = {COUNT: task | ones | {"models": list(MODELS.values()), "override": own}}
    row = {"select_from": COUNT, "variants": ["noise"], "override": {"training": {"crop_seconds": 0.4}}}
    params["benchmarks"] = {
        COUNT: task | row,
        SEXES: task | row | {"task": "sex_composition", "metric": "accuracy", "variants": []},
    }
    return params


@cache
def build_counted(base: Path) -> Workspace:
    """Go through all stages but the report."""
    torch.set_num_threads(1)
    root = base / "counted"
    write_crowds(root / "raw")
    workspace = open_workspace(write_params(root, crowd_params()))
    connect(workspace.root)
    prepare(workspace, CROWD)
    features(workspace, CROWD)
    select(workspace, COUNT)
    for name in (COUNT, SEXES):
        finetune(workspace, name)
        repeat(workspace, name)
    ablate(workspace, COUNT)
    return workspace


@pytest.fixture(scope="session")
def counted(tmp_path_factory):
    """Return the workspace of counting with everything but the report; read it only."""
    return build_counted(tmp_path_factory.getbasetemp())
