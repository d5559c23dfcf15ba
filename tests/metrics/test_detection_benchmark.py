"""The benchmark of detection metrics runs and its two sides agree; how fast it is, no test can know."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_both_sides_are_timed_and_weighed(tmp_path):
    script, figures = PROJECT / "benchmarks" / "detection.py", tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, script, "--trials", "3000", "400000", "--repeats", "1", "--json", figures],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert [row["trials"] for row in found] == [3000, 400_000]
    for row in found:
        assert row["ratio"] == row["scikit-learn s"] / row["voxbench s"] > 0
    # Memory does not depend on how busy the machine is.
    assert 1 < found[1]["voxbench x scores"] < 6 < found[1]["scikit-learn x scores"]
    assert "ratio" in done.stdout
