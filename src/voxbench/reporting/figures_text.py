"""The figures of transcripts: errors by kind and by length of the utterance, and which words are taken for which.

Shape letters: N utterances.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from voxbench.evaluation.records import ScoreRows
from voxbench.metrics.alignment import EditCounts
from voxbench.metrics.inputs import Integers
from voxbench.metrics.text import align_words, word_counts
from voxbench.reporting.drawing import DASHES, INK, MUTED, SERIES, Figure, legend_above, look
from voxbench.reporting.panels import written
from voxbench.reporting.quantities import count
from voxbench.reporting.scored_words import sample

# The least number of reference words of each class of lengths.
LENGTHS = (0, 1, 6, 11, 16, 21, 31)
MOST_CONFUSIONS = 20
NOTHING = "\u2205"
KINDS = ("substitutions", "deletions", "insertions")
HATCHES = ("", "///", "...")


@dataclass(frozen=True)
class Confusion:
    """A word of the reference and what was heard in its place, `NOTHING` for none, and how often."""

    reference: str
    hypothesis: str
    times: int


def text_figures(scored: ScoreRows) -> list[Figure]:
    """Return the figures of transcripts; without an error there is nothing to confuse."""
    counts = word_counts(*_texts(scored))
    found = confusions(scored, counts)
    figures = [lengths_figure(scored, counts)]
    return figures + ([confusions_figure(scored, found)] if found else [])


def confusions(scored: ScoreRows, counts: EditCounts) -> list[Confusion]:
    """Return the most frequent errors of the alignments, the most frequent first, equal ones in order of the words."""
    references, hypotheses = _texts(scored)
    wrong = np.flatnonzero(counts.errors)
    if not wrong.size:
        return []
    alignments = align_words([references[row] for row in wrong], [hypotheses[row] for row in wrong])
    pairs = Counter(pair for each in alignments for pair in each.pairs if pair[0] != pair[1])
    named = [Confusion(ours or NOTHING, theirs or NOTHING, times) for (ours, theirs), times in pairs.items()]
    return sorted(named, key=lambda each: (-each.times, each.reference, each.hypothesis))[:MOST_CONFUSIONS]


def lengths_figure(scored: ScoreRows, counts: EditCounts) -> Figure:
    """Draw the rate of each kind of word error, overall and by the length of the reference."""
    words = int(counts.reference.sum())
    return Figure(
        name="errors",
        title="Word errors by kind and length",
        says=(
            f"{sample(scored)}, {count(words)} reference words. Errors per 100 reference words: substitutions, "
            "deletions (a word that is missing) and insertions (one too many), stacked; the whole bar is the word "
            "error rate. Above, all utterances; below, by the number of words of the reference, with the number of "
            "utterances. Of alignments with equally few errors, one with the fewest substitutions counts. Bars of few "
            "utterances scatter widely; they have no intervals."
        ),
        panels=(partial(_lengths, counts),),
        width=5.4,
        height=1.5 + 0.42 * (1 + len(_bins(counts))),
    )


def _bins(counts: EditCounts) -> list[tuple[str, Integers]]:
    """Return the classes of lengths that occur, and the rows of each."""
    edges = [*LENGTHS, np.inf]
    found = []
    for low, high in pairwise(edges):
        rows = np.flatnonzero((counts.reference >= low) & (counts.reference < high))
        last = f"{low:g} or more" if high == np.inf else f"{low:g} to {high - 1:g}"
        if rows.size:
            found.append(("no words" if high == 1 else f"{last} words", rows))
    return found


def _lengths(counts: EditCounts, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    bins = [("all", np.arange(len(counts.reference))), *_bins(counts)]
    lefts = np.zeros(len(bins))
    # An empty reference has no length to divide by: its errors count in the bar of all.
    lengths = np.array([max(int(counts.reference[rows].sum()), 0) for _, rows in bins])
    for number, (kind, hatch) in enumerate(zip(KINDS, HATCHES, strict=True)):
        errors = np.array([int(getattr(counts, kind)[rows].sum()) for _, rows in bins])
        rates = np.divide(100 * errors, lengths, out=np.zeros(len(bins)), where=lengths > 0)
        style: dict[str, Any] = {
            "color": SERIES[number],
            "alpha": 0.75,
            "hatch": hatch,
            "edgecolor": INK,
            "linewidth": 0.5,
        }
        axes.barh(range(len(bins)), rates, 0.62, lefts, label=kind, **style)
        lefts += rates
    names = [f"{name}\n{count(len(rows))} utterances" for name, rows in bins]
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(bins)), names, color=INK, fontsize=8)
    axes.set_ylim(len(bins) - 0.4, -0.6)
    axes.axhline(0.5, color=MUTED, linewidth=0.8)
    axes.set_xlabel("errors per 100 reference words (%)\nlower is better")
    axes.grid(visible=False, axis="y")
    legend_above(axes, columns=3)


def confusions_figure(scored: ScoreRows, found: list[Confusion]) -> Figure:
    """Draw the most frequent errors, by kind."""
    return Figure(
        name="confusions",
        title="Most frequent word errors",
        says=(
            f"{sample(scored)}. What the reference says, and what stands in its place in the hypothesis; {NOTHING} is "
            f"no word, so that {NOTHING} on the left is an insertion and on the right a deletion. How often, over all "
            "utterances."
        ),
        panels=(partial(_confusions, found),),
        width=5.2,
        height=1.0 + 0.25 * len(found),
    )


def _confusions(found: list[Confusion], part: FigureBase) -> None:
    axes: Axes = part.subplots()
    for place, each in enumerate(found):
        number = 2 if each.reference == NOTHING else 1 if each.hypothesis == NOTHING else 0
        color, marker, _ = look(number)
        axes.plot([0, each.times], [place, place], color=color, linestyle=DASHES[number], linewidth=1.8)
        axes.plot(each.times, place, marker, color=color, markersize=6)
    names = [f"{written(each.reference)} \u2192 {written(each.hypothesis)}" for each in found]
    axes.set_yticks(range(len(found)), names, color=INK, fontsize=8)
    axes.set(xlim=(0, None), ylim=(len(found) - 0.4, -0.6), xlabel="times")
    axes.grid(visible=False, axis="y")


def _texts(scored: ScoreRows) -> tuple[list[str], list[str]]:
    references, hypotheses = scored.columns
    return [str(text) for text in references], [str(text) for text in hypotheses]
