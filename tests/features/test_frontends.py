"""Front ends against published vectors, librosa and torchaudio, and the promises of their docstrings."""

import dataclasses

import numpy as np
import pytest
import torch

from voxbench.features import extraction
from voxbench.features.cepstra import dct_matrix, mel_filter_bank
from voxbench.features.frontends import FrontEnd, FrontEndSettings
from voxbench.schema import InputError, InputKind

librosa = pytest.importorskip("librosa")
BASE = FrontEndSettings(16_000, 25.0, 10.0, 1024, 0.0, 8000.0, 64, 13, 80.0, "log_mel", "mfcc", 0)
PAPER = {
    "voxceleb": dataclasses.replace(BASE, n_mels=224, n_mfcc=40),
    "common_voice": dataclasses.replace(BASE, sample_rate_hz=22_050, f_max_hz=11_025.0, n_mels=128),
    "timit": BASE,
}


def two_tone(samples: int = 48_000) -> torch.Tensor:
    time = np.arange(samples) / 16_000
    tones = 0.05 * np.sin(2 * np.pi * 200 * time) + 0.03 * np.sin(2 * np.pi * 3000 * time + 0.5)
    return torch.tensor(tones, dtype=torch.float32)


def congruential(samples: int = 48_000) -> torch.Tensor:
    state, values = 12_345, []
    for _ in range(samples):
        state = (1_103_515_245 * state + 12_345) % 2**31
        values.append(0.05 * (2 * state / 2**31 - 1))
    return torch.tensor(values, dtype=torch.float32)


NOISE = congruential()


def extract(settings: FrontEndSettings, wave_BS: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = FrontEnd(settings)(wave_BS)
    assert set(outputs) == {InputKind.SPECTROGRAM, InputKind.CEPSTRA}
    return outputs[InputKind.SPECTROGRAM], outputs[InputKind.CEPSTRA]


VECTORS = [
    (
        two_tone(),
        PAPER["timit"],
        [(0, 0, -15.219), (1, 5, -33.283), (32, 150, -80.0), (63, 300, -63.57), (7, 100, -47.521)],
        (-67.8669, -80.0),
        ([-545.005, 69.406, 65.513], 69.235),
    ),
    (
        NOISE,
        PAPER["voxceleb"],
        [(0, 0, -22.792), (1, 5, -15.076), (112, 150, -9.136), (223, 300, -11.677), (7, 100, -9.943)],
        (-11.729, -49.2823),
        ([-168.521, -11.02, -3.429], -7.217),
    ),
]


@pytest.mark.parametrize(("wave", "settings", "cells", "extent", "cepstra"), VECTORS, ids=["two_tone", "lcg"])
def test_vectors(wave, settings, cells, extent, cepstra):
    log_mel_BMT, mfcc_BCT = extract(settings, wave[None])
    assert log_mel_BMT.shape == (1, settings.n_mels, 301)
    assert mfcc_BCT.shape == (1, settings.n_mfcc, 301)
    for band, frame, expected in cells:
        assert log_mel_BMT[0, band, frame].item() == pytest.approx(expected, abs=0.02)
    assert log_mel_BMT.max().item() == 0
    assert (log_mel_BMT.mean().item(), log_mel_BMT.min().item()) == pytest.approx(extent, abs=0.02)
    np.testing.assert_allclose(mfcc_BCT[0, :3, 10], cepstra[0], atol=0.02)
    assert mfcc_BCT[0, 1].mean().item() == pytest.approx(cepstra[1], abs=0.02)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("samples", [100, 16_001, 47_999])
def test_against_librosa(name, samples):
    settings, wave = PAPER[name], NOISE[:samples] + two_tone(samples)
    rate_hz = settings.sample_rate_hz
    framing = {"n_fft": 1024, "win_length": round(rate_hz * 0.025), "hop_length": round(rate_hz * 0.01)}
    power = librosa.feature.melspectrogram(y=wave.numpy(), sr=rate_hz, n_mels=settings.n_mels, **framing)
    expected = librosa.power_to_db(power, ref=np.max, amin=1e-20, top_db=80)
    log_mel_BMT, mfcc_BCT = extract(settings, wave[None])
    np.testing.assert_allclose(log_mel_BMT[0], expected, atol=0.02)
    mfcc = librosa.feature.mfcc(S=expected, n_mfcc=settings.n_mfcc)
    np.testing.assert_allclose(mfcc_BCT[0], mfcc, atol=0.02)
    linear = extract(dataclasses.replace(settings, spectrogram="linear"), wave[None])
    np.testing.assert_allclose(linear[0][0], np.abs(librosa.stft(wave.numpy(), **framing)), atol=2e-5)
    np.testing.assert_array_equal(linear[1], mfcc_BCT)
    linear_db = extract(dataclasses.replace(settings, spectrogram="linear_db"), wave[None])
    stft_FT = np.abs(librosa.stft(wave.numpy(), **framing)) ** 2
    np.testing.assert_allclose(
        linear_db[0][0], librosa.power_to_db(stft_FT, ref=np.max, amin=1e-20, top_db=80), atol=0.02
    )
    np.testing.assert_array_equal(linear_db[1], mfcc_BCT)


def test_against_torchaudio():
    transforms = pytest.importorskip("torchaudio").transforms
    mel = transforms.MelSpectrogram(
        16_000, 1024, 400, 160, n_mels=64, norm="slaney", mel_scale="slaney", pad_mode="constant"
    )(NOISE)
    expected = 10 * torch.log10(mel / mel.max()).clamp(min=-8)
    torch.testing.assert_close(extract(BASE, NOISE[None])[0][0], expected, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "numbers", [(16_000, 1024, 224, 0, 8000), (22_050, 1024, 128, 0, 11_025), (16_000, 512, 40, 120, 3999.5)]
)
def test_bank_against_librosa(numbers):
    rate_hz, n_fft, n_mels, low_hz, high_hz = numbers
    expected = librosa.filters.mel(sr=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=low_hz, fmax=high_hz)
    np.testing.assert_allclose(mel_filter_bank(*numbers), expected, atol=1e-8)


def test_dct_is_orthonormal():
    matrix = dct_matrix(40, 40)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(40), atol=1e-12)
    np.testing.assert_allclose(dct_matrix(13, 40), matrix[:13], atol=1e-15)


@pytest.mark.parametrize("spectrogram", ["log_mel", "linear", "linear_db"])
def test_a_row_does_not_depend_on_its_batch_mates(spectrogram):
    settings = dataclasses.replace(BASE, spectrogram=spectrogram)
    alone = extract(settings, NOISE[None])
    for mate in (100 * two_tone(), torch.zeros(48_000)):
        together = extract(settings, torch.stack([mate, NOISE]))
        for one, both in zip(alone, together, strict=True):
            torch.testing.assert_close(both[1], one[0], atol=1e-3, rtol=0)


@pytest.mark.parametrize("gain", [1e-6, 0.3, 1e4])
def test_log_mel_and_cepstra_do_not_depend_on_gain(gain):
    for one, scaled in zip(extract(BASE, NOISE[None]), extract(BASE, gain * NOISE[None]), strict=True):
        torch.testing.assert_close(scaled, one, atol=2e-3, rtol=0)


def test_linear_follows_the_gain():
    settings = dataclasses.replace(BASE, spectrogram="linear")
    torch.testing.assert_close(extract(settings, 4 * NOISE[None])[0], 4 * extract(settings, NOISE[None])[0])


@pytest.mark.parametrize("gain", [1e-6, 0.3, 1e4])
def test_linear_in_decibels_does_not(gain):
    settings = dataclasses.replace(BASE, spectrogram="linear_db")
    torch.testing.assert_close(
        extract(settings, gain * NOISE[None])[0], extract(settings, NOISE[None])[0], atol=0.05, rtol=0
    )


def test_the_counting_projects_spectrogram_has_201_bins_and_81_frames_a_second():
    settings = dataclasses.replace(BASE, n_fft=400, hop_ms=12.5, n_mels=40, spectrogram="linear_db")
    assert extract(settings, NOISE[None, :16_000])[0].shape == (1, 201, 81)


@pytest.mark.parametrize("spectrogram", ["log_mel", "linear_db"])
def test_silence_is_the_floor(spectrogram):
    settings = dataclasses.replace(BASE, spectrogram=spectrogram)
    assert torch.all(extract(settings, torch.zeros(1, 1600))[0] == -80)


def test_blocks_of_frames_do_not_show(monkeypatch):
    expected = extract(BASE, NOISE[None])
    monkeypatch.setattr("voxbench.features.frontends.FRAMES_PER_BLOCK", 17)
    for one, other in zip(expected, extract(BASE, NOISE[None]), strict=True):
        torch.testing.assert_close(other, one, atol=1e-3, rtol=0)


@pytest.mark.parametrize("frames", [255, 256, 257, 258, 271, 513, 770])
def test_blocks_are_of_equal_length(frames, monkeypatch):
    # Products of few rows are summed in another order than products of many.
    front_end, blocks = FrontEnd(BASE), []
    whole = front_end._power
    monkeypatch.setattr(front_end, "_power", lambda block_BTS: blocks.append(block_BTS.shape[1]) or whole(block_BTS))
    front_end(torch.ones(1, 160 * (frames - 1)))
    assert sum(blocks) == frames
    assert max(blocks) <= 256
    assert max(blocks) - min(blocks) <= 1


@pytest.mark.parametrize("spectrogram", ["log_mel", "linear", "linear_db"])
def test_extraction_is_the_front_end_in_float16_frame_by_frame(spectrogram):
    front_end = FrontEnd(dataclasses.replace(BASE, spectrogram=spectrogram))
    expected = {kind: values[0].numpy().T.astype(np.float16) for kind, values in front_end(NOISE[None]).items()}
    stored = extraction.extract(front_end, NOISE.numpy())
    assert list(stored) == list(expected)
    for kind, values_TF in stored.items():
        assert values_TF.flags.c_contiguous
        np.testing.assert_array_equal(values_TF, expected[kind], strict=True)


@pytest.mark.parametrize("loud", [1e6, np.nan])
def test_extraction_refuses_what_float16_cannot_hold(loud):
    front_end = FrontEnd(dataclasses.replace(BASE, spectrogram="linear"))
    with pytest.raises(ValueError, match="do not fit float16"):
        extraction.extract(front_end, np.full(1600, loud, np.float32))


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("samples", [1, 219, 220, 48_000])
def test_frames(name, samples):
    front_end = FrontEnd(PAPER[name])
    assert front_end(torch.ones(2, samples))[InputKind.CEPSTRA].shape == (
        2,
        13 if name != "voxceleb" else 40,
        front_end.frames(samples),
    )


def test_constants_stay_out_of_checkpoints_and_gradients_reach_the_wave():
    front_end = FrontEnd(BASE)
    assert not front_end.state_dict()
    wave_BS = NOISE[None].clone().requires_grad_()
    front_end(wave_BS)[InputKind.CEPSTRA].sum().backward()
    assert wave_BS.grad is not None
    assert wave_BS.grad.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"n_fft": 512, "n_mels": 224},
            "12 of 224 mel bands hold no frequency bin at n_fft 512; use n_fft 1024",
        ),
        ({"n_fft": 512, "sample_rate_hz": 22_050}, "551 samples .* use n_fft 1024"),
        ({"n_fft": 1023}, "even"),
        ({"f_max_hz": 8001.0}, "half the sample rate"),
        ({"f_min_hz": 8000.0}, "f_min_hz < f_max_hz"),
        ({"n_mfcc": 65}, "n_mfcc 65; expected 1 to n_mels, which is 64"),
        ({"top_db": 0.0}, "top_db"),
        ({"hop_ms": 0.01}, "hop 0 samples"),
        ({"spectrogram": "mel"}, "'mel'"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(InputError, match=message):
        FrontEnd(dataclasses.replace(BASE, **changes))


def test_the_recommended_fft_is_the_smallest_that_works():
    with pytest.raises(InputError, match="use n_fft 4096"):
        mel_filter_bank(16_000, 256, 800, 0, 8000)
    assert mel_filter_bank(16_000, 4096, 800, 0, 8000).any(axis=1).all()
