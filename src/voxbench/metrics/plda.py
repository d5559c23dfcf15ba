"""Probabilistic linear discriminant analysis (PLDA) with two full covariances, after LDA and length normalisation.

An embedding is the sum of a speaker's mean, normal with the covariance between speakers, and of what differs from clip
to clip, normal with the covariance within. A score is the logarithm of how many times as likely two embeddings are if
one speaker said both (Brummer and de Villiers, "The speaker partitioning problem", Odyssey 2010; Ioffe,
"Probabilistic linear discriminant analysis", ECCV 2006).

| step | what |
|---|---|
| projection | whitens within speakers, keeps the `dimensions` in which speakers differ most (all: whitening alone) |
| length | every vector is divided by its length (Garcia-Romero and Espy-Wilson, Interspeech 2011) |
| fit | expectation maximisation, `iterations` times, from the moments of the data |
| score | both covariances made diagonal at once: a sum over dimensions, and a product for pairs |

The chain is that of Kaldi's recipes for x-vectors. Deviations: the fit starts from moments, not from unit matrices, and
a template of several clips counts as one embedding, as most toolkits count it.

Shape letters: N embeddings of K speakers, D dimensions, P after projection, U embeddings that are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxbench.metrics.closeness import Comparable, Vectors, by_cosine, unit_length, vectors
from voxbench.metrics.inputs import Floats, Integers, cluster_indices
from voxbench.schema import InputError


@dataclass(frozen=True, slots=True)
class PldaSettings:
    """Dimensions that the projection keeps, 2 or more, and iterations of the fit, 1 or more."""

    dimensions: int
    iterations: int

    def __post_init__(self) -> None:
        if self.dimensions < 2 or self.iterations < 1:
            raise InputError(
                f"PLDA with {self.dimensions} dimensions and {self.iterations} iterations; expected 2 or more and 1 or "
                "more"
            )


@dataclass(frozen=True, slots=True, eq=False)
class TwoCovariances:
    """The mean (P,) of speakers, and the covariances (P, P) between and within speakers."""

    mean_P: Floats
    between_PP: Floats
    within_PP: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Plda:
    """A fitted model. With `projection_DP` an embedding is projected, then its length made one.

    `(x - mean_P) @ diagonal_PP` has the unit matrix as covariance within speakers and `diag(between_P)` between them.
    """

    projection_DP: Floats
    mean_P: Floats
    diagonal_PP: Floats
    between_P: Floats


def fit_plda(embeddings: ArrayLike, speakers: ArrayLike, settings: PldaSettings) -> Plda:
    """Return the model of embeddings (N, D), of which `speakers` (N,) names each one's.

    Raises `InputError` for fewer than two speakers, more `dimensions` than there are, and too few clips for a
    covariance within speakers of full rank.
    """
    given_ND = vectors(embeddings, "PLDA training")
    class_N = _classes(speakers, len(given_ND))
    check_size(settings, len(given_ND), class_N.max() + 1, given_ND.shape[1])
    projection_DP = discriminants(given_ND.astype(np.float64), class_N, settings.dimensions)
    model = two_covariances(unit_length(given_ND @ projection_DP, "PLDA training"), class_N, settings.iterations)
    diagonal_PP, between_P = _diagonalised(model.between_PP, model.within_PP)
    return Plda(projection_DP, model.mean_P, diagonal_PP, between_P)


def check_size(settings: PldaSettings, clips: int, speakers: int, dimensions: int) -> None:
    """Refuse more dimensions than embeddings have, and too few clips for a covariance within speakers of full rank."""
    if settings.dimensions > dimensions:
        raise InputError(f"PLDA keeps {settings.dimensions} dimensions of embeddings that have {dimensions}")
    if clips - speakers < dimensions:
        raise InputError(
            f"PLDA needs a covariance within speakers of full rank in {dimensions} dimensions, which takes at least as "
            f"many clips more than speakers, found {clips:,} clips of {speakers:,} speakers: take more of each, or a "
            "network with smaller embeddings"
        )


def projected(plda: Plda, vectors_UD: Vectors, name: str) -> Floats:
    """Return embeddings (U, P) as the model takes them: projected, of length one."""
    if vectors_UD.shape[1] != len(plda.projection_DP):
        raise InputError(f"{name} have {vectors_UD.shape[1]} dimensions, but the PLDA takes {len(plda.projection_DP)}")
    return unit_length(by_cosine(vectors_UD, name).vectors_UD @ plda.projection_DP, name)


def by_likelihood(plda: Plda, projected_UP: Floats) -> Comparable:
    """Return projected embeddings compared by their log-likelihood ratio, natural logarithms.

    With p the diagonal of the covariance between speakers, the ratio of x and y is the sum over dimensions of
    x y p / (1 + 2 p) - (x^2 + y^2) p^2 / (2 (1 + p) (1 + 2 p)) + ln((1 + p)^2 / (1 + 2 p)) / 2.
    """
    x_UP = (projected_UP - plda.mean_P) @ plda.diagonal_PP
    p_P = plda.between_P
    offset_U = np.square(x_UP) @ (-np.square(p_P) / (2 * (1 + p_P) * (1 + 2 * p_P)))
    offset_U += np.sum(2 * np.log1p(p_P) - np.log1p(2 * p_P)) / 4
    return Comparable(x_UP * np.sqrt(p_P / (1 + 2 * p_P)), np.ones(len(x_UP)), offset_U)


def discriminants(vectors_ND: Floats, class_N: Integers, dimensions: int) -> Floats:
    """Return the projection (D, P) of linear discriminant analysis; what is within speakers becomes the unit matrix.

    Directions come in falling order of how much speakers differ, each with its largest weight above zero.
    """
    counts_K, means_KD, scatter_DD = _moments(vectors_ND, class_N)
    free = len(vectors_ND) - len(counts_K)
    whitening_DD = _whitening(scatter_DD / max(free, 1))
    away_KD = (means_KD - vectors_ND.mean(axis=0)) @ whitening_DD
    directions_DD = np.linalg.eigh((away_KD.T * counts_K) @ away_KD)[1][:, ::-1]
    projection_DP: Floats = whitening_DD @ directions_DD[:, :dimensions]
    largest_P = np.take_along_axis(projection_DP, np.abs(projection_DP).argmax(axis=0)[None], axis=0)
    return projection_DP * np.sign(largest_P)


def two_covariances(vectors_NP: Floats, class_N: Integers, iterations: int) -> TwoCovariances:
    """Return the model of embeddings (N, P) of speakers 0..K-1, fitted by expectation maximisation.

    The mean is that of the speakers' means. Each iteration makes both covariances diagonal, where the speakers' true
    means have independent dimensions. Of equally many clips of each speaker it converges to W = scatter / (N - K) and
    B = covariance of the means - W / clips, where that is a covariance.
    """
    counts_K, means_KP, scatter_PP = _moments(vectors_NP, class_N)
    mean_P = means_KP.mean(axis=0)
    free = len(vectors_NP) - len(counts_K)
    within_PP = scatter_PP / max(free, 1)
    _whitening(within_PP)
    means_KP = means_KP - mean_P
    between_PP = means_KP.T @ means_KP / len(means_KP)
    for _ in range(iterations):
        diagonal_PP, between_P = _diagonalised(between_PP, within_PP)
        seen_KP = means_KP @ diagonal_PP
        spread_KP = between_P / (counts_K[:, None] * between_P + 1)
        speaker_KP = counts_K[:, None] * spread_KP * seen_KP
        off_KP = seen_KP - speaker_KP
        back_PP = np.linalg.inv(diagonal_PP)
        between_PP = speaker_KP.T @ speaker_KP + np.diag(spread_KP.sum(axis=0))
        between_PP = back_PP.T @ between_PP @ back_PP / len(means_KP)
        within_PP = (off_KP.T * counts_K) @ off_KP + np.diag(counts_K @ spread_KP)
        within_PP = (scatter_PP + back_PP.T @ within_PP @ back_PP) / len(vectors_NP)
    return TwoCovariances(mean_P, between_PP, within_PP)


def _classes(speakers: ArrayLike, rows: int) -> Integers:
    names, class_N = cluster_indices(speakers)
    if len(class_N) != rows or len(names) < 2:
        raise InputError(
            f"PLDA training has {rows:,} embeddings and {len(class_N):,} speakers' names, {len(names):,} of them "
            "different; expected a name for each embedding, and 2 speakers or more"
        )
    return class_N


def _moments(vectors_NP: Floats, class_N: Integers) -> tuple[Floats, Floats, Floats]:
    """Return clips (K,) and means (K, P) of the speakers, and the scatter (P, P) of the clips about these."""
    order_N = np.argsort(class_N, kind="stable")
    counts_K = np.bincount(class_N)
    starts_K = np.cumsum(counts_K) - counts_K
    means_KP = np.add.reduceat(vectors_NP[order_N], starts_K, axis=0) / counts_K[:, None]
    off_NP = vectors_NP - means_KP[class_N]
    return counts_K.astype(np.float64), means_KP, off_NP.T @ off_NP


def _whitening(within_PP: Floats) -> Floats:
    """Return the matrix (P, P) that makes a covariance the unit matrix; refuses one that has none."""
    spread_P, axes_PP = np.linalg.eigh(within_PP)
    least = spread_P[-1] * len(spread_P) * np.finfo(np.float64).eps
    if not spread_P[0] > least:
        raise InputError(
            f"PLDA needs a covariance within speakers of full rank in {len(spread_P)} dimensions, and so none that is "
            f"constant or the sum of others; {int((spread_P <= least).sum())} are"
        )
    whitening_PP: Floats = axes_PP / np.sqrt(spread_P)
    return whitening_PP


def _diagonalised(between_PP: Floats, within_PP: Floats) -> tuple[Floats, Floats]:
    """Return the matrix (P, P) that makes the covariance within the unit matrix and that between diagonal (P,)."""
    spread_P, axes_PP = np.linalg.eigh(within_PP)
    whitening_PP = axes_PP / np.sqrt(spread_P)
    between_P, directions_PP = np.linalg.eigh(whitening_PP.T @ between_PP @ whitening_PP)
    return whitening_PP @ directions_PP, np.maximum(between_P, 0)
