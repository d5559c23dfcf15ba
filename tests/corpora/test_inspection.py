"""The inspection: what is counted, what is drawn, what is found beside the rows."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxbench.corpora.inspection import (
    Few,
    PartCount,
    find_strays,
    nearest_release,
    suggest_root,
    take_inventory,
)
from voxbench.corpora.sample import decode_sample
from voxbench.corpora.sheets import Part
from voxbench.schema import Split, Utterance
from voxbench.seeding import generator

RATE_HZ = 16_000


def silent(what, count):
    """Say nothing of progress."""


def row(root, name, speaker="ann", **fields):
    return Utterance(name, root / name, speaker, **fields)


def put(root, name, seconds=1.0, rate_hz=RATE_HZ, channels=1):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = generator(1, name).normal(0, 0.1, (round(seconds * rate_hz), channels))
    soundfile.write(path, wave, rate_hz)
    return path


def inventory_of(rows, draw=10, seed=1):
    return take_inventory(rows, lambda utterance: utterance.speaker, draw, seed, silent)


def test_rows_files_and_labels_are_counted(tmp_path):
    put(tmp_path, "a.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    rows = [
        row(tmp_path, "a.wav", split=Split.TRAIN, gender="male", age_years=20.5, age_group="twenties", session="1"),
        row(tmp_path, "empty.wav", "bob", gender="female", language="en", age_years=61.0, text="hi", session="1"),
        row(tmp_path, "folder.wav", "bob", attack="A01"),
        row(tmp_path, "gone.wav", "ann+bob", speakers=("ann", "bob"), session="1"),
    ]
    inventory = inventory_of(rows)
    assert (inventory.rows, inventory.found, inventory.size_bytes) == (4, 2, (tmp_path / "a.wav").stat().st_size)
    assert (inventory.missing, inventory.empty) == (Few(2, ["folder.wav", "gone.wav"]), Few(1, ["empty.wav"]))
    assert {name: (part.rows, part.found, len(part.speakers)) for name, part in inventory.parts.items()} == {
        "ann": (1, 1, 1),
        "bob": (2, 1, 1),
        "ann+bob": (1, 0, 2),
    }
    assert {label: dict(words) for label, words in inventory.words.items()} == {
        "split": {"train": 1},
        "gender": {"male": 1, "female": 1},
        "age_group": {"twenties": 1},
        "language": {"en": 1},
        "attack": {"A01": 1},
    }
    assert dict(inventory.labelled) == {
        "split": 1,
        "gender": 2,
        "age_group": 1,
        "language": 1,
        "attack": 1,
        "age_years": 2,
        "session": 3,
        "text": 1,
    }
    assert inventory.ages == (20.5, 61.0)
    assert (len(inventory.speakers), len(inventory.sessions), len(inventory.listed)) == (2, 3, 4)


def test_examples_are_the_first_five_by_name_and_printable():
    few = Few()
    for number in (7, 3, 9, 1, 8, 2, 0):
        few.add(f"{number}.wav")
    assert (few.count, few.first) == (7, ["0.wav", "1.wav", "2.wav", "3.wav", "7.wav"])
    odd = Few()
    odd.add("a\nb\udcff.wav")
    assert odd.first == ["a\\nb\\udcff.wav"]


def test_the_draw_is_seeded_and_every_file_is_equally_likely(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02d}.wav").write_bytes(b"x")
    rows = [row(tmp_path, f"{number:02d}.wav") for number in range(20)]
    drawn = [name for name, _ in inventory_of(rows, draw=5).drawn]
    assert len(set(drawn)) == 5
    assert drawn == [name for name, _ in inventory_of(rows, draw=5).drawn]
    counts = np.zeros(20)
    for seed in range(400):
        for name, _ in inventory_of(rows, 5, seed).drawn:
            counts[int(name[:2])] += 1
    # Expected 100 each with a standard deviation of 8.7.
    assert counts.sum() == 2000
    assert counts.min() > 65
    assert counts.max() < 135


def test_strays_are_found_below_the_root_without_following_links(tmp_path):
    root, beside = tmp_path / "root", tmp_path / "beside"
    for name in ("a.wav", "deep/er/b.MP3", ".hidden/c.wav", "._a.wav"):
        put(root, name) if name.endswith("wav") else (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/b.MP3").write_bytes(b"x")
    (root / "notes.txt").touch()
    put(beside, "d.wav")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "deep/up").symlink_to(beside, target_is_directory=True)
    (root / "linked.wav").symlink_to(beside / "d.wav")
    (root / "broken.wav").symlink_to(beside / "gone.wav")
    (root / "self.wav").symlink_to(root / "self.wav")
    strays = find_strays(root, inventory_of([row(root, "a.wav")]), silent)
    assert strays.files == Few(2, ["deep/er/b.MP3", "linked.wav"])
    assert strays.linked_folders == Few(2, ["deep/up", "loop"])
    assert strays.unread_folders.count == strays.misspelt.count == 0


def test_a_folder_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def guarded(folder):
        if Path(folder).name == "closed":
            raise PermissionError("closed")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert find_strays(tmp_path, inventory_of([]), silent).unread_folders == Few(1, ["closed/"])


@pytest.mark.parametrize(
    ("listed", "there", "hint"),
    [
        (
            "\u00e9t\u00e9.wav",
            unicodedata.normalize("NFD", "\u00e9t\u00e9.wav"),
            "'\\xe9t\\xe9.wav' is there as 'e\\u0301te\\u0301.wav': "
            "the accents are composed in one, decomposed in the other",
        ),
        ("clips/a.mp3", "clips/A.MP3", "clips/a.mp3 is there as clips/A.MP3: another case"),
        ("clips/a.m4a", "clips/a.wav", "clips/a.m4a is there as clips/a.wav: another ending"),
    ],
)
def test_missing_files_that_are_there_by_another_spelling(tmp_path, listed, there, hint):
    put(tmp_path, "fine.wav")
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_bytes(b"x")
    inventory = inventory_of([row(tmp_path, listed), row(tmp_path, "fine.wav"), row(tmp_path, "gone.wav")])
    if inventory.missing.count != 2:
        pytest.skip("this file system takes the two spellings for one")
    strays = find_strays(tmp_path, inventory, silent)
    assert (strays.files.count, strays.misspelt) == (1, Few(1, [hint]))


def test_the_sample_tells_formats_lengths_and_faults(tmp_path):
    put(tmp_path, "a.wav", 1.0)
    put(tmp_path, "b.flac", 2.0, 8_000, channels=2)
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:1000])
    (tmp_path / "d.wav").touch()
    names = ("a.wav", "b.flac", "c.wav", "d.wav")
    sample = decode_sample([(name, tmp_path / name) for name in names], None, silent)
    assert sample.formats == {"WAV PCM_16": 1, "FLAC PCM_16": 1}
    assert sample.rates_hz == {16_000: 1, 8_000: 1}
    assert sample.channels == {1: 1, 2: 1}
    assert sample.seconds == [1.0, 2.0]
    assert sample.reasons == {"truncated": 1, "empty": 1}
    assert sample.faults.count == 2
    assert sample.faults.first[1].startswith("d.wav: empty: ")


def test_a_release_of_other_parts_is_none():
    releases = {"LA": (Part("LA train", 10), Part("LA eval", None)), "small": (Part("LA train", 4),)}
    assert nearest_release({}, {"x": PartCount(5)}) == (None, "none is known")
    assert nearest_release(releases, {"x": PartCount(5)}) == (None, "no known release has these parts")
    assert nearest_release(releases, {"LA eval": PartCount(5)})[0] is None
    assert nearest_release(releases, {"LA train": PartCount(10)}) == ("LA", "complete")
    assert nearest_release(releases, {"LA train": PartCount(3)})[0] == "small"
    assert nearest_release(releases, {"LA train": PartCount(9)})[1].startswith("not the counts of this release")
    assert nearest_release(releases, {"LA train": PartCount(4), "x": PartCount(1)})[1].startswith("not the counts")


def test_a_root_one_level_away_is_suggested(tmp_path):
    corpus = tmp_path / "b" / "corpus"
    (corpus / "audio").mkdir(parents=True)
    (tmp_path / "b" / "another").mkdir()
    (corpus / "metadata.csv").write_text("path,speaker\na.wav,ann\n")
    assert suggest_root("table", tmp_path / "b") == corpus
    assert suggest_root("table", corpus / "audio") == corpus
    assert suggest_root("table", tmp_path / "b" / "korpus") == corpus
    assert suggest_root("table", tmp_path) is None
    (corpus / "metadata.csv").write_text("path,speaker\n")
    assert suggest_root("table", tmp_path / "b") is None
