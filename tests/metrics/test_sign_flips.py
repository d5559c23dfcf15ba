"""The permutation test over speakers: by hand, against enumeration and scipy, and honest under the null hypothesis."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from voxbench.metrics import paired_difference_interval
from voxbench.metrics import sign_flips as room
from voxbench.metrics.sign_flips import SignFlips, contributions, sign_flips
from voxbench.metrics.significance import (
    NO_DIFFERENCE,
    SAME_DIFFERENCE,
    PermutationTest,
    permutation_test,
)
from voxbench.schema import InputError
from voxbench.seeding import generator

SETTINGS = {"permutations": 2000, "level": 0.95, "power": 0.8}
WHOLE = st.lists(st.integers(-5, 5), min_size=1, max_size=9)


def enumerated(differences):
    """The fraction of all sign patterns at least as far from 0, by the definition."""
    observed = abs(sum(differences))
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    return np.mean([abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed for signs in patterns])


def test_three_speakers_by_hand():
    # The sums of +-1 +-2 +-3 are 0 0 +-2 +-4 +-6; of 1 + 2 - 3 = 0 all are as far, of 1 - 2 + 3 = 2 six of eight.
    toss = generator(1, "x")
    assert sign_flips([1, 2, 3], 8, toss) == SignFlips(p=0.25, patterns=8, exact=True, smallest_p=0.25)
    assert sign_flips([1, 2, -3], 8, toss).p == 1
    assert sign_flips([1, -2, 3], 8, toss).p == 0.75
    assert sign_flips([-1, -2, -3], 8, toss).p == 0.25
    # A speaker without a difference has no sign to toss.
    assert sign_flips([1, 0, 2, 0, 3], 8, toss) == sign_flips([1, 2, 3], 8, toss)


@settings(max_examples=60, deadline=None)
@given(WHOLE)
def test_enumeration_agrees_whatever_the_ties_and_zeros(differences):
    found = sign_flips(differences, 1 << 9, np.random.default_rng(0))
    assert found.exact
    assert found.p == pytest.approx(enumerated(differences), rel=1e-12)
    assert found.p >= found.smallest_p
    turned = sign_flips([-3 * d for d in differences[::-1]], 1 << 9, np.random.default_rng(1))
    assert turned.p == found.p


def test_equal_up_to_rounding_is_as_far():
    # 0.1 + 0.2 - 0.3 is not 0 as a float, and the sums of its patterns differ by rounding.
    assert sign_flips([0.1, 0.2, 0.3, 0.7, -0.7], 32, generator(1, "x")).p == enumerated([1, 2, 3, 7, -7])


@pytest.mark.parametrize("seed", range(3))
def test_scipy_agrees_on_the_exact_test(seed):
    differences = np.random.default_rng(seed).normal(0.4, 1, 11)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert sign_flips(differences, 1 << 11, generator(1, "x")).p == pytest.approx(expected.pvalue, rel=1e-12)


def test_drawn_signs_approach_the_exact_p_and_count_the_observed_ones():
    differences = np.random.default_rng(1).normal(0.4, 1, 12)
    exact, drawn = (sign_flips(differences, n, generator(1, "x")) for n in (1 << 12, (1 << 12) - 1))
    assert (exact.exact, exact.patterns, drawn.exact, drawn.patterns) == (True, 4096, False, 4095)
    assert drawn.p == pytest.approx(exact.p, abs=0.02)
    assert drawn.p * 4096 == pytest.approx(round(drawn.p * 4096), abs=1e-9)
    clear = sign_flips(np.arange(50, 90), 999, generator(1, "x"))
    assert clear == SignFlips(p=0.001, patterns=999, exact=False, smallest_p=0.001)


def test_many_speakers_are_never_enumerated():
    found = sign_flips(np.ones(70), 100, generator(1, "x"))
    assert (found.exact, found.p) == (False, 1 / 101)


def test_the_draws_depend_on_the_generator_alone(monkeypatch):
    differences = np.random.default_rng(2).normal(0.2, 1, 30)
    first, other = (sign_flips(differences, 500, generator(seed, "x")).p for seed in (1, 2))
    exact = sign_flips(differences[:10], 1 << 10, generator(1, "x")).p
    monkeypatch.setattr(room, "SIGNS_AT_ONCE", 100)
    assert sign_flips(differences, 500, generator(1, "x")).p == first != other
    assert sign_flips(differences[:10], 1 << 10, generator(1, "x")).p == exact


def test_under_the_null_hypothesis_p_is_at_most_as_often_small_as_it_says():
    rng, small = np.random.default_rng(3), 0
    for _ in range(600):
        speakers = rng.standard_t(3, 9) * rng.integers(1, 20, 9)
        small += sign_flips(speakers, 512, rng).p <= 0.05
    # Twelve of 256 pairs of patterns: 0.047; three standard errors are 0.026.
    assert small / 600 == pytest.approx(12 / 256, abs=0.026)


def rows(seed, speakers=30, advantage=0.0):
    """Errors of two systems that find the same speakers hard, and whose difference is the speaker's own."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"id{k:02d}" for k in range(speakers)], rng.integers(3, 12, speakers))
    places = np.unique(names, return_inverse=True)[1]
    a = rng.exponential(5, speakers)[places] + rng.uniform(0, 1, len(names))
    return a, a + (rng.normal(advantage, 1, speakers))[places] + rng.normal(0, 0.1, len(names)), names


def test_the_difference_is_that_of_the_interval_and_splits_into_speakers():
    a, b, speakers = rows(0)
    share = contributions(a, b, speakers)
    found = permutation_test(a, b, speakers, **SETTINGS, generator=generator(1, "x"))
    interval = paired_difference_interval(a, b, speakers, resamples=10, level=0.9, generator=generator(1, "x"))
    assert found.mean_difference == pytest.approx(interval.estimate, rel=1e-12)
    assert found.clusters == interval.clusters == 30
    assert found.cohen_dz == pytest.approx(share.mean() / share.std(ddof=1))
    first = a[speakers == "id00"] - b[speakers == "id00"]
    assert share[0] == pytest.approx(first.sum() * 30 / len(a))


def test_rows_of_one_speaker_are_no_independent_evidence():
    # Six speakers, a hundred rows each: the rows agree, but only six signs are tossed.
    a, speakers = np.repeat([1.0, 2.0, 3.0, 1.0, 2.0, -0.5], 100), np.repeat(list("abcdef"), 100)
    found = permutation_test(a, np.zeros(600), speakers, **SETTINGS, generator=generator(1, "x"))
    assert (found.p, found.exact, found.patterns) == (enumerated([2, 4, 6, 2, 4, -1]), True, 64)
    alone = permutation_test(a, np.zeros(600), np.arange(600), **SETTINGS, generator=generator(1, "x"))
    assert alone.p == 1 / 2001 < found.p


def test_a_real_advantage_is_found_and_swapping_turns_the_sign():
    a, b, speakers = rows(1, advantage=1.0)
    forth = permutation_test(a, b, speakers, **SETTINGS, generator=generator(1, "x"))
    back = permutation_test(b, a, speakers, **SETTINGS, generator=generator(1, "x"))
    assert forth.p < 0.01
    assert forth.mean_difference == pytest.approx(-back.mean_difference)
    assert forth.cohen_dz == pytest.approx(-back.cohen_dz)
    assert (forth.p, forth.smallest_detectable) == pytest.approx((back.p, back.smallest_detectable))


def test_order_and_names_of_speakers_do_not_count():
    a, b, speakers = rows(2, speakers=9)
    order = np.random.default_rng(0).permutation(len(a))
    renamed = np.array([f"{name[::-1]}x" for name in speakers])
    found = [
        permutation_test(x, y, z, **SETTINGS, generator=generator(1, "x"))
        for x, y, z in ((a, b, speakers), (a[order], b[order], speakers[order]), (a, b, renamed))
    ]
    assert found[0].exact
    assert len({one.p for one in found}) == 1


def test_the_smallest_detectable_difference_is_found_with_the_stated_power():
    share = np.random.default_rng(4).normal(0, 1, 25)
    zeros, names = np.zeros(25), np.arange(25)
    found = permutation_test(share, zeros, names, **SETTINGS, generator=generator(1, "x"))
    rng, hits = np.random.default_rng(5), 0
    for _ in range(1500):
        drawn = rng.normal(found.smallest_detectable, share.std(ddof=1), 25)
        hits += sign_flips(drawn, 400, rng).p <= 0.05
    assert hits / 1500 == pytest.approx(0.8, abs=0.035)


def test_what_cannot_be_said_is_missing_with_the_reason():
    def test(a, b, speakers):
        return permutation_test(a, b, speakers, **SETTINGS, generator=generator(1, "x"))

    nothing = test([0.1, 0.3, 0.5], [0.3, 0.1, 0.5], ["a", "a", "b"])
    assert isinstance(nothing, PermutationTest)
    assert (nothing.mean_difference, nothing.p, nothing.note) == (0, 1, NO_DIFFERENCE)
    constant = test(np.arange(8) + 0.1, np.arange(8), np.arange(8))
    assert (constant.p, constant.note) == (2 / 2**8, SAME_DIFFERENCE)
    few = test([1, 2, 3], [0, 0, 0], ["a", "b", "c"])
    assert (few.p, few.smallest_p) == (0.25, 0.25)
    assert few.note == "too few speakers for this level: the smallest possible p is 0.25"
    assert few.cohen_dz == 2
    assert np.isnan([nothing.cohen_dz, constant.cohen_dz]).all()
    assert np.isnan([one.smallest_detectable for one in (nothing, constant, few)]).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values_a": [1, np.nan]}, "values_a must be finite"),
        ({"values_b": [1]}, r"same rows: found values_a \(2,\), values_b \(1,\)"),
        ({"clusters": ["a", "b", "c"]}, r"clusters \(3,\)"),
        ({"clusters": ["a", "a"]}, "at least 2, found only a"),
        ({"clusters": ["a", None]}, "name every speaker"),
        ({"permutations": 0}, "permutations must be at least 1"),
        ({"level": 95}, "level must lie between 0 and 1"),
        ({"power": 1.0}, "power must lie between 0 and 1"),
    ],
)
def test_bad_arguments_are_refused(change, reason):
    arguments = {"values_a": [1.0, 2.0], "values_b": [0.0, 0.0], "clusters": ["a", "b"]} | SETTINGS | change
    with pytest.raises(InputError, match=reason):
        permutation_test(**arguments, generator=generator(1, "x"))


def test_differences_are_one_vector():
    with pytest.raises(InputError, match=r"found shape \(1, 2\)"):
        sign_flips([[1, 2]], 4, generator(1, "x"))
