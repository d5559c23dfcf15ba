"""Decisions in `params.yaml`: how scores become log-likelihood ratios, and what is accepted at which threshold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from voxbench.config.base import Count, Fraction, Name, Section
from voxbench.registry import closest

Cost = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class EerPoint(Section):
    """The score with the smallest |P_miss - P_fa|; of equal ones that of the smaller sum, then the highest."""

    policy: Literal["eer_point"] = "eer_point"


class Bayes(Section):
    """The Bayes threshold for log-likelihood ratios, a prior of targets and the costs of both errors."""

    policy: Literal["bayes"] = "bayes"
    p_target: Annotated[float, Field(gt=0, lt=1)]
    c_miss: Cost
    c_fa: Cost


class FixedFar(Section):
    """The lowest score with P_fa <= `rate`.

    Nontargets are accepted one by one (tied ones together), so a rate between two that occur gives the lower: below
    1 / nontargets that is a rate of zero, which says little about the rate asked for; `Threshold.nontargets` tells.
    """

    policy: Literal["fixed_far"] = "fixed_far"
    rate: Fraction


Policy = Annotated[EerPoint | Bayes | FixedFar, Field(discriminator="policy")]


class CalibrationSettings(Section):
    """How log-likelihood ratios are fitted (`voxbench.metrics.calibration`).

    `p_target` and `ridge` are those of the affine map, `smoothing` that of the isotonic one. `quality` names a number
    of seconds of each recording whose natural logarithm the affine map weighs beside the score; null for none.
    """

    map: Literal["affine", "isotonic"]
    p_target: Annotated[float, Field(gt=0, lt=1)]
    ridge: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    smoothing: Cost
    quality: Literal["kept_seconds"] | None

    @model_validator(mode="after")
    def _affine_quality(self) -> CalibrationSettings:
        if self.map == "isotonic" and self.quality is not None:
            raise ValueError(f"quality is {self.quality!r}, but an isotonic map has no room for one: set it to null")
        return self


class Decisions(Section):
    """Calibration and named threshold policies, fitted on validation rows; `policy` is the one that serving applies."""

    calibration: CalibrationSettings
    policies: Annotated[dict[Name, Policy], Field(min_length=1)]
    policy: str

    @model_validator(mode="after")
    def _known(self) -> Decisions:
        if self.policy not in self.policies:
            raise ValueError(
                f"policy is {self.policy!r}{closest(self.policy, self.policies)}; policies: {', '.join(self.policies)}"
            )
        return self


class OperatingCosts(Section):
    """A prior of targets and the costs of both errors, at which detection costs are stated."""

    p_target: Annotated[float, Field(gt=0, lt=1)]
    c_miss: Cost
    c_fa: Cost


class Evaluation(Section):
    """What `voxbench evaluate` states besides the metrics without settings.

    `draws` bounds rows times resamples: longer lists are resampled less often than `report.resamples` says. A metric
    that has no value on more than the fraction `max_undefined` of the resamples gets no interval. By `trim_silence_q`
    silence is cut off at both ends, to see what countermeasures owe to it.
    """

    costs: Annotated[tuple[OperatingCosts, ...], Field(min_length=1)]
    draws: Count
    max_undefined: Fraction
    trim_silence_q: Annotated[float, Field(gt=0, allow_inf_nan=False)]
