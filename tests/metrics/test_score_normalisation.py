"""Adaptive score normalisation against the shared vector, a plain loop, and its laws."""

import json

import numpy as np
import pytest

from metrics.detection_cases import VECTORS, needs_vectors
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.score_normalisation import as_norm
from voxbench.schema import InputError


@needs_vectors
def test_the_shared_vector():
    for vector in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]:
        if vector["metric"] != "asnorm":
            continue
        given, expected = vector["inputs"], vector["expected"]
        enroll, test, cohort = (
            np.array(given[name]) / np.linalg.norm(given[name], axis=-1, keepdims=True)
            for name in ("enroll", "test", "cohort")
        )
        score = enroll @ test
        assert score == pytest.approx(expected["cosine"], abs=1e-6)
        found = as_norm([score], [0], [0], [cohort @ enroll], [cohort @ test], top=given["top_n"])
        assert found == pytest.approx([expected["asnorm"]], abs=1e-6)


def trials(seed=1, utterances=4, cohort=9, count=20):
    draw = np.random.default_rng(seed)
    enroll, test = draw.integers(utterances, size=(2, count))
    return draw.normal(size=count), enroll, test, *draw.normal(size=(2, utterances, cohort))


@pytest.mark.parametrize("top", [2, 5, 9])
def test_it_is_the_formula_trial_by_trial(top):
    scores, enroll, test, enroll_cohort, test_cohort = trials()
    expected = []
    for score, one, other in zip(scores, enroll, test, strict=True):
        sides = [sorted(cohort)[-top:] for cohort in (enroll_cohort[one], test_cohort[other])]
        expected.append(np.mean([(score - np.mean(side)) / np.std(side) for side in sides]))
    np.testing.assert_allclose(as_norm(scores, enroll, test, enroll_cohort, test_cohort, top=top), expected, rtol=1e-12)


def test_scale_and_offset_of_the_scores_and_the_order_of_the_cohort_change_nothing():
    scores, enroll, test, enroll_cohort, test_cohort = trials()
    plain = as_norm(scores, enroll, test, enroll_cohort, test_cohort, top=4)
    moved = as_norm(3 * scores + 7, enroll, test, 3 * enroll_cohort + 7, 3 * test_cohort + 7, top=4)
    np.testing.assert_allclose(moved, plain, rtol=1e-10)
    turned = as_norm(scores, enroll, test, enroll_cohort[:, ::-1], test_cohort[:, ::-1], top=4)
    assert turned.tolist() == plain.tolist()
    swapped = as_norm(scores, test, enroll, test_cohort, enroll_cohort, top=4)
    assert swapped.tolist() == plain.tolist()


def test_the_order_of_a_large_cohort_changes_no_bit_and_the_scores_given_stay_as_they_are():
    scores, enroll, test, enroll_cohort, test_cohort = trials(cohort=400)
    given = enroll_cohort.copy()
    plain = as_norm(scores, enroll, test, enroll_cohort, test_cohort, top=150)
    np.testing.assert_array_equal(enroll_cohort, given)
    order = np.random.default_rng(1).permutation(400)
    turned = as_norm(scores, enroll, test, enroll_cohort[:, order], test_cohort[:, order], top=150)
    assert turned.tolist() == plain.tolist()


def test_what_cannot_be_is_refused():
    cohort = [[0.0, 1.0, 2.0]]
    for top in (0, 1, 4):
        with pytest.raises(InputError, match=f"found shape \\(1, 3\\) and top {top}"):
            as_norm([0.5], [0], [0], cohort, cohort, top=top)
    with pytest.raises(InputError, match="test"):
        as_norm([0.5], [0], [1], cohort, cohort, top=2)
    with pytest.raises(InputError, match="enroll must have shape"):
        as_norm([0.5], [0, 0], [0], cohort, cohort, top=2)
    with pytest.raises(InputError, match=r"NaN|finite"):
        as_norm([0.5], [0], [0], [[0.0, np.nan, 1.0]], cohort, top=2)
    with pytest.raises(UndefinedError, match="test utterance 0 are all equal"):
        as_norm([0.5], [0], [0], cohort, [[0.0, 1.0, 1.0]], top=2)
