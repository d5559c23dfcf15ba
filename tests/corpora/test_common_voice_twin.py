"""The twin of Common Voice: its tables, its voices, its clips."""

import csv
import unicodedata
from collections import Counter

import numpy as np
import pytest
import soundfile

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.audio import load_audio
from voxbench.audio.voices import draw_voice, speak
from voxbench.corpora import read_corpus, twins
from voxbench.corpora.common_voice import read
from voxbench.corpora.common_voice_twin import _read_aloud, _speakers, write_twin
from voxbench.schema import AGE_GROUPS, GENDERS, InputError, Split, age_group

OLD = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent", "locale", "segment"]
NEW = ["client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender"]
NEW += ["accents", "variant", "locale", "segment"]

SETTINGS = changed(
    BASE,
    layout="common_voice",
    edition="17.0",
    clips_per_session=1,
    age_years=(14.0, 80.0),
    unlabelled_fraction=0.2,
)

RUSSIAN = changed(SETTINGS, edition="7.0", language="ru", speakers=6, test_fraction=0.34, clips_per_session=2)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "en"
    twins["common_voice"](root, SETTINGS)
    return root


@pytest.fixture(scope="module")
def russian(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "ru"
    write_twin(root, RUSSIAN)
    return root


def test_the_reader_reads_the_twin(twin):
    rows = list(read_corpus("common_voice", twin))
    assert len(rows) == len({r.id for r in rows}) == 16 * 2
    speakers = {r.speaker: r for r in rows}
    assert Counter(r.split for r in speakers.values()) == {Split.TRAIN: 8, Split.VALID: 4, Split.TEST: 4}
    assert all(r.split == speakers[r.speaker].split for r in rows)
    unlabelled = [r for r in speakers.values() if r.gender is None]
    assert len(unlabelled) == round(0.2 * 16)
    assert all(r.age_group is None and not r.extra for r in unlabelled)
    assert {r.extra["gender_word"] for r in rows if r.gender} == {"male_masculine", "female_feminine"}
    assert {(len(r.speaker), set(r.speaker) <= set("0123456789abcdef"), r.language) for r in rows} == {
        (128, True, "en")
    }
    assert all(r.path.is_file() and r.path.name.startswith("common_voice_en_") for r in rows)
    assert "Synthetic" in (twin / "README.txt").read_text()
    assert sorted(path.name for path in twin.glob("*.tsv")) == ["dev.tsv", "test.tsv", "train.tsv", "validated.tsv"]


def test_every_set_is_half_of_each_sex_with_even_ages():
    settings = changed(SETTINGS, unlabelled_fraction=0.0, speakers=48, sessions_per_speaker=1, seed=3)
    roles = _speakers(settings)
    for word, size in (("train", 24), ("dev", 12), ("test", 12)):
        members = [role for role in roles if role.set_word == word]
        assert Counter(role.gender for role in members) == {"male": size // 2, "female": size // 2}
        for gender in GENDERS:
            groups = Counter(age_group(role.age_years) for role in members if role.gender == gender)
            assert groups == dict.fromkeys(AGE_GROUPS, size // 12)
    assert all(14 <= role.age_years <= 80 for role in roles)
    assert {role.age_word for role in roles if role.age_years >= 60} == {"sixties", "seventies"}
    assert len({role.age_years for role in roles}) == 48


@pytest.mark.parametrize(
    ("bounds", "groups"),
    [
        ((35.0, 52.0), {"thirties": 6, "fourties": 5, "fifties": 5}),
        ((20.0, 30.0), {"twenties": 16}),
        ((44.0, 44.0), {"fourties": 16}),
    ],
)
def test_ages_fill_the_groups_that_the_bounds_touch(bounds, groups):
    roles = _speakers(changed(SETTINGS, age_years=bounds, speakers=32))
    assert all(bounds[0] <= role.age_years <= bounds[1] for role in roles)
    for gender in GENDERS:
        found = Counter(age_group(role.age_years) for role in roles if role.gender == gender)
        assert sorted(found.values()) == sorted(groups.values())
        assert found.keys() == groups.keys()


def test_the_labels_written_are_those_of_the_voices(twin):
    roles = {role.client_id: role for role in _speakers(SETTINGS)}
    for r in read(twin):
        role = roles[r.speaker]
        assert r.gender == (role.gender if role.is_labelled else None)
        assert r.age_group == (age_group(role.age_years) if role.is_labelled else None)


@pytest.mark.parametrize(("fixture", "columns", "rate_hz"), [("twin", NEW, 32_000), ("russian", OLD, 48_000)])
def test_editions_differ_in_columns_words_and_rate(request, fixture, columns, rate_hz):
    root = request.getfixturevalue(fixture)
    with (root / "validated.tsv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert table[0] == columns
    path = root / "clips" / table[1][1]
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("MP3", "MPEG_LAYER_III", rate_hz, 1)


def test_the_russian_twin(russian):
    rows = list(read(russian))
    assert len(rows) == 6 * 2 * 2
    assert {r.language for r in rows} == {"ru"}
    assert {r.extra["gender_word"] for r in rows if r.gender} == {"male", "female"}
    letters = {letter for r in rows for letter in r.text} - set(" ,.")
    assert all(unicodedata.name(letter).startswith("CYRILLIC") for letter in letters)


def test_twin_clips_sound_whole_and_say_their_sentence(twin, russian):
    levels = []
    for root in (twin, russian):
        for r in read(root):
            wave, rate_hz = load_audio(r.path)
            seconds = wave.size / rate_hz
            assert seconds >= 2.5
            assert 6 < len(r.text) / seconds < 30  # letters a second: nothing is cut off or left unsaid
            levels.append(float(np.abs(wave).max()))
            assert np.sqrt(np.mean(wave**2)) > 0.005
    assert len({round(level, 4) for level in levels}) == len(levels)
    assert 0.2 < min(levels) < max(levels) < 1.0


def test_everything_said_is_written_and_everything_written_is_said():
    """Each sentence of the text, spoken again by itself, has its part of the clip."""
    voice = draw_voice(np.random.default_rng(1), "female", 30.0)
    wave, text = _read_aloud(voice, (7.0, 7.0), 22_050, np.random.default_rng(2))
    parts = [speak(voice, sentence + ".")[0] for sentence in text.removesuffix(".").split(". ")]
    assert len(parts) > 1
    np.testing.assert_array_equal(wave, np.concatenate(parts))
    assert wave.size - parts[-1].size < 7.0 * 22_050 <= wave.size


def test_voices_are_drawn_for_the_sex_and_age_of_the_speaker(tmp_path, monkeypatch):
    drawn = []

    def record(generator, gender, age_years):
        drawn.append((gender, age_years))
        return draw_voice(generator, gender, age_years)

    monkeypatch.setattr("voxbench.corpora.common_voice_twin.draw_voice", record)
    settings = changed(SETTINGS, speakers=6, test_fraction=0.34, sessions_per_speaker=1, clip_seconds=(0.1, 0.2))
    write_twin(tmp_path / "en", settings)
    assert drawn == [(role.gender, role.age_years) for role in _speakers(settings)]


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(russian, tmp_path):
    write_in_another_process(RUSSIAN, tmp_path / "ru")
    assert tree_hashes(tmp_path / "ru") == tree_hashes(russian)
    write_twin(tmp_path / "other", RUSSIAN.model_copy(update={"seed": 2}))
    assert not set(tree_hashes(tmp_path / "other" / "clips").values()) & set(tree_hashes(russian / "clips").values())


def test_a_twin_never_overwrites(twin):
    before = tree_hashes(twin)
    with pytest.raises(InputError, match="not empty"):
        write_twin(twin, SETTINGS)
    assert tree_hashes(twin) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edition": None}, "edition None .*expected 7"),
        ({"edition": "17"}, r"edition '17' \(did you mean '17\.0'\?\)"),
        ({"age_years": None}, "age_years None: Common Voice has ages"),
        ({"age_years": (20.0, 140.0)}, "within 0 and 130"),
        ({"speakers": 7}, "expected an even"),
        ({"test_fraction": 0.5}, "leaves no female speaker to train"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **changes))
    assert not (tmp_path / "twin.partial").exists()


def test_a_language_without_sentences_is_refused(tmp_path):
    with pytest.raises(InputError, match="no sentences in 'de'"):
        write_twin(tmp_path / "twin", changed(SETTINGS, language="de"))
    assert not (tmp_path / "twin").exists()


def test_a_library_without_mp3_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV"})
    with pytest.raises(InputError, match="writes no mp3"):
        write_twin(tmp_path / "twin", SETTINGS)
