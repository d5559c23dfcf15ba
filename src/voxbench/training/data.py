"""The rows and features of one benchmark, as a training run sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from voxbench.artifacts import digest, read_json
from voxbench.config import Features, Training
from voxbench.features.dataset import CropDataset, frames_of
from voxbench.features.mixed import open_store
from voxbench.features.store import RaggedStore, Store
from voxbench.features.trial_lists import TrialList
from voxbench.features.whole import WholeRecordings
from voxbench.schema import InputError, InputKind, Split
from voxbench.seeding import generator
from voxbench.tasks import Task
from voxbench.training.scoring import CARRIED
from voxbench.training.trials import listed_trials
from voxbench.transcripts.alphabet import BLANK
from voxbench.transcripts.phrases import needed_frames


@dataclass(frozen=True)
class AudioSource:
    """A corpus's prepared audio, and how features are made of it."""

    prepared: Path
    front_end: Features
    sample_rate_hz: int


@dataclass(frozen=True)
class BenchmarkData:
    """`rows` is the manifest's labelled part, `store` what its crops are cut from: features, or the audio itself.

    `mean` and `std` `(F,)` are those of the training rows' features. A crop of a wave has samples for frames, and None
    says that recordings are taken whole; where it `repeats`, shorter recordings fill it. Of a task of pairs `listed`
    are the test trials, None where they are drawn.
    """

    task: Task
    kind: InputKind
    rows: pd.DataFrame
    store: Store
    audio: AudioSource
    mean: np.ndarray
    std: np.ndarray
    crop_frames: int | None
    repeats: bool
    features_digest: str
    listed: TrialList | None

    @property
    def hop_ms(self) -> float:
        """Return the time between two frames."""
        return self.audio.front_end.hop_ms

    def split(self, split: Split) -> pd.DataFrame:
        """Return the labelled rows of one split; none is an error."""
        rows = self.rows[self.rows["split"] == split].reset_index(drop=True)
        if rows.empty:
            raise InputError(
                f"task {self.task.name!r} has no labelled rows in the {split} split: check the corpus's labels"
            )
        return rows

    def training_rows(self, per_class: int | None, seed: int) -> pd.DataFrame:
        """Return the training rows, or at most `per_class` random ones of each class; a value has one class."""
        rows = self.split(Split.TRAIN)
        classes = self.task.targets(rows) if self.task.classes else np.zeros(len(rows))
        return subset(rows, classes, per_class, seed)

    def learnt_classes(self, rows: pd.DataFrame) -> tuple[str, ...]:
        """Return the words of the classes that the training `rows` are of: the task's own, or their speakers."""
        return tuple(sorted(rows["speaker"].unique())) if self.task.pairs else self.task.classes

    def with_crops(self, crop_seconds: float) -> BenchmarkData:
        """Return the same rows with crops of another length."""
        return replace(self, crop_frames=self.frames(crop_seconds))

    def frames(self, seconds: float) -> int:
        """Return the frames of so many seconds, of a wave its samples."""
        return frames_of(self.kind, seconds, self.hop_ms, self.audio.sample_rate_hz)

    def dataset(self, rows: pd.DataFrame, targets: np.ndarray | None = None) -> CropDataset:
        """Return the crops of `rows`, in their order, with the `targets` that the task gives them, or with others."""
        assert self.crop_frames is not None, "recordings that are taken whole have no crops"
        given = self.task.targets(rows) if targets is None else targets
        return CropDataset(self.store, self._positions(rows), given, self.crop_frames, repeats=self.repeats)

    def whole(self, rows: pd.DataFrame) -> WholeRecordings:
        """Return the whole recordings of `rows`, with the `targets` that the task gives them."""
        return WholeRecordings(self.store, self._positions(rows), self.task.targets(rows))

    def _positions(self, rows: pd.DataFrame) -> list[int]:
        return [self.store.position(row_id) for row_id in rows["id"]]


def load_data(
    task: Task,
    kind: InputKind,
    audio: AudioSource,
    features: Path,
    training: Training,
    split_column: str,
    test_list: str | None,
) -> BenchmarkData:
    """Open what the prepare and features stages wrote for a corpus, its rows split as the manifest's column says.

    Of `training` the crops are taken: how long they are, and what is done with shorter recordings.

    The digest covers what a run can see: features, the rows' labels, splits and identities, and the trials of the
    corpus's `test_list`, where one is named.
    """
    manifest = pd.read_parquet(audio.prepared / "manifest.parquet")
    about = read_json(features / "features.json")[kind]
    if about["mean"] is None:
        raise InputError(f"{audio.prepared.name} has no training rows: it can be tested on, but not trained on")
    rows = manifest[task.labelled(manifest)].reset_index(drop=True)
    rows["split"] = rows[split_column]
    columns = [rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in CARRIED if name in rows]
    listed = listed_trials(audio.prepared, test_list) if test_list else None
    trials = [] if listed is None else [listed.trials[name].tolist() for name in listed.trials]
    identity = digest([about["digest"], columns, task.targets(rows).tolist(), *trials])
    return BenchmarkData(
        task=task,
        kind=kind,
        rows=rows,
        store=open_store(audio.prepared) if kind is InputKind.WAVE else RaggedStore(features / kind),
        audio=audio,
        mean=np.array(about["mean"], dtype=np.float32),
        std=np.array(about["std"], dtype=np.float32),
        crop_frames=None
        if training.crop_seconds is None
        else frames_of(kind, training.crop_seconds, audio.front_end.hop_ms, audio.sample_rate_hz),
        repeats=training.shorter == "repeat",
        features_digest=identity,
        listed=listed,
    )


def refuse_crowded(data: BenchmarkData, tables: Sequence[pd.DataFrame], stride: int) -> None:
    """Refuse transcripts that no path of a network with an output for every `stride` frames can hold.

    A path needs an output for each character, and a blank between two equal ones.
    """
    for rows in tables:
        targets, places = data.task.targets(rows), -(-data.whole(rows).lengths // stride)
        letters, needed = (targets != BLANK).sum(axis=1), needed_frames(targets)
        if len(crowded := np.flatnonzero(needed > places)):
            first = crowded[0]
            raise InputError(
                f"{len(crowded)} recordings are too short for their transcripts, {rows['id'].iloc[first]!r} among "
                f"them: {letters[first]} characters need {needed[first]} outputs, and the network has {places[first]}; "
                "correct the transcripts, take the recordings out of the corpus, or use a network of a lower stride"
            )


def subset(rows: pd.DataFrame, targets: np.ndarray, per_class: int | None, seed: int) -> pd.DataFrame:
    """Return at most `per_class` random rows of each class, in the order of `rows`; all of them for None."""
    if per_class is None:
        return rows
    order = pd.Series(generator(seed, "subset").permutation(len(rows)), index=rows.index)
    rank = order.groupby(targets).rank(method="first")
    return rows[(rank <= per_class).to_numpy()].reset_index(drop=True)
