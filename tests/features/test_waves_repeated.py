"""Altered crops of recordings that are too short, which are repeated from their start, and of cepstra with deltas."""

import numpy as np
import pytest
import torch

from features.wave_corpus import augmentation, equal, pieces, write_corpus
from voxbench.features.dataset import Cut, ShuffledCrops, training_loader
from voxbench.features.store import dequantize
from voxbench.schema import InputKind

SHORT = [4, 5]
NOISE = augmentation(noise_snr_db=(1.0, 1.0))
LONGER = 2.5
KINDS = tuple(InputKind)
# So deep a floor that no cell lies on it: it is another one in a crop than in the whole recording.
CEPSTRA = [
    {"cepstra": "mfcc", "deltas": 1, "top_db": 150.0},
    {"cepstra": "lfcc", "deltas": 2, "top_db": 150.0},
    {"cepstra": "cqcc", "deltas": 2, "top_db": 150.0, "f_min_hz": 200.0},
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    return write_corpus(root, "log_mel"), root


def whole(dataset, row):
    return dequantize(dataset.prepared[row], dataset.prepared.scales[row])


@pytest.mark.parametrize("place", [0.0, 0.6, 1.0])
def test_a_wave_that_is_too_short_is_said_again_from_its_start(corpus, place):
    crops, dataset, online = pieces(corpus, NOISE, InputKind.WAVE, longer=LONGER)
    batch = dataset.__getitems__([Cut(row, place, (0, 0)) for row in SHORT])
    assert torch.equal(batch.wave[:, None], batch.features)
    for row, wave_S in zip(SHORT, batch.wave.numpy(), strict=True):
        once_S = whole(dataset, row)
        assert once_S.size < crops.frames < 3 * once_S.size
        assert np.array_equal(wave_S, np.tile(once_S, 3)[: crops.frames])
    assert online(batch, 0, 0).features.shape == batch.features.shape


def test_what_is_said_again_follows_silence_and_goes_on_beside_the_crop(corpus):
    _, dataset, _ = pieces(corpus, augmentation(reverberation_seconds=(0.1, 0.5)), longer=LONGER)
    wave_S = dataset.__getitems__([Cut(4, 0.7, (0, 0))]).wave[0].numpy()
    assert wave_S.size == 8000 + 249 * 160 + 2 * 320
    assert (wave_S[:8320] == 0).all()
    assert np.array_equal(wave_S[8320:], np.tile(whole(dataset, 4), 4)[: wave_S.size - 8320])


def test_longer_recordings_are_what_they_are_without_repetition(corpus):
    plain, repeating = (pieces(corpus, NOISE, longer=longer)[1] for longer in (None, 0.4))
    cuts = [Cut(row, 0.4, (0, 0)) for row in range(12)]
    assert equal(plain.__getitems__(cuts)[:-1], repeating.__getitems__(cuts)[:-1])


def test_a_recording_that_speed_makes_too_short_is_said_again_at_that_speed(corpus):
    settings = augmentation(speed_speakers=(4.0,))
    _, dataset, _ = pieces(corpus, settings, InputKind.WAVE, (4,), np.array([4.0]), longer=0.8)
    batch = dataset.__getitems__([Cut(0, 0.5, (0, 0))])
    once = round(whole(dataset, 4).size / 4)
    wave_S = batch.wave[0].numpy()
    assert once < wave_S.size
    assert (np.abs(wave_S).reshape(8, -1).max(axis=1) > 0.1).all()
    assert np.corrcoef(wave_S[200 : wave_S.size - once - 200], wave_S[200 + once : wave_S.size - 200])[0, 1] > 0.9


@pytest.mark.parametrize("kind", [InputKind.SPECTROGRAM, InputKind.CEPSTRA])
def test_features_of_what_is_said_again_are_the_stored_ones_up_to_the_seam(corpus, kind):
    """The first turn is to the last frame that no sample of the second is in; later ones differ by less than a hop."""
    _, dataset, online = pieces(corpus, augmentation(speed_speakers=(0.9,)), kind, longer=LONGER)
    batch = dataset.__getitems__([Cut(row, 0.5, (0, 0)) for row in SHORT])
    made = online(batch._replace(sped=(True,) * 2), 0, 0).features
    assert made.shape == batch.features.shape
    for row in range(2):
        once = 1 + whole(dataset, SHORT[row]).size // 160
        ours, theirs = made[row].double(), batch.features[row].double()
        close = 1.5 if kind is InputKind.CEPSTRA else 0.1
        assert (ours - theirs)[:, : once - 3].abs().max() < close
        assert np.corrcoef(ours.numpy().ravel(), theirs.numpy().ravel())[0, 1] > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_recordings_are_altered_as_any(corpus, kind):
    settings = augmentation(noise_snr_db=(5.0, 20.0), codecs=("alaw",), probability=0.5)
    crops, dataset, online = pieces(corpus, settings, kind, longer=LONGER)
    for index, batch in enumerate(training_loader(dataset, 4, ShuffledCrops(len(crops), 1))):
        changed_B = torch.from_numpy(online.alter(batch, 0, index)[1])
        made = online(batch, 0, index).features
        assert made.isfinite().all()
        assert torch.equal((made != batch.features).flatten(1).any(dim=1), changed_B)


@pytest.fixture(scope="module", params=CEPSTRA, ids=lambda changes: changes["cepstra"])
def derived(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("derived")
    return write_corpus(root, "log_mel", **request.param), root


@pytest.mark.parametrize("place", [0.0, 0.02, 0.4, 0.98, 1.0])
def test_derivatives_made_anew_are_those_of_the_whole_recording(derived, place):
    """At both ends of a recording, a frame or two from them, and within."""
    _, dataset, online = pieces(derived, augmentation(speed_speakers=(0.9,)), InputKind.CEPSTRA)
    batch = dataset.__getitems__([Cut(row, place, (0, 0)) for row in range(12)])
    made = online(batch._replace(sped=(True,) * 12), 0, 0).features
    assert made.shape == batch.features.shape == (12, 13 * (1 + derived[0].deltas), 40)
    for row in range(12):
        features_FT = online.front_end(torch.from_numpy(whole(dataset, row))[None])[InputKind.CEPSTRA][0]
        start = round(place * (features_FT.shape[1] - 40))
        assert batch.ends[row].tolist() == [-start, features_FT.shape[1] - 1 - start]
        expected = features_FT[:, start : start + 40]
        assert (made[row] - expected)[1:].abs().max() < 2e-3
        # The level is that of the stored crop, of float16.
        assert (made[row] - expected)[0].abs().max() < 0.5


def test_derivatives_of_what_is_said_again_go_on_beyond_the_crop(derived):
    """Those of the crop's last frame look at what comes after it."""
    _, dataset, online = pieces(derived, augmentation(speed_speakers=(0.9,)), InputKind.CEPSTRA, longer=LONGER)
    batch = dataset.__getitems__([Cut(row, 0.4, (0, 0)) for row in SHORT])
    made = online(batch._replace(sped=(True,) * 2), 0, 0).features
    for row in range(2):
        twice = torch.from_numpy(np.tile(whole(dataset, SHORT[row]), 4))[None]
        expected = online.front_end(twice)[InputKind.CEPSTRA][0, :, :250]
        assert (made[row] - expected)[1:].abs().max() < 2e-3


def test_at_another_speed_the_level_is_that_of_what_is_played(derived):
    """2.5 s at a speed of 1.5 are 3.75 s, of which the recording fills less than half."""
    settings, speeds = augmentation(speed_speakers=(1.5,)), np.array([1.5, 1.5])
    crops, dataset, _ = pieces(derived, settings, InputKind.CEPSTRA, (4, 5), speeds, longer=LONGER)
    batch = dataset.__getitems__([Cut(row, 0.4, (0, 0)) for row in range(2)])
    for row, level in enumerate(batch.level.tolist()):
        played_TF = np.tile(crops.store[SHORT[row]].astype(np.float32), (4, 1))[:375]
        assert level == pytest.approx(played_TF[:, 0].mean(), rel=1e-6)


def test_a_level_moves_the_first_static_coefficient_alone(derived):
    """What is twice as loud has the features that it had: the stored crop says how loud it is."""
    _, dataset, online = pieces(derived, augmentation(speed_speakers=(0.9,)), InputKind.CEPSTRA)
    batch = dataset.__getitems__([Cut(row, 0.4, (0, 0)) for row in range(12)])
    batch = batch._replace(sped=(True,) * 12)
    plain, risen = (online(each, 0, 0).features for each in (batch, batch._replace(level=batch.level + 5)))
    assert torch.allclose(risen[:, 0], plain[:, 0] + 5, atol=1e-3)
    assert torch.equal(risen[:, 1:], plain[:, 1:])


def test_derivatives_are_stored_where_no_step_comes(derived):
    _, dataset, online = pieces(derived, augmentation(probability=0.5, noise_snr_db=(5.0, 5.0)), InputKind.CEPSTRA)
    batch = dataset.__getitems__([Cut(row, 0.4, (0, 0)) for row in range(12)])
    changed_B = torch.from_numpy(online.alter(batch, 0, 0)[1])
    assert 2 < changed_B.sum() < 10
    made = online(batch, 0, 0).features
    assert torch.equal(made[~changed_B], batch.features[~changed_B])
    for part in made[changed_B].chunk(1 + derived[0].deltas, dim=1):
        stored = batch.features[changed_B].chunk(1 + derived[0].deltas, dim=1)[0]
        assert (part != stored).all(dim=2).any(dim=1).all()
