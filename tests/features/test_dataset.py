"""Crops and samplers: everything seen once, repeatable by epoch, nothing padded."""

import numpy as np
import pytest
import torch

from voxbench.features.dataset import (
    CropDataset,
    EvenCrops,
    ShuffledCrops,
    cut,
    evaluation_loader,
    training_loader,
)


def test_cut_takes_the_frames_at_its_place():
    features = np.arange(20, dtype=np.float16).reshape(10, 2)
    assert cut(features, 0.0, 4)[0].tolist() == [0, 2, 4, 6]
    assert cut(features, 1.0, 4)[1].tolist() == [13, 15, 17, 19]
    assert cut(features, 0.5, 10).shape == (2, 10)
    assert cut(features, 0.3, 4).dtype == np.float32


def test_a_recording_shorter_than_the_crop_is_refused_not_padded():
    with pytest.raises(ValueError, match="crop of 11 frames was asked of a recording of 10"):
        cut(np.zeros((10, 2)), 0.5, 11)


def test_every_row_comes_once_an_epoch_and_epochs_differ():
    sampler = ShuffledCrops(20, seed=5)
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert sorted(cut_at.row for cut_at in epochs[-1]) == list(range(20))
        assert all(0 <= cut_at.place < 1 for cut_at in epochs[-1])
    assert epochs[0] != epochs[1]
    sampler.set_epoch(0)
    assert list(sampler) == epochs[0]
    assert list(ShuffledCrops(20, seed=6)) != epochs[0]


def test_even_crops_are_spread_over_the_recording():
    assert [cut_at.place for cut_at in EvenCrops(1, 1)] == [0.5]
    assert [tuple(cut_at) for cut_at in EvenCrops(2, 2)] == [(0, 0.25), (0, 0.75), (1, 0.25), (1, 0.75)]


@pytest.fixture
def dataset():
    features = [np.full((6, 3), row, dtype=np.float16) for row in range(5)]
    store = type("Rows", (), {"__getitem__": lambda self, row: features[row]})()
    return CropDataset(store, [4, 3, 2, 1, 0], np.array([0, 1, 0, 1, 0]), frames=4)


def test_batches_carry_features_targets_and_rows(dataset):
    batch = next(iter(evaluation_loader(dataset, batch_size=4, crops=2)))
    assert batch.features.shape == (4, 3, 4)
    assert batch.features.dtype == torch.float32
    assert batch.row.tolist() == [0, 0, 1, 1]
    assert batch.target.tolist() == [0, 0, 1, 1]
    assert batch.features[:, 0, 0].tolist() == [4, 4, 3, 3]


def test_a_last_training_batch_of_one_row_is_left_out(dataset):
    assert [len(batch.row) for batch in training_loader(dataset, batch_size=4, seed=1)] == [4]
    assert [len(batch.row) for batch in training_loader(dataset, batch_size=3, seed=1)] == [3, 2]
