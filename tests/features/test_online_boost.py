"""RawBoost and codecs in the training step: to which rows they come, what they leave alone, and in which order."""

import numpy as np
import pytest
import torch

from features.test_online import EVERY_STEP, altered, batch_of, parts
from features.wave_corpus import augmentation, epoch_of, equal, pieces, write_corpus
from tiny import RATE_HZ
from voxbench.audio.codecs import transcode
from voxbench.features.dataset import ShuffledCrops, training_loader
from voxbench.schema import InputKind

LINES = ("alaw", "ulaw", "pstn", "gsm", "low_ogg", "low_mp3")
STEPS = [
    {"convolutive_db": (5.0, 20.0)},
    {"impulsive_fraction": (0.01, 0.1)},
    {"coloured_snr_db": (10.0, 40.0)},
    {"codecs": LINES},
]
EVERY_NEW_STEP = {name: value for step in STEPS for name, value in step.items()}
KINDS = tuple(InputKind)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    return write_corpus(root, "log_mel"), root


@pytest.mark.parametrize("kind", KINDS)
def test_with_no_probability_batches_are_the_stored_ones_to_the_last_bit(corpus, kind):
    crops, dataset, online = pieces(corpus, augmentation(probability=0.0, **EVERY_NEW_STEP), kind)
    sampler = ShuffledCrops(len(crops), 1)
    for plain, ours in zip(training_loader(crops, 5, sampler), epoch_of(dataset, online, sampler, 5), strict=True):
        assert equal(plain, ours)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [*STEPS, EVERY_NEW_STEP], ids=lambda steps: next(iter(steps)))
def test_each_step_changes_every_row_it_comes_to_and_repeats_itself(corpus, kind, steps):
    crops, dataset, online = pieces(corpus, augmentation(**steps), kind)
    sampler = ShuffledCrops(len(crops), 1)
    first, again = (epoch_of(dataset, online, sampler) for _ in range(2))
    for ours, theirs, plain in zip(first, again, training_loader(crops, 4, sampler), strict=True):
        assert equal(ours, theirs)
        assert ours.features.isfinite().all()
        assert (ours.features != plain.features).flatten(1).any(dim=1).all()
        assert equal(ours[1:], plain[1:])


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: next(iter(steps)))
def test_rows_to_which_no_step_comes_are_the_stored_ones(corpus, steps):
    _, dataset, online = pieces(corpus, augmentation(probability=0.5, **steps))
    batch = batch_of(dataset)
    changed_B = torch.from_numpy(online.alter(batch, 0, 0)[1])
    assert 2 < changed_B.sum() < 10
    differs_B = (online(batch, 0, 0).features != batch.features).flatten(1).any(dim=1)
    assert torch.equal(differs_B, changed_B)


@pytest.mark.parametrize("steps", [*STEPS, EVERY_STEP | EVERY_NEW_STEP], ids=lambda steps: next(iter(steps)))
def test_altered_waves_keep_the_power_of_the_crop(corpus, steps):
    before_BS, after_BS, _ = altered(corpus, **steps)
    assert (after_BS**2).mean(1) == pytest.approx((before_BS**2).mean(1), rel=1e-5)


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: next(iter(steps)))
def test_steps_come_with_their_probability_and_independently_of_the_others(corpus, steps):
    """What is left out changes neither the rows nor the strengths of a step."""
    _, dataset, alone = pieces(corpus, augmentation(probability=0.3, **steps), InputKind.WAVE)
    beside = pieces(corpus, augmentation(probability=0.3, **EVERY_STEP | EVERY_NEW_STEP), InputKind.WAVE)[2]
    batch, came = batch_of(dataset), 0
    for epoch in range(50):
        plans, changed_B = alone._plans(batch, epoch, 0)
        others, _ = beside._plans(batch, epoch, 0)
        came += changed_B.sum()
        for step, plan in plans.items():
            assert equal(plan[:2], others[step][:2])
            assert plan.draws.random() == others[step].draws.random()
    assert came / 600 == pytest.approx(0.3, abs=0.06)


def test_coloured_noise_stands_exactly_at_its_ratio_to_what_is_heard_so_far(corpus):
    """That is the voice between its impulses, not as it was."""
    steps = {"coloured_snr_db": (7.0, 7.0), "impulsive_fraction": (1.0, 1.0)}
    _, dataset, online = pieces(corpus, augmentation(**steps), InputKind.WAVE)
    batch = batch_of(dataset)
    plans, _ = online._plans(batch, 0, 0)
    hit_BS = online._boosted(batch.wave, {"impulsive": plans["impulsive"]}).double()
    plans, _ = online._plans(batch, 0, 0)
    both_BS = online._boosted(batch.wave, plans).double()
    ratio_B = hit_BS.square().mean(1) / (both_BS - hit_BS).square().mean(1)
    assert (10 * ratio_B.log10()).tolist() == pytest.approx([7.0] * 12, abs=1e-3)


def test_impulses_touch_shares_between_their_bounds(corpus):
    shares = []
    for turn in range(6):
        _, dataset, online = pieces(corpus, augmentation(impulsive_fraction=(0.1, 0.3)), InputKind.WAVE)
        batch = batch_of(dataset)
        hit_BS = online._boosted(batch.wave, online._plans(batch, turn, 0)[0])
        shares += ((hit_BS != batch.wave) | (batch.wave == 0)).double().mean(1).tolist()
    assert 0.1 <= min(shares) < 0.13
    assert 0.27 < max(shares) < 0.31


def test_convolution_is_the_weaker_in_its_powers_the_more_decibels_they_lie_below(corpus):
    """With the powers 100 dB below, what remains is linear: each crop after one symmetric filter."""
    _, dataset, online = pieces(corpus, augmentation(convolutive_db=(100.0, 100.0)), InputKind.WAVE)
    batch = batch_of(dataset)
    single = batch._replace(wave=batch.wave[:1].expand(12, -1))
    doubled = batch._replace(wave=2 * batch.wave)
    once, twice = (online.alter(each, 0, 0)[0] for each in (batch, doubled))
    assert torch.allclose(2 * once, twice, atol=1e-4)
    filters = torch.fft.rfft(online.alter(single, 0, 0)[0]).abs() / torch.fft.rfft(single.wave).abs()
    assert filters.std(dim=0).median() > 0.05, "each row has a filter of its own"
    close, far = (altered(corpus, convolutive_db=(below_db, below_db))[1] for below_db in (0.0, 100.0))
    assert np.abs(close - far).max() > 0.1


def test_each_row_is_coded_by_one_of_the_codecs_drawn_evenly(corpus):
    """Each is the codec's own wave, at the level at which it was; nothing else is done."""
    _, dataset, online = pieces(corpus, augmentation(codecs=("alaw", "gsm", "low_ogg")), InputKind.WAVE)
    batch, counts = batch_of(dataset), np.zeros(3)
    for epoch in range(40):
        plan = online._plans(batch, epoch, 0)[0]["codec"]
        counts += np.bincount(plan.values.long(), minlength=3)
    assert counts / 480 == pytest.approx([1 / 3] * 3, abs=0.07)
    heard_BS, coded_BS = online.alter(batch, 39, 0)[0], online._coded(batch.wave[plan.rows], plan)
    for row in range(12):
        wave_S = batch.wave[row].numpy()
        scale = np.abs(wave_S).max() / 0.9
        expected_S = transcode(wave_S / scale, RATE_HZ, ("alaw", "gsm", "low_ogg")[int(plan.values[row])]) * scale
        assert np.abs(coded_BS[row].numpy() - expected_S).max() < 1e-4
        expected_S *= np.sqrt(np.mean(wave_S**2) / np.mean(expected_S**2))
        assert np.abs(heard_BS[row].numpy() - expected_S).max() < 1e-4


def test_a_codec_is_the_last_of_all_steps(corpus):
    """What a telephone line of 8 kHz leaves of noise in all bands ends where it ends."""
    before_BS, after_BS, _ = altered(corpus, noise_snr_db=(0.0, 0.0), coloured_snr_db=(0.0, 0.0), codecs=("alaw",))
    power_BF = np.abs(np.fft.rfft(after_BS)) ** 2
    above = round(power_BF.shape[1] * 4200 / 8000)
    assert (power_BF[:, above:].sum(1) / power_BF.sum(1)).max() < 1e-4
    rest_BS = parts(before_BS, after_BS)[1]
    assert (rest_BS**2).mean() > 0.3 * (before_BS**2).mean()


def test_silence_stays_silent_and_what_is_given_is_left_alone(corpus):
    _, dataset, online = pieces(corpus, augmentation(**EVERY_NEW_STEP), InputKind.WAVE)
    batch = batch_of(dataset)
    batch.wave[3] = 0
    before = [tensor.clone() for tensor in batch[:-1]]
    for epoch in range(4):
        assert online.alter(batch, epoch, 0)[0][3].abs().max() < 1e-30, "a codec gives silence a trace"
    assert equal(before, batch[:-1])
