"""Files that other stages and DVC read: written whole or not at all, named by what is in them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

UNDER_EVERYTHING = ("artifacts.py", "registry.py", "schema.py", "seeding.py")


def write_text(path: Path, text: str) -> None:
    """Write `text` to a temporary name beside `path`, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys; NaN is refused because JSON has none."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def digest(content: Any) -> str:
    """Return 16 hex digits of the SHA-256 of `content` as canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def files_digest(paths: Iterable[Path], root: Path) -> str:
    """Return 16 hex digits over the names below `root` and the bytes of `paths`, in sorted order."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]


def package_digest(places: Iterable[str]) -> str:
    """Return the digest of the package's code in `places` (rooms or files) and of what all rooms stand on."""
    package = Path(__file__).parent
    chosen = [package / place for place in (*places, *UNDER_EVERYTHING)]
    paths = {path for place in chosen for path in ([place] if place.is_file() else place.rglob("*.py"))}
    return files_digest(paths, package)
