"""How the tests read the report: a page as a browser would, and a table by its headings."""

from html.parser import HTMLParser

from voxbench.reporting.table import Table

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: the elements, their attributes, the text, and whether tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def rows_of(table: Table) -> dict[str, tuple[str, ...]]:
    return {row.cells[0]: row.cells for row in table.rows}


def cell(table: Table, row: str, column: str) -> str:
    [place] = [place for place, name in enumerate(table.columns) if name.startswith(column)]
    return rows_of(table)[row][place]
