"""Verification networks on lists of trials: of each benchmark the one that is best on validation, on every list.

The lists are those of all corpora, `corpora.NAME.trials`, as the prepare stage stored them. Outputs in `results/cross`,
if there is any list and any such benchmark: `trials.parquet` (one row for each network and trial) and `trials.csv` (one
for each network, list and metric). Error rate and least costs are those of the scores, the other metrics those of the
ratios that the network's stored decision makes of them. Intervals are over the speakers of both sides, with the draws
of `voxbench evaluate` and of the report.

A network hears a recording as a served model would, each once for all lists of its corpus. A trial of a recording that
cannot be heard is lost, counted, and kept in `trials.parquet` with the reason. A list with somebody whom the network
learnt or was validated on (`voxbench.stages.strangers`) has no value, and no rows there.

Shape letters: D embedding, N trials, U recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from voxbench.config import Params
from voxbench.evaluation.intervals import plan_of
from voxbench.evaluation.records import Measured, Origin, ScoreRows
from voxbench.evaluation.trial_metrics import (
    CLLR,
    EER,
    MIN_CLLR,
    TrialMetric,
    actual_cost,
    least_cost,
    measure_trials,
)
from voxbench.features.trial_lists import SIDES, STORED
from voxbench.metrics import UndefinedError
from voxbench.metrics.operating_points import operating_points
from voxbench.metrics.trial_bootstrap import trials_of
from voxbench.metrics.trial_scores import score_trials
from voxbench.schema import InputError, ScoreKind
from voxbench.serving.verifier import Speech, Verifier
from voxbench.stages.finalists import best_on_validation
from voxbench.stages.hearing import Hearing
from voxbench.stages.strangers import Acquaintance, acquainted
from voxbench.stages.workspace import Workspace
from voxbench.tasks import tasks

TRIALS, MEASURES = "trials.parquet", "trials.csv"
KEYS = ["benchmark", "corpus", "list", "sha256"]
ABOUT_LIST = ["list", "name", "is_cleaned", "sha256"]
UNNAMED = Origin("", "", None, "", "", None)


@dataclass(frozen=True, eq=False)
class Asked:
    """One network on one list: what both are, the trials with their scores, and what has to be known of them.

    Of a list that is not scored, `trials` is empty and the note says why. `undecided` is the reason where there are no
    ratios.
    """

    about: dict[str, Any]
    trials: pd.DataFrame
    lost: int
    undecided: str
    note: str


def cross_trials(hearing: Hearing, folder: Path) -> bool:
    """Test the best network of every benchmark of pairs on every list; return whether anything was written.

    Files of an earlier run are removed where there is nothing to write.
    """
    params = hearing.workspace.params
    names = [name for name, row in params.benchmarks.items() if tasks[row.task].pairs]
    corpora = [name for name, row in params.corpora.items() if row.trials]
    found = [asked for name in names for corpus in corpora for asked in _ask(hearing, name, corpus)]
    if not found:
        for name in (TRIALS, MEASURES):
            (folder / name).unlink(missing_ok=True)
        if names:
            print(f"cross: nothing to ask {', '.join(names)}: no corpus names a list under corpora.NAME.trials")
        return False
    folder.mkdir(parents=True, exist_ok=True)
    tables = [
        pd.DataFrame({name: asked.about[name] for name in KEYS}, asked.trials.index).join(asked.trials)
        for asked in found
    ]
    pd.concat(tables, ignore_index=True).to_parquet(folder / TRIALS, index=False)
    measures = pd.DataFrame([row for asked in found for row in _measured(asked, params)])
    measures.to_csv(folder / MEASURES, index=False)
    print(measures[["benchmark", "corpus", "list", "metric", "value", "low", "high"]].to_string(index=False))
    return True


def _ask(hearing: Hearing, name: str, corpus: str) -> Iterator[Asked]:
    """Yield what the best network of a benchmark says of each list of a corpus."""
    workspace, params = hearing.workspace, hearing.workspace.params
    network, row = best_on_validation(workspace, name), params.benchmark(name)
    about = {"benchmark": name, "task": row.task, "model": network.name, "trained_on": row.corpus, "corpus": corpus}
    lists, known = _lists(workspace, corpus), acquainted(workspace, row.corpus, corpus)
    asked = [(table, *_met(table, known, row.corpus)) for table in lists]
    wanted = [table.loc[table["lost"].isna(), side] for table, is_known, _ in asked if not is_known for side in SIDES]
    speeches = hearing(network, f"cross {name} on {corpus}", corpus, set().union(*wanted))
    verifier = Verifier(network)
    for table, is_known, note in asked:
        own, trials = about | table.iloc[0][ABOUT_LIST].to_dict(), table.drop(columns=ABOUT_LIST)
        if is_known:
            nothing = trials.iloc[:0].assign(score=np.nan, llr=np.nan)
            yield Asked(own, nothing, int(trials["lost"].notna().sum()), "", note)
            continue
        trials["lost"] = _losses(trials, speeches)
        lost = _lost_words(trials["lost"], corpus, params.corpus(corpus).max_excluded_fraction)
        scored, undecided, missing = _scored(verifier, trials, speeches)
        said = "; ".join(filter(None, (missing, note, lost)))
        yield Asked(own, scored, int(trials["lost"].notna().sum()), undecided, said)


def _lists(workspace: Workspace, corpus: str) -> list[pd.DataFrame]:
    """Return the stored lists of a corpus, in the order of the settings, with the speakers of both sides."""
    path = workspace.prepared(corpus) / STORED
    names = workspace.params.corpus(corpus).trials
    stored = pd.read_parquet(path) if path.is_file() else pd.DataFrame({"list": []})
    if absent := [name for name in names if name not in set(stored["list"])]:
        raise InputError(
            f"{path.relative_to(workspace.root)} has no trials of {absent[0]}: run `dvc repro prepare@{corpus}` first"
        )
    manifest = pd.read_parquet(path.with_name("manifest.parquet"), columns=["id", "speaker"])
    speakers = manifest.set_index("id")["speaker"]
    stored = stored.assign(**{f"{side}_speaker": stored[side].map(speakers) for side in SIDES})
    return [stored[stored["list"] == name].reset_index(drop=True) for name in names]


def _met(table: pd.DataFrame, acquaintance: Acquaintance, trained: str) -> tuple[bool, str]:
    """Return whether the network knows somebody of a list's usable trials, and what has to be said of that."""
    sound = table[table["lost"].isna()]
    people = {name for side in SIDES for name in sound[f"{side}_speaker"]}
    if known := people & acquaintance.known:
        return True, (
            f"{len(known)} of {len(people)} speakers of the list are people of {trained} that the network was trained "
            f"or validated on, {min(known)!r} among them: a list is for strangers"
        )
    if namesakes := people & acquaintance.namesakes:
        return False, (
            f"{len(namesakes)} of {len(people)} speakers have names that training data of {trained} has too, but the "
            "two corpora share no recording and no session: taken for other people"
        )
    return False, ""


def _losses(trials: pd.DataFrame, speeches: Mapping[str, Speech | str]) -> pd.Series:
    """Return why each trial is lost, null for one that is not."""
    reasons = {name: answer for name, answer in speeches.items() if isinstance(answer, str)}
    lost = trials["lost"]
    for side in SIDES:
        lost = lost.fillna(trials[side].map(reasons).astype("string"))
    return lost


def _lost_words(lost: pd.Series, corpus: str, most: float) -> str:
    if not (count := int(lost.notna().sum())):
        return ""
    each = ", ".join(f"{number} {reason}" for reason, number in lost.value_counts().sort_index().items())
    more = f", more than corpora.{corpus}.max_excluded_fraction {most:g}" if count > most * len(lost) else ""
    return f"{count} of {len(lost)} trials are lost with their recordings ({each}){more}"


def _scored(
    verifier: Verifier, trials: pd.DataFrame, speeches: Mapping[str, Speech | str]
) -> tuple[pd.DataFrame, str, str]:
    """Return the trials with score and ratio, NaN where there is none, and why there are no ratios or no scores."""
    scored, usable = trials.assign(score=np.nan, llr=np.nan), trials["lost"].isna()
    if not usable.any():
        return scored, "", "no trial can be scored"
    places: dict[str, int] = {}
    for side in SIDES:
        for name in trials.loc[usable, side]:
            places.setdefault(name, len(places))
    sound = [speech for speech in map(speeches.__getitem__, places) if isinstance(speech, Speech)]
    sides = [trials.loc[usable, side].map(places).to_numpy() for side in SIDES]
    seconds_U = np.array([speech.kept_seconds for speech in sound])
    try:
        scores_N = score_trials(verifier.back_end, np.stack([speech.embedding_D for speech in sound]), *sides)
    except UndefinedError as error:
        return scored, "", str(error)
    scored.loc[usable, "score"] = scores_N
    try:
        # The shorter recording limits what a trial can say, as in fitting.
        llrs_N = verifier.decision.llrs(scores_N, np.minimum(*(seconds_U[side] for side in sides)))
    except UndefinedError as error:
        return scored, str(error), ""
    scored.loc[usable, "llr"] = llrs_N
    return scored, "", ""


def _measured(asked: Asked, params: Params) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric, or one without a value where there are no scores."""
    judged = asked.trials[asked.trials["score"].notna()]
    speakers = {name for side in SIDES for name in judged[f"{side}_speaker"]}
    counts = {"trials": len(judged), "targets": int(judged["truth"].sum()), "speakers": len(speakers)}
    about = asked.about | counts | {"lost": asked.lost}
    if judged.empty:
        yield about | {"metric": EER.name, "value": None, "low": None, "high": None, "note": asked.note}
        return
    for each in _metrics(judged, asked.undecided, params):
        low, high = (None, None) if each.interval is None else (each.interval.low, each.interval.high)
        note = "; ".join(filter(None, (asked.note, each.reason)))
        yield about | {"metric": each.name, "value": each.value, "low": low, "high": high, "note": note}


def _metrics(judged: pd.DataFrame, undecided: str, params: Params) -> Iterator[Measured]:
    costs = params.evaluation.costs
    yield from _measure(judged, "score", [EER, *map(least_cost, costs)], params)
    of_ratios = [*map(actual_cost, costs), CLLR, MIN_CLLR]
    if undecided:
        yield from (Measured(each.name, None, None, undecided) for each in of_ratios)
    else:
        yield from _measure(judged, "llr", of_ratios, params)


def _measure(judged: pd.DataFrame, column: str, metrics: Sequence[TrialMetric], params: Params) -> tuple[Measured, ...]:
    """Return metrics of one column, each with its interval over the speakers of both sides."""
    scores_N, truth_N = judged[column].to_numpy(np.float64), judged["truth"].to_numpy(np.int64)
    enroll_N, test_N = (judged[f"{side}_speaker"].to_numpy() for side in SIDES)
    rows = ScoreRows(
        kind=ScoreKind.DETECTION,
        columns=(scores_N, truth_N),
        classes=("nontarget", "target"),
        unit="",
        rows=judged[list(SIDES)],
        speakers=(enroll_N, test_N),
        origin=UNNAMED,
        notes=(),
    )
    plan = plan_of(rows, params.report, params.evaluation)
    trials = trials_of(scores_N, truth_N, enroll_N, test_N)
    return measure_trials(metrics, operating_points(scores_N, truth_N), trials, plan, doubt="")
