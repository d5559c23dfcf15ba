"""Crops of stored features and waves, drawn so that a training run can be repeated, stopped and resumed.

A sampler decides which row comes when and where its crop lies; the data set only cuts. Every epoch's
draws come from (seed, purpose, epoch), so an epoch can be replayed without those before it.

Legend of shape letters: T frames (samples of a wave), F bins, C crop frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from voxbench.config import Training
from voxbench.features.store import Store
from voxbench.schema import InputError, InputKind
from voxbench.seeding import generator


class Batch(NamedTuple):
    """What a model sees: `features` `(B, F, C)` float32, `target` `(B, ...)`, `row` `(B,)` positions in the table.

    Of waves F is 1 and C counts samples.
    """

    features: Tensor
    target: Tensor
    row: Tensor


class PaddedBatch(NamedTuple):
    """Whole recordings: the fields of `Batch`, and their `lengths` `(B,)` in frames, before padding."""

    features: Tensor
    target: Tensor
    row: Tensor
    lengths: Tensor


def lengths_of(batch: Batch | PaddedBatch) -> Tensor | None:
    """Return the frames of a batch's recordings, None where all are of one length."""
    return batch.lengths if isinstance(batch, PaddedBatch) else None


class Cut(NamedTuple):
    """One crop: a row and where its crop lies, 0 at the start of the recording and 1 at its end.

    In training `draw` says the epoch, and how often the epoch has had the row before; evaluation draws nothing.
    """

    row: int
    place: float
    draw: tuple[int, int] | None = None


def frames_of(kind: InputKind, crop_seconds: float, hop_ms: float, sample_rate_hz: int) -> int:
    """Return how long a crop of `crop_seconds` is: whole frames of features, or samples of a wave, rounded.

    >>> frames_of(InputKind.CEPSTRA, 1.2, 12.5, 16000), frames_of(InputKind.WAVE, 1.2, 12.5, 16000)
    (96, 19200)
    """
    return round(crop_seconds * sample_rate_hz) if kind is InputKind.WAVE else int(crop_seconds * 1000 / hop_ms)


def cut(values: np.ndarray, place: float, frames: int) -> np.ndarray:
    """Return `(F, frames)` float32 from features `(T, F)` or a wave `(T,)`, F being 1, of at least `frames` frames.

    Nothing is padded: a shorter recording is refused, because preparation excludes what is too short, or has been
    `repeated`.
    """
    spare = len(values) - frames
    if spare < 0:
        raise ValueError(f"a crop of {frames} frames was asked of a recording of {len(values)}")
    start = round(place * spare)
    return np.ascontiguousarray(np.atleast_2d(values[start : start + frames].T), dtype=np.float32)


def repeated(values: np.ndarray, frames: int) -> np.ndarray:
    """Return features `(T, F)` or a wave `(T,)`, said over and over from the start until they fill so many frames.

    Reference: the crops of AASIST's authors (Jung et al., ICASSP 2022). Deviation: theirs fail for exactly the length.

    >>> repeated(np.array([1, 2, 3]), 7).tolist(), repeated(np.array([1, 2, 3]), 3).tolist()
    ([1, 2, 3, 1, 2, 3, 1], [1, 2, 3])
    """
    if len(values) >= frames:
        return values
    times = -(-frames // len(values))
    return np.concatenate([values] * times)[:frames]


class CropDataset(Dataset[Batch]):
    """Rows of a table: where each lies in the store of features or of audio, and its target.

    One that `repeats` says shorter recordings over and over, any other refuses them.
    """

    def __init__(
        self, store: Store, positions: Sequence[int], targets: np.ndarray, frames: int, *, repeats: bool
    ) -> None:
        self.repeats = repeats
        self.store = store
        self.positions = positions
        self.targets = torch.from_numpy(np.array(targets))
        self.frames = frames

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, cut_at: Cut) -> Batch:
        position = self.positions[cut_at.row]
        # The scale is 1 for features, and what dequantizes audio: of that only the crop is.
        values = self.store[position]
        whole = repeated(values, self.frames) if self.repeats else values
        features = cut(whole, cut_at.place, self.frames) * np.float32(self.store.scales[position])
        return Batch(torch.from_numpy(features), self.targets[cut_at.row], torch.tensor(cut_at.row))


class ShuffledCrops(Sampler[Cut]):
    """Every row once an epoch, in random order, each at a random place."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next pass gives; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Cut]:
        draws = generator(self.seed, "crops", self.epoch)
        order = draws.permutation(self.rows)
        places = draws.random(self.rows)
        draw = (self.epoch, 0)
        return (Cut(int(row), float(place), draw) for row, place in zip(order, places, strict=True))


class BalancedCrops(Sampler[Cut]):
    """As many crops an epoch as there are rows, but equally many (or one more) of each class, in random order.

    `targets` `(N,)` are numbers of `classes`. A class's rows come in one random order after another until it has
    its share: rare ones repeat, and of frequent ones every epoch sees another part. An epoch's remainder goes to
    random classes. Raises InputError for a class without rows, and where there are no classes.
    """

    def __init__(self, targets: np.ndarray, classes: Sequence[str], seed: int) -> None:
        _require_all(targets, classes)
        self.members = [np.flatnonzero(targets == number) for number in range(len(classes))]
        self.rows = len(targets)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next pass gives; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Cut]:
        draws = generator(self.seed, "balance", self.epoch)
        share, remainder = divmod(self.rows, len(self.members))
        shares = share + (draws.permutation(len(self.members)) < remainder)
        drawn = [
            (int(members[place]), turn)
            for members, wanted in zip(self.members, shares, strict=True)
            for place, turn in _in_turns(len(members), int(wanted), draws)
        ]
        ordered = [drawn[which] for which in draws.permutation(self.rows)]
        places, epoch = draws.random(self.rows), self.epoch
        return (Cut(row, float(place), (epoch, turn)) for (row, turn), place in zip(ordered, places, strict=True))


def _in_turns(members: int, wanted: int, draws: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield `wanted` pairs of a member and its turn; each turn has every member once, in a new order."""
    for turn in range(-(-wanted // members)):
        for member in draws.permutation(members)[: wanted - turn * members]:
            yield int(member), turn


def _require_all(targets: np.ndarray, classes: Sequence[str]) -> None:
    if not classes:
        raise InputError("training.balance is 'sampling', but the task has no classes: set it to 'none'")
    counts = np.bincount(targets, minlength=len(classes))
    if absent := [name for name, count in zip(classes, counts, strict=True) if not count]:
        raise InputError(
            f"training.balance is 'sampling', but no training row is {', '.join(absent)}: use 'none', or other data"
        )


def places_of(training: Training) -> list[float]:
    """Return where a recording's crops for evaluation lie: spread evenly, so that one is the central one, or at 0."""
    return [0.0] if training.evaluation_place == "start" else even_places(training.evaluation_crops)


def even_places(crops: int) -> list[float]:
    """Return places spread evenly over a recording.

    >>> even_places(1), even_places(2)
    ([0.5], [0.25, 0.75])
    """
    return [(crop + 0.5) / crops for crop in range(crops)]


class EvenCrops(Sampler[Cut]):
    """Every row once at each of the same `places`, in order."""

    def __init__(self, rows: int, places: Sequence[float]) -> None:
        self.rows = rows
        self.places = places

    def __len__(self) -> int:
        return self.rows * len(self.places)

    def __iter__(self) -> Iterator[Cut]:
        return (Cut(row, place) for row in range(self.rows) for place in self.places)


def training_loader(dataset: Dataset[Any], batch_size: int, sampler: Sampler[Cut]) -> DataLoader[Any]:
    """Return batches in the sampler's order, but not a last one of one row: batch normalisation needs two."""
    crops = len(sampler)  # type: ignore[arg-type]
    # A data set that reads a whole batch at once has joined its rows already.
    collate = _as_it_is if hasattr(dataset, "__getitems__") else None
    return DataLoader(
        dataset, batch_size, sampler=sampler, drop_last=crops % batch_size == 1 and crops > 1, collate_fn=collate
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def evaluation_loader(dataset: CropDataset, batch_size: int, places: Sequence[float]) -> DataLoader[Batch]:
    """Return every row's crops at `places`, in order."""
    return DataLoader(dataset, batch_size, sampler=EvenCrops(len(dataset), places))
