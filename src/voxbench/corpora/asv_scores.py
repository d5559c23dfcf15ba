"""Scores of the speaker verification system that a tandem cost (t-DCF) needs, and which set of trials they belong to.

Kinnunen et al., "Tandem assessment of spoofing countermeasures and automatic speaker verification: fundamentals",
IEEE/ACM TASLP 28, 2020. The organisers of ASVspoof publish the scores of their own verification system.

ASVspoof 2019: `ASVspoof2019.LA.asv.{dev,eval}.gi.trl.scores.txt`, three columns separated by blanks:

    bonafide target 7.981530
    bonafide nontarget -15.40173
    A07 spoof 1.523430

ASVspoof 2021: `keys/LA/ASV/ASVTorch_Kaldi/score.txt` of claimed speaker, trial and score, and beside it
`keys/LA/ASV/trial_metadata.txt`, line for line the same trials in the columns of the scenario's countermeasure key,
with target, nontarget or spoof where that has bonafide or spoof (as the organisers' `eval-package` joins them).

A countermeasure's scores go with the verification scores of the same set: those of another change the t-DCF without a
word. A set is known by the number of spoofed trials of each attack, since every spoofed recording is one trial (LA
2019: 22,296 of dev, 63,882 of eval), and the official files by their SHA-256 as well.

Deviation: which set the file belongs to is not written in it, so two sets with equal counts cannot be told apart.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from sys import intern

import numpy as np
import pandas as pd

from voxbench.corpora.asvspoof2019 import ATTACKS, NOTHING, SPOOF
from voxbench.corpora.asvspoof2021 import (
    ATTACK,
    COLUMNS,
    DEVICE,
    DISTANCE,
    KEY,
    SCENARIO_WITHOUT_ASV,
    TRIAL,
    read_fields,
    replay_attack,
)
from voxbench.registry import closest
from voxbench.schema import BONAFIDE, InputError

KEYS = ("target", "nontarget", SPOOF)
KNOWN_ATTACKS = frozenset(attack for attacks in ATTACKS.values() for attack in attacks)
OFFICIAL = {
    "fe8114cf608c3062c141df5979892eba9664aa37a8c99e97157f129d679d3389": "ASVspoof 2019 LA dev",
    "e049f322fef221a7e549dc973bb4cf508e9de221eed27dd09a25d46dee595a33": "ASVspoof 2019 LA eval",
}
"""SHA-256 of the published files, computed from them."""


@dataclass(frozen=True, slots=True)
class AsvSet:
    """Which trials a file of verification scores is about.

    `sha256` is the file's, `name` the official set's where the file is one of those published, else None; `spoofs`
    counts the spoofed trials of each attack.
    """

    sha256: str
    name: str | None
    spoofs: Mapping[str, int]


def read_asv_scores(path: Path) -> pd.DataFrame:
    """Read scores in the form of ASVspoof 2019: columns `source` (bonafide or an attack), `key` and `score` (float64).

    Rows keep the file's order; a higher score means more target. Raises InputError, with the line's number, for a wrong
    number of columns, an unknown source or key, a source that contradicts its key, and a score that is no finite
    number; and for a missing or empty file.
    """
    sources: list[str] = []
    keys: list[str] = []
    scores = array("d")
    for number, (source, key, score) in read_fields(path, ("source", "key", "score")):
        place = f"{path} line {number}"
        if key not in KEYS:
            raise InputError(f"{place}: key {key!r}{closest(key, KEYS)}; expected {', '.join(KEYS)}")
        if source != BONAFIDE and source not in KNOWN_ATTACKS:
            raise InputError(f"{place}: source {source!r}; expected {BONAFIDE}, A01 to A19 or AA to CC")
        if (source == BONAFIDE) == (key == SPOOF):
            raise InputError(f"{place}: source {source!r} contradicts the key {key!r}; correct one of them")
        # A million rows share their few words.
        sources.append(intern(source))
        keys.append(intern(key))
        scores.append(_score(score, path, number))
    return pd.DataFrame({"source": sources, "key": keys, "score": scores})


def read_asv_scores_2021(scores: Path, metadata: Path, scenario: str) -> pd.DataFrame:
    """Read scores in the form of ASVspoof 2021 with their metadata, line for line.

    Columns: `source`, `key` and `score` as of `read_asv_scores`, `claimed` (the speaker a trial claims to be), `trial`,
    and what the metadata say beside (LA: `codec`, `transmission`, `trim`, `subset`; PA: rooms, microphones, distances).
    Words are categorical: PA has 2.5 million trials. Raises InputError, with the line's number, where one file has a
    line that the other has not, the two name different trials, a column is wrong or a score is no finite number; and
    for DF, which has no verification system.
    """
    if scenario not in COLUMNS or scenario in SCENARIO_WITHOUT_ASV:
        raise InputError(f"scenario {scenario!r} of ASVspoof 2021 has no verification scores; expected LA or PA")
    columns = COLUMNS[scenario]
    described = [columns.index(name) for name in columns if name in (ATTACK, KEY, DISTANCE, DEVICE)]
    sources: dict[tuple[str, ...], str] = {}
    words: list[dict[str, int]] = [{} for _ in ("source", *columns)]
    codes = [array("i") for _ in words]
    values = array("d")
    for row, trial in zip_longest(read_fields(scores, ("claimed", TRIAL, "score")), read_fields(metadata, columns)):
        if row is None or trial is None:
            ended, goes_on = (scores, trial[0]) if row is None else (metadata, row[0])
            raise InputError(f"{ended} ends where the other file has line {goes_on}; both must list the same trials")
        (number, (claimed, name, score)), (line, fields) = row, trial
        if claimed != fields[0] or name != fields[1]:
            raise InputError(
                f"{scores} line {number}: trial {claimed} {name}, but {metadata} line {line} has {fields[0]} "
                f"{fields[1]}; use the two files of one package"
            )
        facts = tuple([fields[column] for column in described])
        if facts not in sources:
            sources[facts] = _source(dict(zip(columns, fields, strict=True)), f"{metadata} line {line}")
        for known, place, word in zip(words, codes, (sources[facts], *fields), strict=True):
            place.append(known.setdefault(word, len(known)))
        values.append(_score(score, scores, number))
    names = ("source", "claimed", *columns[1:])
    table = {
        name: pd.Categorical.from_codes(np.frombuffer(place, np.int32), list(known))
        for name, known, place in zip(names, words, codes, strict=True)
    }
    return pd.DataFrame(table | {"score": values})


def _source(facts: Mapping[str, str], place: str) -> str:
    """Return `bonafide` or the attack of a trial of 2021."""
    if facts[KEY] not in KEYS:
        raise InputError(f"{place}: key {facts[KEY]!r}{closest(facts[KEY], KEYS)}; expected {', '.join(KEYS)}")
    attack = facts.get(ATTACK)
    if attack is None:
        return replay_attack(facts) if facts[KEY] == SPOOF else BONAFIDE
    if (attack in (BONAFIDE, NOTHING)) == (facts[KEY] == SPOOF):
        raise InputError(f"{place}: attack {attack!r} contradicts the key {facts[KEY]!r}; correct one of them")
    return attack if facts[KEY] == SPOOF else BONAFIDE


def identify_asv_scores(path: Path) -> AsvSet:
    """Return which trials a file of ASVspoof 2019 scores is about; raises InputError as `read_asv_scores` does."""
    table = read_asv_scores(path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return AsvSet(sha256, OFFICIAL.get(sha256), count_spoofs(table))


def count_spoofs(table: pd.DataFrame) -> dict[str, int]:
    """Return the number of spoofed trials of each attack, by name."""
    counts = table.loc[table["key"] == SPOOF, "source"].astype(str).value_counts()
    return {str(attack): int(counts[attack]) for attack in sorted(counts.index)}


def require_same_set(asv: AsvSet, cm_spoofs: Mapping[str, int], place: str) -> None:
    """Refuse verification scores of another set than a countermeasure's.

    `cm_spoofs` counts the countermeasure's spoofed trials of each attack, `place` names its scores. Raises InputError
    where an attack is on one side only, or its counts differ.
    """
    if dict(asv.spoofs) == dict(cm_spoofs):
        return
    differing = sorted(
        attack for attack in {*asv.spoofs, *cm_spoofs} if asv.spoofs.get(attack, 0) != cm_spoofs.get(attack, 0)
    )
    first = differing[0]
    raise InputError(
        f"the verification scores{f' ({asv.name})' if asv.name else ''} are of another set than {place}: "
        f"{asv.spoofs.get(first, 0)} and {cm_spoofs.get(first, 0)} spoofed trials of {first}, and {len(differing) - 1} "
        "more attacks differ; use the dev scores with dev and the eval scores with eval"
    )


def _score(word: str, path: Path, number: int) -> float:
    try:
        score = float(word)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(
            f"{path} line {number}: score {word!r}; expected a finite number: a t-DCF of it would mean nothing"
        )
    return score
