"""The benchmark of the metrics runs, its sides agree and its words follow from its figures; no test knows a speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FIVE = ["EER", "minDCF", "Cllr", "minCllr", "AUC"]


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """Return the figures and the words of a small race, without the published lists."""
    figures = tmp_path_factory.mktemp("metrics") / "figures.json"
    sizes = ["--trials", "3000", "400000", "--repeats", "1", "--replicates", "20", "--naive-replicates", "3"]
    done = subprocess.run(
        [sys.executable, PROJECT / "benchmarks" / "metrics.py", *sizes, "--json", figures],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src"), "VOXBENCH_SHARED": ""},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(figures.read_text(encoding="utf-8")), done.stdout


def side(figures, name, trials):
    return next(row for row in figures["race"] if (row["side"], row["trials"]) == (name, trials))


@pytest.mark.slow
def test_every_side_is_timed_and_those_with_all_metrics_agree(raced):
    figures, words = raced
    for trials in (3000, 400_000):
        ours, theirs = side(figures, "voxbench", trials), side(figures, "scikit-learn", trials)
        assert list(ours["values"]) == list(theirs["values"]) == ours["metrics"] == FIVE
        assert ours["values"] == pytest.approx(theirs["values"], abs=1e-7)
        assert theirs["times_the_time_of_voxbench"] == theirs["seconds"] / ours["seconds"] > 0
        assert f"EER {ours['values']['EER']:.6f}" in words
    for row in figures["race"]:
        assert row["largest_difference"] < 1e-3
        assert row["side"] in words


@pytest.mark.slow
def test_memory_does_not_depend_on_how_busy_the_machine_is(raced):
    figures, _ = raced
    ours, theirs = (side(figures, name, 400_000)["x_scores"] for name in ("voxbench", "scikit-learn"))
    assert 1 < ours < 6 < theirs


@pytest.mark.slow
def test_who_is_missing_is_said(raced):
    figures, words = raced
    taking_part = {row["side"] for row in figures["race"]}
    assert taking_part >= {"voxbench", "scikit-learn"}
    assert taking_part | set(figures["absent"]) == {
        *("voxbench", "scikit-learn", "torchmetrics", "SpeechBrain"),
        *("PYLLR", "pybosaris", "wespeaker"),
    }
    for name, reason in figures["absent"].items():
        assert f"{name}: {reason}" in words


@pytest.mark.slow
def test_the_bootstrap_says_what_is_extrapolated(raced):
    figures, words = raced
    found = figures["bootstrap"]
    assert (found["trials"], found["speakers"], found["list"]) == (37_611, 40, "generated")
    assert (found["replicates"], found["naive_replicates"]) == (20, 3)
    assert found["low"] < found["eer"] < found["high"]
    assert found["times_as_fast"] == found["naive_seconds_extrapolated"] / found["seconds"] > 0
    assert "extrapolated from 3" in words


@pytest.mark.slow
def test_bars_are_those_of_their_sizes(raced, monkeypatch):
    assert raced[0]["bars"] == []
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))
    from metrics_bars import bars

    rows = [
        {"side": "voxbench", "trials": 580_000, "x_scores": 6.0, "times_the_time_of_voxbench": 1.0},
        {"side": "scikit-learn", "trials": 580_000, "x_scores": 18.0, "times_the_time_of_voxbench": 8.0},
        {"side": "scikit-learn", "trials": 4_000_000, "x_scores": 18.0, "times_the_time_of_voxbench": 9.9},
    ]
    assert [(bar["found"], bar["met"]) for bar in bars(rows)] == [(6.0, False), (8.0, True), (9.9, False)]
