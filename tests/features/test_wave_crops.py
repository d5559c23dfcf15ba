"""Waves beside stored crops: the samples that the features are made of, other speakers' voices, and other speeds."""

import numpy as np
import pytest
import soxr
import torch
from torch.utils.data import DataLoader

from features.wave_corpus import CLIPS, RATE_HZ, augmentation, equal, people_of, pieces, write_corpus
from voxbench.features.dataset import Cut, EvenCrops, ShuffledCrops, cut, even_places, training_loader
from voxbench.features.mixed import MixedStore
from voxbench.features.store import dequantize
from voxbench.schema import InputError, InputKind

BABBLE = {"babble_snr_db": (5.0, 10.0), "babble_voices": (1, 3)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    return write_corpus(root, "log_mel"), root


def test_a_wave_ends_and_begins_where_the_crops_windows_do(corpus):
    """40 frames of 160 samples from frame 10 on: 39 hops, and two of them on each side for a window of 400 samples."""
    crops, dataset, _ = pieces(corpus, augmentation(noise_snr_db=(1.0, 1.0)))
    store = dataset.prepared
    frames = len(crops.store[4])
    batch = dataset.__getitems__([Cut(4, 10 / (frames - 40), (0, 0))])
    whole = dequantize(store[4], store.scales[4])
    assert torch.equal(batch.wave[0], torch.from_numpy(whole[8 * 160 : 51 * 160]))
    assert batch.level.tolist() == [batch.features.max().item()]


@pytest.mark.parametrize(("place", "edge"), [(0.0, slice(None, 320 + 8000)), (1.0, slice(-160, None))])
def test_outside_the_recording_there_are_zeros(corpus, place, edge):
    _, dataset, _ = pieces(corpus, augmentation(reverberation_seconds=(0.1, 0.5)))
    batch = dataset.__getitems__([Cut(0, place, (0, 0))])
    assert batch.wave.shape == (1, 8000 + 43 * 160)
    assert (batch.wave[0, edge] == 0).all()
    assert (batch.wave[0, 8400:-800] != 0).float().mean() > 0.9


def test_what_was_said_before_comes_with_the_crop_where_rooms_are_drawn(corpus):
    _, dry, _ = pieces(corpus, augmentation(noise_snr_db=(1.0, 1.0)))
    _, reverberant, _ = pieces(corpus, augmentation(reverberation_seconds=(0.0, 0.02)))
    cuts = [Cut(row, 0.7, (0, 0)) for row in range(3)]
    long_BS, short_BS = reverberant.__getitems__(cuts).wave, dry.__getitems__(cuts).wave
    assert long_BS.shape[1] == short_BS.shape[1] + round(0.02 * RATE_HZ)
    assert torch.equal(long_BS[:, -short_BS.shape[1] :], short_BS)
    assert (long_BS[:, :320] != 0).any(dim=1).all()


def test_stored_crops_come_as_they_are(corpus):
    crops, dataset, _ = pieces(corpus, augmentation(**BABBLE))
    sampler = ShuffledCrops(len(crops), 1)
    for plain, ours in zip(training_loader(crops, 5, sampler), training_loader(dataset, 5, sampler), strict=True):
        assert equal(plain, (ours.features, ours.target, ours.row))
        assert ours.people.tolist() == [row // CLIPS for row in ours.row.tolist()]


def test_voices_are_of_enough_training_speakers_and_no_two_of_one(corpus):
    rows = (0, 1, 4, 5, 6, 8)
    _, dataset, _ = pieces(corpus, augmentation(**BABBLE), rows=rows)
    assert len(set(people_of(rows))) == 4
    for turn in range(20):
        batch = dataset.__getitems__([Cut(turn % 6, 0.5, (0, turn))])
        assert sorted(batch.voice_people.tolist()) == [0, 1, 2, 3]
        assert batch.voices.shape == (4, batch.wave.shape[1])


def test_voices_are_of_training_rows_alone(corpus):
    """Each voice is part of a recording of its speaker that was given, whatever else lies in the store."""
    rows, heard = (2, 4, 5, 9), set()
    _, dataset, _ = pieces(corpus, augmentation(babble_snr_db=(0.0, 0.0), babble_voices=(1, 2)), rows=rows)
    for turn in range(15):
        batch = dataset.__getitems__([Cut(0, 0.5, (0, turn))])
        for voice_S, person in zip(batch.voices, batch.voice_people.tolist(), strict=True):
            recordings = [row for row in rows if row // CLIPS == (1, 2, 4)[person]]
            places = [_place(dataset.prepared, row, voice_S) for row in recordings]
            assert any(place is not None for place in places)
            heard |= {row for row, place in zip(recordings, places, strict=True) if place is not None}
    assert heard == set(rows)


def _place(store, row, voice_S):
    """Return where in a recording a part of it lies, or None."""
    whole_S = np.pad(dequantize(store[row], store.scales[row]), voice_S.numel())
    found = whole_S.tobytes().find(voice_S.numpy().tobytes())
    return found if found >= 0 else None


def test_too_few_speakers_for_babble_are_refused(corpus):
    with pytest.raises(InputError, match="goes up to 3, which needs 4 training speakers, found 3: lower it"):
        pieces(corpus, augmentation(**BABBLE), rows=(0, 1, 2, 4))
    pieces(corpus, augmentation(**BABBLE, probability=0.0), rows=(0, 1, 2, 4))


def test_mixtures_get_no_babble(corpus, monkeypatch):
    monkeypatch.setattr("voxbench.features.wave_crops.MixedStore", object)
    assert MixedStore is not object
    with pytest.raises(InputError, match="the recordings are mixtures"):
        pieces(corpus, augmentation(**BABBLE))


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25])
@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
def test_a_copy_at_another_speed_is_a_part_of_the_whole_recording_at_that_speed(corpus, speed, place):
    settings = augmentation(speed_speakers=(0.9,))
    crops, dataset, _ = pieces(corpus, settings, InputKind.WAVE, (10,), np.array([speed]))
    batch = dataset.__getitems__([Cut(0, place, (0, 0))])
    assert batch.sped == (True,)
    whole = soxr.resample(dequantize(crops.store[10], crops.store.scales[10]), speed, 1.0, quality="HQ")
    expected = cut(whole, place, crops.frames)[0]
    # The two differ by a part of a sample, and by one at the recording's end.
    nearest = max(
        np.corrcoef(batch.wave[0][2:-2], expected[2 + by : len(expected) - 2 + by])[0, 1] for by in (-1, 0, 1)
    )
    assert nearest > 0.98


def test_speeds_are_drawn_by_row_epoch_and_turn_with_their_probability(corpus):
    _, dataset, _ = pieces(corpus, augmentation(speed=(0.8, 1.2), probability=0.5), InputKind.WAVE)
    batches = [dataset.__getitems__([Cut(row, 0.5, (turn, 0)) for row in range(12)]) for turn in range(20)]
    share = np.mean([batch.sped for batch in batches])
    assert share == pytest.approx(0.5, abs=0.1)
    again = dataset.__getitems__([Cut(row, 0.5, (3, 0)) for row in range(12)])
    assert torch.equal(again.wave, batches[3].wave)
    other_order = dataset.__getitems__([Cut(row, 0.5, (3, 0)) for row in reversed(range(12))])
    assert torch.equal(other_order.wave.flip(0), batches[3].wave)


def test_a_recording_too_short_for_its_crop_is_refused_not_padded(corpus):
    _, dataset, _ = pieces(corpus, augmentation(speed_speakers=(4.0,)), rows=(0,), speeds=np.array([4.0]))
    with pytest.raises(ValueError, match="a crop of 40 frames was asked of 24"):
        dataset.__getitems__([Cut(0, 0.5, (0, 0))])


def test_evaluation_cuts_are_refused(corpus):
    _, dataset, _ = pieces(corpus, augmentation(noise_snr_db=(1.0, 1.0)))
    with pytest.raises(ValueError, match="for training alone"):
        dataset.__getitems__(list(EvenCrops(1, even_places(1))))


def test_workers_change_nothing(corpus):
    _, dataset, _ = pieces(corpus, augmentation(**BABBLE, speed=(0.9, 1.1), reverberation_seconds=(0.1, 0.2)))
    sampler = ShuffledCrops(len(dataset), 1)
    alone = list(training_loader(dataset, 5, sampler))
    loader = training_loader(dataset, 5, sampler)
    workers = DataLoader(dataset, 5, sampler=sampler, collate_fn=loader.collate_fn, num_workers=2)
    for ours, theirs in zip(alone, workers, strict=True):
        assert equal(ours[:-1], theirs[:-1])
        assert ours.sped == theirs.sped
