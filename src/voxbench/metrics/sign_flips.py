"""The permutation distribution of a paired difference over speakers: signs tossed for whole speakers.

Under the null hypothesis two systems could be exchanged for any speaker without changing the chances, so the
sign of each speaker's difference is a fair toss, whatever the distribution, and rows of one speaker may depend
on each other. References: Fisher, "The Design of Experiments" (1935), section 21; Good, "Permutation, Parametric
and Bootstrap Tests of Hypotheses" (2005). Drawn signs count the observed ones too, so that p is never 0
(Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010).

Shape letters: N rows, K speakers, P patterns of signs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.inputs import Floats, cluster_indices, finite_numbers
from voxbench.schema import InputError

# Sums closer than this fraction of the sum of sizes are equal; they differ by rounding.
RESOLUTION = 1e-12
# Signs held at once; the draws do not depend on it.
SIGNS_AT_ONCE = 1 << 20
# Above it a pattern is no 64-bit integer, and no budget reaches that many.
ENUMERABLE = 62


@dataclass(frozen=True, slots=True)
class SignFlips:
    """A two-sided `p` from `patterns` of signs, all there are where `exact`; no p can be below `smallest_p`."""

    p: float
    patterns: int
    exact: bool
    smallest_p: float


def sign_flips(differences: ArrayLike, permutations: int, generator: np.random.Generator) -> SignFlips:
    """Return the chance that signs by toss put the sum of `differences` (K,) at least as far from 0.

    A difference of 0 has no sign and is left out. If all 2^K patterns of the others are at most `permutations`,
    all are evaluated, nothing is drawn, and p = k / 2^K; otherwise `permutations` are drawn and
    p = (1 + k) / (1 + permutations), where k patterns lie at least as far from 0. Differences all 0 give p = 1.

    >>> sign_flips([2, 1, 3, 0], permutations=8, generator=np.random.default_rng(1))
    SignFlips(p=0.25, patterns=8, exact=True, smallest_p=0.25)
    """
    if permutations < 1:
        raise InputError(f"permutations must be at least 1, found {permutations}")
    given_K = finite_numbers(differences, "differences")
    if given_K.ndim != 1:
        raise InputError(f"differences must be a vector, one for each speaker, found shape {given_K.shape}")
    sizes_K = given_K[given_K != 0]
    if sizes_K.size == 0:
        return SignFlips(p=1.0, patterns=1, exact=True, smallest_p=1.0)
    exact = len(sizes_K) <= ENUMERABLE and 1 << len(sizes_K) <= permutations
    patterns = 1 << len(sizes_K) if exact else permutations
    parts = _all_signs(len(sizes_K)) if exact else _drawn_signs(len(sizes_K), patterns, generator)
    limit = abs(sizes_K.sum()) - RESOLUTION * np.abs(sizes_K).sum()
    far = sum(int((np.abs(signs_PK @ sizes_K) >= limit).sum()) for signs_PK in parts)
    # The observed signs and their mirror image always count.
    smallest_exact = 2.0 ** (1 - len(sizes_K))
    if exact:
        return SignFlips(far / patterns, patterns, exact, smallest_exact)
    return SignFlips((1 + far) / (1 + patterns), patterns, exact, max(smallest_exact, 1 / (1 + patterns)))


def contributions(values_a: ArrayLike, values_b: ArrayLike, clusters: ArrayLike) -> Floats:
    """Return the part (K,) of each speaker in the mean of a - b over rows (N,): K / N times its sum.

    Their mean is that mean difference. Speakers are sorted by name; sums that are 0 up to rounding are 0.

    >>> contributions([3, 4, 5], [1, 3, 5], ["a", "a", "b"]).tolist()
    [2.0, 0.0]
    """
    a_N, b_N = finite_numbers(values_a, "values_a"), finite_numbers(values_b, "values_b")
    distinct, cluster_N = cluster_indices(clusters)
    if not a_N.shape == b_N.shape == cluster_N.shape:
        raise InputError(
            f"a pair needs the same rows: found values_a {a_N.shape}, values_b {b_N.shape}, clusters {cluster_N.shape}"
        )
    if len(distinct) < 2:
        raise InputError(f"a test over speakers needs at least 2, found only {distinct[0]!s}")
    sum_K = np.bincount(cluster_N, weights=a_N - b_N)
    sum_K[np.abs(sum_K) <= RESOLUTION * np.bincount(cluster_N, weights=np.abs(a_N) + np.abs(b_N))] = 0.0
    return np.asarray(sum_K * (len(distinct) / len(cluster_N)), dtype=np.float64)


def _all_signs(clusters: int) -> Iterator[Floats]:
    """Yield every pattern of signs once, (P, K) by parts of bounded size."""
    part = max(1, SIGNS_AT_ONCE // clusters)
    for start in range(0, 1 << clusters, part):
        number_P = np.arange(start, min(start + part, 1 << clusters))
        negative_PK = (number_P[:, None] >> np.arange(clusters) & 1) == 1
        yield np.where(negative_PK, -1.0, 1.0)


def _drawn_signs(clusters: int, patterns: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yield fair tosses, (P, K) by parts of bounded size."""
    part = max(1, SIGNS_AT_ONCE // clusters)
    for start in range(0, patterns, part):
        tosses_PK = generator.random((min(part, patterns - start), clusters))
        yield np.where(tosses_PK < 0.5, -1.0, 1.0)
