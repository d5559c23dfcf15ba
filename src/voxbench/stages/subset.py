"""A list of recordings to prepare instead of a whole corpus: as many hours of it as asked, by a seeded rule.

The list is a CSV of `id` and `seconds`, in the order of the draw; `corpora.CORPUS.only` names it with its hash, and the
prepare stage then reads these recordings alone. The rule is that of `voxbench.corpora.subsetting`, applied to the whole
corpus, whatever `only` is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxbench.audio import decode_audio, read_bytes
from voxbench.config import Parallel
from voxbench.corpora import read_corpus
from voxbench.corpora.subsetting import list_sha256, turns
from voxbench.progress import Progress
from voxbench.reporting.quantities import counted, decimal
from voxbench.schema import AudioError, InputError, Split
from voxbench.stages.workspace import Workspace
from voxbench.workers import spread

COLUMNS = ("id", "seconds")
AT_ONCE = 64


@dataclass(frozen=True)
class SubsetOptions:
    """How much is drawn: hours of sound as decoded; of so many speakers or of all; training recordings or all."""

    hours: float
    seed: int
    speakers: int | None
    split: Split | None
    output: Path


def subset(workspace: Workspace, name: str, options: SubsetOptions) -> None:
    """Draw a subset of the corpus `name` and write its list.

    What cannot be decoded is left out, and counted. Raises InputError for hours that are not above 0 or more than
    there are, a list that exists, and more speakers than there are.
    """
    corpus = workspace.params.corpus(name)
    wanted = options.hours * 3600
    if not wanted > 0:
        raise InputError(f"--hours is {options.hours:g}, expected more than 0")
    if options.output.exists():
        raise InputError(f"{options.output} is there already: remove it, or name another file")
    rows = [
        row
        for row in read_corpus(corpus.reader, workspace.root / corpus.root)
        if options.split is None or row.split == options.split
    ]
    people = {row.id: row.speaker for row in rows}
    order = list(turns(rows, options.seed, options.speakers))
    taken: dict[str, float] = {}
    unreadable, total = 0, 0.0
    with Progress(f"subset {name}", len(order)) as progress:
        for row_id, seconds in _decoded(order, {row.id: row.path for row in rows}, workspace.params.parallel):
            if seconds is None:
                unreadable += 1
            else:
                taken[row_id] = seconds
                total += seconds
            if (len(taken) + unreadable) % AT_ONCE == 0:
                progress.advance(f"{total / 3600:.2f} h", AT_ONCE)
            if total >= wanted:
                break
    hours = total / 3600
    if total < wanted:
        raise InputError(f"{name} has {hours:.2f} h that can be drawn, expected {options.hours:g}: ask for less")
    _write(options.output, taken)
    speakers = len({people[row_id] for row_id in taken})
    drawn = f"{counted(len(taken), 'recording')} of {counted(speakers, 'speaker')}, {decimal(hours, 2)} h"
    print(f"{drawn}; {counted(unreadable, 'unreadable one')} left out")
    place = options.output.resolve()
    shown = place.relative_to(workspace.root) if place.is_relative_to(workspace.root) else place
    print(f"in params.yaml, corpora.{name}.only: {{file: {shown}, sha256: {list_sha256(place)}}}")


def _decoded(order: list[str], paths: dict[str, Path], parallel: Parallel) -> Iterator[tuple[str, float | None]]:
    """Yield ids and seconds in order; a little more than is used gets decoded."""
    pieces = [order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE)]
    lengths = spread(durations, (([paths[row_id] for row_id in piece],) for piece in pieces), parallel)
    for piece, seconds in zip(pieces, lengths, strict=True):
        yield from zip(piece, seconds, strict=True)


def durations(paths: list[Path]) -> list[float | None]:
    """Return the seconds of each recording, None where it cannot be decoded; runs in a worker process."""
    return [_seconds(path) for path in paths]


def _seconds(path: Path) -> float | None:
    try:
        wave, rate_hz = decode_audio(read_bytes(path))
    except AudioError:
        return None
    return len(wave) / rate_hz


def _write(path: Path, taken: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((row_id, f"{seconds:.3f}") for row_id, seconds in taken.items())
    partial.replace(path)
