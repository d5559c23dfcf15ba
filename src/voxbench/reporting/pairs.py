"""Trials that are pairs of recordings: who speaks on both sides, their groups, and what probes know of them.

A row of the score table is a pair of recordings, so a row depends on two people: `voxbench.reporting.detections` draws
the speakers of both sides.

Probes of pairs know by how much the two recordings differ in the numbers of the manifest: the absolute difference of
each. They are fitted to trials of training rows, drawn by the rule of the benchmark.

Shape letters: N trials, X numbers of a recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from voxbench.config import TrialRule
from voxbench.features.trial_rule import draw_trials
from voxbench.metrics.inputs import Floats
from voxbench.reporting.baselines import Baseline
from voxbench.reporting.probes import CLUES, Probes, probes
from voxbench.reporting.scored import Bootstrap
from voxbench.schema import InputError, Split
from voxbench.tasks import Task

SIDES = ("enroll", "test")
SEX, SESSION = "sex", "session"


def grouping_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of trials that name their recordings and their groups."""
    return rows[[name for name in (*SIDES, SEX, SESSION) if name in rows]]


def trial_rows(table: pd.DataFrame, labelled: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return what is known of each trial of a score table: who speaks on both sides, groups, and what probes know.

    Groups are the sexes of both speakers, and whether both recordings are of one session. `labelled` has a row for
    each recording; one that it does not hold raises InputError, which calls the table by `name`.
    """
    known = labelled.set_index("id")
    if lost := sorted({*table["enroll"], *table["test"]} - {*known.index}):
        raise InputError(
            f"{name} has trials of {len(lost)} recordings that the manifest does not hold, {lost[0]!r} among them: run "
            "`dvc repro` to finish the stages before the report"
        )
    who = [table[f"{side}_speaker"].tolist() for side in SIDES]
    rows = table[["id", *SIDES, *(f"{side}_speaker" for side in SIDES)]].assign(
        # Each once: a draw of one person brings that person's target trials as often.
        speaker=who[0],
        speakers=[list(dict.fromkeys(pair)) for pair in zip(*who, strict=True)],
    )
    return rows.assign(**_grouped(table), **_differences(table, known))


def _grouped(table: pd.DataFrame) -> dict[str, list[str | None]]:
    """Return the groups of trials; those that nothing is known of, or that are all alike, are none."""
    groups: dict[str, list[str | None]] = {}
    if {f"{side}_gender" for side in SIDES} <= set(table):
        sexes = zip(*(table[f"{side}_gender"] for side in SIDES), strict=True)
        groups[SEX] = [None if any(map(pd.isna, pair)) else " and ".join(sorted(pair)) for pair in sexes]
    if {f"{side}_session" for side in SIDES} <= set(table):
        sessions = zip(*(table[f"{side}_session"] for side in SIDES), strict=True)
        groups[SESSION] = [
            None if any(map(pd.isna, pair)) else "the same" if pair[0] == pair[1] else "different" for pair in sessions
        ]
    return {name: words for name, words in groups.items() if len(set(words)) > 1}


def _differences(trials: pd.DataFrame, known: pd.DataFrame) -> dict[str, Floats]:
    """Return by how much both recordings of each trial (N,) differ in each number that a probe may know."""
    columns = [name for name in dict.fromkeys(name for names in CLUES.values() for name in names) if name in known]
    enroll_NX, test_NX = (known.loc[trials[side], columns].to_numpy(np.float64) for side in SIDES)
    return dict(zip(columns, np.abs(enroll_NX - test_NX).T, strict=True))


def trial_probes(task: Task, labelled: pd.DataFrame, rule: TrialRule, chance: Baseline, bound: Bootstrap) -> Probes:
    """Return the probes that the settings name, fitted to trials of the training rows that are drawn by `rule`.

    `labelled` has a row for each recording. Where no trials can be drawn there are no probes, and the reason is that.
    """
    training = labelled[labelled["split"] == Split.TRAIN]
    try:
        drawn = draw_trials(training, rule, f"probes of {Split.TRAIN}")
    except InputError as error:
        return Probes((), {f"{kind} probe": str(error) for kind in bound.settings.probes})
    facts = pd.DataFrame(_differences(drawn, training.set_index("id")), index=drawn.index)
    known = facts.assign(split=str(Split.TRAIN), target=drawn["truth"])
    return probes(task, known, chance.scored, chance, bound)


def listed_alike(lists: Sequence[Mapping[str, str]]) -> None:
    """Refuse score tables that are not of one list: nothing could be compared."""
    if len(found := sorted({each["sha256"] for each in lists})) > 1:
        raise InputError(
            f"the finalists and their repetitions were tested on {len(found)} lists of trials (sha256 "
            f"{', '.join(each[:12] for each in found)}): run `dvc repro` to finish the stages before the report"
        )
