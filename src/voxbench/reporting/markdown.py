"""Tables as Markdown, as a paper's draft or an issue takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from voxbench.reporting.table import Table

# What could be read as markup, or end the cell.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def markdown(title: str, lines: Iterable[str], tables: Iterable[Table]) -> str:
    """Return a document: a heading, a list of lines, and tables with what they say."""
    parts = [f"# {escaped(title)}", "\n".join(f"- {escaped(line)}" for line in lines)]
    return "\n\n".join([*parts, *(_table(each) for each in tables)]) + "\n"


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> print(escaped("min_dcf | <b>"))
    min\_dcf \| \<b\>
    """
    return SPECIAL.sub(r"\\\1", " ".join(text.split("\n")))


def _table(table: Table) -> str:
    rule = ("---" if number < table.words else "--:" for number in range(len(table.columns)))
    rows = [_line(map(escaped, table.columns)), _line(rule)]
    rows += [_line(_marked(escaped(cell), row.marked) for cell in row.cells) for row in table.rows]
    notes = [f"- {escaped(note)}" for note in table.notes]
    blocks = [f"## {escaped(table.title)}", escaped(table.says), "\n".join(rows), "\n".join(notes)]
    return "\n\n".join(filter(None, blocks))


def _marked(cell: str, marked: bool) -> str:
    return f"**{cell}**" if marked and cell else cell


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
