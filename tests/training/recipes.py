"""Small training runs on the tiny corpus."""

from dataclasses import replace

import numpy as np
import torch

from stages.pipeline import CORPUS, manifest_of
from voxbench.config import Schedule
from voxbench.schema import Split
from voxbench.training.data import AudioSource
from voxbench.training.jobs import Job, run_jobs
from voxbench.training.recipe import Recipe
from voxbench.training.source import Source

LSTM, CNN, SMALL_CNN = "bilstm_h128_l1", "resnet18", "mobilenet_v2"
TASK = "gender"


class KilledError(Exception):
    """Stands for whatever ends a process."""


def killed_in(epoch):
    """Return a pruner that ends the run in an epoch, after its validation and before its checkpoint."""

    def prune(now, value):
        if now == epoch:
            raise KilledError
        return False

    return prune


def schedule(**changes):
    return Schedule(**({"max_epochs": 2, "patience": 9, "trainable": "all", "checkpoints": False} | changes))


def recipe(workspace, model=LSTM, *, seed=1, per_class=4, epochs=2, plan=None, **training):
    return Recipe(
        model=model,
        training=workspace.params.training.model_copy(update=training),
        schedule=schedule(max_epochs=epochs, **(plan or {})),
        seed=seed,
        train_per_class=per_class,
        large_margin=None,
        verification=None,
        transcription=None,
    )


def augmented(workspace, **steps):
    """Return the tiny corpus's augmentation, each recording's, with some steps in it."""
    return workspace.params.training.augmentation.model_copy(update={"probability": 1.0} | steps)


def source(workspace, task=TASK, split_column="split"):
    corpus = workspace.params.corpus(CORPUS)
    return Source(
        task=task,
        audio=AudioSource(workspace.prepared(CORPUS), corpus.features, corpus.cleaning.sample_rate_hz),
        features=workspace.features(CORPUS),
        split_column=split_column,
        root=workspace.root,
        weights=workspace.weights,
    )


def load(workspace, one, task=TASK, split_column="split"):
    return source(workspace, task, split_column).load(one)


def job(workspace, folder, one, task=TASK, **changes):
    kept = {"metric": "accuracy", "scored": (Split.VALID,), "keep_weights": False, "pruning": None}
    return Job(folder, source(workspace, task), one, **(kept | changes))


def run(jobs, workers=1):
    return list(run_jobs(jobs, workers))


def write_manifest(workspace, manifest):
    manifest.to_parquet(workspace.prepared(CORPUS) / "manifest.parquet", index=False)


def give_ages(workspace):
    """Give the tiny corpus ages that its two pitches tell: high voices are 20 to 29, low ones 60 to 69."""
    manifest = manifest_of(workspace)
    decade = manifest["gender"].map({"female": 20.0, "male": 60.0})
    write_manifest(workspace, manifest.assign(age_years=decade + manifest["speaker"].str[1:].astype(int) % 10))


def lopsided(data, keep):
    """Leave `keep` of the men among the training rows, and half as many among the validation rows."""
    rows = data.rows
    place = rows.groupby(["split", "gender"]).cumcount()
    men, train = rows["gender"] == "male", rows["split"] == Split.TRAIN
    lost = men & ((train & (place >= keep)) | ((rows["split"] == Split.VALID) & (place >= keep // 2)))
    return replace(data, rows=rows[~lost].reset_index(drop=True))


def assert_equal(ours, theirs):
    """Demand two fitted networks to be the same to the last bit, with the same past."""
    assert ours.history == theirs.history
    assert (ours.best_epoch, ours.pruned) == (theirs.best_epoch, theirs.pruned)
    mine, other = ours.network.state_dict(), theirs.network.state_dict()
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def column(history, name):
    return np.array([epoch[name] for epoch in history], dtype=float)
