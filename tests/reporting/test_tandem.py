"""A tandem on paper: every number of the page is that of the findings, and a table says what is missing and why."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from evaluation.rows import DEMO
from evaluation.tandem_trials import tandem_trials
from voxbench.evaluation.sasv import CASCADE, FUSION, fit_tandem, system_scores
from voxbench.evaluation.sasv_measuring import measure_tandem
from voxbench.metrics.spoofing_aware import REJECTED
from voxbench.reporting.quantities import DASH
from voxbench.reporting.tandem import FILES, TandemSource, check_output, tandem_lines, write_tandem
from voxbench.schema import InputError

SOURCE = TandemSource("mine", {"verifier": "one/a", "countermeasure": "two/<b>"}, ("a note",))


def findings(test, resamples=200):
    fit = fit_tandem(tandem_trials(1), DEMO.decisions)
    report = DEMO.report.model_copy(update={"resamples": resamples})
    return measure_tandem(fit, system_scores(fit, test), report, DEMO.evaluation)


@pytest.fixture(scope="module")
def found():
    return findings(tandem_trials(2))


def test_the_table_and_the_record_have_the_numbers_that_were_found(found, tmp_path):
    write_tandem(found, SOURCE, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "tandem.csv", keep_default_na=False)
    record = json.loads((tmp_path / "out" / "findings.json").read_text(encoding="utf-8"))
    for system, measured in found.systems.items():
        rows = table[(table["system"] == system) & (table["rule"] == "") & (table["minus"] == "")]
        assert rows["metric"].tolist() == [each.name for each in measured]
        assert rows["value"].astype(float).to_numpy() == pytest.approx([each.value for each in measured])
        assert [each["low"] for each in record["systems"][system]] == [each.interval.low for each in measured]
    rules = table[table["rule"] != ""]
    assert len(rules) == 4 * len(found.ruled)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "two/&lt;b&gt;" in page
    assert "two/<b>" not in page
    for word in ("a note", found.resampled, "fusion of both ratios", "How to read this page"):
        assert word in page


def test_the_terminal_shows_each_system_and_the_chosen_cascade(found):
    lines = tandem_lines(found)
    shown = [line for line in lines if ", least a-DCF" in line or f", {DEMO.decisions.policy}" in line]
    assert len(shown) == 5
    assert "95 % interval" in lines[0]
    assert len({line.index("%") for line in shown}) <= 2, "columns stand below each other"
    assert sum("min t-DCF" in line for line in lines) == 2


def test_what_has_no_value_is_a_dash_with_its_reason(tmp_path):
    test = tandem_trials(2)
    test["asv"] = test["asv"].where(test["key"] != "spoof", -50.0)
    one = findings(test)
    write_tandem(one, SOURCE, tmp_path / "out")
    assert any(f"min t-DCF (legacy) {DASH} (" in line for line in tandem_lines(one))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "min t-DCF (legacy): the t-DCF needs an ASV system that accepts some targets and spoofs" in page


def test_a_cascade_that_had_better_accept_everything_has_no_threshold(tmp_path):
    """Where that costs least, its threshold is the score of what it rejects, which is no number to show."""
    fit = fit_tandem(tandem_trials(1), DEMO.decisions)
    fit = replace(fit, thresholds=dict(fit.thresholds) | {CASCADE: REJECTED})
    report = DEMO.report.model_copy(update={"resamples": 100})
    one = measure_tandem(fit, system_scores(fit, tandem_trials(2)), report, DEMO.evaluation)
    write_tandem(one, SOURCE, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "findings.json").read_text(encoding="utf-8"))
    assert record["fitted"]["thresholds"][CASCADE] is None
    assert record["fitted"]["thresholds"][FUSION] == fit.thresholds[FUSION]
    ruled = next(each for each in one.ruled if (each.rule.system, each.rule.name) == (CASCADE, "least a-DCF"))
    assert [each.value for each in ruled.errors] == [0.0, 1.0, 1.0]
    assert f"cascade {DASH}" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_a_folder_is_written_again_and_others_are_left_alone(found, tmp_path):
    for _ in range(2):
        write_tandem(found, SOURCE, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    (tmp_path / "scores.parquet.partial").write_bytes(b"")
    check_output(tmp_path)
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds 'letter\.txt', which `voxbench tandem` did not write"):
        check_output(tmp_path)
    with pytest.raises(InputError, match="is a file or a link"):
        check_output(tmp_path / "letter.txt")
