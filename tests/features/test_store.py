"""The ragged store: what goes in comes out, without copies, and whole or not at all."""

import numpy as np
import pyarrow as pa
import pytest

from voxbench.features import store as store_module
from voxbench.features.store import RaggedStore, ShardWriter, dequantize, quantize, read_notes, write_shard
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


@pytest.mark.parametrize("other", [np.ones((2, 4)), np.ones(6), np.ones((2, 3), dtype=np.float32)])
def test_mixed_arrays_are_refused_and_leave_nothing(tmp_path, other):
    with pytest.raises(ValueError, match="one type and width"):
        write(tmp_path, 0, [np.ones((2, 3)), other])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values_in_a_batch", [1, 12, 20, 1000])
@pytest.mark.parametrize("dtype", [np.float16, np.int16])
def test_the_size_of_batches_is_not_seen(tmp_path, monkeypatch, values_in_a_batch, dtype):
    monkeypatch.setattr(store_module, "BATCH_VALUES", values_in_a_batch)
    rows = [np.full((frames, 3), frames, dtype) for frames in (2, 4, 0, 1, 3)]
    write(tmp_path, 0, rows)
    write(tmp_path, 1, rows[:2])
    store = RaggedStore(tmp_path)
    assert store.ids == ["0-0", "0-1", "0-2", "0-3", "0-4", "1-0", "1-1"]
    for read, written in zip(store, rows + rows[:2], strict=True):
        assert (read.dtype, read.shape) == (dtype, written.shape)
        assert np.array_equal(read, written)
    assert read_notes(tmp_path / "shard-00001.arrow") == {"key": "1"}


def test_a_writer_that_is_not_finished_leaves_nothing(tmp_path):
    with ShardWriter(tmp_path / "shard-00000.arrow") as shard:
        shard.add("a", np.ones(3), 1.0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_whole_shard_has_no_notes(tmp_path):
    write(tmp_path, 0, [np.ones(100, dtype=np.int16)])
    path = tmp_path / "shard-00000.arrow"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"ARROW1 or not"):
        path.write_bytes(content)
        assert read_notes(path) == {}
    assert read_notes(tmp_path / "shard-00001.arrow") == {}
    earlier = pa.table({"id": ["a"]}).replace_schema_metadata({"notes": "{}"})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, earlier.schema) as writer:
        writer.write_table(earlier)
    assert read_notes(path) == {}, "a shard of an earlier version of the package"


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
