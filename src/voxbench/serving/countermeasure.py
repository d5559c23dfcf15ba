"""Is a recording bona fide? The network that stands before a verifier, and how both decisions make one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxbench.artifacts import files_digest
from voxbench.evaluation.decisions import DECISION, Verdict
from voxbench.schema import BONAFIDE, InputError
from voxbench.serving.bundle import BUNDLE, WEIGHTS, read_bundle
from voxbench.serving.predictor import Predictor
from voxbench.serving.verifier import by_policy
from voxbench.tasks import tasks

SUBJECT = "spoofing"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a countermeasure says of one recording; `bonafide` is None where nothing can be decided."""

    score: float
    verdict: Verdict
    bonafide: bool | None
    source_seconds: float
    kept_seconds: float


class Countermeasure:
    """A trained model that tells bona fide from spoofed recordings, from the folder that the finetune stage wrote.

    `network` is its name, `version` the digest of what its answers depend on, `policy` one of the stored policies, None
    for the one that the settings choose. Raises InputError for a model of another task.
    """

    def __init__(self, folder: Path, policy: str | None = None) -> None:
        bundle = read_bundle(folder)
        self.network = f"{bundle.benchmark}/{bundle.model}"
        if tasks[bundle.task].subject != SUBJECT:
            raise InputError(
                f"{self.network} is no countermeasure (task {bundle.task!r}): name a model of a benchmark of task "
                "'anti_spoofing'"
            )
        self.predictor = Predictor(folder)
        assert self.predictor.decision is not None, "a detection has a decision"
        self.predictor.decision = by_policy(self.predictor.decision, policy)
        self.version = files_digest([folder / name for name in (BUNDLE, WEIGHTS, DECISION)], folder)

    def __call__(self, source: bytes) -> Judgement:
        """Return what is said of a recording; `AudioError` says why nothing is."""
        said = self.predictor(source)
        decision = said.verdict.decision
        bonafide = None if decision is None else decision == BONAFIDE
        return Judgement(said.scores["score"], said.verdict, bonafide, said.source_seconds, said.kept_seconds)


def both(bonafide: bool | None, voice: bool | None) -> bool | None:
    """Return whether a recording is accepted: by both; rejected if either rejects it; None where it is undecided.

    >>> both(True, True), both(False, None), both(True, None)
    (True, False, None)
    """
    if bonafide is False or voice is False:
        return False
    return True if bonafide and voice else None
