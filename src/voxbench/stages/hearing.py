"""What networks hear in the recordings of a corpus, as a served model would: embeddings, each made once.

Raw recordings go through the cleaning and the front end that the network was trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib
import torch

from voxbench.audio import read_bytes
from voxbench.progress import Progress
from voxbench.schema import AudioError
from voxbench.serving.verifier import Speech, Verifier
from voxbench.stages.workspace import Workspace


class Hearing:
    """Remembers what each network heard in each recording."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._known: dict[tuple[Path, str], dict[str, Speech | str]] = {}

    def __call__(self, network: Path, label: str, corpus: str, recordings: Iterable[str]) -> dict[str, Speech | str]:
        """Return each recording of a corpus as its embedding, or the reason why it cannot be heard."""
        known = self._known.setdefault((network, corpus), {})
        wanted = sorted(set(recordings))
        missing = [name for name in wanted if name not in known]
        known |= answers_of(embed, self.workspace, network, label, corpus, missing)
        return {name: known[name] for name in wanted}


def answers_of(
    answer: Callable[[Path, Path, Sequence[str]], list[Any]],
    workspace: Workspace,
    network: Path,
    label: str,
    corpus: str,
    recordings: Sequence[str],
) -> dict[str, Any]:
    """Return what a network answers to each recording of a corpus, by worker processes.

    `answer` takes the network, the corpus's root and some of the recordings, and returns as many answers.
    """
    parallel, root = workspace.params.parallel, workspace.root / workspace.params.corpus(corpus).root
    size = parallel.rows_per_shard
    shards = [recordings[start : start + size] for start in range(0, len(recordings), size)]
    jobs = (joblib.delayed(answer)(network, root, shard) for shard in shards)
    found: dict[str, Any] = {}
    with Progress(label, len(shards)) as progress:
        answers = joblib.Parallel(n_jobs=parallel.workers, return_as="generator")(jobs)
        for shard, some in zip(shards, answers, strict=True):
            found |= dict(zip(shard, some, strict=True))
            progress.advance(f"{len(found)} of {len(recordings)} recordings")
    return found


def embed(network: Path, root: Path, recordings: Sequence[str]) -> list[Speech | str]:
    """Return what a network hears in each of some recordings below `root`; runs in a worker process."""
    torch.set_num_threads(1)
    verifier = Verifier(network)
    answers: list[Speech | str] = []
    for recording in recordings:
        try:
            answers.append(verifier.embed(read_bytes(root / recording)))
        except AudioError as error:
            answers.append(str(error.reason))
    return answers
