"""Corpora in `params.yaml`: synthetic twins, how one is read, cleaned, split and turned into features, mixtures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from voxbench.config.base import Bounds, Count, Fraction, Positive, Probability, Section


class Twin(Section):
    """A synthetic corpus, written in the layout of the corpus it stands in for.

    `edition` is the release or form of the layout, where it has several. Pairs are the bounds of a uniform draw. A
    session draws its signal-to-noise ratio, reverberation time (RT60), band edges and peak level once; `filter_order`
    holds at both edges. `session_pitch_sd` is the relative standard deviation of a speaker's mean F0 between
    sessions, `test_fraction` the share of each sex in the official test set, `unlabelled_fraction` the share of
    speakers whose labels are left empty where the layout allows it. Without `age_years` voices have no age cue.
    """

    layout: str
    edition: str | None
    root: Path
    seed: int
    language: str
    speakers: Count
    sessions_per_speaker: Count
    clips_per_session: Count
    clip_seconds: Bounds
    age_years: Bounds | None
    unlabelled_fraction: Fraction
    session_pitch_sd: Annotated[float, Field(ge=0)]
    snr_db: Bounds
    reverberation_seconds: Bounds
    low_hz: Bounds
    high_hz: Bounds
    filter_order: Count
    peak_dbfs: Bounds
    test_fraction: Fraction


class Cleaning(Section):
    """The chain from a decoded recording to prepared audio; laws in `voxbench.audio.cleaning`.

    `silence_at` says whether silence is taken out everywhere or at both ends alone. A null `low_pass_hz` leaves all
    frequencies, and without `z_score` a recording keeps its level: what a synthesizer leaves behind may lie in both.
    """

    sample_rate_hz: Count
    silence_q: Annotated[float, Field(ge=0)]
    silence_at: Literal["everywhere", "ends"]
    pre_emphasis: Fraction
    low_pass_order: Count
    low_pass_hz: Positive | None
    zero_phase: bool
    z_score: bool
    min_seconds: Positive
    max_seconds: Positive
    max_clipped_fraction: Probability


class Features(Section):
    """Numbers of the spectrogram and the cepstra; laws in `voxbench.features.frontends`.

    `n_mfcc` is the number of static cepstra, whatever their kind; each of `deltas` derivatives adds as many.
    """

    spectrogram: Literal["log_mel", "linear", "linear_db"]
    cepstra: Literal["mfcc", "lfcc", "cqcc"]
    deltas: Annotated[int, Field(ge=0, le=2)]
    window_ms: Positive
    hop_ms: Positive
    n_fft: Count
    f_min_hz: Annotated[float, Field(ge=0)]
    f_max_hz: Positive
    n_mels: Count
    n_mfcc: Count
    top_db: Positive


class Splitting(Section):
    """How rows become train, valid and test; `stratify` names a column whose values every split gets its share of."""

    by: Literal["speaker", "official", "utterance"]
    stratify: Literal["gender", "age_group"] | None
    valid_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: int


class Subset(Section):
    """A list of the recordings that a corpus is cut down to: its file, from the project's folder, and its SHA-256.

    The hash is what says which recordings they are: it changes with them, and a file of another hash is refused.
    """

    file: Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Corpus(Section):
    """Where a corpus lies, how it is read, and what is made of it.

    `only` names the recordings that are used, null for all. `trials` are its lists of trials, as paths below the root.
    `asv_scores` is, in a corpus of spoofed speech, the path of a speaker verifier's scores of the test rows, or null.
    """

    reader: str
    root: Path
    only: Subset | None
    licence: str
    max_excluded_fraction: Fraction
    splitting: Splitting
    trials: tuple[str, ...]
    asv_scores: str | None
    cleaning: Cleaning
    features: Features


def _pair(value: Any) -> Any:
    """Refuse what is no pair in words that say what one looks like."""
    if not (isinstance(value, (list, tuple)) and len(value) == 2):
        raise ValueError(f"found {value!r}, expected the lowest and the highest value, such as [0.5, 1.0]")
    return value


def _finite(bounds: tuple[float, float]) -> tuple[float, float]:
    if not all(map(math.isfinite, bounds)):
        raise ValueError(f"found {list(bounds)}, expected finite numbers")
    return bounds


def _shares(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] <= bounds[1] <= 1:
        raise ValueError(f"found {list(bounds)}, expected shares above 0 and up to 1: [1.0, 1.0] overlaps all the time")
    return bounds


def _times(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] < 0:
        raise ValueError(f"found {list(bounds)}, expected seconds of 0 or more, or null for no room")
    return bounds


Pair = Annotated[Bounds, AfterValidator(_finite), BeforeValidator(_pair)]
Shares = Annotated[Pair, AfterValidator(_shares)]
Times = Annotated[Pair, AfterValidator(_times)]


class MixtureNumbers(Section):
    """How many mixtures each split gets."""

    train: Annotated[int, Field(ge=0)]
    valid: Annotated[int, Field(ge=0)]
    test: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _some(self) -> MixtureNumbers:
        if not (self.train or self.valid or self.test):
            raise ValueError("found 0 in every split, expected mixtures in one at least")
        return self


class Mixture(Section):
    """A corpus of mixtures of one to `people` voices, made of the prepared `corpus`; law in `corpora.mixture_plan`.

    Pairs are the bounds of a uniform draw. `seconds` is the length of all mixtures; null cuts whole recordings to the
    shortest, as the course does. `snr_db` is the level of the first voice over each other; null keeps levels as
    prepared, which are equal over whole recordings. `overlap` is the share of the mixture in which each voice after the
    first is heard, `reverberation_seconds` (RT60) a room that all stand in, null for none. Recordings of the source
    that cannot be mixed may be at most `max_excluded_fraction` of it. The source keeps its silence (`silence_q` 0.0):
    a mixture is served as one recording, of which removal would take something else than of each voice.
    """

    corpus: str
    people: Count
    mixtures: MixtureNumbers
    seconds: Annotated[Positive, Field(allow_inf_nan=False)] | None
    snr_db: Pair | None
    overlap: Shares
    reverberation_seconds: Times | None
    max_excluded_fraction: Fraction
    seed: int
    features: Features

    def of(self, source: Corpus) -> Corpus:
        """Return this row as later stages see a corpus: the source, with another length, other splits and features."""
        shortest = source.cleaning.min_seconds if self.seconds is None else self.seconds
        changes = {
            "reader": "mixtures",
            "only": None,
            "max_excluded_fraction": self.max_excluded_fraction,
            "splitting": source.splitting.model_copy(update={"by": "official"}),
            "trials": (),
            "asv_scores": None,
            "cleaning": source.cleaning.model_copy(update={"min_seconds": shortest}),
            "features": self.features,
        }
        return source.model_copy(update=changes)
