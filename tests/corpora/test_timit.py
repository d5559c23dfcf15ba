"""TIMIT: the reader on miniature trees, and the twin in its three editions."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from corpora.twin_trees import BASE, changed, tree_hashes, write_in_another_process
from voxbench.audio import load_audio
from voxbench.corpora.registries import readers, twins
from voxbench.corpora.timit import age_at_recording, read
from voxbench.corpora.timit_twin import EDITIONS, SHARED, deal, sphere, write_twin
from voxbench.schema import InputError, Split, age_group

MAN = "ABC0  M  6  TRN  03/03/86  06/17/60  5'11\"  WHT  BS"
WOMAN = "XYZ1  F  2  TST  01/31/86  02/01/26  5'08\"  HSP  PHD  left-handed, from \u00c5land"
ABSENT = "QQQ0  F  2  TST  01/31/86  02/01/26  5'08\"  HIS  ??"
FILES = (
    "TEST/DR2/FXYZ1/SI1027.WAV",
    "TEST/DR2/FXYZ1/SX102.WAV",
    "TRAIN/DR6/MABC0/SA1.WAV",
    "TRAIN/DR6/MABC0/SX7.WAV",
)


def make_tree(root, files=FILES, lines=(MAN, WOMAN, ABSENT), table="DOC/SPKRINFO.TXT"):
    for number, file in enumerate(files):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        text = path.with_suffix(".txt" if path.suffix == ".wav" and file.islower() else ".TXT")
        text.write_text(f"0 46797 Sentence number {number}.\n")
    (root / table).parent.mkdir(parents=True, exist_ok=True)
    header = ("; Speakers", ";", ";ID  Sex DR Use  RecDate   BirthDate  Ht    Race Edu  Comments", "")
    (root / table).write_text("\n".join((*header, *lines)) + "\n", encoding="utf-8")
    return root


def facts(row):
    return (row.speaker, row.split, row.session, row.gender, row.age_years, row.age_group, row.language, row.extra)


def test_every_fact_of_a_row(tmp_path):
    rows = list(read(make_tree(tmp_path)))
    assert [row.id for row in rows] == list(FILES)
    woman, man = rows[0], rows[2]
    assert man.path == tmp_path / "TRAIN/DR6/MABC0/SA1.WAV"
    assert man.text == "Sentence number 2."
    assert (man.speaker, man.split, man.gender, man.language) == ("MABC0", Split.TRAIN, "male", "en")
    assert man.age_years == 9390 / 365.25
    assert round(man.age_years, 2) == 25.71
    assert (man.age_group, man.session, man.attack) == ("twenties", "MABC0", None)
    assert man.extra == {
        "dialect": "DR6",
        "use": "TRN",
        "race": "WHT",
        "education": "BS",
        "height_cm": "180.3",
        "sentence_type": "SA",
    }
    assert (woman.speaker, woman.split, woman.gender, woman.age_group) == ("FXYZ1", Split.TEST, "female", "fifties")
    assert (woman.extra["height_cm"], woman.extra["race"]) == ("172.7", "HSP")
    assert [row.extra["sentence_type"] for row in rows] == ["SI", "SX", "SA", "SX"]


@pytest.mark.parametrize("above", ["", "TIMIT/", "timit/", "data/", "TIMIT/data/"])
@pytest.mark.parametrize("table", ["DOC/SPKRINFO.TXT", "SPKRINFO.TXT"])
def test_the_root_is_the_tree_or_above_it(tmp_path, above, table):
    tree = make_tree(tmp_path, [above + file for file in FILES], table=table if above == "data/" else above + table)
    assert [row.id for row in read(tree)] == [above + file for file in FILES]


def test_lower_case(tmp_path):
    upper = make_tree(tmp_path / "upper")
    lower = make_tree(tmp_path / "lower", [file.lower() for file in FILES], table="doc/spkrinfo.txt")
    rows = list(read(lower))
    assert [row.id for row in rows] == [file.lower() for file in FILES]
    assert [(facts(row), row.text) for row in rows] == [(facts(row), row.text) for row in read(upper)]


def test_riff_twins_are_never_counted_twice(tmp_path):
    twins_of_all = [file + ".wav" for file in FILES]
    both = make_tree(tmp_path / "both", [*FILES, *twins_of_all])
    assert [row.id for row in read(both)] == list(FILES)
    (both / FILES[0]).unlink()
    assert [row.id for row in read(both)] == [twins_of_all[0], *FILES[1:]]
    assert next(read(both)).text == "Sentence number 0."
    copy = make_tree(tmp_path / "copy", FILES)
    (copy / FILES[2]).with_suffix(".wav").touch()
    assert [row.id for row in read(copy)] == list(FILES)


def test_other_files_are_no_utterances_and_a_missing_text_is_none(tmp_path):
    files = ("._SA1.WAV", "SA1.PHN", "SA1.WRD", "notes.txt")
    root = make_tree(tmp_path)
    for name in files:
        (root / "TRAIN/DR6/MABC0" / name).touch()
    (root / "TRAIN/.cache/x").mkdir(parents=True)
    (root / "TRAIN/DR6/MABC0/SX7.TXT").unlink()
    assert [(row.id, row.text is None) for row in read(root)] == [(file, "SX7" in file) for file in FILES]


@pytest.mark.parametrize(
    ("recorded", "born", "years", "note"),
    [
        ("03/03/86", "06/17/60", 9390 / 365.25, ""),
        ("3/3/86", "6/7/60", 9400 / 365.25, ""),
        ("03/03/86", "03/03/86", 0.0, ""),
        ("03/03/86", "??/??/??", None, "birth date ??/??/?? is not known"),
        ("03/03/86", "06/??/60", None, "birth date 06/??/60 is not known"),
        ("??/03/86", "06/17/60", None, "recording date ??/03/86 is not known"),
        ("03/03/86", "03/04/86", None, "birth date 03/04/86 is after the recording date 03/03/86"),
        ("03/03/86", "13/01/60", None, "birth date 13/01/60 is no date"),
        ("02/29/86", "06/17/60", None, "recording date 02/29/86 is no date"),
        ("03/03/86", "06/17/1960", None, "birth date 06/17/1960 is no date"),
        ("03/03/86", "1960", None, "birth date 1960 is no date"),
    ],
)
def test_ages(tmp_path, recorded, born, years, note):
    assert age_at_recording(recorded, born)[0] == years
    line = MAN.replace("03/03/86", recorded).replace("06/17/60", born)
    row = list(read(make_tree(tmp_path, lines=(line, WOMAN))))[-1]
    assert row.age_years == years
    assert row.age_group == (None if years is None else age_group(years))
    assert note in row.extra.get("age_note", "")
    assert ("age_note" in row.extra) == (years is None)


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        ("5'11\"", {"height_cm": "180.3"}),
        ("5'08\"", {"height_cm": "172.7"}),
        ("6'0\"", {"height_cm": "182.9"}),
        ("?'??\"", {}),
        ("5'12\"", {"height_note": "the height 5'12\" is not in feet and inches"}),
        ("180cm", {"height_note": "the height 180cm is not in feet and inches"}),
    ],
)
def test_heights(tmp_path, height, expected):
    row = list(read(make_tree(tmp_path, lines=(MAN.replace("5'11\"", height), WOMAN))))[-1]
    assert {key: word for key, word in row.extra.items() if key.startswith("height")} == expected


def test_races_stay_as_written_and_unknown_facts_have_no_key(tmp_path):
    for race in ("HIS", "HSP", "???"):
        line = MAN.replace("WHT  BS", f"{race}  ??")
        extra = list(read(make_tree(tmp_path, lines=(line, WOMAN))))[-1].extra
        assert extra.get("race") == (None if race == "???" else race)
        assert "education" not in extra


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ABC0  M  6  TRN  03/03/86", r"line 5: 'ABC0  M  6  TRN  03/03/86' has 5 columns; expected ID Sex DR"),
        (MAN.replace(" M ", " X "), "line 5: Sex is 'X'; expected one of M, F"),
        (MAN.replace(" 6 ", " 9 "), "line 5: DR is '9'"),
        (MAN.replace("TRN", "DEV"), "line 5: Use is 'DEV'; expected one of TRN, TST"),
        (WOMAN, "line 6: XYZ1 again"),
        (MAN.replace(" M ", " F "), "MABC0 stands for Sex M, but SPKRINFO.TXT gives ABC0 the Sex F"),
        (MAN.replace("TRN", "TST"), "MABC0 stands for Use TRN, but SPKRINFO.TXT gives ABC0 the Use TST"),
        (MAN.replace(" 6 ", " 5 "), "MABC0 stands for DR DR6, but SPKRINFO.TXT gives ABC0 the DR DR5"),
        (MAN.replace("ABC0", "ABC1"), r"MABC0 is of a speaker who is not in .* \(did you mean 'ABC1'\?\)"),
    ],
)
def test_a_wrong_speaker_table_is_refused_before_the_first_row(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, lines=(line, WOMAN)))


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no TRAIN or TEST folder .* expected TRAIN/DR1\.\.DR8/MABC0/SA1\.WAV"):
        read(tmp_path)
    (tmp_path / "TRAIN").mkdir()
    with pytest.raises(InputError, match=r"no DOC/SPKRINFO.TXT in .* expected TRAIN/DR1\.\.DR8/.* birth dates"):
        read(tmp_path)
    make_tree(tmp_path, ())
    with pytest.raises(InputError, match="no speaker folder"):
        read(tmp_path)
    (tmp_path / "TRAIN/DR6/MABC0").mkdir(parents=True)
    with pytest.raises(InputError, match="MABC0 holds no recording"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("data/TEST/DR2/FXYZ1/SA1.WAV", "both hold TIMIT, which counts utterances twice"),
        ("train/DR6/MABC0/SA1.WAV", "holds both TRAIN and train"),
        ("TRAIN/DR6/mabc0/SA1.WAV", "holds both MABC0 and mabc0"),
        ("TRAIN/DR9/MABC0/SA1.WAV", "unexpected folder .*DR9"),
        ("TRAIN/DR6/copy of MABC0/SA1.WAV", "unexpected folder .*copy of MABC0"),
        ("TRAIN/DR6/MABC0/SA1 (1).WAV", r"SA1 \(1\)\.WAV is no sentence of TIMIT"),
    ],
)
def test_what_would_count_twice_or_get_lost_is_refused(tmp_path, file, message):
    with pytest.raises(InputError, match=message):
        list(read(make_tree(tmp_path, (*FILES, file))))


def test_folder_links_are_not_followed(tmp_path):
    root = make_tree(tmp_path)
    (root / "TRAIN/DR6/MABC0/loop").symlink_to(root, target_is_directory=True)
    assert len(list(read(root))) == len(FILES)
    (root / "TRAIN/DR1").symlink_to(root / "TRAIN/DR6", target_is_directory=True)
    with pytest.raises(InputError, match="DR1 is a link"):
        read(root)


@pytest.mark.parametrize("content", ["", "She had", "0 She had", "0 12\n", "a b c\n"])
def test_wrong_sentence_files(tmp_path, content):
    root = make_tree(tmp_path)
    (root / "TRAIN/DR6/MABC0/SA1.TXT").write_text(content)
    with pytest.raises(InputError, match=r"SA1\.TXT holds"):
        list(read(root))


SETTINGS = changed(
    BASE,
    layout="timit",
    edition="sphere",
    sessions_per_speaker=1,
    clips_per_session=4,
    clip_seconds=(2.0, 6.0),
    age_years=(18.0, 80.0),
    unlabelled_fraction=0.2,
    session_pitch_sd=0.02,
    snr_db=(20.0, 40.0),
    reverberation_seconds=(0.05, 0.2),
    low_hz=(50.0, 100.0),
    high_hz=(7000.0, 7600.0),
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins")
    for edition in EDITIONS:
        write_twin(root / edition, changed(SETTINGS, edition=edition))
    return {edition: root / edition for edition in EDITIONS}


def test_registered_under_the_name_of_the_corpus():
    assert readers["timit"] is read
    assert twins["timit"] is write_twin


def test_the_reader_reads_the_twin(trees):
    rows = list(read(trees["sphere"]))
    assert len(rows) == 16 * 4
    speakers = {row.speaker: row for row in rows}
    assert Counter((row.split, row.gender) for row in speakers.values()) == {
        (Split.TRAIN, "female"): 6,
        (Split.TRAIN, "male"): 6,
        (Split.TEST, "female"): 2,
        (Split.TEST, "male"): 2,
    }
    assert set(Counter(row.extra["dialect"] for row in speakers.values()).values()) == {2}
    assert Counter(row.extra["sentence_type"] for row in rows) == {"SA": 32, "SX": 16, "SI": 16}
    assert "Synthetic" in (trees["sphere"] / "README.TXT").read_text()
    assert not trees["sphere"].with_name("sphere.partial").exists()


def test_ages_survive_the_dates_and_unlabelled_speakers_have_none(trees):
    rows = {row.speaker: row for row in read(trees["sphere"])}
    assert sum(row.age_years is None for row in rows.values()) == 3  # round(0.2 * 16)
    for speaker in deal(SETTINGS):
        row = rows[f"{speaker.gender[0].upper()}{speaker.name}"]
        assert (row.split is Split.TEST, row.gender) == (speaker.is_test, speaker.gender)
        assert speaker.recorded.year == 1986
        assert 18 <= speaker.age_years <= 80
        if speaker.is_dated:
            assert row.age_years == pytest.approx(speaker.age_years, abs=1 / 365.25)
        else:
            assert "not known" in row.extra["age_note"]


def test_shared_sentences_are_shared_and_others_are_not(trees):
    rows = list(read(trees["sphere"]))
    shared = [row.text for row in rows if row.extra["sentence_type"] == "SA"]
    assert Counter(shared) == dict.fromkeys(SHARED, 16)
    others = [row for row in rows if row.extra["sentence_type"] != "SA"]
    assert len({row.text for row in others}) == len({row.path.stem for row in others}) == len(others)


def test_all_editions_hold_the_same_utterances(trees):
    rows = {edition: list(read(tree)) for edition, tree in trees.items()}
    for edition in ("lower", "riff"):
        assert len(rows[edition]) == len(rows["sphere"])
        for row, reference in zip(rows[edition], rows["sphere"], strict=True):
            assert (facts(row), row.text) == (facts(reference), reference.text)
            assert row.path.read_bytes() == reference.path.read_bytes()
    assert [row.id for row in rows["lower"]] == [row.id.lower() for row in rows["sphere"]]
    assert all(name == name.lower() for name in tree_hashes(trees["lower"]))
    assert [row.id for row in rows["riff"]] == [f"data/{row.id}" for row in rows["sphere"]]
    for row in rows["riff"]:
        riff = row.path.with_name(row.path.name + ".wav")
        assert soundfile.info(riff).format == "WAV"
        np.testing.assert_array_equal(load_audio(riff)[0], load_audio(row.path)[0])


def test_twin_clips_sound_and_last_as_their_texts_say(trees):
    for row in read(trees["sphere"]):
        info = soundfile.info(row.path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("NIST", "PCM_16", 16_000, 1)
        wave, rate_hz = load_audio(row.path)
        assert rate_hz == 16_000
        assert wave.size >= 2.0 * 16_000
        assert row.path.with_suffix(".TXT").read_text() == f"0 {wave.size} {row.text}\n"
        assert 10 ** (-12.01 / 20) < np.abs(wave).max() < 10 ** (-0.99 / 20)


def test_a_sphere_file_is_its_header_and_its_samples(tmp_path):
    samples = np.array([0, 1, -2, 32767, -32768], np.int16)
    data = sphere(samples)
    assert data[:16] == b"NIST_1A\n   1024\n"
    assert len(data) == 1024 + 10
    assert data[:1024].rstrip(b" ").endswith(b"\nend_head\n")
    assert {b"sample_count -i 5", b"sample_n_bytes -i 2", b"sample_byte_format -s2 01"} < set(data.split(b"\n"))
    assert data[1024:] == bytes.fromhex("0000 0100 feff ff7f 0080")
    (tmp_path / "SA1.WAV").write_bytes(data)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "SA1.WAV", dtype="int16")[0], samples)
    np.testing.assert_array_equal(load_audio(tmp_path / "SA1.WAV")[0] * 32768, samples)


def test_short_sentences_are_extended_and_the_text_says_so(tmp_path):
    few = {"speakers": 4, "test_fraction": 0.5, "clips_per_session": 3, "clip_seconds": (9.0, 9.0)}
    write_twin(tmp_path / "long", changed(SETTINGS, **few, peak_dbfs=(0.0, 0.0)))
    for row in read(tmp_path / "long"):
        wave, _ = load_audio(row.path)
        assert wave.size >= 9.0 * 16_000
        assert np.abs(wave).max() == 32767 / 32768  # full scale does not wrap around
        sentences = row.text.split(". ")
        assert len(sentences) > 1
        assert (len({sentence.rstrip(".") for sentence in sentences}) == 1) == (row.extra["sentence_type"] == "SA")


@pytest.mark.slow
def test_same_seed_same_bytes_in_another_process_and_other_seed_other_bytes(trees, tmp_path):
    write_in_another_process(SETTINGS, tmp_path / "again")
    assert tree_hashes(tmp_path / "again") == tree_hashes(trees["sphere"])
    write_twin(tmp_path / "other", changed(SETTINGS, seed=2))
    parts = [{*tree_hashes(root / "TRAIN").values()} for root in (tmp_path / "other", trees["sphere"])]
    assert not parts[0] & parts[1]


def test_a_twin_never_overwrites(trees):
    with pytest.raises(InputError, match="not empty"):
        write_twin(trees["sphere"], SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edition": "riffs"}, r"edition 'riffs' \(did you mean 'riff'\?\)"),
        ({"edition": None}, "edition None of the TIMIT twin; expected sphere, lower, riff"),
        ({"sessions_per_speaker": 2}, "TIMIT recorded everyone once; set it to 1"),
        ({"age_years": None}, "age_years None"),
        ({"age_years": (20.0, 90.0)}, "bounds within 0 and 85"),
        ({"language": "ru"}, "TIMIT is in English"),
        ({"speakers": 7}, "expected an even"),
    ],
)
def test_impossible_settings_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        write_twin(tmp_path / "twin", changed(SETTINGS, **change))
    assert not list(tmp_path.iterdir())
