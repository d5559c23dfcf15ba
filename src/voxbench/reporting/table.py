"""A table as people read it: on a page, in Markdown, on a terminal; every cell is text by now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row, headed by its first cell; a marked one stands out, and one set aside is no result to rank."""

    cells: tuple[str, ...]
    marked: bool
    aside: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first `words` columns hold words, the others numbers. Notes give the reason of every dash."""

    title: str
    says: str
    columns: tuple[str, ...]
    words: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
