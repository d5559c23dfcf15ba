"""A corpus's lists of trials, stored beside its manifest: by the manifest's ids, each list with its hash.

`trials.parquet` has every trial of every list, in file order: `list` (the file), `name` and `is_cleaned` as
`voxbench.corpora.trials` knows them (null where unknown), `sha256` of what the list says, `truth` (1 target),
`enroll`, `test`, and `lost`: null for a trial that can be scored, else why one of its recordings is not there. That is
the reason of `excluded.csv`, or `not found` for one that the corpus's copy does not hold. `trials.json` counts all of
it, and names each such recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.artifacts import write_json
from voxbench.corpora.trials import ListIdentity, identify_list, read_trials
from voxbench.schema import InputError

STORED, ACCOUNT = "trials.parquet", "trials.json"
NOT_FOUND = "not found"
SIDES = ("enroll", "test")
DRAWN = "drawn by rule"


@dataclass(frozen=True, eq=False)
class TrialList:
    """Trials to score: `enroll`, `test` (ids of the manifest) and `truth` (1 target), and what is known of their list.

    `sha256` is that of what the list says, `lost` how many of its trials lack a recording and are not among `trials`.
    """

    name: str
    sha256: str
    is_cleaned: bool | None
    lost: int
    trials: pd.DataFrame

    def account(self) -> dict[str, Any]:
        """Return what is known of the list, and how many trials there are."""
        counts = {"trials": len(self.trials), "targets": int(self.trials["truth"].sum()), "lost": self.lost}
        return {"list": self.name, "sha256": self.sha256, "is_cleaned": self.is_cleaned, **counts}


def store_trials(folder: Path, lists: Sequence[tuple[str, Path]], most: float) -> str:
    """Store the trials of `lists` (name and file) in the prepared `folder`, and return what became of them, in a line.

    Raises InputError for a list that the folder's manifest contradicts, for a name of it that fits two recordings, and
    where a larger fraction than `most` of a list's trials is lost.
    """
    speakers = pd.read_parquet(folder / "manifest.parquet", columns=["id", "speaker"]).set_index("id")["speaker"]
    excluded = pd.read_csv(folder / "excluded.csv", dtype=str, keep_default_na=False).set_index("id")["reason"]
    tables, accounts, said = [], [], []
    for name, path in lists:
        identity, trials = identify_list(path), read_trials(path)
        table, missing = _resolved(trials, speakers, dict(excluded), path)
        accounts.append(_account(name, identity, table, missing))
        said.append(f"{name}: {accounts[-1]['usable']} of {len(table)} trials")
        if (lost := int(table["lost"].notna().sum())) > most * len(table):
            first = next(iter(missing.items()))
            raise InputError(
                f"{lost} of {len(table)} trials of {path} are lost with their recordings (first: "
                f"{first[0]}: {first[1]}), more than max_excluded_fraction {most:g}: complete the corpus, leave the "
                "list out, or raise it"
            )
        table.insert(0, "list", name)
        tables.append(table.assign(name=identity.name, is_cleaned=identity.is_cleaned, sha256=identity.sha256))
    whole = pd.concat(tables, ignore_index=True).astype({"is_cleaned": "boolean", "lost": "string"})
    whole.to_parquet(folder / STORED, index=False)
    write_json(folder / ACCOUNT, accounts)
    return "; ".join(said)


def usable_trials(path: Path, name: str) -> TrialList:
    """Return the trials of one stored list that can be scored, in file order."""
    table = pd.read_parquet(path, filters=[("list", "==", name)])
    if table.empty:
        raise InputError(f"{path} holds no list {name!r}: run the prepare stage again")
    usable, first = table["lost"].isna(), table.iloc[0]
    trials = table.loc[usable, [*SIDES, "truth"]].reset_index(drop=True)
    is_cleaned = None if pd.isna(first["is_cleaned"]) else bool(first["is_cleaned"])
    return TrialList(name, first["sha256"], is_cleaned, int((~usable).sum()), trials)


def drawn_list(trials: pd.DataFrame) -> TrialList:
    """Return drawn trials as a list, whose hash is that of the lines `label enroll test` that it would have."""
    lines = (f"{truth} {enroll} {test}\n" for enroll, test, truth in trials[[*SIDES, "truth"]].itertuples(index=False))
    return TrialList(DRAWN, hashlib.sha256("".join(lines).encode()).hexdigest(), None, 0, trials)


def _resolved(
    trials: pd.DataFrame, speakers: pd.Series, excluded: Mapping[str, str], path: Path
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the trials by the manifest's ids, with what is lost, and the reason of each missing recording."""
    depth = str(trials["enroll"].iloc[0]).count("/") + 1
    known: dict[str, str] = {}
    for row_id in (*speakers.index, *excluded):
        short = "/".join(row_id.split("/")[-depth:])
        if (other := known.setdefault(short, row_id)) != row_id:
            raise InputError(f"{short} of {path} may be {other} or {row_id}: keep one copy of it in the corpus")
    table = pd.DataFrame({side: trials[side].map(known).fillna(trials[side]) for side in SIDES})
    table["truth"] = trials["label"]
    names = pd.unique(table[list(SIDES)].to_numpy().ravel())
    missing = {str(name): excluded.get(name, NOT_FOUND) for name in names if name not in speakers.index}
    reasons = [table[side].map(missing) for side in SIDES]
    table["lost"] = reasons[0].fillna(reasons[1])
    enroll, test = (table[side].map(speakers) for side in SIDES)
    wrong = table["lost"].isna() & ((enroll == test) != (table["truth"] == 1))
    if wrong.any():
        first = table[wrong].iloc[0]
        raise InputError(
            f"{path}: {int(wrong.sum())} labels contradict the corpus's speakers, the first is {first['truth']} for "
            f"{first['enroll']} and {first['test']}: take the list of this corpus"
        )
    return table, missing


def _account(name: str, identity: ListIdentity, table: pd.DataFrame, missing: Mapping[str, str]) -> dict[str, Any]:
    usable = table["lost"].isna()
    return {
        "list": name,
        **asdict(identity),
        "targets": int(table["truth"].sum()),
        "usable": int(usable.sum()),
        "usable_targets": int(table.loc[usable, "truth"].sum()),
        "lost": {str(reason): int(count) for reason, count in table["lost"].value_counts().sort_index().items()},
        "recordings": dict(sorted(missing.items())),
    }
