"""Augmentation: nothing where it is off, each step what it says, and the same draws whenever they are repeated."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tiny import voice
from voxbench.audio.cleaning import z_score
from voxbench.config import Augmentation, Features
from voxbench.features.augmentation import AugmentedCrops, alter, check, mask
from voxbench.features.dataset import CropDataset, Cut, EvenCrops, ShuffledCrops
from voxbench.features.extraction import build_front_end
from voxbench.features.store import RaggedStore, quantize, write_shard
from voxbench.schema import InputError, InputKind
from voxbench.stages.features import extract_shard

RATE_HZ, FRAMES, HOP_MS = 16_000, 50, 10.0
KINDS = (InputKind.SPECTROGRAM, InputKind.CEPSTRA)
OFF = Augmentation(
    probability=1.0,
    noise_snr_db=None,
    reverberation_seconds=None,
    speed=None,
    low_pass_hz=None,
    mask_seconds=None,
    mask_fraction=None,
)
EVERY_STEP = {
    "noise_snr_db": (5.0, 20.0),
    "reverberation_seconds": (0.2, 0.5),
    "speed": (0.9, 1.1),
    "low_pass_hz": (2000.0, 6000.0),
}


def augmentation(**changes):
    return OFF.model_copy(update=changes)


def rng(seed=0):
    return np.random.default_rng(seed)


def changed(wave, seed=0, **changes):
    return alter(wave, RATE_HZ, augmentation(**changes), rng(seed))


def tone(hz, seconds=1.0):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return z_score(np.sin(2 * np.pi * hz * time).astype(np.float32))


def white(seed=5, samples=RATE_HZ):
    return z_score(rng(seed).normal(size=samples).astype(np.float32))


def fitted(wave, reference):
    """Split a wave into its part along `reference` and what is left of it."""
    along = (wave @ reference) / (reference @ reference) * reference
    return along, wave - along


def loudest_hz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(wave.size), 1 << 18))
    return spectrum.argmax() * RATE_HZ / (1 << 18)


def power_above(wave, hz):
    power = np.abs(np.fft.rfft(wave.astype(np.float64))) ** 2
    return power[np.fft.rfftfreq(wave.size, 1 / RATE_HZ) > hz].sum() / power.sum()


@pytest.fixture(scope="module", params=["log_mel", "linear"])
def corpus(request, tmp_path_factory):
    """Return a corpus's features section and the folders of its prepared audio and its features."""
    root, draws = tmp_path_factory.mktemp("corpus"), rng(3)
    section = Features(
        spectrogram=request.param,
        window_ms=25.0,
        hop_ms=HOP_MS,
        n_fft=512,
        f_min_hz=20.0,
        f_max_hz=7600.0,
        n_mels=40,
        n_mfcc=13,
        top_db=80.0,
    )
    cleaning = SimpleNamespace(sample_rate_hz=RATE_HZ)
    for shard in range(2):
        waves = [z_score(voice(draws.uniform(100, 250), draws.uniform(0.8, 1.3), draws)) for _ in range(4)]
        samples, scales = zip(*map(quantize, waves), strict=True)
        path = root / "prepared" / f"shard-{shard:05d}.arrow"
        write_shard(path, [f"{shard}-{row}" for row in range(4)], samples, scales, {"key": str(shard)})
        extract_shard(path, SimpleNamespace(features=section, cleaning=cleaning), root / "features")
    return section, root


def datasets(corpus, settings, kind=InputKind.SPECTROGRAM, seed=1, rows=(6, 1, 4, 3)):
    """Return the stored crops of some rows, and the same rows' augmented crops."""
    section, root = corpus
    plain = CropDataset(RaggedStore(root / "features" / kind), rows, np.arange(len(rows)) % 2, FRAMES)
    front_end = build_front_end(section, RATE_HZ)
    return plain, AugmentedCrops(plain, RaggedStore(root / "prepared"), front_end, kind, settings, seed)


def equal(ours, theirs):
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [OFF, augmentation(**EVERY_STEP, probability=0.0)])
def test_without_a_change_crops_equal_the_stored_ones_to_the_last_bit(corpus, settings, kind):
    plain, augmented = datasets(corpus, settings, kind)
    assert len(augmented) == len(plain) == 4
    for cut_at in [*ShuffledCrops(4, seed=2), Cut(1, 0.0, (3, 1)), Cut(2, 1.0, (0, 0))]:
        assert equal(augmented[cut_at], plain[cut_at])


@pytest.mark.parametrize("step", EVERY_STEP)
def test_every_step_changes_the_crops(corpus, step):
    plain, augmented = datasets(corpus, augmentation(**{step: EVERY_STEP[step]}))
    cut_at = Cut(1, 0.3, (0, 0))
    ours, theirs = augmented[cut_at], plain[cut_at]
    assert ours.features.shape == theirs.features.shape
    assert ours.features.dtype == torch.float32
    assert not torch.equal(ours.features, theirs.features)
    assert equal(ours[1:], theirs[1:])


def test_draws_come_from_seed_epoch_row_and_turn_alone(corpus):
    settings = augmentation(noise_snr_db=(0.0, 30.0))
    _, augmented = datasets(corpus, settings)
    cuts = [Cut(row, 0.5, (epoch, turn)) for row in range(4) for epoch in range(3) for turn in range(2)]
    first = {cut_at: augmented[cut_at].features for cut_at in cuts}
    _, again = datasets(corpus, settings)
    assert all(torch.equal(again[cut_at].features, first[cut_at]) for cut_at in reversed(cuts))
    _, other = datasets(corpus, settings, seed=2)
    assert not any(torch.equal(other[cut_at].features, first[cut_at]) for cut_at in cuts)
    assert len({features.numpy().tobytes() for features in first.values()}) == len(cuts)


def test_one_recording_in_two_rows_gets_two_draws(corpus):
    _, augmented = datasets(corpus, augmentation(noise_snr_db=(0.0, 30.0)), rows=(2, 2))
    first, second = (augmented[Cut(row, 0.5, (0, 0))].features for row in range(2))
    assert not torch.equal(first, second)


def test_a_resumed_epoch_has_the_same_crops(corpus):
    _, augmented = datasets(corpus, augmentation(**EVERY_STEP, probability=0.5))
    through, resumed = ShuffledCrops(4, seed=1), ShuffledCrops(4, seed=1)
    for epoch in range(3):
        through.set_epoch(epoch)
        batches = [augmented[cut_at] for cut_at in through]
    resumed.set_epoch(2)
    assert all(equal(augmented[cut_at], batch) for cut_at, batch in zip(resumed, batches, strict=True))


def test_evaluation_is_never_altered(corpus):
    _, augmented = datasets(corpus, OFF)
    with pytest.raises(ValueError, match="for training alone"):
        augmented[next(iter(EvenCrops(4, 1)))]


def test_a_recording_made_too_short_is_refused_not_padded(corpus):
    _, augmented = datasets(corpus, augmentation(speed=(4.0, 4.0)))
    with pytest.raises(ValueError, match="crop of 50 frames"):
        augmented[Cut(0, 0.5, (0, 0))]


@pytest.mark.parametrize(("factor", "samples"), [(0.9, 17778), (1.1, 14545), (1.25, 12800), (1.0, 16000)])
def test_speed_moves_frequency_and_length(factor, samples):
    fast = changed(tone(1000.0), speed=(factor, factor))
    assert fast.shape == (samples,)
    assert fast.dtype == np.float32
    assert loudest_hz(fast) == pytest.approx(1000 * factor, abs=0.5)


def test_any_speed_gives_the_rounded_length():
    for seed in range(50):
        wave = white(samples=int(rng(seed).integers(8000, 9000)))
        factor = rng(seed).uniform(0.8, 1.25)
        assert changed(wave, speed=(factor, factor)).size == round(wave.size / factor)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_noise_has_the_asked_snr(snr_db):
    speech, noise = fitted(changed(tone(300.0), noise_snr_db=(snr_db, snr_db)), tone(300.0))
    assert 10 * np.log10((speech @ speech) / (noise @ noise)) == pytest.approx(snr_db, abs=0.3)


def test_noises_lie_between_their_bounds_and_in_colour():
    measured, bass = [], []
    for seed in range(60):
        speech, noise = fitted(changed(tone(3000.0), seed, noise_snr_db=(5.0, 15.0)), tone(3000.0))
        measured.append(10 * np.log10((speech @ speech) / (noise @ noise)))
        bass.append(1 - power_above(noise, 4000.0))
    assert 4.8 < min(measured) < 6.5
    assert 13.5 < max(measured) < 15.2
    assert np.mean(measured) == pytest.approx(10.0, abs=1.2)
    assert min(bass) < 0.6, "white noise has half of its power in the lower half"
    assert max(bass) > 0.85, "pink noise has most"


@pytest.mark.parametrize("rt60_seconds", [0.2, 0.6])
def test_reverberation_leaves_a_tail_that_falls_by_60_db_in_its_time(rt60_seconds):
    wave = np.zeros(RATE_HZ, dtype=np.float32)
    wave[: RATE_HZ // 10] = white(samples=RATE_HZ // 10)
    wet = changed(wave, reverberation_seconds=(rt60_seconds, rt60_seconds))
    assert wet.shape == wave.shape
    tail = wet[RATE_HZ // 10 :].astype(np.float64)
    tail = tail[: round(0.6 * rt60_seconds * RATE_HZ)] - wet[-100:].mean()
    level_db = 10 * np.log10((tail.reshape(12, -1) ** 2).mean(axis=1))
    slope = np.polyfit(np.arange(12) * tail.size / 12 / RATE_HZ, level_db, 1)[0]
    assert -60 / slope == pytest.approx(rt60_seconds, rel=0.2)


@pytest.mark.parametrize("samples", [16_000, 10_007])
def test_low_pass_takes_away_what_lies_above_its_edge_and_nothing_below(samples):
    wave = white(samples=samples)
    dull = changed(wave, low_pass_hz=(3000.0, 3000.0))
    assert dull.shape == wave.shape
    assert dull.dtype == np.float32
    assert power_above(wave, 3100) > 0.55
    assert power_above(dull, 3100) < 2e-3
    below = np.fft.rfftfreq(samples, 1 / RATE_HZ) < 2800
    ratio = np.abs(np.fft.rfft(dull))[below] / np.abs(np.fft.rfft(wave))[below]
    assert np.median(ratio) == pytest.approx(np.sqrt(8 / 3), rel=0.02), "all that is left is brought to deviation 1"


def test_the_band_limit_comes_last():
    """A line carries the noise of the room too, and a voice that is played faster keeps to its band."""
    steps = {"speed": (1.1, 1.1), "reverberation_seconds": (0.3, 0.3), "noise_snr_db": (0.0, 0.0)}
    assert power_above(changed(white(), **steps), 3100) > 0.3
    assert power_above(changed(white(), **steps, low_pass_hz=(3000.0, 3000.0)), 3100) < 2e-3


def test_noise_is_not_reverberated_but_the_voice_is():
    """The sound of a room ends where its noise does not: the silence before a click has noise, and no click."""
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[RATE_HZ // 2] = 1.0
    steps = {"reverberation_seconds": (0.2, 0.2), "noise_snr_db": (40.0, 40.0)}
    both, dry = changed(click, **steps), changed(click, noise_snr_db=(40.0, 40.0))
    before = slice(0, RATE_HZ // 2)
    noise, expected = both[before] - both[before].mean(), dry[before] - dry[before].mean()
    assert np.corrcoef(noise, expected)[0, 1] > 0.99, "the noise itself must come from behind the room"


def test_edges_lie_between_their_bounds():
    wave = white()
    spectra = [np.abs(np.fft.rfft(changed(wave, seed, low_pass_hz=(2000.0, 6000.0)))) for seed in range(40)]
    edges_hz = [np.flatnonzero(spectrum > 0.1 * np.median(spectrum[:1500]))[-1] for spectrum in spectra]
    assert 1990 < min(edges_hz) < 2500
    assert 5500 < max(edges_hz) < 6010


@pytest.mark.parametrize("step", EVERY_STEP)
def test_altered_waves_have_the_level_of_prepared_ones(step):
    altered = changed(0.3 * white(), **{step: EVERY_STEP[step]}).astype(np.float64)
    assert altered.mean() == pytest.approx(0, abs=1e-6)
    assert altered.std() == pytest.approx(1, abs=1e-6)


def test_an_unaltered_wave_is_returned_as_it_is():
    wave = 0.3 * white()
    assert changed(wave) is wave
    assert changed(wave, probability=0.0, **EVERY_STEP) is wave


def test_a_step_that_is_left_out_changes_no_other():
    """Behind a dry room the noise is the one that comes without a room."""
    wave, noise = white(), {"noise_snr_db": (5.0, 20.0)}
    for seed in range(5):
        alone = changed(wave, seed, **noise)
        after = changed(wave, seed, **noise, reverberation_seconds=(0.0, 0.0))
        assert np.allclose(alone, after, atol=1e-5)


@pytest.mark.parametrize("step", EVERY_STEP)
def test_steps_come_with_their_probability_and_independently(step):
    wave = white(samples=2000)
    settings = augmentation(probability=0.3, **{step: EVERY_STEP[step]})
    came = [alter(wave, RATE_HZ, settings, rng(seed)) is not wave for seed in range(400)]
    assert np.mean(came) == pytest.approx(0.3, abs=0.08)


def test_steps_come_independently_of_each_other():
    wave = white(samples=2000)
    came = [
        [changed(wave, seed, probability=0.5, **{step: bounds}) is not wave for step, bounds in EVERY_STEP.items()]
        for seed in range(400)
    ]
    correlation = np.corrcoef(np.array(came, dtype=float).T)
    assert np.abs(correlation - np.eye(4)).max() < 0.2


def test_the_input_is_left_alone():
    wave = white()
    before = wave.copy()
    changed(wave, **EVERY_STEP)
    assert np.array_equal(wave, before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low_pass_hz": (3000.0, 8000.0)}, r"low_pass_hz is \[3000, 8000\], .* below 8000"),
        ({"low_pass_hz": (0.0, 3000.0)}, r"low_pass_hz is \[0, 3000\], expected edges above 0"),
        ({"speed": (0.0, 1.1)}, "speed starts at 0, expected factors above 0"),
        ({"reverberation_seconds": (-0.1, 0.5)}, "reverberation_seconds starts at -0.1, expected 0"),
        ({"mask_seconds": 0.5}, "mask_seconds is 0.5, expected less than the 0.5 s of training.crop_seconds"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check(augmentation(**changes), RATE_HZ, crop_seconds=0.5)


def test_settings_that_can_work_are_not_refused():
    check(OFF, RATE_HZ, crop_seconds=0.5)
    most = {"low_pass_hz": (100.0, 7999.0), "reverberation_seconds": (0.0, 1.0), "mask_seconds": 0.49}
    check(augmentation(speed=(0.5, 2.0), noise_snr_db=(-5.0, 0.0), **most), RATE_HZ, crop_seconds=0.5)


def hidden(batch=400, bins=40, frames=FRAMES, seed=0, **changes):
    """Return which cells `(B, F, T)` of positive features are masked."""
    features = torch.rand(batch, bins, frames) + 1
    masked = mask(features, torch.zeros(bins, 1), augmentation(**changes), HOP_MS, rng(seed))
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
    masked = (mask(features, mean, settings, HOP_MS, rng()) - mean) / std
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
    assert mask(features, torch.zeros(40, 1), settings, HOP_MS, rng()) is features


def test_a_stripe_wider_than_the_crop_is_refused():
    with pytest.raises(ValueError, match="a stripe of up to 60 was asked of a length of 50"):
        hidden(mask_seconds=0.6)
