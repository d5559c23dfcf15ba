"""What prepare says of a corpus: what was found, kept and excluded, the splits, and the leakage certificate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.artifacts import read_json
from voxbench.schema import Split
from voxbench.tasks import Task


@dataclass(frozen=True)
class CorpusAccount:
    """The account of a corpus, for one task.

    `sizes` has one row for each split and class (split, class, clips, speakers), `totals` one for each split
    (clips, speakers, hours, indexed by split). `class_shares` (C,) are those of the training rows. `unlabelled`
    rows have no target and take no part.
    """

    funnel: dict[str, Any]
    leakage: dict[str, Any]
    excluded: pd.DataFrame
    sizes: pd.DataFrame
    totals: pd.DataFrame
    class_shares: np.ndarray
    unlabelled: int

    @property
    def synthetic(self) -> bool:
        """Say whether the licence calls the recordings synthetic."""
        return "synthetic" in self.funnel["licence"].lower()


def read_account(prepared: Path, task: Task) -> CorpusAccount:
    """Read what the prepare stage wrote in the folder `prepared`."""
    manifest = pd.read_parquet(prepared / "manifest.parquet")
    labelled = manifest[task.labelled(manifest)]
    targets = task.targets(labelled)
    training = targets[(labelled["split"] == Split.TRAIN).to_numpy()]
    return CorpusAccount(
        funnel=read_json(prepared / "funnel.json"),
        leakage=read_json(prepared / "leakage.json"),
        excluded=pd.read_csv(prepared / "excluded.csv", dtype=str, keep_default_na=False),
        sizes=_sizes(labelled.assign(target=targets), task.classes),
        totals=_totals(labelled),
        class_shares=np.bincount(training, minlength=len(task.classes)) / len(training),
        unlabelled=len(manifest) - len(labelled),
    )


def _sizes(rows: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    sizes = []
    for split in Split:
        for number, word in enumerate(classes):
            own = rows[(rows["split"] == split) & (rows["target"] == number)]
            sizes.append((str(split), word, len(own), own["speaker"].nunique()))
    return pd.DataFrame(sizes, columns=["split", "class", "clips", "speakers"])


def _totals(rows: pd.DataFrame) -> pd.DataFrame:
    groups = rows.groupby("split")
    totals = pd.DataFrame({"clips": groups.size(), "speakers": groups["speaker"].nunique()})
    totals["hours"] = groups["source_seconds"].sum() / 3600
    return totals.reindex([str(split) for split in Split], fill_value=0)
