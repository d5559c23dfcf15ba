"""How figures become files: one drawing, as a PNG image and as SVG that takes its colours and type from the page.

A figure is a row of panels, and a panel is a function that draws into an empty (sub)figure. In SVG each panel
stands alone, so that a narrow screen can stack them, and every theme colour becomes a CSS variable, so that one
drawing serves light, dark and print. Equal drawings give equal bytes: no date, no random identifiers.

The series colours are those of Okabe and Ito, "Color Universal Design" (2008), without the yellow, which is too
pale for a line; shapes repeat what colours say.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

INK, MUTED, GRID, PAPER = "#1c2024", "#68707a", "#d9dde2", "#fdfdfe"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":")
# How lines of baselines are dashed, in their order.
BASELINES = ("--", ":")
# The most colour that a tile takes: ink stays readable on it, in the light theme and in the dark one.
TINT = 0.45
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper"} | {
    color: f"--series-{number}" for number, color in enumerate(SERIES)
}
PANELS_ACROSS = 4
PIXELS_PER_INCH = 160
PAGE_PIXELS_PER_INCH = 115
STYLE: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "voxbench",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
}

Panel = Callable[[FigureBase], None]


@dataclass(frozen=True)
class Figure:
    """Panels of equal size in inches; `title` names the figure, `says` explains how to read it, `n` included."""

    name: str
    title: str
    says: str
    panels: tuple[Panel, ...]
    width: float
    height: float


def look(number: int) -> tuple[str, str, str]:
    """Return colour, marker and line style of series `number`; no two of the first 24 look the same."""
    return (
        SERIES[number % len(SERIES)],
        MARKERS[number % len(MARKERS)],
        DASHES[number // len(SERIES) % len(DASHES)],
    )


def tile(axes: Axes, column: int, row: int, color: str, strength: float) -> None:
    """Fill a cell of unit size around (column, row); `strength` from 0, the paper, to 1, the most colour."""
    alpha = TINT * min(max(strength, 0.0), 1.0)
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color, alpha=alpha, linewidth=0))


def legend_above(axes: Axes, handles: Sequence[Artist] | None = None, columns: int = 2) -> None:
    """Draw the legend of what has a label, or of `handles`, above the axes, where no line can cross it."""
    shown = axes.get_legend_handles_labels()[0] if handles is None else handles
    if shown:
        anchor: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(handles=shown, ncols=columns, columnspacing=1.4, handlelength=2.4, **anchor)


def png(figure: Figure) -> bytes:
    """Return all panels side by side on white."""
    across = min(PANELS_ACROSS, len(figure.panels))
    down = math.ceil(len(figure.panels) / across)
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(figure.width * across, figure.height * down), layout="constrained")
        parts = canvas.subfigures(down, across, squeeze=False).flat
        for panel, part in zip(figure.panels, parts, strict=False):
            panel(part)
        stream = io.BytesIO()
        canvas.savefig(stream, format="png", dpi=PIXELS_PER_INCH, facecolor="white", metadata={"Software": None})
    return stream.getvalue()


def svgs(figure: Figure, prefix: str) -> list[str]:
    """Return each panel as an `<svg>` element; `prefix` keeps identifiers apart within one page."""
    return [_svg(panel, figure, f"{prefix}-{number}") for number, panel in enumerate(figure.panels)]


def _svg(panel: Panel, figure: Figure, prefix: str) -> str:
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(figure.width, figure.height), layout="constrained")
        panel(canvas)
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"', "", text)
    text = re.sub(r'\sid="', f' id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{prefix}-', text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", text)
    text = re.sub("|".join(VARIABLES), lambda found: f"var({VARIABLES[found[0]]})", text)
    text = re.sub(r'\swidth="[^"]*pt"|\sheight="[^"]*pt"', "", text, count=2)
    # As wide as its column, but no type larger than that of the page.
    return text.replace("<svg", f'<svg style="max-width: {figure.width * PAGE_PIXELS_PER_INCH:.0f}px"', 1)
