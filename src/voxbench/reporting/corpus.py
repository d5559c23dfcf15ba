"""What prepare says of a corpus: what was found, kept and excluded, the splits, and the leakage certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.artifacts import read_json
from voxbench.reporting.probes import CLUES
from voxbench.reporting.scored import people
from voxbench.schema import GENDERS, ScoreKind, Split, age_group
from voxbench.tasks import Task
from voxbench.transcripts.alphabet import decode

FACTS = ("id", "speaker", "session", "split", "gender", "age_years", "age_group", "language", "kept_seconds", "attack")
EXTRAS = ("dialect", "snr_db")


@dataclass(frozen=True)
class CorpusAccount:
    """The account of a corpus, for one task.

    `labelled` has one row for each recording with a target: `FACTS`, `EXTRAS` and what probes know where the manifest
    has them, and the `target`, of words their text; where recordings are detected one by one, `extra_KEY` of the
    corpus's own as well. `sizes` has one row for each split and class, or gender for a task of values, of words or of
    pairs (split, class, clips, speakers); `parts` says which of both. `totals` has one for each split (clips, speakers,
    hours, and `low`, `median`, `high` of a target in numbers, indexed by split). `unlabelled` rows have no target and
    take no part. `leakage` certifies the split, `leakage_utterance` says what the split by utterance shares, and is
    empty where prepare made none.
    """

    funnel: dict[str, Any]
    leakage: dict[str, Any]
    leakage_utterance: dict[str, Any]
    excluded: pd.DataFrame
    labelled: pd.DataFrame
    sizes: pd.DataFrame
    totals: pd.DataFrame
    unlabelled: int
    parts: str

    @property
    def synthetic(self) -> bool:
        """Say whether the licence calls the recordings synthetic."""
        return "synthetic" in self.funnel["licence"].lower()

    @property
    def languages(self) -> frozenset[str]:
        """Return the languages of the labelled recordings, as far as they are known."""
        return frozenset(self.labelled["language"].dropna()) if "language" in self.labelled else frozenset()


def read_account(prepared: Path, task: Task) -> CorpusAccount:
    """Read what the prepare stage wrote in the folder `prepared`."""
    manifest = pd.read_parquet(prepared / "manifest.parquet")
    rows = manifest[task.labelled(manifest)]
    labelled, leaky = _facts(rows).assign(target=_targets(task, rows)), prepared / "leakage-utterance.json"
    if task.score_kind is ScoreKind.DETECTION and not task.pairs:
        labelled = labelled.join(rows[[name for name in rows if name.startswith("extra_")]])
    return CorpusAccount(
        funnel=read_json(prepared / "funnel.json"),
        leakage=read_json(prepared / "leakage.json"),
        leakage_utterance=read_json(leaky) if leaky.is_file() else {},
        excluded=pd.read_csv(prepared / "excluded.csv", dtype=str, keep_default_na=False),
        labelled=labelled,
        # The classes of pairs are of trials, not of recordings.
        sizes=_sizes(labelled, () if task.pairs else task.classes),
        totals=_totals(labelled.assign(seconds=rows["source_seconds"]), task),
        unlabelled=len(manifest) - len(labelled),
        parts="class" if task.classes and not task.pairs else "sex",
    )


def _targets(task: Task, rows: pd.DataFrame) -> list[str] | np.ndarray:
    """Return a task's targets of the recordings: classes, values, or texts as they are to be written."""
    targets = task.targets(rows)
    return decode(targets) if task.score_kind is ScoreKind.TEXT else targets


def _facts(rows: pd.DataFrame) -> pd.DataFrame:
    columns = dict.fromkeys((*FACTS, *(name for names in CLUES.values() for name in names)))
    facts = rows[[name for name in columns if name in rows]].copy()
    for name in EXTRAS:
        if f"extra_{name}" in rows:
            facts[name] = rows[f"extra_{name}"]
    if "age_years" in facts:
        from_years = facts["age_years"].astype(float).map(age_group, na_action="ignore").astype(object)
        stated = facts["age_group"].astype(object) if "age_group" in facts else from_years
        facts["age_group"] = stated.where(stated.notna(), from_years)
    if "speakers" in rows:
        facts["speakers"] = rows["speakers"]
    return facts


def _sizes(labelled: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    if classes:
        word = labelled["target"].map(dict(enumerate(classes)))
    else:
        word = pd.Series("unknown", labelled.index)
        if "gender" in labelled:
            word = labelled["gender"].where(labelled["gender"].notna(), word)
    words = classes or tuple(each for each in (*GENDERS, "unknown") if (word == each).any())
    sizes = []
    for split in Split:
        for each in words:
            own = labelled[(labelled["split"] == split) & (word == each)]
            sizes.append((str(split), each, len(own), people(own)))
    return pd.DataFrame(sizes, columns=["split", "class", "clips", "speakers"])


def _totals(labelled: pd.DataFrame, task: Task) -> pd.DataFrame:
    groups = labelled.groupby("split")
    heard = pd.Series({split: people(own) for split, own in groups}, dtype=int)
    totals = pd.DataFrame({"clips": groups.size(), "speakers": heard})
    totals["hours"] = groups["seconds"].sum() / 3600
    if task.score_kind is ScoreKind.VALUE:
        totals = totals.join(groups["target"].agg(low="min", median="median", high="max"))
    return totals.reindex([str(split) for split in Split], fill_value=0)
