"""Confidence intervals of detection metrics over speakers, where every trial names two of them.

A nontarget trial depends on both its speakers, and one speaker stands in thousands of trials, so neither trials
nor pairs are independent: speakers are. They are resampled with replacement, and a trial counts as often as
the product of how often its two speakers were drawn; a trial within one speaker (target, replayed or
synthesised voice) counts as often as that speaker. With the same speaker on both sides of every trial this is
the one-way bootstrap of `voxbench.metrics.uncertainty`, draw for draw.

References: Snijders and Borgatti, "Non-parametric standard errors and tests for network statistics",
Connections 22 (1999) (resampling the vertices of a network); Davezies, D'Haultfoeuille and Guyonvarch,
"Empirical process results for exchangeable arrays", Annals of Statistics 49 (2021) (pairs of units of one
population: this scheme is consistent); Owen and Eckles, "Bootstrapping data arrays of arbitrary order", Annals
of Applied Statistics 6 (2012) (products of weights; mildly conservative, and no bootstrap of crossed effects is
exact). In biometrics users are resampled, and then the samples of each (Poh, Martin and Bengio, "Performance
generalization in biometric authentication using joint user-specific and sample bootstraps", IEEE PAMI 29, 2007), or
sets of target and of nontarget scores that share a subject (Wu, Martin, Greenberg and Kacker, "The impact of data
dependency on speaker recognition evaluation", IEEE/ACM TASLP 25, 2017). Deviation from Snijders and Borgatti: a trial
between two copies of one drawn speaker would be a nontarget trial that nobody recorded; it is left out, not filled
with another pair's score.

Shape letters: N trials, K speakers, R resamples, M metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxbench.metrics.inputs import Floats, Integers, class_indices, cluster_indices, finite_numbers
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.uncertainty import Interval, cluster_weights, percentile_interval
from voxbench.metrics.weighted_detection import WeightedMetric, weighted_trials
from voxbench.schema import InputError

# Trials times resamples evaluated at once; about eight arrays of this size live together. No value depends on it.
WEIGHTS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Trials (N,) in the order given, and the speakers of each as places among `speakers` (K,); see `trials_of`."""

    scores: Floats
    is_target: NDArray[np.bool_]
    enroll: Integers
    test: Integers
    speakers: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Resampling:
    """How to draw: `resamples`, `level` of the interval, and when to refuse.

    Fewer than `min_speakers` speakers give no interval; neither does a metric that is undefined, for want of a
    class, on more than the fraction `max_undefined` of the resamples.
    """

    resamples: int
    level: float
    min_speakers: int
    max_undefined: float

    def __post_init__(self) -> None:
        if self.min_speakers < 2:
            raise InputError(f"min_speakers must be at least 2, found {self.min_speakers}")
        if not 0 <= self.max_undefined < 1:
            raise InputError(f"max_undefined is a fraction from 0 to below 1, found {self.max_undefined}")


def trials_of(scores: ArrayLike, labels: ArrayLike, enroll_speakers: ArrayLike, test_speakers: ArrayLike) -> Trials:
    """Return checked trials: score, label (1 = target, 0 = nontarget) and the two speakers of each row.

    Speakers are all strings or all integers, named alike on both sides. A target trial of two speakers is
    refused; a nontarget trial within one speaker (a replay) is sound. For bona fide against spoofed voices pass
    the one speaker twice.

    >>> found = trials_of([2.0, -1.0], [1, 0], ["ann", "ann"], ["ann", "bob"])
    >>> found.speakers.tolist(), found.enroll.tolist(), found.test.tolist()
    (['ann', 'bob'], [0, 0], [0, 1])
    """
    is_target_N = class_indices(labels, "labels", 2) == 1
    scores_N = finite_numbers(scores, "scores")
    sides = [np.asarray(side) for side in (enroll_speakers, test_speakers)]
    for name, column in zip(("scores", "enroll_speakers", "test_speakers"), (scores_N, *sides), strict=True):
        if column.shape != is_target_N.shape:
            raise InputError(f"labels has {len(is_target_N)} rows but {name} has shape {column.shape}")
    (enroll_names, enroll_N), (test_names, test_N) = (cluster_indices(side) for side in sides)
    # As objects, because numpy would turn integers beside strings into strings.
    names, place = cluster_indices(np.array([*enroll_names.tolist(), *test_names.tolist()], dtype=object))
    enroll_N, test_N = place[: len(enroll_names)][enroll_N], place[len(enroll_names) :][test_N]
    crossed_N = is_target_N & (enroll_N != test_N)
    if crossed_N.any():
        row = int(crossed_N.argmax())
        raise InputError(
            f"a target trial is one of the same speaker; {int(crossed_N.sum())} are not, first row {row}: "
            f"{names[enroll_N[row]]} and {names[test_N[row]]}; are labels 1 = target?"
        )
    return Trials(scores_N, is_target_N, enroll_N, test_N, names)


def rows_of(trials: Trials, rows: ArrayLike) -> Trials:
    """Return some of the trials, with only the speakers that occur in them.

    >>> rows_of(trials_of([2, 1], [1, 0], ["c", "a"], ["c", "b"]), [1]).speakers.tolist()
    ['a', 'b']
    """
    rows = np.asarray(rows)
    kept, place = np.unique(np.concatenate([trials.enroll[rows], trials.test[rows]]), return_inverse=True)
    enroll, test = np.split(place, 2)
    return Trials(trials.scores[rows], trials.is_target[rows], enroll, test, trials.speakers[kept])


def trial_bootstrap(
    metrics: Mapping[str, WeightedMetric], trials: Trials, resampling: Resampling, generator: np.random.Generator
) -> dict[str, Interval]:
    """Return the value of each metric with its percentile interval over speakers, all on the same resamples.

    `Interval.undefined` counts resamples that lack a class; more than declared, or a class that the trials
    themselves lack, raise `UndefinedError`; too few speakers raise `InputError`.

    >>> from voxbench.metrics.weighted_detection import weighted_auc, weighted_eer
    >>> pairs = [(a, b) for a in range(6) for b in range(a, 6)]
    >>> trials = trials_of(*zip(*[((a * b) % 5 + 2 * (a == b), int(a == b), a, b) for a, b in pairs]))
    >>> resampling = Resampling(resamples=200, level=0.9, min_speakers=5, max_undefined=0.05)
    >>> found = trial_bootstrap({"auc": weighted_auc}, trials, resampling, np.random.default_rng(1))["auc"]
    >>> round(found.estimate, 4), found.low < found.estimate < found.high, found.clusters, found.undefined
    (0.8667, True, 6, 0)
    """
    _check_speakers(trials, resampling)
    estimates = _estimates(metrics, trials)
    parts = cluster_weights(len(trials.speakers), resampling.resamples, generator)
    values_MR = weighted_values(list(metrics.values()), trials, parts)
    return _intervals(estimates, values_MR, trials, resampling)


def paired_trial_bootstrap(
    metrics: Mapping[str, WeightedMetric],
    trials: Trials,
    other_scores: ArrayLike,
    resampling: Resampling,
    generator: np.random.Generator,
) -> dict[str, Interval]:
    """Return each metric of `trials` minus that of a second system's scores of the same rows, with its interval.

    Both systems are evaluated on the same resamples, so what makes speakers hard for both cancels. An interval
    that contains 0 leaves open which system is better. Errors as in `trial_bootstrap`.

    >>> from voxbench.metrics.weighted_detection import weighted_eer
    >>> pairs = [(a, b) for a in range(6) for b in range(a, 6)]
    >>> trials = trials_of(*zip(*[((a * b) % 5 + 2 * (a == b), int(a == b), a, b) for a, b in pairs]))
    >>> resampling = Resampling(resamples=50, level=0.9, min_speakers=5, max_undefined=0.05)
    >>> scaled = 3 * trials.scores
    >>> found = paired_trial_bootstrap({"eer": weighted_eer}, trials, scaled, resampling, np.random.default_rng(1))
    >>> found["eer"].estimate, found["eer"].low, found["eer"].high
    (0.0, 0.0, 0.0)
    """
    _check_speakers(trials, resampling)
    other_N = finite_numbers(other_scores, "other_scores")
    if other_N.shape != trials.scores.shape:
        raise InputError(f"a pair needs the same rows: found {len(trials.scores)} trials and {other_N.shape} scores")
    other = replace(trials, scores=other_N)
    first, second = _estimates(metrics, trials), _estimates(metrics, other)
    # Two generators of one state draw the same speakers twice, so that the weights need not be kept.
    draws = [
        cluster_weights(len(trials.speakers), resampling.resamples, each) for each in (deepcopy(generator), generator)
    ]
    functions = list(metrics.values())
    values_MR = weighted_values(functions, trials, draws[0]) - weighted_values(functions, other, draws[1])
    return _intervals({name: first[name] - second[name] for name in metrics}, values_MR, trials, resampling)


def weighted_values(
    metrics: Sequence[WeightedMetric], trials: Trials, multiplicities: Iterable[NDArray[np.generic]]
) -> Floats:
    """Return each metric on each resample, (M, R), NaN where it is undefined; the trials are sorted once.

    `multiplicities` come in parts (R, K): how often each speaker was drawn.

    >>> from voxbench.metrics.weighted_detection import weighted_auc
    >>> trials = trials_of([2, 1, 3], [1, 1, 0], ["a", "b", "a"], ["a", "b", "b"])
    >>> weighted_values([weighted_auc], trials, [np.array([[1, 1], [2, 0]])]).tolist()
    [[0.0, nan]]
    """
    order_N = np.argsort(-trials.scores, kind="stable")
    scores_N, is_target_N, enroll_N = trials.scores[order_N], trials.is_target[order_N], trials.enroll[order_N]
    # A trial within one speaker has that speaker's weight times the 1 that stands after the last speaker.
    alone_N = trials.enroll == trials.test
    partner_N = np.where(alone_N, len(trials.speakers), trials.test)[order_N]
    at_once = max(1, WEIGHTS_AT_ONCE // len(order_N))
    values = []
    for part_RK in multiplicities:
        drawn_RK = np.column_stack([part_RK, np.ones(len(part_RK))])
        for start in range(0, len(part_RK), at_once):
            block_RK = drawn_RK[start : start + at_once]
            weights_RN = np.take(block_RK, enroll_N, axis=1)
            weights_RN *= np.take(block_RK, partner_N, axis=1)
            block = weighted_trials(scores_N, is_target_N, weights_RN.T)
            values.append(np.array([metric(block) for metric in metrics]))
    return np.concatenate(values, axis=1)


def _estimates(metrics: Mapping[str, WeightedMetric], trials: Trials) -> dict[str, float]:
    """Return each metric of the trials themselves; one that needs a class they lack is refused."""
    once = [np.ones((1, len(trials.speakers)))]
    estimates = dict(zip(metrics, weighted_values(list(metrics.values()), trials, once)[:, 0].tolist(), strict=True))
    targets = int(trials.is_target.sum())
    for name, value in estimates.items():
        if not np.isfinite(value):
            raise UndefinedError(
                f"{name} is undefined: found {targets} target and {len(trials.scores) - targets} nontarget trials"
            )
    return estimates


def _intervals(
    estimates: dict[str, float], values_MR: Floats, trials: Trials, resampling: Resampling
) -> dict[str, Interval]:
    """Return the interval of each metric, refusing one that too many resamples leave undefined."""
    found = {}
    for (name, estimate), values_R in zip(estimates.items(), values_MR, strict=True):
        undefined = int((~np.isfinite(values_R)).sum())
        if undefined > resampling.max_undefined * resampling.resamples:
            with_targets = len(np.unique(trials.enroll[trials.is_target]))
            raise UndefinedError(
                f"{name} is undefined on {undefined} of {resampling.resamples} resamples, which lack a class, at most "
                f"{resampling.max_undefined:g} of them may be; {with_targets} of {len(trials.speakers)} speakers have "
                "target trials: add speakers"
            )
        found[name] = percentile_interval(estimate, values_R, resampling.level, len(trials.speakers))
    return found


def _check_speakers(trials: Trials, resampling: Resampling) -> None:
    """Refuse trials of too few speakers."""
    if len(trials.speakers) < resampling.min_speakers:
        raise InputError(
            f"an interval over speakers needs at least {resampling.min_speakers} of them, "
            f"found {len(trials.speakers)} in {len(trials.scores)} trials"
        )
