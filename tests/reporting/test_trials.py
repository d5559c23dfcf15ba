"""The report of a task of pairs: rows are trials, intervals over the speakers of both sides, chance is 50 %."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting.paired_project import LISTED, SKILLS, VERIFY, relisted, write_paired
from reporting.reading import Page, cell, rows_of
from voxbench.evaluation.measuring import find
from voxbench.evaluation.settings import Settings
from voxbench.metrics.bayes import min_dcf
from voxbench.reporting.exports import summary, write_plots
from voxbench.reporting.figures import figures_of
from voxbench.reporting.page import Crossed, render, tiles
from voxbench.reporting.pairs import trial_rows
from voxbench.reporting.quantities import DASH
from voxbench.reporting.tables_data import splits_table
from voxbench.reporting.tables_decisions import decision_tables
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.trial_findings import lists_table, trial_tables
from voxbench.reporting.verdict import judge
from voxbench.schema import InputError
from voxbench.stages.ablate import _jobs
from voxbench.stages.report import gather_benchmark


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_paired(tmp_path_factory.mktemp("pairs"), SKILLS, listed=True)


@pytest.fixture(scope="module")
def evidence(workspace):
    return gather_benchmark(workspace, VERIFY)


@pytest.fixture(scope="module")
def page(evidence):
    return render(
        [evidence], Crossed(pd.DataFrame(columns=["subject", "metric"]), *[pd.DataFrame(columns=["metric"])] * 4)
    )


def test_the_table_has_the_metrics_of_the_field_at_the_costs_of_the_settings(evidence):
    table = results_table(evidence)
    headings = [column.split(" (")[0].split(" ↓")[0].split(" ↑")[0] for column in table.columns[3:-1]]
    assert headings == ["EER", "minDCF", "Cllr", "minCllr", "AUC"]
    assert table.columns[4] == "minDCF (0.05) ↓"
    best = evidence.ranked[0]
    found = best.tuned.values["min_dcf_p05"]
    assert found == min_dcf(best.tuned.scores, best.tuned.truth, p_target=0.05)
    assert 0 < best.spreads["eer"].mean < 0.5


def test_knowing_nothing_is_fifty_percent(evidence):
    [chance] = evidence.baselines
    assert (chance.scored.values["eer"], chance.scored.values["auc"]) == (0.5, 0.5)
    assert chance.scored.values["min_dcf_p05"] == 1.0
    assert cell(results_table(evidence), "constant score", "EER") == "50.00"
    assert evidence.gain.interval.estimate == pytest.approx(0.5 - evidence.validated.tuned.values["eer"])
    assert evidence.beats_baseline


def test_intervals_are_those_of_evaluate_on_the_same_trials(workspace, evidence):
    params, findings = workspace.params, evidence.detected.findings
    settings = Settings(params.report, params.evaluation, params.decisions, (), "speaker_verification")
    [eer] = [each for each in find(findings.scored, None, None, settings).measured if each.name == "eer"]
    bounded = evidence.validated.bounds["eer"].interval
    assert (eer.interval.low, eer.interval.high) == (bounded.low, bounded.high)
    assert bounded.clusters == evidence.speakers == 8
    assert eer == next(each for each in findings.measured if each.name == "eer")


def test_a_system_gains_nothing_over_itself(evidence):
    tuned = evidence.validated.tuned
    gain = evidence.bound.gain("one", tuned, "same", tuned).interval
    assert (gain.estimate, gain.low, gain.high) == (0.0, 0.0, 0.0)
    worse = replace(tuned, scores=-tuned.scores, values=tuned.values | {"eer": 1 - tuned.values["eer"]})
    assert evidence.bound.gain("one", tuned, "worse", worse).interval.low > 0


def trials(**changes):
    columns = {"id": ["a|b", "a|c"], "enroll": ["a", "a"], "test": ["b", "c"]}
    columns |= {"enroll_speaker": ["x", "x"], "test_speaker": ["x", "y"]}
    columns |= {"enroll_gender": ["male"] * 2, "test_gender": ["male", "female"]}
    columns |= {"enroll_session": ["s1"] * 2, "test_session": ["s1", "s2"]}
    return pd.DataFrame(columns | changes)


RECORDINGS = pd.DataFrame({"id": ["a", "b", "c"], "kept_seconds": [2.0, 5.0, 1.5], "peak_dbfs": [-3.0, -3.0, -9.0]})


def test_a_trial_by_hand():
    rows = trial_rows(trials(), RECORDINGS, "some")
    assert rows["speakers"].tolist() == [["x"], ["x", "y"]]
    assert rows["sex"].tolist() == ["male and male", "female and male"]
    assert rows["session"].tolist() == ["the same", "different"]
    assert rows["kept_seconds"].tolist() == [3.0, 0.5]
    assert rows["peak_dbfs"].tolist() == [0.0, 6.0]


def test_groups_that_are_all_alike_or_unknown_are_none():
    alike = trial_rows(trials(test_gender=["male", "male"], test_session=["s2", "s2"]), RECORDINGS, "some")
    assert not {"sex", "session"} & set(alike)
    unknown = trial_rows(trials(test_gender=["male", None]), RECORDINGS, "some")
    assert unknown["sex"].isna().tolist() == [False, True]


def test_a_recording_that_the_manifest_lacks_is_refused():
    with pytest.raises(InputError, match=r"some has trials of 1 recordings that the manifest does not hold, 'c'"):
        trial_rows(trials(), RECORDINGS[:2], "some")


def test_probes_know_differences_and_find_nothing_where_nothing_is(evidence):
    assert {probe.name for probe in evidence.probes.found} == {"silence probe", "duration probe", "channel probe"}
    for probe in evidence.probes.found:
        assert probe.scored.scores.shape == evidence.validated.tuned.scores.shape
        assert 0.3 < probe.scored.values["eer"] < 0.7
    assert any("by how much its two recordings differ" in note for note in results_table(evidence).notes)


def test_words_are_of_trials(evidence):
    verdict, words = judge(evidence), results_table(evidence).says
    assert "target" in evidence.sample
    assert "nontarget" in evidence.sample
    assert "clip" not in evidence.sample
    assert "speakers of both sides" in words
    said = " ".join([verdict.headline, *verdict.sentences])
    assert "on the same trials" in said
    assert "resampling the speakers of both sides" in said
    assert "clip" not in said
    assert any("of both sides" in tile.words for tile in tiles(evidence))


def test_cross_sex_trials_have_false_alarms_and_no_eer(evidence):
    groups = trial_tables(evidence.detected)["groups"]
    rows = {row.cells[1]: row.cells for row in groups.rows}
    assert set(rows) >= {"female and female", "male and male", "female and male"}
    eer, alarms = (
        next(place for place, name in enumerate(groups.columns) if name.startswith(words))
        for words in ("EER", "false-alarm rate")
    )
    assert rows["female and male"][eer] == DASH
    assert rows["female and male"][alarms] != DASH


def test_decisions_state_misses_and_false_alarms_of_trials(evidence):
    calibration, policies = decision_tables(evidence)
    scores, applied = evidence.validated.tuned, evidence.decisions
    accepted = applied.llrs >= applied.served.threshold.value
    assert applied.served.p_miss.value == pytest.approx(np.mean(~accepted[scores.truth == 1]))
    assert applied.served.p_fa.value == pytest.approx(np.mean(accepted[scores.truth == 0]))
    assert "A trial is called target" in policies.says
    assert "validation trials" in calibration.says
    assert applied.served.p_miss.interval is not None


def test_the_list_is_named_with_its_hash_and_form(evidence, workspace):
    table = lists_table(evidence.detected)
    test = rows_of(table)["test"]
    assert test[1:3] == (LISTED, "cleaned")
    assert len(test[3]) == 64
    assert test[-1] == "7"
    assert rows_of(table)["valid"][1:3] == ("drawn by rule", DASH)
    assert "at most 4 target trials of a speaker, none of one session; 2 nontarget trials" in table.says
    assert "50 % of them of one sex; seed 1" in table.says


def test_two_lists_are_not_compared(tmp_path):
    workspace = write_paired(tmp_path / "pairs", {"x_vector_128": 1.0, "ecapa_tdnn_64": 1.2}, listed=False)
    relisted(workspace.results(VERIFY, "repeat") / "x_vector_128-seed7")
    with pytest.raises(InputError, match="tested on 2 lists of trials"):
        gather_benchmark(workspace, VERIFY)


def test_splits_are_by_sex_and_of_recordings(evidence):
    table = splits_table(evidence.account, evidence.task.unit)
    assert table.says.startswith("Clips / speakers of each sex")
    assert rows_of(table)["test"][:3] == ("test", "16 / 4", "16 / 4")


def test_every_figure_is_there(evidence):
    wanted = {"seeds", "differences", "det", "roc", "scores", "calibration", "groups", "curves", "costs"}
    assert set(figures_of(evidence)) == wanted


def test_the_page_says_what_is_not_there(page, evidence):
    text = " ".join(Page(page).texts)
    assert "Across corpora" not in text
    assert "The trials" in text
    assert "Groups of trials" in text
    assert "All metrics of the test trials" in text


def test_numbers_and_curves_for_other_tools(evidence, tmp_path):
    numbers = summary(evidence)
    assert {"eer", "eer_sd", "min_dcf_p05", "min_cllr", "auc", "cllr", "baseline"} <= set(numbers)
    assert numbers["baseline"] == 0.5
    write_plots(evidence, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"curves.csv", "det.csv", "roc.csv", "seeds.csv"}


def test_a_variant_that_trains_on_the_people_of_the_test_is_refused(workspace):
    with pytest.raises(InputError, match="compares people whom nobody trained on"):
        _jobs(workspace, VERIFY, "leaky", [])
