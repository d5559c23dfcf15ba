"""The report of phrase verification: trials of a recording and a phrase, by the networks of transcription."""

from dataclasses import replace

import pandas as pd
import pytest

from reporting.reading import Page
from reporting.worded_project import WORDS, write_worded
from voxbench.artifacts import read_json
from voxbench.metrics.detection import eer
from voxbench.reporting.detections import KINDS
from voxbench.reporting.exports import summary, write_plots
from voxbench.reporting.figures import figures_of
from voxbench.reporting.page import Crossed, chapter, render, trials_shown
from voxbench.reporting.quantities import DASH
from voxbench.reporting.scored import Bounded
from voxbench.reporting.tables_decisions import decision_tables
from voxbench.reporting.tables_overview import overview_table
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.trial_findings import trial_tables
from voxbench.reporting.verdict import judge
from voxbench.schema import InputError
from voxbench.stages.report import gather_chapters, report

PROMPTED = f"{WORDS}-phrases"
NOTHING = pd.DataFrame(columns=["subject", "metric"])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_worded(tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="module")
def chapters(workspace):
    return gather_chapters(workspace, WORDS)


@pytest.fixture(scope="module")
def evidence(chapters):
    return chapters[1]


@pytest.fixture(scope="module")
def text(chapters):
    """Return what a reader of the page sees from the second chapter on."""
    nothing = Crossed(NOTHING, *[NOTHING[["metric"]]] * 4)
    whole = " ".join(Page(render(chapters, nothing)).texts)
    return whole[whole.rindex("phrase verification: wrong / right") :]


def test_rows_are_trials_of_a_recording_and_a_phrase(workspace, evidence):
    assert evidence.sample == "128 trials (32 right, 96 wrong) of 8 speakers"
    assert (evidence.name, evidence.told_in, evidence.inherited) == (PROMPTED, WORDS, None)
    seeds = pd.read_csv(workspace.results(WORDS, "repeat") / "phrase_seeds.csv").groupby("model")["eer"].mean()
    for finalist in evidence.finalists:
        table = pd.read_parquet(workspace.models(WORDS) / finalist.model / "phrases.parquet")
        own = table[table["split"] == "test"]
        assert finalist.tuned.values["eer"] == eer(own["score"], own["truth"])
        assert finalist.spreads["eer"].mean == pytest.approx(seeds[finalist.model])
    metrics = [column[:-2] for column in results_table(evidence).columns[3:-1]]
    assert metrics == ["EER (%)", "minDCF (0.05)", "Cllr (bits)", "minCllr (bits)", "AUC"]


def test_the_network_is_the_one_that_transcription_chose(chapters, evidence):
    assert evidence.validated.model == chapters[0].validated.model == evidence.detected.model
    assert evidence.decisions.model == evidence.validated.model
    assert evidence.decisions.decision.classes == ("wrong", "right")
    said = " ".join(judge(evidence).sentences)
    assert "By validation alone (word error rate), which never sees a test row" in said
    assert "nothing was trained for it. The networks are those of asr-librispeech, chosen there." in said


def test_a_kind_of_wrong_phrase_stands_against_all_right_ones(evidence):
    table, tuned = trial_tables(evidence.detected)["groups"], evidence.validated.tuned
    rows = {row.cells[:2]: row.cells for row in table.rows}
    kinds = tuned.rows["extra_wrong phrase"]
    for kind, size in ((KINDS["near"], 64), (KINDS["other"], 96)):
        own = ((tuned.truth == 1) | (kinds == kind)).to_numpy()
        value = eer(tuned.scores[own], tuned.truth[own])
        assert rows["wrong phrase", kind][2:4] == (str(size), "8")
        assert rows["wrong phrase", kind][4].startswith(f"{100 * value:.2f} [")
        assert rows["wrong phrase", kind][5] == DASH
    assert rows["all", "pooled"][2] == "128"
    assert table.title == "Which wrong phrases are taken for right ones?"
    said = " ".join(judge(evidence).sentences)
    assert "Each kind of wrong phrase against all right ones, the EER of quartznet_64" in said
    assert "(one word replaced), the worst; pooled over kinds it is" in said


def test_what_the_stored_decision_accepts_of_each_kind_is_said(evidence):
    table = trial_tables(evidence.detected)["groups"]
    rates = {row.cells[1]: row.cells[6].partition(" ")[0] for row in table.rows if row.cells[0] == "wrong phrase"}
    hits = 100 * (1 - evidence.decisions.served.p_miss.value)
    [said] = [each for each in judge(evidence).sentences if each.startswith("The decision that is stored with it")]
    shares = ", ".join(f"{rate}\u202f% of {kind}" for kind, rate in rates.items())
    assert said.endswith(f"(policy bayes) accepts {shares} and {hits:.2f}\u202f% of right phrases.")
    assert len(rates) == 2


def test_an_interval_without_width_is_no_proof(evidence):
    best = evidence.ranked[0]
    interval = replace(best.bounds["eer"].interval, low=0.0, high=0.0)
    sure = replace(best, bounds=best.bounds | {"eer": Bounded(interval, "")})
    others = [each for each in evidence.finalists if each.model != best.model]
    said = "An interval without width says that these speakers are all alike, not that everybody is."
    assert said in judge(replace(evidence, finalists=(sure, *others))).sentences
    assert said not in judge(evidence).sentences


def test_nothing_says_spoof_or_attack(evidence, text):
    before = text[: text.index("How to read this page")].lower()
    for word in ("spoof", "attack", "bona fide", "nontarget", "clip", "impostor"):
        assert word not in before.replace("min a-dcf", ""), word
    assert "A trial is called right where its calibrated log-likelihood ratio" in text
    assert "the recordings are those of asr-librispeech" in text.replace("  ", " ")
    assert "The trials" not in before
    assert not [each for each in evidence.detected.findings.measured if "asvspoof" in each.name]


def test_a_chapter_of_two_tells_of_selection_and_data(chapters, evidence):
    assert trials_shown(chapters) == {WORDS}
    found = chapter(evidence, with_trials=False)
    assert found.trials is None
    assert found.told_in == WORDS
    assert len(decision_tables(evidence)) == 2
    wanted = {"seeds", "differences", "det", "roc", "scores", "calibration", "groups"}
    assert set(figures_of(evidence)) == wanted
    assert [row.cells[:2] for row in overview_table(chapters).rows] == [
        (WORDS, "transcription"),
        (PROMPTED, "phrase verification"),
    ]


def test_lists_of_trials_are_told_apart_by_phrases(evidence, tmp_path):
    folder = tmp_path / "other"
    workspace = write_worded(folder)
    tables = folder.rglob("phrases.parquet")
    for path in tables:
        table = pd.read_parquet(path)
        table.assign(phrase=table["phrase"] + " x").to_parquet(path, index=False)
    other = gather_chapters(workspace, WORDS)[1]
    hashes = [each.detected.findings.scored.origin.trials_sha256 for each in (evidence, other)]
    assert hashes[0] != hashes[1]


@pytest.mark.slow
def test_the_stage_writes_both(workspace):
    report(workspace)
    numbers = read_json(workspace.reports / "metrics.json")
    assert list(numbers) == [WORDS, PROMPTED]
    assert {"eer", "eer_low", "eer_high", "cllr_before", "cllr", "p_miss", "p_fa", "baseline"} <= set(numbers[PROMPTED])
    assert numbers[PROMPTED]["baseline"] == 0.5
    assert (workspace.reports / "figures" / f"{PROMPTED}-det.png").is_file()
    plots = {path.name for path in (workspace.reports / "plots" / PROMPTED).iterdir()}
    assert plots == {"det.csv", "roc.csv", "seeds.csv"}


def test_numbers_of_other_tools_are_of_the_chosen_network(evidence, tmp_path):
    numbers = summary(evidence)
    assert numbers["eer"] == evidence.validated.spreads["eer"].mean
    assert numbers["p_fa"] == evidence.decisions.served.p_fa.value
    write_plots(evidence, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"det.csv", "roc.csv", "seeds.csv"}


def test_a_stage_that_has_not_run_is_named(tmp_path):
    workspace = write_worded(tmp_path / "lost")
    (workspace.results(WORDS, "repeat") / "phrase_significance.csv").unlink()
    with pytest.raises(InputError, match=r"no phrase_significance\.csv in .*: run `dvc repro`"):
        gather_chapters(workspace, WORDS)
