"""A corpus and a configuration so small that the whole pipeline runs on them in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from ruamel.yaml import YAML

from voxbench.stages.workspace import Workspace, open_workspace

PROJECT = Path(__file__).parent.parent
RATE_HZ = 16000
PITCH_HZ = {"female": 210.0, "male": 115.0}


def voice(pitch_hz: float, seconds: float, draws: np.random.Generator) -> np.ndarray:
    """Return a harmonic tone with a slow tremor in noise: enough of a voice to tell a high from a low one."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * pitch_hz * (time + 0.002 * np.sin(2 * np.pi * 3 * time))
    tone = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 15))
    return (0.1 * tone + 0.02 * draws.normal(size=len(time))).astype(np.float32)


def write_table_corpus(root: Path, speakers: int = 24, clips: int = 2) -> None:
    """Write `speakers` speakers of alternating gender in the layout of the table reader."""
    draws = np.random.default_rng(7)
    rows = []
    for speaker in range(speakers):
        gender = ("female", "male")[speaker % 2]
        pitch = PITCH_HZ[gender] * draws.normal(1, 0.08)
        for clip in range(clips):
            path = root / f"s{speaker:02d}" / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, voice(pitch, draws.uniform(0.9, 1.3), draws), RATE_HZ, subtype="PCM_16")
            rows.append((path.relative_to(root).as_posix(), f"s{speaker:02d}", gender))
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "speaker", "gender"), *rows])


def tiny_params() -> dict:
    """Return the project's parameters with one small corpus and one small benchmark in place of its own."""
    params = YAML(typ="safe").load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    corpus = params["corpora"]["voxceleb1"] | {"reader": "table", "root": "raw", "max_excluded_fraction": 0.1}
    corpus["cleaning"] |= {"min_seconds": 0.5}
    corpus["features"] |= {"n_mels": 40, "n_mfcc": 13}
    models = ["mobilenet_v2", "resnet18", "bilstm_h128_l1", "bilstm_h128_l2"]
    params["corpora"] = {"tiny": corpus}
    params["benchmarks"] = {"gender-tiny": {"task": "gender", "corpus": "tiny", "models": models}}
    params["training"] |= {"resize": 32, "crop_seconds": 0.5, "batch_size": 8, "evaluation_crops": 2}
    params["selection"] |= {
        "finalists": {"cnn": 1, "lstm": 1},
        "trials": {"cnn": 3, "lstm": 3},
        "round_size": 2,
    }
    params["selection"] |= {"train_per_class": 8}
    params["selection"]["schedule"] |= {"max_epochs": 2}
    params["finetune"]["schedule"] |= {"max_epochs": 2}
    params["repeat"]["seeds"] = [1, 2, 3]
    params["report"]["resamples"] = 200
    params["parallel"] = {"workers": 1, "rows_per_shard": 16}
    return params


def write_params(root: Path, params: dict) -> Path:
    """Write `params.yaml` and return its path."""
    path = root / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(params, stream)
    return path


def tiny_workspace(root: Path) -> Workspace:
    """Return a workspace with the small corpus on disk and nothing computed."""
    write_table_corpus(root / "raw")
    return open_workspace(write_params(root, tiny_params()))
