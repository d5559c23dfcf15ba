"""LibriSpeech's twin: read back by the reader, texts as spoken, repeatable, and refused where it cannot be."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.corpora.librispeech import read
from voxbench.corpora.librispeech_twin import SUBSETS, cast_three, deal, transcript, write_twin
from voxbench.corpora.registries import twins
from voxbench.schema import InputError, Split

SETTINGS = changed(BASE, layout="librispeech", speakers=8, snr_db=(20.0, 40.0), reverberation_seconds=(0.05, 0.2))


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "librispeech"
    write_twin(root, SETTINGS)
    return root


def test_registered_under_the_name_of_the_corpus():
    assert twins["librispeech"] is write_twin


def test_the_reader_reads_the_twin(twin):
    rows = list(read(twin))
    assert len(rows) == 8 * 2 * 2
    assert len({row.session for row in rows}) == 8 * 2
    speakers = {row.speaker: (row.split, row.gender) for row in rows}
    each = {"female": 1, "male": 1}
    dealt = {Split.TRAIN: {"female": 2, "male": 2}, Split.VALID: each, Split.TEST: each}
    assert Counter(speakers.values()) == {
        (split, gender): count for split, genders in dealt.items() for gender, count in genders.items()
    }
    assert {(row.split, row.extra["subset"]) for row in rows} == set(SUBSETS.items())
    assert all(row.age_years is None and row.language == "en" for row in rows)
    assert sum("|" in name for name in {row.extra["name"] for row in rows}) == 1
    assert {str(reader.number): reader.gender for reader in deal(SETTINGS)} == {
        speaker: gender for speaker, (_, gender) in speakers.items()
    }
    assert "Synthetic" in (twin / "README.TXT").read_text()
    assert not twin.with_name("librispeech.partial").exists()


def test_clips_sound_and_last_as_long_as_the_table_says(twin):
    seconds = Counter()
    for row in read(twin):
        info = soundfile.info(row.path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", 16_000, 1)
        assert info.duration >= SETTINGS.clip_seconds[0]
        wave, _ = soundfile.read(row.path)
        assert 10 ** (-12.01 / 20) < np.abs(wave).max() < 10 ** (-0.99 / 20)
        seconds[row.speaker] += info.duration
    lines = [line.split("|") for line in (twin / "SPEAKERS.TXT").read_text().splitlines() if line[0] != ";"]
    assert {line[0].strip(): float(line[3]) for line in lines} == {
        speaker: pytest.approx(total / 60, abs=0.0051) for speaker, total in seconds.items()
    }


def test_texts_are_upper_case_words_and_differ(twin):
    texts = [row.text for row in read(twin)]
    assert len(set(texts)) == len(texts)
    assert all(transcript(text) == text and len(text.split()) >= 8 for text in texts)


def test_short_sentences_are_followed_by_others_and_the_text_says_so(tmp_path):
    few = {"speakers": 6, "sessions_per_speaker": 1, "clips_per_session": 1}
    for length in (0.1, 9.0):
        write_twin(tmp_path / f"{length}", changed(SETTINGS, **few, clip_seconds=(length, length), test_fraction=0.3))
    short, long = (list(read(tmp_path / f"{length}")) for length in (0.1, 9.0))
    for one, more in zip(short, long, strict=True):
        assert one.id == more.id
        assert more.text.startswith(one.text + " ")
        assert soundfile.info(one.path).duration < 9.0 <= soundfile.info(more.path).duration


def test_more_clips_leave_the_first_ones_alone(twin, tmp_path):
    write_twin(tmp_path / "short", changed(SETTINGS, clips_per_session=1))
    long = tree_hashes(twin)
    short = {name: value for name, value in tree_hashes(tmp_path / "short").items() if name.endswith(".flac")}
    assert len(short) == 16
    assert short.items() <= long.items()


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(twin, tmp_path):
    write_in_another_process(SETTINGS, tmp_path / "again")
    assert tree_hashes(tmp_path / "again") == tree_hashes(twin)
    write_twin(tmp_path / "other", changed(SETTINGS, seed=2))
    assert set(tree_hashes(tmp_path / "other").values()) & set(tree_hashes(twin).values()) == {
        tree_hashes(twin)["README.TXT"]
    }


def test_a_twin_never_overwrites(twin):
    with pytest.raises(InputError, match="not empty"):
        write_twin(twin, SETTINGS)


def test_valid_takes_as_many_of_each_sex_as_test():
    roles = cast_three(changed(SETTINGS, speakers=40, test_fraction=0.2), "any")
    assert Counter(roles) == {
        (gender, split): count
        for gender in ("female", "male")
        for split, count in ((Split.TRAIN, 12), (Split.VALID, 4), (Split.TEST, 4))
    }
    assert roles != sorted(roles)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edition": "2"}, "edition '2', .* LibriSpeech has one edition, no ages and labels for everyone"),
        ({"age_years": (20.0, 30.0)}, r"age_years \(20\.0, 30\.0\), .* set null, null and 0"),
        ({"unlabelled_fraction": 0.1}, r"unlabelled_fraction 0\.1: LibriSpeech has"),
        ({"language": "ru"}, "LibriSpeech is in English"),
        ({"speakers": 7}, "expected an even"),
        ({"test_fraction": 0.5}, "valid takes as many as test, which leaves none of each sex for training"),
    ],
)
def test_impossible_twins_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **change))
    assert not list(tmp_path.iterdir())
