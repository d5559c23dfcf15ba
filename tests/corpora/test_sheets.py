"""What every sheet must state, over the registry: a new corpus is tested at birth."""

import re
from pathlib import Path, PurePosixPath

import pytest

from tiny import PROJECT
from voxbench.config import load_params
from voxbench.corpora import read_corpus, readers, sheets, twins
from voxbench.schema import Split, Utterance

TWINS = load_params(PROJECT / "params.yaml").twins
CHECKSUM = re.compile("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")


def test_every_reader_has_a_sheet_and_every_sheet_a_reader():
    assert set(sheets) == set(readers)
    assert set(twins) <= set(readers)


@pytest.mark.parametrize("name", sheets)
def test_facts_are_stated(name):
    sheet = sheets[name]
    assert sheet.title.strip()
    assert sheet.licence.strip()
    assert sheet.homepage.startswith("https://") or name == "table"
    assert sheet.tree
    assert sheet.archives or sheet.steps
    for line in (sheet.title, sheet.licence, *sheet.tree, *sheet.steps):
        assert line == line.strip() != ""
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", sheets)
def test_counts_are_positive_and_parts_unique(name):
    for release, parts in sheets[name].releases.items():
        assert release.strip()
        assert parts
        names = [part.name for part in parts]
        assert len(set(names)) == len(names)
        for part in parts:
            assert part.name == part.name.strip() != ""
            assert part.utterances is None or part.utterances > 0
            assert part.speakers is None or 0 < part.speakers <= (part.utterances or part.speakers)


@pytest.mark.parametrize("name", sheets)
def test_archives_can_be_fetched_checked_and_unpacked_below_the_root(name):
    archives = sheets[name].archives
    assert len({archive.url for archive in archives}) == len(archives)
    for archive in archives:
        assert archive.part.strip()
        assert re.fullmatch(r"https?://\S+", archive.url)
        assert archive.size_bytes > 0
        assert archive.checksum is None or CHECKSUM.fullmatch(archive.checksum), archive.url
        folder = PurePosixPath(archive.folder)
        assert not folder.is_absolute()
        assert ".." not in folder.parts
        assert archive.strip >= 0


@pytest.mark.slow
@pytest.mark.parametrize("row", TWINS)
def test_the_parts_of_a_twin_are_parts_of_a_release(tmp_path, row):
    settings = TWINS[row].model_copy(update={"speakers": min(TWINS[row].speakers, 12), "test_fraction": 0.2})
    twins[settings.layout](tmp_path / row, settings)
    sheet = sheets[settings.layout]
    found = {sheet.part_of(utterance) for utterance in read_corpus(settings.layout, tmp_path / row)}
    known = {part.name for parts in sheet.releases.values() for part in parts}
    assert found
    if known:
        assert found <= known


@pytest.mark.parametrize(
    ("name", "fields", "part"),
    [
        ("common_voice", {"split": Split.TRAIN, "language": "en"}, "en train"),
        ("common_voice", {"split": Split.VALID, "language": "ru"}, "ru dev"),
        ("common_voice", {"split": Split.TEST, "language": "zh-CN"}, "zh-CN test"),
        ("common_voice", {"split": None, "language": "en"}, "en unsplit"),
        ("timit", {"split": Split.TRAIN}, "TRAIN"),
        ("timit", {"split": Split.TEST}, "TEST"),
        ("table", {}, "metadata.csv"),
    ],
)
def test_parts(name, fields, part):
    assert sheets[name].part_of(Utterance("a.wav", Path("a.wav"), "ann", **fields)) == part


def test_known_totals():
    """REFERENCE 6.2 and 6.3; validated.tsv holds the official sets, whose clips are told apart."""
    totals = {
        (name, release): sum(part.utterances for part in parts)
        for name in ("common_voice", "timit")
        for release, parts in sheets[name].releases.items()
    }
    assert totals == {
        ("common_voice", "17.0 en"): 1_799_288,
        ("common_voice", "17.0 en, validated.tsv alone"): 1_799_288,
        ("common_voice", "7.0 ru"): 99_709,
        ("common_voice", "7.0 ru, validated.tsv alone"): 99_709,
        ("timit", "LDC93S1"): 6_300,
    }
    assert sum(part.speakers for part in sheets["timit"].releases["LDC93S1"]) == 630
