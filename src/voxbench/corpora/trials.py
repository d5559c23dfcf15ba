"""Trial lists of VoxCeleb1: reading them fast, and telling which list a file is.

A list holds a line `label enroll test` for each trial, label 1 for the same speaker. Paths are relative to the folder
of the speakers, in the form of the tree, new or old:

    1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav
    1 Eartha_Kitt/x6uYqmx31kE_0000001.wav Eartha_Kitt/8jEAjG6SegY_0000008.wav

| list   | file                | trials  | cleaned              | trials  | drawn from                                |
|--------|---------------------|---------|----------------------|---------|-------------------------------------------|
| Vox1-O | veri_test.txt       | 37,720  | veri_test2.txt       | 37,611  | the 40 test speakers                      |
| Vox1-E | list_test_all.txt   | 581,480 | list_test_all2.txt   | 579,818 | all of VoxCeleb1                          |
| Vox1-H | list_test_hard.txt  | 552,536 | list_test_hard2.txt  | 550,894 | all, pairs of one nationality and one sex |

Chung, Nagrani & Zisserman, "VoxCeleb2: deep speaker recognition", Interspeech 2018 (E and H); the cleaned lists and all
files are at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/. MD5 sums as in PaddleSpeech's VoxCeleb1 example;
those of Vox1-O were confirmed on the files, and so were their counts. Those of E and H are as widely reported.

A name proves nothing: `voxceleb1_test_v2.txt`, as served by OpenSLR 49, is the original `veri_test.txt`, and a system
looks better on a cleaned list than on its original. A list is therefore known by the hash of what it says, whatever
its name and line ends.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from voxbench.schema import InputError

COLUMNS = ("label", "enroll", "test")
FORM = "lines of `label enroll test`"
OTHER_BLANKS = (b"\t", b"\v", b"\f")
"""What separates fields besides the space and the line end; no official list has any."""


@dataclass(frozen=True, slots=True)
class OfficialList:
    """One published trial list; `md5` is that of the published file."""

    file: str
    name: str
    is_cleaned: bool
    trials: int
    md5: str


OFFICIAL = (
    OfficialList("veri_test.txt", "Vox1-O", False, 37_720, "29fc7cc1c5d59f0816dc15d6e8be60f7"),
    OfficialList("veri_test2.txt", "Vox1-O", True, 37_611, "b73110731c9223c1461fe49cb48dddfc"),
    OfficialList("list_test_all.txt", "Vox1-E", False, 581_480, "b9ecf7aa49d4b656aa927a8092844e4a"),
    OfficialList("list_test_all2.txt", "Vox1-E", True, 579_818, "a53e059deb562ffcfc092bf5d90d9f3a"),
    OfficialList("list_test_hard.txt", "Vox1-H", False, 552_536, "21c341b6b2168eea2634df0fb4b8fff1"),
    OfficialList("list_test_hard2.txt", "Vox1-H", True, 550_894, "857790e09d579a68eb2e339a090343c8"),
)


@dataclass(frozen=True, slots=True)
class ListIdentity:
    """Which trial list a file is.

    `name` is Vox1-O, Vox1-E or Vox1-H for a `known` list and the file's own name for any other; `sha256` is that of
    the content without a byte-order mark, with LF line ends and a last one. Nobody knows of an unknown list whether
    it `is_cleaned`: None.
    """

    name: str
    sha256: str
    is_cleaned: bool | None
    trials: int
    known: bool


def identify_list(path: Path) -> ListIdentity:
    """Tell which trial list a file is, by its content; see `OFFICIAL`. Raises InputError for a missing file."""
    content = _content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    trials = sum(1 for line in content.split(b"\n") if line.strip())
    candidates = {official.md5: official for official in OFFICIAL if official.trials == trials}
    # What was published may itself lack the last line end or have CRLF.
    forms = (content, content[:-1], content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r\n")[:-2])
    for published in forms if candidates else ():
        md5 = hashlib.md5(published, usedforsecurity=False).hexdigest()
        if md5 in candidates:
            official = candidates[md5]
            return ListIdentity(official.name, sha256, official.is_cleaned, trials, known=True)
    return ListIdentity(path.name, sha256, None, trials, known=False)


def read_trials(path: Path) -> pd.DataFrame:
    """Read a trial list: columns `label` (1 target, 0 nontarget), `enroll` and `test`, in file order.

    Any line ends, a byte-order mark, blank lines and any blanks between fields are accepted. Raises InputError for a
    missing or empty file, a line without three fields, and a label that contradicts the speakers of its two paths.
    """
    content = _content(path)
    trials = _read_columns(content)
    return _read_lines(content, path) if trials is None else trials


def _content(path: Path) -> bytes:
    """Return the content of a list, without a byte-order mark, with LF line ends and a last one."""
    if not path.is_file():
        raise InputError(f"no trial list {path}; expected {FORM}")
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content if content.endswith(b"\n") else content + b"\n"


def _read_columns(content: bytes) -> pd.DataFrame | None:
    """Return the trials of a list without any peculiarity, None for all others: `_read_lines` judges those."""
    if any(blank in content for blank in OTHER_BLANKS):
        return None
    try:
        table = csv.read_csv(
            pa.py_buffer(content),
            csv.ReadOptions(column_names=COLUMNS),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    label, enroll, test = (table[column] for column in COLUMNS)
    is_target = pc.equal(label, "1")
    sound = (
        pc.or_(is_target, pc.equal(label, "0")),
        pc.equal(is_target, pc.equal(_speakers(enroll), _speakers(test))),
        pc.greater(pc.binary_length(enroll), 0),
        pc.greater(pc.binary_length(test), 0),
    )
    if not table.num_rows or not all(pc.all(condition).as_py() for condition in sound):
        return None
    columns = dict(zip(COLUMNS, (is_target.cast(pa.int64()), enroll, test), strict=True))
    return pa.table(columns).to_pandas()


def _speakers(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.list_element(pc.split_pattern(paths, "/", max_splits=1), 0)


def _read_lines(content: bytes, path: Path) -> pd.DataFrame:
    """Return the trials of a list, or name its first wrong line."""
    trials = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            fields = [field.decode("utf-8") for field in line.split()]
        except UnicodeDecodeError as error:
            raise InputError(f"{path} line {number}: {line!r} is not UTF-8; save the list as UTF-8") from error
        if not fields:
            continue
        if len(fields) != len(COLUMNS):
            raise InputError(f"{path} line {number}: {' '.join(fields)!r} is not `label enroll test`")
        label, enroll, test = fields
        same = enroll.split("/")[0] == test.split("/")[0]
        if label != str(int(same)):
            raise InputError(
                f"{path} line {number}: label {label!r} for {enroll} and {test}; "
                f"expected {int(same)}, the speakers are {'the same' if same else 'different'}"
            )
        trials.append((int(label), enroll, test))
    if not trials:
        raise InputError(f"trial list {path} is empty; expected {FORM}")
    return pd.DataFrame(trials, columns=list(COLUMNS))
