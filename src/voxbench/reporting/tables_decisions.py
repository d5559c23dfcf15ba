"""The tables of decisions: what calibration does to the scores, and what each policy accepts, at what price."""

from __future__ import annotations

from voxbench.evaluation.records import Decided, Measured
from voxbench.reporting.decisions import AFTER, BEFORE, LEAST, Applied
from voxbench.reporting.evaluation_tables import policy_words
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import DASH, Quantity, count, counted, decimal, quantity, spoken
from voxbench.reporting.table import Row, Table

SERVED = "the served model applies"
STEPS = {
    BEFORE: "before calibration",
    AFTER: "after calibration",
    LEAST: "the least possible (minCllr)",
}


def decision_tables(evidence: Evidence) -> tuple[Table, ...]:
    """Tabulate calibration and decisions of the network that is best on validation; none without thresholds."""
    applied = evidence.decisions
    return () if applied is None else (_calibration_table(evidence, applied), _policies_table(evidence, applied))


def _calibration_table(evidence: Evidence, applied: Applied) -> Table:
    decision, (_, positive) = applied.decision, map(spoken, applied.decision.classes)
    shown = quantity("cllr", evidence.clips)
    measured = {STEPS[name]: applied.cllrs[name] for name in STEPS}
    return Table(
        title="Do the scores say what they are worth?",
        says=(
            f"Cllr of {applied.model}, the fine-tuned network that is best on validation; {evidence.sample}, with the "
            f"{evidence.level} interval over {evidence.over} ({count(evidence.resamples)} resamples). Before: "
            f"{'the scores' if evidence.detects else f'the log odds of {positive}'} as they are. After: mapped to "
            "log-likelihood ratios by the stored "
            f"{decision.settings.calibration.map} map, fitted on "
            f"{counted(decision.rows, f'validation {evidence.noun}')} of "
            f"{counted(decision.speakers, 'speaker')}. The least possible: what a map that never falls could reach if "
            "it were fitted on these very test rows; what remains is the network's, and no calibration repairs it."
        ),
        columns=("scores", f"{shown.heading} ↓"),
        words=1,
        rows=tuple(Row((step, _bracketed(each, shown)), False) for step, each in measured.items()),
        notes=tuple(f"{step}: {each.reason}" for step, each in measured.items() if each.reason),
    )


def _policies_table(evidence: Evidence, applied: Applied) -> Table:
    settings, (negative, positive) = applied.decision.settings, map(spoken, applied.decision.classes)
    shown = quantity("accuracy", evidence.clips)
    found = {each.name: _rates(each, shown) for each in applied.decided}
    rows = [
        Row((name, policy_words(policy), *found.get(name, (DASH,) * 5)), name == settings.policy)
        for name, policy in settings.policies.items()
    ]
    parts = [(each.name, part.reason) for each in applied.decided for part in (each.p_miss, each.p_fa)]
    noted = dict.fromkeys(f"{name}: {reason}" for name, reason in parts if reason)
    reason = applied.decision.reason
    return Table(
        title="What is accepted, and at what price?",
        says=(
            f"A {evidence.noun} is called {positive} where its calibrated log-likelihood ratio reaches the threshold, "
            "else "
            f"{negative}. Thresholds come from the validation rows, by a named policy. Misses: of the {positive} "
            f"{evidence.noun}s, the share that is called {negative}; false alarms: of the {negative} {evidence.noun}s, "
            f"the share that is called {positive}; both on the validation rows, and on the test rows with the "
            f"{evidence.level} interval over {evidence.over}. A threshold that errs much more on the latter does not "
            f"carry over. Marked: the policy that {'the settings choose' if evidence.task.pairs else SERVED}."
        ),
        columns=(
            *("policy", "asks for", "threshold (nats)"),
            *(f"misses ({shown.unit}), {rows}" for rows in ("validation", "test")),
            *(f"false alarms ({shown.unit}), {rows}" for rows in ("validation", "test")),
        ),
        words=2,
        rows=tuple(rows),
        notes=(*noted, *([f"no threshold, and no decision in serving: {reason}"] if reason else [])),
    )


def _rates(decided: Decided, shown: Quantity) -> tuple[str, ...]:
    threshold = decided.threshold
    return (
        decimal(threshold.value, 3),
        *(shown.number(threshold.p_miss), _bracketed(decided.p_miss, shown)),
        *(shown.number(threshold.p_fa), _bracketed(decided.p_fa, shown)),
    )


def _bracketed(measured: Measured, shown: Quantity) -> str:
    if measured.value is None:
        return DASH
    return shown.number(measured.value) if measured.interval is None else shown.interval(measured.interval)
