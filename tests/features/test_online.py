"""Features made in the training step: the stored ones where nothing is altered, and each step what it says."""

import numpy as np
import pytest
import torch

from features.wave_corpus import (
    CLIPS,
    augmentation,
    epoch_of,
    equal,
    pieces,
    write_corpus,
)
from voxbench.features.dataset import Batch, Cut, ShuffledCrops, training_loader
from voxbench.schema import InputKind

EVERY_STEP = {
    "reverberation_seconds": (0.1, 0.4),
    "noise_snr_db": (5.0, 20.0),
    "babble_snr_db": (10.0, 20.0),
    "babble_voices": (2, 4),
    "music_snr_db": (5.0, 15.0),
    "low_pass_hz": (2000.0, 6000.0),
}
STEPS = [
    {"reverberation_seconds": (0.1, 0.4)},
    {"noise_snr_db": (5.0, 20.0)},
    {"babble_snr_db": (10.0, 20.0), "babble_voices": (2, 4)},
    {"music_snr_db": (5.0, 15.0)},
    {"low_pass_hz": (2000.0, 6000.0)},
]
KINDS = tuple(InputKind)


@pytest.fixture(scope="module", params=["log_mel", "linear", "linear_db"])
def corpus(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    return write_corpus(root, request.param), root


@pytest.fixture(scope="module")
def log_mel(tmp_path_factory):
    root = tmp_path_factory.mktemp("log_mel")
    return write_corpus(root, "log_mel"), root


def batch_of(dataset, rows=range(12), turn=0):
    return dataset.__getitems__([Cut(row, 0.3, (0, turn)) for row in rows])


def altered(corpus, turn=0, kind=InputKind.WAVE, **changes):
    """Return waves before and after, float64, of crops that only the steps named are applied to."""
    _, dataset, online = pieces(corpus, augmentation(**changes), kind)
    batch = batch_of(dataset)
    wave_BS, changed_B = online.alter(batch, turn, 0)
    before_BS = batch.wave[:, online.layout.room :]
    return before_BS.double().numpy(), wave_BS.double().numpy(), changed_B


def parts(before_BS, after_BS):
    """Split what is heard into the voice, at the level it has there, and the rest."""
    along_B1 = (after_BS * before_BS).sum(1, keepdims=True) / (before_BS**2).sum(1, keepdims=True)
    return along_B1 * before_BS, after_BS - along_B1 * before_BS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{"probability": 0.0} | EVERY_STEP, {}])
def test_without_a_change_batches_are_the_stored_ones_to_the_last_bit(corpus, kind, settings):
    crops, dataset, online = pieces(corpus, augmentation(**settings), kind)
    sampler = ShuffledCrops(len(crops), 1)
    for plain, ours in zip(training_loader(crops, 5, sampler), epoch_of(dataset, online, sampler, 5), strict=True):
        assert isinstance(ours, Batch)
        assert equal(plain, ours)


@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_features_made_anew_are_the_stored_ones_within_float16(corpus, kind, place):
    """What is called played faster, but is not, is made anew: at both ends of a recording and within."""
    _, dataset, online = pieces(corpus, augmentation(speed_speakers=(0.9,)), kind)
    batch = dataset.__getitems__([Cut(row, place, (0, 0)) for row in range(12)])
    made = online(batch._replace(sped=(True,) * 12), 0, 0).features
    step = 2.0 ** (np.floor(np.log2(float(batch.features.abs().max()))) - 10)
    if kind is InputKind.CEPSTRA:
        step *= 5  # its level is that of a mean, and the floor of the whole recording is another one
    assert not torch.equal(made, batch.features) or kind is InputKind.WAVE
    assert (made - batch.features).abs().max() <= step


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: next(iter(steps)))
def test_each_step_changes_every_row_it_comes_to_and_repeats_itself(log_mel, kind, steps):
    crops, dataset, online = pieces(log_mel, augmentation(**steps), kind)
    sampler = ShuffledCrops(len(crops), 1)
    first, again = (epoch_of(dataset, online, sampler) for _ in range(2))
    for ours, theirs, plain in zip(first, again, training_loader(crops, 4, sampler), strict=True):
        assert equal(ours, theirs)
        assert ours.features.isfinite().all()
        assert (ours.features != plain.features).flatten(1).any(dim=1).all()
        assert equal(ours[1:], plain[1:])


def test_draws_differ_by_seed_epoch_and_batch(log_mel):
    settings = augmentation(noise_snr_db=(5.0, 20.0))
    _, dataset, online = pieces(log_mel, settings)
    other = pieces(log_mel, settings, seed=4)[2]
    batch = batch_of(dataset)
    made = [online(batch, 0, 0), online(batch, 0, 1), online(batch, 1, 0), other(batch, 0, 0)]
    assert len({float(each.features.double().sum()) for each in made}) == 4


@pytest.mark.parametrize("steps", STEPS[1:4], ids=lambda steps: next(iter(steps)))
def test_what_is_added_stands_exactly_at_its_ratio_to_the_voice(log_mel, steps):
    """Chords and babble are not orthogonal to the voice: the ratio is that of what was added."""
    name = next(iter(steps))
    _, dataset, online = pieces(log_mel, augmentation(**steps | {name: (7.0, 7.0)}), InputKind.WAVE)
    batch = batch_of(dataset)
    plans, changed_B = online._plans(batch, 0, 0)
    assert changed_B.all()
    voice_BS = batch.wave.double()
    added_BS = online._with_others(batch.wave, batch, plans).double() - voice_BS
    ratio_B = voice_BS.square().mean(1) / added_BS.square().mean(1)
    assert (10 * ratio_B.log10()).tolist() == pytest.approx([7.0] * 12, abs=1e-4)


def test_ratios_are_to_the_voice_alone_however_loud_the_rest(log_mel):
    """Chords behind a din are the chords without it."""
    chords, din = {"music_snr_db": (7.0, 7.0)}, {"noise_snr_db": (-20.0, -20.0)}
    heard = []
    for steps in (chords, din, chords | din):
        _, dataset, online = pieces(log_mel, augmentation(**steps), InputKind.WAVE)
        batch = batch_of(dataset)
        heard.append(online._with_others(batch.wave, batch, online._plans(batch, 0, 0)[0]) - batch.wave)
    assert torch.allclose(heard[0], heard[2] - heard[1], atol=1e-4)


def test_ratios_lie_between_their_bounds(log_mel):
    ratios = []
    for turn in range(6):
        voice_BS, rest_BS = parts(*altered(log_mel, turn, noise_snr_db=(0.0, 20.0))[:2])
        ratios += (10 * np.log10((voice_BS**2).sum(1) / (rest_BS**2).sum(1))).tolist()
    assert -0.5 < min(ratios) < 4
    assert 16 < max(ratios) < 20.5
    assert np.mean(ratios) == pytest.approx(10, abs=2.5)


@pytest.mark.parametrize("steps", [*STEPS, EVERY_STEP], ids=lambda steps: next(iter(steps)))
def test_altered_waves_keep_the_power_of_the_crop(log_mel, steps):
    before_BS, after_BS, _ = altered(log_mel, **steps)
    assert (after_BS**2).mean(1) == pytest.approx((before_BS**2).mean(1), rel=1e-5)


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: next(iter(steps)))
def test_steps_come_with_their_probability(log_mel, steps):
    _, dataset, online = pieces(log_mel, augmentation(probability=0.3, **steps), InputKind.WAVE)
    batch = batch_of(dataset)
    came = np.array([online.alter(batch, epoch, 0)[1] for epoch in range(50)])
    assert came.mean() == pytest.approx(0.3, abs=0.06)
    assert (came.mean(axis=0) > 0.05).all()


def test_steps_come_independently_of_each_other(log_mel):
    _, dataset, online = pieces(log_mel, augmentation(probability=0.5, **EVERY_STEP), InputKind.WAVE)
    batch, came = batch_of(dataset), []
    for epoch in range(40):
        plans, _ = online._plans(batch, epoch, 0)
        rows = {step: plan.rows.tolist() for step, plan in plans.items()}
        came += [
            [row in rows.get(step, ()) for step in ("room", "noise", "babble", "music", "band")] for row in range(12)
        ]
    correlation = np.corrcoef(np.array(came, dtype=float).T)
    assert np.abs(correlation - np.eye(5)).max() < 0.17


def test_a_step_that_is_left_out_changes_no_other(log_mel):
    """Behind dry rooms the noise is the one that comes without rooms."""
    noise = {"noise_snr_db": (5.0, 20.0)}
    _, alone, _ = altered(log_mel, **noise)
    _, behind, _ = altered(log_mel, **noise, reverberation_seconds=(0.0, 0.0))
    assert np.abs(alone - behind).max() < 1e-4


def test_a_room_sounds_on_from_before_the_crop(log_mel):
    """A crop of the whole recording in a room is the whole recording in that room, cut."""
    _, dataset, online = pieces(log_mel, augmentation(reverberation_seconds=(0.3, 0.3)), InputKind.WAVE)
    batch = dataset.__getitems__([Cut(0, 1.0, (0, 0))])
    early = batch._replace(wave=batch.wave.clone())
    early.wave[:, : online.layout.room] = 0
    with_past, without = (online.alter(each, 0, 0)[0][0] for each in (batch, early))
    assert (with_past - without)[:800].abs().max() > 0.05
    assert (with_past[-400:] - without[-400:]).abs().max() < 0.5 * (with_past - without)[:400].abs().max()


@pytest.mark.parametrize("chosen", [(0, 1), (4, 11)])
def test_babble_holds_no_voice_of_the_rows_own_speaker(log_mel, chosen):
    """Silencing everybody but one speaker leaves babble in everyone's rows but that speaker's."""
    steps = {"babble_snr_db": (0.0, 0.0), "babble_voices": (5, 5)}
    _, dataset, online = pieces(log_mel, augmentation(**steps), InputKind.WAVE)
    batch = batch_of(dataset)
    person = chosen[0] // CLIPS
    plans, _ = online._plans(batch, 0, 0)
    quiet = batch._replace(
        wave=torch.where((batch.people == person)[:, None], batch.wave, 0),
        voices=torch.where((batch.voice_people == person)[:, None], batch.voices, 0),
    )
    # All five others speak wherever every voice is wanted.
    everyone = plans["babble"]._replace(draws=_EveryVoice())
    heard_B = online._babble(everyone, quiet, 0).abs().sum(dim=1) > 0
    assert heard_B.tolist() == [row // CLIPS != person for row in range(12)]


class _EveryVoice:
    def random(self, shape, dtype):
        return np.zeros(shape, dtype=dtype)

    def integers(self, low, high, size):
        return np.full(size, 100)


def test_masks_of_what_is_played_faster_are_of_the_batch(log_mel):
    """Rows at another speed are made anew, the others stay as stored."""
    speeds = np.array([1.0, 0.9] * 6)
    _, dataset, online = pieces(log_mel, augmentation(speed_speakers=(0.9,)), speeds=speeds)
    batch = batch_of(dataset)
    made = online(batch, 0, 0)
    assert equal((made.features[::2], made.target), (batch.features[::2], batch.target))
    assert (made.features[1::2] != batch.features[1::2]).flatten(1).any(dim=1).all()
    assert made.features[1::2].amax(dim=(1, 2)).tolist() == pytest.approx(batch.level[1::2].tolist())


def with_wave(log_mel, wave_S, **changes):
    """Return a batch of one row whose wave, with what lies before the crop, is the one given, and what alters it."""
    _, dataset, online = pieces(log_mel, augmentation(**changes), InputKind.WAVE)
    batch = batch_of(dataset, rows=[0])
    return batch._replace(wave=torch.from_numpy(wave_S.astype(np.float32))[None]), online


def test_a_click_in_a_room_dies_away_in_the_time_asked_for(log_mel):
    """0.25 s into a room of 0.5 s its energy is 30 dB down."""
    powers = []
    for turn in range(30):
        click = np.zeros(8000 + 6400)
        click[8000] = 1.0
        batch, online = with_wave(log_mel, click, reverberation_seconds=(0.5, 0.5))
        powers.append(online.alter(batch, turn, 0)[0][0].double().numpy() ** 2)
    near, far = (np.mean(np.stack(powers)[:, start : start + 400]) for start in (100, 4100))
    assert 10 * np.log10(near / far) == pytest.approx(30, abs=1)


def test_noise_is_not_reverberated_but_the_voice_is(log_mel):
    """The sound of a room ends where its noise does not: before the click there is noise, and no click."""
    click = np.zeros(3200 + 6400)
    click[3200 + 3000] = 1.0
    noise = {"noise_snr_db": (40.0, 40.0)}
    batch, online = with_wave(log_mel, click, reverberation_seconds=(0.2, 0.2), **noise)
    both = online.alter(batch, 0, 0)[0][0].numpy()
    batch, online = with_wave(log_mel, click[3200:], **noise)
    dry = online.alter(batch, 0, 0)[0][0].numpy()
    assert np.corrcoef(both[:3000], dry[:3000])[0, 1] > 0.99
    assert np.abs(both[3100:4000]).mean() > 3 * np.abs(dry[3100:4000]).mean()


def test_the_band_limit_comes_last_and_its_edges_lie_between_the_bounds(log_mel):
    edges_hz = []
    for turn in range(4):
        _, after_BS, _ = altered(log_mel, turn, noise_snr_db=(0.0, 0.0), low_pass_hz=(2000.0, 6000.0))
        spectra_BF = np.abs(np.fft.rfft(after_BS))
        hz = 8000 / (spectra_BF.shape[1] - 1)
        edges_hz += [np.flatnonzero(row > 1e-3 * row.max())[-1] * hz for row in spectra_BF]
    assert 1990 < min(edges_hz) < 2600
    assert 5400 < max(edges_hz) < 6010


def test_noise_comes_in_all_colours(log_mel):
    """The share of its power below 500 Hz tells white noise, 1/16 of it, from pink, more than half."""
    shares = []
    for turn in range(6):
        _, rest_BS = parts(*altered(log_mel, turn, noise_snr_db=(-20.0, -20.0))[:2])
        power_BF = np.abs(np.fft.rfft(rest_BS)) ** 2
        shares += (power_BF[:, : power_BF.shape[1] // 16].sum(1) / power_BF.sum(1)).tolist()
    assert min(shares) < 0.15
    assert max(shares) > 0.5


def test_what_is_given_is_left_alone(log_mel):
    _, dataset, online = pieces(log_mel, augmentation(**EVERY_STEP))
    batch = batch_of(dataset)
    before = [tensor.clone() for tensor in batch[:-1]]
    online(batch, 0, 0)
    assert equal(before, batch[:-1])


def test_nothing_of_it_is_stored(log_mel):
    online = pieces(log_mel, augmentation(**EVERY_STEP))[2]
    assert online.state_dict() == {}
    assert list(online.parameters()) == []
