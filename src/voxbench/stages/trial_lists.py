"""A corpus's lists of trials, stored beside its manifest: by the manifest's ids, each list with its hash.

`trials.parquet` has every trial of every list, in file order: `list` (the file), `name` and `is_cleaned` as
`voxbench.corpora.trials` knows them (null where unknown), `sha256` of what the list says, `truth` (1 target),
`enroll`, `test`, and `lost`: null for a trial that can be scored, else why one of its recordings is not there. That is
the reason of `excluded.csv`, or `not found` for one that the corpus's copy does not hold. `trials.json` counts all of
it, and names each such recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.artifacts import write_json
from voxbench.corpora.trials import ListIdentity, identify_list, read_trials
from voxbench.features.trial_lists import SIDES, STORED
from voxbench.schema import InputError

ACCOUNT = "trials.json"
NOT_FOUND = "not found"


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
