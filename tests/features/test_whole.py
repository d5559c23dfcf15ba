"""Whole recordings come once an epoch, with others of like length, in batches that stay within their bounds."""

import numpy as np
import pytest
import torch

from voxbench.features.whole import LengthBatches, SortedBatches, WholeRecordings, whole_loader
from voxbench.schema import InputError

LENGTHS = np.random.default_rng(3).integers(40, 400, 311)
ROWS, FRAMES = 16, 1600


class Listed:
    """A store of features `(T, 2)` that tell their row and frame."""

    scales = np.ones(len(LENGTHS), dtype=np.float32)

    def __getitem__(self, position):
        frames = np.arange(LENGTHS[position], dtype=np.float16)
        return np.stack([np.full_like(frames, position + 1), frames + 1], axis=1)


def joined(found):
    return [row for rows in found for row in rows]


def recordings(positions):
    return WholeRecordings(Listed(), positions, np.arange(2 * len(positions)).reshape(-1, 2))


def batches(epoch, seed=1):
    sampler = LengthBatches(LENGTHS, ROWS, FRAMES, seed)
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


@pytest.mark.parametrize("epoch", range(6))
def test_every_row_comes_once_an_epoch_in_batches_within_their_bounds(epoch):
    found = batches(epoch)
    assert sorted(joined(found)) == list(range(len(LENGTHS)))
    for rows in found:
        assert 1 <= len(rows) <= ROWS
        assert len(rows) * LENGTHS[rows].max() <= FRAMES


def test_a_batch_is_of_like_lengths_and_little_of_it_is_padding():
    found = batches(0)
    seen = sum(len(rows) * LENGTHS[rows].max() for rows in found)
    assert LENGTHS.sum() / seen > 0.85
    mixed = [rows for rows in found if len(rows) > 1 and LENGTHS[rows].min() < 0.6 * LENGTHS[rows].max()]
    assert len(mixed) <= 1, "only the last of the short ones may be filled up with others"


def test_epochs_differ_in_order_and_in_who_comes_together_and_can_be_replayed():
    first, second = batches(0), batches(1)
    assert first == batches(0)
    assert {frozenset(rows) for rows in first} != {frozenset(rows) for rows in second}
    assert [len(rows) for rows in first] != [len(rows) for rows in second], "long ones do not always come first"
    assert first != batches(0, seed=2)


def test_for_evaluation_the_longest_come_first():
    sampler = SortedBatches(LENGTHS, ROWS, FRAMES)
    found = list(sampler)
    assert len(found) == len(sampler)
    assert sorted(joined(found)) == list(range(len(LENGTHS)))
    assert all(np.diff(LENGTHS[joined(found)]) <= 0)


@pytest.mark.parametrize("sampler", [lambda *given: LengthBatches(*given, 1), SortedBatches])
def test_a_recording_longer_than_a_batch_is_refused_with_the_fix(sampler):
    with pytest.raises(InputError, match=r"a recording of 101 frames is longer than a batch of training.batch_seconds"):
        sampler(np.array([50, 101]), ROWS, 100)
    assert len(list(sampler(np.array([50, 100]), ROWS, 100))) == 2


def test_a_batch_is_padded_with_zeros_and_says_how_long_each_recording_is():
    positions = [7, 3, 120]
    whole = recordings(positions)
    assert (len(whole), whole.lengths.tolist()) == (3, LENGTHS[positions].tolist())
    batch = next(iter(whole_loader(whole, [[2, 0]])))
    assert batch.row.tolist() == [2, 0]
    assert batch.target.tolist() == [[4, 5], [0, 1]]
    assert batch.lengths.tolist() == LENGTHS[[120, 7]].tolist()
    assert batch.features.shape == (2, 2, LENGTHS[[120, 7]].max())
    assert batch.features.dtype == torch.float32
    for item, (position, length) in enumerate(zip((120, 7), batch.lengths, strict=True)):
        own = batch.features[item, :, :length]
        assert torch.equal(own, torch.from_numpy(Listed()[position].T).float())
        assert (batch.features[item, :, length:] == 0).all()
