"""Trials of rows that no list compares: pairs drawn by a fixed, seeded rule.

Target pairs are of one speaker: all of them, or as many random ones as the rule allows; with `across_sessions` none is
of one session, where room and microphone are the same too. Nontarget pairs are random ones out of all pairs of two
speakers, each at most once; the share `same_sex` of them is of one sex, as all of Vox1-H are, for pairs of two sexes
are easy. Which side of a pair enrolls is random. No recording is compared with itself, and no pair stands twice.

Shape letters: R rows, P pairs.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from voxbench.config import TrialRule
from voxbench.schema import InputError
from voxbench.seeding import generator

COLUMNS = ("enroll", "test", "truth")
Rows = NDArray[np.int64]


def draw_trials(rows: pd.DataFrame, rule: TrialRule, purpose: str) -> pd.DataFrame:
    """Return trials between `rows` (`id`, `speaker`, `session`, `gender`): columns `enroll`, `test` (ids) and `truth`.

    Targets come first, as 1. The order of `rows` changes nothing; `purpose`, the name of a split, tells the draws of
    one from those of another. Raises InputError for rows without any target pair, with fewer nontarget pairs than are
    wanted, or without the session or sex that the rule goes by.
    """
    by_sex = rule.same_sex is not None
    if by_sex:
        _require(rows, "gender", "same_sex to null")
    rows = rows.sort_values([*(["gender"] if by_sex else []), "speaker", "id"]).reset_index(drop=True)
    targets_P2 = _targets(rows, rule, purpose)
    wanted = round(rule.nontargets_per_target * len(targets_P2))
    alike = wanted if rule.same_sex is None else round(rule.same_sex * wanted)
    own_end_R = _ends(rows["speaker"])
    sex_end_R = _ends(rows["gender"]) if by_sex else np.full(len(rows), len(rows))
    draws = generator(rule.seed, "nontarget trials", purpose)
    pairs_P2 = np.concatenate(
        [
            targets_P2,
            _numbered(own_end_R, sex_end_R, alike, "of one sex" if by_sex else "of two speakers", draws),
            _numbered(sex_end_R, np.full(len(rows), len(rows)), wanted - alike, "of two sexes", draws),
        ]
    )
    turned_P = generator(rule.seed, "sides of trials", purpose).random(len(pairs_P2)) < 0.5
    pairs_P2[turned_P] = pairs_P2[turned_P, ::-1]
    ids, truth = rows["id"].to_numpy(), np.repeat([1, 0], [len(targets_P2), wanted])
    return pd.DataFrame(dict(zip(COLUMNS, (ids[pairs_P2[:, 0]], ids[pairs_P2[:, 1]], truth), strict=True)))


def _targets(rows: pd.DataFrame, rule: TrialRule, purpose: str) -> Rows:
    """Return pairs `(P, 2)` of rows of one speaker, speaker by speaker."""
    if rule.across_sessions:
        _require(rows, "session", "across_sessions to false")
    sessions = rows["session"].to_numpy() if rule.across_sessions else np.arange(len(rows))
    chosen: list[tuple[int, int]] = []
    for speaker, members in rows.groupby("speaker", sort=False).indices.items():
        pairs = [pair for pair in combinations(members.tolist(), 2) if sessions[pair[0]] != sessions[pair[1]]]
        order = generator(rule.seed, "target trials", purpose, str(speaker)).permutation(len(pairs))
        chosen += [pairs[place] for place in sorted(order[: rule.targets_per_speaker])]
    if not chosen:
        setting = " in two sessions: set verification.trials.across_sessions to false, or"
        raise InputError(
            f"none of the {rows['speaker'].nunique()} {purpose} speakers is heard twice"
            f"{setting if rule.across_sessions else ':'} take a corpus with more recordings of each, for there is no "
            "target trial"
        )
    return np.array(chosen, dtype=np.int64)


def _ends(words: pd.Series) -> Rows:
    """Return for each row where the run of its word ends; equal words stand together."""
    numbers_R = pd.factorize(words)[0]
    ends: Rows = np.searchsorted(numbers_R, numbers_R, side="right")
    return ends


def _numbered(start_R: Rows, end_R: Rows, wanted: int, what: str, draws: np.random.Generator) -> Rows:
    """Return `wanted` random pairs `(P, 2)` of a row and one of the rows from its start to its end, no pair twice.

    Pairs are numbered and numbers drawn, for the pairs of a large split would not fit into memory.
    """
    if not wanted:
        return np.empty((0, 2), np.int64)
    edges_R = np.cumsum(end_R - start_R)
    if wanted > (existing := int(edges_R[-1])):
        raise InputError(
            f"verification.trials asks for {wanted} nontarget pairs {what}, and there are {existing}: lower "
            "targets_per_speaker or nontargets_per_target, or change same_sex"
        )
    number_P = np.sort(draws.choice(existing, wanted, replace=False))
    row_P = np.searchsorted(edges_R, number_P, side="right")
    return np.stack([row_P, end_R[row_P] - (edges_R[row_P] - number_P)], axis=1)


def _require(rows: pd.DataFrame, column: str, fix: str) -> None:
    unknown = int(rows[column].isna().sum()) if column in rows else len(rows)
    if unknown:
        raise InputError(
            f"{unknown} of {len(rows)} recordings have no {column}, which trials go by: set verification.trials.{fix}"
        )
