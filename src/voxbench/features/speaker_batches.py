"""Speakers in batches: so many crops of each of so many speakers, and copies at other speeds as speakers of their own.

Copies follow wespeaker (https://github.com/wenet-e2e/wespeaker), whose speed perturbation triples the speakers.

Shape letters: N rows, M rows with copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from voxbench.features.dataset import Cut
from voxbench.schema import InputError
from voxbench.seeding import generator


@dataclass(frozen=True)
class Copies:
    """Training rows and their copies: `row` `(M,)` of the table, its `target`, and the `speed` at which it is played.

    There are `factor` times as many rows, and as many classes.
    """

    row: np.ndarray
    target: np.ndarray
    speed: np.ndarray
    factor: int


def speed_copies(targets: np.ndarray, classes: int, speeds: Sequence[float] | None) -> Copies:
    """Return the rows as they are, and after them all rows again for each of `speeds`: there class t is another one.

    Copy k, from 1 on, of a row of class t has target t + k * classes. Without speeds there are no copies.

    >>> speed_copies(np.array([0, 1]), 2, [0.9]).target.tolist()
    [0, 1, 2, 3]
    """
    played = np.array([1.0, *(speeds or ())])
    copy_M, row_M = np.divmod(np.arange(len(targets) * len(played)), max(len(targets), 1))
    moved_M = (copy_M * classes).reshape(-1, *[1] * (targets.ndim - 1))
    return Copies(row_M, targets[row_M] + moved_M, played[copy_M], len(played))


class SpeakerCrops(Sampler[Cut]):
    """Batches of `per_speaker` crops of each of their speakers, in which every speaker comes equally often an epoch.

    Speakers come in one random order after another, each time with the next `per_speaker` of their rows, which come
    in random orders too. There are as many rounds as come nearest to one crop for each row, and one at least. No
    speaker comes twice in a batch unless there are fewer speakers than it holds, and no row unless a speaker has too
    few. An epoch's last batch may be smaller. Raises InputError for a batch that `per_speaker` does not divide.
    """

    def __init__(self, targets: np.ndarray, per_speaker: int, batch_size: int, seed: int) -> None:
        if batch_size % per_speaker:
            raise InputError(
                f"training.batch_size is {batch_size}, training.clips_per_speaker {per_speaker}: expected a multiple "
                f"of it, such as {batch_size // per_speaker * per_speaker or per_speaker}"
            )
        self.members = [np.flatnonzero(targets == number) for number in np.unique(targets)]
        self.per_speaker = per_speaker
        self.batch_speakers = batch_size // per_speaker
        self.rounds = max(1, round(len(targets) / (len(self.members) * per_speaker)))
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next pass gives; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rounds * len(self.members) * self.per_speaker

    def __iter__(self) -> Iterator[Cut]:
        draws = generator(self.seed, "speakers", self.epoch)
        rows = [self._rows(members, draws) for members in self.members]
        places = iter(draws.random(len(self)))
        turns: dict[int, int] = {}
        for speaker in self._speakers(draws):
            for _ in range(self.per_speaker):
                row = next(rows[speaker])
                turns[row] = turns.get(row, -1) + 1
                yield Cut(row, float(next(places)), (self.epoch, turns[row]))

    def _speakers(self, draws: np.random.Generator) -> list[int]:
        """Return one order of the speakers after another; who is in a batch already comes later in the next order."""
        speakers: list[int] = []
        for _ in range(self.rounds):
            order = draws.permutation(len(self.members)).tolist()
            begun = speakers[len(speakers) - len(speakers) % self.batch_speakers :]
            missing = self.batch_speakers - len(begun) if begun else 0
            first = [speaker for speaker in order if speaker not in set(begun)][:missing]
            speakers += first + [speaker for speaker in order if speaker not in set(first)]
        return speakers

    def _rows(self, members: np.ndarray, draws: np.random.Generator) -> Iterator[int]:
        """Yield a speaker's rows in one random order after another, none twice in `per_speaker` where that can be."""
        given: list[int] = []
        while True:
            order = draws.permutation(members).tolist()
            begun = given[len(given) - len(given) % self.per_speaker :]
            missing = self.per_speaker - len(begun) if begun else 0
            first = [row for row in order if row not in set(begun)][:missing]
            for row in first + [row for row in order if row not in set(first)]:
                given.append(row)
                yield row
