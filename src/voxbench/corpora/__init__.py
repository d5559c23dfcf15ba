"""Corpora: readers that turn a foreign tree into utterances, synthetic twins, splits and integrity.

To add a corpus, write one module with a reader (`@readers.register(NAME)`) and a sheet of facts
(`sheets.add(NAME, Sheet(...))`), and declare a row under `corpora` in
`params.yaml`; every module of this room is imported here, so nothing else need change.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from voxbench.corpora.registries import readers, sheets, twins
from voxbench.schema import InputError, Utterance

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["read_corpus", "readers", "sheets", "twins"]


def read_corpus(reader: str, root: Path | str) -> Iterator[Utterance]:
    """Yield the utterances of the corpus at `root`, in a fixed order.

    Raises `InputError` for an unknown reader, a missing root, and whatever the reader refuses.
    """
    read = readers[reader]
    if not Path(root).is_dir():
        raise InputError(f"corpus root {root} is not a folder: set corpora.<name>.root in params.yaml to where it lies")
    return iter(read(Path(root)))
