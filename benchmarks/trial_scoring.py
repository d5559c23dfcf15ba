"""Score verification trials from embeddings beside the loops of other toolkits, file in, file out, in one run.

    python benchmarks/trial_scoring.py --repeats 3 --json FILE

Two tasks: cosines of a list in the shape of Vox1-E (145,160 recordings, each the enroll side of four trials, and one
more for the remainder), and AS-norm of one in the shape of Vox1-O against a cohort. Embeddings are random, clustered by
speaker, in float32; who takes part stands in `trial_scoring_sides.py`. The sides take turns, a time is the median of a
side's turns. Those that compute each trial anew get the first trials alone; their seconds for the whole list are
extrapolated, and said to be. All sides must find the scores of voxbench, to what float32 allows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from trial_scoring_sides import AS_NORM, COSINE, WHOLE, Task, written

SPEAKERS, TOLERANCE = 1251, {None: 1e-6, "normalised": 2e-4}
FASTER, MOST_SECONDS = 5.0, 1.0


def write_files(folder: Path, utterances: int, trials: int, cohort: int, dimensions: int) -> Task:
    """Write embeddings with their names, a list of which half the trials are targets, and a cohort."""
    draws = np.random.default_rng(1)
    speakers = min(SPEAKERS, utterances)
    speaker_U = np.sort(draws.integers(speakers, size=utterances))
    voices = draws.normal(size=(speakers, dimensions))
    vectors = voices[speaker_U] + draws.normal(size=(utterances, dimensions))
    np.save(folder / "embeddings.npy", vectors.astype(np.float32))
    names = [f"id1{speaker:04}/abcdefghijk/{number:06}.wav" for number, speaker in enumerate(speaker_U)]
    (folder / "embeddings.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    np.save(folder / "cohort.npy", draws.normal(size=(cohort, dimensions)).astype(np.float32))
    (folder / "cohort.txt").write_text("".join(f"id2{k:05}/mean\n" for k in range(cohort)), encoding="utf-8")
    enroll_N = np.arange(trials) * utterances // trials
    first = np.searchsorted(speaker_U, speaker_U[enroll_N])
    own = draws.integers(1 << 40, size=trials) % np.bincount(speaker_U)[speaker_U[enroll_N]]
    test_N = np.where(np.arange(trials) % 2, first + own, draws.integers(utterances, size=trials))
    label_N = (speaker_U[enroll_N] == speaker_U[test_N]).astype(int)
    with (folder / "trials.txt").open("w", encoding="utf-8") as lines:
        lines.writelines(
            f"{label} {names[e]} {names[t]}\n" for label, e, t in zip(label_N, enroll_N, test_N, strict=True)
        )
    files = (folder / name for name in ("embeddings.npy", "trials.txt", "cohort.npy"))
    return Task(*files, top=None, output=folder / "scores", at_most=trials)


def race(task: Task, sides: dict[str, Callable[[Task], None]], slow: int, repeats: int) -> list[dict[str, Any]]:
    """Return seconds of each side, and how far its scores are from those of voxbench."""
    given = {
        name: replace(
            task,
            output=task.output.with_name(f"scores{'.parquet' if name == 'voxbench' else f'-{number}.txt'}"),
            at_most=task.at_most if name in WHOLE else min(slow, task.at_most),
        )
        for number, name in enumerate(sides)
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for name, side in sides.items():
        side(replace(given[name], at_most=min(10, task.at_most)))
    for _ in range(repeats):
        for name, side in sides.items():
            # What a loop reads once is no part of what is scaled up.
            started = time.perf_counter()
            side(replace(given[name], at_most=1)) if name not in WHOLE else None
            between = time.perf_counter()
            side(given[name])
            once, seconds = between - started, time.perf_counter() - between
            share = task.at_most / given[name].at_most
            times[name].append(seconds if name in WHOLE else once + max(seconds - once, 0) * share)
    scores = {name: written(given[name].output) for name in sides}
    rows = []
    for name, found in scores.items():
        off = float(np.abs(found - scores["voxbench"][: len(found)]).max())
        assert off < TOLERANCE["normalised" if task.top else None], f"{name} differs by {off:g}"
        rows.append(
            {
                **{"side": name, "trials": task.at_most, "seconds": float(np.median(times[name]))},
                "extrapolated_from": None if name in WHOLE else given[name].at_most,
                "largest_difference": off,
            }
        )
    ours = rows[0]["seconds"]
    return [row | {"times_the_time_of_voxbench": row["seconds"] / ours} for row in rows]


def bars(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what was promised beside what was found."""
    seconds = found["cosine"][0]["seconds"]
    pairs = next(row for row in found["AS-norm"] if row["side"] == "WeSpeaker pair by pair")
    ratio = pairs["times_the_time_of_voxbench"]
    return [
        {"what": f"cosine: seconds, at most {MOST_SECONDS:g}", "found": seconds, "met": seconds <= MOST_SECONDS},
        {
            "what": f"AS-norm: times as fast as WeSpeaker's formula pair by pair, at least {FASTER:g}",
            **{"found": ratio, "met": ratio >= FASTER},
        },
    ]


def show(result: dict[str, Any]) -> None:
    """Print a line for each side of each task, and the bars."""
    for task, rows in result["tasks"].items():
        print(f"{task}, {rows[0]['trials']:,} trials")
        for row in rows:
            scaled = row["extrapolated_from"]
            how = f", extrapolated from {scaled:,} trials" if scaled else ""
            print(
                f"  {row['side']}: {row['seconds']:,.2f} s, {row['times_the_time_of_voxbench']:,.1f} times voxbench"
                f"{how}; largest difference {row['largest_difference']:.1e}"
            )
    for bar in result["bars"]:
        print(f"{bar['what']}: {bar['found']:.2f}, {'met' if bar['met'] else 'NOT MET'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs=2, default=[581_480, 37_611], help="of cosines, and of AS-norm")
    parser.add_argument("--utterances", type=int, nargs=2, default=[145_160, 4_708])
    parser.add_argument("--dimensions", type=int, default=192)
    parser.add_argument("--cohort", type=int, default=6000)
    parser.add_argument("--top", type=int, default=300)
    parser.add_argument("--slow", type=int, nargs=2, default=[5000, 200], help="trials of those that loop")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {}
    for place, (name, sides, top) in enumerate((("cosine", COSINE, None), ("AS-norm", AS_NORM, options.top))):
        with tempfile.TemporaryDirectory() as folder:
            size = options.utterances[place], options.trials[place]
            task = write_files(Path(folder), *size, options.cohort, options.dimensions)
            found[name] = race(replace(task, top=top), sides, options.slow[place], options.repeats)
    result = {"repeats": options.repeats, "tasks": found, "bars": bars(found)}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
