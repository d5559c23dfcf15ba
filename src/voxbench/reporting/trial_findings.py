"""All that is found of the test trials of one network, and the lists of trials, as tables.

What `voxbench evaluate` finds of a score table is found here by the same functions, with the decision that is stored
with the network in place of a calibration of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.artifacts import read_json
from voxbench.config import Report, TrialRule, Verification
from voxbench.corpora.stored_asv_scores import StoredAsv, read_stored
from voxbench.evaluation.files import file_sha256
from voxbench.evaluation.grouping import grouped
from voxbench.evaluation.intervals import plan_of, trials_with_speakers
from voxbench.evaluation.label_words import ANTI_SPOOFING, SPEAKER_VERIFICATION
from voxbench.evaluation.records import Calibrated, Findings, Origin, ScoreRows
from voxbench.evaluation.row_columns import ATTACK, row_columns
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.tandem import asv_of_table, tandem_metrics
from voxbench.evaluation.trial_metrics import EER_ASVSPOOF, TrialMetric, llr_doubt, measure_trials, trial_metrics
from voxbench.features.trial_lists import DRAWN, LISTS
from voxbench.metrics import Metric
from voxbench.metrics.operating_points import operating_points
from voxbench.reporting.decisions import Applied
from voxbench.reporting.detections import PHRASE, WRONG, DetectionBootstrap, score_rows
from voxbench.reporting.evaluation_tables import gaps_table, groups_table, measured_words, metrics_table
from voxbench.reporting.finalists import Finalist, Question, Sources, existing
from voxbench.reporting.groups import NUMBERS
from voxbench.reporting.pairs import SIDES, listed_alike
from voxbench.reporting.quantities import DASH, count, counted, visible
from voxbench.reporting.scored import Bootstrap, Scored
from voxbench.reporting.scored_words import size, speakers
from voxbench.reporting.table import Row, Table
from voxbench.reporting.texts import TextBootstrap
from voxbench.schema import ScoreKind, Split
from voxbench.tasks import Task
from voxbench.tasks.phrases import PHRASES

TASKS = {"verification": SPEAKER_VERIFICATION, "anti_spoofing": ANTI_SPOOFING}
# Whether any silence was removed, the corpus's settings say.
CALLED = NUMBERS | {"kept_seconds": "duration used"}
CLEANED = {True: "cleaned", False: "original", None: DASH}
WHOLE = "the test split"
# What divides the nontargets alone: how its table is called, and what its rows are.
DIVIDING = {
    ATTACK: (
        "Is it equally good against every attack?",
        "The rows of an attack are its spoofs and all bona fide trials, whose misses are the same for every attack.",
    ),
    WRONG: (
        "Which wrong phrases are taken for right ones?",
        "The rows of a kind of wrong phrase are its trials and all right ones, whose misses are the same for every "
        "kind.",
    ),
}


@dataclass(frozen=True)
class Detections:
    """What only detection has: what draws its intervals, and what is found of the test trials.

    `findings` are of `model`, the network that is best on validation; `ungrouped` says which columns make no groups.
    Of a task of pairs, `lists` are the lists of trials by split, as `voxbench.features.trial_lists.TrialList.account`
    writes them, and `verification` says how recordings are compared. `asv` are the scores of a speaker verifier that
    lie beside the corpus, if any.
    """

    model: str
    bound: DetectionBootstrap
    findings: Findings
    ungrouped: tuple[str, ...]
    lists: Mapping[str, Mapping[str, Any]]
    verification: Verification | None
    asv: StoredAsv | None


def bootstrap_of(question: Question, settings: Report, metric: Metric, tandem: tuple[TrialMetric, ...]) -> Bootstrap:
    """Return what draws the intervals of a benchmark; `tandem` are costs behind a speaker verifier."""
    if question.judging is None:
        return Bootstrap(question.name, settings, metric)
    if question.task.score_kind is ScoreKind.TEXT:
        return TextBootstrap(question.name, settings, metric, question.judging.evaluation)
    return DetectionBootstrap(question.name, settings, metric, question.task, question.judging.evaluation, tandem)


def tandem_of(task: Task, asv: StoredAsv | None, labelled: pd.DataFrame) -> tuple[TrialMetric, ...]:
    """Return the t-DCF behind a stored verifier; none without one, or for another task.

    `labelled` has a row for each recording. Scores of another set than its test rows raise InputError.
    """
    if asv is None or TASKS.get(task.name) != ANTI_SPOOFING:
        return ()
    rows = labelled[labelled["split"] == Split.TEST].reset_index(drop=True)
    truth_N, zeros_N = rows["target"].to_numpy(), np.zeros(len(rows))
    listed = Origin(WHOLE, "", None, WHOLE, "", None)
    scored = score_rows(task, Scored(truth_N, zeros_N, rows, {}, {}), zeros_N, listed)
    verifier = asv_of_table(asv.table, asv.asv_set.sha256)
    return tuple(tandem_metrics(replace(verifier, asv_set=asv.asv_set), scored))


def detections_of(
    question: Question,
    sources: Sources,
    finalists: Sequence[Finalist],
    validated: Finalist,
    applied: Applied | None,
    bound: Bootstrap,
) -> Detections | None:
    """Return what only detection has; None for another task. `validated` is the finalist that is best on validation."""
    if question.judging is None or applied is None or not isinstance(bound, DetectionBootstrap):
        return None
    lists: dict[str, dict[str, Any]] = {}
    if question.task.pairs:
        tested = [sources.models / each.model for each in finalists]
        tested += [sources.repeat / f"{each.model}-seed{seed}" for each in finalists for seed in question.seeds]
        lists = read_lists(sources.models, validated, tested)
    tuned, table = validated.tuned, sources.models / validated.model / question.table
    names = tuned.rows["id"] + " " + tuned.rows[PHRASE] if PHRASE in tuned.rows else tuned.rows["id"]
    origin = origin_of(table, tuned.truth, names, lists.get(Split.TEST))
    scored = score_rows(question.task, tuned, tuned.scores, origin)
    frame = (scored.rows, ()) if question.task.pairs else row_columns(scored.rows, bound.settings.bins)
    findings, ungrouped = trial_findings(replace(scored, rows=frame[0]), applied, bound), frame[1]
    asv = read_stored(sources.prepared) if bound.tandem else None
    return Detections(validated.model, bound, findings, ungrouped, lists, question.judging.verification, asv)


def read_lists(models: Path, validated: Finalist, tested: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the lists of trials by split, as the network that is best on validation was judged by them.

    `tested` are the folders of everything that was tested: one that was tested on another list raises InputError.
    """
    lists: dict[str, dict[str, Any]] = read_json(existing(models / validated.model / LISTS))
    listed_alike([read_json(existing(folder / LISTS))[Split.TEST] for folder in tested])
    return lists


def origin_of(path: Path, truth: np.ndarray, names: pd.Series, listed: Mapping[str, Any] | None = None) -> Origin:
    """Return where the test rows (N,) of a score table come from; without a list they are the test split.

    `names` (N,) are what the rows are told apart by.
    """
    sha256 = file_sha256(existing(path))
    if listed is None:
        lines = "".join(f"{label} {name}\n" for label, name in zip(truth.tolist(), names, strict=True))
        listed = {"list": WHOLE, "sha256": hashlib.sha256(lines.encode()).hexdigest(), "is_cleaned": None}
    about = (str(listed["list"]), str(listed["sha256"]), listed["is_cleaned"])
    return Origin(f"{path.parent.name}/{path.name}", sha256, None, *about)


def trial_findings(scored: ScoreRows, applied: Applied, bound: DetectionBootstrap) -> Findings:
    """Return what is found of test trials, whose `rows` say of which groups they are."""
    plan, points = plan_of(scored, bound.settings, bound.evaluation), operating_points(*scored.columns)
    first, *others = trial_metrics(bound.evaluation.costs, is_anti_spoofing=bound.is_anti_spoofing)
    if bound.task.name == PHRASES.name:
        # The custom of the challenges of anti-spoofing, of which phrases know nothing.
        others = [each for each in others if each is not EER_ASVSPOOF]
    trials = None if plan.why_none else trials_with_speakers(scored)
    calibrated = _calibrated(scored, applied)
    names = tuple(str(name) for name in scored.rows if name not in SIDES)
    # Without any, all usual columns would make groups.
    grouping = scored if names else replace(scored, rows=scored.rows[[]])
    task = TASKS.get(bound.task.name)
    settings = Settings(bound.settings, bound.evaluation, applied.decision.settings, names, task)
    tables = grouped(grouping, calibrated, settings, plan)
    return Findings(
        scored=scored,
        measured=measure_trials([first, *bound.tandem, *others], points, trials, plan, llr_doubt(points)),
        resampled=plan.described,
        groups=called(tables.groups),
        worst=called(tables.worst),
        gaps=called(tables.gaps),
        calibrated=calibrated,
    )


def called(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of groups whose columns of numbers are called by what they are."""
    return table.assign(by=table["by"].replace(CALLED))


def _calibrated(scored: ScoreRows, applied: Applied) -> Calibrated | None:
    """Return the trials as log-likelihood ratios of the stored decision; None where it could not be fitted."""
    if applied.decision.calibration is None or applied.llrs is None:
        return None
    ratios = replace(scored, columns=(applied.llrs, scored.columns[1]))
    return Calibrated(applied.decision.calibration, scored.origin, ratios, (), applied.decided)


def trial_tables(detected: Detections) -> dict[str, Table]:
    """Return the tables of one network's test trials that have rows: every metric, groups of trials, and their gaps."""
    found, model = detected.findings, detected.model
    groups, title = groups_table(found), "Is it equally good for everybody?"
    groups = replace(groups, title=title, notes=(*groups.notes, *detected.ungrouped))
    for divider in DIVIDING.keys() & set(found.groups["by"]):
        title, said = DIVIDING[divider]
        groups = replace(groups, title=title, rows=(_pooled(found), *groups.rows), notes=(said, *groups.notes))
    tables = {
        "metrics": replace(metrics_table(found), title=f"All metrics of the test trials: {model}"),
        "groups": groups,
        "gaps": gaps_table(found),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _pooled(found: Findings) -> Row:
    """Return the row of all trials, in the columns of the table of groups."""
    known = {each.name: each for each in found.measured}
    for each in found.calibrated.decided if found.calibrated else ():
        rates = {f"p_miss({each.name})": each.p_miss, f"p_fa({each.name})": each.p_fa}
        known |= {name: replace(rate, name=name) for name, rate in rates.items()}
    cells = [measured_words(known[name], found.scored) for name in dict.fromkeys(found.groups["metric"])]
    return Row(("all", "pooled", count(size(found.scored)), count(speakers(found.scored)), *cells), False)


def lists_table(detected: Detections) -> Table:
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
        for split, each in detected.lists.items()
    ]
    verification = detected.verification
    assert verification is not None, "lists of trials are of a task that compares recordings"
    drawn = any(each["list"] == DRAWN for each in detected.lists.values())
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
