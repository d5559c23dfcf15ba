"""Paired tests against the shared vectors, scipy and enumeration of all sign patterns."""

import itertools
import json
import os
import warnings
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from voxbench.metrics import significance
from voxbench.metrics.significance import COLUMNS, CONSTANT, IDENTICAL, UNREACHABLE, compare_pairs, holm
from voxbench.schema import InputError

VECTOR_TOLERANCE = 2e-6
SHARED = os.environ.get("VOXBENCH_SHARED", "")
VECTORS = Path(SHARED) / "vectors" / "metric_vectors.json"
needs_vectors = pytest.mark.skipif(
    not (SHARED and VECTORS.is_file()),
    reason="VOXBENCH_SHARED names no folder with vectors/metric_vectors.json",
)
A = [0.913, 0.921, 0.905, 0.918, 0.927, 0.911, 0.909, 0.920, 0.916, 0.924]
B = [0.902, 0.915, 0.907, 0.909, 0.920, 0.908, 0.900, 0.917, 0.911, 0.912]


def table_of(**systems):
    rows = [(name, seed, value) for name, values in systems.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["system", "seed", "value"])


def compare(level=0.95, power=0.8, **systems):
    """Compare with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return compare_pairs(table_of(**systems), level=level, power=power)


def enumerated_p(differences):
    """Signed-rank p from all sign patterns, by the definition."""
    nonzero = np.array([d for d in np.round(differences, 9) if d != 0])
    ranks = stats.rankdata(np.abs(nonzero))
    w = min(ranks[nonzero > 0].sum(), ranks[nonzero < 0].sum())
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))]
    return w, min(1.0, 2 * np.mean(np.array(sums) <= w))


@needs_vectors
def test_the_shared_paired_vectors():
    every = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    for vector in (v for v in every if v["metric"] == "paired"):
        row, expected = compare(a=vector["inputs"]["a"], b=vector["inputs"]["b"]).iloc[0], vector["expected"]
        for column in ("mean_a", "mean_b", "sd_a", "sd_b", "t", "df"):
            assert row[column] == pytest.approx(expected[column], abs=VECTOR_TOLERANCE), column
        assert row["p_t"] == pytest.approx(expected["p"], abs=VECTOR_TOLERANCE)
        assert row["cohen_dz"] == pytest.approx(expected["cohen_d_of_differences"], abs=VECTOR_TOLERANCE)
        assert [row["ci_low"], row["ci_high"]] == pytest.approx(
            expected["ci95_of_mean_difference"], abs=VECTOR_TOLERANCE
        )


@needs_vectors
def test_the_shared_holm_vectors():
    every = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    for vector in (v for v in every if v["metric"] == "holm"):
        found = holm(vector["inputs"]["p"])
        np.testing.assert_allclose(found, vector["expected"]["adjusted"], atol=VECTOR_TOLERANCE)


@pytest.mark.parametrize(("n", "level"), [(2, 0.95), (5, 0.9), (10, 0.99), (40, 0.95)])
def test_scipy_agrees_on_the_t_test_and_the_interval(n, level):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.9, 0.01, n), rng.normal(0.89, 0.01, n)
    row = compare(level=level, a=a, b=b).iloc[0]
    test = stats.ttest_rel(a, b)
    interval = test.confidence_interval(level)
    found = row[["t", "df", "p_t", "ci_low", "ci_high", "mean_difference"]].tolist()
    expected = [test.statistic, test.df, test.pvalue, interval.low, interval.high, (a - b).mean()]
    assert found == pytest.approx(expected, rel=1e-9)
    assert row["cohen_dz"] == pytest.approx(test.statistic / np.sqrt(n), rel=1e-9)


@pytest.mark.parametrize("n", [2, 6, 10, 30])
def test_scipy_agrees_on_the_signed_ranks_without_ties(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
    row = compare(a=a, b=b).iloc[0]
    expected = stats.wilcoxon(a, b, method="exact")
    assert row["w"] == expected.statistic
    assert row["p_wilcoxon"] == pytest.approx(expected.pvalue, rel=1e-12)
    ranks = stats.rankdata(np.abs(a - b))
    assert significance._tied_p(ranks, row["w"]) == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_signed_ranks_are_exact_with_ties_and_zeros(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(900, 912, 10) / 1000, rng.integers(898, 910, 10) / 1000
    row = compare(a=a, b=b).iloc[0]
    assert (row["w"], row["p_wilcoxon"]) == pytest.approx(enumerated_p(a - b), rel=1e-12)


def test_differences_equal_up_to_rounding_are_ties():
    # 0.9 - 0.6 and 0.7 - 0.4 are not the same float; as ties the ranks of 0.3, 0.3, -0.3, 0.6 are 2, 2, 2, 4.
    a, b = np.array([0.9, 0.7, 0.6, 0.9]), np.array([0.6, 0.4, 0.9, 0.3])
    assert len(set(np.abs(a - b))) > 2
    assert compare(a=a, b=b).iloc[0]["w"] == 2
    # Ten seeds of the paired vector: .003 and .009 come twice.
    row = compare(a=A, b=B).iloc[0]
    assert (row["w"], row["p_wilcoxon"]) == pytest.approx(enumerated_p(np.subtract(A, B)), rel=1e-12)


def test_many_tied_seeds_stay_exact():
    differences = np.random.default_rng(0).integers(-8, 12, 60) / 100
    row = compare(a=differences, b=np.zeros(60)).iloc[0]
    nonzero = differences[differences != 0]
    patterns = Counter({0.0: 1})
    for rank in stats.rankdata(np.abs(np.round(nonzero, 9))):
        grown = Counter()
        for total, count in patterns.items():
            grown[total] += count
            grown[total + rank] += count
        patterns = grown
    exact = 2 * Fraction(sum(n for total, n in patterns.items() if total <= row["w"]), 2 ** len(nonzero))
    assert row["p_wilcoxon"] == pytest.approx(float(exact), rel=1e-12)
    assert row["p_wilcoxon"] < 1


def test_the_smallest_detectable_difference_is_found_with_the_stated_power():
    differences = np.subtract(A, B)
    row = compare(power=0.8, a=A, b=B).iloc[0]
    sd, n = differences.std(ddof=1), len(A)
    simulated = np.random.default_rng(0).normal(row["smallest_detectable"], sd, (20000, n))
    assert (stats.ttest_1samp(simulated, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)
    noncentral, critical = row["smallest_detectable"] / sd * np.sqrt(n), stats.t.ppf(0.975, n - 1)
    exact = stats.nct.sf(critical, n - 1, noncentral) + stats.nct.cdf(-critical, n - 1, noncentral)
    assert exact == pytest.approx(0.8, abs=1e-6)


def test_more_power_or_a_stricter_level_needs_a_larger_difference():
    plain = compare(a=A, b=B).iloc[0]["smallest_detectable"]
    assert compare(power=0.9, a=A, b=B).iloc[0]["smallest_detectable"] > plain
    assert compare(level=0.99, a=A, b=B).iloc[0]["smallest_detectable"] > plain


def test_two_seeds_say_that_the_power_is_out_of_reach():
    row = compare(a=[0.9, 0.92], b=[0.89, 0.90]).iloc[0]
    assert np.isnan(row["smallest_detectable"])
    assert row["note"] == UNREACHABLE
    assert np.isfinite(row["p_t"])


def test_identical_values_are_no_difference():
    row = compare(a=A, b=A).iloc[0]
    assert row[["t", "p_t", "w", "p_wilcoxon", "cohen_dz", "ci_low", "ci_high"]].tolist() == [
        0,
        1,
        0,
        1,
        0,
        0,
        0,
    ]
    assert np.isnan(row["smallest_detectable"])
    assert row["note"] == IDENTICAL
    assert compare(a=[0.0, 0.0], b=[0.0, 0.0]).iloc[0]["note"] == IDENTICAL


def test_a_constant_difference_has_no_t_test_even_when_rounding_blurs_it():
    a, b = np.array([0.9, 0.8, 0.7]), np.array([0.6, 0.5, 0.4])
    assert len(set(a - b)) > 1
    row = compare(a=a, b=b).iloc[0]
    assert row[["t", "p_t", "p_t_holm", "ci_low", "ci_high", "cohen_dz", "smallest_detectable"]].isna().all()
    assert row["note"] == CONSTANT
    assert row["mean_difference"] == pytest.approx(0.3)
    assert row["w"] == 0
    assert row["p_wilcoxon"] == pytest.approx(2 / 2**3)


def test_a_nearly_constant_difference_is_tested():
    row = compare(a=A, b=np.array(A) - 0.1 + 1e-9 * np.arange(10)).iloc[0]
    assert row["note"] == ""
    assert 0 < row["p_t"] < 1e-20


def test_swapping_the_systems_turns_the_signs_only():
    forth, back = compare(a=A, b=B).iloc[0], compare(b=B, a=A).iloc[0]
    for column in ("mean_difference", "t", "cohen_dz"):
        assert forth[column] == pytest.approx(-back[column])
    assert (forth["ci_low"], forth["ci_high"]) == pytest.approx((-back["ci_high"], -back["ci_low"]))
    for column in ("n", "df", "p_t", "w", "p_wilcoxon", "smallest_detectable"):
        assert forth[column] == pytest.approx(back[column])


def test_values_are_paired_by_seed_whatever_the_order_of_the_rows():
    ordered = table_of(a=A, b=B)
    a_first = [*np.random.default_rng(0).permutation(10), *(10 + np.random.default_rng(1).permutation(10))]
    shuffled = ordered.iloc[a_first].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        compare_pairs(ordered, level=0.95, power=0.8), compare_pairs(shuffled, level=0.95, power=0.8)
    )


def test_every_pair_once_in_order_of_appearance_with_holm_over_all():
    c = np.array(A) + np.random.default_rng(0).normal(0, 0.004, 10)
    table = compare(zeta=A, beta=B, gamma=c)
    assert list(zip(table["a"], table["b"], strict=True)) == [
        ("zeta", "beta"),
        ("zeta", "gamma"),
        ("beta", "gamma"),
    ]
    assert set(table.columns) == {*COLUMNS, "p_t_holm", "p_wilcoxon_holm"}
    for column in ("p_t", "p_wilcoxon"):
        np.testing.assert_allclose(table[f"{column}_holm"], holm_by_hand(table[column].tolist()))


def holm_by_hand(p):
    """The smallest alpha at which Holm's procedure rejects, one hypothesis at a time."""
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, largest = [0.0] * len(p), 0.0
    for step, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - step) * p[place]))
        adjusted[place] = largest
    return adjusted


def test_holm_leaves_out_what_is_undefined():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    np.testing.assert_array_equal(holm([np.nan, np.nan]), [np.nan, np.nan])
    assert holm([]).size == 0
    np.testing.assert_array_equal(holm([0.7, 0.8, 0.9]), [1, 1, 1])


def test_one_system_gives_a_table_without_rows():
    table = compare(a=A)
    assert len(table) == 0
    assert set(table.columns) == {*COLUMNS, "p_t_holm", "p_wilcoxon_holm"}


GOOD = table_of(a=[0.1, 0.2, 0.3], b=[0.2, 0.3, 0.5])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (GOOD.iloc[:4], "'b' lacks 1, 2"),
        (GOOD.iloc[2:], "'a' lacks 0, 1"),
        (GOOD.drop(columns="seed"), "lacks seed"),
        (pd.concat([GOOD, GOOD.iloc[[4]]]), "found twice.*'b'.*1"),
        (GOOD.assign(value=[0.1, 0.2, np.nan, 0.2, 0.3, 0.5]), "missing or infinite.*'a'.*2"),
        (GOOD.assign(value=[0.1, 0.2, np.inf, 0.2, 0.3, 0.5]), "missing or infinite.*'a'.*2"),
        (GOOD.assign(system=["a", None, "a", "b", "b", "b"]), "missing"),
        (GOOD.assign(value=list("abcdef")), "numbers"),
        (GOOD.iloc[[0, 3]], "at least 2 seeds"),
        (GOOD.iloc[:0], "no rows"),
    ],
)
def test_unsound_tables_are_refused(values, reason):
    with pytest.raises(InputError, match=reason):
        compare_pairs(values, level=0.95, power=0.8)


@pytest.mark.parametrize("change", [{"level": 95}, {"level": 0.0}, {"power": 1.0}, {"power": 80}])
def test_fractions_outside_0_to_1_are_refused(change):
    with pytest.raises(InputError, match=f"{next(iter(change))} must lie between 0 and 1"):
        compare_pairs(GOOD, **({"level": 0.95, "power": 0.8} | change))
