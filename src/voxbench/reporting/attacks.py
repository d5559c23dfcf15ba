"""What is said of attacks: how many of the test split nobody trained on, and how far the EER differs between them."""

from __future__ import annotations

from voxbench.evaluation.row_columns import ATTACK
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import count, p_equation, quantity, visible
from voxbench.reporting.trial_findings import Detections
from voxbench.schema import BONAFIDE, Split


def attack_words(evidence: Evidence) -> tuple[str, ...]:
    """Return sentences on the attacks of a benchmark of detection; none where nothing is known of attacks."""
    known = evidence.account.labelled
    if evidence.detected is None or evidence.task.pairs or ATTACK not in known:
        return ()
    spoofs = known[known[ATTACK].notna() & (known[ATTACK] != BONAFIDE)]
    attacks = {split: set(own[ATTACK]) for split, own in spoofs.groupby("split")}
    tested = attacks.get(Split.TEST, set())
    unseen = sorted(tested - attacks.get(Split.TRAIN, set()))
    if not tested:
        return ()
    verb = "is" if len(unseen) == 1 else "are"
    names = f" ({', '.join(map(visible, unseen))})" if 0 < len(unseen) < len(tested) else ""
    share = f"{count(len(unseen))} of {count(len(tested))} attacks"
    return (f"{share} of the test split {verb} unknown to training{names}.", *_between(evidence, evidence.detected))


def _between(evidence: Evidence, detected: Detections) -> tuple[str, ...]:
    """Say how far apart the best and the worst attack are, where two are large enough."""
    found = detected.findings
    gaps = found.gaps[found.gaps["by"] == ATTACK]
    if gaps.empty:
        return ()
    gap = gaps.iloc[0]
    own = found.groups[(found.groups["by"] == ATTACK) & (found.groups["metric"] == gap["metric"])].set_index("group")
    shown = quantity(gap["metric"], evidence.clips)
    pooled = next(each for each in found.measured if each.name == gap["metric"])
    assert pooled.value is not None, "groups have a metric that all rows have"
    worst, best = (
        f"{shown.value(own.loc[gap[end], 'value'])} ({visible(str(gap[end]))})" for end in ("highest", "lowest")
    )
    chance = "more" if gap["gap"] > gap["chance"] else "no more"
    return (
        f"Each attack against all bona fide trials, the {shown.label} of {detected.model}, the best on validation, "
        f"goes from {best} to {worst}, the worst; pooled over attacks it is {shown.value(pooled.value)}. The gap of "
        f"{shown.number(gap['gap'])}{shown.step} is {chance} than chance makes of equal attacks: up to "
        f"{shown.number(gap['chance'])}{shown.step} ({p_equation(gap['p'])}).",
    )
