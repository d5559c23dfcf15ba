"""What a training run learns from: rows and their copies at other speeds, in which order, and how they are altered."""

from __future__ import annotations

from typing import Any

import pandas as pd
from torch.utils.data import DataLoader, Sampler

from voxbench.config import Training
from voxbench.features.dataset import (
    BalancedCrops,
    Cut,
    ShuffledCrops,
    evaluation_loader,
    places_of,
    training_loader,
)
from voxbench.features.extraction import build_front_end
from voxbench.features.mixed import open_store
from voxbench.features.online import OnlineFeatures
from voxbench.features.speaker_batches import Copies, SpeakerCrops, speed_copies
from voxbench.features.wave_crops import WaveCrops, layout_of
from voxbench.features.whole import LengthBatches, SortedBatches, whole_loader
from voxbench.training.data import BenchmarkData


def copies_of(data: BenchmarkData, rows: pd.DataFrame, training: Training) -> Copies:
    """Return the training rows with the copies that the settings ask for."""
    speeds = training.augmentation.speed_speakers
    return speed_copies(data.task.targets(rows), len(data.learnt_classes(rows)), speeds)


def training_batches(
    data: BenchmarkData, rows: pd.DataFrame, training: Training, seed: int
) -> tuple[DataLoader[Any], OnlineFeatures | None]:
    """Return batches of crops of the training rows, and what makes features of them where recordings are altered."""
    if training.batch_seconds is not None:
        recordings, frames = data.whole(rows), data.frames(training.batch_seconds)
        sampler_of_whole = LengthBatches(recordings.lengths, training.batch_size, frames, seed)
        return whole_loader(recordings, sampler_of_whole), None
    copies = copies_of(data, rows, training)
    copied = rows.iloc[copies.row]
    crops = data.dataset(copied, copies.target)
    sampler = _sampler(data, rows, copies, training, seed)
    if not training.augmentation.changes_waves:
        return training_loader(crops, training.batch_size, sampler), None
    front_end = build_front_end(data.audio.front_end, data.audio.sample_rate_hz)
    layout = layout_of(front_end.settings, data.kind, training.augmentation)
    prepared, people = open_store(data.audio.prepared), copied["speaker"].to_numpy()
    waves = WaveCrops(crops, prepared, layout, training.augmentation, people, copies.speed, seed)
    online = OnlineFeatures(front_end, layout, training.augmentation, seed)
    return training_loader(waves, training.batch_size, sampler), online


def judged_batches(data: BenchmarkData, rows: pd.DataFrame, training: Training) -> DataLoader[Any]:
    """Return batches of what `rows` are judged by: crops in order, or whole recordings in that of their lengths."""
    if training.batch_seconds is None:
        return evaluation_loader(data.dataset(rows), training.batch_size, places_of(training))
    recordings, frames = data.whole(rows), data.frames(training.batch_seconds)
    return whole_loader(recordings, SortedBatches(recordings.lengths, training.batch_size, frames))


def _sampler(data: BenchmarkData, rows: pd.DataFrame, copies: Copies, training: Training, seed: int) -> Sampler[Cut]:
    if training.balance != "sampling":
        return ShuffledCrops(len(copies.row), seed)
    if training.clips_per_speaker is not None:
        return SpeakerCrops(copies.target, training.clips_per_speaker, training.batch_size, seed)
    words = data.learnt_classes(rows)
    classes = [f"{word}, copy {copy}" if copy else word for copy in range(copies.factor) for word in words]
    return BalancedCrops(copies.target, classes, seed)
