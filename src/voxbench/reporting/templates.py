"""How a page is put together: Jinja's templates with everything escaped but the figures, which are drawn here."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from voxbench.reporting.drawing import Figure, svgs


@dataclass(frozen=True)
class Drawn:
    """A figure and its panels as markup."""

    figure: Figure
    panels: tuple[Markup, ...]


def drawn(prefix: str, figure: Figure) -> Drawn:
    """Return a figure as markup; `prefix` keeps its identifiers apart from those of another of the same name."""
    return Drawn(figure, tuple(Markup(each) for each in svgs(figure, f"{prefix}-{figure.name}")))


def template(name: str) -> Template:
    """Return a template of this room; a name that it is not given is an error."""
    environment = Environment(
        loader=PackageLoader("voxbench.reporting", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
