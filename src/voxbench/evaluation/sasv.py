"""A verifier and a countermeasure as one decision: fitted on development trials, judged on test trials.

Both scores become log-likelihood ratios, that of the verifier by targets and nontargets, that of the countermeasure by
bona fide and spoofed recordings, each recording once. Four systems make one score of a trial's two: the `verifier`
alone, and `sum`, `cascade` and `fusion` of `voxbench.metrics.spoofing_aware`. Everything fitted, the thresholds
included, comes from development trials: `fit_tandem` is not given any other.

Priors and costs are those of the ASVspoof challenges (`ASVSPOOF_COSTS`), of the a-DCF as of the t-DCF. Intervals are
over people, those of both sides of a trial, with all systems on the same draws; the calibrations, the thresholds and,
for the t-DCF, the verifier's threshold stay as they are.

Shape letters: N trials, R resamples, K people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxbench.config import Decisions
from voxbench.evaluation.decisions import Decision, fit_decision
from voxbench.evaluation.sasv_files import SPEAKER, SPOOF
from voxbench.metrics.inputs import Integers
from voxbench.metrics.spoofing_aware import KEYS, REJECTED, cascaded, fused, spoof_share, summed
from voxbench.metrics.tandem import ASVSPOOF_COSTS, a_dcf_threshold
from voxbench.metrics.thresholds import decide
from voxbench.schema import BONAFIDE, InputError

VERIFIER, CASCADE, FUSION = "verifier", "cascade", "fusion"
SYSTEMS = (VERIFIER, "sum", CASCADE, FUSION)
LEAST_COST = "least a-DCF"
"""The rule of a system's threshold at which the development trials cost least."""


@dataclass(frozen=True)
class TandemFit:
    """What development trials say: both decisions, the chosen policy, and each system's threshold of least a-DCF."""

    asv: Decision
    cm: Decision
    policy: str
    share: float
    thresholds: Mapping[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rule:
    """One way to decide: which system by which rule, its thresholds in words, and what it accepts (N,)."""

    system: str
    name: str
    thresholds: Mapping[str, float]
    accepted_N: np.ndarray


def fit_tandem(development: pd.DataFrame, settings: Decisions) -> TandemFit:
    """Return all that is fitted, from development trials in the columns of `voxbench.evaluation.sasv_files`.

    Scores that do not rise from nontarget to target, or from spoofed to bona fide recordings, raise InputError.
    """
    plain = settings.model_copy(update={"calibration": settings.calibration.model_copy(update={"quality": None})})
    notes: tuple[str, ...] = ()
    if settings.calibration.quality is not None:
        notes = (f"Neither ratio weighs decisions.calibration.quality ({settings.calibration.quality}) here.",)
    claims = development[development["key"] != SPOOF]
    heard = recordings(development)
    asv = fit_decision(
        plain,
        (KEYS[1], KEYS[0]),
        claims["asv"].to_numpy(),
        (claims["key"] == KEYS[0]).to_numpy().astype(np.int64),
        claims["enroll"].to_numpy(),
        None,
    )
    speakers = heard[SPEAKER if SPEAKER in heard else "enroll"].to_numpy()
    cm = fit_decision(plain, (SPOOF, BONAFIDE), heard["cm"].to_numpy(), bonafide(heard), speakers, None)
    for what, decision in (("verifier", asv), ("countermeasure", cm)):
        if decision.reason:
            raise InputError(f"the {what}'s scores cannot be calibrated on the development trials: {decision.reason}")
    fit = TandemFit(asv, cm, settings.policy, spoof_share(ASVSPOOF_COSTS), {}, notes)
    scored = system_scores(fit, development)
    thresholds = {}
    for name in SYSTEMS:
        target, nontarget, spoof = (scored.loc[scored["key"] == key, name] for key in KEYS)
        thresholds[name] = a_dcf_threshold(target, nontarget, spoof, ASVSPOOF_COSTS)
    return TandemFit(asv, cm, settings.policy, fit.share, thresholds, notes)


def system_scores(fit: TandemFit, trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials with both ratios, `asv_llr` and `cm_llr`, and the score of each system."""
    asv, cm = fit.asv.llrs(trials["asv"].to_numpy(), None), fit.cm.llrs(trials["cm"].to_numpy(), None)
    own = dict(
        zip(SYSTEMS, (asv, summed(asv, cm), cascaded(asv, cm, _gate(fit)), fused(asv, cm, fit.share)), strict=True)
    )
    return trials.assign(asv_llr=asv, cm_llr=cm, **own)


def rules_of(fit: TandemFit, scored: pd.DataFrame) -> list[Rule]:
    """Return what each rule accepts of trials with scores: every policy for the verifier and the cascade, then costs.

    Of the policies, the one that the settings choose comes first.
    """
    found: list[Rule] = []
    for policy in sorted(fit.asv.thresholds, key=lambda name: name != fit.policy):
        gates = {"asv": fit.asv.thresholds[policy], "cm": fit.cm.thresholds[policy]}
        values = {name: gate.value for name, gate in gates.items()}
        is_voice_N, is_bonafide_N = (decide(scored[f"{name}_llr"].to_numpy(), gate) for name, gate in gates.items())
        found.append(Rule(VERIFIER, policy, {"asv": values["asv"]}, is_voice_N))
        found.append(Rule(CASCADE, policy, values, is_voice_N & is_bonafide_N))
    for system, threshold in fit.thresholds.items():
        own = {"cm": _gate(fit)} if system == CASCADE else {}
        # Where accepting everything costs least, a cascade's threshold is the score of what its first stage rejects.
        accepted_N = scored[system].to_numpy() >= threshold
        found.append(Rule(system, LEAST_COST, own | {system: threshold}, accepted_N))
    return found


def recordings(trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each recording that is heard; of the trials of one recording a target comes first."""
    order = trials["key"].map({key: place for place, key in enumerate(KEYS)})
    return trials.assign(_order=order).sort_values(["_order", "test"], kind="stable").drop_duplicates("test")


def bonafide(trials: pd.DataFrame) -> Integers:
    """Return 1 for bona fide speech and 0 for spoofs."""
    return np.asarray((trials["key"] != SPOOF).to_numpy().astype(np.int64))


def shown_scores(scored: pd.DataFrame) -> pd.DataFrame:
    """Return trials for a file: no score where the cascade's first stage rejected."""
    return scored.assign(**{CASCADE: scored[CASCADE].mask(scored[CASCADE] == REJECTED)})


def _gate(fit: TandemFit) -> float:
    return fit.cm.thresholds[fit.policy].value
