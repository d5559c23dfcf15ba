"""Trial lists of VoxCeleb1: read exactly whatever their line ends, refused by line, and known by content."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.corpora import trials as module
from voxbench.corpora.trials import OFFICIAL, ListIdentity, OfficialList, identify_list, read_trials
from voxbench.schema import InputError

LISTS = Path(os.environ.get("VOXBENCH_SHARED", "")) / "lists" / "voxceleb"
needs_lists = pytest.mark.skipif(
    "VOXBENCH_SHARED" not in os.environ or not LISTS.is_dir(),
    reason="set VOXBENCH_SHARED to the folder that holds lists/voxceleb",
)
TEXT = "1 a/v/1.wav a/w/1.wav\n0 a/v/1.wav b/w/1.wav\n"
VARIANTS = (
    TEXT,
    TEXT.replace("\n", "\r\n"),
    TEXT.replace("\n", "\r"),
    TEXT.rstrip("\n"),
    TEXT.replace("\n", "\r\n").rstrip(),
    f"\ufeff{TEXT}",
)
ODD = (TEXT.replace(" ", "\t"), TEXT.replace(" ", "  "), TEXT.replace("\n", " \n\n"), f"\n{TEXT}   \n")


@pytest.mark.parametrize("variant", VARIANTS + ODD)
def test_trials_with_any_line_ends_and_blanks(tmp_path, variant):
    path = tmp_path / "trials.txt"
    path.write_bytes(variant.encode())
    frame = read_trials(path)
    assert frame.to_dict("list") == {
        "label": [1, 0],
        "enroll": ["a/v/1.wav", "a/v/1.wav"],
        "test": ["a/w/1.wav", "b/w/1.wav"],
    }
    assert frame["label"].dtype == np.int64
    path.write_text(TEXT)
    assert frame.equals(read_trials(path))


def test_old_lists_go_by_name(tmp_path):
    path = tmp_path / "old.txt"
    path.write_text("0 Eartha_Kitt/x6uYqmx31kE_0000001.wav A.J._Buckley/1zcIwhmdeo4_0000001.wav\n")
    assert read_trials(path).values.tolist() == [
        [0, "Eartha_Kitt/x6uYqmx31kE_0000001.wav", "A.J._Buckley/1zcIwhmdeo4_0000001.wav"]
    ]


def test_quotes_belong_to_the_path(tmp_path):
    path = tmp_path / "quoted.txt"
    path.write_text('1 "a/v/1.wav" "a/w/1.wav"\n')
    assert read_trials(path).values.tolist() == [[1, '"a/v/1.wav"', '"a/w/1.wav"']]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 a/v/1.wav b/w/1.wav", "line 3: label '1' .* expected 0, the speakers are different"),
        ("0 a/v/1.wav a/w/1.wav", "line 3: label '0' .* expected 1, the speakers are the same"),
        ("2 a/v/1.wav a/w/1.wav", "line 3: label '2'"),
        ("01 a/v/1.wav a/w/1.wav", "line 3: label '01'"),
        ("a/v/1.wav a/w/1.wav", "line 3: .* is not `label enroll test`"),
        ("1 a/v/1.wav", "line 3: '1 a/v/1.wav' is not"),
        ("0 a/v/1.wav ", "line 3: '0 a/v/1.wav' is not"),
        ("0  a/v/1.wav", "line 3: '0 a/v/1.wav' is not"),
        ("1  a/v/1.wav", "line 3: '1 a/v/1.wav' is not"),
        ("1 a/v/1.wav ", "line 3: '1 a/v/1.wav' is not"),
        ("1 a/v/1.wav a/w/1.wav x", "line 3: .* is not `label enroll test`"),
        ("1 a/v/1.wav a/w/1.wav\tx", "line 3: .* is not `label enroll test`"),
        ('1 "a/v/1.wav a/w/1.wav"', "line 3: label '1' .* expected 0"),
    ],
)
def test_wrong_trials_are_refused_by_line(tmp_path, line, message):
    path = tmp_path / "trials.txt"
    path.write_text(f"1 a/v/1.wav a/w/1.wav\n\n{line}\n{TEXT}")
    with pytest.raises(InputError, match=message):
        read_trials(path)


def test_missing_empty_and_foreign_files_are_refused(tmp_path):
    for call in (read_trials, identify_list):
        with pytest.raises(InputError, match=r"no trial list .*expected lines of `label enroll test`"):
            call(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_trials(tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes(b"1 \xe9/v/1.wav \xe9/w/1.wav\n")
    with pytest.raises(InputError, match=r"line 1: .* is not UTF-8"):
        read_trials(tmp_path / "latin.txt")


FIELDS = st.text(alphabet="01a/\t \x0b\r\n\"'é\u00a0,", max_size=12)


@given(st.lists(FIELDS | st.sampled_from(["1 a/v a/w\n", "0 a/v b/w\n"]), max_size=6).map("".join))
def test_what_is_read_by_columns_is_what_is_read_by_lines(text):
    """The fast way may decline a list, but never read one differently or take what the slow one refuses."""
    content = text.encode() + b"\n"
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    frame = module._read_columns(content)
    if frame is not None:
        pd.testing.assert_frame_equal(frame, module._read_lines(content, Path("list.txt")))


def test_plain_lists_are_read_by_columns():
    assert module._read_columns(TEXT.encode()) is not None


@pytest.mark.slow
def test_as_many_trials_as_the_longest_list_in_a_moment(tmp_path):
    path = tmp_path / "long.txt"
    lines = (
        f"{number % 2} id10001/x6uYqmx31kE/{number % 99999:05d}.wav id1000{2 - number % 2}/8jEAjG6SegY/00001.wav"
        for number in range(581_480)
    )
    path.write_text("\n".join(lines))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert len(read_trials(path)) == 581_480
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.5


def test_a_known_list_is_known_in_any_guise(tmp_path, monkeypatch):
    path = tmp_path / "any_name.txt"
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    for published in VARIANTS[:2] + VARIANTS[3:5]:
        md5 = hashlib.md5(published.encode(), usedforsecurity=False).hexdigest()
        monkeypatch.setattr(module, "OFFICIAL", (*OFFICIAL, OfficialList("x.txt", "Vox1-X", True, 2, md5)))
        for variant in VARIANTS:
            path.write_bytes(variant.encode())
            assert identify_list(path) == ListIdentity("Vox1-X", digest, is_cleaned=True, trials=2, known=True)


def test_an_unknown_list_keeps_its_name(tmp_path):
    path = tmp_path / "veri_test.txt"
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    for variant in VARIANTS:
        path.write_bytes(variant.encode())
        assert identify_list(path) == ListIdentity("veri_test.txt", digest, is_cleaned=None, trials=2, known=False)
    path.write_text(TEXT.replace("1.wav", "2.wav"))
    assert identify_list(path).sha256 != digest


@needs_lists
@pytest.mark.parametrize(
    ("file", "trials", "targets", "files"),
    [("veri_test2.txt", 37_611, 18_802, 4_708), ("veri_test.txt", 37_720, 18_860, 4_715)],
)
def test_real_trial_lists(tmp_path, file, trials, targets, files):
    frame = read_trials(LISTS / file)
    assert len(frame) == trials
    assert frame["label"].sum() == targets
    heard = set(frame["enroll"]) | set(frame["test"])
    assert len(heard) == files
    assert len({path.split("/")[0] for path in heard}) == 40
    copy = tmp_path / "voxceleb1_test_v2.txt"
    copy.write_bytes((LISTS / file).read_bytes().replace(b"\n", b"\r\n").rstrip())
    for path in (LISTS / file, copy):
        identity = identify_list(path)
        assert (identity.name, identity.is_cleaned, identity.trials) == ("Vox1-O", file == "veri_test2.txt", trials)
        assert identity.known
        assert identity.sha256 == hashlib.sha256((LISTS / file).read_bytes()).hexdigest()
