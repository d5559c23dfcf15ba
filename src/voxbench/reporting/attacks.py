"""What is said of attacks: how many of the test split nobody trained on, and how far the EER differs between them.

Wrong phrases divide the trials of phrase verification as attacks do those of anti-spoofing, and so it is said of both.
"""

from __future__ import annotations

from voxbench.evaluation.grouping import FALSE_ALARM
from voxbench.evaluation.row_columns import ATTACK
from voxbench.reporting.detections import WRONG
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.quantities import count, p_equation, quantity, visible
from voxbench.reporting.trial_findings import Detections
from voxbench.schema import BONAFIDE, Split


def attack_words(evidence: Evidence) -> tuple[str, ...]:
    """Return sentences on the attacks of anti-spoofing; none for another task, and where nothing is known of them."""
    known = evidence.account.labelled
    if evidence.detected is None or not evidence.countermeasure or ATTACK not in known:
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
    between = _between(evidence, evidence.detected, ATTACK, ("attack", "attacks", "bona fide trials"))
    return (f"{share} of the test split {verb} unknown to training{names}.", *between)


def phrase_words(evidence: Evidence) -> tuple[str, ...]:
    """Return sentences on the kinds of wrong phrases; none for another task."""
    if evidence.detected is None or evidence.told_in is None:
        return ()
    named = ("kind of wrong phrase", "kinds", "right ones")
    return (
        "The phrase that a trial asks for is known, and how probable it is beside the best path is its score: nothing "
        f"was trained for it. The networks are those of {evidence.told_in}, chosen there.",
        *_between(evidence, evidence.detected, WRONG, named),
        *_accepted(evidence, evidence.detected),
    )


def _accepted(evidence: Evidence, detected: Detections) -> tuple[str, ...]:
    """Say of each kind of wrong phrase how much of it the served decision accepts; nothing without a decision."""
    groups, served = detected.findings.groups, evidence.decisions.served if evidence.decisions else None
    if served is None:
        return ()
    metric = f"{FALSE_ALARM}({served.name})"
    own = groups[(groups["by"] == WRONG) & (groups["metric"] == metric) & groups["value"].notna()]
    shown = quantity(metric, evidence.clips)
    shares = [f"{shown.value(row.value)} of {visible(str(row.group))}" for row in own.itertuples()]
    right = "" if served.p_miss.value is None else f" and {shown.value(1 - served.p_miss.value)} of right phrases"
    if not shares:
        return ()
    return (f"The decision that is stored with it (policy {served.name}) accepts {', '.join(shares)}{right}.",)


def _between(evidence: Evidence, detected: Detections, by: str, named: tuple[str, str, str]) -> tuple[str, ...]:
    """Say how far apart the best and the worst of what divides the nontargets are, where two are large enough.

    It is `named` by one word, by that for many, and by that for all targets.
    """
    found, (each_one, all_of, targets) = detected.findings, named
    gaps = found.gaps[found.gaps["by"] == by]
    if gaps.empty:
        return ()
    gap = gaps.iloc[0]
    own = found.groups[(found.groups["by"] == by) & (found.groups["metric"] == gap["metric"])].set_index("group")
    shown = quantity(gap["metric"], evidence.clips)
    pooled = next(each for each in found.measured if each.name == gap["metric"])
    assert pooled.value is not None, "groups have a metric that all rows have"
    worst, best = (
        f"{shown.value(own.loc[gap[end], 'value'])} ({visible(str(gap[end]))})" for end in ("highest", "lowest")
    )
    chance = "more" if gap["gap"] > gap["chance"] else "no more"
    return (
        f"Each {each_one} against all {targets}, the {shown.label} of {detected.model}, the best on validation, "
        f"goes from {best} to {worst}, the worst; pooled over {all_of} it is {shown.value(pooled.value)}. The gap of "
        f"{shown.number(gap['gap'])}{shown.step} is {chance} than chance makes of equal {all_of}: up to "
        f"{shown.number(gap['chance'])}{shown.step} ({p_equation(gap['p'])}).",
    )
