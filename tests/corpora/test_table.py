"""The table reader: every row or a message that names the line."""

from dataclasses import replace

import pytest

from voxbench.corpora import read_corpus
from voxbench.schema import InputError, Split


def write(root, text, encoding="utf-8"):
    (root / "metadata.csv").write_text(text, encoding=encoding, newline="")
    return root


def test_known_columns_are_typed_and_others_kept(tmp_path):
    text = 'path,speaker,gender,age,text,mood\na/1.wav,ann,F,31.5,"Hello, you",glad\nb.flac,bob,,,,\n'
    ann, bob = read_corpus("table", write(tmp_path, text))
    assert (ann.id, ann.path, ann.speaker) == ("a/1.wav", tmp_path / "a/1.wav", "ann")
    assert (ann.gender, ann.age_years, ann.text, ann.extra) == (
        "female",
        31.5,
        "Hello, you",
        {"mood": "glad"},
    )
    assert (bob.gender, bob.age_years, bob.text) == (None, None, None)


@pytest.mark.parametrize(
    ("header", "fields", "years", "group"),
    [
        ("age", "31.5", 31.5, "thirties"),
        ("age_group", "fifties", None, "fifties"),
        ("age_class", " sixties+ ", None, "sixties+"),
        ("age_group", "eighties", None, "sixties+"),
        ("age,age_group", "19,teens", 19.0, "teens"),
        ("age,age_group", "72,seventies", 72.0, "sixties+"),
        ("age,age_group", ",", None, None),
        ("age,age_group", "45,", 45.0, "fourties"),
    ],
)
def test_a_group_is_a_known_word_or_follows_from_the_age(tmp_path, header, fields, years, group):
    (row,) = read_corpus("table", write(tmp_path, f"path,speaker,{header}\na.wav,ann,{fields}\n"))
    assert (row.age_years, row.age_group, row.extra) == (years, group, {})


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("train", Split.TRAIN),
        ("valid", Split.VALID),
        ("test", Split.TEST),
        (" Test ", Split.TEST),
        ("", None),
        (" ", None),
    ],
)
def test_a_split_is_one_of_three_words_or_not_given(tmp_path, word, split):
    (row,) = read_corpus("table", write(tmp_path, f"path,speaker,split\na.wav,ann,{word}\n"))
    assert (row.split, row.extra) == (split, {})


def test_without_the_column_no_row_has_a_split(tmp_path):
    (row,) = read_corpus("table", write(tmp_path, "path,speaker,splits\na.wav,ann,test\n"))
    assert (row.split, row.extra) == (None, {"splits": "test"})


def test_an_attack_is_read_to_the_letter_and_an_empty_field_is_unknown(tmp_path):
    words = "path,speaker,attack\na.wav,ann,bonafide\nb.wav,ann,lpc_vocoder\nc.wav,bob,\nd.wav,bob,A07\n"
    rows = list(read_corpus("table", write(tmp_path, words)))
    assert [row.attack for row in rows] == ["bonafide", "lpc_vocoder", None, "A07"]
    assert all(row.extra == {} for row in rows)
    (plain,) = read_corpus("table", write(tmp_path, "path,speaker\na.wav,ann\n"))
    assert plain.attack is None


@pytest.mark.parametrize("word", ["Bonafide", "bona fide", "bona-fide", "BONA_FIDE", "genuine", "Human", "-", "none"])
def test_another_word_for_bona_fide_is_no_attack(tmp_path, word):
    """Taken for one, it would turn the labels of bona fide recordings round."""
    message = rf"csv line 3: attack '{word}' is no attack; write bonafide, or nothing where it is not known"
    with pytest.raises(InputError, match=message):
        list(read_corpus("table", write(tmp_path, f"path,speaker,attack\na.wav,x,bonafide\nb.wav,x,{word}\n")))


def test_byte_order_mark_and_dos_line_ends_change_nothing(tmp_path):
    text = "path,speaker\na.wav,ann\n"
    (plain,) = read_corpus("table", write(tmp_path, text))
    (odd,) = read_corpus("table", write(tmp_path, text.replace("\n", "\r\n"), encoding="utf-8-sig"))
    assert odd == replace(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,speeker\na,b\n", r"no column 'speaker' \(did you mean 'speeker'\?\)"),
        ("", "no column 'path'; found: nothing"),
        ("path,speaker\n../a.wav,ann\n", "line 2: path '../a.wav' must be relative and stay below"),
        ("path,speaker\n/a.wav,ann\n", "line 2: path '/a.wav' must be relative"),
        ("path,speaker\na.wav,\n", "line 2: the speaker is empty"),
        ("path,speaker\na.wav,x\na.wav,x\n", "line 3: path 'a.wav' occurs twice"),
        ("path,speaker,gender\na.wav,x,woman\n", "line 2: gender 'woman'; expected female, male"),
        ("path,speaker,age\na.wav,x,old\n", "line 2: age 'old'; expected years"),
        ("path,speaker,age\na.wav,x,nan\n", "line 2: age 'nan'; expected years"),
        (
            "path,speaker,split\na.wav,x,train\nb.wav,y,validation\n",
            r"csv line 3: split 'validation' \(did you mean 'valid'\?\); expected train, valid, test or nothing",
        ),
        ("path,speaker,split\na.wav,x, dev \n", "line 2: split ' dev '; expected train, valid, test or nothing"),
        ("path,speaker,Split\na.wav,x,test\n", "line 1: column 'Split' is not read as 'split'; write it like this"),
        (
            "path,speaker,age_group\na.wav,x,twentys\n",
            r"line 2: age group 'twentys' \(did you mean 'twenties'\?\); expected teens, twenties, thirties",
        ),
        (
            "path,speaker,age,age_group\na.wav,x,31,teens\n",
            "line 2: age 31 is of the thirties, but the age group is 'teens'; correct one",
        ),
        ("path,speaker,attack\na.wav,x, lpc\n", "line 2: attack ' lpc' stands between blanks; remove them"),
        ('path,speaker,attack\na.wav,x,"lp\nc"\n', "line 3: attack .* holds a line end or a tab; remove it"),
        ("path,speaker\na.wav,x,y\n", "line 2: the number of fields is not that of the header"),
        ("path,speaker,age\na.wav,x\n", "line 2: the number of fields is not that of the header"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        list(read_corpus("table", write(tmp_path, text)))


def test_missing_table_and_missing_root_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no metadata\.csv in"):
        list(read_corpus("table", tmp_path))
    with pytest.raises(InputError, match=r"corpus root .*nowhere is not a folder: set corpora"):
        read_corpus("table", tmp_path / "nowhere")


def test_unknown_reader_names_the_closest(tmp_path):
    with pytest.raises(InputError, match=r"unknown corpus reader 'tabel' \(did you mean 'table'\?\)"):
        read_corpus("tabel", tmp_path)


def test_real_tables_are_read_whole(shared):
    rows = list(read_corpus("table", shared / "corpora" / "speechocean762"))
    assert len(rows) == 800
    assert len({row.speaker for row in rows}) == 200
    assert {row.gender for row in rows} == {"female", "male"}
    assert (min(row.age_years for row in rows), max(row.age_years for row in rows)) == (6, 43)
    assert all(row.path.is_file() for row in rows)
