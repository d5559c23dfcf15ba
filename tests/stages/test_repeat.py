"""Repetition over seeds: every pair, its metrics, and the paired tests, recomputed from the score tables."""

import shutil

import pandas as pd
import pytest
from scipy import stats

from stages.pipeline import (
    BENCHMARK,
    BENCHMARKS,
    HEIR,
    copy_of,
    models_of,
    selected_copy,
    selection_of,
    write_selection,
)
from stages.recomputed import measured, paired
from voxbench.schema import InputError
from voxbench.stages.repeat import repeat


def tables_of(workspace, name):
    """Return `seeds.csv` and `significance.csv` of a benchmark."""
    folder = workspace.results(name, "repeat")
    return pd.read_csv(folder / "seeds.csv"), pd.read_csv(folder / "significance.csv")


@pytest.fixture(scope="module")
def by_log_loss(finished, tmp_path_factory):
    """Return a copy whose classes are compared by log loss: accuracies of eight recordings are often equal."""
    root = tmp_path_factory.mktemp("by-log-loss") / "copy"
    copy = selected_copy(finished, root, lambda params: params["benchmarks"][BENCHMARK].update(metric="log_loss"))
    repeat(copy, BENCHMARK)
    return copy


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_pair_of_model_and_seed_is_repeated(finished, name):
    seeds, _ = tables_of(finished, name)
    pairs = [(model, seed) for seed in (1, 2, 3) for model in models_of(finished)]
    assert list(zip(seeds["model"], seeds["seed"], strict=True)) == pairs
    told = seeds.groupby("model")["log_loss" if name == BENCHMARK else "mae"]
    assert told.nunique().tolist() == [3, 3], "seeds must make a difference"


@pytest.mark.parametrize("name", BENCHMARKS)
def test_seed_metrics_are_those_of_the_score_tables(finished, name):
    for row in tables_of(finished, name)[0].to_dict("records"):
        folder = finished.results(name, "repeat") / f"{row['model']}-seed{row['seed']}"
        for metric, value in measured(finished, folder).items():
            assert row[metric] == pytest.approx(value, rel=1e-9, abs=1e-12), metric


@pytest.mark.parametrize(("name", "metric"), [(BENCHMARK, "log_loss"), (HEIR, "mae")])
def test_the_significance_table_is_scipys_on_the_score_tables(finished, by_log_loss, name, metric):
    workspace = by_log_loss if name == BENCHMARK else finished
    folder, (a, b) = workspace.results(name, "repeat"), models_of(workspace)
    values = [[measured(workspace, folder / f"{model}-seed{seed}")[metric] for seed in (1, 2, 3)] for model in (a, b)]
    (row,) = tables_of(workspace, name)[1].to_dict("records")
    assert (row["metric"], row["a"], row["b"], row["n"], row["df"]) == (metric, a, b, 3, 2)
    for key, value in paired(*values).items():
        assert row[key] == pytest.approx(value, rel=1e-6), key
    for side, own in zip("ab", values, strict=True):
        assert row[f"mean_{side}"] == pytest.approx(sum(own) / 3, rel=1e-9)
        assert row[f"sd_{side}"] == pytest.approx(stats.tstd(own), rel=1e-6)
    signed = stats.wilcoxon(*values, method="exact")
    assert (row["w"], row["p_wilcoxon"]) == (signed.statistic, pytest.approx(signed.pvalue))
    assert row["p_t_holm"] == row["p_t"], "one pair has nothing to adjust for"


def test_the_shipped_significance_speaks_of_the_benchmarks_metric(finished):
    seeds, tests = tables_of(finished, BENCHMARK)
    means = seeds.groupby("model")["accuracy"].mean()
    (row,) = tests.to_dict("records")
    assert (row["metric"], row["n"]) == ("accuracy", 3)
    assert (row["mean_a"], row["mean_b"]) == (pytest.approx(means[row["a"]]), pytest.approx(means[row["b"]]))


def test_another_seed_trains_the_new_pairs_only(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["repeat"].update(seeds=[1, 2, 3, 7]))
    repeat(copy, BENCHMARK)
    assert trained == [f"{model}-seed7" for model in models_of(finished)]
    ours, before = (tables_of(each, BENCHMARK)[0] for each in (copy, finished))
    assert ours[ours["seed"] != 7].reset_index(drop=True).equals(before)


def test_a_seed_that_is_no_longer_wanted_leaves_nothing(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["repeat"].update(seeds=[2, 1]))
    repeat(copy, BENCHMARK)
    assert trained == []
    folder = copy.results(BENCHMARK, "repeat")
    assert {path.name.rpartition("seed")[2] for path in folder.iterdir() if path.is_dir()} == {"1", "2"}
    assert set(pd.read_csv(folder / "seeds.csv")["seed"]) == {1, 2}


def test_a_seed_on_which_the_metric_has_no_value_is_refused_in_one_line(finished, tmp_path):
    """A network that has learnt nothing says one word only, and its correlation with the truth has no value."""

    def change(params):
        params["benchmarks"][BENCHMARK]["metric"] = "matthews_correlation"
        params["finetune"]["schedule"]["max_epochs"] = 1

    copy = selected_copy(finished, tmp_path / "copy", change)
    selection = selection_of(copy)
    for finalist in selection["finalists"]:
        finalist["settings"]["learning_rate"] = 1e-12
    write_selection(copy, selection)
    with pytest.raises(InputError, match=r"matthews_correlation has no value for .*-seed1") as refused:
        repeat(copy, BENCHMARK)
    assert "\n" not in str(refused.value)


def test_a_diverging_finalist_stops_with_one_line(finished, tmp_path):
    copy = selected_copy(finished, tmp_path / "copy")
    selection = selection_of(copy)
    selection["finalists"][0]["settings"]["learning_rate"] = 1e30
    write_selection(copy, selection)
    model = selection["finalists"][0]["model"]
    with pytest.raises(InputError, match=f"training {model} with seed .* diverged") as refused:
        repeat(copy, BENCHMARK)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_without_a_selection_the_study_is_named(finished, tmp_path, name):
    copy = copy_of(finished, tmp_path / "copy")
    shutil.rmtree(copy.results(BENCHMARK, "select"))
    with pytest.raises(InputError, match=r"selection\.json: run `dvc repro select@gender-tiny` first"):
        repeat(copy, name)
