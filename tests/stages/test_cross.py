"""Every benchmark's best network on every corpus: each number by hand from what was predicted."""

import shutil

import numpy as np
import pandas as pd
import pytest

from stages.pipeline import BENCHMARK, BENCHMARKS, CORPUS, HEIR, copy_of, manifest_of
from tiny import write_table_corpus
from voxbench.artifacts import read_json
from voxbench.schema import AGE_GROUPS, InputError
from voxbench.stages.cross import Cell, _columns, _measure, cross
from voxbench.stages.prepare import prepare
from voxbench.tasks import tasks

OTHER, ELSEWHERE = "other", "gender-other"


def add_corpus(params):
    """Add a corpus whose test split is large, and a benchmark on it."""
    splitting = params["corpora"][CORPUS]["splitting"] | {"test_fraction": 0.5}
    params["corpora"][OTHER] = params["corpora"][CORPUS] | {"root": "other", "splitting": splitting}
    params["benchmarks"][ELSEWHERE] = params["benchmarks"][BENCHMARK] | {"corpus": OTHER, "variants": []}


def tables_of(workspace):
    """Return the rows of `matrix.csv` by benchmark, corpus and metric, and `scores.parquet`."""
    folder = workspace.results("cross", "")
    matrix = pd.read_csv(folder / "matrix.csv").set_index(["benchmark", "corpus", "metric"]).sort_index()
    return matrix, pd.read_parquet(folder / "scores.parquet")


def change_manifest(workspace, corpus, change):
    path = workspace.prepared(corpus) / "manifest.parquet"
    manifest = pd.read_parquet(path)
    change(manifest)
    manifest.to_parquet(path, index=False)


@pytest.fixture(scope="module")
def two(finished, tmp_path_factory):
    """Return a copy with a second corpus, one of whose test speakers has no age, and a benchmark on it."""
    copy = copy_of(finished, tmp_path_factory.mktemp("two") / "copy", add_corpus)
    write_table_corpus(copy.root / "other", speakers=12, clips=1, seed=8)
    prepare(copy, OTHER)
    table = pd.read_csv(copy.root / "other" / "metadata.csv", dtype=str)
    manifest = pd.read_parquet(copy.prepared(OTHER) / "manifest.parquet")
    table.loc[table["speaker"] == manifest.loc[manifest["split"] == "test", "speaker"].iloc[0], "age"] = ""
    table.to_csv(copy.root / "other" / "metadata.csv", index=False)
    prepare(copy, OTHER)
    shutil.copytree(copy.models(BENCHMARK), copy.models(ELSEWHERE))
    cross(copy)
    return copy


@pytest.fixture
def changed(two, tmp_path):
    """Return a copy of the project of two corpora that a test may change and cross again."""
    shutil.copytree(two.root, tmp_path / "two", ignore=shutil.ignore_patterns("cross", "repeat", "ablate", "mlruns"))
    return type(two)(tmp_path / "two", two.params)


def test_every_network_meets_every_corpus(two):
    matrix, _ = tables_of(two)
    names, corpora = (*BENCHMARKS, ELSEWHERE), (CORPUS, OTHER)
    expected = {(name, corpus, "balanced_accuracy") for name in names for corpus in corpora}
    assert set(matrix.index) == expected | {(HEIR, corpus, "mae") for corpus in corpora}
    assert matrix["note"].isna().all()
    assert (matrix["excluded"] == 0).all()
    for name in names:
        champion = read_json(two.models(name) / "ranking.json")[0]["model"]
        assert set(matrix.loc[name, "model"]) == {champion}


def test_a_cells_rows_are_the_labelled_test_rows_of_its_corpus(two):
    _, scores = tables_of(two)
    for (name, corpus), rows in scores.groupby(["benchmark", "corpus"]):
        manifest = pd.read_parquet(two.prepared(corpus) / "manifest.parquet")
        label = "age_years" if name == HEIR else "gender"
        wanted = manifest.loc[(manifest["split"] == "test") & manifest[label].notna(), "id"]
        assert sorted(rows["id"]) == sorted(wanted)
    counts = scores.groupby(["benchmark", "corpus"]).size()
    assert counts[HEIR, OTHER] == counts[BENCHMARK, OTHER] - 1 == 5, "one has no age"


def test_the_diagonal_is_the_evaluation_of_the_fine_tuned_network(finished):
    matrix, scores = tables_of(finished)
    for name in BENCHMARKS:
        model = read_json(finished.models(name) / "ranking.json")[0]["model"]
        stored = pd.read_parquet(finished.models(name) / model / "scores.parquet").set_index("id")
        stored = stored[stored["split"] == "test"]
        ours = scores[scores["benchmark"] == name].set_index("id")
        assert sorted(ours.index) == sorted(stored.index)
        stored = stored.loc[ours.index]
        if name == HEIR:
            assert ours["predicted_years"].to_numpy() == pytest.approx(stored["predicted"].to_numpy(), abs=1e-4)
            error = np.abs(stored["predicted"] - stored["truth"]).mean()
            assert matrix.loc[(name, CORPUS, "mae"), "value"] == pytest.approx(error, rel=1e-6)
        else:
            words = np.where(stored["p_male"] > stored["p_female"], "male", "female")
            assert ours["predicted"].tolist() == words.tolist()


def recalls(truth, predicted):
    """Return the mean share of each group's rows that were recognised, over the groups there are."""
    return np.mean([(predicted[truth == word] == word).mean() for word in set(truth)])


def test_each_value_of_the_matrix_is_that_of_the_predictions(two):
    matrix, scores = tables_of(two)
    for (name, corpus, metric), row in matrix.iterrows():
        rows = scores[(scores["benchmark"] == name) & (scores["corpus"] == corpus)]
        assert (row["clips"], row["speakers"]) == (len(rows), rows["speaker"].nunique())
        if metric == "mae":
            train = pd.read_parquet(two.prepared(CORPUS) / "manifest.parquet").query("split == 'train'")
            constant = train["age_years"].median()
            assert row["value"] == pytest.approx((rows["age_years"] - rows["predicted_years"]).abs().mean())
            assert row["baseline"] == pytest.approx((rows["age_years"] - constant).abs().mean())
        else:
            truth = rows["age_group" if name == HEIR else "gender"]
            assert row["value"] == pytest.approx(recalls(truth.to_numpy(), rows["predicted"].to_numpy()))
            assert row["baseline"] == pytest.approx(1 / truth.nunique())
        assert row["low"] <= row["value"] <= row["high"]
    spread = matrix.loc[(slice(None), slice(None), "mae"), :]
    assert (spread["low"] < spread["high"]).all()


def test_years_are_held_against_groups_as_groups(two):
    _, scores = tables_of(two)
    aged, others = scores[scores["benchmark"] == HEIR], scores[scores["benchmark"] != HEIR]
    place = np.clip(aged["predicted_years"] // 10 - 1, 0, 5).astype(int)
    assert aged["predicted"].tolist() == [AGE_GROUPS[number] for number in place]
    assert others["predicted_years"].isna().all()


def test_estimates_beyond_all_ages_belong_to_the_outermost_groups():
    years = [-3.0, 19.99, 20.0, 59.9, 60.0, 500.0]
    columns = _columns(tasks["age_years"], [{"predicted": value} for value in years])
    assert columns["predicted"] == ["teens", "teens", "twenties", "fifties", "sixties+", "sixties+"]
    assert columns["predicted_years"] == years


def test_crossing_again_writes_the_same_bytes(two, changed):
    cross(changed)
    for name in ("matrix.csv", "scores.parquet"):
        paths = [each.results("cross", "") / name for each in (two, changed)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_corpus_without_the_label_has_an_explained_cell_and_no_score(two, changed):
    path = changed.prepared(OTHER) / "manifest.parquet"
    pd.read_parquet(path).assign(age_group=None, age_years=np.nan).to_parquet(path, index=False)
    cross(changed)
    (matrix, scores), (before, _) = tables_of(changed), tables_of(two)
    cells = matrix.loc[(HEIR, OTHER)]
    assert cells.index.tolist() == ["balanced_accuracy"]
    assert cells[["value", "low", "high"]].isna().all(axis=None)
    assert (cells["clips"].item(), cells["excluded"].item()) == (0, 0)
    assert cells["note"].item() == "no test recording has a label of age"
    assert scores[(scores["benchmark"] == HEIR) & (scores["corpus"] == OTHER)].empty
    pd.testing.assert_frame_equal(matrix.drop((HEIR, OTHER)), before.drop((HEIR, OTHER)), check_dtype=False)


def test_what_a_network_was_trained_on_is_noted_and_not_scored(two, changed):
    own = manifest_of(changed)
    heard = own.loc[own["split"] == "train", "audio_sha256"].iloc[0]

    def share(table):
        table.loc[table.index[table["split"] == "test"][0], "audio_sha256"] = heard

    change_manifest(changed, OTHER, share)
    cross(changed)
    (matrix, scores), (before, _) = tables_of(changed), tables_of(two)
    row = matrix.loc[(BENCHMARK, OTHER, "balanced_accuracy")]
    assert row["note"] == f"1 of 6 test recordings are in the training data of {CORPUS}"
    assert pd.isna(row["value"])
    assert row["clips"] == 0
    assert scores[(scores["benchmark"] == BENCHMARK) & (scores["corpus"] == OTHER)].empty
    unheard = (ELSEWHERE, OTHER, "balanced_accuracy")
    assert matrix.loc[unheard, "value"] == before.loc[unheard, "value"], "its own corpus is no leak"


def test_test_recordings_that_two_corpora_share_are_no_leak(changed):
    own = manifest_of(changed)
    unheard = own.loc[own["split"] == "test", "audio_sha256"].iloc[0]

    def share(table):
        table.loc[table.index[table["split"] == "test"][0], "audio_sha256"] = unheard

    change_manifest(changed, OTHER, share)
    cross(changed)
    assert tables_of(changed)[0]["note"].isna().all()


def test_an_unreadable_recording_is_counted_and_not_guessed(two, changed):
    manifest = pd.read_parquet(changed.prepared(OTHER) / "manifest.parquet")
    broken = manifest.loc[(manifest["split"] == "test") & manifest["age_years"].notna(), "id"].iloc[0]
    (changed.root / "other" / broken).write_text("no audio")
    cross(changed)
    (matrix, scores), (before, _) = tables_of(changed), tables_of(two)
    for name in (*BENCHMARKS, ELSEWHERE):
        cell = (name, OTHER, "balanced_accuracy")
        assert (matrix.loc[cell, "excluded"], matrix.loc[cell, "clips"]) == (1, before.loc[cell, "clips"] - 1)
        rows = scores[(scores["benchmark"] == name) & (scores["corpus"] == OTHER)]
        (row,) = rows[rows["id"] == broken].to_dict("records")
        assert row["excluded"] == "unreadable"
        assert pd.isna(row["predicted"])
    rows = scores[(scores["benchmark"] == HEIR) & (scores["corpus"] == OTHER) & scores["excluded"].isna()]
    error = (rows["age_years"] - rows["predicted_years"]).abs().mean()
    assert matrix.loc[(HEIR, OTHER, "mae"), "value"] == pytest.approx(error)


def test_a_corpus_of_unreadable_recordings_has_an_explained_cell(changed):
    for path in (changed.root / "other").rglob("*.wav"):
        path.write_text("no audio")
    cross(changed)
    row = tables_of(changed)[0].loc[(BENCHMARK, OTHER, "balanced_accuracy")]
    assert (row["note"], row["clips"], row["excluded"]) == ("no recording could be used", 0, 6)
    assert pd.isna(row["value"])


def test_one_speaker_has_a_value_and_no_interval(changed):
    def leave_one(table):
        test = table.index[(table["split"] == "test") & table["age_years"].notna()]
        table.loc[test[1:], "split"] = "train"
        table.loc[table["age_years"].isna(), "split"] = "train"

    change_manifest(changed, OTHER, leave_one)
    cross(changed)
    row = tables_of(changed)[0].loc[(HEIR, OTHER, "mae")]
    assert row["speakers"] == 1
    assert row["value"] > 0
    assert row[["low", "high"]].isna().all()
    assert "needs at least 2" in row["note"]


def test_before_fine_tuning_the_missing_stage_is_named(changed):
    (changed.models(HEIR) / "ranking.json").unlink()
    with pytest.raises(InputError, match=r"ranking\.json: run `dvc repro finetune@age-tiny` first"):
        cross(changed)


def test_recordings_of_several_people_are_resampled_person_by_person(finished):
    people = [["a", "b"], None, ["b", "c"], None, ["d", "a"], None] * 3
    rows = pd.DataFrame(
        {
            "speaker": ["a+b", "c", "b+c", "d", "d+a", "b"] * 3,
            "speakers": people,
            "gender": ["female", "male", "female", "male", "male", "female"] * 3,
            "predicted": ["female", "male"] * 9,
            "excluded": None,
            "age_years": np.nan,
        }
    )
    cell = Cell("b", tasks["gender"], "m", "c", "c", rows, None, "")
    (found,) = _measure(cell, finished.params.report)
    one = rows.assign(speakers=None)
    (joined,) = _measure(Cell("b", tasks["gender"], "m", "c", "c", one, None, ""), finished.params.report)
    assert (found["speakers"], joined["speakers"]) == (4, 6)
    assert found["value"] == joined["value"]
    assert (found["low"], found["high"]) != (joined["low"], joined["high"])
