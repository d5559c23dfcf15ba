"""Several benchmarks on one page: kinds, variants, inheritance, published figures, and networks on other corpora."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting.project import AGE, AGE_GROUP, GENDER, INHERITED, PLAN
from reporting.reading import Page, cell, rows_of
from voxbench.metrics import metrics_of
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.exports import summary, write_plots
from voxbench.reporting.page import Crossed, render, trials_shown
from voxbench.reporting.published import PUBLISHED, published_figures
from voxbench.reporting.quantities import QUANTITIES
from voxbench.reporting.tables import trials_table
from voxbench.reporting.tables_data import splits_table
from voxbench.reporting.tables_overview import cross_table, overview_table, read_matrix
from voxbench.reporting.tables_results import results_table
from voxbench.reporting.tables_variants import variants_table
from voxbench.reporting.verdict import judge
from voxbench.schema import InputError, ScoreKind
from voxbench.stages.report import gather_benchmark, report
from voxbench.stages.workspace import Workspace

NAMES = (GENDER, AGE, AGE_GROUP, INHERITED)


@pytest.fixture(scope="module")
def benchmarks(several: Workspace) -> list[Evidence]:
    return [gather_benchmark(several, name) for name in NAMES]


@pytest.fixture(scope="module")
def matrix(several: Workspace) -> pd.DataFrame:
    return read_matrix(several.results("cross", ""))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out: they take most of the time, and have tests of their own."""
    monkeypatch.setattr("voxbench.reporting.page.figures_of", lambda evidence: {})
    monkeypatch.setattr("voxbench.reporting.page.cross_figures", lambda matrix: {})


@pytest.fixture
def page(benchmarks: list[Evidence], matrix: pd.DataFrame, undrawn: None, tmp_path) -> Page:
    return Page(render(benchmarks, replace(Crossed.read(tmp_path), matrix=matrix)))


# Kinds.


@pytest.mark.parametrize("kind", [ScoreKind.CLASSES, ScoreKind.VALUE])
def test_every_metric_has_a_name_and_a_unit(kind: ScoreKind) -> None:
    assert {metric.name for metric in metrics_of(kind)} <= set(QUANTITIES)


def test_values_are_ranked_and_measured_lower_is_better(age_evidence: Evidence) -> None:
    means = [finalist.spreads["mae"].mean for finalist in age_evidence.ranked]
    assert means == sorted(means)
    errors = [np.abs(finalist.tuned.scores - finalist.tuned.truth).mean() for finalist in age_evidence.ranked]
    table = results_table(age_evidence)
    assert table.columns[3] == "MAE (years) ↓"
    for finalist, error in zip(age_evidence.ranked, errors, strict=True):
        assert cell(table, finalist.model, "fine-tuned").startswith(f"{error:.2f} [")
    assert "years ± " in judge(age_evidence).sentences[0]
    assert "lower is better" in judge(age_evidence).sentences[0]
    lowest = min(age_evidence.finalists, key=lambda finalist: finalist.history["valid_mae"][1])
    assert age_evidence.validated is lowest


def test_six_classes_have_no_column_of_the_auc(age_group_evidence: Evidence, inherited_evidence: Evidence) -> None:
    assert not any(column.startswith("AUC") for column in results_table(age_group_evidence).columns)
    assert any(column.startswith("AUC") for column in results_table(inherited_evidence).columns)
    assert results_table(age_group_evidence).columns[3] == "balanced accuracy (%) ↑"


def test_every_row_of_a_table_fills_its_columns(benchmarks: list[Evidence], matrix: pd.DataFrame) -> None:
    tables = [overview_table(benchmarks), cross_table(matrix, "95 %")]
    tables += [make(evidence) for evidence in benchmarks for make in (results_table, variants_table, trials_table)]
    tables += [splits_table(evidence.account, evidence.task.unit) for evidence in benchmarks]
    for table in tables:
        assert {len(row.cells) for row in table.rows} <= {len(table.columns)}, table.title
        assert all(isinstance(each, str) and each for row in table.rows for each in row.cells)


def test_splits_of_values_tell_sexes_and_ages(age_evidence: Evidence) -> None:
    table, labelled = splits_table(age_evidence.account, "years"), age_evidence.account.labelled
    test = labelled[labelled["split"] == "test"]
    assert table.columns[1:4] == ("female", "male", "unknown")
    expected = f"{test['target'].median():.4g} [{test['target'].min():.4g}, {test['target'].max():.4g}]"
    assert cell(table, "test", "median") == expected


def test_the_numbers_for_dvc(any_evidence: Evidence, tmp_path) -> None:
    name = any_evidence.metric.name
    numbers = summary(any_evidence)
    assert {name, f"{name}_sd", f"{name}_low", f"{name}_high", "baseline"} <= set(numbers)
    assert ("auc" in numbers) == (len(any_evidence.task.classes) == 2)
    write_plots(any_evidence, tmp_path)
    files = {path.stem for path in tmp_path.iterdir()}
    kind = {"estimates"} if not any_evidence.task.classes else {"confusion"}
    assert files == {"curves", "seeds", *kind} | ({"roc"} if len(any_evidence.task.classes) == 2 else set())


def test_the_estimates_for_dvc_are_those_of_the_test_rows(age_evidence: Evidence, tmp_path) -> None:
    write_plots(age_evidence, tmp_path)
    estimates, tuned = pd.read_csv(tmp_path / "estimates.csv"), age_evidence.validated.tuned
    assert estimates["truth"].tolist() == pytest.approx(tuned.truth.tolist())
    assert estimates["predicted"].tolist() == pytest.approx(tuned.scores.tolist())


# Variants.


def test_the_leaky_split_stands_beside_the_disjoint_one(age_evidence: Evidence) -> None:
    table = results_table(age_evidence)
    runs = age_evidence.variant_runs
    own = runs.loc[(runs["variant"] == "leaky") & (runs["model"] == "resnet18"), "mae"]
    assert cell(table, "resnet18, leaky", "MAE") == f"{own.mean():.2f} ± {own.std():.2f}"
    assert cell(table, "resnet18, leaky", "kind") == "leaky split"
    assert [row.aside for row in table.rows if row.cells[1] == "leaky split"] == [True, True]
    assert any("train and test share 7 speakers" in note and "too good" in note for note in table.notes)


def test_variants_show_before_and_after(evidence: Evidence) -> None:
    table = variants_table(evidence)
    for row, shown in zip(evidence.variants.to_dict("records"), table.rows, strict=True):
        assert shown.cells[3] == f"{100 * row['base_mean']:.1f} ± {100 * row['base_sd']:.1f}"
        assert shown.cells[4] == f"{100 * row['variant_mean']:.1f} ± {100 * row['variant_sd']:.1f}"
        assert shown.marked == (row["p_t_holm"] < 0.05)
    assert {row.cells[0] for row in table.rows} == {"leaky", "augmented"}
    assert [note.split(":")[0] for note in table.notes] == ["leaky"]


def test_without_variants_there_is_no_table(age_group_evidence: Evidence) -> None:
    assert not variants_table(age_group_evidence).rows
    assert not any(row.cells[1] == "leaky split" for row in results_table(age_group_evidence).rows)


def test_variants_that_have_not_run_are_asked_for(changed: Workspace) -> None:
    (changed.results(GENDER, "ablate") / "comparison.csv").unlink()
    with pytest.raises(InputError, match=r"no comparison.csv.*dvc repro"):
        gather_benchmark(changed, GENDER)


# Inheritance.


def test_each_study_shows_its_trials_once(benchmarks: list[Evidence]) -> None:
    assert trials_shown(benchmarks) == {GENDER, AGE}
    assert trials_shown(benchmarks[2:]) == {AGE_GROUP}
    assert [evidence.inherited for evidence in benchmarks] == [None, None, GENDER, GENDER]


def test_trials_are_sorted_by_the_metric_of_their_study(age_evidence: Evidence, inherited_evidence: Evidence) -> None:
    table = trials_table(age_evidence)
    assert "validation MAE (years)" in table.columns
    assert cell(table, "resnet18", "started from") == "imagenet"
    first = next(row.cells[0] for row in table.rows if row.cells[1] == "cnn")
    assert first == "resnet18"
    assert "on the task and corpus of that study" in trials_table(inherited_evidence).says


def test_trials_without_a_start_have_no_column_for_it(evidence: Evidence) -> None:
    plain = replace(evidence, trials=evidence.trials.drop(columns="initial"))
    assert "started from" not in trials_table(plain).columns
    assert len(trials_table(plain).rows) == len(trials_table(evidence).rows)


# Published figures.


def test_published_figures_name_their_source(evidence: Evidence) -> None:
    table = results_table(evidence)
    assert cell(table, "Jorrin-Coz 2025, EfficientNet-B0", "accuracy") == "98.86"
    assert cell(table, "Hechmi 2021", "macro F1") == "98.29"
    published = [row for row in table.rows if row.cells[1] == "published"]
    assert all(row.aside and not row.marked for row in published)
    assert any("not comparable" in note for note in table.notes)
    assert sum("Computation 13(8):177, 2025" in note for note in table.notes) == 2


def test_published_ages_come_with_what_a_constant_gets(age_evidence: Evidence) -> None:
    table = results_table(age_evidence)
    assert rows_of(table)["Kwasny 2021"][3] == "5.12 male, 5.29 female"
    assert any("5.36 years for male and 6.23 years for female" in note for note in table.notes)


def test_published_figures_are_of_the_same_language_and_task() -> None:
    russian = published_figures("common_voice", frozenset({"ru"}), "gender")
    assert dict(zip(russian["metric"], russian["value"], strict=True)) == {"accuracy": 0.968, "roc_auc": 0.97}
    assert published_figures("common_voice", frozenset({"en", "ru"}), "gender").empty
    assert published_figures("table", frozenset({"en"}), "gender").empty
    assert published_figures("common_voice", frozenset({"ru"}), "age_group").empty


def test_every_published_figure_can_be_shown() -> None:
    for each in PUBLISHED:
        assert each.source
        assert each.metric.partition("(")[0] in QUANTITIES
        assert (0 < each.value < 1) == (each.metric != "mae")


# The page.


def test_the_page_is_well_formed_for_every_kind(page: Page) -> None:
    assert not page.open
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    named = {value.removeprefix("#") for name, value in page.attributes if name == "href"}
    assert named == {*NAMES, "across-corpora"} <= set(identifiers)
    text = " ".join(page.texts)
    assert "finalists inherited from gender-voxceleb1" in text
    assert text.count("How the finalists were selected") == 2
    assert "nan" not in text.lower().split()


def test_the_overview_has_a_row_for_each_benchmark(benchmarks: list[Evidence], page: Page) -> None:
    table = overview_table(benchmarks)
    assert tuple(rows_of(table)) == NAMES
    for evidence in benchmarks:
        best = evidence.ranked[0]
        assert cell(table, evidence.name, "best finalist") == best.model
        assert cell(table, evidence.name, "does the chosen one beat") == (
            "yes" if evidence.beats_baseline else "not shown"
        )
    assert "The best finalist of each" in page.texts


def test_crossing_marks_what_beats_its_baseline_either_way(matrix: pd.DataFrame) -> None:
    matrix = matrix.copy()
    matrix.loc[0, ["low", "baseline"]] = 0.4, 0.5
    table = cross_table(matrix, "95 %")
    assert [row.marked for row in table.rows][:2] == [False, True]
    [mae] = [row for row in table.rows if row.cells[3] == "MAE (years)"]
    assert mae.marked
    assert mae.cells[4:7] == ("8.10", "6.90 to 9.40", "12.30")
    worse = matrix.assign(baseline=matrix["baseline"].where(matrix["metric"] != "mae", 9.0))
    [mae] = [row for row in cross_table(worse, "95 %").rows if row.cells[3] == "MAE (years)"]
    assert not mae.marked


def test_a_pair_that_could_not_be_tested_says_why(matrix: pd.DataFrame) -> None:
    empty = matrix.iloc[[0]].assign(value=np.nan, low=np.nan, high=np.nan, baseline=np.nan, note="no label")
    table = cross_table(empty, "95 %")
    assert table.rows[0].cells[4:7] == ("\u2013",) * 3
    assert table.notes == (f"{GENDER} on voxceleb1: no label",)


def test_without_crossing_there_is_no_section(benchmarks: list[Evidence], undrawn: None, tmp_path) -> None:
    assert "across-corpora" not in render(
        benchmarks[:1],
        Crossed.read(tmp_path),
    )


@pytest.mark.slow
def test_the_whole_report_is_written_for_every_kind(several: Workspace) -> None:
    report(several)
    page = Page((several.reports / "index.html").read_text(encoding="utf-8"))
    assert not page.open
    assert set(json.loads((several.reports / "metrics.json").read_text())) == set(NAMES)
    drawn = {path.name for path in (several.reports / "figures").iterdir()}
    assert {"age-timit-estimates.png", "age-commonvoice-confusion.png", "cross-gender-balanced_accuracy.png"} <= drawn
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    assert PLAN.licence in " ".join(page.texts)
