"""How close embeddings are: cosines, and other scores that are inner products, of pairs and of whole matrices.

A score of u and v is u.v / (d_u d_v) + o_u + o_v with a divisor and an offset for each embedding. Of the cosine the
divisors are the lengths; the log-likelihood ratio of `voxbench.metrics.plda` has offsets. Both are symmetric.

Products are summed in float64, whatever the embeddings are stored as, and each pair by itself: neither the order of
the pairs nor their number changes a score. Pairs are taken in blocks, so that memory does not grow with their list.

Shape letters: U and V embeddings, D dimensions, N pairs, B pairs of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.inputs import Floats, Integers, finite_numbers
from voxbench.schema import InputError

BLOCK = 256
"""Pairs at a time, so few that both sides stay in the processor's cache; it changes no score."""
Vectors = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Comparable:
    """Embeddings (U, D) of any float type, and the divisor and the offset (U,) of each."""

    vectors_UD: Vectors
    divisor_U: Floats
    offset_U: Floats

    def __len__(self) -> int:
        return len(self.vectors_UD)


def vectors(embeddings: ArrayLike, name: str) -> Vectors:
    """Return embeddings (U, D), floats as they are and other numbers as float64; refuses what is no such matrix.

    >>> vectors([[1, 2]], "embeddings").tolist()
    [[1.0, 2.0]]
    """
    given = np.asarray(embeddings)
    vectors_UD = given if given.dtype.kind == "f" else finite_numbers(given, name)
    if vectors_UD.ndim != 2 or not vectors_UD.size:
        raise InputError(f"{name} must be (recordings, dimensions), found shape {vectors_UD.shape}")
    return vectors_UD


def lengths(vectors_UD: Vectors) -> Floats:
    """Return the Euclidean lengths (U,) in float64; 0, NaN and infinity are returned as such.

    >>> lengths(np.array([[3.0, 4.0]])).tolist()
    [5.0]
    """
    squares_U = np.empty(len(vectors_UD))
    for start in range(0, len(vectors_UD), BLOCK):
        block_BD = vectors_UD[start : start + BLOCK].astype(np.float64)
        np.vecdot(block_BD, block_BD, out=squares_U[start : start + BLOCK])
    return np.sqrt(squares_U)


def without_direction(lengths_U: Floats) -> NDArray[np.bool_]:
    """Say which lengths (U,) are of embeddings without a direction: zero, NaN or infinite."""
    return ~(np.isfinite(lengths_U) & (lengths_U > 0))


def by_cosine(vectors_UD: Vectors, name: str) -> Comparable:
    """Return embeddings compared by the cosine; refuses those without a direction."""
    lengths_U = lengths(vectors_UD)
    bad_U = without_direction(lengths_U)
    if bad_U.any():
        place = int(bad_U.argmax())
        raise InputError(
            f"{name} row {place}: length {lengths_U[place]:g} has no direction, and so have {int(bad_U.sum()):,} rows; "
            "expected finite numbers, not all zero"
        )
    return Comparable(vectors_UD, lengths_U, np.zeros(len(lengths_U)))


def unit_length(vectors_UD: Vectors, name: str) -> Floats:
    """Return embeddings (U, D) of length one, in float64; refuses those without a direction.

    >>> unit_length(np.array([[3.0, 4.0]]), "embeddings").tolist()
    [[0.6, 0.8]]
    """
    return np.asarray(vectors_UD / by_cosine(vectors_UD, name).divisor_U[:, None], dtype=np.float64)


def pair_scores(sides: Comparable, one_N: Integers, other_N: Integers) -> Floats:
    """Return the scores (N,) of pairs of embeddings, given by their rows."""
    products_N = _products(sides.vectors_UD, one_N, other_N)
    products_N /= sides.divisor_U[one_N] * sides.divisor_U[other_N]
    products_N += sides.offset_U[one_N] + sides.offset_U[other_N]
    return products_N


def all_scores(one: Comparable, other: Comparable, out: Floats | None = None) -> Floats:
    """Return the scores (U, V) of every embedding of one side with every one of the other, by a matrix product.

    They equal those of `pair_scores` up to the order of summation. `out` is memory for them, to be written anew.
    """
    left_UD, right_VD = (np.asarray(each.vectors_UD / each.divisor_U[:, None], np.float64) for each in (one, other))
    scores_UV: Floats = np.matmul(left_UD, right_VD.T, out=out)
    scores_UV += one.offset_U[:, None]
    scores_UV += other.offset_U
    return scores_UV


def _products(vectors_UD: Vectors, one_N: Integers, other_N: Integers) -> Floats:
    """Return the inner products (N,) of pairs of rows, each cast to float64 before anything is multiplied."""
    products_N = np.empty(len(one_N))
    gathered_BD = np.empty((BLOCK, vectors_UD.shape[1]), vectors_UD.dtype)
    sides = np.empty((2, BLOCK, vectors_UD.shape[1]))
    for start in range(0, len(one_N), BLOCK):
        size = min(BLOCK, len(one_N) - start)
        for side_BD, places in zip(sides, (one_N, other_N), strict=True):
            # Checked rows need no second check, which `take` would do in a copy of its own.
            np.take(vectors_UD, places[start : start + size], axis=0, out=gathered_BD[:size], mode="clip")
            side_BD[:size] = gathered_BD[:size]
        np.vecdot(sides[0, :size], sides[1, :size], out=products_N[start : start + size])
    return products_N
