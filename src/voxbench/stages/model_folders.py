"""Where the network lies that a command names."""

from __future__ import annotations

from pathlib import Path

from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.serving.bundle import BUNDLE
from voxbench.serving.registered import REGISTERED, registered_folder
from voxbench.stages.workspace import Workspace
from voxbench.tracking.store import connect


def model_folder(workspace: Workspace, model: str) -> Path:
    """Return the folder of a network.

    `model` is BENCHMARK/MODEL, which the finetune stage wrote, models:/NAME@ALIAS or models:/NAME/VERSION of the
    registry, or a folder below which `voxbench train` left one. Raises InputError for one that is not there.
    """
    if model.startswith(REGISTERED):
        connect(workspace.root)
        return registered_folder(model)
    if ((folder := workspace.root / model) / BUNDLE).is_file():
        return folder
    benchmark, _, network = model.partition("/")
    if not network:
        raise InputError(
            f"found the model {model!r}, expected BENCHMARK/MODEL, models:/NAME@ALIAS, or a folder of `voxbench train`"
        )
    if benchmark not in (rows := workspace.params.benchmarks):
        raise InputError(
            f"{model} is no folder that holds a network, and no benchmark is called {benchmark!r}"
            f"{closest(benchmark, rows)}; there are: {', '.join(rows)}"
        )
    known = sorted(path.name for path in workspace.models(benchmark).glob("*/") if path.is_dir())
    if network not in known:
        fix = f"there are: {', '.join(known)}" if known else f"run `dvc repro finetune@{benchmark}` first"
        raise InputError(f"no model {network!r} of benchmark {benchmark!r}{closest(network, known)}; {fix}")
    return workspace.models(benchmark) / network
