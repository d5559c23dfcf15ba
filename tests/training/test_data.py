"""What a training run is given: labelled rows of its split, crops, and a balanced part of them."""

import numpy as np
import pandas as pd
import pytest

from stages.pipeline import CORPUS, manifest_of
from training.recipes import LSTM, load, recipe
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


@pytest.mark.parametrize("split", list(Split))
def test_a_split_holds_its_rows_in_the_order_of_the_manifest(featured, data, split):
    manifest = manifest_of(featured)
    assert data.split(split)["id"].tolist() == manifest.loc[manifest["split"] == split, "id"].tolist()


def test_rows_without_a_label_are_left_out(copied):
    manifest = manifest_of(copied)
    manifest.loc[[0, 5], "gender"] = None
    manifest.to_parquet(copied.prepared(CORPUS) / "manifest.parquet", index=False)
    data = load(copied, recipe(copied, LSTM))
    assert data.rows["id"].tolist() == manifest["id"].drop([0, 5]).tolist()


def test_a_split_without_labelled_rows_is_refused(copied):
    manifest = manifest_of(copied)
    manifest.loc[manifest["split"] == Split.VALID, "gender"] = None
    manifest.to_parquet(copied.prepared(CORPUS) / "manifest.parquet", index=False)
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
