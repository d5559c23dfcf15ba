"""What tests of evaluation share: rows and settings built by hand, and the published files as rows."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from voxbench.config import load_params
from voxbench.config.decisions import Bayes, EerPoint, FixedFar
from voxbench.evaluation.records import Origin, ScoreRows
from voxbench.evaluation.settings import Settings
from voxbench.schema import BONAFIDE, ScoreKind

SHARED = Path(os.environ.get("VOXBENCH_SHARED") or "nowhere")
needs_scores = pytest.mark.skipif(
    not (SHARED / "scores").is_dir(), reason="VOXBENCH_SHARED names no folder with scores/ and lists/"
)
DEMO = load_params(Path(__file__).parents[2] / "params.yaml")
COSTS = ({"p_target": 0.01, "c_miss": 1.0, "c_fa": 1.0}, {"p_target": 0.5, "c_miss": 1.0, "c_fa": 10.0})
CALIBRATION = {"map": "affine", "p_target": 0.5, "ridge": 0.001, "smoothing": 1.0, "quality": None}
POLICIES = {
    "bayes": Bayes(p_target=0.5, c_miss=1.0, c_fa=1.0),
    "equal": EerPoint(),
    "strict": FixedFar(rate=0.1),
}
CLASSES = {
    ScoreKind.DETECTION: ("nontarget", "target"),
    ScoreKind.CLASSES: ("female", "male"),
    ScoreKind.VALUE: (),
    ScoreKind.TEXT: (),
}


def origin(name="scores.csv"):
    """Return an origin whose hash is made of its name."""
    return Origin(name, f"sha256 of {name}", None, name, f"sha256 of {name}", None)


def score_rows(kind, first, second, speakers=(), **columns):
    """Return rows of two columns; `speakers` are none, one or two columns, the others what is known of each row."""
    name = columns.pop("name", "scores.csv")
    classes = columns.pop("classes", CLASSES[kind])
    arrays = [np.array(each, dtype=object) if kind is ScoreKind.TEXT else np.asarray(each) for each in (first, second)]
    rows = pd.DataFrame(columns, index=range(len(arrays[0])))
    sides = tuple(np.asarray(side) for side in speakers)
    return ScoreRows(kind, tuple(arrays), classes, "", rows, sides, origin(name), ())


def reordered(scored, order):
    """Return the same rows in another order."""
    return ScoreRows(
        scored.kind,
        tuple(column[order] for column in scored.columns),
        scored.classes,
        scored.unit,
        scored.rows.iloc[order],
        tuple(side[order] for side in scored.speakers),
        scored.origin,
        scored.notes,
    )


def settings(groups=(), task=None, **changes):
    """Return small settings; `changes` are of the report, of the evaluation or of the decisions, by their own names."""
    sections = {
        "report": {"level": 0.9, "resamples": 200, "power": 0.8, "min_group_speakers": 3, "bins": {}, "seed": 7},
        "evaluation": {"costs": COSTS, "draws": 1_000_000_000, "max_undefined": 0.1, "trim_silence_q": 0.1},
        "decisions": {"calibration": CALIBRATION, "policies": POLICIES, "policy": "bayes"},
    }
    for section in sections.values():
        section.update({key: changes.pop(key) for key in list(changes) if key in section})
    assert not changes
    # Keys that do not matter here are those of the demo.
    report, evaluation, decisions = (
        type(demo).model_validate(demo.model_dump() | sections[name])
        for name, demo in ((name, getattr(DEMO, name)) for name in sections)
    )
    return Settings(report, evaluation, decisions, tuple(groups), task)


def verification(speakers=12, seed=1, name="scores.csv", prefix="", gap=2.0):
    """Return trials of all pairs of speakers, targets `gap` higher, with both sides' speakers and genders."""
    numbers = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(speakers) for b in range(a, speakers) for _ in range(2)]
    enroll, test = (np.array([f"{prefix}id{side:03}" for side in column]) for column in zip(*pairs, strict=True))
    labels = (enroll == test).astype(np.int64)
    scores = numbers.normal(size=len(pairs)) + gap * labels
    sides = {
        f"{word}_gender": np.where([pair[side] % 2 == 0 for pair in pairs], "female", "male")
        for side, word in enumerate(("enroll", "test"))
    }
    names = {"enroll": [f"{a}/{i}" for i, a in enumerate(enroll)], "test": [f"{b}/{i}" for i, b in enumerate(test)]}
    return score_rows(ScoreKind.DETECTION, scores, labels, (enroll, test), name=name, **names, **sides)


def countermeasure(file, protocol, is_known=None):
    """Return a published countermeasure's rows with speakers and attacks of the protocol."""
    lines = [line.split() for line in (SHARED / "scores" / file).read_text(encoding="utf-8").splitlines()]
    known = {
        fields[1]: (fields[0], fields[3])
        for fields in map(str.split, (SHARED / "lists" / "asvspoof2019" / protocol).read_text().splitlines())
    }
    key = next(place for place in range(4) if lines[0][place] in (BONAFIDE, "spoof"))
    score = key + 1 if len(lines[0]) == 4 else 1
    ids = [line[0] for line in lines]
    attacks = [known[each][1].replace("-", BONAFIDE) for each in ids]
    return score_rows(
        ScoreKind.DETECTION,
        [float(line[score]) for line in lines],
        [int(line[key] == BONAFIDE) for line in lines],
        [[known[each][0] for each in ids]],
        name=file,
        classes=("spoof", BONAFIDE),
        id=ids,
        attack=attacks,
    )


EVAL, DEV = "ASVspoof2019.LA.cm.eval.trl.txt", "ASVspoof2019.LA.cm.dev.trl.txt"
