"""Settings of augmentation that can work, and masks: one stripe of each kind, as wide and as often as asked."""

import numpy as np
import pytest
import torch

from features.wave_corpus import OFF
from voxbench.audio.codecs import codecs
from voxbench.features.augmentation import check, mask
from voxbench.schema import InputError

RATE_HZ, FRAMES, HOP_MS = 16_000, 50, 10.0


def augmentation(**changes):
    return OFF.model_copy(update=changes)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low_pass_hz": (3000.0, 8000.0)}, r"low_pass_hz is \[3000, 8000\], .* below 8000"),
        ({"low_pass_hz": (0.0, 3000.0)}, r"low_pass_hz is \[0, 3000\], expected edges above 0"),
        ({"speed": (0.0, 1.1)}, "speed starts at 0, expected factors above 0"),
        ({"reverberation_seconds": (-0.1, 0.5)}, r"reverberation_seconds is \[-0.1, 0.5\], expected 0"),
        ({"reverberation_seconds": (0.1, 80.0)}, r"reverberation_seconds is \[0.1, 80\], .* to 10"),
        ({"noise_snr_db": (0.0, float("inf"))}, r"noise_snr_db is \[0.0, inf\], expected finite numbers"),
        ({"babble_snr_db": (float("nan"), float("nan"))}, "babble_snr_db is .* expected finite numbers"),
        ({"speed_speakers": (0.9, float("inf"))}, "speed_speakers is .* expected finite numbers"),
        ({"convolutive_db": (5.0, float("inf"))}, r"convolutive_db is \[5.0, inf\], expected finite numbers"),
        ({"coloured_snr_db": (float("nan"), 1.0)}, "coloured_snr_db is .* expected finite numbers"),
        ({"impulsive_fraction": (-0.1, 0.5)}, r"impulsive_fraction is \[-0.1, 0.5\], expected shares"),
        ({"impulsive_fraction": (0.0, 10.0)}, r"impulsive_fraction is \[0, 10\], expected shares .* between 0 and 1"),
        ({"codecs": ("ulaw", "alaww")}, r"codecs has 'alaww' \(did you mean 'alaw'\?\), expected any of none, .*gsm"),
        ({"mask_seconds": 0.5}, "mask_seconds is 0.5, expected less than the 0.5 s of training.crop_seconds"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check(augmentation(**changes), RATE_HZ, shortest_seconds=0.5)


def test_settings_that_can_work_are_not_refused():
    check(OFF, RATE_HZ, shortest_seconds=0.5)
    most = {"low_pass_hz": (100.0, 7999.0), "reverberation_seconds": (0.0, 1.0), "mask_seconds": 0.49}
    check(augmentation(speed=(0.5, 2.0), noise_snr_db=(-5.0, 0.0), **most), RATE_HZ, shortest_seconds=0.5)
    lines = {"convolutive_db": (0.0, 20.0), "impulsive_fraction": (0.0, 1.0), "coloured_snr_db": (-5.0, 40.0)}
    check(augmentation(**lines, codecs=tuple(codecs)), RATE_HZ, shortest_seconds=0.5)


def test_a_codec_that_does_not_know_the_rate_is_refused():
    check(augmentation(codecs=("alaw", "gsm", "opus", "low_ogg")), 10_000, shortest_seconds=0.5)
    with pytest.raises(InputError, match=r"'low_mp3', which does not code 10000 Hz: leave it out \(.*sample rates"):
        check(augmentation(codecs=("alaw", "low_mp3")), 10_000, shortest_seconds=0.5)


def hidden(batch=400, bins=40, frames=FRAMES, seed=0, **changes):
    """Return which cells `(B, F, T)` of positive features are masked."""
    features = torch.rand(batch, bins, frames) + 1
    masked = mask(features, None, torch.zeros(bins, 1), augmentation(**changes), HOP_MS, rng(seed))
    assert torch.equal(masked[masked != 0], features[masked != 0])
    return (masked == 0).numpy()


def widths(hidden_BL):
    """Return the width of each row's stripe, and demand it to be one piece."""
    assert (np.abs(np.diff(hidden_BL.astype(int), axis=1)).sum(axis=1) <= 2).all()
    return hidden_BL.sum(axis=1)


def test_masks_are_one_stripe_of_every_width_up_to_the_widest_and_lie_anywhere():
    in_time, in_bands = hidden(mask_seconds=0.12), hidden(mask_fraction=0.26)
    assert (in_time.any(axis=1) == in_time.all(axis=1)).all(), "a stripe of frames goes through all bins"
    assert (in_bands.any(axis=2) == in_bands.all(axis=2)).all(), "a stripe of bins goes through all frames"
    assert set(widths(in_time.all(axis=1))) == set(range(13))
    assert set(widths(in_bands.all(axis=2))) == set(range(11))
    assert in_time.any(axis=(0, 1)).all(), "frames must be masked up to both ends"
    assert in_bands.any(axis=(0, 2)).all()


def test_masks_of_both_kinds_are_the_sum_of_each():
    both = hidden(mask_seconds=0.2, mask_fraction=0.2)
    assert not np.array_equal(both, hidden(mask_seconds=0.2))
    assert np.array_equal(both, hidden(mask_seconds=0.2) | both.all(axis=2)[:, :, None])


def test_masks_come_with_their_probability():
    came = hidden(batch=2000, probability=0.25, mask_seconds=0.2).any(axis=(1, 2))
    assert came.mean() == pytest.approx(0.25 * 20 / 21, abs=0.04)


def test_masked_cells_are_the_mean_once_normalised():
    features, mean, std = torch.randn(8, 40, FRAMES) * 3 - 20, torch.randn(40, 1) - 20, torch.rand(40, 1) + 0.5
    settings = augmentation(mask_seconds=0.3, mask_fraction=0.4)
    masked = (mask(features, None, mean, settings, HOP_MS, rng()) - mean) / std
    changed_cells = masked != (features - mean) / std
    assert 0.1 < changed_cells.float().mean() < 0.6
    assert (masked[changed_cells] == 0).all()


def test_masks_are_repeatable_and_differ_by_draw():
    first, again, other = (hidden(seed=seed, mask_seconds=0.2) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("settings", [OFF, augmentation(mask_seconds=0.2, mask_fraction=0.2, probability=0.0)])
def test_without_masks_the_batch_is_not_even_copied(settings):
    features = torch.rand(2, 40, FRAMES)
    assert mask(features, None, torch.zeros(40, 1), settings, HOP_MS, rng()) is features


def test_there_are_as_many_stripes_of_each_kind_as_asked_for():
    one, three = (hidden(mask_seconds=0.1, mask_fraction=0.1, mask_stripes=stripes) for stripes in (1, 3))
    pieces = (np.diff(three.all(axis=1).astype(int), axis=1, prepend=0) == 1).sum(axis=1)
    assert {1, 2, 3} <= set(pieces) <= {0, 1, 2, 3}
    assert three[one].all(), "the first stripe of each kind is the only one of `mask_stripes` 1"


def test_stripes_of_a_padded_batch_lie_within_each_recording():
    features, lengths = torch.ones(400, 8, FRAMES), torch.arange(400) % (FRAMES - 20) + 20
    settings = augmentation(mask_seconds=0.2)
    masked = mask(features, lengths, torch.zeros(8, 1), settings, HOP_MS, rng())
    hidden_BT = (masked == 0).all(dim=1).numpy()
    own = np.arange(FRAMES) < lengths.numpy()[:, None]
    assert not hidden_BT[~own].any()
    last = hidden_BT[np.arange(400), lengths.numpy() - 1]
    assert 0 < last.mean() < 0.5, "a stripe may reach the very end of a recording"
    with pytest.raises(ValueError, match="a stripe of up to 20 was asked of a length of 19"):
        mask(features, lengths - 1, torch.zeros(8, 1), settings, HOP_MS, rng())


def test_a_stripe_wider_than_the_crop_is_refused():
    with pytest.raises(ValueError, match="a stripe of up to 60 was asked of a length of 50"):
        hidden(mask_seconds=0.6)
