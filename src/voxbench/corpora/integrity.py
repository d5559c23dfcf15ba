"""What must hold of a corpus before anything is trained on it: consistent labels, and no leak between splits."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pandas as pd

from voxbench.schema import InputError, Split

LEAKY_KEYS = ("speaker", "session", "audio_sha256")


def check_speakers(manifest: pd.DataFrame) -> None:
    """Refuse a corpus that gives one speaker two genders, naming the speaker and a recording of each."""
    labelled = manifest.dropna(subset=["gender"])
    genders = labelled.groupby("speaker")["gender"].nunique()
    if contradictory := genders.index[genders > 1].tolist():
        rows = labelled[labelled["speaker"] == contradictory[0]].drop_duplicates("gender")
        examples = " and ".join(f"{row.gender} ({row.id})" for row in rows.itertuples())
        raise InputError(
            f"speaker {contradictory[0]!r} is labelled {examples}; {len(contradictory)} speaker(s) contradict "
            "themselves: correct the metadata, or give two people two names"
        )


def certify(manifest: pd.DataFrame, by: str) -> dict[str, Any]:
    """Return the leakage certificate: how many speakers, sessions and audio hashes two splits share.

    `clean` is true when nothing is shared. A split by utterance shares speakers and sessions by intent: it is
    certified as leaky, not refused. Anything else that is shared raises `InputError` with an example.
    """
    overlaps = [
        _overlap(manifest, key, first, second) for key in LEAKY_KEYS for first, second in combinations(Split, 2)
    ]
    tolerated = {"speaker", "session"} if by == "utterance" else set()
    for overlap in overlaps:
        if overlap["shared"] and overlap["key"] not in tolerated:
            raise InputError(
                f"{overlap['shared']} {overlap['key']} value(s) occur in both {overlap['splits'][0]} and "
                f"{overlap['splits'][1]}, e.g. {overlap['examples'][0]!r} ({', '.join(overlap['rows'])}): "
                "remove the duplicates or correct the metadata"
            )
    counts = manifest.groupby("split")["speaker"].agg(rows="size", speakers="nunique")
    return {
        "by": by,
        "clean": not any(overlap["shared"] for overlap in overlaps),
        "splits": {
            str(split): {"rows": int(row.rows), "speakers": int(row.speakers)} for split, row in counts.iterrows()
        },
        "overlaps": [{key: overlap[key] for key in ("key", "splits", "shared")} for overlap in overlaps],
    }


def _overlap(manifest: pd.DataFrame, key: str, first: Split, second: Split) -> dict[str, Any]:
    sides = [set(manifest.loc[manifest["split"] == split, key].dropna()) for split in (first, second)]
    shared = sorted(sides[0] & sides[1])
    rows = manifest.loc[manifest[key] == shared[0], "id"].head(3).tolist() if shared else []
    return {
        "key": key,
        "splits": [str(first), str(second)],
        "shared": len(shared),
        "examples": shared[:3],
        "rows": rows,
    }
