"""What is known of a corpus beyond its rows: its licence, its tree, its size, and how to come by it.

`voxbench doctor` holds a folder against a sheet, `voxbench download` follows one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from voxbench.schema import Utterance


@dataclass(frozen=True, slots=True)
class Archive:
    """One file that its owner lets anyone fetch.

    `checksum` is `md5:HEX` or `sha256:HEX` as published, None where nobody publishes one. An archive (by the ending
    of `url`: .tar, .tar.gz, .tgz, .zip) is unpacked into `folder` below the root, less the first `strip` parts of
    each name in it; any other file is put there. Archives of the same `part` belong together.
    """

    part: str
    url: str
    size_bytes: int
    checksum: str | None
    folder: str = "."
    strip: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """How much of one part a release holds; None where nobody says."""

    name: str
    utterances: int | None
    speakers: int | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """Facts about a corpus, each with its source in the module that states it.

    `tree` shows the expected layout, a line for each kind of path. `releases` gives the parts of each release or
    scenario, `part_of` the part of an utterance. `archives` is empty where registration is needed; `steps` say, in
    order, what to do then and where to put the files.
    """

    title: str
    homepage: str
    licence: str
    tree: tuple[str, ...]
    part_of: Callable[[Utterance], str]
    releases: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    archives: tuple[Archive, ...] = ()
    steps: tuple[str, ...] = ()
