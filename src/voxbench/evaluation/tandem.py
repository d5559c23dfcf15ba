"""The tandem cost (t-DCF) of a countermeasure's scores, behind a speaker verifier of the same set.

The verifier is either a file of its scores or the published rates of the organisers' system. Which set it belongs to is
known by the spoofed trials of each attack (`voxbench.corpora.asv_scores`); scores of another set are refused, because
they change the cost without a word. Its interval is over the speakers of the countermeasure's trials: the verifier is
one fixed system, and the uncertainty of its own rates is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from voxbench.corpora.asv_scores import AsvSet, count_spoofs, identify_asv_scores, read_asv_scores, require_same_set
from voxbench.evaluation.records import ScoreRows
from voxbench.evaluation.trial_metrics import TrialMetric, weighted_by_points
from voxbench.metrics.operating_points import OperatingPoints
from voxbench.metrics.tandem import ASVSPOOF2019_LA, AsvRates, TdcfVersion, asv_rates, min_tdcf
from voxbench.registry import closest
from voxbench.schema import InputError, ScoreKind

# Spoofed trials of each attack in the two sets that have published rates: ASVspoof 2019 LA's protocols.
PUBLISHED = {
    "asvspoof2019-la-dev": ("dev", {f"A{number:02}": 3_716 for number in range(1, 7)}),
    "asvspoof2019-la-eval": ("eval", {f"A{number:02}": 4_914 for number in range(7, 20)}),
}


@dataclass(frozen=True, slots=True)
class Asv:
    """A speaker verifier: its errors at its own threshold, and the set of trials that they are of."""

    rates: AsvRates
    asv_set: AsvSet


def asv_of_file(path: Path) -> Asv:
    """Return the verifier whose scores a file holds in the form of ASVspoof 2019; what is no such file is refused."""
    table = read_asv_scores(path)
    return Asv(_rates(table), identify_asv_scores(path))


def asv_of_table(table: pd.DataFrame, sha256: str) -> Asv:
    """Return the verifier of a table of `voxbench.corpora.asv_scores`, such as that of ASVspoof 2021."""
    return Asv(_rates(table), AsvSet(sha256, None, count_spoofs(table)))


def published_asv(name: str) -> Asv:
    """Return the organisers' verifier by the name of its set, one of `PUBLISHED`.

    >>> round(published_asv("asvspoof2019-la-eval").rates.p_fa_spoof, 6)
    0.760652
    """
    if name not in PUBLISHED:
        raise InputError(
            f"no published rates of a verifier for {name!r}{closest(name, PUBLISHED)}; known: {', '.join(PUBLISHED)}; "
            "or give a file of ASV scores"
        )
    part, spoofs = PUBLISHED[name]
    return Asv(ASVSPOOF2019_LA[part], AsvSet("", name, spoofs))


def tandem_metrics(asv: Asv, scored: ScoreRows) -> list[TrialMetric]:
    """Return the least normalised t-DCF in both versions, `min_tdcf(legacy)` and `min_tdcf(revised)`.

    Scores that are no detection, and a verifier of another set, raise `InputError`. Spoofed trials are compared by
    attack where the rows have the column `attack`, else in total.
    """
    if scored.kind is not ScoreKind.DETECTION:
        raise InputError(f"a t-DCF is of countermeasure scores, found scores of {scored.kind}: give no ASV scores")
    _require_same_set(asv.asv_set, scored)
    return [_tandem(asv.rates, version) for version in get_args(TdcfVersion)]


def _tandem(rates: AsvRates, version: TdcfVersion) -> TrialMetric:
    def cost(points: OperatingPoints) -> float:
        return min_tdcf(points, None, rates, version=version)

    return TrialMetric(f"min_tdcf({version})", cost, weighted_by_points(cost))


def _rates(table: pd.DataFrame) -> AsvRates:
    scores = {str(key): part.to_numpy() for key, part in table.groupby("key", observed=True)["score"]}
    missing = [key for key in ("target", "nontarget", "spoof") if key not in scores]
    if missing:
        raise InputError(f"the ASV scores have no {' and no '.join(missing)} trial; a t-DCF needs all three kinds")
    return asv_rates(scores["target"], scores["nontarget"], scores["spoof"])


def _require_same_set(asv: AsvSet, scored: ScoreRows) -> None:
    """Refuse a verifier of another set than the countermeasure's rows."""
    is_spoof_N = scored.columns[1] == 0
    if "attack" in scored.rows:
        attacks = scored.rows["attack"][is_spoof_N]
        if attacks.notna().all():
            require_same_set(asv, counted(attacks), scored.origin.scores)
            return
    expected, found = sum(asv.spoofs.values()), int(is_spoof_N.sum())
    if expected != found:
        raise InputError(
            f"the verification scores{f' ({asv.name})' if asv.name else ''} are of another set than "
            f"{scored.origin.scores}: {expected} and {found} spoofed trials; use the dev scores with dev and the eval "
            "scores with eval"
        )


def counted(attacks: pd.Series) -> Mapping[str, int]:
    """Return how many rows each attack has, by name.

    >>> counted(pd.Series(["A07", "A08", "A07"]))
    {'A07': 2, 'A08': 1}
    """
    counts = attacks.astype(str).value_counts()
    return {str(attack): int(counts[attack]) for attack in sorted(counts.index)}
