"""Are two recordings of one person? Scored as evaluation scores trials, decided by the stored decision.

A recording becomes an embedding, once. Embeddings of the clips of one person make a template: the mean of those at
length one, as `voxbench.metrics.trial_scores` computes it, so that what is served scores as what was evaluated.

Legend of shape letters: D embedding, K clips of one person, S templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from voxbench.artifacts import files_digest
from voxbench.evaluation.decisions import DECISION, Decision, Verdict, read_decision
from voxbench.metrics.inputs import Floats
from voxbench.metrics.trial_scores import BackEnd, identification_scores
from voxbench.registry import closest
from voxbench.schema import InputError
from voxbench.serving.bundle import BACK_END, BUNDLE, WEIGHTS
from voxbench.serving.listening import Listener
from voxbench.training.trials import embeddings_of


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """One recording as its embedding, with what is known of its quality."""

    embedding_D: Floats
    source_seconds: float
    kept_seconds: float
    clipped_fraction: float


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One person as the embeddings of several clips, and how long these are together, without silence."""

    clips_KD: Floats
    kept_seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How alike a template and a recording are, and what the stored decision says of it."""

    score: float
    verdict: Verdict


class Verifier:
    """A trained model that compares recordings, from the folder that the finetune stage wrote.

    `network` is its name. `encoder` is the digest of what an embedding depends on, `version` that of all that an answer
    depends on; a decision may be fitted anew, by other settings, without another embedding. `policy` names one of the
    stored policies, None for the one that the settings choose.
    """

    def __init__(self, folder: Path, policy: str | None = None) -> None:
        self.listener = Listener(folder)
        bundle = self.listener.bundle
        self.network = f"{bundle.benchmark}/{bundle.model}"
        if not self.listener.task.pairs:
            raise InputError(
                f"{self.network} judges recordings one by one (task {bundle.task!r}) and compares none: name a model "
                "of a benchmark of task 'verification'"
            )
        if not (folder / BACK_END).is_file():
            raise InputError(f"no {BACK_END} in {folder}: run the finetune stage again, which fits it on training rows")
        self.back_end = BackEnd.of_arrays(load_file(folder / BACK_END))
        self.decision = by_policy(read_decision(folder), policy)
        self.encoder = files_digest([folder / name for name in (BUNDLE, WEIGHTS)], folder)
        self.version = files_digest([folder / name for name in (BUNDLE, WEIGHTS, BACK_END, DECISION)], folder)

    def embed(self, source: bytes) -> Speech:
        """Return what is heard in a recording; `AudioError` says why not."""
        heard = self.listener(source)
        return Speech(
            embeddings_of(heard.outputs[None])[0], heard.source_seconds, heard.kept_seconds, heard.clipped_fraction
        )

    def compare(self, templates: Sequence[Template], test: Speech) -> list[Comparison]:
        """Return how alike each template and `test` are.

        The decision weighs seconds, where it does, by the shorter side, as it was fitted; a template has those of all
        its clips. Raises `InputError` for embeddings that cannot be compared, `UndefinedError` where AS-norm has no
        value.
        """
        clips = [template.clips_KD for template in templates]
        ends = np.cumsum([len(each) for each in clips])
        enrolments = np.split(np.arange(ends[-1]), ends[:-1])
        embeddings = np.concatenate([*clips, test.embedding_D[None]])
        scores_S = identification_scores(self.back_end, embeddings, enrolments, [len(embeddings) - 1])[0]
        return [
            Comparison(float(score), self.decision.verdict(float(score), min(template.kept_seconds, test.kept_seconds)))
            for template, score in zip(templates, scores_S, strict=True)
        ]


def template_of(clips: Sequence[Speech]) -> Template:
    """Return the template of a person's clips, at least one."""
    return Template(np.stack([clip.embedding_D for clip in clips]), sum(clip.kept_seconds for clip in clips))


def unique(clips: Sequence[Speech]) -> list[Speech]:
    """Return each clip once: those of one audio have one embedding, to the bit, and say no more than one of them."""
    first: dict[bytes, Speech] = {}
    for clip in clips:
        first.setdefault(clip.embedding_D.tobytes(), clip)
    return list(first.values())


def by_policy(decision: Decision, policy: str | None) -> Decision:
    """Return `decision` as another of its policies takes it, None for the one that its settings choose."""
    settings = decision.settings
    if policy is None:
        return decision
    if policy not in settings.policies:
        raise InputError(
            f"no policy {policy!r} is stored with the model{closest(policy, settings.policies)}; there are: "
            f"{', '.join(settings.policies)}"
        )
    return decision.model_copy(update={"settings": settings.model_copy(update={"policy": policy})})
