"""What is said in a recording, when each word is, and whether it is a prompted phrase.

A recording is heard once. Its transcript is read as the validation rows' was, by the stored settings of the decoder; a
phrase is scored and decided as the validation phrases were (`voxbench.transcripts.phrases`). Words are placed by the
best alignment of the transcript with the network's frames (`voxbench.transcripts.timings`).

Shape letters: T frames of the network's output, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from voxbench.artifacts import files_digest, read_json
from voxbench.config import Beam
from voxbench.evaluation.decisions import DECISION, Verdict, read_decision
from voxbench.schema import InputError, ScoreKind
from voxbench.serving.bundle import BUNDLE, LANGUAGE_MODEL, WEIGHTS, read_bundle
from voxbench.serving.listening import Heard, Listener
from voxbench.serving.verifier import by_policy
from voxbench.tasks import tasks
from voxbench.transcripts.beam import Decoder
from voxbench.transcripts.normalising import normalise
from voxbench.transcripts.phrases import phrase_scores
from voxbench.transcripts.timings import word_timings


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a transcript, when it is said, and the mean probability that the network gives to its characters."""

    word: str
    start_seconds: float
    end_seconds: float
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Transcript:
    """What is heard in one recording, with what is known of its quality.

    `cut_seconds` is the silence that was cut off before the speech: words' times have it in them, and are those of the
    recording. None where silence within was removed as well: times are of the speech that was kept.
    """

    text: str
    words: tuple[Word, ...]
    log_probs_1TC: Tensor
    cut_seconds: float | None
    source_seconds: float
    kept_seconds: float
    clipped_fraction: float


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a phrase was said: how it is spelt, its score, and what the stored decision says.

    `right` is None where nothing can be decided.
    """

    phrase: str
    score: float
    verdict: Verdict
    right: bool | None


class Transcriber:
    """A trained model that writes down what is said, from the folder that the finetune stage wrote.

    `network` is its name, `version` the digest of what its answers depend on. `policy` names one of the policies that
    are stored for phrases, None for the one that the settings choose. Raises InputError for a model of another task.
    """

    def __init__(self, folder: Path, policy: str | None = None) -> None:
        bundle = read_bundle(folder)
        self.network = f"{bundle.benchmark}/{bundle.model}"
        if tasks[bundle.task].score_kind is not ScoreKind.TEXT:
            raise InputError(
                f"{self.network} writes nothing down (task {bundle.task!r}): name a model of a benchmark of task "
                "'transcription'"
            )
        if bundle.transcription is None:
            raise InputError(f"{folder / BUNDLE} does not say how transcripts are read: run the finetune stage again")
        self.listener = Listener(folder)
        self.decoder = _decoder(folder, bundle.transcription.beam)
        self.decision = by_policy(read_decision(folder), policy)
        files = [folder / name for name in (BUNDLE, WEIGHTS, DECISION, LANGUAGE_MODEL)]
        self.version = files_digest([path for path in files if path.is_file()], folder)

    def __call__(self, source: bytes) -> Transcript:
        """Return what is said in a recording; `AudioError` says why nothing is heard."""
        heard = self.listener(source)
        # A recording is heard whole: its only crop is all of it.
        (text,) = self.decoder(heard.outputs)
        return Transcript(
            text=text,
            words=self._words(heard, text),
            log_probs_1TC=heard.outputs,
            cut_seconds=heard.cut_seconds,
            source_seconds=heard.source_seconds,
            kept_seconds=heard.kept_seconds,
            clipped_fraction=heard.clipped_fraction,
        )

    def check(self, heard: Transcript, phrase: str) -> Check:
        """Return whether a phrase, spelt as `spelt_phrase` does, was said."""
        score = float(phrase_scores(heard.log_probs_1TC, [phrase])[0])
        verdict = self.decision.verdict(score, heard.kept_seconds)
        right = None if verdict.decision is None else verdict.decision == self.decision.classes[1]
        return Check(phrase, score, verdict, right)

    def _words(self, heard: Heard, text: str) -> tuple[Word, ...]:
        """Return when each word is said, within what was kept."""
        stride = self.listener.network.encoder.stride
        assert stride is not None, "the task needs one"
        before, seconds_per_frame = heard.cut_seconds or 0.0, stride * self.listener.bundle.features.hop_ms / 1000
        # The last frame can stand for less than the others.
        return tuple(
            Word(
                each.word,
                before + each.start_seconds,
                before + min(each.end_seconds, heard.kept_seconds),
                each.probability,
            )
            for each in (word_timings(heard.outputs[0], text, seconds_per_frame) if text else ())
        )


def _decoder(folder: Path, beam: Beam | None) -> Decoder:
    """Return what reads texts off outputs, with the language model of the folder where the settings name one."""
    if beam is None or beam.language_model is None:
        return Decoder(beam, None)
    path = folder / LANGUAGE_MODEL
    if not path.is_file():
        raise InputError(f"no {LANGUAGE_MODEL} in {folder}: run the finetune stage again, which counts it")
    return Decoder(beam, read_json(path))


def spelt_phrase(phrase: str) -> str:
    """Return a phrase as transcripts are spelt; one that cannot be, and one without words, raises `InputError`.

    >>> spelt_phrase("Open, please!")
    'open please'
    """
    try:
        spelt = normalise(phrase)
    except InputError as error:
        raise InputError(f"phrase: {error}") from error
    if not spelt:
        raise InputError(f"phrase: found {phrase!r}, expected one word or more")
    return spelt
