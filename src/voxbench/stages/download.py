"""Fetches the parts of a corpus that its owner lets anyone fetch, and says how to come by the others.

Each archive goes to `ROOT/.voxbench-download/PART/`, is checked there, unpacked below the root and deleted. What is
finished stands in `ROOT/.voxbench-download.json`, by address: `{URL: {part, checksum, sha256, bytes, last}}`, where
`checksum` is the published one (null where there is none) and `last` the last file that came out of it. The hash of
an archive without a published checksum is the expected one from then on.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from voxbench.archives import is_archive, unpack
from voxbench.artifacts import read_json, write_json
from voxbench.corpora import sheets
from voxbench.corpora.sheets import Archive, Sheet
from voxbench.downloads import fetch
from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.stages.workspace import Workspace

HOME = ".voxbench-download"
RECORD, LOCK = HOME + ".json", HOME + ".lock"
RECORDED = ("part", "checksum", "sha256", "bytes", "last")
UNITS = ("kB", "MB", "GB", "TB")
# Speech that is deflated without loss of its samples loses less than a quarter of its bytes.
UNPACKED_TIMES = 1.3
# Tables shrink to a tenth and less; beyond this an archive is taken for a trap.
MOST_TIMES, MOST_AT_LEAST = 20, 10**9
MAX_MEMBERS = 5_000_000


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How `voxbench download` goes about it.

    `yes` asks nothing, `unverified` takes files without a published checksum, `keep_archives` leaves archives where
    they were fetched to, `list_only` shows what there is and stops.
    """

    yes: bool = False
    unverified: bool = False
    keep_archives: bool = False
    list_only: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """One archive: where it is fetched to, where it goes, its expected checksum, how much is here, if it is done."""

    archive: Archive
    file: Path
    folder: Path
    checksum: str | None
    present_bytes: int
    done: bool

    @property
    def unpacked_bytes(self) -> int:
        """Estimate the room for what comes out of it."""
        plain = not is_archive(self.file.name) or self.file.name.lower().endswith(".tar")
        return round(self.archive.size_bytes * (1 if plain else UNPACKED_TIMES))


def readable_size(size_bytes: int) -> str:
    """Return a size to the nearest tenth of a decimal unit.

    >>> [readable_size(size) for size in (0, 999, 1000, 999_949, 999_950, 6_387_309_499)]
    ['0 bytes', '999 bytes', '1.0 kB', '999.9 kB', '1.0 MB', '6.4 GB']
    """
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    for power, unit in enumerate(UNITS, start=1):
        tenths = (size_bytes * 10 + 1000**power // 2) // 1000**power
        if tenths < 10_000 or unit == UNITS[-1]:
            break
    return f"{tenths // 10}.{tenths % 10} {unit}"


def download(
    workspace: Workspace, name: str, parts: Sequence[str], root: Path | None, options: DownloadOptions
) -> None:
    """Fetch, check and unpack `parts` (all, if empty) of a corpus, and print how to come by what cannot be fetched.

    `name` is a row of `corpora`, or a reader, which has no root of its own; `root` goes before a row's. What an earlier
    call finished is left alone, and what one began is continued.

    Raises `InputError` before anything is fetched for an unknown name or part, a root that belongs to a synthetic
    twin, an archive without a published checksum (unless `unverified`), too small a disk, and where nobody can be
    asked and `yes` was not said; later for every failure of `fetch` and `unpack`.
    """
    sheet, place = _sheet_and_root(workspace, name, root)
    twin = None if place is None else _twin_at(workspace, place)
    known = place if twin is None else None
    archives = _chosen(name, sheet, parts)
    jobs = [_job(archive, known or Path(), _read_record(known)) for archive in archives]
    assert len({job.file for job in jobs}) == len(jobs), f"two archives of one part and name in the sheet of {name}"
    _show(sheet, jobs, known)
    if jobs and known is not None and not options.list_only:
        todo = [job for job in jobs if not job.done]
        if todo and not _agreed(todo, known, options):
            print("nothing was fetched")
            return
        _carry_out(todo, known, options)
    if sheet.steps:
        _show_steps(name, sheet, known)
    if jobs and known is None and not options.list_only:
        found = f"that {place} belongs to the synthetic twin {twin}" if twin else f"no root for {name}"
        raise InputError(f"found {found}, expected a folder of the corpus's own: {_cure(name)}")
    where = "" if root is None and name in workspace.params.corpora else f" --root {known or 'ROOT'}"
    print(f"\ncheck with: voxbench doctor {name}{where}")


def _sheet_and_root(workspace: Workspace, name: str, root: Path | None) -> tuple[Sheet, Path | None]:
    rows = workspace.params.corpora
    if name not in rows and name not in sheets:
        known = dict.fromkeys([*rows, *sheets])
        raise InputError(f"unknown corpus {name!r}{closest(name, known)}, expected one of: {', '.join(known)}")
    sheet = sheets[rows[name].reader if name in rows else name]
    if root is None and name in rows:
        root = workspace.root / rows[name].root
    return sheet, None if root is None else root.resolve()


def _twin_at(workspace: Workspace, root: Path) -> str | None:
    """Return the name of the synthetic twin that would lose files to a download into `root`, or take its place."""
    for name, twin in workspace.params.twins.items():
        place = (workspace.root / twin.root).resolve()
        if root == place or place in root.parents or root in place.parents:
            return name
    return None


def _cure(name: str) -> str:
    return f"give --root FOLDER, or set corpora.{name}.root in params.yaml"


def _chosen(name: str, sheet: Sheet, parts: Sequence[str]) -> tuple[Archive, ...]:
    known = dict.fromkeys(archive.part for archive in sheet.archives)
    for part in parts:
        if part not in known:
            options = f"one of: {', '.join(known)}" if known else "none, for none can be fetched without registration"
            raise InputError(f"found the part {part!r} of {name}{closest(part, known)}, expected {options}")
    return tuple(archive for archive in sheet.archives if not parts or archive.part in parts)


def _read_record(root: Path | None) -> dict[str, dict[str, Any]]:
    if root is None or not (path := root / RECORD).is_file():
        return {}
    try:
        return {url: {key: row[key] for key in RECORDED} for url, row in read_json(path).items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: found no record of downloads, expected one; delete the file and try again"
        ) from error


def _job(archive: Archive, root: Path, record: dict[str, dict[str, Any]]) -> _Job:
    name = urlsplit(archive.url).path.rpartition("/")[2]
    assert re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name), f"no name for a file at the end of {archive.url}"
    file = root / HOME / re.sub(r"[^\w.-]", "-", archive.part) / name
    folder, row, checksum = root / archive.folder, record.get(archive.url), archive.checksum
    done = row is not None and row["checksum"] == checksum and (folder / str(row["last"])).is_file()
    if row is not None and row["checksum"] is None and checksum is None:
        checksum = f"sha256:{row['sha256']}"
    present = next((each.stat().st_size for each in (file, _partial(file)) if each.is_file()), 0)
    return _Job(archive, file, folder, checksum, present, done)


def _partial(file: Path) -> Path:
    return file.with_name(file.name + ".partial")


def _show(sheet: Sheet, jobs: Sequence[_Job], root: Path | None) -> None:
    print(f"{sheet.title}\nlicence:  {sheet.licence}\nhomepage: {sheet.homepage}")
    if root is not None:
        print(f"root:     {root} ({readable_size(_free_bytes(root))} free)")
    if not jobs:
        return
    rows = [("part", "file", "size", "checksum", "state")]
    for job in jobs:
        kind = (job.archive.checksum or "none").partition(":")[0]
        state = "there" if job.done else f"{readable_size(job.present_bytes)} here" if job.present_bytes else "to fetch"
        rows.append((job.archive.part, job.file.name, readable_size(job.archive.size_bytes), kind, state))
    left = f"{readable_size(sum(job.archive.size_bytes for job in jobs if not job.done))} to fetch"
    rows.append(("total", "", readable_size(sum(job.archive.size_bytes for job in jobs)), "", left))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for part, file, size, kind, state in rows:
        print(f"{part:{widths[0]}}  {file:{widths[1]}}  {size:>{widths[2]}}  {kind:{widths[3]}}  {state}")


def _show_steps(name: str, sheet: Sheet, root: Path | None) -> None:
    print("\nWhat cannot be fetched for you:")
    print("\n".join(f"{number}. {step}" for number, step in enumerate(sheet.steps, start=1)))
    print(f"\nROOT is {root or f'a folder of your own: {_cure(name)}'}\nand looks like this:")
    print("\n".join(f"  {line}" for line in sheet.tree))


def _free_bytes(root: Path) -> int:
    return shutil.disk_usage(next(each for each in (root, *root.parents) if each.is_dir())).free


def _agreed(todo: Sequence[_Job], root: Path, options: DownloadOptions) -> bool:
    """Refuse what cannot or must not be fetched, then ask; return the answer."""
    unknown = [job.file.name for job in todo if job.checksum is None]
    if unknown and not options.unverified:
        raise InputError(
            f"found no published checksum of {', '.join(unknown)}: expected --unverified, to fetch without one and "
            f"print what came, or the names of other parts"
        )
    fetched = [max(job.archive.size_bytes - job.present_bytes, 0) for job in todo if is_archive(job.file.name)]
    needed = sum(job.unpacked_bytes for job in todo) + (sum if options.keep_archives else max)([0, *fetched])
    if (free := _free_bytes(root)) < needed:
        raise InputError(
            f"{root}: found {readable_size(free)} free, expected about {readable_size(needed)} for the archives and "
            f"what comes out of them; make room, name fewer parts, or give another --root"
        )
    size = readable_size(sum(job.archive.size_bytes for job in todo))
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(f"found no terminal to ask whether {size} may be fetched into {root}, expected --yes")
    try:
        return input(f"\nFetch {size} into {root}, under the licence above? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _carry_out(todo: Sequence[_Job], root: Path, options: DownloadOptions) -> None:
    if not todo:
        print(f"\nnothing to fetch: {root / RECORD} says that all of it is there")
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / LOCK, timeout=0):
            for job in todo:
                _fetch_one(job, root)
                _clear(job.file, options.keep_archives)
    except Timeout as error:
        raise InputError(f"{root}: found another download at work there, expected none; wait for its end") from error
    except OSError as error:
        raise InputError(f"{root}: found that it cannot be written ({error}), expected a folder with room") from error


def _clear(file: Path, keep: bool) -> None:
    if not keep:
        file.unlink(missing_ok=True)
    with suppress(OSError):  # other files may lie there
        file.parent.rmdir()
        file.parent.parent.rmdir()


def _fetch_one(job: _Job, root: Path) -> None:
    expected = job.archive.size_bytes
    slack = expected // 10 + 10**6
    sha256 = fetch(job.archive.url, job.file, checksum=job.checksum, max_bytes=expected + slack)
    size = job.file.stat().st_size
    if job.checksum is None:
        if size < expected - slack:
            job.file.unlink()
            raise InputError(
                f"{job.archive.url}: found {size:,} bytes, expected about {expected:,}; what came is deleted: "
                f"the address may have changed, see the homepage"
            )
        print(f"{job.file.name}: {readable_size(size)}, sha256 {sha256} (nothing published to compare it with)")
    if is_archive(job.file.name):
        limit = max(MOST_TIMES * expected, MOST_AT_LEAST)
        found = unpack(job.file, job.folder, strip=job.archive.strip, max_bytes=limit, max_members=MAX_MEMBERS)
        last, what = found.last, f"{found.files:,} files, {readable_size(found.size_bytes)}"
    else:
        _place(job.file, job.folder)
        last, what = job.file.name, readable_size(size)
    row = {"part": job.archive.part, "checksum": job.archive.checksum, "sha256": sha256, "bytes": size, "last": last}
    write_json(root / RECORD, _read_record(root) | {job.archive.url: row})
    print(f"{job.archive.part}: {job.file.name} is there: {what} in {job.folder}")


def _place(file: Path, folder: Path) -> None:
    """Move a file that is no archive below the root, where nothing or an equal file may lie."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    if not os.path.lexists(target):
        os.rename(file, target)
    elif target.is_symlink() or not target.is_file() or not filecmp.cmp(file, target, shallow=False):
        raise InputError(f"{file}: found something else at {target}, expected nothing there or the same; move it away")
