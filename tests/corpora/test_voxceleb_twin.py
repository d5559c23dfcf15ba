"""VoxCeleb's twin: read back by the reader, balanced, repeatable, and refused where it cannot be."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.corpora.registries import readers, twins
from voxbench.corpora.trials import identify_list, read_trials
from voxbench.corpora.voxceleb import META, read
from voxbench.corpora.voxceleb_twin import write_twin
from voxbench.schema import InputError, Split

HEADER = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"
SETTINGS = changed(BASE, speakers=8, clip_seconds=(3.0, 4.5))


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "voxceleb"
    write_twin(root, SETTINGS)
    return root


def test_registered_under_the_name_of_the_corpus():
    assert readers["voxceleb"] is read
    assert twins["voxceleb"] is write_twin


def test_the_reader_reads_the_twin(twin):
    rows = list(read(twin))
    assert len(rows) == 8 * 2 * 2
    assert len({row.session for row in rows}) == 8 * 2
    speakers = {row.speaker: (row.split, row.gender) for row in rows}
    assert Counter(speakers.values()) == {
        (Split.TRAIN, "female"): 3,
        (Split.TRAIN, "male"): 3,
        (Split.TEST, "female"): 1,
        (Split.TEST, "male"): 1,
    }
    assert {len(row.session.split("/")[1]) for row in rows} == {11}
    assert (twin / META).read_text().splitlines()[0] == HEADER
    assert "Synthetic" in (twin / "README.txt").read_text()
    assert not twin.with_name("voxceleb.partial").exists()


def test_twin_clips_sound(twin):
    for row in read(twin):
        info = soundfile.info(row.path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        wave, _ = soundfile.read(row.path)
        assert 3.0 <= wave.size / 16_000 <= 4.5
        assert 10 ** (-12.01 / 20) < np.abs(wave).max() < 10 ** (-0.99 / 20)
        assert np.sqrt(np.mean(wave**2)) > 0.005


def test_twin_sessions_differ_in_channel_and_clips_in_content(twin):
    rows = list(read(twin))
    assert len(set(tree_hashes(twin / "wav").values())) == len(rows)
    peaks = {}
    for row in rows:
        peaks.setdefault(row.session, set()).add(round(float(np.abs(soundfile.read(row.path)[0]).max()), 3))
    assert all(len(levels) == 1 for levels in peaks.values())
    assert len({level for levels in peaks.values() for level in levels}) > 8


def test_twin_trials_are_balanced_and_over_test_speakers(twin):
    trials = read_trials(twin / "veri_test.txt")
    test_files = {row.id.removeprefix("wav/") for row in read(twin) if row.split is Split.TEST}
    assert set(trials["enroll"]) | set(trials["test"]) <= test_files
    assert len(trials) == 2 * 2 * 6  # two speakers, six pairs of four clips, one nontarget each
    assert trials["label"].sum() == len(trials) // 2
    assert (trials["enroll"] != trials["test"]).all()


LISTS = ("veri_test", "list_test_all", "list_test_hard")


@pytest.mark.parametrize("name", LISTS)
def test_a_cleaned_list_is_its_original_less_some_trials(twin, name):
    original, cleaned = (list(read_trials(twin / f"{name}{v}.txt").itertuples(index=False)) for v in ("", "2"))
    assert len(cleaned) == len(original) - 1
    assert [trial for trial in original if trial in cleaned] == cleaned
    assert not identify_list(twin / f"{name}.txt").known


def test_every_clip_is_tried_in_the_lists_of_all_and_hard_pairs_share_the_sex(twin):
    rows = {row.id.removeprefix("wav/"): row for row in read(twin)}
    for name in LISTS[1:]:
        trials = read_trials(twin / f"{name}.txt")
        assert sorted(trials["enroll"][trials["label"] == 1]) == sorted(rows)
        assert sorted(trials["enroll"][trials["label"] == 0]) == sorted(rows)
        assert (trials["enroll"] != trials["test"]).all()
        sexes = {(rows[trial.enroll].gender, rows[trial.test].gender) for trial in trials.itertuples()}
        assert sexes == {("female", "female"), ("male", "male")} if name == LISTS[2] else len(sexes) > 2


def test_the_identification_list_holds_out_the_last_session_of_everyone(twin, tmp_path):
    sets = {}
    for row in read(twin):
        sets.setdefault(row.speaker, {}).setdefault(row.session, []).append(row.extra["identification"])
    assert {tuple(sorted(map(tuple, sessions.values()))) for sessions in sets.values()} == {
        (("test", "test"), ("train", "train")),
        (("train", "train"), ("valid", "valid")),
    }
    few = {"speakers": 4, "test_fraction": 0.5, "sessions_per_speaker": 1, "clip_seconds": (0.3, 0.4)}
    write_twin(tmp_path / "one", SETTINGS.model_copy(update=few))
    rows = list(read(tmp_path / "one"))
    assert [row.extra["identification"] for row in rows] == ["train", "test", "train", "valid"] * 2


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(twin, tmp_path):
    write_in_another_process(SETTINGS, tmp_path / "again")
    assert tree_hashes(tmp_path / "again") == tree_hashes(twin)
    write_twin(tmp_path / "other", SETTINGS.model_copy(update={"seed": 2}))
    assert not set(tree_hashes(tmp_path / "other" / "wav").values()) & set(tree_hashes(twin / "wav").values())


def test_more_clips_leave_the_first_ones_alone(twin, tmp_path):
    """A draw depends on its own indices only, so a longer session extends a shorter one."""
    write_twin(tmp_path / "short", SETTINGS.model_copy(update={"clips_per_session": 1}))
    long = tree_hashes(twin / "wav")
    short = tree_hashes(tmp_path / "short" / "wav")
    assert short.items() <= long.items()


def test_a_twin_never_overwrites_and_replaces_an_unfinished_one(twin, tmp_path):
    with pytest.raises(InputError, match="not empty"):
        write_twin(twin, SETTINGS)
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "half.wav").touch()
    write_twin(
        tmp_path / "new", SETTINGS.model_copy(update={"speakers": 4, "test_fraction": 0.5, "clips_per_session": 1})
    )
    assert not list((tmp_path / "new").rglob("half.wav"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speakers": 7}, "expected an even"),
        ({"test_fraction": 0.01}, "at least one speaker of each sex"),
        ({"sessions_per_speaker": 1, "clips_per_session": 1}, "no target trial"),
        ({"edition": "2"}, "edition '2', .* VoxCeleb has one edition, no ages and labels for everyone"),
        ({"age_years": (20.0, 30.0)}, r"age_years \(20\.0, 30\.0\), .* set null, null and 0"),
        ({"unlabelled_fraction": 0.1}, r"unlabelled_fraction 0\.1: VoxCeleb has"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **change))
    assert not list(tmp_path.iterdir())


def test_another_language_is_spoken_by_the_same_speakers(tmp_path):
    few = {"speakers": 4, "test_fraction": 0.5, "clips_per_session": 1, "clip_seconds": (0.3, 0.4)}
    trees = {}
    for language in ("en-US", "ru"):
        write_twin(tmp_path / language, SETTINGS.model_copy(update=few | {"language": language}))
        trees[language] = tree_hashes(tmp_path / language)
    assert trees["en-US"].keys() == trees["ru"].keys()
    same = {name for name, value in trees["ru"].items() if trees["en-US"][name] == value}
    assert same == {name for name in trees["ru"] if not name.endswith(".wav")}
