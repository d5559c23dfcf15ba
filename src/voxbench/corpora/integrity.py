"""What must hold of a corpus before anything is trained on it: consistent labels, no copies, no leak between splits."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from voxbench.schema import InputError, Split, Utterance

LEAKY_KEYS = ("speaker", "session", "audio_sha256")
DUPLICATE, CONTRADICTORY = "duplicate", "contradictory_duplicate"
ABOUT_AUDIO = ("speaker", "gender", "attack")
"""What two copies of one recording cannot differ in without one of them being wrong."""
KEEP_FIRST = {str(Split.TEST): 0, str(Split.VALID): 1, str(Split.TRAIN): 2}


class Speakers:
    """The genders that a corpus gives its speakers, one recording at a time; memory grows with speakers only."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}
        self._other: dict[str, tuple[str, str]] = {}

    def hear(self, utterance: Utterance) -> None:
        """Take note of one recording."""
        if utterance.gender is not None:
            gender, _ = self._first.setdefault(utterance.speaker, (utterance.gender, utterance.id))
            if gender != utterance.gender:
                self._other.setdefault(utterance.speaker, (utterance.gender, utterance.id))

    def check(self) -> None:
        """Refuse a corpus that gives one speaker two genders, naming the speaker and a recording of each."""
        for speaker, other in self._other.items():
            examples = " and ".join(f"{gender} ({row_id})" for gender, row_id in (self._first[speaker], other))
            raise InputError(
                f"speaker {speaker!r} is labelled {examples}; {len(self._other)} speaker(s) contradict "
                "themselves: correct the metadata, or give two people two names"
            )


def find_copies(rows: pd.DataFrame) -> pd.DataFrame:
    """Return which rows repeat the audio of another, with `reason` and `detail`, indexed like `rows`.

    `rows` has the columns id, audio_sha256, split and `ABOUT_AUDIO`. Of equal recordings that are labelled alike one
    is kept: of the official test set if there is one, else of validation, else of training, and of those the first.
    Where copies contradict each other none can be trusted, and none is kept.
    """
    copied = rows[rows["audio_sha256"].duplicated(keep=False)]
    found = []
    for _, alike in copied.groupby("audio_sha256", sort=False):
        order = alike["split"].map(KEEP_FIRST).fillna(len(KEEP_FIRST)).to_numpy(dtype=float)
        alike = alike.iloc[np.argsort(order, kind="stable")]
        kept = alike["id"].iloc[0]
        differ = [name for name in ABOUT_AUDIO if alike[name].nunique(dropna=False) > 1]
        if differ:
            detail = f"the audio of {len(alike)} recordings is equal, but not their {', '.join(differ)}: e.g. "
            named = f"{kept} and {alike['id'].iloc[1]}"
            found += [(index, CONTRADICTORY, detail + named) for index in alike.index]
        else:
            found += [(index, DUPLICATE, f"the same audio as {kept}") for index in alike.index[1:]]
    return pd.DataFrame(found, columns=["row", "reason", "detail"]).set_index("row").sort_index()


def certify(manifest: pd.DataFrame, by: str) -> dict[str, Any]:
    """Return the leakage certificate: how many speakers, sessions and audio hashes two splits share.

    A recording of several `speakers` counts for each of them, and of mixtures the `recordings` that they were mixed
    from are looked for too. `clean` is true when nothing is shared. A split by utterance shares all of these but audio
    by intent: it is certified as leaky, not refused. Anything else that is shared raises `InputError` with an example.
    """
    codes = manifest["split"].map({str(split): 1 << place for place, split in enumerate(Split)}).to_numpy(dtype=np.int8)
    overlaps = [
        overlap for key, values in _leaky(manifest).items() for overlap in _overlaps(manifest, key, values, codes)
    ]
    tolerated = {"speaker", "session", "recording"} if by == "utterance" else set()
    for overlap in overlaps:
        if overlap["shared"] and overlap["key"] not in tolerated:
            raise InputError(
                f"{overlap['shared']} {overlap['key']} value(s) occur in both {overlap['splits'][0]} and "
                f"{overlap['splits'][1]}, e.g. {overlap['example']!r} ({', '.join(overlap['rows'])}): "
                "remove the duplicates or correct the metadata"
            )
    sizes = manifest.groupby("split").size()
    people = _people(manifest)
    heard = people.groupby(manifest["split"].to_numpy()[people.index]).nunique()
    return {
        "by": by,
        "clean": not any(overlap["shared"] for overlap in overlaps),
        "splits": {str(split): {"rows": int(rows), "speakers": int(heard[split])} for split, rows in sizes.items()},
        "overlaps": [{key: overlap[key] for key in ("key", "splits", "shared")} for overlap in overlaps],
    }


def _people(manifest: pd.DataFrame) -> pd.Series:
    """Return each person of each row, under the row's position: several for a recording of several `speakers`."""
    speaker = manifest["speaker"].reset_index(drop=True)
    if "speakers" not in manifest or manifest["speakers"].isna().all():
        return speaker
    several = manifest["speakers"].reset_index(drop=True)
    return several.where(several.notna(), speaker).explode()


def _leaky(manifest: pd.DataFrame) -> dict[str, pd.Series]:
    """Return what no two splits may share, under the positions of rows: several values for a row of several."""
    found = {key: manifest[key].reset_index(drop=True) for key in LEAKY_KEYS}
    found["speaker"] = _people(manifest)
    if "recordings" in manifest:
        found["recording"] = manifest["recordings"].reset_index(drop=True).explode()
    return found


def _overlaps(manifest: pd.DataFrame, key: str, values: pd.Series, codes: NDArray[np.int8]) -> list[dict[str, Any]]:
    """Return for each pair of splits how many of the `values` both have; `codes` has a bit for each row's split.

    `rows` are the ids of the first row of either split that has the `example`.
    """
    positions = values.index.to_numpy()
    groups, names = pd.factorize(values, sort=True)
    named = groups >= 0
    seen = np.zeros(len(names), np.int8)
    np.bitwise_or.at(seen, groups[named], codes[positions[named]])
    found = []
    for (first, one), (second, other) in combinations(enumerate(Split), 2):
        both = 1 << first | 1 << second
        shared = np.flatnonzero(seen & both == both)
        alike = positions[groups == shared[0]] if len(shared) else positions[:0]
        rows = [alike[codes[alike] == 1 << place][0] for place in (first, second)] if len(shared) else []
        found.append(
            {
                "key": key,
                "splits": [str(one), str(other)],
                "shared": len(shared),
                "example": names[shared[0]] if len(shared) else None,
                "rows": manifest["id"].iloc[rows].tolist() if len(shared) else [],
            }
        )
    return found
