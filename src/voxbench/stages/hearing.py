"""What networks hear in the recordings of a corpus, as a served model would: embeddings, each made once.

Raw recordings go through the cleaning and the front end that the network was trained with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

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
        parallel, root = self.workspace.params.parallel, self.workspace.root / self.workspace.params.corpus(corpus).root
        size = parallel.rows_per_shard
        shards = [missing[start : start + size] for start in range(0, len(missing), size)]
        jobs = (joblib.delayed(embed)(network, root, shard) for shard in shards)
        done = 0
        with Progress(label, len(shards)) as progress:
            answers = joblib.Parallel(n_jobs=parallel.workers, return_as="generator")(jobs)
            for shard, speeches in zip(shards, answers, strict=True):
                known |= dict(zip(shard, speeches, strict=True))
                done += len(shard)
                progress.advance(f"{done} of {len(missing)} recordings")
        return {name: known[name] for name in wanted}


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
