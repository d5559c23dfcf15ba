"""The figures of a score file: where their marks, lines and bars stand."""

from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from reporting.evaluation_findings import COSTS, detection, plain, rows
from voxbench.metrics.detection import act_dcf, eer, min_dcf, probit
from voxbench.metrics.text import word_counts
from voxbench.reporting.drawing import STYLE, Figure
from voxbench.reporting.figures_detection import (
    HIGHEST_COST,
    PRIOR_ODDS,
    Detected,
    bayes_figure,
    det_figure,
    detection_roc_figure,
)
from voxbench.reporting.figures_evaluation import estimates_figure, evaluation_figures, groups_figure
from voxbench.reporting.figures_scores import scores_figure
from voxbench.reporting.figures_text import NOTHING, Confusion, confusions, confusions_figure, lengths_figure
from voxbench.schema import ScoreKind


def drawn(figure: Figure, panel: int = 0) -> list[Axes]:
    """Return the axes of a panel."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(figure.width, figure.height))
        figure.panels[panel](canvas)
        return canvas.axes


def marks(axes: Axes) -> dict[str, tuple[float, float, str]]:
    """Return label, place and marker of every single point."""
    found = (line for line in axes.lines if len(line.get_xdata()) == 1)
    return {str(each.get_label()): (*each.get_xydata()[0], str(each.get_marker())) for each in found}


def random_scores() -> Iterator[Detected]:
    for seed in range(20):
        draws = np.random.default_rng(seed)
        labels = np.append(draws.integers(0, 2, 40), [0, 1])
        scores = draws.normal(draws.uniform(0, 2) * labels).round(1)
        yield Detected(rows(ScoreKind.DETECTION, (scores, labels), ("spoof", "bonafide")), COSTS)


def test_the_marks_of_a_det_plot_stand_at_equal_error_and_least_cost() -> None:
    for detected in random_scores():
        scores, labels = detected.scored.columns
        (axes,) = drawn(det_figure(detected))
        low, high = axes.get_xlim()
        found = list(marks(axes).items())
        level = np.clip(probit(eer(scores, labels)), low, high)
        assert found[0][1][:2] == (level, level)
        for (label, (p_fa, p_miss, _)), costs in zip(found[1:], COSTS, strict=True):
            weights = np.array([costs.c_fa * (1 - costs.p_target), costs.c_miss * costs.p_target])
            thresholds = [*np.unique(scores), np.inf]
            rates = np.array(
                [[(scores[labels == 0] >= at).mean(), (scores[labels == 1] < at).mean()] for at in thresholds]
            )
            best = (rates @ weights).min()
            there = np.isclose(np.clip(probit(rates), low, high), [p_fa, p_miss]).all(axis=1)
            assert (rates[there] @ weights).min() == pytest.approx(best)
            assert f"minDCF {best / weights.min():.4f}" in label


def test_no_mark_of_a_det_plot_looks_like_another() -> None:
    (axes,) = drawn(det_figure(Detected(detection().scored, COSTS)))
    assert len({marker for _, _, marker in marks(axes).values()}) == 1 + len(COSTS)
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        label.get_text() for label in axes.get_yticklabels()
    ]


@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0, -4.0])
def test_a_det_plot_shows_its_marks_whatever_the_scores(shift) -> None:
    labels = np.arange(4000) % 2
    scores = np.random.default_rng(3).normal(shift * labels)
    (axes,) = drawn(det_figure(Detected(rows(ScoreKind.DETECTION, (scores, labels)), COSTS)))
    (low, high), level = axes.get_xlim(), float(probit(eer(scores, labels)))
    assert low < level < high
    ticks = axes.get_xticks()
    assert len(ticks) >= 5
    assert (np.diff(ticks) > 0.05 * (high - low)).all()


def test_a_det_plot_says_below_which_rates_errors_are_few() -> None:
    detected = Detected(detection(300).scored, COSTS)
    assert "Rates below 10.00 % spoof or 10.00 % bonafide rest on fewer than 30 errors." in det_figure(detected).says


def test_the_roc_says_its_area() -> None:
    scored = rows(ScoreKind.DETECTION, (np.array([0.2, 0.2, 0.7]), np.array([0, 1, 1])))
    (axes,) = drawn(detection_roc_figure(Detected(scored, COSTS)))
    assert axes.lines[1].get_xydata().tolist() == [[0, 0], [0, 0.5], [1, 1]]
    assert axes.lines[1].get_label() == "AUC 0.7500"


def test_cost_at_every_prior_is_that_of_the_metrics() -> None:
    for detected in random_scores():
        (axes,) = drawn(bayes_figure(detected, None))
        _, actual, least, *vertical = axes.lines
        scores, labels = detected.scored.columns
        for place in (0, 40, 80, 97, 160):
            prior = 1 / (1 + np.exp(-PRIOR_ODDS[place]))
            cost = min(act_dcf(scores, labels, prior), HIGHEST_COST)
            assert actual.get_ydata()[place] == pytest.approx(cost)
            assert least.get_ydata()[place] == pytest.approx(min_dcf(scores, labels, prior))
        at = [line.get_xdata()[0] for line in vertical]
        assert at == pytest.approx([np.log(0.01 / 0.99), np.log(0.05 / 0.95 / 10)])
        assert actual.get_linestyle() != least.get_linestyle()


def test_histograms_are_shares_of_each_class_with_the_thresholds() -> None:
    findings = detection()
    figure = scores_figure(findings.scored, findings.calibrated)
    assert len(figure.panels) == 2
    (before,), (after,) = drawn(figure), drawn(figure, 1)
    for axes in (before, after):
        assert [patch.get_data().values.sum() for patch in axes.patches] == pytest.approx([100] * 4)
        assert axes.patches[1].get_linestyle() != axes.patches[3].get_linestyle()
    assert not marks(before)
    values = [each.threshold.value for each in findings.calibrated.decided]
    assert [x for x, _, _ in marks(after).values()] == values
    assert len({(line.get_linestyle(), line.get_color()) for line in after.lines}) >= 2
    assert next(iter(marks(after))) == "bayes: 0.00"


def test_a_spiky_histogram_has_an_axis_by_tenfold() -> None:
    labels = np.arange(1000) % 2
    spiky = rows(ScoreKind.DETECTION, (labels + np.where(np.arange(1000) < 10, 0.5, 0.0), labels))
    assert drawn(scores_figure(spiky, None))[0].get_yscale() == "log"
    assert drawn(scores_figure(detection().scored, None))[0].get_yscale() == "linear"


def test_one_score_far_from_all_others_does_not_hide_them() -> None:
    """The middle is 0.01 to 1.99, so that the axis ends near -2; nothing is lost of the shares."""
    labels, scores = np.arange(400) % 2, np.linspace(0, 2, 400)
    plain, far = (rows(ScoreKind.DETECTION, (np.append(scores, last), np.append(labels, 0))) for last in (0.5, -1900.0))
    assert drawn(scores_figure(plain, None))[0].patches[0].get_data().edges[0] == 0.0
    figure = scores_figure(far, None)
    [axes] = drawn(figure)
    assert -2.1 < axes.patches[0].get_data().edges[0] < -1.9
    assert [patch.get_data().values.sum() for patch in axes.patches] == pytest.approx([100] * 4)
    assert figure.says.endswith("Scores beyond an axis stand in its outermost step.")
    assert "beyond" not in scores_figure(plain, None).says


def test_two_classes_with_development_rows_have_thresholds_too() -> None:
    findings, calibrated = plain(ScoreKind.CLASSES), detection().calibrated
    names = [figure.name for figure in evaluation_figures(replace(findings, calibrated=calibrated), COSTS)]
    assert names == ["confusion", "roc", "reliability", "scores", "calibration"]


def test_more_classes_have_no_roc() -> None:
    findings = plain(ScoreKind.CLASSES)
    p = np.column_stack([findings.scored.columns[1] / 2, np.full(200, 0.5)])
    scored = replace(findings.scored, columns=(findings.scored.columns[0], p), classes=("a", "b", "c"))
    names = [figure.name for figure in evaluation_figures(replace(findings, scored=scored), COSTS)]
    assert names == ["confusion", "reliability"]


def test_groups_show_the_first_metric_with_its_intervals() -> None:
    findings = detection()
    second = findings.groups.assign(metric="p_miss(bayes)")
    figure = groups_figure(replace(findings, groups=pd.concat([findings.groups, second], ignore_index=True)))
    assert len(figure.panels) == 1
    axes, _ = drawn(figure)
    overall, *bars = axes.lines
    assert overall.get_xdata()[0] == pytest.approx(22.65)
    assert [x for line in bars for x in line.get_xdata()] == pytest.approx([1, 3, 2, 15, 25, 20])
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "A07\n20 speakers", "A08\n20 speakers", "A09\n2 speakers, too few",
    ]  # fmt: skip
    assert axes.get_xlabel() == "EER (%)\nlower is better"


def test_groups_without_any_interval_have_no_figure() -> None:
    findings = detection()
    names = [
        each.name for each in evaluation_figures(replace(findings, groups=findings.groups.assign(low=np.nan)), COSTS)
    ]
    assert "groups" not in names


@pytest.mark.parametrize("number", [50, 5000])
def test_estimates_and_their_errors(number) -> None:
    draws = np.random.default_rng(2)
    truth = draws.uniform(0, 0.01, number)
    scored = replace(rows(ScoreKind.VALUE, (truth, truth + 0.001)), unit="m")
    figure = estimates_figure(scored)
    (cloud,), (errors,) = drawn(figure), drawn(figure, 1)
    assert cloud.get_xlabel() == "truth (m)"
    line = cloud.lines[-1].get_xydata()
    assert (line[:, 1] - line[:, 0]).mean() == pytest.approx(0.001, abs=3e-4)
    counts = errors.patches[0].get_data()
    assert counts.values.sum() == number
    assert counts.edges[np.argmax(counts.values)] > 0


def test_estimates_that_are_all_alike_can_be_drawn() -> None:
    scored = rows(ScoreKind.VALUE, (np.full(2000, 3.0), np.full(2000, 3.0)))
    figure = estimates_figure(scored)
    assert drawn(figure)
    assert drawn(figure, 1)[0].patches[0].get_data().values.sum() == 2000


def test_confusions_are_counted_over_the_alignments() -> None:
    scored = plain(ScoreKind.TEXT).scored
    found = confusions(scored, word_counts(*(list(side) for side in scored.columns)))
    assert found == [Confusion("two", "too", 10), Confusion(NOTHING, "five", 10)]
    (axes,) = drawn(confusions_figure(scored, found))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["two \u2192 too", f"{NOTHING} \u2192 five"]
    assert len({line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1}) == 2


def test_perfect_transcripts_have_no_confusions() -> None:
    findings = plain(ScoreKind.TEXT)
    same = replace(findings.scored, columns=(findings.scored.columns[0],) * 2)
    assert [figure.name for figure in evaluation_figures(replace(findings, scored=same), COSTS)] == ["errors"]


def test_errors_stack_to_the_word_error_rate_of_each_length() -> None:
    references = np.array(["a b c d e f", "a b", ""], dtype=object)
    hypotheses = np.array(["a x c d e", "a b c", "new"], dtype=object)
    scored = rows(ScoreKind.TEXT, (references, hypotheses))
    (axes,) = drawn(lengths_figure(scored, word_counts(list(references), list(hypotheses))))
    names = [label.get_text().splitlines()[0] for label in axes.get_yticklabels()]
    assert names == ["all", "no words", "1 to 5 words", "6 to 10 words"]
    ends = [0.0] * len(names)
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        assert bar.get_x() == pytest.approx(ends[place])
        ends[place] += bar.get_width()
    assert ends == pytest.approx([100 * 4 / 8, 0, 50, 100 * 2 / 6])
    assert len({bar.get_hatch() for bar in axes.patches}) == 3
