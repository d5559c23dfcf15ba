"""PLDA against densities of normal distributions, closed forms, and what generated the data."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from voxbench.metrics.closeness import all_scores, pair_scores
from voxbench.metrics.plda import (
    Plda,
    PldaSettings,
    by_likelihood,
    discriminants,
    fit_plda,
    projected,
    two_covariances,
)
from voxbench.schema import InputError

D = 4


def covariance(draws, scale=1.0):
    root = draws.normal(size=(D, D + 3))
    return scale * root @ root.T / (D + 3)


def drawn(speakers=300, clips=8, seed=1):
    """Return vectors, speakers, and the mean and covariances that they were drawn from."""
    draws = np.random.default_rng(seed)
    mean, between, within = draws.normal(size=D), covariance(draws, 3.0), covariance(draws)
    counts = np.full(speakers, clips) if isinstance(clips, int) else draws.integers(*clips, size=speakers)
    classes = np.repeat(np.arange(speakers), counts)
    voices = draws.multivariate_normal(mean, between, size=speakers)
    return (
        voices[classes] + draws.multivariate_normal(np.zeros(D), within, len(classes)),
        classes,
        mean,
        between,
        within,
    )


def diagonal(mean, between, within):
    """Return the model of these covariances by an eigenproblem that is not symmetric."""
    values, vectors = np.linalg.eig(np.linalg.solve(within, between))
    order = np.argsort(values.real)
    vectors = vectors.real[:, order]
    vectors = vectors / np.sqrt(np.diag(vectors.T @ within @ vectors))
    return Plda(np.eye(D), mean, vectors, values.real[order])


def test_the_ratio_is_that_of_normal_densities():
    draws = np.random.default_rng(3)
    mean, between, within = draws.normal(size=D), covariance(draws, 2.0), covariance(draws)
    vectors = draws.normal(size=(6, D)) * 2
    total = between + within
    same = multivariate_normal(np.tile(mean, 2), np.block([[total, between], [between, total]]))
    apart = multivariate_normal(mean, total)
    one, other = np.divmod(np.arange(36), 6)
    expected = [
        same.logpdf(np.concatenate([vectors[a], vectors[b]])) - apart.logpdf(vectors[a]) - apart.logpdf(vectors[b])
        for a, b in zip(one, other, strict=True)
    ]
    sides = by_likelihood(diagonal(mean, between, within), vectors)
    np.testing.assert_allclose(pair_scores(sides, one, other), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(all_scores(sides, sides).ravel(), expected, rtol=0, atol=1e-10)


def test_one_dimension_by_hand():
    # Between 1, within 1: total 2, so x = y = 1 gives ln N2([1,1]; [[2,1],[1,2]]) - 2 ln N(1; 2).
    sides = by_likelihood(Plda(np.eye(1), np.zeros(1), np.eye(1), np.ones(1)), np.array([[1.0]]))
    expected = -0.5 * np.log(3) - 1 / 3 - 2 * (-0.5 * np.log(2) - 1 / 4)
    assert pair_scores(sides, np.zeros(1, int), np.zeros(1, int)) == pytest.approx([expected], abs=1e-14)


def test_equal_counts_converge_to_the_closed_form():
    vectors, classes, *_ = drawn(speakers=60, clips=5)
    found = two_covariances(vectors, classes, iterations=200)
    means = np.array([vectors[classes == each].mean(axis=0) for each in range(60)])
    within = (vectors - means[classes]).T @ (vectors - means[classes]) / (60 * 4)
    between = np.cov(means.T, bias=True) - within / 5
    np.testing.assert_allclose(found.mean_P, vectors.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.within_PP, within, atol=1e-9)
    np.testing.assert_allclose(found.between_PP, between, atol=1e-9)


def likelihood(vectors, classes, mean, between, within):
    """Return the logarithm of the density of all vectors, speaker by speaker."""
    total = 0.0
    for each in np.unique(classes):
        own = vectors[classes == each]
        block = np.kron(np.ones((len(own), len(own))), between) + np.kron(np.eye(len(own)), within)
        total += multivariate_normal(np.tile(mean, len(own)), block).logpdf(own.ravel())
    return total


def test_every_iteration_makes_the_data_likelier():
    vectors, classes, *_ = drawn(speakers=20, clips=(1, 7))
    fits = [two_covariances(vectors, classes, iterations) for iterations in (1, 2, 3, 5, 9, 30)]
    values = [likelihood(vectors, classes, fit.mean_P, fit.between_PP, fit.within_PP) for fit in fits]
    assert np.all(np.diff(values) > 0), values


@pytest.mark.parametrize("clips", [8, (2, 15)])
def test_it_finds_what_generated_the_data(clips):
    vectors, classes, mean, between, within = drawn(speakers=3000, clips=clips)
    found = two_covariances(vectors, classes, iterations=30)
    np.testing.assert_allclose(found.mean_P, mean, atol=0.1)
    np.testing.assert_allclose(found.within_PP, within, atol=0.03 * np.abs(within).max())
    np.testing.assert_allclose(found.between_PP, between, atol=0.1 * np.abs(between).max())


def test_the_projection_whitens_and_ranks():
    vectors, classes, *_ = drawn(speakers=40, clips=(2, 9))
    projection = discriminants(vectors, classes, D)
    moved = vectors @ projection
    means = np.array([moved[classes == each].mean(axis=0) for each in range(40)])
    off = moved - means[classes]
    np.testing.assert_allclose(off.T @ off / (len(moved) - 40), np.eye(D), atol=1e-9)
    away = (means[classes] - moved.mean(axis=0)).T @ (means[classes] - moved.mean(axis=0))
    np.testing.assert_allclose(away, np.diag(np.diag(away)), atol=1e-7)
    assert np.all(np.diff(np.diag(away)) < 0)
    np.testing.assert_array_equal(discriminants(vectors, classes, 2), projection[:, :2])
    assert np.all(projection[np.abs(projection).argmax(axis=0), np.arange(D)] > 0)


def test_the_projection_is_that_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    vectors, classes, *_ = drawn(speakers=40, clips=(2, 9))
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(vectors, classes).scalings_[:, :2]
    ours = discriminants(vectors, classes, 2)
    cosines = np.abs((ours * theirs).sum(axis=0)) / np.linalg.norm(ours, axis=0) / np.linalg.norm(theirs, axis=0)
    np.testing.assert_allclose(cosines, 1, atol=1e-9)


def test_scale_and_the_names_and_order_of_speakers_change_nothing():
    vectors, classes, *_ = drawn(speakers=40, clips=(2, 9))
    settings = PldaSettings(dimensions=3, iterations=5)

    def scores(given, names):
        model = fit_plda(given, names, settings)
        sides = by_likelihood(model, projected(model, given[:30], "tests"))
        return all_scores(sides, sides)

    plain = scores(vectors, classes)
    np.testing.assert_allclose(scores(1000 * vectors, classes), plain, atol=1e-8)
    np.testing.assert_allclose(scores(vectors, [f"s{99 - each}" for each in classes]), plain, atol=1e-8)
    order = np.random.default_rng(1).permutation(len(vectors))
    model, other = (fit_plda(vectors[rows], classes[rows], settings) for rows in (slice(None), order))
    np.testing.assert_allclose(other.between_P, model.between_P, rtol=1e-8)
    np.testing.assert_allclose(plain, plain.T, atol=1e-12)


def test_speakers_who_do_not_differ_say_nothing():
    draws = np.random.default_rng(5)
    vectors, classes = draws.normal(size=(4000, D)), np.repeat(np.arange(1000), 4)
    model = fit_plda(vectors, classes, PldaSettings(dimensions=D, iterations=200))
    sides = by_likelihood(model, projected(model, vectors[:50], "tests"))
    assert np.abs(all_scores(sides, sides)).max() < 0.2


@pytest.mark.parametrize(
    ("vectors", "speakers", "message"),
    [
        (np.eye(4), ["a"] * 4, "2 speakers or more"),
        (np.eye(4), ["a", "b"], "4 embeddings and 2 speakers' names"),
        (np.eye(4), list("aabb"), "full rank in 4 dimensions"),
        (np.column_stack([np.random.default_rng(1).normal(size=(40, 3)), np.ones(40)]), list("ab") * 20, "constant"),
        (np.eye(3), list("aab"), "keeps 4 dimensions of embeddings that have 3"),
        (np.ones(4), list("aabb"), "shape"),
        (np.zeros((4, 0)), list("aabb"), "shape"),
    ],
)
def test_what_cannot_be_fitted_is_refused(vectors, speakers, message):
    with pytest.raises(InputError, match=message):
        fit_plda(vectors, speakers, PldaSettings(dimensions=4, iterations=2))


@pytest.mark.parametrize(("dimensions", "iterations"), [(1, 2), (4, 0)])
def test_settings_that_cannot_be(dimensions, iterations):
    with pytest.raises(InputError, match="expected 2 or more and 1 or more"):
        PldaSettings(dimensions, iterations)


def test_a_model_takes_the_dimensions_that_it_was_fitted_on():
    vectors, classes, *_ = drawn(speakers=10)
    model = fit_plda(vectors, classes, PldaSettings(2, 1))
    with pytest.raises(InputError, match="have 3 dimensions, but the PLDA takes 4"):
        projected(model, vectors[:, :3], "tests")
