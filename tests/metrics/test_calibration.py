"""Calibration against closed forms, other optimisers and exhaustive search."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression, minimize
from sklearn.linear_model import LogisticRegression

from voxbench.metrics import UndefinedError
from voxbench.metrics.calibration import Affine, Isotonic, apply, fit_affine, fit_isotonic

SHARED = Path(os.environ.get("VOXBENCH_SHARED", "nowhere"))
SCORES = SHARED / "scores" / "air2021_ecapa_ctsf_asvspoof2019_la_eval.txt"
TRIALS = st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 1)), min_size=2, max_size=40)


def cllr(llrs, labels):
    """Brummer's cost in bits, written from its definition."""
    llrs, labels = np.asarray(llrs), np.asarray(labels)
    misses, alarms = np.logaddexp(0, -llrs[labels == 1]), np.logaddexp(0, llrs[labels == 0])
    return (misses.mean() + alarms.mean()) / 2 / math.log(2)


def pav_llrs(scores, labels):
    """The llrs of scipy's isotonic regression of the labels, infinite where a block is pure."""
    _, places = np.unique(scores, return_inverse=True)
    targets = np.bincount(places, weights=np.asarray(labels, dtype=float))
    trials = np.bincount(places)
    share = isotonic_regression(targets / trials, weights=trials).x[places]
    with np.errstate(divide="ignore"):
        return np.log(share) - np.log1p(-share) - math.log(sum(labels) / (len(labels) - sum(labels)))


def gaussian(trials, seed, distance=2.0):
    """Scores of unit variance around +-distance / 2, whose llr is distance * score, and a tenth of them targets."""
    draws = np.random.default_rng(seed)
    labels = (np.arange(trials) % 10 == 0).astype(int)
    return draws.normal(size=trials) + distance * (labels - 0.5), labels


def loss(calibration, scores, labels, p_target, quality=None):
    odds = apply(calibration, scores, quality) + math.log(p_target / (1 - p_target))
    targets, nontargets = odds[labels == 1], odds[labels == 0]
    return p_target * np.logaddexp(0, -targets).mean() + (1 - p_target) * np.logaddexp(0, nontargets).mean()


@pytest.mark.parametrize("p_target", [0.05, 0.5, 0.9])
def test_gaussian_scores_get_their_known_ratios(p_target):
    scores, labels = gaussian(400_000, 1)
    found = fit_affine((scores + 3) / 4, labels, p_target=p_target, ridge=0)
    assert found.scale == pytest.approx(8, rel=0.02)
    assert found.offset == pytest.approx(-6, rel=0.02)
    curve = fit_isotonic(scores, labels, smoothing=1)
    inner = np.linspace(-1.5, 1.5, 13)
    np.testing.assert_allclose(apply(curve, inner), 2 * inner, atol=0.25)


def test_the_weight_of_a_quality_is_found():
    draws = np.random.default_rng(2)
    scores, seconds = draws.normal(size=300_000), draws.uniform(1, 20, 300_000)
    true_llrs = 1.5 * scores + 0.7 * np.log(seconds) - 2
    labels = (draws.uniform(size=len(scores)) < 1 / (1 + np.exp(-true_llrs - math.log(0.2 / 0.8)))).astype(int)
    quality = {"log_seconds": np.log(seconds)}
    found = fit_affine(scores, labels, p_target=0.3, ridge=0, quality=quality)
    assert found.scale == pytest.approx(1.5, rel=0.03)
    assert found.weights["log_seconds"] == pytest.approx(0.7, rel=0.03)
    blind = fit_affine(scores, labels, p_target=0.3, ridge=0)
    assert loss(found, scores, labels, 0.3, quality) < loss(blind, scores, labels, 0.3) - 0.01
    np.testing.assert_array_equal(
        apply(found, scores[:3], {"log_seconds": np.log(seconds[:3])}), apply(found, scores, quality)[:3]
    )


@pytest.mark.parametrize("p_target", [0.01, 0.5])
@pytest.mark.parametrize("ridge", [0, 0.3])
def test_other_optimisers_find_the_same_map(p_target, ridge):
    scores, labels = gaussian(3_000, 3)
    found = fit_affine(10 * scores + 5, labels, p_target=p_target, ridge=ridge)
    middle = (scores[labels == 1].mean() + scores[labels == 0].mean()) / 2
    squares = (scores - middle) ** 2
    scaled = (scores - middle) / np.sqrt((squares[labels == 1].mean() + squares[labels == 0].mean()) / 2)

    def charged(point):
        candidate = Affine.model_construct(scale=point[0], offset=point[1], weights={})
        return loss(candidate, scaled, labels, p_target) + ridge / 2 * point[0] ** 2

    rough = minimize(charged, [1.0, 0.0], method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}).x
    np.testing.assert_allclose(apply(found, 10 * scores + 5), rough[0] * scaled + rough[1], atol=2e-4)
    weights = np.where(labels == 1, p_target / labels.sum(), (1 - p_target) / (1 - labels).sum())
    # scikit-learn charges 1 / (2 C) of the squared scale beside the sum of the weighted losses.
    model = LogisticRegression(C=1 / ridge if ridge else 1e12, tol=1e-12, solver="newton-cholesky")
    odds = model.fit(scaled[:, None], labels, sample_weight=weights).decision_function(scaled[:, None])
    expected = odds - math.log(p_target / (1 - p_target))
    np.testing.assert_allclose(apply(found, 10 * scores + 5), expected, atol=1e-6)


@given(TRIALS, st.sampled_from([0.01, 0.5, 0.8]), st.floats(0.1, 50), st.integers(-100, 100))
def test_the_unit_of_the_scores_changes_no_ratio(trials, p_target, factor, shift):
    scores, labels = np.array(trials).T
    try:
        found = fit_affine(scores, labels, p_target=p_target, ridge=0.01)
    except UndefinedError:
        assume(False)
    assume(found.scale > 1e-6)
    other = fit_affine(factor * scores + shift, labels, p_target=p_target, ridge=0.01)
    np.testing.assert_allclose(apply(other, factor * scores + shift), apply(found, scores), atol=1e-7)
    twice = fit_affine(np.tile(scores, 2), np.tile(labels, 2), p_target=p_target, ridge=0.01)
    np.testing.assert_allclose(apply(twice, scores), apply(found, scores), atol=1e-9)


@given(TRIALS, st.sampled_from([0.01, 0.5, 0.8]))
def test_no_affine_map_has_a_smaller_loss_and_none_a_smaller_cllr_at_one_half(trials, p_target):
    scores, labels = np.array(trials).T
    try:
        found = fit_affine(scores, labels, p_target=p_target, ridge=0)
    except UndefinedError:
        assume(False)
    least = loss(found, scores, labels, p_target)
    raw = Affine(scale=1, offset=0, weights={})
    nearby = [
        Affine(scale=found.scale * factor, offset=found.offset + shift, weights={})
        for factor in (0.99, 1, 1.01)
        for shift in (-0.01, 0, 0.01)
    ]
    assert all(least <= loss(each, scores, labels, p_target) + 1e-12 for each in (raw, *nearby))
    if p_target == 0.5:
        assert cllr(apply(found, scores), labels) <= cllr(scores, labels) + 1e-12
        assert cllr(apply(found, scores), labels) == pytest.approx(least / math.log(2), abs=1e-12)
    best = cllr(pav_llrs(scores, labels), labels)
    assert cllr(pav_llrs(apply(found, scores), labels), labels) == pytest.approx(best, abs=1e-12)


@given(TRIALS)
def test_isotonic_llrs_reach_the_least_cllr_as_the_smoothing_goes(trials):
    scores, labels = np.array(trials).T
    assume(0 < labels.sum() < len(labels))
    found = fit_isotonic(scores, labels, smoothing=1e-9)
    best = cllr(pav_llrs(scores, labels), labels)
    assert cllr(apply(found, scores), labels) == pytest.approx(best, abs=1e-6)
    assert best <= cllr(scores, labels) + 1e-12
    # The made-up trials, written out as real ones far away, give the same map.
    ends = np.repeat([-99, 99], 2)
    widened = np.concatenate([scores, ends]), np.concatenate([labels, [1, 0, 1, 0]])
    expected = pav_llrs(*widened)[: len(scores)] + math.log((labels.sum() + 2) / (len(labels) - labels.sum() + 2))
    expected -= math.log(labels.sum() / (len(labels) - labels.sum()))
    np.testing.assert_allclose(apply(fit_isotonic(scores, labels, smoothing=1), scores), expected, atol=1e-12)


@given(TRIALS, st.lists(st.floats(-20, 20), min_size=2, max_size=30), st.sampled_from([1e-3, 1.0, 5.0]))
def test_an_isotonic_map_never_falls_and_is_finite(trials, unseen, smoothing):
    scores, labels = np.array(trials).T
    assume(0 < labels.sum() < len(labels))
    found = fit_isotonic(scores, labels, smoothing=smoothing)
    llrs = apply(found, np.sort(np.concatenate([unseen, found.scores])))
    assert np.isfinite(llrs).all()
    assert (np.diff(llrs) >= 0).all()
    assert apply(found, found.scores).tolist() == list(found.llrs)
    assert apply(found, [-1e300, 1e300]).tolist() == [found.llrs[0], found.llrs[-1]]


def test_the_optimum_is_found_where_a_whole_newton_step_overshoots():
    scores, labels = np.array([2, -7, 8, 2, 13, 0, 2]), np.array([1, 0, 0, 1, 1, 0, 1])
    found = fit_affine(scores, labels, p_target=0.999, ridge=0)
    least = loss(found, scores, labels, 0.999)
    for scale, shift in ((1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05)):
        moved = Affine(scale=found.scale * scale, offset=found.offset + shift, weights={})
        assert loss(moved, scores, labels, 0.999) > least


def test_the_order_of_the_qualities_changes_no_bit():
    scores, labels = gaussian(500, 5)
    draws = np.random.default_rng(6)
    qualities = {name: draws.normal(size=500) for name in ("snr_db", "log_seconds", "age")}
    found = fit_affine(scores, labels, p_target=0.5, ridge=0, quality=qualities)
    turned = dict(reversed(qualities.items()))
    assert fit_affine(scores, labels, p_target=0.5, ridge=0, quality=turned) == found
    assert apply(found, scores, turned).tolist() == apply(found, scores, qualities).tolist()


def test_isotonic_by_hand():
    found = fit_isotonic([1, 2, 3, 4, 5, 6], [0, 0, 1, 0, 1, 1], smoothing=1)
    assert found.scores == (1, 2, 3, 4, 5, 6)
    np.testing.assert_allclose(np.exp(found.llrs), [1 / 3, 1 / 3, 1, 1, 3, 3])
    np.testing.assert_allclose(np.exp(apply(found, [2.5, 4.75])), [3**-0.5, 3**0.75])
    flat = fit_isotonic([3, 2, 1], [0, 0, 1], smoothing=0.5)
    assert flat.scores == (1, 3)
    assert apply(flat, [0, 2, 9]).tolist() == pytest.approx([math.log(1.5 / 2.5 * 2)] * 3)
    assert len(fit_isotonic([7, 7, 7], [0, 1, 0], smoothing=1).scores) == 1
    assert apply(fit_isotonic([7, 7], [0, 1], smoothing=1), [1, 7, 9]).tolist() == [0, 0, 0]


def test_real_scores_come_close_to_the_least_cllr_on_the_half_held_back():
    if not SCORES.is_file():
        pytest.skip("VOXBENCH_SHARED names no folder with the released score files")
    rows = [line.split() for line in SCORES.read_text(encoding="utf-8").splitlines()]
    scores, labels = np.array([float(row[1]) for row in rows]), np.array([int(row[2] == "bonafide") for row in rows])
    kept = np.random.default_rng(1).random(len(scores)) < 0.5
    raw, best = cllr(scores[~kept], labels[~kept]), cllr(pav_llrs(scores[~kept], labels[~kept]), labels[~kept])
    curve = fit_isotonic(scores[kept], labels[kept], smoothing=1)
    assert best < cllr(apply(curve, scores[~kept]), labels[~kept]) < 1.05 * best
    line = fit_affine(scores[kept], labels[kept], p_target=0.5, ridge=0)
    assert best < cllr(apply(line, scores[~kept]), labels[~kept]) < 0.5 * raw


def test_equal_input_gives_equal_bits_in_another_process():
    program = (
        "import numpy as np\n"
        "from voxbench.metrics.calibration import *\n"
        "d = np.random.default_rng(4); y = (np.arange(20001) % 3 == 0).astype(int); s = d.normal(size=20001) + y\n"
        "q = {'b': d.normal(size=20001), 'a': d.normal(size=20001)}\n"
        "print(fit_affine(s, y, p_target=0.01, ridge=0, quality=q).model_dump_json())\n"
        "print(fit_isotonic(s, y, smoothing=1).model_dump_json())\n"
    )
    runs = set()
    for threads in ("1", "2"):
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        runs.add(done.stdout)
    assert len(runs) == 1
    assert runs.pop().count("\n") == 2


def test_a_knot_has_its_own_ratio_to_the_last_digit():
    rounded = 0
    for low, high in np.sort(np.random.default_rng(3).normal(size=(500, 2)), axis=1).tolist():
        assert apply(Isotonic(scores=(0, 1), llrs=(low, high)), [0.0, 1.0, 2.0]).tolist() == [low, high, high]
        rounded += low + (high - low) != high
    assert rounded > 10, "no case in which the straight line misses its own end"
