"""Crops of waves: samples of the prepared audio itself, to the last bit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tiny import RATE_HZ, voice
from voxbench.audio.cleaning import z_score
from voxbench.features.dataset import CropDataset, Cut, cut, evaluation_loader, even_places, frames_of
from voxbench.features.extraction import network_input
from voxbench.features.mixed import open_store
from voxbench.features.store import dequantize, quantize, write_shard
from voxbench.schema import InputError, InputKind

SAMPLES, ROWS = 4000, (5, 0, 3)
# What a network on waves must not ask for.
FRONT_END = SimpleNamespace(settings=SimpleNamespace(sample_rate_hz=RATE_HZ))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a folder of six prepared recordings in two shards, each with a scale of its own."""
    folder, draws = tmp_path_factory.mktemp("prepared"), np.random.default_rng(1)
    for shard in range(2):
        waves = [z_score(voice(150.0, draws.uniform(0.4, 0.6), draws)) for _ in range(3)]
        samples, scales = zip(*map(quantize, waves), strict=True)
        write_shard(folder / f"shard-{shard:05d}.arrow", [f"{shard}-{row}" for row in range(3)], samples, scales, {})
    return folder


@pytest.fixture
def crops(prepared):
    return CropDataset(open_store(prepared), ROWS, np.array([0, 1, 1]), SAMPLES, repeats=False)


def whole(prepared, row):
    store = open_store(prepared)
    return dequantize(store[ROWS[row]], store.scales[ROWS[row]])


@pytest.mark.parametrize(
    ("kind", "seconds", "frames"),
    [
        *((InputKind.WAVE, seconds, frames) for seconds, frames in [(1.2, 19_200), (0.57, 9120), (1.001, 16_016)]),
        *((kind, 0.57, 45) for kind in (InputKind.SPECTROGRAM, InputKind.CEPSTRA)),
    ],
)
def test_a_crop_of_a_wave_counts_samples_and_one_of_features_whole_frames(kind, seconds, frames):
    assert frames_of(kind, seconds, 12.5, 16_000) == frames


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 44_100])
def test_the_shortest_recording_holds_its_crop(rate_hz):
    """No recording has fewer seconds than a crop, so none has fewer samples, whatever the seconds are."""
    for seconds in np.random.default_rng(2).uniform(0.1, 4.0, 200):
        shortest = int(np.ceil(seconds * rate_hz))
        assert frames_of(InputKind.WAVE, seconds, 10.0, rate_hz) <= shortest


def test_a_cut_of_a_wave_has_one_row_of_samples():
    wave = np.arange(10, dtype=np.int16)
    assert cut(wave, 0.5, 4).tolist() == [[3, 4, 5, 6]]
    assert cut(wave, 0.5, 4).dtype == np.float32
    with pytest.raises(ValueError, match="crop of 11 frames was asked of a recording of 10"):
        cut(wave, 0.5, 11)


@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
def test_crops_are_parts_of_the_dequantized_recording(prepared, crops, place):
    for row in range(len(ROWS)):
        batch = crops[Cut(row, place)]
        assert batch.features.shape == (1, SAMPLES)
        assert np.array_equal(batch.features.numpy(), cut(whole(prepared, row), place, SAMPLES))
        assert (int(batch.target), int(batch.row)) == ([0, 1, 1][row], row)


def test_crops_leave_the_store_as_it_is(prepared, crops):
    before = whole(prepared, 1).tobytes()
    crops[Cut(1, 0.5)].features.zero_()
    assert whole(prepared, 1).tobytes() == before


def test_batches_are_what_networks_on_waves_take(crops):
    batch = next(iter(evaluation_loader(crops, batch_size=4, places=even_places(2))))
    assert batch.features.shape == (4, 1, SAMPLES)
    assert batch.features.dtype == torch.float32
    assert batch.row.tolist() == [0, 0, 1, 1]


def test_a_network_on_waves_is_given_the_wave_itself():
    wave = np.ones(8, np.float32)
    assert network_input(FRONT_END, wave, InputKind.WAVE) is wave


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(InputError, match="no shards in"):
        open_store(tmp_path)
