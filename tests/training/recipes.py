"""Small training runs on the tiny corpus."""

import numpy as np
import torch

from stages.pipeline import BENCHMARK, CORPUS
from voxbench.config import Schedule
from voxbench.schema import Split
from voxbench.training.fit import Recipe
from voxbench.training.jobs import Job, Source

LSTM, CNN = "bilstm_h128_l1", "resnet18"


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
    )


def source(workspace):
    task = workspace.params.benchmark(BENCHMARK).task
    return Source(task, workspace.prepared(CORPUS), workspace.features(CORPUS))


def load(workspace, one):
    return source(workspace).load(one)


def job(workspace, folder, one, **changes):
    kept = {"metric": "accuracy", "scored": (Split.VALID,), "keep_weights": False, "pruning": None}
    return Job(folder, source(workspace), one, **(kept | changes))


def assert_equal(ours, theirs):
    """Demand two fitted networks to be the same to the last bit, with the same past."""
    assert ours.history == theirs.history
    assert (ours.best_epoch, ours.pruned) == (theirs.best_epoch, theirs.pruned)
    mine, other = ours.network.state_dict(), theirs.network.state_dict()
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def column(history, name):
    return np.array([epoch[name] for epoch in history], dtype=float)
