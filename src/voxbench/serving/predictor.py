"""From the bytes of a recording to scores and a decision, as evaluation makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.evaluation.decisions import NO_VERDICT, Verdict, detection_scores, read_decision, undecidable
from voxbench.schema import InputError, ScoreKind
from voxbench.serving.listening import Listener
from voxbench.tasks import Task


@dataclass(frozen=True)
class Prediction:
    """Scores by column of the score table, what is known of the recording's quality, and what the scores decide.

    `label` is the task's word for the scores; of a detection, whose score is no word, the decision, None without one.
    `counts` holds, by name of `count_columns`, the numbers that the label says and the expected ones.
    """

    label: str | None
    scores: dict[str, float]
    counts: dict[str, float]
    source_seconds: float
    kept_seconds: float
    clipped_fraction: float
    verdict: Verdict


def count_columns(task: Task) -> list[str]:
    """Return the names of what an answer counts: `women` and `expected_women`, and so on; none for most tasks."""
    return [name for kind in task.counts for name in (kind, f"expected_{kind}")]


def _counts(task: Task, scores: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers in the class that the task answers, and the mean numbers by the classes' probabilities."""
    found: dict[str, float] = {}
    for kind, numbers in task.counts.items():
        pairs = zip(task.score_columns, numbers, strict=True)
        found[kind] = numbers[task.classes.index(task.answer(scores))]
        found[f"expected_{kind}"] = sum(scores[name] * number for name, number in pairs)
    return found


class Predictor:
    """A trained model that judges recordings one by one, from the folder that the finetune stage wrote."""

    def __init__(self, folder: Path) -> None:
        self.listener = Listener(folder)
        self.task = self.listener.task
        if self.task.score_kind is ScoreKind.TEXT:
            raise InputError(
                f"{folder} writes down what is said, which is no score: name it to `voxbench predict`, or as the "
                "recognizer of `voxbench authenticate`"
            )
        if self.task.pairs:
            raise InputError(
                f"{folder} compares two recordings, one alone has no score: enrol a voice and verify it, see "
                "`voxbench enroll --help`"
            )
        decides = not undecidable(self.task.score_kind, self.task.classes)
        self.decision = read_decision(folder) if decides else None

    def __call__(self, source: bytes) -> Prediction:
        """Return the prediction for a recording (wav, flac, mp3, ogg, m4a, SPHERE bytes); `AudioError` says why not."""
        heard = self.listener(source)
        scores = {name: float(values[0]) for name, values in self.task.scores(heard.outputs[None]).items()}
        verdict = self._verdict(scores, heard.kept_seconds)
        detects = self.task.score_kind is ScoreKind.DETECTION
        return Prediction(
            label=verdict.decision if detects else self.task.answer(scores),
            scores=scores,
            counts=_counts(self.task, scores),
            source_seconds=heard.source_seconds,
            kept_seconds=heard.kept_seconds,
            clipped_fraction=heard.clipped_fraction,
            verdict=verdict,
        )

    def _verdict(self, scores: Mapping[str, float], kept_seconds: float) -> Verdict:
        """Return what the stored decision says; the very function that evaluation calls makes one score of several."""
        if self.decision is None:
            return NO_VERDICT
        values = np.array([[scores[name] for name in self.task.score_columns]])
        return self.decision.verdict(float(detection_scores(self.task.score_kind, values)[0]), kept_seconds)
