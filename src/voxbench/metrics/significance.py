"""Is one system better than another over seeds? Paired tests for all pairs of systems.

References: paired t-test and Cohen's d of the differences (Lakens 2013, d_z), Wilcoxon's signed-rank test,
Holm's step-down adjustment (1979), all through pingouin, which only this module imports. Deviations from
pingouin 0.7: its interval is rounded to two decimals and its `cohen_d` pools the two standard deviations, so
both are computed here; its exact signed-rank null ignores ties, so tied differences use the permutation null
of the midranks.

The tests say what the spread over training seeds supports on one fixed test set. They say nothing about other
speakers; `voxbench.metrics.uncertainty` does.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pingouin
from numpy.typing import ArrayLike, NDArray
from scipy import stats

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
    for name, fraction in (("level", level), ("power", power)):
        if not 0 < fraction < 1:
            raise InputError(f"{name} must lie between 0 and 1, found {fraction}")
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
