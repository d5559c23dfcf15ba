"""Derive mixtures from prepared recordings, beside reading stored ones and beside loading and adding files.

    python benchmarks/mixtures.py                     # generated recordings of noise
    python benchmarks/mixtures.py FOLDER --people 5   # of the table reader: metadata.csv with path,speaker,gender

The row `count-librispeech` of params.yaml is planned on the recordings, and the same mixtures are made in one process,
whose CPU time counts, by each of

| way | holds |
|---|---|
| derived | `voxbench.features.mixed`: excerpts of the mapped store, mean, z-score, int16; what training reads |
| derived, shuffled | the same in random order |
| stored | the same mixtures from a store of their samples, which takes `stored_bytes` |
| librosa excerpts | `librosa.load(path, sr, offset, duration)` of each recording, sum and division |
| librosa files | `librosa.load(path, sr)` of each whole recording, cut to the shortest: the course's chain |

"identical" says whether a second generation, in another process and in reverse order, has the same SHA-256.
Preparation is paid once by all ways that need it and is not timed here: see benchmarks/prepare.py.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
from ruamel.yaml import YAML

from voxbench.features.mixed import MixedStore
from voxbench.features.store import RaggedStore, dequantize, write_shard
from voxbench.stages.mix import mix
from voxbench.stages.prepare import prepare
from voxbench.stages.workspace import Workspace, open_workspace
from voxbench.workers import ONE_THREAD

PARAMS = Path(__file__).parents[1] / "params.yaml"
SOURCE, MIXED, ROW = "recordings", "mixtures", "count-librispeech"
SPEAKERS, CLIPS, RATE_HZ = 60, 4, 16_000


def write_recordings(root: Path) -> None:
    """Write noise with the distribution of speech in 16-bit FLAC, and the table that names it."""
    draws = np.random.default_rng(1)
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("path", "speaker", "gender"))
        for speaker in range(SPEAKERS):
            for clip in range(CLIPS):
                wave = 0.05 * draws.laplace(size=int(draws.uniform(3.0, 15.0) * RATE_HZ)).clip(-15, 15)
                soundfile.write(root / f"{speaker}-{clip}.flac", wave, RATE_HZ, subtype="PCM_16")
                table.writerow((f"{speaker}-{clip}.flac", speaker, ("female", "male")[speaker % 2]))


def workspace_of(folder: Path, root: Path, mixtures: int, people: int) -> Workspace:
    """Return a project that mixes the recordings below `root`, all of them training data but what must not be."""
    params = YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))
    splitting = {"by": "speaker", "stratify": "gender", "valid_fraction": 0.1, "test_fraction": 0.1, "seed": 42}
    own = {"reader": "table", "root": str(root), "splitting": splitting, "max_excluded_fraction": 0.5}
    params["corpora"] = {SOURCE: params["corpora"]["librispeech"] | own}
    numbers = {"train": mixtures, "valid": 0, "test": 0}
    changes = {"corpus": SOURCE, "people": people, "mixtures": numbers, "max_excluded_fraction": 0.5}
    params["mixtures"] = {MIXED: params["mixtures"][ROW] | changes}
    params["studies"], params["benchmarks"] = {}, {}
    params["parallel"] |= {"workers": 1, "rows_per_shard": 1024}
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(params, stream)
    return open_workspace(folder / "params.yaml")


def fingerprint_of(folder: Path, *, backwards: bool) -> str:
    """Return the SHA-256 of every mixture's wave, in order of position whatever the order of making."""
    store = MixedStore(folder)
    order = range(len(store))
    waves = {
        place: dequantize(store[place], store.scales[place]) for place in (reversed(order) if backwards else order)
    }
    return sha256(b"".join(sha256(waves[place].tobytes()).digest() for place in order)).hexdigest()


def load_and_add(store: MixedStore, root: Path, place: int, *, whole: bool) -> np.ndarray:
    """Return what the course's notebook makes of the recordings of a mixture."""
    parts, seconds = store.parts(place), (store.origin.samples or 0) / RATE_HZ
    cut = [{} if whole else {"offset": start / RATE_HZ, "duration": seconds} for start in parts.starts]
    waves = [librosa.load(root / name, sr=RATE_HZ, **own)[0] for name, own in zip(parts.sources, cut, strict=True)]
    shortest = min(map(len, waves))
    mixed: np.ndarray = sum(wave[:shortest] for wave in waves) / len(waves)
    return mixed


def rate(make: Callable[[int], Any], places: Iterable[int], repeats: int) -> float:
    """Return mixtures per second of one core, the best of some rounds."""
    places = list(places)
    found = []
    for _ in range(repeats):
        started = time.process_time()
        for place in places:
            make(place)
        found.append(len(places) / (time.process_time() - started))
    return max(found)


def race(workspace: Workspace, root: Path, repeats: int, slow: int) -> dict[str, float]:
    """Return the rate of each way; the ways through librosa make the first `slow` mixtures only."""
    store = MixedStore(workspace.prepared(MIXED))
    every = range(len(store))
    folder = workspace.root / "stored"
    folder.mkdir()
    write_shard(folder / "shard-00000.arrow", store.ids, list(store), store.scales.tolist(), {})
    stored = RaggedStore(folder)
    few = every[:slow]
    load_and_add(store, root, 0, whole=False)  # librosa imports what it needs when it is first used
    return {
        "derived": rate(lambda place: dequantize(store[place], store.scales[place]), every, repeats),
        "derived, shuffled": rate(
            lambda place: dequantize(store[place], store.scales[place]),
            np.random.default_rng(0).permutation(len(store)).tolist(),
            repeats,
        ),
        "stored": rate(lambda place: dequantize(stored[place], stored.scales[place]), every, repeats),
        "librosa excerpts": rate(lambda place: load_and_add(store, root, place, whole=False), few, repeats),
        "librosa files": rate(lambda place: load_and_add(store, root, place, whole=True), few, repeats),
    }


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return rates, ratios, bytes on disk, and whether two generations are equal."""
    root = arguments.folder
    if root is None:
        write_recordings(root := folder)
    workspace = workspace_of(folder, root.resolve(), arguments.mixtures, arguments.people)
    prepare(workspace, SOURCE)
    mix(workspace, MIXED)
    rates = race(workspace, root, arguments.repeats, arguments.slow)
    place = workspace.prepared(MIXED)
    command = [sys.executable, __file__, "--hash", str(place)]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    return {
        "mixtures": arguments.mixtures,
        "people": arguments.people,
        "mixtures_per_second_per_core": rates,
        "times_as_fast_as": {way: rates["derived"] / found for way, found in rates.items() if way != "derived"},
        "planned_bytes": sum(path.stat().st_size for path in place.glob("shard-*")),
        "stored_bytes": (workspace.root / "stored" / "shard-00000.arrow").stat().st_size,
        "sha256": other,
        "identical": other == fingerprint_of(place, backwards=False),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--mixtures", type=int, default=3000)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--slow", type=int, default=150, help="mixtures that librosa makes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--hash", type=Path, help="print the hash of the mixtures in a folder, and stop")
    arguments = parser.parse_args()
    if not os.environ.items() >= ONE_THREAD.items():  # read when numpy is imported: one core is one core
        return subprocess.run([sys.executable, *sys.argv], env=os.environ | ONE_THREAD, check=False).returncode
    if arguments.hash:
        print(fingerprint_of(arguments.hash, backwards=True))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    for way, found in figures["mixtures_per_second_per_core"].items():
        ratio = figures["times_as_fast_as"].get(way)
        print(f"{way:<20}{found:>12,.0f} per second" + (f"   derived is {ratio:.2f} times as fast" if ratio else ""))
    print(f"plans {figures['planned_bytes']:,} bytes, stored samples {figures['stored_bytes']:,} bytes")
    print(
        f"a second generation is {'identical' if figures['identical'] else 'NOT IDENTICAL'}: {figures['sha256'][:16]}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if figures["identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
