"""The speaker bootstrap of the EER for `metrics.py`: `trial_bootstrap` beside the loop that anybody would write.

The loop is the same statistic: the same draws of speakers, a trial as often as the product of how often its two
speakers were drawn, and scikit-learn's ROC of the repeated rows for each replicate. It is timed on a few replicates,
which must give the values of voxbench, and scaled up to all of them. The scores are generated, with a shift for
each speaker; the trials are those of VoxCeleb1-O (cleaned) where VOXBENCH_SHARED names a folder that holds the list.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from metrics_sides import crossing
from sklearn.metrics import roc_curve

from voxbench.metrics.trial_bootstrap import Resampling, Trials, trial_bootstrap, trials_of, weighted_values
from voxbench.metrics.uncertainty import cluster_weights
from voxbench.metrics.weighted_detection import weighted_eer

ROWS, SPEAKERS = 37_611, 40
LIST = Path("lists", "voxceleb", "veri_test2.txt")
TOLERANCE = 1e-9


def listed() -> tuple[str, Trials]:
    """Return what the trials are, and the trials."""
    draws = np.random.default_rng(2)
    path = Path(os.environ.get("VOXBENCH_SHARED") or "nowhere") / LIST
    if path.is_file():
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        name, labels = path.name, np.array([int(row[0]) for row in rows])
        enroll, test = (np.array([row[side].split("/")[0] for row in rows]) for side in (1, 2))
    else:
        name, labels = "generated", (draws.random(ROWS) < 0.5).astype(np.int64)
        enroll = draws.integers(SPEAKERS, size=ROWS)
        test = np.where(labels == 1, enroll, (enroll + draws.integers(1, SPEAKERS, size=ROWS)) % SPEAKERS)
    speakers, place = np.unique(np.concatenate([enroll, test]), return_inverse=True)
    shift = draws.normal(scale=0.5, size=len(speakers))[place]
    scores = draws.normal(size=len(labels)) + 4 * labels + shift[: len(labels)] + shift[len(labels) :]
    return name, trials_of(scores, labels, enroll, test)


def naive(trials: Trials, drawn_RK: np.ndarray) -> np.ndarray:
    """Return the EER of each resample, one after the other."""
    found = []
    for drawn_K in drawn_RK:
        alone = trials.enroll == trials.test
        times = drawn_K[trials.enroll] * np.where(alone, 1, drawn_K[trials.test])
        scores, labels = np.repeat(trials.scores, times), np.repeat(trials.is_target, times)
        found.append(crossing(*roc_curve(labels, scores, drop_intermediate=False)[:2]))
    return np.array(found)


def race(replicates: int, naive_replicates: int, repeats: int) -> dict[str, Any]:
    """Return seconds and interval of the bootstrap, and the seconds that the loop would need."""
    name, trials = listed()
    drawn_RK = next(cluster_weights(len(trials.speakers), naive_replicates, np.random.default_rng(1)))
    resampling = Resampling(replicates, 0.95, min_speakers=5, max_undefined=0.05)
    seconds, naive_seconds = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        interval = trial_bootstrap({"EER": weighted_eer}, trials, resampling, np.random.default_rng(1))["EER"]
        between = time.perf_counter()
        expected = naive(trials, drawn_RK)
        seconds.append(between - started)
        naive_seconds.append((time.perf_counter() - between) * replicates / len(drawn_RK))
    off = float(np.abs(weighted_values([weighted_eer], trials, [drawn_RK])[0] - expected).max())
    assert off < TOLERANCE, f"the loop finds other values, by up to {off:g}"
    return {
        "trials": len(trials.scores),
        "list": name,
        "speakers": len(trials.speakers),
        "replicates": replicates,
        "eer": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "seconds": float(np.median(seconds)),
        "naive_replicates": len(drawn_RK),
        "naive_seconds_extrapolated": float(np.median(naive_seconds)),
        "times_as_fast": float(np.median(naive_seconds) / np.median(seconds)),
    }
