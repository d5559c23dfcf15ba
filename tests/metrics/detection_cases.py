"""What the tests of detection metrics share: the vectors, random trials with ties, and sums over all thresholds."""

import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

VECTOR_TOLERANCE = 2e-6
SHARED = Path(os.environ.get("VOXBENCH_SHARED") or "nowhere")
VECTORS = SHARED / "vectors" / "metric_vectors.json"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_file(), reason="VOXBENCH_SHARED names no folder with vectors/metric_vectors.json"
)
needs_scores = pytest.mark.skipif(
    not (SHARED / "scores").is_dir(), reason="VOXBENCH_SHARED names no folder with scores/ and lists/"
)


def vectors(metric):
    """Return the vectors of a metric by name."""
    found = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    chosen = {each["name"]: each for each in found if each["metric"] == metric}
    assert chosen
    return chosen


def joined(positive, negative):
    """Return the scores and labels of two classes."""
    return np.concatenate([positive, negative]), np.array([1] * len(positive) + [0] * len(negative))


def trials_of(vector):
    """Return the scores and labels of a vector."""
    inputs = vector["inputs"]
    for positive, negative in (
        ("target_scores", "nontarget_scores"),
        ("target_llrs", "nontarget_llrs"),
        ("bonafide_scores", "spoof_scores"),
    ):
        if positive in inputs:
            return joined(inputs[positive], inputs[negative])
    raise KeyError(vector["name"])


def published(name):
    """Return the scores and labels of a published score file, and the name of its set."""
    keys = {"bonafide": 1, "spoof": 0}
    rows = [line.split() for line in (SHARED / "scores" / name).read_text(encoding="utf-8").splitlines()]
    key = next(column for column in range(4) if rows[0][column] in keys)
    score = key + 1 if len(rows[0]) == 4 else 1
    return np.array([float(row[score]) for row in rows]), np.array([keys[row[key]] for row in rows])


def asv_scores(part):
    """Return the target, nontarget and spoof scores of the organisers' ASV system."""
    path = SHARED / "lists" / "asvspoof2019" / f"ASVspoof2019.LA.asv.{part}.gi.trl.scores.txt"
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [np.array([float(row[2]) for row in rows if row[1] == key]) for key in ("target", "nontarget", "spoof")]


def random_trials(sets):
    """Yield small random sets of trials, with both classes, most of them with ties."""
    rng = np.random.default_rng(5)
    for _ in range(sets):
        rows, levels = int(rng.integers(2, 16)), int(rng.integers(1, 12))
        labels = rng.permutation(np.r_[1, 0, rng.integers(0, 2, rows - 2)])
        yield rng.integers(0, levels, rows) / 4 - 1 + rng.integers(0, 2) * labels, labels


def rates(scores, labels):
    """Return (threshold, P_miss, P_fa) at every distinct score and at inf, as fractions counted one by one."""
    target = [s for s, label in zip(scores, labels, strict=True) if label]
    nontarget = [s for s, label in zip(scores, labels, strict=True) if not label]
    return [
        (
            threshold,
            Fraction(sum(s < threshold for s in target), len(target)),
            Fraction(sum(s >= threshold for s in nontarget), len(nontarget)),
        )
        for threshold in [*sorted({float(s) for s in scores}), np.inf]
    ]


@st.composite
def trials(draw, largest=30):
    """Draw scores and labels with both classes; small integers make ties, a float now and then does not."""
    rows = draw(st.integers(2, largest))
    score = st.one_of(st.integers(-4, 4).map(float), st.floats(-50, 50, width=32))
    scores = draw(st.lists(score, min_size=rows, max_size=rows))
    labels = draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))
    return np.array(scores) + 0.0, np.array([1, 0, *labels])
