"""One answer of three networks: is it the enrolled voice, does a person speak, and is the prompted phrase said?

Each part is judged by its own network, calibrated on its own validation rows, and has to reach the threshold that the
policy gives it. A recording is accepted if all three pass, and rejected if one fails. Where a part cannot be judged
(too little speech, a recording that its network cannot hear, a decision that could not be fitted) and no other fails,
there is no answer. No ratios are added up: what one part lacks, another cannot make up for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from voxbench.config.policy import AuthenticationPolicy, Rule
from voxbench.evaluation.decisions import Decision, Verdict
from voxbench.metrics.thresholds import Threshold
from voxbench.schema import AudioError
from voxbench.serving.bundle import Bundle
from voxbench.serving.countermeasure import Countermeasure, both
from voxbench.serving.transcriber import Transcriber, Transcript, spelt_phrase
from voxbench.serving.verifier import Verifier
from voxbench.serving.voice_files import read_voice
from voxbench.serving.voices import Voices

VOICE, LIVENESS, PHRASE = "voice", "liveness", "phrase"


@dataclass(frozen=True, slots=True)
class Part:
    """What one network says, and whether that passes; None where it cannot be judged, and `undecided` says why.

    `policy` is None where the threshold is the policy file's own; `fitted` is what a stored threshold reached on the
    validation rows that it was fitted on, of `speakers` people of `corpus`.
    """

    name: str
    network: str
    version: str
    corpus: str
    speakers: int
    policy: str | None
    threshold: float | None
    fitted: Threshold | None
    score: float | None = None
    llr: float | None = None
    passed: bool | None = None
    undecided: str | None = None
    source_seconds: float | None = None
    kept_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """The answer, the three parts that make it, the phrase as it is spelt, and what the recognizer heard, if anything.

    `decisive` are the parts that decided: all of what is accepted, those that failed of what is rejected, and those
    that cannot be judged where there is no answer (`accepted` None).
    """

    accepted: bool | None
    decisive: tuple[str, ...]
    parts: tuple[Part, ...]
    phrase: str
    heard: Transcript | None


class _Judge(NamedTuple):
    """By which rule a network decides, and what its decision rests on."""

    rule: Rule
    version: str
    bundle: Bundle
    decision: Decision


class _Said(NamedTuple):
    """What a network says of a recording, and how much of it was heard."""

    score: float
    verdict: Verdict
    source_seconds: float
    kept_seconds: float


class Authenticator:
    """The three networks of a policy; `folders` are those of verifier, countermeasure and recognizer.

    Raises InputError for a network of another task, and a policy that is not stored with its network.
    """

    def __init__(self, policy: AuthenticationPolicy, folders: tuple[Path, Path, Path], voices: Path) -> None:
        self.least_seconds, accept = policy.least_speech_seconds, policy.accept
        verifier = Verifier(folders[0], accept.voice.policy)
        self.countermeasure = Countermeasure(folders[1], accept.liveness.policy)
        self.transcriber = Transcriber(folders[2], accept.phrase.policy)
        self.voices = Voices(voices, verifier, policy.verifier)
        judging = self.countermeasure.predictor
        assert judging.decision is not None, "a detection has a decision"
        self.judges = {
            VOICE: _Judge(accept.voice, verifier.version, verifier.listener.bundle, verifier.decision),
            LIVENESS: _Judge(accept.liveness, self.countermeasure.version, judging.listener.bundle, judging.decision),
            PHRASE: _Judge(
                accept.phrase, self.transcriber.version, self.transcriber.listener.bundle, self.transcriber.decision
            ),
        }

    def __call__(self, name: str, clip: bytes, phrase: str) -> Authentication:
        """Return whether `clip` is the enrolled voice `name`, alive, and says `phrase`.

        Raises InputError for a voice that is not enrolled, or by another network, and a phrase that cannot be spelt.
        """
        spelt = spelt_phrase(phrase)
        read_voice(self.voices.folder, name)
        heard = self._heard(clip)
        parts = (
            self._part(VOICE, lambda: self._voice(name, clip)),
            self._part(LIVENESS, lambda: self._liveness(clip)),
            self._part(PHRASE, lambda: self._phrase(heard, spelt)),
        )
        accepted = reduce(both, [part.passed for part in parts])
        decisive = tuple(part.name for part in parts if part.passed is accepted)
        return Authentication(accepted, decisive, parts, spelt, heard if isinstance(heard, Transcript) else None)

    def _voice(self, name: str, clip: bytes) -> _Said:
        speech = self.voices.hear(clip)
        match = self.voices.verify(name, speech)
        return _Said(match.score, match.verdict, speech.source_seconds, speech.kept_seconds)

    def _liveness(self, clip: bytes) -> _Said:
        judged = self.countermeasure(clip)
        return _Said(judged.score, judged.verdict, judged.source_seconds, judged.kept_seconds)

    def _phrase(self, heard: Transcript | AudioError, phrase: str) -> _Said:
        if isinstance(heard, AudioError):
            raise heard
        check = self.transcriber.check(heard, phrase)
        return _Said(check.score, check.verdict, heard.source_seconds, heard.kept_seconds)

    def _heard(self, clip: bytes) -> Transcript | AudioError:
        try:
            return self.transcriber(clip)
        except AudioError as error:
            return error

    def _part(self, name: str, say: Callable[[], _Said]) -> Part:
        """Return what a part's judge says, held against its rule."""
        judge = self.judges[name]
        own = judge.rule.least_llr
        fitted = judge.decision.thresholds.get(judge.decision.settings.policy) if own is None else None
        about = Part(
            name=name,
            network=f"{judge.bundle.benchmark}/{judge.bundle.model}",
            version=judge.version,
            corpus=judge.bundle.corpus,
            speakers=judge.decision.speakers,
            policy=judge.decision.settings.policy if own is None else None,
            threshold=own if fitted is None else fitted.value,
            fitted=fitted,
        )
        try:
            said = say()
        except AudioError as error:
            return replace(about, undecided=str(error))
        llr, undecided = said.verdict.llr, said.verdict.undecided
        if said.kept_seconds < self.least_seconds:
            undecided = f"{said.kept_seconds:.2f} s of speech; at least {self.least_seconds:g} s"
        passed = None if undecided or llr is None or about.threshold is None else llr >= about.threshold
        return replace(
            about,
            score=said.score,
            llr=llr,
            passed=passed,
            undecided=undecided,
            source_seconds=said.source_seconds,
            kept_seconds=said.kept_seconds,
        )
