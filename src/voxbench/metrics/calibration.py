"""Calibration: from scores of any scale to log-likelihood ratios, fitted on validation trials.

Two maps, each a frozen record that is stored with the model, as JSON by `record.model_dump(mode="json")`, read
back by `calibration_from`:

- `Affine`: llr = scale * score + offset, plus a weight for each quality of the trial (the log duration of a test
  segment, say). It minimises the prior-weighted logistic loss in nats,
  `p mean_tar ln(1 + exp(-llr - logit p)) + (1 - p) mean_non ln(1 + exp(llr + logit p))`, which at p = 0.5 is
  Cllr ln 2 (Brummer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and
  Language 20, 2006; the objective of the BOSARIS toolkit and of FoCal).
- `Isotonic`: the steps of the pool-adjacent-violators algorithm, the best map that never falls, joined by straight
  lines (Brummer and du Preez, "The PAV algorithm optimizes binary proper scoring rules", 2013). It needs many
  trials, and nothing is known beyond the ends of its scores, where it is constant.

Out come natural-log likelihood ratios, the input of `act_dcf`, `cllr` and Bayes thresholds. Higher scores mean
more target; `labels` are 1 = target (bona fide), 0 = nontarget (spoof). Equal scores get equal ratios and the
order of the trials changes nothing but rounding. One class has no calibration, and scores that fall where trials
are more like targets have no affine one: both raise `UndefinedError`. Unsound input raises `InputError`.

Shape letters: N trials, F terms of the affine map, V vertices of the ROC's convex hull, K knots.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError, model_validator

from voxbench.config.base import Positive, Section
from voxbench.metrics.inputs import Floats, finite_numbers
from voxbench.metrics.operating_points import both_classes, hull_vertices
from voxbench.metrics.registries import UndefinedError
from voxbench.schema import InputError

# Newton's method doubles the correct digits of each step; data without an optimum need one step per unit of llr.
STEPS = 100
# Twice the distance to the smallest loss, in nats, below which one more step is exact.
SETTLED = 1e-12
# The curvature of the loss, per squared standard deviation, that no sound data reach: a single pair of overlapping
# trials among a million has more, an optimum at infinity is left behind with less.
FLAT = 1e-10
# The scale, per standard deviation, that is zero but for rounding.
LEVEL = 1e-9


class Affine(Section):
    """llr = scale * score + offset + sum of weight * quality; `weights` are in 1 / the unit of their quality."""

    kind: Literal["affine"] = "affine"
    scale: Annotated[Positive, Field(allow_inf_nan=False)]
    offset: FiniteFloat
    weights: Mapping[str, FiniteFloat]


class Isotonic(Section):
    """A map that never falls: `llrs` (K,) at the rising `scores` (K,), straight lines between, constant beyond."""

    kind: Literal["isotonic"] = "isotonic"
    scores: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
    llrs: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _rising(self) -> Isotonic:
        if len(self.scores) != len(self.llrs):
            raise ValueError(f"found {len(self.scores)} scores and {len(self.llrs)} llrs, expected as many of both")
        if (np.diff(self.scores) <= 0).any() or (np.diff(self.llrs) < 0).any():
            raise ValueError("scores must rise from knot to knot, and llrs must not fall")
        return self


Calibration = Affine | Isotonic
_ADAPTER: TypeAdapter[Calibration] = TypeAdapter(Annotated[Calibration, Field(discriminator="kind")])


def fit_affine(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    p_target: float,
    ridge: float,
    quality: Mapping[str, ArrayLike] | None = None,
) -> Affine:
    """Return the affine map with the smallest prior-weighted logistic loss on N trials.

    `p_target` in (0, 1) says where the ratios should be best: near the Bayes threshold of that prior with equal
    costs; 0.5 minimises Cllr. `quality` names further numbers (N,) of the trials, in any unit. `ridge` >= 0 adds
    ridge / 2 * (scale^2 + weights^2) to the loss in nats, all in standard deviations of their column (both classes
    weighing the same), so that the unit of the scores does not matter.

    The loss is convex, and Newton's method finds its minimum to rounding; sums are taken in a fixed order, so that
    equal input gives equal bits. With ridge 0 there is no minimum, and `UndefinedError`, where the scores (or
    scores and qualities together) separate the classes or a quality repeats another; a ridge such as 1e-3 then
    gives a finite, cautious map. A scale that is not positive is refused: it would turn the order of the trials.

    >>> found = fit_affine([-1, 0, 1, 2, 0, 1, 2, 3], [0, 0, 0, 0, 1, 1, 1, 1], p_target=0.5, ridge=0)
    >>> round(found.scale, 4), round(found.offset, 4)
    (0.7563, -0.7563)
    """
    if not 0 < p_target < 1:
        raise InputError(f"p_target must lie between 0 and 1, found {p_target}")
    if not 0 <= ridge < math.inf:
        raise InputError(f"ridge must be 0 or more, found {ridge}")
    points = both_classes(scores, labels, "affine calibration")
    is_target_N = np.asarray(labels) == 1
    weight_N = np.where(is_target_N, p_target / points.targets, (1 - p_target) / points.nontargets)
    columns = {"scores": np.asarray(scores, dtype=np.float64)} | _qualities(quality, is_target_N.shape)
    middles_F, spreads_F, terms = _standardised(columns, is_target_N)
    if ridge == 0 and points.thresholds[points.misses == 0][-1] >= points.thresholds[points.false_alarms > 0][-1]:
        raise _no_optimum("no nontarget scores above a target")
    found_F = _minimum(terms, np.where(is_target_N, 1.0, -1.0), weight_N, ridge)
    slopes_F = found_F[:-1] / spreads_F
    if found_F[0] < LEVEL:
        raise UndefinedError(
            f"the scores do not rise from nontarget to target (scale {slopes_F[0]:.3g}): higher must mean more "
            "target; turn the sign of scores that are distances, or check the labels"
        )
    offset = found_F[-1] - float((slopes_F * middles_F).sum()) - math.log(p_target / (1 - p_target))
    weights = dict(zip(columns, slopes_F.tolist(), strict=True))
    return Affine(scale=weights.pop("scores"), offset=float(offset), weights=weights)


def fit_isotonic(scores: ArrayLike, labels: ArrayLike, *, smoothing: float) -> Isotonic:
    """Return the map that never falls with the smallest Cllr on N trials, kept finite by `smoothing`.

    Within a block of the pool-adjacent-violators algorithm, llr = ln(targets / nontargets) - ln(all targets / all
    nontargets). The block of the highest scores holds targets alone and would be certain; so below the lowest and
    above the highest score stand `smoothing` > 0 targets and as many nontargets, made up, which are pooled like
    others: 1 is Laplace's rule, near 0 approaches the map behind `min_cllr`. Inverted scores are not refused: they
    carry no evidence that a map which never falls could use, and get one llr, near 0.

    >>> found = fit_isotonic([1, 2, 3, 4, 5], [0, 1, 0, 0, 1], smoothing=0.5)
    >>> found.scores, [round(llr, 4) for llr in found.llrs]
    ((1.0, 2.0, 4.0, 5.0), [-0.6931, -0.2877, -0.2877, 1.5041])
    """
    if not 0 < smoothing < math.inf:
        raise InputError(f"smoothing must be a positive number of trials, found {smoothing}")
    points = both_classes(scores, labels, "isotonic calibration")
    vertices_V = hull_vertices(points)
    targets, nontargets = np.diff(points.misses[vertices_V]), -np.diff(points.false_alarms[vertices_V])
    lows, highs = points.thresholds[vertices_V[:-1]], points.thresholds[vertices_V[1:] - 1]
    made_up = (smoothing, smoothing, math.inf, -math.inf)
    real = zip(targets.tolist(), nontargets.tolist(), lows.tolist(), highs.tolist(), strict=True)
    prior = math.log(points.targets / points.nontargets)
    knots: dict[float, float] = {}
    for block_targets, block_nontargets, low, high in _pooled([made_up, *real, made_up]):
        if low <= high:
            knots[low] = knots[high] = math.log(block_targets / block_nontargets) - prior
    # Blocks rise exactly; the logarithms of two neighbours may differ by rounding only.
    return Isotonic(scores=tuple(knots), llrs=tuple(np.maximum.accumulate(list(knots.values())).tolist()))


def apply(calibration: Calibration, scores: ArrayLike, quality: Mapping[str, ArrayLike] | None = None) -> Floats:
    """Return the natural-log likelihood ratios of scores of any shape; `quality` names what the fit was given.

    >>> apply(Affine(scale=2, offset=-1, weights={}), [0.5, 1.0]).tolist()
    [0.0, 1.0]
    >>> apply(Isotonic(scores=(0, 1), llrs=(-2, 3)), [-9, 0.5, 9]).tolist()
    [-2.0, 0.5, 3.0]
    """
    scores = finite_numbers(scores, "scores")
    weights = calibration.weights if isinstance(calibration, Affine) else {}
    qualities = _qualities(quality, scores.shape)
    if qualities.keys() != weights.keys():
        found, expected = (", ".join(sorted(names)) or "none" for names in (qualities, weights))
        raise InputError(f"the calibration was fitted with the qualities {expected}, found {found}")
    if isinstance(calibration, Isotonic):
        return _interpolated(calibration, scores)
    llrs = calibration.scale * scores + calibration.offset
    for name, weight in weights.items():
        llrs = llrs + weight * qualities[name]
    return llrs


def calibration_from(record: Mapping[str, Any]) -> Calibration:
    """Return the calibration that `model_dump` wrote; anything else raises `InputError`.

    >>> calibration_from({"kind": "affine", "scale": 2, "offset": -1, "weights": {}}).scale
    2.0
    """
    try:
        return _ADAPTER.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the record"
        raise InputError(f"no calibration: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def _qualities(quality: Mapping[str, ArrayLike] | None, shape: tuple[int, ...]) -> dict[str, Floats]:
    """Return qualities by name, in order of the names, in the shape of the scores."""
    qualities = {name: finite_numbers(values, name) for name, values in sorted((quality or {}).items())}
    for name, values in qualities.items():
        if name == "scores":
            raise InputError("a quality must not be named scores: that is the name of the scores themselves")
        if values.shape != shape:
            raise InputError(f"the quality {name!r} must have shape {shape} like scores, found {values.shape}")
    return qualities


def _standardised(columns: Mapping[str, Floats], is_target_N: Any) -> tuple[Floats, Floats, list[Floats]]:
    """Return middles and standard deviations (F - 1,) over both classes alike, and the terms, last the constant."""
    middles, spreads, terms = [], [], []
    for name, values_N in columns.items():
        middle = (values_N[is_target_N].mean() + values_N[~is_target_N].mean()) / 2
        squares_N = (values_N - middle) ** 2
        spread = math.sqrt((squares_N[is_target_N].mean() + squares_N[~is_target_N].mean()) / 2)
        if values_N.min() == values_N.max():
            raise UndefinedError(f"a calibration needs {name} that differ, found {values_N[0]:g} in every trial")
        middles.append(middle)
        spreads.append(spread)
        terms.append((values_N - middle) / spread)
    return np.array(middles), np.array(spreads), [*terms, np.ones(len(is_target_N))]


def _minimum(terms: list[Floats], sign_N: Floats, weight_N: Floats, ridge: float) -> Floats:
    """Return the coefficients (F,) of the smallest loss, by damped Newton steps from zero."""
    ridge_F = np.array([ridge] * (len(terms) - 1) + [0.0])

    def loss_at(point_F: Floats) -> tuple[float, Floats]:
        margin_N = sign_N * sum(value * term for value, term in zip(point_F, terms, strict=True))
        small_N = np.exp(-np.abs(margin_N))
        loss = float((weight_N * (np.log1p(small_N) - np.minimum(margin_N, 0))).sum())
        # Beside the loss, the chance that the map gives to the wrong class.
        return loss + float((ridge_F * point_F**2).sum()) / 2, np.where(margin_N > 0, small_N, 1) / (1 + small_N)

    point_F = np.zeros(len(terms))
    loss, wrong_N = loss_at(point_F)
    for _ in range(STEPS):
        pull_N, curvature_N = -sign_N * weight_N * wrong_N, weight_N * wrong_N * (1 - wrong_N)
        slope_F = np.array([(pull_N * term).sum() for term in terms]) + ridge_F * point_F
        curvature_FF = np.array([[(curvature_N * a * b).sum() for a in terms] for b in terms]) + np.diag(ridge_F)
        if np.linalg.eigvalsh(curvature_FF)[0] < FLAT:
            raise _no_optimum("the scores, or scores and qualities, separate the classes or repeat each other")
        step_F = np.linalg.solve(curvature_FF, slope_F)
        gain = float((slope_F * step_F).sum())
        if gain < SETTLED:
            return point_F - step_F
        damping = 1.0
        while (tried := loss_at(point_F - damping * step_F))[0] > loss - damping * gain / 4:
            damping /= 2
        point_F, (loss, wrong_N) = point_F - damping * step_F, tried
    raise _no_optimum(f"{STEPS} steps did not reach it")


def _no_optimum(reason: str) -> UndefinedError:
    """Return the refusal of data on which the loss has no minimum."""
    return UndefinedError(f"the affine calibration has no finite optimum: {reason}; give a ridge above 0, such as 1e-3")


def _pooled(blocks: Iterable[tuple[float, float, float, float]]) -> list[tuple[float, float, float, float]]:
    """Join neighbours (targets, nontargets, lowest, highest score) until the share of targets rises."""
    pooled: list[tuple[float, float, float, float]] = []
    for block in blocks:
        targets, nontargets, low, high = block
        while pooled and pooled[-1][0] * nontargets >= targets * pooled[-1][1]:
            before = pooled.pop()
            targets, nontargets = targets + before[0], nontargets + before[1]
            low, high = min(low, before[2]), max(high, before[3])
        pooled.append((targets, nontargets, low, high))
    return pooled


def _interpolated(calibration: Isotonic, scores: Floats) -> Floats:
    """Return the llrs of scores of any shape; a knot has its own llr exactly, and no score more than the next knot."""
    knots_K, llrs_K = np.array(calibration.scores), np.array(calibration.llrs)
    right = np.searchsorted(knots_K, scores).clip(max=len(knots_K) - 1)
    left = np.maximum(right - 1, 0)
    width = np.where(right > left, knots_K[right] - knots_K[left], 1.0)
    share = ((scores - knots_K[left]) / width).clip(0, 1)
    between = np.minimum(llrs_K[left] + share * (llrs_K[right] - llrs_K[left]), llrs_K[right])
    return np.where(scores >= knots_K[right], llrs_K[right], between)
