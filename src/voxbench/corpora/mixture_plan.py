"""Who is mixed with whom, and how: the plan of a mixture corpus, drawn before any audio is read.

Its law, for the mixture at `index` of a split and P people at most:

- 1 + index mod P people, so that classes differ by one mixture at most;
- the sex of each is a fair coin, so k people hold f women with probability C(k, f) / 2^k whatever the corpus holds,
  and the number of women, or of men, does not give k away unless it is P;
- each is uniform among the people of that sex who are not yet in the mixture, their recording uniform among their own;
- starts, levels, overlaps, onsets and the room's reverberation time are uniform within their bounds (meaning:
  `voxbench.audio.mixing`).

The numbers of a mixture are a fixed block of a counter-based generator (Philox 4x64, Salmon et al. 2011), so any
mixture can be derived alone, in any order and process; more mixtures leave the first ones as they are.

Deviation from the course project (`voxbench.corpora.mixtures`): it cuts to the shortest of the whole recordings, which
makes mixtures of more people shorter on average. `Mixing.seconds` cuts all to one length instead; null keeps the
course's law. An excerpt may fall into a pause, and then one person fewer is heard: docs/mixtures.md says how rarely.

Shape letters: R mixtures, P places for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from voxbench.schema import GENDERS, InputError, Split
from voxbench.seeding import derive_seed

SEX_LETTERS = {"female": "F", "male": "M"}
SPLITS = tuple(map(str, Split))
JOINT = "+"
DRAWS = 8
"""Numbers for each place: sex, person, recording, start, level, overlap, onset; the last one of the first place is
the room's reverberation time."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """What to mix: `mixtures` for each split, of 1 to `people` people.

    `seconds` is the length of all excerpts; None takes whole recordings, to be cut to the shortest. `snr_db` bounds
    the level of the first over each other, None keeps levels as recorded. `overlap` bounds the share of the mixture
    in which each after the first is heard; (1, 1) is the course's. `reverberation_seconds` bounds the reverberation
    time of the room that all stand in; None leaves voices as recorded.
    """

    seed: int
    people: int
    mixtures: Mapping[Split, int]
    seconds: float | None
    snr_db: tuple[float, float] | None
    overlap: tuple[float, float]
    reverberation_seconds: tuple[float, float] | None

    def __post_init__(self) -> None:
        """Raise InputError for what no mixture can have."""
        room = self.reverberation_seconds
        each = [self.mixtures.get(split, 0) for split in Split]
        for name, holds, expected in (
            ("people", self.people >= 1, "1 or more"),
            ("mixtures", min(each) >= 0 < sum(each) and set(self.mixtures) <= set(Split), "some of a split"),
            ("seconds", self.seconds is None or self.seconds > 0, "a length, or null for whole recordings"),
            ("snr_db", self.snr_db is None or self.snr_db[0] <= self.snr_db[1], "bounds in dB, or null"),
            ("overlap", 0 < self.overlap[0] <= self.overlap[1] <= 1, "bounds of a share in (0, 1]"),
            ("reverberation_seconds", room is None or 0 <= room[0] <= room[1], "bounds of 0 s (dry) or more, or null"),
        ):
            if not holds:
                raise InputError(f"mixtures with {name} {getattr(self, name)!r}; expected {expected}")


@dataclass(frozen=True, slots=True)
class Pool:
    """The recordings of one split: people in the order of `GENDERS`, then of names; recordings in the order of ids.

    `first` and `size` say which entries of `ids` and `seconds` are a person's; `women` of the people come first.
    """

    names: NDArray[np.object_]
    women: int
    first: NDArray[np.int64]
    size: NDArray[np.int64]
    ids: NDArray[np.object_]
    seconds: NDArray[np.float64]


def plan_mixtures(sources: pd.DataFrame, settings: Mixing) -> pd.DataFrame:
    """Return a row for each mixture of all splits, by the law above; the order of `sources` is of no effect.

    `sources` has the columns id, speaker, gender, split and seconds. The plan has those of the table (`path`, `split`,
    `sources`, `sexes`) and, as tuples, `ids` and `starts_seconds` for each person, `snr_db` (None without levels),
    `overlap` and `onset` for each after the first; and `rt60_seconds` of the room (None without one). Raises InputError
    for what `pool_sources` refuses.
    """
    pools = pool_sources(sources, settings)
    plans = [plan_rows(pools[split], settings, split, 0, settings.mixtures[split]) for split in pools]
    return pd.concat(plans, ignore_index=True)


def pool_sources(sources: pd.DataFrame, settings: Mixing) -> dict[Split, Pool]:
    """Return the recordings of each split that `settings` want mixtures of.

    Raises InputError for a gender or split that is missing or unknown, an id that occurs twice, a name with a `+`, a
    person of two splits or genders, recordings shorter than the excerpts, and fewer people of a sex than could meet.
    """
    for column, words in (("gender", GENDERS), ("split", SPLITS)):
        if len(wrong := sources[~sources[column].isin(words)]):
            raise InputError(
                f"{len(wrong)} recording(s) with {column} {wrong[column].iloc[0]!r}, the first "
                f"{wrong['id'].iloc[0]!r}; expected {', '.join(words)}: leave them out"
            )
    if len(twice := sources[sources["id"].duplicated()]):
        raise InputError(f"id {twice['id'].iloc[0]!r} occurs twice; keep one row")
    people = sources.drop_duplicates(["speaker", "gender", "split"])["speaker"].astype(str)
    if len(torn := people[people.duplicated()]):
        raise InputError(f"speaker {torn.iloc[0]!r} has two genders or splits; correct the sources")
    if len(joined := people[people.str.contains(JOINT, regex=False)]):
        raise InputError(f"speaker {joined.iloc[0]!r} has a {JOINT} in the name, which joins names; rename it")
    if settings.seconds is not None and len(short := sources[~(sources["seconds"] >= settings.seconds)]):
        raise InputError(
            f"{len(short)} recording(s) shorter than {settings.seconds:g} s, the first {short['id'].iloc[0]!r}; "
            "leave them out, or lower seconds"
        )
    wanted = [split for split in Split if settings.mixtures.get(split)]
    return {split: _pool(sources[sources["split"] == split], split, settings.people) for split in wanted}


def _pool(sources: pd.DataFrame, split: Split, people: int) -> Pool:
    # Women come first in the alphabet as in GENDERS.
    ordered = sources.sort_values(["gender", "speaker", "id"])
    speakers = ordered["speaker"].to_numpy(object)
    first = np.flatnonzero(np.r_[True, speakers[1:] != speakers[:-1]][: speakers.size])
    genders = ordered["gender"].to_numpy(object)[first]
    for gender in GENDERS:
        if (found := int((genders == gender).sum())) < people:
            raise InputError(
                f"{found} {gender} speaker(s) in {split}; mixtures of up to {people} people can need {people} of one "
                "sex: add speakers or lower people"
            )
    return Pool(
        names=speakers[first],
        women=int((genders == GENDERS[0]).sum()),
        first=first,
        size=np.diff(np.r_[first, speakers.size]),
        ids=ordered["id"].to_numpy(object),
        seconds=ordered["seconds"].to_numpy(np.float64),
    )


def plan_rows(pool: Pool, settings: Mixing, split: Split, start: int, stop: int) -> pd.DataFrame:
    """Return the rows `start` to `stop` of a split's plan, alone: for one worker, or one mixture."""
    bits = np.random.Philox(key=derive_seed(settings.seed, "mixtures", split))
    bits.advance(start * settings.people * DRAWS // 4)
    draws_RP = np.random.Generator(bits).random((stop - start, settings.people, DRAWS))
    man_RP = draws_RP[..., 0] < 0.5
    person_RP = _choose(pool, man_RP, draws_RP[..., 1])
    source_RP = pool.first[person_RP] + (draws_RP[..., 2] * pool.size[person_RP]).astype(np.int64)
    spare_RP = pool.seconds[source_RP] - (settings.seconds or 0.0)
    starts_RP = draws_RP[..., 3] * (spare_RP if settings.seconds is not None else 0.0)
    index_R = np.arange(start, stop)
    count_R = 1 + index_R % settings.people
    letters_RP = np.where(man_RP, SEX_LETTERS["male"], SEX_LETTERS["female"])
    snr_RP = None if settings.snr_db is None else np.interp(draws_RP[:, 1:, 4], (0, 1), settings.snr_db)
    room = settings.reverberation_seconds
    return pd.DataFrame(
        {
            "path": [f"{split}/{index:06d}.flac" for index in index_R.tolist()],
            "split": str(split),
            "sources": [JOINT.join(names) for names in _first(pool.names[person_RP], count_R)],
            "sexes": ["".join(letters) for letters in _first(letters_RP, count_R)],
            "ids": _first(pool.ids[source_RP], count_R),
            "starts_seconds": _first(starts_RP, count_R),
            "snr_db": None if snr_RP is None else _first(snr_RP, count_R - 1),
            "overlap": _first(np.interp(draws_RP[:, 1:, 5], (0, 1), settings.overlap), count_R - 1),
            "onset": _first(draws_RP[:, 1:, 6], count_R - 1),
            "rt60_seconds": None if room is None else np.interp(draws_RP[:, 0, 7], (0, 1), room),
        }
    )


def _choose(pool: Pool, man_RP: NDArray[np.bool_], draws_RP: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the people: each uniform among those of their sex who were not chosen for a place before."""
    chosen_RP = np.zeros(man_RP.shape, np.int64)
    beyond = len(pool.names)
    for p in range(man_RP.shape[1]):
        man_R = man_RP[:, p]
        rival_RP = man_RP[:, :p] == man_R[:, None]
        size_R = np.where(man_R, len(pool.names) - pool.women, pool.women) - rival_RP.sum(axis=1)
        person_R = np.where(man_R, pool.women, 0) + (draws_RP[:, p] * size_R).astype(np.int64)
        # The draw numbers those who are left; stepping over the taken ones in rising order gives their place.
        for taken_R in np.sort(np.where(rival_RP, chosen_RP[:, :p], beyond), axis=1).T:
            person_R += person_R >= taken_R
        chosen_RP[:, p] = person_R
    return chosen_RP


def _first(values_RP: NDArray[Any], count_R: NDArray[np.int64]) -> list[tuple[Any, ...]]:
    """Return the first `count` values of each row."""
    return [tuple(row[:count]) for row, count in zip(values_RP.tolist(), count_R.tolist(), strict=True)]
