"""VoxCeleb1: the reader on miniature trees in every layout, and on the real metadata."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.voxceleb import IDENTIFICATION, META, read
from voxbench.schema import InputError, Split

HEADER = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"
ROWS = ("id10001\tA.J._Buckley\tm\tIreland\tdev", "id10270\tEartha_Kitt\tf\tUSA\ttest")
LISTS = Path(os.environ.get("VOXBENCH_SHARED", "")) / "lists" / "voxceleb"
needs_lists = pytest.mark.skipif(
    "VOXBENCH_SHARED" not in os.environ or not LISTS.is_dir(),
    reason="set VOXBENCH_SHARED to the folder that holds lists/voxceleb",
)


def make_tree(root, files, rows=ROWS, header=HEADER, newline="\n", bom=""):
    root.mkdir(exist_ok=True)
    text = bom + newline.join((header, *rows)) + newline
    (root / META).write_bytes(text.encode())
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return root


ONE_FOLDER = (
    "wav/id10270/_zeKitt1234/00002.wav",
    "wav/id10270/_zeKitt1234/00001.wav",
    "wav/id10001/1zcIwhmdeo4/00001.wav",
    "wav/id10001/-DashFirst0/00001.wav",
)


@pytest.mark.parametrize(("newline", "bom"), [("\n", ""), ("\r\n", "\ufeff")])
def test_one_folder_form(tmp_path, newline, bom):
    root = make_tree(tmp_path, ONE_FOLDER, newline=newline, bom=bom)
    rows = list(read(root))
    assert [row.id for row in rows] == sorted(ONE_FOLDER)
    first, last = rows[0], rows[-1]
    assert first.path == root / "wav/id10001/-DashFirst0/00001.wav"
    assert (first.speaker, first.session) == ("id10001", "id10001/-DashFirst0")
    assert (first.split, first.gender, first.language) == (Split.TRAIN, "male", None)
    assert first.extra == {"nationality": "Ireland", "name": "A.J._Buckley"}
    assert (last.split, last.gender, last.extra["nationality"]) == (Split.TEST, "female", "USA")


def test_two_folder_form_reads_the_same_speakers(tmp_path):
    files = ("test/wav/id10270/x6uYqmx31kE/00001.wav", "dev/wav/id10001/1zcIwhmdeo4/00001.wav")
    rows = list(read(make_tree(tmp_path, files)))
    assert [row.id for row in rows] == [files[1], files[0]]
    assert [row.split for row in rows] == [Split.TRAIN, Split.TEST]


NEW = ("dev/wav/id10001/1zcIwhmdeo4/00001.wav", "test/wav/id10270/x6uYqmx31kE/00001.wav")
OLD = ("wav/A.J._Buckley/1zcIwhmdeo4_0000001.wav", "wav/Eartha_Kitt/_6uYqmx_1kE_0000012.wav")


@pytest.mark.parametrize("inside", [True, False])
def test_the_tree_may_lie_in_a_folder_vox1_and_the_metadata_there_or_above(tmp_path, inside):
    root = make_tree(tmp_path, [f"vox1/{file}" for file in NEW])
    if inside:
        (root / META).rename(root / "vox1" / META)
    rows = list(read(root))
    assert [row.id for row in rows] == [f"vox1/{file}" for file in NEW]
    assert [row.path for row in rows] == [root / "vox1" / file for file in NEW]
    assert [(row.speaker, row.session, row.split) for row in rows] == [
        ("id10001", "id10001/1zcIwhmdeo4", Split.TRAIN),
        ("id10270", "id10270/x6uYqmx31kE", Split.TEST),
    ]


@pytest.mark.parametrize("folder", ["wav", "voxceleb1_wav", "vox1/wav"])
def test_old_copies_go_by_name(tmp_path, folder):
    files = [folder + file.removeprefix("wav") for file in OLD]
    rows = list(read(make_tree(tmp_path, files)))
    assert [row.id for row in rows] == files
    assert [(row.speaker, row.session, row.split, row.gender) for row in rows] == [
        ("id10001", "id10001/1zcIwhmdeo4", Split.TRAIN, "male"),
        ("id10270", "id10270/_6uYqmx_1kE", Split.TEST, "female"),
    ]
    assert rows[1].extra == {"nationality": "USA", "name": "Eartha_Kitt"}


def test_a_name_that_two_speakers_share_maps_to_neither(tmp_path):
    root = make_tree(tmp_path, OLD[:1], rows=(ROWS[0], ROWS[0].replace("id10001", "id10002")))
    with pytest.raises(InputError, match=r"1 speaker folders are not in .* 'A\.J\._Buckley'"):
        read(root)
    by_id = make_tree(tmp_path / "by_id", ONE_FOLDER[2:], rows=(ROWS[0], ROWS[0].replace("id10001", "id10002")))
    assert len(list(read(by_id))) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((NEW[0], f"vox1/{NEW[0]}"), "dev/wav and vox1/dev/wav, which counts utterances twice"),
        ((*ONE_FOLDER, "voxceleb1_wav/Eartha_Kitt/x6uYqmx31kE_0000001.wav"), "counts utterances twice"),
        ((*ONE_FOLDER, OLD[1]), "wav/Eartha_Kitt and wav/id10270, which counts id10270 twice"),
        (("dev/wav/id10270/x6uYqmx31kE/00001.wav",), f"id10270: {META} does not place id10270 in dev"),
        (("test/wav/id10001/x6uYqmx31kE/00001.wav",), f"id10001: {META} does not place id10001 in test"),
    ],
)
def test_trees_that_count_twice_or_contradict_the_metadata_are_refused_before_the_first_row(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, files))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("wav/id10001/1zcIwhmdeo4_0000001.wav", "holds both -DashFirst0 and 1zcIwhmdeo4_0000001.wav"),
        ("wav/Eartha_Kitt/x6uYqmx31kE.wav", "x6uYqmx31kE.wav is no clip of VoxCeleb; expected VIDEO_0000001.wav"),
    ],
)
def test_files_that_are_no_clips_are_refused(tmp_path, file, message):
    files = [one for one in ONE_FOLDER if "id10270" not in one]
    with pytest.raises(InputError, match=message):
        list(read(make_tree(tmp_path, [*files, file])))


@pytest.mark.parametrize(("newline", "bom"), [("\n", ""), ("\r\n", "\ufeff")])
@pytest.mark.parametrize("files", [NEW, OLD, tuple(f"vox1/{file}" for file in NEW)])
def test_identification_sets(tmp_path, newline, bom, files):
    below = [file.partition("wav/")[2] for file in files]
    root = make_tree(tmp_path, (*files, files[0].replace("1.wav", "2.wav"), files[0].replace("1.wav", "3.wav")))
    absent = below[1].replace(".wav", "9.wav")
    lines = [f"3 {below[1]}", f"1 {absent}", f"1 {below[0]}", "2 " + below[0].replace("1.wav", "2.wav")]
    (root / IDENTIFICATION).write_bytes((bom + newline.join(lines)).encode())
    rows = list(read(root))
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert [row.extra.get("identification") for row in rows] == ["train", "valid", None, "test"]
    assert rows[0].extra == {"nationality": "Ireland", "name": "A.J._Buckley", "identification": "train"}
    if files[0].startswith("vox1/"):
        for name in (META, IDENTIFICATION):
            (root / name).rename(root / "vox1" / name)
        assert list(read(root)) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 id10001/v/00001.wav\n4 id10001/v/00002.wav\n", "line 2: '4 id10001/v/00002.wav'; expected 1, 2 or 3 and"),
        ("id10001/v/00002.wav\n", "line 1: 'id10001/v/00002.wav'; expected 1, 2 or 3 and a path"),
        ("1 id10001/v/00001.wav\n\n3 id10001/v/00001.wav\n", "line 3: id10001/v/00001.wav again"),
        (
            "1 Eartha_Kitt/x6uYqmx31kE_0000001.wav\n",
            "names none of the speaker folders, of which the first is dev/wav/",
        ),
    ],
)
def test_wrong_identification_lists_are_refused_before_the_first_row(tmp_path, text, message):
    root = make_tree(tmp_path, NEW)
    (root / IDENTIFICATION).write_text(text)
    with pytest.raises(InputError, match=message):
        read(root)


def test_other_files_are_no_utterances_and_loops_of_links_end(tmp_path):
    extra = ("wav/id10001/1zcIwhmdeo4/._00001.wav", "wav/id10001/1zcIwhmdeo4/notes.txt", "wav/.DS_Store")
    root = make_tree(tmp_path, (*ONE_FOLDER, *extra))
    (root / "wav/id10001/loop").symlink_to(root / "wav", target_is_directory=True)
    assert [row.id for row in read(root)] == sorted(ONE_FOLDER)


def test_both_forms_at_once_are_refused(tmp_path):
    root = make_tree(tmp_path, (*ONE_FOLDER, "dev/wav/id10001/1zcIwhmdeo4/00001.wav"))
    with pytest.raises(InputError, match="counts utterances twice"):
        read(root)


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=META):
        read(tmp_path)
    root = make_tree(tmp_path, ())
    with pytest.raises(InputError, match=r"no audio folder .* expected wav/idXXXXX/VIDEO/00001\.wav"):
        read(root)
    (root / "wav" / "id10001").mkdir(parents=True)
    with pytest.raises(InputError, match="no wav file found"):
        list(read(root))


def test_a_speaker_without_metadata_is_refused_before_the_first_row(tmp_path):
    root = make_tree(tmp_path, (*ONE_FOLDER, "wav/id10002/abcdefghijk/00001.wav"))
    with pytest.raises(InputError, match=r"1 speaker folders are not in .* 'id10002'"):
        read(root)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("id10001\tA\tx\tIreland\tdev", "line 2: unknown gender 'x'; expected m or f"),
        ("id10001\tA\tm\tIreland\teval", "line 2: unknown set 'eval'; expected dev or test"),
        ("id10001\tA\tm", "line 2: unknown set ''"),
    ],
)
def test_wrong_words_in_the_metadata(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        read(make_tree(tmp_path, ONE_FOLDER, rows=(row, ROWS[1])))


def test_a_speaker_twice_in_the_metadata(tmp_path):
    with pytest.raises(InputError, match="line 3: id10001 again"):
        read(make_tree(tmp_path, ONE_FOLDER, rows=(ROWS[0], ROWS[0])))


@pytest.mark.parametrize("header", [HEADER.replace("\t", ","), HEADER.replace("Gender", "Sex"), ""])
def test_missing_columns(tmp_path, header):
    with pytest.raises(InputError, match=r"lacks the columns .*Gender"):
        read(make_tree(tmp_path, ONE_FOLDER, header=header))


@needs_lists
def test_real_metadata(tmp_path):
    text = (LISTS / META).read_text()
    (tmp_path / META).write_text(text)
    for line in text.splitlines()[1:]:
        folder = tmp_path / "wav" / line.split("\t")[0] / "abcdefghijk"
        folder.mkdir(parents=True)
        (folder / "00001.wav").touch()
    counts = Counter((row.split, row.gender) for row in read(tmp_path))
    assert counts == {
        (Split.TRAIN, "male"): 665,
        (Split.TRAIN, "female"): 546,
        (Split.TEST, "male"): 25,
        (Split.TEST, "female"): 15,
    }


def test_the_sheet_counts_and_names_what_anyone_may_fetch(tmp_path):
    sheet = sheets["voxceleb"]
    assert readers["voxceleb"] is read
    ((dev, test),) = sheet.releases.values()
    assert (dev.utterances, dev.speakers, test.utterances, test.speakers) == (148_642, 1_211, 4_874, 40)
    assert [sheet.part_of(row) for row in read(make_tree(tmp_path, NEW))] == [dev.name, test.name]
    files = {archive.url.rpartition("/")[2]: archive for archive in sheet.archives}
    assert set(files) == {META, IDENTIFICATION, *(f"{name}{v}.txt" for name in LIST_NAMES for v in ("", "2"))}
    assert all(archive.url.startswith(f"{sheet.homepage}meta/") for archive in sheet.archives)


LIST_NAMES = ("veri_test", "list_test_all", "list_test_hard")


@needs_lists
@pytest.mark.parametrize("name", [META, "veri_test.txt", "veri_test2.txt"])
def test_real_lists_are_the_files_of_the_sheet(name):
    (archive,) = (archive for archive in sheets["voxceleb"].archives if archive.url.endswith(f"/{name}"))
    content = (LISTS / name).read_bytes()
    assert len(content) == archive.size_bytes
    assert f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}" == archive.checksum
