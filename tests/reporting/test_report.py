"""The report stage on a small project: its numbers, its words, its safety, and that it is the same every time."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from scipy import stats
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from reporting.reading import Page, cell, rows_of
from voxbench.reporting.drawing import SERIES, look
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.exports import summary
from voxbench.reporting.page import chapter, tiles
from voxbench.reporting.scored import Scored
from voxbench.reporting.tables import significance_table, trials_table
from voxbench.reporting.tables_data import funnel_rows, leakage_words, splits_table
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.verdict import judge, lead_of
from voxbench.schema import InputError
from voxbench.stages.report import report
from voxbench.stages.workspace import Workspace

FIGURES = {"seeds", "differences", "curves", "costs", "confusion", "roc", "reliability", "groups", "variants"}


@pytest.fixture(scope="module")
def html(finished: Workspace) -> str:
    report(finished)
    return (finished.reports / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def benchmark_name(finished: Workspace) -> str:
    return next(iter(finished.params.benchmarks))


@pytest.fixture(scope="module")
def repeats(finished: Workspace, benchmark_name: str) -> dict[tuple[str, int], pd.DataFrame]:
    """Return the score tables of all pairs, read without the report's help."""
    folder = finished.results(benchmark_name, "repeat")
    found = {}
    for path in sorted(folder.glob("*-seed*/scores.parquet")):
        model, seed = path.parent.name.split("-seed")
        found[model, int(seed)] = pd.read_parquet(path)
    return found


# The numbers.


def test_finalists_are_measured_as_by_scikit_learn(evidence: Evidence, repeats) -> None:
    table = results_table(evidence)
    references = {
        "accuracy (%)": lambda t: 100 * accuracy_score(t["truth"], t["p_male"] > 0.5),
        "macro F1 (%)": lambda t: 100 * f1_score(t["truth"], t["p_male"] > 0.5, average="macro"),
        "AUC": lambda t: roc_auc_score(t["truth"], t["p_male"]),
        "log loss (nats)": lambda t: log_loss(t["truth"], t[["p_female", "p_male"]]),
    }
    for model in {model for model, _ in repeats}:
        for column, reference in references.items():
            values = [reference(scores) for (name, _), scores in repeats.items() if name == model]
            digits = 1 if "%" in column else 3
            expected = f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
            assert cell(table, model, column) == expected


def test_the_order_is_by_mean_over_seeds(evidence: Evidence, repeats) -> None:
    accuracies = pd.Series({key: accuracy_score(t["truth"], t["p_male"] > 0.5) for key, t in repeats.items()})
    means = accuracies.groupby(level=0).mean().sort_values(ascending=False)
    assert [finalist.model for finalist in evidence.ranked] == means.index.tolist()
    table = results_table(evidence)
    assert list(rows_of(table))[:4] == [*means.index, "majority class"]
    assert [row.marked for row in table.rows] == [True] + [False] * (len(table.rows) - 1)


def test_the_baseline_knows_only_the_training_rows(evidence: Evidence, finished: Workspace) -> None:
    [corpus] = {row.corpus for row in finished.params.benchmarks.values()}
    manifest = pd.read_parquet(finished.prepared(corpus) / "manifest.parquet")
    [baseline] = evidence.baselines
    shares = manifest.loc[manifest["split"] == "train", "gender"].value_counts(normalize=True)
    test = manifest.loc[manifest["split"] == "test", "gender"]
    assert baseline.scored.values["accuracy"] == (test == shares.idxmax()).mean()
    assert baseline.scored.values["log_loss"] == pytest.approx(-np.log(shares[test]).mean())
    assert baseline.scored.values["roc_auc"] == 0.5


def test_the_seed_interval_is_students(evidence: Evidence) -> None:
    for finalist in evidence.finalists:
        spread = finalist.spreads["accuracy"]
        low, high = stats.t.interval(
            evidence.settings.level, len(spread.values) - 1, np.mean(spread.values), stats.sem(spread.values)
        )
        assert (spread.low, spread.high) == pytest.approx((low, high))


def test_the_interval_over_speakers_holds_the_fine_tuned_network(evidence: Evidence) -> None:
    for finalist in evidence.finalists:
        interval = finalist.bounds["accuracy"].interval
        assert interval.estimate == np.mean(finalist.tuned.predicted == finalist.tuned.truth)
        assert interval.low <= interval.estimate <= interval.high
        assert (interval.clusters, interval.resamples) == (8, 60)


def test_trials_keep_every_digit_so_that_winners_are_found(evidence: Evidence) -> None:
    table = trials_table(evidence)
    assert len(table.rows) == len(evidence.trials) == 6
    assert sorted(row.cells[0] for row in table.rows if row.marked) == sorted(f.model for f in evidence.finalists)
    assert {row.cells[2] for row in table.rows if row.marked} == {"complete"}


def test_splits_and_funnel_count_every_recording(evidence: Evidence) -> None:
    splits = rows_of(splits_table(evidence.account, evidence.task.unit))
    assert splits["train"][1:5] == ("48 / 12", "32 / 8", "80", "20")
    assert splits["test"][1:5] == ("24 / 6", "8 / 2", "32", "8")
    assert funnel_rows(evidence.account) == [("found", 167), ("excluded: silent", 23), ("kept", 144)]


def test_metrics_json_is_about_the_finalist_that_validation_prefers(
    finished: Workspace, html, evidence, repeats
) -> None:
    [(name, numbers)] = json.loads((finished.reports / "metrics.json").read_text()).items()
    best = max(evidence.finalists, key=lambda finalist: finalist.history["valid_accuracy"][1]).model
    values = [accuracy_score(t["truth"], t["p_male"] > 0.5) for (model, _), t in repeats.items() if model == best]
    assert name == evidence.name
    assert numbers["accuracy"] == pytest.approx(np.mean(values))
    assert numbers["accuracy_sd"] == pytest.approx(np.std(values, ddof=1))
    assert set(numbers) == {
        *("accuracy", "accuracy_sd", "accuracy_low", "accuracy_high", "auc", "baseline", "p_holm"),
        *("cllr_before", "cllr", "min_cllr", "p_miss", "p_fa"),
        *("probe", "probe_gain", "probe_gain_low", "probe_gain_high"),
    }
    assert numbers["probe"] == evidence.closest_probe.scored.values["accuracy"]
    assert numbers["probe_gain_low"] <= numbers["probe_gain"] <= numbers["probe_gain_high"]


def test_plot_data_is_tidy(finished: Workspace, html, evidence: Evidence, benchmark_name: str) -> None:
    folder = finished.reports / "plots" / benchmark_name
    curves, roc, seeds, confusion = (pd.read_csv(folder / f"{n}.csv") for n in ("curves", "roc", "seeds", "confusion"))
    assert curves["epoch"].tolist() == [1, 2, 3]
    assert {"train_loss", "valid_loss", "valid_accuracy"} <= set(curves)
    assert len(seeds) == len(evidence.finalists) * len(evidence.seeds)
    tuned = evidence.validated.tuned
    counts = pd.crosstab(confusion["actual"], confusion["predicted"]).to_numpy()
    assert counts.tolist() == confusion_matrix(tuned.truth, tuned.predicted).tolist()
    area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
    assert area == pytest.approx(roc_auc_score(tuned.truth, tuned.scores[:, 1]))


# The words.


def test_the_verdict_is_read_from_the_table_of_tests(evidence: Evidence) -> None:
    best, runner_up = evidence.ranked[:2]
    lead = lead_of(evidence, best, runner_up)
    values = np.array(best.spreads["accuracy"].values) - np.array(runner_up.spreads["accuracy"].values)
    reference = stats.ttest_1samp(values, 0)
    assert (lead.t, lead.p) == pytest.approx((reference.statistic, reference.pvalue))
    assert lead.difference == pytest.approx(values.mean())
    assert lead.low < lead.difference < lead.high
    turned = lead_of(evidence, runner_up, best)
    assert (turned.difference, turned.low, turned.high, turned.t) == (-lead.difference, -lead.high, -lead.low, -lead.t)
    significant = lead.p_holm < 0.05
    assert ("is not significant" not in judge(evidence).headline) == significant


@pytest.mark.parametrize(
    ("p_holm", "words"), [(0.04, "and its lead over"), (0.06, "is not significant"), (None, "t-test")]
)
def test_the_headline_claims_no_more_than_holm(
    changed: Workspace, gather, benchmark_name: str, p_holm, words: str
) -> None:
    path = changed.results(benchmark_name, "repeat") / "significance.csv"
    tests = pd.read_csv(path)
    tests["p_t"] = tests["p_t_holm"] = np.nan if p_holm is None else p_holm
    if p_holm is None:
        tests[["t", "ci_low", "ci_high", "smallest_detectable"]] = np.nan
        tests["note"] = "the same difference for every seed"
    tests.to_csv(path, index=False)
    evidence = gather(changed)
    assert words in judge(evidence).headline
    assert ("p_holm" in summary(evidence)) == (p_holm is not None)
    assert ("the same difference for every seed" in " ".join(judge(evidence).sentences)) == (p_holm is None)
    marked = [row.marked for row in significance_table(evidence).rows]
    assert marked == [p_holm == 0.04] * 3
    assert not p_holm or len(tiles(evidence)) == 5


def test_a_tie_is_called_a_tie(changed: Workspace, gather, benchmark_name: str) -> None:
    folder = changed.results(benchmark_name, "repeat")
    for seed in changed.params.repeat.seeds:
        scores = (folder / f"resnet18-seed{seed}" / "scores.parquet").read_bytes()
        (folder / f"bilstm_h128_l1-seed{seed}" / "scores.parquet").write_bytes(scores)
    tests = pd.read_csv(folder / "significance.csv")
    tests.loc[tests["b"] == "bilstm_h128_l1", "mean_difference"] = 0.0
    tests.to_csv(folder / "significance.csv", index=False)
    assert "neither leads" in judge(gather(changed)).headline


def test_synthetic_speech_and_few_speakers_are_said(evidence: Evidence, page: Page) -> None:
    text = " ".join(page.texts)
    assert "say nothing of real speech" in text
    assert "only 8 speakers" in text


def test_real_speech_is_not_called_synthetic(planned: Callable[..., Workspace], gather) -> None:
    assert not any("synthetic" in warning for warning in judge(gather(planned(licence="CC BY 4.0"))).warnings)


def test_a_leaky_split_is_said_in_the_verdict_and_in_the_data(changed: Workspace, gather) -> None:
    [corpus] = {row.corpus for row in changed.params.benchmarks.values()}
    path = changed.prepared(corpus) / "leakage.json"
    leakage = json.loads(path.read_text())
    leakage["clean"], leakage["by"], leakage["overlaps"][1]["shared"] = False, "utterance", 5
    path.write_text(json.dumps(leakage))
    evidence = gather(changed)
    assert any("leaky" in warning and "speaker" in warning for warning in judge(evidence).warnings)
    assert "train and test share 5 speakers" in leakage_words(evidence.account.leakage)


@pytest.mark.parametrize(
    ("share", "headline", "words"),
    [(0.0, True, "does not beat the baseline"), (0.6, True, "does not beat"), (1.0, False, "it beats the baseline")],
)
def test_a_network_that_does_not_beat_the_baseline_is_told_so(
    evidence: Evidence, share: float, headline: bool, words: str
) -> None:
    [baseline], best = evidence.baselines, evidence.ranked[0]
    truth = best.tuned.truth
    right = np.arange(len(truth)) < share * len(truth)
    answer = np.where(right, truth, 1 - truth)
    told = replace(
        evidence, finalists=tuple(replace(f, tuned=answered(best.tuned, answer)) for f in evidence.finalists)
    )
    assert told.strongest is baseline
    assert told.gain.interval is not None
    assert told.gain.interval.estimate == pytest.approx(np.mean(right) - baseline.scored.values["accuracy"])
    assert words in " ".join(judge(told).sentences)
    assert ("is not shown to beat a baseline" in judge(told).headline) == headline
    assert told.beats_baseline is not headline


def answered(tuned: Scored, answer: np.ndarray) -> Scored:
    return replace(tuned, scores=np.eye(2)[answer])


def test_one_finalist_is_compared_with_nothing(planned: Callable[..., Workspace]) -> None:
    workspace = planned(skills={"resnet18": 1.0})
    report(workspace)
    text = (workspace.reports / "index.html").read_text(encoding="utf-8")
    assert "nothing to compare it with" in text
    assert "Are the differences real?" not in text
    assert not list((workspace.reports / "figures").glob("*differences*"))


def test_an_undefined_metric_is_a_dash_with_its_reason(planned: Callable[..., Workspace], gather) -> None:
    workspace = planned(one_class_test=True)
    report(workspace)
    table = results_table(gather(workspace))
    assert cell(table, "resnet18", "AUC") == "\u2013"
    assert any("resnet18" in note and "AUC: the ROC needs both classes" in note for note in table.notes)
    assert "auc" not in json.loads((workspace.reports / "metrics.json").read_text())["gender-voxceleb1"]
    assert not (workspace.reports / "plots" / "gender-voxceleb1" / "roc.csv").exists()
    assert "the ROC needs both classes" in (workspace.reports / "index.html").read_text(encoding="utf-8")


# The page.


def test_every_table_and_figure_is_there_and_says_its_n(evidence: Evidence, page: Page, finished: Workspace) -> None:
    shown = chapter(evidence, with_trials=True)
    assert set(shown.drawn) == FIGURES
    assert page.tags.count("svg") == sum(len(drawn.panels) for drawn in shown.drawn.values())
    assert page.tags.count("table") == 12
    for says in [shown.results.says, shown.significance.says, shown.trials.says, shown.classes.says]:
        assert re.search(r"\d clips of \d|\d validation clips of \d", says)
    assert "on 32 validation clips" in shown.costs.says
    written = {path.stem.removeprefix(f"{evidence.name}-") for path in (finished.reports / "figures").glob("*.png")}
    assert written == FIGURES


def test_figures_are_images_with_something_on_them(finished: Workspace, html: str) -> None:
    for path in (finished.reports / "figures").glob("*.png"):
        pixels = imread(io.BytesIO(path.read_bytes()))
        assert pixels.shape[0] > 250
        assert 0.001 < (pixels[..., :3].min(axis=-1) < 0.6).mean() < 0.5


def test_the_page_is_well_formed_and_loads_nothing(page: Page, html: str) -> None:
    assert not page.open
    assert not {"script", "link", "iframe", "img", "object", "image"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name in {"href", "src", "xlink:href"})
    assert not re.search(r"https?:|@import|url\((?!#)", html)


def test_identifiers_are_unique_and_what_they_name_exists(page: Page, html: str) -> None:
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    named = {value for name, value in page.attributes if name == "href"} | set(re.findall(r"url\((#[^)]*)\)", html))
    assert {value.removeprefix("#") for value in named} <= set(identifiers)


def test_drawings_take_their_colours_from_the_page(html: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--series-0)" in drawings
    assert not re.search(r"#[0-9a-f]{6}\b", re.sub(r'"#[^"]*"|url\(#[^)]*\)', "", drawings))
    assert "DejaVu" not in drawings
    for variable in set(re.findall(r"var\((--[\w-]+)\)", html)):
        assert f"{variable}:" in html


def test_hostile_file_names_stay_text(page: Page, html: str) -> None:
    text = "".join(page.texts)
    assert '0<img src=x onerror=alert(1)>/"&amp;\\u202egnp.wav' in text
    assert "<script>3</script>" in text
    assert "Synthetic <b>speech</b>" in text
    assert "\u202e" not in html
    assert "The first 20 of 23 files" in text
    assert "19<img" in text
    assert "20<img" not in text
    assert text.count("\n0.wav") == 0


def test_two_runs_give_the_same_bytes(finished: Workspace, html: str, changed: Workspace) -> None:
    report(changed)
    first, second = (
        {path.relative_to(each.reports): path.read_bytes() for path in each.reports.rglob("*.*") if path.is_file()}
        for each in (finished, changed)
    )
    assert len(first) == 15
    assert first == second


def test_what_another_benchmark_left_is_cleared(changed: Workspace) -> None:
    stale = changed.reports / "figures" / "gone-roc.png"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_bytes(b"")
    report(changed)
    assert not stale.exists()


@pytest.mark.parametrize(
    "missing", ["select/selection.json", "select/trials.csv", "seconds/epochs.csv", "repeat/significance.csv"]
)
def test_an_unfinished_pipeline_is_refused(changed: Workspace, benchmark_name: str, missing: str) -> None:
    stage, file = missing.split("/")
    (changed.results(benchmark_name, stage) / file).unlink()
    with pytest.raises(InputError, match=rf"no {file}.*dvc repro"):
        report(changed)
    assert not (changed.reports / "index.html").exists()


def test_series_can_be_told_apart_without_colour() -> None:
    looks = [look(number) for number in range(24)]
    assert len(set(looks)) == 24
    assert len({marker for _, marker, _ in looks[: len(SERIES)]}) == len(SERIES)


def test_the_machine_is_not_named(html: str, finished: Workspace) -> None:
    assert str(finished.root) not in html
    assert str(Path.home()) not in html
