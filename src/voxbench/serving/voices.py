"""Voices by name: enrol, verify, identify, delete; thresholds are those that are stored with the model.

Identification is of an open set: whom nobody enrolled is `unknown`, by the same threshold. It was fitted for one
comparison; among many voices a stranger has as many chances to be accepted, so its false alarms grow with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.evaluation.decisions import Verdict
from voxbench.schema import AudioError, InputError
from voxbench.serving.verifier import Comparison, Speech, Template, Verifier, template_of, unique
from voxbench.serving.voice_files import (
    Voice,
    VoiceRecord,
    check_name,
    forget_voice,
    read_voice,
    store_voice,
    voice_names,
)


@dataclass(frozen=True)
class Enrolment:
    """What was enrolled; `repeated` clips had the audio of another one, and count once with it."""

    record: VoiceRecord
    repeated: int


@dataclass(frozen=True)
class Match:
    """How a recording compares with one enrolled voice: the score, and what the stored decision says."""

    name: str
    score: float
    verdict: Verdict
    accepted: bool | None


@dataclass(frozen=True)
class Identification:
    """Who is heard: the best match where it is accepted, else None, an unknown voice; and the best matches.

    `undecided` says why nothing can be accepted or refused; it is None where a decision is stored.
    """

    name: str | None
    undecided: str | None
    voices: int
    matches: tuple[Match, ...]


class Voices:
    """The voices that are enrolled in a folder, by one model; `model` is what it is called."""

    def __init__(self, folder: Path, verifier: Verifier, model: str) -> None:
        self.folder = folder
        self.verifier = verifier
        self.model = model

    def enroll(self, name: str, clips: Sequence[bytes], replace: bool) -> Enrolment:
        """Store a voice as the embeddings of its clips (bytes of recordings); no audio is kept.

        Raises `InputError` for no clips, a clip that cannot be used (which is not left out, but named), a name that
        is no name, and one that is enrolled unless `replace`.
        """
        check_name(name)
        if not clips:
            raise InputError(f"no clips to enrol {name!r} with: give one recording or, better, several")
        heard = [self._clip(clip, f"clip {place} of {len(clips)}") for place, clip in enumerate(clips, start=1)]
        different = unique(heard)
        record = VoiceRecord(
            name=name,
            model=self.model,
            network=self.verifier.network,
            encoder=self.verifier.encoder,
            kept_seconds=tuple(clip.kept_seconds for clip in different),
        )
        store_voice(self.folder, Voice(record, template_of(different).clips_KD), replace)
        return Enrolment(record, len(heard) - len(different))

    def verify(self, name: str, clip: Speech) -> Match:
        """Return whether `clip` is of the enrolled voice `name`."""
        return self._match(name, self.verifier.compare([self._template(name, clip)], clip)[0])

    def identify(self, clip: Speech, top: int) -> Identification:
        """Return who is heard, and the `top` best matches, best first: by likelihood ratio, then score, then name."""
        names = voice_names(self.folder)
        if top < 1:
            raise InputError(f"top is {top}: ask for one match or more")
        if not names:
            raise InputError(f"no voices in {self.folder}: enrol some with `voxbench enroll`")
        compared = self.verifier.compare([self._template(name, clip) for name in names], clip)
        matches = sorted(map(self._match, names, compared), key=_best_first)
        best = matches[0]
        return Identification(
            best.name if best.accepted else None, best.verdict.undecided, len(names), tuple(matches[:top])
        )

    def delete(self, name: str) -> Path:
        """Delete an enrolled voice and return the file that was."""
        return forget_voice(self.folder, name)

    def list(self) -> tuple[VoiceRecord, ...]:
        """Return the records of all enrolled voices, by name."""
        return tuple(read_voice(self.folder, name).record for name in voice_names(self.folder))

    def hear(self, clip: bytes) -> Speech:
        """Return what is heard in a recording, to be verified or identified."""
        return self._clip(clip, "the recording")

    def _clip(self, clip: bytes, what: str) -> Speech:
        try:
            heard = self.verifier.embed(clip)
        except AudioError as error:
            raise AudioError(error.reason, f"{error.detail} ({what})") from error
        if not np.isfinite(heard.embedding_D).all() or not heard.embedding_D.any():
            raise AudioError("no_embedding", f"the network makes nothing of it ({what})")
        return heard

    def _template(self, name: str, clip: Speech) -> Template:
        voice = read_voice(self.folder, name)
        record = voice.record
        if record.encoder != self.verifier.encoder:
            raise InputError(
                f"voice {name!r} was enrolled by {record.network} as {record.encoder} (--model {record.model}), but "
                f"{self.model} is {self.verifier.network} as {self.verifier.encoder}: embeddings of different networks "
                "cannot be compared; name the former model, or enrol the voice anew with --replace"
            )
        found, expected = voice.clips_KD.shape[1], len(clip.embedding_D)
        if found != expected:
            raise InputError(
                f"voice {name!r} has embeddings of {found:,} numbers, {record.network} makes such of {expected:,}: "
                f"the file was changed, forget {name} and enrol it anew"
            )
        return Template(voice.clips_KD, sum(record.kept_seconds))

    def _match(self, name: str, compared: Comparison) -> Match:
        said = compared.verdict.decision
        accepted = None if said is None else said == self.verifier.decision.classes[1]
        return Match(name, compared.score, compared.verdict, accepted)


def _best_first(match: Match) -> tuple[float, float, str]:
    llr = match.verdict.llr
    return (0.0 if llr is None else -llr, -match.score, match.name)
