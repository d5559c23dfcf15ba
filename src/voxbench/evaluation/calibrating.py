"""Calibration and decisions on scored rows, fitted on development rows that are other rows.

The map and the thresholds are those that are stored with a model (`voxbench.evaluation.decisions`), from scores of a
detection or from the log odds of two classes. They are fitted on the calibrated scores of the development rows alone
and applied to the scored rows as they stand, so a threshold that was right there shows what it does here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from voxbench.evaluation.decisions import detection_scores, fit_calibration, quality_of, undecidable
from voxbench.evaluation.intervals import plan_of, trials_with_speakers
from voxbench.evaluation.records import Calibrated, Decided, Measured, ScoreRows
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.trial_metrics import TrialMetric, calibrated_metrics, measure_trials
from voxbench.metrics.calibration import apply
from voxbench.metrics.inputs import Floats
from voxbench.metrics.joint_clusters import people_of
from voxbench.metrics.operating_points import OperatingPoints, operating_points
from voxbench.metrics.registries import UndefinedError
from voxbench.metrics.thresholds import Threshold, fit
from voxbench.metrics.weighted_detection import weighted_false_alarm_rate, weighted_miss_rate
from voxbench.schema import InputError, ScoreKind

KEYS = (("enroll", "test"), ("id",))
"""Columns that name a row, by which a development row that is scored as well is known."""


def calibrated(scored: ScoreRows, development: ScoreRows, settings: Settings) -> Calibrated:
    """Return the scored rows as log-likelihood ratios, metrics of them, and what each policy decides on them.

    Development rows that are scored rows as well, kinds or classes that differ, rows without two classes to part, and a
    quality that rows lack raise `InputError`; development rows that allow no fit raise `UndefinedError`.
    """
    _require_one_task(scored, development)
    notes = _require_apart(scored, development)
    fitted_on, applied_to = as_detection(development), as_detection(scored)
    chosen = settings.decisions.calibration
    seconds = [_seconds(each, chosen.quality) for each in (fitted_on, applied_to)]
    found = fit_calibration(chosen, *fitted_on.columns, seconds[0])
    development_N, llrs_N = (
        apply(found, each.columns[0], quality_of(chosen, known))
        for each, known in zip((fitted_on, applied_to), seconds, strict=True)
    )
    thresholds = {
        name: fit(policy, development_N, fitted_on.columns[1]) for name, policy in settings.decisions.policies.items()
    }
    ratios = replace(applied_to, columns=(llrs_N, applied_to.columns[1]), notes=(*scored.notes, *notes))
    measured, decided = _measured(ratios, thresholds, settings)
    return Calibrated(found, development.origin, ratios, measured, decided)


def as_detection(scored: ScoreRows) -> ScoreRows:
    """Return rows of two classes as a detection of class 1 by its log odds, and detection rows as they are.

    Other rows raise `InputError`.
    """
    if reason := undecidable(scored.kind, scored.classes):
        raise InputError(f"{scored.origin.scores} cannot be calibrated: {reason}; give no development rows")
    if scored.kind is ScoreKind.DETECTION:
        return scored
    truth_N, probabilities_N2 = scored.columns
    return replace(
        scored,
        kind=ScoreKind.DETECTION,
        columns=(detection_scores(scored.kind, probabilities_N2), np.asarray(truth_N).astype(np.int64)),
    )


def _measured(
    ratios: ScoreRows, thresholds: dict[str, Threshold], settings: Settings
) -> tuple[tuple[Measured, ...], tuple[Decided, ...]]:
    """Return the metrics of calibrated rows and the decisions on them, all on the same resamples."""
    plan = plan_of(ratios, settings.report, settings.evaluation)
    points = operating_points(*ratios.columns)
    metrics = calibrated_metrics(settings.evaluation.costs, is_anti_spoofing=settings.is_anti_spoofing)
    rates = [rate for name, threshold in thresholds.items() for rate in rates_at(name, threshold.value)]
    trials = None if plan.why_none else trials_with_speakers(ratios)
    found = measure_trials([*metrics, *rates], points, trials, plan, doubt="")
    errors = iter(found[len(metrics) :])
    decided = tuple(Decided(name, threshold, next(errors), next(errors)) for name, threshold in thresholds.items())
    return found[: len(metrics)], decided


def rates_at(policy: str, threshold: float) -> tuple[TrialMetric, TrialMetric]:
    """Return the miss and the false-alarm rate at a fixed threshold, `p_miss(policy)` and `p_fa(policy)`."""

    def p_miss(points: OperatingPoints) -> float:
        if not points.targets:
            raise UndefinedError(f"a miss rate needs targets: found none and {points.nontargets} nontargets")
        return int(points.misses[_row(points, threshold)]) / points.targets

    def p_fa(points: OperatingPoints) -> float:
        if not points.nontargets:
            raise UndefinedError(f"a false-alarm rate needs nontargets: found none and {points.targets} targets")
        return int(points.false_alarms[_row(points, threshold)]) / points.nontargets

    return (
        TrialMetric(f"p_miss({policy})", p_miss, weighted_miss_rate(threshold)),
        TrialMetric(f"p_fa({policy})", p_fa, weighted_false_alarm_rate(threshold)),
    )


def _row(points: OperatingPoints, threshold: float) -> int:
    """Return the operating point that accepts exactly the scores at or above a threshold."""
    return int(np.searchsorted(points.thresholds, threshold))


def _require_one_task(scored: ScoreRows, development: ScoreRows) -> None:
    """Refuse development rows of another kind or of other classes."""
    for what, here, there in (
        ("another kind", scored.kind, development.kind),
        ("other classes", scored.classes, development.classes),
    ):
        if here != there:
            raise InputError(
                f"development rows are of {what} than the scored ones: {there} in {development.origin.scores}, "
                f"{here} in {scored.origin.scores}; calibrate on scores of the same system and task"
            )


def _require_apart(scored: ScoreRows, development: ScoreRows) -> list[str]:
    """Refuse development rows that are scored rows as well; return what a reader must know of the rest."""
    key = next((names for names in KEYS if all(set(names) <= set(each.rows) for each in (scored, development))), None)
    if key is None:
        if scored.origin.scores_sha256 == development.origin.scores_sha256 and not _are_of_other_splits(
            scored, development
        ):
            raise InputError(
                f"development rows and scored rows are the same file, {scored.origin.scores}: a calibration is fitted "
                "on other rows than it is judged by"
            )
        notes = ["Nobody says which rows these are, so none could be looked for among the development rows."]
    else:
        ours, theirs = (set(each.rows[list(key)].itertuples(index=False, name=None)) for each in (scored, development))
        if shared := len(ours & theirs):
            raise InputError(
                f"{shared:,} of {len(theirs):,} development {'trials' if len(key) > 1 else 'ids'} are scored rows as "
                f"well: {scored.origin.scores} and {development.origin.scores}; a calibration is fitted on other rows "
                "than it is judged by"
            )
        notes = []
    both = _speakers(scored) & _speakers(development)
    if both:
        notes.append(f"{len(both)} of {len(_speakers(scored))} speakers are in the development rows as well.")
    return notes


def _are_of_other_splits(scored: ScoreRows, development: ScoreRows) -> bool:
    """Return whether rows of one file are told apart by a column `split`."""
    if "split" not in scored.rows or "split" not in development.rows:
        return False
    return not set(scored.rows["split"]) & set(development.rows["split"])


def _speakers(scored: ScoreRows) -> set[str]:
    return {str(name) for side in scored.speakers for name in people_of(side).names}


def _seconds(scored: ScoreRows, quality: str | None) -> Floats | None:
    """Return the seconds of each row that a calibration weighs, or None where it weighs none, or rows lack them."""
    if quality is None or quality not in scored.rows:
        return None
    return scored.rows[quality].to_numpy(dtype=np.float64, na_value=np.nan)
