"""Text files as users have them: read to the letter or refused in one line, whatever the reader."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.corpora import read_corpus
from voxbench.corpora.tables import LONGEST_LINE, read_lines, read_rows
from voxbench.schema import InputError

TABLES = {
    "table": ("metadata.csv", "path,speaker,age,text\na.wav,ann,31.5,Größe\nb.wav,bob,,\n"),
    "common_voice": (
        "validated.tsv",
        "client_id\tpath\tsentence\tage\tgender\tlocale\nann\ta.mp3\tGröße.\t\tmale\tde\nbob\tb.mp3\tb.\tteens\t\tde\n",
    ),
    "timit": (
        "DOC/SPKRINFO.TXT",
        "; ID Sex ...\nABC0 M 6 TRN 03/03/86 06/17/60 5'11\" WHT BS ö\nXYZ1 F 2 TST 01/31/86 02/01/26 5'08\" HSP PHD\n",
    ),
}


def make_tree(root, reader, content):
    """Write a whole tree around a table of the given bytes."""
    name, _ = TABLES[reader]
    for folder in ("clips", "DOC", "TRAIN/DR6/MABC0", "TEST/DR2/FXYZ1"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("TRAIN/DR6/MABC0", "TEST/DR2/FXYZ1"):
        (root / folder / "SA1.WAV").touch()
    (root / name).write_bytes(content)
    return root


def rows_of(root, reader, content):
    return list(read_corpus(reader, make_tree(root, reader, content)))


def refusal(root, reader, content):
    with pytest.raises(InputError) as error:
        rows_of(root, reader, content)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert str(root / TABLES[reader][0]) in message
    return message


HARMLESS = {
    "byte order mark": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "mixed": lambda text: text.replace("\n", "\r\n", 1)[:-1].replace("\n", "\r", 2) + "\n",
    "last line without end": lambda text: text.rstrip("\n"),
    "blank lines": lambda text: "\n" + text.replace("\n", "\n\n") + "\r\n\n",
}
HARMFUL = {
    "UTF-16": (lambda text: text.encode("utf-16"), "line 1: begins like UTF-16 or UTF-32; expected UTF-8 text"),
    "UTF-16, big": (lambda text: b"\xfe\xff" + text.encode("utf-16-be"), "line 1: begins like UTF-16; expected UTF-8"),
    "UTF-16 without mark": (lambda text: text.replace("ö", "o").replace("ß", "s").encode("utf-16-le"), "line 1: a NUL"),
    "UTF-32": (lambda text: b"\0\0\xfe\xff" + text.encode("utf-32-be"), "line 1: begins like UTF-32"),
    "Latin-1": (lambda text: text.encode("latin-1"), "line 2: invalid .*; expected UTF-8 text: save it as UTF-8"),
    "NUL": (lambda text: text.encode() + b"x\0y\n", "line 4: a NUL character"),
    "endless line": (lambda text: text.encode() + b"x" * (LONGEST_LINE + 1), "line 4: more than 131,072 characters"),
}


@pytest.mark.parametrize("reader", TABLES)
@pytest.mark.parametrize("change", HARMLESS)
def test_forms_of_the_same_text_give_the_same_rows(tmp_path, reader, change):
    text = TABLES[reader][1]
    plain = rows_of(tmp_path, reader, text.encode())
    assert len(plain) == 2
    assert rows_of(tmp_path, reader, HARMLESS[change](text).encode()) == plain


@pytest.mark.parametrize("reader", TABLES)
@pytest.mark.parametrize("change", HARMFUL)
def test_other_encodings_and_broken_text_are_refused_with_the_line(tmp_path, reader, change):
    encode, message = HARMFUL[change]
    assert re.search(message, refusal(tmp_path, reader, encode(TABLES[reader][1])))


@pytest.mark.parametrize("reader", TABLES)
@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, 300), put=st.binary(max_size=8) | st.sampled_from([b'"', b"\t", b",", b"\r", b"\xc3", b";"]))
def test_no_bytes_crash_a_reader(reader, cut, put):
    data = TABLES[reader][1].encode()
    with tempfile.TemporaryDirectory() as folder:
        rows, message = [], ""
        try:
            rows = rows_of(Path(folder), reader, data[:cut] + put + data[cut + len(put) // 2 :])
        except InputError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1
        assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        ("table", "", "no column 'path'; found: nothing"),
        ("common_voice", "", "no column 'client_id'; found: nothing"),
        ("timit", "", "FXYZ1 is of a speaker who is not in SPKRINFO.TXT"),
        ("table", "Path,SPEAKER\n", r"no column 'path' \(did you mean 'Path'\?\)"),
        ("table", "path,SPEAKER\n", r"no column 'speaker' \(did you mean 'SPEAKER'\?\)"),
        ("table", "path, speaker\n", r"no column 'speaker' \(did you mean ' speaker'\?\)"),
        ("table", "path,speaker,Gender\n", "line 1: column 'Gender' is not read as 'gender'; write it like this"),
        ("table", "path,speaker,age \n", "line 1: column 'age ' is not read as 'age'"),
        (
            "table",
            "path;speaker\n",
            "no column 'path'.*found: path;speaker; expected path, speaker, separated by commas",
        ),
        ("table", "path,speaker,\na.wav,ann,\n", "line 1: column 3 of 3 has no name"),
        ("table", "path,speaker,age,age\n", "line 1: column 'age' occurs twice"),
        ("table", 'path,"spea\nker"\n', r"no column 'speaker' .*found: path, 'spea\\nker'"),
        ("table", "path,speaker\na.wav,ann,\n", "line 2: the number of fields is not that of the header, 3 and not 2"),
        ("table", 'path,speaker,text\na.wav,ann,"open\nb.wav,bob,hi\n', "line 3: unexpected end of data; is a quot"),
        ("table", 'path,speaker,text\na.wav,ann,"a"b\n', "line 2: ',' expected after '\"'"),
        ("table", 'path,speaker,text\na.wav,ann,"' + "a\n" * 70_000 + '"\n', "field larger than field limit"),
        ("table", "path,speaker\n a.wav,ann\n", "line 2: path ' a.wav' stands between blanks"),
        ("table", "path,speaker\na.wav,ann \n", "line 2: speaker 'ann ' stands between blanks"),
        ("table", "path,speaker,session\na.wav,ann,\u00a01\n", "line 2: session .* stands between blanks"),
        ("table", 'path,speaker\n"a\nb.wav",ann\n', r"line 3: path 'a\\nb.wav' holds a line end"),
        ("table", "path,speaker\na\\b.wav,ann\n", "line 2: path .* write / between folders"),
        ("table", "path,speaker\n.,ann\n", "line 2: path '.' must be relative and stay below"),
        ("table", "path,speaker\na/./b.wav,ann\na//b.wav,ann\n", "line 3: path 'a/b.wav' occurs twice"),
        ("table", 'path,speaker,age\na.wav,ann,"31,5"\n', "line 2: age '31,5'; expected years .* decimal point"),
        ("table", "path,speaker,age\na.wav,ann,1_0\n", "line 2: age '1_0'"),
        ("table", "path,speaker,age\na.wav,ann,٣١\n", "line 2: age "),
        ("table", "path,speaker,age\na.wav,ann,inf\n", "line 2: age 'inf'"),
        ("table", "path,speaker,age_group,age_class\na.wav,ann,teens,fifties\n", "age_group and age_class differ"),
        (
            "common_voice",
            TABLES["common_voice"][1].replace("gender", "Gender"),
            r"'gender' \(did you mean 'Gender'\?\)",
        ),
        ("common_voice", TABLES["common_voice"][1].replace("locale", "Locale"), "'Locale' is not read as 'locale'"),
        ("common_voice", TABLES["common_voice"][1].replace("\tmale", "\tMale"), r"'Male' \(did you mean 'male'\?\)"),
        ("common_voice", TABLES["common_voice"][1].replace("\n", "\t\n"), "column 7 of 7 has no name"),
        ("common_voice", TABLES["common_voice"][1].replace("bob", " bob"), "client_id ' bob' with blanks around it"),
        ("common_voice", TABLES["common_voice"][1].replace("b.mp3", "b.mp3 "), "path 'b.mp3 ' with blanks around it"),
    ],
)
def test_what_would_change_rows_in_silence_is_refused(tmp_path, reader, content, message):
    root = make_tree(tmp_path, reader, content.encode())
    with pytest.raises(InputError, match=message) as error:
        list(read_corpus(reader, root))
    assert len(str(error.value).splitlines()) == 1


def test_only_a_header_is_no_rows(tmp_path):
    assert rows_of(tmp_path, "table", b"path,speaker\n") == []
    assert rows_of(tmp_path, "common_voice", b"client_id\tpath\tsentence\tage\tgender") == []


def test_label_words_in_any_case_and_texts_to_the_letter(tmp_path):
    text = 'a.wav,ann, Female ,Twenties,"He said\r\n""no"" ",x \nb.wav,bob,M,,   ,\n'
    ann, bob = rows_of(tmp_path, "table", b"path,speaker,gender,age_group,text,note\n" + text.encode())
    assert (ann.gender, ann.age_group, ann.text) == ("female", "twenties", 'He said\r\n"no" ')
    assert ann.extra == {"note": "x "}
    assert (bob.gender, bob.text, bob.extra) == ("male", None, {"note": ""})


def test_a_name_keeps_its_code_points(tmp_path):
    composed, decomposed = "\u00e9t\u00e9.wav", "e\u0301te\u0301.wav"
    (row,) = rows_of(tmp_path, "table", f"path,speaker\n{composed},ann\n".encode())
    (tmp_path / decomposed).touch()
    assert (row.id, row.path.exists()) == (composed, False)
    both = rows_of(tmp_path, "table", f"path,speaker\n{composed},ann\n{decomposed},ann\n".encode())
    assert [row.id for row in both] == [composed, decomposed]


def test_sentence_files_of_timit_are_strict_too(tmp_path):
    root = make_tree(tmp_path, "timit", TABLES["timit"][1].encode())
    sentence = root / "TRAIN/DR6/MABC0/SA1.TXT"
    sentence.write_bytes(b"\xef\xbb\xbf0 46797 She had.\r\n")
    assert list(read_corpus("timit", root))[1].text == "She had."
    sentence.write_bytes("0 46797 Größe.".encode("latin-1"))
    with pytest.raises(InputError, match=r"SA1\.TXT line 1: invalid .*expected UTF-8"):
        list(read_corpus("timit", root))


def test_lines_end_in_three_ways_only_and_are_numbered(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffa\u2028b\x0b\x85\r\n\rc\nd".encode())
    assert list(read_lines(path)) == [(1, "a\u2028b\x0b\x85"), (2, ""), (3, "c"), (4, "d")]
    path.write_bytes(b"")
    assert list(read_lines(path)) == []
    longest = "x" * LONGEST_LINE
    path.write_bytes(f"{longest}\r\n{longest}\n{longest}".encode())
    assert list(read_lines(path)) == [(1, longest), (2, longest), (3, longest)]


def test_the_first_line_that_is_not_utf8_is_named_far_into_a_file(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"fine\r\n" * 50_000 + b"\xff\n" + b"fine\n")
    with pytest.raises(InputError, match=r"list\.txt line 50001: invalid start byte; expected UTF-8"):
        list(read_lines(path))


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt cannot be read: No such file"):
        list(read_lines(tmp_path / "nowhere.txt"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(read_lines(tmp_path))


def test_rows_are_read_one_at_a_time(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_bytes(b'a\tb\n1\t"\n2\n')
    rows = read_rows(path, ("a",), "\t", quoted=False)
    assert next(rows) == (2, {"a": "1", "b": '"'})
    with pytest.raises(InputError, match="line 3: the number of fields is not that of the header, 1 and not 2"):
        next(rows)
