"""The figures of detection: curves of all finalists, and the scores and costs of the one validation chose."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from voxbench.metrics.detection import OperatingPoints, operating_points, probit
from voxbench.reporting.curves import det_positions, roc_of, roc_positions
from voxbench.reporting.drawing import MUTED, Figure, legend_above
from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.figures_comparisons import axis_words, look_of
from voxbench.reporting.figures_detection import Detected, det_axes, det_limits, threshold_figures
from voxbench.reporting.figures_evaluation import groups_figure
from voxbench.reporting.panels import roc_axes
from voxbench.reporting.quantities import quantity

EER, AUC = "eer", "auc"


def trial_figures(evidence: Evidence) -> list[Figure]:
    """Return the figures of detection that its trials allow; none of another task."""
    if not evidence.detects or evidence.detected is None:
        return []
    findings = evidence.detected.findings
    figures = [det_figure(evidence), roc_figure(evidence)] if EER in evidence.validated.tuned.values else []
    figures += threshold_figures(
        Detected(findings.scored, evidence.detected.bound.evaluation.costs), findings.calibrated
    )
    large = len(findings.groups) and findings.groups["low"].notna().any()
    return figures + ([groups_figure(findings)] if large else [])


def _points(finalist: Finalist) -> OperatingPoints:
    return operating_points(finalist.tuned.scores, finalist.tuned.truth)


def det_figure(evidence: Evidence) -> Figure:
    """Draw misses against false alarms of every fine-tuned finalist on probit axes."""
    nontarget, target = evidence.words
    return Figure(
        name="det",
        title="Detection error trade-off (DET)",
        says=(
            f"Test trials, one fine-tuned network each: {evidence.sample}. Every threshold is a point of a line: how "
            f"many {target} trials it rejects, how many {nontarget} trials it accepts; nearer to the lower left is "
            "better. "
            "The mark on the diagonal is the equal error rate; a network that knows nothing would stand at 50 %."
        ),
        panels=(partial(_det, evidence),),
        width=4.8,
        height=4.9 + 0.18 * len(evidence.finalists),
    )


def _det(evidence: Evidence, part: FigureBase) -> None:
    axes, shown = part.subplots(), quantity(EER, evidence.clips)
    levels = {finalist.model: finalist.tuned.values[EER] for finalist in evidence.ranked}
    low, high = det_limits(_points(evidence.validated), list(levels.values()))
    axes.plot([low, high], [low, high], color=MUTED, linestyle=":", linewidth=1)
    for finalist in evidence.ranked:
        color, marker, dashes = look_of(evidence, finalist)
        # Rates of zero, which have no place on such axes, are drawn at their edge.
        rates = (np.maximum(each, low) for each in det_positions(_points(finalist)))
        axes.plot(*rates, color=color, linestyle=dashes)
        place, label = np.clip(probit(levels[finalist.model]), low, high), shown.value(levels[finalist.model])
        style: dict[str, Any] = {"color": color, "linestyle": dashes, "markersize": 7, "clip_on": False, "zorder": 3}
        axes.plot(place, place, marker=marker, label=f"{finalist.model}: EER {label}", **style)
    nontarget, target = evidence.words
    det_axes(axes, (nontarget, target), (low, high))
    legend_above(axes, columns=1)


def roc_figure(evidence: Evidence) -> Figure:
    """Draw the receiver operating characteristic of every fine-tuned finalist."""
    nontarget, target = evidence.words
    return Figure(
        name="roc",
        title="Receiver operating characteristic",
        says=(
            f"Test trials, one fine-tuned network each: {evidence.sample}. The share of {target} trials accepted "
            f"against that of {nontarget} trials accepted, over all thresholds. AUC with its {evidence.level} interval "
            f"over {evidence.over}. The diagonal is chance."
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
        interval = finalist.bounds[AUC].interval
        area = shown.number(finalist.tuned.values[AUC]) if interval is None else shown.interval(interval)
        rates = roc_positions(roc_of(_points(finalist)))
        axes.plot(*rates, color=color, linestyle=dashes, label=f"{finalist.model}: AUC {area}")
    legend_above(axes, columns=1)


def trial_curves_figure(evidence: Evidence) -> Figure:
    """Draw training loss, validation loss and the validation metric of every finalist by epoch."""
    shown = quantity(evidence.metric.name, evidence.clips)
    return Figure(
        name="curves",
        title="Learning curves of the fine-tuned finalists",
        says=(
            "Above: the loss that was trained with, over the training speakers, in nats. Middle: what chooses the "
            f"epoch, the minimum Cllr of {evidence.validation} of people who were not trained on, in bits (1: the "
            f"scores are of no use). Below: the {shown.label} of the same. The vertical line marks the epoch whose "
            "weights were kept, that of the lowest minimum Cllr. One run each."
        ),
        panels=tuple(partial(_curves, evidence, finalist) for finalist in evidence.ranked),
        width=3.2,
        height=5.4,
    )


def _curves(evidence: Evidence, finalist: Finalist, part: FigureBase) -> None:
    shown, history = quantity(evidence.metric.name, evidence.clips), finalist.history
    color, marker, _ = look_of(evidence, finalist)
    rows = {
        "train_loss": (1.0, "training loss (nats)"),
        "valid_loss": (1.0, "validation minCllr (bits)"),
        f"valid_{evidence.metric.name}": (shown.factor, f"validation {axis_words(evidence.metric, evidence.clips)}"),
    }
    epochs = history["epoch"] + 1
    for axes, (column, (factor, words)) in zip(part.subplots(3, 1, sharex=True), rows.items(), strict=True):
        ends = [factor * each.history[column] for each in evidence.finalists]
        low, high = float(min(each.min() for each in ends)), float(max(each.max() for each in ends))
        margin = 0.08 * (high - low) or 1.0
        axes.plot(epochs, factor * history[column], color=color, marker=marker, markersize=3.5)
        axes.axvline(epochs.iloc[finalist.best_epoch], color=MUTED, linewidth=0.8)
        axes.set_ylim(low - margin, high + margin)
        # Above its axes, since names of metrics are longer than the axes are high.
        axes.set_title(words.replace("\n", ", "), fontsize=8.5, fontweight="normal")
    part.suptitle(finalist.model, x=0.02, ha="left", fontsize=10, fontweight="bold")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
