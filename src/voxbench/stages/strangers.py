"""Whom a network knows of another corpus: a list of trials is for people that it neither learnt nor was validated on.

Two corpora may be one in two copies or parts, or may give the same name to different people, as two synthetic twins of
one layout do (`id10001` of either). So a name says who somebody is only where the two are evidently of one source: they
lie in one folder, or share a recording (as decoded) or a session of an equally named speaker, whatever its split. Then
every shared name counts, and so does a shared recording under another name. Where nothing is shared, equal names are
taken for those of different people, which is to be told with the figures. Hence two parts of one real corpus that share
no session of any speaker have to lie in one folder, or the people in both are not found out.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from voxbench.schema import Split
from voxbench.stages.workspace import Workspace

COLUMNS = ["speaker", "session", "audio_sha256", "split"]
"""What is read of both manifests."""


@dataclass(frozen=True)
class Acquaintance:
    """The speakers of a corpus whom a network knows, and `namesakes`: others with the name of somebody it knows."""

    known: frozenset[str]
    namesakes: frozenset[str]


def acquaintance(
    trained: pd.DataFrame, listed: pd.DataFrame, *, one_folder: bool, validated: bool = True
) -> Acquaintance:
    """Return whom of the manifest `listed` a network knows that was trained on the manifest `trained`.

    Both have `COLUMNS`; a session may be missing. Trained on or validated on are all rows that are not of the test;
    without `validated` only those trained on count, for what is fitted and no more judged.
    """
    strange = [Split.TEST] if validated else [Split.TEST, Split.VALID]
    learnt = frozenset(trained.loc[~trained["split"].isin(strange), "speaker"])
    named = learnt & frozenset(listed["speaker"])
    if not (one_folder or _related(trained, listed)):
        return Acquaintance(frozenset(), named)
    # All recordings of those people, for one that was not trained on tells who they are just as well.
    theirs = trained.loc[trained["speaker"].isin(learnt), "audio_sha256"]
    return Acquaintance(named | frozenset(listed.loc[listed["audio_sha256"].isin(theirs), "speaker"]), frozenset())


def acquainted(workspace: Workspace, trained: str, listed: str, *, validated: bool = True) -> Acquaintance:
    """Return whom of the corpus `listed` a network knows that was trained on the corpus `trained`."""
    manifests = [
        pd.read_parquet(workspace.prepared(name) / "manifest.parquet", columns=COLUMNS) for name in (trained, listed)
    ]
    corpora = workspace.params.corpora
    roots = {(workspace.root / corpora[name].root).resolve() for name in (trained, listed) if name in corpora}
    return acquaintance(*manifests, one_folder=len(roots) == 1, validated=validated)


def _related(trained: pd.DataFrame, listed: pd.DataFrame) -> bool:
    if listed["audio_sha256"].isin(trained["audio_sha256"]).any():
        return True
    keys = ["speaker", "session"]
    sessions = [rows[keys].dropna().drop_duplicates() for rows in (trained, listed)]
    return len(sessions[0].merge(sessions[1], on=keys)) > 0
