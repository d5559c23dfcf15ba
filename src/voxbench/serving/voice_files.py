"""Enrolled voices on disk: a file for each person, `NAME.safetensors`, that only its owner may read.

It holds the embeddings of the clips, and as JSON in its header whose they are and of which network; no audio, no time,
and nothing of the recordings' names. Equal input gives equal bytes. Writing and deleting hold a lock, a file is written
whole or not at all, and only below the folder: a name is no path.

An embedding is personal data all the same, in many countries biometric data, which need consent and must be deleted on
demand: `forget_voice` does. The folder tells git to leave it alone.

Legend of shape letters: D embedding, K clips of one person.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from voxbench.config import Section
from voxbench.metrics.inputs import Floats
from voxbench.registry import closest
from voxbench.schema import InputError

ENDING, HEADER, CLIPS = ".safetensors", "voice", "clips_KD"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
OWNER_ONLY = 0o600


class VoiceRecord(Section):
    """Whose voice it is, by which network, and what its clips were.

    `model` is what the model was called when the voice was enrolled, `network` its name, and `encoder` the digest of
    what an embedding depends on. `kept_seconds` are those of each clip, without silence.
    """

    name: str
    model: str
    network: str
    encoder: str
    kept_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """An enrolled person: the record, and the embedding of each clip."""

    record: VoiceRecord
    clips_KD: Floats


def check_name(name: str) -> None:
    """Raise `InputError` for a name that cannot be the name of a file everywhere."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!a} cannot name a voice: expected 1 to 64 letters and digits of ASCII, dots, hyphens and "
            "underscores, a letter or digit first, such as the identifier of an account"
        )


def store_voice(folder: Path, voice: Voice, replace: bool) -> None:
    """Write a voice; one of its name that is there already stays, and is an `InputError`, unless `replace`.

    The folder is made where there is none, for its owner alone.
    """
    name = voice.record.name
    path = _file_of(folder, name)
    content = save({CLIPS: voice.clips_KD}, {HEADER: voice.record.model_dump_json()})
    _make_folder(folder)
    with _locked(folder):
        for known in voice_names(folder):
            if known.lower() == name.lower() and not (known == name and replace):
                fix = "enrol it with --replace, or forget it first" if known == name else "choose another name"
                raise InputError(f"a voice {known!r} is enrolled in {folder}: {fix}")
        partial = _partial_of(path)
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)


def read_voice(folder: Path, name: str) -> Voice:
    """Return an enrolled voice; `InputError` for one that is not there, or a file that is damaged."""
    path = _existing(folder, name)
    try:
        with safe_open(path, "numpy") as stored:
            record = VoiceRecord.model_validate_json((stored.metadata() or {})[HEADER])
            voice = Voice(record, stored.get_tensor(CLIPS))
    except (SafetensorError, KeyError, ValidationError) as error:
        raise InputError(f"{path} holds no voice, or a damaged one: forget {name} and enrol it anew") from error
    if record.name != name or not _sound(voice):
        raise InputError(f"{path} was renamed or changed by hand: forget {name} and enrol it anew")
    return voice


def forget_voice(folder: Path, name: str) -> Path:
    """Delete an enrolled voice, and what an interrupted enrolment of it may have left; return the file that was."""
    path = _existing(folder, name)
    with _locked(folder):
        _partial_of(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return path


def voice_names(folder: Path) -> list[str]:
    """Return the names of all voices of a folder, sorted; none where there is nothing, `InputError` for a file."""
    if folder.exists() and not folder.is_dir():
        raise _no_folder(folder)
    names = [path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}")]
    return sorted(name for name in names if NAME.fullmatch(name))


def _file_of(folder: Path, name: str) -> Path:
    check_name(name)
    return folder / f"{name}{ENDING}"


def _partial_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _existing(folder: Path, name: str) -> Path:
    path = _file_of(folder, name)
    if not path.is_file():
        known = voice_names(folder)
        raise InputError(
            f"no voice {name!r} in {folder}{closest(name, known)}: {len(known):,} enrolled, see `voxbench voices`"
        )
    return path


def _sound(voice: Voice) -> bool:
    """Return whether there is an embedding of each clip, one that a network can have made."""
    clips_KD = voice.clips_KD
    if clips_KD.ndim != 2 or not 0 < len(clips_KD) == len(voice.record.kept_seconds):
        return False
    return clips_KD.dtype.kind == "f" and bool(np.isfinite(clips_KD).all() and clips_KD.any(axis=1).all())


def _no_folder(path: Path) -> InputError:
    return InputError(f"{path} is no folder: name one with --voices")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _no_folder(folder) from error
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")


def _locked(folder: Path) -> FileLock:
    return FileLock(folder / ".lock", mode=OWNER_ONLY)
