"""What is found of a score file: every metric with its interval, groups, calibration and decisions.

Intervals, metrics of each kind, groups, calibration and the tandem cost have files of their own in this room; here they
meet. Everything is a function of the rows and of `params.yaml`: the same rows in another order give the same findings.
"""

from __future__ import annotations

from voxbench.evaluation.calibrating import calibrated
from voxbench.evaluation.grouping import grouped
from voxbench.evaluation.identifying import identified
from voxbench.evaluation.intervals import Plan, plan_of, trials_with_speakers
from voxbench.evaluation.records import Findings, Measured, ScoreRows
from voxbench.evaluation.row_metrics import measure_rows
from voxbench.evaluation.settings import Settings as Settings
from voxbench.evaluation.tandem import Asv as Asv
from voxbench.evaluation.tandem import tandem_metrics
from voxbench.evaluation.trial_metrics import TrialMetric, llr_doubt, measure_trials, trial_metrics
from voxbench.metrics.operating_points import operating_points
from voxbench.schema import InputError, ScoreKind


def find(scored: ScoreRows, development: ScoreRows | None, asv: Asv | None, settings: Settings) -> Findings:
    """Return all that is found of the scored rows.

    `development` are other rows of the same system, on which a calibration and the thresholds of all policies are
    fitted; without them there are none. `asv` is the speaker verifier of a t-DCF, for countermeasures. Raises
    `InputError` for what does not fit together: rows that stand on both sides, another kind of scores, a verifier of
    another set, groups that no column has, a task that the rows are not of.
    """
    if settings.task is not None and scored.kind is not ScoreKind.DETECTION:
        raise InputError(f"the task {settings.task} is a detection, found scores of {scored.kind}: name no task")
    if asv is not None and settings.task is not None and not settings.is_anti_spoofing:
        raise InputError(f"a t-DCF is of anti-spoofing, found the task {settings.task}: give no ASV scores")
    tandem = [] if asv is None else tandem_metrics(asv, scored)
    plan = plan_of(scored, settings.report, settings.evaluation)
    is_detection = scored.kind is ScoreKind.DETECTION
    measured = _detected(scored, tandem, settings, plan) if is_detection else measure_rows(scored, plan)
    decided = None if development is None else calibrated(scored, development, settings)
    tables = grouped(scored, decided, settings, plan)
    return Findings(
        scored=scored,
        measured=measured,
        resampled=plan.described,
        groups=tables.groups,
        worst=tables.worst,
        gaps=tables.gaps,
        calibrated=decided,
    )


def _detected(scored: ScoreRows, tandem: list[TrialMetric], settings: Settings, plan: Plan) -> tuple[Measured, ...]:
    """Return the metrics of detection rows, the task's error rate first, then the tandem costs where there are any."""
    points = operating_points(*scored.columns)
    first, *others = trial_metrics(settings.evaluation.costs, is_anti_spoofing=settings.is_anti_spoofing)
    trials = None if plan.why_none else trials_with_speakers(scored)
    measured = measure_trials([first, *tandem, *others], points, trials, plan, llr_doubt(points))
    return (*measured, *identified(scored))
