"""ASVspoof 2019: the reader on miniature trees of LA and PA, on the real LA protocols, and its sheet."""

import time
from collections import Counter, defaultdict

import pytest

from voxbench.corpora.asvspoof2019 import find_scenario, read
from voxbench.corpora.registries import readers, sheets
from voxbench.schema import InputError, Split, Utterance

LA = {
    "train.trn": ["LA_0079 LA_T_1138215 - - bonafide", "LA_0079 LA_T_1000001 - A01 spoof"],
    "dev.trl": ["LA_0069 LA_D_1047731 - - bonafide", "LA_0069 LA_D_1000002 - A06 spoof"],
    "eval.trl": ["LA_0039 LA_E_2834763 - A11 spoof", "LA_0014 LA_E_8877452 - - bonafide"],
}
PA = {
    "train.trn": ["PA_0079 PA_T_0000001 aaa - bonafide", "PA_0079 PA_T_0005401 cab BC spoof"],
    "dev.trl": ["PA_0069 PA_D_0000001 bbb - bonafide"],
    "eval.trl": ["PA_0001 PA_E_0018091 ccc CA spoof"],
}


def make_tree(root, scenario, protocols, end="\n"):
    folder = root / f"ASVspoof2019_{scenario}_cm_protocols"
    folder.mkdir(parents=True)
    for ending, lines in protocols.items():
        text = end.join(lines) + (end if end == "\n" else "")
        (folder / f"ASVspoof2019.{scenario}.cm.{ending}.txt").write_bytes(text.encode())
    for name in ("train", "dev", "eval"):
        (root / f"ASVspoof2019_{scenario}_{name}" / "flac").mkdir(parents=True)
    return root


def row(root, part, name, speaker, split, attack, **extra):
    return Utterance(
        id=f"ASVspoof2019_{name[:2]}_{part}/flac/{name}.flac",
        path=root / f"ASVspoof2019_{name[:2]}_{part}" / "flac" / f"{name}.flac",
        speaker=speaker,
        split=split,
        language="en",
        attack=attack,
        extra={"scenario": name[:2], **extra},
    )


def test_every_fact_of_a_row_of_la(tmp_path):
    make_tree(tmp_path, "LA", LA)
    assert readers["asvspoof2019"] is read
    assert list(read(tmp_path)) == [
        row(tmp_path, "train", "LA_T_1138215", "LA_0079", Split.TRAIN, "bonafide"),
        row(tmp_path, "train", "LA_T_1000001", "LA_0079", Split.TRAIN, "A01"),
        row(tmp_path, "dev", "LA_D_1047731", "LA_0069", Split.VALID, "bonafide"),
        row(tmp_path, "dev", "LA_D_1000002", "LA_0069", Split.VALID, "A06"),
        row(tmp_path, "eval", "LA_E_2834763", "LA_0039", Split.TEST, "A11"),
        row(tmp_path, "eval", "LA_E_8877452", "LA_0014", Split.TEST, "bonafide"),
    ]


def test_every_fact_of_a_row_of_pa(tmp_path):
    make_tree(tmp_path, "PA", PA)
    assert list(read(tmp_path)) == [
        row(tmp_path, "train", "PA_T_0000001", "PA_0079", Split.TRAIN, "bonafide", environment="aaa"),
        row(tmp_path, "train", "PA_T_0005401", "PA_0079", Split.TRAIN, "BC", environment="cab"),
        row(tmp_path, "dev", "PA_D_0000001", "PA_0069", Split.VALID, "bonafide", environment="bbb"),
        row(tmp_path, "eval", "PA_E_0018091", "PA_0001", Split.TEST, "CA", environment="ccc"),
    ]


def test_crlf_bom_blank_lines_and_no_last_line_end(tmp_path):
    plain = make_tree(tmp_path / "plain", "LA", LA)
    other = {ending: ["\ufeff" + lines[0], "", *lines[1:]] for ending, lines in LA.items()}
    dos = make_tree(tmp_path / "dos", "LA", other, end="\r\n")
    assert [(each.id, each.speaker) for each in read(dos)] == [(each.id, each.speaker) for each in read(plain)]


def test_files_on_disk_that_no_protocol_names_are_no_rows(tmp_path):
    root = make_tree(tmp_path, "LA", LA)
    (root / "ASVspoof2019_LA_dev/flac/LA_D_A000001.flac").touch()
    (root / "ASVspoof2019_LA_dev/flac/LA_D_1047731.flac").touch()
    rows = list(read(root))
    assert len(rows) == 6
    assert [each.path.exists() for each in rows] == [False, False, True, False, False, False]


@pytest.mark.parametrize(
    ("scenario", "line", "message"),
    [
        ("LA", "LA_0069 LA_D_1 bonafide target", "speaker verification protocol"),
        ("LA", "LA_0069 LA_D_1 A01 spoof", "speaker verification protocol"),
        ("LA", "LA_0069 LA_D_1 bonafide nontarget", "from ASVspoof2019_LA_cm_protocols"),
        ("PA", "PA_0069 PA_D_1 aaa bonafide target", "speaker verification protocol"),
        ("LA", "LA_0069 LA_D_1 - bonafide", "has 4 columns; expected speaker, file, environment, attack and key"),
        ("LA", "LA_0069 LA_D_1 - A01 spoof eval", "has 6 columns"),
        ("LA", "LA_0069 LA_D_1 - - bonafied", "key 'bonafied' .did you mean 'bonafide'.*expected bonafide or spoof"),
        ("LA", "LA_0069 LA_D_1 - A01 bonafide", "attack 'A01' of bona fide speech; expected '-'"),
        ("LA", "LA_0069 LA_D_1 - - spoof", "attack '-' of spoofed speech; expected one of A01 to A19"),
        ("LA", "LA_0069 LA_D_1 - A20 spoof", "attack 'A20' .did you mean 'A.*of spoofed speech"),
        ("PA", "PA_0069 PA_D_1 aaa AD spoof", "expected one of AA to CC"),
        ("PA", "PA_0069 PA_D_1 - AA spoof", "environment '-'; expected aaa to ccc"),
        ("LA", "LA_0069 LA_D_1 aaa A01 spoof", "environment 'aaa'; expected -"),
        ("LA", "LA_0069 LA_T_1 - A01 spoof", "file 'LA_T_1' in the dev set of LA; expected LA_D_ and digits"),
        ("LA", "LA_0069 PA_D_1 - A01 spoof", "file 'PA_D_1' in the dev set of LA"),
        ("LA", "LA_0069 ../LA_D_1 - A01 spoof", "expected LA_D_ and digits"),
    ],
)
def test_wrong_lines_are_refused_before_the_first_row(tmp_path, scenario, line, message):
    protocols = dict(LA if scenario == "LA" else PA)
    protocols["dev.trl"] = [*protocols["dev.trl"], line]
    root = make_tree(tmp_path, scenario, protocols)
    with pytest.raises(InputError, match=f"dev.trl.txt line {len(protocols['dev.trl'])}: .*{message}"):
        read(root)


def test_a_file_named_twice_is_refused(tmp_path):
    twice = LA | {"dev.trl": [*LA["dev.trl"], LA["dev.trl"][0]]}
    with pytest.raises(InputError, match="line 3: LA_D_1047731 again; keep one line, in one protocol"):
        read(make_tree(tmp_path / "one", "LA", twice))
    copied = LA | {"eval.trl": LA["dev.trl"]}
    with pytest.raises(InputError, match=r"eval.*'LA_D_1047731' in the eval set"):
        read(make_tree(tmp_path / "two", "LA", copied))


def test_an_empty_protocol_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"eval.trl.txt is empty"):
        read(make_tree(tmp_path, "LA", LA | {"eval.trl": [""]}))


def test_a_root_with_both_scenarios_or_above_them_or_of_none(tmp_path):
    root = make_tree(make_tree(tmp_path / "both", "LA", LA), "PA", PA)
    with pytest.raises(InputError, match=r"both LA and PA of ASVspoof 2019.*set root to the folder of one"):
        find_scenario(root)
    make_tree(tmp_path / "above" / "LA", "LA", LA)
    make_tree(tmp_path / "above" / "PA", "PA", PA)
    with pytest.raises(InputError, match=r"lies above LA and PA, and a corpus is one scenario: set root to .*above/LA"):
        read(tmp_path / "above")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="neither LA nor PA of ASVspoof 2019; expected ASVspoof2019_LA_cm_protocols"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="is not a folder"):
        read(tmp_path / "absent")


@pytest.mark.parametrize("missing", ["cm_protocols/ASVspoof2019.LA.cm.eval.trl.txt", "eval/flac"])
def test_a_part_that_was_not_unpacked_is_refused(tmp_path, missing):
    root = make_tree(tmp_path, "LA", LA)
    gone = root / f"ASVspoof2019_LA_{missing}"
    gone.rmdir() if gone.is_dir() else gone.unlink()
    with pytest.raises(InputError, match=f"no .*{gone.name}; expected .*unpack all of LA.zip"):
        read(root)


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    root = make_tree(tmp_path_factory.mktemp("asvspoof") / "LA", "LA", {})
    for ending in LA:
        name = f"ASVspoof2019.LA.cm.{ending}.txt"
        (root / "ASVspoof2019_LA_cm_protocols" / name).symlink_to(shared / "lists" / "asvspoof2019" / name)
    return root


def test_the_real_protocols_hold_what_the_sheet_says(real):
    sheet = sheets["asvspoof2019"]
    counts, speakers, attacks = Counter(), defaultdict(set), defaultdict(Counter)
    for each in read(real):
        part = sheet.part_of(each)
        counts[part] += 1
        speakers[part].add(each.speaker)
        attacks[each.split][each.attack] += 1
    assert {(part.name, part.utterances, part.speakers) for part in sheet.releases["LA"]} == {
        (part, counts[part], len(speakers[part])) for part in counts
    }
    assert attacks[Split.TRAIN] == {"bonafide": 2_580, **{f"A{n:02d}": 3_800 for n in range(1, 7)}}
    assert attacks[Split.VALID] == {"bonafide": 2_548, **{f"A{n:02d}": 3_716 for n in range(1, 7)}}
    assert attacks[Split.TEST] == {"bonafide": 7_355, **{f"A{n:02d}": 4_914 for n in range(7, 20)}}
    everyone = [speakers[f"{part} bonafide"] | speakers[f"{part} spoof"] for part in ("train", "dev", "eval")]
    assert [len(each) for each in everyone] == [20, 20, 67]
    assert len(set.union(*everyone)) == 107


def test_the_real_protocols_are_read_fast(real):
    """121,461 rows: about half a second on a core of one's own; a shared machine gets five times that."""
    start = time.process_time()
    assert sum(1 for _ in read(real)) == 121_461
    assert time.process_time() - start < 2.5


def test_the_sheet():
    sheet = sheets["asvspoof2019"]
    assert sheet.licence == "ODC-By 1.0"
    assert sum(part.utterances for part in sheet.releases["LA"]) == 25_380 + 24_844 + 71_237
    assert sum(part.utterances for part in sheet.releases["PA"]) == 54_000 + 29_700 + 134_730
    (archive,) = sheet.archives
    assert (archive.part, archive.strip, archive.size_bytes) == ("LA", 1, 7_640_952_520)
