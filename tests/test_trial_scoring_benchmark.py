"""The benchmark of trial scoring runs, all sides find the same scores, and its figures belong together."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from tiny import PROJECT

SIDES = {
    "cosine": ["voxbench", "WeSpeaker's loop", "SpeechBrain's loop"],
    "AS-norm": ["voxbench", "WeSpeaker's steps", "WeSpeaker pair by pair", "SpeechBrain's loop"],
}


@pytest.mark.slow
def test_every_side_is_measured_and_finds_the_same(tmp_path):
    figures = tmp_path / "figures.json"
    sizes = "--trials 60 50 --utterances 40 30 --dimensions 16 --cohort 20 --top 5 --slow 30 20"
    words = [*shlex.split(sizes), "--repeats", "1"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    command = [sys.executable, PROJECT / "benchmarks" / "trial_scoring.py", *words, "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert {task: [row["side"] for row in rows] for task, rows in found["tasks"].items()} == SIDES
    for (task, rows), trials, slow in zip(found["tasks"].items(), (60, 50), (30, 20), strict=True):
        for row in rows:
            assert row["trials"] == trials
            assert row["extrapolated_from"] == (None if row["side"] in ("voxbench", "WeSpeaker's steps") else slow)
            assert row["times_the_time_of_voxbench"] == pytest.approx(row["seconds"] / rows[0]["seconds"])
            assert row["largest_difference"] < (1e-6 if task == "cosine" else 2e-4)
            assert f"  {row['side']}: " in done.stdout
    seconds, ratio = found["bars"]
    assert (seconds["found"], ratio["found"]) == (
        found["tasks"]["cosine"][0]["seconds"],
        found["tasks"]["AS-norm"][2]["times_the_time_of_voxbench"],
    )
    assert (seconds["met"], ratio["met"]) == (seconds["found"] <= 1, ratio["found"] >= 5)
    assert "extrapolated from 30 trials" in done.stdout
