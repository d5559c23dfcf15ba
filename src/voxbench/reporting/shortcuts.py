"""What the probes say, in words: is the network better than they are, and can labels be told from less than a voice?"""

from __future__ import annotations

from voxbench.reporting.evidence import Evidence
from voxbench.reporting.probes import Probe
from voxbench.reporting.quantities import quantity


def against_probes(evidence: Evidence) -> tuple[str, ...]:
    """Say which probe comes closest, and whether the network that validation chooses is better; nothing without one."""
    closest = evidence.closest_probe
    if closest is None:
        return ()
    chosen, interval = evidence.validated.model, evidence.probe_gain.interval
    others = len(evidence.probes.found)
    which = f"Of {others} probes, which know a few numbers of a recording, the" if others > 1 else "The"
    comes = "comes closest with" if others > 1 else "gets"
    text = f"{which} {closest.name} {comes} {_value(evidence, closest)}"
    if interval is None:
        return (f"{text}. Whether {chosen} is better cannot be said: {evidence.probe_gain.reason}.",)
    shown = quantity(evidence.metric.name, evidence.clips)
    gain = (
        f"{text}; the gain over it of the fine-tuned {chosen} is {shown.number(interval.estimate)}{shown.step} "
        f"({evidence.level} interval over speakers {shown.number(interval.low)} to {shown.number(interval.high)})"
    )
    if interval.low > 0:
        return (f"{gain}: it hears more than that.",)
    if interval.high < 0:
        return (f"{gain}: it is worse than what the {_clue(closest)} alone gives away.",)
    return (f"{gain}. The interval holds zero: it is not shown to hear more than the {_clue(closest)} gives away.",)


def not_shown(evidence: Evidence) -> str:
    """Return a clause for the headline where the network is not shown to be better than the closest probe."""
    closest, interval = evidence.closest_probe, evidence.probe_gain.interval
    if closest is None or interval is None or interval.low > 0:
        return ""
    chosen = evidence.validated.model
    return f" {chosen}, chosen on validation, is not shown to beat a probe that knows the {_clue(closest)} alone."


def leaks(evidence: Evidence) -> list[str]:
    """Warn of every probe that is better than chance: it tells labels from a few numbers.

    Nobody is warned where voices are counted: how energy is spread tells of their number and is no shortcut, and the
    quietest frames of a mixture hold voices, too. There probes are baselines.
    """
    if evidence.task.counts:
        return []
    shown, chance, warnings = quantity(evidence.metric.name, evidence.clips), evidence.baselines[0], []
    for probe in evidence.probes.found:
        if (interval := probe.over_chance.interval) is not None and probe.finds:
            warnings.append(
                f"Labels can be told from the {_clue(probe)} alone: the {probe.name} gets {_value(evidence, probe)}, "
                f"better than the {chance.name} by {shown.number(interval.estimate)}{shown.step} ({evidence.level} "
                f"interval over speakers {shown.number(interval.low)} to {shown.number(interval.high)}). A network "
                f"may have learnt the {_clue(probe)} of these recordings."
            )
    return warnings


def _value(evidence: Evidence, probe: Probe) -> str:
    return quantity(evidence.metric.name, evidence.clips).value(probe.scored.values[evidence.metric.name])


def _clue(probe: Probe) -> str:
    return probe.name.removesuffix(" probe")
