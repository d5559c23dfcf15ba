"""What the numbers of a benchmark say, in words: no sentence claims more than a test or an interval carries."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxbench.reporting.attacks import attack_words, phrase_words
from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.groups import extremes
from voxbench.reporting.quantities import DASH, MINUS, count, counted, p_equation, quantity
from voxbench.reporting.scored import Scored
from voxbench.reporting.shortcuts import against_probes, leaks, not_shown
from voxbench.reporting.transcript_words import known_sentences, transcript_words

# Below about so many clusters the percentile interval is too narrow (see voxbench.metrics.uncertainty).
FEW_SPEAKERS = 20


@dataclass(frozen=True)
class Lead:
    """The paired comparison of two finalists, turned so that positive numbers favour the first."""

    difference: float
    low: float
    high: float
    t: float
    df: int
    p: float
    p_holm: float
    p_wilcoxon_holm: float
    smallest_detectable: float
    note: str


@dataclass(frozen=True)
class Verdict:
    """A headline and the sentences that carry it; `p_holm` is that of the lead, NaN where it has none."""

    headline: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    p_holm: float


def lead_of(evidence: Evidence, first: Finalist, second: Finalist) -> Lead:
    """Return the comparison of `first` with `second`, whichever way round the table of tests has it."""
    tests = evidence.tests
    straight = (tests["a"] == first.model) & (tests["b"] == second.model)
    turned = (tests["a"] == second.model) & (tests["b"] == first.model)
    row = tests[straight | turned].iloc[0]
    sign = (1 if straight.any() else -1) * (1 if evidence.metric.greater_is_better else -1)
    low, high = sorted((sign * row["ci_low"], sign * row["ci_high"]))
    return Lead(
        difference=sign * row["mean_difference"],
        low=low,
        high=high,
        t=sign * row["t"],
        df=int(row["df"]),
        p=row["p_t"],
        p_holm=row["p_t_holm"],
        p_wilcoxon_holm=row["p_wilcoxon_holm"],
        smallest_detectable=row["smallest_detectable"],
        note=row["note"],
    )


def judge(evidence: Evidence) -> Verdict:
    """Say which finalist is best on the test rows, how sure that is, and what could not be seen."""
    best, *others = evidence.ranked
    if math.isnan(best.spreads[evidence.metric.name].mean):
        reason = best.spreads[evidence.metric.name].reason
        return Verdict(f"No finalist has a test {_metric(evidence)}: {reason}.", (), _warnings(evidence), math.nan)
    if not others:
        headline = f"{best.model} is the only finalist, so there is nothing to compare it with."
        headline += _unbeaten(evidence)
        return Verdict(headline, (_mean(evidence, best), *_beyond(evidence, best)), _warnings(evidence), math.nan)
    lead = lead_of(evidence, best, others[0])
    sentences = (
        f"{_mean(evidence, best)} {_lead(evidence, others[0], lead)}",
        *_power(evidence, lead),
        *_all_pairs(evidence),
        *_beyond(evidence, best),
    )
    return Verdict(_headline(evidence, best, others[0], lead), sentences, _warnings(evidence), lead.p_holm)


def _metric(evidence: Evidence) -> str:
    return quantity(evidence.metric.name, evidence.clips).label


def _headline(evidence: Evidence, best: Finalist, runner_up: Finalist, lead: Lead) -> str:
    rank = f"{best.model} has the best mean test {_metric(evidence)}"
    if math.isclose(lead.difference, 0, abs_tol=1e-12):
        said = f"{best.model} and {runner_up.model} share the best mean test {_metric(evidence)}: neither leads."
    elif math.isnan(lead.p_holm):
        said = f"{rank}, but its lead over {runner_up.model} has no t-test."
    elif lead.p_holm < evidence.alpha:
        said = f"{rank}, and its lead over {runner_up.model} is significant."
    else:
        said = f"{rank}, but its lead over {runner_up.model} is not significant."
    return said + _unbeaten(evidence)


def _unbeaten(evidence: Evidence) -> str:
    if evidence.gain.interval is None or evidence.beats_baseline:
        return not_shown(evidence)
    return f" {evidence.validated.model}, chosen on validation, is not shown to beat a baseline that never listens."


def _mean(evidence: Evidence, best: Finalist) -> str:
    spread, shown = best.spreads[evidence.metric.name], quantity(evidence.metric.name, evidence.clips)
    lower = "" if evidence.metric.greater_is_better else "; lower is better"
    values = f"{shown.value(spread.mean)} ± {shown.number(spread.sd)} (mean ± standard deviation{lower})"
    return f"Over {evidence.repeats}, {best.model} reaches a test {shown.label} of {values}."


def _lead(evidence: Evidence, runner_up: Finalist, lead: Lead) -> str:
    shown = quantity(evidence.metric.name, evidence.clips)
    pairs = counted(len(evidence.tests), "pair")
    size = f"The mean advantage over {runner_up.model}, seed by seed, is {shown.number(lead.difference)}{shown.step}"
    if math.isnan(lead.p):
        return f"{size}; {lead.note} (Wilcoxon signed-rank, Holm over {pairs}: {p_equation(lead.p_wilcoxon_holm)})."
    interval = f"{evidence.level} interval {shown.number(lead.low)} to {shown.number(lead.high)}"
    test = f"paired t({lead.df}) = {lead.t:.2f}".replace("-", MINUS)
    return f"{size} ({interval}; {test}, {p_equation(lead.p)}, after Holm over {pairs} {p_equation(lead.p_holm)})."


def _power(evidence: Evidence, lead: Lead) -> tuple[str, ...]:
    shown = quantity(evidence.metric.name, evidence.clips)
    if math.isnan(lead.smallest_detectable):
        return (
            f"What {evidence.repeats} could detect between these two is undefined: {lead.note or 'no reason given'}.",
        )
    smallest = f"{shown.number(lead.smallest_detectable)}{shown.step}"
    sentence = (
        f"The smallest true difference between these two that {evidence.repeats} would detect with "
        f"{evidence.power} power is {smallest} (paired t-test at {evidence.alpha:.3g}, before Holm's adjustment)"
    )
    unseen = "" if lead.p_holm < evidence.alpha else "; a smaller one, either way, can go unseen"
    return (f"{sentence}{unseen}.",)


def _all_pairs(evidence: Evidence) -> tuple[str, ...]:
    pairs = len(evidence.tests)
    if pairs < 2:
        return ()
    significant = int((evidence.tests["p_t_holm"] < evidence.alpha).sum())
    verb = "differs" if significant == 1 else "differ"
    found = {0: "none", pairs: "all"}.get(significant, significant)
    return (f"Of all {count(pairs)} pairs of finalists, {found} {verb} significantly after Holm.",)


def _beyond(evidence: Evidence, best: Finalist) -> tuple[str, ...]:
    """Say what the seeds cannot: the spread over speakers, the trivial baseline, and what validation would choose."""
    name, shown = evidence.metric.name, quantity(evidence.metric.name, evidence.clips)
    bounded, sentences = best.bounds[name], []
    if bounded.interval is not None:
        low, high = shown.number(bounded.interval.low), shown.value(bounded.interval.high)
        sentences.append(
            f"Seeds vary the training, not the speakers. The one fine-tuned {best.model} scores "
            f"{shown.value(bounded.interval.estimate)} on {evidence.sample}, and resampling the {evidence.over} gives "
            f"{low} to {high} ({evidence.level})."
        )
        if bounded.interval.low == bounded.interval.high:
            sentences.append("An interval without width says that these speakers are all alike, not that everybody is.")
    sentences += [_against_baseline(evidence), *against_probes(evidence), *_between_groups(evidence)]
    sentences += [*attack_words(evidence), *phrase_words(evidence), *transcript_words(evidence)]
    if len(evidence.finalists) > 1:
        chosen = "the same one" if evidence.validated is best else evidence.validated.model
        by = "" if evidence.chosen_by is evidence.metric else f" ({quantity(evidence.chosen_by.name, 0).label})"
        sentences.append(f"By validation alone{by}, which never sees a test row, one would have chosen {chosen}.")
    return tuple(sentences)


def _against_baseline(evidence: Evidence) -> str:
    """Say whether the network that validation chooses beats the strongest baseline."""
    chosen = evidence.validated.model
    shown, strongest = quantity(evidence.metric.name, evidence.clips), evidence.strongest
    which = "" if len(evidence.baselines) == 1 else f"the strongest of {len(evidence.baselines)}, "
    text = f"A trivial baseline never listens; {which}the {strongest.name}{',' * bool(which)} gets "
    text += _value(evidence, strongest.scored)
    interval = evidence.gain.interval
    if interval is None:
        return f"{text}. Whether {chosen} beats it cannot be said: {evidence.gain.reason}."
    compared = (
        f"{text}. The gain over it of the fine-tuned {chosen}, the best on validation, on the same "
        f"{evidence.noun}s, is "
        f"{shown.number(interval.estimate)}{shown.step} ({evidence.level} interval over {evidence.over} "
        f"{shown.number(interval.low)} to {shown.number(interval.high)})"
    )
    if interval.low > 0:
        return f"{compared}: it beats the baseline."
    if interval.high < 0:
        return f"{compared}: it does not beat the baseline, it is worse."
    return f"{compared}. The interval holds zero: {chosen} does not beat the baseline, as far as these speakers show."


def _value(evidence: Evidence, scored: Scored) -> str:
    value = scored.values.get(evidence.metric.name)
    return DASH if value is None else quantity(evidence.metric.name, evidence.clips).value(value)


def beats_words(evidence: Evidence) -> str:
    """Say in a word or two whether the network that validation chooses beats the strongest baseline."""
    interval = evidence.gain.interval
    if interval is None:
        return "cannot be said"
    return "yes" if interval.low > 0 else "no, worse" if interval.high < 0 else "not shown"


def _between_groups(evidence: Evidence) -> tuple[str, ...]:
    """Say how far apart the sexes are, and the groups of the single attribute with the widest gap."""
    found = [
        each
        for each in extremes(evidence.groups, greater_is_better=bool(evidence.task.classes))
        if " x " not in each[0]
    ]
    if not found:
        return ()
    shown = quantity("accuracy" if evidence.task.classes else "mae", evidence.clips)
    widest = max(found, key=lambda each: each[3])
    told = [each for each in found if each[0] == "gender" or each is widest]
    said = [
        f"by {attribute.replace('_', ' ')} from {shown.value(worst['mean'])} ({worst['group']}) to "
        f"{shown.value(best['mean'])} ({best['group']}), a gap of {shown.number(gap)}{shown.step}"
        for attribute, worst, best, gap in told
    ]
    return (
        f"The {shown.label} of {evidence.validated.model}, the best on validation, goes {'; '.join(said)}. Part of any "
        "gap is chance.",
    )


def _warnings(evidence: Evidence) -> tuple[str, ...]:
    account, warnings = evidence.account, []
    if account.synthetic:
        warnings.append(
            "These recordings are synthetic. The figures show that the pipeline works; they say nothing of real speech."
        )
    if not account.leakage["clean"]:
        shared = sorted({each["key"] for each in account.leakage["overlaps"] if each["shared"]})
        warnings.append(
            f"This split is leaky: training and test share {' and '.join(shared)} values. "
            "The figures are too high for voices the models have not heard."
        )
    warnings += [*leaks(evidence), *known_sentences(evidence)]
    if evidence.speakers < FEW_SPEAKERS:
        warnings.append(
            f"The test rows hold only {counted(evidence.speakers, 'speaker')}: with fewer than {FEW_SPEAKERS}, "
            "intervals over speakers are too narrow."
        )
    return tuple(warnings)
