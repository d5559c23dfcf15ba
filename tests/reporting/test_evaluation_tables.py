"""The tables of a score file, cell by cell, and the same as Markdown."""

from dataclasses import replace

import numpy as np
import pytest

from reporting.evaluation_findings import EMPTY, detection, measured, plain
from reporting.reading import cell
from voxbench.config.decisions import Bayes, EerPoint, FixedFar
from voxbench.evaluation.records import Measured
from voxbench.metrics.calibration import Affine, Isotonic
from voxbench.reporting.evaluation_tables import calibrated_table, evaluation_tables, policy_words, thresholds_table
from voxbench.reporting.markdown import escaped, markdown
from voxbench.reporting.quantities import DASH
from voxbench.reporting.scored_words import better, list_words, sample, shown
from voxbench.reporting.table import Row, Table
from voxbench.schema import ScoreKind


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return evaluation_tables(detection())


def test_tables_without_rows_are_left_out(tables) -> None:
    assert list(tables) == ["metrics", "calibrated", "thresholds", "groups", "worst", "gaps", "origin"]
    assert list(evaluation_tables(plain(ScoreKind.TEXT))) == ["metrics", "origin"]


def test_every_table_says_its_n_or_its_resampling(tables) -> None:
    for name in ("metrics", "calibrated", "thresholds", "groups"):
        assert "600 trials (300 bonafide, 300 spoof) of 20 speakers" in tables[name].says, name
    for name in ("metrics", "calibrated", "groups", "worst", "gaps"):
        assert "2,000 resamples of speakers" in tables[name].says, name


def test_metrics_have_value_interval_and_reason(tables) -> None:
    table = tables["metrics"]
    assert [row.cells for row in table.rows] == [
        ("EER ↓", "22.65\u202f%", "20.00 to 25.00"),
        ("minDCF (p_target = 0.01) ↓", "0.7500", "0.7000 to 0.8000"),
        ("Cllr ↓", "0.7900 bits", "0.7000 to 0.9000"),
        ("AUC ↑", DASH, DASH),
    ]
    assert table.columns == ("metric", "value", "95\u00a0% interval")
    assert table.notes == ("Cllr: evidently no log-likelihood ratios", "AUC: nobody knows")


def test_a_reason_that_several_share_stands_once() -> None:
    found = tuple(Measured(name, None, None, "one class") for name in ("eer", "auc"))
    (note,) = evaluation_tables(replace(detection(), measured=found))["metrics"].notes
    assert note == "EER, AUC: one class"


def test_thresholds_show_both_sides(tables) -> None:
    table = tables["thresholds"]
    assert table.rows[0].cells[:3] == ("bayes", "least expected cost at p = 0.5, c_miss = 1, c_fa = 1", "0.000")
    assert cell(table, "bayes", "misses, here") == "6.25 [5.00, 7.00]"
    assert cell(table, "bayes", "false alarms, here") == "12.50 [10.00, 15.00]"
    strict = detection().calibrated.decided[1].threshold
    assert cell(table, "strict", "false alarms, development") == f"{100 * strict.p_fa:.2f}"
    assert cell(table, "strict", "misses, development") == f"{100 * strict.p_miss:.2f}"
    assert "bonafide trials rejected" in table.says
    assert "dev.txt (sha256 eeeeeeeeeeee)" in table.says


def test_a_threshold_without_an_interval_or_a_value_says_why() -> None:
    findings = detection()
    decided = findings.calibrated.decided
    bare = replace(decided[0], p_miss=Measured("p_miss(bayes)", 0.5, None, "two speakers at least"),
                   p_fa=Measured("p_fa(bayes)", None, None, "no spoofs"))  # fmt: skip
    table = thresholds_table(findings, replace(findings.calibrated, decided=(bare,)))
    assert cell(table, "bayes", "misses, here") == "50.00"
    assert cell(table, "bayes", "false alarms, here") == DASH
    assert table.notes == ("miss rate (bayes): two speakers at least", "false-alarm rate (bayes): no spoofs")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Bayes(p_target=0.01, c_miss=10, c_fa=1), "least expected cost at p = 0.01, c_miss = 10, c_fa = 1"),
        (FixedFar(rate=0.001), "at most 0.1 % false alarms"),
        (EerPoint(), "misses as frequent as false alarms"),
    ],
)
def test_policies_are_put_in_words(policy, words) -> None:
    assert policy_words(policy) == words


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (Affine(scale=2.0, offset=-1.0, weights={}), "llr = 2.0000 \u00d7 score \u2212 1.0000."),
        (Affine(scale=2.0, offset=1.5, weights={"log_s": 0.25}), "\u00d7 score + 1.5000 + 0.2500 \u00d7 log_s."),
        (Isotonic(scores=(0, 1), llrs=(-1, 1)), "an isotonic map of 2 knots."),
    ],
)
def test_the_map_is_stated(calibration, words) -> None:
    findings = detection()
    assert words in calibrated_table(findings, replace(findings.calibrated, calibration=calibration)).says


def test_groups_show_every_metric_and_mark_the_worst(tables) -> None:
    table = tables["groups"]
    assert table.columns == ("by", "group", "rows", "speakers", "EER (%) ↓")
    assert [row.cells for row in table.rows] == [
        ("attack", "A07", "400", "20", "2.00 [1.00, 3.00]"),
        ("attack", "A08", "400", "20", "20.00 [15.00, 25.00]"),
        ("attack", "A09", "4", "2", DASH),
    ]
    assert [row.marked for row in table.rows] == [False, True, False]
    assert table.notes == ("A09: too few speakers",)


def test_the_worst_group_and_the_gap_are_stated(tables) -> None:
    assert tables["worst"].rows[0].cells == ("attack", "EER (%)", "A08", "20.00 [15.00, 25.00]")
    assert tables["gaps"].rows[0].cells == ("attack", "EER (%)", "A08", "A07", "18.00 [10.00, 20.00]", "5.00", "0.001")
    assert tables["gaps"].rows[0].marked


def test_a_gap_within_chance_is_not_marked() -> None:
    findings = detection()
    assert not evaluation_tables(replace(findings, gaps=findings.gaps.assign(chance=0.3)))["gaps"].rows[0].marked
    unknown = findings.gaps.assign(chance=np.nan, p=np.nan)
    row = evaluation_tables(replace(findings, gaps=unknown))["gaps"].rows[0]
    assert row.cells[-2:] == (DASH, DASH)
    assert not row.marked


def test_the_files_stand_with_their_whole_hashes(tables) -> None:
    assert [row.cells for row in tables["origin"].rows] == [
        ("evaluated", "scores", "scores.txt", "a" * 64),
        ("evaluated", "list", "Vox1-O, cleaned (trials.txt)", "0123456789ab" + "c" * 52),
        ("development", "scores", "dev.txt", "d" * 64),
        ("development", "list", "dev.txt", "e" * 64),
    ]
    assert tables["origin"].notes == ("read with care",)


def test_what_is_not_over_speakers_says_so() -> None:
    findings = detection()
    scored = replace(findings.scored, speakers=())
    found = replace(findings, scored=scored, calibrated=None)
    assert evaluation_tables(found)["groups"].columns[3] == "trials"
    assert sample(scored) == "600 trials (300 bonafide, 300 spoof), speakers unknown"


def test_speakers_of_both_sides_count_once() -> None:
    scored = replace(detection().scored, speakers=(np.array(["a", "b", "c"] * 200), np.array(["c", "d", "d"] * 200)))
    assert sample(scored).endswith("of 4 speakers")


@pytest.mark.parametrize(
    ("name", "arrow"),
    [("accuracy", "↑"), ("mae", "↓"), ("act_dcf(p_target=0.5)", "↓"), ("min_tdcf(legacy)", "↓"), ("nobody_knows", "")],
)
def test_the_arrow_points_to_the_better_end(name, arrow) -> None:
    assert better(name) == arrow


def test_values_are_written_in_their_own_unit() -> None:
    scored = plain(ScoreKind.VALUE).scored
    assert shown("mae", replace(scored, unit="cm")).value(4.25) == "4.25 cm"
    assert shown("mae", scored).heading == "MAE"


@pytest.mark.parametrize(("cleaned", "words"), [(True, ", cleaned"), (False, ", not cleaned"), (None, "")])
def test_whether_a_list_is_cleaned_is_said(cleaned, words) -> None:
    assert list_words(replace(detection().scored.origin, is_cleaned=cleaned)) == f"Vox1-O{words} (sha256 0123456789ab)"


def test_markdown_has_one_line_for_each_row() -> None:
    table = Table("T|t", "Says.", ("a", "b_c"), 1, (Row(("x|y\nz", "1"), False), Row(("w", ""), True)), ("why",))
    assert markdown("Title <1>", ["fact"], [table]) == (
        "# Title \\<1\\>\n\n- fact\n\n## T\\|t\n\nSays.\n\n"
        "| a | b\\_c |\n| --- | --: |\n| x\\|y z | 1 |\n| **w** |  |\n\n- why\n"
    )
    assert escaped("a\\b") == "a\\\\b"


def test_empty_tables_of_groups_are_no_trouble() -> None:
    found = replace(detection(), groups=EMPTY, worst=EMPTY, gaps=EMPTY, measured=(measured("eer", 0.1, 0.0, 0.2),))
    assert "groups" not in evaluation_tables(found)
