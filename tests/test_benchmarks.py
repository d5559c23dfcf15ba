"""The benchmark of preparation runs, and its figures belong together; how fast it is, no test can know."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

PROJECT = Path(__file__).resolve().parents[1]
FORMATS = {"wav 16 kHz": 3.0, "flac 16 kHz": 3.0, "mp3 48 kHz": 2.2}
CLEANED = ["decode", "statistics", "mask", "pre_emphasis", "low_pass", "z_score"]
FEATURES = ["spectra", "power", "mel", "decibels", "cepstra"]


def run(folder: Path, *arguments: str) -> tuple[dict, str]:
    """Run the script and return its figures and what it printed."""
    figures = folder / "figures.json"
    command = [sys.executable, PROJECT / "benchmarks" / "prepare.py", "--json", figures, *arguments]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(figures.read_text(encoding="utf-8")), done.stdout


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """Return the figures and the words of a race over three recordings of a folder that holds four."""
    folder, draws = tmp_path_factory.mktemp("clips"), np.random.default_rng(1)
    for name, seconds in (("a/1", 2.0), ("a/2", 1.5), ("b/1", 1.0), ("b/2", 9.0)):
        path = folder / f"{name}.flac"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * draws.laplace(size=int(seconds * 16_000)).clip(-9, 9), 16_000)
    return run(folder, str(folder), "--files", "3", "--repeats", "1", "--short-files", "5")


@pytest.mark.slow
def test_the_race_measures_every_chain_in_every_format(raced):
    figures, words = raced
    assert (figures["files"], figures["audio_seconds"], figures["short_files"]["files"]) == (3, 4.5, 5)
    assert list(figures["formats"]) == list(FORMATS)
    for kind, result in figures["formats"].items():
        assert kind in words
        assert list(result["seconds"]) == ["voxbench", "librosa", "librosa shared"]
        assert min(result["seconds"].values()) > 0
        assert result["largest_difference_db"] < 0.02


@pytest.mark.slow
def test_the_floor_is_the_sum_of_its_parts(raced):
    for kind, result in raced[0]["formats"].items():
        resampled = CLEANED + ["resample"] * (kind == "mp3 48 kHz") + FEATURES
        assert list(result["floor_seconds"]) == resampled
        assert min(result["floor_seconds"].values()) > 0
        expected = sum(result["floor_seconds"].values()) / result["seconds"]["voxbench"]
        assert result["share_of_floor"] == pytest.approx(expected)


@pytest.mark.slow
def test_ratios_follow_from_the_times(raced):
    for result in raced[0]["formats"].values():
        seconds = result["seconds"]
        for name, speed in result["times_real_time"].items():
            assert speed == pytest.approx(4.5 / seconds[name])
        for name, ratio in result["times_as_fast_as"].items():
            assert ratio == pytest.approx(seconds[name] / seconds["voxbench"])


@pytest.mark.slow
def test_a_bar_is_met_where_the_figure_reaches_it(raced):
    figures, words = raced
    assert len(figures["bars"]) == 6
    for bar in figures["bars"]:
        result = figures["formats"][bar["format"]]
        expected = {
            "times as fast as librosa": (result["times_as_fast_as"]["librosa"], FORMATS[bar["format"]]),
            "share of the floor": (result["share_of_floor"], 0.8),
        }[bar["what"]]
        assert (bar["found"], bar["at_least"]) == expected
        assert bar["met"] == (expected[0] >= expected[1])
        assert f"at least {bar['at_least']:g}: {'met' if bar['met'] else 'NOT MET'}" in words


@pytest.mark.slow
def test_the_stages_are_measured_at_every_size(tmp_path):
    figures, words = run(tmp_path, "--scale", "60", "--workers", "1")
    assert [(row["files"], row["stage"]) for row in figures["scale"]] == [(60, "prepare"), (60, "features")]
    for row in figures["scale"]:
        assert row["seconds"] > 0
        assert row["peak_mb"] > 30
    assert "s per 1,000" in words


def test_an_empty_folder_is_refused(tmp_path):
    script = PROJECT / "benchmarks" / "prepare.py"
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert f"no .flac file under {tmp_path}" in done.stderr
