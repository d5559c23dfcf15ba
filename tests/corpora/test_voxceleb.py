"""VoxCeleb: the reader on miniature trees and on the real lists, and the twin."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from voxbench.corpora.voxceleb import META, read, read_trials
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


@pytest.mark.parametrize("text", ["1 a/v/1.wav a/w/1.wav\n0 a/v/1.wav b/w/1.wav\n"])
def test_trials_with_any_line_ends(tmp_path, text):
    path = tmp_path / "trials.txt"
    frames = []
    for variant in (text, text.replace("\n", "\r\n"), text.rstrip("\n")):
        path.write_bytes(variant.encode())
        frames.append(read_trials(path))
    assert frames[0].to_dict("list") == {
        "label": [1, 0],
        "enroll": ["a/v/1.wav", "a/v/1.wav"],
        "test": ["a/w/1.wav", "b/w/1.wav"],
    }
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])
    assert frames[0]["label"].dtype == np.int64


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 a/v/1.wav b/w/1.wav", "trial 2: label '1' .* expected 0"),
        ("0 a/v/1.wav a/w/1.wav", "trial 2: label '0' .* expected 1"),
        ("2 a/v/1.wav a/w/1.wav", "trial 2: label '2'"),
        ("a/v/1.wav a/w/1.wav", "trial 2: .* is not `label enroll test`"),
    ],
)
def test_wrong_trials_are_refused(tmp_path, line, message):
    path = tmp_path / "trials.txt"
    path.write_text(f"1 a/v/1.wav a/w/1.wav\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_trials(path)


def test_missing_or_empty_trial_lists_are_refused(tmp_path):
    with pytest.raises(InputError, match="no trial list"):
        read_trials(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_trials(tmp_path / "empty.txt")


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


@needs_lists
@pytest.mark.parametrize(
    ("name", "trials", "targets", "files"),
    [("veri_test2.txt", 37_611, 18_802, 4_708), ("veri_test.txt", 37_720, 18_860, 4_715)],
)
def test_real_trial_lists(name, trials, targets, files):
    frame = read_trials(LISTS / name)
    assert len(frame) == trials
    assert frame["label"].sum() == targets
    assert len(set(frame["enroll"]) | set(frame["test"])) == files
