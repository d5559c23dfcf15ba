"""Mixtures: the reader on miniature tables, and its sheet."""

import pytest

from voxbench.corpora.mixtures import TABLE, read
from voxbench.corpora.registries import readers, sheets
from voxbench.schema import InputError, Split, Utterance

HEADER = "path,split,sources,sexes,snr_db"
ROWS = (
    "train/000002.flac,train,84+1034+19,MMF,-1.5+2.25",
    "train/000000.flac,train,19,F,",
    "valid/000001.wav,valid,ann+bob,FM,0.5",
    '"test/a, b.flac",test,Åsa,F,',
)


def make_tree(root, rows=ROWS, header=HEADER, end="\n"):
    (root / TABLE).write_text(end.join((header, *rows)) + end, encoding="utf-8", newline="")
    return root


def test_every_fact_of_every_row(tmp_path):
    def row(path, split, names, sexes, snr_db):
        return Utterance(
            id=path,
            path=tmp_path / path,
            speaker="+".join(names),
            speakers=names,
            split=split,
            extra={
                "snr_db": snr_db,
                "sexes": sexes,
                "F": str(sexes.count("F")),
                "M": str(sexes.count("M")),
                "count": str(len(names)),
            },
        )

    rows = list(read(make_tree(tmp_path)))
    assert rows == [
        row("train/000002.flac", Split.TRAIN, ("84", "1034", "19"), "MMF", "-1.5+2.25"),
        row("train/000000.flac", Split.TRAIN, ("19",), "F", ""),
        row("valid/000001.wav", Split.VALID, ("ann", "bob"), "FM", "0.5"),
        row("test/a, b.flac", Split.TEST, ("Åsa",), "F", ""),
    ]
    assert rows[0].extra == {"snr_db": "-1.5+2.25", "sexes": "MMF", "F": "1", "M": "2", "count": "3"}
    assert {(row.gender, row.text, row.session, row.age_years) for row in rows} == {(None, None, None, None)}


def test_the_four_columns_suffice_in_any_order(tmp_path):
    rows = [",".join((*reversed(row.split(",")[:4]),)) for row in ROWS[:3]]
    expected = [(row.id, row.speakers, row.split) for row in read(make_tree(tmp_path, ROWS[:3]))]
    tree = make_tree(tmp_path, rows, "sexes,sources,split,path")
    assert [(row.id, row.speakers, row.split) for row in read(tree)] == expected
    assert set(next(iter(read(tree))).extra) == {"sexes", "F", "M", "count"}


def test_windows_line_ends_a_mark_and_a_missing_last_line_end(tmp_path):
    expected = list(read(make_tree(tmp_path)))
    table = make_tree(tmp_path, end="\r\n") / TABLE
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().removesuffix(b"\r\n"))
    assert list(read(tmp_path)) == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("train/x.flac,train,84+84,MM,", r"line 6: sources '84\+84'; expected different names joined by \+"),
        ("train/x.flac,train,84++19,MMF,", r"sources '84\+\+19'"),
        ("train/x.flac,train,,,", "sources ''"),
        ("train/x.flac,train,84+19,M,", r"line 6: sexes 'M' for 2 source\(s\); expected F or M for each"),
        ("train/x.flac,train,84+19,MX,", "sexes 'MX' for 2"),
        ("train/x.flac,train,84+19,mf,", "sexes 'mf' for 2"),
        ("train/x.flac,train,84,F,", "line 6: '84' is F here and M before; correct one"),
        ("test/x.flac,test,new+19,FF,", "line 6: '19' is heard in test and in train; a person belongs to one split"),
        ("train/x.flac,dev,84,M,", "line 6: split 'dev'; expected train, valid, test"),
        ("train/x.flac,tain,84,M,", r"split 'tain' \(did you mean 'train'\?\)"),
        ("train/000002.flac,train,84,M,", "line 6: path 'train/000002.flac' occurs twice"),
        ("./train/000002.flac,train,84,M,", "path 'train/000002.flac' occurs twice"),
        (",train,84,M,", "path '' must be relative and stay below"),
        ("/etc/x.flac,train,84,M,", "path '/etc/x.flac' must be relative"),
        ("../x.flac,train,84,M,", "path '../x.flac' must be relative"),
        ("train/x.flac,train,84,M", "line 6: the number of fields is not that of the header"),
    ],
)
def test_a_wrong_row_is_refused_before_the_first_row(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, (*ROWS, row)))


@pytest.mark.parametrize("column", ["F", "M", "count"])
def test_a_column_that_follows_from_the_sexes_is_refused(tmp_path, column):
    with pytest.raises(InputError, match=f"column '{column}' follows from the sexes; remove it"):
        read(make_tree(tmp_path, header=HEADER.replace("snr_db", column)))


def test_a_table_is_needed_with_its_columns(tmp_path):
    with pytest.raises(InputError, match=r"no mixtures.csv in .* the columns path, split, sources, sexes"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"no column 'sources' \(did you mean 'source'\?\)"):
        read(make_tree(tmp_path, (), "path,split,source,sexes"))
    assert list(read(make_tree(tmp_path, ()))) == []


def test_the_sheet(tmp_path):
    assert readers["mixtures"] is read
    sheet = sheets["mixtures"]
    assert [sheet.part_of(row) for row in read(make_tree(tmp_path))] == ["train", "train", "valid", "test"]
    assert [part.utterances for part in sheet.releases["course scale"]] == [100_000, 10_000, 10_000]
