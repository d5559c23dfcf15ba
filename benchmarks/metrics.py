"""EER, minDCF, Cllr, minCllr and AUC of the same trials by voxbench and by others, in one run, and a bootstrap.

    python benchmarks/metrics.py --trials 580000 4000000 --repeats 5 --json FILE

Who takes part and how stands in `metrics_sides.py`, the bootstrap in `metrics_bootstrap.py`. The sides take turns;
a time is the median of a side's turns, so ratios mean something on a busy machine too. scikit-learn must find the
values of voxbench; how far others are off is shown. `x scores` is the growth of the peak memory of a process of its
own over the trials it was given, in sizes of the float64 scores. The bars stand in `metrics_bars.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import metrics_bootstrap
import numpy as np
import pandas as pd
from metrics_bars import FASTER, bars
from metrics_sides import NOT_OFFERED, SIDES

TARGET_SHARE = 0.1
SMALL = 1000
TOLERANCE = 1e-7


def trials(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels: two normal distributions of log-likelihood ratios, d' = 2."""
    draws = np.random.default_rng(1)
    labels = (draws.random(rows) < TARGET_SHARE).astype(np.int64)
    labels[:2] = 0, 1
    return draws.normal(size=rows) * 2 + 4 * labels - 2, labels


def race(rows: int, repeats: int) -> list[dict[str, Any]]:
    """Return a row for each side: its median seconds, its values, and by how much they differ from ours."""
    taking_part = {name: side for name, side in SIDES.items() if side.installed}
    given = {name: trials(min(rows, side.at_most or rows)) for name, side in taking_part.items()}
    times: dict[str, list[float]] = {name: [] for name in taking_part}
    values = {}
    for turn in range(repeats + 1):
        for name, side in taking_part.items():
            # What scales with the square is warmed up, and timed once.
            if side.at_most and turn > 1:
                continue
            started = time.perf_counter()
            values[name] = side.function(*(trials(SMALL) if turn == 0 else given[name]))
            if turn:
                times[name].append(time.perf_counter() - started)
    found = []
    for name in taking_part:
        used = len(given[name][0])
        expected = values["voxbench"] if used == rows else SIDES["voxbench"].function(*given[name])
        off = max(abs(value - expected[metric]) for metric, value in values[name].items())
        assert name != "scikit-learn" or off < TOLERANCE, f"scikit-learn differs by {off:g}: {values}"
        found.append(
            {
                **{"trials": rows, "side": name, "metrics": list(values[name])},
                "seconds": float(np.median(times[name])) * (rows / used) ** 2,
                "scaled_from_trials": used if used < rows else None,
                "largest_difference": off,
                "values": values[name],
            }
        )
    ours = found[0]["seconds"]
    return [row | {"times_the_time_of_voxbench": row["seconds"] / ours} for row in found]


def memory(name: str, rows: int) -> float:
    """Return how far the peak memory of this process grows over the trials, in sizes of the float64 scores."""
    SIDES[name].function(*trials(SMALL))
    scores, labels = trials(rows)
    # Linux forgets the peak so far when told to; that of `getrusage` would be the starting process's.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = peak_bytes()
    SIDES[name].function(scores, labels)
    return (peak_bytes() - before) / scores.nbytes


def peak_bytes() -> int:
    """Return the highest resident memory of this process since it was last forgotten."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def alone(name: str, rows: int) -> float:
    """Return `memory` measured in a process of its own."""
    command = [sys.executable, __file__, "--trials", str(rows), "--alone", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(sizes: list[int], repeats: int) -> list[dict[str, Any]]:
    """Return the rows of all sides at all sizes; memory is not scaled up, so it is missing where time is."""
    rows = [row for size in sizes for row in race(size, repeats)]
    return [
        row | {"x_scores": None if row["scaled_from_trials"] else alone(row["side"], row["trials"])} for row in rows
    ]


def show(result: dict[str, Any]) -> None:
    """Print the values, the race as a table, who is missing, the bootstrap, and the bars."""
    for row in result["race"]:
        if row["side"] == "voxbench":
            print(f"{row['trials']:,} trials: " + ", ".join(f"{name} {v:.6f}" for name, v in row["values"].items()))
    table = pd.DataFrame(result["race"]).drop(columns="values")
    table["metrics"] = table["metrics"].map(" ".join)
    table["largest_difference"] = table["largest_difference"].map("{:.1e}".format)
    table["scaled_from_trials"] = table["scaled_from_trials"].map(lambda used: f"{used:.0f}", na_action="ignore")
    for column in ("seconds", "times_the_time_of_voxbench", "x_scores"):
        table[column] = table[column].astype(float).map("{:,.3f}".format, na_action="ignore")
    print(table.fillna("").to_string(index=False))
    for name, reason in result["absent"].items():
        print(f"{name}: {reason}")
    found = result["bootstrap"]
    print(
        f"\nEER of {found['trials']:,} trials ({found['list']}) of {found['speakers']} speakers: {found['eer']:.4f}, "
        f"95 % interval {found['low']:.4f} to {found['high']:.4f} over {found['replicates']:,} replicates in "
        f"{found['seconds']:.2f} s; a plain loop needs {found['naive_seconds_extrapolated']:.1f} s (extrapolated from "
        f"{found['naive_replicates']}), {found['times_as_fast']:.1f} times as long\n"
    )
    for bar in result["bars"]:
        print(f"{bar['what']}: {bar['found']:.2f}, {'met' if bar['met'] else 'NOT MET'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=sorted(FASTER))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--replicates", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--naive-replicates", type=int, default=10, help="of the plain loop, which is scaled up")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", choices=SIDES, help="measure the memory of one side in this process")
    arguments = parser.parse_args()
    if arguments.alone:
        print(memory(arguments.alone, arguments.trials[0]))
        return
    rows = measure(arguments.trials, arguments.repeats)
    result = {
        "repeats": arguments.repeats,
        "race": rows,
        "absent": {name: "not installed" for name, side in SIDES.items() if not side.installed}
        | dict.fromkeys(NOT_OFFERED, "not on the package index"),
        "bootstrap": metrics_bootstrap.race(arguments.replicates, arguments.naive_replicates, arguments.repeats),
        "bars": bars(rows),
    }
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
