"""ASVspoof 2019: bona fide speech against synthesis and conversion (LA) and against replay (PA); its reader.

Wang, Yamagishi, Todisco, Delgado, Nautsch, Evans et al., "ASVspoof 2019: a large-scale public database of
synthesized, converted and replayed speech", Computer Speech & Language 64, 2020; READMEs and evaluation plan of the
database, https://datashare.ed.ac.uk/handle/10283/3336 (doi 10.7488/ds/2555). Open Data Commons Attribution License
1.0. Made from VCTK, in English; FLAC, 16 kHz, mono, 16 bit.

The root is the folder of one scenario, `LA` or `PA` (here LA):

    ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt    also dev.trl and eval.trl
    ASVspoof2019_LA_train/flac/LA_T_1138215.flac                     also _dev/flac/LA_D_... and _eval/flac/LA_E_...
    ASVspoof2019_LA_asv_protocols/, ASVspoof2019_LA_asv_scores/      not read here: see `asv_scores`

A protocol holds speaker, file, environment, attack and key, separated by blanks:

    LA_0079 LA_T_1138215 - - bonafide
    LA_0039 LA_E_2834763 - A11 spoof
    PA_0079 PA_T_0000001 aaa - bonafide

| set   | split | LA speakers | LA bona fide | LA spoof          | PA bona fide | PA spoof |
|-------|-------|-------------|--------------|-------------------|--------------|----------|
| train | train | 20          | 2,580        | 22,800 (A01-A06)  | 5,400        | 48,600   |
| dev   | valid | 20          | 2,548        | 22,296 (A01-A06)  | 5,400        | 24,300   |
| eval  | test  | 67          | 7,355        | 63,882 (A07-A19)  | 18,090       | 116,640  |

LA counts are counted from the protocols, PA counts are those that users of the database report. An environment is
three letters a to c (room size, T60, distance of the talker), a replay attack two letters A to C (distance of the
attacker, quality of the device), in all three sets alike: `voxbench.audio.replay` has the ranges.

Deviations: rows follow the protocols. Files that no countermeasure protocol names are recordings to enrol speakers
for verification (3,834 in PA dev, 18,792 in PA eval) and no rows. Sex is not in the protocols and stays None. A row
whose file is missing is still a row. The size and MD5 of LA.zip are the publisher's; of PA.zip (about 16.4 GB) no
exact size or checksum was found, so it is no archive here but a step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Archive, Part, Sheet
from voxbench.corpora.tables import read_lines
from voxbench.registry import closest
from voxbench.schema import BONAFIDE, InputError, Split, Utterance

SCENARIOS = ("LA", "PA")
SETS = {
    "train": (Split.TRAIN, "T", "train.trn"),
    "dev": (Split.VALID, "D", "dev.trl"),
    "eval": (Split.TEST, "E", "eval.trl"),
}
"""Words of the official sets: our split, the letter in file names, the end of the protocol's name."""

SPOOF = "spoof"
KEYS = (BONAFIDE, SPOOF)
ASV_KEYS = ("target", "nontarget")
NOTHING = "-"
ATTACKS = {
    "LA": tuple(f"A{number:02d}" for number in range(1, 20)),
    "PA": tuple(f"{distance}{device}" for distance in "ABC" for device in "ABC"),
}
ENVIRONMENTS = {
    "LA": (NOTHING,),
    "PA": tuple(f"{room}{t60}{distance}" for room in "abc" for t60 in "abc" for distance in "abc"),
}
COLUMNS = "speaker, file, environment, attack and key"
HOMEPAGE = "https://datashare.ed.ac.uk/handle/10283/3336"
TREE = "ASVspoof2019_LA_cm_protocols, ASVspoof2019_LA_train/flac, ..._dev/flac and ..._eval/flac (or PA throughout)"


@readers.register("asvspoof2019")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per line of the countermeasure protocols: train, dev and eval, in file order.

    `extra` holds `scenario` and, in PA, `environment`. All lines are checked before the first row: InputError is raised
    for a root that is no scenario's folder, a missing protocol or audio folder, a wrong number of columns, an unknown
    key, attack or environment, an attack that contradicts its key, a verification protocol in the place of a
    countermeasure protocol, and a file that is named twice.
    """
    scenario = find_scenario(root)
    for name in SETS:
        for needed in (_protocol(root, scenario, name), _audio(root, scenario, name)):
            if not needed.exists():
                raise InputError(f"no {needed}; expected {TREE}: unpack all of {scenario}.zip of {HOMEPAGE}")
    seen: set[str] = set()
    for name in SETS:
        path = _protocol(root, scenario, name)
        for number, fields in _lines(path, scenario, name):
            if fields[1] in seen:
                raise InputError(f"{path} line {number}: {fields[1]} again; keep one line, in one protocol")
            seen.add(fields[1])
    return _walk(root, scenario)


def find_scenario(root: Path) -> str:
    """Return LA or PA, whichever the root holds; raises InputError for both, neither, and a folder above."""
    if not root.is_dir():
        raise InputError(f"ASVspoof 2019 root {root} is not a folder; expected {TREE}")
    found = [scenario for scenario in SCENARIOS if any(root.glob(f"ASVspoof2019_{scenario}_*"))]
    below = [scenario for scenario in SCENARIOS if any(root.glob(f"{scenario}/ASVspoof2019_{scenario}_*"))]
    if below:
        raise InputError(
            f"{root} lies above {' and '.join(below)}, and a corpus is one scenario: set root to {root / below[0]}"
        )
    if len(found) != 1:
        what = "both LA and PA" if found else "neither LA nor PA"
        raise InputError(f"{root} holds {what} of ASVspoof 2019; expected {TREE}: set root to the folder of one")
    return found[0]


def _protocol(root: Path, scenario: str, name: str) -> Path:
    return root / f"ASVspoof2019_{scenario}_cm_protocols" / f"ASVspoof2019.{scenario}.cm.{SETS[name][2]}.txt"


def _audio(root: Path, scenario: str, name: str) -> Path:
    return root / f"ASVspoof2019_{scenario}_{name}" / "flac"


def _lines(path: Path, scenario: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of every line that is not blank, checked."""
    file_name = re.compile(f"{scenario}_{SETS[name][1]}_[0-9]+").fullmatch
    environments = frozenset(ENVIRONMENTS[scenario])
    pairs = {(NOTHING, BONAFIDE), *((attack, SPOOF) for attack in ATTACKS[scenario])}
    empty = True
    for number, line in read_lines(path):
        fields = line.split()
        if not fields:
            continue
        empty = False
        if (
            len(fields) != 5
            or (fields[3], fields[4]) not in pairs
            or fields[2] not in environments
            or file_name(fields[1]) is None
        ):
            raise InputError(f"{path} line {number}: {_complaint(fields, scenario, name)}")
        yield number, fields
    if empty:
        raise InputError(f"{path} is empty; expected lines of {COLUMNS}")


def _complaint(fields: list[str], scenario: str, name: str) -> str:
    """Say what is wrong with the fields of a line."""
    if fields[-1] in ASV_KEYS or (len(fields) == 4 and fields[-1] == SPOOF):
        return (
            f"{' '.join(fields)!r} is of a speaker verification protocol (target, nontarget); expected the "
            f"countermeasure protocol of {COLUMNS}, from ASVspoof2019_{scenario}_cm_protocols"
        )
    if len(fields) != 5:
        return f"{' '.join(fields)!r} has {len(fields)} columns; expected {COLUMNS}"
    _, file, environment, attack, key = fields
    if not re.fullmatch(f"{scenario}_{SETS[name][1]}_[0-9]+", file):
        return f"file {file!r} in the {name} set of {scenario}; expected {scenario}_{SETS[name][1]}_ and digits"
    if environment not in ENVIRONMENTS[scenario]:
        return f"environment {environment!r}; expected {'aaa to ccc' if scenario == 'PA' else NOTHING}"
    if key not in KEYS:
        return f"key {key!r}{closest(key, KEYS)}; expected {' or '.join(KEYS)}"
    if key == BONAFIDE:
        return f"attack {attack!r} of bona fide speech; expected {NOTHING!r}: correct the attack or the key"
    known = ATTACKS[scenario]
    return f"attack {attack!r}{closest(attack, known)} of spoofed speech; expected one of {known[0]} to {known[-1]}"


def _walk(root: Path, scenario: str) -> Iterator[Utterance]:
    # Rows of one environment share their extra: of 218,430 rows of PA, 27 differ.
    extras = {
        word: {"scenario": scenario} | ({} if word == NOTHING else {"environment": word})
        for word in ENVIRONMENTS[scenario]
    }
    for name, (split, _, _) in SETS.items():
        folder = _audio(root, scenario, name)
        below = folder.relative_to(root).as_posix()
        for _, (speaker, file, environment, attack, key) in _lines(_protocol(root, scenario, name), scenario, name):
            yield Utterance(
                id=f"{below}/{file}.flac",
                path=Path(f"{folder}/{file}.flac"),
                speaker=speaker,
                split=split,
                language="en",
                attack=BONAFIDE if key == BONAFIDE else attack,
                extra=extras[environment],
            )


def _part_of(row: Utterance) -> str:
    """Return `train bonafide`, `dev spoof` and so on."""
    names = {split: name for name, (split, _, _) in SETS.items()}
    return f"{names[row.split or Split.TRAIN]} {BONAFIDE if row.attack == BONAFIDE else SPOOF}"


sheets.add(
    "asvspoof2019",
    Sheet(
        title="ASVspoof 2019, LA or PA",
        homepage=HOMEPAGE,
        licence="ODC-By 1.0",
        tree=(
            "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt (dev.trl, eval.trl)",
            "ASVspoof2019_LA_train/flac/LA_T_1138215.flac",
            "ASVspoof2019_LA_dev/flac/LA_D_1047731.flac",
            "ASVspoof2019_LA_eval/flac/LA_E_2834763.flac",
            "ASVspoof2019_LA_asv_scores/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt",
            "(PA in place of LA for replay)",
        ),
        part_of=_part_of,
        releases={
            "LA": (
                Part("train bonafide", 2_580, 20),
                Part("train spoof", 22_800, 20),
                Part("dev bonafide", 2_548, 20),
                Part("dev spoof", 22_296, 10),
                Part("eval bonafide", 7_355, 67),
                Part("eval spoof", 63_882, 48),
            ),
            "PA": (
                Part("train bonafide", 5_400),
                Part("train spoof", 48_600),
                Part("dev bonafide", 5_400),
                Part("dev spoof", 24_300),
                Part("eval bonafide", 18_090),
                Part("eval spoof", 116_640),
            ),
        },
        archives=(
            Archive(
                part="LA",
                url="https://datashare.ed.ac.uk/bitstream/handle/10283/3336/LA.zip",
                size_bytes=7_640_952_520,
                checksum="md5:30c98f11d8b2bc21f2c257bfd78bb5c5",
                strip=1,
            ),
        ),
        steps=(
            f"PA: fetch PA.zip (about 16.4 GB) from {HOMEPAGE}; no registration is needed.",
            "Unpack it: it makes the folder PA. Give each scenario a corpus of its own, with root set to LA or to PA.",
        ),
    ),
)
