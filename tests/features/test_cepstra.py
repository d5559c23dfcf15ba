"""Cepstra of each kind against torchaudio, explicit sums and derivatives by hand, and what the kinds promise."""

import dataclasses
import typing

import numpy as np
import pytest
import torch
from scipy import fft, interpolate

from voxbench import config
from voxbench.features import extraction
from voxbench.features.cepstra import CEPSTRA, Analysis, geometric_hz, resampled_cosines, with_deltas
from voxbench.features.frontends import FrontEnd, FrontEndSettings
from voxbench.schema import InputError, InputKind

MFCC = FrontEndSettings(16_000, 20.0, 10.0, 512, 0.0, 8000.0, 40, 20, 80.0, "linear_db", "mfcc", 0)
LFCC = dataclasses.replace(MFCC, n_mels=20, cepstra="lfcc")
CQCC = dataclasses.replace(MFCC, window_ms=128.0, n_fft=2048, f_min_hz=15.625, n_mels=108, cepstra="cqcc")
KINDS = {"mfcc": MFCC, "lfcc": LFCC, "cqcc": CQCC}


def wave(samples=16_000, seed=0):
    draws = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    tones = sum(np.sin(2 * np.pi * hz * time + hz) for hz in (70.0, 180.0, 900.0, 3100.0, 7000.0))
    return torch.tensor(0.02 * tones + draws.laplace(scale=0.01, size=samples), dtype=torch.float32)


def cepstra(settings, wave_S):
    return FrontEnd(settings)(wave_S[None])[InputKind.CEPSTRA][0]


def in_decibels(power):
    return 10 * np.log10(np.maximum(power / power.max(), 1e-8))


def test_every_kind_is_named_in_the_configuration():
    assert typing.get_args(config.Features.model_fields["cepstra"].annotation) == tuple(CEPSTRA)
    assert set(KINDS) == set(CEPSTRA)


@pytest.mark.parametrize("spectrogram", ["log_mel", "linear", "linear_db"])
def test_the_spectrogram_is_the_same_whatever_the_cepstra(spectrogram):
    # All three kinds from one window, so that nothing but the kind differs.
    settings = dataclasses.replace(CQCC, f_min_hz=125.0, n_mels=60, spectrogram=spectrogram)
    made = {kind: FrontEnd(dataclasses.replace(settings, cepstra=kind))(wave()[None]) for kind in KINDS}
    for kind in KINDS:
        torch.testing.assert_close(
            made[kind][InputKind.SPECTROGRAM], made["mfcc"][InputKind.SPECTROGRAM], atol=0, rtol=0
        )
        assert made[kind][InputKind.CEPSTRA].shape == (1, 20, 101)
    assert not torch.allclose(made["mfcc"][InputKind.CEPSTRA], made["lfcc"][InputKind.CEPSTRA], atol=1)
    assert not torch.allclose(made["mfcc"][InputKind.CEPSTRA], made["cqcc"][InputKind.CEPSTRA], atol=1)


def test_mfcc_are_of_the_log_mel_matrix_where_that_is_not_shown():
    shown = dataclasses.replace(MFCC, spectrogram="log_mel")
    log_mel_MT = FrontEnd(shown)(wave()[None])[InputKind.SPECTROGRAM][0].numpy()
    expected = fft.dct(log_mel_MT.astype(float), axis=0, norm="ortho")[:20]
    np.testing.assert_allclose(cepstra(MFCC, wave()), expected, atol=1e-3)


def test_lfcc_against_torchaudio():
    transforms = pytest.importorskip("torchaudio").transforms
    framing = {"n_fft": 512, "win_length": 320, "hop_length": 160, "pad_mode": "constant"}
    reference = transforms.LFCC(16_000, n_filter=20, n_lfcc=20, speckwargs=framing)
    expected = reference(wave())
    # Its decibels are absolute, with the same floor 80 dB below the loudest band; a level is in c0 alone. Its triangles
    # are 1 high, ours of area 1, which is one factor for all: they are equally wide.
    found = cepstra(LFCC, wave())
    torch.testing.assert_close(found[1:], expected[1:], atol=0.01, rtol=0)
    difference = found[0] - expected[0]
    torch.testing.assert_close(difference, difference.mean().expand(101), atol=0.01, rtol=0)


def test_lfcc_against_explicit_sums():
    settings = dataclasses.replace(LFCC, f_min_hz=200.0, f_max_hz=6000.0, n_mels=13, n_mfcc=9)
    wave_S, edges = wave(8_000).numpy().astype(float), 200 + 5800 / 14 * np.arange(15)
    power = np.zeros((13, 51))
    for frame in range(51):
        part = np.array(
            [wave_S[place] if 0 <= place < 8_000 else 0 for place in range(frame * 160 - 160, frame * 160 + 160)]
        )
        spectrum = np.abs(np.fft.rfft(part * np.sin(np.pi * np.arange(320) / 320) ** 2, 512)) ** 2
        for band in range(13):
            weights = np.interp(np.arange(257) * 31.25, edges[band : band + 3], [0, 1, 0], left=0, right=0)
            power[band, frame] = weights @ spectrum
    expected = fft.dct(in_decibels(power), axis=0, norm="ortho")[:9]
    np.testing.assert_allclose(cepstra(settings, torch.tensor(wave_S, dtype=torch.float32)), expected, atol=0.01)


def test_cqcc_against_direct_transforms_at_geometric_frequencies():
    settings = dataclasses.replace(CQCC, f_min_hz=31.25, window_ms=64.0, n_fft=1024, n_mels=64, n_mfcc=12)
    wave_S, power = wave(4_000), np.zeros((64, 26))
    padded = np.pad(wave_S.numpy().astype(float), 512)
    for band in range(64):
        hz = 31.25 * 2 ** (band / 8)  # 8 octaves, 8 bands in each
        lasting = min(16_000 / hz / (2 ** (1 / 8) - 1), 1024)
        offset = np.arange(-512, 512)
        window = np.where(np.abs(offset) < lasting / 2, np.cos(np.pi * offset / lasting) ** 2, 0)
        for frame in range(26):
            part = padded[frame * 160 : frame * 160 + 1024]
            power[band, frame] = (
                np.abs(np.sum(part * window * np.exp(2j * np.pi * hz * offset / 16_000)) / window.sum()) ** 2
            )
    frequencies, points = 31.25 * 2 ** (np.arange(64) / 8), np.arange(31.25, 31.25 * 2 ** (63 / 8), 31.25 / 16)
    linear = interpolate.interp1d(frequencies, in_decibels(power), kind="cubic", axis=0)(points)
    order = np.arange(12)[:, None]
    cosines = np.cos(np.pi * order * (np.arange(points.size) + 0.5) / points.size) * np.sqrt(2 / points.size)
    cosines[0] /= np.sqrt(2)
    np.testing.assert_allclose(cepstra(settings, wave_S), cosines @ linear * np.sqrt(64 / points.size), atol=0.02)


@pytest.mark.parametrize("band", [40, 60, 80, 100])
def test_bands_of_cqcc_have_constant_quality(band):
    front_end = FrontEnd(CQCC)
    assert isinstance(front_end.bank, torch.nn.Module)
    hz, time = 15.625 * 2 ** (band / 12), (np.arange(2048) - 1024) / 16_000

    def heard(tone_hz):
        frames = torch.tensor(np.cos(2 * np.pi * tone_hz * time), dtype=torch.float32)[None, None]
        return front_end.bank(frames, torch.empty(0))[0, 0]

    assert heard(hz).argmax() == band
    assert heard(hz)[band].item() == pytest.approx(0.25, rel=0.02)
    # A Hann window of Q periods gives half the amplitude one period in Q away: a semitone, 12 of which are an octave.
    assert heard(hz * 2 ** (1 / 12))[band].item() == pytest.approx(0.25 / 4, rel=0.1)


def test_resampling_keeps_levels_apart_and_straight_lines_straight():
    analysis = Analysis(16_000, 2048, 2048, 62.5, 8000.0, 84, 30)
    matrix, frequencies = resampled_cosines(analysis), geometric_hz(analysis)
    np.testing.assert_allclose(frequencies[[0, 12, 72]], [62.5, 125.0, 4000.0])
    level = matrix @ np.ones(84)
    assert level[0] == pytest.approx(np.sqrt(84))
    np.testing.assert_allclose(level[1:], 0, atol=1e-9)
    slope = matrix @ frequencies
    assert np.abs(slope[2::2]).max() < 1e-9 * slope[0]
    assert slope[1] < -0.1 * slope[0]


def test_deltas_by_hand():
    values_BTC = torch.tensor([[[1.0, 0.0], [2.0, 0.0], [4.0, 8.0], [8.0, 8.0]]])
    first = [[0.5, 0.0], [1.5, 4.0], [3.0, 4.0], [2.0, 0.0]]
    second = [[0.5, 2.0], [1.25, 2.0], [0.25, -2.0], [-0.5, -2.0]]
    expected = torch.cat([values_BTC, torch.tensor([first]), torch.tensor([second])], dim=-1)
    torch.testing.assert_close(with_deltas(values_BTC, 2), expected, atol=0, rtol=0)
    torch.testing.assert_close(with_deltas(values_BTC, 1), expected[..., :4], atol=0, rtol=0)
    assert with_deltas(values_BTC, 0) is values_BTC
    assert not with_deltas(values_BTC[:, :1], 2)[..., 2:].any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deltas", [1, 2])
def test_deltas_follow_the_cepstra_and_ignore_the_gain(kind, deltas):
    settings = dataclasses.replace(KINDS[kind], deltas=deltas)
    static, whole = cepstra(KINDS[kind], wave()), cepstra(settings, wave())
    assert whole.shape == (20 * (1 + deltas), 101)
    torch.testing.assert_close(whole[:20], static, atol=0, rtol=0)
    torch.testing.assert_close(whole[20:40, 1:-1], (static[:, 2:] - static[:, :-2]) / 2, atol=0, rtol=0)
    torch.testing.assert_close(cepstra(settings, 0.01 * wave()), whole, atol=0.02, rtol=0)
    stored = extraction.extract(FrontEnd(settings), wave().numpy())[InputKind.CEPSTRA]
    assert stored.shape == (101, 20 * (1 + deltas))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_do_not_depend_on_their_mates_nor_on_blocks(kind, monkeypatch):
    front_end = FrontEnd(dataclasses.replace(KINDS[kind], deltas=2))
    together = front_end(torch.stack([100 * wave(seed=1), wave(), torch.zeros(16_000)]))[InputKind.CEPSTRA]
    torch.testing.assert_close(together[1], front_end(wave()[None])[InputKind.CEPSTRA][0], atol=0.01, rtol=0)
    assert together[2, 0, 0].item() == pytest.approx(-80 * np.sqrt(KINDS[kind].n_mels), rel=1e-5)
    torch.testing.assert_close(together[2, 1:], torch.zeros(59, 101), atol=0.01, rtol=0)
    monkeypatch.setattr("voxbench.features.frontends.FRAMES_PER_BLOCK", 17)
    torch.testing.assert_close(front_end(wave()[None])[InputKind.CEPSTRA][0], together[1], atol=0.01, rtol=0)
    assert not front_end.state_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_wave(kind):
    wave_BS = wave()[None].requires_grad_()
    FrontEnd(dataclasses.replace(KINDS[kind], deltas=1))(wave_BS)[InputKind.CEPSTRA][:, 1:].square().sum().backward()
    assert wave_BS.grad.isfinite().all()
    assert wave_BS.grad.any()


REFUSALS = [
    (LFCC, {"n_mels": 600}, r"\d+ of 600 linear bands hold no frequency bin at n_fft 512; use n_fft 1024 or fewer"),
    (LFCC, {"n_mfcc": 21}, "n_mfcc 21; expected 1 to n_mels, which is 20"),
    (LFCC, {"deltas": -1}, "deltas -1; expected 0 for none"),
    (LFCC, {"cepstra": "lfc"}, "unknown cepstra 'lfc' .did you mean 'lfcc'"),
    (CQCC, {"f_min_hz": 0.0}, "f_min_hz 0 with windows of 2048 samples; cqcc expect 2 periods .* use f_min_hz 15.625$"),
    (CQCC, {"window_ms": 64.0}, "use f_min_hz 31.25, or window_ms 128$"),
    (CQCC, {"n_mels": 8, "n_mfcc": 8}, "n_mels 8 for the 9 octaves .* use n_mels 9 or more"),
    (CQCC, {"f_max_hz": 8001.0}, "half the sample rate"),
    (CQCC, {"f_min_hz": 7000.0}, "n_mfcc 20; expected 1 to 3, the points of the linear axis"),
]


@pytest.mark.parametrize(("settings", "changes", "message"), REFUSALS)
def test_refusals_name_the_fix(settings, changes, message):
    with pytest.raises(InputError, match=message):
        FrontEnd(dataclasses.replace(settings, **changes))


def test_what_refusals_recommend_works():
    for settings, changes in (
        (LFCC, {"n_mels": 600, "n_fft": 1024}),
        (CQCC, {"window_ms": 64.0, "f_min_hz": 31.25}),
        (CQCC, {"n_mels": 9, "n_mfcc": 9}),
    ):
        assert cepstra(dataclasses.replace(settings, **changes), wave()).isfinite().all()
