"""Writes what an archive holds, and believes nothing that it says.

`tarfile` and `zipfile` only read: every file is written here, under rules that hold for both formats and go further
than `tarfile`'s data filter (PEP 706), which lets one member replace another and has been got around in Python 3.11
(CVE-2025-4517). A name stays below the folder and is one that any system can hold. No two names collide, not even on
a disk that takes upper and lower case for the same. A link must lead to a file that came before it and becomes a copy
of that file, so no link is ever made or followed. Owners, times and permission bits are left behind. What counts
against the limit is what was written, not what a header states.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from voxbench.archives.members import BLOCK_BYTES, DAMAGE, ENDINGS, FILE, FOLDER, LINK, Member, members
from voxbench.progress import Progress
from voxbench.schema import InputError

RESERVED = ".voxbench-"
STAGE = RESERVED + "unpack"
LONGEST_PART, LONGEST_NAME, DEEPEST = 255, 1000, 32


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of an archive: how many files, how many bytes, and the last file's path below the folder."""

    files: int
    size_bytes: int
    last: str


class _Refused(InputError):
    """What was found and what was expected, without the archive's name."""


def is_archive(name: str) -> bool:
    """Tell whether a file of this name is one that `unpack` takes."""
    return name.lower().endswith(ENDINGS)


def unpack(archive: Path, folder: Path, *, strip: int, max_bytes: int, max_members: int) -> Unpacked:
    """Unpack `archive` into `folder`, less the first `strip` parts of each name.

    Everything is first written to a folder of its own inside `folder` (which may be the root of a disk, with no room
    beside it), then moved file by file, and as whole folders where there are none of that name: a call that is killed
    leaves no half file, and the next call starts anew. An equal file that lies there already stays; another one of
    that name is refused before anything is moved. At most `max_bytes` are written, from at most `max_members` entries.

    Every refusal is an `InputError` that names the member; after it `folder` holds what it held before. Files and
    folders get the permissions that new ones have on this machine.
    """
    stage = folder / STAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(stage):
            shutil.rmtree(stage)
        stage.mkdir()
        try:
            found = _fill(archive, _Stage(stage, strip, max_bytes, max_members))
            _require_no_conflict(stage, folder)
            _move(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except _Refused as error:
        raise InputError(f"{archive}: {error}") from error
    except OSError as error:
        raise InputError(
            f"{archive}: found that {folder} cannot be written ({error}), expected a folder with room for it; "
            f"make room there or change the folder's rights, and run the command again"
        ) from error
    return found


def _fill(archive: Path, stage: _Stage) -> Unpacked:
    """Write all members below the root of `stage`."""
    name, total = "its head", round(archive.stat().st_size / 1e6)
    with Progress(f"unpack {archive.name}", total) as progress, ExitStack() as stack:
        try:
            for member in members(archive, stack):
                name = _shown(member.name)
                stage.add(member)
                _report(progress, round(member.read_bytes / 1e6), max(10, total // 20))
        except _Refused:
            raise
        except DAMAGE as error:
            what = f"{type(error).__name__}: {error}"
            raise _Refused(
                f"found damage at or after {name} ({what}), expected a whole archive; fetch it again"
            ) from error
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} at {name}") from error
        _report(progress, total, 1)
    if not stage.last:
        raise _Refused("found no file in it, expected some")
    return Unpacked(len(stage.files), stage.max_bytes - stage.left_bytes, stage.last)


def _report(progress: Progress, done: int, at_least: int) -> None:
    if done - progress.done >= at_least:
        progress.advance("MB", done - progress.done)


class _Stage:
    """The tree that is being written: which names it has, and how much it may still take."""

    def __init__(self, root: Path, strip: int, max_bytes: int, max_members: int) -> None:
        self.root = root
        self.strip = strip
        self.max_bytes = self.left_bytes = max_bytes
        self.max_members = self.left_members = max_members
        self.files: set[str] = set()
        self.folders: dict[str, str] = {}
        self.last = ""

    def add(self, member: Member) -> None:
        """Write one member, or raise `_Refused`."""
        self.left_members -= 1
        if self.left_members < 0:
            _refuse(member.name, f"as one of more than {self.max_members:,} members", "fewer")
        parts = _parts(member.name, self.strip, member.name)
        if member.kind == FOLDER:
            self._folder(member.name, parts)
        elif not parts:
            _refuse(member.name, f"as a name of {self.strip} parts or fewer", "more, because those are left out")
        elif member.kind == FILE:
            self._file(member.name, parts, member.blocks, member.size_bytes)
        elif member.kind == LINK:
            self._copy(member, parts)
        else:
            _refuse(member.name, f"that is {member.kind}", "files, folders and links")

    def _folder(self, name: str, parts: tuple[str, ...]) -> None:
        for depth in range(len(parts), 0, -1):
            path = "/".join(parts[:depth])
            key, known = _key(path), self.folders.get(_key(path))
            if known == path:
                break
            if known is not None or key in self.files:
                _refuse(name, f"beside another {_shown(known or path)}", "names that differ by more than case")
            self.folders[key] = path
            if depth == len(parts):
                self.root.joinpath(*parts).mkdir(parents=True, exist_ok=True)

    def _file(self, name: str, parts: tuple[str, ...], blocks: Iterable[bytes], size_bytes: int) -> None:
        self._folder(name, parts[:-1])
        path, written = "/".join(parts), 0
        if _key(path) in self.files or _key(path) in self.folders:
            _refuse(name, "beside another one", "names that differ by more than case")
        if not 0 <= size_bytes <= self.left_bytes:
            self._refuse_size(name)
        with self.root.joinpath(*parts).open("xb") as stream:
            for block in blocks:
                if len(block) > self.left_bytes:
                    self._refuse_size(name)
                written += stream.write(block)
                self.left_bytes -= len(block)
        if written != size_bytes:
            _refuse(name, f"with {written:,} bytes", f"the {size_bytes:,} that its header states")
        self.files.add(_key(path))
        self.last = path

    def _copy(self, member: Member, parts: tuple[str, ...]) -> None:
        shown = f"{member.name} -> {member.target}"
        target = _parts(member.target, self.strip, shown)
        source = self.root.joinpath(*target)
        if not source.is_file():
            _refuse(shown, "as a link", "links to files that came before them")
        with source.open("rb") as stream:
            self._file(member.name, parts, iter(lambda: stream.read(BLOCK_BYTES), b""), source.stat().st_size)

    def _refuse_size(self, name: str) -> NoReturn:
        _refuse(name, f"with which more than {self.max_bytes:,} bytes come out", "fewer")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:200] + "...")


def _refuse(name: str, found: str, expected: str) -> NoReturn:
    raise _Refused(f"found {_shown(name)} {found}, expected {expected}; nothing was unpacked: use another source")


def _key(path: str) -> str:
    """Return what two names share that cannot lie in one folder everywhere."""
    return unicodedata.normalize("NFC", path).casefold()


def _parts(name: str, strip: int, shown: str) -> tuple[str, ...]:
    """Return the parts of a member's name below the folder: none where it has no more than `strip`."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or any(re.match("[A-Za-z]:", part) for part in parts):
        _refuse(shown, "as a name", "names that stay below the folder")
    if re.search(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]", name):
        _refuse(shown, "as a name", "names in UTF-8 without backslashes and control characters")
    if len(name) > LONGEST_NAME or len(parts) > DEEPEST or any(len(part.encode()) > LONGEST_PART for part in parts):
        limits = f"at most {LONGEST_NAME} characters, {DEEPEST} parts and {LONGEST_PART} bytes in each"
        _refuse(shown, "as a name", limits)
    if any(_key(part).startswith(RESERVED) for part in parts):
        _refuse(shown, "as a name", f"none that begins with {RESERVED}, as voxbench's own files do")
    return parts[strip:]


def _require_no_conflict(stage: Path, folder: Path) -> None:
    """Refuse to replace anything: only an equal file, or a folder for a folder, may be there already."""
    for here, folders, files in os.walk(stage):
        there = folder / Path(here).relative_to(stage)
        for name in [*folders, *files]:
            path, new = there / name, Path(here, name)
            same = path.is_dir() if name in folders else path.is_file() and filecmp.cmp(path, new, shallow=False)
            if os.path.lexists(path) and (path.is_symlink() or not same):
                raise _Refused(
                    f"found {_shown(new.relative_to(stage).as_posix())} and something else at {path}, expected nothing "
                    f"there or the same; move that away and run the command again"
                )
        folders[:] = [name for name in folders if (there / name).is_dir()]


def _move(stage: Path, folder: Path) -> None:
    for entry in sorted(stage.iterdir()):
        target = folder / entry.name
        if entry.is_dir() and target.is_dir():
            _move(entry, target)
        elif not target.exists():
            os.rename(entry, target)
