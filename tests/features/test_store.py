"""The ragged store: what goes in comes out, without copies, and whole or not at all."""

import numpy as np
import pytest

from voxbench.features.store import RaggedStore, dequantize, halve, quantize, read_notes, write_shard
from voxbench.schema import InputError


def write(folder, number, arrays, ids=None):
    ids = ids or [f"{number}-{row}" for row in range(len(arrays))]
    write_shard(
        folder / f"shard-{number:05d}.arrow",
        ids,
        arrays,
        [1.0 + row for row in range(len(arrays))],
        {"key": str(number)},
    )


def test_round_trip_over_shards(tmp_path):
    draws = np.random.default_rng(1)
    first = [draws.normal(size=(frames, 3)).astype(np.float16) for frames in (4, 1, 7)]
    second = [draws.normal(size=(frames, 3)).astype(np.float16) for frames in (2,)]
    write(tmp_path, 0, first)
    write(tmp_path, 1, second)
    store = RaggedStore(tmp_path)
    assert len(store) == 4
    assert store.width == 3
    assert store.scales.tolist() == [1.0, 2.0, 3.0, 1.0]
    for read, written in zip(store, first + second, strict=True):
        assert read.dtype == np.float16
        assert np.array_equal(read, written)
    assert np.array_equal(store[store.position("1-0")], second[0])


def test_audio_comes_back_one_dimensional_and_read_only(tmp_path):
    write(tmp_path, 0, [np.arange(5, dtype=np.int16)])
    row = RaggedStore(tmp_path)[0]
    assert row.shape == (5,)
    assert not row.flags.writeable
    assert row.base is not None


def test_a_shard_without_rows_is_no_obstacle(tmp_path):
    write(tmp_path, 0, [np.ones((2, 3), dtype=np.float16)])
    write(tmp_path, 1, [])
    write(tmp_path, 2, [np.zeros((1, 3), dtype=np.float16)], ids=["last"])
    store = RaggedStore(tmp_path)
    assert store.ids == ["0-0", "last"]
    assert store.width == 3
    assert np.array_equal(store[1], np.zeros((1, 3)))


def test_equal_rows_give_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder, 0, [np.arange(12, dtype=np.float16).reshape(4, 3)])
    first, second = (tmp_path / folder / "shard-00000.arrow" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_nothing_but_whole_shards_is_seen(tmp_path):
    write(tmp_path, 0, [np.ones(3, dtype=np.int16)])
    (tmp_path / "shard-00001.arrow.partial").write_bytes(b"cut off")
    assert len(RaggedStore(tmp_path)) == 1
    assert read_notes(tmp_path / "shard-00000.arrow") == {"key": "0"}


def test_mixed_widths_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one width"):
        write(tmp_path, 0, [np.ones((2, 3)), np.ones((2, 4))])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no shards"):
        RaggedStore(tmp_path)


def test_quantisation_error_is_at_most_half_a_step():
    wave = np.random.default_rng(2).normal(size=10_000).astype(np.float32)
    samples, scale = quantize(wave)
    assert samples.dtype == np.int16
    assert np.abs(dequantize(samples, scale) - wave).max() <= scale * 0.501
    assert np.abs(samples).max() == 32767


def test_silence_quantises_to_zeros():
    samples, scale = quantize(np.zeros(3, dtype=np.float32))
    assert samples.tolist() == [0, 0, 0]
    assert scale == 1.0


def test_float16_is_close_to_float32_and_refuses_overflow():
    values = np.random.default_rng(3).uniform(-80, 0, size=(50, 224)).astype(np.float32)
    assert np.abs(halve(values).astype(np.float32) - values).max() <= 0.032
    with pytest.raises(ValueError, match="do not fit float16"):
        halve(np.array([1e6], dtype=np.float32))
