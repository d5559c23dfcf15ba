"""Augmentation in `params.yaml`: what is done to training recordings, and to them alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from voxbench.config.base import Bounds, Count, Name, Positive, Probability, Section


class Augmentation(Section):
    """What is done to training recordings only, each with its own draw; a null leaves a step out.

    Each step is applied with `probability`, on the training device. `reverberation_seconds` (RT60) puts a voice in a
    room. `noise_snr_db` adds white and pink noise, `babble_snr_db` so many voices of other training speakers as lie
    between the `babble_voices`, `music_snr_db` chords. `speed` plays faster or slower and so moves pitch and formants,
    `low_pass_hz` is the edge of a codec-like band limit. RawBoost: `convolutive_db` is by how much the higher powers of
    the signal, each filtered by itself, lie below it, `impulsive_fraction` the share of samples with noise that follows
    the signal, `coloured_snr_db` the level of filtered noise. `codecs` names those that recordings are coded and
    decoded with, one at a time. SpecAugment: `mask_stripes` of up to `mask_seconds` and as many of up to
    `mask_fraction` of the bins; `mask_filters` hides up to so many neighbouring filters of networks on waves that begin
    with a fixed bank, in every step. Whatever `probability` is, `speed_speakers` adds copies of all training rows,
    played at each of these speeds, as new speakers.
    """

    probability: Probability
    reverberation_seconds: Bounds | None
    noise_snr_db: Bounds | None
    babble_snr_db: Bounds | None
    babble_voices: tuple[Count, Count] | None
    music_snr_db: Bounds | None
    speed: Bounds | None
    low_pass_hz: Bounds | None
    convolutive_db: Bounds | None
    impulsive_fraction: Bounds | None
    coloured_snr_db: Bounds | None
    codecs: Annotated[tuple[Name, ...], Field(min_length=1)] | None
    mask_seconds: Positive | None
    mask_fraction: Annotated[float, Field(gt=0, lt=1)] | None
    mask_stripes: Count
    mask_filters: Count | None
    speed_speakers: Annotated[tuple[Positive, ...], Field(min_length=1)] | None

    @model_validator(mode="after")
    def _sound(self) -> Augmentation:
        if (self.babble_snr_db is None) != (self.babble_voices is None):
            raise ValueError("babble_snr_db and babble_voices belong together: set both, or both to null")
        if self.babble_voices and self.babble_voices[0] > self.babble_voices[1]:
            raise ValueError(f"babble_voices are {list(self.babble_voices)}, expected the lower number first")
        copies = self.speed_speakers or ()
        if 1.0 in copies or len(set(copies)) < len(copies):
            raise ValueError(f"speed_speakers are {list(copies)}, expected different speeds, none of them 1")
        return self

    @property
    def babbles(self) -> bool:
        """Say whether voices of other speakers are needed."""
        return self.probability > 0 and self.babble_voices is not None

    @property
    def changes_waves(self) -> bool:
        """Say whether recordings are changed before their features are computed."""
        added = (self.noise_snr_db, self.babble_snr_db, self.music_snr_db)
        boosted = (self.convolutive_db, self.impulsive_fraction, self.coloured_snr_db)
        steps = (*added, *boosted, self.reverberation_seconds, self.speed, self.low_pass_hz, self.codecs)
        return self.speed_speakers is not None or (self.probability > 0 and any(step is not None for step in steps))

    @property
    def fastest(self) -> float:
        """Return the highest speed at which a recording may be played, 1 or more: it leaves the least of it."""
        drawn = self.speed[1] if self.speed and self.probability > 0 else 1.0
        return max(drawn, 1.0) * max(self.speed_speakers or (), default=1.0)

    @property
    def masks(self) -> bool:
        """Say whether stripes of features are hidden."""
        return self.probability > 0 and (self.mask_seconds is not None or self.mask_fraction is not None)
