"""The scores of every attack beside those of bona fide speech: which attacks are taken for it.

Shape letters: N trials, A attacks.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from voxbench.evaluation.row_columns import ATTACK
from voxbench.reporting.drawing import INK, MUTED, Figure, look
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.panels import written
from voxbench.reporting.quantities import count, spoken
from voxbench.schema import BONAFIDE

BINS = 60
# More rows than these are no longer told apart; the table of groups has all attacks.
MOST_ATTACKS = 24
ROW_INCHES = 0.42


def attacks_figures(evidence: Evidence) -> list[Figure]:
    """Return the histograms of each attack's scores, the most accepted first; none where attacks are unknown."""
    if not evidence.countermeasure or ATTACK not in evidence.validated.tuned.rows:
        return []
    scored = evidence.validated.tuned
    scores = pd.Series(scored.scores).groupby(scored.rows[ATTACK].to_numpy())
    spoofed = scores.median().drop(BONAFIDE, errors="ignore").sort_values(ascending=False)
    if spoofed.empty:
        return []
    shown = [str(attack) for attack in spoofed.index[:MOST_ATTACKS]]
    fewer = f" The {len(shown)} attacks of the highest median of {len(spoofed)}." if len(shown) < len(spoofed) else ""
    groups = {name: scores.get_group(name).to_numpy() for name in (BONAFIDE, *shown) if name in scores.groups}
    figure = Figure(
        name="attacks",
        title=f"Scores by attack: {evidence.validated.model}",
        says=(
            f"{evidence.sample}. Of bona fide speech and of each attack the share of trials in {count(BINS)} steps of "
            "the score as it is, each scaled to its own highest step, with the median as a line; attacks of the "
            f"highest median stand on top, and what reaches into the bona fide scores is taken for them.{fewer} "
            "The one fine-tuned network."
        ),
        panels=(partial(_attacks, groups),),
        width=6.4,
        height=1.0 + ROW_INCHES * len(groups),
    )
    return [figure]


def _attacks(groups: dict[str, np.ndarray], part: FigureBase) -> None:
    axes: Axes = part.subplots()
    every = np.concatenate(list(groups.values()))
    low, high = float(every.min()), float(every.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    axes.set_axisbelow(True)
    for place, (name, scores) in enumerate(groups.items()):
        color, base = look(0 if name == BONAFIDE else 1)[0], float(-place)
        counts, _ = np.histogram(scores, edges)
        heights = base + 0.85 * counts / max(int(counts.max()), 1)
        axes.stairs(heights, edges, baseline=base, color=color, alpha=0.3, fill=True)
        axes.stairs(heights, edges, baseline=base, color=color, linewidth=1.2)
        axes.vlines(float(np.median(scores)), base, base + 0.85, color=INK, linewidth=1.6)
        axes.axhline(base, color=MUTED, linewidth=0.5)
    words = [written(spoken(name)) for name in groups]
    axes.set_yticks([0.4 - place for place in range(len(groups))], words)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(ylim=(-len(groups) + 0.95, 1.0), xlabel="score: higher is more bona fide")
