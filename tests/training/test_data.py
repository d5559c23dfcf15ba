"""What a training run is given: labelled rows of its split, crops, and a balanced part of them."""

import numpy as np
import pandas as pd
import pytest

from stages.pipeline import manifest_of
from training.recipes import LSTM, give_ages, load, recipe, write_manifest
from voxbench.features.dataset import Cut
from voxbench.schema import InputError, Split
from voxbench.training.data import subset


@pytest.fixture
def data(featured):
    return load(featured, recipe(featured, LSTM))


@pytest.fixture
def uneven():
    """Return ten rows, seven of class 0 and three of class 1, whose index starts anywhere."""
    return pd.DataFrame({"id": list("abcdefghij")}, index=range(40, 50)), np.array([0, 0, 1, 0, 1, 0, 0, 0, 1, 0])


@pytest.mark.parametrize(("per_class", "expected"), [(1, [1, 1]), (3, [3, 3]), (5, [5, 3]), (99, [7, 3])])
def test_a_subset_takes_so_many_rows_of_each_class(uneven, per_class, expected):
    rows, targets = uneven
    chosen = subset(rows, targets, per_class, seed=1)
    truth = dict(zip(rows["id"], targets, strict=True))
    assert np.bincount([truth[row_id] for row_id in chosen["id"]]).tolist() == expected
    assert chosen["id"].is_monotonic_increasing, "the order of the rows must stay"
    assert chosen["id"].is_unique


def test_a_subset_is_a_draw_by_seed(uneven):
    draws = [tuple(subset(*uneven, 2, seed)["id"]) for seed in range(20)]
    assert draws == [tuple(subset(*uneven, 2, seed)["id"]) for seed in range(20)]
    assert len(set(draws)) > 10
    assert {row_id for draw in draws for row_id in draw} == set(uneven[0]["id"]), "every row must have a chance"


def test_no_limit_takes_all_rows(uneven):
    assert subset(*uneven, None, seed=1) is uneven[0]


@pytest.mark.parametrize(("per_class", "expected"), [(1, 1), (5, 5), (999, 32), (None, 32)])
def test_a_value_has_one_class(aged, per_class, expected):
    data = load(aged, recipe(aged, LSTM), "age_years")
    rows = data.training_rows(per_class, seed=1)
    assert len(rows) == expected
    whole = data.split(Split.TRAIN)["id"]
    assert rows["id"].tolist() == whole[whole.isin(rows["id"])].tolist()


def test_training_rows_are_so_many_of_each_class(data):
    assert data.training_rows(3, seed=1)["gender"].value_counts().to_dict() == {"female": 3, "male": 3}
    assert set(data.training_rows(None, seed=1)["split"]) == {"train"}


def test_a_value_task_knows_the_rows_with_a_number(copied):
    give_ages(copied)
    manifest = manifest_of(copied)
    manifest.loc[[2, 9], "age_years"] = None
    write_manifest(copied, manifest)
    data = load(copied, recipe(copied, LSTM), "age_years")
    kept = manifest.drop([2, 9])
    assert data.rows["id"].tolist() == kept["id"].tolist()
    train = data.split(Split.TRAIN)
    assert data.dataset(train).targets.tolist() == kept.loc[kept["split"] == Split.TRAIN, "age_years"].tolist()


@pytest.mark.parametrize("split", list(Split))
def test_the_leaky_column_gives_its_own_rows(featured, split):
    manifest = manifest_of(featured)
    leaky = load(featured, recipe(featured, LSTM), split_column="split_utterance")
    rows = leaky.split(split)
    assert rows["id"].tolist() == manifest.loc[manifest["split_utterance"] == split, "id"].tolist()
    assert set(rows["split"]) == {split.value}


def test_the_leaky_column_shares_speakers_and_has_its_own_digest(featured, data):
    leaky = load(featured, recipe(featured, LSTM), split_column="split_utterance")
    for view, shared in ((data, False), (leaky, True)):
        train, test = (set(view.split(split)["speaker"]) for split in (Split.TRAIN, Split.TEST))
        assert bool(train & test) == shared
    assert leaky.features_digest != data.features_digest


@pytest.mark.parametrize("split", list(Split))
def test_a_split_holds_its_rows_in_the_order_of_the_manifest(featured, data, split):
    manifest = manifest_of(featured)
    assert data.split(split)["id"].tolist() == manifest.loc[manifest["split"] == split, "id"].tolist()


def test_rows_without_a_label_are_left_out(copied):
    manifest = manifest_of(copied)
    manifest.loc[[0, 5], "gender"] = None
    write_manifest(copied, manifest)
    data = load(copied, recipe(copied, LSTM))
    assert data.rows["id"].tolist() == manifest["id"].drop([0, 5]).tolist()


def test_a_split_without_labelled_rows_is_refused(copied):
    manifest = manifest_of(copied)
    manifest.loc[manifest["split"] == Split.VALID, "gender"] = None
    write_manifest(copied, manifest)
    with pytest.raises(InputError, match="task 'gender' has no labelled rows in the valid split"):
        load(copied, recipe(copied, LSTM)).split(Split.VALID)


def test_each_row_meets_its_own_features_and_target(data):
    rows = data.split(Split.TRAIN)
    dataset = data.dataset(rows)
    by_id = dict(zip(data.store.ids, data.store, strict=True))
    for row in (0, 7, len(rows) - 1):
        batch = dataset[Cut(row, 0.0)]
        assert np.array_equal(batch.features.numpy(), by_id[rows["id"][row]][: data.crop_frames].T.astype(np.float32))
        assert int(batch.target) == ["female", "male"].index(rows["gender"][row])


@pytest.mark.parametrize(("seconds", "frames"), [(0.5, 50), (0.29, 29), (0.57, 57), (0.1, 10)])
def test_a_crop_holds_its_seconds(featured, seconds, frames):
    assert load(featured, recipe(featured, LSTM, crop_seconds=seconds)).crop_frames == frames
