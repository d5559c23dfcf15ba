"""The benchmarks of transcripts run, their readers agree, their figures belong together; how fast, no test knows."""

import json
import os
import subprocess
import sys

import pytest

from tiny import PROJECT

BENCHMARKS = PROJECT / "benchmarks"
MODELS, SECONDS = ["quartznet_5x1_192", "deep_speech_2x96"], [1.0, 2.0]
QUICK = ["--models", *MODELS, "--seconds", *SECONDS, "--width", 3, "--order", 3, "--repeats", 1]
READERS = ["best path", "beam", "language", "phrase", "timings", "flashlight", "forced_align"]


def run(*arguments):
    """Run a benchmark on one thread."""
    environment = os.environ | {"PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT / 'benchmarks'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.mark.slow
def test_every_network_and_clip_has_its_factors_and_ratios(tmp_path):
    done = run(BENCHMARKS / "transcription.py", *QUICK, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert (found["width"], found["order"]) == (3, 3)
    rows = found["rows"]
    assert [(row["model"], row["seconds"]) for row in rows] == [(name, clip) for name in MODELS for clip in SECONDS]
    assert done.stdout.count("real-time factors") == len(rows)
    for row in rows:
        times, factors = row["times"], row["real_time_factors"]
        assert row["unread"] == []
        assert row["frames"] == pytest.approx(row["seconds"] * 100 / row["stride"], abs=2)
        assert list(times["parts"]) == ["cleaning", "front end", "network", "whole"]
        assert min(min(each.values()) for each in times.values()) > 0
        assert factors["best path"] == times["parts"]["whole"] / row["seconds"]
        before = sum(times["parts"].values()) - times["parts"]["whole"]
        for kind in ("flat", "sure"):
            assert list(times[kind]) == READERS
            for way in ("beam", "language"):
                assert factors[f"{way}, {kind}"] == pytest.approx((before + times[kind][way]) / row["seconds"])
            assert row["ratios"][kind] == {
                f"{ours} by {other}": times[kind][ours] / times[kind][other]
                for ours, other in (("beam", "flashlight"), ("timings", "forced_align"))
            }


OTHER_TEXT = """
import sys
import transcription

plant = transcription.planted
transcription.planted = lambda text, frames: plant("z" + text[1:], frames)
sys.exit(transcription.main())
"""


@pytest.mark.slow
def test_another_text_than_the_planted_one_is_a_failure():
    done = run("-c", OTHER_TEXT, *QUICK[:2], "--seconds", 1, "--width", 2, "--repeats", 1)
    assert done.returncode == 1, done.stderr
    for way in ("best path", "beam", "flashlight"):
        assert f"FAILED: {way} reads another text" in done.stdout


@pytest.mark.slow
def test_all_programs_count_the_same_errors(tmp_path):
    done = run(BENCHMARKS / "word_errors.py", "--utterances", 40, "--repeats", 1, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [(row["utterances"], row["unit"]) for row in found] == [(40, "words"), (40, "characters")]
    for row in found:
        assert row["rate"] == row["errors"] / row["length"]
        assert list(row["seconds"]) == ["voxbench", "textbook", "jiwer", "rapidfuzz"]
        for name, ratio in row["ratios"].items():
            assert ratio == pytest.approx(row["seconds"][name] / row["seconds"]["voxbench"])
