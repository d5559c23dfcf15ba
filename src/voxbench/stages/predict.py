"""Ask a trained network of single recordings: its scores, what they mean, and the decision, in words or as JSON.

A recording goes through the cleaning, the front end and the network as in evaluation and serving. Of a task of two
classes, such as anti-spoofing, the answer has the score, the log-likelihood ratio that calibration on validation rows
makes of it, the probability at the prior of that calibration, and the decision of a named policy. Exit status: 0 where
every recording was answered, 2 where one was not. What a network of words says is told by `stages.transcribe`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from voxbench.audio import read_bytes
from voxbench.metrics.thresholds import Threshold
from voxbench.reporting.quantities import counted, decimal, spoken, visible
from voxbench.schema import AudioError, InputError, ScoreKind
from voxbench.serving.bundle import read_bundle
from voxbench.serving.predictor import Prediction, Predictor
from voxbench.serving.verifier import by_policy
from voxbench.stages.answers import ANSWERED, UNANSWERED, meaning, probability_of, show
from voxbench.stages.model_folders import model_folder
from voxbench.stages.transcribe import transcribe
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks

WORDS = {"bonafide": "bona fide", "spoof": "spoofed"}
"""Words of classes for people, where they differ."""


@dataclass(frozen=True)
class PredictOptions:
    """Which network is asked, by which of its stored policies it decides (None: its own), and whether as JSON.

    `phrase` is for a network that writes down what is said: whether it is that.
    """

    model: str
    policy: str | None
    phrase: str | None
    json: bool


def predict(workspace: Workspace, clips: Sequence[str], options: PredictOptions) -> int:
    """Print what a network says of recordings, and return the exit status."""
    torch.set_num_threads(1)
    folder = model_folder(workspace, options.model)
    task = tasks[read_bundle(folder).task]
    if task.score_kind is ScoreKind.TEXT:
        return transcribe(folder, clips, options.phrase, options.policy, options.json)
    if options.phrase is not None:
        raise InputError(
            f"--phrase is for networks that write down what is said, and {options.model} is of {task.name}"
        )
    predictor = Predictor(folder)
    if predictor.decision is not None:
        predictor.decision = by_policy(predictor.decision, options.policy)
    elif options.policy is not None:
        raise InputError(f"task {predictor.task.name!r} decides by no policy, found --policy {options.policy}")
    answers = [_ask(predictor, clip) for clip in clips]
    if options.json:
        print(json.dumps([_told(predictor, *each) for each in zip(clips, answers, strict=True)], indent=2))
    else:
        text = "\n".join(line for each in zip(clips, answers, strict=True) for line in _lines(predictor, *each))
        show(text)
    return UNANSWERED if any(isinstance(answer, AudioError) for answer in answers) else ANSWERED


def _ask(predictor: Predictor, clip: str) -> Prediction | AudioError:
    try:
        return predictor(read_bytes(clip))
    except AudioError as error:
        return error


def _told(predictor: Predictor, clip: str, answer: Prediction | AudioError) -> dict[str, Any]:
    """Return an answer as JSON: scores, ratio and decision, or of a recording that has none the error alone."""
    bundle = predictor.listener.bundle
    about: dict[str, Any] = {"clip": clip, "model": f"{bundle.benchmark}/{bundle.model}", "task": bundle.task}
    if isinstance(answer, AudioError):
        return about | {"error": str(answer)}
    quality = {name: getattr(answer, name) for name in ("source_seconds", "kept_seconds", "clipped_fraction")}
    said = about | answer.scores | answer.counts | asdict(answer.verdict) | quality
    if predictor.task.score_kind is ScoreKind.DETECTION and predictor.decision is not None:
        probability = probability_of(predictor.decision, answer.verdict)
        said[f"p_{predictor.task.classes[1]}"] = probability
    else:
        said["label"] = answer.label
    return said | {"error": None}


def _lines(predictor: Predictor, clip: str, answer: Prediction | AudioError) -> list[str]:
    place = visible(clip)
    if isinstance(answer, AudioError):
        return [f"{place}: no answer, {answer}"]
    heard = f"  heard: {decimal(answer.kept_seconds, 2)} of {decimal(answer.source_seconds, 2)} s"
    if answer.clipped_fraction:
        heard += f", {decimal(100 * answer.clipped_fraction, 1)} % of the samples clipped"
    if predictor.task.score_kind is not ScoreKind.DETECTION:
        return [f"{place}: {_label(predictor, answer)}", *_decided(predictor, answer), heard]
    assert predictor.decision is not None, "a detection has a decision"
    word = "undecided" if answer.verdict.decision is None else f"judged {_word(answer.verdict.decision)}"
    return [f"{place}: {word}", *_meaning(predictor, answer), *_decided(predictor, answer), heard, _limits(predictor)]


def _label(predictor: Predictor, answer: Prediction) -> str:
    assert answer.label is not None, "no detection"
    if not predictor.task.classes:
        return answer.label
    scores = (f"{spoken(name.removeprefix('p_'))} {decimal(value, 3)}" for name, value in answer.scores.items())
    return f"{spoken(answer.label)} (probabilities: {', '.join(scores)})"


def _meaning(predictor: Predictor, answer: Prediction) -> list[str]:
    """Say what the score, its ratio and its probability are."""
    negative, positive = map(_word, predictor.task.classes)
    lines = [
        f"  score {decimal(answer.scores['score'], 3)}: what the network gives; higher means {positive}, and only "
        "calibration says how much"
    ]
    assert predictor.decision is not None, "a detection has a decision"
    said = meaning(predictor.decision, answer.verdict, (negative, positive), "recordings")
    return [*lines, *(f"  {line}" for line in said)]


def _decided(predictor: Predictor, answer: Prediction) -> list[str]:
    """Say by which threshold of which policy the decision is made."""
    verdict = answer.verdict
    if predictor.decision is None:
        return []
    if verdict.llr is None or verdict.policy is None or verdict.decision is None:
        return [f"  no decision: {verdict.undecided}"]
    threshold: Threshold = predictor.decision.thresholds[verdict.policy]
    side = "reaches" if verdict.decision == predictor.task.classes[1] else "is below"
    return [
        f"  decision {_word(verdict.decision)}: the ratio {side} the threshold {decimal(threshold.value, 2)} of policy "
        f"{verdict.policy}"
    ]


def _limits(predictor: Predictor) -> str:
    """Say on what the ratio rests."""
    decision, bundle = predictor.decision, predictor.listener.bundle
    assert decision is not None, "a detection has a decision"
    return (
        f"  rests on {counted(decision.rows, 'validation recording')} of {counted(decision.speakers, 'speaker')} of "
        f"{bundle.corpus}; of other attacks, channels and corpora the ratio is untested unless the report's table of "
        "other corpora has them"
    )


def _word(name: str) -> str:
    return WORDS.get(name, spoken(name))
