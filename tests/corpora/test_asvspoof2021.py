"""ASVspoof 2021: the reader on miniature trees of LA, DF and PA, audio in parts, and its sheet."""

import tracemalloc

import pytest

from voxbench.corpora.asvspoof2021 import COLUMNS, find_scenario, read, replay_attack
from voxbench.corpora.registries import readers, sheets
from voxbench.schema import InputError, Split, Utterance

LINES = {
    "LA": [
        "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval",
        "LA_0020 LA_E_7294490 g722 loc_tx bonafide bonafide notrim progress",
        "LA_0020 LA_E_7294491 none loc_tx - bonafide trim hidden",
    ],
    "DF": [
        "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
        "TEF2 DF_E_2000013 low_m4a vcc2020 Task1-team20 spoof notrim eval unknown Task1 team20 FF E",
        "VCC2TM2 DF_E_2000026 mp3m4a vcc2018 - bonafide trim hidden bonafide - - - -",
    ],
    "PA": [
        "PA_0010 PA_E_1000001 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval",
        "PA_0011 PA_E_1000002 R9 M1 D6 - - - - bonafide notrim progress",
        "PA_0012 PA_E_1000003 R1 M2 d1 r2 m3 s2 c3 spoof notrim hidden",
        "PA_0013 PA_E_1000004 R1 M2 D1 - - - - bonafide trim hidden",
    ],
}
ROWS = {
    "LA": [
        ("LA_E_9332881", "LA_0009", "A07", "codec=alaw transmission=ita_tx trim=notrim subset=eval"),
        ("LA_E_7294490", "LA_0020", "bonafide", "codec=g722 transmission=loc_tx trim=notrim subset=progress"),
        ("LA_E_7294491", "LA_0020", "bonafide", "codec=none transmission=loc_tx trim=trim subset=hidden"),
    ],
    "DF": [
        (
            *("DF_E_2000011", "LA_0023", "A14"),
            "compression=nocodec source=asvspoof trim=notrim subset=progress vocoder=traditional_vocoder",
        ),
        (
            *("DF_E_2000013", "TEF2", "Task1-team20"),
            "compression=low_m4a source=vcc2020 trim=notrim subset=eval vocoder=unknown"
            " task=Task1 team=team20 gender_pair=FF language=E",
        ),
        (
            *("DF_E_2000026", "VCC2TM2", "bonafide"),
            "compression=mp3m4a source=vcc2018 trim=trim subset=hidden vocoder=bonafide",
        ),
    ],
    "PA": [
        (
            *("PA_E_1000001", "PA_0010", "c4-s4"),
            "asv_room=R3 asv_microphone=M3 distance_to_asv=d4 attacker_room=r1 attacker_microphone=m1"
            " replay_device=s4 attacker_to_talker=c4 trim=notrim subset=eval",
        ),
        (
            *("PA_E_1000002", "PA_0011", "bonafide"),
            "asv_room=R9 asv_microphone=M1 distance_to_asv=D6 trim=notrim subset=progress",
        ),
        (
            *("PA_E_1000003", "PA_0012", "c3-s2"),
            "asv_room=R1 asv_microphone=M2 distance_to_asv=d1 attacker_room=r2 attacker_microphone=m3"
            " replay_device=s2 attacker_to_talker=c3 trim=notrim subset=hidden1",
        ),
        (
            *("PA_E_1000004", "PA_0013", "bonafide"),
            "asv_room=R1 asv_microphone=M2 distance_to_asv=D1 trim=trim subset=hidden2",
        ),
    ],
}
"""Trial, speaker, attack and extra of what `LINES` says."""


def make_tree(root, scenario, lines=None, folders=None):
    key = root / "keys" / scenario / "CM" / "trial_metadata.txt"
    key.parent.mkdir(parents=True)
    key.write_text("\n".join(LINES[scenario] if lines is None else lines) + "\n")
    for folder in folders or [f"ASVspoof2021_{scenario}_eval/flac"]:
        (root / folder).mkdir(parents=True)
    return root


@pytest.mark.parametrize(("scenario", "columns"), [("LA", 8), ("DF", 13), ("PA", 12)])
def test_every_fact_of_every_row(tmp_path, scenario, columns):
    assert readers["asvspoof2021"] is read
    assert len(COLUMNS[scenario]) == columns
    folder = f"ASVspoof2021_{scenario}_eval/flac"
    assert list(read(make_tree(tmp_path, scenario))) == [
        Utterance(
            id=f"{folder}/{trial}.flac",
            path=tmp_path / folder / f"{trial}.flac",
            speaker=speaker,
            split=Split.TEST,
            language=None if "vcc2020" in extra else "en",
            attack=attack,
            extra={"scenario": scenario, **dict(word.split("=") for word in extra.split())},
        )
        for trial, speaker, attack, extra in ROWS[scenario]
    ]


def test_crlf_bom_and_no_last_line_end(tmp_path):
    plain = make_tree(tmp_path / "plain", "DF")
    dos = make_tree(tmp_path / "dos", "DF")
    (dos / "keys/DF/CM/trial_metadata.txt").write_bytes(("\ufeff" + "\r\n\r\n".join(LINES["DF"])).encode())
    assert [(each.id, each.speaker) for each in read(dos)] == [(each.id, each.speaker) for each in read(plain)]


PARTS = [
    ["ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac", "ASVspoof2021_DF_eval_part01/ASVspoof2021_DF_eval/flac"],
    ["ASVspoof2021_DF_eval_part00/flac", "ASVspoof2021_DF_eval_part01/flac"],
    ["ASVspoof2021_DF_eval/ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac", "ASVspoof2021_DF_eval/flac"],
    ["ASVspoof2021_DF_eval/ASVspoof2021_DF_eval_part00/flac", "ASVspoof2021_DF_eval/ASVspoof2021_DF_eval_part03/flac"],
]


@pytest.mark.parametrize("folders", PARTS, ids=lambda folders: folders[0])
def test_audio_in_several_parts(tmp_path, folders):
    root = make_tree(tmp_path, "DF", folders=folders)
    where = {"DF_E_2000011": folders[1], "DF_E_2000013": folders[0], "DF_E_2000026": folders[1]}
    for name, folder in where.items():
        (root / folder / f"{name}.flac").touch()
    (root / folders[0] / "._DF_E_2000011.flac").touch()
    rows = list(read(root))
    assert [each.id for each in rows] == [f"{folder}/{name}.flac" for name, folder in where.items()]
    assert all(each.path.is_file() for each in rows)
    (root / folders[1] / "DF_E_2000013.flac").touch()
    with pytest.raises(InputError, match=r"DF_E_2000013.flac lies in .* and .*; keep one of them"):
        list(read(root))


def test_a_missing_file_is_a_row_in_the_first_folder(tmp_path):
    root = make_tree(tmp_path, "DF", folders=PARTS[1])
    (root / PARTS[1][1] / "DF_E_2000013.flac").touch()
    first, second = PARTS[1]
    assert [each.id.rpartition("/")[0] for each in read(root)] == [first, second, first]


def test_audio_without_keys_is_refused_with_their_address(tmp_path):
    (tmp_path / "ASVspoof2021_PA_eval/flac").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has no labels: fetch https://www.asvspoof.org/.*/PA-keys-full.tar.gz"):
        read(tmp_path)


def test_which_scenario(tmp_path):
    root = make_tree(tmp_path / "two", "LA")
    (root / "keys/DF/CM").mkdir(parents=True)
    assert find_scenario(root) == "LA"
    (root / "ASVspoof2021_DF_eval_part00").mkdir()
    with pytest.raises(InputError, match=r"holds LA and DF, and a corpus is one scenario: move each"):
        read(root)
    make_tree(tmp_path / "above" / "PA", "PA")
    with pytest.raises(InputError, match=r"its PA/ does: set root to .*above/PA"):
        read(tmp_path / "above")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"no audio folder of ASVspoof 2021; expected ASVspoof2021_LA_eval/flac"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="is not a folder"):
        read(tmp_path / "absent")
    (tmp_path / "packed" / "ASVspoof2021_LA_eval").mkdir(parents=True)
    make_tree(tmp_path / "packed", "LA", folders=["other"])
    with pytest.raises(InputError, match=r"no flac folder of LA in .*unpack the archives there"):
        read(tmp_path / "packed")


@pytest.mark.parametrize(
    ("scenario", "line", "message"),
    [
        ("LA", "LA_0009 LA_E_1000000 alaw ita_tx A07 spoof notrim", "has 7 columns; expected 8: speaker trial codec"),
        ("DF", "LA_0009 DF_E_1000000 nocodec asvspoof A07 spoof notrim eval", "has 8 columns; expected 13"),
        ("PA", "PA_E_1000000", "has 1 columns; expected 12"),
        ("LA", "LA_0009 LA_E_1000000 alaw ita_tx A07 target notrim eval", "key 'target'; expected bonafide, spoof"),
        ("LA", "LA_0009 LA_E_1000000 alaw ita_tx A07 spoof notrimm eval", "trim 'notrimm' .did you mean 'notrim'"),
        ("LA", "LA_0009 LA_E_1000000 alaw ita_tx A07 spoof notrim test", "subset 'test'; expected progress, eval, hid"),
        ("LA", "LA_0009 LA_E_1000000 alaw ita_tx A20 spoof notrim eval", "attack 'A20'"),
        ("LA", "LA_0009 LA_E_1000000 alaw ita_tx A07 bonafide notrim eval", "attack 'A07' contradicts the key"),
        ("DF", "X DF_E_1000000 nocodec asvspoof - spoof notrim eval unknown - - - -", "attack '-' contradicts the key"),
        (
            "LA",
            "LA_0009 DF_E_1000000 alaw ita_tx A07 spoof notrim eval",
            "trial 'DF_E_1000000'; expected LA_E_ and sev",
        ),
        ("PA", "PA_0010 ../PA_E_1000000 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval", "expected PA_E_ and seven digits"),
        ("LA", LINES["LA"][1], "LA_E_7294490 again; keep one line"),
    ],
)
def test_wrong_lines_are_refused_before_the_first_row(tmp_path, scenario, line, message):
    root = make_tree(tmp_path, scenario, [*LINES[scenario], line])
    with pytest.raises(InputError, match=f"trial_metadata.txt line {len(LINES[scenario]) + 1}: .*{message}"):
        read(root)


def test_an_empty_key_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"trial_metadata.txt is empty; expected lines of speaker trial codec"):
        read(make_tree(tmp_path, "LA", [""]))


def test_names_of_replay_attacks():
    assert replay_attack({"attacker_to_talker": "c2", "replay_device": "-"}) == "c2"
    assert replay_attack({}) == "replay"


def test_rows_stream(tmp_path):
    """What stays is 10 MB to know each trial, whatever the number of rows."""
    line = "PA_0010 PA_E_{} R3 M3 d4 r1 m1 s4 c4 spoof notrim eval"
    root = make_tree(tmp_path, "PA", [line.format(1_000_000 + number) for number in range(6_000)])
    tracemalloc.start()
    assert sum(1 for _ in read(root)) == 6_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 11_500_000


def test_the_sheet(tmp_path):
    sheet = sheets["asvspoof2021"]
    assert {name: sum(part.utterances for part in parts) for name, parts in sheet.releases.items()} == {
        "LA": 181_566,
        "DF": 611_829,
        "PA": 943_110,
    }
    names = {part.name for parts in sheet.releases.values() for part in parts}
    assert {sheet.part_of(each) for each in read(make_tree(tmp_path, "PA"))} == names == {"eval", "progress", "hidden"}
    assert [archive.part for archive in sheet.archives] == ["DF"] * 4
    assert all(archive.url.endswith(f"DF_eval_part0{n}.tar.gz") for n, archive in enumerate(sheet.archives))
