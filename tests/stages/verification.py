"""A small corpus of people who are heard in two sessions, with a list of trials, and the pipeline of verifying them."""

import csv
import shutil
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from stages.pipeline import STORE
from tiny import RATE_HZ, tiny_params, voice, write_params
from voxbench.stages.ablate import ablate
from voxbench.stages.features import features
from voxbench.stages.finetune import finetune
from voxbench.stages.prepare import prepare
from voxbench.stages.repeat import repeat
from voxbench.stages.select import select
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.tracking.store import connect

PEOPLE, VERIFY = "people", "verify-people"
MODELS = {"lstm": "bilstm_h128_l1", "spectrogram_cnn": "spectrogram_cnn_3"}
SPEAKERS, SESSIONS, CLIPS = 24, 2, 2
LIST, OTHER_LIST = "lists/trials.txt", "lists/all.txt"
MARGIN = {"kind": "aam", "margin": 0.1, "scale": 15.0, "beyond": "touching", "subcentres": 1, "warm_up_epochs": [0, 1]}
LARGE = {"epochs": 1, "crop_seconds": 0.45, "margin": 0.3, "learning_rate": 0.0005}
BROKEN = "s05/1-0.wav"  # no sound in it


def write_people(root: Path) -> None:
    """Write speakers of their own pitch in the layout of the table reader, and a list of trials of all of them."""
    draws, rows = np.random.default_rng(5), []
    for speaker in range(SPEAKERS):
        pitch_hz = 90.0 * 1.045**speaker
        for session in range(SESSIONS):
            for clip in range(CLIPS):
                path = root / f"s{speaker:02d}" / f"{session}-{clip}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                own_hz, seconds = pitch_hz * draws.normal(1, 0.005), draws.uniform(0.8, 1.1)
                wave = voice(own_hz, seconds, draws, tremor_ms=1 + speaker % 4)
                name = path.relative_to(root).as_posix()
                soundfile.write(path, wave if name != BROKEN else 0 * wave, RATE_HZ, subtype="PCM_16")
                sex = ("female", "male")[speaker % 2]
                rows.append((name, f"s{speaker:02d}", f"s{speaker:02d}/{session}", sex))
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "speaker", "session", "gender"), *rows])
    names = [name for name, *_ in rows]
    write_list(root / OTHER_LIST, [pair for pair in combinations(names, 2) if draws.random() < 0.1])


def write_list(path: Path, pairs: list[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{int(one.split('/')[0] == other.split('/')[0])} {one} {other}\n" for one, other in pairs]
    path.write_text("".join(lines), encoding="utf-8")


def people_params() -> dict:
    """Return parameters of one study of verification, and of a benchmark that takes its finalists."""
    params = tiny_params()
    corpus = params["corpora"].pop("tiny") | {"trials": [OTHER_LIST], "max_excluded_fraction": 0.3}
    corpus["splitting"] |= {"valid_fraction": 0.25, "test_fraction": 0.25}
    params["corpora"] = {PEOPLE: corpus}
    task = {"task": "verification", "corpus": PEOPLE, "metric": "eer"}
    ones = {"finalists": dict.fromkeys(MODELS, 1), "trials": dict.fromkeys(MODELS, 2)}
    training = {"crop_seconds": 0.4, "batch_size": 16, "margin": MARGIN, "learning_rate": 0.003, "dropout": 0.1}
    own = {"training": training, "selection": {"train_per_class": 3}}
    params["repeat"]["seeds"] = [1, 2]
    params["studies"] = {VERIFY: task | ones | {"models": list(MODELS.values()), "override": own}}
    row = {"select_from": VERIFY, "variants": []}
    params["benchmarks"] = {VERIFY: task | row | {"override": {"training": training}}}
    params["verification"] |= {"as_norm": {"top": 5}, "recordings_per_speaker": 3}
    params["verification"]["trials"] |= {"targets_per_speaker": 3}
    return params


@cache
def build_people(base: Path) -> Workspace:
    """Prepare the corpus and its features."""
    torch.set_num_threads(1)
    root = base / "verified"
    write_people(root / "raw")
    workspace = open_workspace(write_params(root, people_params()))
    connect(workspace.root)
    prepare(workspace, PEOPLE)
    features(workspace, PEOPLE)
    return workspace


@cache
def build_verified(base: Path) -> Workspace:
    """Go through all stages but the report."""
    workspace = build_people(base)
    select(workspace, VERIFY)
    for stage in (finetune, repeat, ablate):
        stage(workspace, VERIFY)
    return workspace


def copy_of_people(workspace: Workspace, root: Path) -> Workspace:
    """Copy the project folder, with an empty MLflow store."""
    shutil.copytree(workspace.root, root, ignore=shutil.ignore_patterns(STORE, "mlruns", ".mlflow.lock"))
    connect(root)
    return open_workspace(root / "params.yaml")


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Return the workspace with features; read it only."""
    return build_people(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def verified(tmp_path_factory):
    """Return the workspace of verification with everything but the report; read it only."""
    return build_verified(tmp_path_factory.getbasetemp())
