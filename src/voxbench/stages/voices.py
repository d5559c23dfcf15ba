"""What the command line does with voices: enrol, verify, identify, forget, list.

A model is named as `voxbench.stages.model_folders` says. Who verifies need not name it: a voice says by which it was
enrolled.

Exit status: 0 accepted (or done), 1 rejected (or unknown), 2 no answer: wrong input, a recording that cannot be used,
or a model without a decision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from voxbench.audio import read_bytes
from voxbench.reporting.quantities import counted, decimal
from voxbench.schema import InputError
from voxbench.serving.countermeasure import Countermeasure, Judgement, both
from voxbench.serving.verifier import Speech, Verifier
from voxbench.serving.voice_files import VoiceRecord, forget_voice, read_voice, voice_names
from voxbench.serving.voices import Match, Voices
from voxbench.stages.answers import reason, show
from voxbench.stages.model_folders import model_folder
from voxbench.stages.workspace import Workspace

ACCEPTED, REJECTED, NO_ANSWER = 0, 1, 2
FOLDER = "voices"


@dataclass(frozen=True)
class Asked:
    """The words of the command line; None is an option that was not given, or that the command does not have."""

    command: str
    voices: Path | None
    json: bool
    name: str = ""
    clip: str | Sequence[str] = ()
    model: str | None = None
    policy: str | None = None
    countermeasure: str | None = None
    top: int | None = None
    replace: bool = False

    @property
    def clips(self) -> list[bytes]:
        """Return the content of the recordings that are named."""
        return [read_bytes(path) for path in ([self.clip] if isinstance(self.clip, str) else self.clip)]


def answer(workspace: Workspace, asked: Asked) -> int:
    """Do what is asked, print the answer, as text or as JSON, and return the exit status."""
    folder = asked.voices or workspace.root / FOLDER
    said, lines, status = DOES[asked.command](workspace, folder, asked)
    text = json.dumps(said, indent=2, allow_nan=False) if asked.json else "\n".join(lines)
    show(text)
    return status


Answer = tuple[Any, list[str], int]


def _enroll(workspace: Workspace, folder: Path, asked: Asked) -> Answer:
    assert asked.model is not None, "the command line asks for it"
    voices = _voices(workspace, folder, asked, asked.model)
    done = voices.enroll(asked.name, asked.clips, asked.replace)
    record = done.record
    lines = [f"enrolled {_of_clips(record)}"]
    if done.repeated:
        lines.append(f"{counted(done.repeated, 'more clip')} of the same audio, which counts once")
    return record.model_dump(mode="json") | {"repeated": done.repeated}, lines, ACCEPTED


def _verify(workspace: Workspace, folder: Path, asked: Asked) -> Answer:
    voice = read_voice(folder, asked.name).record
    voices = _voices(workspace, folder, asked, asked.model or voice.model)
    (clip,) = asked.clips
    heard = voices.hear(clip)
    match = voices.verify(asked.name, heard)
    said: dict[str, Any] = {"model": voices.model, "network": voices.verifier.network}
    said |= {"version": voices.verifier.version, "enrolled_seconds": sum(voice.kept_seconds)}
    answer = _told(match) | _quality(heard) | said
    if asked.countermeasure is None:
        return answer, [_sentence(match)], exit_status(match.accepted)
    countermeasure = Countermeasure(model_folder(workspace, asked.countermeasure), asked.policy)
    return _in_tandem(countermeasure, clip, match, answer)


def _in_tandem(countermeasure: Countermeasure, clip: bytes, match: Match, answer: dict[str, Any]) -> Answer:
    """Return the answer of both networks: accepted is what the countermeasure lets pass and the verifier accepts."""
    judged = countermeasure(clip)
    accepted = both(judged.bonafide, match.accepted)
    own = {"bonafide": judged.bonafide, "score": judged.score} | asdict(judged.verdict)
    own |= {"network": countermeasure.network, "version": countermeasure.version}
    whole = answer | {"accepted": accepted, "voice_accepted": match.accepted, "countermeasure": own}
    refusals = {"the recording is judged spoofed": judged.bonafide, "the voice is rejected": match.accepted}
    gaps = {"whether the recording is bona fide": judged.bonafide, "whose voice it is": match.accepted}
    refused = [words for words, said in refusals.items() if said is False]
    unknown = [words for words, said in gaps.items() if said is None]
    word = "accepted, the recording is judged bona fide and the voice is accepted"
    if accepted is None:
        word = f"undecided, as nothing says {' and '.join(unknown)}"
    elif not accepted:
        word = f"rejected, as {' and '.join(refused)}"
    return (
        whole,
        [f"{match.name}: {word}", _judged_sentence(judged), f"voice: {_sentence(match)}"],
        exit_status(accepted),
    )


def _identify(workspace: Workspace, folder: Path, asked: Asked) -> Answer:
    names = voice_names(folder)
    if not names:
        raise InputError(f"no voices in {folder}: enrol some with `voxbench enroll`")
    voices = _voices(workspace, folder, asked, asked.model or _model_of_all(folder, names))
    heard = voices.hear(*asked.clips)
    found = voices.identify(heard, len(names) if asked.top is None else asked.top)
    best = found.matches[0]
    said: dict[str, Any] = {"name": found.name, "undecided": found.undecided, "voices": found.voices} | _quality(heard)
    said |= {"matches": [_told(match) for match in found.matches]}
    said |= {"model": voices.model, "network": voices.verifier.network, "version": voices.verifier.version}
    head = f"undecided: {found.undecided}" if found.undecided else found.name or "unknown: none of the enrolled voices"
    return said, [head, *map(_sentence, found.matches)], exit_status(best.accepted)


def _forget(workspace: Workspace, folder: Path, asked: Asked) -> Answer:
    path = forget_voice(folder, asked.name)
    return {"forgotten": asked.name, "file": str(path)}, [f"forgot {asked.name}: {path} is deleted"], ACCEPTED


def _list(workspace: Workspace, folder: Path, asked: Asked) -> Answer:
    records = [read_voice(folder, name).record for name in voice_names(folder)]
    lines = list(map(_of_clips, records))
    return [record.model_dump(mode="json") for record in records], lines or [f"no voices in {folder}"], ACCEPTED


DOES = {"enroll": _enroll, "verify": _verify, "identify": _identify, "forget": _forget, "voices": _list}


def _model_of_all(folder: Path, names: Sequence[str]) -> str:
    """Return what the model of all voices is called; refuse voices of several, which nothing can be compared with."""
    records = [read_voice(folder, name).record for name in names]
    models = sorted({record.model for record in records})
    if len({record.encoder for record in records}) > 1:
        raise InputError(
            f"the voices in {folder} were enrolled by different networks ({', '.join(models)}): enrol them anew by "
            "one, or keep a folder for each, which --voices names"
        )
    if len(models) > 1:
        raise InputError(f"one network enrolled the voices in {folder} as {', '.join(models)}: name it with --model")
    return models[0]


def _voices(workspace: Workspace, folder: Path, asked: Asked, model: str) -> Voices:
    # Sums of several threads differ in the last digits: equal recordings shall give equal templates.
    torch.set_num_threads(1)
    return Voices(folder, Verifier(model_folder(workspace, model), asked.policy), model)


def exit_status(accepted: bool | None) -> int:
    """Return 0 for accepted, 1 for rejected, 2 where there is no answer."""
    return NO_ANSWER if accepted is None else ACCEPTED if accepted else REJECTED


def _told(match: Match) -> dict[str, Any]:
    return {"name": match.name, "accepted": match.accepted, "score": match.score} | asdict(match.verdict)


def _quality(heard: Speech) -> dict[str, float]:
    return {name: getattr(heard, name) for name in ("source_seconds", "kept_seconds", "clipped_fraction")}


def _of_clips(record: VoiceRecord) -> str:
    """Return whose voice it is, of what and by which network."""
    clips, seconds = counted(len(record.kept_seconds), "clip"), decimal(sum(record.kept_seconds), 1)
    return f"{record.name}: {clips}, {seconds} s without silence, by {record.network}"


def _sentence(match: Match) -> str:
    word = "accepted" if match.accepted else "rejected"
    return f"{match.name}: {reason(word, match.accepted, match.verdict)}; score {decimal(match.score, 3)}"


def _judged_sentence(judged: Judgement) -> str:
    word = "bona fide" if judged.bonafide else "spoofed"
    return f"recording: {reason(word, judged.bonafide, judged.verdict)}; score {decimal(judged.score, 3)}"
