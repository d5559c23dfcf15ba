"""The decision that is stored with a model: how its scores become log-likelihood ratios, and what is accepted.

It is fitted on validation rows alone (`fit_decision`), written beside the weights as `decision.json`, and applied as it
stands wherever the model decides: in the report, and in serving.

A threshold belongs to one score of two classes; the positive class is class 1, the bona fide or the target. Of a
detection task that is the score itself. Of a task of two classes it is the log odds ln p1 - ln p0 of the score table's
probabilities (`detection_scores`). They stay finite: a probability below the smallest normal float64, to which a
confident softmax can underflow, counts as that number, 2.2e-308, so log odds lie within 708.4 either way, equal at the
ends. Both columns are read because 1 - p0 has lost what p1 still holds. Other tasks have no threshold (`undecidable`).

Shape letters: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import ArrayLike
from pydantic import Field, ValidationError, model_validator

from voxbench.artifacts import read_json, write_json
from voxbench.config.base import Count, Section
from voxbench.config.decisions import CalibrationSettings, Decisions
from voxbench.metrics.calibration import Affine, Calibration, Isotonic, apply, fit_affine, fit_isotonic
from voxbench.metrics.inputs import Floats, class_columns, finite_numbers
from voxbench.metrics.joint_clusters import people_of
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.thresholds import Threshold, decide, fit
from voxbench.schema import InputError, ScoreKind

DECISION = "decision.json"
SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stored decision says of one recording.

    `llr` is the natural-log likelihood ratio of the positive class, `decision` the class that is accepted by the
    `threshold` of `policy`. Where these are None, `undecided` says why; it too is None for a task without thresholds.
    """

    llr: float | None
    decision: str | None
    policy: str | None
    threshold: float | None
    undecided: str | None


NO_VERDICT = Verdict(None, None, None, None, None)


class Decision(Section):
    """The content of `decision.json`.

    `classes` are the words of class 0 and 1; `rows` and `speakers` count what it was fitted on. `thresholds`, by name
    of their policy, are of calibrated scores. Where nothing could be fitted, `reason` says why.
    """

    settings: Decisions
    classes: tuple[str, str]
    rows: Count
    speakers: Count
    calibration: Annotated[Affine | Isotonic, Field(discriminator="kind")] | None
    thresholds: dict[str, Threshold]
    reason: str

    @model_validator(mode="after")
    def _whole(self) -> Decision:
        if (self.calibration is None) != bool(self.reason):
            raise ValueError("a reason stands where there is no calibration, and nowhere else")
        if set(self.thresholds) != (set() if self.reason else set(self.settings.policies)):
            raise ValueError(f"thresholds of {sorted(self.thresholds)}, policies {sorted(self.settings.policies)}")
        return self

    def llrs(self, scores: ArrayLike, seconds: ArrayLike | None) -> Floats:
        """Return the calibrated natural-log likelihood ratios of scores of any shape.

        `seconds`, in their shape, are the seconds that the settings name as a quality; not read without one.
        """
        if self.calibration is None:
            raise UndefinedError(self.reason)
        return apply(self.calibration, scores, quality_of(self.settings.calibration, seconds))

    def verdict(self, score: float, seconds: float) -> Verdict:
        """Return what is said of one recording, by the policy that the settings choose."""
        if self.calibration is None:
            return Verdict(None, None, None, None, undecided=self.reason)
        name = self.settings.policy
        threshold, llr = self.thresholds[name], self.llrs(score, seconds)
        word = self.classes[int(decide(llr, threshold))]
        return Verdict(float(llr), word, name, threshold.value, undecided=None)


def undecidable(kind: ScoreKind, classes: Sequence[str]) -> str:
    """Return why a task has no threshold; an empty word for one that has.

    >>> undecidable(ScoreKind.CLASSES, ["teens", "twenties", "thirties"])
    'a threshold parts two classes, and the task has 3'
    """
    if kind not in (ScoreKind.CLASSES, ScoreKind.DETECTION):
        return f"a threshold parts two classes, and the task's answer is a {kind}"
    return "" if len(classes) == 2 else f"a threshold parts two classes, and the task has {len(classes)}"


def detection_scores(kind: ScoreKind, values: ArrayLike) -> Floats:
    """Return one finite score (N,) for each row, higher = more of class 1; the module says which.

    `values` are probabilities (N, 2) of a task of two classes, scores (N,) or (N, 1) of a detection task.

    >>> detection_scores(ScoreKind.CLASSES, [[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]]).round(3).tolist()
    [0.0, 1.386, -708.396]
    """
    if kind is ScoreKind.DETECTION:
        scores = finite_numbers(values, "scores")
        if scores.ndim == 1 or scores.shape[1:] == (1,):
            return scores.reshape(-1)
        raise InputError(f"a detection task has one score for each row, found shape {scores.shape}")
    if kind is not ScoreKind.CLASSES:
        raise InputError(undecidable(kind, ()))
    _, probabilities_NC = class_columns(np.zeros(len(np.asarray(values)), dtype=np.int64), values)
    if reason := undecidable(kind, [""] * probabilities_NC.shape[1]):
        raise InputError(reason)
    log_N2 = np.log(np.maximum(probabilities_NC, SMALLEST))
    return np.asarray(log_N2[:, 1] - log_N2[:, 0])


def quality_of(settings: CalibrationSettings, seconds: ArrayLike | None) -> Mapping[str, Floats] | None:
    """Return what a calibration weighs beside the score: the natural logarithm of positive `seconds`, by name, or None.

    Seconds that are missing where the settings ask for them are refused.
    """
    if settings.quality is None:
        return None
    if seconds is None:
        raise InputError(
            f"decisions.calibration.quality is {settings.quality!r}, but nothing says it of the recordings: give the "
            "seconds of each, or set it to null and fit anew"
        )
    numbers = finite_numbers(seconds, settings.quality)
    if (numbers <= 0).any():
        raise InputError(f"{settings.quality} must be above 0 to have a logarithm, found {numbers.min():g}")
    return {f"log_{settings.quality}": np.log(numbers)}


def fit_calibration(
    settings: CalibrationSettings, scores: ArrayLike, labels: ArrayLike, seconds: ArrayLike | None
) -> Calibration:
    """Return the map that the settings ask for, fitted on `scores` (N,) and `labels` (N,), 1 = class 1.

    Raises `UndefinedError` for one class, for scores that do not rise from class 0 to class 1, and for a map that
    gives every score the same ratio.
    """
    quality = quality_of(settings, seconds)
    if settings.map == "affine":
        return fit_affine(scores, labels, p_target=settings.p_target, ridge=settings.ridge, quality=quality)
    found = fit_isotonic(scores, labels, smoothing=settings.smoothing)
    if found.llrs[0] == found.llrs[-1]:
        raise UndefinedError(
            "the isotonic map gives every score the same ratio: higher scores do not mean more of the positive class"
        )
    return found


def fit_decision(
    settings: Decisions,
    classes: tuple[str, str],
    scores: ArrayLike,
    labels: ArrayLike,
    speakers: ArrayLike,
    seconds: ArrayLike | None,
) -> Decision:
    """Return the calibration and the thresholds of all policies, fitted on N validation rows.

    `scores` (N,) are those of `detection_scores`, `labels` (N,) are 1 = class 1, `seconds` (N,) are what a quality
    needs, or None. A fit that is undefined leaves its reason; unsound input raises `InputError`.
    """
    calibration, thresholds, reason = None, {}, ""
    try:
        calibration = fit_calibration(settings.calibration, scores, labels, seconds)
        llrs = apply(calibration, scores, quality_of(settings.calibration, seconds))
        thresholds = {name: fit(policy, llrs, labels) for name, policy in settings.policies.items()}
    except UndefinedError as error:
        reason = f"on validation rows: {error}"
    return Decision(
        settings=settings,
        classes=classes,
        rows=np.size(labels),
        speakers=people_of(speakers).total,
        calibration=calibration,
        thresholds=thresholds,
        reason=reason,
    )


def seconds_of(manifest: Path, ids: ArrayLike, settings: CalibrationSettings) -> Floats | None:
    """Return the seconds (N,) that a calibration weighs, of the recordings `ids`; None where it weighs none.

    `manifest` is that of the prepared corpus. A column that it lacks gives None too, which the calibration refuses; a
    recording that it lacks gives NaN, which is refused as well.
    """
    if settings.quality is None or settings.quality not in pq.read_schema(manifest).names:
        return None
    table = pd.read_parquet(manifest, columns=["id", settings.quality]).set_index("id")
    return np.asarray(table[settings.quality].reindex(ids), dtype=np.float64)


def write_decision(folder: Path, decision: Decision) -> None:
    """Write `decision.json` beside the weights."""
    write_json(folder / DECISION, decision.model_dump(mode="json"))


def read_decision(folder: Path) -> Decision:
    """Return the decision of a model folder; one that is missing or not of this form raises `InputError`."""
    path = folder / DECISION
    if not path.is_file():
        raise InputError(f"no {DECISION} in {folder}: run the finetune stage again, which fits it on validation rows")
    try:
        return Decision.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} was written by another version of voxbench: run the finetune stage again") from error
