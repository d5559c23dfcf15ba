"""LibriSpeech: the reader on miniature trees, on real recordings and on the real table of readers; the sheet."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from voxbench.audio import load_audio
from voxbench.corpora.librispeech import ARCHIVES, PARTS, TABLE, _read_speakers, read
from voxbench.corpora.registries import readers, sheets
from voxbench.schema import InputError, Split, Utterance

HEADER = ("; Readers", ";", ";ID  |SEX| SUBSET           |MINUTES| NAME")
WOMAN = "84   | F | dev-clean        |  8.02 | Christie Nowak"
MAN = "60   | M | train-clean-100  | 20.18 | |CBW|Simon"
ABSENT = "14   | F | train-clean-360  | 25.03 | Kristin LeMoine"
LINES = (ABSENT, MAN, WOMAN)
FILES = {
    "dev-clean/84/121123/84-121123-0000.flac": "GO DO YOU HEAR",
    "dev-clean/84/121123/84-121123-0001.flac": "BUT IN LESS THAN FIVE MINUTES",
    "dev-clean/84/121550/84-121550-0000.flac": "BUT WITH FULL RAVISHMENT",
    "train-clean-100/60/121082/60-121082-0000.flac": "THE VOYAGE",
}


def make_tree(root, files=FILES, lines=LINES, end="\n"):
    texts = {}
    for file, text in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        transcript = path.with_name("-".join(path.stem.split("-")[:2]) + ".trans.txt")
        texts.setdefault(transcript, []).append(f"{path.stem} {text}")
    for path, sentences in texts.items():
        path.write_text(end.join(sentences) + end, newline="")
    root.mkdir(exist_ok=True)
    (root / TABLE).write_text(end.join((*HEADER, *lines)) + end, encoding="utf-8", newline="")
    return root


def test_every_fact_of_every_row(tmp_path):
    def row(file, text, speaker, chapter, split, gender, name):
        return Utterance(
            id=file,
            path=tmp_path / file,
            speaker=speaker,
            split=split,
            session=f"{speaker}/{chapter}",
            gender=gender,
            language="en",
            text=text,
            extra={"subset": file.split("/")[0], "chapter": chapter, "name": name},
        )

    people = {
        "84": (Split.VALID, "female", "Christie Nowak"),
        "60": (Split.TRAIN, "male", "|CBW|Simon"),
    }
    expected = [row(file, text, *file.split("/")[1:3], *people[file.split("/")[1]]) for file, text in FILES.items()]
    assert list(read(make_tree(tmp_path))) == expected


def test_the_subset_is_the_split_and_only_what_is_there_is_read(tmp_path):
    subsets = [part.name for part in PARTS]
    lines = [f"{number} | F | {subset} | 1.00 | A" for number, subset in enumerate(subsets)]
    files = {f"{subset}/{number}/7/{number}-7-0000.flac": "A" for number, subset in enumerate(subsets)}
    splits = {row.extra["subset"]: row.split for row in read(make_tree(tmp_path / "all", files, lines))}
    assert splits == {
        subset: Split({"dev": "valid"}.get(subset.split("-")[0], subset.split("-")[0])) for subset in splits
    }
    assert sorted(splits) == sorted(subsets)
    one = {file: text for file, text in files.items() if file.startswith("test-other")}
    assert [row.id for row in read(make_tree(tmp_path / "one", one, lines))] == list(one)


def test_windows_line_ends_a_mark_and_a_missing_last_line_end(tmp_path):
    expected = [(row.id, row.text) for row in read(make_tree(tmp_path / "plain"))]
    root = make_tree(tmp_path / "other", end="\r\n")
    for path in root.rglob("*.*xt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().removesuffix(b"\r\n"))
    (root / TABLE).write_bytes(b"\xef\xbb\xbf" + (root / TABLE).read_bytes().removesuffix(b"\r\n"))
    assert [(row.id, row.text) for row in read(root)] == expected


def test_a_line_without_a_recording_is_a_row_and_a_recording_without_a_line_has_no_text(tmp_path):
    root = make_tree(tmp_path)
    files = list(FILES)
    (root / files[1]).unlink()
    (root / "dev-clean/84/121550/84-121550.trans.txt").write_text("")
    (root / "train-clean-100/60/121082/60-121082.trans.txt").unlink()
    rows = list(read(root))
    assert [row.id for row in rows] == files
    assert [row.path.exists() for row in rows] == [True, False, True, True]
    assert [row.text for row in rows] == [FILES[files[0]], FILES[files[1]], None, None]


def test_converted_copies(tmp_path):
    converted = {file.replace(".flac", ".wav"): text for file, text in FILES.items()}
    root = make_tree(tmp_path / "wav", converted)
    gone = next(iter(converted))
    (root / gone).unlink()
    assert [(row.id, row.text) for row in read(root)] == list(converted.items())
    both = make_tree(tmp_path / "both", FILES | converted)
    assert [row.id for row in read(make_tree(both, FILES))] == list(FILES)


def test_other_files_and_folders_are_no_utterances(tmp_path):
    root = make_tree(tmp_path)
    chapter = root / "dev-clean/84/121123"
    for name in ("._84-121123-0000.flac", ".DS_Store", "84-121123.alignment.txt", "84-121123-0000.normalized.txt"):
        (chapter / name).write_bytes(b"\0\5\x16\7")
    for name in ("._84", "LICENSE.TXT"):
        (root / "dev-clean" / name).touch()
    (root / "dev-clean/84/notes.txt").touch()
    for name in ("intro/84", "mp3/84", "texts", ".cache"):
        (root / name).mkdir(parents=True)
    assert [row.id for row in read(root)] == list(FILES)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("60 | M | train-clean-100 | 20.18", r"line 5: '60 \| M .* has 4 columns; expected ID \| SEX \| SUBSET"),
        (MAN.replace("M", "X", 1), "line 5: SEX is 'X'; expected one of F, M"),
        (MAN.replace("100", "1OO!"), r"line 5: SUBSET is 'train-clean-1OO!' \(did you mean 'train-clean-100'\?\)"),
        (WOMAN, "line 6: reader 84 again"),
        (MAN.replace("60", "61", 1), "60 is of a reader who is not in SPEAKERS.TXT; complete the table or"),
        (MAN.replace("100", "360"), "60 lies in train-clean-100, but SPEAKERS.TXT puts reader 60 into train-clean-360"),
    ],
)
def test_a_wrong_table_is_refused_before_the_first_row(tmp_path, line, message):
    root = make_tree(tmp_path, lines=(ABSENT, line, WOMAN))
    with pytest.raises(InputError, match=message):
        read(root)


def test_a_wrong_root_is_refused_with_the_right_one(tmp_path):
    root = make_tree(tmp_path / "LibriSpeech")
    for wrong in (tmp_path, root / "dev-clean"):
        with pytest.raises(InputError, match=f"no SPEAKERS.TXT in {wrong}; .* set the root to {root}$"):
            read(wrong)
    with pytest.raises(InputError, match=r"expected SPEAKERS\.TXT and train-clean-100/84/.* copy the file from any of"):
        read(root / "dev-clean/84")


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("dev_clean", r"dev_clean is no subset \(did you mean 'dev-clean'\?\)"),
        ("test-other", "test-other holds no reader"),
        ("dev-clean/copy of 84", "copy of 84 is of a reader who is not in"),
        ("test-clean/84", "lies in test-clean, but SPEAKERS.TXT puts reader 84 into dev-clean"),
        ("dev-clean/84/121551", "121551 holds no recording and no 84-121551.trans.txt"),
    ],
)
def test_folders_that_cannot_be_right(tmp_path, folder, message):
    root = make_tree(tmp_path)
    (root / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=message):
        list(read(root))


def test_no_subset_at_all(tmp_path):
    with pytest.raises(InputError, match=r"no subset in .* expected one or more of train-clean-100, "):
        read(make_tree(tmp_path, {}))


@pytest.mark.parametrize("name", ["84-121123-0000 (1).flac", "84-121550-0000.flac", "84-121123.flac", "0000.wav"])
def test_recordings_that_belong_elsewhere(tmp_path, name):
    root = make_tree(tmp_path)
    (root / "dev-clean/84/121123" / name).touch()
    with pytest.raises(InputError, match=r"is no utterance of this chapter; expected 84-121123-0000\.flac"):
        list(read(root))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("84-121123-0002", "line 3 is '84-121123-0002'; expected 84-121123-0000 and its words"),
        ("84-121550-0000 GO", "line 3 is '84-121550-0000 GO'"),
        ("84-121123-0000 GO", "line 3: 84-121123-0000 again"),
    ],
)
def test_wrong_transcripts(tmp_path, line, message):
    root = make_tree(tmp_path)
    with (root / "dev-clean/84/121123/84-121123.trans.txt").open("a") as stream:
        stream.write(line)
    with pytest.raises(InputError, match=message):
        list(read(root))


def test_the_sheet_knows_the_corpus():
    sheet = sheets["librispeech"]
    assert readers["librispeech"] is read
    assert sum(part.utterances for part in PARTS) == 292_367
    assert sum(part.speakers for part in PARTS) == 2_484
    assert [archive.part for archive in sheet.archives] == [part.name for part in PARTS]
    assert all(archive.url.endswith(f"/12/{archive.part}.tar.gz") and archive.strip == 1 for archive in sheet.archives)
    assert all(len(md5) == 32 and set(md5) <= set("0123456789abcdef") for _, _, md5 in ARCHIVES)


def test_part_of_a_row_is_its_subset(tmp_path):
    rows = list(read(make_tree(tmp_path)))
    assert [sheets["librispeech"].part_of(row) for row in rows] == [file.split("/")[0] for file in FILES]


@pytest.fixture(scope="module")
def shared():
    folder = Path(os.environ.get("VOXBENCH_SHARED", "/nowhere"))
    if not (folder / "lists/librispeech" / TABLE).is_file():
        pytest.skip("VOXBENCH_SHARED does not name the folder with the real lists")
    return folder


def test_the_real_table_has_the_published_readers(shared):
    speakers = _read_speakers(shared / "lists/librispeech" / TABLE)
    assert Counter(subset for _, subset, _ in speakers.values()) == {part.name: part.speakers for part in PARTS}
    women = Counter(subset for gender, subset, _ in speakers.values() if gender == "female")
    assert women == {
        "train-clean-100": 125,
        "train-clean-360": 439,
        "train-other-500": 564,
        "dev-clean": 20,
        "dev-other": 16,
        "test-clean": 20,
        "test-other": 17,
    }
    assert speakers["60"] == ("male", "train-clean-100", "|CBW|Simon")
    assert speakers["19"] == ("female", "train-clean-100", "Kara Shallenberg")


def test_real_recordings_in_their_own_layout(shared, tmp_path):
    source = shared / "corpora/librispeech_test_other"
    if not source.is_dir():
        pytest.skip("VOXBENCH_SHARED holds no recordings of LibriSpeech")
    with (source / "metadata.csv").open(newline="") as stream:
        known = {Path(row["path"]).stem: row for row in csv.DictReader(stream)}
    files = {f"test-other/{'/'.join(stem.split('-')[:2])}/{stem}.flac": row["text"] for stem, row in known.items()}
    make_tree(tmp_path, files)
    for file in files:
        (tmp_path / file).unlink()
        (tmp_path / file).symlink_to(source / known[Path(file).stem]["path"])
    (tmp_path / TABLE).write_bytes((shared / "lists/librispeech" / TABLE).read_bytes())
    rows = list(read(tmp_path))
    assert len(rows) == 100
    assert len({row.speaker for row in rows}) == 10
    for row in rows:
        facts = known[row.path.stem]
        assert (f"libri-{row.speaker}", row.gender, row.text) == (facts["speaker"], facts["gender"], facts["text"])
        assert row.split is Split.TEST
    assert load_audio(rows[0].path)[1] == 16_000
