"""Crops and samplers: everything seen once, repeatable by epoch, nothing padded."""

import numpy as np
import pytest
import torch

from reporting.settings import TRAINING
from voxbench.config import Training
from voxbench.features.dataset import (
    BalancedCrops,
    CropDataset,
    Cut,
    EvenCrops,
    ShuffledCrops,
    cut,
    evaluation_loader,
    even_places,
    places_of,
    repeated,
    training_loader,
)
from voxbench.schema import InputError

CLASSES = ("female", "male", "unknown")
SKEWED = np.repeat([0, 1, 2], [70, 25, 6])[np.random.default_rng(0).permutation(101)]


def test_cut_takes_the_frames_at_its_place():
    features = np.arange(20, dtype=np.float16).reshape(10, 2)
    assert cut(features, 0.0, 4)[0].tolist() == [0, 2, 4, 6]
    assert cut(features, 1.0, 4)[1].tolist() == [13, 15, 17, 19]
    assert cut(features, 0.5, 10).shape == (2, 10)
    assert cut(features, 0.3, 4).dtype == np.float32


def test_a_recording_shorter_than_the_crop_is_refused_not_padded():
    with pytest.raises(ValueError, match="crop of 11 frames was asked of a recording of 10"):
        cut(np.zeros((10, 2)), 0.5, 11)


@pytest.mark.parametrize(
    ("values", "frames", "expected"),
    [
        ([1, 2, 3], 2, [1, 2, 3]),
        ([1, 2, 3], 3, [1, 2, 3]),
        ([1, 2, 3], 4, [1, 2, 3, 1]),
        ([1, 2, 3], 6, [1, 2, 3, 1, 2, 3]),
        ([7], 3, [7, 7, 7]),
        ([[1, 2], [3, 4]], 3, [[1, 2], [3, 4], [1, 2]]),
    ],
)
def test_what_is_too_short_is_said_again_from_its_start(values, frames, expected):
    assert repeated(np.array(values), frames).tolist() == expected


def test_exactly_the_length_of_a_crop_is_taken_as_it_is():
    """With the authors' code 64,600 samples fail."""
    wave = np.arange(64_600, dtype=np.float32)
    assert np.array_equal(cut(repeated(wave, wave.size), 0.0, wave.size)[0], wave)
    longer = cut(repeated(wave[:-1], wave.size), 0.0, wave.size)[0]
    assert (longer[:-1].tolist(), longer[-1]) == (wave[:-1].tolist(), 0.0)


@pytest.mark.parametrize(
    ("place", "crops", "expected"), [("start", 1, [0.0]), ("spread", 1, [0.5]), ("spread", 2, [0.25, 0.75])]
)
def test_evaluation_is_at_the_start_or_spread_over_the_recording(place, crops, expected):
    settings = Training(**(TRAINING | {"evaluation_place": place, "evaluation_crops": crops}))
    assert places_of(settings) == expected


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_data_set_repeats_what_is_too_short_or_refuses_it(scale):
    stored = [np.array([4, 8, 12], dtype=np.int16), np.arange(10, dtype=np.int16)]
    store = type("Rows", (), {"__getitem__": lambda self, row: stored[row], "scales": np.full(2, scale)})()
    repeating = CropDataset(store, [0, 1], np.array([1, 0]), frames=5, repeats=True)
    assert repeating[Cut(0, 0.9)].features.tolist() == [[4 * scale, 8 * scale, 12 * scale, 4 * scale, 8 * scale]]
    refusing = CropDataset(store, [0, 1], np.array([1, 0]), frames=5, repeats=False)
    with pytest.raises(ValueError, match="crop of 5 frames was asked of a recording of 3"):
        refusing[Cut(0, 0.9)]
    for place in (0.0, 0.4, 1.0):
        assert torch.equal(repeating[Cut(1, place)].features, refusing[Cut(1, place)].features)


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


def test_the_order_and_the_places_of_an_epoch_stay_what_they_were():
    """Recorded: other draws would move every result."""
    sampler = ShuffledCrops(4, seed=5)
    sampler.set_epoch(1)
    assert [cut_at.row for cut_at in sampler] == [1, 0, 2, 3]
    recorded = [0.19139654595447397, 0.6971855774231371, 0.649702008922733, 0.24677825717747182]
    assert [cut_at.place for cut_at in sampler] == recorded


def test_training_cuts_name_their_epoch_and_evaluation_has_no_draw():
    for sampler in (ShuffledCrops(5, seed=1), BalancedCrops(SKEWED, CLASSES, seed=1)):
        sampler.set_epoch(7)
        cuts = iter(sampler)
        sampler.set_epoch(8)
        assert {cut_at.draw[0] for cut_at in cuts} == {7}
    assert {cut_at.draw for cut_at in EvenCrops(5, even_places(2))} == {None}


def balanced(epoch, seed=1, targets=SKEWED):
    sampler = BalancedCrops(targets, CLASSES, seed)
    sampler.set_epoch(epoch)
    cuts = list(sampler)
    assert len(cuts) == len(sampler) == len(targets)
    return cuts


def test_balanced_epochs_have_every_class_equally_often():
    remainders = np.zeros(3)
    for epoch in range(60):
        counts = np.bincount([SKEWED[cut_at.row] for cut_at in balanced(epoch)], minlength=3)
        assert sorted(counts) == [33, 34, 34]
        remainders += counts - 33
    assert remainders.min() > 30, "no class may always lack the one more"


def test_rare_rows_repeat_evenly_and_frequent_ones_do_not():
    cuts = balanced(0)
    times = np.bincount([cut_at.row for cut_at in cuts], minlength=101)
    assert set(times[SKEWED == 0]) == {0, 1}
    assert set(times[SKEWED == 1]) == {1, 2}
    assert set(times[SKEWED == 2]) == {5, 6}
    for row in range(101):
        assert sorted(cut_at.draw[1] for cut_at in cuts if cut_at.row == row) == list(range(times[row]))
    seen = {cut_at.row for epoch in range(15) for cut_at in balanced(epoch)}
    assert seen == set(range(101)), "every row must have a chance"


def test_balanced_epochs_are_shuffled_and_at_random_places():
    cuts = balanced(0)
    assert len({cut_at.place for cut_at in cuts}) == 101
    assert all(0 <= cut_at.place < 1 for cut_at in cuts)
    for part in (cuts[:50], cuts[50:]):
        assert np.bincount([SKEWED[cut_at.row] for cut_at in part], minlength=3).min() > 8


def test_a_balanced_epoch_can_be_repeated_without_those_before_it():
    epochs = [balanced(epoch) for epoch in range(3)]
    through = BalancedCrops(SKEWED, CLASSES, 1)
    for epoch in range(3):
        through.set_epoch(epoch)
        assert list(through) == epochs[epoch]
    assert len({tuple(cuts) for cuts in [*epochs, balanced(0, seed=2)]}) == 4


def test_even_classes_are_seen_once_each():
    cuts = balanced(4, targets=np.arange(30) % 3)
    assert sorted(cut_at.row for cut_at in cuts) == list(range(30))


def test_what_has_no_classes_or_misses_one_is_not_balanced():
    with pytest.raises(InputError, match="'sampling', but no training row is male, unknown: use 'none'"):
        BalancedCrops(np.array([0, 0]), CLASSES, seed=1)
    with pytest.raises(InputError, match="the task has no classes: set it to 'none'"):
        BalancedCrops(np.array([31.5, 40.0]), (), seed=1)


def test_even_crops_are_spread_over_the_recording():
    assert [cut_at.place for cut_at in EvenCrops(1, even_places(1))] == [0.5]
    assert [cut_at[:2] for cut_at in EvenCrops(2, even_places(2))] == [(0, 0.25), (0, 0.75), (1, 0.25), (1, 0.75)]


@pytest.fixture
def dataset():
    features = [np.full((6, 3), row, dtype=np.float16) for row in range(5)]
    store = type("Rows", (), {"__getitem__": lambda self, row: features[row], "scales": np.ones(5)})()
    return CropDataset(store, [4, 3, 2, 1, 0], np.array([0, 1, 0, 1, 0]), frames=4, repeats=False)


def test_batches_carry_features_targets_and_rows(dataset):
    batch = next(iter(evaluation_loader(dataset, batch_size=4, places=even_places(2))))
    assert batch.features.shape == (4, 3, 4)
    assert batch.features.dtype == torch.float32
    assert batch.row.tolist() == [0, 0, 1, 1]
    assert batch.target.tolist() == [0, 0, 1, 1]
    assert batch.features[:, 0, 0].tolist() == [4, 4, 3, 3]


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4]), (3, [3, 2])])
def test_a_last_training_batch_of_one_row_is_left_out(dataset, batch_size, sizes):
    for sampler in (ShuffledCrops(5, seed=1), BalancedCrops(dataset.targets.numpy(), CLASSES[:2], seed=1)):
        loader = training_loader(dataset, batch_size, sampler)
        assert [len(batch.row) for batch in loader] == sizes
        assert loader.sampler is sampler
