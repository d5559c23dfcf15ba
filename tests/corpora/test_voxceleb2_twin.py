"""VoxCeleb2's twin: both editions read back alike, AAC that decodes to the voice, ages, equal bytes, refusals."""

from collections import Counter

import av
import numpy as np
import pytest
import soundfile

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.corpora.registries import readers, twins
from voxbench.corpora.voxceleb2 import META, read
from voxbench.corpora.voxceleb2_twin import EDITIONS, m4a, write_twin
from voxbench.schema import InputError, Split, age_group

SETTINGS = changed(
    BASE,
    layout="voxceleb2",
    edition="aac",
    speakers=8,
    clip_seconds=(0.4, 0.9),
    age_years=(18.0, 80.0),
    unlabelled_fraction=0.25,
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    roots = {}
    for edition in EDITIONS:
        roots[edition] = tmp_path_factory.mktemp("twins") / edition
        write_twin(roots[edition], changed(SETTINGS, edition=edition))
    return roots


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        codec = stream.codec_context
        wave = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
    return wave, codec.name, codec.profile, codec.sample_rate, codec.layout.name


def test_registered_under_the_name_of_the_corpus():
    assert readers["voxceleb2"] is read
    assert twins["voxceleb2"] is write_twin


def test_the_reader_reads_the_twin(trees):
    rows = list(read(trees["aac"]))
    assert len(rows) == 8 * 2 * 2
    assert {row.session.split("/")[0] for row in rows} == {row.speaker for row in rows}
    assert Counter({row.speaker: (row.split, row.gender) for row in rows}.values()) == {
        (Split.TRAIN, "female"): 3,
        (Split.TRAIN, "male"): 3,
        (Split.TEST, "female"): 1,
        (Split.TEST, "male"): 1,
    }
    assert {row.id.split("/")[0] for row in rows if row.split is Split.TEST} == {"test"}
    assert {row.extra["name"] for row in rows} == {f"Speaker_{number:04d},_Synthetic" for number in range(1, 9)}
    lines = (trees["aac"] / META).read_text().splitlines()
    assert len(lines) == 1 + 8 + 1, "a header, the speakers, and one without audio"
    assert lines[-1] == "Speaker_0009,_Synthetic ,id00020 ,n000020 ,f ,test "
    assert "Synthetic" in (trees["aac"] / "README.txt").read_text()
    assert not trees["aac"].with_name("aac.partial").exists()


def test_one_video_of_each_labelled_speaker_has_an_age(trees):
    rows = list(read(trees["wav"]))
    dated = [row for row in rows if row.age_years is not None]
    assert len({row.speaker for row in dated}) == 6, "a quarter of eight speakers is unlabelled"
    assert Counter(row.session for row in dated) == {row.session: 2 for row in dated}
    assert all(18 <= row.age_years <= 80 and row.age_group == age_group(row.age_years) for row in dated)
    assert len({row.age_years for row in dated}) > 3
    assert Counter(row.extra["age_set"] for row in dated) == {"train": 6, "test": 6}


def test_both_editions_hold_the_same_utterances(trees):
    def facts(row):
        return (row.speaker, row.session, row.split, row.gender, row.age_years, row.extra)

    both = [sorted(read(trees[edition]), key=lambda row: row.session + row.path.stem) for edition in EDITIONS]
    assert [facts(row) for row in both[0]] == [facts(row) for row in both[1]]
    assert both[1][0].id == "wav/" + both[0][0].id.split("aac/")[1].replace(".m4a", ".wav")
    names = [{name for name in tree_hashes(trees[edition]) if "/" not in name} for edition in EDITIONS]
    assert names == [{META, "README.txt", "vox2_age_train.csv", "vox2_age_test.csv"}] * 2
    for coded, plain in zip(*both, strict=True):
        wave, *form = decode(coded.path)
        assert form == ["aac", "LC", 16_000, "mono"]
        info = soundfile.info(plain.path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        expected, _ = soundfile.read(plain.path)
        assert 0.4 <= expected.size / 16_000 <= 0.9
        assert 0 <= wave.size - expected.size < 1024, "the encoder's delay is cut off, its last frame is full"
        assert np.corrcoef(wave[: expected.size], expected)[0, 1] > 0.97


def test_m4a_is_repeatable_and_carries_no_date_or_encoder():
    wave = np.sin(np.arange(16_000) / 5.0) / 2
    data = m4a(wave)
    assert data == m4a(wave)
    assert data[4:12] == b"ftypM4A "
    assert b"Lavf" not in data
    assert b"Lavc" not in data
    header = data.index(b"mvhd") + 4
    assert data[header : header + 12] == bytes(12), "version, creation and modification time"
    assert len(data) < 1.5 * 64_000 / 8


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(trees, tmp_path):
    write_in_another_process(SETTINGS, tmp_path / "again")
    assert tree_hashes(tmp_path / "again") == tree_hashes(trees["aac"])
    write_twin(tmp_path / "other", SETTINGS.model_copy(update={"seed": 2}))
    sounds = [set(tree_hashes(root / "dev").values()) for root in (tmp_path / "other", trees["aac"])]
    assert not sounds[0] & sounds[1]


def test_more_clips_leave_the_first_ones_alone(trees, tmp_path):
    write_twin(tmp_path / "short", SETTINGS.model_copy(update={"clips_per_session": 1}))
    assert tree_hashes(tmp_path / "short").items() <= tree_hashes(trees["aac"]).items()


def test_without_ages_there_are_no_age_files_and_a_twin_never_overwrites(trees, tmp_path):
    few = {"speakers": 4, "test_fraction": 0.5, "clips_per_session": 1, "sessions_per_speaker": 1}
    settings = changed(SETTINGS, **few, age_years=None, unlabelled_fraction=0.0, edition="wav")
    write_twin(tmp_path / "twin", settings)
    assert not list((tmp_path / "twin").glob("vox2_age_*"))
    assert {row.age_years for row in read(tmp_path / "twin")} == {None}
    with pytest.raises(InputError, match="not empty"):
        write_twin(tmp_path / "twin", settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edition": "mp4"}, "edition 'mp4' of the VoxCeleb2 twin; expected aac, wav"),
        ({"edition": None}, "edition None of the VoxCeleb2 twin"),
        ({"age_years": None}, r"unlabelled_fraction 0\.25 without age_years"),
        ({"age_years": (20.0, 140.0)}, r"age_years \(20\.0, 140\.0\); expected bounds within 0 and 130"),
        ({"speakers": 7}, "expected an even"),
        ({"test_fraction": 0.01}, "at least one speaker of each sex"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **change))
    assert not list(tmp_path.iterdir())
