"""Corpora: readers that turn a foreign tree into utterances, synthetic twins, splits and integrity.

To add a corpus, write one module with a reader (`@readers.register(NAME)`) and a sheet of facts
(`sheets.add(NAME, Sheet(...))`), and declare a row under `corpora` in
`params.yaml`; every module of this room is imported here, so nothing else need change.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from voxbench.corpora.registries import readers, sheets, twins
from voxbench.schema import InputError, Utterance

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["read_corpus", "readers", "sheets", "twins"]


def read_corpus(reader: str, root: Path | str) -> Iterator[Utterance]:
    """Yield the utterances of the corpus at `root`, in a fixed order.

    Bytes of a file name that are no UTF-8 are escaped in the words of an utterance, and stay in its `path`. Raises
    `InputError` for an unknown reader, a missing root, and whatever the reader refuses.
    """
    read = readers[reader]
    if not Path(root).is_dir():
        raise InputError(f"corpus root {root} is not a folder: set corpora.<name>.root in params.yaml to where it lies")
    return map(_legible, read(Path(root)))


def _legible(utterance: Utterance) -> Utterance:
    words = {name: getattr(utterance, name) for name in ("id", "speaker", "session")}
    try:
        "".join(word or "" for word in words.values()).encode()
    except UnicodeEncodeError:
        plain = {name: word and word.encode("utf-8", "backslashreplace").decode() for name, word in words.items()}
        return replace(utterance, **plain)
    return utterance
