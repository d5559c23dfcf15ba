"""Probes: what can be said of a voice from the silence, duration, channel or energy of its recording alone.

A network that is no better than a probe may have learnt a shortcut of its corpus instead of a voice: in ASVspoof 2019
silence goes with being bona fide (Mueller et al., 2021, arXiv 2106.12914). A probe is a linear model of a few numbers
of the manifest (`voxbench.audio.traces`): logistic regression for classes, ridge regression for values. It is fitted
to the training rows, as a network is. What is linear in no number, such as "neither long nor short", it cannot find.

What a probe knows is not free of the voice: the length of a given sentence is the rate of speech, and where nobody
pauses the quietest frames hold some voice. Energy is the baseline of counting, where it is no shortcut: two who talk
pause less often than one. A probe that does well is a reason to look, not a proof.

Shape letters: M training rows, N test rows, X numbers of a recording, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from voxbench.metrics import UndefinedError
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.scored import Bootstrap, Bounded, Scored
from voxbench.schema import ScoreKind, Split
from voxbench.tasks import Task

_QUIET = (
    *("quiet_0_500_hz_dbfs", "quiet_500_1000_hz_dbfs", "quiet_1000_2000_hz_dbfs", "quiet_2000_4000_hz_dbfs"),
    "quiet_above_4000_hz_dbfs",
)
CLUES = {
    "silence": (
        *("leading_silence_seconds", "trailing_silence_seconds", "silent_fraction", "digital_silence_fraction"),
        *("pauses", "quiet_dbfs", *_QUIET),
    ),
    "duration": ("source_seconds", "kept_seconds"),
    "channel": ("source_rate_hz", "bandwidth_hz", "peak_dbfs", "clipped_fraction", "dc_offset", *_QUIET),
    "energy": ("frame_level_sd_db", "frame_power_sd", "loudest_frame_db", "weak_fraction", "faint_fraction"),
}
"""The columns of the manifest that each probe knows."""
KNOWS = {
    "silence": "the silence at both ends, pauses, and the level and spectrum of the quietest frames",
    "duration": "the length with and without silence",
    "channel": "sample rate, bandwidth, peak, clipping, offset, and the spectrum of the quietest frames",
    "energy": "how power is spread over frames of 10 ms: how much it varies, the loudest, and how many are weak",
}
MOST_STEPS = 1000
SETTLED = 1e-8


@dataclass(frozen=True)
class Probe:
    """A linear model of what is not voice: what it knows, its test rows, and intervals over their speakers.

    `over_chance` is by how much it is better than the baseline that is told nothing; above 0 is better.
    """

    name: str
    says: str
    scored: Scored
    bounds: dict[str, Bounded]
    over_chance: Bounded

    @property
    def finds(self) -> bool:
        """Say whether the probe is better than chance: the whole interval is."""
        return self.over_chance.interval is not None and self.over_chance.interval.low > 0


@dataclass(frozen=True)
class Probes:
    """The probes of a benchmark, and for each that has no answer, by name, the reason."""

    found: tuple[Probe, ...]
    reasons: dict[str, str]


def probes(task: Task, labelled: pd.DataFrame, like: Scored, chance: Baseline, bound: Bootstrap) -> Probes:
    """Return the probes that the settings name, on the rows of `like`; of `labelled`, the training rows are used.

    `chance` is the baseline that is told nothing.
    """
    training = labelled[labelled["split"] == Split.TRAIN]
    found, reasons = [], {}
    for kind in bound.settings.probes:
        name = f"{kind} probe"
        try:
            scores = answers(task, training, like.rows, CLUES[kind], bound.settings.probe_ridge)
        except UndefinedError as error:
            reasons[name] = str(error)
            continue
        scored = bound.score(task, like, scores)
        over_chance = bound.gain(name, scored, chance.name, chance.scored)
        found.append(Probe(name, f"knows {KNOWS[kind]}", scored, bound(name, scored), over_chance))
    return Probes(tuple(found), reasons)


def answers(
    task: Task, training: pd.DataFrame, rows: pd.DataFrame, columns: Sequence[str], ridge: float
) -> NDArray[np.float64]:
    """Return what a linear model of `columns`, fitted to the M training rows and their `target`, says of N rows.

    Probabilities (N, C) of classes, values (N,), or the log odds (N,) of class 1 in detection. The loss is the mean
    over rows of the log loss, or of half the squared error, plus ridge / 2 times the sum of squared weights, with
    columns in standard deviations of the training rows. Numbers beyond the range of the training rows count as its
    ends. A class without a training row gets the probability 0. Raises `UndefinedError` where there is nothing to
    learn from: columns that are missing or constant, no training rows, or one class alone.
    """
    known_MX, asked_NX = _numbers(training, rows, columns)
    targets_M = training["target"].to_numpy()
    if task.score_kind is ScoreKind.VALUE:
        linear = Ridge(alpha=ridge * len(targets_M)).fit(known_MX, targets_M)
        values_N: NDArray[np.float64] = linear.predict(asked_NX)
        return values_N
    if len(present := np.unique(targets_M)) < 2:
        raise UndefinedError("the training rows are of one class, so there is nothing to tell apart")
    model = LogisticRegression(C=1 / (ridge * len(targets_M)), tol=SETTLED, max_iter=MOST_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(known_MX, targets_M)
        except ConvergenceWarning as warning:
            raise UndefinedError(
                f"the model did not settle in {MOST_STEPS} steps: raise report.probe_ridge"
            ) from warning
    if task.score_kind is ScoreKind.DETECTION:
        odds_N: NDArray[np.float64] = model.decision_function(asked_NX)
        return odds_N
    shares_NC = np.zeros((len(asked_NX), len(task.classes)))
    shares_NC[:, present] = model.predict_proba(asked_NX)
    return shares_NC


def _numbers(
    training: pd.DataFrame, rows: pd.DataFrame, columns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns that vary, in standard deviations of the training rows, of training rows and of `rows`."""
    if absent := [column for column in columns if column not in training]:
        raise UndefinedError(f"the manifest has no column {absent[0]}: prepare the corpus again")
    if training.empty:
        raise UndefinedError("there are no training rows")
    known_MX, asked_NX = (table[list(columns)].to_numpy(np.float64) for table in (training, rows))
    if not (np.isfinite(known_MX).all() and np.isfinite(asked_NX).all()):
        raise UndefinedError(f"the manifest lacks numbers among {', '.join(columns)}")
    low_X, high_X = known_MX.min(axis=0), known_MX.max(axis=0)
    varied = high_X > low_X
    if not varied.any():
        raise UndefinedError("in the training rows all recordings are alike in it")
    asked_NX = np.clip(asked_NX, low_X, high_X)
    mean_X, std_X = known_MX.mean(axis=0)[varied], known_MX.std(axis=0)[varied]
    return (known_MX[:, varied] - mean_X) / std_X, (asked_NX[:, varied] - mean_X) / std_X
