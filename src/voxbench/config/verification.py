"""Verification in `params.yaml`: which pairs of recordings are compared, and how embeddings become scores."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from voxbench.config.base import Count, Positive, Probability, Section


class TrialRule(Section):
    """How trials are drawn from the rows of a split; law in `voxbench.features.trial_rule`.

    A speaker has at most `targets_per_speaker` target pairs, `across_sessions` none within a session. There are
    `nontargets_per_target` times as many nontarget pairs in all, of which the share `same_sex` is of two people of one
    sex; null: as it comes.
    """

    targets_per_speaker: Count
    nontargets_per_target: Positive
    same_sex: Probability | None
    across_sessions: bool
    seed: int


class AsNorm(Section):
    """Scores against the mean embeddings of training speakers, of which each side's `top` closest count."""

    top: Annotated[int, Field(ge=2)]


class Plda(Section):
    """Log-likelihood ratios of a two-covariance model in `dimensions`, fitted in `iterations`, for the cosine."""

    dimensions: Annotated[int, Field(ge=2)]
    iterations: Count


class Verification(Section):
    """How recordings are compared, by embeddings of training rows where anything is fitted.

    `centre` subtracts their mean. At most `recordings_per_speaker` of each training speaker are used, null for all.
    `test_list` is the file of one of the corpus's trial lists; null: test trials are drawn by the rule, as those of
    validation rows always are.
    """

    centre: bool
    as_norm: AsNorm | None
    plda: Plda | None
    recordings_per_speaker: Count | None
    trials: TrialRule
    test_list: str | None

    @model_validator(mode="after")
    def _variances(self) -> Verification:
        if self.plda is not None and self.recordings_per_speaker == 1:
            raise ValueError("plda needs two recordings of a speaker, found recordings_per_speaker 1: raise it")
        return self

    @property
    def fits(self) -> bool:
        """Say whether anything is fitted on training rows."""
        return self.centre or self.as_norm is not None or self.plda is not None
