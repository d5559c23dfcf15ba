"""The benchmark of AASIST runs, both forms agree, its figures belong together; how fast they are, no test knows."""

import json
import os
import subprocess
import sys

import pytest

from tiny import PROJECT

SCRIPT = PROJECT / "benchmarks" / "spoofing_models.py"
QUICK = ["--models", "aasist_l", "aasist", "--batch", "2", "--samples", "9000", "--steps", "1", "--repeats", "1"]


@pytest.mark.slow
def test_both_forms_agree_and_each_bar_says_what_was_found(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, *QUICK, "--json", tmp_path / "figures.json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert (found["batch"], found["samples"]) == (2, 9000)
    assert list(found["models"]) == ["aasist_l", "aasist"]
    for figures in found["models"].values():
        assert set(figures["differences"]) == {"clip", "training", "gradient"}
        assert max(figures["differences"].values()) < 1e-4
        for row, seconds in figures["seconds"].items():
            assert figures["ratios"][row] == pytest.approx(seconds["voxbench"] / seconds["published"])
    assert [(bar["model"], bar["row"]) for bar in found["bars"]] == [("aasist", "step"), ("aasist", "clip")]
    for bar in found["bars"]:
        assert bar["found"] == found["models"]["aasist"]["ratios"][bar["row"]]
        assert bar["met"] == (bar["found"] <= bar["at_most"])
