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
YOUNGEST, GENERATIONS, YEARS_APART = 22, 3, 20


def voice(pitch_hz: float, seconds: float, draws: np.random.Generator, tremor_ms: float = 2.0) -> np.ndarray:
    """Return a harmonic tone with a slow tremor in noise: enough of a voice to tell a high from a low one."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * pitch_hz * (time + tremor_ms / 1000 * np.sin(2 * np.pi * 3 * time))
    tone = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 15))
    return (0.1 * tone + 0.02 * draws.normal(size=len(time))).astype(np.float32)


def age_of(speaker: int) -> int:
    """Return a speaker's age: each pair of a woman and a man is of another generation, the older the more tremor."""
    return YOUNGEST + YEARS_APART * (speaker // 2 % GENERATIONS) + speaker % 7


def write_table_corpus(root: Path, speakers: int = 24, clips: int = 2, seed: int = 7) -> None:
    """Write `speakers` speakers of alternating gender and three generations in the layout of the table reader."""
    draws = np.random.default_rng(seed)
    rows = []
    for speaker in range(speakers):
        gender = ("female", "male")[speaker % 2]
        pitch = PITCH_HZ[gender] * draws.normal(1, 0.08)
        for clip in range(clips):
            path = root / f"s{speaker:02d}" / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = voice(pitch, draws.uniform(0.9, 1.3), draws, tremor_ms=age_of(speaker) / 10)
            soundfile.write(path, wave, RATE_HZ, subtype="PCM_16")
            rows.append((path.relative_to(root).as_posix(), f"s{speaker:02d}", gender, age_of(speaker)))
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "speaker", "gender", "age"), *rows])


def tiny_params() -> dict:
    """Return the project's parameters with one small corpus and two small benchmarks in place of its own.

    The second inherits the finalists of the first and asks for a number instead of a class.
    """
    params = YAML(typ="safe").load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    corpus = params["corpora"]["voxceleb1"] | {
        "reader": "table",
        "root": "raw",
        "max_excluded_fraction": 0.1,
        "trials": [],
        "asv_scores": None,
    }
    corpus["cleaning"] |= {"min_seconds": 0.5}
    corpus["features"] |= {"n_mels": 40, "n_mfcc": 13}
    models = ["mobilenet_v2", "resnet18", "bilstm_h128_l1", "bilstm_h128_l2"]
    params["corpora"] = {"tiny": corpus}
    params["mixtures"] = {}
    task = {"task": "gender", "corpus": "tiny", "metric": "accuracy"}
    study = {"models": models, "finalists": {"cnn": 1, "lstm": 1}, "trials": {"cnn": 3, "lstm": 3}, "override": {}}
    params["studies"] = {"gender-tiny": task | study}
    own = {"select_from": "gender-tiny", "variants": ["utterance-split", "noise"], "override": {}}
    heir = {"task": "age_years", "metric": "mae"}
    params["benchmarks"] = {"gender-tiny": task | own, "age-tiny": task | own | heir}
    params["training"] |= {"resize": 32, "crop_seconds": 0.5, "batch_size": 8, "evaluation_crops": 2}
    params["selection"] |= {"round_size": 2, "train_per_class": 8}
    params["selection"]["schedule"] |= {"max_epochs": 2}
    params["finetune"]["schedule"] |= {"max_epochs": 2}
    params["repeat"]["seeds"] = [1, 2, 3]
    params["ablation"]["seeds"] = [1, 2]
    params["report"]["resamples"] = 200
    params["parallel"] = {"backend": "loky", "scheduler": None, "workers": 1, "rows_per_shard": 16}
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
