"""Writes the synthetic twin of a corpus in the corpus's own layout."""

from __future__ import annotations

import shutil

from voxbench.corpora import read_corpus, twins
from voxbench.stages.workspace import Workspace


def synthesize(workspace: Workspace, name: str) -> None:
    """Write the twin `name`; equal settings give equal bytes."""
    settings = workspace.params.twin(name)
    root = workspace.root / settings.root
    write = twins[settings.layout]
    if root.exists():
        shutil.rmtree(root)
    write(root, settings)
    clips = sum(1 for _ in read_corpus(settings.layout, root))
    print(f"{name}: {settings.speakers} synthetic speakers, {clips} clips in {settings.root}")
