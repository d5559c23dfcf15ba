"""What the numbers of a benchmark say, in words: no sentence claims more than a test or an interval carries."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from voxbench.reporting.evidence import Evidence, Finalist
from voxbench.reporting.quantities import MINUS, count, counted, p_equation, quantity

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
        note="" if pd.isna(row["note"]) else row["note"],
    )


def judge(evidence: Evidence) -> Verdict:
    """Say which finalist is best on the test rows, how sure that is, and what could not be seen."""
    best, *others = evidence.ranked
    if math.isnan(best.spreads[evidence.metric.name].mean):
        reason = best.spreads[evidence.metric.name].reason
        return Verdict(f"No finalist has a test {_metric(evidence)}: {reason}.", (), _warnings(evidence), math.nan)
    if not others:
        headline = f"{best.model} is the only finalist, so there is nothing to compare it with."
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
    if math.isclose(lead.difference, 0, abs_tol=1e-12):
        return f"{best.model} and {runner_up.model} share the best mean test {_metric(evidence)}: neither leads."
    rank = f"{best.model} has the best mean test {_metric(evidence)}"
    if math.isnan(lead.p_holm):
        return f"{rank}, but its lead over {runner_up.model} has no t-test."
    if lead.p_holm < evidence.alpha:
        return f"{rank}, and its lead over {runner_up.model} is significant."
    return f"{rank}, but its lead over {runner_up.model} is not significant."


def _mean(evidence: Evidence, best: Finalist) -> str:
    spread, shown = best.spreads[evidence.metric.name], quantity(evidence.metric.name, evidence.clips)
    values = f"{shown.value(spread.mean)} ± {shown.number(spread.sd)} (mean ± standard deviation)"
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
            f"{shown.value(bounded.interval.estimate)} on {evidence.sample}, and resampling the speakers gives "
            f"{low} to {high} ({evidence.level})."
        )
    if name in evidence.baseline.values:
        sentences.append(_against_baseline(evidence, best))
    if len(evidence.finalists) > 1:
        chosen = "the same one" if evidence.validated is best else evidence.validated.model
        sentences.append(f"By validation alone, which never sees a test row, one would have chosen {chosen}.")
    return tuple(sentences)


def _against_baseline(evidence: Evidence, best: Finalist) -> str:
    name, shown = evidence.metric.name, quantity(evidence.metric.name, evidence.clips)
    level = evidence.baseline.values[name]
    text = f"The trivial baseline, which never listens, gets {shown.value(level)}"
    interval = best.bounds[name].interval
    if interval is None:
        return f"{text}."
    if interval.low <= level <= interval.high:
        return f"{text}, which lies inside that interval: {best.model} is not shown to be better than guessing."
    better = (interval.low > level) is evidence.metric.greater_is_better
    return f"{text}, which lies outside that interval: the network is {'better' if better else 'worse'}."


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
    if evidence.speakers < FEW_SPEAKERS:
        warnings.append(
            f"The test rows hold only {counted(evidence.speakers, 'speaker')}: with fewer than {FEW_SPEAKERS}, "
            "intervals over speakers are too narrow."
        )
    return tuple(warnings)
