"""The table of results: finalists, baselines, probes, the leaky split and published figures, each marked as such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from voxbench.evaluation.trial_metrics import llr_doubt
from voxbench.metrics.operating_points import operating_points
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.evidence import Evidence, Finalist, Spread
from voxbench.reporting.probes import Probe
from voxbench.reporting.quantities import DASH, Quantity, count, counted, quantity, visible
from voxbench.reporting.scored import Bounded
from voxbench.reporting.table import Row, Table
from voxbench.reporting.tables_data import shared_words

PUBLISHED = "published"
LEAKY = "leaky split"


def results_table(evidence: Evidence) -> Table:
    """Tabulate the finalists by mean test metric; below them baselines, the leaky split and published figures."""
    shown = [quantity(metric.name, evidence.clips) for metric in evidence.measured]
    arrows = ["↑" if metric.greater_is_better else "↓" for metric in evidence.measured]
    best = evidence.ranked[0]
    rows = [Row(_finalist_cells(evidence, finalist, shown), finalist is best) for finalist in evidence.ranked]
    rows += [Row(cells, marked=False) for cells in _reference_cells(evidence, shown)]
    aside = [*_leaky_cells(evidence, shown), *_published_cells(evidence, shown)]
    rows += [Row(cells, marked=False, aside=True) for cells in aside]
    return Table(
        title="Finalists on the test rows",
        says=(
            f"Mean ± standard deviation over {evidence.repeats}; {evidence.sample}. ↑ higher is better, ↓ lower is "
            f"better. The last column is the one fine-tuned network with its {evidence.level} interval over "
            f"{evidence.over} "
            f"({count(evidence.resamples)} bootstrap resamples of whole speakers). A baseline never listens: "
            f"{'; '.join(f'the {each.name} {each.says}' for each in evidence.baselines)}.{_probe_words(evidence)}"
        ),
        columns=(
            *("system", "kind", "parameters"),
            *(f"{each.heading} {arrow}" for each, arrow in zip(shown, arrows, strict=True)),
            f"fine-tuned: {shown[0].heading}",
        ),
        words=2,
        rows=tuple(rows),
        notes=(*_gaps(evidence), *trial_notes(evidence), *_leaky_notes(evidence), *_published_notes(evidence)),
    )


def _finalist_cells(evidence: Evidence, finalist: Finalist, shown: list[Quantity]) -> tuple[str, ...]:
    spreads = [finalist.spreads[metric.name] for metric in evidence.measured]
    return (
        finalist.model,
        finalist.family,
        count(finalist.parameters),
        *(_spread(each, spread) for each, spread in zip(shown, spreads, strict=True)),
        _interval(shown[0], finalist.bounds[evidence.metric.name]),
    )


def _probe_words(evidence: Evidence) -> str:
    if not evidence.probes.found:
        return " No probe: silence or duration alone write no words." if evidence.texts else ""
    each = "; ".join(f"the {probe.name} {probe.says}" for probe in evidence.probes.found)
    return f" A probe is a linear model that is fitted to the training rows and knows a few numbers alone: {each}."


def trial_notes(evidence: Evidence) -> list[str]:
    """Say of trials what probes know, what Cllr is worth before calibration, and behind what a t-DCF stands."""
    if not evidence.detects:
        return []
    doubts: dict[str, list[str]] = {}
    for finalist in evidence.ranked:
        if doubt := llr_doubt(operating_points(finalist.tuned.scores, finalist.tuned.truth)):
            doubts.setdefault(doubt.partition(":")[0].partition(" (")[0], []).append(finalist.model)
    notes = [f"Cllr of {', '.join(models)}: {doubt}; calibrated below." for doubt, models in doubts.items()]
    notes += _tandem_notes(evidence) + _tied_notes(evidence)
    if evidence.probes.found and evidence.task.pairs:
        notes.append(
            "A probe knows of a trial by how much its two recordings differ in each number, and is fitted to trials of "
            "training recordings that are drawn by the benchmark's rule."
        )
    return notes


def _tied_notes(evidence: Evidence) -> list[str]:
    if "eer_asvspoof" not in evidence.baselines[0].scored.values or evidence.task.pairs:
        return []
    return [
        "EER (ASVspoof) of baselines and probes is their EER: the rule of ASVspoof rejects the bona fide among equal "
        "scores first, which would put what gives all trials one score at 100 %."
    ]


def _tandem_notes(evidence: Evidence) -> list[str]:
    if evidence.detected is None or evidence.detected.asv is None:
        return []
    asv = evidence.detected.asv
    return [
        "min t-DCF: the least normalised cost of this countermeasure behind a speaker verifier, in the version of 2018 "
        f"(legacy) and of 2020 (revised), whose scores of the same trials are {visible(asv.file)}"
        f"{f' ({asv.asv_set.name})' if asv.asv_set.name else ''}, sha256 {asv.asv_set.sha256}. The verifier's own "
        "uncertainty is in no interval."
    ]


def _references(evidence: Evidence) -> list[Baseline | Probe]:
    return [*evidence.baselines, *evidence.probes.found]


def _reference_cells(evidence: Evidence, shown: list[Quantity]) -> Iterator[tuple[str, ...]]:
    for each in _references(evidence):
        values = [each.scored.values.get(metric.name) for metric in evidence.measured]
        cells = [DASH if value is None else one.number(value) for one, value in zip(shown, values, strict=True)]
        kind, interval = "probe" if isinstance(each, Probe) else "baseline", each.bounds[evidence.metric.name]
        yield (each.name, kind, DASH, *cells, _interval(shown[0], interval))
    for name in evidence.probes.reasons:
        yield (name, "probe", DASH, *(DASH for _ in shown), DASH)


def leaky_variants(evidence: Evidence) -> list[str]:
    """Return the variants whose test rows are not those of the disjoint split."""
    if evidence.variants.empty:
        return []
    other = ~evidence.variants["same_test_rows"].astype(bool)
    return list(evidence.variants.loc[other, "variant"].unique())


def _leaky_cells(evidence: Evidence, shown: list[Quantity]) -> Iterator[tuple[str, ...]]:
    for variant in leaky_variants(evidence):
        own = evidence.variant_runs[evidence.variant_runs["variant"] == variant]
        for model, runs in own.groupby("model", sort=False):
            # A t-DCF, which needs a verifier of the same rows, is not among what stages measure.
            columns = [runs.get(metric.name) for metric in evidence.measured]
            cells = [DASH if own is None else _runs(each, own) for each, own in zip(shown, columns, strict=True)]
            yield (f"{model}, {variant}", LEAKY, DASH, *cells, DASH)


def _runs(shown: Quantity, values: pd.Series) -> str:
    return DASH if values.isna().any() else shown.spread(float(values.mean()), float(values.std(ddof=1)))


def _published_cells(evidence: Evidence, shown: list[Quantity]) -> Iterator[tuple[str, ...]]:
    for system, figures in evidence.published.groupby("system", sort=False):
        cells = []
        for each, metric in zip(shown, evidence.measured, strict=True):
            own = figures[figures["metric"] == metric.name]
            said = [f"{_exact(each, row.value).number(row.value)} {row.who}".strip() for row in own.itertuples()]
            cells.append(", ".join(said) or DASH)
        yield (str(system), PUBLISHED, DASH, *cells, DASH)


def _exact(shown: Quantity, value: float) -> Quantity:
    """Return how a figure of others is written: with two digits, or as many as it has and ours have."""
    return replace(shown, decimals=max(2, min(shown.decimals, len(str(value).partition(".")[2]))))


def _spread(shown: Quantity, spread: Spread) -> str:
    return DASH if spread.reason else shown.spread(spread.mean, spread.sd)


def _interval(shown: Quantity, bounded: Bounded) -> str:
    return DASH if bounded.interval is None else shown.interval(bounded.interval)


def _gaps(evidence: Evidence) -> list[str]:
    """Return the reason of every dash among the measurements, and the systems that it concerns."""
    gaps: dict[str, list[str]] = {}
    measured = [metric.name for metric in evidence.measured]

    def note(system: str, metric: str, reason: str) -> None:
        if reason and metric in measured:
            gaps.setdefault(f"{quantity(metric, evidence.clips).label}: {reason}", []).append(system)

    chosen = evidence.metric.name
    for finalist in evidence.ranked:
        for name, spread in finalist.spreads.items():
            note(finalist.model, name, spread.reason)
        note(f"fine-tuned {finalist.model}", chosen, finalist.bounds[chosen].reason)
    for each in _references(evidence):
        for name, reason in each.scored.undefined.items():
            note(each.name, name, reason)
        note(f"interval of the {each.name}", chosen, each.bounds[chosen].reason)
    for name, reason in evidence.probes.reasons.items():
        gaps.setdefault(reason, []).append(name)
    return [f"{', '.join(systems)}: {gap}" for gap, systems in gaps.items()]


def _leaky_notes(evidence: Evidence) -> list[str]:
    if not (leaky := leaky_variants(evidence)):
        return []
    runs = evidence.variant_runs[evidence.variant_runs["variant"].isin(leaky)]
    leakage = evidence.account.leakage_utterance
    shared = f": {shared_words(leakage)}" if leakage and not leakage["clean"] else ""
    return [
        f"Rows of kind '{LEAKY}' are trained and tested on a split by utterance, as in published protocols, where "
        f"training and test share speakers{shared}. Mean over {counted(runs['seed'].nunique(), 'seed')}; the test rows "
        "are others, and the figures are too good for voices that the network has not heard."
    ]


def _published_notes(evidence: Evidence) -> list[str]:
    if evidence.published.empty:
        return []
    notes = [
        f"Rows of kind '{PUBLISHED}' are not comparable with the others: they come from whole corpora, other test rows "
        "and other splits, some of them with the same speakers in training and test."
    ]
    for source, own in evidence.published.groupby("source", sort=False):
        notes.append(f"{', '.join(own['system'].unique())}: {source}.")
    for about, own in evidence.published[evidence.published["note"] != ""].groupby("note", sort=False):
        notes.append(f"{', '.join(own['system'].unique())}: {about}.")
    return notes
