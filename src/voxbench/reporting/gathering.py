"""How the evidence of a benchmark is read: everything that its stages wrote, and what is computed of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from voxbench.artifacts import read_json
from voxbench.config import Report
from voxbench.corpora.stored_asv_scores import read_stored
from voxbench.metrics import METRICS
from voxbench.reporting.baselines import Baseline, baselines
from voxbench.reporting.corpus import read_account
from voxbench.reporting.decisions import Applied, applied_decision
from voxbench.reporting.evidence import Evidence
from voxbench.reporting.finalists import (
    Finalist,
    Question,
    Sources,
    best_on_validation,
    existing,
    measured,
    read_finalist,
    read_table,
)
from voxbench.reporting.groups import COLUMNS as GROUP_COLUMNS
from voxbench.reporting.groups import group_errors
from voxbench.reporting.pairs import trial_probes
from voxbench.reporting.probes import Probes, probes
from voxbench.reporting.published import published_as, published_figures
from voxbench.reporting.scored import Bootstrap
from voxbench.reporting.text_findings import transcripts_of
from voxbench.reporting.trial_findings import bootstrap_of, detections_of, tandem_of
from voxbench.reporting.trials import timed
from voxbench.schema import ScoreKind
from voxbench.tasks import Task
from voxbench.tasks.phrases import PHRASE_METRIC, PHRASES

# The table of prompted phrases, beside that of transcripts.
PROMPTED = "phrases.parquet"
NO_GROUPS = pd.DataFrame(columns=list(GROUP_COLUMNS))


def gather(question: Question, sources: Sources, settings: Report) -> Evidence:
    """Read and compute everything the report says of a benchmark; a file that is missing raises `InputError`."""
    selection = read_json(existing(sources.select / "selection.json"))
    task, metric = question.task, METRICS[question.metric]
    account = read_account(sources.prepared, task)
    tandem = tandem_of(task, read_stored(sources.prepared), account.labelled)
    bound = bootstrap_of(question, settings, metric, tandem)
    finalists = tuple(read_finalist(row, question, sources, account.labelled, bound) for row in selection["finalists"])
    validated, like = best_on_validation(finalists, metric), finalists[0].tuned
    trivial = baselines(task, account.labelled, like, bound)
    decisions = _decisions(validated, sources, task, bound)
    folder = sources.models / validated.model
    return Evidence(
        name=question.name,
        task=task,
        metric=metric,
        settings=settings,
        seeds=question.seeds,
        finalists=finalists,
        baselines=trivial,
        probes=_probes(question, account.labelled, trivial[0], bound),
        decisions=decisions,
        groups=NO_GROUPS if question.judging else group_errors(validated.tuned, settings, question.name),
        tests=read_table(sources.repeat / "significance.csv"),
        trials=timed(read_table(sources.select / "trials.csv"), read_table(sources.seconds / "epochs.csv")),
        variants=_variants(sources.ablate, "comparison.csv"),
        variant_runs=_variants(sources.ablate, "variants.csv"),
        published=published_figures(published_as(question.reader, account.labelled), account.languages, task.name),
        study=question.study,
        selected_by=METRICS[selection["metric"]],
        account=account,
        detected=detections_of(question, sources, finalists, validated, decisions, bound),
        texts=transcripts_of(validated, question.judging, bound, account.labelled, folder),
        studied=question.studied,
        chosen_by=metric,
        told_in=None,
    )


def gather_prompted(whole: Evidence, question: Question, sources: Sources) -> Evidence:
    """Return how well the networks of a benchmark of transcription verify prompted phrases.

    `whole` is the evidence of that benchmark, whose `question` and `sources` are given. Nothing was trained or chosen
    for it: the network is the one of the best validation metric of `whole`, and so is the decision stored with it.
    """
    metric, labelled = METRICS[PHRASE_METRIC], whole.account.labelled
    name = f"{question.name}-phrases"
    asked = replace(question, name=name, task=PHRASES, metric=metric.name, table=PROMPTED)
    bound = bootstrap_of(asked, whole.settings, metric, ())
    finalists = []
    for each in whole.finalists:
        tuned, bounds, spreads = measured(each.model, asked, sources, labelled, bound)
        finalists.append(replace(each, tuned=tuned, bounds=bounds, spreads=spreads))
    validated = best_on_validation(finalists, whole.chosen_by)
    decisions = _decisions(validated, sources, PHRASES, bound)
    return replace(
        whole,
        name=name,
        task=PHRASES,
        metric=metric,
        finalists=tuple(finalists),
        baselines=baselines(PHRASES, labelled, finalists[0].tuned, bound),
        probes=Probes((), {}),
        decisions=decisions,
        tests=read_table(sources.repeat / "phrase_significance.csv"),
        variants=pd.DataFrame(),
        variant_runs=pd.DataFrame(),
        published=whole.published.iloc[:0],
        detected=detections_of(asked, sources, finalists, validated, decisions, bound),
        texts=None,
        told_in=whole.name,
    )


def _probes(question: Question, labelled: pd.DataFrame, chance: Baseline, bound: Bootstrap) -> Probes:
    if question.task.score_kind is ScoreKind.TEXT:
        return Probes((), {})
    if question.judging is not None and question.judging.verification is not None:
        return trial_probes(question.task, labelled, question.judging.verification.trials, chance, bound)
    return probes(question.task, labelled, chance.scored, chance, bound)


def _decisions(validated: Finalist, sources: Sources, task: Task, bound: Bootstrap) -> Applied | None:
    folder, manifest = sources.models / validated.model, sources.prepared / "manifest.parquet"
    return applied_decision(task, validated.tuned, folder, manifest, bound)


def _variants(folder: Path | None, file: str) -> pd.DataFrame:
    return pd.DataFrame() if folder is None else read_table(folder / file)
