"""Variants: every number recomputed from the score tables, and nothing trained twice."""

import shutil

import pandas as pd
import pytest

from stages.pipeline import BENCHMARK, BENCHMARKS, HEIR, copy_of, fingerprints, manifest_of, models_of
from stages.recomputed import holm, measured, paired
from voxbench.schema import InputError
from voxbench.stages import ablate as ablate_module
from voxbench.stages.ablate import ablate

VARIANTS = ["utterance-split", "noise"]
COLUMNS = [
    *("variant", "model", "metric", "seeds", "base_mean", "base_sd", "variant_mean", "variant_sd"),
    *("mean_difference", "ci_low", "ci_high", "t", "df", "p_t", "p_t_holm", "smallest_detectable"),
    *("same_test_rows", "note"),
]


def table_of(workspace, name, table):
    return pd.read_csv(workspace.results(name, "ablate") / f"{table}.csv")


def folder_of(workspace, name, variant, model, seed):
    if variant == "base":
        return workspace.results(name, "repeat") / f"{model}-seed{seed}"
    return workspace.results(name, "ablate") / f"{model}-{variant}-seed{seed}"


def metrics_of(workspace, name, variant, model, seed):
    """Return scikit-learn's metrics of one run on the test rows of its own split."""
    column = "split_utterance" if variant == "utterance-split" else "split"
    return measured(workspace, folder_of(workspace, name, variant, model, seed), column)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_variant_of_every_first_finalist_is_trained_with_every_seed(finished, name):
    wanted = {
        folder_of(finished, name, variant, model, seed).name
        for variant in VARIANTS
        for model in models_of(finished)
        for seed in (1, 2)
    }
    assert {path.name for path in finished.results(name, "ablate").iterdir() if path.is_dir()} == wanted
    rows = table_of(finished, name, "variants")[["variant", "model", "seed"]].itertuples(index=False)
    assert sorted(rows) == sorted(
        (variant, model, seed) for variant in ("base", *VARIANTS) for model in models_of(finished) for seed in (1, 2)
    )


@pytest.mark.parametrize("name", BENCHMARKS)
def test_metrics_of_all_runs_are_those_of_their_score_tables(finished, name):
    for row in table_of(finished, name, "variants").to_dict("records"):
        expected = metrics_of(finished, name, row["variant"], row["model"], row["seed"])
        assert len(expected) == 5
        for metric, value in expected.items():
            assert row[metric] == pytest.approx(value, rel=1e-9, abs=1e-12), (metric, row)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_base_rows_are_those_of_the_repeat_stage(finished, name):
    rows, seeds = table_of(finished, name, "variants"), pd.read_csv(finished.results(name, "repeat") / "seeds.csv")
    base = rows[rows["variant"] == "base"].drop(columns="variant").reset_index(drop=True)
    pd.testing.assert_frame_equal(base, seeds[seeds["seed"].isin([1, 2])].reset_index(drop=True))


@pytest.mark.parametrize(("name", "metric"), [(BENCHMARK, "accuracy"), (HEIR, "mae")])
def test_the_comparison_is_scipys_on_the_score_tables(finished, name, metric):
    table = table_of(finished, name, "comparison")
    assert table.columns.tolist() == COLUMNS
    pairs = [(variant, model) for variant in VARIANTS for model in models_of(finished)]
    assert list(zip(table["variant"], table["model"], strict=True)) == pairs
    p_values = []
    for row in table.to_dict("records"):
        values = {
            side: [metrics_of(finished, name, variant, row["model"], seed)[metric] for seed in (1, 2)]
            for side, variant in (("variant", row["variant"]), ("base", "base"))
        }
        assert (row["metric"], row["seeds"], row["df"]) == (metric, 2, 1)
        expected = paired(values["variant"], values["base"])
        p_values.append(expected["p_t"])
        for key, value in expected.items():
            assert row[key] == pytest.approx(value, rel=1e-6), (key, row)
        for side, own in values.items():
            assert row[f"{side}_mean"] == pytest.approx(sum(own) / 2, rel=1e-9)
            assert row[f"{side}_sd"] == pytest.approx(pd.Series(own).std(), rel=1e-6, abs=1e-12)
    assert table["p_t_holm"].tolist() == pytest.approx(holm(p_values), rel=1e-6)


def test_holms_rule_by_hand():
    assert holm([0.012, 0.001, 0.04, 0.03]) == pytest.approx([0.036, 0.004, 0.06, 0.06])


def test_variants_change_what_is_measured(finished):
    """Else every comparison above would hold of runs that did nothing different."""
    rows = table_of(finished, HEIR, "variants").set_index(["variant", "model", "seed"])["mae"]
    assert rows.is_unique


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_leaky_variant_says_that_its_test_rows_are_others(finished, name):
    table, manifest = table_of(finished, name, "comparison"), manifest_of(finished)
    assert dict(zip(table["variant"], table["same_test_rows"], strict=True)) == {
        "utterance-split": False,
        "noise": True,
    }
    ids = {column: set(manifest.loc[manifest[column] == "test", "id"]) for column in ("split", "split_utterance")}
    assert ids["split"] != ids["split_utterance"]
    for variant, column in (("utterance-split", "split_utterance"), ("noise", "split")):
        scores = pd.read_parquet(folder_of(finished, name, variant, models_of(finished)[0], 1) / "scores.parquet")
        assert set(scores["id"]) == ids[column]
        assert set(scores["split"]) == {"test"}


def test_a_second_run_trains_nothing_and_touches_no_file(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy")
    folder, kept = copy.results(BENCHMARK, "ablate"), []
    work = ablate_module._row
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}

    def row(task, variant, done):
        kept.append(done.seconds)
        return work(task, variant, done)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate_module, "_row", row)
        ablate(copy, BENCHMARK)
    assert trained == []
    assert kept == [None] * 12, "four unchanged runs and eight variants"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")} == times
    assert fingerprints(folder) == fingerprints(finished.results(BENCHMARK, "ablate"))


def test_a_changed_variant_reruns_its_own_runs_only(finished, tmp_path, trained):
    def change(params):
        params["ablation"]["variants"]["noise"]["training"]["augmentation"]["noise_snr_db"] = [-5.0, 0.0]

    copy = copy_of(finished, tmp_path / "copy", change)
    ablate(copy, HEIR)
    assert sorted(trained) == sorted(f"{model}-noise-seed{seed}" for model in models_of(finished) for seed in (1, 2))
    ours, before = (table_of(each, HEIR, "variants") for each in (copy, finished))
    others = ours["variant"] != "noise"
    pd.testing.assert_frame_equal(ours[others], before[others])
    assert (ours.loc[~others, "mae"] != before.loc[~others, "mae"]).all()


def test_a_variant_that_is_no_longer_wanted_leaves_nothing(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["benchmarks"][HEIR].update(variants=["noise"]))
    ablate(copy, HEIR)
    assert trained == []
    assert not list(copy.results(HEIR, "ablate").glob("*utterance-split*"))
    assert set(table_of(copy, HEIR, "variants")["variant"]) == {"base", "noise"}
    table = table_of(copy, HEIR, "comparison")
    assert table["p_t_holm"].tolist() == pytest.approx(holm(table["p_t"].tolist())), "adjusted over what is left"


def test_without_variants_the_tables_are_there_and_empty(finished, tmp_path):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["benchmarks"][HEIR].update(variants=[]))
    ablate(copy, HEIR)
    assert set(table_of(copy, HEIR, "variants")["variant"]) == {"base"}
    table = table_of(copy, HEIR, "comparison")
    assert (len(table), table.columns.tolist()) == (0, COLUMNS)


def test_without_the_unchanged_runs_the_stage_that_does_them_is_named(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy")
    shutil.rmtree(copy.results(BENCHMARK, "repeat"))
    with pytest.raises(InputError, match=r"no finished run in .*-seed1.*: run `dvc repro repeat@gender-tiny` first"):
        ablate(copy, BENCHMARK)
    assert trained == []


def test_unchanged_runs_of_other_settings_do_not_count(finished, tmp_path, trained):
    copy = copy_of(finished, tmp_path / "copy", lambda params: params["training"].update(batch_size=4))
    with pytest.raises(InputError, match="or one with other settings: run `dvc repro repeat@gender-tiny` first"):
        ablate(copy, BENCHMARK)
    assert trained == []


def test_a_variant_that_cannot_work_is_refused_before_anything_is_trained(finished, tmp_path, trained):
    def change(params):
        params["ablation"]["variants"]["noise"]["training"] = {"augmentation": {"low_pass_hz": [1000.0, 9000.0]}}

    copy = copy_of(finished, tmp_path / "copy", change)
    with pytest.raises(InputError, match=r"low_pass_hz is \[1000, 9000\].* below 8000") as refused:
        ablate(copy, BENCHMARK)
    assert "\n" not in str(refused.value)
    assert trained == []


def test_a_variant_on_which_the_metric_has_no_value_is_refused_in_one_line(finished, tmp_path, monkeypatch):
    work = ablate_module._row
    monkeypatch.setattr(
        ablate_module,
        "_row",
        lambda task, variant, done: work(task, variant, done) | ({} if variant == "base" else {"accuracy": None}),
    )
    with pytest.raises(InputError, match=r"accuracy has no value for .*-utterance-split-seed1") as refused:
        ablate(copy_of(finished, tmp_path / "copy"), BENCHMARK)
    assert "\n" not in str(refused.value)
