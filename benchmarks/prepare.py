"""Time decode -> clean -> log-mel 224 + MFCC 40 against librosa and against what cannot be saved, on one thread.

    python benchmarks/prepare.py                  # clips spoken by the project's own voices
    python benchmarks/prepare.py FOLDER --files 40 --json prepare.json
    python benchmarks/prepare.py --scale          # the stages `prepare` and `features` from 100 to 10,000 files

The chains (`prepare_chains`) and the parts of the floor (`prepare_floor`) take turns on every file, and for each file
the shortest of the repeats counts. Times are CPU time of the process, user and system, so that neighbours on the
machine count as little as they can; files lie in the page cache, and freed memory stays in the process. Real-time
factors are seconds of audio for each of these seconds. The chains end with features; the traces that the prepare stage
notes besides (`voxbench.audio.traces`), and its hashes, are in `--scale` alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prepare_chains import CHAINS, RATE_HZ
from prepare_clips import FORMATS, cut_short, read_waves, speak_waves, write_clips
from prepare_floor import parts
from prepare_scale import scale
from threadpoolctl import threadpool_limits

from voxbench.workers import KEEP_FREED_MEMORY

BARS = {"wav 16 kHz": 3.0, "flac 16 kHz": 3.0, "mp3 48 kHz": 2.2}
LEAST_SHARE = 0.8
CALLS_PER_TURN = 2  # a worker process runs one chain over and over: the second call finds its memory and its plans
SCALE_COUNTS = (100, 1_000, 10_000)


def race(paths: list[Path], repeats: int, with_floor: bool) -> dict[str, float]:
    """Return for each chain, and each part of the floor, the sum over files of its shortest CPU time in seconds."""
    totals: dict[str, float] = {}
    for path in paths:
        runners: dict[str, Callable[[], Any]] = {name: partial(run, path) for name, run in CHAINS.items()}
        if with_floor:
            runners |= {f"floor/{name}": part for name, part in parts(path).items()}
        best = dict.fromkeys(runners, float("inf"))
        for _ in range(repeats):
            for name, run in runners.items():
                best[name] = min(best[name], *(spent(run) for _ in range(CALLS_PER_TURN)))
        totals = {name: totals.get(name, 0.0) + seconds for name, seconds in best.items()}
    return totals


def spent(run: Callable[[], Any]) -> float:
    """Return the CPU time of one call in seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(paths: list[Path], audio_seconds: float, repeats: int) -> dict[str, Any]:
    """Race the chains over the files of one format and return times, ratios and the share of the floor."""
    totals = race(paths, repeats, with_floor=True)
    floor = {name.removeprefix("floor/"): seconds for name, seconds in totals.items() if "/" in name}
    seconds = {name: totals[name] for name in CHAINS}
    ours, theirs = CHAINS["voxbench"](paths[0])[0], CHAINS["librosa"](paths[0])[0]
    return {
        "seconds": seconds,
        "times_real_time": {name: audio_seconds / took for name, took in seconds.items()},
        "times_as_fast_as": {name: took / seconds["voxbench"] for name, took in seconds.items() if name != "voxbench"},
        "floor_seconds": floor,
        "share_of_floor": sum(floor.values()) / seconds["voxbench"],
        "largest_difference_db": float(np.abs(ours - theirs).max()),
    }


def compare_short(paths: list[Path], repeats: int) -> dict[str, float]:
    """Return how many files of one second each chain finishes in a second of CPU time."""
    return {name: len(paths) / seconds for name, seconds in race(paths, repeats, with_floor=False).items()}


def measure(waves: list[np.ndarray], repeats: int, short_files: int) -> dict[str, Any]:
    """Write the waves in every format to a temporary folder and time all chains on them."""
    audio_seconds = sum(wave.size for wave in waves) / RATE_HZ
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        clips = {kind: write_clips(waves, Path(name, kind), kind) for kind in FORMATS}
        for paths in clips.values():
            race(paths[:1], 1, with_floor=True)
        formats = {kind: compare(paths, audio_seconds, repeats) for kind, paths in clips.items()}
        short = write_clips(cut_short(waves, short_files), Path(name, "short"), "wav 16 kHz")
        short_rates = compare_short(short, min(repeats, 3))
    return {
        "files": len(waves),
        "audio_seconds": audio_seconds,
        "repeats": repeats,
        "formats": formats,
        "bars": bars(formats),
        "short_files": {"files": short_files, "per_second": short_rates},
    }


def bars(formats: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was promised beside what was found."""
    found = []
    for kind, result in formats.items():
        for what, value, least in (
            ("times as fast as librosa", result["times_as_fast_as"]["librosa"], BARS[kind]),
            ("share of the floor", result["share_of_floor"], LEAST_SHARE),
        ):
            found.append({"format": kind, "what": what, "found": value, "at_least": least, "met": value >= least})
    return found


def show(result: dict[str, Any]) -> None:
    """Print the times as a table for each format, the short files, and the bars."""
    print(f"{result['files']} files, {result['audio_seconds']:.1f} s of audio, one thread, {result['repeats']} repeats")
    for kind, times in result["formats"].items():
        print(f"\n{kind}")
        floor_seconds = sum(times["floor_seconds"].values())
        for name, took in [*times["seconds"].items(), ("floor", floor_seconds)]:
            ratio = took / times["seconds"]["voxbench"]
            speed = result["audio_seconds"] / took
            print(f"  {name:15s} {took:7.3f} s {speed:7.0f} x real time {ratio:6.2f} x the time of voxbench")
        floor = ", ".join(f"{name} {1000 * took:.1f}" for name, took in times["floor_seconds"].items())
        print(f"  floor in ms: {floor}")
        print(f"  largest difference of the log-mel matrices: {times['largest_difference_db']:.4f} dB")
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in result["short_files"]["per_second"].items())
    print(f"\n{result['short_files']['files']} files of one second, wav 16 kHz, files per second: {rates}\n")
    for bar in result["bars"]:
        verdict = "met" if bar["met"] else "NOT MET"
        print(f"{bar['format']}: {bar['what']} {bar['found']:.2f}, at least {bar['at_least']:g}: {verdict}")


def show_scale(rows: list[dict[str, Any]]) -> None:
    """Print time and memory of the stages for each number of files."""
    print(f"{'files':>7s} {'stage':10s} {'s':>8s} {'s per 1,000':>12s} {'peak MB':>8s}")
    for row in rows:
        per_thousand = 1000 * row["seconds"] / row["files"]
        print(f"{row['files']:7d} {row['stage']:10s} {row['seconds']:8.1f} {per_thousand:12.2f} {row['peak_mb']:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="flac recordings; left out, voices are synthesized")
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--short-files", type=int, default=1000)
    parser.add_argument("--scale", type=int, nargs="*", metavar="FILES", help="time the stages at these sizes instead")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of the stages")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    if arguments.scale is not None:
        rows = scale(arguments.scale or SCALE_COUNTS, arguments.workers)
        show_scale(rows)
        result: dict[str, Any] = {"workers": arguments.workers, "scale": rows}
    else:
        waves = read_waves(arguments.folder, arguments.files) if arguments.folder else speak_waves(arguments.files)
        if not waves:
            parser.error(f"no .flac file under {arguments.folder}")
        torch.set_num_threads(1)
        result = measure(waves, arguments.repeats, arguments.short_files)
        show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if not KEEP_FREED_MEMORY.items() <= os.environ.items():
        # As the worker processes of the stages keep it; the C library reads this when a process starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_FREED_MEMORY})
    main()
