"""Trials of embeddings: by hand, by plain loops, what changes nothing, and what is refused."""

import json

import numpy as np
import pytest

from metrics.detection_cases import VECTORS, needs_vectors
from voxbench.metrics import closeness, score_normalisation
from voxbench.metrics.plda import PldaSettings, by_likelihood, projected
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.score_normalisation import as_norm
from voxbench.metrics.trial_scores import (
    BackEnd,
    fit_back_end,
    identification_scores,
    refuse_shared_speakers,
    score_trials,
    speaker_means,
)
from voxbench.schema import InputError

COSINE = BackEnd(None, None, None, None)
SPEAKERS, CLIPS, D = 12, 4, 6


def people(seed=1, dtype=np.float64, speakers=SPEAKERS):
    """Return embeddings and the names of their speakers."""
    draws = np.random.default_rng(seed)
    names = np.repeat([f"p{seed}-{number:02}" for number in range(speakers)], CLIPS)
    voices = np.repeat(draws.normal(size=(speakers, D)), CLIPS, axis=0)
    return (voices + 0.5 * draws.normal(size=voices.shape) + 0.3).astype(dtype), names


def pairs(utterances, count=200, seed=3):
    return np.random.default_rng(seed).integers(utterances, size=(2, count))


BACK_ENDS = {
    "cosine": {"centre": False, "top": None, "plda": None},
    "centred": {"centre": True, "top": None, "plda": None},
    "normalised": {"centre": True, "top": 5, "plda": None},
    "whole cohort": {"centre": False, "top": SPEAKERS, "plda": None},
    "plda": {"centre": True, "top": None, "plda": PldaSettings(4, 5)},
    "everything": {"centre": True, "top": 5, "plda": PldaSettings(4, 5)},
}


@pytest.fixture(params=BACK_ENDS)
def back_end(request):
    return fit_back_end(*people(seed=2), **BACK_ENDS[request.param])


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_cosines_by_hand():
    found = score_trials(COSINE, [[0, 5], [3, 4], [6, 8], [1, 0]], [2, 1, 3], [1, 0, 0])
    np.testing.assert_allclose(found, [1.0, 0.8, 0.0], atol=1e-15)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4"])
def test_short_floats_are_multiplied_as_long_ones(dtype):
    embeddings = 60 * people(dtype=dtype)[0]
    trials = pairs(len(embeddings))
    assert (
        score_trials(COSINE, embeddings, *trials).tolist()
        == score_trials(COSINE, embeddings.astype(float), *trials).tolist()
    )


def test_centred_cosines_by_hand():
    centred = fit_back_end([[0.0, 1.0], [2.0, 1.0]], None, centre=True, top=None, plda=None)
    assert centred.mean_D.tolist() == [1.0, 1.0]
    assert score_trials(centred, [[4.0, 5.0], [1.0, 6.0]], [0], [1]) == pytest.approx([0.8], abs=1e-15)


@needs_vectors
def test_the_shared_vector():
    for vector in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]:
        if vector["metric"] != "asnorm":
            continue
        given, expected = vector["inputs"], vector["expected"]
        normalised = fit_back_end(given["cohort"], list("abcde"), centre=False, top=given["top_n"], plda=None)
        embeddings = [given["enroll"], given["test"]]
        assert score_trials(normalised, embeddings, [0], [1]) == pytest.approx([expected["asnorm"]], abs=1e-6)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("top", [2, 5, SPEAKERS])
def test_as_norm_is_the_formula_trial_by_trial(dtype, top):
    embeddings, training = people(dtype=dtype)[0], people(seed=2, dtype=dtype)
    mean = training[0].astype(float).mean(axis=0)
    cohort = [training[0][training[1] == name].astype(float).mean(axis=0) - mean for name in np.unique(training[1])]
    centred = embeddings.astype(float) - mean
    enroll, test = pairs(len(embeddings))
    expected = []
    for one, other in zip(enroll, test, strict=True):
        score = cosine(centred[one], centred[other])
        closest = [sorted(cosine(centred[side], each) for each in cohort)[-top:] for side in (one, other)]
        expected.append(np.mean([(score - np.mean(side)) / np.std(side) for side in closest]))
    found = score_trials(fit_back_end(*training, centre=True, top=top, plda=None), embeddings, enroll, test)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", ["normalised", "everything"])
@pytest.mark.parametrize("rows", [1, 7, 1024])
def test_it_equals_as_norm_of_whole_matrices(monkeypatch, kind, rows):
    monkeypatch.setattr(score_normalisation, "MOST_ROWS", rows)
    embeddings = people()[0]
    enroll, test = pairs(len(embeddings))
    whole = fit_back_end(*people(seed=2), **BACK_ENDS[kind])
    plain = BackEnd(whole.mean_D, whole.plda, None, None)
    places = np.arange(len(embeddings))
    both = np.concatenate([embeddings, whole.cohort_KD])
    to_cohort = [score_trials(plain, both, places, np.full(len(places), len(places) + k)) for k in range(SPEAKERS)]
    matrix = np.column_stack(to_cohort)
    expected = as_norm(score_trials(plain, embeddings, enroll, test), enroll, test, matrix, matrix, top=5)
    np.testing.assert_allclose(score_trials(whole, embeddings, enroll, test), expected, rtol=0, atol=1e-11)


def test_a_plda_scores_centred_projected_embeddings():
    back_end = fit_back_end(*people(seed=2), **BACK_ENDS["plda"])
    embeddings = people()[0]
    sides = by_likelihood(back_end.plda, projected(back_end.plda, embeddings - back_end.mean_D, "tests"))
    enroll, test = pairs(len(embeddings))
    expected = closeness.pair_scores(sides, enroll, test)
    np.testing.assert_array_equal(score_trials(back_end, embeddings, enroll, test), expected)


@pytest.mark.parametrize("block", [1, 3, 512])
def test_the_order_of_trials_and_blocks_change_not_one_bit(monkeypatch, back_end, block):
    embeddings = people(dtype=np.float32)[0]
    enroll, test = pairs(len(embeddings))
    plain = score_trials(back_end, embeddings, enroll, test)
    monkeypatch.setattr(closeness, "BLOCK", block)
    order = np.random.default_rng(1).permutation(len(enroll))
    assert score_trials(back_end, embeddings, enroll[order], test[order]).tolist() == plain[order].tolist()
    np.testing.assert_allclose(score_trials(back_end, embeddings, test, enroll), plain, rtol=0, atol=1e-12)


def test_the_order_of_utterances_and_others_among_them_change_nothing(back_end):
    embeddings = people()[0]
    enroll, test = pairs(len(embeddings))
    plain = score_trials(back_end, embeddings, enroll, test)
    order = np.random.default_rng(1).permutation(len(embeddings))
    place = np.argsort(order)
    # Those of no trial are not looked at, not even where they have no direction.
    more = np.concatenate([embeddings[order], np.full((3, D), np.nan)])
    np.testing.assert_allclose(score_trials(back_end, more, place[enroll], place[test]), plain, rtol=0, atol=1e-10)


def test_the_scale_of_an_embedding_is_no_part_of_a_score():
    draws = np.random.default_rng(1)
    embeddings, (enroll, test) = people()[0], pairs(SPEAKERS * CLIPS)
    training, names = people(seed=2)
    for kind in ("cosine", "whole cohort"):
        back_end = fit_back_end(training, names, **BACK_ENDS[kind])
        scaled = embeddings * draws.uniform(1e-3, 1e3, size=(len(embeddings), 1))
        plain = score_trials(back_end, embeddings, enroll, test)
        np.testing.assert_allclose(score_trials(back_end, scaled, enroll, test), plain, rtol=1e-10, atol=1e-12)
    for kind, options in BACK_ENDS.items():
        found = [
            score_trials(fit_back_end(s * training, names, **options), s * embeddings, enroll, test) for s in (1, 1e4)
        ]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-8, atol=1e-9, err_msg=kind)


def test_equal_utterances_score_alike_and_one_is_closest_to_itself(back_end):
    embeddings = people()[0]
    twice = np.concatenate([embeddings, embeddings])
    enroll, test = pairs(len(embeddings))
    plain = score_trials(back_end, twice, enroll, test)
    np.testing.assert_allclose(score_trials(back_end, twice, enroll + len(embeddings), test), plain, atol=1e-12)
    if back_end.plda is None and back_end.top is None:
        places = np.arange(len(embeddings))
        np.testing.assert_allclose(score_trials(back_end, embeddings, places, places), 1, atol=1e-15)


def test_a_template_is_the_mean_of_clips_of_length_one():
    found = score_trials(COSINE, [[9.0, 0], [0, 0.1], [1, 0]], [0, 1], [2, 2], enrolments=[[0, 1], [1]])
    np.testing.assert_allclose(found, [np.sqrt(0.5), 0], atol=1e-15)


def test_a_template_of_one_clip_is_that_clip(back_end):
    embeddings = people()[0]
    enroll, test = pairs(len(embeddings))
    plain = score_trials(back_end, embeddings, enroll, test)
    single = [[row] for row in range(len(embeddings))]
    np.testing.assert_allclose(score_trials(back_end, embeddings, enroll, test, single), plain, rtol=0, atol=1e-11)
    tripled = [[row] * 3 for row in range(len(embeddings))]
    np.testing.assert_allclose(score_trials(back_end, embeddings, enroll, test, tripled), plain, rtol=0, atol=1e-11)


def test_identification_scores_every_pair(back_end):
    embeddings, names = people()
    enrolments = [np.flatnonzero(names == name)[:3] for name in np.unique(names)]
    tests = np.arange(3, len(names), CLIPS)
    found = identification_scores(back_end, embeddings, enrolments, tests)
    enroll, test = np.divmod(np.arange(SPEAKERS**2), SPEAKERS)
    expected = score_trials(back_end, embeddings, enroll, tests[test], enrolments)
    np.testing.assert_allclose(found, expected.reshape(SPEAKERS, SPEAKERS).T, rtol=0, atol=1e-11)
    assert np.mean(found.argmax(axis=1) == np.arange(SPEAKERS)) > 0.5


def test_a_stored_back_end_scores_the_same(tmp_path, back_end):
    embeddings = people(dtype=np.float32)[0]
    np.savez(tmp_path / "back_end.npz", **back_end.arrays())
    with np.load(tmp_path / "back_end.npz", allow_pickle=False) as stored:
        again = BackEnd.of_arrays(stored)
    trials = pairs(len(embeddings))
    assert score_trials(again, embeddings, *trials).tolist() == score_trials(back_end, embeddings, *trials).tolist()


def test_speaker_means_are_those_of_the_embeddings_as_they_are():
    names, means = speaker_means(np.array([[1, 2], [0, 1], [3, 2]], "f4"), ["b", "a", "b"])
    assert (names.tolist(), means.tolist()) == (["a", "b"], [[0, 1], [2, 2]])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_embedding_without_direction_is_refused(back_end, value):
    embeddings = people()[0]
    embeddings[2] = value
    if value == 0.0 and back_end.mean_D is not None:
        embeddings[2] = back_end.mean_D
    with pytest.raises(InputError, match="has no direction, and so have 1 rows"):
        score_trials(back_end, embeddings, [0, 1], [1, 2])


@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("kind", ["centred", "normalised", "everything"])
def test_training_without_direction_is_refused(kind, value):
    training, names = people(seed=2)
    training[7] = value
    with pytest.raises(InputError, match=r"row 7: length .* has no direction"):
        fit_back_end(training, names, **BACK_ENDS[kind])


@pytest.mark.parametrize("top", [1, 0, -1, SPEAKERS + 1, 3.0, True])
def test_a_top_that_cannot_be_is_refused(top):
    with pytest.raises(InputError, match=f"top is {top!r}, but must be a whole number of the 12 cohort speakers"):
        fit_back_end(*people(seed=2), centre=False, top=top, plda=None)


def test_a_cohort_of_one_or_of_equals_is_refused():
    training, names = people(seed=2)
    with pytest.raises(InputError, match="of the 1 cohort speakers"):
        fit_back_end(training, ["one"] * len(names), centre=False, top=2, plda=None)
    scales = np.repeat(np.linspace(0.1, 7, SPEAKERS), CLIPS)[:, None]
    equals = fit_back_end(scales * training[:1], names, centre=False, top=5, plda=None)
    with pytest.raises(UndefinedError, match="the top 5 cohort scores of row 0 are all equal"):
        score_trials(equals, people()[0], [0], [1])


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_the_utterance_that_no_stranger_is_closer_to_is_named(monkeypatch, rows):
    monkeypatch.setattr(score_normalisation, "MOST_ROWS", rows)
    flat = fit_back_end([[1.0, 0, 0], [0, 1.0, 0]], ["a", "b"], centre=False, top=2, plda=None)
    with pytest.raises(UndefinedError, match="of row 2 are all equal"):
        score_trials(flat, [[1.0, 2, 0], [2.0, 1, 0], [0, 0, 1.0], [3.0, 1, 0]], [0, 1], [2, 3])


@pytest.mark.parametrize(
    ("enroll", "test", "message"),
    [
        ([0, 1], [0], "enroll must have shape"),
        ([-1], [0], "enroll must lie in 0"),
        ([0], [48], "test must lie in 0..47, found 48"),
        ([], [], "non-empty"),
        ([0.0], [0], "integer"),
    ],
)
def test_trials_of_rows_that_are_not_there(enroll, test, message):
    with pytest.raises(InputError, match=message):
        score_trials(COSINE, people()[0], enroll, test)


def test_what_does_not_fit_together_is_refused():
    training, names = people(seed=2)
    with pytest.raises(InputError, match="found shape"):
        score_trials(COSINE, [1.0, 2.0], [0], [1])
    with pytest.raises(InputError, match="have 5 dimensions, but the mean that is subtracted 6"):
        score_trials(fit_back_end(training, None, centre=True, top=None, plda=None), people()[0][:, :5], [0], [1])
    for options in (BACK_ENDS["normalised"], BACK_ENDS["plda"]):
        with pytest.raises(InputError, match="give both"):
            fit_back_end(training, None, **options)
    with pytest.raises(InputError, match="48 embeddings and 3 speakers"):
        fit_back_end(training, names[:3], centre=False, top=2, plda=None)
    with pytest.raises(InputError, match="both a cohort and top"):
        BackEnd(None, None, None, 3)
    with pytest.raises(InputError, match="enrolment 1"):
        score_trials(COSINE, training, [0], [1], enrolments=[[0], []])


def test_a_speaker_of_the_trials_in_the_training_is_a_leak():
    refuse_shared_speakers(["a", "b"], ["c", "d"], "the cohort")
    with pytest.raises(InputError, match=r"^the cohort has 2 of the 3 speakers of the trials \(b, c\): leave them out"):
        refuse_shared_speakers(["a", "b", "b", "c"], ["c", "d", "b", "b"], "the cohort")
