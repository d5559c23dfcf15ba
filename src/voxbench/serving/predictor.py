"""From the bytes of a recording to scores, by the path that evaluation takes, rounding included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from voxbench.audio import clean, decode_audio
from voxbench.evaluation.decisions import NO_VERDICT, Verdict, detection_scores, read_decision, undecidable
from voxbench.features.dataset import EvenCrops, cut, frames_of
from voxbench.features.extraction import build_front_end, network_input
from voxbench.features.store import dequantize, quantize
from voxbench.models import spec
from voxbench.serving.bundle import WEIGHTS, read_bundle
from voxbench.tasks import Task, tasks
from voxbench.training.network import Statistics, build_network


@dataclass(frozen=True)
class Prediction:
    """Scores by column of the score table, what is known of the recording's quality, and what the scores decide.

    `counts` holds, by name of `count_columns`, the numbers that the label says and the expected ones.
    """

    label: str
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
    """A trained model, loaded from the folder that the finetune stage wrote; torch's threads are the caller's."""

    def __init__(self, folder: Path) -> None:
        self.bundle = read_bundle(folder)
        self.task = tasks[self.bundle.task]
        decides = not undecidable(self.task.score_kind, self.task.classes)
        self.decision = read_decision(folder) if decides else None
        self.kind = spec(self.bundle.model).input_kind
        self.front_end = build_front_end(self.bundle.features, self.bundle.cleaning.sample_rate_hz).eval()
        weights = load_file(folder / WEIGHTS)
        mean, std = (weights[name][:, 0].numpy() for name in ("mean_F1", "std_F1"))
        # The head's scale is part of the weights; these targets only give it its shape.
        statistics = Statistics(mean, std, targets=np.array([0.0, 1.0]))
        self.network = build_network(
            self.bundle.model, self.task, self.bundle.training, self.bundle.trainable, statistics, initial=None
        ).eval()
        self.network.load_state_dict(weights)
        self.crop_frames = frames_of(
            self.kind,
            self.bundle.training.crop_seconds,
            self.bundle.features.hop_ms,
            self.bundle.cleaning.sample_rate_hz,
        )

    def __call__(self, source: bytes) -> Prediction:
        """Return the prediction for a recording (wav, flac, mp3, ogg, m4a, SPHERE bytes); `AudioError` says why not."""
        cleaning = self.bundle.cleaning
        cleaned = clean(*decode_audio(source, max_seconds=cleaning.max_seconds), cleaning)
        values = network_input(self.front_end, dequantize(*quantize(cleaned.wave)), self.kind)
        places = EvenCrops(1, self.bundle.training.evaluation_crops).places
        crops = np.stack([cut(values, place, self.crop_frames) for place in places])
        with torch.inference_mode():
            outputs = self.network(torch.from_numpy(crops))
        scores = {name: float(values[0]) for name, values in self.task.scores(outputs[None]).items()}
        return Prediction(
            label=self.task.answer(scores),
            scores=scores,
            counts=_counts(self.task, scores),
            source_seconds=cleaned.source_seconds,
            kept_seconds=cleaned.kept_seconds,
            clipped_fraction=cleaned.clipped_fraction,
            verdict=self._verdict(scores, cleaned.kept_seconds),
        )

    def _verdict(self, scores: Mapping[str, float], kept_seconds: float) -> Verdict:
        """Return what the stored decision says; the very function that evaluation calls makes one score of several."""
        if self.decision is None:
            return NO_VERDICT
        values = np.array([[scores[name] for name in self.task.score_columns]])
        return self.decision.verdict(float(detection_scores(self.task.score_kind, values)[0]), kept_seconds)
