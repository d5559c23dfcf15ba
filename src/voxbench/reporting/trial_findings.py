"""All that is found of the test trials of one network, and the lists of trials, as tables.

What `voxbench evaluate` finds of a score table is found here by the same functions, with the decision that is stored
with the network in place of a calibration of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxbench.artifacts import read_json
from voxbench.config import Report, TrialRule, Verification
from voxbench.evaluation.files import file_sha256
from voxbench.evaluation.grouping import grouped
from voxbench.evaluation.records import Calibrated, Findings, Origin, ScoreRows
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.trial_metrics import llr_doubt, measure_trials, trial_metrics
from voxbench.features.trial_lists import DRAWN, LISTS
from voxbench.metrics import Metric
from voxbench.metrics.operating_points import operating_points
from voxbench.reporting.decisions import Applied
from voxbench.reporting.evaluation_tables import gaps_table, groups_table, metrics_table
from voxbench.reporting.finalists import Comparing, Finalist, Question, Sources, best_on_validation, existing
from voxbench.reporting.pairs import SESSION, SEX, TrialBootstrap, both_sides, listed_alike, score_rows
from voxbench.reporting.quantities import DASH, count, counted, visible
from voxbench.reporting.scored import Bootstrap
from voxbench.reporting.table import Row, Table
from voxbench.schema import Split

TASK = "speaker_verification"
CLEANED = {True: "cleaned", False: "original", None: DASH}


@dataclass(frozen=True)
class Compared:
    """What only a task of pairs has: the lists of trials by split, the settings, and what is found of the test trials.

    `lists` are as `voxbench.features.trial_lists.TrialList.account` writes them; `findings` are of `model`, the
    network that is best on validation.
    """

    model: str
    lists: Mapping[str, Mapping[str, Any]]
    comparing: Comparing
    findings: Findings

    @property
    def validation(self) -> int:
        """Return the number of validation trials."""
        return int(self.lists[Split.VALID]["trials"])


def bootstrap_of(name: str, settings: Report, metric: Metric, comparing: Comparing | None) -> Bootstrap:
    """Return what draws the intervals of benchmark `name`, of trials where recordings are compared."""
    if comparing is None:
        return Bootstrap(name, settings, metric)
    return TrialBootstrap(name, settings, metric, comparing.evaluation)


def compared_of(
    question: Question, sources: Sources, finalists: Sequence[Finalist], applied: Applied | None, bound: Bootstrap
) -> Compared | None:
    """Return what only a task of pairs has; None for another one."""
    if question.comparing is None or applied is None or not isinstance(bound, TrialBootstrap):
        return None
    validated = best_on_validation(finalists, bound.metric)
    tested = [sources.models / each.model for each in finalists]
    tested += [sources.repeat / f"{each.model}-seed{seed}" for each in finalists for seed in question.seeds]
    lists = read_lists(sources.models, validated, tested)
    findings = trial_findings(validated, sources.models / validated.model, lists[Split.TEST], applied, bound)
    return Compared(validated.model, lists, question.comparing, findings)


def read_lists(models: Path, validated: Finalist, tested: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the lists of trials by split, as the network that is best on validation was judged by them.

    `tested` are the folders of everything that was tested: one that was tested on another list raises InputError.
    """
    lists: dict[str, dict[str, Any]] = read_json(existing(models / validated.model / LISTS))
    listed_alike([read_json(existing(folder / LISTS))[Split.TEST] for folder in tested])
    return lists


def trial_findings(
    validated: Finalist, folder: Path, listed: Mapping[str, Any], applied: Applied, bound: TrialBootstrap
) -> Findings:
    """Return what is found of the test trials of the network in `folder`, which are those of the list `listed`."""
    sha256, scores = file_sha256(existing(folder / "scores.parquet")), validated.tuned.scores
    about = (str(listed["list"]), str(listed["sha256"]), listed["is_cleaned"])
    scored = score_rows(validated.tuned, scores, Origin(f"{folder.name}/scores.parquet", sha256, None, *about))
    plan, points = bound.plan(validated.tuned), operating_points(*scored.columns)
    metrics = trial_metrics(bound.evaluation.costs, is_anti_spoofing=False)
    trials = None if plan.why_none else both_sides(validated.tuned, scores)
    calibrated = _calibrated(scored, applied)
    names = tuple(name for name in (SEX, SESSION) if name in scored.rows)
    # Without any, all usual columns would make groups.
    settings = Settings(bound.settings, bound.evaluation, applied.decision.settings, names, TASK)
    tables = grouped(scored if names else replace(scored, rows=scored.rows[[]]), calibrated, settings, plan)
    return Findings(
        scored=scored,
        measured=measure_trials(metrics, points, trials, plan, llr_doubt(points)),
        resampled=plan.described,
        groups=tables.groups,
        worst=tables.worst,
        gaps=tables.gaps,
        calibrated=calibrated,
    )


def _calibrated(scored: ScoreRows, applied: Applied) -> Calibrated | None:
    """Return the trials as log-likelihood ratios of the stored decision; None where it could not be fitted."""
    if applied.decision.calibration is None or applied.llrs is None:
        return None
    ratios = replace(scored, columns=(applied.llrs, scored.columns[1]))
    return Calibrated(applied.decision.calibration, scored.origin, ratios, (), applied.decided)


def trial_tables(compared: Compared) -> dict[str, Table]:
    """Return the tables of one network's test trials that have rows: every metric, groups of trials, and their gaps."""
    found, model = compared.findings, compared.model
    tables = {
        "metrics": replace(metrics_table(found), title=f"All metrics of the test trials: {model}"),
        "groups": replace(groups_table(found), title="Is it equally good for everybody?"),
        "gaps": gaps_table(found),
    }
    return {name: table for name, table in tables.items() if table.rows}


def lists_table(compared: Compared) -> Table:
    """Tabulate the lists of trials that the networks were judged by, each with its hash, and how trials are scored."""
    rows = [
        Row(
            (
                split,
                visible(str(each["list"])),
                CLEANED[each["is_cleaned"]],
                str(each["sha256"]),
                *(count(int(each[name])) for name in ("trials", "targets", "lost")),
            ),
            False,
        )
        for split, each in compared.lists.items()
    ]
    verification = compared.comparing.verification
    drawn = any(each["list"] == DRAWN for each in compared.lists.values())
    return Table(
        title="The trials",
        says=(
            "A trial asks of two recordings whether one person is heard (target) or two are (nontarget). Figures of "
            "two lists cannot be compared: the hash of the list tells whether it is the same one. Lost: trials of the "
            "list whose recordings are not in the corpus or were set aside."
            f"{_rule(verification.trials) if drawn else ''} {_scoring(verification)}"
        ),
        columns=("split", "list", "form", "sha256 of the list", "trials", "targets", "lost"),
        words=4,
        rows=tuple(rows),
        notes=(),
    )


def _rule(rule: TrialRule) -> str:
    """Return the rule of trials that no list names."""
    sexes = "as it comes" if rule.same_sex is None else f"{100 * rule.same_sex:g} % of them of one sex"
    return (
        f" Drawn by rule: at most {counted(rule.targets_per_speaker, 'target trial')} of a speaker"
        f"{', none of one session' if rule.across_sessions else ''}; {rule.nontargets_per_target:g} nontarget trials "
        f"for each target, {sexes}; seed {rule.seed}."
    )


def _scoring(verification: Verification) -> str:
    """Return how embeddings become scores."""
    parts = ["the log-likelihood ratio of a PLDA" if verification.plda else "the cosine of two embeddings"]
    if verification.centre:
        parts.append("after subtracting the mean of the training recordings")
    if verification.as_norm:
        parts.append(f"normalised by the {verification.as_norm.top} closest training speakers of either side (AS-norm)")
    return f"Scores: {', '.join(parts)}."
