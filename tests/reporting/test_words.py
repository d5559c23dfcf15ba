"""The report of transcription: error rates with intervals over speakers, speakers, groups, and texts side by side."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Sheet

from reporting.reading import Page, cell, rows_of
from reporting.worded_project import CLIPS, SKILLS, WORDS, write_worded
from voxbench.evaluation.measuring import find
from voxbench.evaluation.settings import Settings
from voxbench.metrics.text import cer, wer
from voxbench.reporting.baselines import baselines
from voxbench.reporting.exports import summary, write_plots
from voxbench.reporting.figures import figures_of
from voxbench.reporting.page import Crossed, render
from voxbench.reporting.scored import Scored
from voxbench.reporting.tables import trials_table
from voxbench.reporting.tables_costs import costs_table
from voxbench.reporting.tables_data import splits_table
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.tables_text import transcript_tables
from voxbench.reporting.text_findings import SHOWN, side_by_side, speaker_errors
from voxbench.reporting.verdict import judge
from voxbench.stages.report import gather_benchmark
from voxbench.tasks import tasks

NOTHING = pd.DataFrame(columns=["subject", "metric"])
EMPTY = Crossed(NOTHING, *[NOTHING[["metric"]]] * 4)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_worded(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def evidence(workspace):
    return gather_benchmark(workspace, WORDS)


@pytest.fixture(scope="module")
def text(evidence):
    """Return what a reader of the page sees."""
    return " ".join(Page(render([evidence], EMPTY)).texts)


def scored_texts(*rows):
    """Return test rows of (speaker, what was said, what was written)."""
    speakers, truth, heard = zip(*rows, strict=True)
    table = pd.DataFrame({"id": [f"{who}/{place}" for place, who in enumerate(speakers)], "speaker": speakers})
    return Scored(np.array(truth, dtype=object), np.array(heard, dtype=object), table, {}, {})


def test_rates_are_of_the_whole_list_and_means_over_the_seeds(workspace, evidence):
    seeds = pd.read_csv(workspace.results(WORDS, "repeat") / "seeds.csv").groupby("model").mean()
    for finalist in evidence.finalists:
        table = pd.read_parquet(workspace.models(WORDS) / finalist.model / "scores.parquet")
        own = table[table["split"] == "test"]
        sides = own["truth"].tolist(), own["hypothesis"].tolist()
        assert finalist.tuned.values == {"wer": wer(*sides), "cer": cer(*sides)}
        for name, spread in finalist.spreads.items():
            assert spread.mean == pytest.approx(seeds.loc[finalist.model, name])
    assert [each.model for each in evidence.ranked] == ["quartznet_64", "deep_speech_64"]
    assert evidence.sample == "32 utterances (176 words) of 8 speakers"


def test_intervals_and_groups_are_those_of_evaluate_on_the_same_table(workspace, evidence):
    params, findings = workspace.params, evidence.texts.findings
    settings = Settings(params.report, params.evaluation, params.decisions, tuple(findings.scored.rows), None)
    found = find(findings.scored, None, None, settings)
    assert found.measured == findings.measured
    for each in found.measured:
        assert evidence.validated.bounds[each.name].interval == each.interval
        assert each.interval.low < each.value < each.interval.high
    plain = findings.groups.assign(by=findings.groups["by"].replace("duration used", "kept_seconds"))
    pd.testing.assert_frame_equal(plain, found.groups)
    assert set(findings.groups["by"]) == {"gender", "sentence", "duration used"}


def test_whole_speakers_are_resampled_and_the_gain_is_paired(evidence):
    """Of two systems that differ by the same errors everywhere, the gain has no width but each rate has."""
    scored = scored_texts(*[(who, "a b", "a b" if number else "a") for number, who in enumerate("ppqqrrss")])
    bound = evidence.texts.bound
    own = bound.score(None, scored, scored.scores)
    worse = bound.score(None, scored, np.array([f"{each} x" for each in scored.scores], dtype=object))
    gain = bound.gain("own", own, "worse", worse).interval
    rate = bound("own", own)["wer"].interval
    # One word was inserted into every utterance but the first, where a deletion became a substitution.
    assert (own.values["wer"], worse.values["wer"]) == (1 / 16, 8 / 16)
    assert gain.estimate == pytest.approx(7 / 16)
    assert 0 < gain.low <= gain.estimate <= gain.high
    assert gain.clusters == rate.clusters == 4
    assert rate.low == 0.0
    assert rate.high > 1 / 16
    same = bound.gain("own", own, "own", own).interval
    assert (same.low, same.high) == (0.0, 0.0)


def test_baselines_never_listen(evidence):
    empty, word = evidence.baselines
    assert (empty.scored.values["wer"], empty.scored.values["cer"]) == (1.0, 1.0)
    training = evidence.account.labelled.query("split == 'train'")["target"]
    held = {each: sum(each in text.split() for text in training) for each in set(" ".join(training).split())}
    assert set(word.scored.scores) == {max(held, key=held.get)}
    assert f"({max(held.values())})" in word.says
    assert word.scored.values["wer"] < 1
    assert evidence.strongest is word
    assert cell(results_table(evidence), "empty transcript", "word error rate") == "100.00"
    assert not evidence.probes.found
    assert "No probe: silence or duration alone write no words." in results_table(evidence).says


def test_of_equally_common_words_the_first_is_said_and_without_training_none(evidence):
    like = evidence.validated.tuned
    rows = pd.DataFrame({"split": ["train", "train", "test"], "target": ["b a a", "a b b", "c"]})
    found = baselines(tasks["transcription"], rows, like, evidence.texts.bound)
    assert [set(each.scored.scores) for each in found] == [{""}, {"a"}]
    assert len(baselines(tasks["transcription"], rows.iloc[2:], like, evidence.texts.bound)) == 1


def test_every_speaker_has_a_rate_and_an_interval_over_own_utterances(evidence):
    scored = scored_texts(
        ("p", "a b c d", "a"), ("p", "a", "a"), ("q", "a b", "a b"), ("q", "a b", "a b"), ("r", "a", "")
    )
    table = speaker_errors(scored, evidence.settings, WORDS).set_index("speaker")
    assert list(table.index) == ["r", "p", "q"]
    assert table["wer"].tolist() == [1.0, 0.6, 0.0]
    assert table[["utterances", "words", "errors"]].loc["p"].tolist() == [2, 5, 3]
    # Drawn twice, the long utterance alone gives 6 / 8, the short one 0.
    assert table.loc["p", ["low", "high"]].tolist() == [0.0, 0.75]
    assert table.loc["q", ["low", "high"]].tolist() == [0.0, 0.0]
    assert table.loc["r", ["low", "high"]].isna().all()


def test_the_table_of_speakers_has_all_of_them(evidence):
    table = transcript_tables(evidence)["speakers"]
    assert len(table.rows) == evidence.speakers == 8
    rates = [float(row.cells[5]) for row in table.rows]
    assert rates == sorted(rates, reverse=True)
    assert sum(int(row.cells[4]) for row in table.rows) == int(evidence.validated.tuned.edits["wer"].errors.sum())
    few = replace(evidence.texts, speakers=pd.concat([evidence.texts.speakers] * 6, ignore_index=True))
    assert (
        "8 speakers of lower rates: in speakers.csv"
        in transcript_tables(replace(evidence, texts=few))["speakers"].notes[-1]
    )


def test_utterances_that_went_worst_and_some_of_the_middle_are_aligned():
    wrong = [("p", "a b c", " ".join(["a", "b", "c"][:kept])) for kept in (0, 1, 2)]
    right = [("q", "a b", "a b")] * 12
    found = side_by_side(scored_texts(*right, *wrong))
    assert [(each.why, each.errors) for each in found] == [("worst", 3), ("worst", 2), ("worst", 1)] + [
        ("typical", 0)
    ] * SHOWN
    assert found[1].operations == "CDD"
    assert found[1].pairs == (("a", "a"), ("b", None), ("c", None))
    every = side_by_side(scored_texts(*wrong))
    assert len({each.recording for each in every}) == len(every) == 3
    assert len(side_by_side(scored_texts(*right[:1]))) == 1
    turned = side_by_side(scored_texts((chr(0x202E) + "p", "a", "b")))
    assert turned[0].recording == "\\u202ep/0", "what turns the text around is written out"


def test_the_page_says_what_there_is(evidence, text):
    for words in (
        "transcription: words · test rows: 32 utterances (176 words) of 8 speakers",
        "Every test speaker, the worst first",
        "Utterances, word by word",
        "Groups of utterances",
        "loss in nats for each character of the transcripts",
        "validation loss (nats per character)",
        "word and character error rate",
    ):
        assert words in text
    before = text[: text.index("How to read this page")]
    for word in ("spoof", "bona fide", "attack", "probability given", "one clip is", "Class by class", "words in "):
        assert word not in before
    assert "Multiply-adds are those of one second of speech" in costs_table(evidence).says
    assert "Multiply-adds: of one second of speech." in trials_table(evidence).says


def test_the_verdict_tells_kinds_speakers_and_gaps(evidence):
    verdict = judge(evidence)
    assert verdict.headline.startswith("quartznet_64 has the best mean test word error rate, and its lead")
    said = " ".join(verdict.sentences)
    assert re.search(r"makes 12 word errors: \d+\.\d.% substitutions, \d+\.\d.% deletions, \d+\.\d.% insertions", said)
    assert "it beats the baseline" in said
    assert "Speaker by speaker its word error rate goes from" in said
    assert "By gender the word error rate goes from" in said
    assert any("synthetic" in warning for warning in verdict.warnings)
    assert not any("as well" in warning for warning in verdict.warnings)


def test_sentences_of_training_are_a_group_and_most_of_them_a_warning(evidence):
    assert evidence.texts.known == CLIPS
    table = transcript_tables(evidence)["groups"]
    assert {row.cells[:3] for row in table.rows if row.cells[0] == "sentence"} == {
        ("sentence", "in training, too", "4"),
        ("sentence", "not in training", "28"),
    }
    warned = judge(replace(evidence, texts=replace(evidence.texts, known=16))).warnings
    assert "16 of 32 test utterances say a sentence that a training recording says as well." in " ".join(warned)


def test_figures_and_numbers_of_other_tools(evidence, tmp_path):
    figures = figures_of(evidence)
    wanted = {"seeds", "differences", "speakers", "errors", "confusions", "groups", "curves", "costs"}
    assert set(figures) == wanted
    sheet = Sheet()
    figures["speakers"].panels[0](sheet)
    assert [each.get_text() for each in sheet.axes[0].get_yticklabels()] == list(evidence.texts.speakers["speaker"])
    numbers = summary(evidence)
    assert {"wer", "wer_sd", "wer_low", "wer_high", "cer", "baseline", "p_holm"} == set(numbers)
    write_plots(evidence, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"curves.csv", "seeds.csv", "speakers.csv"}
    assert len(pd.read_csv(tmp_path / "speakers.csv")) == 8


def test_what_was_said_cannot_act_on_the_page(evidence):
    one = replace(evidence.texts.aligned[0], pairs=(("<script>", None),), operations="D", recording="<img>")
    page = render([replace(evidence, texts=replace(evidence.texts, aligned=(one,)))], EMPTY)
    assert "<script>" not in page
    assert "<img>" not in page
    assert "&lt;script&gt;" in page


def test_one_network_alone_is_judged(tmp_path):
    workspace = write_worded(tmp_path / "one", {"quartznet_64": SKILLS["quartznet_64"]})
    alone = gather_benchmark(workspace, WORDS)
    assert judge(alone).headline.startswith("quartznet_64 is the only finalist")
    assert rows_of(splits_table(alone.account, ""))["test"][1:3] == ("16 / 4", "16 / 4")


def test_figures_of_others_are_of_librispeech(evidence):
    assert rows_of(results_table(evidence))["Kriman 2020, QuartzNet-15x5"][3] == "3.90 (test-clean), 11.28 (test-other)"
