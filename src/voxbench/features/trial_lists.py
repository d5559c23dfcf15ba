"""Lists of trials to score: one of those that the prepare stage stored beside the manifest, or one drawn by rule."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from voxbench.schema import InputError

STORED = "trials.parquet"
LISTS = "trials.json"
"""Beside the score table of a training run: which list each split was scored on."""
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
