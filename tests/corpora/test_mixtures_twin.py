"""The twin of a mixture corpus: read back by the reader, balanced, repeatable, and refused where it cannot be."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.corpora.mixtures import TABLE, read
from voxbench.corpora.mixtures_twin import write_twin
from voxbench.corpora.registries import twins
from voxbench.corpora.synthesis import talk
from voxbench.schema import InputError, Split

SETTINGS = changed(
    BASE,
    layout="mixtures",
    edition="2",
    speakers=16,
    sessions_per_speaker=2,
    clips_per_session=1,
    clip_seconds=(1.0, 2.0),
    snr_db=(20.0, 40.0),
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "mixtures"
    write_twin(root, SETTINGS)
    return root


def test_registered_under_the_name_of_the_corpus():
    assert twins["mixtures"] is write_twin


def test_the_reader_reads_the_twin(twin):
    rows = list(read(twin))
    assert Counter((row.split, row.extra["count"]) for row in rows) == {
        (split, count): number
        for split, number in ((Split.TRAIN, 8), (Split.VALID, 4), (Split.TEST, 4))
        for count in ("1", "2")
    }
    heard = {split: {name for row in rows if row.split is split for name in row.speakers} for split in Split}
    assert len(set.union(*heard.values())) == sum(len(names) for names in heard.values()) <= 16
    assert all(len(row.extra["starts_seconds"].split("+")) == len(row.speakers) for row in rows)
    assert {row.id for row in rows} == {path.relative_to(twin).as_posix() for path in twin.rglob("*.flac")}
    assert "Synthetic" in (twin / "README.txt").read_text()
    assert not twin.with_name("mixtures.partial").exists()


def test_all_mixtures_sound_and_have_one_length(twin):
    for row in read(twin):
        info = soundfile.info(row.path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", 16_000, 1)
        assert info.frames == 16_000
        wave, _ = soundfile.read(row.path)
        assert 0.02 < np.abs(wave).max() < 10 ** (-0.99 / 20)
    assert len(set(tree_hashes(twin).values())) == 32 + 2


def test_a_mixture_is_the_mean_of_recordings_that_draw_their_own(tmp_path, monkeypatch):
    """The waves that go in, caught on their way, are what comes out."""
    caught, states = [], []
    monkeypatch.setattr(
        "voxbench.corpora.mixtures_twin.average", lambda waves: caught.append(waves) or np.mean(waves, axis=0)
    )
    monkeypatch.setattr(
        "voxbench.corpora.mixtures_twin.talk",
        lambda *given: states.append(str(given[-1].bit_generator.state)) or talk(*given),
    )
    few = {"speakers": 12, "sessions_per_speaker": 1, "clips_per_session": 2, "test_fraction": 0.34}
    write_twin(tmp_path / "twin", changed(SETTINGS, **few))
    rows = list(read(tmp_path / "twin"))
    assert [len(waves) for waves in caught] == [len(row.speakers) for row in rows]
    for waves, row in zip(caught, rows, strict=True):
        wave, _ = soundfile.read(row.path)
        np.testing.assert_allclose(wave, np.mean(waves, axis=0), atol=2**-15)
    assert len(states) == 24 * 3 // 2
    assert 12 < len(set(states)) <= 24


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(twin, tmp_path):
    write_in_another_process(SETTINGS, tmp_path / "again")
    assert tree_hashes(tmp_path / "again") == tree_hashes(twin)
    write_twin(tmp_path / "other", changed(SETTINGS, seed=2))
    same = {name for name, value in tree_hashes(tmp_path / "other").items() if tree_hashes(twin).get(name) == value}
    assert same == {"README.txt"}


def test_a_twin_never_overwrites(twin):
    with pytest.raises(InputError, match="not empty"):
        write_twin(twin, SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edition": None}, "edition None of the twin of mixtures; expected the largest number of people, from 2 to 9"),
        ({"edition": "1"}, "edition '1'"),
        ({"edition": "two"}, "edition 'two'"),
        ({"age_years": (20.0, 30.0)}, r"age_years \(20\.0, 30\.0\), .* set null and 0"),
        ({"unlabelled_fraction": 0.1}, r"unlabelled_fraction 0\.1: mixtures have no ages"),
        ({"speakers": 7}, "expected an even"),
        ({"test_fraction": 0.5}, "leaves none of each sex for training"),
        ({"edition": "3"}, r"2 female speaker\(s\) in valid; mixtures of up to 3 people can need 3"),
        ({"language": "xx"}, "'xx'"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **change))
    assert not (tmp_path / "twin").exists()


def test_the_table_is_plain(twin):
    header, *rows = (twin / TABLE).read_text().splitlines()
    assert header == "path,split,sources,sexes,starts_seconds"
    assert rows[0].startswith("train/000000.flac,train,voice0")
