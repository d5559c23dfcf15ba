"""The benchmark of speaker networks runs, and its figures belong together; how fast they are, no test can know."""

import json
import os
import subprocess
import sys

import pytest

from tiny import PROJECT

SCRIPT = PROJECT / "benchmarks" / "verification_models.py"
QUICK = ["--models", "x_vector", "ecapa_tdnn", "--batch", "2", "--frames", "20", "--steps", "1", "--repeats", "1"]


def run(*arguments):
    """Run the script on one thread."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.mark.slow
def test_without_speechbrain_ours_is_measured_and_the_rows_say_so(tmp_path):
    done = run(*QUICK, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert (found["batch"], found["frames"]) == (2, 20)
    assert list(found["models"]) == ["x_vector", "ecapa_tdnn"]
    for figures in found["models"].values():
        assert list(figures["seconds"]) == ["embedding", "scoring", "step"]
        assert all(row["voxbench"] > 0 for row in figures["seconds"].values())
        assert (figures["speechbrain"], figures["ratios"]) == (False, {})
    assert [(bar["row"], bar["at_most"], bar["met"]) for bar in found["bars"]] == [
        ("step", 1.0, None),
        ("embedding", 0.7, None),
    ]
    assert done.stdout.count("SpeechBrain: absent") == 6
    assert done.stdout.count("not measured") == 2


PRETENDED = '''
from voxbench.models import create_model
from torch import nn

class Network(nn.Module):
    """Gives as many zeros as an embedding has numbers, and takes any weights."""

    def __init__(self, *given, **named):
        super().__init__()
        self.scale = nn.Parameter(nn.init.zeros_(nn.Linear(1, 192).bias.data))

    def load_state_dict(self, state):
        pass

    def forward(self, frames):
        return frames.mean() * 0 + self.scale.expand(len(frames), 1, 192)

ECAPA_TDNN = Xvector = Network
'''


@pytest.mark.slow
def test_beside_another_network_there_are_ratios_and_a_difference_is_a_failure(tmp_path):
    folder = tmp_path / "speechbrain" / "lobes" / "models"
    folder.mkdir(parents=True)
    for name in ("ECAPA_TDNN", "Xvector"):
        (folder / f"{name}.py").write_text(PRETENDED, encoding="utf-8")
    options = [*QUICK[:1], "ecapa_tdnn", *QUICK[3:], "--speechbrain", tmp_path]
    done = run(*options, "--json", tmp_path / "figures.json")
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    figures = found["models"]["ecapa_tdnn"]
    assert min(figures["differences"].values()) > 1e-4
    for row, seconds in figures["seconds"].items():
        assert figures["ratios"][row] == pytest.approx(seconds["voxbench"] / seconds["speechbrain"])
    for bar in found["bars"]:
        assert bar["found"] == figures["ratios"][bar["row"]]
        assert bar["met"] == (bar["found"] <= bar["at_most"])


@pytest.mark.slow
def test_a_folder_without_speechbrain_is_refused(tmp_path):
    done = run(*QUICK, "--speechbrain", tmp_path)
    assert done.returncode == 1
    assert "found no usable SpeechBrain" in done.stderr
