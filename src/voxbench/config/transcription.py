"""Transcription in `params.yaml`: how transcripts are read off a network's outputs, and which phrases it verifies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from voxbench.config.base import Count, Positive, Section


class LanguageModel(Section):
    """An n-gram model of the characters of the training transcripts, `order` characters at most, added to the search.

    A hypothesis' log-probability gains `weight` times that of the model, and `insertion` for each character.
    """

    order: Annotated[int, Field(ge=2, le=10)]
    weight: Positive
    insertion: float


class Beam(Section):
    """A prefix beam search: the `width` best hypotheses are followed, none that falls `threshold` nats behind."""

    width: Count
    threshold: Positive
    language_model: LanguageModel | None


class Phrases(Section):
    """The phrases that each recording of a split is held against, beside its own: law in `voxbench.transcripts`.

    `others` are those of other recordings, `near` its own with one word replaced.
    """

    others: Count
    near: Annotated[int, Field(ge=0)]
    seed: int


class Transcription(Section):
    """Of tasks that write down what is said; `beam` null: the best path's characters."""

    beam: Beam | None
    phrases: Phrases
