"""Do the intervals over two speakers hold the true value as often as they say? Simulated trials with known truth."""

import numpy as np
import pytest
from scipy.stats import norm

from voxbench.metrics.trial_bootstrap import Resampling, paired_trial_bootstrap, trial_bootstrap, trials_of
from voxbench.metrics.weighted_detection import (
    weighted_act_dcf,
    weighted_auc,
    weighted_eer,
    weighted_false_alarm_rate,
    weighted_miss_rate,
)

RESAMPLING = Resampling(resamples=300, level=0.9, min_speakers=10, max_undefined=0.01)
SPEAKERS, TARGETS, MEAN, WOLF = 40, 4, 2.5, 0.7
# Target: MEAN + how easy the speaker is + noise; nontarget: how often both speakers are mistaken + noise.
SD_TARGET, SD_NONTARGET = np.sqrt(1 + 1), np.sqrt(2 * WOLF**2 + 1)
THRESHOLD = 2.0
METRICS = {
    "eer": weighted_eer,
    "auc": weighted_auc,
    "p_miss": weighted_miss_rate(THRESHOLD),
    "p_fa": weighted_false_alarm_rate(THRESHOLD),
    "act_dcf": weighted_act_dcf(1 / (1 + np.exp(THRESHOLD)), 1, 1),
}
P_MISS, P_FA = norm.cdf((THRESHOLD - MEAN) / SD_TARGET), norm.sf(THRESHOLD / SD_NONTARGET)
TRUTH = {
    "eer": norm.cdf(-MEAN / (SD_TARGET + SD_NONTARGET)),
    "auc": norm.cdf(MEAN / np.hypot(SD_TARGET, SD_NONTARGET)),
    "p_miss": P_MISS,
    "p_fa": P_FA,
    "act_dcf": P_MISS + P_FA * np.exp(THRESHOLD),
}


def columns(rng):
    """Four target trials of each speaker, one nontarget trial of each pair."""
    easy, wolf = rng.normal(0, 1, SPEAKERS), rng.normal(0, WOLF, SPEAKERS)
    target, (enroll, test) = np.repeat(np.arange(SPEAKERS), TARGETS), np.triu_indices(SPEAKERS, 1)
    scores = np.concatenate([MEAN + easy[target], wolf[enroll] + wolf[test]])
    labels = np.repeat([1, 0], [len(target), len(enroll)])
    sides = np.concatenate([target, enroll]), np.concatenate([target, test])
    return scores + rng.normal(0, 1, len(scores)), labels, *sides


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    rng, hits, times = np.random.default_rng(0), dict.fromkeys(METRICS, 0), 150
    for _ in range(times):
        found = trial_bootstrap(METRICS, trials_of(*columns(rng)), RESAMPLING, rng)
        for name, interval in found.items():
            hits[name] += interval.low <= TRUTH[name] <= interval.high
    # Three standard errors of a binomial at 0.9 are 0.073; 40 speakers cost two hundredths.
    for name, count in hits.items():
        assert 0.80 <= count / times <= 0.975, name


@pytest.mark.slow
def test_a_bootstrap_of_trials_or_of_one_side_is_too_narrow():
    rng, hits, times = np.random.default_rng(1), {"both": 0, "enroll": 0, "trials": 0}, 100
    metric = {"p_fa": METRICS["p_fa"]}
    for _ in range(times):
        scores, labels, enroll, test = columns(rng)
        nontarget = labels == 0
        scores, enroll, test = scores[nontarget], enroll[nontarget], test[nontarget]
        names = np.arange(len(scores))
        for form, sides in (("both", (enroll, test)), ("enroll", (enroll, enroll)), ("trials", (names, names))):
            trials = trials_of(scores, np.zeros(len(scores), int), *sides)
            found = trial_bootstrap(metric, trials, RESAMPLING, rng)["p_fa"]
            hits[form] += found.low <= P_FA <= found.high
    assert hits["trials"] / times < 0.65
    assert hits["trials"] < hits["enroll"] < hits["both"]
    assert hits["both"] / times >= 0.8


@pytest.mark.slow
def test_the_difference_of_two_equal_systems_holds_zero_as_often_as_it_says():
    rng, hits, times = np.random.default_rng(2), 0, 150
    for _ in range(times):
        scores, labels, enroll, test = columns(rng)
        own, other = rng.normal(0, 0.7, (2, len(scores)))
        trials = trials_of(scores + own, labels, enroll, test)
        found = paired_trial_bootstrap({"eer": weighted_eer}, trials, scores + other, RESAMPLING, rng)["eer"]
        hits += found.low <= 0 <= found.high
    # Conservative where the noise is of trials alone, not of speakers (Owen and Eckles 2012).
    assert hits / times >= 0.85


@pytest.mark.parametrize("speakers", [40, 400])
def test_a_thousand_resamples_of_forty_thousand_trials_are_quick(speakers):
    rng = np.random.default_rng(3)
    enroll, labels = rng.integers(0, speakers, 40000), rng.integers(0, 2, 40000)
    test = np.where(labels == 1, enroll, (enroll + rng.integers(1, speakers, 40000)) % speakers)
    trials = trials_of(rng.normal(2 * labels, 1), labels, enroll, test)
    found = trial_bootstrap(METRICS, trials, Resampling(1000, 0.95, 20, 0.01), rng)
    for name, interval in found.items():
        assert interval.low < interval.estimate < interval.high, name
