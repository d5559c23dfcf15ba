"""A part of a large corpus, drawn by a fixed rule: as many hours as asked, every speaker as far as they go.

The rule: each speaker's sessions are shuffled, and the recordings of each session; a speaker's turns go through the
sessions one recording at a time, so that few recordings already come from many sessions. In every turn each speaker,
in an order shuffled anew, gives the next recording. Draws come from (seed, speaker) and (seed, turn) alone: a larger
subset of one seed holds the smaller one, and the order of the tree changes nothing.

With `speakers`, so many are drawn first, of each sex its share: fewer people, each with more recordings.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from voxbench.corpora.tables import read_rows
from voxbench.schema import InputError, Utterance
from voxbench.seeding import generator


def turns(utterances: Iterable[Utterance], seed: int, speakers: int | None) -> Iterator[str]:
    """Yield the ids of `utterances` in the order in which the rule takes them; all of them, or those of `speakers`.

    Raises InputError for more speakers than there are.
    """
    columns = ["id", "speaker", "session", "gender"]
    rows = pd.DataFrame(((row.id, row.speaker, row.session, row.gender) for row in utterances), columns=columns)
    rows = rows.sort_values("id", ignore_index=True).fillna({"session": "", "gender": "unknown"})
    if speakers is not None:
        rows = rows[rows["speaker"].isin(_drawn(rows, seed, speakers))]
    queues = {speaker: _in_turn(part, seed, str(speaker)) for speaker, part in rows.groupby("speaker", sort=True)}
    for turn in range(max(map(len, queues.values()), default=0)):
        waiting = [speaker for speaker, queue in queues.items() if len(queue) > turn]
        for place in generator(seed, "subset-turn", turn).permutation(len(waiting)):
            yield queues[waiting[place]][turn]


def _in_turn(rows: pd.DataFrame, seed: int, speaker: str) -> list[str]:
    """Return one speaker's ids: the first of every session, then the second of every session, ..."""
    draws = generator(seed, "subset", speaker)
    shuffled = rows.iloc[draws.permutation(len(rows))]
    sessions = shuffled["session"].drop_duplicates().tolist()
    order = {session: place for place, session in enumerate(sessions)}
    nth = shuffled.groupby("session", sort=False).cumcount()
    ranked = shuffled.assign(nth=nth, place=shuffled["session"].map(order)).sort_values(["nth", "place"])
    return [str(row_id) for row_id in ranked["id"]]


def _drawn(rows: pd.DataFrame, seed: int, speakers: int) -> set[str]:
    """Return `speakers` of the speakers, of each sex its share, to the nearest whole number."""
    people = rows.drop_duplicates("speaker").sort_values("speaker")
    if speakers > len(people):
        raise InputError(f"{speakers} speakers are wanted of a corpus that has {len(people)}: ask for fewer")
    shuffled = people.iloc[generator(seed, "subset-speakers").permutation(len(people))]
    # Within each sex the k-th of n stands at (k + 1/2) / n: cut anywhere, the list holds each sex by its share.
    nth, size = shuffled.groupby("gender").cumcount(), shuffled.groupby("gender")["gender"].transform("size")
    spread = shuffled.assign(place=(nth + 0.5) / size).sort_values("place", kind="stable")
    return set(spread["speaker"].head(speakers))


def read_subset(path: Path, sha256: str) -> frozenset[str]:
    """Return the ids of a list that `voxbench subset` wrote, or of any CSV with a column `id`, by the hash of its file.

    Raises InputError for a file of another hash, for a list without the column or without a line, and for an id that
    stands in it twice.
    """
    if not path.is_file():
        raise InputError(f"no list {path}: draw one with `voxbench subset`, or set `only` to null")
    if (found := list_sha256(path)) != sha256:
        raise InputError(
            f"{path} has SHA-256 {found}, expected {sha256} as in `only`: draw the list again, or write its hash there"
        )
    ids = Counter(row["id"] for _, row in read_rows(path, ("id",), ",", quoted=True))
    if not ids:
        raise InputError(f"{path} names no recording: draw one with `voxbench subset`")
    row_id, lines = ids.most_common(1)[0]
    if lines > 1:
        raise InputError(f"{path} names {row_id} {lines} times: keep one line")
    return frozenset(ids)


def list_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def listed(utterances: Iterable[Utterance], only: frozenset[str] | None) -> Iterator[Utterance]:
    """Yield the recordings whose ids are in `only`, all for None."""
    return (row for row in utterances if only is None or row.id in only)


def count_outside(utterances: Iterable[Utterance], only: frozenset[str] | None) -> int:
    """Return how many recordings are not in `only`, which none is for None.

    Raises InputError where the corpus lacks one that is in it.
    """
    if only is None:
        return 0
    outside, waiting = 0, set(only)
    for row in utterances:
        outside += row.id not in only
        waiting.discard(row.id)
    if waiting:
        raise InputError(
            f"the corpus lacks {len(waiting)} of the {len(only)} recordings of its list `only`, the first is "
            f"{min(waiting)}: complete the corpus, or draw a list from what is there"
        )
    return outside
