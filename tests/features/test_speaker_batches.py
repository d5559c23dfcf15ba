"""Batches of so many crops of so many speakers, and copies as new speakers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.wave_corpus import CLIPS, augmentation, epoch_of, equal, people_of, pieces, write_corpus
from voxbench.features.speaker_batches import SpeakerCrops, speed_copies
from voxbench.schema import InputError

LOPSIDED = np.repeat(np.arange(7), [3, 1, 10, 4, 2, 9, 4])


def batches(targets, per_speaker, batch_size, epoch=0, seed=1):
    sampler = SpeakerCrops(targets, per_speaker, batch_size, seed)
    sampler.set_epoch(epoch)
    cuts = list(sampler)
    assert len(cuts) == len(sampler)
    return [cuts[start : start + batch_size] for start in range(0, len(cuts), batch_size)]


def test_batches_by_hand():
    """33 rows of 7 speakers, two of each at a time: two rounds are 28 crops, the nearest to 33."""
    found = batches(LOPSIDED, 2, 6)
    assert [len(batch) for batch in found] == [6, 6, 6, 6, 4]
    for batch in found:
        speakers = [LOPSIDED[cut.row] for cut in batch]
        assert speakers[::2] == speakers[1::2]
        assert len(set(speakers)) == len(batch) // 2
    counts = np.bincount([LOPSIDED[cut.row] for batch in found for cut in batch])
    assert counts.tolist() == [4] * 7


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 6), st.integers(0, 5))
def test_every_speaker_comes_equally_often_and_nobody_twice_where_that_can_be(clips, per_speaker, speakers, epoch):
    targets = np.repeat(np.arange(len(clips)), clips)
    found = batches(targets, per_speaker, per_speaker * speakers, epoch)
    cuts = [cut for batch in found for cut in batch]
    counts = np.bincount(targets[[cut.row for cut in cuts]], minlength=len(clips))
    assert len(set(counts)) == 1
    assert counts[0] % per_speaker == 0
    assert len(set(cuts)) == len(cuts), "a row that comes again is another draw"
    assert all(cut.draw[0] == epoch and 0 <= cut.place < 1 for cut in cuts)
    for batch in found:
        groups = [
            tuple(targets[cut.row] for cut in batch[at : at + per_speaker]) for at in range(0, len(batch), per_speaker)
        ]
        assert all(len(set(group)) == 1 for group in groups)
        if speakers <= len(clips):
            assert len({group[0] for group in groups}) == len(groups)
        for at, group in enumerate(groups):
            rows = [cut.row for cut in batch[at * per_speaker : (at + 1) * per_speaker]]
            assert len(set(rows)) == min(per_speaker, clips[group[0]])


def test_all_rows_of_a_speaker_come_before_one_comes_again():
    cuts = [cut for batch in batches(np.zeros(5, dtype=int), 2, 4) for cut in batch]
    turns = {}
    for cut in cuts:
        assert cut.draw[1] == turns.get(cut.row, -1) + 1
        turns[cut.row] = cut.draw[1]
    assert max(turns.values()) - min([turns.get(row, -1) for row in range(5)]) <= 1


def test_an_epoch_repeats_itself_and_differs_from_others():
    assert batches(LOPSIDED, 2, 6) == batches(LOPSIDED, 2, 6)
    # The draw of a cut names its epoch, so that is no difference.
    first, second = (
        [(cut.row, cut.place) for batch in batches(LOPSIDED, 2, 6, epoch=epoch) for cut in batch] for epoch in (0, 1)
    )
    assert first != second
    assert batches(LOPSIDED, 2, 6) != batches(LOPSIDED, 2, 6, seed=2)


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(InputError, match=r"batch_size is 10, training.clips_per_speaker 4: .* such as 8"):
        SpeakerCrops(LOPSIDED, 4, 10, 1)
    with pytest.raises(InputError, match="such as 4"):
        SpeakerCrops(LOPSIDED, 4, 3, 1)


def test_copies_are_new_classes():
    copies = speed_copies(np.array([0, 2, 1, 2]), 3, (0.9, 1.1))
    assert copies.row.tolist() == [0, 1, 2, 3] * 3
    assert copies.target.tolist() == [0, 2, 1, 2, 3, 5, 4, 5, 6, 8, 7, 8]
    assert copies.speed.tolist() == [1.0] * 4 + [0.9] * 4 + [1.1] * 4
    assert copies.factor == 3


def test_without_speeds_there_are_no_copies():
    copies = speed_copies(np.array([1, 0]), 2, None)
    assert (copies.row.tolist(), copies.target.tolist(), copies.speed.tolist()) == ([0, 1], [1, 0], [1.0, 1.0])
    assert copies.factor == 1


def test_copies_train_beside_their_originals(tmp_path):
    """Originals stay as stored, copies are made anew and babble from none of their own person."""
    corpus = write_corpus(tmp_path, "log_mel"), tmp_path
    copies = speed_copies(np.arange(12) // CLIPS, 6, (0.9, 1.1))
    settings_ = augmentation(speed_speakers=(0.9, 1.1))
    crops, dataset, online = pieces(corpus, settings_, rows=tuple(copies.row), speeds=copies.speed)
    dataset.targets = dataset.crops.targets = crops.targets.new_tensor(copies.target)
    sampler = SpeakerCrops(copies.target, 2, 12, 1)
    first, again = (epoch_of(dataset, online, sampler, 12) for _ in range(2))
    assert all(equal(*both) for both in zip(first, again, strict=True))
    seen = np.concatenate([batch.target.numpy() for batch in first])
    assert np.bincount(seen).tolist() == [2] * 18
    assert (people_of(copies.row)[:12] == people_of(copies.row)[24:]).all()
