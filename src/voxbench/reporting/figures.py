"""All figures of one benchmark, as panels that `drawing` turns into PNG and SVG; here those of classes and the curves.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from voxbench.metrics import confusion, reliability, roc_curve
from voxbench.metrics.classification import CALIBRATION_BINS
from voxbench.reporting.drawing import MUTED, Figure, legend_above
from voxbench.reporting.evidence import AUC, Evidence, Finalist
from voxbench.reporting.figures_attacks import attacks_figures
from voxbench.reporting.figures_comparisons import (
    axis_words,
    forest_figure,
    groups_figure,
    look_of,
    seeds_figure,
    variants_figure,
)
from voxbench.reporting.figures_costs import costs_figure
from voxbench.reporting.figures_speakers import transcript_figures
from voxbench.reporting.figures_trials import trial_curves_figure, trial_figures
from voxbench.reporting.figures_values import age_figure, estimates_figure
from voxbench.reporting.panels import confusion_cells, confusion_size, reliability_axes, reliability_line, roc_axes
from voxbench.reporting.quantities import counted, quantity
from voxbench.schema import ScoreKind

# What a loss of 1 means, by what the network answers.
LOSSES = {
    ScoreKind.CLASSES: "loss (nats)",
    ScoreKind.VALUE: "loss (variances)",
    ScoreKind.DETECTION: "loss (nats)",
    ScoreKind.TEXT: "loss (nats)",
}


def figures_of(evidence: Evidence) -> dict[str, Figure]:
    """Return the figures that the benchmark's numbers allow, by name."""
    make = [seeds_figure]
    if len(evidence.finalists) > 1:
        make.append(forest_figure)
    if evidence.detects or evidence.texts is not None:
        pass
    elif evidence.task.score_kind is ScoreKind.VALUE:
        make += [estimates_figure, *([age_figure] if evidence.task.subject == "age" else [])]
    else:
        make += [confusion_figure, *([roc_figure] if len(evidence.task.classes) == 2 else []), reliability_figure]
    make += [groups_figure] if len(evidence.groups) else []
    make += [variants_figure] if len(evidence.variants) else []
    make += [] if evidence.inherited or evidence.told_in else [costs_figure]
    drawn = [each(evidence) for each in make] + trial_figures(evidence) + attacks_figures(evidence)
    drawn += transcript_figures(evidence)
    if evidence.told_in is None:
        drawn.append((trial_curves_figure if evidence.task.pairs else curves_figure)(evidence))
    return {figure.name: figure for figure in drawn}


def curves_figure(evidence: Evidence) -> Figure:
    """Draw training and validation loss and the validation metric of every finalist by epoch."""
    shown = quantity(evidence.metric.name, evidence.clips)
    clips = int(evidence.account.totals.loc["valid", "clips"])
    return Figure(
        name="curves",
        title="Learning curves of the fine-tuned finalists",
        says=(
            f"Above: {_loss_words(evidence)}, training dashed and validation solid. Below: validation {shown.label} "
            f"on {counted(clips, 'clip')}. The vertical line marks the epoch whose weights were kept, that of the "
            "lowest validation loss. One run each."
        ),
        panels=tuple(partial(_curves, evidence, finalist) for finalist in evidence.ranked),
        width=3.2,
        height=4.0,
    )


def _loss_words(evidence: Evidence) -> str:
    if evidence.task.score_kind is ScoreKind.VALUE:
        return "loss, the squared error over the variance of the training rows (1: guessing their mean)"
    if evidence.detects:
        return (
            "loss in nats, for validation with both classes weighing the same, in training as the settings weigh them"
        )
    if evidence.texts is not None:
        return "loss in nats for each character of the transcripts"
    return "loss in nats"


def _curves(evidence: Evidence, finalist: Finalist, part: FigureBase) -> None:
    loss, metric = part.subplots(2, 1, sharex=True)
    shown, history = quantity(evidence.metric.name, evidence.clips), finalist.history
    color, marker, _ = look_of(evidence, finalist)
    epochs = history["epoch"] + 1
    dots = {"marker": marker, "markersize": 3.5}
    loss.plot(epochs, history["train_loss"], color=MUTED, linestyle="--", label="training", **dots)
    loss.plot(epochs, history["valid_loss"], color=color, label="validation", **dots)
    metric.plot(epochs, shown.factor * history[f"valid_{evidence.metric.name}"], color=color, **dots)
    for axes in (loss, metric):
        axes.axvline(epochs.iloc[finalist.best_epoch], color=MUTED, linewidth=0.8)
    loss.set_ylim(0, 1.08 * _highest_loss(evidence))
    metric.set_ylim(*_common_limits(evidence))
    loss.set_title(finalist.model)
    loss.set_ylabel(LOSSES[evidence.task.score_kind])
    # Above its axes, since names of metrics are longer than the axes are high.
    metric.set_title(f"validation {axis_words(evidence.metric, evidence.clips)}", fontsize=8.5, fontweight="normal")
    part.legend(*loss.get_legend_handles_labels(), loc="outside lower left", ncols=2, borderpad=0)
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
    size = confusion_size(len(evidence.task.classes))
    return Figure(
        name="confusion",
        title="Confusion on the test rows",
        says=(
            f"The share of the true class in percent (a row sums to 100), with the number of clips below; "
            f"{evidence.sample}. The one fine-tuned network of each finalist."
        ),
        panels=tuple(partial(_confusion, evidence, finalist) for finalist in evidence.ranked),
        width=max(size + 0.2, 2.8),
        height=size,
    )


def _confusion(evidence: Evidence, finalist: Finalist, part: FigureBase) -> None:
    axes, classes = part.subplots(), evidence.task.classes
    counts_CC = confusion(finalist.tuned.truth, finalist.tuned.predicted, len(classes))
    confusion_cells(axes, counts_CC, classes, look_of(evidence, finalist)[0])
    axes.set_title(finalist.model)


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
        height=4.2 + 0.18 * len(evidence.finalists),
    )


def _roc(evidence: Evidence, part: FigureBase) -> None:
    axes, shown = part.subplots(), quantity(AUC, evidence.clips)
    roc_axes(axes)
    for finalist in evidence.ranked:
        color, _, dashes = look_of(evidence, finalist)
        interval, label = finalist.bounds[AUC].interval, finalist.model
        if AUC in finalist.tuned.undefined:
            axes.plot([], [], color=color, linestyle=dashes, label=f"{label}: AUC undefined")
            continue
        curve = roc_curve(finalist.tuned.truth, finalist.tuned.scores[:, 1])
        area = shown.number(finalist.tuned.values[AUC]) if interval is None else shown.interval(interval)
        rates = curve.false_positive_rate, curve.true_positive_rate
        axes.plot(*rates, color=color, linestyle=dashes, label=f"{label}: AUC {area}")
    legend_above(axes, columns=1)


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
        height=4.2 + 0.18 * ((len(evidence.finalists) + 1) // 2),
    )


def _reliability(evidence: Evidence, part: FigureBase) -> None:
    axes: Axes = part.subplots()
    reliability_axes(axes, len(evidence.task.classes))
    for finalist in evidence.ranked:
        bins = reliability(finalist.tuned.truth, finalist.tuned.scores, CALIBRATION_BINS)
        reliability_line(axes, bins, look_of(evidence, finalist), finalist.model)
    legend_above(axes)


def _without_width(evidence: Evidence) -> str:
    intervals = [finalist.bounds[AUC].interval for finalist in evidence.finalists]
    if any(interval is not None and interval.low == interval.high for interval in intervals):
        return " An interval without width means that no resample of these speakers erred, not that none could."
    return ""
