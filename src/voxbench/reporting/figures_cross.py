"""The figures of the cross stage: networks trained on one corpus, tested on every other.

A cell's colour says how far it is from an answer that ignores the voice: blue better, orange worse. It is laid thinly
over the page's paper, so that the page's ink stays readable on it in the light theme and in the dark one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from voxbench.metrics import METRICS
from voxbench.reporting.drawing import INK, SERIES, Figure, tile
from voxbench.reporting.quantities import DASH, counted, quantity

BETTER, WORSE = SERIES[0], SERIES[1]
SUBJECTS = {"gender": "Gender", "age": "Age"}
# An error this far from the constant's, as a share of it, takes the most colour.
FULL_GAIN = 0.5
# Longer names of corpora take two lines.
WIDEST_NAME = 12


def cross_figures(matrix: pd.DataFrame) -> dict[str, Figure]:
    """Return a heat map for each subject and metric of the cross stage's `matrix.csv`, by `SUBJECT-METRIC`.

    >>> cross_figures(pd.DataFrame(columns=["subject", "benchmark", "corpus", "metric", "value"]))
    {}
    """
    found = matrix.groupby(["subject", "metric"], sort=False)
    return {f"{subject}-{metric}": _figure(f"{subject}", f"{metric}", rows) for (subject, metric), rows in found}


def _figure(subject: str, metric: str, rows: pd.DataFrame) -> Figure:
    benchmarks, corpora = _order(rows)
    shown = quantity(metric, 0)
    share = METRICS[metric].greater_is_better
    baseline = "chance level, one over the number of classes" if share else "error of the best constant answer"
    full = "100 % is full blue" if share else "half of it is full blue"
    sizes = [
        f"{corpus}: {counted(int(part['clips'].max()), 'clip')} of {counted(int(part['speakers'].max()), 'speaker')}"
        for corpus, part in ((corpus, rows[rows["corpus"] == corpus]) for corpus in corpora)
    ]
    return Figure(
        name=f"{subject}-{metric}",
        title=f"{SUBJECTS.get(subject, subject)} across corpora: {shown.label}",
        says=(
            "Each row is the network of a benchmark that is best on validation, each column the test rows of a corpus; "
            f"{shown.heading}{'' if share else ', lower is better'}, with the interval over speakers in small type. "
            "Outlined: the corpus it was trained on. Below each corpus, the "
            f"{baseline}; blue is better than that ({full}), orange worse, a dash was not measured. {'; '.join(sizes)}."
            + _notes(rows)
        ),
        panels=(partial(_heat_map, metric, rows, benchmarks, corpora),),
        width=1.8 + 1.05 * len(corpora),
        height=1.1 + 0.6 * len(benchmarks),
    )


def _notes(rows: pd.DataFrame) -> str:
    noted = rows[rows["note"].notna() & (rows["note"] != "")]
    return "".join(f" {row.benchmark} on {row.corpus}: {row.note}." for row in noted.itertuples())


def _order(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the benchmarks as they come, and the corpora so that a benchmark's own is on the diagonal if it can be."""
    own, corpora = _own(rows), list(rows["corpus"].unique())
    return list(own), list(dict.fromkeys([*(corpus for corpus in own.values() if corpus in corpora), *corpora]))


def _own(rows: pd.DataFrame) -> dict[str, str]:
    """Return the corpus that each benchmark was trained on."""
    return dict(zip(rows["benchmark"], rows["trained_on"], strict=True))


def _heat_map(metric: str, rows: pd.DataFrame, benchmarks: list[str], corpora: list[str], part: FigureBase) -> None:
    axes, shown = part.subplots(), quantity(metric, 0)
    for row in rows.to_dict("records"):
        column, line = corpora.index(row["corpus"]), benchmarks.index(row["benchmark"])
        if pd.notna(row["value"]):
            gain = _gain(metric, row["value"], row["baseline"])
            tile(axes, column, line, BETTER if gain >= 0 else WORSE, abs(gain))
            axes.text(column, line, shown.number(row["value"]), ha="center", va="bottom", fontsize=11)
            axes.text(column, line + 0.12, _interval(metric, row), ha="center", va="top", fontsize=7)
    measured = {(row.benchmark, row.corpus) for row in rows.itertuples() if pd.notna(row.value)}
    for line, benchmark in enumerate(benchmarks):
        for column, corpus in enumerate(corpora):
            if (benchmark, corpus) not in measured:
                axes.text(column, line, DASH, ha="center", va="center", fontsize=11)
        if (own := _own(rows)[benchmark]) in corpora:
            corner = (corpora.index(own) - 0.47, line - 0.47)
            axes.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=INK, linewidth=1.5))
    axes.set(xlim=(-0.5, len(corpora) - 0.5), ylim=(len(benchmarks) - 0.5, -0.5))
    axes.set_xticks(range(len(corpora)), [_corpus_words(metric, rows, corpus) for corpus in corpora])
    models = rows.drop_duplicates("benchmark").set_index("benchmark")["model"]
    axes.set_yticks(range(len(benchmarks)), [f"{benchmark}\n{models[benchmark]}" for benchmark in benchmarks])
    axes.tick_params(length=0, labelcolor=INK, labelsize=8)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="tested on", ylabel="trained on")


def _gain(metric: str, value: float, baseline: float) -> float:
    """Return how far `value` is from the baseline, positive where better, 1 where the colour is full."""
    if not METRICS[metric].greater_is_better:
        return (baseline - value) / (FULL_GAIN * baseline)
    return (value - baseline) / (1 - baseline if value > baseline else baseline)


def _interval(metric: str, row: dict[str, Any]) -> str:
    if pd.isna(row["low"]):
        return "no interval"
    shown = quantity(metric, 0)
    return f"[{shown.number(row['low'])}, {shown.number(row['high'])}]"


def _corpus_words(metric: str, rows: pd.DataFrame, corpus: str) -> str:
    """Return the corpus and the baseline on its test rows, or the range of it where the rows of cells differ."""
    shown, found = quantity(metric, 0), rows.loc[rows["corpus"] == corpus, "baseline"].dropna()
    word = "chance" if METRICS[metric].greater_is_better else "constant"
    write = shown.value if shown.unit == "%" else shown.number
    ends = list(dict.fromkeys(write(each) for each in (found.min(), found.max()))) if len(found) else [DASH]
    name = corpus if len(corpus) <= WIDEST_NAME else corpus.replace("_", "_\n", 1)
    return f"{name}\n{word} {' to '.join(ends)}"
