"""Is one system better than another over seeds? Paired tests for all pairs of systems.

References: paired t-test and Cohen's d of the differences (Lakens 2013, d_z), Wilcoxon's signed-rank test,
Holm's step-down adjustment (1979), all through pingouin, which only this module imports. Deviations from
pingouin 0.7: its interval is rounded to two decimals and its `cohen_d` pools the two standard deviations, so
both are computed here; its exact signed-rank null ignores ties, so tied differences use the permutation null
of the midranks.

`compare_pairs` says what the spread over training seeds supports on one fixed test set, and nothing about other
speakers. `permutation_test` says the opposite: what the spread over speakers supports for two fixed systems
(`voxbench.metrics.sign_flips`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import pingouin
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from voxbench.metrics.sign_flips import contributions, sign_flips
from voxbench.schema import InputError

Floats = NDArray[np.float64]
Row = dict[str, float | int | str]

COLUMNS = (
    *("a", "b", "n", "mean_a", "sd_a", "mean_b", "sd_b", "mean_difference", "ci_low", "ci_high"),
    *("t", "df", "p_t", "w", "p_wilcoxon", "cohen_dz", "smallest_detectable", "note"),
)
# Differences closer than this fraction of the largest value are equal: 0.921 - 0.915 and 0.913 - 0.907 are.
RESOLUTION = 1e-12
IDENTICAL = "identical values for every seed"
CONSTANT = "the same difference for every seed: the t-test is undefined"
UNREACHABLE = "too few seeds for this power at any difference below 10 standard deviations"
NO_DIFFERENCE = "no speaker has a difference"
SAME_DIFFERENCE = "the same difference for every speaker: no effect size"
COARSE = "too few speakers for this level: the smallest possible p is {:.3g}"


def compare_pairs(values: pd.DataFrame, level: float, power: float) -> pd.DataFrame:
    """Compare every pair of systems seed by seed, one row per pair.

    `values` has the columns system, seed, value: one number per system and seed, the same seeds for all.
    Pairs come in the order in which systems first appear; differences are a - b, standard deviations use
    n - 1. One system alone gives a table without rows.

    - `ci_low`, `ci_high`: interval of the mean difference at `level`.
    - `t`, `df`, `p_t`: paired t-test, two-sided.
    - `w`, `p_wilcoxon`: smaller signed-rank sum and its exact two-sided p; zero differences are left out.
    - `cohen_dz`: mean / sd of the differences.
    - `p_t_holm`, `p_wilcoxon_holm`: adjusted over all pairs of the table; undefined pairs do not count.
    - `smallest_detectable`: the mean difference that the t-test would find with probability `power` at
      alpha = 1 - level (before Holm), given this n and sd of differences.
    - `note`: why something is missing (NaN), or empty. Identical values give t = 0 and p = 1; a constant
      difference has no t-test, but a signed-rank test.

    Missing columns, NaN, a repeated system and seed, differing seeds and a single seed raise `InputError`.

    >>> values = pd.DataFrame({"system": list("aaabbb"), "seed": [1, 2, 3] * 2})
    >>> values["value"] = [0.90, 0.92, 0.94, 0.89, 0.90, 0.91]
    >>> table = compare_pairs(values, level=0.95, power=0.8)
    >>> table[["mean_difference", "t", "p_t", "p_wilcoxon", "cohen_dz"]].round(4).to_numpy().tolist()
    [[0.02, 3.4641, 0.0742, 0.25, 2.0]]
    """
    _check_fractions(level, power)
    systems = _by_seed(values)
    rows = [_compare((a, b), systems, level, power) for a, b in combinations(systems, 2)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("p_t", "p_wilcoxon"):
        table.insert(table.columns.get_loc("cohen_dz") + 1, f"{column}_holm", holm(table[column]))
    return table


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values adjusted by Holm's step-down rule, in the order given; NaN stays and does not count.

    >>> holm([0.012, 0.001, 0.04, 0.03]).round(3).tolist()
    [0.036, 0.004, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    if np.isnan(given).all():
        return given.copy()
    # The alpha only makes the accept/reject column, which is not used.
    return np.asarray(pingouin.multicomp(given, alpha=0.05, method="holm")[1])


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """A paired test over `clusters` speakers, see `permutation_test`; NaN is what is undefined, `note` says why."""

    mean_difference: float
    p: float
    clusters: int
    patterns: int
    exact: bool
    smallest_p: float
    cohen_dz: float
    smallest_detectable: float
    note: str


def permutation_test(
    values_a: ArrayLike,
    values_b: ArrayLike,
    clusters: ArrayLike,
    *,
    permutations: int,
    level: float,
    power: float,
    generator: np.random.Generator,
) -> PermutationTest:
    """Test the mean of a - b over rows by exchanging the two systems for whole speakers, two-sided.

    `values_a` and `values_b` (N,) are scores of the same rows, in one unit, and `clusters` (N,) the speakers. A
    speaker weighs as much as it has rows, as in `paired_difference_interval`.

    - `p`, `patterns`, `exact`, `smallest_p`: see `voxbench.metrics.sign_flips.sign_flips`.
    - `cohen_dz`: mean / sd over speakers of what each contributes, K / N times its sum of differences.
    - `smallest_detectable`: the mean difference that a t-test on these contributions, which the permutation test
      equals for many speakers, would find with probability `power` at alpha = 1 - level.

    Fewer than two speakers, rows that differ and NaN raise `InputError`.

    >>> found = permutation_test(
    ...     [3, 4, 5, 6], [1, 3, 2, 5], list("abcd"),
    ...     permutations=100, level=0.95, power=0.8, generator=np.random.default_rng(1),
    ... )
    >>> found.mean_difference, found.p, found.exact, found.note
    (1.75, 0.125, True, 'too few speakers for this level: the smallest possible p is 0.125')
    """
    _check_fractions(level, power)
    share_K = contributions(values_a, values_b, clusters)
    mean, sd = float(share_K.mean()), float(share_K.std(ddof=1))
    found = sign_flips(share_K, permutations, generator)
    cohen_dz = detectable = float("nan")
    if not share_K.any():
        note = NO_DIFFERENCE
    elif sd <= RESOLUTION * abs(mean):
        note = SAME_DIFFERENCE
    else:
        cohen_dz = mean / sd
        detectable = sd * float(pingouin.power_ttest(n=len(share_K), power=power, alpha=1 - level, contrast="paired"))
        note = UNREACHABLE.replace("seeds", "speakers") if np.isnan(detectable) else ""
    if share_K.any() and found.smallest_p > 1 - level:
        detectable, note = float("nan"), COARSE.format(found.smallest_p)
    return PermutationTest(
        mean_difference=mean,
        p=found.p,
        clusters=len(share_K),
        patterns=found.patterns,
        exact=found.exact,
        smallest_p=found.smallest_p,
        cohen_dz=cohen_dz,
        smallest_detectable=detectable,
        note=note,
    )


def _check_fractions(level: float, power: float) -> None:
    """Refuse percentages and certainties."""
    for name, fraction in (("level", level), ("power", power)):
        if not 0 < fraction < 1:
            raise InputError(f"{name} must lie between 0 and 1, found {fraction}")


def _by_seed(values: pd.DataFrame) -> dict[str, Floats]:
    """Return the values of each system in one common order of seeds, systems in order of appearance."""
    columns = ["system", "seed", "value"]
    missing = [column for column in columns if column not in values.columns]
    if missing:
        raise InputError(f"the table lacks {', '.join(missing)}; found {', '.join(map(str, values.columns))}")
    if not pd.api.types.is_numeric_dtype(values["value"]):
        raise InputError(f"the column value must hold numbers, found {values['value'].dtype}")
    bad = values[columns].isna().any(axis=1) | ~np.isfinite(values["value"].to_numpy(dtype=np.float64))
    if bad.any():
        raise InputError(f"a value is missing or infinite: {values.loc[bad, columns].iloc[0].to_dict()}")
    repeated = values.duplicated(["system", "seed"])
    if repeated.any():
        raise InputError(f"found twice: {values.loc[repeated, ['system', 'seed']].iloc[0].to_dict()}")
    table = values.pivot(index="seed", columns="system", values="value")
    for system in table.columns[table.isna().any()]:
        seeds = ", ".join(map(str, table.index[table[system].isna()]))
        raise InputError(f"pairing needs the same seeds for all systems: {system!r} lacks {seeds}")
    if len(table) < 2:
        seeds = ", ".join(map(str, table.index)) or "no rows"
        raise InputError(f"a paired test needs at least 2 seeds, found only {seeds}")
    return {system: table[system].to_numpy(dtype=np.float64) for system in values["system"].unique()}


def _compare(pair: tuple[str, str], systems: dict[str, Floats], level: float, power: float) -> Row:
    """Return one row of the table, without the adjusted p-values."""
    a, b = systems[pair[0]], systems[pair[1]]
    difference = a - b
    step = RESOLUTION * float(max(np.abs(a).max(), np.abs(b).max())) or 1.0
    whole_steps: Floats = np.round(difference / step)
    row: Row = {
        "a": pair[0],
        "b": pair[1],
        "n": len(a),
        "mean_a": float(a.mean()),
        "sd_a": float(a.std(ddof=1)),
        "mean_b": float(b.mean()),
        "sd_b": float(b.std(ddof=1)),
        "mean_difference": float(difference.mean()),
        "df": len(a) - 1,
    }
    return row | _signed_rank(whole_steps) | _t_test(a, b, whole_steps, level, power)


def _t_test(a: Floats, b: Floats, whole_steps: Floats, level: float, power: float) -> Row:
    """Return the paired t-test, its interval, effect size and power, or why they are missing."""
    if not whole_steps.any():
        zeros: Row = dict.fromkeys(("t", "ci_low", "ci_high", "cohen_dz"), 0.0)
        return zeros | {"p_t": 1.0, "smallest_detectable": float("nan"), "note": IDENTICAL}
    if np.ptp(whole_steps) == 0:
        names = ("t", "p_t", "ci_low", "ci_high", "cohen_dz", "smallest_detectable")
        missing: Row = dict.fromkeys(names, float("nan"))
        return missing | {"note": CONSTANT}
    n, difference = len(a), a - b
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    test = pingouin.ttest(a, b, paired=True).iloc[0]
    half_width = float(stats.t.ppf((1 + level) / 2, n - 1)) * sd / np.sqrt(n)
    detectable_dz = pingouin.power_ttest(n=n, power=power, alpha=1 - level, contrast="paired")
    return {
        "t": float(test["T"]),
        "p_t": float(test["p_val"]),
        "ci_low": mean - half_width,
        "ci_high": mean + half_width,
        "cohen_dz": mean / sd,
        "smallest_detectable": float(detectable_dz * sd),
        "note": UNREACHABLE if np.isnan(detectable_dz) else "",
    }


def _signed_rank(whole_steps: Floats) -> Row:
    """Return Wilcoxon's smaller rank sum and its exact two-sided p."""
    nonzero = whole_steps[whole_steps != 0]
    if nonzero.size == 0:
        return {"w": 0.0, "p_wilcoxon": 1.0}
    test = pingouin.wilcoxon(nonzero, method="exact").iloc[0]
    w, p = float(test["W_val"]), float(test["p_val"])
    ranks = stats.rankdata(np.abs(nonzero))
    return {"w": w, "p_wilcoxon": p if len(set(ranks)) == len(ranks) else _tied_p(ranks, w)}


def _tied_p(ranks: Floats, w: float) -> float:
    """Return 2 P(rank sum <= w) when each rank is positive or negative with chance one half."""
    # Midranks are halves, so their doubles index an array.
    doubled = np.round(2 * ranks).astype(np.int64)
    chance = np.zeros(doubled.sum() + 1)
    chance[0] = 1.0
    for rank in doubled:
        positive = np.concatenate([np.zeros(rank), chance[:-rank]])
        chance = (chance + positive) / 2
    return min(1.0, 2 * float(chance[: round(2 * w) + 1].sum()))
