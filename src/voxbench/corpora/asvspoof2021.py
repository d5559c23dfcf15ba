"""ASVspoof 2021: the attacks of 2019 through telephone lines (LA) and media codecs (DF), and real replay (PA).

Liu, Wang, Sahidullah, Patino, Delgado, Kinnunen et al., "ASVspoof 2021: towards spoofed and deepfake speech detection
in the wild", IEEE/ACM TASLP 31, 2023; https://www.asvspoof.org/index2021.html; columns as the organisers' evaluation
package explains them (GitHub `asvspoof-challenge/2021`, `eval-package/README.md` and `config.py`). All of it is for
testing: train on ASVspoof 2019. FLAC, 16 kHz, mono, 16 bit.

Licences: ODC-By 1.0 (web page, and the LA archive). The DF archive says ODbL 1.0 for the database and DbCL 1.0 for its
contents, as Zenodo does; the stricter of the two is meant here.

The root is the folder of one scenario, LA, DF or PA (here DF, whose audio comes in four archives, that of PA in seven):

    ASVspoof2021_DF_eval/flac/DF_E_2000011.flac                    the archives unpacked in one place, or
    ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac/...      each in a folder of its own, there or one level below
    keys/DF/CM/trial_metadata.txt                                  from DF-keys-full.tar.gz
    keys/LA/ASV/...                                                LA and PA: see `asv_scores`

The keys have no header; columns are separated by blanks, `-` stands for what does not apply:

    LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval
    LA_0020 LA_E_7294490 g722 loc_tx bonafide bonafide notrim eval
    LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -
    TEF2 DF_E_2000013 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder_nonautoregressive Task1 team20 FF E
    PA_0010 PA_E_1000001 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval

- LA: codec none alaw pstn g722 ulaw gsm opus; transmission between France and Italy (ita_tx), Singapore (sin_tx),
  local (loc_tx), through the public network to Spain (mad_tx); attack A07-A19 of 2019.
- DF: compression nocodec, low and high mp3, m4a, ogg, mp3m4a, oggm4a; source asvspoof, vcc2018, vcc2020.
- PA: room (R1-R9), microphone (M1-M3) and distance (D1-D6 of the talker, d1-d6 of the loudspeaker) of the verification
  system; room (r1-r9), microphone (m1-m3), replay device (s2-s4) and distance to the talker (c2-c4) of the attacker.
- All: trim (speech pauses cut off) or notrim; subset progress, eval or hidden.

| scenario | eval    | progress | hidden  | all     | bona fide | spoof   |
|----------|---------|----------|---------|---------|-----------|---------|
| LA       | 148,176 | 16,464   | 16,926  | 181,566 | 18,452    | 163,114 |
| DF       | 533,928 | 59,325   | 18,576  | 611,829 | 22,617    | 589,212 |
| PA       | 721,332 | 87,048   | 134,730 | 943,110 |           |         |

Counts are those that users of the keys report; results are usually of the eval subset (DF: 14,869 and 519,059).

Deviations: every row is of the test split. PA has no column for the attack: a spoofed row's is `c4-s4`, the attacker's
distance and device. Its hidden subset is two, as in the organisers' package: hidden1 (notrim, simulated) and hidden2
(trim). Columns that hold `-` have no key in `extra`. The sentence's language is English except in vcc2020, where it is
None. Where several audio folders hold no file of a trial, its row points to the first folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from voxbench.corpora.asvspoof2019 import ATTACKS, KEYS, NOTHING, SPOOF
from voxbench.corpora.registries import readers, sheets
from voxbench.corpora.sheets import Archive, Part, Sheet
from voxbench.corpora.tables import read_lines
from voxbench.registry import closest
from voxbench.schema import BONAFIDE, InputError, Split, Utterance

SPEAKER, TRIAL, ATTACK, KEY, TRIM, SUBSET = "speaker", "trial", "attack", "key", "trim", "subset"
DEVICE, DISTANCE = "replay_device", "attacker_to_talker"
COLUMNS = {
    "LA": (SPEAKER, TRIAL, "codec", "transmission", ATTACK, KEY, TRIM, SUBSET),
    "DF": (
        *(SPEAKER, TRIAL, "compression", "source", ATTACK, KEY, TRIM, SUBSET),
        *("vocoder", "task", "team", "gender_pair", "language"),
    ),
    "PA": (
        *(SPEAKER, TRIAL, "asv_room", "asv_microphone", "distance_to_asv"),
        *("attacker_room", "attacker_microphone", DEVICE, DISTANCE, KEY, TRIM, SUBSET),
    ),
}
"""The columns of the keys, under the names that `extra` gives them."""

SCENARIO_WITHOUT_ASV = ("DF",)
NOT_EXTRA = (SPEAKER, TRIAL, ATTACK, KEY)
TRIMS = ("notrim", "trim")
SUBSETS = ("progress", "eval", "hidden")
HIDDEN_PA = {"notrim": "hidden1", "trim": "hidden2"}
TRIALS = 10_000_000
"""Trials are numbered with seven digits."""

KEYS_URL = "https://www.asvspoof.org/asvspoof2021/{}-keys-full.tar.gz"
ZENODO = {"LA": "4837263", "DF": "4835108", "PA": "4834716"}
HOMEPAGE = "https://www.asvspoof.org/index2021.html"


@readers.register("asvspoof2021")
def read(root: Path) -> Iterator[Utterance]:
    """Yield one utterance per line of the scenario's key, in file order.

    All lines are checked before the first row. Raises InputError for a root without audio folder, of several scenarios,
    or without the key (rows without labels would serve no purpose), for a wrong number of columns, an unknown key,
    subset, trim or attack word, an attack that contradicts its key, a trial that is listed twice, and a trial whose
    audio lies in two folders.
    """
    scenario = find_scenario(root)
    key = root / "keys" / scenario / "CM" / "trial_metadata.txt"
    if not key.is_file():
        raise InputError(
            f"no {key}; the audio alone has no labels: fetch {KEYS_URL.format(scenario)} and unpack it in {root}"
        )
    folders = _audio_folders(root, scenario)
    seen = bytearray(TRIALS)
    for number, fields in _trials(key, scenario):
        trial = int(fields[1][5:])
        if seen[trial]:
            raise InputError(f"{key} line {number}: {fields[1]} again; keep one line")
        seen[trial] = 1
    return _walk(root, scenario, key, folders)


def find_scenario(root: Path) -> str:
    """Return LA, DF or PA, whichever audio the root holds; raises InputError for none or several."""
    if not root.is_dir():
        raise InputError(f"ASVspoof 2021 root {root} is not a folder; expected {_tree('LA')}")
    found = [scenario for scenario in COLUMNS if any(root.glob(f"ASVspoof2021_{scenario}_eval*"))]
    if len(found) == 1:
        return found[0]
    below = [f"{name}/" for name in sorted(os.listdir(root)) if any(root.glob(f"{name}/ASVspoof2021_*_eval*"))]
    if found:
        what = f"{' and '.join(found)}, and a corpus is one scenario: move each into a folder of its own"
    elif below:
        what = f"no audio folder of ASVspoof 2021, but its {below[0]} does: set root to {root / below[0]}"
    else:
        what = f"no audio folder of ASVspoof 2021; expected {_tree('LA')} (or DF or PA)"
    raise InputError(f"{root} holds {what}")


def _tree(scenario: str) -> str:
    return f"ASVspoof2021_{scenario}_eval/flac/{scenario}_E_1234567.flac and keys/{scenario}/CM/trial_metadata.txt"


def _audio_folders(root: Path, scenario: str) -> list[Path]:
    """Return the folders that hold the audio: one, or that of each part archive."""
    name = f"ASVspoof2021_{scenario}_eval"
    part = f"{name}_part[0-9][0-9]"
    forms = (f"{name}/flac", f"{part}/flac", f"{part}/{name}/flac", f"{name}/{part}/flac", f"{name}/{part}/{name}/flac")
    folders = [folder for form in forms for folder in sorted(root.glob(form)) if folder.is_dir()]
    if not folders:
        raise InputError(
            f"no flac folder of {scenario} in {root}; expected {_tree(scenario)}: unpack the archives there"
        )
    return folders


def read_fields(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of every line that is not blank; InputError for another number of columns or no line."""
    if not path.is_file():
        raise InputError(f"no {path}; expected lines of {' '.join(columns)}")
    empty = True
    for number, line in read_lines(path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != len(columns):
            raise InputError(
                f"{path} line {number}: {' '.join(fields)[:100]!r} has {len(fields)} columns; "
                f"expected {len(columns)}: {' '.join(columns)}"
            )
        empty = False
        yield number, fields
    if empty:
        raise InputError(f"{path} is empty; expected lines of {' '.join(columns)}")


def _trials(path: Path, scenario: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of every line of a key, checked."""
    columns = COLUMNS[scenario]
    key, trim, subset = (columns.index(name) for name in (KEY, TRIM, SUBSET))
    attack = columns.index(ATTACK) if ATTACK in columns else None
    trial = re.compile(f"{scenario}_E_[0-9]{{7}}").fullmatch
    for number, fields in read_fields(path, columns):
        place = f"{path} line {number}"
        if fields[key] not in KEYS or fields[trim] not in TRIMS or fields[subset] not in SUBSETS:
            for name, index, words in ((KEY, key, KEYS), (TRIM, trim, TRIMS), (SUBSET, subset, SUBSETS)):
                _require(name, fields[index], words, place)
        if trial(fields[1]) is None:
            raise InputError(f"{place}: trial {fields[1]!r}; expected {scenario}_E_ and seven digits")
        if attack is not None:
            _require_attack(fields[attack], fields[key], scenario, place)
        yield number, fields


def _require(name: str, word: str, words: Sequence[str], place: str) -> None:
    if word not in words:
        raise InputError(f"{place}: {name} {word!r}{closest(word, words)}; expected {', '.join(words)}")


def _require_attack(attack: str, key: str, scenario: str, place: str) -> None:
    """Refuse an attack that contradicts its key; LA's are those of 2019, DF's systems of three challenges."""
    if (attack in (NOTHING, BONAFIDE)) != (key == BONAFIDE):
        raise InputError(f"{place}: attack {attack!r} contradicts the key {key!r}; correct one of them")
    if key == SPOOF and scenario == "LA":
        _require(ATTACK, attack, ATTACKS["LA"], place)


def replay_attack(facts: Mapping[str, str]) -> str:
    """Return the name of a replay attack: the attacker's distance and device, `c4-s4`; `replay` where neither is known.

    >>> replay_attack({"attacker_to_talker": "c4", "replay_device": "s2"})
    'c4-s2'
    """
    known = (facts.get(name, NOTHING) for name in (DISTANCE, DEVICE))
    return "-".join(word for word in known if word != NOTHING) or "replay"


def _walk(root: Path, scenario: str, key: Path, folders: list[Path]) -> Iterator[Utterance]:
    columns = COLUMNS[scenario]
    kept = [(column, name) for column, name in enumerate(columns) if name not in NOT_EXTRA]
    key_column, source = columns.index(KEY), columns.index("source") if "source" in columns else 0
    places = _places(folders, scenario)
    below = [folder.relative_to(root).as_posix() for folder in folders]
    for _, fields in _trials(key, scenario):
        trial = fields[1]
        place = places[int(trial[5:])] if places else 0
        extra = {name: fields[column] for column, name in kept if fields[column] != NOTHING}
        attack = BONAFIDE
        if fields[key_column] == SPOOF:
            attack = replay_attack(extra) if scenario == "PA" else fields[columns.index(ATTACK)]
        if scenario == "PA" and extra[SUBSET] == "hidden":
            extra[SUBSET] = HIDDEN_PA[extra[TRIM]]
        extra["scenario"] = scenario
        yield Utterance(
            id=f"{below[place]}/{trial}.flac",
            path=Path(f"{folders[place]}/{trial}.flac"),
            speaker=fields[0],
            split=Split.TEST,
            language=None if fields[source] == "vcc2020" else "en",
            attack=attack,
            extra=extra,
        )


def _places(folders: list[Path], scenario: str) -> bytearray:
    """Return in which of several folders each trial's file lies; one folder needs no look."""
    if len(folders) == 1:
        return bytearray()
    places, found = bytearray(TRIALS), bytearray(TRIALS)
    trial = re.compile(f"{scenario}_E_([0-9]{{7}})\\.flac").fullmatch
    for place, folder in enumerate(folders):
        for match in filter(None, map(trial, os.listdir(folder))):
            number = int(match[1])
            if found[number]:
                raise InputError(f"{match[0]} lies in {folders[places[number]]} and {folder}; keep one of them")
            places[number], found[number] = place, 1
    return places


def _part_of(row: Utterance) -> str:
    """Return `eval`, `progress` or `hidden`."""
    return re.sub("[12]$", "", row.extra[SUBSET])


def _audio(scenario: str, suffix: str, size_bytes: int, md5: str | None) -> Archive:
    return Archive(
        part=scenario,
        url=f"https://zenodo.org/records/{ZENODO[scenario]}/files/ASVspoof2021_{scenario}_eval{suffix}.tar.gz",
        size_bytes=size_bytes,
        checksum=None if md5 is None else f"md5:{md5}",
    )


sheets.add(
    "asvspoof2021",
    Sheet(
        title="ASVspoof 2021, LA, DF or PA",
        homepage=HOMEPAGE,
        licence="ODC-By 1.0; DF: ODbL 1.0 and DbCL 1.0",
        tree=(
            "ASVspoof2021_LA_eval/flac/LA_E_9332881.flac",
            "keys/LA/CM/trial_metadata.txt",
            "keys/LA/ASV/trial_metadata.txt and ASVTorch_Kaldi/score.txt (LA and PA)",
            "(DF or PA in place of LA; their parts in one folder, or in ASVspoof2021_DF_eval_part00 and so on)",
        ),
        part_of=_part_of,
        releases={
            "LA": (Part("eval", 148_176), Part("progress", 16_464), Part("hidden", 16_926)),
            "DF": (Part("eval", 533_928), Part("progress", 59_325), Part("hidden", 18_576)),
            "PA": (Part("eval", 721_332), Part("progress", 87_048), Part("hidden", 134_730)),
        },
        # Two users' scripts agree on the first three checksums of DF and contradict each other on the fourth.
        archives=(
            _audio("DF", "_part00", 8_637_050_238, "4f2cbae07cf3ede2a1dde3b8d2ee55ea"),
            _audio("DF", "_part01", 8_624_944_890, "1578c89ab433c2b60b1dce93bdf8fbec"),
            _audio("DF", "_part02", 8_616_337_195, "5497a35f0126e94a1d7a7d26db57b4f7"),
            _audio("DF", "_part03", 8_656_151_261, None),
        ),
        steps=(
            "LA: fetch ASVspoof2021_LA_eval.tar.gz (about 7.8 GB, MD5 2abee34d8b0b91159555fc4f016e4562) from "
            "https://zenodo.org/records/4837263.",
            "PA: fetch ASVspoof2021_PA_eval_part00.tar.gz to part06 from https://zenodo.org/records/4834716.",
            "Unpack all parts of a scenario in one folder, which is the root.",
            "Keys: fetch https://www.asvspoof.org/asvspoof2021/LA-keys-full.tar.gz (or DF, PA; MD5 of PA "
            "a639ea472cf4fb564a62fbc7383c24cf, of DF dabbc5628de4fcef53036c99ac7ab93a) and unpack it in the root.",
        ),
    ),
)
