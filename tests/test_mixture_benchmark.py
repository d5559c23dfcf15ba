"""The benchmark of mixtures runs, and its figures belong together; how fast it is, no test can know."""

import json
import os
import subprocess
import sys

import pytest

from tiny import PROJECT

WAYS = ["derived", "derived, shuffled", "stored", "librosa excerpts", "librosa files"]


@pytest.mark.slow
def test_every_way_is_measured_and_a_second_generation_is_identical(tmp_path):
    figures = tmp_path / "figures.json"
    words = ["--mixtures", "12", "--people", "2", "--slow", "2", "--repeats", "1", "--json", figures]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    command = [sys.executable, PROJECT / "benchmarks" / "mixtures.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    rates = found["mixtures_per_second_per_core"]
    assert list(rates) == WAYS
    assert min(rates.values()) > 0
    for way, ratio in found["times_as_fast_as"].items():
        assert ratio == pytest.approx(rates["derived"] / rates[way])
    assert list(found["times_as_fast_as"]) == WAYS[1:]
    assert found["identical"] is True
    assert found["stored_bytes"] > 12 * 2 * 19_200 > found["planned_bytes"]
    assert "a second generation is identical" in done.stdout
