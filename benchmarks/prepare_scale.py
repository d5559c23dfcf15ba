"""Time and memory of the stages `prepare` and `features` over corpora of ever more short files.

Each stage runs in a process of its own, as `dvc repro` runs it, start included. Memory is what the process and its
workers hold beside mapped files (resident less shared, summed over the tree, looked at every 20 ms): the page cache
belongs to the system.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from ruamel.yaml import YAML

from voxbench.seeding import generator

PROJECT = Path(__file__).resolve().parents[1]
CORPUS = "scale"
RATE_HZ = 16_000
FILES_PER_SPEAKER = 10
SECONDS = (1.0, 1.4)
STAGES = ("prepare", "features")
LOOK_EVERY_SECONDS = 0.02


def scale(counts: Sequence[int], workers: int) -> list[dict[str, Any]]:
    """Return for each number of files and each stage the wall-clock seconds and the peak of memory in MB."""
    rows = []
    for files in counts:
        with tempfile.TemporaryDirectory() as name:
            write_workspace(Path(name), files, workers)
            for stage in STAGES:
                rows.append({"files": files, "stage": stage, **watch(Path(name), stage)})
    return rows


def watch(root: Path, stage: str) -> dict[str, float]:
    """Run one stage in a workspace and return its seconds and its peak memory."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "voxbench", stage, CORPUS]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        root_process, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, held_bytes(root_process))
            time.sleep(LOOK_EVERY_SECONDS)
        seconds = time.perf_counter() - start
        complaint = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise SystemExit(f"{stage} failed:\n{complaint}")
    return {"seconds": seconds, "peak_mb": peak / 1e6}


def held_bytes(root: psutil.Process) -> int:
    """Return the memory of a process and its descendants, without what is shared or mapped from files."""
    total = 0
    try:
        for process in (root, *root.children(recursive=True)):
            memory = process.memory_info()
            total += memory.rss - memory.shared
    except psutil.NoSuchProcess:
        pass
    return total


def write_workspace(root: Path, files: int, workers: int) -> None:
    """Write the project's parameters with one corpus of the table reader, and that corpus."""
    params = YAML(typ="safe").load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    corpus = params["corpora"]["voxceleb1"] | {"reader": "table", "root": "raw", "trials": []}
    corpus["cleaning"] |= {"min_seconds": 0.5}
    params["corpora"] = {CORPUS: corpus}
    params["mixtures"], params["studies"], params["benchmarks"] = {}, {}, {}
    params["parallel"]["workers"] = workers
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(params, stream)
    draws, rows = generator(0, "benchmark", "scale"), []
    for number in range(files):
        speaker = number // FILES_PER_SPEAKER
        path = root / "raw" / f"s{speaker:05d}" / f"{number % FILES_PER_SPEAKER}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, hum(draws), RATE_HZ, subtype="PCM_16")
        rows.append((path.relative_to(root / "raw").as_posix(), f"s{speaker:05d}", ("female", "male")[speaker % 2]))
    with (root / "raw" / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("path", "speaker", "gender"), *rows])


def hum(draws: np.random.Generator) -> np.ndarray:
    """Return a tone in noise of about one second; every one is another."""
    time_S = np.arange(int(draws.uniform(*SECONDS) * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * draws.uniform(90, 250) * time_S)
    return (0.2 * tone + 0.05 * draws.standard_normal(time_S.size, np.float32)).astype(np.float32)
