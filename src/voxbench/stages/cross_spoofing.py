"""Countermeasures on other corpora, and without the silence around speech: of each benchmark the best on validation.

What spoofing leaves in one corpus need not be what it leaves in another, and in ASVspoof 2019 LA the silence before and
after speech alone tells much (Müller et al., ASVspoof workshop 2021, arXiv:2106.12914; Zhang et al., IEEE/ACM TASLP 31,
2023). So each network is asked twice of every corpus that says of test recordings how they were made: as they are, and
without leading and trailing silence, cut at `evaluation.trim_silence_q` by the law of `cleaning.silence_at`.

Outputs in `results/cross`, if there is any such benchmark: `spoofing.parquet` (a row for each network, corpus, form and
recording), `spoofing.csv` (one for each network, corpus, form and metric) and `spoofing_groups.csv` (the error rate of
recordings as they are, by attack, codec, subset, duration and whatever else their corpus says of them). Error rates and
areas are of the scores, costs of the ratios that the network's stored decision makes of them; intervals are over
speakers. A network hears a recording as a served model would. One that cannot be heard is counted and kept with the
reason. A corpus with somebody whom the network learnt or was validated on (`voxbench.stages.strangers`) has no value,
and no rows there.

Shape letter: N recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

from voxbench.audio import read_bytes
from voxbench.config import Params
from voxbench.evaluation.grouping import grouped
from voxbench.evaluation.intervals import plan_of, trials_with_speakers
from voxbench.evaluation.records import Measured, Origin, ScoreRows
from voxbench.evaluation.row_columns import row_columns
from voxbench.evaluation.settings import Settings
from voxbench.evaluation.trial_metrics import (
    AUC,
    CLLR,
    EER,
    EER_ASVSPOOF,
    MIN_CLLR,
    TrialMetric,
    actual_cost,
    measure_trials,
)
from voxbench.metrics import UndefinedError
from voxbench.metrics.equal_error import eer_asvspoof
from voxbench.metrics.operating_points import operating_points
from voxbench.progress import Progress
from voxbench.schema import BONAFIDE, AudioError, InputError, Split
from voxbench.serving.predictor import Predictor
from voxbench.stages.finalists import best_on_validation
from voxbench.stages.strangers import Acquaintance, acquainted
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks

SPOOFING, MEASURES, GROUPS = "spoofing.parquet", "spoofing.csv", "spoofing_groups.csv"
WHOLE, TRIMMED = "as recorded", "without silence at both ends"
FORMS = (WHOLE, TRIMMED)
ABOUT = ["benchmark", "model", "trained_on", "corpus", "form"]
KEPT = ["id", "speaker", "attack", "score", "llr", "lost"]
SUBJECT, TASK = "spoofing", "anti_spoofing"
UNNAMED = Origin("", "", None, "", "", None)


@dataclass(frozen=True, eq=False)
class Asked:
    """One network on one corpus in one form: the recordings with their scores, and what has to be known of them.

    Of a corpus that is not scored, `rows` is empty and the note says why.
    """

    about: dict[str, Any]
    rows: pd.DataFrame
    unknown_attacks: frozenset[str]
    note: str


def cross_spoofing(workspace: Workspace, folder: Path) -> bool:
    """Test the best network of every benchmark of spoofing on every corpus; return whether anything was written.

    Files of an earlier run are removed where there is nothing to write.
    """
    params = workspace.params
    names = [name for name, row in params.benchmarks.items() if tasks[row.task].subject == SUBJECT]
    tested = {corpus: _tested(workspace, corpus) for corpus in params.corpora} if names else {}
    work = [(name, corpus, form) for name in names for corpus, rows in tested.items() if len(rows) for form in FORMS]
    found: list[Asked] = []
    with Progress("cross spoofing", len(work)) as progress:
        jobs = (joblib.delayed(ask)(workspace, *each, tested[each[1]]) for each in work)
        for asked in joblib.Parallel(n_jobs=params.parallel.workers, return_as="generator")(jobs):
            found.append(asked)
            progress.advance(" on ".join(str(asked.about[key]) for key in ("benchmark", "corpus")))
    if not found:
        for name in (SPOOFING, MEASURES, GROUPS):
            (folder / name).unlink(missing_ok=True)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    tables = [asked.rows[KEPT].assign(**{key: asked.about[key] for key in ABOUT}) for asked in found]
    pd.concat(tables, ignore_index=True).to_parquet(folder / SPOOFING, index=False)
    measures = pd.DataFrame([row for asked in found for row in _measured(asked, params)])
    measures.to_csv(folder / MEASURES, index=False)
    groups = [_grouped(asked, params) for asked in found if asked.about["form"] == WHOLE]
    pd.concat(groups, ignore_index=True).to_csv(folder / GROUPS, index=False)
    print(measures[["benchmark", "corpus", "form", "metric", "value", "low", "high"]].to_string(index=False))
    return True


def _tested(workspace: Workspace, corpus: str) -> pd.DataFrame:
    """Return the test rows of a corpus that say how they were made, maybe none."""
    path = workspace.prepared(corpus) / "manifest.parquet"
    if not path.is_file():
        raise InputError(f"no {path.relative_to(workspace.root)}: run `dvc repro prepare@{corpus}` first")
    rows = pd.read_parquet(path)
    return rows[(rows["split"] == Split.TEST) & rows["attack"].notna()].reset_index(drop=True)


def ask(workspace: Workspace, benchmark: str, corpus: str, form: str, rows: pd.DataFrame) -> Asked:
    """Run one network over the test recordings of one corpus; runs in a worker process."""
    torch.set_num_threads(1)
    row, network = workspace.params.benchmark(benchmark), best_on_validation(workspace, benchmark)
    about = {"benchmark": benchmark, "model": network.name, "trained_on": row.corpus, "corpus": corpus, "form": form}
    learnt = pd.read_parquet(workspace.prepared(row.corpus) / "manifest.parquet", columns=["attack", "split"])
    known = frozenset(learnt.loc[learnt["split"] == Split.TRAIN, "attack"].dropna())
    unknown = frozenset(rows["attack"]) - known
    nothing = rows.iloc[:0].assign(score=np.nan, llr=np.nan, lost="")
    met = acquainted(workspace, row.corpus, corpus)
    if people := set(rows["speaker"]) & met.known:
        note = (
            f"{len(people)} of {rows['speaker'].nunique()} test speakers are people of {row.corpus} that the network "
            f"was trained or validated on, {min(people)!r} among them"
        )
        return Asked(about, nothing, unknown, note)
    predictor = Predictor(network)
    note = "; ".join(filter(None, (_namesakes(rows, met, row.corpus), _silence(predictor))))
    if form == TRIMMED:
        q = workspace.params.evaluation.trim_silence_q
        predictor.listener.clean_by({"silence_at": "ends", "silence_q": q})
    root = workspace.root / workspace.params.corpus(corpus).root
    answers = [_answer(predictor, root / recording) for recording in rows["id"]]
    scored = rows.join(pd.DataFrame(answers, index=rows.index, columns=["score", "llr", "lost"]))
    return Asked(about, scored, unknown, note)


def _namesakes(rows: pd.DataFrame, met: Acquaintance, trained: str) -> str:
    """Say whether equal names were taken for other people."""
    people = set(rows["speaker"])
    if not (others := people & met.namesakes):
        return ""
    return (
        f"{len(others)} of {len(people)} test speakers have names that training data of {trained} has too, but the two "
        "corpora share no recording and no session: taken for other people"
    )


def _silence(predictor: Predictor) -> str:
    """Say what a network never hears of a recording as it is."""
    cleaning = predictor.listener.bundle.cleaning
    if cleaning.silence_q == 0:
        return ""
    place = "at both ends" if cleaning.silence_at == "ends" else "everywhere"
    return f"the network's own cleaning takes silence out {place}: as recorded is what that leaves"


def _answer(predictor: Predictor, path: Path) -> tuple[float | None, float | None, str | None]:
    try:
        heard = predictor(read_bytes(path))
    except AudioError as error:
        return None, None, str(error.reason)
    return heard.scores["score"], heard.verdict.llr, None


def _measured(asked: Asked, params: Params) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric, or one without a value where there are no scores."""
    judged = asked.rows[asked.rows["score"].notna()].reset_index(drop=True)
    spoofed = judged[judged["attack"] != BONAFIDE]
    worst, its_eer = _worst_attack(judged)
    counts = {
        "clips": len(judged),
        "bonafide": len(judged) - len(spoofed),
        "speakers": judged["speaker"].nunique(),
        "attacks": spoofed["attack"].nunique(),
        "unknown_attacks": len(set(spoofed["attack"]) & asked.unknown_attacks),
        "lost": int(asked.rows["lost"].notna().sum()) if len(asked.rows) else 0,
        "worst_attack": worst,
        "worst_eer": its_eer,
    }
    if judged.empty:
        nothing = {"metric": EER_ASVSPOOF.name, "value": None, "low": None, "high": None}
        said = "; ".join(filter(None, (asked.note, "no recording could be heard" if len(asked.rows) else "")))
        yield asked.about | counts | nothing | {"note": said}
        return
    for each in _metrics(judged, params):
        low, high = (None, None) if each.interval is None else (each.interval.low, each.interval.high)
        said = "; ".join(filter(None, (asked.note, each.reason)))
        yield asked.about | counts | {"metric": each.name, "value": each.value, "low": low, "high": high, "note": said}


def _worst_attack(judged: pd.DataFrame) -> tuple[str | None, float | None]:
    """Return the attack with the highest equal error rate against all bona fide recordings, and that rate."""
    bonafide = judged["attack"] == BONAFIDE
    rates: dict[str, float] = {}
    for attack in sorted(judged.loc[~bonafide, "attack"].unique()):
        rows = judged[bonafide | (judged["attack"] == attack)]
        try:
            rates[attack] = eer_asvspoof(rows["score"].to_numpy(), (rows["attack"] == BONAFIDE).to_numpy().astype(int))
        except UndefinedError:
            continue
    worst = max(rates, key=rates.__getitem__, default=None)
    return worst, None if worst is None else rates[worst]


def _metrics(judged: pd.DataFrame, params: Params) -> Iterator[Measured]:
    yield from _measure(judged, "score", [EER_ASVSPOOF, EER, AUC], params)
    of_ratios = [*map(actual_cost, params.evaluation.costs), CLLR, MIN_CLLR]
    if judged["llr"].isna().any():
        yield from (Measured(each.name, None, None, "the stored decision makes no ratios") for each in of_ratios)
    else:
        yield from _measure(judged, "llr", of_ratios, params)


def _measure(judged: pd.DataFrame, column: str, metrics: Sequence[TrialMetric], params: Params) -> tuple[Measured, ...]:
    """Return metrics of one column, each with its interval over speakers."""
    scored = _score_rows(judged, column, judged[["id"]])
    plan = plan_of(scored, params.report, params.evaluation)
    return measure_trials(metrics, operating_points(*scored.columns), trials_with_speakers(scored), plan, doubt="")


def _grouped(asked: Asked, params: Params) -> pd.DataFrame:
    """Return the error rate of every group of recordings, with its interval over speakers."""
    judged = asked.rows[asked.rows["score"].notna()].reset_index(drop=True)
    columns, _ = row_columns(judged, params.report.bins)
    about = {name: asked.about[name] for name in ABOUT if name != "form"}
    if columns.empty:
        return pd.DataFrame(columns=[*about, "by", "group"])
    scored = _score_rows(judged, "score", columns)
    settings = Settings(params.report, params.evaluation, params.decisions, tuple(map(str, columns)), TASK)
    groups = grouped(scored, None, settings, plan_of(scored, params.report, params.evaluation)).groups
    return groups.assign(**about)[[*about, *groups]]


def _score_rows(judged: pd.DataFrame, column: str, rows: pd.DataFrame) -> ScoreRows:
    task = tasks[TASK]
    return ScoreRows(
        kind=task.score_kind,
        columns=(judged[column].to_numpy(np.float64), (judged["attack"] == BONAFIDE).to_numpy().astype(np.int64)),
        classes=(task.classes[0], task.classes[1]),
        unit="",
        rows=rows,
        speakers=(judged["speaker"].to_numpy(),),
        origin=UNNAMED,
        notes=(),
    )
