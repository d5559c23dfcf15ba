"""VoxCeleb2: the reader on miniature trees in every layout, dialect and form, and on the real metadata."""

import os
from collections import Counter
from pathlib import Path

import pytest

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.voxceleb2 import META, read
from voxbench.schema import InputError, Split, Utterance

LISTS = Path(os.environ.get("VOXBENCH_SHARED", "")) / "lists" / "voxceleb"
needs_lists = pytest.mark.skipif(
    "VOXBENCH_SHARED" not in os.environ or not LISTS.is_dir(),
    reason="set VOXBENCH_SHARED to the folder that holds lists/voxceleb",
)
COLUMNS = ("Name", "VoxCeleb2 ID", "VGGFace2 ID", "Gender", "Set")
PEOPLE = (
    ("Aaron_Ashmore", "id00012", "n000012", "m", "dev"),
    ("Carlos_Sainz,_Jr.", "id01380", "n001380", "m", "dev"),
    ("Adamari_L\u00f3pez", "id00017", "n000067", "f", "test"),
)
DIALECTS = {
    "commas": lambda row: ",".join(row),
    "commas and blanks": lambda row: " ,".join(row) + " ",
    "tabs": lambda row: "\t".join(row),
    "commas and tabs": lambda row: " ,\t".join(row),
    "quoted line": lambda row: '"' + " \t".join(row) + ' ",',
    "quoted line in commas": lambda row: '"' + ",".join(row) + '"',
    "quoted fields": lambda row: ",".join(f'"{field}"' for field in row),
    "trailing commas": lambda row: ",".join(row) + ",,",
}
RELEASED = ("dev/aac/id00012/21Uxsk56VDQ/00001.m4a", "test/aac/id00017/01dfn2spqyE/00001.m4a")


def make_tree(root, files, lines=None, newline="\n", bom=""):
    root.mkdir(exist_ok=True)
    lines = [DIALECTS["tabs"](row) for row in (COLUMNS, *PEOPLE)] if lines is None else lines
    (root / META).write_bytes((bom + newline.join(lines)).encode())
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def test_every_fact_of_a_row(tmp_path):
    man, woman = read(make_tree(tmp_path, RELEASED))
    assert man == Utterance(
        id=RELEASED[0],
        path=tmp_path / RELEASED[0],
        speaker="id00012",
        split=Split.TRAIN,
        session="id00012/21Uxsk56VDQ",
        gender="male",
        extra={"name": "Aaron_Ashmore", "vggface2_id": "n000012"},
    )
    assert (woman.id, woman.split, woman.gender) == (RELEASED[1], Split.TEST, "female")
    assert (woman.speaker, woman.session) == ("id00017", "id00017/01dfn2spqyE")


@pytest.mark.parametrize(("newline", "bom"), [("\n", ""), ("\r\n", "\ufeff")])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_of_the_metadata(tmp_path, dialect, named, newline, bom):
    files = [f"aac/{row[1]}/21Uxsk56VDQ/00001.m4a" for row in PEOPLE]
    lines = [DIALECTS[dialect](row if named else row[1:]) for row in (COLUMNS, *PEOPLE)]
    rows = list(read(make_tree(tmp_path, files, lines, newline, bom)))
    assert [(row.speaker, row.gender, row.split) for row in rows] == [
        ("id00012", "male", Split.TRAIN),
        ("id00017", "female", Split.TEST),
        ("id01380", "male", Split.TRAIN),
    ]
    faces = [{"vggface2_id": face} for face in ("n000012", "n000067", "n001380")]
    names = [{"name": name} for name in ("Aaron_Ashmore", "Adamari_L\u00f3pez", "Carlos_Sainz,_Jr.")]
    assert [row.extra for row in rows] == [
        face | (name if named else {}) for face, name in zip(faces, names, strict=True)
    ]


@pytest.mark.parametrize("above", ["", "vox2/"])
@pytest.mark.parametrize(
    "files",
    [
        RELEASED,
        ("dev/wav/id00012/21Uxsk56VDQ/00001.wav", "test/wav/id00017/01dfn2spqyE/00001.wav"),
        ("dev/wav/id00012/21Uxsk56VDQ/00001.wav", "test/aac/id00017/01dfn2spqyE/00001.m4a"),
        ("dev/aac/id00012/21Uxsk56VDQ/00001.wav", "dev/aac/id00012/21Uxsk56VDQ/00002.m4a"),
        ("aac/id00012/21Uxsk56VDQ/00001.m4a", "aac/id00017/01dfn2spqyE/00001.m4a"),
        ("wav/id00012/-Uxsk56VDQ_/00001.wav", "wav/id00012/_1Uxsk56VDQ/00001.wav"),
    ],
)
def test_every_layout(tmp_path, files, above):
    root = make_tree(tmp_path, [above + file for file in files])
    rows = list(read(root))
    assert [row.id for row in rows] == [above + file for file in files]
    assert [row.session for row in rows] == ["/".join(file.split("/")[-3:-1]) for file in files]
    assert [row.speaker for row in rows] == [file.split("/")[-3] for file in files]
    if above:
        (root / META).rename(root / above / META)
        assert list(read(root)) == rows


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((*RELEASED, "dev/wav/id00012/21Uxsk56VDQ/00001.wav"), "dev/aac and dev/wav.*, which counts utterances twice"),
        ((*RELEASED, "wav/id00012/21Uxsk56VDQ/00001.wav"), "counts utterances twice"),
        (("aac/id00012/v/00001.m4a", "wav/id00012/v/00001.wav"), "aac and wav, which counts utterances twice"),
        ((*RELEASED, f"vox2/{RELEASED[0]}"), "counts utterances twice"),
        (("dev/aac/id00017/v/00001.m4a",), f"{META} does not place id00017 in dev"),
        (("test/aac/id00012/v/00001.m4a",), f"{META} does not place id00012 in test"),
        (("aac/id00013/v/00001.m4a",), "1 speaker folders are not in .* 'id00013' .did you mean 'id000"),
        (("mp4/id00012/v/00001.mp4",), "no audio folder in .*; expected dev/aac/idXXXXX/VIDEO/00001.m4a"),
    ],
)
def test_wrong_trees_are_refused_before_the_first_row(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, files))


def test_one_clip_in_two_forms_is_refused(tmp_path):
    files = ("00001.m4a", "00001.new.wav", "00001.wav")
    root = make_tree(tmp_path, [f"dev/aac/id00012/21Uxsk56VDQ/{file}" for file in files])
    with pytest.raises(InputError, match=r"both 00001\.m4a and 00001\.wav, which counts one clip twice"):
        list(read(root))


def test_an_empty_tree_is_refused(tmp_path):
    (make_tree(tmp_path, ()) / "aac" / "id00012" / "21Uxsk56VDQ").mkdir(parents=True)
    with pytest.raises(InputError, match="no m4a or wav file found"):
        list(read(tmp_path))
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read(tmp_path / "nowhere")
    (tmp_path / META).unlink()
    with pytest.raises(InputError, match=f"no .*{META}; fetch it|no .*{META}; fetch {META}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Aaron_Ashmore,id00012,n000012,x,dev", "line 2: unknown gender 'x'; expected m or f"),
        ("Aaron_Ashmore,id00012,n000012,,dev", "line 2: unknown gender ''"),
        ("Aaron_Ashmore,id00012,n000012,m,eval", "line 2: unknown set 'eval'; expected dev or test"),
        ("Aaron_Ashmore,id00012,n000012,m", "line 2: .* cannot be taken apart; expected a name, an ID"),
        ("Aaron_Ashmore,n000012,id00012,m,dev", "line 2: .* cannot be taken apart"),
        ("Aaron_Ashmore,id00012,n000012,m,dev,x", "line 2: .* cannot be taken apart"),
        ("A,id00012,n000012,m,dev\n\nB,id00012,n000013,m,dev", "line 4: id00012 again; keep one row"),
    ],
)
def test_wrong_lines_of_the_metadata_are_refused(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, RELEASED, [",".join(COLUMNS), line]))


AGE_HEADER = "speaker_age,birth_year,Name,VoxCeleb_ID,video_id"


@pytest.mark.parametrize("above", ["", "vox2/"])
@pytest.mark.parametrize(("newline", "bom"), [("\n", ""), ("\r\n", "\ufeff")])
def test_ages_are_of_the_videos_named(tmp_path, newline, bom, above):
    files = [
        above + file for file in (*RELEASED, "dev/aac/id00012/21Uxsk56VDQ/00002.m4a", "dev/aac/id00012/v/00001.m4a")
    ]
    root = make_tree(tmp_path, files)
    (root / META).rename(root / above / META)
    train = f'26.0,1987.0,"Ashmore, Aaron",id00012,21Uxsk56VDQ{newline}60,1955.0,X,id01380,abc'
    (root / above / "vox2_age_train.csv").write_bytes(f"{bom}{AGE_HEADER}{newline}{train}".encode())
    (root / above / "vox2_age_test.csv").write_text(f"{AGE_HEADER}\n19.0,1999.0,Y,id00017,01dfn2spqyE\n")
    rows = list(read(root))
    assert [(row.age_years, row.age_group, row.extra.get("age_set")) for row in rows] == [
        (26.0, "twenties", "train"),
        (26.0, "twenties", "train"),
        (None, None, None),
        (19.0, "teens", "test"),
    ]
    assert rows[0].extra["name"] == "Aaron_Ashmore"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((AGE_HEADER.replace("video_id", "video"),), r"vox2_age_test\.csv lacks the columns video_id; found"),
        ((AGE_HEADER, "26.0,1987.0,A,id00013,v"), r"line 2: speaker 'id00013' .did you mean 'id000"),
        ((AGE_HEADER, "old,1987.0,A,id00012,v"), r"line 2: age 'old'; expected years from 0 to 130"),
        ((AGE_HEADER, "131,1987.0,A,id00012,v"), r"line 2: age '131'"),
        ((AGE_HEADER, ",1987.0,A,id00012,v"), r"line 2: age ''"),
        ((AGE_HEADER, "30.0,1987.0,A,id00012"), r"line 2: no video"),
        ((AGE_HEADER, "30.0,1,A,id00012,v", "31.0,1,A,id00012,v"), r"line 3: id00012/v again; keep one age"),
    ],
)
def test_wrong_age_files_are_refused_before_the_first_row(tmp_path, lines, message):
    root = make_tree(tmp_path, RELEASED)
    (root / "vox2_age_test.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        read(root)


def test_the_sheet_counts(tmp_path):
    sheet = sheets["voxceleb2"]
    assert readers["voxceleb2"] is read
    ((dev, test),) = sheet.releases.values()
    assert (dev.utterances, dev.speakers, test.utterances, test.speakers) == (1_092_009, 5_994, 36_237, 118)
    assert dev.utterances + test.utterances == 1_128_246
    assert [sheet.part_of(row) for row in read(make_tree(tmp_path, RELEASED))] == [dev.name, test.name]


@needs_lists
def test_real_metadata_and_ages(tmp_path):
    """Every speaker has a folder with one video, the one of known age where there is one."""
    videos = {}
    for name in (META, "vox2_age_train.csv", "vox2_age_test.csv"):
        (tmp_path / name).symlink_to(LISTS / name)
        for line in (LISTS / name).read_text().splitlines()[1:]:
            fields = line.split("\t") if name == META else line.split(",")
            speaker, video = (fields[1].strip(), "abcdefghijk") if name == META else fields[-2:]
            videos[speaker] = video
    for speaker, video in videos.items():
        (tmp_path / "aac" / speaker / video).mkdir(parents=True)
        (tmp_path / "aac" / speaker / video / "00001.m4a").touch()
    rows = list(read(tmp_path))
    assert Counter((row.split, row.gender) for row in rows) == {
        (Split.TRAIN, "male"): 3_682,
        (Split.TRAIN, "female"): 2_312,
        (Split.TEST, "male"): 81,
        (Split.TEST, "female"): 39,
    }
    assert Counter(row.extra.get("age_set") for row in rows) == {None: 6_114 - 2_817, "train": 1_690, "test": 1_127}
    ages = [row.age_years for row in rows if row.age_years is not None]
    assert (len(ages), min(ages), max(ages)) == (2_817, 12.0, 90.0)
    assert {row.extra["name"] for row in rows} >= {"Aaron_Ashmore", "Adamari_L\u00f3pez", "Carlos_Sainz_Jr."}
