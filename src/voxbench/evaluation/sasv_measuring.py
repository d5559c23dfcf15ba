"""What a tandem is worth on test trials: error rates of each system and rule, costs, intervals, differences.

| name | of | what |
|---|---|---|
| `sv_eer`, `spf_eer`, `sasv_eer` | a system | EER of targets against nontargets, against spoofs, against both pooled |
| `min_a_dcf`, `a_dcf` | a system, a rule | cost at the best threshold of these trials; at one from development |
| `p_miss`, `p_fa`, `p_fa_spoof` | a rule | targets rejected, nontargets accepted, spoofs accepted |
| `min_tdcf(legacy)`, `min_tdcf(revised)` | the countermeasure | its cost in tandem with this very verifier |
| `eer_asvspoof` | the countermeasure | bona fide against spoofed recordings, each once |

In the t-DCF the verifier stands at the threshold of its EER on these trials, as in the challenges; resamples keep that
threshold and measure its rates anew.

Shape letters: N trials, U recordings, R resamples, K people, A rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from voxbench.config import Evaluation, Report
from voxbench.evaluation.intervals import Plan, plan_of
from voxbench.evaluation.records import Measured, Origin, ScoreRows
from voxbench.evaluation.sasv import SYSTEMS, VERIFIER, Rule, TandemFit, bonafide, recordings, rules_of
from voxbench.evaluation.sasv_files import SPEAKER
from voxbench.evaluation.trial_metrics import EER_ASVSPOOF
from voxbench.metrics.equal_error import eer_threshold
from voxbench.metrics.inputs import Floats, Integers
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.spoofing_aware import (
    KEYS,
    NONTARGET,
    SPOOF,
    TARGET,
    contrasts,
    weighted_min_a_dcf,
    weighted_min_tdcf,
)
from voxbench.metrics.tandem import ASVSPOOF_COSTS, AsvRates, TdcfVersion, a_dcf_terms, min_tdcf
from voxbench.metrics.trial_bootstrap import trials_of
from voxbench.metrics.weighted_detection import weighted_eer, weighted_trials
from voxbench.schema import ScoreKind

# Trials times resamples evaluated at once; no value depends on it.
WEIGHTS_AT_ONCE = 1 << 18
COUNTERMEASURE = "countermeasure"
ERRORS = ("p_miss", "p_fa", "p_fa_spoof")
ONE_SIDE = (
    "Nobody says who is heard in nontarget trials, so that claimed people alone are drawn: intervals are too narrow."
)

Name = tuple[str, str]
Values = dict[Name, Floats]


@dataclass(frozen=True)
class Ruled:
    """A rule with its errors, in the order of `ERRORS`, and its cost."""

    rule: Rule
    errors: tuple[Measured, ...]
    a_dcf: Measured


@dataclass(frozen=True, eq=False)
class TandemFindings:
    """All that is found; `differences` are of each system's metrics minus those of the verifier alone.

    `rates` are the verifier's in the t-DCF.
    """

    fit: TandemFit
    scored: pd.DataFrame
    systems: dict[str, tuple[Measured, ...]]
    countermeasure: tuple[Measured, ...]
    rates: AsvRates
    ruled: tuple[Ruled, ...]
    differences: dict[str, tuple[Measured, ...]]
    resampled: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Trials:
    """Test trials as arrays: kind (N,), people of both sides (N,), and the recordings' first rows (U,)."""

    scored: pd.DataFrame
    key_N: Integers
    enroll_N: Integers
    partner_N: Integers
    people: int
    heard_U: Integers
    asv_threshold: float
    rules: list[Rule]

    def weights(self, drawn_RK: Floats) -> Floats:
        """Return how often each trial comes (R, N) where people are drawn so often; one within a person as they do."""
        padded_RK = np.column_stack([drawn_RK, np.ones(len(drawn_RK))])
        return np.asarray(padded_RK[:, self.enroll_N] * padded_RK[:, self.partner_N])

    def recording_weights(self, drawn_RK: Floats) -> Floats:
        """Return how often each recording comes (R, U): as often as who is heard, or claimed where nobody says."""
        side_N = np.where(self.partner_N == self.people, self.enroll_N, self.partner_N)
        return np.asarray(drawn_RK[:, side_N[self.heard_U]])


def measure_tandem(fit: TandemFit, scored: pd.DataFrame, report: Report, evaluation: Evaluation) -> TandemFindings:
    """Return what is found on test trials with the scores of all systems (`voxbench.evaluation.sasv.system_scores`)."""
    scored = scored.sort_values(["enroll", "test"], kind="stable", ignore_index=True)
    trials = _arrays(scored, rules_of(fit, scored))
    plan = _plan(scored, report, evaluation)
    values = {name: float(found[0]) for name, found in _measures(trials, [np.ones((1, trials.people))]).items()}
    rates = AsvRates(*(values[_verifying(name)] for name in ERRORS))
    reasons = {}
    for version in get_args(TdcfVersion):
        name = (COUNTERMEASURE, f"min_tdcf({version})")
        try:
            heard = scored.iloc[trials.heard_U]
            values[name] = min_tdcf(heard["cm"].to_numpy(), bonafide(heard), rates, version=version)
        except UndefinedError as error:
            reasons[name] = str(error)
    drawn: Values = {}
    if not plan.why_none and trials.people > 1:
        drawn = _measures(trials, plan.draws(trials.people, "tandem"))

    def measured(name: Name) -> Measured:
        if name in reasons:
            return Measured(name[1], None, None, reasons[name])
        return plan.measured(name[1], values[name], drawn.get(name), trials.people)

    return TandemFindings(
        fit=fit,
        scored=scored,
        systems={system: tuple(map(measured, _of_system(system, trials))) for system in SYSTEMS},
        countermeasure=tuple(map(measured, (name for name in values | reasons if name[0] == COUNTERMEASURE))),
        rates=rates,
        ruled=tuple(
            Ruled(rule, tuple(measured((_place(at), name)) for name in ERRORS), measured((_place(at), "a_dcf")))
            for at, rule in enumerate(trials.rules)
        ),
        differences=_differences(trials, values, drawn, plan),
        resampled=plan.described,
        notes=(*fit.notes, *(() if SPEAKER in scored else (ONE_SIDE,))),
    )


def _arrays(scored: pd.DataFrame, rules: list[Rule]) -> _Trials:
    key_N = scored["key"].map({key: place for place, key in enumerate(KEYS)}).to_numpy(np.int64)
    side = SPEAKER if SPEAKER in scored else "enroll"
    people = trials_of(
        scored["asv"].to_numpy(),
        (key_N == TARGET).astype(np.int64),
        scored["enroll"].to_numpy(str),
        scored[side].to_numpy(str),
    )
    is_claim_N = key_N != SPOOF
    return _Trials(
        scored=scored,
        key_N=key_N,
        enroll_N=people.enroll,
        # Whoever claims to be themselves weighs once, by the 1 that stands after the last person.
        partner_N=np.where(people.enroll == people.test, len(people.speakers), people.test),
        people=len(people.speakers),
        heard_U=recordings(scored).index.to_numpy(),
        asv_threshold=eer_threshold(
            scored["asv"].to_numpy()[is_claim_N], (key_N[is_claim_N] == TARGET).astype(int), method="asvspoof"
        ),
        rules=rules,
    )


def _plan(scored: pd.DataFrame, report: Report, evaluation: Evaluation) -> Plan:
    sides = ("enroll", SPEAKER) if SPEAKER in scored else ("enroll",)
    rows = ScoreRows(
        kind=ScoreKind.DETECTION,
        columns=(scored["asv"].to_numpy(), bonafide(scored)),
        classes=("", ""),
        unit="",
        rows=scored[["enroll", "test"]],
        speakers=tuple(scored[side].to_numpy() for side in sides),
        origin=Origin("", "", None, "", "", None),
        notes=(),
    )
    return plan_of(rows, report, evaluation)


def _measures(trials: _Trials, parts: Iterable[Floats]) -> Values:
    """Return every metric on each resample (R,), NaN where undefined; `parts` say how often people are drawn (R, K)."""
    found: dict[Name, list[Floats]] = {}
    at_once = max(1, WEIGHTS_AT_ONCE // len(trials.key_N))
    orders = {system: np.argsort(-trials.scored[system].to_numpy(), kind="stable") for system in SYSTEMS}
    for part_RK in parts:
        for start in range(0, len(part_RK), at_once):
            drawn_RK = np.asarray(part_RK[start : start + at_once], dtype=np.float64)
            weights_RN = trials.weights(drawn_RK)
            measured = dict(_of_rules(trials, weights_RN))
            for system, order_N in orders.items():
                measured |= _ranked(system, trials, order_N, weights_RN)
            measured |= _of_countermeasure(trials, drawn_RK, np.stack([measured[_verifying(name)] for name in ERRORS]))
            for name, values_R in measured.items():
                found.setdefault(name, []).append(values_R)
    return {name: np.concatenate(values) for name, values in found.items()}


def _of_rules(trials: _Trials, weights_RN: Floats) -> Iterator[tuple[Name, Floats]]:
    """Yield the errors and the cost of each rule, and the errors of the verifier at its threshold in the t-DCF."""
    terms = a_dcf_terms(ASVSPOOF_COSTS)
    at_eer_N = trials.scored["asv"].to_numpy() >= trials.asv_threshold
    accepted_AN = np.stack([*(rule.accepted_N for rule in trials.rules), at_eer_N]).astype(np.float64)
    shares = []
    for kind in (TARGET, NONTARGET, SPOOF):
        rows = trials.key_N == kind
        with np.errstate(invalid="ignore"):
            share_AR = accepted_AN[:, rows] @ weights_RN[:, rows].T / weights_RN[:, rows].sum(axis=1)
        # Weights are whole numbers, whose sums are exact; the quotient is never beyond 1.
        shares.append(share_AR)
    errors_3AR = (1 - shares[0], shares[1], shares[2])
    for name, rates_AR in zip(ERRORS, errors_3AR, strict=True):
        yield _verifying(name), rates_AR[-1]
        yield from (((_place(at), name), rates_AR[at]) for at in range(len(trials.rules)))
    cost_AR = (
        terms.miss * errors_3AR[0] + terms.impostor * errors_3AR[1] + terms.spoof * errors_3AR[2]
    ) / terms.cheaper
    yield from (((_place(at), "a_dcf"), cost_AR[at]) for at in range(len(trials.rules)))


def _ranked(system: str, trials: _Trials, order_N: Integers, weights_RN: Floats) -> Values:
    scores_N = trials.scored[system].to_numpy()[order_N]
    found = contrasts(scores_N, trials.key_N[order_N], weights_RN[:, order_N].T)
    return {
        (system, "sv_eer"): weighted_eer(found.impostors),
        (system, "spf_eer"): weighted_eer(found.spoofs),
        (system, "sasv_eer"): weighted_eer(found.both),
        (system, "min_a_dcf"): weighted_min_a_dcf(found, a_dcf_terms(ASVSPOOF_COSTS)),
    }


def _of_countermeasure(trials: _Trials, drawn_RK: Floats, rates_3R: Floats) -> Values:
    heard = trials.scored.iloc[trials.heard_U]
    order_U = np.argsort(-heard["cm"].to_numpy(), kind="stable")
    weights_UR = trials.recording_weights(drawn_RK)[:, order_U].T
    found = weighted_trials(heard["cm"].to_numpy()[order_U], bonafide(heard)[order_U] == 1, weights_UR)
    costs = {
        (COUNTERMEASURE, f"min_tdcf({version})"): weighted_min_tdcf(found, rates_3R, version)
        for version in get_args(TdcfVersion)
    }
    return {(COUNTERMEASURE, EER_ASVSPOOF.name): EER_ASVSPOOF.weighted(found)} | costs


def _differences(
    trials: _Trials, values: dict[Name, float], drawn: Values, plan: Plan
) -> dict[str, tuple[Measured, ...]]:
    """Return each system minus the verifier alone, on the same resamples."""
    found: dict[str, tuple[Measured, ...]] = {}
    for system in SYSTEMS:
        if system == VERIFIER:
            continue
        pairs = list(zip(_of_system(system, trials), _of_system(VERIFIER, trials), strict=True))
        found[system] = tuple(
            plan.measured(
                one[1],
                values[one] - values[other],
                drawn[one] - drawn[other] if drawn else None,
                trials.people,
            )
            for one, other in pairs
        )
    return found


def _of_system(system: str, trials: _Trials) -> list[Name]:
    """Return the names of a system's metrics, the cost at its own threshold last."""
    own = next(at for at, rule in enumerate(trials.rules) if rule.system == system and system in rule.thresholds)
    return [*((system, name) for name in ("sasv_eer", "sv_eer", "spf_eer", "min_a_dcf")), (_place(own), "a_dcf")]


def _verifying(error: str) -> Name:
    """Return the name of an error of the verifier in the t-DCF."""
    return "verifier in the t-DCF", error


def _place(at: int) -> str:
    return f"rule {at}"
