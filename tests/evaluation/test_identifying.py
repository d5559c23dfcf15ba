"""Identification in lists of trials: found where the set is closed, and only there."""

import pandas as pd
import pytest

from evaluation.score_files import DETECTION, read, written
from voxbench.evaluation.identifying import closed_set, identified

SCORES = {"x": (0.9, 0.1, 0.5), "y": (0.2, 0.3, 0.8), "z": (0.4, 0.4, 0.1), "w": (0.1, 0.2, 0.7)}
OWN = {"x": 0, "y": 1, "z": 0, "w": 2}


def rows(folder, change=lambda table: table):
    """Return scored rows of all pairs of three templates and four recordings, in an order of no meaning."""
    lines = [
        (f"t{template}", test, score, int(OWN[test] == template))
        for test, scores in SCORES.items()
        for template, score in enumerate(scores)
    ]
    table = change(pd.DataFrame(lines, columns=["enroll", "test", "score", "label"]).sample(frac=1, random_state=1))
    return read(DETECTION, written(folder, "s.csv", table.to_csv(index=False)))


def test_ranks_by_hand(tmp_path):
    # x: first, y: second, z: two score alike, w: first.
    first, fifth = identified(rows(tmp_path))
    assert (first.name, first.value) == ("rank_accuracy(k=1)", 0.5)
    assert (fifth.value, fifth.reason) == (None, "the rank-5 accuracy needs more than 5 enrolled speakers: found 3")


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.iloc[1:],
        lambda table: table[table["enroll"] != "t1"],
        lambda table: table[table["enroll"] == "t0"],
        lambda table: table.assign(label=table["label"] | (table["enroll"] == "t1")),
        lambda table: table.assign(id=[f"u{row}" for row in range(len(table))]).drop(columns=["enroll", "test"]),
    ],
)
def test_an_open_set_has_none(tmp_path, change):
    assert closed_set(rows(tmp_path)) is not None
    assert closed_set(rows(tmp_path, change)) is None
    assert identified(rows(tmp_path, change)) == ()
