"""Two systems: the table, the sentence that claims no more than the tests carry, the record and both DET curves."""

import json
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from reporting.evaluation_findings import COSTS, ORIGIN, RESAMPLED, detection, plain
from reporting.reading import Page
from voxbench.evaluation.comparing import Compared, Difference
from voxbench.evaluation.records import Findings
from voxbench.metrics import Interval
from voxbench.metrics.detection import eer, probit
from voxbench.reporting.drawing import STYLE
from voxbench.reporting.evaluation import FIGURE_NAMES, tables_of, terminal_lines, write_evaluation
from voxbench.reporting.evaluation_compared import (
    Against,
    compared_figures,
    compared_lines,
    compared_table,
    comparison_notes,
    verdict,
)
from voxbench.reporting.evaluation_record import record_of
from voxbench.reporting.quantities import DASH, MINUS
from voxbench.schema import ScoreKind

OTHER = replace(ORIGIN, scores="other.txt", scores_sha256="f" * 64)
NOTHING = Difference("auc", None, None, None, None, None, None, None, None, "nobody knows")


def difference(name: str, first: float, second: float, p_holm: float, reason: str = "") -> Difference:
    value = first - second
    interval = Interval(value, value - 0.01, value + 0.01, 0.95, 20, 2000, 3)
    return Difference(name, first, second, interval, "bootstrap", p_holm / 2, p_holm, -0.5, 0.0125, reason)


WORSE = difference("eer", 0.2265, 0.15, 0.002)
ALIKE = difference("min_dcf(p_target=0.01)", 0.75, 0.76, 0.9)
BETTER = difference("min_cllr", 0.4, 0.6, 0.02)
DOUBTED = difference("cllr", 0.79, 5.0, 0.001, "evidently no log-likelihood ratios")


def against(*differences: Difference, findings: Findings | None = None, **changes: object) -> Against:
    """Return a comparison with a system whose scores are those of the findings, turned a little worse."""
    scored = (findings or detection()).scored
    spoiled = scored.columns[0] + np.random.default_rng(3).normal(size=len(scored.columns[0]))
    other = replace(scored, columns=(spoiled, scored.columns[1]), origin=OTHER)
    return Against(replace(Compared(ORIGIN, OTHER, differences, RESAMPLED, ()), **changes), other)


def test_the_table_has_both_values_the_difference_and_its_tests() -> None:
    table = compared_table(detection(), against(WORSE, ALIKE, NOTHING))
    assert table.title == "Compared with other.txt"
    cells = dict(zip(table.columns, table.rows[0].cells, strict=True))
    assert cells == {
        "metric": "EER (%) ↓", "test": "bootstrap", "this": "22.65", "other": "15.00",
        "difference [95\u00a0% interval]": "+7.65 [+6.65, +8.65]", "p": "0.001", "Holm p": "0.002",
        "effect size": f"{MINUS}0.50", "smallest detectable": "1.25", "speakers": "20",
    }  # fmt: skip
    assert [row.marked for row in table.rows] == [True, False, False]
    assert table.rows[2].cells == ("AUC ↑", *[DASH] * 9)
    assert "AUC: nobody knows" in table.notes
    assert RESAMPLED in table.says
    assert "This is scores.txt, other is other.txt, and the difference is this minus other" in table.says
    assert "600 trials (300 bonafide, 300 spoof) of 20 speakers; Vox1-O, cleaned" in table.says


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ((WORSE,), "Shown to be better is other.txt on EER (Holm p below 0.05 over 1 metric)."),
        (
            (WORSE, BETTER, ALIKE, NOTHING),
            "Shown to be better is scores.txt on minCllr, and other.txt on EER (Holm p below 0.05 over 3 metrics); on "
            "the other metrics neither is.",
        ),
        ((ALIKE, NOTHING), "Neither system is shown to be better on any metric (Holm p below 0.05 over 1 metric)."),
        (
            (DOUBTED, ALIKE),
            "Neither system is shown to be better on any metric (Holm p below 0.05 over 2 metrics), leaving aside "
            "Cllr, which these scores do not allow.",
        ),
        (
            (DOUBTED, WORSE),
            "Shown to be better is other.txt on EER (Holm p below 0.05 over 2 metrics), leaving aside Cllr, which "
            "these scores do not allow.",
        ),
        (
            (difference("eer", 0.2, 0.1, 0.05),),
            "Neither system is shown to be better on any metric (Holm p below 0.05 over 1 metric).",
        ),
        ((NOTHING,), "Nothing is shown of which system is better, as no metric has a test."),
    ],
)
def test_the_sentence_claims_what_the_tests_carry(differences, said) -> None:
    assert verdict(detection(), against(*differences)) == said
    assert compared_table(detection(), against(*differences)).says.startswith(said)


def test_a_higher_value_is_better_where_the_metric_says_so() -> None:
    found = verdict(plain(ScoreKind.CLASSES), against(difference("accuracy", 0.8, 0.7, 0.01)))
    assert found.startswith("Shown to be better is scores.txt on accuracy")


def test_a_reason_beside_a_permutation_test_is_no_doubt() -> None:
    found = replace(difference("mae", 4.0, 5.0, 0.01, "too few speakers for this power"), test="permutation")
    assert "scores.txt on MAE" in verdict(plain(ScoreKind.VALUE), against(found))


def test_files_of_one_name_or_one_content_are_not_confused() -> None:
    named = against(WORSE, second=replace(OTHER, scores="scores.txt"))
    assert "better is the other system on EER" in verdict(detection(), named)
    same = against(WORSE, second=replace(OTHER, scores_sha256=ORIGIN.scores_sha256))
    assert "have the same content" in verdict(detection(), same)


def test_the_notes_are_those_of_the_other_file_and_of_what_is_left_out() -> None:
    assert comparison_notes(detection(), against(WORSE, ALIKE, DOUBTED, notes=("in one order",))) == (
        "the other system: read with care",
        "in one order",
        "not compared: AUC",
    )


def test_resamples_that_can_show_nothing_are_named() -> None:
    few = [replace(each, interval=replace(each.interval, resamples=39)) for each in (WORSE, ALIKE)]
    assert any(
        note.startswith("39 resamples and 2 metrics allow no Holm p below 0.05, so")
        for note in comparison_notes(detection(), against(*few))
    )
    enough = [replace(each, interval=replace(each.interval, resamples=40)) for each in (WORSE, ALIKE)]
    exact = [replace(few[0], test="permutation"), few[1]]
    for told in (enough, exact, [NOTHING]):
        assert not any("allow no Holm p" in note for note in comparison_notes(detection(), against(*told)))


def test_the_terminal_shows_a_short_table_and_the_sentence() -> None:
    beside = against(WORSE, NOTHING)
    alone, lines = terminal_lines(detection()), terminal_lines(detection(), beside)
    assert lines[: len(alone)] == alone
    assert lines[len(alone) :] == compared_lines(detection(), beside)
    heading, columns, first, second, said = lines[len(alone) :]
    assert heading == "compared with other.txt, over speakers:"
    assert columns.split() == ["metric", "this", "other", "difference", "[95", "%]", "Holm", "p"]
    assert first.split() == ["EER", "(%)", "↓", "22.65", "15.00", "+7.65", "[+6.65,", "+8.65]", "0.002"]
    assert second.split()[2:] == [DASH] * 4
    assert len({len(line) for line in (columns, first, second)}) == 1
    assert said == verdict(detection(), beside)


def test_the_record_has_the_comparison_or_null() -> None:
    assert record_of(detection())["compared"] is None
    found = json.loads(json.dumps(record_of(detection(), against(WORSE, NOTHING)), allow_nan=False))["compared"]
    assert found["origin"]["scores_sha256"] == "f" * 64
    assert found["resampled"] == RESAMPLED
    assert found["metrics"][0] == {
        "name": "eer", "this": 0.2265, "other": 0.15, "difference": 0.2265 - 0.15, "reason": "",
        "low": WORSE.interval.low, "high": WORSE.interval.high, "level": 0.95, "clusters": 20, "resamples": 2000,
        "undefined": 3, "test": "bootstrap", "p": 0.001, "p_holm": 0.002, "effect_size": -0.5,
        "smallest_detectable": 0.0125,
    }  # fmt: skip
    assert (found["metrics"][1]["difference"], found["metrics"][1]["reason"]) == (None, "nobody knows")


def test_both_det_curves_differ_in_label_line_and_colour() -> None:
    beside = against(WORSE)
    (figure,) = compared_figures(detection(), beside)
    with mpl.rc_context(STYLE):
        canvas = Canvas()
        figure.panels[0](canvas)
    (axes,) = canvas.axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == 2
    assert len({line.get_color() for line in curves}) == len({line.get_linestyle() for line in curves}) == 2
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    legend = axes.get_legend()
    for line, curve in zip(legend.get_lines(), curves, strict=True):
        assert (line.get_color(), line.get_linestyle()) == (curve.get_color(), curve.get_linestyle())
    both = zip(marks, legend.get_texts(), ("this", "other"), (detection().scored, beside.other), strict=True)
    for mark, text, name, scored in both:
        value = f"{100 * eer(*scored.columns):.2f}"
        assert text.get_text() == f"{name}: EER {value}\u202f%"
        assert mark.get_xydata()[0] == pytest.approx([probit(eer(*scored.columns))] * 2)
    assert "Solid is this, scores.txt; dashed is other, other.txt." in figure.says
    assert compared_figures(plain(ScoreKind.TEXT), against(WORSE, findings=detection())) == []


def test_page_tables_and_files_hold_the_comparison(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>|`$x$.txt"
    beside = against(WORSE, second=replace(OTHER, scores=hostile))
    write_evaluation(detection(), COSTS, tmp_path, lambda message: None, beside)
    assert "det-compared.png" in {path.name for path in (tmp_path / "figures").iterdir()} <= FIGURE_NAMES
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not page.open
    assert "<img" not in html
    texts = " ".join(page.texts)
    assert f"Compared with {hostile}" in texts
    assert {"Two systems", "p, Holm p"} <= set(page.texts)
    assert "f" * 64 in texts
    assert "## Compared with \\<img" in (tmp_path / "results.md").read_text(encoding="utf-8")
    write_evaluation(detection(), COSTS, tmp_path, lambda message: None)
    assert not {"Two systems", "p, Holm p"} & set(Page((tmp_path / "index.html").read_text(encoding="utf-8")).texts)
    assert not (tmp_path / "figures" / "det-compared.png").exists()


def test_the_comparison_stands_after_the_metrics() -> None:
    tables, alone = tables_of(detection(), against(WORSE)), tables_of(detection(), None)
    assert list(tables) == ["metrics", "compared", *list(alone)[1:]]
    assert [row.cells[0] for row in tables["origin"].rows] == [
        *["evaluated"] * 2,
        *["compared"] * 2,
        *["development"] * 2,
    ]
