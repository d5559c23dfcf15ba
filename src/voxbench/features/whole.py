"""Whole recordings in batches of like lengths, padded: what a network that writes down what is said learns from.

Shape letters: B batch, F bins, T frames, N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from voxbench.features.dataset import PaddedBatch
from voxbench.features.store import Store
from voxbench.schema import InputError
from voxbench.seeding import generator

STRETCH = 0.1
"""By up to how much a length may seem longer when an epoch sorts recordings: so batches differ between epochs."""


class WholeRecordings(Dataset[PaddedBatch]):
    """Rows of a table, whole: where each lies in the store of features, and its target, a row of `targets` `(N, ...)`.

    An item is a batch: the rows that are asked for, padded with zeros to the longest, and the `lengths` of each.
    """

    def __init__(self, store: Store, positions: Sequence[int], targets: np.ndarray) -> None:
        self.store = store
        self.positions = positions
        self.targets = torch.from_numpy(np.array(targets))
        self.lengths = np.array([len(store[position]) for position in positions])

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: Sequence[int]) -> PaddedBatch:
        values = [self.store[self.positions[row]] for row in rows]
        lengths = [len(each) for each in values]
        features = np.zeros((len(rows), values[0].shape[1], max(lengths)), dtype=np.float32)
        for place, (each, length) in enumerate(zip(values, lengths, strict=True)):
            features[place, :, :length] = each.T
        chosen = torch.tensor(rows)
        return PaddedBatch(torch.from_numpy(features), self.targets[chosen], chosen, torch.tensor(lengths))


class LengthBatches(Sampler[list[int]]):
    """Every row once an epoch, in batches of like lengths: at most `rows` of them and, with padding, `frames` frames.

    Each epoch sorts the rows by length anew, each length stretched by a draw of up to `STRETCH`, cuts the sorted rows
    into batches of the same sizes as ever, and puts these in random order. Raises InputError for a row that is longer
    than a batch.
    """

    def __init__(self, lengths_N: np.ndarray, rows: int, frames: int, seed: int) -> None:
        self.lengths = lengths_N
        self.sizes = _sizes(np.sort(lengths_N)[::-1], rows, frames)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next pass gives; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        # A generator: a loader asks for its iterator before Lightning has said which epoch it is.
        draws = generator(self.seed, "lengths", self.epoch)
        stretched = self.lengths * (1 + STRETCH * draws.random(len(self.lengths)))
        order = np.argsort(-stretched, kind="stable")
        batches = np.split(order, np.cumsum(self.sizes)[:-1])
        yield from (batches[place].tolist() for place in draws.permutation(len(batches)))


class SortedBatches(Sampler[list[int]]):
    """Every row once, the longest first, in batches as `LengthBatches` bounds them: for evaluation."""

    def __init__(self, lengths_N: np.ndarray, rows: int, frames: int) -> None:
        self.order = np.argsort(-lengths_N, kind="stable")
        self.sizes = _sizes(lengths_N[self.order], rows, frames)

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in np.split(self.order, np.cumsum(self.sizes)[:-1]))


def _sizes(falling_N: np.ndarray, rows: int, frames: int) -> list[int]:
    """Return the sizes of batches of `falling_N` lengths, none of which passes the bounds when they are stretched.

    The place of a stretched length among the stretched ones is at most that of the length itself, stretched whole: so
    the longest of a batch is at most 1 + STRETCH times the one that stands first in it here.
    """
    if len(falling_N) and falling_N[0] > frames:
        raise InputError(
            f"a recording of {falling_N[0]} frames is longer than a batch of training.batch_seconds, {frames} frames: "
            "raise it, or lower cleaning.max_seconds of the corpus"
        )
    sizes: list[int] = []
    while (start := sum(sizes)) < len(falling_N):
        fitting = max(1, int(frames / (falling_N[start] * (1 + STRETCH))))
        sizes.append(min(fitting, rows, len(falling_N) - start))
    return sizes


def whole_loader(recordings: WholeRecordings, sampler: Sampler[list[int]]) -> DataLoader[Any]:
    """Return the batches of a sampler."""
    return DataLoader(recordings, batch_size=None, sampler=sampler)
