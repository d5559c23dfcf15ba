"""Mixtures derived when they are read: mixes worked by hand, levels, rooms, and what is refused."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.audio.channel import reverberate
from voxbench.audio.mixing import average, mix
from voxbench.features.mixed import Origin, Parts, blend, fingerprint, open_store, write_mixed_shard
from voxbench.features.store import RaggedStore, dequantize, write_shard
from voxbench.schema import AudioError, InputError
from voxbench.seeding import generator

RATE_HZ = 1000
VOICES = {"a": [30000, -30000, 0, 10000, 20000], "b": [0, 4, -4, 0], "c": [7, 7, -7, 1, 2, 3]}
SCALES = {"a": 1e-4, "b": 0.5, "c": 1.0}
ONE = Parts("train/000000", ("a",), (0,), None, (), (), None)
TWO = Parts("train/000001", ("a", "b"), (1, 0), None, (1.0,), (0.0,), None)


def write_source(folder, voices=VOICES, scales=SCALES, key="one"):
    arrays = [np.array(values, np.int16) for values in voices.values()]
    write_shard(folder / "shard-00000.arrow", list(voices), arrays, [scales[name] for name in voices], {"key": key})
    return RaggedStore(folder)


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "source")


@pytest.fixture
def noises(tmp_path):
    """Return a store of three voices of noise, a second each."""
    draws = np.random.default_rng(3)
    voices = {name: (8000 * draws.standard_normal(RATE_HZ)).clip(-32767, 32767) for name in "abc"}
    return write_source(tmp_path / "source", voices, dict.fromkeys("abc", 1e-4))


def origin_of(store_folder, samples=3):
    return Origin("source", fingerprint(store_folder), RATE_HZ, samples, seed=5)


def wave_of(parts, origin, store):
    samples, scale = blend(parts, origin, store)
    assert samples.dtype == np.int16
    return dequantize(samples, scale)


def test_a_mixture_by_hand(tmp_path, source):
    """(-3, 0, 1) and (0, 2, -2), from samples 1 and 0 on, give (-1.5, 1, -0.5): mean -1/3, variance 19/18."""
    samples, scale = blend(TWO, origin_of(tmp_path / "source"), source)
    expected = (np.array([-1.5, 1.0, -0.5]) + 1 / 3) / np.sqrt(19 / 18)
    np.testing.assert_allclose(samples * scale, expected, atol=scale / 2 * 1.01)
    assert np.abs(samples).max() == 32767


def test_whole_recordings_are_cut_to_the_shortest(tmp_path, source):
    """(3, -3, 0, 1) and (0, 2, -2, 0): mean (1.5, -0.5, -1, 0.5), which has mean 1/8."""
    wave = wave_of(replace(TWO, starts=(0, 0)), origin_of(tmp_path / "source", None), source)
    centred = np.array([1.5, -0.5, -1.0, 0.5]) - 0.125
    np.testing.assert_allclose(wave, centred / np.sqrt(np.mean(centred**2)), atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True), st.integers(0, 600), st.booleans())
def test_whatever_is_mixed_has_mean_0_and_deviation_1(tmp_path_factory, names, start, levels):
    """The level of a mixture must not tell how many are in it."""
    draws = np.random.default_rng(3)
    voices = {name: (8000 * draws.standard_normal(RATE_HZ)).clip(-32767, 32767) for name in "abc"}
    folder = tmp_path_factory.mktemp("made") / "source"
    store = write_source(folder, voices, {"a": 1e-4, "b": 3.0, "c": 0.01})
    others = (0.5,) * (len(names) - 1)
    snr_db = (3.0,) * len(others) if levels else None
    parts = Parts("train/000000", tuple(names), (start,) * len(names), snr_db, others, others, None)
    wave = wave_of(parts, origin_of(folder, 400), store)
    assert wave.shape == (400,)
    assert wave.mean() == pytest.approx(0.0, abs=1e-4)
    assert wave.std() == pytest.approx(1.0, abs=1e-4)


def test_levels_and_places_are_those_of_the_mixing_law(tmp_path, noises):
    parts = Parts("x/1", ("c", "a", "b"), (10, 0, 500), (-4.0, 6.0), (0.5, 0.25), (0.0, 1.0), None)
    waves = [
        dequantize(noises[noises.position(name)][start : start + 400], 1e-4)
        for name, start in zip("cab", parts.starts, strict=True)
    ]
    expected = mix(waves, parts.snr_db, parts.overlap, parts.onset)
    assert abs(np.corrcoef(expected, average(waves))[0, 1]) < 0.99
    found = wave_of(parts, origin_of(tmp_path / "source", 400), noises)
    np.testing.assert_allclose(found, (expected - expected.mean()) / expected.std(), atol=2e-4)


def test_a_room_is_one_for_all_and_another_for_each_place(tmp_path, noises):
    origin = origin_of(tmp_path / "source", 400)
    parts = Parts("x/1", ("a", "b"), (0, 0), None, (1.0,), (0.0,), 0.2)
    waves = [
        reverberate(dequantize(noises[place][:400], 1e-4), RATE_HZ, 0.2, generator(5, "mixture room", "x/1", place))
        for place in (0, 1)
    ]
    expected = average(waves)
    found = wave_of(parts, origin, noises)
    np.testing.assert_allclose(found, (expected - expected.mean()) / expected.std(), atol=2e-4)
    for other in (replace(parts, id="x/2"), replace(parts, rt60_seconds=None), replace(parts, rt60_seconds=0.3)):
        assert np.abs(wave_of(other, origin, noises) - found).max() > 0.1
    np.testing.assert_array_equal(
        wave_of(replace(parts, rt60_seconds=0.0), origin, noises),
        wave_of(replace(parts, rt60_seconds=None), origin, noises),
    )


def write_mixtures(folder, rows, origin):
    store = RaggedStore(folder.parent / origin.source)
    for number, own in enumerate(rows):
        scales = [blend(row, origin, store)[1] for row in own]
        write_mixed_shard(folder / f"shard-{number:05d}.arrow", own, scales, origin, {"key": "x"})


SHARDS = (
    (Parts("m/0", ("a",), (2,), (), (), (), 0.1), Parts("m/1", ("b", "c"), (0, 1), (2.0,), (0.5,), (0.25,), 0.2)),
    (Parts("m/2", ("c", "a", "b"), (3, 0, 9), (1.0, 2.0), (0.5, 1.0), (0.1, 0.2), 0.0),),
)


@pytest.mark.parametrize("bare", [False, True])
def test_the_store_gives_back_plans_waves_and_scales(tmp_path, noises, bare):
    shards = [[replace(row, snr_db=None, rt60_seconds=None) for row in own] if bare else own for own in SHARDS]
    origin = origin_of(tmp_path / "source", 40)
    write_mixtures(tmp_path / "mixed", shards, origin)
    store = open_store(tmp_path / "mixed")
    rows = [row for own in shards for row in own]
    assert [asdict(store.parts(place)) for place in range(len(store))] == [asdict(row) for row in rows]
    assert (store.width, store.ids, len(store)) == (1, ["m/0", "m/1", "m/2"], 3)
    for row, samples, scale in zip(rows, store, store.scales, strict=True):
        expected, its_scale = blend(row, origin, noises)
        np.testing.assert_array_equal(samples, expected)
        np.testing.assert_array_equal(store[store.position(row.id)], expected)
        assert scale == its_scale
    second = open_store(tmp_path / "mixed", "shard-00001.arrow")
    assert second.ids == ["m/2"]
    np.testing.assert_array_equal(second[0], store[2])


def test_equal_plans_give_equal_bytes(tmp_path, noises):
    for name in ("one", "two"):
        write_mixtures(tmp_path / name, SHARDS, origin_of(tmp_path / "source", 40))
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert [path.name for path in one] == ["shard-00000.arrow", "shard-00001.arrow"]


def test_the_door_opens_stored_audio_as_it_is(tmp_path, source):
    store = open_store(tmp_path / "source")
    assert isinstance(store, RaggedStore)
    np.testing.assert_array_equal(store[1], source[1])
    with pytest.raises(InputError, match="no shards in"):
        open_store(tmp_path / "nothing")


def test_another_preparation_of_the_source_is_refused(tmp_path, noises):
    write_mixtures(tmp_path / "mixed", SHARDS, origin_of(tmp_path / "source", 40))
    write_source(tmp_path / "source", key="two")
    with pytest.raises(InputError, match=r"planned on another preparation of .*source: .*dvc repro mix@mixed"):
        open_store(tmp_path / "mixed")


def test_shards_of_two_sources_are_refused(tmp_path, noises):
    origin = origin_of(tmp_path / "source", 40)
    write_mixtures(tmp_path / "mixed", SHARDS, origin)
    write_mixed_shard(tmp_path / "mixed" / "shard-00001.arrow", SHARDS[1], [1.0], replace(origin, seed=6), {})
    with pytest.raises(InputError, match="another preparation"):
        open_store(tmp_path / "mixed")


def test_a_source_that_is_gone_is_named(tmp_path, noises):
    write_mixtures(tmp_path / "mixed", SHARDS, origin_of(tmp_path / "source", 40))
    (tmp_path / "source" / "shard-00000.arrow").unlink()
    with pytest.raises(InputError, match="source"):
        open_store(tmp_path / "mixed")


def test_the_fingerprint_is_of_every_shards_name_and_notes(tmp_path):
    folder = tmp_path / "source"
    found = set()
    for key in ("one", "two"):
        write_source(folder, key=key)
        found.add(fingerprint(folder))
    (folder / "shard-00000.arrow").rename(folder / "shard-00001.arrow")
    assert len(found | {fingerprint(folder), fingerprint(tmp_path / "nothing")}) == 4


@pytest.mark.parametrize(
    ("parts", "samples", "reason", "message"),
    [
        (replace(ONE, starts=(3,)), 3, "too_short", r"'a' has 5 samples, not 3 \+ 3"),
        (ONE, 6, "too_short", r"'a' has 5 samples, not 0 \+ 6"),
        (replace(ONE, starts=(2,)), 1, "silent", "'a' holds nothing but zeros from sample 2 on: mix longer excerpts"),
    ],
)
def test_an_excerpt_that_is_not_there_or_says_nothing(tmp_path, source, parts, samples, reason, message):
    with pytest.raises(AudioError, match=message) as error:
        blend(parts, origin_of(tmp_path / "source", samples), source)
    assert error.value.reason == reason
