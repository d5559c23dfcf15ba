"""What figures of several pages draw, from arrays alone: cells of a confusion matrix, curves, clouds, bars of groups.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from voxbench.metrics import Reliability
from voxbench.metrics.inputs import Integers
from voxbench.reporting.drawing import INK, MUTED, tile
from voxbench.reporting.quantities import count, counted, visible

# From so many classes on, the cells of a confusion matrix hold smaller type.
MANY_CLASSES = 4
# Above so many rows dots would hide each other: they are counted in cells then.
MOST_DOTS = 800
# The dots of cells come in so many sizes.
SIZES = 5
# A median needs so many rows.
FEWEST = 10
LONGEST_NAME = 26


def confusion_size(classes: int) -> float:
    """Return the side of the axes of a confusion matrix in inches."""
    return 0.9 + (0.46 if classes >= MANY_CLASSES else 0.85) * classes


def confusion_cells(axes: Axes, counts_CC: Integers, classes: tuple[str, ...], color: str) -> None:
    """Draw the share of each true class (a row) that was taken for each class, in percent, with the count below."""
    many = len(classes) >= MANY_CLASSES
    for (truth, predicted), number in np.ndenumerate(counts_CC):
        share = number / counts_CC[truth].sum() if counts_CC[truth].sum() else 0.0
        tile(axes, predicted, truth, color, share)
        words = f"{100 * share:.0f}" if many else f"{100 * share:.1f} %"
        axes.text(predicted, truth, words, ha="center", va="bottom", fontsize=9 if many else 10)
        clips = count(int(number))
        axes.text(predicted, truth + 0.08, clips, ha="center", va="top", fontsize=7 if many else 8)
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xticks(range(len(classes)), classes, rotation=40 if many else 0, ha="right" if many else "center")
    axes.set_yticks(range(len(classes)), classes, rotation=0 if many else 90, va="center")
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="true")


def roc_axes(axes: Axes) -> None:
    """Draw the diagonal of chance, and name the axes of a receiver operating characteristic."""
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def reliability_axes(axes: Axes, classes: int) -> None:
    """Draw the diagonal of honest confidence, from the lowest that the most probable of `classes` can have."""
    lowest = 1 / classes
    axes.plot([lowest, 1], [lowest, 1], color=MUTED, linestyle=":", linewidth=1)
    axes.set(xlabel="mean confidence", ylabel="accuracy", xlim=(lowest - 0.03, 1.03), ylim=(-0.04, 1.04))


def reliability_line(axes: Axes, bins: Reliability, looks: tuple[str, str, str], label: str) -> None:
    """Draw accuracy against confidence; an area shows the share of the rows that fall in a bin."""
    color, marker, dashes = looks
    filled = bins.count > 0
    line = bins.confidence[filled], bins.accuracy[filled]
    axes.plot(*line, color=color, linestyle=dashes, linewidth=1, alpha=0.7)
    area = 12 + 240 * bins.count[filled] / bins.count.sum()
    axes.scatter(*line, s=area, color=color, marker=marker, alpha=0.75, linewidths=0)
    axes.plot([], [], color=color, marker=marker, linestyle=dashes, markersize=5, label=label)


def counted_cells(axes: Axes, table: pd.DataFrame, cell: float) -> None:
    """Draw a dot for each cell of side `cell` that holds rows of `truth` and `estimate`, its area in `SIZES` steps."""
    cells = (cell * (table / cell).round()).value_counts(sort=False).reset_index(name="clips")
    size = np.ceil(SIZES * cells["clips"] / cells["clips"].max())
    for each, part in cells.groupby(size):
        style = {"color": MUTED, "alpha": 0.45, "markersize": 5.5 * np.sqrt(each / SIZES), "markeredgewidth": 0}
        axes.plot(part["truth"], part["estimate"], "o", **style)


def medians(rows: pd.DataFrame, step: float) -> pd.DataFrame:
    """Return the median `estimate` of each step of `truth` that holds at least `FEWEST` rows."""
    steps = rows.groupby(step * (rows["truth"] / step).round())["estimate"].agg(["median", "size"])
    return steps[steps["size"] >= FEWEST]["median"].rename("estimate").rename_axis("truth").reset_index()


def shown_groups(table: pd.DataFrame, most: int, noun: str = "speaker") -> pd.DataFrame:
    """Return at most `most` rows, each with its `words`; if that is not all, the last counts the others.

    `table` has the columns group, speakers, low: groups without `low` have too few speakers. `noun` is what is counted
    as such, if nobody says who speaks.
    """
    words = [
        f"{written(group)}\n{counted(speakers, noun)}{'' if np.isfinite(low) else ', too few'}"
        for group, speakers, low in table[["group", "speakers", "low"]].itertuples(index=False)
    ]
    table = table.assign(words=words)
    if len(table) <= most:
        return table
    # Those of most speakers say most; they stay in the order of the table.
    kept = table[table["low"].notna()].nlargest(most - 1, "speakers").sort_index()
    return pd.concat([kept, pd.DataFrame({"words": [f"{count(len(table) - len(kept))} more,\nin the table"]})])


def written(group: str) -> str:
    """Return a name, which a corpus may take from anybody, so that it is drawn as it is and on one line."""
    name = visible(group)
    # Between two dollar signs matplotlib would read mathematics.
    return (name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026").replace("$", r"\$")


def group_bars(axes: Axes, table: pd.DataFrame, looks: tuple[str, str, str], factor: float) -> None:
    """Draw the `mean` of each row of `shown_groups`, times `factor`, with its bar from `low` to `high`."""
    color, marker, _ = looks
    for place, row in enumerate(table.to_dict("records")):
        if np.isfinite(row["low"]):
            axes.plot(factor * np.array([row["low"], row["high"]]), [place] * 2, color=color, linewidth=1.6)
            axes.plot(factor * row["mean"], place, marker, color=color, markersize=6)
    axes.set_yticks(range(len(table)), table["words"], color=INK, fontsize=7.5)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
