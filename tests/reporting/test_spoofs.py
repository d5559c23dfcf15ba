"""The report of anti-spoofing: rows are recordings one by one, by attack, and behind a speaker verifier."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Sheet

from reporting.reading import Page, cell, rows_of
from reporting.spoofed_project import CORPUS, SPOOF, UNSEEN, write_spoofed
from voxbench.evaluation.measuring import find
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.tandem import asv_of_file
from voxbench.metrics.detection import eer_asvspoof
from voxbench.metrics.tandem import min_tdcf
from voxbench.reporting.exports import summary, write_plots
from voxbench.reporting.figures import figures_of
from voxbench.reporting.page import Crossed, chapter, render
from voxbench.reporting.published import published_figures
from voxbench.reporting.quantities import DASH
from voxbench.reporting.tables import trials_table
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.trial_findings import trial_tables
from voxbench.reporting.verdict import judge
from voxbench.schema import InputError
from voxbench.stages.report import gather_benchmark


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_spoofed(tmp_path_factory.mktemp("spoofs"), verifier=True, changed=lambda rows: rows)


@pytest.fixture(scope="module")
def evidence(workspace):
    return gather_benchmark(workspace, SPOOF)


@pytest.fixture(scope="module")
def text(evidence):
    """Return what a reader of the page sees."""
    nothing = pd.DataFrame(columns=["subject", "metric"])
    return " ".join(Page(render([evidence], Crossed(nothing, *[nothing[["metric"]]] * 4))).texts)


@pytest.fixture
def changed(tmp_path):
    """Return a function that gathers the evidence of a project whose manifest is changed."""

    def gather(change, *, verifier=False):
        return gather_benchmark(write_spoofed(tmp_path / "changed", verifier=verifier, changed=change), SPOOF)

    return gather


def test_the_table_has_both_customs_the_t_dcf_and_costs(workspace, evidence):
    table = results_table(evidence)
    assert [column[:-2] for column in table.columns[3:-1]] == [
        *("EER (ASVspoof) (%)", "EER (%)", "min t-DCF (legacy)", "min t-DCF (revised)", "minDCF (0.05)"),
        *("Cllr (bits)", "minCllr (bits)", "AUC"),
    ]
    best = evidence.ranked[0]
    rates = asv_of_file(workspace.root / "raw" / "asv.txt").rates
    for version in ("legacy", "revised"):
        own = min_tdcf(best.tuned.scores, best.tuned.truth, rates, version=version)
        assert best.tuned.values[f"min_tdcf({version})"] == own
        assert 0 < best.spreads[f"min_tdcf({version})"].mean < 1
    assert best.tuned.values["eer_asvspoof"] == eer_asvspoof(best.tuned.scores, best.tuned.truth)
    assert any("asv.txt, sha256 " in note for note in table.notes)


def test_intervals_are_those_of_evaluate_on_the_same_table(workspace, evidence):
    params, findings = workspace.params, evidence.detected.findings
    settings = Settings(params.report, params.evaluation, params.decisions, ("attack", "codec"), "anti_spoofing")
    found = find(findings.scored, None, asv_of_file(workspace.root / "raw" / "asv.txt"), settings)
    assert found.measured == findings.measured
    bounded = evidence.validated.bounds["eer_asvspoof"].interval
    assert (bounded.low, bounded.high) == (found.measured[0].interval.low, found.measured[0].interval.high)
    assert bounded.clusters == evidence.speakers == 8
    own = findings.groups[
        findings.groups["by"].isin(["attack", "codec"]) & (findings.groups["metric"] == "eer_asvspoof")
    ]
    pd.testing.assert_frame_equal(own.reset_index(drop=True), found.groups)


def test_knowing_nothing_is_fifty_percent_in_both_customs(evidence):
    [chance] = evidence.baselines
    assert (chance.scored.values["eer_asvspoof"], chance.scored.values["eer"]) == (0.5, 0.5)
    assert eer_asvspoof(chance.scored.scores, chance.scored.truth) == 1.0
    assert "min_tdcf(legacy)" in chance.scored.undefined
    assert cell(results_table(evidence), "constant score", "min t-DCF (legacy)") == DASH
    gain = evidence.gain.interval
    assert gain.estimate == pytest.approx(0.5 - evidence.validated.tuned.values["eer_asvspoof"])
    assert 0 < gain.low <= gain.high < 0.5
    assert any("among equal scores first" in note for note in results_table(evidence).notes)


def test_an_attack_is_its_spoofs_and_all_bona_fide_trials(evidence):
    table, tuned = trial_tables(evidence.detected)["groups"], evidence.validated.tuned
    rows = {row.cells[:2]: row.cells for row in table.rows}
    bona_fide = tuned.truth == 1
    for attack in UNSEEN:
        own = bona_fide | (tuned.rows["attack"] == attack).to_numpy()
        value = eer_asvspoof(tuned.scores[own], tuned.truth[own])
        assert rows["attack", attack][2] == str(own.sum())
        assert rows["attack", attack][4].startswith(f"{100 * value:.2f} [")
    assert rows["all", "pooled"][2:4] == ("80", "8")
    assert rows["all", "pooled"][4].startswith(f"{100 * tuned.values['eer_asvspoof']:.2f} [")
    served = evidence.decisions.served
    assert rows["all", "pooled"][5].startswith(f"{100 * served.p_fa.value:.2f} [")
    assert {by for by, _ in rows} == {"all", "attack", "gender", "codec", "duration used"}
    assert "extra_" not in str(table)


def test_the_worst_attack_is_named_beside_what_chance_makes(evidence):
    said = " ".join(judge(evidence).sentences)
    assert "3 of 3 attacks of the test split are unknown to training." in said
    worst = evidence.detected.findings.worst.set_index(["by", "metric"]).loc["attack", "eer_asvspoof"]
    assert worst["group"] == "A08"
    assert f"to {100 * worst['value']:.2f}\u202f% (A08), the worst; pooled over attacks it is" in said
    assert "than chance makes of equal attacks: up to" in said


def test_attacks_of_training_are_told_from_others(changed):
    evidence = changed(lambda rows: rows.assign(attack=rows["attack"].replace("A07", "A01")))
    said = judge(evidence).sentences
    assert "2 of 3 attacks of the test split are unknown to training (A08, A09)." in said


def test_a_shortcut_is_found_by_the_probe_that_knows_it(changed):
    def shortened(rows):
        seconds = np.where(rows["attack"] == "bonafide", 3.0, 2.0) + np.arange(len(rows)) % 7 / 20
        return rows.assign(kept_seconds=seconds, source_seconds=seconds)

    evidence = changed(shortened)
    [probe] = [each for each in evidence.probes.found if each.name == "duration probe"]
    assert probe.scored.values["eer_asvspoof"] == 0.0
    assert any("Labels can be told from the duration alone" in warning for warning in judge(evidence).warnings)
    assert "is not shown to beat a probe that knows the duration alone" in judge(evidence).headline


def test_words_are_of_bona_fide_speech_and_spoofs(evidence, text):
    assert evidence.sample == "80 trials (32 bona fide, 48 spoof) of 8 speakers"
    assert "bonafide" not in text.replace("accept-bonafide", "")
    assert "A trial is called bona fide where" in text
    assert "anti spoofing: spoof / bona fide" in text
    assert "min t-DCF: the least cost of errors of this countermeasure" in text
    before = text[: text.index("How to read this page")]
    assert "nontarget" not in before
    assert "target" not in before.replace("p_target", "")
    assert "Class by class" not in text
    assert "The trials" not in text


def test_the_loss_of_selection_is_in_nats(evidence):
    assert trials_table(evidence).columns[-1] == "validation loss (nats)"
    assert "one clip is" not in trials_table(evidence).says


def test_without_a_verifier_there_is_no_t_dcf(changed):
    evidence = changed(lambda rows: rows)
    assert not [each.name for each in evidence.measured if "tdcf" in each.name]
    assert not [note for note in results_table(evidence).notes if "min t-DCF" in note]
    assert "min t-DCF" not in " ".join(results_table(evidence).columns)


def test_a_verifier_of_another_set_is_refused(tmp_path):
    workspace = write_spoofed(tmp_path / "other", verifier=True, changed=lambda rows: rows)
    manifest = workspace.prepared(CORPUS) / "manifest.parquet"
    rows = pd.read_parquet(manifest)
    first = rows.index[rows["attack"] == "A07"][0]
    rows.assign(attack=rows["attack"].mask(rows.index == first, "A08")).to_parquet(manifest, index=False)
    with pytest.raises(InputError, match="of another set than the test split: 16 and 15 spoofed trials of A07"):
        gather_benchmark(workspace, SPOOF)


def test_columns_of_too_many_words_make_no_groups_and_are_named(changed):
    evidence = changed(lambda rows: rows.assign(extra_take=[f"t{number}" for number in range(len(rows))]))
    groups = trial_tables(evidence.detected)["groups"]
    assert "Not grouped by take, which has 80 words." in groups.notes
    assert "take" not in {row.cells[0] for row in groups.rows}


def test_figures_and_numbers_of_other_tools(evidence, tmp_path):
    wanted = {"seeds", "differences", "det", "roc", "scores", "attacks", "calibration", "groups", "curves", "costs"}
    figures = figures_of(evidence)
    assert set(figures) == wanted
    assert "how many bona fide trials it rejects, how many spoof trials it accepts" in figures["det"].says
    sheet = Sheet()
    figures["det"].panels[0](sheet)
    labels = (sheet.axes[0].get_xlabel(), sheet.axes[0].get_ylabel())
    assert labels == ("spoof accepted: false alarms (%)", "bona fide rejected: misses (%)")
    numbers = summary(evidence)
    assert {"eer_asvspoof", "eer", "min_tdcf(legacy)", "min_tdcf(revised)", "cllr", "auc", "p_miss"} <= set(numbers)
    assert numbers["baseline"] == 0.5
    write_plots(evidence, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"curves.csv", "det.csv", "roc.csv", "seeds.csv"}
    assert rows_of(chapter(evidence, with_trials=True).splits)["test"][1:3] == ("48 / 8", "32 / 8")


def test_a_leaky_split_has_no_t_dcf(evidence):
    variants = pd.DataFrame({"variant": ["leaky"], "model": ["m5"], "same_test_rows": [False]})
    runs = pd.DataFrame({"variant": "leaky", "model": "m5", "seed": [1, 2], "eer_asvspoof": [0.1, 0.2], "eer": 0.1})
    table = results_table(replace(evidence, variants=variants, variant_runs=runs))
    assert rows_of(table)["m5, leaky"][3:6] == ("15.00 ± 7.07", "10.00 ± 0.00", DASH)


def test_figures_of_others_are_of_the_scenario(evidence):
    rows = rows_of(results_table(evidence))
    assert rows["Jung 2022, AASIST"][3:6] == ("0.83", DASH, "0.0275")
    assert rows["Tak 2021, RawNet2"][3] == "4.66 (best), 5.64 (worst)"
    assert published_figures("asvspoof2019 PA", frozenset({"en"}), "anti_spoofing").empty
