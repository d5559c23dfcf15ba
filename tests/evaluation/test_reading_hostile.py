"""Files that are damaged, empty or of something else: each is refused in one line that says what and where."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.score_files import CLASSES, DETECTION, TEXT, VALUE, columns_of, read, refused, written

CSV = {
    b"": "s.csv is empty; expected a row for each recording or trial",
    b"\n\r\n\n": "s.csv is empty; expected a row",
    b"id,score,label\n": "s.csv has a header (id, score, label) and no rows below it",
    b"score,label\n1,1\nnan,0\n2,1\ninf,0\n": "s.csv row 2: score is nan; NaN or infinite in 2 of 4 rows; expected",
    b"score,label\n1,1\n-inf,0\n": "s.csv row 2: score is -inf; NaN or infinite in 1 of 2 rows",
    b"score,label\n1,1\n,0\n": "s.csv row 2: score is empty; expected a finite number in each row",
    b"score,label\n1,1\n1e,0\n": "s.csv row 2: score is '1e', which is no number; expected a finite number in each row",
    b"score,label\n1,1\n1_0,0\n": "s.csv row 2: score is '1_0', which is no number",
    b"score,label\n1,1\n1,0,3\n": "s.csv line 3: '1,0,3' has 3 fields between commas, but the first line has 2",
    b"\nscore,label\n\n1,1\n2\n": "s.csv line 5: '2' has 1 fields between commas, but the first line has 2",
    b'score,label,id\n1,1,"a\n2,0,b\n': "s.csv line 3: unexpected end of data; is a quotation mark left open, or not",
    b'score,label,id\n1,1,"a\n2,0,"b\n': "s.csv line 3: ',' expected after '\"'; is a quotation mark left open",
    b'score,label,id\n1,1,"\xe9t\xe9"\n': "s.csv line 2: invalid continuation byte; expected UTF-8 text",
    b'"score,label\n': "s.csv line 1: unexpected end of data",
    b'score,label,id\n1,1,"a\nb"\n2,0\n': "s.csv line 4: '2,0' has 2 fields between commas, but the first line has 3",
    b"score,label,id\n1,1,a\n2,0,\xe9t\xe9\n": "s.csv line 3: invalid continuation byte; expected UTF-8 text",
    b"score,label,id\n1,1,a\0b\n": "s.csv line 2: a NUL character, as in UTF-16 or a damaged file; expected UTF-8",
    "score,label\n1,1\n".encode("utf-16"): "s.csv line 1: begins like UTF-16",
    b"score,label,Score\n1,1,2\n": "s.csv: columns 'score' and 'Score' both mean 'score'; rename or remove one",
    b"llr,scores,label\n1,2,1\n": "s.csv: columns 'llr' and 'scores' both mean 'score'; rename or remove one",
    b'id,score,label\n"a\nb",1,1\n"a\nb",2,0\n': "s.csv: 'a\\nb' in row 1 and row 2; 1 rows have a name that occurs",
    b'id,"a\nb",label\n': "s.csv has a header (id, 'a\\nb', label) and no rows below it",
    b"score,,label\n1,2,1\n": "s.csv: column 2 of 3 has no name; name or remove it",
    b"score,x,x,label\n1,2,3,1\n": "s.csv: column 'x' occurs twice; rename or remove one",
    b"id,label\nu1,1\n": "s.csv needs a column 'score'; found: id, label; name it so, or with --columns",
    b"id,score\nu1,1\n": "s.csv has no column 'label', and no labels are given; found: id, score; give --labels FILE",
    b"enroll,score,label\nu1,1,1\n": "s.csv has a column 'enroll' but none 'test'; a trial has both",
    b"id,score,label\n,1,1\n": "s.csv row 1: id is empty; expected one in each row",
    b"score\tlabel\n1\t1\n": "s.csv has no header that is known, and its columns (words, first 'score\\tlabel')",
}


@pytest.mark.parametrize("content", CSV, ids=range(len(CSV)))
def test_tables_of_text(tmp_path, content):
    assert refused(DETECTION, written(tmp_path, "s.csv", content)).startswith(CSV[content])


@pytest.mark.parametrize("ending", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize(("name", "between"), [("s.csv", ","), ("s.tsv", "\t"), ("s.txt", "\t"), ("s", "  ")])
def test_ends_of_lines_and_marks(tmp_path, ending, start, end, name, between):
    lines = [between.join(fields) for fields in (("id", "score", "label"), ("u1", "1", "1"), ("u2", "2", "0"))]
    text = start + ending.join(lines) + (ending if end else "")
    rows = read(DETECTION, written(tmp_path, name, text))
    assert columns_of(rows) == ([1, 2], [1, 0])
    assert rows.rows["id"].tolist() == ["u1", "u2"]


BLANKS = (
    lambda text: text.replace(" ", "\t \v"),
    lambda text: f"\n {text}",
    lambda text: f"\ufeff {text}",
    lambda text: text.replace("\n", " \n"),
    lambda text: text.replace("\n", " \r "),
)


@pytest.mark.parametrize("change", BLANKS)
def test_blanks_between_and_around(tmp_path, change):
    rows = read(DETECTION, written(tmp_path, "s.txt", change("u1 1 spoof\nu2 2 bonafide\n")))
    assert columns_of(rows) == ([1, 2], [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u1 1 spoof\nu2 spoof\n", "s.txt line 2: 'u2 spoof' has 2 fields between blanks, but the first line has 3"),
        ("u1 1 spoof\n\n  u2 a b spoof\n", "s.txt line 3: 'u2 a b spoof' has 4 fields between blanks, but the first"),
        (" \t \n", "s.txt is empty"),
        ('u1 "1 spoof\n', "s.txt has no header that is known"),
    ],
)
def test_lines_of_text(tmp_path, text, message):
    assert refused(DETECTION, written(tmp_path, "s.txt", text)).startswith(message)


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert refused(DETECTION, tmp_path / "folder.csv").startswith(
        "folder.csv is a folder; expected a file that ends in"
    )
    assert refused(DETECTION, tmp_path / "none.csv").startswith(
        "none.csv does not exist; expected a file that ends in .csv"
    )
    table = written(tmp_path, "s.xlsx", b"PK")
    assert refused(DETECTION, table).startswith("s.xlsx ends in .xlsx")
    assert "ends in .cvs (did you mean '.csv'?)" in refused(DETECTION, written(tmp_path, "s.cvs", "1"))
    scores = written(tmp_path, "s.csv", "score\n1\n")
    assert "l.csv does not exist" in refused(DETECTION, scores, tmp_path / "l.csv")
    assert "s.csv is given as labels and has scores, 'score'" in refused(
        DETECTION, scores, written(tmp_path, "t.csv", "score,label\n1,1\n")
    ).replace("t.csv", "s.csv")


def arrays(folder):
    """Write arrays that hold no scores, and return the message of each."""
    objects, one = np.array([{"a": 1}], dtype=object), "expected one number for each row"
    np.save(folder / "pickled.npy", objects, allow_pickle=True)
    np.savez(folder / "several.npz", a=np.ones(2))
    (folder / "several.npz").rename(folder / "several.npy")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "text.npy").write_bytes(b"0.5\n0.7\n")
    np.save(folder / "whole.npy", np.ones(100))
    (folder / "cut.npy").write_bytes((folder / "whole.npy").read_bytes()[:-8])
    for name, array in {
        "zero": np.array(1.0),
        "none": np.ones(0),
        "complex": np.ones(2, dtype=complex),
        "dates": np.array(["2020-01-01"], dtype="M8[D]"),
        "words": np.array(["a"]),
        "truths": np.array([True, False]),
        "deep": np.ones((2, 2, 2)),
    }.items():
        np.save(folder / f"{name}.npy", array)
    return {
        "pickled": "pickled.npy cannot be read as npy: Array can't be memory-mapped: Python objects in dtype",
        "several": "several.npy holds several arrays; expected one array of numbers",
        "empty": "empty.npy cannot be read as npy: No data left in file",
        "text": "text.npy cannot be read as npy: ",
        "cut": "cut.npy cannot be read as npy: mmap length is greater than file size",
        "zero": "zero.npy has shape (), which has no rows",
        "none": "none.npy ",
        "complex": "complex.npy holds complex128; expected one array of numbers",
        "dates": "dates.npy holds datetime64[D]; expected one array of numbers",
        "words": f"words.npy holds <U1 of shape (1,); {one}",
        "truths": f"truths.npy holds bool of shape (2,); {one}",
        "deep": f"deep.npy holds float64 of shape (2, 2, 2); {one}",
    }


def test_arrays_that_hold_no_scores(tmp_path):
    for name, message in arrays(tmp_path).items():
        assert refused(DETECTION, tmp_path / f"{name}.npy").startswith(message), name


def test_values_in_arrays(tmp_path):
    np.save(tmp_path / "s.npy", np.array([1, np.nan, np.inf]))
    np.save(tmp_path / "l.npy", np.array([1, 0, 1]))
    assert refused(DETECTION, tmp_path / "s.npy", tmp_path / "l.npy").startswith(
        "s.npy row 2: score is nan; NaN or infin"
    )
    np.save(tmp_path / "t.npy", np.array([1.0, 2, 3]))
    np.save(tmp_path / "half.npy", np.array([1, 0.5, 1]))
    found = refused(DETECTION, tmp_path / "t.npy", tmp_path / "half.npy")
    assert found.startswith("half.npy: label '0.5' in row 2")
    assert refused(TEXT, tmp_path / "t.npy").startswith("t.npy is an array, ")


def test_tables_of_columns(tmp_path):
    path = written(tmp_path, "s.parquet", b"PAR1 no table")
    assert refused(DETECTION, path).startswith("s.parquet cannot be read as parquet: ")
    pd.DataFrame({"score": [], "label": []}).to_parquet(path)
    assert refused(DETECTION, path).startswith("s.parquet is empty; expected a row")
    for scores, found in (([1, None], "empty"), ([[1.0], [2.0]], "'a list<element: double>', which is no number")):
        pd.DataFrame({"score": pd.Series(scores, dtype=object), "label": [1, 0]}).to_parquet(path)
        place = 2 if scores[1] is None else 1
        assert refused(DETECTION, path).startswith(f"s.parquet row {place}: score is {found}")
    pd.DataFrame({"score": [1.0, 2], "label": [[1], [0]]}).to_parquet(path)
    assert (
        refused(DETECTION, path) == "s.parquet: label is a column of list<element: int64>; expected words or integers"
    )
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], ["score", "score"]), path)
    assert refused(DETECTION, path).startswith("s.parquet: column 'score' occurs twice")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id,truth,p_a,p_b\nu1,a,0.5,0.5\nu2,b,0.5,0.6\n",
            "s.csv row 2 (u2): probabilities 0.5, 0.6; 1 of 2 rows have",
        ),
        ("truth,p_a,p_b\na,1.5,-0.5\n", "s.csv row 1: probabilities 1.5, -0.5; 1 of 1 rows have one below 0 or do not"),
        ("truth,p_a,p_b\na,1,nan\n", "s.csv row 1: p_b is nan; NaN or infinite in 1 of 1 rows"),
        ("truth,p_a,p_b\nc,1,0\n", "s.csv: truth 'c' in row 1; expected one of a, b, or 0 to 1"),
        ("truth,p_a,p_b\n2,1,0\n", "s.csv: truth '2' in row 1; expected one of a, b, or 0 to 1"),
        ("truth,p_a\na,1\n", "s.csv needs a column p_CLASS of each of two or more classes; found: truth, p_a"),
        ("p_a,p_b\n1,0\n", "s.csv has no column 'truth', and no labels are given; found: p_a, p_b; give --labels"),
        (
            "u1 0.5 0.5\n",
            "s.csv has no header that is known, and its columns (words, first 'u1 0.5 0.5') needs one, such",
        ),
    ],
)
def test_classes(tmp_path, text, message):
    assert refused(CLASSES, written(tmp_path, "s.csv", text)).startswith(message)


def test_probabilities_of_a_rounded_table_are_taken_as_they_are(tmp_path):
    rows = read(CLASSES, written(tmp_path, "s.csv", "truth,p_a,p_b,p_c\na,0.3333,0.3333,0.3333\n"))
    assert rows.columns[1].tolist() == [[0.3333, 0.3333, 0.3333]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("truth,predicted\n1,2\nx,3\n", "s.csv row 2: truth is 'x', which is no number"),
        ("truth,predicted\n1,inf\n", "s.csv row 1: predicted is inf; NaN or"),
        ("predicted\n1\n", "s.csv has no column 'truth', and no labels are given"),
        (
            "1,2\n",
            "s.csv has no header that is known, and its columns (numbers, first '1'; numbers, first '2') is none of",
        ),
    ],
)
def test_values(tmp_path, text, message):
    assert refused(VALUE, written(tmp_path, "s.csv", text)).startswith(message)
