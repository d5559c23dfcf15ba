"""The three tables a corpus file fills: how to read the corpus, what is known of it, how to write its twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from voxbench.config import Twin
from voxbench.corpora.sheets import Sheet
from voxbench.registry import Registry
from voxbench.schema import Utterance

Reader = Callable[[Path], Iterable[Utterance]]
TwinWriter = Callable[[Path, Twin], None]

readers: Registry[Reader] = Registry("corpus reader")
sheets: Registry[Sheet] = Registry("corpus sheet")
twins: Registry[TwinWriter] = Registry("twin")
