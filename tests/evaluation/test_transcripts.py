"""Transcripts: Kaldi's lines, tables, and the rule that an empty one is a transcript and a missing one is not."""

import pandas as pd
import pytest

from evaluation.score_files import TEXT, columns_of, read, refused, written

REFERENCES = "u1 the cat  sat\nu2\nu3 hi\n"
HYPOTHESES = "u3 hi there\nu1 the  cat\nu2 oh\n"
EXPECTED = (["hi", "the cat  sat", ""], ["hi there", "the  cat", "oh"])


@pytest.mark.parametrize(
    "change", [str, lambda text: text.replace("\n", "\r\n"), lambda text: f"\ufeff{text}".rstrip()]
)
@pytest.mark.parametrize("name", ["hyp.txt", "hyp"])
def test_lines_of_a_name_and_words(tmp_path, change, name):
    rows = read(TEXT, written(tmp_path, name, change(HYPOTHESES)), written(tmp_path, "ref.txt", change(REFERENCES)))
    assert columns_of(rows) == EXPECTED
    assert all(column.dtype == object for column in rows.columns)
    assert rows.rows.to_dict("list") == {"id": ["u3", "u1", "u2"]}
    assert (rows.classes, rows.speakers) == ((), ())


def test_any_blanks_after_the_name(tmp_path):
    scores = written(tmp_path, "h.txt", " u1 \t a  b \n")
    assert columns_of(read(TEXT, scores, written(tmp_path, "r.txt", "u1\tc\n"))) == (["c"], ["a  b"])


def test_tabs_without_a_header(tmp_path):
    scores = written(tmp_path, "hyp.tsv", 'u3\thi there\nu1\tsay "hi\nu2\t\n')
    rows = read(TEXT, scores, written(tmp_path, "ref.tsv", "u1\ta\nu2\tb\nu3\tc\n"))
    assert columns_of(rows) == (["c", "a", "b"], ["hi there", 'say "hi', ""])


def test_a_table_of_both(tmp_path):
    text = 'id,speaker,reference,hypothesis\nu1,S1,"one, ""two""",one two\nu2,S2,,"a\nb"\n'
    rows = read(TEXT, written(tmp_path, "s.csv", text))
    assert columns_of(rows) == (['one, "two"', ""], ["one two", "a\nb"])
    assert rows.speakers[0].tolist() == ["S1", "S2"]
    assert rows.rows.columns.tolist() == ["id", "speaker"]


def test_references_in_a_table_of_their_own(tmp_path):
    labels = written(tmp_path, "l.tsv", "path\tsentence\tgender\nu1.mp3\tHello\tf\n")
    rows = read(TEXT, written(tmp_path, "s.txt", "u1.mp3 hello\n"), labels)
    assert columns_of(rows) == (["Hello"], ["hello"])
    assert rows.rows.to_dict("list") == {"id": ["u1.mp3"], "gender": ["f"]}


def test_lines_without_names(tmp_path):
    scores, labels = written(tmp_path, "h.txt", "a b\n\nc\n"), written(tmp_path, "r.txt", "a\nb\nc d")
    rows = read(TEXT, scores, labels, columns=("hypothesis",))
    assert columns_of(rows) == (["a", "b", "c d"], ["a b", "", "c"])
    assert "rows of scores and labels are joined by position: neither file names them" in rows.notes


def test_lines_without_names_are_not_taken_for_names(tmp_path):
    found = refused(TEXT, written(tmp_path, "h.txt", "a b\nc d\n"), written(tmp_path, "r.txt", "b b\nd d\n"))
    assert "2 of 2 labels have no score (b, d) and 2 of 2 scores have no label (a, c); are they of the same" in found


def test_a_missing_transcript_is_none(tmp_path):
    pd.DataFrame({"reference": ["a", None], "hypothesis": ["a", "b"]}).to_parquet(tmp_path / "s.parquet")
    found = refused(TEXT, tmp_path / "s.parquet")
    assert found == "s.parquet row 2: reference is missing; write an empty one for no words"


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("u1 a\nu1 b\n", (), "h.txt: u1 in row 1 and row 2; 1 rows have a name that occurs above"),
        (" \n\n", (), "h.txt is empty; expected a line for each utterance"),
        ("u1 a\n", ("id", "score"), "--columns id,score for the transcripts of h.txt; expected hypothesis, of lines"),
        (b"u1 \xe9t\xe9\n", (), "h.txt line 1: invalid continuation byte; expected UTF-8 text: save it as UTF-8"),
    ],
)
def test_transcripts_that_are_refused(tmp_path, text, columns, message):
    labels = written(tmp_path, "r.txt", "u1 a\n")
    assert message in refused(TEXT, written(tmp_path, "h.txt", text), labels, columns=columns)


def test_numbers_are_no_transcripts(tmp_path):
    pd.DataFrame({"reference": ["a"], "hypothesis": [1]}).to_parquet(tmp_path / "s.parquet")
    assert refused(TEXT, tmp_path / "s.parquet") == "s.parquet: hypothesis is a column of int64; expected strings"


def test_a_name_that_a_column_could_have_is_no_header(tmp_path):
    scores = written(tmp_path, "h.tsv", "path\ta\nu2\tb\n")
    rows = read(TEXT, scores, written(tmp_path, "r.tsv", "u2\tc\npath\td\n"))
    assert columns_of(rows) == (["d", "c"], ["a", "b"])
