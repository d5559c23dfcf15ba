"""What commands share that tell people what a network says: ratios and decisions in words, printed on any terminal."""

from __future__ import annotations

import math
import sys

from voxbench.evaluation.decisions import Decision, Verdict
from voxbench.reporting.quantities import count, decimal

ANSWERED, UNANSWERED = 0, 2
"""Exit statuses of commands that say something of recordings and decide nothing."""


def show(text: str) -> None:
    """Print a text; letters that the terminal lacks, of a path or a transcript, become escapes."""
    print(text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))


def probability_of(decision: Decision, verdict: Verdict) -> float | None:
    """Return the probability of class 1 at the prior that the calibration was fitted for; None without a ratio."""
    if verdict.llr is None:
        return None
    prior = decision.settings.calibration.p_target
    log_odds = verdict.llr + math.log(prior) - math.log1p(-prior)
    # Whichever way the odds lie, the exponential does not overflow.
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else 1 - 1 / (1 + math.exp(log_odds))


def meaning(decision: Decision, verdict: Verdict, words: tuple[str, str], noun: str) -> list[str]:
    """Say what a ratio and its probability mean; nothing without a ratio.

    `words` are those of class 0 and 1, `noun` what has them: recordings, or phrases.
    """
    llr, probability = verdict.llr, probability_of(decision, verdict)
    if llr is None or probability is None:
        return []
    likelier, other = words[::-1] if llr >= 0 else words
    prior = decision.settings.calibration.p_target
    return [
        f"log-likelihood ratio {decimal(llr, 2)}: such a score is {times(abs(llr))} times as likely of {likelier} as "
        f"of {other} {noun}",
        f"P({words[1]}) {decimal(probability, 3)}, if {100 * prior:g} % of {noun} were {words[1]}",
    ]


def times(nats: float) -> str:
    """Return a ratio in words: with a decimal where it is small, as a power where it only says that it is large.

    >>> times(0.0), times(20.0)
    ('1.0', 'e^20.0')
    """
    if nats > math.log(1e6):
        return f"e^{decimal(nats, 1)}"
    return decimal(math.exp(nats), 1) if nats < math.log(10) else count(round(math.exp(nats)))


def reason(word: str, accepted: bool | None, verdict: Verdict) -> str:
    """Return a word for a decision, and why; or that there is none, and why."""
    if verdict.llr is None or verdict.threshold is None:
        return f"undecided, {verdict.undecided}"
    return (
        f"{word}, log-likelihood ratio {decimal(verdict.llr, 2)} {'reaches' if accepted else 'is below'} the threshold "
        f"{decimal(verdict.threshold, 2)} of policy {verdict.policy}"
    )
