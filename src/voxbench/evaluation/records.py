"""What is evaluated, and what was found: the two records between reading, measuring and drawing.

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from voxbench.metrics import Interval
from voxbench.metrics.calibration import Calibration
from voxbench.metrics.thresholds import Threshold
from voxbench.schema import ScoreKind


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from, so that a figure can be told from that of another list.

    `scores` and `labels` are file names (`labels` None where the score file holds them), `scores_sha256` the hash of
    the file as it is. `trials` is the name of the trial list, protocol or label file: that of a published list which
    is known by its content, such as Vox1-O, or else the file's name; `trials_sha256` the hash of its content with LF
    line ends; `is_cleaned` says of a published list that has both forms which one it is.
    """

    scores: str
    scores_sha256: str
    labels: str | None
    trials: str
    trials_sha256: str
    is_cleaned: bool | None


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRows:
    """N scored rows in the order of the score file.

    `columns` are what metrics of `kind` take: detection `(scores (N,), labels (N,) of 1 and 0)`, classes
    `(truth (N,) of class indices, probabilities (N, C))`, value `(truth (N,), predicted (N,))`, text
    `(references (N,), hypotheses (N,))`. `classes` are the words of the class indices; of detection those of the
    labels 0 and 1, such as `("spoof", "bonafide")`; else empty. `unit` is that of a value. `rows` (N rows) is what
    else is known of each, groups among it. `speakers` are the speakers of each row: none where nobody says, one
    array (N,), of names or of tuples of those heard at once, or two, of the enroll and of the test side. `notes` say
    what a reader of the figures must know of how the file was read.
    """

    kind: ScoreKind
    columns: tuple[np.ndarray, np.ndarray]
    classes: tuple[str, ...]
    unit: str
    rows: pd.DataFrame
    speakers: tuple[np.ndarray, ...]
    origin: Origin
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric: its name, with its settings (`min_dcf(p_target=0.01)`), its value and the interval over speakers.

    What is missing is None, and `reason` says why.
    """

    name: str
    value: float | None
    interval: Interval | None
    reason: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A threshold that was fitted on development rows, under the name of its policy, and what it does on these rows."""

    name: str
    threshold: Threshold
    p_miss: Measured
    p_fa: Measured


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Rows as log-likelihood ratios of a map that was fitted on development rows: metrics of them, and decisions."""

    calibration: Calibration
    development: Origin
    scored: ScoreRows
    measured: tuple[Measured, ...]
    decided: tuple[Decided, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All that is found of one score file.

    `resampled` says over what the intervals are. `groups` has the columns by, group, metric, rows, clusters, value,
    low, high, note; `gaps` by, metric, highest, lowest, gap, low, high, chance, p; both may be empty. `worst` has the
    worst group of each attribute and metric: by, group, metric, value, low, high.
    """

    scored: ScoreRows
    measured: tuple[Measured, ...]
    resampled: str
    groups: pd.DataFrame
    worst: pd.DataFrame
    gaps: pd.DataFrame
    calibrated: Calibrated | None
