"""A folder held against a corpus's reader and sheet: what is listed, what is there, what has no row.

The inventory keeps counters and hashes, never the rows, so that two million recordings fit into memory. Files that no
row lists are looked for below the root without following links to folders: a loop of links does no harm, and what
a reader reaches through one is counted by its rows.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from voxbench.corpora.registries import readers
from voxbench.corpora.sheets import Part
from voxbench.schema import InputError, Utterance
from voxbench.seeding import generator

SHOWN = 5
"""How many examples of a fault are kept."""

REMEMBERED = 10_000
"""How many missing recordings are compared with the files that are there."""

TICK = 20_000
"""Rows or files between two words of progress."""

TRIED_FOLDERS = 200
AUDIO_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".sph", ".aif", ".aiff")
WORDS = ("split", "gender", "age_group", "language", "attack")
LABELS = (*WORDS, "age_years", "session", "text")

Tick = Callable[[str, int], None]


@dataclass
class Few:
    """How many there are, and the first five by name, escaped where they could not be printed."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one more."""
        self.count += 1
        if not name.isprintable():
            name = name.encode("unicode_escape").decode()
        if len(self.first) < SHOWN or name < self.first[-1]:
            insort(self.first, name)
            del self.first[SHOWN:]


@dataclass
class PartCount:
    """Rows and files of one part of a corpus; `speakers` holds hashes."""

    rows: int = 0
    found: int = 0
    speakers: set[int] = field(default_factory=set)


@dataclass
class Inventory:
    """What the rows of a corpus say and which of their files are there; sets hold hashes."""

    rows: int = 0
    found: int = 0
    size_bytes: int = 0
    missing: Few = field(default_factory=Few)
    empty: Few = field(default_factory=Few)
    parts: defaultdict[str, PartCount] = field(default_factory=lambda: defaultdict(PartCount))
    words: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    labelled: Counter[str] = field(default_factory=Counter)
    ages: tuple[float, float] | None = None
    speakers: set[int] = field(default_factory=set)
    sessions: set[int] = field(default_factory=set)
    listed: set[int] = field(default_factory=set)
    sought: dict[str, str] = field(default_factory=dict)
    drawn: list[tuple[str, Path]] = field(default_factory=list)


@dataclass
class Strays:
    """Audio files that no row lists; `misspelt` are those that a row lists by nearly the same name."""

    files: Few = field(default_factory=Few)
    misspelt: Few = field(default_factory=Few)
    unread_folders: Few = field(default_factory=Few)
    linked_folders: Few = field(default_factory=Few)


def take_inventory(
    utterances: Iterable[Utterance], part_of: Callable[[Utterance], str], draw: int, seed: int, tick: Tick
) -> Inventory:
    """Count rows, files and labels, and draw up to `draw` of the files that are there, each equally likely."""
    inventory, draws = Inventory(), generator(seed, "inspection sample")
    for utterance in utterances:
        inventory.rows += 1
        _count_labels(inventory, utterance)
        part = inventory.parts[part_of(utterance)]
        part.rows += 1
        part.speakers.update(hash(speaker) for speaker in _speakers(utterance))
        inventory.listed.add(hash(utterance.id))
        size = _size(utterance.path)
        if size is None:
            inventory.missing.add(utterance.id)
            if len(inventory.sought) < REMEMBERED:
                inventory.sought.setdefault(_loose(utterance.id), utterance.id)
        else:
            part.found += 1
            inventory.found += 1
            inventory.size_bytes += size
            if not size:
                inventory.empty.add(utterance.id)
            # Algorithm R: the n-th file takes a place with probability draw / n.
            place = len(inventory.drawn) if len(inventory.drawn) < draw else int(draws.random() * inventory.found)
            if place < draw:
                inventory.drawn[place : place + 1] = [(utterance.id, utterance.path)]
        if inventory.rows % TICK == 0:
            tick("rows", inventory.rows)
    return inventory


def find_strays(root: Path, inventory: Inventory, tick: Tick) -> Strays:
    """Return the audio files below `root` that no row lists; hidden files and folders are passed over."""
    strays = Strays()
    for count, name in enumerate(_audio_files(root, strays), start=1):
        if hash(name) not in inventory.listed:
            strays.files.add(name)
            listed = inventory.sought.get(_loose(name))
            if listed is not None:
                strays.misspelt.add(_difference(listed, name))
        if count % TICK == 0:
            tick("audio files", count)
    return strays


def nearest_release(releases: Mapping[str, tuple[Part, ...]], parts: Mapping[str, PartCount]) -> tuple[str | None, str]:
    """Return the release whose known counts are nearest to the rows, None where no part is known, and how they compare.

    >>> nearest_release({"1.0": (Part("a", 10),)}, {"a": PartCount(rows=3)})
    ('1.0', 'smaller than any known release: a twin or a subset, which is no fault')
    >>> nearest_release({"1.0": (Part("a", 10),)}, {"a": PartCount(rows=10)})
    ('1.0', 'complete')
    """
    known = {
        name: {part.name: part.utterances for part in members if part.utterances is not None}
        for name, members in releases.items()
    }
    known = {name: counts for name, counts in known.items() if counts.keys() & parts.keys()}
    if not known:
        return None, "no known release has these parts" if releases else "none is known"
    rows = {name: part.rows for name, part in parts.items()}
    away = {
        name: sum(abs(counts.get(part, 0) - rows.get(part, 0)) for part in counts.keys() | rows.keys())
        for name, counts in known.items()
    }
    nearest = min(away, key=away.__getitem__)
    if away[nearest] == 0:
        return nearest, "complete"
    if sum(rows.values()) < min(sum(counts.values()) for counts in known.values()):
        return nearest, "smaller than any known release: a twin or a subset, which is no fault"
    return nearest, "not the counts of this release: a subset, an incomplete copy or a release unknown here"


def suggest_root(reader: str, root: Path) -> Path | None:
    """Return a folder one level below or above `root` (or beside it, where it is missing) that the reader takes."""
    above = root.parent
    places = [*_subfolders(root), above] if root.is_dir() else [above, *_subfolders(above)]
    for place in places[:TRIED_FOLDERS]:
        try:
            if next(iter(readers[reader](place)), None) is not None:
                return place
        except (InputError, OSError):
            continue
    return None


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _speakers(utterance: Utterance) -> tuple[str, ...]:
    return utterance.speakers or (utterance.speaker,)


def _count_labels(inventory: Inventory, utterance: Utterance) -> None:
    for label in LABELS:
        value = getattr(utterance, label)
        if value is not None:
            inventory.labelled[label] += 1
            if label in WORDS:
                inventory.words[label][str(value)] += 1
    if utterance.age_years is not None:
        low, high = inventory.ages or (utterance.age_years, utterance.age_years)
        inventory.ages = min(low, utterance.age_years), max(high, utterance.age_years)
    inventory.speakers.update(hash(speaker) for speaker in _speakers(utterance))
    if utterance.session is not None:
        inventory.sessions.add(hash((utterance.speaker, utterance.session)))


def _size(path: Path) -> int | None:
    """Return the size of a file in bytes, None where there is no file to open."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def _loose(name: str) -> str:
    """Return what is left of a path without its ending, case and choice of code points."""
    return unicodedata.normalize("NFC", str(PurePosixPath(name).with_suffix(""))).casefold()


def _difference(listed: str, name: str) -> str:
    if unicodedata.normalize("NFC", listed) == unicodedata.normalize("NFC", name):
        # They look alike, so the code points are shown.
        return f"{listed!a} is there as {name!a}: the accents are composed in one, decomposed in the other"
    is_case = unicodedata.normalize("NFC", listed).casefold() == unicodedata.normalize("NFC", name).casefold()
    return f"{listed} is there as {name}: {'another case' if is_case else 'another ending'}"


def _audio_files(root: Path, strays: Strays) -> Iterator[str]:
    """Yield the audio files below `root`, relative to it; note the folders that were not entered."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        for entry in _entries(root / prefix, prefix, strays):
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            elif name.lower().endswith(AUDIO_ENDINGS) and _size(Path(entry.path)) is not None:
                yield name
            elif entry.is_symlink() and os.path.isdir(entry.path):
                strays.linked_folders.add(name)


def _entries(folder: Path, prefix: str, strays: Strays) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError:
        strays.unread_folders.add(prefix or ".")
