"""The figures of one benchmark, as panels that `drawing` turns into PNG and SVG.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from voxbench.metrics import confusion, reliability, roc_curve
from voxbench.metrics.classification import CALIBRATION_BINS
from voxbench.reporting.drawing import GRID, INK, MUTED, PAPER, SERIES, Figure, look
from voxbench.reporting.evidence import AUC, Evidence, Finalist
from voxbench.reporting.quantities import MINUS, count, counted, quantity

# Above so many pairs the forest shows only those of the best finalist; the table has them all.
MOST_PAIRS = 15


def figures(evidence: Evidence) -> list[Figure]:
    """Return the figures that the benchmark's numbers allow."""
    compared = (
        [seeds_figure(evidence), forest_figure(evidence)] if len(evidence.finalists) > 1 else [seeds_figure(evidence)]
    )
    curves = [roc_figure(evidence)] if len(evidence.task.classes) == 2 else []
    return [*compared, curves_figure(evidence), confusion_figure(evidence), *curves, reliability_figure(evidence)]


def seeds_figure(evidence: Evidence) -> Figure:
    """Draw one dot for each seed and finalist, mean and interval beside, lines joining the same seed."""
    shown = quantity(evidence.metric.name, evidence.clips)
    return Figure(
        name="seeds",
        title=f"Test {shown.label} of every seed",
        says=(
            f"A dot is one of {evidence.repeats} on the test rows ({evidence.sample}); grey lines join equal seeds. "
            f"The bar beside is the mean with its {evidence.level} t-interval over seeds; the dashed line is the "
            "trivial baseline."
        ),
        panels=(partial(_seeds, evidence),),
        width=5.0,
        height=3.5,
    )


def _seeds(evidence: Evidence, part: FigureBase) -> None:
    axes, name = part.subplots(), evidence.metric.name
    shown = quantity(name, evidence.clips)
    values = shown.factor * np.array([finalist.spreads[name].values for finalist in evidence.ranked])
    axes.plot(np.arange(len(values)), values, color=GRID, linewidth=0.8, zorder=1)
    for place, finalist in enumerate(evidence.ranked):
        color, marker, _ = _look(evidence, finalist)
        spread = finalist.spreads[name]
        axes.plot(np.full(len(values[place]), place), values[place], marker, color=color, alpha=0.75, markersize=5)
        ends = shown.factor * np.array([spread.low, spread.high])
        axes.plot([place + 0.18] * 2, ends, color=INK, linewidth=1.6, solid_capstyle="butt")
        axes.plot(place + 0.18, shown.factor * spread.mean, "_", color=INK, markersize=9, markeredgewidth=2)
    if name in evidence.baseline.values:
        axes.axhline(shown.factor * evidence.baseline.values[name], color=MUTED, linestyle="--", linewidth=1)
    axes.set_xticks(range(len(values)), [_wrapped(finalist.model) for finalist in evidence.ranked], color=INK)
    axes.set_xlim(-0.5, len(values) - 0.4)
    axes.set_ylabel(shown.heading)
    axes.grid(visible=False, axis="x")


def forest_figure(evidence: Evidence) -> Figure:
    """Draw the paired mean difference of every pair of finalists with its interval."""
    tests = _shown_tests(evidence)
    return Figure(
        name="differences",
        title="Paired differences",
        says=(
            f"Mean difference of the first minus the second over {evidence.repeats}, with its {evidence.level} "
            f"interval (not adjusted). Filled: significant after Holm over {counted(len(evidence.tests), 'pair')}; "
            "hollow: not. The pale band is what these seeds could miss: less than the smallest difference found with "
            f"{evidence.power} power."
            + (f" Only the pairs of {evidence.ranked[0].model} are drawn." if len(tests) < len(evidence.tests) else "")
        ),
        panels=(partial(_forest, evidence, tests),),
        width=5.0,
        height=max(3.5, 1.1 + 0.34 * len(tests)),
    )


def _shown_tests(evidence: Evidence) -> pd.DataFrame:
    tests, best = evidence.tests, evidence.ranked[0].model
    if len(tests) > MOST_PAIRS:
        tests = tests[(tests["a"] == best) | (tests["b"] == best)]
    return tests.sort_values("mean_difference", kind="stable")


def _forest(evidence: Evidence, tests: pd.DataFrame, part: FigureBase) -> None:
    axes, shown = part.subplots(), quantity(evidence.metric.name, evidence.clips)
    axes.axvline(0, color=MUTED, linewidth=1)
    for place, row in enumerate(tests.to_dict("records")):
        miss, ends = shown.factor * row["smallest_detectable"], shown.factor * np.array([row["ci_low"], row["ci_high"]])
        if np.isfinite(miss):
            axes.add_patch(
                Rectangle((-miss, place - 0.3), 2 * miss, 0.6, facecolor=GRID, alpha=0.6, linewidth=0, zorder=0)
            )
        significant = row["p_t_holm"] < evidence.alpha
        axes.plot(ends, [place] * 2, color=SERIES[0], linewidth=1.6)
        face = SERIES[0] if significant else PAPER
        axes.plot(
            shown.factor * row["mean_difference"], place, "o", color=SERIES[0], markerfacecolor=face, markersize=6.5
        )
    axes.set_yticks(
        range(len(tests)), [f"{row.a}\n{MINUS} {row.b}" for row in tests.itertuples()], color=INK, fontsize=8
    )
    axes.set_ylim(-0.6, len(tests) - 0.4)
    axes.autoscale_view(scaley=False)
    axes.set_xlabel(f"difference of {shown.label}{f' ({shown.step.strip()})' if shown.step else ''}")
    axes.grid(visible=False, axis="y")


def curves_figure(evidence: Evidence) -> Figure:
    """Draw training and validation loss and the validation metric of every finalist by epoch."""
    shown = quantity(evidence.metric.name, evidence.clips)
    clips = int(evidence.account.totals.loc["valid", "clips"])
    return Figure(
        name="curves",
        title="Learning curves of the fine-tuned finalists",
        says=(
            f"Above: loss in nats, training dashed and validation solid. Below: validation {shown.label} on "
            f"{counted(clips, 'clip')}. The vertical line marks the epoch whose weights were kept, that of the lowest "
            "validation loss. One run each."
        ),
        panels=tuple(partial(_curves, evidence, finalist) for finalist in evidence.ranked),
        width=3.2,
        height=3.7,
    )


def _curves(evidence: Evidence, finalist: Finalist, part: FigureBase) -> None:
    loss, metric = part.subplots(2, 1, sharex=True)
    shown, history = quantity(evidence.metric.name, evidence.clips), finalist.history
    color, marker, _ = _look(evidence, finalist)
    epochs = history["epoch"] + 1
    dots = {"marker": marker, "markersize": 3.5}
    loss.plot(epochs, history["train_loss"], color=MUTED, linestyle="--", label="training", **dots)
    loss.plot(epochs, history["valid_loss"], color=color, label="validation", **dots)
    metric.plot(epochs, shown.factor * history[f"valid_{evidence.metric.name}"], color=color, **dots)
    for axes in (loss, metric):
        axes.axvline(epochs.iloc[finalist.best_epoch], color=MUTED, linewidth=0.8)
    loss.set_ylim(0, 1.25 * _highest_loss(evidence))
    metric.set_ylim(*_common_limits(evidence))
    loss.set_title(finalist.model)
    loss.set_ylabel("loss (nats)")
    loss.legend(loc="upper right", ncols=2, columnspacing=1.2, borderpad=0)
    metric.set_ylabel(f"valid. {shown.heading}")
    metric.set_xlabel("epoch")
    metric.xaxis.set_major_locator(MaxNLocator(integer=True))


def _highest_loss(evidence: Evidence) -> float:
    return float(max(finalist.history[["train_loss", "valid_loss"]].max(axis=None) for finalist in evidence.finalists))


def _common_limits(evidence: Evidence) -> tuple[float, float]:
    shown, column = quantity(evidence.metric.name, evidence.clips), f"valid_{evidence.metric.name}"
    values = shown.factor * pd.concat([finalist.history[column] for finalist in evidence.finalists])
    margin = 0.06 * float(values.max() - values.min()) or 1.0
    return float(values.min()) - margin, float(values.max()) + margin


def confusion_figure(evidence: Evidence) -> Figure:
    """Draw the confusion matrix of every fine-tuned finalist on the test rows."""
    size = 1.3 + 0.65 * len(evidence.task.classes)
    return Figure(
        name="confusion",
        title="Confusion on the test rows",
        says=(
            f"Counts of {evidence.sample}, and the share of the true class (a row sums to 100 %). The one fine-tuned "
            "network of each finalist."
        ),
        panels=tuple(partial(_confusion, evidence, finalist) for finalist in evidence.ranked),
        width=max(size + 0.4, 3.0),
        height=size,
    )


def _confusion(evidence: Evidence, finalist: Finalist, part: FigureBase) -> None:
    axes, classes = part.subplots(), evidence.task.classes
    counts_CC = confusion(finalist.tuned.truth, finalist.tuned.predicted, len(classes))
    color = _look(evidence, finalist)[0]
    for (truth, predicted), number in np.ndenumerate(counts_CC):
        share = number / counts_CC[truth].sum() if counts_CC[truth].sum() else 0.0
        corner = (predicted - 0.5, truth - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, alpha=0.5 * share, linewidth=0))
        axes.text(
            predicted, truth, f"{count(int(number))}\n{100 * share:.1f} %", ha="center", va="center", linespacing=1.4
        )
    axes.set_xlim(-0.5, len(classes) - 0.5)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(visible=False)
    axes.set(title=finalist.model, xlabel="predicted", ylabel="true")


def roc_figure(evidence: Evidence) -> Figure:
    """Draw the receiver operating characteristic of every fine-tuned finalist."""
    positive = evidence.task.classes[1]
    return Figure(
        name="roc",
        title="Receiver operating characteristic",
        says=(
            f"Test rows, one fine-tuned network each: {evidence.sample}; positive class: {positive}. AUC with its "
            f"{evidence.level} interval over speakers. The diagonal is chance." + _without_width(evidence)
        ),
        panels=(partial(_roc, evidence),),
        width=4.6,
        height=4.4,
    )


def _roc(evidence: Evidence, part: FigureBase) -> None:
    axes, shown = part.subplots(), quantity(AUC, evidence.clips)
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1)
    for finalist in evidence.ranked:
        color, _, dashes = _look(evidence, finalist)
        interval, label = finalist.bounds[AUC].interval, finalist.model
        if AUC in finalist.tuned.undefined:
            axes.plot([], [], color=color, linestyle=dashes, label=f"{label}: undefined")
            continue
        curve = roc_curve(finalist.tuned.truth, finalist.tuned.probabilities[:, 1])
        area = shown.number(finalist.tuned.values[AUC]) if interval is None else shown.interval(interval)
        rates = curve.false_positive_rate, curve.true_positive_rate
        axes.plot(*rates, color=color, linestyle=dashes, label=f"{label}: {area}")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    axes.legend(loc="lower right", title="AUC", alignment="left")


def reliability_figure(evidence: Evidence) -> Figure:
    """Draw accuracy against confidence for every fine-tuned finalist."""
    return Figure(
        name="reliability",
        title="Calibration",
        says=(
            f"Accuracy against mean confidence of the predicted class in {CALIBRATION_BINS} equal bins; an area shows "
            f"how many of the {counted(evidence.clips, 'test clip')} fall in a bin. On the diagonal, confidence is "
            "honest; below it, too high. Bins of few clips scatter widely."
        ),
        panels=(partial(_reliability, evidence),),
        width=4.6,
        height=4.4,
    )


def _reliability(evidence: Evidence, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    lowest = 1 / len(evidence.task.classes)
    axes.plot([lowest, 1], [lowest, 1], color=MUTED, linestyle=":", linewidth=1)
    for finalist in evidence.ranked:
        color, marker, dashes = _look(evidence, finalist)
        bins = reliability(finalist.tuned.truth, finalist.tuned.probabilities, CALIBRATION_BINS)
        filled = bins.count > 0
        line = bins.confidence[filled], bins.accuracy[filled]
        axes.plot(*line, color=color, linestyle=dashes, linewidth=1, alpha=0.7)
        area = 12 + 240 * bins.count[filled] / evidence.clips
        axes.scatter(*line, s=area, color=color, marker=marker, alpha=0.75, linewidths=0)
        axes.plot([], [], color=color, marker=marker, linestyle=dashes, markersize=5, label=finalist.model)
    axes.set(xlabel="mean confidence", ylabel="accuracy", xlim=(lowest - 0.03, 1.03), ylim=(-0.04, 1.04))
    axes.legend(loc="lower right")


def _without_width(evidence: Evidence) -> str:
    intervals = [finalist.bounds[AUC].interval for finalist in evidence.finalists]
    if any(interval is not None and interval.low == interval.high for interval in intervals):
        return " An interval without width means that no resample of these speakers erred, not that none could."
    return ""


def _look(evidence: Evidence, finalist: Finalist) -> tuple[str, str, str]:
    """Return how a finalist looks in every figure: by its place in the selection, which no test score moves."""
    return look([each.model for each in evidence.finalists].index(finalist.model))


def _wrapped(model: str) -> str:
    return model.replace("_", "_\n", 1)
