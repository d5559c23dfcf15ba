"""A back end that is fitted whole: each part on what the parts before it leave of the training embeddings."""

import numpy as np
import pytest

from voxbench.metrics.plda import PldaSettings, check_size
from voxbench.metrics.trial_scores import fit_back_end, score_trials
from voxbench.schema import InputError

SETTINGS = PldaSettings(dimensions=3, iterations=2)


def embeddings(clips, seed):
    """Return embeddings (10 * clips, 5) of ten people, far from the origin, and their names."""
    draws = np.random.default_rng(seed)
    names = np.repeat([f"s{each}" for each in range(10)], clips)
    voices = np.repeat(draws.normal(size=(10, 5)), clips, axis=0)
    return voices + 0.5 * draws.normal(size=(10 * clips, 5)) + 7.0, names


@pytest.mark.parametrize("plda", [None, SETTINGS])
@pytest.mark.parametrize("top", [None, 4])
def test_a_mean_is_subtracted_before_all_else(plda, top):
    """Whoever subtracts it beforehand gets the same model and the same scores without `centre`."""
    training, speakers = embeddings(6, 1)
    tests, _ = embeddings(2, 2)
    mean = training.mean(axis=0)
    one = fit_back_end(training, speakers, centre=True, top=top, plda=plda)
    other = fit_back_end(training - mean, speakers, centre=False, top=top, plda=plda)
    pairs = np.triu_indices(len(tests), 1)
    scores = score_trials(one, tests, *pairs)
    np.testing.assert_allclose(scores, score_trials(other, tests - mean, *pairs), rtol=1e-8, atol=1e-9)
    as_given = score_trials(fit_back_end(training, speakers, centre=False, top=top, plda=plda), tests, *pairs)
    assert np.abs(scores - as_given).max() > 0.1


@pytest.mark.parametrize(
    ("clips", "speakers", "dimensions", "message"),
    [
        (99, 9, 2, "PLDA keeps 3 dimensions of embeddings that have 2"),
        (12, 8, 5, "as many clips more than speakers, found 12 clips of 8 speakers"),
    ],
)
def test_what_is_too_small_is_known_before_there_are_embeddings(clips, speakers, dimensions, message):
    check_size(SETTINGS, clips=13, speakers=8, dimensions=5)
    with pytest.raises(InputError, match=message):
        check_size(SETTINGS, clips, speakers, dimensions)
