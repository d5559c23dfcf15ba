"""Stage 2: the finalists, trained on the whole training split, stored with all that serving needs, and registered.

Outputs in `models/BENCHMARK/MODEL`: `weights.safetensors`, `model.json`, `history.csv`, `scores.parquet`; of a task of
two classes, of pairs or of words `decision.json`, of pairs `back_end.safetensors` and `trials.json`, of words
`phrases.parquet`; in `models/BENCHMARK`: `ranking.json`. Calibration, thresholds and which version becomes champion are
decided on validation scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import voxbench
from voxbench.artifacts import write_json
from voxbench.config import Decisions
from voxbench.evaluation.decisions import (
    Decision,
    detection_scores,
    fit_decision,
    seconds_of,
    undecidable,
    write_decision,
)
from voxbench.metrics import METRICS
from voxbench.metrics.bayes import cllr, min_cllr
from voxbench.metrics.joint_clusters import heard
from voxbench.progress import Progress
from voxbench.schema import ScoreKind, Split
from voxbench.serving import contract, pair_contract, word_contract
from voxbench.serving.bundle import Bundle, write_bundle
from voxbench.stages.finalists import (
    SPLIT,
    check_learning,
    check_pairs,
    defined,
    finalist_recipe,
    read_selection,
    source,
)
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks
from voxbench.tasks.phrases import PHRASE_CLASSES
from voxbench.tracking.registry import Candidate, Served, best_first, register
from voxbench.tracking.runs import open_stage
from voxbench.training.jobs import Finished, Job, discard_others, refuse_diverged, run_jobs
from voxbench.training.scoring import score_values


def finetune(workspace: Workspace, name: str) -> None:
    """Train and register the finalists of benchmark `name`; those finished by an interrupted run are kept.

    The licence of the corpus goes with the files of every model, its runs and its version in the registry.
    """
    params = workspace.params
    benchmark, learning = params.benchmark(name), params.learning(name)
    check_learning(workspace, benchmark, learning.training)
    check_pairs(workspace, benchmark, learning)
    jobs = [_job(workspace, name, finalist) for finalist in read_selection(workspace, name)["finalists"]]
    discard_others(workspace.models(name), jobs)
    column = f"valid_{benchmark.metric}"
    candidates = []
    settings = {"training": learning.training, "finetune": learning.finetune, "benchmark": benchmark}
    settings |= {"decisions": params.decisions}
    with (
        open_stage(workspace.root, name, "finetune", settings) as stage,
        Progress(f"finetune {name}", len(jobs)) as progress,
    ):
        for finished in map(refuse_diverged, run_jobs(jobs, params.parallel.workers)):
            model = finished.job.recipe.model
            bundle = bundle_of(workspace, name, finished)
            write_bundle(finished.job.folder, bundle)
            facts = {"corpus": bundle.corpus, "licence": bundle.licence} | decide(workspace, name, finished)
            run_id = stage.log_job(model, finished, facts)
            value = defined(benchmark.metric, finished.best[column], f"{model} on validation rows")
            place, loss = finished.job.folder, finished.best["valid_loss"]
            candidates.append(Candidate(model, bundle.corpus, bundle.licence, place, run_id, value, loss))
            progress.advance(f"{model}: {column} {value:.3f} at epoch {finished.best_epoch + 1}")
        greater_is_better = METRICS[benchmark.metric].greater_is_better
        _rank(workspace, name, candidates, greater_is_better)
        champion = _register(workspace, name, candidates, greater_is_better)
        stage.log_summary({"champion": champion})


def _register(workspace: Workspace, name: str, candidates: list[Candidate], greater_is_better: bool) -> str:
    """Register the candidates and return the best one's name."""
    champion = register(workspace.root, name, candidates, _served(workspace, name), greater_is_better)
    print(f"{name}: {len(candidates)} versions registered, best on validation: {champion}")
    return champion


def decide(workspace: Workspace, name: str, finished: Finished) -> dict[str, str | float]:
    """Fit calibration and thresholds on the validation rows, write `decision.json`, and return what MLflow shows of it.

    A task without thresholds, and a fit that is undefined, are logged with the reason.
    """
    benchmark, settings = workspace.params.benchmark(name), workspace.params.decisions
    task, folder = tasks[benchmark.task], finished.job.folder
    if task.score_kind is ScoreKind.TEXT:
        return _decide_phrases(settings, finished)
    if reason := undecidable(task.score_kind, task.classes):
        return {"undecided": reason}
    rows = finished.scores[finished.scores["split"] == Split.VALID]
    scores, labels = detection_scores(task.score_kind, score_values(task, rows)), rows["truth"].to_numpy()
    manifest = workspace.prepared(benchmark.corpus) / "manifest.parquet"
    sides = [rows[column] for column in (("enroll", "test") if task.pairs else ("id",))]
    lasting = [seconds_of(manifest, ids, settings.calibration) for ids in sides]
    # The shorter recording limits what a trial can say.
    seconds = None if lasting[0] is None else np.min(np.array(lasting), axis=0)
    about = pd.read_parquet(manifest, columns=["id", "speaker", "speakers"]).set_index("id")
    people = np.concatenate([heard(about.loc[ids]) for ids in sides])
    negative, positive = task.classes
    decision = fit_decision(settings, (negative, positive), scores, labels, people, seconds)
    write_decision(folder, decision)
    return _facts(decision, scores, labels, seconds)


def _decide_phrases(settings: Decisions, finished: Finished) -> dict[str, str | float]:
    """Fit what accepts a prompted phrase, on those of validation recordings."""
    rows = finished.phrases[finished.phrases["split"] == Split.VALID]
    scores, labels, people = (rows[name].to_numpy() for name in ("score", "truth", "speaker"))
    # Seconds are a quality of recordings; how long a phrase is, its score has allowed for.
    plain = settings.model_copy(update={"calibration": settings.calibration.model_copy(update={"quality": None})})
    decision = fit_decision(plain, PHRASE_CLASSES, scores, labels, people, None)
    write_decision(finished.job.folder, decision)
    return _facts(decision, scores, labels, None)


def _facts(
    decision: Decision, scores: np.ndarray, labels: np.ndarray, seconds: np.ndarray | None
) -> dict[str, str | float]:
    """Return what MLflow shows of a decision."""
    if decision.reason:
        return {"undecided": decision.reason}
    policy = decision.settings.policy
    llrs, threshold = decision.llrs(scores, seconds), decision.thresholds[policy]
    return {
        "policy": policy,
        "decision/threshold": threshold.value,
        "decision/valid_cllr_before": cllr(scores, labels),
        "decision/valid_cllr": cllr(llrs, labels),
        "decision/valid_min_cllr": min_cllr(scores, labels),
        "decision/valid_p_miss": threshold.p_miss,
        "decision/valid_p_fa": threshold.p_fa,
    }


def _rank(workspace: Workspace, name: str, candidates: list[Candidate], greater_is_better: bool) -> None:
    """Write `ranking.json`: the finalists by validation metric, then loss, best first."""
    ranked = [
        {"model": each.model, "value": each.value, "loss": each.loss}
        for each in best_first(candidates, greater_is_better)
    ]
    write_json(workspace.models(name) / "ranking.json", ranked)


def _job(workspace: Workspace, name: str, finalist: dict[str, Any]) -> Job:
    benchmark = workspace.params.benchmark(name)
    seed = workspace.params.learning(name).training.seed
    return Job(
        folder=workspace.models(name) / finalist["model"],
        source=source(workspace, benchmark.task, benchmark.corpus, SPLIT),
        recipe=finalist_recipe(workspace, name, finalist, seed),
        metric=benchmark.metric,
        scored=(Split.VALID, Split.TEST),
        keep_weights=True,
        pruning=None,
    )


def bundle_of(workspace: Workspace, name: str, finished: Finished) -> Bundle:
    """Return what is stored beside the weights of a network that was trained on benchmark `name`."""
    benchmark = workspace.params.benchmark(name)
    corpus = workspace.params.corpus(benchmark.corpus)
    return Bundle(
        benchmark=name,
        task=benchmark.task,
        corpus=benchmark.corpus,
        licence=corpus.licence,
        model=finished.job.recipe.model,
        trainable=finished.job.recipe.schedule.trainable,
        training=finished.job.recipe.training,
        transcription=finished.job.recipe.transcription,
        cleaning=corpus.cleaning,
        features=corpus.features,
    )


def _served(workspace: Workspace, name: str) -> Served:
    benchmark = workspace.params.benchmark(name)
    task, cleaning = tasks[benchmark.task], workspace.params.corpus(benchmark.corpus).cleaning
    if task.score_kind is ScoreKind.TEXT:
        return Served(
            script=Path(contract.__file__).with_name("pyfunc_words.py"),
            package=Path(voxbench.__file__).parent,
            signature=word_contract.signature(),
            example=contract.example(2 * cleaning.min_seconds, cleaning.sample_rate_hz),
        )
    if task.pairs:
        return Served(
            script=Path(contract.__file__).with_name("pyfunc_pairs.py"),
            package=Path(voxbench.__file__).parent,
            signature=pair_contract.signature(),
            example=pair_contract.example(2 * cleaning.min_seconds, cleaning.sample_rate_hz),
        )
    return Served(
        script=Path(contract.__file__).with_name("pyfunc_model.py"),
        package=Path(voxbench.__file__).parent,
        signature=contract.signature(task),
        example=contract.example(2 * cleaning.min_seconds, cleaning.sample_rate_hz),
    )
